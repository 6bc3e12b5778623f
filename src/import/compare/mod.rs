//! The script's command line beside the one that libvirt makes of the domain, option by option.

mod normal;

use schemars::JsonSchema;
use serde::Serialize;

use super::options::Conversion;
use super::table::has;
use super::translate::Imported;
use normal::{Item, items};

/// What the comparison found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Comparison {
    /// Options that libvirt's command line has as they are.
    pub same: Vec<String>,
    /// Options in other words, with the same meaning: the option, and which words.
    pub meaning: Vec<(String, String)>,
    /// Options that are left out, and why.
    pub left_out: Vec<(String, String)>,
    /// What differs, and is not said anywhere else: the option, and how.
    pub silent: Vec<(String, String)>,
    /// The devices that libvirt, or QEMU's default in the domain, adds.
    pub added: Vec<String>,
}

/// A value of more letters than this does not occur in a note by chance.
const LONG: usize = 8;

/// Properties that libvirt sets in other words: the kind of device, the property, and how.
const OTHER_WORDS: &[(&str, &str, &str)] = &[
    ("boot", "order", "libvirt writes the order as the bootindex of each device"),
    ("boot", "once", "libvirt has the order of each start only"),
    ("machine", "usb", "<controller type='usb'>"),
    ("cpu", "check", "it only warns, as without it"),
    ("cpu", "enforce", "libvirt checks the processor before the start"),
    ("cpu", "hv-passthrough", "libvirt sets each enlightenment that the kernel supports"),
    ("usb-host", "vendorid productid hostbus hostaddr hostdevice", "libvirt finds the device by its ids at each start"),
    ("*", "mq", "libvirt derives it from the number of queues"),
    (
        "virtio-net-pci e1000 e1000e igb rtl8139 vmxnet3",
        "host-* guest-* rx-queue-size tx-queue-size event-idx csum gso mrg-rxbuf tx acpi-index ats packed iommu-platform ioeventfd rss hash \
         rombar romfile bootindex",
        "<interface>; domxml-to-native keeps the card's model and address only",
    ),
    ("*", "drive.backing*", "libvirt finds the images below by the header of the overlay"),
    ("*", "memory.x-use-canonical-path-for-ramblock-id", "the name of the memory in a saved state"),
    ("*", "vectors", "libvirt derives it from the number of queues"),
    ("*", "chardev.*", "libvirt creates the character device"),
    ("*", "tpmdev.*", "libvirt runs its own swtpm"),
    ("*", "netdev.*", "libvirt creates the network device at the start"),
    ("*", "drive.throttling.*", "libvirt sets limits after the start"),
    ("*", "drive.bps*", "libvirt sets limits after the start"),
    ("*", "drive.iops*", "libvirt sets limits after the start"),
    ("pflash1", "drive.file", "libvirt copies the template"),
    ("memory", "memory.mem-path memory.kind", "<memoryBacking>: libvirt chooses the files"),
    ("numa pc-dimm", "memdev.mem-path memdev.kind", "<memoryBacking>: libvirt chooses the files"),
    ("pflash1", "drive.aio", "libvirt opens the variables of the firmware itself"),
    ("*", "drive.detect-zeroes", "without discard=unmap, unmap is on (virDomainDiskGetDetectZeroesMode)"),
];

