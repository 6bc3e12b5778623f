//! Reads shell scripts that start QEMU, without running them.

mod arithmetic;
mod braces;
mod budget;
mod condition;
mod expand;
mod kind;
mod lexer;
mod marks;
mod parser;
mod pattern;
mod script;
mod shape;
mod wrappers;

pub use script::{Script, read};
pub(super) use wrappers::is_wrapper;
