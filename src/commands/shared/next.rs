//! Reads what the next step on this host depends on, and decides it.

use anyhow::Result;

use super::context::Context;
use super::existing::Existing;
use super::repeated::NamesCommands as _;
use crate::discovery;
use crate::host::{self, Bind};
use crate::hypervisor::State;
use crate::model::{Finding, Host, HostSource, Iommu, Next, Observed, PciAddress, Setup, shell_word};
use crate::passthrough::{self, Assessment};
use crate::readiness::{self, DomainState, Input, NextKernel, Report, Stage};
use crate::root::Root;
use crate::run;

/// What was read of a host to tell whether it is ready; the host itself was read with [`Scope::NextStep`].
///
/// [`Scope::NextStep`]: crate::discovery::Scope::NextStep
pub(in crate::commands) struct Seen<'a> {
    root: &'a Root,
    host: &'a Host,
    pub(in crate::commands) setup: Setup,
    pub(in crate::commands) observed: Observed,
    noted: Vec<Vec<String>>,
    session: bool,
    log_was_read: bool,
    /// The command that runs vgapt with the same options.
    again: String,
}

impl<'a> Seen<'a> {
    pub(in crate::commands) fn read(context: &Context, root: &'a Root, host: &'a Host) -> Result<Self> {
        let setup = discovery::setup(root, host);
        Ok(Self {
            observed: discovery::observe_without_log(root, host, &setup, rustix::process::geteuid().is_root()),
            setup,
            noted: host::noted(&context.target(root)?)?,
            session: context.uri().is_session(),
            log_was_read: false,
            again: context.again(),
            root,
            host,
        })
    }

    /// The cards that are meant where none is named.
    pub(in crate::commands) fn meant(&self) -> Vec<Assessment> {
        readiness::meant(self.host, &self.setup, &[])
    }

    pub(in crate::commands) fn report(&self, cards: &[Assessment], bind: Option<Bind>) -> Report {
        self.by(readiness::check(&self.input(cards, bind)))
    }

    /// The same of the kernel that boots next.
    pub(in crate::commands) fn report_of(&self, kernel: &NextKernel, cards: &[Assessment], bind: Option<Bind>) -> Report {
        self.by(readiness::check_next(&self.input(cards, bind), kernel))
    }

    fn input<'b>(&'b self, cards: &'b [Assessment], bind: Option<Bind>) -> Input<'b> {
        Input { host: self.host, setup: &self.setup, observed: &self.observed, cards, bind, noted: &self.noted, session: self.session }
    }

    fn by(&self, report: Report) -> Report {
        Report { next: report.next.by(&self.again), checks: report.checks.by(&self.again), ..report }
    }

    /// The report where only its next step matters: what takes long is read only where that depends on it.
    pub(in crate::commands) fn in_short(&mut self, cards: &[Assessment], bind: Option<Bind>) -> Report {
        // Where no interrupt controller shows that interrupts are remapped, the log may say it.
        let is_remapped = self.observed.interrupt_chips.iter().any(|chip| chip.starts_with("IR-"));
        if !self.root.is_live() || (self.host.platform.iommu == Iommu::On && !is_remapped) {
            self.read_log();
        }
        if self.root.is_live() {
            let functions: Vec<PciAddress> = cards.iter().flat_map(|card| card.functions.iter().copied()).collect();
            // A process that has a virtual function open is in the way: nothing binds these at boot.
            if host::only_virtual(self.host, &functions) {
                self.read_holders(cards);
            }
            // Set up to be bound, and not bound: after a reboot, the images tell why.
            let bound = host::bound(&self.setup);
            let waits = |address: &PciAddress| {
                self.host.device(*address).is_some_and(|device| !device.on_vfio() && bound.iter().any(|bound| bound.is_still(device)))
            };
            if functions.iter().any(waits) && self.observed.images.is_empty() {
                self.read_images(None);
            }
        }
        self.report(cards, bind)
    }

    /// The kernel log.
    pub(in crate::commands) fn read_log(&mut self) {
        if !std::mem::replace(&mut self.log_was_read, true) {
            self.observed.log = discovery::kernel_log(self.root);
        }
    }

    /// The options that the modules of a kernel know, where there are options of them.
    pub(in crate::commands) fn read_parameters(&mut self, kernel: &NextKernel) {
        for module in readiness::options_of(&self.setup) {
            let known = said(&["modinfo", "-k", &kernel.release, "-F", "parm", &module]);
            let names = known.map(|text| text.lines().filter_map(|line| Some(line.split_once(':')?.0.to_owned())).collect());
            let because = || format!("modinfo does not find {module} of {}", kernel.release);
            self.observed.parameters.insert(module.clone(), names.ok_or_else(because));
        }
    }

    /// The processes that have the cards open.
    pub(in crate::commands) fn read_holders(&mut self, cards: &[Assessment]) {
        let functions = cards.iter().flat_map(|card| card.functions.iter().copied());
        let of_host = |address: &PciAddress| self.host.device(*address).is_some_and(|device| !device.on_vfio());
        let of_host: Vec<PciAddress> = functions.filter(of_host).collect();
        self.observed.holders = Some(discovery::holders(self.root, &of_host));
    }

