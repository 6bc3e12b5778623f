//! Network cards and their backends.

use super::draft::Draft;
use super::props::Props;
use crate::xml::Fragment;

/// Network cards as devices: QEMU's driver, libvirt's model.
const CARDS: [(&str, &str); 20] = [
    ("virtio-net-pci", "virtio"),
    ("virtio-net", "virtio"),
    ("virtio-net-pci-non-transitional", "virtio-non-transitional"),
    ("virtio", "virtio"),
    ("e1000", "e1000"),
    ("virtio-net-pci-transitional", "virtio-transitional"),
    ("virtio-net-non-transitional", "virtio-non-transitional"),
    // libvirt passes other model names to QEMU unchanged.
    ("e1000-82540em", "e1000"),
    ("e1000-82544gc", "e1000-82544gc"),
    ("e1000-82545em", "e1000-82545em"),
    ("pcnet", "pcnet"),
    ("tulip", "tulip"),
    ("i82550", "i82550"),
    ("i82551", "i82551"),
    ("i82557b", "i82557b"),
    ("e1000e", "e1000e"),
    ("rtl8139", "rtl8139"),
    ("vmxnet3", "vmxnet3"),
    ("ne2k_pci", "ne2k_pci"),
    ("igb", "igb"),
];

const NO_PORT_FORWARDING: &str =
    "libvirt's user network does not forward ports (with passt it can: <backend type='passt'/> and <portForward>)";
/// Properties of QEMU's user network without a libvirt element.
const USER_NETWORK_PROPERTIES: [&str; 16] = [
    "hostfwd",
    "guestfwd",
    "restrict",
    "net",
    "host",
    "dhcpstart",
    "dns",
    "dnssearch",
    "domainname",
    "tftp",
    "tftp-server-name",
    "bootfile",
    "hostname",
    "ipv4",
    "ipv6",
    "ipv6-net",
];
const USER_NETWORK_DIFFERS: &str = "libvirt's user network has no such settings, and the guest's network would differ";
const TAP_BY_FD: &str = "the script opens the tap of a network card itself (fd=): model and MAC are kept, but the card is on no network: write \
     <interface type='direct'> or <interface type='bridge'> with its <source>";

pub(super) fn translate(draft: &mut Draft) {
    redirections(draft);
    for index in draft.named(&["nic", "net"]) {
        if draft.options[index].props.peek("type") == Some("none") {
            draft.take(index, "type");
            draft.native(index, "no <interface>");
        }
    }
    for index in draft.named(&["nic"]) {
        let card = Card { model: draft.take(index, "model"), mac: draft.take(index, "mac"), boot: None, options: vec![index] };
        interface(draft, index, card);
    }
    for backend in draft.named(&["netdev"]) {
        let id = draft.options[backend].props.peek("id").unwrap_or_default().to_owned();
        let Some(device) = draft.with("device", "netdev", &id) else {
            draft.drop(backend, "no device uses this network");
            continue;
        };
        let driver = draft.options[device].props.peek("driver").unwrap_or_default().to_owned();
        if !CARDS.iter().any(|(known, _)| *known == driver) {
            draft.keep(backend, "libvirt has no element for its device");
            draft.keep(device, "libvirt has no element for this device");
            continue;
        }
        let card = Card {
            model: draft.take(device, "driver"),
            mac: draft.take(device, "mac"),
            boot: draft.boot_order(device),
            options: vec![device, backend],
        };
        draft.options[device].props.ignore(&["netdev"]);
        draft.take(backend, "id");
        interface(draft, backend, card);
    }
    old_style(draft);
    let has_network = draft.options.iter().any(|option| ["net", "nic", "netdev", "nodefaults"].contains(&option.name.as_str()));
    if !has_network {
        let model = if draft.is_express { "e1000e" } else { "e1000" };
        draft.notes.push(format!(
            "the script sets no network: QEMU's default is used, a network card {model} on the user network (-nic none: no card)"
        ));
        draft.device(Fragment::new("interface").with("type", "user").child(Fragment::new("model").with("type", model)));
    }
}

/// `-redir tcp:2222::22`, which QEMU no longer has, forwards a port of the user network.
fn redirections(draft: &mut Draft) {
    for index in draft.named(&["redir"]) {
        let value = draft.options[index].value().to_owned();
        let parts: Vec<&str> = value.split(':').collect();
        let [protocol, from, guest, to] = parts[..] else {
            draft.drop(index, "it is not of the form -redir tcp:PORT:[GUEST]:PORT, and QEMU no longer has this option");
            continue;
        };
        let forward = format!("{}::{from}-{guest}:{to}", if protocol.is_empty() { "tcp" } else { protocol });
        let is_user = |option: &super::options::QemuOption| {
            ["net", "netdev", "nic"].contains(&option.name.as_str()) && option.props.peek("type") == Some("user")
        };
        let has_network = draft.options.iter().any(|option| ["net", "nic", "netdev", "nodefaults"].contains(&option.name.as_str()));
        if let Some(network) = draft.options.iter().position(is_user) {
            draft.options[network].add("hostfwd", &forward);
            draft.native(index, &format!("hostfwd={forward} of -{} user", draft.options[network].name));
        } else if has_network {
            draft.drop(index, "the script has no user network whose port it could forward");
        } else {
            draft.options[index].becomes("nic", &format!("user,hostfwd={forward}"));
        }
    }
}

