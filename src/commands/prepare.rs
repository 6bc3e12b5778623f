//! `vgapt prepare`.

use std::path::Path;

use anyhow::{Context as _, Result};
use schemars::JsonSchema;
use serde::Serialize;

use super::Context;
use super::shared::card;
use super::shared::consent::Consent;
use super::shared::next::{Seen, again};
use super::shared::options::with_unit;
use super::shared::refused::Refused;
use crate::discovery::{self, Scope};
use crate::domain::{self, GpuChoice, Screen};
use crate::host::{self, Allow, Bind, Hugepages, PackageUse, PageSize, Plan, Run, Shares, VirtualFunctions, Wanted, Which};
use crate::model::{CpuSet, Finding, Host, Next, PciAddress, Setup, Severity, Size, SmbShare, shell_command};
use crate::output::{self, Answer, Outcome, PlanView, Planned};
use crate::passthrough::{self, Verdict};
use crate::problem::Problem;
use crate::readiness::{self, NextStep};
use crate::root::Root;
use crate::target::Target;

/// Prepare the host: IOMMU, early binding, huge pages; shows the plan first, verifies the result, undo reverts it
///
/// Prepares the host: enables the IOMMU, binds the card to vfio-pci before any other driver, reserves huge
/// pages. Every file and command is shown first, and with --verbose the text of each file; nothing else is changed. The result
/// is verified, and 'vgapt undo' reverts it. Without options, the card is chosen as 'vgapt check' does. With only --hugepages,
/// --isolate, --vfs, --install, --share-smb or --looking-glass, only that is prepared: no card is bound, and the IOMMU is left as it is
/// unless virtual functions need it. With --root DIR, that tree is changed, and the commands that have to
/// be run in it are printed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vgapt prepare --gpu auto --dry-run   # only shows the plan
  vgapt prepare --gpu auto             # shows the plan, asks, carries it out
  vgapt prepare --gpu 01:00.0 --hugepages 16G --page-size 1G
  vgapt prepare --gpu 01:00.0 --bind boot --allow only-display
  vgapt prepare --isolate 2-7,10-15    # for pinned guests, see vgapt topology
  vgapt prepare --vfs 06:00.0=2        # two virtual functions of this network card, at each boot")]
pub struct Arguments {
    /// A card for a guest, by the address of one of its functions; 'auto': choose the card, if the choice is unambiguous
    /// [default without other options: the card that 'vgapt check' means]
    #[arg(long, value_name = "ADDRESS", num_args = 1..)]
    gpu: Vec<GpuChoice>,
    /// Another PCI function for a guest
    #[arg(long, value_name = "ADDRESS", num_args = 1..)]
    pci: Vec<PciAddress>,
    /// Reserve huge pages for a guest with this much memory: a size with its unit, such as 16G
    #[arg(long, value_name = "SIZE", value_parser = with_unit)]
    hugepages: Option<Size>,
    /// Size of a huge page
    #[arg(long, value_name = "SIZE", default_value = "2M", requires = "hugepages")]
    page_size: PageSize,
    /// Keep the host's processes, interrupts and timer ticks off these CPUs from its boot on, for pinned guests: such as 2-7,10-15
    #[arg(long, value_name = "CPUS")]
    isolate: Option<CpuSet>,
    /// Make N virtual functions (SR-IOV) of a physical function at each boot, without a driver of the host; 0: no longer
    #[arg(long, value_name = "ADDRESS=N", num_args = 1..)]
    vfs: Vec<VirtualFunctions>,
    /// When the card is bound to vfio-pci [default: boot; start for virtual functions, and for the host's only display unless that is allowed]
    #[arg(long, value_name = "WHEN")]
    bind: Option<Bind>,
    /// Continue even if the host loses this
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    allow: Vec<Allow>,
    /// Continue even if a disk that the TPM unlocks may ask for its key
    #[arg(long)]
    accept_tpm: bool,
    /// Also install missing packages: those that every guest needs, and those for this [default without a value: disk,tpm]
    #[arg(long, value_name = "FOR", num_args = 0.., value_delimiter = ',', default_missing_values = ["disk", "tpm"])]
    install: Option<Vec<PackageUse>>,
    /// Folder that the host's Samba shares with guests [default name of the share: the folder's name]
    #[arg(long, value_name = "DIR[=NAME]", num_args = 1..)]
    share_smb: Vec<String>,
    /// The libvirt network of these guests
    #[arg(long, value_name = "NETWORK", default_value = "default", requires = "share_smb")]
    share_network: String,
    /// Set up Looking Glass's kernel module (kvmfr) with memory for this resolution: 2560x1440, or 2560x1440-hdr
    #[arg(long, value_name = "WxH")]
    looking_glass: Option<Screen>,
    #[command(flatten)]
    consent: Consent,
}

