//! The options that a domain passes to QEMU in `<qemu:commandline>`, which libvirt does not interpret: devices of the host, and
//! disk images (`-drive`, `-blockdev` and the short options).

use serde_json::{Map, Value};

use crate::model::{PciAddress, has_protocol};
use crate::xml::{Document, Element};

pub(crate) const NAMESPACE: &str = "http://libvirt.org/schemas/domain/qemu/1.0";

/// The `-device` options: the keys of each, or its text and why it cannot be parsed.
pub(super) fn devices(domain: &Document) -> Vec<Result<Map<String, Value>, String>> {
    let words = words(domain);
    let given = words.windows(2).filter(|pair| matches!(pair[0].as_str(), "-device" | "--device"));
    given.map(|pair| keys(&pair[1], "driver").map_err(|what| format!("-device {}: {what}", pair[1]))).collect()
}

fn is_qemu(element: &Element<'_>, name: &str) -> bool {
    element.local_name() == name && element.namespace().as_deref() == Some(NAMESPACE)
}

/// The element with the options.
pub fn commandline_of(domain: Element<'_>) -> Option<Element<'_>> {
    domain.children().find(|child| is_qemu(child, "commandline"))
}

/// The elements of options, each with its value behind it, in which the value has these words.
pub fn options_of<'d>(domain: Element<'d>, words: &'d str) -> impl Iterator<Item = [Element<'d>; 2]> {
    let arguments: Vec<Element<'d>> = domain
        .children()
        .filter(|child| is_qemu(child, "commandline"))
        .flat_map(Element::children)
        .filter(|word| is_qemu(word, "arg"))
        .collect();
    let pairs: Vec<[Element<'d>; 2]> = arguments.windows(2).filter_map(|pair| <[Element<'d>; 2]>::try_from(pair).ok()).collect();
    pairs.into_iter().filter(move |[_, value]| value.attribute("value").is_some_and(|value| value.contains(words)))
}

pub(super) fn words(domain: &Document) -> Vec<String> {
    let lines = domain.root().children().filter(|child| is_qemu(child, "commandline"));
    let words = lines.flat_map(Element::children).filter(|word| is_qemu(word, "arg"));
    words.filter_map(|word| word.attribute("value").map(std::borrow::Cow::into_owned)).collect()
}

/// The host PCI functions that are passed through there. [`taken()`](super::taken()) reports options that cannot be parsed.
pub fn functions(domain: &Document) -> Vec<PciAddress> {
    devices(domain).into_iter().filter_map(|device| function(&device.ok()?)).collect()
}

/// The function of a `vfio-pci` device: `host=01:00.0`, or its directory in sysfs.
pub(super) fn function(device: &Map<String, Value>) -> Option<PciAddress> {
    is_vfio(device).then(|| text(device, "host").or_else(|| sysfs_name(device)))??.parse().ok()
}

/// The UUID of a mediated device that is passed as `vfio-pci`.
pub(super) fn mediated(device: &Map<String, Value>) -> Option<String> {
    sysfs_name(device).filter(|name| is_vfio(device) && crate::model::is_uuid(name)).map(|name| name.to_lowercase())
}

fn is_vfio(device: &Map<String, Value>) -> bool {
    text(device, "driver").is_some_and(|driver| driver.starts_with("vfio-pci"))
}

fn sysfs_name(device: &Map<String, Value>) -> Option<String> {
    text(device, "sysfsdev")?.trim_end_matches('/').rsplit('/').next().map(str::to_owned)
}

