//! Reads the XML of any libvirt domain. Each element is read in one place only. Pure code without side effects.

mod commandline;
mod devices;
mod disks;
mod hostdevs;
mod machine;
mod processors;
mod taken;

pub(crate) use commandline::NAMESPACE as QEMU_NAMESPACE;
pub use commandline::{Drive, Drives, commandline_of, drives, functions as functions_of_commandline, options_of};
pub use devices::{
    agent_channel, alias_of, device_with_alias, devices, devices_named, devices_with_alias, has_input, is_first, is_usb_off, joinable,
    next_bus, number, on_slot, place, taken_slots, video_model,
};
pub use disks::{Disk, Source, disks};
pub use hostdevs::{
    HostDevice, Interface, function_of, host_device, hostdev_of, interfaces, managed_functions, passes_usb, pci_address, pci_hostdevs,
};
pub use machine::{
    Pages, cell_places, cell_size, cells, is_express, machine, memory, nodes_of_memory, osinfo, page_size, pages, plugged, size_of,
};
pub use processors::{
    are_pinned, clocks, hides_amd_cores, iothreads, is_without_hypervisor, of_a_cache, of_a_die, on_guests_cpus, own_pins, owned,
    pinned_to_one, pins, threads, topology, vcpus,
};
pub use taken::{ExclusiveResources, all_functions, functions, taken};
