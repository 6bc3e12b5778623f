//! `vgapt reset`.

use anyhow::{Error, Result};
use schemars::JsonSchema;
use serde::Serialize;

use super::Context;
use super::shared::card;
use super::shared::consent::Consent;
use super::shared::holders::users;
use super::shared::next;
use super::shared::refused::{self, Refused};
use crate::discovery::{self, Scope};
use crate::domain;
use crate::domain_xml;
use crate::host;
use crate::life;
use crate::model::{Finding, Host, Ladder, Next, PciAddress, PciDevice, PciId, ResetFunction, ResetWay, Rung, Tried};
use crate::output::{self, Answer, Outcome};
use crate::passthrough::{self, FunctionUser, ResetFacts};
use crate::problem::Problem;
use crate::root::Root;
use crate::target::Target;
use crate::xml::Document;

/// Reset a card that does not come back after a guest
///
/// Tries the resets that a card has, in the order of harm, until it answers again: the kernel's methods for it, a reset of the bus
/// behind its bridge, its removal from the bus and a rescan. After each, its configuration space is read. What is hit is shown
/// first. A card that a guest, a process or a host driver uses is refused. Another PCI function than a card's can be named too.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vgapt reset 01:00.0 --dry-run    # what would be tried, and what it hits
  vgapt reset 01:00.0
  vgapt reset 01:00.0 --suspend    # if nothing else helps, the host sleeps for 20 s")]
pub struct Arguments {
    /// The card's address, such as 01:00.0
    address: PciAddress,
    /// If nothing else helps, suspend the host to RAM, which cuts the power of its slots; its clock wakes it after 20 s
    #[arg(long)]
    suspend: bool,
    #[command(flatten)]
    consent: Consent,
}

/// What `vgapt reset` answers.
#[derive(Serialize, JsonSchema)]
pub(super) struct CardReset {
    address: PciAddress,
    #[serde(flatten)]
    ladder: Ladder,
    /// Why it did not answer before; null if it did.
    before: Option<String>,
    /// What was tried, the last of which helped if the card answers.
    tried: Vec<Tried>,
}

