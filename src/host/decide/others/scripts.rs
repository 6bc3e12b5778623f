//! Udev rules, initramfs scripts, services: what they bind to vfio-pci, and what they remove from the bus.

use std::collections::BTreeSet;

use super::external::{ExternalBinding, union};
use crate::host::decide::modprobe;
use crate::host::plan::is_ours;
use crate::model::{Card, Host, PciAddress, PciDevice, Setup};

/// Words that occur in a script or rule that binds devices.
const BINDS: [&str; 3] = ["vfio-pci", "vfio_pci", "driver_override"];

/// udev rules, scripts and units that bind devices to vfio-pci.
pub(super) fn of_scripts(host: &Host, setup: &Setup) -> Vec<ExternalBinding> {
    let run = run_at_boot(setup);
    let mut found = Vec::new();
    for path in setup.files.0.keys().filter(|path| is_script(path) || run.contains(path.as_str())) {
        let Some(text) = setup.files.text_lossy(path).filter(|text| !is_ours(text)) else { continue };
        let binding = lines(text, |line| BINDS.iter().any(|word| line.contains(word)) && !only_loads(line));
        if path.contains("/udev/rules.d/") {
            found.extend(of_rules(host, path, text, &binding));
        } else if let Some((index, line)) = binding.first() {
            let takes = named(host, text);
            found.push(ExternalBinding { takes, ..ExternalBinding::new(format!("{path}, line {}", index + 1), line) });
        }
    }
    found
}

/// Udev rules that remove functions from the bus; GPU switching tools for laptops write them.
pub fn removing(host: &Host, setup: &Setup) -> Vec<ExternalBinding> {
    let rules = setup.files.0.keys().filter(|path| path.contains("/udev/rules.d/"));
    let texts = rules.filter_map(|path| Some((path, setup.files.text_lossy(path)?)));
    texts.flat_map(|(path, text)| of_rules(host, path, text, &lines(text, |line| line.contains("ATTR{remove}=\"")))).collect()
}

/// The lines of this kind that are no comments, each with its index.
fn lines(text: &str, is_one: impl Fn(&str) -> bool) -> Vec<(usize, &str)> {
    text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#') && is_one(line)).collect()
}

/// The bindings by the udev rules that contain these lines of a file; a backslash at the end of a line continues a rule.
fn of_rules(host: &Host, path: &str, text: &str, lines: &[(usize, &str)]) -> Vec<ExternalBinding> {
    let all: Vec<&str> = text.lines().collect();
    let (mut found, mut rest, mut end) = (Vec::new(), lines, 0);
    for rule in all.split_inclusive(|line| !line.ends_with('\\')) {
        end += rule.len();
        let (own, later) = rest.split_at(rest.partition_point(|(index, _)| *index < end));
        rest = later;
        if own.is_empty() {
            continue;
        }
        let takes = of_rule(host, &rule.join(" "));
        let binding = |(index, line): &(usize, &str)| ExternalBinding {
            takes: takes.clone(),
            ..ExternalBinding::new(format!("{path}, line {}", index + 1), line)
        };
        found.extend(own.iter().map(binding));
    }
    found
}

/// The programs that enabled units and /etc/rc.local run, in any folder.
fn run_at_boot(setup: &Setup) -> BTreeSet<&str> {
    let is_unit = |path: &&String| path.starts_with("/etc/systemd/system/") && path.ends_with(".service");
    let units = setup.files.0.keys().filter(is_unit).filter_map(|path| setup.files.text_lossy(path));
    let exec = units.flat_map(|text| text.lines().filter(|line| line.trim_start().starts_with("Exec")));
    let local = setup.files.text_lossy("/etc/rc.local").into_iter().flat_map(str::lines).filter(|line| !line.trim_start().starts_with('#'));
    let words = exec.chain(local).flat_map(|line| line.split(|c: char| c.is_whitespace() || "\"'=;&|(){}".contains(c)));
    words.filter(|word| word.starts_with('/') && setup.files.exists(word)).collect()
}

