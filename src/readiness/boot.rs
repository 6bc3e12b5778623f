//! The boot loader, and the kernel's command line of this and the next boot.

use std::collections::BTreeMap;

use super::check::{Check, Group, Step};
use super::needs::turns_off;
use super::prepared::Prepared;
use crate::host::loaders::Entry;
use crate::model::{Cmdline, Iommu};

/// Parameters that must be the same in all boot entries.
const RELEVANT: [&str; 8] =
    ["intel_iommu", "amd_iommu", "iommu", "vfio-pci.ids", "module_blacklist", "initcall_blacklist", "hugepages", "pcie_acs_override"];

pub(super) fn checks(prepared: &Prepared) -> Vec<Check> {
    [unread(prepared), loader(prepared), Some(parameters(prepared)), next_boot(prepared), differing(prepared), lost(prepared)]
        .into_iter()
        .flatten()
        .collect()
}

/// Configuration that could not be read.
fn unread(prepared: &Prepared) -> Option<Check> {
    let unread = &prepared.facts.setup.unread;
    let (first, more) = (unread.first()?, unread.len() - 1);
    let because = if more == 0 { first.clone() } else { format!("{}; {}", first, unread[1..].join("; ")) };
    Some(Check::ok("configuration-unread", Group::Boot, "configuration", String::new()).unknown(&because))
}

fn loader(prepared: &Prepared) -> Option<Check> {
    let check = |seen: String| Check::ok("boot-loader", Group::Boot, "boot loader", seen);
    match &prepared.needs.loader {
        Ok(chosen) => Some(check(format!("{}: {}", chosen.loader.name, chosen.evidence)).minor()),
        // Reported together with the parameters that have to be added.
        Err(_) if !prepared.needs.lacks_now.is_empty() => {
            let finding = prepared.plan.findings.iter().find(|finding| finding.code == "boot-loader")?;
            Some(check(finding.message.clone()).missing(Step::Kernel, "the kernel needs parameters", finding.remedy.clone()))
        }
        Err(finding) => Some(check(String::new()).unknown(&finding.message).minor()),
    }
}

fn parameters(prepared: &Prepared) -> Check {
    let check = |seen: String| Check::ok("kernel-parameters", Group::Boot, "this boot", seen);
    let needs = &prepared.needs;
    if prepared.facts.host.platform.cmdline.is_none() {
        let unread = prepared.facts.setup.unread.iter().find(|because| because.contains("/proc/cmdline"));
        let because = unread.cloned().unwrap_or_else(|| format!("{} (/proc/cmdline)", prepared.facts.observed.reach.because()));
        return check(String::new()).unknown(&because);
    }
    if needs.lacks_now.is_empty() {
        let needed: Vec<&str> = prepared.plan.parameters.iter().map(|one| one.token.as_str()).collect();
        let seen = if needed.is_empty() {
            "no kernel parameter is needed".into()
        } else {
            format!("has the required parameters: {}", needed.join(" "))
        };
        return check(seen).minor();
    }
    let tokens: Vec<&str> = needs.lacks_now.iter().map(|one| one.token.as_str()).collect();
    let why: Vec<&str> = needs.lacks_now.iter().map(|one| one.why.as_str()).collect();
    let (taken, added): (Vec<&str>, Vec<&str>) = tokens.iter().partition(|token| token.starts_with('-'));
    let seen = [("lacks ", added), ("says ", taken.iter().map(|token| token.trim_start_matches('-')).collect())]
        .iter()
        .filter(|(_, tokens)| !tokens.is_empty())
        .map(|(word, tokens)| format!("{word}{}", tokens.join(" ")))
        .collect::<Vec<_>>()
        .join(", and ");
    // If the firmware disables the IOMMU, or the IOMMU is on anyway, the parameter is not the first thing that is missing.
    if prepared.writes() || needs.next_boot_has_them() == Some(false) {
        return check(seen).missing(Step::Prepare, why.join("; "), prepared.remedy());
    }
    let who = if needs.next_boot_has_them().is_some() { "the next boot" } else { "the configuration" };
    check(format!("{seen}; {who} has the correct parameters")).missing(Step::Reboot, why.join("; "), prepared.reboot())
}

/// A parameter that disables the IOMMU at the next boot, or one that the boot loader's file lacks although it was prepared.
fn next_boot(prepared: &Prepared) -> Option<Check> {
    let needs = &prepared.needs;
    let check = |seen: String| Check::ok("next-boot", Group::Boot, "next boot", seen);
    let Some(entry) = needs.lacking.first() else {
        return needs.next_boot_has_them().map(|_| check(format!("{} has the required parameters", entries(needs.entries.len()))).minor());
    };
    let off = turns_off(&Cmdline(entry.cmdline.clone()));
    if needs.lacks_now.is_empty() || off.is_some() {
        let what = off.map_or_else(|| "lacks parameters that this boot has".to_owned(), |name| format!("says {name}=off"));
        return Some(check(format!("{} {what}", entry.source)).missing(
            Step::Prepare,
            "the IOMMU or the binding would not work after the next boot",
            prepared.remedy(),
        ));
    }
    None
}

fn entries(count: usize) -> String {
    if count == 1 { "its only entry".into() } else { format!("each of its {count} entries") }
}

fn relevant_parameters(line: &str) -> BTreeMap<&'static str, String> {
    let line = Cmdline(line.to_owned());
    RELEVANT.iter().filter_map(|name| Some((*name, line.get(name)?.to_owned()))).collect()
}

/// Boot entries that differ in a parameter that matters.
fn differing(prepared: &Prepared) -> Option<Check> {
    let entries: &[Entry] = &prepared.needs.entries;
    let first = entries.first()?;
    let other = entries.iter().find(|entry| relevant_parameters(&entry.cmdline) != relevant_parameters(&first.cmdline))?;
    let (one, two) = (relevant_parameters(&first.cmdline), relevant_parameters(&other.cmdline));
    let name = RELEVANT.iter().find(|name| one.get(**name) != two.get(**name))?;
    let told = |value: Option<&String>| value.map_or_else(|| format!("no {name}"), |value| format!("{name}={value}"));
    Some(
        Check::ok(
            "entries-differ",
            Group::Boot,
            "boot entries",
            format!("{} has {}, {} has {}", first.source, told(one.get(name)), other.source, told(two.get(name))),
        )
        .care("whether the card can be passed through depends on which entry is booted", prepared.remedy()),
    )
}

/// A parameter that this boot has and the next will lack.
fn lost(prepared: &Prepared) -> Option<Check> {
    let now = relevant_parameters(&prepared.facts.host.platform.cmdline.as_ref()?.0);
    let entries = &prepared.needs.entries;
    let (name, value) = now.iter().find(|(name, value)| {
        !entries.is_empty() && entries.iter().all(|entry| relevant_parameters(&entry.cmdline).get(*name) != Some(value))
    })?;
    let turned_off = value.split(',').any(|part| part == "off");
    if turned_off || (prepared.facts.host.platform.iommu == Iommu::On && !prepared.needs.lacking.is_empty()) {
        return None;
    }
    Some(
        Check::ok("parameter-lost", Group::Boot, "next boot", format!("lacks {name}={value}, which this boot has")).care(
            "it was set for one boot only, or an update has removed it",
            "if it is needed, add it to the boot loader's configuration",
        ),
    )
}
