//! The input of the checks: what was read, and what `vgapt prepare` would do about it.

use crate::host::loaders::{self, Chosen, Entry};
use crate::host::{self, Bind, Command, Parameter, Plan, Wanted};
use crate::model::{Cmdline, Finding, Host, Observed, PciAddress, Setup, Severity, shell_command};
use crate::passthrough::{Assessment, Choice, Verdict, assess, choose, displays_on_vfio, is_only_display};

/// What was read from the host, and what is requested.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    pub host: &'a Host,
    pub setup: &'a Setup,
    pub observed: &'a Observed,
    /// The cards selected for a guest; see [`super::meant`].
    pub cards: &'a [Assessment],
    /// When they are bound to vfio-pci; `None`: as [`proposed_bind`] says.
    pub bind: Option<Bind>,
    /// The commands that prepare recorded for this tree and that have not been run, as far as is known.
    pub noted: &'a [Vec<String>],
    /// Whether guests run in a user's session libvirt.
    pub session: bool,
}

/// What a check is given: the input, and what `vgapt prepare` would do about it.
pub(super) struct Facts<'a> {
    pub(super) host: &'a Host,
    pub(super) setup: &'a Setup,
    pub(super) observed: &'a Observed,
    pub(super) cards: &'a [Assessment],
    pub(super) functions: Vec<PciAddress>,
    /// Whether all functions are virtual ones, created while the system runs.
    pub(super) only_virtual: bool,
    /// When the cards are bound: never at boot for virtual functions, which do not exist then.
    pub(super) bind: Bind,
    /// Whether the guest gets the host's only display while it runs.
    pub(super) hands_over: bool,
    pub(super) noted: &'a [Vec<String>],
    pub(super) session: bool,
    pub(super) plan: Plan,
    /// What an earlier plan had for a tree, and is needed: it was not run there.
    left_out: Vec<Command>,
    pub(super) needs: NeededParameters,
}

impl<'a> Facts<'a> {
    pub(super) fn of(input: &Input<'a>) -> Self {
        let Input { host, setup, observed, cards, noted, session, .. } = *input;
        let functions: Vec<PciAddress> = cards.iter().flat_map(|card| card.functions.iter().copied()).collect();
        let only_virtual = host::only_virtual(host, &functions);
        let bind = input.bind.filter(|_| !only_virtual).unwrap_or_else(|| proposed_bind(host, setup, &functions));
        let hands_over = bind == Bind::Start && is_only_display(host, &functions);
        let mut plan = host::plan(host, setup, &Wanted { functions: functions.clone(), bind, ..Wanted::default() });
        // Recorded commands have to be run, but are no reason to prepare again.
        let left_out = plan.leave_out(noted);
        let needs = NeededParameters::of(host, setup, &plan);
        Self { host, setup, observed, cards, functions, only_virtual, bind, hands_over, noted, session, plan, left_out, needs }
    }

    pub(super) fn writes(&self) -> bool {
        !self.plan.writes.is_empty()
    }

    /// Whether only a reboot is between this boot and the kernel parameters that it lacks, as far as the entries are known.
    pub(super) fn waits_for_reboot(&self) -> bool {
        self.needs.next_boot_has_them().unwrap_or_else(|| self.plan.is_empty())
    }

    /// The running kernel, where its modules are not there, and those of another are.
    pub(super) fn gone_modules(&self) -> Option<&str> {
        let running = self.host.platform.kernel.as_deref()?;
        let (kernels, vfio) = (&self.setup.kernels, &self.setup.vfio);
        let others = kernels.iter().filter(|kernel| !kernel.builtin.is_empty()).any(|kernel| kernel.release != running);
        let is_there = kernels.iter().any(|kernel| kernel.release == running) || vfio.contains_key(running);
        (others && !is_there).then_some(running)
    }

    /// The exact `vgapt prepare` command.
    pub(super) fn command(&self) -> String {
        let cards: String = self.cards.iter().map(|card| format!(" --gpu {}", card.address.short())).collect();
        format!("vgapt prepare{cards}{}", if self.bind == Bind::Start { " --bind start" } else { "" })
    }

    /// The exact `vgapt define` command.
    pub(super) fn define(&self) -> String {
        let cards: String = self.cards.iter().map(|card| format!(" --gpu {}", card.address.short())).collect();
        format!("vgapt define NAME{cards}{}", if self.hands_over { " --handover" } else { "" })
    }

    /// What is still to be done: `vgapt prepare`, or the commands that have not been run yet.
    pub(super) fn remedy(&self) -> String {
        if self.writes() || (self.plan.commands.is_empty() && self.left_out.is_empty()) {
            return self.command();
        }
        let commands = self.left_out.iter().chain(&self.plan.commands);
        let commands: Vec<String> = commands.map(|command| shell_command(&command.argv)).collect();
        commands.join(" && ")
    }