/// A MAC address that libvirt accepts; a note reports one that it would refuse.
fn address(draft: &mut Draft, mac: &str) -> Option<String> {
    let parts: Vec<Option<u8>> = mac.split([':', '-']).map(|part| u8::from_str_radix(part, 16).ok()).collect();
    let parts: Option<Vec<u8>> = parts.into_iter().collect();
    let Some(mut parts) = parts.filter(|parts| parts.len() == 6) else {
        draft.notes.push(format!("mac={mac} is not a MAC address, and QEMU refuses it: it is left out, and libvirt generates one"));
        return None;
    };
    let is_multicast = parts[0] & 1 == 1;
    parts[0] &= !1;
    let unicast = parts.iter().map(|part| format!("{part:02x}")).collect::<Vec<_>>().join(":");
    if is_multicast {
        draft.notes.push(format!("mac={mac} is a multicast address, which libvirt refuses: {unicast} is used instead"));
    }
    Some(unicast)
}

/// `-net nic` and `-net user`: all cards and backends on one hub.
fn old_style(draft: &mut Draft) {
    let all = draft.named(&["net"]);
    let (cards, backends): (Vec<usize>, Vec<usize>) =
        all.into_iter().partition(|index| draft.options[*index].props.peek("type") == Some("nic"));
    for (number, index) in cards.iter().copied().enumerate() {
        let Some(&backend) = backends.get(number).or_else(|| backends.first()) else {
            draft.drop(index, "this network card has no backend");
            continue;
        };
        draft.take(index, "type");
        draft.options[index].props.ignore(&["vlan", "name", "netdev"]);
        draft.options[backend].props.ignore(&["vlan", "name"]);
        let mac = draft.take(index, "macaddr").or_else(|| draft.take(index, "mac"));
        let card = Card { model: draft.take(index, "model"), mac, boot: None, options: vec![index, backend] };
        draft.options[index].props.ignore(&["addr"]);
        interface(draft, backend, card);
    }
    for index in backends {
        draft.drop(index, "no network card uses this");
    }
}

/// Passes a card and its network to QEMU. A card of `-net` or `-nic` gets its address before libvirt's devices
/// exist, and could occupy one of theirs: it becomes a `-device`, which is created after them.
fn keep(draft: &mut Draft, backend: usize, card: &Card, why: &str) {
    let is_old = ["net", "nic"].contains(&draft.options[backend].name.as_str());
    if is_old && draft.conversions[backend].is_none() {
        let id = format!("import{backend}");
        let doubled = |text: &str| text.replace(',', ",,");
        let props = Props::read(draft.options[backend].value(), "type").left();
        let of_card = ["model", "mac", "macaddr", "vlan", "name", "netdev", "id", "addr", "smb", "smbserver"];
        let mut value = format!("{},id={id}", props.iter().find(|(name, _)| name == "type").map_or("user", |(_, kind)| kind));
        for (name, to) in props.iter().filter(|(name, _)| name != "type" && !of_card.contains(&name.as_str())) {
            value.push_str(&format!(",{name}={}", doubled(to)));
        }
        if props.iter().any(|(name, _)| name == "smb") {
            draft.notes.push(
                "smb= is left out: QEMU would start a Samba server, which libvirt forbids; share the folder with <filesystem>".into(),
            );
        }
        let model = card.model.as_deref().unwrap_or(if draft.is_express { "e1000e" } else { "e1000" });
        let mut device = format!("{},netdev={id}", if model == "virtio" { "virtio-net-pci" } else { model });
        if let Some(mac) = &card.mac {
            device.push_str(&format!(",mac={mac}"));
        }
        draft.options[backend].becomes("netdev", &value);
        match card.options.iter().find(|index| **index != backend) {
            Some(index) => draft.options[*index].becomes("device", &device),
            None => {
                let addr = draft.root_bus_address();
                draft.arguments.extend(["-device".to_owned(), format!("{device},addr={addr}")]);
            }
        }
    }
    for index in &card.options {
        draft.keep(*index, why);
    }
}

struct Card {
    model: Option<String>,
    mac: Option<String>,
    boot: Option<Fragment>,
    options: Vec<usize>,
}

