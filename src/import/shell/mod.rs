//! A reader of shell scripts that never runs one: as far as scripts that start QEMU go.

mod arithmetic;
mod expand;
mod lexer;
mod script;

pub use script::{Script, read};
