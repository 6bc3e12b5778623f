//! `vgapt prepare`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::json;

use super::Context;
use super::exit_code::BLOCKED;
use super::shared::consent::Consent;
use crate::discovery::{self, Scope};
use crate::domain;
use crate::host::{self, Allow, Bind, Hugepages, PageSize, Plan, Shares, Wanted, Which};
use crate::model::{Finding, Host, PciAddress, Setup, Severity, Size, SmbShare};
use crate::output;
use crate::passthrough;
use crate::problem::Problem;
use crate::root::Root;
use crate::target::Target;

/// Prepare the host: IOMMU, early binding, huge pages; shows the plan first, verifies the result, undo reverts it
///
/// Prepares the host: enables the IOMMU, binds the card to vfio-pci before any other driver, reserves huge
/// pages. Every change is shown first, file by file and command by command; nothing else is changed. The result
/// is verified, and 'vgapt undo' reverts it. With --root DIR, that tree is changed, and the commands that have to
/// be run in it are printed.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A card for a guest, by the address of one of its functions; 'auto': choose the card, if the choice is unambiguous
    #[arg(long, value_name = "ADDRESS", num_args = 1..)]
    gpu: Vec<String>,
    /// Another PCI function for a guest
    #[arg(long, value_name = "ADDRESS", num_args = 1..)]
    pci: Vec<PciAddress>,
    /// Reserve huge pages for a guest with this much memory, such as 16G
    #[arg(long, value_name = "SIZE")]
    hugepages: Option<Size>,
    /// Size of a huge page
    #[arg(long, value_name = "SIZE", default_value = "2M", requires = "hugepages")]
    page_size: PageSize,
    /// When the card is bound to vfio-pci
    #[arg(long, value_name = "WHEN", default_value = "boot")]
    bind: Bind,
    /// Continue although the host loses this
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    allow: Vec<Allow>,
    /// Continue although a disk that the TPM unlocks may ask for its key
    #[arg(long)]
    accept_tpm: bool,
    /// Also install missing packages
    #[arg(long)]
    install: bool,
    /// Folder that the host's Samba shares with guests [default name of the share: the folder's name]
    #[arg(long, value_name = "DIR[=NAME]", num_args = 1..)]
    share_smb: Vec<String>,
    /// The libvirt network of these guests
    #[arg(long, value_name = "NETWORK", default_value = "default", requires = "share_smb")]
    share_network: String,
    #[command(flatten)]
    consent: Consent,
}

/// What became of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    /// A finding blocks it.
    Refused,
    NothingToDo,
    /// It was only shown.
    Planned,
    Applied,
}

