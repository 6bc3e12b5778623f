//! libvirt's QEMU command line, prepared for comparison.

use crate::domain_xml::{HostDevice, devices_named, host_device};
use crate::model::{UsbDevice, UsbId};
use crate::xml::{Document, Element, Fragment, Id};

/// Adds the bus and device number to each USB device that is given by its id: libvirt looks them up only
/// when it starts a domain, and needs them here (`USB host device is missing bus/device information`). Devices
/// that are not plugged in are removed, and returned.
pub fn resolve_usb_addresses(domain: &mut Document, plugged: &[UsbDevice]) -> Vec<UsbId> {
    // A device without a readable id is left for libvirt to refuse.
    let unplaced = |hostdev: Element<'_>| {
        let Some(HostDevice::Usb(id)) = host_device(hostdev) else { return None };
        hostdev.at("source/address").is_none().then_some((hostdev.id(), hostdev.child("source")?.id(), id))
    };
    let unplaced = |domain: &Document| devices_named(domain.root(), "hostdev").find_map(unplaced);
    let mut missing = Vec::new();
    while let Some((hostdev, source, id)) = unplaced(domain) {
        match plugged.iter().find(|device| device.id == id) {
            Some(UsbDevice { bus, device, .. }) => {
                domain.append(source, &Fragment::new("address").with("bus", bus).with("device", device));
            }
            None => {
                domain.remove(hostdev);
                missing.push(id);
            }
        }
    }
    missing
}

/// Turns network functions that are passed as interfaces into hostdevs, which are the same to QEMU. libvirt
/// (11.3 and others) crashes with a segmentation fault when it converts one into QEMU's options: it treats each
/// interface as type ethernet, and drops the hostdev that was part of it. Returns the elements of the
/// interfaces that libvirt applies itself at a start.
pub fn functions_as_hostdevs(domain: &mut Document) -> Vec<String> {
    let is_function = |card: &Element<'_>| card.attribute("type").as_deref() == Some("hostdev");
    let mut by_libvirt = Vec::new();
    loop {
        let Some(card) = devices_named(domain.root(), "interface").find(is_function) else { return by_libvirt };
        let managed = card.attribute("managed").map(|managed| format!(" managed='{managed}'")).unwrap_or_default();
        let mut inner = String::new();
        for child in card.children() {
            match child.name() {
                "source" => {
                    let address = child.child("address").map(Element::source).unwrap_or_default();
                    inner.push_str(&format!("<source>{address}</source>"));
                }
                "driver" | "rom" | "boot" | "acpi" | "alias" | "address" | "teaming" => inner.push_str(child.source()),
                "model" => {}
                _ => by_libvirt.push(child.source().split_whitespace().collect::<Vec<_>>().join(" ")),
            }
        }
        let id = card.id();
        domain.replace(id, &format!("<hostdev mode='subsystem' type='pci'{managed}>{inner}</hostdev>"));
    }
}

/// Removes the scripts of network cards, which libvirt would run for its answer: `qemuConnectDomainXMLToNative` keeps a card's
/// script, and makes a tap for it. Returns the elements.
pub fn without_scripts(domain: &mut Document) -> Vec<String> {
    let script = |domain: &Document| -> Option<(Id, String)> {
        let mut all = devices_named(domain.root(), "interface");
        let found = all.find_map(|card| card.child("script").or_else(|| card.child("downscript")))?;
        Some((found.id(), found.source().to_owned()))
    };
    let mut scripts = Vec::new();
    while let Some((id, source)) = script(domain) {
        domain.remove(id);
        scripts.push(source);
    }
    scripts
}

/// Sets the driver of each passed PCI function to VFIO. libvirt has no other driver, but without this checks
/// whether the host supports it, and nothing is started here.
pub fn set_vfio_driver(domain: &mut Document) {
    let unsaid = |domain: &Document| -> Option<(Id, Option<Id>)> {
        let hostdev = devices_named(domain.root(), "hostdev").find(|hostdev| {
            let is_said = hostdev.child("driver").is_some_and(|driver| driver.attribute("name").is_some());
            hostdev.attribute("type").as_deref() == Some("pci") && !is_said
        })?;
        Some((hostdev.id(), hostdev.child("driver").map(Element::id)))
    };
    while let Some((hostdev, driver)) = unsaid(domain) {
        match driver {
            Some(driver) => domain.set_attribute(driver, "name", "vfio"),
            None => domain.append(hostdev, &Fragment::new("driver").with("name", "vfio")),
        }
    }
}