/// The value of a key as text, without JSON quotes.
pub(super) fn text(keys: &Map<String, Value>, name: &str) -> Option<String> {
    keys.get(name).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

/// The keys of one option: JSON, or `first,key=value,…` where a comma in a value is doubled.
pub(super) fn keys(value: &str, first: &str) -> Result<Map<String, Value>, String> {
    if value.trim_start().starts_with('{') {
        // QEMU accepts strings in single quotes too (qobject/json-lexer.c).
        let parsed = serde_json::from_str(value).or_else(|error| serde_json::from_str(&value.replace('\'', "\"")).map_err(|_| error));
        return parsed.map_err(|error| format!("it cannot be read as JSON ({error})"));
    }
    let mut keys = Map::new();
    for (index, part) in value.replace(",,", "\0").split(',').enumerate() {
        let part = part.replace('\0', ",");
        match part.split_once('=') {
            Some((key, value)) => keys.insert(key.to_owned(), Value::from(value)),
            None if index == 0 => keys.insert(first.to_owned(), Value::from(part)),
            None => keys.insert(part, Value::from("on")),
        };
    }
    Ok(keys)
}

/// Options whose value is an image, and whether the image is read-only (`qemu-options.hx`).
const SHORT: [(&str, bool); 10] = [
    ("hda", false),
    ("hdb", false),
    ("hdc", false),
    ("hdd", false),
    ("fda", false),
    ("fdb", false),
    ("sd", false),
    ("mtdblock", false),
    ("pflash", false),
    ("cdrom", true),
];
/// Options without a value: an argument after one of them is the first disk.
const FLAGS: [&str; 14] = [
    "snapshot",
    "nographic",
    "enable-kvm",
    "no-reboot",
    "no-shutdown",
    "S",
    "s",
    "full-screen",
    "nodefaults",
    "no-user-config",
    "daemonize",
    "usb",
    "no-acpi",
    "no-hpet",
];
/// Drivers of files and devices (`qapi/block-core.json`).
const FILES: [&str; 3] = ["file", "host_device", "host_cdrom"];
/// Filter drivers, which pass on the data of another node.
const FILTERS: [&str; 10] = [
    "throttle",
    "copy-on-read",
    "preallocate",
    "compress",
    "blkdebug",
    "blklogwrites",
    "blkverify",
    "quorum",
    "replication",
    "copy-before-write",
];
/// Prefixes of names that are not images.
const NO_IMAGES: [&str; 3] = ["fat:", "null-co:", "null-aio:"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drive {
    /// An absolute path, or a name that only QEMU's block drivers understand (`nbd://…`).
    pub file: String,
    /// Its format; `None` if QEMU probes the content.
    pub format: Option<String>,
    pub read_only: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Drives {
    pub images: Vec<Drive>,
    /// The `NVMe` controllers, by their PCI addresses.
    pub nvme: Vec<String>,
    /// What could not be parsed or determined.
    pub unknown: Vec<String>,
}

/// The images that a domain gives to QEMU in `qemu:commandline`.
pub fn drives(domain: &Document) -> Drives {
    let mut reader = Reader::default();
    let words = words(domain);
    let mut before = None;
    for word in &words {
        let option = before.replace(word).and_then(|before: &String| before.strip_prefix('-')).map(|name| name.trim_start_matches('-'));
        match option {
            Some(option @ ("drive" | "blockdev")) => match keys(word, "driver") {
                Ok(given) => reader.option(option, given),
                Err(what) => reader.drives.unknown.push(format!("-{option} {word}: {what}")),
            },
            Some(option) if SHORT.iter().any(|(name, _)| *name == option) => {
                reader.image(word, Above::Nothing, SHORT.contains(&(option, true)));
            }
            // An argument that is not the value of an option is the first disk.
            None if !word.starts_with('-') => reader.image(word, Above::Nothing, false),
            Some(option) if FLAGS.contains(&option) && !word.starts_with('-') => reader.image(word, Above::Nothing, false),
            _ => {}
        }
    }
    reader.refer();
    reader.drives
}

/// How the nodes above a node interpret its data.
#[derive(Clone, Copy)]
enum Above<'f> {
    /// No node above interprets it.
    Nothing,
    /// QEMU probes the format.
    Probe,
    /// An image of this format.
    Format(&'f str),
}

impl Above<'_> {
    fn format(self) -> Option<String> {
        match self {
            Self::Format(format) => Some(format.to_owned()),
            Self::Nothing | Self::Probe => None,
        }
    }
}

#[derive(Default)]
struct Reader {
    drives: Drives,
    /// The names of nodes, and the range of images that belong to each.
    nodes: Vec<(String, std::ops::Range<usize>)>,
    /// The nodes that other nodes refer to by name, with the format in which those read them; `None` for filters.
    references: Vec<(String, Option<String>)>,
}

impl Reader {
    fn option(&mut self, option: &str, given: Map<String, Value>) {
        let mut options = nested(given);
        if option == "drive" {
            // In `-drive`, `file` is a file name, not a node, and `format` is the driver.
            for (old, new) in [("file", "filename"), ("format", "driver")] {
                if options.get(old).is_some_and(Value::is_string)
                    && let Some(value) = options.remove(old)
                {
                    options.insert(new.to_owned(), value);
                }
            }
        }
        let is_cdrom = text(&options, "media").as_deref() == Some("cdrom");
        let first = self.drives.images.len();
        // Without a driver, QEMU probes the content.
        let above = if option == "drive" && !options.contains_key("driver") { Above::Probe } else { Above::Nothing };
        self.node(&options, is_cdrom, above);
        if let Some(name) = text(&options, "node-name") {
            self.nodes.push((name, first..self.drives.images.len()));
        }
    }

    /// A node of QEMU's block layer and the nodes below it; `above` says how the nodes above interpret its data.
    fn node(&mut self, options: &Map<String, Value>, read_only: bool, above: Above<'_>) {
        let is_on = |name: &str| text(options, name).is_some_and(|value| matches!(value.as_str(), "on" | "true" | "yes"));
        let read_only = read_only || is_on("read-only") || is_on("readonly");
        let driver = text(options, "driver");
        let is_file = driver.as_deref().is_some_and(|driver| FILES.contains(&driver));
        let own = driver.as_deref().filter(|driver| !is_file && !FILTERS.contains(driver));
        let above = match (above, own) {
            (Above::Nothing | Above::Probe, Some(own)) => Above::Format(own),
            (above, _) => above,
        };
        if driver.as_deref() == Some("nvme") {
            self.drives.nvme.extend(text(options, "device"));
        } else if let Some(name) = text(options, "filename") {
            // The plain data of a file: raw.
            let above = if is_file && matches!(above, Above::Nothing) { Above::Format("raw") } else { above };
            self.image(&name, above, read_only);
        }
        for (key, below) in options {
            let (read_only, above) = match key.as_str() {
                "backing" => (true, Above::Probe),
                "data-file" => (read_only, Above::Format("raw")),
                _ => (read_only, above),
            };
            match below {
                Value::Object(below) => self.node(below, read_only, above),
                Value::Array(all) => all.iter().filter_map(Value::as_object).for_each(|below| self.node(below, read_only, above)),
                Value::String(name) if ["file", "backing", "data-file", "image"].contains(&key.as_str()) => {
                    self.references.push((name.clone(), above.format()));
                }
                _ => {}
            }
        }
    }

    fn image(&mut self, name: &str, above: Above<'_>, read_only: bool) {
        if name.is_empty() || NO_IMAGES.iter().any(|start| name.starts_with(start)) {
            return;
        }
        if let Some(options) = name.strip_prefix("json:") {
            match keys(options, "driver") {
                Ok(given) => self.node(&nested(given), read_only, above),
                Err(what) => self.drives.unknown.push(format!("{name}: {what}")),
            }
            return;
        }
        let path = ["file:", "host_device:", "host_cdrom:"].iter().find_map(|start| name.strip_prefix(start)).unwrap_or(name);
        // libvirt starts QEMU with the working directory /.
        let is_path = path.len() < name.len() || !has_protocol(path);
        let file = if is_path && !path.starts_with('/') { format!("/{path}") } else { path.to_owned() };
        self.drives.images.push(Drive { file, format: above.format(), read_only });
    }

    /// Sets the formats of images that are referenced by node name.
    fn refer(&mut self) {
        for (name, format) in &self.references {
            for (_, images) in self.nodes.iter().filter(|(node, _)| node == name) {
                self.drives.images[images.clone()].iter_mut().for_each(|image| image.format.clone_from(format));
            }
        }
    }
}

/// Expands dotted keys: `file.filename=/x` becomes `{"file": {"filename": "/x"}}`.
fn nested(flat: Map<String, Value>) -> Map<String, Value> {
    let mut whole = Map::new();
    for (key, value) in flat {
        let value = match value {
            Value::Object(below) => Value::Object(nested(below)),
            other => other,
        };
        insert(&mut whole, &key, value);
    }
    whole
}

fn insert(into: &mut Map<String, Value>, key: &str, value: Value) {
    let Some((head, rest)) = key.split_once('.') else {
        match (into.get_mut(key), value) {
            // `file=/x` beside `file.locking=off`.
            (Some(Value::Object(known)), Value::String(name)) => {
                known.entry("filename").or_insert(Value::String(name));
            }
            (Some(Value::Object(known)), Value::Object(more)) => known.extend(more),
            (_, value) => {
                into.insert(key.to_owned(), value);
            }
        }
        return;
    };
    let below = into.entry(head).or_insert_with(|| Value::Object(Map::new()));
    if let Value::String(name) = below {
        *below = Value::Object([("filename".to_owned(), Value::String(std::mem::take(name)))].into_iter().collect());
    }
    if let Value::Object(below) = below {
        insert(below, rest, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_in_each_notation() {
        let of = |words: &[&str]| {
            let escape = |word: &str| quick_xml::escape::escape(word.to_owned()).into_owned();
            let words: String = words.iter().map(|word| format!("<q:arg value='{}'/>", escape(word))).collect();
            let text = format!("<domain xmlns:q='{NAMESPACE}'><q:commandline>{words}</q:commandline></domain>");
            functions(&Document::parse(&text).unwrap()).iter().map(|function| function.short()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            of(&["-device", "vfio-pci,host=01:00.0,multifunction=on,x-vga=on", "-device", "vfio-pci,host=0000:01:00.1"]),
            "01:00.0 01:00.1"
        );
        assert_eq!(of(&["--device", r#"{"driver":"vfio-pci","host":"0000:01:00.0","id":"h"}"#]), "01:00.0");
        assert_eq!(of(&["-device", "{'driver':'vfio-pci','host':'02:00.0'}"]), "02:00.0");
        assert_eq!(of(&["-device", "id=x,driver=vfio-pci,sysfsdev=/sys/bus/pci/devices/0000:03:00.0/"]), "03:00.0");
        assert_eq!(of(&["-device", "virtio-net-pci,host=01:00.0", "-device", "vfio-pci", "-set", "vfio-pci,host=01:00.0", "-device"]), "");
        let foreign = "<domain xmlns:q='urn:other'><q:commandline><q:arg value='-device'/><q:arg value='vfio-pci,host=01:00.0'/></q:commandline></domain>";
        assert!(functions(&Document::parse(foreign).unwrap()).is_empty());
    }

    fn of(words: &[&str]) -> (Vec<String>, Vec<String>) {
        let words: String = words.iter().map(|word| format!("<q:arg value='{}'/>", quick_xml::escape::escape(*word))).collect();
        let text = format!("<domain xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'><q:commandline>{words}</q:commandline></domain>");
        let drives = drives(&Document::parse(&text).unwrap());
        let told = |drive: &Drive| {
            format!("{} {}{}", drive.file, drive.format.as_deref().unwrap_or("?"), if drive.read_only { " ro" } else { "" })
        };
        (drives.images.iter().map(told).collect(), [drives.nvme, drives.unknown].concat())
    }

    #[track_caller]
    fn are(words: &[&str], told: &[&str]) {
        assert_eq!(of(words), (told.iter().map(|word| (*word).to_owned()).collect(), Vec::new()));
    }

    #[test]
    fn each_notation() {
        are(&["-drive", "file=/a,,b,format=raw,if=floppy"], &["/a,b raw"]);
        are(&["-drive", "file=/a", "--drive", "if=none,file=b.img,format=qcow2,readonly=on"], &["/a ?", "/b.img qcow2 ro"]);
        are(&["-drive", "file=/iso,media=cdrom,if=none"], &["/iso ? ro"]);
        are(
            &["-drive", "driver=qcow2,file.driver=file,file.filename=/a,backing.driver=raw,backing.file.filename=/b"],
            &["/b raw ro", "/a qcow2"],
        );
        are(&["-drive", "file.driver=file,file.filename=/a", "-drive", "driver=file,filename=/b"], &["/a ?", "/b raw"]);
        are(&["-drive", "file=/a,file.locking=off,format=raw"], &["/a raw"]);
        are(&["-drive", "file.locking=off,file=/a,format=raw"], &["/a raw"]);
        are(&["-drive", "file=json:{\"driver\":\"qcow2\",,\"file\":{\"driver\":\"file\",,\"filename\":\"/a\"}}"], &["/a qcow2"]);
        are(&["-drive", "file=nbd://h/x,format=raw", "-drive", "file=file:/a"], &["nbd://h/x raw", "/a ?"]);
        are(
            &["-hda", "/a", "-fdb", "/f", "-cdrom", "/c", "-snapshot", "/first", "/second"],
            &["/a ?", "/f ?", "/c ? ro", "/first ?", "/second ?"],
        );
        are(&["-blockdev", "{'driver':'qcow2','node-name':'x','file':{'driver':'file','filename':'/c'}}"], &["/c qcow2"]);
        are(
            &[
                "-blockdev",
                "driver=file,node-name=f,filename=/c",
                "-blockdev",
                "driver=qcow2,node-name=q,file=f",
                "-device",
                "virtio-blk,drive=q",
            ],
            &["/c qcow2"],
        );
        are(&["-blockdev", "driver=file,node-name=f,filename=/c", "-device", "virtio-blk,drive=f"], &["/c raw"]);
        are(&["-blockdev", "driver=quorum,children.0.driver=qcow2,children.0.file.driver=file,children.0.file.filename=/c"], &["/c qcow2"]);
        are(&["-drive", "file=fat:rw:/share", "-device", "virtio-net,netdev=x", "-m", "1G"], &[]);
        let (images, others) = of(&["-drive", "{x", "-drive", "file.driver=nvme,file.device=0000:05:00.0,if=none"]);
        assert!(images.is_empty() && others[0] == "0000:05:00.0" && others[1].starts_with("-drive {x"), "{others:?}");
    }

    proptest::proptest! {
        #[test]
        fn reading_never_panics(value in "([a-z.]{0,6}[=,{}\"':]?){0,9}") {
            of(&["-drive", &value, "-blockdev", &value, &value]);
            of(&["-drive", &format!("{{\"file\":\"{value}\",\"file.x\":1}}"), "-drive", &format!("file=json:{value}")]);
        }
    }
}
