//! The machine: accelerator, clock, name and identity.

use super::draft::{Draft, has_both_interfaces};
use super::options::QemuOption;
use super::props::Props;
use super::table::{self, VALUES};
use crate::model::Moment;
use crate::xml::Fragment;

/// Machines without a PCI bus, or that only Xen or another program starts: libvirt has no domain for them.
const WITHOUT_DOMAIN: &str = "microvm isapc xenfv xenfv-4.2 xenpv x-remote nitro-enclave none";

pub(super) fn translate(draft: &mut Draft, program: &str) {
    // As QEMU does where no option names an accelerator (`configure_accelerators` of `system/vl.c`).
    let names = |option: &QemuOption| ["accel", "no-kvm"].contains(&option.name.as_str()) || option.peek("accel").is_some();
    draft.is_kvm = (program.ends_with("kvm") || program.ends_with("kvm-spice")) && !draft.options.iter().any(names);
    for index in draft.named(&["accel"]) {
        accelerator(draft, index);
        draft.fill_domain(index, "accel", "");
        draft.native(index, &format!("<domain type='{}'>", if draft.is_kvm { "kvm" } else { "qemu" }));
    }
    machine(draft, architecture(program));
    for index in draft.named(&["name"]) {
        draft.name = draft.take(index, "guest").or(draft.name.take());
        draft.fill_domain(index, "name", "");
        draft.native(index, "<name>");
    }
    clock(draft);
    for (name, places, how) in VALUES {
        for index in draft.named(&[name]) {
            let value = draft.whole(index);
            table::write(&mut draft.domain, places, &value);
            draft.native(index, how);
        }
    }
    globals(draft);
    smbios(draft);
    for index in draft.named(&["action"]).into_iter().filter(|index| draft.peek(*index, "watchdog").is_none()).collect::<Vec<_>>() {
        draft.fill_domain(index, "action", "");
        draft.native(index, "<on_reboot>, <on_crash>");
    }
}

/// The action of a watchdog: `-watchdog-action`, or `-action watchdog=`; QEMU's default is a reset.
pub(super) fn watchdog_action(draft: &mut Draft) -> String {
    let mut action = "reset".to_owned();
    for option in &draft.options {
        let said = match option.name.as_str() {
            "watchdog-action" => Some(option.value()),
            "action" => option.peek("watchdog"),
            _ => None,
        };
        if let Some(said) = said {
            // libvirt's name for it.
            if said == "debug" { "none" } else { said }.clone_into(&mut action);
        }
    }
    for index in draft.named(&["watchdog-action", "action"]) {
        draft.take(index, "watchdog");
        if draft.options[index].props.left().is_empty() {
            draft.native(index, "<watchdog action=…>");
        }
    }
    action
}

/// `accel=kvm:tcg`: the first that works.
fn accelerator(draft: &mut Draft, index: usize) {
    match draft.take(index, "accel").as_deref().and_then(|accel| accel.split(':').next()) {
        Some("kvm") => draft.is_kvm = true,
        Some("tcg") | None => {}
        Some(_) => draft.refuse(index, "this accelerator is of another system than Linux", "write accel=kvm in its place"),
    }
}

/// libvirt's name of the architecture that a QEMU emulates, which also decides the CPU model where none is set.
fn architecture(program: &str) -> &'static str {
    let name = program.rsplit('/').next().and_then(|name| name.strip_prefix("qemu-system-"));
    if name.is_some_and(|name| name.split('-').next() == Some("i386")) { "i686" } else { "x86_64" }
}

fn machine(draft: &mut Draft, architecture: &str) {
    let mut model = "pc".to_owned();
    let mut has_acpi = true;
    for index in draft.named(&["machine"]) {
        let given = draft.take(index, "type");
        let how = if given.is_some() { "<os><type machine=…>" } else { "<domain>, <features>" };
        model = given.unwrap_or(model);
        if table::has(WITHOUT_DOMAIN, &model) {
            let remedy = "write q35 in its place, and the PCI devices: virtio-blk-pci for virtio-blk-device; or go on without libvirt";
            draft.refuse(index, &format!("libvirt has no domains of the machine {model}"), remedy);
        }
        if let Some(at) = model.find("+pve") {
            let end = model.split_off(at);
            draft.notes.push(format!("{end} of the machine is left out: only Proxmox's QEMU knows it"));
        }
        accelerator(draft, index);
        has_acpi = draft.flag(index, "acpi").unwrap_or(has_acpi);
        draft.fill_domain(index, "machine", "");
        // libvirt sets it beside <memory model='nvdimm'>.
        if draft.options.iter().any(|option| option.driver() == Some("nvdimm")) {
            draft.take(index, "nvdimm");
        }
        let left = draft.options[index].props.left();
        if !left.is_empty() {
            let words: Vec<String> = left.iter().map(|(name, value)| format!("{name}={value}")).collect();
            draft.pass("machine", &words.join(","));
            let names: Vec<&str> = left.iter().map(|(name, _)| name.as_str()).collect();
            draft.notes.push(format!("libvirt has no element for {} of -machine: passed to QEMU unchanged", names.join(", ")));
            draft.options[index].props.ignore(&names);
        }
        draft.native(index, how);
    }
    draft.is_express = model.contains("q35");
    // The controller on the board, with its buses.
    let (buses, kind) = if draft.is_express { (6, "sata") } else { (2, "ide") };
    draft.add_controller(None, "ide", buses, kind, 0);
    if draft.is_express && draft.options.iter().any(gets_both_interfaces) {
        draft.notes.push(
            "libvirt puts virtio devices on PCI Express ports, where they have only the interface of virtio 1.0: a guest with older drivers \
             (Linux before 4.0) needs model='virtio-transitional'"
                .into(),
        );
    }
    draft.domain.push("os", Fragment::new("type").with("arch", architecture).with("machine", model).text("hvm"));
    if has_acpi {
        draft.domain.below("features/acpi");
    }
    draft.domain.below("features/apic");
}

