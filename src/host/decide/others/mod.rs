//! Bindings to vfio-pci that vgapt does not manage: files of modprobe, kernel parameters, driverctl, udev
//! rules, scripts of the initramfs and of services.

mod command_lines;
mod early;
mod external;
mod findings;
mod found;
mod kept_out;
mod modules;
mod scripts;

pub use command_lines::of_our_kinds;
pub use external::ExternalBinding;
pub(super) use external::ModuleBlocker;
pub(super) use findings::findings;
pub use found::others;
pub(super) use kept_out::display_drivers_kept_out;
pub use kept_out::drivers_kept_out;
pub(super) use modules::of_initramfs;
pub use scripts::{hiding, removing};
pub(super) use scripts::{named, writers};
