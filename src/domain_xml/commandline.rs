//! The options that a domain passes to QEMU in `<qemu:commandline>`; libvirt does not interpret them.

use serde_json::{Map, Value};

use crate::model::PciAddress;
use crate::xml::{Document, Element};

/// The namespace of `qemu:commandline`.
const NAMESPACE: &str = "http://libvirt.org/schemas/domain/qemu/1.0";

/// The `-device` options: the keys of each, or its text and why it cannot be parsed.
pub(super) fn devices(domain: &Document) -> Vec<Result<Map<String, Value>, String>> {
    let words = words(domain);
    let given = words.windows(2).filter(|pair| matches!(pair[0].as_str(), "-device" | "--device"));
    given.map(|pair| keys(&pair[1], "driver").map_err(|what| format!("-device {}: {what}", pair[1]))).collect()
}

/// The arguments in `qemu:commandline`.
pub(super) fn words(domain: &Document) -> Vec<String> {
    let is_qemu = |element: &Element<'_>, name: &str| element.local_name() == name && element.namespace().as_deref() == Some(NAMESPACE);
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
}
