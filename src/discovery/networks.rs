//! The libvirt networks on which the host has an address, from libvirt's files, which only root can read.

use std::net::Ipv4Addr;

use crate::model::VirtualNetwork;
use crate::root::Root;
use crate::xml::{Document, Element};

const DIRECTORY: &str = "/etc/libvirt/qemu/networks";

pub(super) fn read(root: &Root) -> Vec<VirtualNetwork> {
    let files = root.names(DIRECTORY).into_iter().filter(|name| name.ends_with(".xml"));
    files.filter_map(|name| network(&root.text(&format!("{DIRECTORY}/{name}")).ok()?)).collect()
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
