//! What a domain gives to QEMU by options of QEMU's own, of which libvirt knows nothing.

use crate::model::PciAddress;
use crate::xml::{Document, Element};

/// The namespace of `qemu:commandline`.
const NAMESPACE: &str = "http://libvirt.org/schemas/domain/qemu/1.0";

/// The host's PCI functions that are passed there.
pub(super) fn functions(domain: &Document) -> Vec<PciAddress> {
    let words = words(domain);
    let devices = words.windows(2).filter(|pair| matches!(pair[0].as_str(), "-device" | "--device"));
    devices.filter_map(|pair| function(&pair[1])).collect()
}

fn words(domain: &Document) -> Vec<String> {
    let is_ours = |element: &Element<'_>, name: &str| element.local_name() == name && element.namespace().as_deref() == Some(NAMESPACE);
    let lines = domain.root().children().filter(|child| is_ours(child, "commandline"));
    let words = lines.flat_map(Element::children).filter(|word| is_ours(word, "arg"));
    words.map(|word| word.attribute("value").map(std::borrow::Cow::into_owned).unwrap_or_default()).collect()
}

/// `vfio-pci,host=01:00.0`, also as JSON, or with the device's folder in sysfs.
fn function(device: &str) -> Option<PciAddress> {
    let (driver, host, folder) = if device.trim_start().starts_with('{') {
        // QEMU takes strings in single quotes too (qobject/json-lexer.c).
        let value: serde_json::Value = serde_json::from_str(device).or_else(|_| serde_json::from_str(&device.replace('\'', "\""))).ok()?;
        let text = |name: &str| value.get(name).and_then(serde_json::Value::as_str).map(str::to_owned);
        (text("driver")?, text("host"), text("sysfsdev"))
    } else {
        let mut parts = device.split(',');
        let first = parts.next()?;
        let mut keys = parts.filter_map(|part| part.split_once('='));
        let value = |name: &str| keys.clone().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
        let (host, folder) = (value("host"), value("sysfsdev"));
        let driver = first
            .strip_prefix("driver=")
            .map(str::to_owned)
            .or_else(|| keys.find(|(key, _)| *key == "driver").map(|(_, value)| value.to_owned()));
        (driver.unwrap_or_else(|| first.to_owned()), host, folder)
    };
    let folder = folder.as_deref().map(|folder| folder.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned());
    host.or(folder).filter(|_| driver.starts_with("vfio-pci"))?.parse().ok()
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
