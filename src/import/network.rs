//! Network cards and their backends.

use super::draft::Draft;
use super::hostdevs::without_rom;
use super::options::QemuOption;
use super::props::Props;
use super::table;
use crate::model::Tap;
use crate::xml::Fragment;

const NO_PORT_FORWARDING: &str =
    "libvirt's user network does not forward ports (with passt it can: <backend type='passt'/> and <portForward>)";
/// Properties of QEMU's user network without a libvirt element.
const USER_NETWORK_PROPERTIES: &str =
    "hostfwd guestfwd restrict net host dhcpstart dns dnssearch domainname tftp tftp-server-name bootfile hostname ipv4 ipv6 ipv6-net";
const USER_NETWORK_DIFFERS: &str = "libvirt's user network has no such settings, and the guest's network would differ";
const TAP_BY_FD: &str = "the script opens the tap of a network card itself (fd=): model and MAC are kept, but the card is on no network: write \
     <interface type='direct'> or <interface type='bridge'> with its <source>";
/// Options that set a network, or that QEMU adds none.
const NETWORKS: [&str; 4] = ["net", "nic", "netdev", "nodefaults"];

/// A network card: its properties, its options, and the one with its network.
struct Card {
    model: Option<String>,
    mac: Option<String>,
    options: Vec<usize>,
    backend: usize,
}

pub(super) fn translate(draft: &mut Draft) {
    redirections(draft);
    for index in draft.named(&["nic", "net"]) {
        if draft.peek(index, "type") == Some("none") {
            draft.take(index, "type");
            draft.native(index, "no <interface>");
        }
    }
    for index in draft.named(&["nic"]) {
        let card = Card { model: draft.take(index, "model"), mac: draft.take(index, "mac"), options: vec![index], backend: index };
        interface(draft, card);
    }
    // A card of `-net` on a network of `-netdev` (`net_init_nic`).
    for index in draft.named(&["net"]) {
        if let Some(backend) = draft.behind(index, "netdev", "netdev") {
            draft.take(index, "netdev");
            let card = old_card(draft, index, backend);
            interface(draft, card);
        }
    }
    for backend in draft.named(&["netdev"]) {
        let Some(device) = draft.with("device", "netdev", draft.peek(backend, "id").unwrap_or_default()) else {
            draft.drop(backend, "no device uses this network");
            continue;
        };
        if table::group(draft.peek(device, "driver").unwrap_or_default(), &["interface"]).is_none() {
            draft.keep(backend, "libvirt has no element for its device");
            draft.keep(device, "libvirt has no element for this device");
            continue;
        }
        let (model, mac) = (draft.peek(device, "driver").map(str::to_owned), draft.take(device, "mac"));
        interface(draft, Card { model, mac, options: vec![device, backend], backend });
    }
    old_style(draft);
    if !draft.options.iter().any(|option| NETWORKS.contains(&option.name.as_str())) {
        let model = default_model(draft);
        draft.notes.push(format!(
            "the script sets no network: QEMU's default is used, a network card {model} on the user network (-nic none: no card)"
        ));
        draft.device(Fragment::new("interface").with("type", "user").child(Fragment::new("model").with("type", model)));
    }
}

fn default_model(draft: &Draft) -> &'static str {
    if draft.is_express { "e1000e" } else { "e1000" }
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
        let is_user = |option: &QemuOption| NETWORKS.contains(&option.name.as_str()) && option.peek("type") == Some("user");
        if let Some(network) = draft.options.iter_mut().find(|option| is_user(option)) {
            let name = network.name.clone();
            network.becomes(&name, &format!("{},hostfwd={forward}", network.value()));
            draft.native(index, &format!("hostfwd={forward} of -{name} user"));
        } else if draft.options.iter().any(|option| NETWORKS.contains(&option.name.as_str())) {
            draft.drop(index, "the script has no user network whose port it could forward");
        } else {
            draft.options[index].becomes("nic", &format!("user,hostfwd={forward}"));
        }
    }
}

/// A MAC address that libvirt accepts; a note reports one that it would refuse.
fn address(draft: &mut Draft, mac: &str) -> Option<String> {
    let parts: Option<Vec<u8>> = mac.split([':', '-']).map(|part| u8::from_str_radix(part, 16).ok()).collect();
    let Some(mut parts) = parts.filter(|parts| parts.len() == 6) else {
        draft.notes.push(format!("mac={mac} is not a MAC address, and QEMU refuses it: it is left out, and libvirt generates one"));
        return None;
    };
    // To QEMU as none.
    if parts.iter().all(|part| *part == 0) {
        return None;
    }
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
    let (cards, backends): (Vec<usize>, Vec<usize>) =
        draft.named(&["net"]).into_iter().partition(|index| draft.peek(*index, "type") == Some("nic"));
    for (number, index) in cards.iter().copied().enumerate() {
        let Some(&backend) = backends.get(number).or_else(|| backends.first()) else {
            draft.drop(index, "this network card has no backend");
            continue;
        };
        let card = old_card(draft, index, backend);
        interface(draft, card);
    }
    for (number, index) in backends.into_iter().enumerate() {
        if number < cards.len() || cards.is_empty() {
            draft.drop(index, "no network card uses this");
            continue;
        }
        let remedy = "leave one of them out of the script, or give each a card of its own: -nic user -nic tap,ifname=…";
        draft.refuse(
            index,
            "QEMU connects all -net to one hub, so that a card is on several networks, which libvirt has no element for",
            remedy,
        );
    }
}

