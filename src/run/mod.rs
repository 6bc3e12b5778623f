//! The only module that starts other programs.

mod apart;
mod at_end;
mod command;
mod ends;
mod helper;
mod own;
mod search;
mod sudo;
mod supervise;
mod tied;

pub use apart::Apart;
pub use at_end::AtEnd;
pub use command::{Missing, ProgramOutput, output};
pub use ends::learn as learn_ends;
pub use helper::{Helper, HelperError};
pub use own::{own, own_output};
pub use sudo::become_root;
pub use supervise::supervise;
pub use tied::{NOT_EXECUTABLE, execute};
