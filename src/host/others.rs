//! What others have set up to be bound to vfio-pci: files of modprobe, kernel parameters, driverctl, udev
//! rules, scripts of the initramfs and of services.

use std::collections::BTreeSet;

use super::wanted::{Allow, Bind, Wanted};
use super::{binding, modprobe};
use crate::model::{Card, ConfigFiles, Finding, Host, PciAddress, PciDevice, Setup};

/// The drivers that hold a device for a guest, and the kernel parameters that give ids to them.
const DRIVERS: [&str; 2] = ["vfio_pci", "pci_stub"];
/// The class of USB controllers.
const USB: u16 = 0x0c03;
/// The words of a script or rule that binds.
const BINDS: [&str; 3] = ["vfio-pci", "vfio_pci", "driver_override"];
/// The files in which the kernel's command line is written down.
const COMMAND_LINES: [&str; 9] = [
    "/etc/default/grub",
    "/etc/default/limine",
    "/etc/kernel/cmdline",
    "/etc/kernelstub/configuration",
    "/boot/limine.conf",
    "/boot/limine/limine.conf",
    "/boot/EFI/limine/limine.conf",
    "/boot/grub/grub.cfg",
    "/boot/grub2/grub.cfg",
];
/// The folders in which they are, too.
const COMMAND_LINE_FOLDERS: [(&str, &str); 7] = [
    ("/etc/default/grub.d", ".cfg"),
    ("/etc/cmdline.d", ".conf"),
    ("/etc/kernel/cmdline.d", ".conf"),
    ("/boot/loader/entries", ".conf"),
    ("/boot/efi/loader/entries", ".conf"),
    ("/efi/loader/entries", ".conf"),
    ("/usr/lib/bootc/kargs.d", ".toml"),
];
/// Lists of modules that are loaded early, with their options behind them.
const MODULE_LISTS: [&str; 2] = ["/etc/initramfs-tools/modules", "/etc/modules"];

/// Something by which somebody else binds devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// Where it stands: a file and its line, or the kernel's command line.
    pub place: String,
    /// How it reads.
    pub words: String,
    /// The functions that are here and that it takes, sorted.
    pub takes: Vec<PciAddress>,
    /// What is given as an id, and is none.
    pub no_ids: Vec<String>,
}

impl Other {
    /// It in one phrase.
    pub fn told(&self) -> String {
        format!("{} ({})", self.place, self.words)
    }

    /// How it is taken back.
    fn remedy(&self, first: &str) -> String {
        if self.place.starts_with("/etc/driverctl.d/") {
            let address = self.place.trim_start_matches("/etc/driverctl.d/").split(',').next().unwrap_or_default();
            return format!("{first} driverctl unset-override {address}");
        }
        let what =
            if self.place.starts_with('/') { format!("take that out of {}", self.place) } else { format!("take it off {}", self.place) };
        format!("{first} {what}, make the initramfs or the boot entries anew, and reboot")
    }

    fn new(place: String, words: &str) -> Self {
        Self { place, words: shortened(words), takes: Vec::new(), no_ids: Vec::new() }
    }
}

/// What is to be said of all that: what others take of what is wanted, what they take beside, what they mistake.
pub(super) fn findings(host: &Host, setup: &Setup, wanted: &Wanted) -> Vec<Finding> {
    let others = others(host, setup);
    let ours: Vec<PciAddress> = binding::bound(setup).iter().map(|bound| bound.address).collect();
    let mut findings: Vec<Finding> = others.iter().flat_map(|other| of_other(host, setup, wanted, &ours, other)).collect();
    findings.extend(unexplained(host, setup, wanted, &ours, &others));
    findings.extend(no_display(host, setup, wanted, &ours, &others));
    findings
}

