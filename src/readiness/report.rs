//! All checks, and what they amount to: ready or not, and the one next step.

use schemars::JsonSchema;
use serde::Serialize;

use super::check::{Check, CheckState, NextStep};
use super::facts::{Facts, Input};
use super::kernels::For;
use super::next_kernel::NextKernel;
use super::{
    binding, boot, cards, groups, hook, iommufd, isolation, kernel_log, kernels, kvmfr, memory, next, next_kernel, platform, software,
    virtual_functions,
};
use crate::model::{Finding, Next, PciAddress};

/// Whether a host is ready, what comes next, and what was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Report {
    /// Whether nothing is missing.
    pub ready: bool,
    /// What kind of step comes next.
    pub step: NextStep,
    /// Part of what every command answers.
    #[serde(skip)]
    pub next: Next,
    /// Whether it is ready, in one line.
    pub summary: String,
    pub cards: Vec<PciAddress>,
    pub checks: Vec<Check>,
}

/// Looks at everything.
pub fn check(input: &Input) -> Report {
    let facts = Facts::of(input);
    let mut checks = all(&facts);
    name_refusal(&facts, &mut checks);
    checks.sort_by_key(|check| check.group);
    let (step, mut next) = next::decide(&facts, &checks);
    if step == NextStep::Choose
        && let Some((card, why)) = next::example(&facts)
    {
        let then = check(&Input { cards: &[card], ..*input }).next;
        next = Next { reason: format!("{why}; {}", then.reason), ..then };
    }
    let (ready, mut summary) = summary(&checks);
    // What is right now was set for this boot only, and prepare would set it for the next.
    if ready && facts.writes() && !facts.plan.reboot.is_empty() {
        summary.push_str(", but only until the next boot: see the warnings");
    }
    Report { ready, step, next, summary, cards: facts.cards.iter().map(|card| card.address).collect(), checks }
}

/// Looks only at the kernel that boots next.
pub fn check_next(input: &Input, kernel: &NextKernel) -> Report {
    let facts = Facts::of(input);
    let mut checks = next_kernel::checks(&facts, kernel);
    name_refusal(&facts, &mut checks);
    let (step, next) = next::decide(&facts, &checks);
    let (ready, summary) = summary(&checks);
    let unknown = checks.iter().filter(|check| check.state == CheckState::Unknown).count();
    let (step, next) = match step {
        NextStep::Define if unknown > 0 => {
            (step, Next::sentence(format!("nothing that is known; what is unknown above ({unknown}) was not looked at")))
        }
        NextStep::Define if next_kernel::is_running(&facts, kernel) => {
            (step, Next::sentence("nothing: the next boot has what a guest needs"))
        }
        NextStep::Define => (NextStep::Reboot, Next::command("reboot", format!("at any time: {} has what a guest needs", kernel.release))),
        _ => (step, next),
    };
    let cards = facts.cards.iter().map(|card| card.address).collect();
    Report { ready, step, next, summary: format!("kernel {}: {summary}", kernel.release), cards, checks }
}

