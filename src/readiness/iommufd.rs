//! Whether `--iommufd` could be used. No guest needs it.

use super::check::{Check, Topic};
use super::facts::Facts;
use crate::model::{Libvirt, LibvirtAnswer};
use crate::passthrough::{IommufdCondition, IommufdUse, iommufd_conditions};

pub(super) fn iommufd(facts: &Facts) -> Check {
    let unknown = Libvirt::default();
    let libvirt = match &facts.observed.libvirt {
        Some(LibvirtAnswer::Connected { abilities, .. }) => abilities,
        Some(LibvirtAnswer::Failed { .. }) | None => &unknown,
    };
    let used = IommufdUse { functions: facts.functions.clone(), has_mediated: false };
    let conditions = iommufd_conditions(facts.host, libvirt, &used);
    let words = |state: Option<bool>| -> Vec<String> {
        let of_state = conditions.iter().filter(|condition| condition.holds == state);
        of_state.map(|IommufdCondition { needs, because, .. }| format!("{needs}: {because}")).collect()
    };
    let (failed, unknown) = (words(Some(false)), words(None));
    let check = |seen: String| Check::ok("iommufd", Topic::Iommu, "iommufd", seen).minor();
    if !failed.is_empty() {
        check(format!("cannot be used, and no guest needs it; it needs {}", failed.join("; ")))
    } else if !unknown.is_empty() {
        // It is none of the unknown things on which the verdict rests.
        check(format!("whether it can be used is unknown, and no guest needs it; it needs {}", unknown.join("; ")))
    } else {
        check("can be used with --iommufd on or auto; no guest needs it".to_owned())
    }
}