/// What `vgapt prepare` answers.
#[derive(Serialize, JsonSchema)]
pub(super) struct Prepared {
    /// What is bound to vfio-pci.
    bound: Binding,
    plan: Planned,
}

/// The functions that are bound to vfio-pci, and when.
#[derive(Serialize, JsonSchema)]
struct Binding {
    functions: Vec<BoundFunction>,
    /// `boot`, or `start` for when the domain starts.
    when: &'static str,
    /// By ids or by address, where that changes.
    #[serde(skip)]
    how: &'static str,
}

#[derive(Serialize, JsonSchema)]
struct BoundFunction {
    address: PciAddress,
    /// What it is: `graphics`, `audio`, …
    what: &'static str,
}

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<Answer> {
        let cannot = || {
            let message = format!("the host of {} cannot be prepared from here", context.uri());
            Refused::from(Finding::error("not-this-host", message, "run vgapt on that host itself, without --connect"))
        };
        let root = context.root()?.ok_or_else(cannot)?;
        self.consent.elevate(context, &root)?;
        let target = context.target(&root)?;
        let may_change = !self.consent.dry_run && !root.is_capture();

        // Read, while no other vgapt changes this host.
        let lock = may_change.then(|| target.lock()).transpose()?;
        if may_change {
            self.after_interruption(context, &target)?;
        }
        let host = discovery::read(&root, Scope::All);
        let setup = discovery::setup(&root, &host);

        // Decide.
        let (wanted, unbound) = self.wanted(context, &root, &host, &setup)?;
        let mut plan = host::plan(&host, &setup, &wanted);
        if wanted.bind == Bind::Start && !wanted.functions.is_empty() {
            plan.findings.extend(discovery::other_hooks(&root, None));
        }
        let left_out = plan.leave_out(&host::noted(&target)?);
        plan.findings.extend(not_run(&left_out));

        // Show, ask, write.
        let binding = Binding::of(&host, &setup, &wanted, &plan);
        let bound = binding.in_words();
        let shown = PlanView { plan: &plan, bound: &bound, is_live: target.is_live() };
        context.print(&if context.global.verbose { shown.details() } else { shown.text() })?;
        context.tell(&plan.findings);
        let is_refused = plan.findings.iter().any(|finding| finding.severity > Severity::Warning);
        if !is_refused && !plan.is_empty() {
            context.print(&shown.total())?;
        }
        let mut warnings = Vec::new();
        let outcome = if is_refused {
            Outcome::Refused
        } else if plan.is_empty() {
            Outcome::Unchanged
        } else if !may_change {
            Outcome::Planned
        } else if !self.consent.given(context, Some(&|| shown.details() + &shown.total()))? {
            Outcome::Unconfirmed
        } else {
            warnings = carry_out(context, &root, &wanted, &plan, &target)?;
            context.tell(&warnings);
            Outcome::Done
        };
        drop(lock);
        let next = next_step(context, &root, (&host, &setup), &wanted, outcome, &plan)?;
        let outcome = report(context, &root, outcome, &plan, unbound.as_ref());
        context.next(&next);
        let prepared = Prepared { bound: binding, plan: Planned::of(&plan, target.is_live()) };
        let findings = plan.findings.into_iter().chain(warnings).chain(unbound).collect();
        Ok(Answer::new(outcome).with(prepared).finding(findings).next(next))
    }

    /// Rolls back an earlier run that was interrupted, before anything is read.
    fn after_interruption(&self, context: &Context, target: &Target) -> Result<()> {
        let undoing = host::undoing(target, Which::Interrupted)?;
        if undoing.is_empty() {
            return Ok(());
        }
        context.progress("an earlier run of vgapt was interrupted; its changes are rolled back first");
        if undoing.edited().next().is_some() {
            let message = "files that the run had written were edited since";
            return Err(Refused::from(Finding::blocked("edited", message, "see them, and how to proceed: vgapt undo")).into());
        }
        context.print(&output::undoing(&undoing))?;
        if !self.consent.given(context, None)? {
            let remedy = "roll it back with vgapt undo, or use --yes";
            return Err(Refused::from(Finding::blocked("interrupted", "nothing was changed", remedy)).into());
        }
        host::undo(&undoing, target, &|step| context.detail(step))
    }

    /// What is wanted; and a warning where no card is bound, because none was named and none can be chosen.
    fn wanted(&self, context: &Context, root: &Root, host: &Host, setup: &Setup) -> Result<(Wanted, Option<Finding>)> {
        let names_none = self.gpu.is_empty() && self.pci.is_empty();
        let (mut functions, mut unbound) = (self.pci.clone(), None);
        for choice in &self.gpu {
            functions.extend(match choice {
                GpuChoice::Auto => automatic(context, host, setup, false).map_err(not_clear)?,
                GpuChoice::At(address) => card::named(Some(root), host, *address)?.functions,
            });
        }
        let is_unbound = host::bound(setup).is_empty();
        if names_none && !self.asks_for_other() && is_unbound {
            match automatic(context, host, setup, true) {
                Ok(chosen) => functions = chosen,
                Err(why) => unbound = Some(not_bound(host, &why)),
            }
        }
        functions.sort_unstable();
        functions.dedup();
        let bind = self.bind.unwrap_or_else(|| self.proposed_bind(context, host, setup, &functions));
        let shares = self.share_smb.iter().map(|share| smb_share(share, root)).collect::<Result<_>>()?;
        let passes_none =
            names_none && self.asks_for_other() && is_unbound && self.vfs.iter().all(|virtual_functions| virtual_functions.count == 0);
        let wanted = Wanted {
            functions,
            passes_none,
            bind,
            hugepages: self.hugepages.map(|memory| Hugepages { memory, page: self.page_size }),
            isolate: self.isolate.clone(),
            allowed: self.allow.iter().copied().collect(),
            accept_tpm: self.accept_tpm,
            program: program_for_hook(root, setup)?,
            install: self.install.as_ref().map(|uses| uses.iter().copied().collect()),
            shares: Shares { shares, network: self.share_network.clone() },
            virtual_functions: self.vfs.clone(),
            kvmfr: self.looking_glass.map(Screen::mib),
        };
        Ok((wanted, unbound))
    }

    /// Whether something is requested that needs no card: then only that is done.
    fn asks_for_other(&self) -> bool {
        self.hugepages.is_some()
            || self.isolate.is_some()
            || !self.vfs.is_empty()
            || self.install.is_some()
            || !self.share_smb.is_empty()
            || self.looking_glass.is_some()
    }

    /// When these functions are bound if nobody says: as `vgapt check` advises. Who allows that the host loses its only display, has
    /// the card bound at boot.
    fn proposed_bind(&self, context: &Context, host: &Host, setup: &Setup, functions: &[PciAddress]) -> Bind {
        let is_allowed = self.allow.contains(&Allow::OnlyDisplay) && !host::only_virtual(host, functions);
        if is_allowed || readiness::proposed_bind(host, setup, functions) == Bind::Boot {
            return Bind::Boot;
        }
        let note = if host::only_virtual(host, functions) {
            "virtual functions do not exist yet when the host boots: as with --bind start, libvirt binds them when the domain starts"
                .to_owned()
        } else if host::left_for_start(host, setup, functions) {
            "as before with --bind start, the host keeps it until a domain starts; --bind boot changes that".to_owned()
        } else {
            let display: String = functions.iter().take(1).map(|address| address.short()).collect();
            format!("{display} is the host's only display: as with --bind start, the host keeps it until a domain starts")
        };
        context.note(&note);
        Bind::Start
    }
}

