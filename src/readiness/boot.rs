//! The boot loader, and the kernel parameters of this and the next boot.

use std::collections::{BTreeMap, BTreeSet};

use super::check::{Check, NextStep, Topic};
use super::facts::{Facts, says};
use crate::host::loaders::Entry;
use crate::host::modprobe::{self, Line};
use crate::model::{Cmdline, Iommu};

/// Parameters that must be the same in all boot entries.
const RELEVANT: [&str; 8] =
    ["intel_iommu", "amd_iommu", "iommu", "vfio-pci.ids", "module_blacklist", "initcall_blacklist", "hugepages", "pcie_acs_override"];

/// Configuration that could not be read.
pub(super) fn unread(facts: &Facts) -> Option<Check> {
    let unread = &facts.setup.unread;
    let (first, more) = (unread.first()?, unread.len() - 1);
    let because = if more == 0 { first.clone() } else { format!("{}; {}", first, unread[1..].join("; ")) };
    Some(Check::ok("configuration-unread", Topic::Boot, "configuration", String::new()).unknown(&because))
}

pub(super) fn loader(facts: &Facts) -> Option<Check> {
    let check = |seen: String| Check::ok("boot-loader", Topic::Boot, "boot loader", seen);
    match &facts.needs.loader {
        Ok(chosen) => Some(check(format!("{}: {}", chosen.loader.name, chosen.evidence)).minor()),
        // Reported together with the parameters that have to be added.
        Err(_) if !facts.needs.lacks_now.is_empty() => {
            let finding = facts.plan.findings.iter().find(|finding| finding.code == "boot-loader")?;
            Some(check(finding.message.clone()).missing(NextStep::Kernel, "the kernel needs parameters", finding.remedy.clone()))
        }
        Err(finding) => Some(check(String::new()).unknown(&finding.message).minor()),
    }
}

pub(super) fn parameters(facts: &Facts) -> Check {
    let check = |seen: String| Check::ok("kernel-parameters", Topic::Boot, "this boot", seen);
    let needs = &facts.needs;
    if facts.host.platform.cmdline.is_none() {
        let unread = facts.setup.unread.iter().find(|because| because.contains("/proc/cmdline"));
        let because = unread.cloned().unwrap_or_else(|| facts.because("/proc/cmdline"));
        return check(String::new()).unknown(&because);
    }
    if needs.lacks_now.is_empty() {
        let needed: Vec<&str> = facts.plan.parameters.iter().map(|one| one.token.as_str()).collect();
        let seen = if needed.is_empty() {
            "no kernel parameter is needed".into()
        } else {
            format!("has the required parameters: {}", needed.join(" "))
        };
        return check(seen).minor();
    }
    let tokens: Vec<&str> = needs.lacks_now.iter().map(|one| one.token.as_str()).collect();
    let why: Vec<&str> = needs.lacks_now.iter().map(|one| one.why.as_str()).collect();
    let seen = lacks_and_says(&tokens);
    // If the firmware disables the IOMMU, or the IOMMU is on anyway, the parameter is not the first thing that is missing.
    if !facts.waits_for_reboot() {
        return check(seen).missing(NextStep::Prepare, why.join("; "), facts.remedy()).by_command();
    }
    let who = facts.who_has_parameters();
    check(format!("{seen}; {who} has the correct parameters")).missing(NextStep::Reboot, why.join("; "), facts.reboot())
}

/// What a command line lacks, and what it says that it must not: [`Parameter::token`](crate::host::Parameter::token).
pub(super) fn lacks_and_says(tokens: &[&str]) -> String {
    let (taken, added): (Vec<&str>, Vec<&str>) = tokens.iter().partition(|token| token.starts_with('-'));
    [("lacks ", added), ("says ", taken.iter().map(|token| token.trim_start_matches('-')).collect())]
        .iter()
        .filter(|(_, tokens)| !tokens.is_empty())
        .map(|(word, tokens)| format!("{word}{}", tokens.join(" ")))
        .collect::<Vec<_>>()
        .join(", and ")
}

/// A parameter that disables the IOMMU at the next boot, or one that the boot loader's file lacks although it was facts.
pub(super) fn next_boot(facts: &Facts) -> Option<Check> {
    let needs = &facts.needs;
    let check = |seen: String| Check::ok("next-boot", Topic::Boot, "next boot", seen);
    let Some(entry) = needs.lacking.first() else {
        if let Some(of_this_boot) = only_this_boot_has(facts) {
            return Some(of_this_boot);
        }
        return needs.next_boot_has_them().map(|_| check(format!("{} has the required parameters", entries(needs.entries.len()))).minor());
    };
    let off = Cmdline(entry.cmdline.clone()).iommu_off();
    if needs.lacks_now.is_empty() || off.is_some() {
        let line = Cmdline(entry.cmdline.clone());
        let lacks = || facts.plan.parameters.iter().map(|one| one.token.as_str()).filter(|token| !says(&line, token)).collect::<Vec<_>>();
        let what = off.map_or_else(|| different_from_this_boot(&lacks()), |name| format!("says {name}=off"));
        let check = check(format!("{} {what}", entry.source)).missing(
            NextStep::Prepare,
            "the IOMMU or the binding would not work after the next boot",
            facts.remedy(),
        );
        return Some(check.by_command());
    }
    None
}

