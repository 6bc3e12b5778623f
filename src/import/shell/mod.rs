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
mod pasted;
mod path;
mod pattern;
mod programs;
mod script;
mod unit;
mod word;

pub use pasted::pasted;
pub(super) use path::joined;
pub(super) use programs::is_wrapper;
pub use script::{Script, read};