/// Reports what became of the plan, which is not all that was wanted where no card is bound.
fn report(context: &Context, root: &Root, outcome: Outcome, plan: &Plan, unbound: Option<&Finding>) -> Outcome {
    const TREE: &str = "the tree was changed; run the commands above in that system";
    if let Some(Finding { message, remedy, .. }) = unbound {
        let why = context.repeated(format!("{message}; {remedy}"));
        let done = match outcome {
            Outcome::Unchanged if !plan.reboot.is_empty() => Some("nothing to do but a reboot"),
            Outcome::Unchanged => Some("nothing to do"),
            Outcome::Done if root.is_live() => Some("the changes above were made"),
            Outcome::Done => Some(TREE),
            _ => None,
        };
        if let Some(done) = done {
            context.say(&format!("{done}; {why}\n"));
            return Outcome::Incomplete;
        }
        context.note(&format!("note: {why}"));
    }
    match outcome {
        Outcome::Refused => context.say("nothing was changed: see above\n"),
        Outcome::Unchanged if plan.findings.iter().any(|finding| finding.code == "bound-by-other") => {
            context.note("vgapt's part is already up to date; a file not managed by vgapt controls the binding, see above");
        }
        Outcome::Unchanged if !plan.reboot.is_empty() => context.note("the host is prepared; already up to date; reboot it"),
        Outcome::Unchanged => context.note("the host is prepared; already up to date"),
        Outcome::Planned if root.is_capture() => context.note("this is a capture of a host: nothing was changed"),
        Outcome::Planned => context.note("nothing was changed"),
        Outcome::Unconfirmed => context.say("nothing was changed\n"),
        _ if !root.is_live() => context.note(TREE),
        _ if plan.reboot.is_empty() => context.note("the host is prepared"),
        _ => context.note("the host is prepared; reboot it"),
    }
    outcome
}