fn clock(draft: &mut Draft) {
    let mut offset = "utc";
    for index in draft.named(&["rtc"]) {
        match draft.take(index, "base").as_deref() {
            Some("localtime") => offset = "localtime",
            Some("utc") | None => {}
            Some(date) => match seconds(date) {
                Some(start) => {
                    offset = "absolute";
                    draft.domain.set("clock@start", start);
                }
                None => draft.notes.push(format!("the clock's start {date} is not a date, and QEMU refuses it: it is left out")),
            },
        }
        draft.fill_domain(index, "rtc", "");
        if draft.peek(index, "clock") == Some("host") {
            draft.take(index, "clock");
        }
        draft.native(index, "<clock>");
    }
    draft.domain.set("clock@offset", offset);
}

/// `2020-01-31` or `2020-01-31T12:00:00` (`-rtc base=`, which is UTC) in seconds since 1970.
fn seconds(date: &str) -> Option<i64> {
    let time = if date.contains('T') { "Z" } else { "T00:00:00Z" };
    let said = format!("{date}{time}");
    let (moment, rest) = Moment::parse(&said)?;
    // As written: neither a month that does not exist nor a fraction.
    (rest.is_empty() && moment.to_string().replacen(' ', "T", 1).replace(" UTC", "Z") == said).then(|| moment.seconds())
}

fn globals(draft: &mut Draft) {
    for index in draft.named(&["global"]) {
        // The one becomes a property of a device, the other is the firmware's.
        let is_of_device = draft.globals.iter().any(|(global, ..)| *global == index);
        let Some((driver, property, value)) =
            draft.options[index].global().filter(|(driver, ..)| !is_of_device && !driver.starts_with("cfi"))
        else {
            continue;
        };
        if (driver.as_str(), property.as_str()) == ("ICH9-LPC", "noreboot") {
            if !table::is_on(&value) {
                let action = watchdog_action(draft);
                draft.device(Fragment::new("watchdog").with("model", "itco").with("action", action));
            }
            draft.whole(index);
            draft.native(index, "<watchdog model='itco'>");
            continue;
        }
        draft.options[index].props = Props::read(&format!("{driver}.{property}={value}"), "");
        draft.fill_domain(index, "global", "");
        if draft.options[index].props.left().is_empty() {
            draft.native(index, if driver == "kvm-pit" { "<timer name='pit'>" } else { "<pm>" });
        } else {
            draft.keep(index, "a device property without a libvirt element");
        }
    }
}

/// SMBIOS: libvirt supports some tables and most of their fields.
fn smbios(draft: &mut Draft) {
    for index in draft.named(&["smbios"]) {
        let table = format!("smbios {}", draft.take(index, "type").unwrap_or_default());
        if draft.is_known(index, &table) {
            draft.fill_domain(index, &table, "");
            draft.native(index, "<sysinfo>");
        } else {
            draft.keep(index, "an SMBIOS table or field that libvirt does not write");
        }
    }
    if draft.domain.at("sysinfo").is_some() {
        draft.domain.set("os/smbios@mode", "sysinfo");
    }
}

/// Whether QEMU gives this device the interface before virtio 1.0 too: it does so on a bus without ports (`virtio_pci_realize`).
fn gets_both_interfaces(option: &QemuOption) -> bool {
    let is_virtio = option.driver().is_some_and(has_both_interfaces);
    let is_set = ["disable-legacy", "disable-modern"].iter().any(|name| option.peek(name).is_some_and(|said| said != "auto"));
    let is_on_root = option.peek("bus").is_none_or(|bus| bus == "pcie.0");
    let is_disk = option.name == "drive" && option.peek("if") == Some("virtio");
    (is_virtio && is_on_root && !is_set) || is_disk
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!((seconds("1970-01-01"), seconds("2020-01-01T00:00:00"), seconds("soon")), (Some(0), Some(1_577_836_800), None));
        assert_eq!((seconds("2000-02-29T01:02:03"), seconds("2001-02-29"), seconds("2020-13-01")), (Some(951_786_123), None, None));
    }
}
