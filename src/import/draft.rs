//! A domain under construction, and what became of each option: exactly one outcome each.

use super::options::QemuOption;
use crate::xml::Fragment;

/// What became of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conversion {
    /// libvirt has an element for it.
    Native,
    /// It is passed to QEMU unchanged.
    Unchanged,
    /// It has no meaning under libvirt.
    Dropped,
}

/// A domain under construction.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) options: Vec<QemuOption>,
    pub(super) conversions: Vec<Option<(Conversion, String)>>,
    pub(super) notes: Vec<String>,
    /// What no domain can do the way the script does: the reason and the remedy.
    pub(super) refusals: Vec<(String, String)>,
    /// `-global` and similar arguments, for properties without an element.
    pub(super) arguments: Vec<String>,
    /// Properties of devices without an element: alias, name, value.
    pub(super) overrides: Vec<(String, String, String)>,
    /// Elements, each with the name of its parent; `""`: the domain itself.
    parts: Vec<(&'static str, Fragment)>,
    /// Attributes: element, name, value.
    pub(super) attributes: Vec<(&'static str, &'static str, String)>,
    /// Controllers that libvirt names differently: the script's name, libvirt's alias.
    pub(super) renamed: Vec<(String, String)>,
    /// How many devices passed to QEMU unchanged have an address on the root bus.
    places: usize,
    pub(super) is_express: bool,
    pub(super) is_kvm: bool,
    pub(super) needs_shared_memory: bool,
}

impl Draft {
    pub(super) fn new(options: Vec<QemuOption>) -> Self {
        let conversions = options.iter().map(|_| None).collect();
        Self { options, conversions, ..Self::default() }
    }

    /// The unsettled options with one of these names.
    pub(super) fn named(&self, names: &[&str]) -> Vec<usize> {
        self.open(|option| names.contains(&option.name.as_str()))
    }

    /// The unsettled devices with one of these drivers.
    pub(super) fn devices(&self, drivers: &[&str]) -> Vec<usize> {
        self.open(|option| option.name == "device" && option.props.peek("driver").is_some_and(|driver| drivers.contains(&driver)))
    }

    /// The first unsettled option whose property has this value, such as the device of a drive.
    pub(super) fn with(&self, name: &str, property: &str, value: &str) -> Option<usize> {
        self.open(|option| option.name == name && option.props.peek(property) == Some(value)).first().copied()
    }

    fn open(&self, is_it: impl Fn(&QemuOption) -> bool) -> Vec<usize> {
        (0..self.options.len()).filter(|index| self.conversions[*index].is_none() && is_it(&self.options[*index])).collect()
    }

    pub(super) fn take(&mut self, index: usize, property: &str) -> Option<String> {
        self.options[index].props.take(property)
    }

    pub(super) fn flag(&mut self, index: usize, property: &str) -> Option<bool> {
        self.options[index].props.flag(property)
    }

    /// Settles what becomes of an option; a later call changes nothing.
    fn settle(&mut self, index: usize, fate: Conversion, why: &str) {
        self.conversions[index].get_or_insert_with(|| (fate, why.to_owned()));
    }

    /// libvirt has an element for it.
    pub(super) fn native(&mut self, index: usize, element: &str) {
        self.settle(index, Conversion::Native, element);
    }

    /// Passes an option to QEMU unchanged. QEMU creates such a device before those that libvirt writes as JSON
    /// (`qemu_create_cli_devices`), so a PCI device could occupy an address that libvirt assigned to another one:
    /// it gets an address behind those that libvirt assigns first.
    pub(super) fn keep(&mut self, index: usize, why: &str) {
        let option = &self.options[index];
        if option.name == "device" && self.conversions[index].is_none() && option.props.peek("driver").is_some_and(is_pci) {
            let addr = self.root_bus_address();
            self.options[index].without(&["bus", "addr"]);
            self.options[index].set("addr", &addr);
        }
        self.settle(index, Conversion::Unchanged, why);
    }

    pub(super) fn drop(&mut self, index: usize, why: &str) {
        self.settle(index, Conversion::Dropped, why);
    }

    /// Refuses the import: under libvirt this option would not do what it does in the script.
    pub(super) fn refuse(&mut self, index: usize, why: &str, remedy: impl Into<String>) {
        self.refusals.push((format!("{}: {why}", self.options[index].text()), remedy.into()));
        self.drop(index, why);
    }

    /// An address on the root bus for a device passed to QEMU unchanged.
    pub(super) fn root_bus_address(&mut self) -> String {
        let addr = format!("{:#x}", 0x18 - self.places);
        self.places = (self.places + 1).min(8);
        addr
    }

    /// Whether an option of this name is in the script.
    pub(super) fn has_option(&self, name: &str) -> bool {
        self.options.iter().any(|option| option.name == name)
    }