/// Properties that libvirt or vgapt sets and the script does not: the kind of device, the property, and why.
const MORE: &[(&str, &str, &str)] = &[
    ("*", "bootindex", "without an order libvirt boots from the first disk"),
    ("machine", "dump-guest-core", "libvirt sets it on each machine"),
    ("boot", "strict", "libvirt boots only what the order lists"),
    ("spice", "seamless-migration", "libvirt sets it on each SPICE"),
    (
        "VGA cirrus-vga vmware-svga qxl* virtio-vga* virtio-gpu-pci bochs-display secondary-vga",
        "vgamem-mb max-outputs ram-size vram-size vram64-size",
        "libvirt writes QEMU's default",
    ),
    ("*", "audiodev.*", "libvirt gives each sound device and display an audio backend"),
    ("virtio-rng-pci", "rng.kind", "QEMU's default backend"),
    ("*", "drive.format", "QEMU probes a format that is not stated; import states it"),
    ("ide-cd scsi-cd", "drive.readonly", "a CD cannot be written"),
    ("*", "rerror", "error_policy is for reading too"),
    ("cpu", "host-cache-info l3-cache", "<cache mode='disable'>"),
    ("cpu", "mpx monitor", "libvirt's model leaves the feature out (removed='yes' in its cpu_map)"),
    ("*", "mac", "the script sets none, and libvirt makes one"),
    ("vhost-vsock-pci*", "vhostfd", "libvirt opens it"),
    ("m", "slots", "libvirt requires them beside maxmem"),
    ("memory numa pc-dimm", "memory.hugetlb* memdev.hugetlb*", "<hugepages>"),
    ("memory", "memory.host-nodes* memory.policy memory.prealloc-context", "numactl before QEMU is <numatune>"),
    ("name", "guest", "a domain has a name"),
    ("nvdimm pc-dimm", "node memdev.prealloc", "libvirt places the module and allocates it"),
    ("memory numa", "memory.prealloc memdev.prealloc", "libvirt allocates huge pages before the guest starts"),
];

/// Options that libvirt gives to each QEMU.
const OF_LIBVIRT: &str = "S nodefaults no-user-config no-shutdown mon sandbox msg uuid name";

/// The row of a table for a property of a kind of device.
fn row(table: &'static [(&str, &str, &'static str)], item: &Item, name: &str) -> Option<&'static str> {
    let matches = |pattern: &str, text: &str| pattern.strip_suffix('*').map_or(pattern == text, |start| text.starts_with(start));
    let is_it = |(kinds, names, _): &&(&str, &str, &str)| {
        kinds.split(' ').any(|kind| matches(kind, &item.kind)) && names.split(' ').any(|of| matches(of, name))
    };
    table.iter().find(is_it).map(|(.., why)| *why)
}

/// Compares a script's command line with the one that libvirt makes of the domain.
pub fn compare(script: &[String], imported: &Imported, libvirt: &[String]) -> Comparison {
    let mut found = Comparison::default();
    let mut theirs: Vec<Option<Item>> = items(libvirt).into_iter().map(Some).collect();
    let ours = items(script);
    let fate = |item: &Item| item.options.first().and_then(|index| imported.parts.get(*index));
    let pairs = pairs(&ours, &theirs);
    for (item, at) in ours.iter().zip(pairs) {
        let Some(part) = fate(item) else { continue };
        let written = || part.option.clone();
        if part.fate == Conversion::Meaningless {
            found.left_out.push((written(), part.how.clone()));
            continue;
        }
        let Some(at) = at else {
            // An element that stands for no device, such as the absence of one, is told as what it became.
            let is_port = part.how.starts_with("<controller type='pci'>");
            let is_device = (part.option.starts_with("-device ") && !is_port) || part.fate == Conversion::Unchanged;
            if is_device {
                found.silent.push((written(), "libvirt's command line has no such device".into()));
            } else {
                found.meaning.push((written(), part.how.clone()));
            }
            continue;
        };
        let other = theirs[at].take().unwrap_or_default();
        judge(&mut found, item, &other, imported);
    }
    let words = super::options::options(libvirt);
    let is_device = |item: &Item| item.options.first().and_then(|index| words.get(*index)).is_some_and(|option| option.name == "device");
    for item in theirs.into_iter().flatten() {
        let props: Vec<String> = item.props.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if is_device(&item) {
            found.added.push(item.kind);
        } else if !has(OF_LIBVIRT, &item.kind) && !props.is_empty() {
            found.added.push(format!("-{} {}", item.kind, props.join(",")));
        }
    }
    found.added.sort();
    found.added.dedup();
    found
}