fn interface(draft: &mut Draft, backend: usize, card: Card) {
    let forwards = draft.options[backend].props.peek("hostfwd").or_else(|| draft.options[backend].props.peek("guestfwd")).is_some();
    let is_user = draft.options[backend].props.peek("type") == Some("user");
    let own = |name: &&str| draft.options[backend].props.peek(name).is_some_and(|value| (*name, value) != ("restrict", "off"));
    let is_own = is_user && USER_NETWORK_PROPERTIES.iter().any(own);
    let handed = draft.options[backend].props.peek("fd").or_else(|| draft.options[backend].props.peek("fds")).is_some();
    if handed {
        draft.notes.push(TAP_BY_FD.into());
        draft.options[backend].props.ignore(&["fd", "fds", "vhostfd", "vhostfds"]);
    }
    if forwards || is_own {
        return keep(draft, backend, &card, if forwards { NO_PORT_FORWARDING } else { USER_NETWORK_DIFFERS });
    }
    let kind = draft.take(backend, "type").unwrap_or_default();
    // The helper's default bridge (`DEFAULT_BRIDGE_INTERFACE`).
    let by_helper = (kind == "tap" && draft.options[backend].props.peek("helper").is_some()).then(|| "br0".to_owned());
    let bridge = draft.take(backend, "br").or(by_helper);
    let name = draft.take(backend, "ifname");
    let device = name.as_ref().map(|name| Fragment::new("target").with("dev", name));
    let (kind, inner) = match kind.as_str() {
        "user" => ("user", None),
        "bridge" => ("bridge", Some(Fragment::new("source").with("bridge", bridge.unwrap_or_else(|| "br0".into())))),
        // A tap with a name was created by the user; without a name libvirt creates one.
        "tap" => match bridge {
            Some(bridge) => ("bridge", Some(Fragment::new("source").with("bridge", bridge))),
            None => ("ethernet", device.map(|target| target.with("managed", "no"))),
        },
        _ => return keep(draft, backend, &card, "libvirt has no element for this network"),
    };
    if kind == "ethernet" && draft.options[backend].props.peek("script").is_some_and(|script| script != "no") {
        draft.notes.push("libvirt does not run network scripts: name the bridge that the script joins, <interface type='bridge'>".into());
    }
    if kind == "ethernet" && !handed && draft.options[backend].props.peek("script").is_none() {
        // `DEFAULT_NETWORK_SCRIPT` of QEMU's net.h.
        draft.notes.push(
            "for a tap without script= QEMU runs /etc/qemu-ifup, which joins it to a bridge; libvirt does not run that script, \
             and the card is on no network: write <interface type='bridge'><source bridge=…/> for that bridge"
                .into(),
        );
    }
    if let Some(folder) = draft.options[backend].props.peek("smb") {
        let note = format!("smb={folder} is left out: QEMU would start Samba, which libvirt forbids; share the folder with <filesystem>");
        draft.notes.push(note);
    }
    draft.options[backend].props.ignore(&["script", "downscript", "helper"]);
    let vhost = draft.flag(backend, "vhost");
    let queues = draft.take(backend, "queues");
    let mac = card.mac.and_then(|mac| address(draft, &mac));
    let virtio = draft.virtio_model(card.options[0]);
    let model = card.model.unwrap_or_else(|| if draft.is_express { "e1000e" } else { "e1000" }.into());
    let model = CARDS.iter().find(|(driver, _)| *driver == model).map_or(model.as_str(), |(_, model)| model).to_owned();
    let model = if model == "virtio" { virtio.to_owned() } else { model };
    let mut element = Fragment::new("interface").with("type", kind);
    element = element.child_if(mac.map(|mac| Fragment::new("mac").with("address", mac)));
    element = element.child_if(inner).child(Fragment::new("model").with("type", &model));
    let driver = vhost
        .filter(|_| model.starts_with("virtio"))
        .map(|is_on| Fragment::new("driver").with("name", if is_on { "vhost" } else { "qemu" }));
    let driver =
        if let Some(queues) = queues { Some(driver.unwrap_or_else(|| Fragment::new("driver")).with("queues", queues)) } else { driver };
    let mut driver = driver;
    for index in &card.options {
        for (name, attribute) in [
            ("iommu_platform", "iommu"),
            ("ats", "ats"),
            ("packed", "packed"),
            ("rx_queue_size", "rx_queue_size"),
            ("tx_queue_size", "tx_queue_size"),
        ] {
            if let Some(value) = draft.take(*index, name) {
                driver = Some(driver.unwrap_or_else(|| Fragment::new("driver")).with(attribute, value));
            }
        }
    }
    draft.device(element.child_if(driver).child_if(card.boot));
    for index in card.options {
        draft.ignore_address(index);
        draft.options[index].props.ignore(&["mq", "vectors"]);
        draft.native(index, "<interface>");
    }
}
