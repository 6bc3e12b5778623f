//! What becomes different in a domain, in words: `memory 4 GiB → 5 GiB`, `card 01:00.0 added`. vgapt's record is no part of it.

use std::collections::HashMap;

use super::alias;
use super::record::RECORD_MARK;
use crate::domain_xml::{HostDevice, Interface, Source, alias_of, function_of, host_device, page_size, pins, size_of, video_model};
use crate::model::{Card, CpuSet, Host, PciAddress, PciDevice};
use crate::xml::{Document, Element};

/// What becomes different; `before` and `after` are the domain now and then.
pub fn changes(before: &Document, after: &Document, host: &Host) -> Vec<String> {
    compared(before, after, host, Thing::since)
}

/// The same, where also of what has the same value the parts that differ are named.
pub fn changes_in_full(before: &Document, after: &Document, host: &Host) -> Vec<String> {
    compared(before, after, host, Thing::since_in_full)
}

fn compared(before: &Document, after: &Document, host: &Host, since: fn(&Thing, Option<&Thing>) -> Option<String>) -> Vec<String> {
    let (mut old, mut new) = (things(before, host), things(after, host));
    if starts_with_all_memory(&old) && starts_with_all_memory(&new) {
        old.retain(|thing| thing.key != MEMORY_AT_START);
        new.retain(|thing| thing.key != MEMORY_AT_START);
    }
    pair_networks(&mut old, &mut new);
    pair_disks(&mut old, &mut new);
    let by_key = |things: &[Thing]| things.iter().map(|thing| (thing.key.clone(), thing.clone())).collect::<HashMap<_, _>>();
    let (known, kept) = (by_key(&old), by_key(&new));
    let mut changes: Vec<String> = new.iter().filter_map(|thing| since(thing, known.get(&thing.key))).collect();
    changes.extend(old.iter().filter(|thing| !kept.contains_key(&thing.key)).map(|thing| format!("{} removed", thing.whole())));
    changes
}

/// What the key of a network card begins with; its MAC address follows.
const NETWORK: &str = "interface ";

/// Network cards that no MAC address pairs are paired by their order; their addresses are then a part of what differs.
fn pair_networks(old: &mut [Thing], new: &mut [Thing]) {
    let keys = |things: &[Thing]| things.iter().map(|thing| thing.key.clone()).collect::<Vec<_>>();
    let (known, kept) = (keys(old), keys(new));
    let apart = |things: &mut [Thing], others: &[String]| {
        let mut all: Vec<usize> = (0..things.len()).collect();
        all.retain(|at| things[*at].key.starts_with(NETWORK) && !others.contains(&things[*at].key));
        all
    };
    let (old_ones, new_ones) = (apart(old, &kept), apart(new, &known));
    for (number, (before, after)) in old_ones.into_iter().zip(new_ones).enumerate() {
        for thing in [&mut old[before], &mut new[after]] {
            let mac = match &thing.key[NETWORK.len()..] {
                "" => "a MAC address of libvirt's choice".to_owned(),
                mac => format!("MAC address {mac}"),
            };
            thing.shown = format!("{}, {mac}", thing.shown);
            thing.key = format!("network card {number} without its like");
        }
    }
}

/// A disk with another name in the guest is the same by its file.
fn pair_disks(old: &mut [Thing], new: &mut [Thing]) {
    for thing in new.iter_mut() {
        let is_disk = |thing: &Thing| ["disk ", "CD "].iter().any(|what| thing.label.starts_with(what));
        let is_same = |other: &&mut Thing| is_disk(other) && other.shown == thing.shown && other.label != thing.label;
        if !is_disk(thing) || old.iter().any(|other| other.key == thing.key && other.shown == thing.shown) {
            continue;
        }
        let Some(other) = old.iter_mut().find(is_same) else { continue };
        for thing in [thing, other] {
            let (what, name) = thing.label.split_once(' ').unwrap_or_default();
            let label = format!("{what} {}", thing.shown);
            *thing = Thing { key: label.clone(), shown: name.to_owned(), label, content: thing.content.clone() };
        }
    }
}

