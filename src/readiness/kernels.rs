//! The kernels: whether vfio-pci is in each of them and in its initramfs.

use super::check::{Check, NextStep, Topic};
use super::facts::Facts;
use super::next_kernel;
use crate::host::{self, bound};
use crate::model::{Host, InitramfsTool, ModuleState, Setup, version_order};
use crate::passthrough::Verdict;

pub(super) fn vfio(facts: &Facts) -> Check {
    let observed = facts.observed;
    let check = |seen: String| Check::ok("vfio-module", Topic::Boot, "vfio-pci", seen);
    let running = facts.host.platform.kernel.as_deref();
    let lacking: Vec<&str> =
        observed.vfio.iter().filter(|(_, state)| **state == ModuleState::Missing).map(|(release, _)| release.as_str()).collect();
    if !lacking.is_empty() {
        let check = check(format!("is not part of the kernel {}", lacking.join(", ")));
        let why = "it is the driver that makes a device available to a guest";
        let remedy = "install the distribution's full kernel package (not a cloud or minimal one), or boot another kernel";
        let is_running = lacking.iter().any(|release| Some(*release) == running);
        return if is_running { check.missing(NextStep::Kernel, why, remedy) } else { check.care(why, remedy) };
    }
    // Another kernel's modules say nothing about the running kernel.
    let state = running.map_or_else(|| observed.vfio.values().next(), |release| observed.vfio.get(release));
    match state {
        Some(ModuleState::BuiltIn) => check("is built into the kernel".into()).minor(),
        Some(ModuleState::InUse) => check("is part of this kernel: a device is bound to it".into()).minor(),
        Some(_) => check("is a module of the kernel".into()).minor(),
        None if observed.reach.is_live() => check(String::new()).unknown("/lib/modules does not show which modules this kernel has"),
        None => check(String::new()).unknown(&facts.because("/lib/modules")).minor(),
    }
}

/// A module that no longer exists, as prepare finds it.
pub(super) fn gone(facts: &Facts) -> Option<Check> {
    let finding = facts.finding("vfio-virqfd")?;
    Some(Check::of_finding(finding, Topic::Boot, "vfio_virqfd", "the build of an initramfs fails (dracut, mkinitcpio)"))
}

/// How many images are listed at most; listing one takes a second.
const MOST_IMAGES: usize = 3;

/// The program that lists the contents of an image, and the images to list, those of one kernel or of all: only if
/// something is set up to be bound early.
pub fn images(host: &Host, setup: &Setup, kernel: Option<&str>) -> Option<(&'static str, Vec<String>)> {
    if bound(setup).is_empty() {
        return None;
    }
    let tool = host::initramfs::chosen(host, setup).ok()?;
    let of_kernel = kernel.map(|release| next_kernel::of_release(setup, release)).unwrap_or_default();
    if !of_kernel.is_empty() {
        return Some((tool.lister, of_kernel));
    }
    let is_one = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or_default();
        let of_kernel = setup.kernels.iter().any(|kernel| name.contains(&kernel.release)) || name.starts_with("initramfs-linux");
        of_kernel && is_usual(path)
    };
    let mut found: Vec<String> = setup.images.iter().map(|(path, _)| path.clone()).filter(|path| is_one(path)).collect();
    // The newest kernels come last.
    let running = host.platform.kernel.clone().unwrap_or_default();
    found.sort_by(|one, other| version_order(one, other));
    found.sort_by_key(|path| !path.contains(&running));
    let (first, rest) = found.split_at(found.len().min(1));
    let newest = rest.iter().rev().take(MOST_IMAGES - 1);
    Some((tool.lister, first.iter().chain(newest).cloned().collect()))
}

/// Whether this is an initramfs for every day.
pub(super) fn is_usual(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.starts_with("init") && !["fallback", "rescue", "kdump"].iter().any(|other| name.contains(other))
}

/// For early binding, vfio-pci and its configuration must be in the initramfs.
pub(super) fn initramfs(facts: &Facts) -> Vec<Check> {
    let (setup, observed) = (facts.setup, facts.observed);
    if bound(setup).is_empty() {
        return Vec::new();
    }
    let check = |subject: &str, seen: String| Check::ok("initramfs", Topic::Boot, subject, seen);
    if observed.images.is_empty() {
        let because =
            if observed.reach.is_live() { "no image was found that could be listed" } else { "programs are run only on the running host" };
        return vec![check("initramfs", String::new()).unknown(because).minor()];
    }
    let one = |(path, content): (&String, &Result<Vec<String>, String>)| match content {
        Err(because) => check(path, String::new()).unknown(because),
        Ok(names) => {
            let missing: Vec<&str> = facts
                .plan
                .in_initramfs
                .iter()
                .map(String::as_str)
                .filter(|wanted| !names.iter().any(|name| name.contains(wanted)))
                .collect();
            if missing.is_empty() {
                return check(path, "has vfio-pci and its configuration".into()).minor();
            }
            let check = check(path, format!("lacks {}", missing.join(", ")));
            let why = "other drivers are loaded from it, so vfio-pci has to be in it too, to be loaded before them";
            // What is bound now can be used now.
            if facts.cards.iter().all(|card| card.verdict == Verdict::Ready) {
                return check.care(why, rebuild(facts));
            }
            let check = check.missing(NextStep::Prepare, why, rebuild(facts));
            if check.remedy == REGENERATE { check } else { check.by_command() }
        }
    };
    observed.images.iter().map(one).collect()
}

const REGENERATE: &str = "regenerate the initramfs";

fn rebuild(facts: &Facts) -> String {
    match host::initramfs::chosen(facts.host, facts.setup).map(|tool| tool.kind) {
        Ok(InitramfsTool::InitramfsTools) => "update-initramfs -u -k all",
        Ok(InitramfsTool::Dracut) => "dracut --regenerate-all --force",
        Ok(InitramfsTool::Mkinitcpio) => "mkinitcpio -P",
        _ => REGENERATE,
    }
    .to_owned()
}
