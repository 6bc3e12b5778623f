//! The next step, as every command prints it.

use super::style::{STRONG, paint};
use crate::model::Next;

/// One line.
pub fn next(next: &Next) -> String {
    format!("{} {next}\n", paint(STRONG, "next:"))
}