fn of_other(host: &Host, setup: &Setup, wanted: &Wanted, ours: &[PciAddress], other: &Other) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (meant, beside): (Vec<PciAddress>, Vec<PciAddress>) = other.takes.iter().partition(|address| wanted.functions.contains(address));
    let held = |functions: &[PciAddress]| host.devices(functions).any(PciDevice::on_vfio);
    if !meant.is_empty() && wanted.bind == Bind::Start {
        findings.push(Finding::blocker(
            "bound-by-other",
            format!("{} binds {} at boot, so it is not left with the host until the domain starts", other.told(), short(&meant)),
            other.remedy("leave it out of --bind start, or"),
        ));
    } else if !meant.is_empty() && held(&meant) && !meant.iter().all(|address| ours.contains(address)) {
        findings.push(Finding::warning(
            "bound-by-other",
            format!("{} binds {}, and not vgapt: vgapt undo does not take that back", other.told(), short(&meant)),
            "nothing, if it is yours; to have vgapt do it, take that out, make the initramfs anew, and run vgapt prepare",
        ));
    }
    let beside: Vec<PciAddress> = beside
        .into_iter()
        .filter(|address| !ours.contains(address) && !setup.in_domains.have(*address) && !shares_card(host, wanted, *address))
        .collect();
    if !beside.is_empty() {
        let usb = host.pci.iter().filter(|device| device.class.code() == USB);
        let blind = held(&beside) && usb.clone().any(|device| beside.contains(&device.address)) && usb.clone().all(PciDevice::on_vfio);
        let more = if blind { "; the host is left without a USB controller, and so without a USB keyboard" } else { "" };
        let unread =
            setup.in_domains.0.unknown().map(|because| format!(" (whether a domain has it is not known: {because})")).unwrap_or_default();
        findings.push(Finding::warning(
            "also-bound",
            format!("{} also takes {}, which is not meant for a guest here{unread}{more}", other.place, described(host, &beside)),
            other.remedy("if no guest is to have it:"),
        ));
    }
    if !other.no_ids.is_empty() {
        findings.push(Finding::warning(
            "no-ids",
            format!("{} names what is no id of a device: {}", other.place, other.no_ids.join(", ")),
            "an id is vendor:device, such as 10de:1401 (vgapt list shows it); addresses are bound by vgapt prepare",
        ));
    }
    if other.takes.is_empty() && other.no_ids.is_empty() {
        findings.push(Finding::warning(
            "bound-by-other",
            format!("{} binds devices, or loads vfio-pci, in a way of its own; which devices it takes is not known", other.told()),
            other.remedy("look at what it does; if it is not needed:"),
        ));
    }
    findings
}

/// Another function of a card that is meant is told with the card.
fn shares_card(host: &Host, wanted: &Wanted, address: PciAddress) -> bool {
    Card::with(host, address).is_some_and(|card| wanted.functions.contains(&card.address))
}

/// What is on vfio-pci, and nothing that was found does it; cards are told on their own.
fn unexplained(host: &Host, setup: &Setup, wanted: &Wanted, ours: &[PciAddress], others: &[Other]) -> Option<Finding> {
    let is_known = |address: &PciAddress| {
        wanted.functions.contains(address)
            || ours.contains(address)
            || setup.in_domains.have(*address)
            || others.iter().any(|other| other.takes.contains(address))
            || shares_card(host, wanted, *address)
    };
    // What no domain that can be read has: where none can, libvirt may have taken it for one that runs.
    if setup.in_domains.0.unknown().is_some() || others.iter().any(|other| other.takes.is_empty() && other.no_ids.is_empty()) {
        return None;
    }
    let on: Vec<PciAddress> =
        host.pci.iter().filter(|device| device.on_vfio()).map(|device| device.address).filter(|address| !is_known(address)).collect();
    (!on.is_empty()).then(|| {
        Finding::warning(
            "also-bound",
            format!("{} is on vfio-pci, is not meant for a guest here, and nothing was found that binds it", described(host, &on)),
            "where a guest has it, nothing; else find what binds it: grep -rl vfio /etc /usr/local",
        )
    })
}

/// The host has a display only where a driver of its own has one. What vgapt itself binds was allowed, and what a
/// domain has comes back.
fn no_display(host: &Host, setup: &Setup, wanted: &Wanted, ours: &[PciAddress], others: &[Other]) -> Option<Finding> {
    let displays: Vec<&PciDevice> = host.pci.iter().filter(|device| device.class.is_display() && !device.is_bridge()).collect();
    let dark = !displays.is_empty() && displays.iter().all(|device| device.on_vfio());
    let by = others.iter().find(|other| displays.iter().any(|device| other.takes.contains(&device.address)));
    let by_us = displays.iter().any(|device| ours.contains(&device.address) || setup.in_domains.have(device.address));
    if !dark || wanted.allowed.contains(&Allow::OnlyDisplay) || (by.is_none() && (by_us || setup.in_domains.0.unknown().is_some())) {
        return None;
    }
    let all: Vec<PciAddress> = displays.iter().map(|device| device.address).collect();
    let place = by.map_or_else(|| "something that was not found".to_owned(), |other| other.place.clone());
    let remedy = by.map_or_else(
        || "find what binds it: grep -rl vfio /etc /usr/local".to_owned(),
        |other| other.remedy("to give the host its display back:"),
    );
    Some(Finding::blocker(
        "no-display",
        format!("the host has no display: {} is on vfio-pci by {place}", short(&all)),
        format!("{remedy}; to keep it so (the host is reached by ssh): --allow only-display"),
    ))
}