    /// libvirt's model of a virtio device: transitional (legacy and modern interface), non-transitional (modern
    /// only), or the machine's default.
    pub(super) fn virtio_model(&mut self, index: usize) -> &'static str {
        let driver = self.options[index].props.peek("driver").unwrap_or_default().to_owned();
        match (self.flag(index, "disable-legacy"), self.flag(index, "disable-modern")) {
            _ if driver.ends_with("-non-transitional") => "virtio-non-transitional",
            _ if driver.ends_with("-transitional") => "virtio-transitional",
            (Some(true), _) => "virtio-non-transitional",
            (Some(false), Some(false)) => "virtio-transitional",
            _ => "virtio",
        }
    }

    /// The value of an option passed to QEMU. If libvirt creates its controller under another name, the bus
    /// gets that name; if libvirt adds ports as needed, the bus is removed.
    pub(super) fn value_for_qemu(&self, option: &QemuOption) -> Option<String> {
        let value = option.value.clone()?;
        let Some(bus) = option.props.peek("bus").filter(|_| option.name == "device") else { return Some(value) };
        let at = bus.split('.').next().unwrap_or_default();
        let new = match self.renamed.iter().find(|(name, _)| !name.is_empty() && name == at) {
            Some((_, alias)) if alias.is_empty() => None,
            Some((_, alias)) => Some(bus.replacen(at, alias, 1)),
            None => return Some(value),
        };
        if value.trim_start().starts_with('{') {
            let mut members = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&value).ok()?;
            match new {
                Some(new) => drop(members.insert("bus".into(), new.into())),
                None => ["bus", "addr"].iter().for_each(|name| drop(members.remove(*name))),
            }
            return Some(serde_json::Value::Object(members).to_string());
        }
        // Without its bus an address has no meaning.
        let moved = |part: &&str| new.is_some() || !(part.starts_with("bus=") || part.starts_with("addr="));
        let parts = value.split(',').filter(moved);
        let parts: Vec<String> = parts
            .map(|part| if part.starts_with("bus=") { format!("bus={}", new.as_deref().unwrap_or_default()) } else { part.to_owned() })
            .collect();
        Some(parts.join(","))
    }

    /// Leaves a device's address in the guest to libvirt.
    pub(super) fn ignore_address(&mut self, index: usize) {
        let props = &mut self.options[index].props;
        if props.left().iter().any(|(name, _)| name == "addr" || name == "bus") {
            let note = "libvirt assigns device addresses in the guest, bus= and addr= are ignored; Windows may set up some devices again";
            if !self.notes.iter().any(|known| known == note) {
                self.notes.push(note.to_owned());
            }
        }
        props.ignore(&["id", "bus", "addr", "port", "chassis", "slot", "multifunction", "disable-legacy", "disable-modern"]);
    }

    /// Adds an element under a parent; `""`: under the domain itself.
    pub(super) fn put(&mut self, parent: &'static str, element: Fragment) {
        self.parts.push((parent, element));
    }

    pub(super) fn device(&mut self, element: Fragment) {
        self.put("devices", element);
    }

    /// The elements for a parent, in order.
    pub(super) fn parts(&self, parent: &str) -> Vec<Fragment> {
        self.parts.iter().filter(|(of, _)| *of == parent).map(|(_, element)| element.clone()).collect()
    }

    pub(super) fn has(&self, parent: &str, name: &str) -> bool {
        self.parts.iter().any(|(of, element)| *of == parent && element.name() == name)
    }

    pub(super) fn attribute(&mut self, element: &'static str, name: &'static str, value: impl Into<String>) {
        self.attributes.push((element, name, value.into()));
    }

    /// The boot order of a device, if it has one.
    pub(super) fn boot_order(&mut self, index: usize) -> Option<Fragment> {
        let order: u32 = self.take(index, "bootindex")?.parse().ok()?;
        // QEMU counts from 0, libvirt from 1.
        Some(Fragment::new("boot").with("order", order.saturating_add(1)))
    }
}

/// PCI devices whose driver names do not show it.
const PCI: [&str; 21] = [
    "qxl",
    "secondary-vga",
    "ivshmem-plain",
    "ivshmem-doorbell",
    "nvme",
    "pvscsi",
    "am53c974",
    "edu",
    "e1000",
    "e1000e",
    "e1000-82544gc",
    "e1000-82545em",
    "igb",
    "rtl8139",
    "vmxnet3",
    "ne2k_pci",
    "pcnet",
    "tulip",
    "virtio-net",
    "i82551",
    "i82557b",
];

fn is_pci(driver: &str) -> bool {
    let by_name = ["-pci", "-pci-non-transitional", "-pci-transitional"].iter().any(|end| driver.ends_with(end));
    by_name || driver.starts_with("ich9-usb-uhci") || PCI.contains(&driver)
}
