//! The kernels: whether vfio-pci is in each of them and in its initramfs.

use super::check::{Check, NextStep, Topic};
use super::facts::Facts;
use crate::host::{self, bound};
use crate::model::{InitramfsTool, ModuleState};
use crate::passthrough::Verdict;

pub(super) fn vfio(facts: &Facts) -> Check {
    let (setup, observed) = (facts.setup, facts.observed);
    let check = |seen: String| Check::ok("vfio-module", Topic::Boot, "vfio-pci", seen);
    let running = facts.host.platform.kernel.as_deref();
    let lacking: Vec<&str> =
        setup.vfio.iter().filter(|(_, state)| **state == ModuleState::Missing).map(|(release, _)| release.as_str()).collect();
    if !lacking.is_empty() {
        let check = check(format!("is not part of the kernel {}", lacking.join(", ")));
        let why = "it is the driver that makes a device available to a guest";
        let remedy = host::FULL_KERNEL;
        let is_running = lacking.iter().any(|release| Some(*release) == running);
        return if is_running { check.missing(NextStep::Kernel, why, remedy) } else { check.care(why, remedy) };
    }
    // Another kernel's modules say nothing about the running kernel.
    let state = running.map_or_else(|| setup.vfio.values().next(), |release| setup.vfio.get(release));
    match (state, facts.gone_modules()) {
        (Some(ModuleState::BuiltIn), _) => check("is built into the kernel".into()).minor(),
        (Some(ModuleState::InUse), _) => check("is part of this kernel: a device is bound to it".into()).minor(),
        (Some(_), _) => check("is a module of the kernel".into()).minor(),
        (None, Some(running)) => check(format!(
            "/lib/modules/{running} of the running kernel is not there, as after an update; modules of others are"
        ))
        .missing(NextStep::Reboot, "what is not loaded yet cannot be loaded before the reboot", facts.reboot()),
        (None, None) if observed.reach.is_live() => {
            check(String::new()).unknown("/lib/modules does not show which modules this kernel has")
        }
        (None, None) => check(String::new()).unknown(&facts.because("/lib/modules")).minor(),
    }
}

/// A module that no longer exists, as prepare finds it.
pub(super) fn gone(facts: &Facts) -> Option<Check> {
    let finding = facts.finding("vfio-virqfd")?;
    Some(Check::of_finding(finding, Topic::Boot, "vfio_virqfd", "guides for older kernels list it"))
}

/// What an initramfs is needed for: a guest now, or at the next boot.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    Now,
    NextBoot,
}

/// For early binding, vfio-pci and its configuration must be in the initramfs.
pub(super) fn initramfs(facts: &Facts, when: For) -> Vec<Check> {
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
            if when == For::Now && facts.cards.iter().all(|card| card.verdict == Verdict::Ready) {
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
    let command = match host::initramfs::chosen(facts.host, facts.setup).map(|tool| tool.kind) {
        Ok(InitramfsTool::InitramfsTools) => "update-initramfs -u -k all",
        Ok(InitramfsTool::Dracut) => "dracut --regenerate-all --force",
        Ok(InitramfsTool::Mkinitcpio) => "mkinitcpio -P",
        _ => REGENERATE,
    };
    // Where its configuration is not there either, prepare writes that and runs the tool.
    let is_of_prepare = facts.plan.commands.iter().any(|own| command.split(' ').next() == own.argv.first().map(String::as_str));
    if is_of_prepare { facts.command() } else { command.to_owned() }
}
