//! Reads shell scripts that start QEMU, without running them.

mod arithmetic;
mod budget;
mod condition;
mod expand;
mod kind;
mod lexer;
mod marks;
mod parser;
mod pattern;
mod programs;
mod script;

pub(super) use programs::is_wrapper;
pub use script::{Script, read};