fn old_card(draft: &mut Draft, index: usize, backend: usize) -> Card {
    draft.options[index].props.ignore(&["type", "addr"]);
    let mac = draft.take(index, "macaddr").or_else(|| draft.take(index, "mac"));
    Card { model: draft.take(index, "model"), mac, options: vec![index, backend], backend }
}

/// Passes a card and its network to QEMU. A card of `-net` or `-nic` gets its address before libvirt's devices
/// exist, and could occupy one of theirs: it becomes a `-device`, which is created after them.
fn keep(draft: &mut Draft, card: &Card, why: &str) {
    let backend = card.backend;
    let is_old = draft.options[card.options[0]].name != "device";
    if is_old && draft.options[backend].fate.is_none() {
        let id = draft
            .peek(backend, "id")
            .filter(|_| draft.options[backend].name == "netdev")
            .map_or_else(|| format!("import{backend}"), str::to_owned);
        let props = Props::read(draft.options[backend].value(), "type").left();
        let mut value = format!("{},id={id}", props.iter().find(|(name, _)| name == "type").map_or("user", |(_, kind)| kind));
        for (name, to) in props.iter().filter(|(name, _)| !table::has("type model mac macaddr vlan name netdev id addr smbserver", name)) {
            value.push_str(&format!(",{name}={}", to.replace(',', ",,")));
        }
        let model = card.model.as_deref().unwrap_or(default_model(draft));
        let mac = card.mac.as_ref().map(|mac| format!(",mac={mac}")).unwrap_or_default();
        let device = format!("{},netdev={id}{mac}", if model == "virtio" { "virtio-net-pci" } else { model });
        draft.options[backend].becomes("netdev", &value);
        match card.options.iter().find(|index| **index != backend) {
            Some(index) => draft.options[*index].becomes("device", &device),
            None => draft.pass("device", &device),
        }
    }
    for index in &card.options {
        draft.keep(*index, why);
    }
}

/// The network device behind the open file that a card was given.
fn tap(draft: &Draft, backend: usize) -> Option<Tap> {
    let numbers = draft.peek(backend, "fd").or_else(|| draft.peek(backend, "fds"))?;
    draft.descriptors.get(&numbers.split(':').next()?.parse().ok()?)?.tap.clone()
}

/// A tap that QEMU makes with its script, or finds (`net_init_tap`): libvirt makes it and runs the script, or expects it.
fn of_tap(draft: &mut Draft, backend: usize, target: Option<Fragment>) -> (Option<Fragment>, Vec<Fragment>) {
    let name = target.as_ref().and_then(|target| target.attribute("dev")).map_or_else(|| "the tap".to_owned(), str::to_owned);
    let mut scripts = Vec::new();
    // `DEFAULT_NETWORK_SCRIPT` and `DEFAULT_NETWORK_DOWN_SCRIPT` of QEMU's net.h.
    for (property, default) in [("script", "/etc/qemu-ifup"), ("downscript", "/etc/qemu-ifdown")] {
        let path = draft.take(backend, property).unwrap_or_else(|| default.to_owned());
        if !["", "no"].contains(&path.as_str()) {
            scripts.push(Fragment::new(property).with("path", path));
        }
    }
    if let Some(path) = scripts.iter().find(|script| script.name() == "script").and_then(|script| script.attribute("path")) {
        draft.notes.push(format!("{name}: libvirt makes it at the start, and runs {path} for it as root"));
        return (target, scripts);
    }
    if target.is_some() {
        draft.notes.push(format!(
            "{name} has to exist before the start (managed='no'), QEMU makes it where it is missing: ip tuntap add {name} mode tap"
        ));
    }
    (target.map(|target| target.with("managed", "no")), scripts)
}

/// What libvirt derives from the number of queues (`qemuBuildNicDevProps`): other values are told.
fn multiqueue(draft: &mut Draft, options: &[usize], card: &Fragment) {
    let queues: u32 = card.at("driver").and_then(|driver| driver.attribute("queues")?.parse().ok()).unwrap_or(1);
    for index in options.iter().copied() {
        if draft.flag(index, "mq") == Some(true) && queues == 1 {
            draft.notes.push("mq=on without queues= of the network gives the card one queue, as without it: it is left out".into());
        }
        if draft.peek(index, "vectors").and_then(|vectors| vectors.parse().ok()) == Some(2 * queues + 2) {
            draft.take(index, "vectors");
        }
    }
}