/// How a next boot differs from this one, which has all parameters as they are needed.
fn different_from_this_boot(tokens: &[&str]) -> String {
    let (taken, added): (Vec<&str>, Vec<&str>) = tokens.iter().partition(|token| token.starts_with('-'));
    let lacks = (!added.is_empty()).then(|| format!("lacks {}, which this boot has", added.join(" ")));
    let taken: Vec<&str> = taken.iter().map(|token| token.trim_start_matches('-')).collect();
    let says = (!taken.is_empty()).then(|| format!("says {}, which this boot does not", taken.join(" ")));
    lacks.into_iter().chain(says).collect::<Vec<_>>().join(", and ")
}

/// A parameter that was typed at the boot menu, or written into a generated file only: prepare would still add it to what the
/// boot entries are generated from.
fn only_this_boot_has(facts: &Facts) -> Option<Check> {
    if !facts.needs.lacks_now.is_empty() || facts.host.platform.cmdline.is_none() {
        return None;
    }
    let word =
        |text: &str, token: &str| text.split(|letter: char| letter.is_whitespace() || "\"'".contains(letter)).any(|word| word == token);
    let is_added = |token: &str| {
        let write = facts.plan.writes.iter().find(|write| {
            let [before, after] = [&write.before, &write.after].map(|text| text.as_deref().is_some_and(|text| word(text, token)));
            after && !before && write.before.is_some()
        });
        let command = || facts.plan.commands.iter().find(|command| command.argv.iter().any(|argument| word(argument, token)));
        write.map(|write| write.path.clone()).or_else(|| command().map(|_| "the boot loader's configuration".to_owned()))
    };
    let mut tokens = facts.plan.parameters.iter().map(|one| one.token.as_str()).filter(|token| !token.starts_with('-'));
    let (place, token) = tokens.find_map(|token| Some((is_added(token)?, token)))?;
    // Entries that cannot be read may have it all the same.
    let entries = match facts.needs.next_boot_has_them() {
        Some(_) => "the boot entries have it until they are generated again",
        None => "whether the boot entries have it is unknown",
    };
    let seen = format!("{place} lacks {token}, which this boot has; {entries}");
    let why = "the IOMMU or the binding would not work after such a boot";
    Some(Check::ok("next-boot", Topic::Boot, "next boot", seen).care(why, facts.command()))
}

fn entries(count: usize) -> String {
    if count == 1 { "its only entry".into() } else { format!("each of its {count} entries") }
}

fn relevant_parameters(line: &str) -> BTreeMap<&'static str, String> {
    let line = Cmdline(line.to_owned());
    RELEVANT.iter().filter_map(|name| Some((*name, line.get(name)?.to_owned()))).collect()
}

/// Boot entries that differ in a parameter that matters.
pub(super) fn differing(facts: &Facts) -> Option<Check> {
    let entries: &[Entry] = &facts.needs.entries;
    let first = entries.first()?;
    let other = entries.iter().find(|entry| relevant_parameters(&entry.cmdline) != relevant_parameters(&first.cmdline))?;
    let (one, two) = (relevant_parameters(&first.cmdline), relevant_parameters(&other.cmdline));
    let name = RELEVANT.iter().find(|name| one.get(**name) != two.get(**name))?;
    let told = |value: Option<&String>| value.map_or_else(|| format!("no {name}"), |value| format!("{name}={value}"));
    Some(
        Check::ok(
            "entries-differ",
            Topic::Boot,
            "boot entries",
            format!("{} has {}, {} has {}", first.source, told(one.get(name)), other.source, told(two.get(name))),
        )
        .care("whether the card can be passed through depends on which entry is booted", facts.remedy()),
    )
}

/// An entry that somebody wrote by hand, where what prepare writes does not arrive.
pub(super) fn by_hand(facts: &Facts) -> Option<Check> {
    let finding = facts.finding("entry-by-hand")?;
    Some(Check::of_finding(finding, Topic::Boot, "boot entry", "the IOMMU or the binding would not work after a boot by it"))
}