/// What comes next on the host, as it is now.
fn next_step(context: &Context, root: &Root, before: (&Host, &Setup), wanted: &Wanted, outcome: Outcome, plan: &Plan) -> Result<Next> {
    match outcome {
        Outcome::Planned if root.is_capture() => {
            let remedy = "run the same command on the machine itself, without --root";
            return Ok(Next::about(remedy, "a capture is never changed, so nothing is left to do here"));
        }
        Outcome::Planned => return Ok(Next::command(again(&[], &["--dry-run", "--json"]), "nothing was changed")),
        Outcome::Unconfirmed => return Ok(Next::command(again(&["--yes"], &["--json"]), "nothing was changed")),
        _ => {}
    }
    let host = if outcome == Outcome::Done { discovery::read(root, Scope::All) } else { before.0.clone() };
    let mut seen = Seen::read(context, root, &host)?;
    let mut cards = passthrough::assess(&host);
    cards.retain(|card| card.functions.iter().any(|function| wanted.functions.contains(function)));
    if cards.is_empty() && !wanted.functions.is_empty() && outcome != Outcome::Refused {
        return Ok(of_functions(wanted, outcome, !plan.reboot.is_empty()));
    }
    if !wanted.virtual_functions.is_empty() && wanted.functions.is_empty() && outcome != Outcome::Refused && plan.reboot.is_empty() {
        let parents: Vec<PciAddress> = wanted.virtual_functions.iter().map(|asked| asked.parent).collect();
        if let Some(first) = host.virtual_functions_of(&parents).first() {
            return Ok(Next::command(format!("vgapt define NAME --pci {}", first.short()), "for a guest with a virtual function"));
        }
    }
    if cards.is_empty() {
        cards = seen.meant();
    }
    if outcome != Outcome::Refused {
        // Where no card was bound, it is for the step on this host to say when one is.
        let bind = (!wanted.functions.is_empty()).then_some(wanted.bind);
        let report = seen.in_short(&cards, bind);
        // What a card needs may be there already, when what was asked for besides waits for the next boot.
        let waits = outcome == Outcome::Done && root.is_live() && report.step == NextStep::Define && !plan.reboot.is_empty();
        return Ok(if waits { Next::command("reboot", plan.reboot.join("; ")) } else { report.next });
    }
    // Where the early binding is refused, the other way may be possible.
    let is_other_way = wanted.bind == Bind::Boot && readiness::proposed_bind(&host, before.1, &wanted.functions) == Bind::Start;
    let refusal = plan.findings.iter().find(|finding| finding.severity > Severity::Warning).map(Next::out_of);
    Ok(refusal.filter(|_| !is_other_way).unwrap_or_else(|| seen.in_short(&cards, None).next))
}

/// What comes next for functions that are no cards.
fn of_functions(wanted: &Wanted, outcome: Outcome, reboots: bool) -> Next {
    let functions: Vec<String> = wanted.functions.iter().map(|address| address.short()).collect();
    if outcome == Outcome::Done && reboots {
        return Next::command("reboot", format!("vfio-pci takes {} then", functions.join(" and ")));
    }
    Next::command(format!("vgapt define NAME --pci {}", functions.join(" ")), "they are for a guest")
}

