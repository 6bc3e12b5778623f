//! What a domain takes from the host while it runs, as its XML says: whoever wrote that.

use super::hostdevs::passed_functions;
use super::record::{Passed, Record};
use super::settings::size_of;
use crate::model::{CpuSet, Size};
use crate::xml::{Document, Element};

/// What a domain takes from the host while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Needs {
    /// The domain's name.
    pub name: String,
    /// The PCI functions, with what they were when vgapt passed them.
    pub passed: Vec<Passed>,
    /// Its memory in huge pages.
    pub pages: Option<Pages>,
    /// The host's CPUs that its virtual ones are pinned to, with those that stay free beside them.
    pub cpus: CpuSet,
    /// Whether the host's display is handed over with the card.
    pub handover: bool,
}

/// Memory in huge pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pages {
    /// How much.
    pub memory: Size,
    /// The size of a page; `None`: the host's default.
    pub page: Option<Size>,
    /// The NUMA node that they come from, where it is but one.
    pub node: Option<u32>,
}

/// What this domain needs; `None` where vgapt has not been at work, or its metadata cannot be read.
pub fn needs(domain: &Document) -> Option<Needs> {
    let record = Record::of(domain)?;
    let root = domain.root();
    let known = |address| record.passed.iter().find(|passed| passed.address == address).copied();
    let passed =
        passed_functions(domain).into_iter().map(|address| known(address).unwrap_or(Passed { address, id: None, subsystem: None }));
    Some(Needs {
        name: root.child("name").map(|name| name.text().to_owned()).unwrap_or_default(),
        passed: passed.collect(),
        pages: pages(root),
        cpus: taken(root, &record),
        handover: record.request.handover,
    })
}

fn pages(root: Element<'_>) -> Option<Pages> {
    let hugepages = root.at("memoryBacking/hugepages")?;
    let page = hugepages.child("page").and_then(|page| {
        let unit = page.attribute("unit").unwrap_or_else(|| "KiB".into());
        format!("{}{unit}", page.attribute("size")?).parse().ok()
    });
    let nodes: CpuSet = root.at("numatune/memory").and_then(|memory| memory.attribute("nodeset")?.parse().ok()).unwrap_or_default();
    let node = if nodes.0.len() == 1 { nodes.0.first().copied() } else { None };
    Some(Pages { memory: size_of(root.child("memory")?)?, page, node })
}

/// Whole cores were taken, of which an odd number of virtual CPUs leaves a thread over; where somebody
/// else has pinned them since, only what they are pinned to.
fn taken(root: Element<'_>, record: &Record) -> CpuSet {
    let pinned = pinned(root);
    let recorded: CpuSet = record.wrote.get("guest-cpus").and_then(|text| text.parse().ok()).unwrap_or_default();
    if !pinned.0.is_empty() && pinned.0.is_subset(&recorded.0) { recorded } else { pinned }
}

fn pinned(root: Element<'_>) -> CpuSet {
    let pins = root.child("cputune").into_iter().flat_map(|tune| tune.children_named("vcpupin"));
    CpuSet(pins.filter_map(|pin| pin.attribute("cpuset")?.parse::<CpuSet>().ok()).flat_map(|set| set.0).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_domain_takes() {
        let text = "<domain><name>it</name><metadata><vgapt:domain xmlns:vgapt='urn:vgapt:domain:1'>{}</vgapt:domain></metadata>\
            <memory unit='MiB'>512</memory><memoryBacking><hugepages><page size='2' unit='M'/></hugepages></memoryBacking>\
            <numatune><memory mode='strict' nodeset='1'/></numatune><cputune><vcpupin vcpu='0' cpuset='2'/><vcpupin vcpu='1' cpuset='6-7'/></cputune></domain>";
        let found = needs(&Document::parse(text).unwrap()).unwrap();
        assert_eq!(found.cpus.to_string(), "2,6-7");
        assert_eq!(found.pages, Some(Pages { memory: Size::from_mib(512), page: Some(Size::from_mib(2)), node: Some(1) }));
        let cpus = |record: &str| needs(&Document::parse(&text.replace("{}", record)).unwrap()).unwrap().cpus.to_string();
        assert_eq!(
            cpus("{&quot;wrote&quot;:{&quot;guest-cpus&quot;:&quot;2-3,6-7&quot;}}"),
            "2-3,6-7",
            "the thread beside CPU 2 is left over"
        );
        assert_eq!(cpus("{&quot;wrote&quot;:{&quot;guest-cpus&quot;:&quot;2-3,7&quot;}}"), "2,6-7", "somebody else has pinned them");
        assert!(needs(&Document::parse(&text.replace("urn:vgapt", "urn:other")).unwrap()).is_none());
    }
}
