//! What blocks a domain before libvirt would say it: at its start, or never.

pub(crate) mod devices;
pub(crate) mod files;
pub(super) mod guest;
pub(crate) mod neighbours;
mod on_the_host;
pub(super) mod request;
pub(crate) mod resources;