/// One option with its value per line, quoted for a shell as libvirt does it, without QEMU's environment
/// variables.
pub fn one_option_per_line(native: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in words(native) {
        let is_setting = word.split_once('=').is_some_and(|(name, _)| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'));
        match lines.last_mut() {
            None if is_setting => {}
            Some(line) if !word.starts_with('-') => *line = format!("{line} {word}"),
            _ => lines.push(word.to_owned()),
        }
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

/// The words of a shell line as written, quotes included. libvirt quotes with `'`; some versions
/// break the line with `\`.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let parts = line.split(move |letter: char| {
        let ends = letter.is_whitespace() && !is_quoted;
        is_quoted ^= letter == '\'' && !is_escaped;
        is_escaped = letter == '\\' && !is_quoted && !is_escaped;
        ends
    });
    parts.filter(|word| !word.is_empty() && *word != "\\")
}

#[cfg(test)]
mod tests {
    use super::{Document, UsbDevice, UsbId, functions_as_hostdevs, resolve_usb_addresses, set_vfio_driver, without_scripts};

    #[test]
    fn network_functions_are_hostdevs() {
        let address = "<address type='pci' domain='0x0000' bus='0x05' slot='0x10' function='0x0'/>";
        let xml = |cards: &str| format!("<domain><devices>{cards}<interface type='user'/></devices></domain>");
        let cards = format!(
            "<interface type='hostdev' managed='yes'><mac address='52:54:00:00:00:01'/><driver model='mlx5_vfio_pci'/>\
             <source>{address}</source><vlan><tag id='4'/></vlan><boot order='2'/><alias name='ua-net'/></interface>\
             <interface type='hostdev'><source>{address}</source></interface>"
        );
        let mut domain = Document::parse(&xml(&cards)).unwrap();
        let mut tap = Document::parse(
            "<domain><devices><interface><downscript path='/b'/><script path='/a'/><target dev='t'/></interface></devices></domain>",
        )
        .unwrap();
        assert_eq!(without_scripts(&mut tap), ["<script path='/a'/>", "<downscript path='/b'/>"]);
        assert!(!tap.to_string().contains("script"));
        assert_eq!(functions_as_hostdevs(&mut domain), ["<mac address='52:54:00:00:00:01'/>", "<vlan><tag id='4'/></vlan>"]);
        set_vfio_driver(&mut domain);
        let hostdevs = format!(
            "<hostdev mode='subsystem' type='pci' managed='yes'><driver model='mlx5_vfio_pci' name='vfio'/>\
             <source>{address}</source><boot order='2'/><alias name='ua-net'/></hostdev>\
             <hostdev mode='subsystem' type='pci'><source>{address}</source>\n<driver name='vfio'/></hostdev>"
        );
        assert_eq!(domain.to_string(), xml(&hostdevs));
    }

    #[test]
    fn usb_devices_get_the_place_where_they_are() {
        let hostdev = |product: u16, more: &str| {
            format!("<hostdev type='usb'><source><vendor id='0x046d'/><product id='0x{product:04x}'/>{more}</source></hostdev>")
        };
        let xml = |first: &str, rest: &str| {
            format!("<domain><devices>{}{rest}{}</devices></domain>", hostdev(1, first), hostdev(3, "<address/>"))
        };
        let mut domain = Document::parse(&xml("", &hostdev(2, ""))).unwrap();
        let id = UsbId { vendor: 0x046d, product: 1 };
        let plugged = UsbDevice { bus: 3, device: 7, port: "3-1".into(), id, controller: None, name: None, drivers: Vec::new() };
        assert_eq!(resolve_usb_addresses(&mut domain, &[plugged]), [UsbId { product: 2, ..id }]);
        assert_eq!(domain.to_string(), xml("\n<address bus='3' device='7'/>", ""));
    }

    #[test]
    fn options() {
        let one = "LC_ALL=C PATH=/bin /usr/bin/qemu-system-x86_64 -name guest=a,b=c -S -object '{\"id\":\"it'\\''s one\"}' -m size=1\n";
        let told = "/usr/bin/qemu-system-x86_64\n-name guest=a,b=c\n-S\n-object '{\"id\":\"it'\\''s one\"}'\n-m size=1\n";
        assert_eq!(super::one_option_per_line(one), told);
        let broken = "LC_ALL=C \\\nPATH=/bin \\\n/usr/bin/qemu-system-x86_64 \\\n-S \\\n-m size=1\n";
        assert_eq!(super::one_option_per_line(broken), "/usr/bin/qemu-system-x86_64\n-S\n-m size=1\n");
    }
}
