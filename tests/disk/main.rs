//! `vgapt disk`, on real images, real file systems and with the real tools.

mod below;
#[path = "../support/command.rs"]
mod command;
mod guests;
mod hostile;
mod images;
mod killed;
#[allow(dead_code)] // Only the driver inside a client is used here.
#[path = "../support/libvirt.rs"]
mod libvirt;
mod recipes;
mod refused;
mod swap;
mod unknown;
mod verified;
