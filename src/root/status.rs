//! What is known of a path without reading it.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    pub is_dir: bool,
    /// Whether it is a named pipe, a socket or a character device, which have no length.
    pub is_stream: bool,
    /// In a capture, whether it is a node below /dev without a length.
    pub is_character_device: bool,
    /// Whether it is a block device; `None` in a capture, which does not say so.
    pub is_block_device: Option<bool>,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub size: u64,
}
