//! Udev rules, initramfs scripts, services: what they bind to vfio-pci, and what they remove from the bus.

use std::collections::BTreeSet;

use super::external::{ExternalBinding, Lapse, union};
use crate::host::decide::{initramfs, modprobe};
use crate::host::plan::is_ours;
use crate::host::text::shell;
use crate::model::{Card, Host, InitramfsTool, PciAddress, PciDevice, Setup, WrittenLine};

/// Words that occur in a script or rule that binds devices.
const BINDS: [&str; 3] = ["vfio-pci", "vfio_pci", "driver_override"];

/// udev rules, scripts and units that bind devices to vfio-pci.
pub(super) fn of_scripts(host: &Host, setup: &Setup) -> Vec<ExternalBinding> {
    let run = run_at_boot(setup);
    let hooks = Hooks::of(host, setup);
    let mut found = Vec::new();
    for path in setup.files.0.keys().filter(|path| is_script(path) || run.contains(path.as_str())) {
        let Some(text) = setup.files.text_lossy(path).filter(|text| !is_ours(text)) else { continue };
        let binding = lines(text, |line| BINDS.iter().any(|word| line.contains(word)) && !only_loads(line));
        if path.contains("/udev/rules.d/") {
            found.extend(of_rules(host, path, text, &binding));
        } else if let Some((index, line)) = binding.first() {
            let takes = named(host, text);
            let lapse = hooks.idle(path).map(Lapse::Idle);
            let whole = removal(path, text, *index);
            found.push(ExternalBinding { takes, whole, lapse, ..ExternalBinding::new(format!("{path}, line {}", index + 1), line) });
        }
    }
    found
}

/// What has to be removed of a script with this line, if it is part of a loop or of an `if`.
fn removal(path: &str, text: &str, index: usize) -> Option<String> {
    let block = shell::block_around(text, index).filter(|block| block.len() > 1)?;
    let is_left = |(at, line): &(usize, &str)| !block.contains(at) && !does_nothing(shell::without_comment(line).trim());
    if text.lines().enumerate().any(|line| is_left(&line)) {
        return Some(format!("lines {} to {} from {path}", block.start + 1, block.end));
    }
    Some(format!("{path}, which does nothing else"))
}

/// Whether a line does nothing by itself: the frame that initramfs-tools asks of a script, loading vfio-pci, what tells of it.
fn does_nothing(line: &str) -> bool {
    const FRAME: [&str; 11] = ["PREREQ", "prereqs", "echo", "exit", "case", "esac", ";;", "{", "}", "set", "."];
    let first = line.split([' ', '\t', '=', '(', ')']).next().unwrap_or_default();
    let is_value =
        line.split_once('=').is_some_and(|(name, _)| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
    let loads = first == "modprobe" && line.replace('-', "_").contains("vfio");
    line.is_empty() || FRAME.contains(&first) || is_value || loads
}

/// Whether a script or rule that runs at boot, or a hook of what makes the initramfs, loads vfio-pci.
pub(super) fn are_loading(host: &Host, setup: &Setup) -> bool {
    const LOADS: [&str; 7] = ["modprobe", "insmod", "force_load", "manual_add_modules", "add_module", "instmods", "RUN{builtin}"];
    let run = run_at_boot(setup);
    let hooks = Hooks::of(host, setup);
    let is_one = |line: &str| BINDS[..2].iter().any(|word| line.contains(word)) && LOADS.iter().any(|word| line.contains(word));
    let mut paths = setup.files.0.keys().filter(|path| is_script(path) || run.contains(path.as_str()));
    paths.any(|path| {
        let text = setup.files.text_lossy(path).filter(|text| !is_ours(text));
        text.is_some_and(|text| !lines(text, is_one).is_empty()) && hooks.idle(path).is_none()
    })
}

/// What is known of which hooks and scripts are run.
struct Hooks<'a> {
    setup: &'a Setup,
    /// Why the files of each tool are not in the initramfs, where another one makes it.
    of_another: Vec<(InitramfsTool, String)>,
    /// The hooks that mkinitcpio's configuration names, where they are known.
    named: Option<Vec<String>>,
}

impl<'a> Hooks<'a> {
    fn of(host: &Host, setup: &'a Setup) -> Self {
        let of_another = FOLDERS_OF.iter().filter_map(|(_, kind)| Some((*kind, initramfs::unread(host, setup, *kind)?)));
        Self { setup, of_another: of_another.collect(), named: initramfs::hooks(setup) }
    }

    /// Why a script is not run, as far as that is known.
    fn idle(&self, path: &str) -> Option<String> {
        let kind = FOLDERS_OF.iter().find(|(folder, _)| path.starts_with(folder)).map(|(_, kind)| *kind);
        if let Some((_, because)) = self.of_another.iter().find(|(known, _)| Some(*known) == kind) {
            return Some(because.clone());
        }
        let executed = kind == Some(InitramfsTool::InitramfsTools) || (path == "/etc/rc.local" && self.setup.has("systemctl"));
        let mode = self.setup.files.0.get(path).map(|file| file.mode).filter(|_| self.setup.keeps_modes);
        if executed && mode.is_some_and(|mode| mode & 0o111 == 0) {
            return Some(format!("it is not executable, and {} skips it then", if kind.is_some() { "initramfs-tools" } else { "systemd" }));
        }
        let (_, name) = path.rsplit_once('/')?;
        let named = self.named.as_ref().filter(|_| kind == Some(InitramfsTool::Mkinitcpio))?;
        (!named.iter().any(|hook| hook == name)).then(|| format!("HOOKS of mkinitcpio's configuration does not name {name}"))
    }
}