/// Each check, in the order of the report within its topic.
fn all(facts: &Facts) -> Vec<Check> {
    let mut checks = vec![platform::virtualization(facts), platform::kvm(facts), platform::iommu(facts)];
    checks.extend(platform::interrupt_remapping(facts));
    checks.extend(platform::address_width(facts));
    checks.push(iommufd::iommufd(facts));
    checks.extend(isolation::isolation(facts));
    checks.extend(platform::other_warnings(facts));
    checks.extend(cards::none(facts));
    checks.extend(cards::removed(facts));
    checks.extend(groups::changed(facts));
    for card in facts.cards {
        checks.push(cards::verdict(facts, card));
        checks.extend(cards::warnings(facts, card));
        checks.extend(cards::reset(facts, card));
        checks.extend(cards::regions(facts, card));
        checks.extend(cards::d3cold(facts, card));
    }
    checks.extend(facts.cards.iter().filter_map(|card| cards::domains(facts, card)));
    checks.extend(cards::chosen(facts));
    checks.extend(cards::refusals(facts));
    for card in facts.cards {
        checks.push(cards::framebuffer(facts, card));
        checks.extend(cards::rom(facts, card));
    }
    checks.extend(cards::holders(facts));
    checks.extend(boot::unread(facts));
    checks.extend(boot::loader(facts));
    checks.push(boot::parameters(facts));
    checks.extend(boot::next_boot(facts));
    checks.extend(boot::by_hand(facts));
    checks.extend(boot::differing(facts));
    checks.extend(boot::lost(facts));
    checks.extend(boot::without_effect(facts));
    checks.extend(boot::nested_paging(facts));
    checks.push(kernels::vfio(facts));
    checks.extend(kernels::gone(facts));
    checks.extend(kernels::initramfs(facts, For::Now));
    checks.extend(next_kernel::of_another(facts));
    checks.extend(binding::moved(facts));
    checks.extend(binding::bound(facts));
    checks.extend(facts.cards.iter().filter_map(|card| binding::driver_kept_out(facts, card)));
    checks.extend(binding::doubts(facts));
    checks.extend(binding::others(facts));
    checks.extend(virtual_functions::made(facts));
    checks.push(memory::hugepages(facts));
    checks.extend(memory::locked(facts));
    checks.extend(software::proxmox(facts));
    checks.extend(software::libvirt(facts));
    checks.extend(hook::own(facts));
    checks.extend(hook::others(facts));
    checks.extend(hook::in_updates(facts));
    checks.extend(software::components(facts));
    checks.push(software::virtio_disc(facts));
    checks.extend(kvmfr::kvmfr(facts));
    checks.extend(software::shared_folders(facts));
    checks.extend(software::unknown_folders(facts));
    checks.extend(kernel_log::causes(facts));
    checks
}

/// Where prepare refuses, it is no remedy: what it refuses is reported, and named instead.
fn name_refusal(facts: &Facts, checks: &mut Vec<Check>) {
    let Some(first) = facts.refusals().next() else { return };
    let is_sent = |check: &Check| check.code != first.code && check.is_by_prepare();
    if !checks.iter().any(is_sent) {
        return;
    }
    let is_needed = checks.iter().any(|check| is_sent(check) && check.state == CheckState::Missing);
    for finding in facts.refusals() {
        if !checks.iter().any(|check| tells(check, finding)) {
            checks.push(binding::refused(facts, finding, is_needed));
        }
    }
    let Some(subject) = checks.iter().find(|check| tells(check, first)).map(|check| check.subject.clone()) else { return };
    for check in checks.iter_mut().filter(|check| is_sent(check)) {
        check.remedy = format!("see '{subject}', because of which vgapt prepare writes nothing");
        check.command = None;
    }
}

/// Whether a check says what a finding of prepare says.
fn tells(check: &Check, finding: &Finding) -> bool {
    check.seen == finding.message || (check.code == finding.code && check.state == CheckState::Missing)
}

/// Whether nothing is missing, and that in one line.
fn summary(checks: &[Check]) -> (bool, String) {
    let count = |state: CheckState| checks.iter().filter(|check| check.state == state).count();
    let blind = if checks.iter().any(|check| ["host-blind", "no-display", "display-kept-out"].contains(&check.code)) {
        ", and the host has no display"
    } else {
        ""
    };
    let unknown = match count(CheckState::Unknown) {
        0 => String::new(),
        1 => ", as far as could be determined (1 unknown)".to_owned(),
        many => format!(", as far as could be determined ({many} unknown)"),
    };
    match count(CheckState::Missing) {
        0 => (true, format!("ready{blind}{unknown}")),
        1 => (false, "not ready: 1 thing is missing".to_owned()),
        many => (false, format!("not ready: {many} things are missing")),
    }
}
