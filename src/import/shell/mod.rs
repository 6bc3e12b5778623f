//! Reads shell scripts that start QEMU, without running them.

mod arithmetic;
mod budget;
mod command;
mod condition;
mod expand;
mod kind;
mod lexer;
mod marks;
mod parser;
mod pattern;
mod programs;
mod script;
mod word;

pub(super) use programs::is_wrapper;
pub use script::{Script, read};