impl Binding {
    fn of(host: &Host, setup: &Setup, wanted: &Wanted, plan: &Plan) -> Self {
        let before = host::bound(setup);
        let script = plan.writes.iter().find(|write| write.path == host::SCRIPT && !before.is_empty() && wanted.bind == Bind::Boot);
        let how = match script.map(|write| (write.before.is_some(), write.after.is_some())) {
            Some((false, true)) => ", by address (was: by ids)",
            Some((true, false)) => ", by ids (was: by address)",
            _ => "",
        };
        let mut functions = wanted.functions.clone();
        if !how.is_empty() {
            let still = before.iter().filter(|known| host.device(known.address).is_some_and(|device| known.is_still(device)));
            functions.extend(still.map(|known| known.address));
            functions.sort_unstable();
            functions.dedup();
        }
        let functions = host.devices(&functions).map(|device| BoundFunction { address: device.address, what: device.class.noun() });
        let when = match wanted.bind {
            Bind::Boot => "boot",
            Bind::Start => "start",
        };
        Self { functions: functions.collect(), when, how }
    }

    fn in_words(&self) -> String {
        let when = if self.when == "boot" { "at boot" } else { "when the domain starts" };
        let functions: Vec<String> =
            self.functions.iter().map(|function| format!("{} {}", function.address.short(), function.what)).collect();
        if functions.is_empty() { String::new() } else { format!("{} to vfio-pci, {when}{}", functions.join(", "), self.how) }
    }
}

/// Carries out and verifies the plan; rolls it back on a failure. Returns warnings of what could not be done and is not needed.
fn carry_out(context: &Context, root: &Root, wanted: &Wanted, plan: &Plan, target: &Target) -> Result<Vec<Finding>> {
    let tell = |step: &str| context.progress(step);
    let mut run = Run::begin(plan, target).map_err(|error| error.context("nothing was changed: the run could not be started"))?;
    let applied = run.carry_out(&tell);
    let proved = applied.and_then(|warnings| prove(root, wanted, plan, &run, target, &tell).map(|()| warnings));
    let error = match proved.and_then(|warnings| run.confirm().map(|()| warnings)) {
        Ok(warnings) => return Ok(warnings),
        Err(error) => error,
    };
    context.progress("failed; rolling back");
    Err(match run.roll_back(&tell) {
        Ok(()) => error.context("all changes were rolled back; each file was compared with its previous contents"),
        Err(other) => error.context(format!("the rollback failed too ({other:#}); run: vgapt undo")),
    })
}

/// Reads the host again: a new plan must be empty, and the initramfs must contain what it is to contain.
fn prove(root: &Root, wanted: &Wanted, plan: &Plan, run: &Run, target: &Target, tell: &dyn Fn(&str)) -> Result<()> {
    let host = discovery::read(root, Scope::All);
    let setup = discovery::setup(root, &host);
    // By now the hook runs this program, so that it is not wanted again.
    let wanted = Wanted { program: program_for_hook(root, &setup)?, ..wanted.clone() };
    let again = host::plan(&host, &setup, &wanted);
    let mut new = again.findings.iter().filter(|finding| finding.severity > Severity::Warning && !plan.findings.contains(finding));
    if let Some(finding) = new.next() {
        return Err(Problem::new(format!("after all changes were made: {}", finding.message), finding.remedy.clone()).into());
    }
    let mut missing: Vec<String> = again.writes.iter().map(|write| write.path.clone()).collect();
    if target.is_live() {
        let needed = again.commands.iter().filter(|command| command.lacking.is_none());
        missing.extend(needed.map(|command| shell_command(&command.argv)));
    }
    if !missing.is_empty() {
        let message = format!("after all changes were made, these are still missing: {}", missing.join("; "));
        return Err(Problem::new(
            message,
            "find the program that changes the same files; if there is none, report this bug with the output of: vgapt capture",
        )
        .into());
    }
    if target.is_live() && !plan.in_initramfs.is_empty() {
        let tool = host::initramfs::chosen(&host, &setup).map_err(|finding| Problem::new(finding.message, finding.remedy))?;
        host::prove_initramfs(plan, run, tool, target, tell)?;
    }
    Ok(())
}