fn short(functions: &[PciAddress]) -> String {
    functions.iter().map(|address| address.short()).collect::<Vec<_>>().join(", ")
}

fn described(host: &Host, functions: &[PciAddress]) -> String {
    let one = |address: &PciAddress| {
        host.device(*address).map_or_else(|| address.short(), |device| format!("{} {}", address.short(), device.class.noun()))
    };
    functions.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn shortened(words: &str) -> String {
    const LONGEST: usize = 120;
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &words[..at]),
        None => words,
    }
}

/// All that others have set up.
pub fn others(host: &Host, setup: &Setup) -> Vec<Other> {
    let mut found = of_modprobe(host, setup);
    found.extend(of_command_line(host, setup));
    found.extend(of_module_lists(host, setup));
    found.extend(of_driverctl(host, setup));
    found.extend(of_scripts(host, setup));
    let mut seen = BTreeSet::new();
    found.retain(|other| seen.insert(other.place.clone()));
    found
}

/// Options and the install line of the drivers. Of several lines with ids the last one counts.
fn of_modprobe(host: &Host, setup: &Setup) -> Vec<Other> {
    let configuration = modprobe::read(setup, &[]);
    let is_ours = |line: &&modprobe::Line| line.path == binding::MODPROBE;
    let mut found = Vec::new();
    for driver in DRIVERS {
        let with_ids = configuration.of("options").filter(|line| line.name == driver && ids(&line.rest).is_some());
        if let Some(line) = with_ids.filter(|line| !is_ours(line)).last() {
            found.push(with(Other::new(line.place(), &line.words()), host, ids(&line.rest).unwrap_or_default()));
        }
        if let Some(line) = configuration.first("install", driver).filter(|line| !is_ours(line)) {
            let mut other = Other::new(line.place(), &line.words());
            let programs = line.rest.split(|c: char| c.is_whitespace() || ";&|(){}\"'".contains(c));
            let texts = programs.filter_map(|path| setup.files.text(path));
            other.takes = union(texts.map(|text| named(host, text)).chain([named(host, &line.rest)]));
            found.push(other);
        }
        // Old guides give a card's alias to the driver.
        let aliases = configuration.of("alias").filter(|line| line.rest.replace('-', "_") == driver && !is_ours(line));
        found.extend(aliases.map(|line| {
            let takes = host.pci.iter().filter(|device| modprobe::fits(&line.name, &device.modalias())).map(|device| device.address);
            Other { takes: takes.collect(), ..Other::new(line.place(), &line.words()) }
        }));
    }
    found
}

/// The parameter of the running kernel, by the file that gives it where one does.
fn of_command_line(host: &Host, setup: &Setup) -> Vec<Other> {
    let Some(line) = &host.platform.cmdline else { return Vec::new() };
    let parameters = DRIVERS.iter().filter_map(|driver| {
        let name = format!("{driver}.ids");
        Some((name.clone(), line.get(&name)?))
    });
    let parameters = parameters.filter(|(name, value)| !is_ours_on_the_line(setup, name, value));
    parameters
        .map(|(name, value)| {
            let place = written_down(&setup.files, &name).map_or_else(
                || "the kernel's command line".to_owned(),
                |(path, number)| format!("{path}, line {number}, and the kernel's command line"),
            );
            let token = line.0.split_ascii_whitespace().rfind(|token| token.replace('-', "_").starts_with(&name)).unwrap_or(&name);
            with(Other::new(place, token), host, value)
        })
        .collect()
}

