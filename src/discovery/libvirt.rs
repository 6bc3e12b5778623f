//! libvirt's files, which only root can read: the PCI functions that defined domains pass through, and the networks on which the
//! host has an address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::domain_xml::all_functions;
use crate::model::{DomainFunctions, PciAddress, Reading, VirtualNetwork};
use crate::root::Root;
use crate::xml::{Document, Element};

const DOMAINS: &str = "/etc/libvirt/qemu";

/// The functions in the domains' `<hostdev>` and `<interface type='hostdev'>` elements and in `<qemu:commandline>`.
pub fn functions_of_domains(root: &Root) -> DomainFunctions {
    DomainFunctions(functions(root))
}

fn functions(root: &Root) -> Reading<BTreeMap<PciAddress, BTreeSet<String>>> {
    let names = match root.entries(DOMAINS) {
        Reading::Known(names) => names,
        Reading::Absent if root.is_capture() => return Reading::Unknown(format!("the capture does not contain {DOMAINS}")),
        Reading::Absent => return Reading::Absent,
        Reading::Unknown(because) => return Reading::Unknown(because),
    };
    let mut functions: BTreeMap<PciAddress, BTreeSet<String>> = BTreeMap::new();
    // A domain's file has its name.
    for domain in names.iter().filter_map(|name| name.strip_suffix(".xml")) {
        let path = format!("{DOMAINS}/{domain}.xml");
        // Only the addresses are recorded in a capture.
        let found = root.excerpt(&path, addresses).map(|text| text.lines().map(str::parse).collect::<Result<Vec<PciAddress>, _>>());
        match found {
            Some(Ok(found)) => {
                for function in found {
                    functions.entry(function).or_default().insert(domain.to_owned());
                }
            }
            Some(Err(_)) => return Reading::Unknown(format!("{path} is not a domain that vgapt can parse")),
            None => return Reading::Unknown(format!("cannot read {path}")),
        }
    }
    Reading::Known(functions)
}

/// The addresses in a domain, one per line. Such a list (from a capture) is returned unchanged; anything else that is not
/// understood becomes an invalid line.
fn addresses(text: &str) -> String {
    if text.lines().all(|line| line.parse::<PciAddress>().is_ok()) {
        return text.to_owned();
    }
    match Document::parse(text).and_then(|domain| all_functions(&domain)) {
        Ok(functions) => functions.iter().map(|function| format!("{function}\n")).collect(),
        Err(_) => "unreadable\n".to_owned(),
    }
}

const NETWORKS: &str = "/etc/libvirt/qemu/networks";

pub(super) fn networks(root: &Root) -> Vec<VirtualNetwork> {
    let files = root.names(NETWORKS).into_iter().filter(|name| name.ends_with(".xml"));
    files.filter_map(|name| network(&root.text(&format!("{NETWORKS}/{name}")).ok()?)).collect()
}

fn network(text: &str) -> Option<VirtualNetwork> {
    let document = Document::parse(text).ok()?;
    let root = document.root();
    let (address, prefix) = root.children_named("ip").find_map(address)?;
    Some(VirtualNetwork {
        name: root.child("name")?.text().to_owned(),
        bridge: root.child("bridge")?.attribute("name")?.into_owned(),
        address,
        prefix,
    })
}

fn address(ip: Element<'_>) -> Option<(Ipv4Addr, u8)> {
    let address = ip.attribute("address")?.parse().ok()?;
    let by_mask = || ip.attribute("netmask")?.parse::<Ipv4Addr>().ok().map(|mask| u32::from(mask).leading_ones());
    let prefix = ip.attribute("prefix").and_then(|prefix| prefix.parse().ok()).or_else(by_mask)?;
    Some((address, u8::try_from(prefix).ok().filter(|prefix| *prefix <= 32)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_domain_is_given() {
        let domain = |words: &str| {
            format!(
                "<domain xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'><devices><hostdev type='pci'><source><address domain='0x0000' bus='0x01' slot='0x00' function='0x1'/></source></hostdev>\
                 <disk><source file='x'/></disk></devices><q:commandline><q:arg value='-device'/><q:arg value='{words}'/></q:commandline></domain>"
            )
        };
        assert_eq!(addresses(&domain("vfio-pci,host=0a:00.0,x-vga=on")), "0000:01:00.1\n0000:0a:00.0\n");
        assert_eq!(addresses(&addresses(&domain(r#"{"driver":"vfio-pci","host":"0000:0b:00.0"}"#))), "0000:01:00.1\n0000:0b:00.0\n");
        assert_eq!(addresses(&domain("{vfio-pci")), "unreadable\n");
    }

    #[test]
    fn a_network_and_its_addresses() {
        let text = "<!-- generated --><network><name>default</name><bridge name='virbr0'/><ip family='ipv6' address='fd00::1' prefix='64'/>\
                    <ip address='192.168.122.1' netmask='255.255.255.0'/></network>";
        let found = network(text).unwrap();
        assert_eq!((found.bridge.as_str(), found.subnet().as_str()), ("virbr0", "192.168.122.0/24"));
        let found = network(&text.replace("netmask='255.255.255.0'", "prefix='20'")).unwrap();
        assert_eq!(found.subnet(), "192.168.112.0/20");
        for broken in ["", "<network/>", "<network><name>x</name><bridge name='b'/><ip address='1.2.3.4' prefix='99'/></network>"] {
            assert_eq!(network(broken), None, "{broken}");
        }
    }
}
