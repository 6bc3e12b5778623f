//! The host resources that a domain uses while it runs, according to its XML, no matter who wrote it.

use crate::domain::record::{Passed, Record};
use crate::domain_xml::{Pages, functions, managed_functions, owned, pages, pins};
use crate::model::{CpuSet, PciAddress, Reading, RecordedGroup};
use crate::xml::{Document, Element};

/// The host resources that a domain uses while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostResources {
    /// The domain's name.
    pub name: String,
    /// The PCI functions, with the ids they had when vgapt passed them.
    pub passed: Vec<Passed>,
    /// Those of them that libvirt takes from their drivers at the start.
    pub managed: Vec<PciAddress>,
    /// Their IOMMU groups as they were then.
    pub groups: Vec<RecordedGroup>,
    /// Its memory in huge pages.
    pub pages: Option<Pages>,
    /// The host CPUs that its vCPUs are pinned to, and the sibling threads that stay unused for it.
    pub cpus: CpuSet,
    /// Whether the host's interrupts are moved off these.
    pub moves_interrupts: bool,
    /// Whether the host's display is handed over with the card.
    pub handover: bool,
}

/// The PCI functions that a domain passes through, in libvirt's elements or in `<qemu:commandline>`, with the recorded
/// ids where known.
pub fn passed(domain: &Document, recorded: &[Passed]) -> Vec<Passed> {
    let known = |address| recorded.iter().find(|passed| passed.address == address).copied();
    functions(domain).into_iter().map(|address| known(address).unwrap_or_else(|| Passed::at(address))).collect()
}

/// The host resources of a domain; absent if it has no record of vgapt's, unknown if its record or its huge
/// pages cannot be read.
pub fn needs(domain: &Document) -> Reading<HostResources> {
    Record::of(domain).and_then(|record| of(domain, &record))
}

fn of(domain: &Document, record: &Record) -> Result<HostResources, String> {
    let root = domain.root();
    Ok(HostResources {
        name: root.child("name").map(|name| name.text().to_owned()).unwrap_or_default(),
        passed: passed(domain, &record.passed),
        managed: managed_functions(root),
        groups: record.groups.clone(),
        pages: pages(root)?,
        cpus: taken(root, record)?,
        moves_interrupts: record.request.tuning.moves_interrupts(),
        handover: record.request.handover,
    })
}

/// The recorded host CPUs: whole cores, so that an odd number of vCPUs leaves a thread unused. If the pinning was changed
/// manually since, only those in the pinning that the vCPUs own.
fn taken(root: Element<'_>, record: &Record) -> Result<CpuSet, String> {
    let (pins, _) = pins(root)?;
    let vcpus = pins.len();
    let pinned = CpuSet(pins.into_iter().flat_map(|(_, cpus)| cpus.0).collect());
    let recorded = record.guest_cpus.clone().unwrap_or_default();
    Ok(match pinned.0.len() {
        1.. if pinned.0.is_subset(&recorded.0) => recorded,
        _ => owned(vcpus, pinned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Size;

    #[test]
    fn what_a_domain_takes() {
        let text = "<domain><name>it</name><metadata><vgapt:domain xmlns:vgapt='urn:vgapt:domain:1'>{}</vgapt:domain></metadata>\
            <memory unit='MiB'>512</memory><memoryBacking><hugepages><page size='2' unit='M'/></hugepages></memoryBacking>\
            <numatune><memory mode='strict' nodeset='1'/></numatune><cputune><vcpupin vcpu='0' cpuset='2'/><vcpupin vcpu='1' cpuset='6-7'/></cputune></domain>";
        let read = |text: &str| needs(&Document::parse(text).unwrap());
        let found = read(text).known().unwrap();
        assert_eq!(found.cpus.to_string(), "2,6-7");
        let nodes = [(Some(1), Size::from_mib(512))].into();
        assert_eq!(found.pages, Some(Pages { memory: Size::from_mib(512), page: Some(Size::from_mib(2)), nodes }));
        let cells = "<cpu><numa><cell id='0' memory='384' unit='MiB'/><cell id='1' memory='128' unit='MiB'/></numa></cpu>";
        let memnodes = "<memory mode='strict' nodeset='1-2'/><memnode cellid='1' nodeset='2'/>";
        let of_cells = text.replace("<memory mode='strict' nodeset='1'/>", memnodes).replace("<cputune>", &format!("{cells}<cputune>"));
        let nodes = read(&of_cells).known().unwrap().pages.unwrap().nodes;
        assert_eq!(nodes, [(None, Size::from_mib(384)), (Some(2), Size::from_mib(128))].into());
        let cpus = |record: &str| read(&text.replace("{}", record)).known().unwrap().cpus.to_string();
        assert_eq!(
            cpus("{&quot;wrote&quot;:{&quot;guest-cpus&quot;:&quot;2-3,6-7&quot;}}"),
            "2-3,6-7",
            "the sibling thread of CPU 2 stays unused"
        );
        assert_eq!(cpus("{&quot;wrote&quot;:{&quot;guest-cpus&quot;:&quot;2-3,7&quot;}}"), "2,6-7", "the pinning was changed manually");
        assert_eq!(read(&text.replace("urn:vgapt", "urn:other")), Reading::Absent);
        let two = |size: &str| text.replace("<page ", &format!("<page size='{size}' nodeset='0'/><page "));
        assert_eq!(read(&two("2048")).known().unwrap().pages.unwrap().page, Some(Size::from_mib(2)));
        assert!(read(&two("1048576")).unknown().is_some_and(|why| why.contains("several sizes (2 MiB, 1 GiB)")));
        for (from, to) in
            [("{}", "{"), ("size='2'", "size='two'"), ("nodeset='1'", "nodeset='one'"), ("unit='MiB'>512", "unit='stones'>512")]
        {
            assert!(read(&text.replace(from, to)).unknown().is_some(), "{to}");
        }
        let common = text.replace("<cputune>", "<vcpu cpuset='4-5,^5'>3</vcpu><cputune>");
        assert_eq!(read(&common).known().unwrap().cpus.to_string(), "2,4,6-7", "the third has no pin of its own");
        let floating = text.replace("<cputune>", "<vcpu cpuset='1-11'>4</vcpu><cputune>");
        assert_eq!(read(&floating).known().unwrap().cpus, CpuSet::default(), "four may run on eleven");
    }
}
