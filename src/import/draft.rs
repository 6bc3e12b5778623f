//! A domain under construction, and what became of each option: exactly one outcome each.

use std::collections::BTreeMap;

use super::copied::Copied;
use super::options::{Conversion, QemuOption};
use super::props::{Props, in_json};
use super::table::{self, Converted, PROPERTIES};
use crate::model::Descriptor;
use crate::xml::Fragment;

/// QEMU's display that starts a viewer by itself.
pub(super) const SPICE_APP: &str = "spice-app";

/// A domain under construction.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) options: Vec<QemuOption>,
    /// The domain so far.
    pub(super) domain: Fragment,
    pub(super) notes: Vec<String>,
    /// What no domain can do the way the script does: the reason and the remedy.
    pub(super) refusals: Vec<(String, String)>,
    /// Properties of devices without an element: alias, name, value.
    pub(super) overrides: Vec<(String, String, String)>,
    /// Variables of QEMU's environment: name and value.
    pub(super) environment: Vec<(String, String)>,
    /// Properties that `-global` set for a device: its option, the device's, and the property.
    pub(super) globals: Vec<(usize, usize, String)>,
    /// The controllers of the script and of its machine.
    pub(super) controllers: Vec<Controller>,
    /// The open files of QEMU, by number.
    pub(super) descriptors: BTreeMap<u32, Descriptor>,
    /// The names of the audio backends, which libvirt numbers.
    pub(super) audio: Vec<String>,
    /// Files that the script copies before it starts QEMU.
    pub(super) copies: Vec<Copied>,
    /// How many devices passed to QEMU unchanged have an address on the root bus.
    places: usize,
    pub(super) name: Option<String>,
    pub(super) is_express: bool,
    pub(super) is_kvm: bool,
    /// Whether libvirt made the command line.
    pub(super) is_of_libvirt: bool,
    pub(super) needs_shared_memory: bool,
}

impl Draft {
    pub(super) fn new(options: Vec<QemuOption>) -> Self {
        Self { options, domain: Fragment::new("domain"), ..Self::default() }
    }

    /// The unsettled options with one of these names.
    pub(super) fn named(&self, names: &[&str]) -> Vec<usize> {
        self.open(|option| names.contains(&option.name.as_str()))
    }

    /// The last option of a name, which replaces those before it (`system/vl.c`); they are left out.
    pub(super) fn last_of(&mut self, name: &str) -> Option<usize> {
        let mut given = self.named(&[name]);
        let last = given.pop();
        for index in given {
            self.drop(index, &format!("only the last -{name} counts"));
        }
        last
    }

    /// The unsettled devices of these groups of `table::NAMES`.
    pub(super) fn devices(&self, groups: &[&str]) -> Vec<usize> {
        self.open(|option| option.driver().is_some_and(|driver| table::group(driver, groups).is_some()))
    }

    /// The unsettled objects of a type.
    pub(super) fn objects(&self, kind: &str) -> Vec<usize> {
        self.open(|option| option.name == "object" && option.peek("qom-type") == Some(kind))
    }

    /// The first unsettled option whose property has this value, such as the device of a drive.
    pub(super) fn with(&self, name: &str, property: &str, value: &str) -> Option<usize> {
        self.open(|option| option.name == name && option.peek(property) == Some(value)).first().copied()
    }

    /// The unsettled option that a property names by its id, such as the drive of a device.
    pub(super) fn behind(&self, index: usize, property: &str, name: &str) -> Option<usize> {
        self.with(name, "id", self.peek(index, property).unwrap_or_default())
    }

    /// The same of a device that is nothing without it: where the script has none, the device is passed to QEMU unchanged.
    pub(super) fn backend(&mut self, index: usize, property: &str, name: &str) -> Option<usize> {
        let behind = self.behind(index, property, name);
        if behind.is_none() {
            self.keep(index, "its backend was not found in the script");
        }
        behind
    }

    fn open(&self, is_it: impl Fn(&QemuOption) -> bool) -> Vec<usize> {
        (0..self.options.len()).filter(|index| self.options[*index].fate.is_none() && is_it(&self.options[*index])).collect()
    }

