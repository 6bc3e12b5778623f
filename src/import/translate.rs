//! Converts a script's QEMU command into a domain, and reports what became of each option.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::assemble::assemble;
use super::copied::Copied;
use super::draft::Draft;
use super::options::{Conversion, QemuOption, current_options};
use super::paths::ImportContext;
use super::props::same_name;
use super::shell::{Script, joined};
use super::table::{self, MEANINGLESS};
use super::{
    before, channels, cpu, display, environment, firmware, host_changes, hostdevs, machine, memory, network, paths, sets, small, sound,
    storage, usb,
};
use crate::xml::{Fragment, is_xml};

/// A part of the command line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Part {
    /// As it was written.
    pub option: String,
    /// What became of it.
    pub fate: Conversion,
    /// The element, or the reason.
    pub how: String,
    /// Its properties that were not converted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
}

/// A domain made from a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Imported {
    /// The domain's name.
    pub name: String,
    /// Its XML.
    pub xml: String,
    /// Every option, in order.
    pub parts: Vec<Part>,
    /// Notes for the user.
    pub notes: Vec<String>,
    /// Reasons not to define the domain, since it would not behave like the script, each with its remedy.
    #[serde(skip)]
    pub refusals: Vec<(String, String)>,
}

/// Converts a script into a domain; `name` is used if its options set no name.
pub fn translate(script: &Script, name: &str, forced_name: Option<&str>, around: ImportContext<'_>) -> Imported {
    let mut options = current_options(&script.argv);
    let placed = paths::absolute(&mut options, script, &around);
    let given = options.len();
    let mut draft = Draft::new(options);
    draft.notes.extend(placed.notes);
    draft.refusals.extend(placed.refusals);
    draft.descriptors.clone_from(&script.descriptors);
    other_architectures(&mut draft, script);
    bare_words(&mut draft);
    quotes(&mut draft);
    let folder = script.folder.as_deref().unwrap_or_default();
    let absolute = |copy: &Copied| Copied { from: joined(folder, &copy.from), to: joined(folder, &copy.to), ..*copy };
    draft.copies = script.copies.iter().map(absolute).collect();
    sets::translate(&mut draft);
    machine::translate(&mut draft, script.argv.first().map_or("", String::as_str));
    cpu::translate(&mut draft);
    for (vcpu, set) in &script.pins {
        draft.domain.push("cputune", Fragment::new("vcpupin").with("vcpu", vcpu).with("cpuset", set));
    }
    firmware::translate(&mut draft);
    small::translate(&mut draft);
    usb::translate(&mut draft);
    storage::translate(&mut draft, &around);
    network::translate(&mut draft);
    memory::translate(&mut draft);
    hostdevs::translate(&mut draft);
    display::translate(&mut draft);
    sound::translate(&mut draft, &script.environment);
    environment::translate(&mut draft, &script.environment);
    channels::translate(&mut draft);
    option_files(&mut draft);
    settle(&mut draft);
    unnamed(&mut draft);
    open_files(&mut draft);
    device_nodes(&mut draft);
    let moved: Vec<String> = draft.options.iter().filter_map(|option| draft.moved(option)).collect();
    draft.notes.extend(moved);
    let left = before::translate(&mut draft, &script.before);
    let name = forced_name.map(str::to_owned).or(draft.name.take()).unwrap_or_else(|| name.to_owned()).replace('/', "-");
    let emulator = emulator(&mut draft, script);
    let xml = assemble(&draft, &name, emulator.as_deref());
    let mut notes = script.notes.clone();
    notes.extend(before::programs(&draft, script));
    notes.extend(host_changes::notes(&script.host_changes));
    if !left.is_empty() {
        notes.push(format!("{} before QEMU is left out: libvirt starts QEMU itself, as its own user", left.join(" ")));
    }
    notes.append(&mut draft.notes);
    let words = script.argv.iter().chain(forced_name.is_some().then_some(&name));
    for word in words.filter(|word| !is_xml(word)) {
        let why = format!("{word:?} contains a character that is not allowed in XML, so libvirt cannot accept it");
        draft.refusals.push((why, "remove the character from the script".to_owned()));
    }
    Imported { name, xml, parts: draft.options.iter().take(given).map(part).collect(), notes, refusals: draft.refusals }
}

/// The script's QEMU; none where it is only a name, which libvirt finds too.
fn emulator(draft: &mut Draft, script: &Script) -> Option<String> {
    let program = script.argv.first().filter(|program| program.contains(['/', '$', ' ']))?;
    let folder = script.folder.as_deref();
    if program.contains(['$', ' ']) || !(program.starts_with('/') || folder.is_some()) {
        draft.notes.push(format!(
            "the script starts {program}, whose place is not known, so the domain has libvirt's own QEMU; <emulator> names another"
        ));
        return None;
    }
    Some(joined(folder.unwrap_or_default(), program))
}