/// libvirt writes it even where it is all of the memory.
const MEMORY_AT_START: &str = "memory at the start";

fn starts_with_all_memory(things: &[Thing]) -> bool {
    let shown = |key: &str| things.iter().find(|thing| thing.key == key).map(|thing| &thing.shown);
    shown(MEMORY_AT_START).is_none_or(|start| Some(start) == shown("memory"))
}

/// A domain's XML for a reader: vgapt's record, one line of JSON as long as twenty, is left out, with a word where it was.
pub fn folded(xml: &str, word: &str) -> String {
    let Ok(mut domain) = Document::parse(xml) else { return xml.to_owned() };
    let Some(record) = super::record::element(&domain).map(Element::id) else { return xml.to_owned() };
    domain.set_text(record, word);
    domain.to_string()
}

/// A domain's XML without vgapt's record, for a comparison.
pub fn without_record(domain: &Document) -> String {
    let mut domain = domain.clone();
    let is_record = |child: &Element<'_>| child.namespace().is_some_and(|namespace| namespace.starts_with(RECORD_MARK));
    let metadata: Vec<Element<'_>> = domain.root().children_named("metadata").collect();
    let only_record = |metadata: &Element<'_>| metadata.children().all(|child| is_record(&child));
    let records = metadata.iter().flat_map(|metadata| {
        if only_record(metadata) { vec![metadata.id()] } else { metadata.children().filter(is_record).map(Element::id).collect() }
    });
    let records: Vec<_> = records.collect();
    domain.remove_all(&records);
    domain.to_string()
}

/// Something that a domain has.
#[derive(Clone)]
struct Thing {
    /// What it is the same thing by.
    key: String,
    /// Its name in words.
    label: String,
    /// Its value in words; empty for a thing that is only there or not.
    shown: String,
    /// All that it says, to be compared.
    content: String,
}

impl Thing {
    fn new(label: impl Into<String>, shown: impl Into<String>, content: impl Into<String>) -> Self {
        let label = label.into();
        Self { key: label.clone(), label, shown: shown.into(), content: content.into() }
    }

    /// A value, which is all that it says.
    fn value(label: &str, shown: impl Into<String>) -> Self {
        let shown = shown.into();
        Self::new(label, shown.clone(), shown)
    }

    /// The same thing by something else than its name.
    fn by(self, key: impl Into<String>) -> Self {
        Self { key: key.into(), ..self }
    }

    fn whole(&self) -> String {
        if self.shown.is_empty() { self.label.clone() } else { format!("{} {}", self.label, self.shown) }
    }

    /// The difference from what it was before.
    fn since(&self, before: Option<&Self>) -> Option<String> {
        match before {
            None => Some(format!("{} added", self.whole())),
            Some(before) if before.content == self.content && before.shown == self.shown => None,
            Some(before) if before.shown == self.shown || before.shown.is_empty() => Some(format!("{} changed", self.whole())),
            Some(before) => Some(format!("{} {} → {}", self.label, before.shown, self.shown)),
        }
    }

    /// The same, with the parts that differ where the value does not.
    fn since_in_full(&self, before: Option<&Self>) -> Option<String> {
        let parts = |thing: &Self| thing.content.split('<').map(line).collect::<Vec<_>>();
        let changed = self.since(before)?;
        let Some(before) = before.filter(|before| before.shown == self.shown) else { return Some(changed) };
        let (old, new) = (parts(before), parts(self));
        let only = |these: &[String], others: &[String]| {
            let these = these.iter().filter(|part| !others.contains(part)).map(|part| part.trim_end_matches('>'));
            these.collect::<Vec<_>>().join(", ")
        };
        Some(match (only(&old, &new), only(&new, &old)) {
            (gone, come) if gone.is_empty() && come.is_empty() => changed,
            (gone, come) if gone.is_empty() => format!("{} with {come}", self.whole()),
            (gone, come) if come.is_empty() => format!("{} without {gone}", self.whole()),
            (gone, come) => format!("{}: {gone} → {come}", self.whole()),
        })
    }
}