    pub(super) fn peek(&self, index: usize, property: &str) -> Option<&str> {
        self.options[index].peek(property)
    }

    pub(super) fn take(&mut self, index: usize, property: &str) -> Option<String> {
        self.options[index].props.take(property)
    }

    pub(super) fn number<N: std::str::FromStr>(&mut self, index: usize, property: &str) -> Option<N> {
        self.take(index, property)?.parse().ok()
    }

    pub(super) fn flag(&mut self, index: usize, property: &str) -> Option<bool> {
        self.take(index, property).map(|value| table::is_on(&value))
    }

    /// The whole value of an option, which then has no properties.
    pub(super) fn whole(&mut self, index: usize) -> String {
        self.options[index].props.clear();
        self.options[index].value().to_owned()
    }

    /// Converts the properties of an option that the table has for this, into an element.
    pub(super) fn fill(&mut self, index: usize, of: &str, element: &mut Fragment) {
        self.fill_prefixed(index, of, "", element);
    }

    /// The same for properties whose names begin with a prefix that the table leaves out.
    pub(super) fn fill_prefixed(&mut self, index: usize, of: &str, prefix: &str, element: &mut Fragment) {
        for (_, names, convert, places) in PROPERTIES.iter().filter(|(subjects, ..)| subjects.split(", ").any(|subject| subject == of)) {
            for name in names.split(' ') {
                let property = format!("{prefix}{name}");
                let Some(value) = self.peek(index, &property) else { continue };
                match convert.convert(value) {
                    Converted::Left => continue,
                    Converted::Nothing => {}
                    Converted::Written(value) => table::write(element, &table::named(places, name), &value),
                }
                self.options[index].props.ignore(&[&property]);
            }
        }
    }

    /// The same, into the domain.
    pub(super) fn fill_domain(&mut self, index: usize, of: &str, prefix: &str) {
        let mut domain = std::mem::replace(&mut self.domain, Fragment::new(""));
        self.fill_prefixed(index, of, prefix, &mut domain);
        self.domain = domain;
    }

    /// Whether an option has properties left, and the table has all of them for this.
    pub(super) fn is_known(&self, index: usize, of: &str) -> bool {
        let has = |name: &str| {
            PROPERTIES.iter().any(|(subjects, names, ..)| subjects.split(", ").any(|subject| subject == of) && table::has(names, name))
        };
        let left = self.options[index].props.left();
        !left.is_empty() && left.iter().all(|(name, _)| has(name))
    }

    /// Adds the elements of all devices of a group, as the table has them.
    pub(super) fn convert_devices(&mut self, group: &str) {
        for index in self.devices(&[group]) {
            let element = self.element(index, group);
            self.finish(index, element);
        }
    }

    /// The element for a device, filled from the table.
    pub(super) fn element(&mut self, index: usize, group: &str) -> Fragment {
        let driver = self.peek(index, "driver").unwrap_or_default();
        let mut element = table::element(group, driver).unwrap_or_else(|| Fragment::new(group));
        if element.attribute("model") == Some("virtio") {
            element.set("@model", self.virtio_model(index));
        }
        self.fill(index, group, &mut element);
        if self.peek(index, "driver").is_some_and(|driver| driver.starts_with("virtio")) {
            self.fill(index, "virtio", &mut element);
        }
        element
    }

    /// Adds the element of a device; its address in the guest is left to libvirt, but for which of several controllers it is on.
    pub(super) fn finish(&mut self, index: usize, mut element: Fragment) {
        self.write_controller(index, &mut element);
        self.ignore_address(index);
        self.native(index, &format!("<{}>", element.name()));
        self.device(element);
    }

    /// Settles what becomes of an option; a later call changes nothing.
    fn settle(&mut self, index: usize, fate: Conversion, why: &str) {
        self.options[index].fate.get_or_insert_with(|| (fate, why.to_owned()));
    }

    /// libvirt has an element for it.
    pub(super) fn native(&mut self, index: usize, element: &str) {
        self.settle(index, Conversion::Native, element);
    }

