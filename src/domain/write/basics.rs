//! The elements that occur once in a domain: name, title, description, memory, processors, firmware.

use super::apply::Draft;
use super::cells;
use crate::domain::alias;
use crate::domain::edit::{Change, Edit, Part, Policy, find};
use crate::domain::spec::Processors;
use crate::domain_xml::{alias_of, devices_named};
use crate::model::{Firmware, Size};
use crate::xml::Element;

pub(crate) fn name(draft: &mut Draft, name: &str, uuid: Option<&str>) {
    draft.apply(Edit::put(Part::Identity, "name").text(name).policy(Policy::Checked));
    if let Some(uuid) = uuid {
        draft.apply(Edit::put(Part::Identity, "uuid").text(uuid).policy(Policy::Helper));
    }
}

/// # Errors
/// Why the domain cannot have this amount of memory.
pub(crate) fn memory(draft: &mut Draft, memory: Size) -> Result<(), String> {
    for (cell, size) in cells::memory(draft.root(), memory)? {
        let cell = helper(Part::Memory, &format!("cpu/numa/cell[#={cell}]"));
        draft.apply(cell.with("memory", size.kib()).with("unit", "KiB"));
    }
    let of = |name: &str| Edit::put(Part::Memory, name).with("unit", "KiB").text(memory.kib());
    draft.apply(of("memory"));
    if draft.root().child("currentMemory").is_some() {
        draft.apply(of("currentMemory").policy(Policy::Checked));
    }
    Ok(())
}

/// The number of vCPUs, all online from the start, and the guest's CPU topology.
///
/// # Errors
/// Why the domain cannot have this number.
pub(crate) fn cpus(draft: &mut Draft, Processors { count, guest }: Processors) -> Result<(), String> {
    for (cell, cpus) in cells::cpus(draft.root(), count)? {
        draft.apply(helper(Part::Cpus, &format!("cpu/numa/cell[#={cell}]")).with("cpus", cpus));
    }
    draft.apply(Edit::put(Part::Cpus, "vcpu").text(count));
    draft.apply(helper(Part::Cpus, "vcpu").with_or_without("current", None::<u32>));
    // <vcpus> lists single vCPUs, some of them offline; now all are online.
    draft.apply(removed(Part::Cpus, "vcpus").policy(Policy::Helper));
    let now = find(draft.root(), "cpu/topology");
    let mut topology = helper(Part::Cpus, "cpu/topology");
    // Omitted if it is 1, which is libvirt's default.
    for (name, value) in [("dies", guest.dies), ("clusters", 1)] {
        if value > 1 || now.and_then(|now| now.attribute(name)).is_some_and(|count| count != "1") {
            topology = topology.with(name, value);
        }
    }
    draft.apply(topology.with("sockets", guest.sockets).with("cores", guest.cores).with("threads", guest.threads));
    Ok(())
}

/// Adds or removes huge pages of the host's default size.
pub(crate) fn hugepages(draft: &mut Draft, wanted: bool) {
    let pages = "memoryBacking/hugepages";
    draft.apply(if wanted { Edit::put(Part::Hugepages, pages) } else { removed(Part::Hugepages, pages) });
}

pub(crate) fn emulator(draft: &mut Draft, path: &str) {
    draft.apply(Edit::put(Part::Emulator, "devices/emulator").text(path));
}

pub(crate) fn hide_kvm(draft: &mut Draft, is_hidden: bool) {
    draft.apply(Edit::put(Part::Hypervisor, "features/kvm/hidden").with("state", if is_hidden { "on" } else { "off" }));
}

/// The number of threads that serve the controllers of SCSI disks, the first and vgapt's others: QEMU distributes their queues
/// among several.
pub(crate) fn io_threads(draft: &mut Draft, number: u32) {
    draft.apply(Edit::put(Part::IoThreads, "iothreads").text(number));
    for place in scsi_controllers(draft.root()) {
        let driver = format!("devices/controller[#={place}]/driver");
        draft.apply(removed(Part::IoThreads, &format!("{driver}/iothreads")).policy(Policy::Helper));
        draft.apply(helper(Part::IoThreads, &driver).with_or_without("iothread", (number == 1).then_some(1)));
        for thread in (1..=number).filter(|_| number > 1) {
            draft.apply(helper(Part::IoThreads, &format!("{driver}/iothreads/iothread[id={thread}]")));
        }
    }
}

/// The first virtio-scsi controller and vgapt's: which of the domain's controllers they are.
fn scsi_controllers(domain: Element<'_>) -> Vec<usize> {
    let is_virtio = |(_, controller): &(usize, Element<'_>)| controller.attribute("model").as_deref() == Some("virtio-scsi");
    let is_own = |controller| alias_of(controller).is_some_and(|name| name.starts_with(alias::SCSI));
    let virtio = devices_named(domain, "controller").enumerate().filter(is_virtio);
    let served = virtio.enumerate().filter(|(nth, (_, controller))| *nth == 0 || is_own(*controller));
    served.map(|(_, (place, _))| place).collect()
}

/// Sets the title or the description, or removes it.
pub(crate) fn words(draft: &mut Draft, part: Part, name: &str, text: Option<&str>) {
    draft.apply(text.map_or_else(|| removed(part, name), |text| Edit::put(part, name).text(text)));
}

/// The two flash images: the read-only code, and the template of the variables.
pub(crate) fn firmware(draft: &mut Draft, firmware: &Firmware) {
    // Raw is libvirt's default; the attribute exists since libvirt 9.2.
    let format = (firmware.format != "raw").then_some(firmware.format.as_str());
    let secure = firmware.secure_boot.then_some("yes");
    let put = |path: &str| helper(Part::Firmware, path);
    draft.apply(put("os/loader").with("readonly", "yes").with("type", "pflash"));
    draft.apply(Edit::put(Part::Firmware, "os/loader").text(&firmware.code));
    draft.apply(put("os/loader").with_or_without("secure", secure).with_or_without("format", format));
    draft.apply(Edit::put(Part::Firmware, "os/nvram").with("template", &firmware.vars));
    draft.apply(put("os/nvram").with_or_without("format", format).with_or_without("templateFormat", None::<&str>));
    // With these, libvirt selects a firmware itself and refuses an explicit one.
    draft.apply(put("os").with_or_without("firmware", None::<&str>));
    draft.apply(removed(Part::Firmware, "os/firmware").policy(Policy::Helper));
    // libvirt requires it for UEFI.
    draft.apply(put("features/acpi"));
    if firmware.secure_boot {
        // Firmware that keeps its keys from the guest does so in system management mode.
        draft.apply(put("features/smm").with("state", "on"));
    }
}

fn helper(part: Part, path: &str) -> Edit {
    Edit::put(part, path).policy(Policy::Helper)
}

fn removed(part: Part, path: &str) -> Edit {
    Edit { change: Change::Remove, ..Edit::put(part, path) }
}
