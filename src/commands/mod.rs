//! The subcommands, one file or folder for each, with its arguments (their doc comments are the help text) and its code.
//! Code that several of them use is in `shared`.

pub(crate) mod attach;
pub(crate) mod capture;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod define;
pub(crate) mod detach;
pub(crate) mod disk;
mod documents;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod help;
pub(crate) mod hook;
pub(crate) mod import;
pub(crate) mod list;
pub(crate) mod man;
pub(crate) mod measure;
pub(crate) mod overview;
pub(crate) mod prepare;
pub(crate) mod reset;
pub(crate) mod setup;
mod shared;
pub(crate) mod show;
pub(crate) mod start;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod topology;
pub(crate) mod undefine;
pub(crate) mod undo;
pub(crate) mod why;

pub use documents::schemas;
pub use shared::context::Context;
pub use shared::options::{Color, Global};
pub(crate) use shared::{exit_code, hangs, refused};
