//! The normal form of a QEMU command line: its devices with what is behind them, and its settings, each as properties. What has
//! several spellings in QEMU has one here; a property at QEMU's default is left out.

use std::collections::{BTreeMap, BTreeSet};

use super::super::cpu;
use super::super::draft::{OWN, has_both_interfaces};
use super::super::options::{OF_BOOT_ORDER, QemuOption, current_options};
use super::super::size::{read, read_bytes};
use super::super::table::{NAMES, VGA, group, has, is_on, number};
use crate::model::PciAddress;

/// A device or a setting.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Item {
    /// The driver of a device, or the option.
    pub(super) kind: String,
    pub(super) props: BTreeMap<String, String>,
    /// The options that it is made of, by their position.
    pub(super) options: Vec<usize>,
}

impl Item {
    /// Sizes are compared as numbers of bytes.
    fn in_bytes(&mut self, names: &[&str]) {
        for name in names {
            if let Some(size) = self.props.get(*name).and_then(|size| read_bytes(size)) {
                self.props.insert((*name).to_owned(), size.bytes().to_string());
            }
        }
    }
}

/// Groups of names that are no drivers, or of devices that differ.
const OTHER_NAMES: [&str; 3] = ["vga", "audio", "controller pci"];
/// Properties that name another option, that option, and the prefix of its properties.
const BEHIND: [(&str, &str, &str); 9] = [
    ("netdev", "netdev", "netdev."),
    ("chardev", "chardev", "chardev."),
    ("audiodev", "audiodev", "audiodev."),
    ("tpmdev", "tpmdev", "tpmdev."),
    ("memdev", "object", "memdev."),
    ("memory-backend", "object", "memory."),
    ("rng", "object", "rng."),
    ("iothread", "object", "iothread."),
    ("fsdev", "fsdev", "fsdev."),
];
/// Properties of a block node that a drive has under another name.
const NODE: [(&str, &str); 4] =
    [("filename", "file name"), ("cache.direct", "direct"), ("cache.no-flush", "no-flush"), ("read-only", "readonly")];
/// Names and places, which libvirt assigns.
const PLACES: &str = "id bus addr port chassis slot multifunction node-name drive netdev chardev audiodev tpmdev memdev rng iothread fsdev driver \
                      qom-type vlan cad nr index unit if media scsi-id lun channel device_id netdev.id";
/// Properties at QEMU's default.
const DEFAULTS: &str = "drive.readonly=off drive.direct=off drive.no-flush=off drive.writeback=on drive.aio=threads drive.format=raw \
                        drive.discard=ignore drive.detect-zeroes=off base=utc clock=host mem-lock=off cpu-pm=off rombar=1 rombar=on usb=off \
                        acpi=on share=off prealloc=off accel=tcg memory.share=off memory.prealloc=off memory.merge=on memdev.pmem=off vmport=auto dump-guest-core=on mem-merge=on \
                        disable-legacy=auto disable-modern=off migratable=on kvm=on strict=off menu=off debug-threads=off removable=off rotation_rate=0 hpet=on smm=auto \
                        graphics=on display=off password=off mac=00:00:00:00:00:00 guest-reset=on period=65536 manufacturer= backend=nss-emulated";
/// Settings that several options make together.
const TOGETHER: &str = "machine cpu smp m rtc boot overcommit name memory";