/// A parameter that this boot has and the next will lack.
pub(super) fn lost(facts: &Facts) -> Option<Check> {
    let now = relevant_parameters(&facts.host.platform.cmdline.as_ref()?.0);
    let entries = &facts.needs.entries;
    let (name, value) = now.iter().find(|(name, value)| {
        !entries.is_empty() && entries.iter().all(|entry| relevant_parameters(&entry.cmdline).get(*name) != Some(value))
    })?;
    let turned_off = Cmdline::is_iommu_off(name, value);
    if turned_off || (facts.host.platform.iommu == Iommu::On && !facts.needs.lacking.is_empty()) {
        return None;
    }
    Some(
        Check::ok("parameter-lost", Topic::Boot, "next boot", format!("lacks {name}={value}, which this boot has")).care(
            "it was set for one boot only, or an update has removed it",
            "if it is needed, add it to the boot loader's configuration",
        ),
    )
}

/// AMD family 15h (Bulldozer and its successors), for which nested paging was slow before Linux 4.15.
const FAMILY_15H: u32 = 0x15;
/// Kernels that carry the ACS override patch, by a word in their release.
const PATCHED: [&str; 7] = ["pve", "zen", "cachyos", "xanmod", "liquorix", "lqx", "acs"];

/// Kernel parameters that have no effect, or the wrong one.
pub(super) fn without_effect(facts: &Facts) -> Vec<Check> {
    let now = facts.host.platform.cmdline.as_ref().map(|line| ("this boot", line.clone()));
    let next = facts.needs.entries.iter().map(|entry| (entry.source.as_str(), Cmdline(entry.cmdline.clone())));
    let mut told = BTreeSet::new();
    let mut checks = Vec::new();
    for (place, line) in now.into_iter().chain(next) {
        for token in line.parameters() {
            if let Some((code, why)) = wrong(facts, &line, token).filter(|_| told.insert(token.to_owned())) {
                checks.push(
                    Check::ok(code, Topic::Boot, token, format!("is on the kernel command line ({place})"))
                        .care(why, format!("remove {token} from the kernel command line")),
                );
            }
        }
    }
    checks
}

/// What is wrong with a parameter, and the code of the finding.
fn wrong(facts: &Facts, line: &Cmdline, token: &str) -> Option<(&'static str, String)> {
    let host = facts.host;
    let (name, value) = token.split_once('=').unwrap_or((token, ""));
    let name = name.replace('-', "_");
    let of_intel = name == "intel_iommu" || name.starts_with("kvm_intel.");
    let of_amd = name == "amd_iommu" || name.starts_with("kvm_amd.");
    if (of_intel && host.cpu.is_amd()) || (of_amd && host.cpu.is_intel()) {
        return Some(("other-vendor", "it is for processors of another vendor, and has no effect here".into()));
    }
    match (name.as_str(), value) {
        ("amd_iommu", "on") => Some(("no-value", "the kernel has no such value; AMD's IOMMU is on if the firmware enables it".into())),
        (name, value) if Cmdline::is_iommu_off(name, value) => Some(("iommu-off", "it disables the IOMMU".into())),
        ("video", "efifb:off" | "vesafb:off" | "simplefb:off") if host.platform.kernel_at_least(5, 15) != Some(false) => {
            Some(("efifb-off", "it has no effect since Linux 5.15: another driver has the boot framebuffer".into()))
        }
        ("pcie_acs_override", _) => Some(acs(facts)),
        ("vfio_pci.ids", value) if line.get("vfio-pci.ids") != Some(value) => {
            Some(("ids-twice", "only the last vfio-pci.ids takes effect, and this one is not the last".into()))
        }
        ("kvm_amd.npt", "0") if !npt_helps(facts) => Some(("npt", NPT.into())),
        _ => None,
    }
}

fn acs(facts: &Facts) -> (&'static str, String) {
    let release = facts.host.platform.kernel.as_deref().unwrap_or_default();
    let patched = PATCHED.iter().any(|word| release.contains(word)) || facts.log().iter().any(|line| line.contains("ACS overrides"));
    if patched {
        ("acs-override", "it only pretends isolation: devices that really share a group can still access each other's memory".into())
    } else {
        ("acs-override", format!("it takes effect only in kernels with the ACS override patch, and {release} seems not to have it"))
    }
}

const NPT: &str = "it costs much of a guest's speed; the problem that it works around is fixed since Linux 4.15";

/// Disabling nested paging helps only on that family with an old kernel.
fn npt_helps(facts: &Facts) -> bool {
    let host = facts.host;
    host.cpu.family == Some(FAMILY_15H) && host.platform.kernel_at_least(4, 15) == Some(false)
}

/// The parameter of `kvm_amd` that disables nested paging.
pub(super) fn nested_paging(facts: &Facts) -> Option<Check> {
    if npt_helps(facts) {
        return None;
    }
    let configuration = modprobe::read(facts.setup, &[]);
    let is_one = |line: &&Line| line.name == "kvm_amd" && line.rest.split_whitespace().any(|word| word == "npt=0");
    let path = &configuration.of("options").find(is_one)?.path;
    Some(Check::ok("npt", Topic::Boot, "npt=0", format!("is in {path}")).care(NPT, format!("remove npt=0 from {path}")))
}
