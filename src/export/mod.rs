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

pub use argv::{by_vfio, functions_as_hostdevs, one_a_line, place_usb};
pub use devices::Passed;
pub use kubevirt::{Exported, kubevirt};
