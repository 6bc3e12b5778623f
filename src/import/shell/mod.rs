//! A reader of shell scripts that never runs one: as far as scripts that start QEMU go.

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