    /// Passes an option to QEMU unchanged. QEMU creates such a device before those that libvirt writes as JSON
    /// (`qemu_create_cli_devices`), so a PCI device could occupy an address that libvirt assigned to another one:
    /// it gets an address behind those that libvirt assigns first.
    pub(super) fn keep(&mut self, index: usize, why: &str) {
        // A bus of a device that libvirt does not make stays: that of an `nvme`, of a `pxb`.
        let is_bus = |of: &QemuOption, bus| {
            of.peek("id") == Some(bus) && of.driver().is_some_and(|of| table::group(of, &["controller pci"]).is_none())
        };
        let is_below = self.peek(index, "bus").is_some_and(|bus| self.options.iter().any(|of| is_bus(of, bus)));
        let option = &mut self.options[index];
        if option.fate.is_none() && !is_below && is_pci(option) {
            option.set("bus", None);
            option.set("addr", None);
            option.set("addr", Some(&format!("{:#x}", 0x18 - self.places.min(8))));
            self.places += 1;
            if self.places == 10 {
                let why = "more than nine PCI devices would be passed to QEMU unchanged, and so many places libvirt does not leave free";
                let remedy = "leave some out, and write them into the domain by hand: <qemu:arg> with addr= of a free place";
                self.refusals.push((why.into(), remedy.into()));
            }
        }
        self.settle(index, Conversion::Unchanged, why);
    }

    /// Passes an option to QEMU that the script does not have, such as `-global` for a property without an element.
    pub(super) fn pass(&mut self, name: &str, value: &str) {
        let mut option = QemuOption::default();
        option.becomes(name, value);
        self.options.push(option);
        self.keep(self.options.len() - 1, "");
    }

    /// The option is left out.
    pub(super) fn drop(&mut self, index: usize, why: &str) {
        self.settle(index, Conversion::Meaningless, why);
    }

    /// Refuses the import: under libvirt this option would not do what it does in the script.
    pub(super) fn refuse(&mut self, index: usize, why: &str, remedy: impl Into<String>) {
        self.refusals.push((format!("{}: {why}", self.options[index].written), remedy.into()));
        self.drop(index, why);
    }

    /// Refuses an option that names nothing.
    pub(super) fn refuse_empty(&mut self, index: usize) {
        self.refuse(index, "what it names is empty, as a variable of the script is", "give the variable its value in the script");
    }

    /// Whether an option of this name is in the script.
    pub(super) fn has_option(&self, name: &str) -> bool {
        self.options.iter().any(|option| option.name == name)
    }

    /// Whether there is a SPICE server: by `-spice`, or by the window that QEMU opens through one.
    pub(super) fn has_spice(&self) -> bool {
        let is_window = |option: &QemuOption| option.name == "display" && option.value().split(',').next() == Some(SPICE_APP);
        self.has_option("spice") || self.options.iter().any(is_window)
    }