/// A domain's part in this.
struct Domain {
    name: String,
    is_active: bool,
    functions: Vec<(PciAddress, Option<PciId>)>,
}

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<Answer> {
        let root = context.root()?.filter(|root| !root.is_capture()).ok_or_else(|| {
            let message = "vgapt resets no card of a capture or of a remote host";
            let remedy = "run vgapt on the host itself, without --root and --connect; or name a folder with its files: --root DIRECTORY";
            Refused::from(Finding::error("not-this-host", message, remedy))
        })?;
        self.consent.elevate(context, &root)?;
        let target = context.target(&root)?;
        let _lock = (!self.consent.dry_run).then(|| target.lock()).transpose()?;

        // Read.
        let host = discovery::read(&root, Scope::All);
        let domains = if root.is_live() { domains(context) } else { Ok(Vec::new()) };
        if host.device(self.address).is_none() {
            return self.look_for(context, &root, &host, &target, &domains);
        }

        // Decide.
        let functions = passthrough::reset_together(&host, self.address);
        let (mut users, mut findings) = users(&root, &passthrough::within_reach(&host, &functions));
        let running = domains.iter().flatten().filter(|domain| domain.is_active);
        for domain in running.clone() {
            users.extend(domain.functions.iter().map(|(function, _)| (*function, FunctionUser::Domain(domain.name.clone()))));
        }
        let no_suspend = match &domains {
            Err(error) => Some(format!("whether guests are running is unknown: {error:#}")),
            Ok(_) => {
                running.map(|domain| format!("the domain '{}' is running", domain.name)).next().or_else(|| discovery::no_suspend(&root))
            }
        };
        let uses = discovery::uses(Some(&root));
        let bridges = discovery::resetting_bridges(&root, &host);
        let suspend = self.suspend.then_some(no_suspend.as_deref());
        let facts = ResetFacts { host: &host, uses: &uses, users: &users, bridges: &bridges, suspend };
        let against: Vec<Finding> = functions.iter().flat_map(|function| passthrough::against_reset(&facts, *function)).collect();
        if !against.is_empty() {
            return Err(Refused { findings: against, end: String::new(), next: None }.into());
        }
        let ladder = passthrough::ladder(&facts, &functions);
        let before = ladder.functions.iter().find_map(|function| discovery::answers(&root, function).err());

        // Show, ask, write.
        context.print(&output::reset_plan(&host, &ladder, before.as_deref()))?;
        context.tell(&findings);
        let tried = match self.consented(context)? {
            Ok(()) => climb(context, &ladder, &root, &target)?,
            Err((outcome, next)) => {
                let facts = CardReset { address: self.address, ladder, before, tried: Vec::new() };
                return Ok(Answer::new(outcome).with(facts).finding(findings).next(next));
            }
        };
        let helped = tried.last().filter(|tried| tried.failed.is_none()).map(|tried| tried.way.to_string());
        let failure = helped.is_none().then(|| self.failed(&root, &tried, no_suspend.is_none()));
        if let Some(helped) = helped {
            context.note(&format!("{} answers after {helped}", self.address.short()));
            findings.extend(changed_drivers(&ladder, &discovery::read(&root, Scope::Devices)));
            context.tell(&findings);
            for domain in domains.iter().flatten().filter(|domain| domain.functions.iter().any(|(own, _)| *own == self.address)) {
                life::record_end(&domain.name, None, &target)?;
            }
        }
        let facts = CardReset { address: self.address, ladder, before, tried };
        Ok(match failure {
            None => Answer::done(facts).finding(findings),
            Some(error) => without_success(context, &error, findings).with(facts),
        })
    }

    /// Whether the plan is carried out; else how this ends.
    fn consented(&self, context: &Context) -> Result<Result<(), (Outcome, Next)>> {
        let without = ["--dry-run", "--json"];
        let (outcome, more): (_, &[&str]) = if self.consent.dry_run {
            (Outcome::Planned, &[])
        } else if self.consent.given(context, None)? {
            return Ok(Ok(()));
        } else {
            (Outcome::Unconfirmed, &["--yes"])
        };
        let next = Next::command(next::again(more, &without), "nothing was changed");
        context.next(&next);
        Ok(Err((outcome, next)))
    }

    /// The error where no reset helped.
    fn failed(&self, root: &Root, tried: &[Tried], may_suspend: bool) -> Error {
        let at = self.address.short();
        let is_gone = discovery::read(root, Scope::Devices).device(self.address).is_none();
        let message = if is_gone { format!("{at} is gone from the bus") } else { format!("{at} does not answer, whatever was tried") };
        let remedy = match (is_gone, may_suspend && !self.suspend) {
            (true, _) => format!("plug it in again if it was unplugged, then: vgapt reset {at}; otherwise power the host off and on"),
            (false, true) => format!("suspend the host and wake it: vgapt reset {at} --suspend; otherwise power the host off and on"),
            (false, false) => "power the host off and on; a reboot may not be enough".to_owned(),
        };
        let reason = |tried: &Tried| Some(format!("after {}: {}", tried.way, tried.failed.as_ref()?));
        match tried.iter().filter_map(reason).collect::<Vec<_>>() {
            reasons if reasons.is_empty() => Problem::new(message, remedy).into(),
            reasons => Error::from(Problem::new(reasons.join("; "), remedy)).context(message),
        }
    }

    /// No function is at the address: the kernel is asked to look for it. A function with other ids is not the one that was there.
    fn look_for(&self, context: &Context, root: &Root, host: &Host, target: &Target, domains: &Result<Vec<Domain>>) -> Result<Answer> {
        let at = self.address.short();
        let expected = expected(self.address, target, domains)?;
        let full = self.address.to_string();
        let bus = full.rsplit_once(':').map_or(full.as_str(), |(bus, _)| bus);
        if expected.is_none() && !root.exists(&format!("/sys/class/pci_bus/{bus}")) {
            return Err(card::none_at(Some(root), host, self.address).into());
        }
        let was = match (expected, domains) {
            (Some(id), _) => format!("{id} was there"),
            (None, Ok(_)) => "which one was there is not recorded".to_owned(),
            (None, Err(error)) => format!("which one was there is unknown: {error:#}"),
        };
        let functions = expected.map(|id| ResetFunction { address: self.address, id, driver: None }).into_iter().collect();
        let rung = Rung { way: ResetWay::Rescan(None), hits: Vec::new(), left_out: None };
        let ladder = Ladder { functions, rungs: vec![rung] };
        let before = Some(format!("no PCI function is at {at}; {was}"));
        context.print(&format!(
            "no PCI function is at {at}; {was}\nThe kernel will look for new functions on all buses; those that it knows are not touched.\n"
        ))?;
        if let Err((outcome, next)) = self.consented(context)? {
            let facts = CardReset { address: self.address, ladder, before, tried: Vec::new() };
            return Ok(Answer::new(outcome).with(facts).next(next));
        }
        let tried = climb(context, &ladder, root, target)?;
        let found = discovery::read(root, Scope::Devices).device(self.address).cloned();
        let has_helped = tried.iter().all(|tried| tried.failed.is_none());
        let failure = (found.is_none() || !has_helped).then(|| self.failed(root, &tried, false));
        if let Some(device) = found.filter(|_| has_helped) {
            let driver = device.driver.as_deref().unwrap_or("no driver");
            context.note(&format!("{at} is there: {}, {driver}", output::identified(&device)));
        }
        let facts = CardReset { address: self.address, ladder, before, tried };
        Ok(match failure {
            None => Answer::done(facts),
            Some(error) => without_success(context, &error, Vec::new()).with(facts),
        })
    }
}

