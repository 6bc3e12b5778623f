//! The parts of a recorded host.

pub(super) const HEADER: &str = "vgapt capture 1";
pub(super) const FILE_MODE: u32 = 0o644;
pub(super) const DIRECTORY_MODE: u32 = 0o755;

/// One file, link or directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub node: Node,
    /// Its permission bits.
    pub mode: u32,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A file with its content.
    File(Vec<u8>),
    /// A file whose content was not recorded, with its size in bytes.
    Unread(u64),
    /// A symbolic link with its target.
    Link(String),
    /// A directory.
    Directory,
}

/// What a redacted capture contains of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapturedPath {
    /// The path.
    pub path: String,
    /// The size of its content in bytes.
    pub bytes: usize,
    /// How many words, numbers and names were replaced.
    pub replaced: usize,
}