/// All that a domain has, in its order; the functions of one card are one thing.
fn things(domain: &Document, host: &Host) -> Vec<Thing> {
    let root = domain.root();
    let mut things = Vec::new();
    let attributes = Thing::new("domain", said(root), said(root));
    things.extend((!attributes.shown.is_empty()).then_some(attributes));
    for child in root.children() {
        match child.name() {
            "name" | "title" | "description" | "uuid" => things.push(Thing::value(child.name(), line(child.text()))),
            "metadata" => {
                let is_record = |note: &Element<'_>| note.namespace().is_some_and(|namespace| namespace.starts_with(RECORD_MARK));
                things.extend(
                    child
                        .children()
                        .filter(|note| !is_record(note))
                        .map(|note| Thing::new(format!("notes of {}", note.local_name()), "", note.source())),
                );
            }
            "memory" | "currentMemory" => {
                let label = if child.name() == "memory" { "memory" } else { MEMORY_AT_START };
                things.push(
                    size_of(child).map_or_else(|| Thing::value(label, line(child.text())), |size| Thing::value(label, size.to_string())),
                );
            }
            "vcpu" => things.push(Thing::new("processors", line(child.text()), own(child))),
            "cputune" => things.extend(tuning(root, child)),
            "os" => {
                things.extend(bios(child).into_iter().chain(boot_order(child)).chain(child.children().flat_map(
                    |child| match child.name() {
                        "boot" => Vec::new(),
                        "loader" => vec![Thing::new("firmware", line(child.text()), own(child))],
                        "nvram" => vec![Thing::new("firmware variables", line(child.text()), own(child))],
                        _ => elements("os", child),
                    },
                )));
            }
            "memoryBacking" => things.extend(child.children().flat_map(|child| match child.name() {
                "hugepages" => vec![Thing::new("huge pages", pages(child), all(child))],
                _ => elements("memoryBacking", child),
            })),
            "cpu" => {
                let this = Thing::value("cpu", said(child));
                let inner = child.children().flat_map(|child| match child.name() {
                    "topology" => vec![Thing::new("seen by the guest as", topology(child), all(child))],
                    _ => elements("cpu", child),
                });
                things.extend((!this.shown.is_empty()).then_some(this).into_iter().chain(inner));
            }
            "devices" => things.extend(child.children().filter_map(|device| self::device(device, host))),
            _ => things.extend(elements("", child)),
        }
    }
    joined(things)
}

/// Things with the same key are one: the functions of a card.
fn joined(things: Vec<Thing>) -> Vec<Thing> {
    let mut joined: Vec<Thing> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for thing in things {
        match places.get(&thing.key) {
            Some(place) => joined[*place].content += &thing.content,
            None => {
                places.insert(thing.key.clone(), joined.len());
                joined.push(thing);
            }
        }
    }
    joined
}

/// QEMU's own firmware, where the domain names no other.
fn bios(os: Element<'_>) -> Option<Thing> {
    let is_bios = os.child("loader").is_none() && os.attribute("firmware").is_none();
    is_bios.then(|| Thing::value("firmware", "SeaBIOS"))
}

/// From which kinds of devices the guest boots, the first one first.
fn boot_order(os: Element<'_>) -> Option<Thing> {
    let order: Vec<String> = os.children_named("boot").filter_map(|boot| Some(line(&boot.attribute("dev")?))).collect();
    (!order.is_empty()).then(|| Thing::value("boot order", order.join(", ")))
}

/// Which host CPUs the threads of the guest and of QEMU use.
fn tuning(root: Element<'_>, tune: Element<'_>) -> Vec<Thing> {
    let each: String = tune.children_named("vcpupin").map(all).collect();
    let cpus = pins(root).map(|(pins, _)| CpuSet(pins.into_iter().flat_map(|(_, cpus)| cpus.0).collect()).to_string());
    let pinning = (!each.is_empty()).then(|| Thing::new("pinning to the host's CPUs", cpus.unwrap_or_default(), each));
    let others =
        tune.children().filter(|child| child.name() != "vcpupin").flat_map(|child| match (child.name(), child.attribute("cpuset")) {
            ("emulatorpin", Some(cpus)) => vec![Thing::value("QEMU's own threads on the host's CPUs", cpus)],
            ("iothreadpin", Some(cpus)) => {
                let number = child.attribute("iothread").unwrap_or_default();
                vec![Thing::value(&format!("I/O thread {number} on the host's CPUs"), cpus)]
            }
            _ => elements("cputune", child),
        });
    pinning.into_iter().chain(others).collect()
}