    /// A reboot; in a tree, after the recorded commands.
    pub(super) fn reboot(&self) -> String {
        let noted: Vec<String> = self.noted.iter().map(|argv| shell_command(argv)).collect();
        if noted.is_empty() {
            format!("reboot{}", self.if_rebooted())
        } else {
            format!("run in that system: {}; then reboot", noted.join(" && "))
        }
    }

    /// What is to be done first, where a reboot did not help.
    pub(super) fn if_rebooted(&self) -> String {
        let command = self.regenerating().map(|command| shell_command(&command.argv));
        command.map(|command| format!("; if the host was rebooted since, first: {command}")).unwrap_or_default()
    }

    /// What regenerates what the next boot reads, where only the file that it is made from is looked at.
    pub(super) fn regenerating(&self) -> Option<Command> {
        loaders::regenerating(self.needs.loader.as_ref().ok()?, self.setup)
    }

    /// What has the parameters that the next boot needs.
    pub(super) fn who_has_parameters(&self) -> &'static str {
        let are_read = self.needs.next_boot_has_them().is_some() && self.regenerating().is_none();
        if are_read { "the next boot" } else { "the configuration" }
    }

    pub(super) fn finding(&self, code: &str) -> Option<&Finding> {
        self.plan.findings.iter().find(|finding| finding.code == code)
    }

    /// Why `vgapt prepare` cannot write anything, whatever is allowed.
    pub(super) fn refusals(&self) -> impl Iterator<Item = &Finding> {
        let generated = self.finding("generated");
        let is_error = |finding: &&Finding| finding.severity == Severity::Error && finding.code != "generated";
        generated.into_iter().chain(self.plan.findings.iter().filter(is_error))
    }

    pub(super) fn refused(&self) -> bool {
        self.plan.findings.iter().any(|finding| finding.severity > Severity::Warning)
    }

    /// Why something that every user can read is not known, and where it would be.
    pub(super) fn because(&self, place: &str) -> String {
        format!("{} ({place})", self.observed.reach.because())
    }

    /// The same for something that only root can read.
    pub(super) fn because_closed(&self, place: &str) -> String {
        format!("{} ({place})", self.observed.reach.because_closed())
    }

    /// The lines of the kernel's log that matter; none where it cannot be read.
    pub(super) fn log(&self) -> &[String] {
        self.observed.log.as_deref().unwrap_or_default()
    }
}

/// The needed parameters, compared with this boot and the next.
pub(super) struct NeededParameters {
    pub(super) lacks_now: Vec<Parameter>,
    pub(super) loader: Result<Chosen, Finding>,
    /// What can be booted next, recovery entries left out.
    pub(super) entries: Vec<Entry>,
    pub(super) lacking: Vec<Entry>,
}

impl NeededParameters {
    fn of(host: &Host, setup: &Setup, plan: &Plan) -> Self {
        let now = host.platform.cmdline.as_ref();
        let lacks_now = plan.parameters.iter().filter(|one| now.is_some_and(|line| !says(line, &one.token))).cloned().collect();
        let loader = loaders::chosen(host, setup);
        let mut entries = loader.as_ref().map(|chosen| chosen.loader.next_boot(setup)).unwrap_or_default();
        entries.retain(|entry| !entry.is_recovery());
        // What somebody wrote by hand counts where it is what boots, and then nothing else does.
        match loaders::next_entry(setup, &entries).and_then(|default| default.entry).filter(|entry| entry.by_hand.is_some()) {
            Some(default) => entries = vec![default.clone()],
            None => entries.retain(|entry| entry.by_hand.is_none()),
        }
        let lacks = |entry: &&Entry| {
            let line = Cmdline(entry.cmdline.clone());
            line.iommu_off().is_some() || plan.parameters.iter().any(|one| !says(&line, &one.token))
        };
        let lacking = entries.iter().filter(lacks).cloned().collect();
        Self { lacks_now, loader, entries, lacking }
    }

    /// Whether the next boot has all that is needed; `None` where its entries are not known.
    pub(super) fn next_boot_has_them(&self) -> Option<bool> {
        (!self.entries.is_empty()).then_some(self.lacking.is_empty())
    }
}