/// Refuses a QEMU of another architecture: the domains are x86.
fn other_architectures(draft: &mut Draft, script: &Script) {
    let program = script.argv.first().map_or("", String::as_str);
    // Some builds have a word behind: `qemu-system-x86_64-spice`.
    let name = program.rsplit('/').next().and_then(|name| name.strip_prefix("qemu-system-")?.split('-').next());
    if let Some(other) = name.filter(|name| !["x86_64", "i386"].contains(name) && !name.contains(['$', ')'])) {
        let why = format!("{program} emulates {other}, and vgapt makes domains for x86 only");
        draft.refusals.push((why, "make it with virt-manager, which knows the machines of other architectures".into()));
    }
}

/// Refuses words that belong to no option: QEMU takes each for the image of the first disk, and accepts only one.
fn bare_words(draft: &mut Draft) {
    let bare: Vec<String> =
        draft.options.iter().map(|option| format!("'{}'", option.written)).filter(|word| !word.starts_with("'-")).collect();
    if bare.len() > 1 {
        let why =
            format!("{} belong to no option: QEMU takes each for the image of the first disk, and refuses the second", bare.join(", "));
        draft.refusals.push((why, "correct the script: an option, a quote or a \\ before the end of a line is missing".into()));
    }
}

/// Names values in quotes: the shell removes quotes that are written in a command, and those in a variable's value reach QEMU.
fn quotes(draft: &mut Draft) {
    let is_quoted = |value: &String| value.len() > 1 && value.starts_with('"') && value.ends_with('"');
    let named = |option: &QemuOption| {
        let quoted = option.props.left().into_iter().filter(|(_, value)| is_quoted(value));
        quoted
            .map(|(name, value)| format!("{name}={value} of -{}: the quotes are part of the value, as QEMU gets it", option.name))
            .collect::<Vec<_>>()
    };
    let notes: Vec<String> = draft.options.iter().flat_map(named).collect();
    draft.notes.extend(notes);
}

/// Refuses what is passed to QEMU unchanged with the number of a file that libvirt does not open.
fn open_files(draft: &mut Draft) {
    let kept = draft.options.iter().filter(|option| option.is_kept());
    let by_number = kept.filter(|option| ["fd", "fds", "vhostfd", "vhostfds"].iter().any(|name| option.peek(name).is_some()));
    let why = by_number.map(|option| format!("{}: it uses an open file of another process (fd=)", option.written));
    let remedy = "name the file, the socket or the network device in the script in place of fd=";
    draft.refusals.extend(why.map(|why| (why, remedy.to_owned())).collect::<Vec<_>>());
}

/// Properties that name another option by its id.
const BY_ID: &str = "chardev netdev drive fsdev tpmdev memdev rng iothread cryptodev";

/// Refuses what is passed to QEMU unchanged and names an option that is not: QEMU would not find it.
fn unnamed(draft: &mut Draft) {
    let mut refusals = Vec::new();
    for option in draft.options.iter().filter(|option| option.is_kept()) {
        for (name, id) in option.props.left().into_iter().filter(|(name, _)| table::has(BY_ID, name)) {
            let is_it = |of: &&QemuOption| of.name != "device" && [of.peek("id"), of.peek("node-name")].contains(&Some(id.as_str()));
            let mut named = draft.options.iter().filter(is_it);
            if let Some(other) = named.next().filter(|other| !other.is_kept() && !named.any(QemuOption::is_kept)) {
                let why =
                    format!("{}: libvirt passes it to QEMU unchanged, but not {}, which its {name}= names", option.written, other.written);
                refusals.push((why, format!("remove it from the script, or give it one more -{}", other.name)));
            }
        }
    }
    draft.refusals.extend(refusals);
}

/// Device nodes that libvirt lets each QEMU open (`cgroup_device_acl` of qemu.conf), and folders below /dev.
const OPEN_TO_ALL: &str = "/dev/null /dev/full /dev/zero /dev/random /dev/urandom /dev/ptmx /dev/kvm /dev/userfaultfd";
const FOLDERS: [&str; 3] = ["/dev/shm", "/dev/hugepages", "/dev/fdset"];

/// Devices for which QEMU opens a node that no property names.
const NODES: &[(&str, &str)] = &[
    ("usb-host", "/dev/bus/usb/BUS/DEVICE (lsusb)"),
    ("vhost-scsi-pci vhost-scsi-pci-non-transitional vhost-scsi-pci-transitional", "/dev/vhost-scsi"),
    ("vhost-vsock-pci vhost-vsock-device", "/dev/vhost-vsock"),
    ("vfio-pci vfio-pci-nohotplug vfio-ap", "/dev/vfio/GROUP"),
    ("tap", "/dev/net/tun"),
    ("iommufd", "/dev/iommu and /dev/vfio/devices/NAME"),
    ("sev-guest sev-snp-guest", "/dev/sev"),
];

