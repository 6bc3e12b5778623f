//! Files that a script copies.

/// A file that a script copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    pub from: String,
    pub to: String,
    /// Only under a condition that is not known, such as that the copy is missing.
    pub if_missing: bool,
    /// A new file at each start: `$(mktemp)`, `/tmp/x.$$`.
    pub is_temporary: bool,
}