/// Whether a command line has a parameter as [`Parameter::token`] writes it.
pub(super) fn says(line: &Cmdline, token: &str) -> bool {
    let (token, wanted) = token.strip_prefix('-').map_or((token, true), |token| (token, false));
    let has = |token: &str| {
        let (name, value) = token.split_once('=').unwrap_or((token, ""));
        let known = line.get(name);
        known == Some(value)
            || known.is_some_and(|known| value.split(',').all(|part| known.split(',').any(|one| one.eq_ignore_ascii_case(part))))
    };
    token.split_whitespace().all(has) == wanted
}

/// When these functions are best bound to vfio-pci, if nobody says: at boot, before any host driver. Virtual functions
/// do not exist then; the host's only display stays with it until a guest takes it over, and so does what was left for the
/// start before, unless somebody has set it up to be bound at boot.
pub fn proposed_bind(host: &Host, setup: &Setup, functions: &[PciAddress]) -> Bind {
    let is_set_up = || {
        let bound = host::bound(setup);
        host.devices(functions).any(|device| bound.iter().any(|bound| bound.is_still(device)))
    };
    // A display without a driver, whose driver is kept from loading, shows the host nothing that could be handed over.
    let may_show =
        || !host.unknown.is_empty() || host.devices(functions).any(|device| device.class.is_display() && device.driver.is_some());
    // While a guest has the host's only display, vfio-pci has it too; that nobody has set up for the boot.
    let is_lent = || {
        let is_dark = displays_on_vfio(host).iter().any(|display| functions.contains(display));
        is_dark && !host::others(host, setup).iter().any(|other| functions.iter().any(|function| other.takes.contains(function)))
    };
    let stays = || (is_only_display(host, functions) && may_show()) || is_lent() || host::left_for_start(host, setup, functions);
    let is_of_host = || stays() && !is_set_up();
    if host::only_virtual(host, functions) || is_of_host() { Bind::Start } else { Bind::Boot }
}

/// The cards that were named; else those that are set up to be bound, or are bound; else the one
/// that is chosen ([`choose`]), or, if none can be passed through, the only candidate; else none.
pub fn meant(host: &Host, setup: &Setup, named: &[PciAddress]) -> Vec<Assessment> {
    let cards = assess(host);
    let of = |wanted: &dyn Fn(&Assessment) -> bool| cards.iter().filter(|card| wanted(card)).cloned().collect::<Vec<_>>();
    if !named.is_empty() {
        return of(&|card| named.iter().any(|address| card.functions.contains(address)));
    }
    let bound: Vec<PciAddress> = host::bound(setup)
        .iter()
        .filter(|bound| host.device(bound.address).is_some_and(|device| bound.is_still(device)))
        .map(|bound| bound.address)
        .collect();
    // A card that only has the ids of another one's binding is meant by nobody.
    let taken = host::taken_by_ids(host, setup);
    let is_bound = |card: &Assessment| card.verdict == Verdict::Ready && !taken.contains(&card.address);
    let set_up = of(&|card| is_bound(card) || card.functions.iter().any(|function| bound.contains(function)));
    if !set_up.is_empty() {
        return set_up;
    }
    match choose(&cards) {
        Choice::Chosen(card, _) => vec![card.clone()],
        Choice::None(about, _) if about.len() == 1 => about.into_iter().cloned().collect(),
        Choice::Ambiguous(..) | Choice::None(..) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_that_do_not_count() {
        let entry =
            |source: &str, cmdline: &str| Entry { source: source.into(), cmdline: cmdline.into(), ..Entry::default() }.is_recovery();
        assert!(
            entry("/boot/grub/grub.cfg, line 9 (x)", "root=1 ro single") && entry("/boot/loader/entries/Z-vgapt-without.conf", "root=1")
        );
        assert!(entry("/boot/grub/grub.cfg, line 9 (x)", "root=1 ro systemd.unit=emergency.target"));
        assert!(entry("/boot/loader/entries/0-rescue.conf", "root=1") && !entry("/boot/loader/entries/debian.conf", "root=1 quiet"));
    }

    #[test]
    fn what_a_line_says() {
        let line = Cmdline("quiet intel_iommu=on,sm_on vfio-pci.ids=10de:1401,10de:0fba iommu=off hugepagesz=1G hugepages=8".into());
        for token in ["intel_iommu=on", "vfio-pci.ids=10DE:0fba", "-amd_iommu=off", "hugepagesz=1G hugepages=8", "quiet"] {
            assert!(says(&line, token), "{token}");
        }
        for token in ["-iommu=off", "vfio-pci.ids=1002:aaf0", "hugepagesz=1G hugepages=9", "debug"] {
            assert!(!says(&line, token), "{token}");
        }
        assert_eq!(line.iommu_off(), Some("iommu"));
        assert_eq!(Cmdline("iommu=pt".into()).iommu_off(), None);
    }
}