/// The socket of another process that serves a card; it shares the guest's memory.
fn vhost_user(draft: &mut Draft, socket: usize) -> Fragment {
    let mode = if draft.flag(socket, "server") == Some(true) { "server" } else { "client" };
    let path = draft.take(socket, "path").unwrap_or_default();
    draft.options[socket].props.ignore(&["backend", "id", "wait", "nowait"]);
    draft.needs_shared_memory = true;
    draft.native(socket, "<interface><source>");
    Fragment::new("source").with("type", "unix").with("path", path).with("mode", mode)
}

fn interface(draft: &mut Draft, card: Card) {
    let backend = card.backend;
    let has = |draft: &Draft, name: &str| draft.peek(backend, name).is_some();
    let is_handed = has(draft, "fd") || has(draft, "fds");
    let tap = tap(draft, backend);
    if let Some(folder) = draft.take(backend, "smb") {
        draft.options[backend].set("smb", None);
        let note = format!("smb={folder} is left out: QEMU would start Samba, which libvirt forbids; share the folder with <filesystem>");
        draft.notes.push(note);
    }
    // Each open file is a queue.
    let queues = draft.peek(backend, "fds").map(|numbers| numbers.split(':').count()).filter(|_| is_handed);
    if is_handed {
        draft.notes.extend(tap.is_none().then(|| TAP_BY_FD.to_owned()));
        draft.options[backend].props.ignore(&["fd", "fds", "vhostfd", "vhostfds"]);
    }
    let own = |name: &str| draft.peek(backend, name).is_some_and(|value| (name, value) != ("restrict", "off"));
    if has(draft, "hostfwd") || has(draft, "guestfwd") {
        return keep(draft, &card, NO_PORT_FORWARDING);
    }
    if draft.peek(backend, "type") == Some("user") && USER_NETWORK_PROPERTIES.split(' ').any(own) {
        return keep(draft, &card, USER_NETWORK_DIFFERS);
    }
    let kind = draft.take(backend, "type").unwrap_or_default();
    // The helper's default bridge (`DEFAULT_BRIDGE_INTERFACE`).
    let by_helper = (kind == "bridge" || (kind == "tap" && has(draft, "helper"))).then(|| "br0".to_owned());
    let bridge = draft.take(backend, "br").or(by_helper).or_else(|| tap.as_ref()?.bridge.clone());
    let name = draft.take(backend, "ifname").or_else(|| Some(tap.as_ref()?.name.clone()));
    let below = tap.and_then(|tap| tap.below);
    let socket = draft.behind(backend, "chardev", "chardev").filter(|socket| draft.peek(*socket, "path").is_some());
    let (kind, inner) = match (kind.as_str(), bridge) {
        ("tap", _) if below.is_some() => {
            let below = below.unwrap_or_default();
            draft.notes.push(format!("the network card is a macvtap of {below}: mode='bridge' is assumed, see ip -d link"));
            ("direct", Some(Fragment::new("source").with("dev", below).with("mode", "bridge")))
        }
        ("user", _) => ("user", None),
        ("bridge" | "tap", Some(bridge)) => ("bridge", Some(Fragment::new("source").with("bridge", bridge))),
        ("vhost-user", _) if socket.is_some() => ("vhostuser", socket.map(|socket| vhost_user(draft, socket))),
        ("tap", None) => ("ethernet", name.as_ref().map(|name| Fragment::new("target").with("dev", name))),
        _ => return keep(draft, &card, "libvirt has no element for this network"),
    };
    let (inner, scripts) = if kind == "ethernet" && !is_handed { of_tap(draft, backend, inner) } else { (inner, Vec::new()) };
    let mac = card.mac.and_then(|mac| address(draft, &mac));
    let virtio = draft.virtio_model(card.options[0]);
    let model = card.model.unwrap_or_else(|| default_model(draft).into());
    let model = table::element("interface", &model).and_then(|card| Some(card.attribute("model")?.to_owned())).unwrap_or(model);
    let model = if model == "virtio" { virtio } else { &model };
    let mut element = Fragment::new("interface").with("type", kind);
    element = element.child_if(mac.map(|mac| Fragment::new("mac").with("address", mac)));
    element = element.child_if(inner);
    for script in scripts {
        element = element.child(script);
    }
    element = element.child(Fragment::new("model").with("type", model));
    if !model.starts_with("virtio") {
        draft.take(backend, "vhost");
    }
    for index in card.options.iter().rev() {
        draft.fill(*index, "netdev", &mut element);
        draft.ignore_address(*index);
        draft.native(*index, "<interface>");
    }
    if let Some(queues) = queues.filter(|queues| *queues > 1) {
        element.set("driver@queues", queues);
    }
    multiqueue(draft, &card.options, &element);
    without_rom(&mut element);
    draft.device(element);
}
