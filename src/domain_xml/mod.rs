//! Reads the XML of any libvirt domain. Each element is read in one place only. Pure code without side effects.

mod cells;
mod commandline;
mod devices;
mod disks;
mod drives;
mod hostdevs;
mod interfaces;
mod machine;
mod memory;
mod processors;
mod slots;
mod taken;

pub use cells::{cell_size, cells, plugged};
pub use commandline::functions as functions_of_commandline;
pub use devices::{alias_of, device_with_alias, devices, devices_named, devices_with_alias, number};
pub use disks::{Disk, Source, disks};
pub use drives::{Drive, Drives, drives};
pub use hostdevs::{HostDevice, host_device, hostdev_of, passes_usb, pci_hostdevs};
pub use interfaces::{Interface, interfaces};
pub use machine::{is_express, machine};
pub use memory::{Pages, memory, page_size, pages, size_of};
pub use processors::{are_pinned, iothreads, pins, vcpus};
pub use slots::{is_first, joinable, next_bus, on_slot, place, taken_slots};
pub use taken::{ExclusiveResources, functions, taken};
