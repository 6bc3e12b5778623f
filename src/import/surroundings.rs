//! What is known of the machine beside the script.

/// What import knows of the machine: it looks at nothing itself.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// Where the script lies.
    pub folder: &'a str,
    /// The format of an image, by its first bytes; `None` where it cannot be read.
    pub format: &'a dyn Fn(&str) -> Option<&'static str>,
}