    /// libvirt's model of a virtio device: transitional (legacy and modern interface), non-transitional (modern
    /// only), or the machine's default. It has none with the legacy interface alone: `disable-modern=on` stays, and is reported.
    pub(super) fn virtio_model(&mut self, index: usize) -> &'static str {
        let driver = self.peek(index, "driver").unwrap_or_default().to_owned();
        let is_legacy_only = self.peek(index, "disable-modern").is_some_and(table::is_on);
        // On a port, `auto` is on, and else off.
        let disables_legacy = self.take(index, "disable-legacy").filter(|said| said != "auto").map(|said| table::is_on(&said));
        match disables_legacy {
            _ if driver.ends_with("-non-transitional") => "virtio-non-transitional",
            _ if driver.ends_with("-transitional") => "virtio-transitional",
            _ if !has_both_interfaces(&driver) => "virtio",
            Some(true) => "virtio-non-transitional",
            Some(false) => "virtio-transitional",
            None if is_legacy_only => "virtio-transitional",
            None => "virtio",
        }
    }

    /// The value of an option passed to QEMU: its bus gets libvirt's name, or is left out with the address, which has no meaning
    /// without it.
    pub(super) fn value_for_qemu(&self, option: &QemuOption) -> Option<String> {
        let mut moved = self.renamed_ids(option);
        if let Some(bus) = moved.driver().and_then(|_| moved.peek("bus")).and_then(|bus| self.renamed_bus(bus)) {
            moved.set("bus", Some(bus.as_str()).filter(|bus| !bus.is_empty()));
            if bus.is_empty() {
                moved.set("addr", None);
            }
        }
        let is_on_bus = moved.driver().is_some_and(|driver| ON_BUS.split(' ').any(|begin| driver.starts_with(begin)));
        if is_on_bus { Some(in_json(moved.value(), "driver")) } else { moved.value }
    }

    /// Whether this is the name of something that is passed to QEMU unchanged, and that libvirt may give to a device of its own:
    /// any, where a libvirt made the command line; else one that libvirt gives to an element of this domain.
    fn is_taken(&self, id: &str) -> bool {
        let is_it = |option: &&QemuOption| option.is_kept() && [option.peek("id"), option.peek("node-name")].contains(&Some(id));
        (self.is_of_libvirt || self.is_libvirts(id))
            && self.options.iter().filter(is_it).any(|option| self.is_of_libvirt || option.driver().is_some())
    }

    /// Whether libvirt gives this name to a device (`qemu_alias.c`): the kind of the element, and its number.
    fn is_libvirts(&self, id: &str) -> bool {
        let kind = id.trim_end_matches(|c: char| c.is_ascii_digit());
        let number: usize = id[kind.len()..].parse().unwrap_or(0);
        let devices = || self.domain.at("devices").map_or(&[][..], Fragment::children).iter();
        let of_kind = |name: &str| devices().filter(|device| device.name() == name).count();
        match LIBVIRTS.iter().find(|(alias, _)| *alias == kind) {
            // libvirt adds controllers for what needs one.
            Some((_, "controller")) => {
                number <= devices().filter(|device| device.name() == "controller" && device.attribute("type") == Some(kind)).count()
            }
            Some((_, element)) => number < of_kind(element),
            None => kind == "pci.",
        }
    }

    /// libvirt's name of an audio backend (`qemuAssignDeviceAudioAlias`).
    fn audio_name(&self, property: &str, id: &str) -> Option<String> {
        let at = self.audio.iter().position(|known| known == id).filter(|_| property.ends_with("audiodev"))?;
        Some(format!("audio{}", at + 1))
    }

    /// An option with names that libvirt does not give to its own devices.
    fn renamed_ids(&self, option: &QemuOption) -> QemuOption {
        let mut renamed = option.clone();
        for (name, value) in Props::read(option.value(), "").left() {
            let id = value.split('.').next().unwrap_or_default();
            if let Some(own) = self.audio_name(&name, &value) {
                renamed.set(&name, Some(&own));
            } else if !["driver", "qom-type"].contains(&name.as_str()) && self.is_taken(id) {
                renamed.set(&name, Some(&format!("{OWN}{value}")));
            }
        }
        renamed
    }

    /// Says of a device that is passed to QEMU unchanged that its controller is one that libvirt creates.
    pub(super) fn moved(&self, option: &QemuOption) -> Option<String> {
        let written = option.written.strip_prefix("-device ").filter(|_| option.is_kept())?;
        Props::read(written, "driver").peek("bus").and_then(|bus| self.renamed_bus(bus))?;
        let to = self.value_for_qemu(option).filter(|to| to != written)?;
        Some(format!("{} is passed to QEMU as -{} {to}: libvirt creates its controller, under another name", option.written, option.name))
    }

    /// Leaves a device's address in the guest to libvirt.
    pub(super) fn ignore_address(&mut self, index: usize) {
        if self.options[index].props.left().iter().any(|(name, _)| name == "addr" || name == "bus") {
            let note = "libvirt assigns device addresses in the guest, bus= and addr= are ignored; Windows may set up some devices again";
            if !self.notes.iter().any(|known| known == note) {
                self.notes.push(note.to_owned());
            }
        }
        if self.peek(index, "disable-modern").is_some_and(|said| !table::is_on(said)) {
            self.take(index, "disable-modern");
        }
        self.fill(index, "device", &mut Fragment::new(""));
    }

    pub(super) fn device(&mut self, element: Fragment) {
        self.domain.push("devices", element);
    }
}

