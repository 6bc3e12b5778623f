//! Exports a domain: as the QEMU options with which libvirt runs it, or as a KubeVirt manifest. Pure.

mod account;
mod alike;
mod argv;
mod devices;
mod disks;
mod features;
mod kubevirt;
mod machine;
mod small;

pub use argv::{functions_as_hostdevs, one_option_per_line, resolve_usb_addresses, set_vfio_driver, without_scripts};
pub use devices::Passed;
pub use kubevirt::{Exported, kubevirt};