/// The normal form.
pub(super) fn items(argv: &[String]) -> Vec<Item> {
    let options = current_options(argv);
    let mut line = Line { options: &options, items: Vec::new(), behind: BTreeSet::new() };
    for index in 0..options.len() {
        line.option(index);
    }
    // As QEMU does where no option names an accelerator (`configure_accelerators` of `system/vl.c`).
    let names = |option: &QemuOption| option.name == "accel" || option.peek("accel").is_some();
    let is_kvm = argv.first().is_some_and(|program| program.ends_with("kvm")) && !options.iter().any(names);
    if let Some(machine) = line.items.iter_mut().find(|item| is_kvm && item.kind == "machine") {
        machine.props.insert("accel".into(), "kvm".into());
    }
    let behind = line.behind;
    let mut items = line.items;
    globals(&options, &mut items);
    items.retain(|item| !item.options.first().is_some_and(|first| item.options.len() == 1 && behind.contains(first)));
    for item in &mut items {
        // Its address and port are no places in the guest.
        let is_spice = item.kind == "spice";
        item.props = std::mem::take(&mut item.props)
            .into_iter()
            .map(|(name, value)| match name.replace('_', "-").strip_suffix("-mb").map(|name| (name, value.parse::<u64>())) {
                // The newer property is in bytes; `vgamem_mb` has none.
                Some((name, Ok(mib))) if name != "vgamem" => (name.to_owned(), (mib << 20).to_string()),
                _ if name == "mac" => (name, value.to_lowercase()),
                _ if name == "write-cache" => ("drive.writeback".into(), spelt(&value)),
                _ => (name.replace('_', "-"), spelt(&value)),
            })
            .filter(|(name, value)| (is_spice || !is_place(name)) && !is_default(name, value))
            .collect();
    }
    // QEMU's default (`m->is_default` of hw/i386/pc_piix.c).
    for machine in items.iter_mut().filter(|item| item.kind == "machine") {
        machine.props.entry("machine".into()).or_insert_with(|| "pc".into());
    }
    // The order of the boot counts, not its numbers; libvirt's command line leaves out that of network cards.
    let orders = |item: &Item| -> Vec<(&str, u32)> {
        OF_BOOT_ORDER.into_iter().filter_map(|name| Some((name, item.props.get(name)?.parse().ok()?))).collect()
    };
    let is_card = |item: &Item| group(&item.kind, &["interface"]).is_some();
    let mut all: Vec<u32> = items.iter().filter(|item| !is_card(item)).flat_map(orders).map(|(_, order)| order).collect();
    all.sort_unstable();
    for item in &mut items {
        for (name, order) in orders(item) {
            let rank = all.iter().filter(|other| **other < order).count();
            item.props.insert(name.into(), rank.to_string());
        }
    }
    items
}

/// A `-global` is a property of each device of its driver that does not set it itself.
fn globals(options: &[QemuOption], items: &mut Vec<Item>) {
    let mut applied = BTreeSet::new();
    for (index, (driver, property, value)) in options.iter().enumerate().filter_map(|(index, option)| Some((index, option.global()?))) {
        for item in items.iter_mut().filter(|item| item.kind == driver) {
            let is_set = item.props.keys().any(|name| name.replace('_', "-") == property);
            if !is_set {
                item.props.insert(property.clone(), value.clone());
                item.options.push(index);
            }
            applied.insert(index);
        }
        // QEMU's default card is no option.
        if driver == "VGA" && !applied.contains(&index) {
            items.push(Item { kind: driver, options: vec![index], props: [(property, value)].into() });
            applied.insert(index);
        }
    }
    items.retain(|item| !item.kind.starts_with("global ") || !item.options.iter().any(|index| applied.contains(index)));
}

fn is_place(name: &str) -> bool {
    PLACES.split(' ').any(|place| place.replace('_', "-") == name)
}

fn is_default(name: &str, value: &str) -> bool {
    DEFAULTS.split_whitespace().any(|default| default.split_once('=').is_some_and(|(of, to)| of == name && to == value))
}

/// One spelling of a value.
fn spelt(value: &str) -> String {
    match value.strip_prefix(OWN).unwrap_or(value) {
        "yes" | "true" | "y" => "on".into(),
        "no" | "false" | "n" => "off".into(),
        // Another name of it (`qemu_fsdev_add` of `fsdev/qemu-fsdev-opts.c`).
        "mapped-xattr" => "mapped".into(),
        _ if value.starts_with("0x") => number(value).map_or_else(|| value.to_owned(), |number| number.to_string()),
        value => value.to_owned(),
    }
}

struct Line<'o> {
    options: &'o [QemuOption],
    items: Vec<Item>,
    /// Options that are a part of another one's item.
    behind: BTreeSet<usize>,
}