/// A controller that the script adds, or that the machine has.
#[derive(Debug)]
pub(super) struct Controller {
    /// The name of its buses, which a dot and their number follow: its id, or QEMU's name for all buses of the kind that have none
    /// (`qbus_init_internal` of `hw/core/bus.c`).
    pub(super) name: String,
    pub(super) is_named: bool,
    /// The number of its first bus among those of its name, and how many it has.
    pub(super) first: usize,
    pub(super) buses: usize,
    /// What libvirt calls its kind, and its number among those.
    pub(super) kind: &'static str,
    pub(super) number: usize,
    /// Its option; none of one that the machine has.
    pub(super) option: Option<usize>,
}

impl Controller {
    /// The number of the bus in a name of one of its buses; that of a bridge has none.
    pub(super) fn bus(&self, named: &str) -> Option<usize> {
        let rest = named.strip_prefix(&self.name)?;
        let number = if rest.is_empty() { self.first } else { rest.strip_prefix('.')?.parse().ok()? };
        number.checked_sub(self.first).filter(|bus| *bus < self.buses)
    }

    /// The name that libvirt gives to a bus of it; empty where libvirt adds ports as needed (`qemuAssignDeviceControllerAlias`).
    pub(super) fn alias(&self, is_express: bool, bus: usize) -> String {
        let name = match (self.kind, self.number) {
            ("pci", _) => return String::new(),
            ("usb", 0) => "usb".to_owned(),
            ("ide", 0) => "ide".to_owned(),
            ("sata", 0) if is_express => "ide".to_owned(),
            (kind, number) => format!("{kind}{number}"),
        };
        format!("{name}.{bus}")
    }
}

/// Devices on a bus of a controller. QEMU creates those that are written as JSON after all others, in their order: as words they would
/// not find a controller of libvirt's, which it writes as JSON.
const ON_BUS: &str = "usb- scsi- ide- virtserialport virtconsole ccid-card- u2f- floppy";
/// The names that libvirt gives to devices, but for their numbers, and the elements.
const LIBVIRTS: &[(&str, &str)] = &[
    ("net", "interface"),
    ("video", "video"),
    ("sound", "sound"),
    ("input", "input"),
    ("hostdev", "hostdev"),
    ("serial", "serial"),
    ("channel", "channel"),
    ("rng", "rng"),
    ("balloon", "memballoon"),
    ("watchdog", "watchdog"),
    ("tpm", "tpm"),
    ("shmem", "shmem"),
    ("fs", "filesystem"),
    ("redir", "redirdev"),
    ("vsock", "vsock"),
    ("iommu", "iommu"),
    ("scsi", "controller"),
    ("usb", "controller"),
    ("sata", "controller"),
    ("virtio-serial", "controller"),
];
/// The beginning of a name that libvirt gives to nothing.
pub(super) const OWN: &str = "import-";
/// PCI devices whose driver names do not show it (`-device help`), as beginnings.
const PCI: &str = "qxl secondary-vga ivshmem- nvme ufs edu e1000 igb rtl8139 vmxnet3 ne2k_pci pcnet tulip rocker virtio-net i825 i82801 pxb \
                   ich9-usb-uhci piix3-ide piix4-ide megasas-gen2 lsi53c810 ati-vga acpi-erst pci-";

/// Whether a virtio device can have the interface before virtio 1.0 too: the others are modern whatever is set (`virtio_pci_force_virtio_1`).
pub(super) fn has_both_interfaces(driver: &str) -> bool {
    const KINDS: &str = "net blk scsi serial balloon rng 9p";
    let kind = driver.strip_prefix("virtio-").map(|rest| rest.strip_suffix("-pci").unwrap_or(rest));
    kind.is_some_and(|kind| table::has(KINDS, kind))
}

/// Whether a device takes a place on the root bus of the machine, where libvirt assigns addresses.
fn is_pci(option: &QemuOption) -> bool {
    let Some(driver) = option.driver() else { return false };
    let by_name = ["-pci", "-pci-non-transitional", "-pci-transitional"].iter().any(|end| driver.ends_with(end));
    let is_on_root = option.peek("bus").is_some_and(|bus| ["pcie.0", "pci.0"].contains(&bus));
    by_name || is_on_root || PCI.split_whitespace().any(|begin| driver.starts_with(begin))
}