/// The functions of the card that is chosen. `check`, where none is named, means the host's only display too, which the host keeps
/// until a domain starts.
fn automatic(context: &Context, host: &Host, setup: &Setup, as_check: bool) -> Result<Vec<PciAddress>, Problem> {
    let cards = passthrough::assess(host);
    let rule = host::hiding(host, setup).into_iter().next().filter(|_| cards.iter().all(passthrough::is_hosts_own));
    if let Some((rule, card)) = rule.zip(cards.first()) {
        let at = card.address.short();
        return Err(Problem::new(
            format!(
                "{at} is the host's own display, and {} removes functions that are not here from the PCI bus at each boot: the card for the guest may be one of them",
                rule.place
            ),
            format!("remove that rule, regenerate the initramfs, and reboot; or, if you mean {at}: vgapt prepare --gpu {at}"),
        ));
    }
    let choice = passthrough::choose(&cards);
    let display = || choice.sole().filter(|card| as_check && card.verdict == Verdict::OnlyDisplay);
    let card = choice.card().or_else(display).ok_or_else(|| Problem::new(choice.because(), choice.remedy()))?;
    if cards.len() > 1 && choice.card().is_some() {
        context.note(&format!("using {}: {}", card.address.short(), choice.because()));
    }
    Ok(card.functions.clone())
}

/// The commands of an earlier run that a tree still needs.
fn not_run(commands: &[host::Command]) -> Option<Finding> {
    let named: Vec<String> = commands.iter().map(|command| shell_command(&command.argv)).collect();
    let message = "this tree was prepared, but a command that vgapt cannot run from here was not run in it";
    (!named.is_empty()).then(|| Finding::warning("not-run", message, format!("run in that system: {}", named.join(" && "))))
}

fn not_clear(why: Problem) -> Refused {
    Refused::from(Finding::error("no-clear-choice", why.message, why.remedy))
}

fn not_bound(host: &Host, why: &Problem) -> Finding {
    let by_others = host.pci.iter().filter(|device| device.class.is_display() && device.on_vfio());
    let by_others: Vec<String> = by_others.map(|device| device.address.short()).collect();
    let message = if by_others.is_empty() {
        format!("no card is bound: {why}")
    } else {
        format!("vgapt binds no card: {why}; already bound to vfio-pci by other configuration: {}", by_others.join(", "))
    };
    Finding::warning("no-card-bound", message, why.remedy.clone())
}

fn smb_share(share: &str, root: &Root) -> Result<SmbShare> {
    let (folder, name) = domain::shared_folder(share);
    let place = std::env::current_dir().context("cannot determine the current directory")?.join(folder);
    let folder = place.to_string_lossy().trim_end_matches('/').to_owned();
    Ok(SmbShare { owner: discovery::owner(root, &folder), folder, name: name.to_owned() })
}

/// This program, where libvirt's hook would run another one or none.
fn program_for_hook(root: &Root, setup: &Setup) -> Result<Option<String>> {
    let own = root.is_live().then(std::env::current_exe).transpose().context("cannot determine where this program is installed")?;
    Ok(own.filter(|own| !is_of_hook(own, setup)).map(|own| own.to_string_lossy().into_owned()))
}

/// Whether libvirt's hook runs this program, judged by its content; what cannot be read is replaced by a copy.
fn is_of_hook(own: &Path, setup: &Setup) -> bool {
    let its = setup.hook_program.as_deref().map(std::fs::read);
    matches!((std::fs::read(own), its), (Ok(own), Some(Ok(its))) if own == its)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_another_version_is_not_of_the_hook() {
        let folder = tempfile::tempdir().unwrap();
        let (own, copy) = (folder.path().join("own"), folder.path().join("copy"));
        let of = |program: Option<&Path>| {
            let hook_program = program.map(|path| path.to_string_lossy().into_owned());
            is_of_hook(&own, &Setup { hook_program, ..Setup::default() })
        };
        std::fs::write(&own, "new").unwrap();
        std::fs::write(&copy, "old").unwrap();
        assert!(of(Some(&own)) && !of(Some(&copy)) && !of(None) && !of(Some(&folder.path().join("gone"))));
        std::fs::copy(&own, &copy).unwrap();
        assert!(of(Some(&copy)));
    }
}
