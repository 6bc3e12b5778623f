//! The next step, as every command prints it.

use super::style::{HANG, STRONG, paint};
use crate::model::Next;

/// One line, and more where the terminal is narrow.
pub fn next(next: &Next) -> String {
    format!("{} {HANG}{next}\n", paint(STRONG, "next:"))
}
