//! Checks that find problems before the domain starts; libvirt would report them only then, or not at all.

pub(crate) mod devices;
pub(crate) mod files;
pub(super) mod guest;
pub(crate) mod neighbours;
mod on_the_host;
pub(super) mod request;
pub(crate) mod resources;
