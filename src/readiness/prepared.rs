//! The facts, together with what `vgapt prepare` would change.

use super::facts::Facts;
use super::needs::Needs;
use crate::host::{self, Bind, Plan, Wanted};
use crate::model::{Finding, PciAddress, Severity};
use crate::passthrough::Assessment;

/// The facts, and what `vgapt prepare` would do about them.
pub(super) struct Prepared<'a> {
    pub(super) facts: Facts<'a>,
    pub(super) plan: Plan,
    pub(super) needs: Needs,
}

impl<'a> Prepared<'a> {
    pub(super) fn of(facts: Facts<'a>) -> Self {
        let bind = if host::only_virtual(facts.host, &functions(facts.cards)) { Bind::Start } else { facts.bind };
        let wanted = Wanted { functions: functions(facts.cards), bind, ..Wanted::default() };
        let mut plan = host::plan(facts.host, facts.setup, &wanted);
        plan.leave_out(facts.noted);
        let needs = Needs::of(&facts, &plan);
        Self { facts, plan, needs }
    }

    /// Whether files have to be written.
    pub(super) fn writes(&self) -> bool {
        !self.plan.writes.is_empty()
    }

    /// The exact `vgapt prepare` command.
    pub(super) fn command(&self) -> String {
        let cards: String = self.facts.cards.iter().map(|card| format!(" --gpu {}", card.address.short())).collect();
        format!("vgapt prepare{cards}{}", if self.bind() == Bind::Start { " --bind start" } else { "" })
    }

    /// What is still to be done: `vgapt prepare`, or the commands that have not been run yet.
    pub(super) fn remedy(&self) -> String {
        if self.writes() || self.plan.commands.is_empty() {
            return self.command();
        }
        let commands: Vec<String> = self.plan.commands.iter().map(|command| command.argv.join(" ")).collect();
        commands.join(" && ")
    }

    /// A reboot; in a tree, after the recorded commands.
    pub(super) fn reboot(&self) -> String {
        let noted: Vec<String> = self.facts.noted.iter().map(|argv| argv.join(" ")).collect();
        if noted.is_empty() { "reboot".to_owned() } else { format!("run in that system: {}; then reboot", noted.join(" && ")) }
    }

    /// When the cards are bound: never at boot for virtual functions, which do not exist then.
    pub(super) fn bind(&self) -> Bind {
        if self.only_virtual() { Bind::Start } else { self.facts.bind }
    }

    /// Whether all selected functions are virtual ones, created while the system runs.
    pub(super) fn only_virtual(&self) -> bool {
        host::only_virtual(self.facts.host, &functions(self.facts.cards))
    }

    /// The finding for a system whose configuration is generated, on which prepare writes nothing.
    pub(super) fn generated(&self) -> Option<&Finding> {
        self.plan.findings.iter().find(|finding| finding.code == "generated")
    }

    /// Whether prepare would refuse.
    pub(super) fn refused(&self) -> bool {
        self.plan.findings.iter().any(|finding| finding.severity > Severity::Warning)
    }
}

/// All functions of the cards.
pub(super) fn functions(cards: &[Assessment]) -> Vec<PciAddress> {
    cards.iter().flat_map(|card| card.functions.iter().copied()).collect()
}
