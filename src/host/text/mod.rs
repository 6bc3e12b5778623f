//! Editing texts of the host's files: lines of a shell, kernel parameters, and taking vgapt's own changes out of a text
//! that was edited since. Pure.

pub(super) mod merge;
pub(super) mod shell;
pub(super) mod tokens;
