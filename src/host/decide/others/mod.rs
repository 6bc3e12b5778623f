//! Bindings to vfio-pci that vgapt does not manage: files of modprobe, kernel parameters, driverctl, udev
//! rules, scripts of the initramfs and of services.

mod command_lines;
mod early;
mod external;
mod findings;
mod found;
mod modules;
mod scripts;

pub use command_lines::of_our_kinds;
pub use external::ExternalBinding;
pub(super) use external::ModuleBlocker;
pub(super) use findings::findings;
pub(super) use found::display_drivers_kept_out;
pub use found::{drivers_kept_out, others};
pub(super) use modules::of_initramfs;
pub use scripts::{hiding, removing};
pub(super) use scripts::{named, writers};