/// How the guest sees its processors.
fn topology(topology: Element<'_>) -> String {
    let count = |name: &str| topology.attribute(name).map_or_else(|| "1".to_owned(), |count| line(&count));
    let words = [("sockets", count("sockets")), ("dies", count("dies")), ("clusters", count("clusters"))];
    let above: String = words.iter().filter(|(_, count)| count != "1").map(|(name, count)| format!("{count} {name} of ")).collect();
    let plural = |count: String, one: &str| if count == "1" { format!("1 {one}") } else { format!("{count} {one}s") };
    format!("{above}{} of {}", plural(count("cores"), "core"), plural(count("threads"), "thread"))
}

fn pages(hugepages: Element<'_>) -> String {
    let sizes: Vec<String> = hugepages.children_named("page").filter_map(page_size).map(|size| format!("of {size}")).collect();
    sizes.join(" and ")
}

/// A device; `None` for what only carries others: PCI bridges and ports.
fn device(device: Element<'_>, host: &Host) -> Option<Thing> {
    let attribute = |name: &str| device.attribute(name).map(|value| line(&value)).unwrap_or_default();
    let below =
        |child: &str, name: &str| device.child(child).and_then(|child| child.attribute(name)).map(|value| line(&value)).unwrap_or_default();
    let says = content(device);
    Some(match device.name() {
        "controller" if attribute("type") == "pci" => return None,
        "controller" => Thing::new(format!("{} controller {}", attribute("type"), attribute("index")), attribute("model"), says),
        "emulator" => Thing::value("QEMU", line(device.text())),
        "hostdev" => match host_device(device) {
            Some(HostDevice::Function(address)) => function(address, device, host, says),
            Some(HostDevice::Usb(id)) => {
                let name = host.usb.iter().find(|known| known.id == id).and_then(|known| known.name.clone());
                Thing::new(format!("USB device {id}{}", name.map(|name| format!(" ({name})")).unwrap_or_default()), "", says)
            }
            Some(HostDevice::UsbAt { .. }) => Thing::new("USB device at its port", "", says.clone()).by(says),
            Some(HostDevice::Mediated(uuid)) => Thing::new(format!("mediated device {uuid}"), "", says),
            None => Thing::new("host device", "", says.clone()).by(says),
        },
        "disk" => {
            let what = if attribute("device") == "cdrom" { "CD" } else { "disk" };
            let source = Source::of(device).map_or_else(|| "without a medium".to_owned(), |source| line(&source.to_string()));
            Thing::new(format!("{what} {}", below("target", "dev")), source, says)
        }
        "interface" => {
            let Interface { kind, source, mac, vlans, .. } = Interface::of(device);
            let vlan = (!vlans.is_empty()).then(|| format!("VLAN {}", vlans.join(",")));
            match function_of(device) {
                // Its address tells which one it is, so that its MAC address may change.
                Some(address) => {
                    let mac = mac.map_or_else(|| "a MAC address of libvirt's choice".to_owned(), |mac| format!("MAC address {mac}"));
                    let shown = format!("{mac}, {}", vlan.as_deref().unwrap_or("no VLAN"));
                    Thing::new(named("network card", address, host), shown, says)
                }
                None => {
                    // The card that vgapt's templates have needs no word.
                    let model = Some(below("model", "type")).filter(|model| !model.is_empty() && model != "virtio");
                    let shown: Vec<String> = [kind].into_iter().chain(source).chain(vlan).chain(model).collect();
                    Thing::new("network", shown.join(" "), says).by(format!("{NETWORK}{}", mac.unwrap_or_default()))
                }
            }
        }
        "graphics" => Thing::new(format!("window ({})", attribute("type")), "", says),
        "video" => Thing::new("emulated graphics adapter", video_model(device).unwrap_or_default(), says),
        "input" => {
            let path = [below("source", "dev"), below("source", "evdev")].concat();
            let words = [attribute("bus"), attribute("type"), path].into_iter().filter(|word| !word.is_empty());
            Thing::new(format!("input {}", words.collect::<Vec<_>>().join(" ")), "", says)
        }
        "filesystem" => Thing::new(format!("shared folder {}", below("target", "dir")), below("source", "dir"), says),
        "shmem" => {
            let size = device.child("size").and_then(size_of).map(|size| size.to_string()).unwrap_or_default();
            let label = if attribute("name") == "looking-glass" {
                "Looking Glass".to_owned()
            } else {
                format!("shared memory {}", attribute("name"))
            };
            Thing::new(label, size, says)
        }
        "channel" => Thing::new(format!("channel {}", below("target", "name")), "", says),
        "memballoon" => Thing::new("memory balloon", attribute("model"), says),
        "sound" => Thing::new("sound card", attribute("model"), says),
        "audio" => Thing::new(format!("sound on the host {}", attribute("id")), attribute("type"), says),
        "tpm" => Thing::new("TPM", attribute("model"), says),
        name => Thing::new(format!("device {name}"), attribute("model"), says.clone())
            .by(format!("{name} {}", alias_of(device).unwrap_or(says))),
    })
}

