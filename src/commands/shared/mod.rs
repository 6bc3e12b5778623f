//! Code that several commands use.

pub(super) mod base;
pub(super) mod card;
pub(super) mod consent;
pub(super) mod context;
pub(super) mod decision;
pub(super) mod definition;
pub(super) mod domains;
pub(super) mod existing;
pub(crate) mod exit_code;
pub(super) mod facts;
pub(crate) mod hangs;
pub(super) mod holders;
pub(super) mod lock;
pub(super) mod logs;
pub(super) mod next;
pub(super) mod options;
pub(crate) mod refused;
mod repeated;
pub(super) mod request_file;
mod schema;
pub(super) mod share;
pub(super) mod user_file;
pub(super) mod verified;