/// Says of device nodes that only QEMU knows how libvirt lets it open them.
fn device_nodes(draft: &mut Draft) {
    let mut nodes: BTreeSet<String> = BTreeSet::new();
    for option in draft.options.iter().filter(|option| option.is_kept()) {
        let is_network = ["netdev", "net", "nic"].contains(&option.name.as_str());
        let kind = option.driver().or_else(|| option.peek("qom-type")).or_else(|| option.peek("type").filter(|_| is_network));
        nodes.extend(kind.and_then(|kind| table::of(NODES, kind)).map(str::to_owned));
        let values = option.props.left().into_iter().map(|(_, value)| value).chain(option.value.clone());
        let is_node =
            |path: &String| path.starts_with("/dev/") && !table::has(OPEN_TO_ALL, path) && !FOLDERS.iter().any(|of| path.starts_with(of));
        nodes.extend(values.filter(is_node));
    }
    if !nodes.is_empty() {
        let nodes = nodes.into_iter().collect::<Vec<_>>().join(", ");
        draft.notes.push(format!(
            "{nodes}: QEMU opens it by itself, and libvirt lets QEMU open only the device nodes of elements: add it to cgroup_device_acl in \
             /etc/libvirt/qemu.conf, beside those that the comment there lists, restart libvirtd, and let QEMU's user read and write it"
        ));
    }
}

/// Refuses options that are in a file which is not here.
fn option_files(draft: &mut Draft) {
    for index in draft.named(&["readconfig"]) {
        let remedy =
            "copy the file to that path on this machine; or write its options into the command line, and give that with --argv FILE";
        draft.refuse(index, "the options in this file are not read", remedy);
    }
}

const OWN_MONITOR: &str = "libvirt uses the monitor itself: virsh qemu-monitor-command";

/// Settles the options that no subject has taken.
fn settle(draft: &mut Draft) {
    // The character device of a monitor goes with it.
    for index in draft.named(&["monitor", "qmp", "qmp-pretty", "mon"]) {
        let id = draft.peek(index, "chardev").or(draft.options[index].value().strip_prefix("chardev:")).unwrap_or_default();
        if let Some(chardev) = draft.with("chardev", "id", id) {
            draft.drop(chardev, OWN_MONITOR);
        }
        draft.drop(index, OWN_MONITOR);
    }
    for (names, why) in MEANINGLESS {
        for index in draft.named(&names.split(' ').collect::<Vec<_>>()) {
            draft.drop(index, why);
        }
    }
    globals(draft);
    for index in draft.named(&["object"]) {
        if draft.peek(index, "qom-type") == Some("sev-guest") {
            draft.keep(index, "<launchSecurity type='sev'> has its values, lets QEMU open /dev/sev, and locks the guest's memory: write it in place of this");
        }
    }
    for index in 0..draft.options.len() {
        draft.keep(index, "libvirt has no element for this");
    }
}

/// Settles the `-global` that became properties of devices: where a device has no element for one, QEMU gets it as it is.
fn globals(draft: &mut Draft) {
    let (mut needed, mut settled) = (BTreeSet::new(), BTreeMap::new());
    for (global, device, property) in std::mem::take(&mut draft.globals) {
        let is_left = draft.options[device].props.left().iter().any(|(name, _)| same_name(name, &property));
        if is_left || draft.options[device].fate.is_none() || draft.options[device].is_kept() {
            draft.options[device].props.set(&property, None);
            needed.insert(global);
        } else {
            settled.insert(global, draft.options[device].written.clone());
        }
    }
    for global in needed {
        draft.keep(global, "a device property without a libvirt element");
    }
    for (global, device) in settled {
        draft.whole(global);
        draft.native(global, &format!("as a property of {device}"));
    }
}

/// Why a property is not converted.
fn reason_not_converted(option: &str, name: &str) -> &'static str {
    match name {
        "debug" | "x-pci-debug" => "debug output for QEMU developers",
        "disable-modern" => "libvirt has no model with the legacy interface alone; virtio-transitional has both",
        "model" | "ver" | "wwn" => "libvirt supports it for SCSI disks only",
        _ if option == "device" => "libvirt has no element for it; <qemu:override> can set it",
        _ => "libvirt has no element for it",
    }
}

fn part(option: &QemuOption) -> Part {
    let (fate, how) = option.fate.clone().unwrap_or((Conversion::Meaningless, String::new()));
    let left = if fate == Conversion::Native { option.props.left() } else { Vec::new() };
    let left = left.into_iter().map(|(name, value)| format!("{name}={value}: {}", reason_not_converted(&option.name, &name))).collect();
    Part { option: option.written.clone(), fate, how, left }
}