/// A function; all functions of a card are the card.
fn function(address: PciAddress, hostdev: Element<'_>, host: &Host, says: String) -> Thing {
    let is_card = || alias_of(hostdev).is_some_and(|name| name.starts_with(alias::GPU));
    let label = match Card::with(host, address) {
        Some(card) => named("card", card.address, host),
        None if is_card() => named("function of a card", address, host),
        None => named("PCI function", address, host),
    };
    // Only one of two domains may have vgapt's name of it.
    let key = if Card::with(host, address).is_some() { label.clone() } else { format!("function {address}") };
    Thing::new(label, "", says).by(key)
}

fn named(what: &str, address: PciAddress, host: &Host) -> String {
    let name = host.device(address).map(|device| format!(" ({})", PciDevice::label(device))).unwrap_or_default();
    format!("{what} {}{name}", address.short())
}

/// An element of which nothing more is known, and those in it, by their paths.
fn elements(above: &str, element: Element<'_>) -> Vec<Thing> {
    let name = ["name", "id", "cpu", "dev"].into_iter().find_map(|name| element.attribute(name)).map(|name| format!(" {}", line(&name)));
    let path = if above.is_empty() { element.name().to_owned() } else { format!("{above}/{}", element.name()) };
    let words = said(element);
    let has_children = element.children().next().is_some();
    let this = (!words.is_empty() || !has_children)
        .then(|| Thing::new(format!("{path}{}", name.clone().unwrap_or_default()), words.clone(), words.clone()));
    let deeper = element.children().flat_map(|child| elements(&path, child));
    this.into_iter().chain(deeper).collect()
}

/// Its own attributes, but for the name that its path has, and its text.
fn said(element: Element<'_>) -> String {
    let is_own = |name: &&str| !name.starts_with("xmlns") && *name != "name";
    let attribute = |name: &str| Some(format!("{name}='{}'", line(&element.attribute(name)?)));
    let attributes = element.attribute_names().filter(is_own).filter_map(attribute);
    let text = if element.children().next().is_some() { "" } else { element.text() };
    attributes.chain((!text.is_empty()).then(|| line(text))).collect::<Vec<_>>().join(" ")
}

/// Its own attributes and its text, to be compared.
fn own(element: Element<'_>) -> String {
    format!("{} {}", element.name(), said(element))
}

/// An element with all that is in it, to be compared.
fn all(element: Element<'_>) -> String {
    let name = element.attribute("name").unwrap_or_default();
    let inner: String = element.children().map(all).collect();
    format!("<{} {name} {}>{inner}", element.name(), said(element))
}

