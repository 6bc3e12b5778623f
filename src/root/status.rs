//! The metadata of a path, which is known without reading its content.

/// The metadata of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Whether it is a named pipe, a socket or a character device, which have no length.
    pub is_stream: bool,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size in bytes.
    pub size: u64,
}