impl Line<'_> {
    /// The item of a setting, or a new one for a device.
    fn item(&mut self, kind: &str, index: usize) -> &mut Item {
        let known = self.items.iter().position(|item| item.kind == kind && has(TOGETHER, kind));
        let at = known.unwrap_or_else(|| {
            self.items.push(Item { kind: kind.to_owned(), ..Item::default() });
            self.items.len() - 1
        });
        self.items[at].options.push(index);
        &mut self.items[at]
    }

    fn with(&mut self, kind: &str, index: usize, props: &[(&str, &str)]) {
        let item = self.item(kind, index);
        item.props.extend(props.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    }

    fn option(&mut self, index: usize) {
        let option = &self.options[index];
        let value = option.value();
        match option.name.as_str() {
            // Of several QEMU takes the first that works.
            "accel" if self.options[..index].iter().any(|other| other.name == "accel") => {}
            "accel" => self.all("machine", index),
            "uuid" => self.with("uuid", index, &[("value", &value.to_lowercase())]),
            "machine" => self.machine(index),
            // Only the last one counts.
            "cpu" if self.options[index + 1..].iter().any(|other| other.name == "cpu") => self.with("earlier cpu", index, &[]),
            "cpu" => self.cpu(index),
            "global" => self.global(index),
            "smp" => self.smp(index),
            "m" => self.memory(index),
            "mem-path" => self.with("memory", index, &[("memory.mem-path", value)]),
            "mem-prealloc" => self.with("memory", index, &[("memory.prealloc", "on")]),
            "realtime" => self.with("overcommit", index, &[("mem-lock", option.peek("mlock").unwrap_or("off"))]),
            "overcommit" | "rtc" | "boot" => self.all(&option.name, index),
            "name" => self.with("name", index, option.peek("guest").map(|name| ("guest", name)).as_slice()),
            "drive" => self.drive(index),
            "vga" => {
                let model = option.peek("model").unwrap_or_default();
                if let Some((_, driver)) = VGA.iter().find(|(name, _)| *name == model) {
                    self.with(driver, index, &[]);
                }
            }
            "net" | "nic" => self.card(index),
            // A port of the user network, which is said with it.
            "redir" => {}
            "soundhw" => value.split(',').for_each(|card| self.with(driver(if card == "hda" { "intel-hda" } else { card }), index, &[])),
            "device" => self.device(index),
            // What these are for is compared with the device.
            "netdev" | "chardev" | "blockdev" | "tpmdev" | "fsdev" | "audiodev" | "object" => {
                let kind = option.peek(if option.name == "object" { "qom-type" } else { "driver" }).unwrap_or_default();
                self.all(&format!("{} {kind}", option.name), index);
            }
            "vnc" => self.vnc(index),
            name => {
                let name = name.to_owned();
                if option.props.left().is_empty() {
                    self.with(&name, index, &[("value", value)]);
                } else {
                    self.all(&name, index);
                }
            }
        }
    }

    /// All properties of an option, and of what is behind it.
    fn all(&mut self, kind: &str, index: usize) {
        let mut item = Item::default();
        self.collect(&mut item, index, "", &mut BTreeSet::new());
        item.in_bytes(&["memdev.size", "memdev.hugetlbsize", "memdev.align", "label-size"]);
        // The older form of a node's memory.
        if let Some(size) = item.props.remove("mem").and_then(|size| read(&size)).filter(|_| kind == "numa") {
            item.props.insert("memdev.size".into(), size.bytes().to_string());
        }
        let made = self.item(kind, index);
        made.props.extend(item.props);
        made.options.extend(item.options);
    }

    fn collect(&mut self, item: &mut Item, index: usize, prefix: &str, seen: &mut BTreeSet<usize>) {
        if !seen.insert(index) {
            return;
        }
        let options = self.options;
        for (name, value) in options[index].props.left() {
            if name == "drive" && options[index].name == "device" {
                self.image(item, &value);
                continue;
            }
            let target = BEHIND.iter().find(|(property, ..)| name.replace('_', "-") == *property);
            let found =
                target.and_then(|(_, of, _)| options.iter().position(|other| other.name == *of && other.peek("id") == Some(&value)));
            match target.zip(found) {
                Some(((.., within), at)) => {
                    item.options.push(at);
                    self.behind.insert(at);
                    let kind = options[at]
                        .peek("qom-type")
                        .or(options[at].peek("backend"))
                        .or(options[at].peek("driver"))
                        .or(options[at].peek("type"));
                    item.props.insert(format!("{within}kind"), kind.unwrap_or_default().to_owned());
                    let own = |name: &str| (is_place(name) && !["port", "addr"].contains(&name)) || ["backend", "type"].contains(&name);
                    let mut inner = Item::default();
                    self.collect(&mut inner, at, within, seen);
                    inner.props.retain(|name, _| !own(name.trim_start_matches(within)));
                    item.props.extend(inner.props);
                    item.options.extend(inner.options);
                }
                // The device that it names, by its number.
                None if name == "masterbus" => {
                    let id = value.split('.').next();
                    let is_master = |option: &&QemuOption| option.driver().is_some_and(|driver| driver.contains("ehci"));
                    let at = options.iter().filter(is_master).position(|option| option.peek("id") == id);
                    item.props.insert(format!("{prefix}{name}"), at.map_or(value.clone(), |at| at.to_string()));
                }
                None => drop(item.props.insert(format!("{prefix}{name}"), value)),
            }
        }
    }

    /// The image behind a device: a drive, or a tree of nodes.
    fn image(&mut self, item: &mut Item, id: &str) {
        let options = self.options;
        if let Some(at) = options.iter().position(|option| option.name == "drive" && option.peek("id") == Some(id)) {
            self.behind.insert(at);
            item.options.push(at);
            item.props.extend(drive_props(&options[at]));
            return;
        }
        let mut name = id.to_owned();
        let mut is_top = true;
        for _ in 0..8 {
            let Some(at) = options.iter().position(|option| option.name == "blockdev" && option.peek("node-name") == Some(&name)) else {
                return;
            };
            self.behind.insert(at);
            item.options.push(at);
            let node = &options[at];
            let mut put = |of: &str, value: &str| drop(item.props.insert(format!("drive.{of}"), value.to_owned()));
            for (name, value) in node.props.left() {
                let name = name.trim_start_matches("file.");
                let name = NODE.iter().find(|(node, _)| *node == name).map_or(name, |(_, drive)| drive);
                // Of the nodes of an image the uppermost decides.
                let is_lower =
                    (!is_top || node.peek("driver") == Some("copy-on-read")) && ["discard", "detect-zeroes", "readonly"].contains(&name);
                if name == "file name" {
                    put("file", &value);
                } else if !["file", "auto-read-only", "driver", "node-name", "throttle-group", "device", "namespace"].contains(&name)
                    && !is_lower
                {
                    put(name, &value);
                }
            }
            is_top &= node.peek("driver") == Some("copy-on-read");
            match node.peek("driver") {
                Some("file" | "host_device" | "host_cdrom" | "throttle") | None => {}
                Some("copy-on-read") => put("copy-on-read", "on"),
                Some("nvme") => {
                    let [device, namespace] = ["device", "namespace"].map(|name| node.peek(name).unwrap_or_default());
                    put("file", &format!("nvme://{device}/{namespace}"));
                }
                Some(format) => put("format", format),
            }
            match node.peek("file") {
                Some(below) => below.clone_into(&mut name),
                None => return,
            }
        }
    }

    fn machine(&mut self, index: usize) {
        let option = &self.options[index];
        // Only Proxmox's QEMU knows this end.
        let model = option.peek("type").map(|model| model.split_once("+pve").map_or(model, |(bare, _)| bare).to_owned());
        for (name, value) in option.props.left() {
            if let ("pflash0" | "pflash1", at) = (name.as_str(), index) {
                let mut flash = Item { kind: name.clone(), options: vec![at], ..Item::default() };
                self.image(&mut flash, &value);
                self.items.push(flash);
            }
        }
        self.all("machine", index);
        let item = self.item("machine", index);
        item.props.remove("type");
        if let Some(accel) = item.props.get_mut("accel") {
            *accel = accel.split(':').next().unwrap_or_default().to_owned();
        }
        item.props.retain(|name, _| !name.starts_with("pflash"));
        item.props.extend(model.map(|model| ("machine".to_owned(), model)));
        item.in_bytes(&["memory.hugetlbsize"]);
        let (mut memory, own): (BTreeMap<String, String>, _) =
            std::mem::take(&mut item.props).into_iter().partition(|(name, _)| name.starts_with("memory."));
        item.props = own;
        if !memory.is_empty() {
            memory.retain(|name, _| name != "memory.size" && name != "memory.kind");
            self.item("memory", index).props.extend(memory);
        }
    }

    fn cpu(&mut self, index: usize) {
        let left = self.options[index].props.left();
        let item = self.item("cpu", index);
        for (name, value) in cpu::ordered(left) {
            let (name, value) = cpu::feature(&name, &value);
            // QEMU's other name of it.
            let name = if name == "hv-apicv" { "hv-avic" } else { name };
            item.props.insert(cpu::known(name).unwrap_or(name).to_owned(), value.to_owned());
        }
    }

    /// A property of the processor, which may be set with `-global` too.
    fn global(&mut self, index: usize) {
        let Some((driver, property, value)) = self.options[index].global() else { return };
        if driver.ends_with("x86_64-cpu") {
            self.with("cpu", index, &[(&property, &value)]);
        } else {
            self.with(&format!("global {driver}.{property}"), index, &[("value", &value)]);
        }
    }

    fn smp(&mut self, index: usize) {
        let option = &self.options[index];
        let machine = self.options.iter().rev().find_map(|option| option.peek("type").filter(|_| option.name == "machine"));
        let counts = cpu::counts_of(|name| option.peek(name), machine.unwrap_or("pc"));
        let item = self.item("smp", index);
        item.props.extend(counts.map(|(name, count)| (name.to_owned(), count.to_string())));
        // Those that are plugged in as devices are there from the start, too.
        let plugged = self.options.iter().filter(|option| option.driver().is_some_and(cpu::is_processor)).count();
        let item = self.item("smp", index);
        if let Some(Ok(online)) = item.props.get("cpus").map(|online| online.parse::<usize>()) {
            item.props.insert("cpus".to_owned(), (online + plugged).to_string());
        }
    }

    fn memory(&mut self, index: usize) {
        let option = &self.options[index];
        let amounts = [("size", option.peek("size")), ("maxmem", option.peek("maxmem"))];
        let slots = option.peek("slots").map(str::to_owned);
        let item = self.item("m", index);
        item.props.extend(slots.map(|slots| ("slots".to_owned(), slots)));
        for (name, amount) in amounts {
            if let Some(size) = amount.and_then(read) {
                item.props.insert(name.into(), size.bytes().to_string());
            }
        }
    }

    fn drive(&mut self, index: usize) {
        let option = &self.options[index];
        let is_cd = option.peek("media") == Some("cdrom");
        let kind = match option.peek("if").unwrap_or("ide") {
            "none" => return self.with("drive", index, &[]),
            "virtio" => "virtio-blk-pci".to_owned(),
            "scsi" => if is_cd { "scsi-cd" } else { "scsi-hd" }.to_owned(),
            "pflash" => {
                let before = self.items.iter().filter(|item| item.kind.starts_with("pflash")).count();
                format!("pflash{}", option.peek("unit").map_or(before.to_string(), str::to_owned))
            }
            "floppy" => "floppy".to_owned(),
            _ => if is_cd { "ide-cd" } else { "ide-hd" }.to_owned(),
        };
        let props = drive_props(option);
        self.item(&kind, index).props.extend(props);
    }

    fn card(&mut self, index: usize) {
        let option = &self.options[index];
        let has_card = option.name == "nic" || option.peek("type") == Some("nic");
        if !has_card || option.peek("type") == Some("none") {
            return;
        }
        let is_its = |of: &QemuOption| of.name == "netdev" && of.peek("id").is_some_and(|id| option.peek("netdev") == Some(id));
        self.behind.extend(self.options.iter().position(is_its));
        let model = option.peek("model").map(driver);
        let mac = option.peek("mac").or(option.peek("macaddr")).map(|mac| ("mac", mac));
        // QEMU's default card (`default_nic` of `pc_q35.c` and `pc_piix.c`).
        let is_express =
            self.options.iter().any(|option| option.name == "machine" && option.peek("type").is_some_and(|kind| kind.contains("q35")));
        self.with(model.unwrap_or(if is_express { "e1000e" } else { "e1000" }), index, mac.as_slice());
    }

    fn device(&mut self, index: usize) {
        let name = self.options[index].driver().unwrap_or_default().to_owned();
        if cpu::is_processor(&name) {
            return self.with("smp", index, &[]);
        }
        let is_cd = || {
            let drive = self.options[index].peek("drive").unwrap_or_default();
            self.options
                .iter()
                .any(|option| option.name == "drive" && option.peek("id") == Some(drive) && option.peek("media") == Some("cdrom"))
        };
        let kind = match name.as_str() {
            "ide-drive" => if is_cd() { "ide-cd" } else { "ide-hd" }.to_owned(),
            "scsi-disk" => if is_cd() { "scsi-cd" } else { "scsi-hd" }.to_owned(),
            name => driver(name).trim_end_matches("-non-transitional").trim_end_matches("-transitional").to_owned(),
        };
        let transitional = if name.ends_with("-non-transitional") {
            Some(("on", "off"))
        } else {
            name.ends_with("-transitional").then_some(("off", "off"))
        };
        let first = self.items.len();
        self.all(&kind, index);
        if let Some((legacy, modern)) = transitional {
            let props = &mut self.items[first].props;
            props.insert("disable-legacy".into(), legacy.into());
            props.insert("disable-modern".into(), modern.into());
        }
        let props = &mut self.items[first].props;
        if !has_both_interfaces(&kind) {
            props.retain(|name, _| !["disable-legacy", "disable-modern"].contains(&name.as_str()));
        } else if props.get("disable-modern").is_some_and(|modern| modern == "on") {
            // The one interface that is left.
            props.entry("disable-legacy".into()).or_insert_with(|| "off".into());
        }
        if props.get("iothread.kind").is_some() {
            props.retain(|name, _| !name.starts_with("iothread.") || name == "iothread.kind");
        }
        if let Some(function) = props.get("sysfsdev").and_then(|path| path.rsplit('/').next()?.parse::<PciAddress>().ok()) {
            props.remove("sysfsdev");
            props.insert("host".into(), function.to_string());
        }
        if let Some(value) = props.get_mut("host") {
            *value = value.to_lowercase();
            if value.matches(':').count() == 1 {
                *value = format!("0000:{value}");
            }
        }
    }

    fn vnc(&mut self, index: usize) {
        let option = &self.options[index];
        let display = option.peek("display").or(option.peek("vnc")).unwrap_or_default();
        let display = if display.starts_with(':') { format!("0.0.0.0{display}") } else { display.to_owned() };
        self.all("vnc", index);
        if let Some(item) = self.items.last_mut() {
            item.props.remove("vnc");
            item.props.insert("display".into(), display);
        }
    }
}

