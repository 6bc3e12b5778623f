//! The facts, and what `vgapt prepare` would do about them.

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
        // What is noted down is due, and no reason to prepare again.
        plan.commands.retain(|command| !plan.writes.is_empty() || !facts.noted.contains(&command.argv));
        let needs = Needs::of(&facts, &plan);
        Self { facts, plan, needs }
    }

    /// Whether files have to be written.
    pub(super) fn writes(&self) -> bool {
        !self.plan.writes.is_empty()
    }

    /// The exact command that does it.
    pub(super) fn command(&self) -> String {
        let cards: String = self.facts.cards.iter().map(|card| format!(" --gpu {}", card.address.short())).collect();
        format!("vgapt prepare{cards}{}", if self.bind() == Bind::Start { " --bind start" } else { "" })
    }

    /// What brings a prepared host to where it has to be: prepare, else the commands that are still due.
    pub(super) fn remedy(&self) -> String {
        if self.writes() || self.plan.commands.is_empty() {
            return self.command();
        }
        let commands: Vec<String> = self.plan.commands.iter().map(|command| command.argv.join(" ")).collect();
        commands.join(" && ")
    }

    /// To boot again, in a tree after what was noted down.
    pub(super) fn reboot(&self) -> String {
        let noted: Vec<String> = self.facts.noted.iter().map(|argv| argv.join(" ")).collect();
        if noted.is_empty() { "reboot".to_owned() } else { format!("run in that system: {}; then reboot", noted.join(" && ")) }
    }

    /// When the cards are taken: virtual functions do not exist at boot.
    pub(super) fn bind(&self) -> Bind {
        if self.only_virtual() { Bind::Start } else { self.facts.bind }
    }

    /// Whether all that is meant is made while the system runs.
    pub(super) fn only_virtual(&self) -> bool {
        host::only_virtual(self.facts.host, &functions(self.facts.cards))
    }

    /// What prepare says of a system that is made from a configuration of its own, where it writes nothing.
    pub(super) fn generated(&self) -> Option<&Finding> {
        self.plan.findings.iter().find(|finding| finding.code == "generated")
    }

    /// What prepare would refuse.
    pub(super) fn refused(&self) -> bool {
        self.plan.findings.iter().any(|finding| finding.severity > Severity::Warning)
    }
}

/// All functions of the cards.
pub(super) fn functions(cards: &[Assessment]) -> Vec<PciAddress> {
    cards.iter().flat_map(|card| card.functions.iter().copied()).collect()
}