/// Whether a file is a script or rule that runs automatically; those that modprobe's lines run are reported with these.
fn is_script(path: &str) -> bool {
    const FOLDERS: [&str; 11] = [
        "/etc/initramfs-tools/scripts/",
        "/etc/initramfs-tools/hooks/",
        "/etc/initcpio/",
        "/usr/lib/initcpio/",
        "/usr/share/initramfs-tools/",
        "/etc/tmpfiles.d/",
        "/usr/lib/dracut/modules.d/",
        "/etc/systemd/system/",
        "/usr/local/",
        "/etc/rc.local",
        "/opt/",
    ];
    let is_driverctl = path.ends_with("driverctl.rules");
    (path.contains("/udev/rules.d/") && !is_driverctl)
        || (FOLDERS.iter().any(|folder| path.starts_with(folder)) && !path.contains("modprobe.d"))
}

/// Whether a line only loads or copies the module, without binding a device.
fn only_loads(line: &str) -> bool {
    let writes = ["driver_override", "new_id", "/bind", "ids=", "driverctl", "set-override"];
    !writes.iter().any(|word| line.contains(word))
}

/// The functions that a udev rule matches: by name, vendor, device and class; a missing key matches all.
fn of_rule(host: &Host, rule: &str) -> Vec<PciAddress> {
    let value = |keys: &[&str]| {
        keys.iter().find_map(|key| {
            let rest = rule.split_once(&format!("{key}=="))?.1.trim_start_matches('"');
            rest.split('"').next().map(str::to_owned)
        })
    };
    let name = value(&["KERNEL", "KERNELS", "ENV{PCI_SLOT_NAME}"]);
    let (vendor, model) = (value(&["ATTR{vendor}", "ATTRS{vendor}"]), value(&["ATTR{device}", "ATTRS{device}"]));
    let (class, id) = (value(&["ATTR{class}", "ATTRS{class}"]), value(&["ENV{PCI_ID}"]));
    if [&name, &vendor, &model, &class, &id].iter().all(|value| value.is_none()) {
        return named(host, rule);
    }
    let is = |pattern: &Option<String>, text: &str| {
        pattern.as_deref().is_none_or(|pattern| pattern.to_ascii_lowercase().split('|').any(|one| modprobe::fits(one, text)))
    };
    let fits = |device: &&PciDevice| {
        is(&name, &device.address.to_string())
            && is(&vendor, &format!("0x{:04x}", device.id.vendor))
            && is(&model, &format!("0x{:04x}", device.id.device))
            && is(&class, &format!("0x{:06x}", device.class.0))
            && is(&id, &device.id.to_string())
    };
    host.pci.iter().filter(fits).filter(|device| !device.is_bridge()).map(|device| device.address).collect()
}

/// The functions that a script names by address or ids; one that reads `boot_vga` means all cards but the boot display.
pub(super) fn named(host: &Host, text: &str) -> Vec<PciAddress> {
    let plain: String = text.lines().filter(|line| !line.trim_start().starts_with('#')).map(|line| format!("{line}\n")).collect();
    let words: Vec<String> = plain
        .split(|c: char| !(c.is_ascii_hexdigit() || c == ':' || c == '.'))
        .map(|word| word.trim_matches(['.', ':']).to_ascii_lowercase())
        .filter(|word| !word.is_empty())
        .collect();
    let by_address = words.iter().filter_map(|word| word.parse().ok()).filter(|address| host.device(*address).is_some());
    let id = |device: &PciDevice| {
        let (one, two) = (format!("{:04x}", device.id.vendor), format!("{:04x}", device.id.device));
        words.contains(&device.id.to_string()) || words.windows(2).any(|pair| pair == [one.clone(), two.clone()])
    };
    let by_id = host.pci.iter().filter(|device| id(device)).map(|device| device.address);
    let cards = if plain.contains("boot_vga") { Card::all(host) } else { Vec::new() };
    let spared = |card: &&Card| host.device(card.address).is_some_and(|device| device.boot_vga != Some(true));
    let by_screen = cards.iter().filter(spared).flat_map(|card| card.functions.clone());
    union([by_address.chain(by_id).chain(by_screen).collect()])
}
