//! The only module that starts other programs.

mod command;
mod helper;
mod search;
mod stream;
mod sudo;
mod tied;
mod within;

pub use command::{Missing, Ran, output};
pub use helper::{Helper, Silence};
pub use stream::stream;
pub use sudo::become_root;
pub use tied::{NOT_EXECUTABLE, execute};
pub use within::within;