/// One name of a driver: the first of those for which libvirt has the same, wherever its name is not written itself.
fn driver(name: &str) -> &str {
    let is_named = |places: &str| places.split(' ').any(|place| place.starts_with('@') && !place.contains('='));
    let is_it = |(names, group, places): &&(&str, &str, &str)| has(names, name) && !OTHER_NAMES.contains(group) && !is_named(places);
    NAMES.iter().find(is_it).and_then(|(names, ..)| names.split(' ').next()).unwrap_or(name)
}

/// The properties of a drive; `cache=` in its parts (the table in `qemu-options.hx`).
fn drive_props(option: &QemuOption) -> BTreeMap<String, String> {
    let mut props = BTreeMap::new();
    let mut put = |name: &str, value: &str| drop(props.insert(name.to_owned(), value.to_owned()));
    for (name, value) in option.props.left() {
        let on = |is_on: bool| if is_on { "on" } else { "off" };
        match name.replace('_', "-").as_str() {
            "cache" => {
                put("drive.writeback", on(!matches!(value.as_str(), "writethrough" | "directsync")));
                put("drive.direct", on(matches!(value.as_str(), "none" | "off" | "directsync")));
                put("drive.no-flush", on(value == "unsafe"));
            }
            "cache.writeback" | "cache.direct" | "cache.no-flush" => put(&name.replace("cache.", "drive."), on(is_on(&value))),
            "discard" => put("drive.discard", if value == "on" { "unmap" } else { &value }),
            "driver" => put("drive.format", &value),
            "readonly" | "read-only" => put("drive.readonly", on(is_on(&value))),
            // These are the device's in libvirt's command line.
            "serial" | "werror" | "rerror" => put(&name, &value),
            "id" | "if" | "index" | "unit" | "bus" | "media" | "snapshot" => {}
            other => put(&format!("drive.{other}"), &value),
        }
    }
    if option.peek("media") == Some("cdrom") {
        put("drive.readonly", "on");
    }
    // An empty drive opens nothing.
    if !props.keys().any(|name| name.starts_with("drive.file")) {
        props.retain(|name, _| !name.starts_with("drive."));
    }
    props
}