/// The host, as read for a plan.
struct Read {
    root: Root,
    host: Host,
    setup: Setup,
}

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<ExitCode> {
        let root = root(context)?;
        if let Some(code) = self.consent.elevate(context, &root)? {
            return Ok(code);
        }
        let target = context.target(&root)?;
        let changes = !self.consent.dry_run && !root.is_capture();
        let lock = changes.then(|| target.lock()).transpose()?;
        if changes {
            self.after_interruption(context, &target)?;
        }
        let read = Read::of(root);
        let plan = self.plan(context, &read, &target)?;
        let refused = plan.findings.iter().any(|finding| finding.severity > Severity::Warning);
        if !context.global.json {
            output::print(&output::plan(&plan, target.is_live()))?;
            context.tell(&plan.findings);
        }
        let outcome = if refused {
            Outcome::Refused
        } else if plan.is_empty() {
            Outcome::NothingToDo
        } else if !changes || !self.consent.given(context)? {
            Outcome::Planned
        } else {
            self.carry_out(context, &plan, &target)?;
            Outcome::Applied
        };
        drop(lock);
        if context.global.json {
            let value = json!({"outcome": outcome, "plan": output::plan_json(&plan, target.is_live()), "findings": output::findings_json(&plan.findings)});
            output::print(&output::json(&value))?;
        }
        Ok(self.report(context, outcome, &plan, &read, &target))
    }

    /// Rolls back an earlier run that was interrupted, before anything is planned.
    fn after_interruption(&self, context: &Context, target: &Target) -> Result<()> {
        let undoing = host::undoing(target, Which::Interrupted)?;
        if undoing.is_empty() {
            return Ok(());
        }
        context.note("an earlier run of vgapt was interrupted; its changes are rolled back first");
        if undoing.edited().next().is_some() {
            return Err(Problem::new("files that the run had written were edited since", "vgapt undo shows them and how to proceed").into());
        }
        if !context.global.json {
            output::print(&output::undoing(&undoing))?;
        }
        if !self.consent.given(context)? {
            return Err(Problem::new("nothing was changed", "roll it back with vgapt undo, or use --yes").into());
        }
        host::undo(&undoing, target, &|step| context.detail(step))
    }

    fn plan(&self, context: &Context, read: &Read, target: &Target) -> Result<Plan> {
        let wanted = self.wanted(context, read)?;
        let mut plan = host::plan(&read.host, &read.setup, &wanted);
        if wanted.bind == Bind::Start && !wanted.functions.is_empty() {
            plan.findings.extend(discovery::other_hooks(&read.root, None));
        }
        if !read.root.is_capture() {
            let noted = host::noted(target)?;
            plan.commands.retain(|command| !plan.writes.is_empty() || !noted.contains(&command.argv));
        }
        Ok(plan)
    }

    fn wanted(&self, context: &Context, read: &Read) -> Result<Wanted> {
        let Read { root, host, setup } = read;
        let mut functions = Vec::new();
        for name in &self.gpu {
            if name == "auto" {
                let (chosen, note) = automatic(host)?;
                functions.extend(chosen);
                context.note(&note);
            } else {
                functions.extend(card(root, host, name)?);
            }
        }
        functions.extend(&self.pci);
        if self.gpu.is_empty() && self.pci.is_empty() && host::bound(setup).is_empty() {
            // Why no card is chosen is reported at the end: see `unbound`.
            if let Ok((chosen, note)) = automatic(host) {
                functions = chosen;
                context.note(&note);
            }
        }
        functions.sort_unstable();
        functions.dedup();
        // Cards that the user did not name are bound in the way that `vgapt check` recommends.
        let bind = if self.gpu.iter().all(|name| name == "auto") && self.pci.is_empty() && host::only_virtual(host, &functions) {
            context.note(
                "virtual functions do not exist yet when the host boots: as with --bind start, libvirt binds them when the domain starts",
            );
            Bind::Start
        } else {
            self.bind
        };
        let program = root.is_live().then(std::env::current_exe).transpose().context("cannot determine where this program is installed")?;
        let program = program.filter(|own| !is_of_hook(own, setup)).map(|path| path.to_string_lossy().into_owned());
        Ok(Wanted {
            functions,
            bind,
            hugepages: self.hugepages.map(|memory| Hugepages { memory, page: self.page_size }),
            allowed: self.allow.iter().copied().collect(),
            accept_tpm: self.accept_tpm,
            program,
            install: self.install,
            shares: Shares {
                shares: self.share_smb.iter().map(|share| smb_share(share, root)).collect::<Result<_>>()?,
                network: self.share_network.clone(),
            },
        })
    }

    /// Applies and verifies the plan; rolls it back on a failure.
    fn carry_out(&self, context: &Context, plan: &Plan, target: &Target) -> Result<()> {
        let tell = |step: &str| context.note(step);
        let mut run = host::Run::begin(plan, target).map_err(|error| error.context("nothing was changed: the run could not be started"))?;
        let result = run.carry_out(plan, &tell).and_then(|()| self.prove(context, plan, &run, target)).and_then(|()| run.confirm());
        let Err(error) = result else { return Ok(()) };
        context.note("failed; rolling back");
        match run.roll_back(&tell) {
            Ok(()) => {
                Err(error.context("nothing was changed: the changes were rolled back, and the files compared with their previous contents"))
            }
            Err(other) => Err(error.context(format!("the rollback failed too ({other:#}); run: vgapt undo"))),
        }
    }

    /// Reads the host again: a new plan must be empty.
    fn prove(&self, context: &Context, plan: &Plan, run: &host::Run, target: &Target) -> Result<()> {
        let read = Read::of(root(context)?);
        let again = host::plan(&read.host, &read.setup, &self.wanted(context, &read)?);
        let rest = again
            .writes
            .iter()
            .map(|write| write.path.clone())
            .chain(again.commands.iter().filter(|_| target.is_live()).map(|command| command.argv.join(" ")));
        let rest: Vec<String> = rest.collect();
        let new: Vec<&Finding> =
            again.findings.iter().filter(|one| one.severity > Severity::Warning && !plan.findings.contains(one)).collect();
        if let Some(finding) = new.first() {
            return Err(Problem::new(format!("after all changes were made: {}", finding.message), finding.remedy.clone()).into());
        }
        if !rest.is_empty() {
            return Err(Problem::new(
                format!("after all changes were made, these are still missing: {}", rest.join("; ")),
                "another program changes the same files; please report this with: vgapt capture",
            )
            .into());
        }
        if target.is_live() && !plan.in_initramfs.is_empty() {
            let tool = host::initramfs::chosen(&read.host, &read.setup).map_err(|finding| Problem::new(finding.message, finding.remedy))?;
            host::prove_initramfs(plan, run, tool, target, &|step| context.note(step))?;
        }
        Ok(())
    }

    /// Why no card is bound, where none was named and none can be chosen.
    fn unbound(&self, read: &Read) -> Option<String> {
        if !self.gpu.is_empty() || !self.pci.is_empty() || !host::bound(&read.setup).is_empty() {
            return None;
        }
        let why = automatic(&read.host).err()?;
        let by_others = read.host.pci.iter().filter(|device| device.class.is_display() && device.on_vfio());
        let by_others: Vec<String> = by_others.map(|device| device.address.short()).collect();
        Some(if by_others.is_empty() {
            format!("no card is bound: {why}; name one with --gpu")
        } else {
            format!("vgapt binds no card: {why}; already bound to vfio-pci by other configuration: {}", by_others.join(", "))
        })
    }

    fn report(&self, context: &Context, outcome: Outcome, plan: &Plan, read: &Read, target: &Target) -> ExitCode {
        if let Some(why) = self.unbound(read) {
            let done = match outcome {
                Outcome::NothingToDo => Some("already up to date"),
                Outcome::Applied if target.is_live() => Some("the changes above were made"),
                Outcome::Applied => Some("the tree was changed; run the commands above in that system"),
                Outcome::Refused | Outcome::Planned => None,
            };
            if let Some(done) = done {
                output::tell(&format!("{done}; {why}\n"));
                // Where something else was requested, that determines the exit code.
                let asked_for_more = self.hugepages.is_some() || !self.share_smb.is_empty() || self.install;
                return if asked_for_more { ExitCode::SUCCESS } else { ExitCode::from(BLOCKED) };
            }
            context.note(&format!("note: {why}"));
        }
        match outcome {
            Outcome::Refused => {
                output::tell("nothing was changed: see above\n");
                return ExitCode::from(BLOCKED);
            }
            Outcome::NothingToDo if plan.findings.iter().any(|finding| finding.code == "bound-by-other") => {
                context.note("vgapt's part is already up to date; a file not managed by vgapt controls the binding, see above");
            }
            Outcome::NothingToDo => context.note("the host is prepared; already up to date"),
            Outcome::Applied if !target.is_live() => context.note("the tree was changed; run the commands above in that system"),
            Outcome::Applied if plan.reboot.is_empty() => context.note("the host is prepared"),
            Outcome::Applied => context.note("the host is prepared; reboot, then run: vgapt check"),
            Outcome::Planned if read.root.is_capture() => context.note("this is a capture of a host: nothing was changed"),
            Outcome::Planned if self.consent.dry_run => context.note("nothing was changed"),
            Outcome::Planned => {
                output::tell("nothing was changed; use --yes to make the changes\n");
                return ExitCode::from(BLOCKED);
            }
        }
        ExitCode::SUCCESS
    }
}

