//! The machine, its accelerator, its clock, and what it is called.

use super::draft::Draft;
use crate::xml::Fragment;

pub(super) fn translate(draft: &mut Draft) {
    accelerators(draft);
    machine(draft);
    names(draft);
    clock(draft);
    globals(draft);
    smbios(draft);
    for index in draft.named(&["no-reboot"]) {
        draft.put("", Fragment::new("on_reboot").text("destroy"));
        draft.native(index, "<on_reboot>");
    }
    for index in draft.named(&["watchdog"]) {
        let model = draft.options[index].value().to_owned();
        draft.device(Fragment::new("watchdog").with("model", model).with("action", "reset"));
        draft.native(index, "<watchdog>");
    }
}

fn accelerators(draft: &mut Draft) {
    for index in draft.named(&["enable-kvm"]) {
        draft.is_kvm = true;
        draft.native(index, "<domain type='kvm'>");
    }
    for index in draft.named(&["accel"]) {
        draft.is_kvm |= draft.take(index, "accel").as_deref() == Some("kvm");
        irqchip(draft, index);
        draft.native(index, "<domain type=…>");
    }
}

fn irqchip(draft: &mut Draft, index: usize) {
    if let Some(value) = draft.take(index, "kernel-irqchip") {
        // All in the kernel is what libvirt asks for where it is asked for nothing.
        let driver = if value == "on" { "kvm" } else { "qemu" };
        draft.put("features", Fragment::new("ioapic").with("driver", driver));
    }
}

fn machine(draft: &mut Draft) {
    let mut model = "pc".to_owned();
    for index in draft.named(&["machine"]) {
        if let Some(kind) = draft.take(index, "type") {
            model = kind;
        }
        draft.is_kvm |= draft.take(index, "accel").is_some_and(|accel| accel.split(':').next() == Some("kvm"));
        irqchip(draft, index);
        if draft.flag(index, "mem-merge") == Some(false) {
            draft.put("memoryBacking", Fragment::new("nosharepages"));
        }
        for feature in ["vmport", "smm"] {
            if let Some(is_on) = draft.flag(index, feature) {
                draft.put("features", Fragment::new(feature).with("state", if is_on { "on" } else { "off" }));
            }
        }
        if draft.flag(index, "hpet") == Some(false) {
            draft.put("clock", Fragment::new("timer").with("name", "hpet").with("present", "no"));
        }
        // libvirt says these by itself, from what it is told elsewhere.
        draft.options[index].props.ignore(&["graphics", "usb", "acpi", "pflash0", "pflash1", "memory-backend", "dump-guest-core"]);
        let left = draft.options[index].props.left();
        if !left.is_empty() {
            let words: Vec<String> = left.iter().map(|(name, value)| format!("{name}={value}")).collect();
            draft.arguments.extend(["-machine".into(), words.join(",")]);
            let names: Vec<&str> = left.iter().map(|(name, _)| name.as_str()).collect();
            draft.notes.push(format!("the machine's {} has no element, and is given to QEMU as it is", names.join(", ")));
            draft.options[index].props.ignore(&names);
        }
        draft.native(index, "<os><type machine=…>");
    }
    draft.is_express = model.contains("q35");
    draft.put("os", Fragment::new("type").with("arch", "x86_64").with("machine", model).text("hvm"));
    let without_acpi = draft.named(&["no-acpi"]);
    for index in &without_acpi {
        draft.native(*index, "no <acpi/>");
    }
    if without_acpi.is_empty() {
        draft.put("features", Fragment::new("acpi"));
    }
    draft.put("features", Fragment::new("apic"));
}

fn names(draft: &mut Draft) {
    for index in draft.named(&["name"]) {
        if let Some(name) = draft.take(index, "guest") {
            draft.put("name", Fragment::new("name").text(name));
        }
        draft.options[index].props.ignore(&["debug-threads"]);
        draft.native(index, "<name>");
    }
    for index in draft.named(&["uuid"]) {
        let uuid = draft.options[index].value().to_owned();
        draft.put("", Fragment::new("uuid").text(uuid));
        draft.native(index, "<uuid>");
    }
}