/// Whether a path is the absolute one of another.
fn is_absolute(path: &str, of: &str) -> bool {
    // The directory of `fat:rw:DIRECTORY`.
    let scheme = of.rfind(':').filter(|_| of.starts_with("fat:")).map_or("", |colon| &of[..=colon]);
    let of = format!("/{}", of[scheme.len()..].trim_start_matches("./"));
    path.strip_prefix(scheme).is_some_and(|path| path.starts_with('/') && path.ends_with(&of))
}

/// For each item of the script the one of the same kind that has most of its properties, the closest pairs first.
fn pairs(ours: &[Item], theirs: &[Option<Item>]) -> Vec<Option<usize>> {
    let mut all: Vec<(usize, usize, usize)> = Vec::new();
    for (number, item) in ours.iter().enumerate() {
        for (at, other) in theirs.iter().enumerate().filter_map(|(at, other)| Some((at, other.as_ref()?))) {
            if other.kind == item.kind {
                let is_same = |theirs: &String, value: &String| theirs == value || is_absolute(theirs, value);
                let shared = item.props.iter().filter(|(name, value)| other.props.get(*name).is_some_and(|theirs| is_same(theirs, value)));
                let shared = shared.count();
                all.push((item.props.len().max(other.props.len()) - shared, number, at));
            }
        }
    }
    // Of several, the first.
    all.sort_unstable();
    let mut found = vec![None; ours.len()];
    let mut taken = vec![false; theirs.len()];
    for (_, number, at) in all {
        if found[number].is_none() && !taken[at] {
            found[number] = Some(at);
            taken[at] = true;
        }
    }
    found
}

/// Says of one item what became of each of its properties.
fn judge(found: &mut Comparison, item: &Item, other: &Item, imported: &Imported) {
    let parts = || item.options.iter().filter_map(|index| imported.parts.get(*index));
    let written = parts().map(|part| part.option.clone()).next().unwrap_or_default();
    let (mut meanings, mut silent) = (Vec::new(), Vec::new());
    for (name, value) in &item.props {
        let theirs = other.props.get(name);
        if theirs == Some(value) {
            continue;
        }
        // A machine type without a version is the newest (`mc->alias` of `hw/i386/pc_*.c`).
        let alias = [("q35", "pc-q35-"), ("pc", "pc-i440fx-")].iter().find(|(alias, _)| name == "machine" && value == alias);
        if let Some(theirs) = theirs.filter(|theirs| alias.is_some_and(|(_, versions)| theirs.starts_with(versions))) {
            meanings.push(format!("{value} is {theirs} here"));
            continue;
        }
        if theirs.is_some_and(|theirs| is_absolute(theirs, value)) {
            meanings.push(format!("{name}={value} is absolute"));
            continue;
        }
        let told = theirs.map_or_else(|| format!("{name}={value}"), |theirs| format!("{name}={value} is {name}={theirs}"));
        match row(OTHER_WORDS, item, name) {
            Some(why) => meanings.push(format!("{told}: {why}")),
            None if is_said(item, name, value, imported) => meanings.push(format!("{told}: see above")),
            None => silent.push(told),
        }
    }
    for (name, value) in other.props.iter().filter(|(name, _)| !item.props.contains_key(*name)) {
        let told = format!("adds {name}={value}");
        match row(MORE, item, name).or(row(OTHER_WORDS, item, name)) {
            Some(why) => meanings.push(format!("{told}: {why}")),
            None if is_said(item, name, value, imported) => meanings.push(format!("{told}: see above")),
            None => silent.push(told),
        }
    }
    if !silent.is_empty() {
        found.silent.push((written, silent.join(", ")));
    } else if !meanings.is_empty() {
        found.meaning.push((written, meanings.join("; ")));
    } else {
        found.same.push(written);
    }
}

