//! What QEMU supports, from libvirt's domain capabilities.

use std::collections::BTreeSet;

use vgapt::model::Libvirt;
use vgapt::xml::Element;

/// The capabilities that vgapt uses.
pub(super) fn abilities(version: Option<u64>, capabilities: Option<Element<'_>>) -> Libvirt {
    let tpm = capabilities.and_then(|root| root.at("devices/tpm"));
    let has_2 = tpm.is_some_and(|tpm| values(tpm, "backendVersion").contains("2.0") && values(tpm, "backendModel").contains("emulator"));
    let hyperv = capabilities.and_then(|root| root.at("features/hyperv")).map(enlightenments);
    let hostdev = capabilities.and_then(|root| root.at("devices/hostdev"));
    let iommufd = hostdev.map(|hostdev| values(hostdev, "iommufd")).filter(|values| !values.is_empty());
    Libvirt {
        version,
        iommufd: iommufd.map(|values| values.contains("yes")),
        // libvirt before 8.9 does not report the list; for TCG it is empty, and such a domain uses none.
        enlightenments: hyperv.filter(|names| !names.is_empty()),
        graphics: capabilities.and_then(|root| root.at("devices/graphics")).map(|graphics| values(graphics, "type")),
        tpms: tpm.map(|tpm| if has_2 { values(tpm, "model") } else { BTreeSet::new() }),
    }
}

/// The firmware images that it offers.
pub(super) fn loaders(root: Element<'_>) -> Vec<String> {
    let values = root.at("os/loader").into_iter().flat_map(|loader| loader.children_named("value"));
    values.map(Element::text).map(str::to_owned).collect()
}

/// The enlightenments, and those of their variants that libvirt (11.0 and later) would choose: `tlbflush_direct`.
fn enlightenments(hyperv: Element<'_>) -> BTreeSet<String> {
    let chosen = hyperv.child("defaults").into_iter().flat_map(Element::children).filter(|variant| variant.text() == "on");
    values(hyperv, "features").into_iter().chain(chosen.map(|variant| variant.name().to_owned())).collect()
}

/// The values of `<enum name=…>` below an element.
fn values(element: Element<'_>, name: &str) -> BTreeSet<String> {
    let mut enums = element.children_named("enum");
    let values = enums.find(|one| one.attribute("name").as_deref() == Some(name)).into_iter().flat_map(|one| one.children_named("value"));
    values.map(|value| value.text().to_owned()).collect()
}
