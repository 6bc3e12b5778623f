//! Whether libvirt gives the devices to QEMU through iommufd (docs/design/iommufd.md).

use schemars::JsonSchema;
use serde::Serialize;

use super::question::TuningInput;
use crate::domain::alias;
use crate::domain::base::{Base, Purpose};
use crate::domain::edit::{Edit, Part, find};
use crate::domain::record::Record;
use crate::domain::request::extras::IommufdMode;
use crate::domain_xml::{HostDevice, alias_of, all_functions, devices_named, host_device};
use crate::model::{Finding, Host, Libvirt, PciAddress};
use crate::passthrough::{IommufdCondition, IommufdUse, has_iommufd_element, iommufd_conditions};
use crate::xml::{Document, Element};

const ELEMENT: &str = "iommufd";

/// Decided if the request changes it, or the devices.
pub(super) fn settings(question: &TuningInput<'_>) -> Option<Vec<Edit>> {
    let TuningInput { base, wanted, .. } = question;
    let asked = wanted.extras.iommufd;
    if !is_decided(base) {
        return None;
    }
    let is_wanted = match asked {
        Some(IommufdMode::On) => true,
        Some(IommufdMode::Auto) => !question.passed.is_empty() && conditions(question).iter().all(|one| one.holds == Some(true)),
        Some(IommufdMode::Off) | None => false,
    };
    Some(if is_wanted { vec![Edit::put(Part::Iommufd, ELEMENT).with("enabled", "yes")] } else { Vec::new() })
}

fn is_decided(base: &Base) -> bool {
    base.differs(|request| {
        let devices = (request.gpu.clone(), request.pci.clone(), request.extras.mdev.clone());
        (request.extras.iommufd, request.extras.iommufd.map(|_| devices))
    })
}

/// What speaks against `--iommufd on`, and what is unknown about it; what keeps `auto` from it is no problem of the domain.
pub(super) fn findings(question: &TuningInput<'_>) -> Vec<Finding> {
    let TuningInput { base, wanted, .. } = question;
    if !is_decided(base) || wanted.extras.iommufd.is_none_or(|mode| mode == IommufdMode::Off) {
        return Vec::new();
    }
    let mut findings: Vec<Finding> = of_another(base).into_iter().collect();
    if wanted.extras.iommufd == Some(IommufdMode::On) {
        // An older libvirt drops the element, or refuses it, whoever forces it.
        let is_too_old = question.libvirt.version.is_some() && !has_iommufd_element(question.libvirt);
        let refused: Refused = if is_too_old { Finding::error } else { Finding::blocked };
        findings.extend(conditions(question).iter().filter_map(|condition| of_condition(condition, refused)));
    }
    findings
}

type Refused = fn(&'static str, String, String) -> Finding;

fn of_condition(condition: &IommufdCondition, refused: Refused) -> Option<Finding> {
    let IommufdCondition { needs, because, remedy, holds } = condition;
    match holds {
        Some(true) => None,
        Some(false) => Some(refused(
            "iommufd-not-possible",
            format!("--iommufd on needs {needs}: {because}"),
            format!("{remedy}; or use --iommufd auto, which uses iommufd only where it is sound"),
        )),
        None => Some(Finding::warning(
            "iommufd-unknown",
            format!("--iommufd on needs {needs}, and whether that holds is unknown: {because}"),
            "without it the domain does not start; use --iommufd auto, which uses iommufd only where all is known to hold",
        )),
    }
}

/// An element that vgapt did not write stays as it is.
fn of_another(base: &Base) -> Option<Finding> {
    let is_ours = base.last.as_ref().is_some_and(|last| last.written.has(Part::Iommufd));
    let element = find(base.domain.root(), ELEMENT).filter(|_| !is_ours && base.purpose != Purpose::Detach)?;
    let enabled = element.attribute("enabled").unwrap_or_default().into_owned();
    Some(Finding::warning(
        "iommufd-not-ours",
        format!("the domain has an <iommufd enabled='{enabled}'> that vgapt did not write, and it stays as it is"),
        "to let vgapt decide, remove the element: virsh edit",
    ))
}

fn conditions(question: &TuningInput<'_>) -> Vec<IommufdCondition> {
    let TuningInput { base, wanted, host, libvirt, passed } = question;
    let last = base.last.iter().flat_map(|last| &last.passed);
    let gone: Vec<PciAddress> = last.map(|last| last.address).filter(|address| !passed.contains(address)).collect();
    let used = all_functions(&base.domain).map(|there| IommufdUse {
        functions: there.into_iter().filter(|function| !gone.contains(function)).chain(passed.iter().copied()).collect(),
        has_mediated: !wanted.extras.mdev.is_empty() || has_mediated(&base.domain, false),
    });
    of_use(used, host, libvirt)
}

/// Whether a domain has mediated devices, with or without those that the request may take away.
fn has_mediated(domain: &Document, with_ours: bool) -> bool {
    let is_ours = |hostdev| alias_of(hostdev).is_some_and(|name| name.starts_with(alias::MDEV));
    devices_named(domain.root(), "hostdev")
        .any(|hostdev| matches!(host_device(hostdev), Some(HostDevice::Mediated(_))) && (with_ours || !is_ours(hostdev)))
}

fn of_use(used: Result<IommufdUse, String>, host: &Host, libvirt: &Libvirt) -> Vec<IommufdCondition> {
    match used {
        Ok(mut used) => {
            used.functions.sort_unstable();
            used.functions.dedup();
            iommufd_conditions(host, libvirt, &used)
        }
        Err(because) => vec![IommufdCondition::unknown("that the domain's devices are known", because)],
    }
}

/// What became of `--iommufd`, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct IommufdDecision {
    /// What was asked for: `auto`, `on` or `off`.
    pub asked: IommufdMode,
    /// Whether the domain uses it.
    pub used: bool,
    /// What it needs, and what of that holds now.
    pub conditions: Vec<IommufdCondition>,
}

/// What became of `--iommufd` in a domain, with each condition as it is now.
pub fn explain_iommufd(domain: &Document, record: &Record, host: &Host, libvirt: &Libvirt) -> Option<IommufdDecision> {
    let asked = record.request.extras.iommufd?;
    let used = all_functions(domain)
        .map(|functions| IommufdUse { functions: functions.into_iter().collect(), has_mediated: has_mediated(domain, true) });
    let is_enabled = |element: Element<'_>| element.attribute("enabled").as_deref() == Some("yes");
    Some(IommufdDecision { asked, used: find(domain.root(), ELEMENT).is_some_and(is_enabled), conditions: of_use(used, host, libvirt) })
}
