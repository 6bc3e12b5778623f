//! The machine: accelerator, clock, name and identity.

use super::draft::Draft;
use crate::xml::Fragment;

pub(super) fn translate(draft: &mut Draft) {
    accelerators(draft);
    machine(draft);
    names(draft);
    clock(draft);
    globals(draft);
    smbios(draft);
    actions(draft);
    for index in draft.named(&["no-reboot"]) {
        draft.put("", Fragment::new("on_reboot").text("destroy"));
        draft.native(index, "<on_reboot>");
    }
    for index in draft.named(&["watchdog"]) {
        let model = draft.options[index].value().to_owned();
        let action = watchdog_action(draft);
        draft.device(Fragment::new("watchdog").with("model", model).with("action", action));
        draft.native(index, "<watchdog>");
    }
}

/// The action of a watchdog: `-watchdog-action`, or `-action watchdog=`; QEMU's default is a reset.
pub(super) fn watchdog_action(draft: &mut Draft) -> String {
    let mut action = "reset".to_owned();
    for option in &draft.options {
        let said = if option.name == "watchdog-action" { Some(option.value()) } else { option.props.peek("watchdog") };
        if let Some(said) = said.filter(|_| ["watchdog-action", "action"].contains(&option.name.as_str())) {
            // libvirt's name for it.
            if said == "debug" { "none" } else { said }.clone_into(&mut action);
        }
    }
    for index in draft.named(&["watchdog-action"]) {
        draft.native(index, "<watchdog action=…>");
    }
    for index in draft.named(&["action"]) {
        draft.take(index, "watchdog");
        if draft.options[index].props.left().is_empty() {
            draft.native(index, "<watchdog action=…>");
        }
    }
    action
}

/// `-action`: what is done at a reboot, a shutdown, a panic.
fn actions(draft: &mut Draft) {
    for index in draft.named(&["action"]) {
        if draft.options[index].props.peek("watchdog").is_some() {
            continue;
        }
        if draft.take(index, "reboot").as_deref() == Some("shutdown") {
            draft.put("", Fragment::new("on_reboot").text("destroy"));
        }
        let panic = match draft.take(index, "panic").as_deref() {
            Some("pause") => Some("preserve"),
            Some("shutdown" | "exit-failure") => Some("destroy"),
            _ => None,
        };
        if let Some(panic) = panic {
            draft.put("", Fragment::new("on_crash").text(panic));
        }
        // shutdown= is ignored: libvirt decides what follows a shutdown.
        draft.take(index, "shutdown");
        draft.native(index, "<on_reboot>, <on_crash>");
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
        // libvirt's default is `on`: all of it in the kernel.
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
        // libvirt derives these from other parts of the domain.
        draft.options[index].props.ignore(&["graphics", "usb", "acpi", "pflash0", "pflash1", "memory-backend", "dump-guest-core"]);
        let left = draft.options[index].props.left();
        if !left.is_empty() {
            let words: Vec<String> = left.iter().map(|(name, value)| format!("{name}={value}")).collect();
            draft.arguments.extend(["-machine".into(), words.join(",")]);
            let names: Vec<&str> = left.iter().map(|(name, _)| name.as_str()).collect();
            draft.notes.push(format!("libvirt has no element for {} of -machine: passed to QEMU unchanged", names.join(", ")));
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
            Some(date) => match seconds(date) {
                Some(start) => {
                    offset = "absolute";
                    draft.attribute("clock", "start", start.to_string());
                }
                None => draft.notes.push(format!("the clock's start {date} is not a date, and QEMU refuses it: it is left out")),
            },
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
    for (name, timer, policy) in [("no-kvm-pit-reinjection", "pit", "discard"), ("rtc-td-hack", "rtc", "catchup")] {
        for index in draft.named(&[name]) {
            draft.put("clock", Fragment::new("timer").with("name", timer).with("tickpolicy", policy));
            draft.native(index, "<timer tickpolicy=…>");
        }
    }
    for index in draft.named(&["no-hpet"]) {
        draft.put("clock", Fragment::new("timer").with("name", "hpet").with("present", "no"));
        draft.native(index, "<timer name='hpet' present='no'>");
    }
    draft.attribute("clock", "offset", offset);
}

/// `2020-01-31` or `2020-01-31T12:00:00` (`-rtc base=`, which is UTC) in seconds since 1970.
fn seconds(date: &str) -> Option<i64> {
    let (day, time) = date.split_once('T').unwrap_or((date, "00:00:00"));
    let numbers = |text: &str, by: char| text.split(by).map(|part| part.parse::<i64>().ok()).collect::<Option<Vec<i64>>>();
    let [year, month, day] = numbers(day, '-')?[..] else { return None };
    let [hour, minute, second] = numbers(time, ':')?[..] else { return None };
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years begin in March, so that the leap day is the last of one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    // From the first of March of the year 0 to 1970.
    Some((days - 719_468) * 86_400 + hour * 3600 + minute * 60 + second)
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
            draft.keep(index, "a device property without a libvirt element");
        }
    }
}

/// SMBIOS: libvirt supports the tables 0, 1, 2 and 3 and most of their fields.
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
            draft.keep(index, "an SMBIOS table or field that libvirt does not write");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!((seconds("1970-01-01"), seconds("2020-01-01T00:00:00"), seconds("soon")), (Some(0), Some(1_577_836_800), None));
        assert_eq!(seconds("2000-02-29T01:02:03"), Some(951_786_123));
    }
}