    /// What is in the initramfs images, of one kernel or of all, if something is set up to be bound early.
    pub(in crate::commands) fn read_images(&mut self, kernel: Option<&str>) {
        let Some((lister, images)) = readiness::images(self.host, &self.setup, kernel) else { return };
        for image in images {
            let listed = said(&[lister, &image]).map(|text| text.lines().map(str::to_owned).collect());
            let because = match self.observed.reach {
                HostSource::Live { root: false } => self.observed.reach.because_closed().to_owned(),
                _ => format!("{lister} failed to list it"),
            };
            self.observed.images.insert(image, listed.ok_or(because));
        }
    }
}

/// The next step on a host for these functions, if it is not ready for the cards among them; `None` also where the host
/// cannot be read from here.
pub(in crate::commands) fn of_host(
    context: &Context,
    root: Option<&Root>,
    host: &Host,
    functions: &[PciAddress],
    handover: bool,
) -> Result<Option<Next>> {
    let mut cards = passthrough::assess(host);
    cards.retain(|card| card.functions.iter().any(|function| functions.contains(function)));
    let Some(root) = root.filter(|_| !cards.is_empty()) else { return Ok(None) };
    // A card that is no display of the host has nothing to hand over, and is bound as without it.
    let bind = (handover && !passthrough::keeps_display(host, functions)).then_some(Bind::Start);
    let report = Seen::read(context, root, host)?.in_short(&cards, bind);
    Ok((!report.ready).then_some(report.next))
}

/// Whether a host is ready for the card that is meant where none is named, in a line, and the next step on it. The first
/// is `None` where the host cannot be read from here.
pub(in crate::commands) fn on_host(
    context: &Context,
    root: Option<&Root>,
    host: &Host,
    cards: &[Assessment],
) -> Result<(Option<String>, Next)> {
    if let Some(root) = root {
        let mut seen = Seen::read(context, root, host)?;
        let meant = seen.meant();
        let report = seen.in_short(&meant, None);
        return Ok((Some(report.summary), report.next));
    }
    let choice = passthrough::choose(cards);
    let next = choice.card().map_or_else(|| Next::sentence(choice.because()), |card| context.repeated(readiness::elsewhere(card.address)));
    Ok((None, next))
}

/// The way out of a refusal: that of the finding that refuses first. Where the host lacks what the finding is about, that is the
/// next step on the host, and the finding's remedy names the same command.
pub(in crate::commands) fn out_of(findings: &mut [Finding], force: bool, host: Option<&Next>) -> Option<Next> {
    let first = findings.iter_mut().find(|finding| finding.refuses(force))?;
    let command = host.and_then(|next| next.command.as_ref()).filter(|command| command.starts_with("vgapt"));
    let (Some(host), Some(command)) = (host.filter(|_| first.code == "no-group"), command) else { return Some(Next::out_of(first)) };
    first.remedy = first.remedy.replacen("vgapt prepare", command, 1);
    Some(host.clone())
}

/// What has to be done before this domain, which is off, can be started; `findings` is what is against its start.
pub(in crate::commands) fn before_start(
    context: &Context,
    root: Option<&Root>,
    host: &Host,
    existing: &Existing,
    findings: &mut [Finding],
) -> Result<Option<Next>> {
    let of_host = of_host(context, root, host, &existing.functions(), existing.is_handed_over())?;
    // A start that is refused is no next step.
    Ok(out_of(findings, false, of_host.as_ref()).or(of_host))
}

/// The next step for a domain of this name.
pub(in crate::commands) fn of_domain(context: &Context, name: &str, stage: Stage, picture: Option<&str>, host: Option<Next>) -> Next {
    let word = shell_word(name);
    let word = if name.starts_with('-') { format!("-- {word}") } else { word };
    let uri = shell_word(context.uri().as_str());
    readiness::of_domain(&DomainState { name: &word, vgapt: &context.again(), uri: &uri, stage, picture }, host)
}

/// This command line with further words, and without some.
pub(in crate::commands) fn again(more: &[&str], without: &[&str]) -> String {
    let given = std::env::args().skip(1).filter(|word| !without.contains(&word.as_str())).map(|word| shell_word(&word));
    let words: Vec<String> = std::iter::once("vgapt".to_owned()).chain(given).chain(more.iter().map(|word| (*word).to_owned())).collect();
    words.join(" ")
}

/// The stage of a domain in this state.
pub(in crate::commands) fn stage(state: State) -> Stage {
    match state {
        State::Running => Stage::Running,
        State::Paused => Stage::Paused,
        State::ShuttingDown => Stage::ShuttingDown,
        State::ShutOff => Stage::Off,
        State::Crashed => Stage::Crashed,
    }
}

/// The output of a program; `None` where it fails.
pub(in crate::commands) fn said(argv: &[&str]) -> Option<String> {
    let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
    run::output(&argv).ok().filter(run::ProgramOutput::success).map(|ran| ran.stdout)
}