/// The folders of the hooks and scripts of the tools that make the initramfs.
const FOLDERS_OF: [(&str, InitramfsTool); 6] = [
    ("/etc/initramfs-tools/", InitramfsTool::InitramfsTools),
    ("/usr/share/initramfs-tools/", InitramfsTool::InitramfsTools),
    ("/etc/initcpio/", InitramfsTool::Mkinitcpio),
    ("/usr/lib/initcpio/", InitramfsTool::Mkinitcpio),
    ("/usr/lib/dracut/", InitramfsTool::Dracut),
    ("/etc/dracut", InitramfsTool::Dracut),
];

/// Udev rules that remove functions from the bus; GPU switching tools for laptops write them.
pub fn removing(host: &Host, setup: &Setup) -> Vec<ExternalBinding> {
    let rules = setup.files.0.keys().filter(|path| path.contains("/udev/rules.d/"));
    let texts = rules.filter_map(|path| Some((path, setup.files.text_lossy(path)?)));
    texts.flat_map(|(path, text)| of_rules(host, path, text, &lines(text, |line| line.contains("ATTR{remove}=\"")))).collect()
}

/// Those of them that match no function here: what they remove is in no list.
pub fn hiding(host: &Host, setup: &Setup) -> Vec<ExternalBinding> {
    removing(host, setup).into_iter().filter(|rule| rule.takes.is_empty()).collect()
}

/// The lines that write a file of the kernel with this name, in files of sysfsutils, udev, tmpfiles.d, units and the scripts that
/// run at boot, and in libvirt's hooks; what only reads it, such as a condition, does not count.
pub(in crate::host::decide) fn writers(setup: &Setup, name: &str) -> Vec<WrittenLine> {
    let run = run_at_boot(setup);
    let is_one = |path: &str| path == "/etc/sysfs.conf" || path.starts_with("/etc/sysfs.d/") || is_script(path) || run.contains(path);
    let mut found = Vec::new();
    for path in setup.files.0.keys().filter(|path| is_one(path)) {
        let Some(text) = setup.files.text_lossy(path).filter(|text| !is_ours(text)) else { continue };
        let written = lines(text, |line| does_write(path, line, name));
        found.extend(written.into_iter().map(|(index, line)| WrittenLine {
            path: path.clone(),
            line: index + 1,
            text: line.trim().to_owned(),
        }));
    }
    found.extend(setup.of_hooks.iter().filter(|line| does_write(&line.path, &line.text, name)).cloned());
    found
}

/// Whether a line of such a file writes a file of the kernel, or sets it by sysctl.
fn does_write(path: &str, line: &str, name: &str) -> bool {
    let Some((before, after)) = line.split_once(name).filter(|_| !line.trim_start().starts_with('#')) else { return false };
    if path.starts_with("/etc/sysfs.") {
        return after.trim_start().starts_with('=');
    }
    if path.contains("/udev/rules.d/") {
        return after.starts_with("}=\"") || before.contains("RUN");
    }
    if path.contains("/tmpfiles.d/") {
        return line.trim_start().starts_with(['w', 'f', 'F']);
    }
    before.contains('>') || before.contains("tee ") || (before.contains("sysctl") && after.trim_start().starts_with('='))
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
        let rule = rule.join(" ");
        let matched = of_rule(host, &rule);
        let (is_certain, driver) = (matched.is_some(), override_of(&rule));
        let takes = matched.unwrap_or_else(|| named(host, &rule));
        let binding = |(index, line): &(usize, &str)| ExternalBinding {
            takes: takes.clone(),
            driver: driver.clone(),
            is_certain,
            ..ExternalBinding::new(format!("{path}, line {}", index + 1), line)
        };
        found.extend(own.iter().map(binding));
    }
    found
}

/// The driver that a udev rule writes to `driver_override`.
fn override_of(rule: &str) -> Option<String> {
    let (_, value) = rule.split_once("ATTR{driver_override}=\"")?;
    value.split('"').next().filter(|driver| !driver.is_empty() && !driver.contains('$')).map(|driver| driver.replace('-', "_"))
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

/// The functions that a udev rule matches: by name, vendor, device and class; a missing key matches all. `None` where it has none
/// of these keys, or a program does the rest.
fn of_rule(host: &Host, rule: &str) -> Option<Vec<PciAddress>> {
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
        return None;
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
    Some(host.pci.iter().filter(fits).filter(|device| !device.is_bridge()).map(|device| device.address).collect())
}

/// The functions that a script names by address or ids; one that reads `boot_vga` means all cards but the boot display.
pub(in crate::host::decide) fn named(host: &Host, text: &str) -> Vec<PciAddress> {
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