fn clock(draft: &mut Draft) {
    let mut offset = "utc";
    for index in draft.named(&["rtc"]) {
        let base = draft.take(index, "base");
        match base.as_deref() {
            Some("localtime") => offset = "localtime",
            Some("utc") | None => {}
            Some(date) => {
                draft.notes.push(format!("the clock's start {date} is left out: libvirt's <clock offset='absolute'> takes seconds"));
            }
        }
        if draft.take(index, "driftfix").as_deref() == Some("slew") {
            draft.put("clock", Fragment::new("timer").with("name", "rtc").with("tickpolicy", "catchup"));
        }
        if draft.options[index].props.peek("clock") == Some("host") {
            draft.take(index, "clock");
        }
        draft.native(index, "<clock>");
    }
    for index in draft.named(&["localtime"]) {
        offset = "localtime";
        draft.native(index, "<clock offset='localtime'>");
    }
    for index in draft.named(&["no-hpet"]) {
        draft.put("clock", Fragment::new("timer").with("name", "hpet").with("present", "no"));
        draft.native(index, "<timer name='hpet' present='no'>");
    }
    draft.attribute("clock", "offset", offset);
}

fn globals(draft: &mut Draft) {
    for index in draft.named(&["global"]) {
        let value = draft.options[index].value().replace('_', "-");
        let is_off = value.ends_with("=1") || value.ends_with("=on");
        if value.starts_with("kvm-pit.lost-tick-policy=") {
            let policy = value.rsplit('=').next().unwrap_or_default().to_owned();
            draft.put("clock", Fragment::new("timer").with("name", "pit").with("tickpolicy", policy));
            draft.options[index].props = super::props::Props::default();
            draft.native(index, "<timer name='pit'>");
        } else if let Some((_, state)) =
            value.split_once(".disable-s").filter(|_| value.starts_with("ICH9-LPC") || value.starts_with("PIIX4"))
        {
            let element = if state.starts_with('3') { "suspend-to-mem" } else { "suspend-to-disk" };
            draft.put("pm", Fragment::new(element).with("enabled", if is_off { "no" } else { "yes" }));
            draft.options[index].props = super::props::Props::default();
            draft.native(index, "<pm>");
        } else {
            draft.keep(index, "a property of a device without an element");
        }
    }
}

/// What the board says it is: libvirt knows the tables 0, 1, 2 and 3 and most of what is in them.
fn smbios(draft: &mut Draft) {
    const TABLES: [(&str, &str, &[&str]); 2] = [
        ("0", "bios", &["vendor", "version", "date", "release"]),
        ("1", "system", &["manufacturer", "product", "version", "serial", "uuid", "sku", "family"]),
    ];
    for index in draft.named(&["smbios"]) {
        let kind = draft.options[index].props.peek("type").unwrap_or_default().to_owned();
        let known = TABLES.iter().find(|(number, ..)| *number == kind);
        let left = draft.options[index].props.left();
        let fits = known.filter(|(_, _, fields)| left.iter().all(|(name, _)| name == "type" || fields.contains(&name.as_str())));
        let Some((_, element, _)) = fits else {
            draft.keep(index, "a table of the firmware that libvirt does not write");
            continue;
        };
        let entries = left.iter().filter(|(name, _)| name != "type");
        let table =
            entries.fold(Fragment::new(element), |table, (name, value)| table.child(Fragment::new("entry").with("name", name).text(value)));
        draft.put("sysinfo", table);
        draft.options[index].props = super::props::Props::default();
        draft.native(index, "<sysinfo>");
    }
    if draft.has("sysinfo", "system") || draft.has("sysinfo", "bios") {
        draft.put("os", Fragment::new("smbios").with("mode", "sysinfo"));
    }
}
