//! Redaction of captures. A capture contains of each file only the part that vgapt reads, and of that only words that
//! vgapt itself looks for, numbers, and names assigned by the kernel. Everything else is replaced; unknown binary data
//! is removed.

mod content;
mod line;
mod words;

pub(super) use content::Redaction;
