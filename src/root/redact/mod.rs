//! What may leave the machine: of each file only what is read of it, and of that only words that the
//! program itself looks for, numbers, and names that the kernel gives. Everything else is replaced; what
//! is no text and not understood is left out.

mod content;
mod line;
mod words;

pub(super) use content::Redaction;