/// Where vfio-pci is part of the kernel, vgapt's own ids are there too.
fn is_ours_on_the_line(setup: &Setup, name: &str, value: &str) -> bool {
    let ours: Vec<String> = binding::bound(setup).iter().map(|bound| bound.id.to_string()).collect();
    name == "vfio_pci.ids"
        && setup.is_built_in("vfio_pci")
        && value.split(',').all(|id| ours.iter().any(|known| known.eq_ignore_ascii_case(id)))
}

/// The first line of a configuration that has a parameter.
fn written_down<'a>(files: &'a ConfigFiles, parameter: &str) -> Option<(&'a str, usize)> {
    let single = COMMAND_LINES
        .iter()
        .filter_map(|path| files.0.get_key_value(*path))
        .filter_map(|(path, file)| Some((path.as_str(), file.text.as_deref().ok()?)));
    let folders = COMMAND_LINE_FOLDERS.iter().flat_map(|(folder, ending)| files.texts(folder, ending));
    single.chain(folders).find_map(|(path, text)| {
        let has = |line: &str| !line.trim_start().starts_with('#') && line.replace('-', "_").contains(&format!("{parameter}="));
        Some((path, text.lines().position(has)? + 1))
    })
}

/// Lines such as `vfio_pci ids=…` in a list of modules.
fn of_module_lists(host: &Host, setup: &Setup) -> Vec<Other> {
    let texts = MODULE_LISTS.iter().filter_map(|path| Some((*path, setup.files.text(path)?)));
    let texts = texts.chain(setup.files.texts("/etc/modules-load.d", ".conf"));
    let lines = texts.flat_map(|(path, text)| text.lines().enumerate().map(move |(index, line)| (path, index + 1, line)));
    lines
        .filter_map(|(path, number, line)| {
            let (module, options) = line.trim().split_once([' ', '\t'])?;
            let ids = ids(options).filter(|_| DRIVERS.contains(&module.replace('-', "_").as_str()))?;
            Some(with(Other::new(format!("{path}, line {number}"), line), host, ids))
        })
        .collect()
}

/// driverctl keeps a file for each address, with the driver in it.
fn of_driverctl(host: &Host, setup: &Setup) -> Vec<Other> {
    let files = setup.files.texts("/etc/driverctl.d", "").filter(|(_, text)| DRIVERS.contains(&text.trim().replace('-', "_").as_str()));
    files
        .map(|(path, text)| {
            let address = path.rsplit('/').next().unwrap_or_default().parse().ok();
            let takes = address.filter(|address| host.device(*address).is_some()).into_iter().collect();
            Other { takes, ..Other::new(format!("{path}, line 1"), &format!("driverctl set-override: {}", text.trim())) }
        })
        .collect()
}

/// Rules of udev, scripts and units that write to vfio-pci.
fn of_scripts(host: &Host, setup: &Setup) -> Vec<Other> {
    let installed: Vec<&str> = setup.files.0.keys().map(String::as_str).filter(|path| is_script(path)).collect();
    let mut found = Vec::new();
    for path in installed {
        let Some(text) = setup.files.text(path).filter(|text| !text.contains("vgapt prepare")) else { continue };
        let rule = path.contains("/udev/rules.d/");
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#'));
        let binding: Vec<(usize, &str)> =
            lines.filter(|(_, line)| BINDS.iter().any(|word| line.contains(word)) && !only_loads(line)).collect();
        if rule {
            found.extend(binding.iter().map(|(index, line)| {
                let logical = udev_line(text, *index);
                Other { takes: of_rule(host, &logical), ..Other::new(format!("{path}, line {}", index + 1), line) }
            }));
        } else if let Some((index, line)) = binding.first() {
            let takes = named(host, text);
            found.push(Other { takes, ..Other::new(format!("{path}, line {}", index + 1), line) });
        }
    }
    found
}

