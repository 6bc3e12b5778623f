//! The only module that starts other programs.

mod command;
mod helper;
mod own;
mod search;
mod stream;
mod sudo;
mod tied;
mod within;

pub use command::{Missing, ProgramOutput, output};
pub use helper::{Helper, HelperError};
pub use own::{own, own_output};
pub use stream::stream;
pub use sudo::become_root;
pub use tied::{NOT_EXECUTABLE, execute};
pub use within::within;