/// A device to be compared: where it is in the guest, and under which alias, does not matter.
fn content(device: Element<'_>) -> String {
    let inner: String = device.children().filter(|child| !matches!(child.name(), "address" | "alias")).map(all).collect();
    format!("{}{inner}", own(device))
}

/// A text as one line.
fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::record::NAMESPACE;

    fn of(before: &str, after: &str) -> Vec<String> {
        let parsed = |text: &str| Document::parse(&format!("<domain type='kvm'>{text}</domain>")).unwrap();
        changes(&parsed(before), &parsed(after), &Host::default())
    }

    #[test]
    fn values_and_devices() {
        assert_eq!(of("<memory unit='GiB'>4</memory>", "<memory unit='KiB'>5242880</memory>"), ["memory 4 GiB → 5 GiB"]);
        assert_eq!(of("<memory unit='GiB'>4</memory>", "<memory unit='KiB'>4194304</memory>"), [""; 0]);
        let both = "<memory unit='GiB'>4</memory><currentMemory unit='GiB'>4</currentMemory>";
        assert_eq!(of(both, &both.replace('4', "5")), ["memory 4 GiB → 5 GiB"]);
        let less = both.replace("<currentMemory unit='GiB'>4", "<currentMemory unit='GiB'>2");
        assert_eq!(of(&less, both), ["memory at the start 2 GiB → 4 GiB"]);
        assert_eq!(of("<vcpu>4</vcpu>", "<vcpu placement='static'>6</vcpu>"), ["processors 4 → 6"]);
        let cpu = "<cpu mode='x'><topology sockets='1' cores='2' threads='2'/></cpu>";
        assert_eq!(of(cpu, &cpu.replace("cores='2'", "cores='3'")), ["seen by the guest as 2 cores of 2 threads → 3 cores of 2 threads"]);
        let disk =
            "<devices><disk type='file'><driver cache='none'/><source file='/a'/><target dev='sda'/><address unit='1'/></disk></devices>";
        assert_eq!(of(disk, &disk.replace("'/a'", "'/b'")), ["disk sda /a → /b"]);
        assert_eq!(of(disk, &disk.replace("'none'", "'unsafe'")), ["disk sda /a changed"]);
        assert_eq!(of(disk, &disk.replace("unit='1'", "unit='2'")), [""; 0], "where it is in the guest");
        assert_eq!(of(disk, "<devices/>"), ["disk sda /a removed"]);
        let network = "<devices><interface type='user'><mac address='52:54:00:00:00:01'/></interface></devices>";
        assert_eq!(of(network, &network.replace("'user'><", "'network'><source network='default'/><")), ["network user → network default"]);
        let function = "<devices><interface type='hostdev'><source><address type='pci' domain='0' bus='6' slot='16' function='0'/></source>\
            <mac address='52:54:00:00:00:01'/></interface></devices>";
        let other = function.replace("00:01'/>", "00:02'/><vlan><tag id='7'/></vlan>");
        assert_eq!(
            of(function, &other),
            ["network card 06:10.0 MAC address 52:54:00:00:00:01, no VLAN → MAC address 52:54:00:00:00:02, VLAN 7"]
        );
        let e1000 = network.replace("'user'>", "'user'><model type='e1000'/>");
        let unnamed = "<devices><interface type='user'><model type='virtio'/></interface></devices>";
        assert_eq!(of(&e1000, unnamed), ["network user e1000, MAC address 52:54:00:00:00:01 → user, a MAC address of libvirt's choice"]);
        let uefi = "<os><loader readonly='yes' type='pflash'>/code.fd</loader></os>";
        assert_eq!(of("<os/>", uefi), ["firmware SeaBIOS → /code.fd"]);
        let renamed = disk.replace("sda", "vda");
        assert_eq!(of(&renamed, disk), ["disk /a vda → sda"]);
        let order = |first: &str, second: &str| format!("<os><boot dev='{first}'/><boot dev='{second}'/></os>");
        assert_eq!(of(&order("cdrom", "hd"), &order("hd", "cdrom")), ["boot order cdrom, hd → hd, cdrom"]);
        let bridge = "<devices><interface type='bridge'><source bridge='br0'/></interface></devices>";
        assert_eq!(of(bridge, &bridge.replace("</i", "<vlan><tag id='7'/></vlan></i")), ["network bridge br0 → bridge br0 VLAN 7"]);
        let card = "<devices><controller type='pci' index='5' model='pcie-root-port'/><hostdev type='pci'><source>\
            <address domain='0' bus='1' slot='0' function='0'/></source><alias name='ua-vgapt-gpu-0000-01-00-0'/></hostdev></devices>";
        assert_eq!(of("<devices/>", card), ["function of a card 01:00.0 added"]);
        let pin = |cpus: [&str; 2]| {
            format!("<cputune><vcpupin vcpu='0' cpuset='{}'/><vcpupin vcpu='1' cpuset='{}'/></cputune>", cpus[0], cpus[1])
        };
        assert_eq!(of(&pin(["1", "5"]), &pin(["2", "6"])), ["pinning to the host's CPUs 1,5 → 2,6"]);
        assert_eq!(of(&pin(["1", "5"]), &pin(["5", "1"])), ["pinning to the host's CPUs 1,5 changed"]);
    }

    #[test]
    fn in_full_the_parts_that_differ_are_named() {
        let parsed = |text: &str| Document::parse(&format!("<domain type='kvm'><devices>{text}</devices></domain>")).unwrap();
        let of = |before: &str, after: &str| changes_in_full(&parsed(before), &parsed(after), &Host::default());
        let disk = "<disk type='file'><driver cache='none'/><source file='/a'/><target dev='sda'/></disk>";
        assert_eq!(of(disk, &disk.replace("'none'", "'unsafe'")), ["disk sda /a: driver cache='none' → driver cache='unsafe'"]);
        assert_eq!(of(disk, &disk.replace("<source", "<serial>x</serial><source")), ["disk sda /a with serial x"]);
        assert_eq!(of(disk, &disk.replace("<driver cache='none'/>", "")), ["disk sda /a without driver cache='none'"]);
    }

    #[test]
    fn what_has_no_words_of_its_own_is_named_by_its_path() {
        let timers = "<clock offset='utc'><timer name='rtc' tickpolicy='delay'/><timer name='hpet' present='no'/></clock>";
        assert_eq!(of(timers, &timers.replace("delay", "catchup")), ["clock/timer rtc tickpolicy='delay' → tickpolicy='catchup'"]);
        assert_eq!(of(timers, "<clock offset='utc'/>").len(), 2);
        assert_eq!(of("", "<features><ioapic driver='kvm'/></features>"), ["features/ioapic driver='kvm' added"]);
        assert_eq!(of("<features><acpi/></features>", ""), ["features/acpi removed"]);
        let watchdogs = "<devices><watchdog model='itco' action='reset'/></devices>";
        assert_eq!(of("<devices/>", watchdogs), ["device watchdog itco added"]);
    }

    #[test]
    fn a_word_stands_for_the_record() {
        let text = |record: &str| format!("<domain><metadata><v:domain xmlns:v='{NAMESPACE}'>{record}</v:domain></metadata><a/></domain>");
        assert_eq!(folded(&text("{\"version\":2}"), "a word"), text("a word"));
        assert_eq!(folded("<domain><a/></domain>", "a word"), "<domain><a/></domain>");
    }

    #[test]
    fn the_record_is_none_of_the_domains_changes() {
        let text = |record: &str| format!("<domain><metadata><v:domain xmlns:v='{NAMESPACE}'>{record}</v:domain></metadata></domain>");
        let parsed = |record: &str| Document::parse(&text(record)).unwrap();
        assert_eq!(changes(&parsed("{}"), &parsed("{\"version\":2}"), &Host::default()), [""; 0]);
        assert_eq!(without_record(&parsed("{}")), "<domain></domain>");
        let both = text("{}").replace("<metadata>", "<metadata><x:y xmlns:x='urn:x'/>");
        assert!(without_record(&Document::parse(&both).unwrap()).contains("<metadata><x:y xmlns:x='urn:x'/></metadata>"));
    }
}