/// Tries the rungs that may be tried.
fn climb(context: &Context, ladder: &Ladder, root: &Root, target: &Target) -> Result<Vec<Tried>> {
    let climb = life::Climb { root, target, answers: &|function| discovery::answers(root, function), tell: &|step| context.progress(step) };
    life::climb(ladder, ladder.usable(), &climb)
}

/// An error, beside which there are facts.
fn without_success(context: &Context, error: &Error, findings: Vec<Finding>) -> Answer {
    context.say(&format!("{}\n", context.described(error)));
    Answer { error: Some(refused::failure(error)), ..Answer::new(Outcome::Failed).finding(findings) }
}

/// The ids of the function that was at an address, as prepare or a domain recorded it.
fn expected(address: PciAddress, target: &Target, domains: &Result<Vec<Domain>>) -> Result<Option<PciId>> {
    let groups = host::recorded_groups(target)?;
    let of_prepare = groups.iter().flat_map(|group| &group.members).find(|member| member.address == address).map(|member| member.id);
    let of_domains = || domains.iter().flatten().flat_map(|domain| &domain.functions).find(|(own, id)| *own == address && id.is_some());
    Ok(of_prepare.or_else(|| of_domains()?.1))
}

/// All domains of this host's libvirt.
fn domains(context: &Context) -> Result<Vec<Domain>> {
    let all = context.connect()?.domains()?;
    if let Some(unread) = all.unread.first() {
        return Err(
            Problem::new(format!("the domain '{}' cannot be read: {}", unread.name, unread.because), "virsh dumpxml shows it").into()
        );
    }
    let mut domains = Vec::new();
    for known in all.known {
        let mut functions = Vec::new();
        for xml in &known.xml {
            let document = Document::parse(xml).map_err(Error::msg)?;
            let passed = domain::needs(&document).known().map(|needs| needs.passed).unwrap_or_default();
            let id = |function: PciAddress| passed.iter().find(|passed| passed.address == function)?.id;
            functions.extend(domain_xml::all_functions(&document).map_err(Error::msg)?.into_iter().map(|own| (own, id(own))));
        }
        domains.push(Domain { name: known.name, is_active: known.state.is_active(), functions });
    }
    Ok(domains)
}

/// A function that was removed and found again may have got another driver.
fn changed_drivers(ladder: &Ladder, host: &Host) -> Option<Finding> {
    let changed = ladder.functions.iter().find_map(|function| {
        let device = host.device(function.address)?;
        (device.driver != function.driver).then_some((function, device))
    });
    changed.map(|(ResetFunction { driver: before, .. }, PciDevice { address, driver, .. })| {
        let none = || "no driver".to_owned();
        Finding::warning(
            "driver-changed",
            format!(
                "{} has {} now, and had {} before it was looked for again",
                address.short(),
                driver.clone().unwrap_or_else(none),
                before.clone().unwrap_or_else(none)
            ),
            format!(
                "libvirt takes it from there when a guest starts; to do it now: virsh nodedev-detach {}",
                passthrough::node_device(*address)
            ),
        )
    })
}
