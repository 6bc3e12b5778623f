//! Code that several commands use.

pub(super) mod card;
pub(super) mod consent;
pub(super) mod context;
pub(super) mod definition;
pub(super) mod existing;
pub(crate) mod exit_code;
pub(super) mod files;
pub(super) mod global;
pub(super) mod holders;
pub(super) mod lock;
mod values;
pub(super) mod written;
