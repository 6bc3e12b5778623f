//! What import knows of the host, apart from the script.

/// What import knows of the host; it reads nothing itself.
#[derive(Clone, Copy)]
pub struct ImportContext<'a> {
    /// The script's directory.
    pub folder: &'a str,
    /// The format of an image, by its first bytes; `None` where it cannot be read.
    pub format: &'a dyn Fn(&str) -> Option<&'static str>,
}