/// Whether import itself says of a property what it did with it.
fn is_said(item: &Item, name: &str, value: &str, imported: &Imported) -> bool {
    let bare = name.rsplit('.').next().unwrap_or_default();
    let is_named = |note: &String| {
        let note = note.replace('_', "-");
        let is_property = note.contains(&format!("{bare}=")) || (bare.contains('-') && note.contains(bare));
        // A MAC address, or a path.
        let is_value = value.len() > LONG && note.contains(value);
        let is_setting = item.kind == "smp" && note.contains("-smp");
        is_property || is_value || is_setting
    };
    let parts = || item.options.iter().filter_map(|index| imported.parts.get(*index));
    let is_left = |left: &String| {
        let left = left.replace('_', "-");
        [bare, name].iter().any(|name| left.starts_with(&format!("{name}=")) || left.contains(&format!(".{name}=")))
    };
    imported.notes.iter().any(is_named) || parts().flat_map(|part| &part.left).any(is_left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::translate::Part;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn compared(script: &str, libvirt: &str) -> Comparison {
        let argv = words(&format!("qemu {script}"));
        let part = |option: &super::super::options::QemuOption| Part {
            option: option.written.clone(),
            fate: Conversion::Native,
            how: "x".into(),
            left: Vec::new(),
        };
        let parts = super::super::options::options(&argv).iter().map(part).collect();
        let imported = Imported { name: "x".into(), xml: String::new(), parts, notes: Vec::new(), refusals: Vec::new() };
        compare(&argv, &imported, &words(&format!("qemu {libvirt}")))
    }

    #[test]
    fn other_spellings_are_the_same() {
        let found = compared(
            "-m 1G -smp 4 -M pc-q35-9.0 -enable-kvm -drive file=/a,format=qcow2,if=virtio,cache=none -cpu host,+svm,kvm=off -device vfio-pci,host=01:00.0,x-vga=on",
            r#"-m size=1048576k -smp 4,sockets=1,cores=4,threads=1 -machine pc-q35-9.0 -accel kvm -cpu host,svm=on,kvm=off
               -blockdev {"driver":"file","filename":"/a","node-name":"s","cache":{"direct":true,"no-flush":false}}
               -blockdev {"driver":"qcow2","file":"s","node-name":"f","cache":{"direct":true,"no-flush":false}}
               -device {"driver":"virtio-blk-pci","drive":"f","id":"d","bus":"pci.1"}
               -device {"driver":"vfio-pci","host":"0000:01:00.0","x-vga":true} -sandbox on -device pcie-root-port"#,
        );
        assert_eq!((found.silent.len(), found.meaning.len(), found.same.len()), (0, 0, 6), "{found:#?}");
        assert_eq!(found.added, ["pcie-root-port"]);
    }

    #[test]
    fn what_differs_is_not_silent() {
        let disk = r#"-blockdev {"driver":"file","filename":"/a","node-name":"s"} -device {"driver":"virtio-blk-pci","drive":"s"}"#;
        let silent = |script: &str, libvirt: &str| compared(script, libvirt).silent.into_iter().map(|(_, how)| how).collect::<Vec<_>>();
        assert_eq!(silent("-drive file=/a,format=raw,if=virtio,readonly=on", disk), ["drive.readonly=on"]);
        assert_eq!(silent("-drive file=/a,format=raw,if=virtio,cache=unsafe", disk), ["drive.no-flush=on"]);
        assert_eq!(silent("-m 1G", "-m 2G"), ["size=1073741824 is size=2147483648"]);
        assert_eq!(silent("-M q35", "-M pc-q35-9.0"), Vec::<String>::new());
        assert_eq!(silent("-M q35", "-M pc-q35-9.0 -machine nvdimm=on"), ["adds nvdimm=on"]);
        assert_eq!(silent("-enable-kvm", "-M pc-q35-9.0 -accel kvm"), ["machine=pc is machine=pc-q35-9.0"]);
        assert_eq!(silent("-acpitable file=t.dat", "-acpitable file=/vm/t.dat"), Vec::<String>::new());
        assert_eq!(silent("-M q35", "-M pc-i440fx-9.0"), ["machine=q35 is machine=pc-i440fx-9.0"]);
        assert_eq!(silent("-cpu host,+svm", "-cpu host"), ["svm=on"]);
        assert_eq!(silent("-device nvme,serial=x", "-device qxl"), ["libvirt's command line has no such device"]);
    }
}
