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
mod printf;
mod programs;
mod regex;
mod script;
mod unit;
mod word;

pub use pasted::pasted;
pub(super) use path::joined;
pub(super) use programs::{WITH_VALUE_OF_NUMACTL, is_wrapper, takes_value};
pub use script::{Filled, Script, read};
pub use word::is_always_set;
