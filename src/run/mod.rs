//! The only module that starts other programs.

mod apart;
mod at_end;
mod command;
mod helper;
mod own;
mod search;
mod sigchld;
mod sudo;
mod supervise;
mod tied;

pub use apart::Apart;
pub use at_end::AtEnd;
pub use command::{Missing, ProgramOutput, output};
pub use helper::{Helper, HelperError};
pub use own::{own, own_output};
pub use sigchld::stop_ignoring as stop_ignoring_sigchld;
pub use sudo::become_root;
pub use supervise::supervise;
pub use tied::{NOT_EXECUTABLE, execute};