/// Whether a file is a script or rule that runs without anybody's doing; those that modprobe's lines name are told with these.
fn is_script(path: &str) -> bool {
    const FOLDERS: [&str; 9] = [
        "/etc/initramfs-tools/scripts/",
        "/etc/initramfs-tools/hooks/",
        "/etc/initcpio/",
        "/usr/lib/initcpio/",
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

/// Whether a line loads or copies the module and gives nothing to it.
fn only_loads(line: &str) -> bool {
    let writes = ["driver_override", "new_id", "/bind", "ids=", "driverctl", "set-override"];
    !writes.iter().any(|word| line.contains(word))
}

/// A rule of udev with the lines that a backslash joins to it, before and behind.
fn udev_line(text: &str, index: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let goes_on = |index: usize| lines.get(index).is_some_and(|line| line.ends_with('\\'));
    let first = (0..index).rev().take_while(|before| goes_on(*before)).last().unwrap_or(index);
    let last = (index..lines.len()).find(|at| !goes_on(*at)).unwrap_or(index);
    lines[first..=last].join(" ")
}

/// The functions that a rule of udev means: by name, vendor, device and class; what it does not say fits all.
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

/// The functions that a script names by address or ids; one that asks for `boot_vga` means all cards but the firmware's.
fn named(host: &Host, text: &str) -> Vec<PciAddress> {
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

fn union(parts: impl IntoIterator<Item = Vec<PciAddress>>) -> Vec<PciAddress> {
    parts.into_iter().flatten().collect::<BTreeSet<_>>().into_iter().collect()
}

/// The value of `ids=` in a module's options; the last one counts.
pub(super) fn ids(options: &str) -> Option<&str> {
    options.split_whitespace().filter_map(|word| word.trim_matches(['"', '\'']).strip_prefix("ids=")).next_back()
}

fn with(mut other: Other, host: &Host, ids: &str) -> Other {
    let ids = ids.trim_matches(['"', '\'']).split(',').map(str::trim).filter(|id| !id.is_empty());
    for id in ids {
        match Pattern::parse(id) {
            Some(pattern) => other.takes.extend(host.pci.iter().filter(|device| pattern.fits(device)).map(|device| device.address)),
            None => other.no_ids.push(id.to_owned()),
        }
    }
    other.takes.sort_unstable();
    other.takes.dedup();
    other
}

/// An id as drivers/vfio/pci/vfio_pci.c takes it: vendor:device, then subsystem and class, each of which may be left out.
struct Pattern {
    vendor: u32,
    device: u32,
    subsystem: (u32, u32),
    class: (u32, u32),
}

impl Pattern {
    const ANY: u32 = u32::MAX;

    /// `None` for what is no id, also where the kernel would take it: `c5:00` is the beginning of an address.
    fn parse(id: &str) -> Option<Self> {
        let fields: Vec<&str> = id.split(':').collect();
        let numbers: Vec<u32> = fields.iter().map(|field| u32::from_str_radix(field, 16).ok()).collect::<Option<_>>()?;
        let is_vendor = |at: usize| fields.get(at).is_some_and(|field| field.len() == 4 || field.eq_ignore_ascii_case("ffffffff"));
        let (vendor, device) = (*numbers.first()?, *numbers.get(1)?);
        let get = |at: usize, otherwise: u32| numbers.get(at).copied().unwrap_or(otherwise);
        let is_one = is_vendor(0) && fields[1].len() >= 3 && vendor != 0 && vendor != 0xffff && numbers.len() <= 6;
        is_one.then(|| Self { vendor, device, subsystem: (get(2, Self::ANY), get(3, Self::ANY)), class: (get(4, 0), get(5, 0)) })
    }

    fn fits(&self, device: &PciDevice) -> bool {
        let is = |wanted: u32, number: u16| wanted == Self::ANY || wanted == u32::from(number);
        let subsystem = device.subsystem.unwrap_or_default();
        is(self.vendor, device.id.vendor)
            && is(self.device, device.id.device)
            && is(self.subsystem.0, subsystem.vendor)
            && is(self.subsystem.1, subsystem.device)
            && (self.class.0 ^ device.class.0) & self.class.1 == 0
            && !device.is_bridge()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Class, ConfigFile, PciId};

    fn host() -> Host {
        let device = |address: &str, vendor: u16, id: u16, class: u32| {
            let mut device = PciDevice::new(address.parse().unwrap());
            (device.id, device.class) = (PciId { vendor, device: id }, Class(class));
            device
        };
        let mut screen = device("00:02.0", 0x8086, 0x1912, 0x03_00_00);
        screen.boot_vga = Some(true);
        let pci = vec![
            screen,
            device("01:00.0", 0x10de, 0x1401, 0x03_00_00),
            device("01:00.1", 0x10de, 0x0fba, 0x04_03_00),
            device("03:00.0", 0x1b21, 0x2142, 0x0c_03_30),
        ];
        Host { pci, ..Host::default() }
    }

    fn found(path: &str, text: &str) -> Vec<(String, Vec<String>)> {
        let file = ConfigFile { place: path.into(), mode: 0o644, text: Ok(text.into()) };
        let setup = Setup { files: ConfigFiles([(path.to_owned(), file)].into()), ..Setup::default() };
        others(&host(), &setup)
            .into_iter()
            .map(|other| (other.place, other.takes.iter().map(|address| address.short()).collect()))
            .collect()
    }

    #[test]
    fn every_way_in_which_people_bind() {
        let both = ["01:00.0", "01:00.1"].as_slice();
        for (path, text, line, takes) in [
            ("/run/modprobe.d/x.conf", "# x\noptions vfio_pci disable_vga=1 ids=10de:1401,10de:0fba\n", 2, both),
            (
                "/etc/modprobe.d/x.conf",
                "options vfio-pci \\\n ids=\"10de:ffffffff:ffffffff:ffffffff:00030000:ffff00ff\"\n",
                1,
                &["01:00.0"],
            ),
            ("/etc/modprobe.d/x.conf", "alias pci:v000010DEd00001401sv* vfio-pci\n", 1, &["01:00.0"]),
            ("/etc/modprobe.d/x.conf", "install vfio-pci /sbin/x\n", 1, &[]),
            ("/etc/driverctl.d/0000:03:00.0", "vfio-pci\n", 1, &["03:00.0"]),
            ("/etc/initramfs-tools/modules", "vfio\nvfio_pci ids=1b21:2142\n", 2, &["03:00.0"]),
            (
                "/etc/udev/rules.d/9.rules",
                "ACTION==\"add\", KERNEL==\"0000:01:00.*\", SUBSYSTEM==\"pci\", \\\n ATTR{driver_override}=\"vfio-pci\"\n",
                2,
                both,
            ),
            (
                "/etc/udev/rules.d/9.rules",
                "ATTR{vendor}==\"0x1b21\", ATTR{device}==\"0x2142\", ATTR{driver_override}=\"vfio-pci\"\n",
                1,
                &["03:00.0"],
            ),
            (
                "/etc/initramfs-tools/scripts/init-top/vfio.sh",
                "#!/bin/sh\n# 03:00.0 stays\nfor d in 0000:01:00.0 0000:01:00.1; do\n echo vfio-pci > /sys/bus/pci/devices/$d/driver_override\ndone\nmodprobe -i vfio-pci\n",
                4,
                both,
            ),
            ("/usr/local/bin/bind", "#!/bin/sh\necho 10de 1401 > /sys/bus/pci/drivers/vfio-pci/new_id\n", 2, &["01:00.0"]),
            ("/etc/rc.local", "for i in /sys/bus/pci/devices/*/boot_vga; do\n echo vfio-pci > x/driver_override; done\n", 2, both),
        ] {
            let takes = takes.iter().map(|address| (*address).to_owned()).collect();
            assert_eq!(found(path, text), [(format!("{path}, line {line}"), takes)], "{text}");
        }
        for (path, text) in [
            ("/etc/modprobe.d/x.conf", "#options vfio-pci ids=10de:1401\noptions kvm ids=1\nsoftdep nvidia pre: vfio-pci\n"),
            ("/etc/initramfs-tools/modules", "vfio_pci\n"),
            ("/etc/initramfs-tools/scripts/init-top/vfio.sh", "#!/bin/sh\nmodprobe vfio-pci\n"),
            ("/etc/modules", "# vfio_pci ids=10de:1401\n"),
            ("/etc/udev/rules.d/9.rules", "SUBSYSTEM==\"vfio\", OWNER=\"me\"\n"),
        ] {
            assert!(found(path, text).is_empty(), "{text}: {:?}", found(path, text));
        }
    }

    #[test]
    fn what_is_no_id() {
        for id in ["0000:00", "0300", "c5:00", "0000:0000", "x", "10de", "10de:1401:1:2:3:4:5", "10de:1g01"] {
            assert!(Pattern::parse(id).is_none(), "{id}");
        }
        for id in ["10de:1401", "10DE:FFFFFFFF", "1002:67df:1da2:e366"] {
            assert!(Pattern::parse(id).is_some(), "{id}");
        }
    }
}
