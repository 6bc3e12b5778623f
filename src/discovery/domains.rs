//! The PCI functions that defined domains pass through, from libvirt's files, which only root can read.

use std::collections::BTreeSet;

use crate::model::{PciAddress, Reading};
use crate::root::Root;
use crate::xml::{Document, Element};

const DIRECTORY: &str = "/etc/libvirt/qemu";

/// The functions in the domains' `<hostdev>` and `<interface type='hostdev'>` elements and in `<qemu:commandline>`.
pub(super) fn functions(root: &Root) -> Reading<BTreeSet<PciAddress>> {
    let names = match root.entries(DIRECTORY) {
        Reading::Known(names) => names,
        Reading::Absent if root.is_capture() => return Reading::Unknown(format!("the capture does not contain {DIRECTORY}")),
        Reading::Absent => return Reading::Absent,
        Reading::Unknown(because) => return Reading::Unknown(because),
    };
    let mut functions = BTreeSet::new();
    for path in names.iter().filter(|name| name.ends_with(".xml")).map(|name| format!("{DIRECTORY}/{name}")) {
        // Only the addresses are recorded in a capture.
        let found = root.excerpt(&path, addresses).map(|text| text.lines().map(str::parse).collect::<Result<Vec<PciAddress>, _>>());
        match found {
            Some(Ok(found)) => functions.extend(found),
            Some(Err(_)) => return Reading::Unknown(format!("{path} is not a domain that vgapt can parse")),
            None => return Reading::Unknown(format!("cannot read {path}")),
        }
    }
    Reading::Known(functions)
}

/// The addresses in a domain, one per line. Such a list (from a capture) is returned unchanged; anything else becomes an
/// invalid line.
fn addresses(text: &str) -> String {
    if text.lines().all(|line| line.parse::<PciAddress>().is_ok()) {
        return text.to_owned();
    }
    let Ok(document) = Document::parse(text) else { return "unreadable\n".to_owned() };
    let mut functions = BTreeSet::new();
    of_element(document.root(), &mut functions);
    functions.iter().map(|function| format!("{function}\n")).collect()
}

fn of_element(element: Element<'_>, functions: &mut BTreeSet<PciAddress>) {
    if element.local_name() == "source" {
        functions.extend(element.child("address").and_then(|address| PciAddress::of_attributes(|name| address.attribute(name))));
    }
    if element.local_name() == "arg" {
        functions.extend(element.attribute("value").and_then(|value| of_option(&value)));
    }
    for child in element.children() {
        of_element(child, functions);
    }
}

/// The address in `vfio-pci,host=01:00.0`, or in the same option as JSON.
fn of_option(value: &str) -> Option<PciAddress> {
    value.contains("vfio-pci").then_some(())?;
    let words = value.split(|c: char| !(c.is_ascii_hexdigit() || c == ':' || c == '.'));
    words.filter(|word| word.contains(':')).find_map(|word| word.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_domain_is_given() {
        let text = "<domain xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'><devices><hostdev><source><address domain='0x0000' bus='0x01' slot='0x00' function='0x1'/></source></hostdev>\
            <disk><source file='x'/></disk></devices><q:commandline><q:arg value='vfio-pci,host=0a:00.0,x-vga=on'/><q:arg value='{\"driver\":\"vfio-pci\",\"host\":\"0000:0b:00.0\"}'/></q:commandline></domain>";
        let mut functions = BTreeSet::new();
        of_element(Document::parse(text).unwrap().root(), &mut functions);
        let named: Vec<String> = functions.iter().map(|function| function.short()).collect();
        assert_eq!(named, ["01:00.1", "0a:00.0", "0b:00.0"]);
    }
}