impl Read {
    fn of(root: Root) -> Self {
        let host = discovery::read(&root, Scope::All);
        let setup = discovery::setup(&root, &host);
        Self { root, host, setup }
    }
}

fn root(context: &Context) -> Result<Root> {
    let cannot = || Problem::new(format!("the host of {} cannot be prepared from here", context.uri()), "run vgapt prepare on that host");
    Ok(context.root()?.ok_or_else(cannot)?)
}

fn smb_share(share: &str, root: &Root) -> Result<SmbShare> {
    let (folder, name) = domain::shared_folder(share);
    let place = std::env::current_dir().context("cannot determine the current directory")?.join(folder);
    let folder = place.to_string_lossy().trim_end_matches('/').to_owned();
    Ok(SmbShare { owner: discovery::owner(root, &folder), folder, name: name.to_owned() })
}

/// The functions of the card with this function.
fn card(root: &Root, host: &Host, name: &str) -> Result<Vec<PciAddress>> {
    let address: PciAddress = name.parse().map_err(|what: String| Problem::new(what, "vgapt list shows the cards"))?;
    Ok(super::shared::card::named(Some(root), host, address)?.functions)
}

/// The automatic choice where no card is named.
fn automatic(host: &Host) -> Result<(Vec<PciAddress>, String)> {
    let cards = passthrough::assess(host);
    let choice = passthrough::choose(&cards);
    let card = choice.card().ok_or_else(|| Problem::new(choice.because(), choice.remedy()))?;
    let note = if cards.len() > 1 { format!("using {}: {}", card.address.short(), choice.because()) } else { String::new() };
    Ok((card.functions.clone(), note))
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
