//! Checks that find problems before the domain starts; libvirt would report them only then, or not at all.

pub(crate) mod devices;
pub(crate) mod files;
pub(crate) mod guest;
pub(crate) mod idle;
pub(crate) mod lacking;
pub(crate) mod neighbours;
pub(crate) mod request;
pub(crate) mod resources;
