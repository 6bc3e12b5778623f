//! Bindings to vfio-pci that vgapt does not manage: files of modprobe, kernel parameters, driverctl, udev
//! rules, scripts of the initramfs and of services.

mod command_lines;
mod context;
mod display_drivers;
mod displays;
mod external;
mod findings;
mod found;
mod keeps_out;
mod modules;
mod scripts;

pub(super) use display_drivers::display_drivers_kept_out;
pub use external::ExternalBinding;
pub(super) use findings::findings;
pub use found::others;
pub(super) use keeps_out::ModuleBlocker;
pub(super) use modules::ids;
pub use scripts::removing;
