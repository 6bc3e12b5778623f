//! `vgapt undo`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::Context;
use super::shared::consent::Consent;
use super::shared::next;
use super::shared::refused::Refused;
use crate::discovery;
use crate::host::{self, Undoing, Which};
use crate::model::{Finding, Next, shell_command};
use crate::output::{self, Answer, Outcome};
use crate::root::Root;

/// Revert everything that prepare changed
///
/// Reverts everything that 'vgapt prepare' changed: every file gets its previous bytes and mode, new files are
/// removed, boot images are restored. Files that were edited since are shown and left unchanged.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vgapt undo --dry-run             # what would be restored
  vgapt undo")]
pub struct Arguments {
    /// Keep later edits of files, and remove only what vgapt added; a file in which the two cannot be told apart is left unchanged
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    consent: Consent,
}

/// What `vgapt undo` answers.
#[derive(Serialize, JsonSchema)]
pub(super) struct Undone {
    undo: Undoing,
    /// Whether files were edited since.
    edited: bool,
}

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<Answer> {
        let root = context.root()?.filter(|root| !root.is_capture()).ok_or_else(|| {
            let message = "vgapt never changes a capture or a remote host";
            let remedy = "run vgapt on the host itself, without --root and --connect; or name a folder with its files: --root DIRECTORY";
            Refused::from(Finding::error("not-this-host", message, remedy))
        })?;
        self.consent.elevate(context, &root)?;
        let target = context.target(&root)?;

        // Read and decide, while no other vgapt changes this host.
        let lock = (!self.consent.dry_run).then(|| target.lock()).transpose()?;
        let undoing = host::undoing(&target, Which::All)?;

        // Show, ask, write.
        context.print(&output::undoing(&undoing))?;
        context.say(&output::edited(&undoing));
        let edited = undoing.edited().next().is_some();
        let outcome = if undoing.is_empty() {
            Outcome::Unchanged
        } else if edited && !self.force {
            Outcome::Refused
        } else if self.consent.dry_run {
            Outcome::Planned
        } else if self.consent.given(context, None)? {
            Outcome::Done
        } else {
            Outcome::Unconfirmed
        };
        // With nothing to undo, it removes what is left of a run that was killed before it changed the host.
        if outcome == Outcome::Done || (outcome == Outcome::Unchanged && !self.consent.dry_run) {
            host::undo(&undoing, &target, &|step| context.progress(step))?;
        }
        drop(lock);
        let own = if undoing.is_empty() { Left::of(&root) } else { Left::default() };
        let (outcome, findings) = report(context, outcome, &undoing, &own);
        let next = next_step(outcome, &undoing, target.is_live()).filter(|_| own.files.is_empty());
        if let Some(next) = &next {
            context.next(next);
        }
        Ok(Answer::new(outcome).with(Undone { undo: undoing, edited }).finding(findings).next(next))
    }
}

/// What comes next, if something does.
fn next_step(outcome: Outcome, undoing: &Undoing, is_live: bool) -> Option<Next> {
    let without = ["--dry-run", "--json"];
    Some(match outcome {
        Outcome::Planned => Next::command(next::again(&[], &without), "nothing was changed"),
        Outcome::Unconfirmed => Next::command(next::again(&["--yes"], &without), "nothing was changed"),
        Outcome::Refused => Next::command(next::again(&["--force"], &without), "later edits are kept, and what vgapt added is removed"),
        Outcome::Incomplete => {
            Next::command(next::again(&[], &without), format!("after vgapt's lines are removed from {}", undoing.left_alone().join(", ")))
        }
        Outcome::Done if is_live => Next::command("reboot", "until then drivers and kernel parameters are as they were loaded"),
        Outcome::Done if !undoing.noted.is_empty() => {
            let commands: Vec<String> = undoing.noted.iter().map(|argv| shell_command(argv)).collect();
            Next::command(commands.join(" && "), "run it in that system")
        }
        _ => return None,
    })
}

/// What is found of vgapt without a receipt.
#[derive(Default)]
struct Left {
    /// The files that say that vgapt wrote them.
    files: Vec<String>,
    /// Kernel parameters that may be vgapt's.
    parameters: Vec<String>,
}

impl Left {
    fn of(root: &Root) -> Self {
        let files = discovery::configuration(root).0;
        let parameters = host::of_our_kinds(&files);
        let own = files.0.into_iter().filter(|(_, file)| file.text.as_deref().is_ok_and(host::is_ours));
        Self { files: own.map(|(path, _)| path).collect(), parameters }
    }
}

/// Reports what became of the receipts: not all is undone where edited files are left unchanged.
fn report(context: &Context, outcome: Outcome, undoing: &Undoing, own: &Left) -> (Outcome, Vec<Finding>) {
    let (strays, left, noted) = (undoing.strays.join(", "), undoing.left_alone().join(", "), !undoing.noted.is_empty());
    let mut findings = Vec::new();
    if !strays.is_empty() {
        context.say(&format!("warning: not a receipt of vgapt, left unchanged: {strays}\n"));
        findings.push(Finding::warning(
            "stray",
            format!("not a receipt of vgapt, left unchanged: {strays}"),
            "look at it, and remove it if nobody needs it",
        ));
    }
    if !undoing.gone.is_empty() {
        let commands: Vec<String> = undoing.gone.iter().map(|argv| shell_command(argv)).collect();
        let message = format!("not run, since the program is not installed any more: {}", commands.join(", "));
        let remedy = "make the boot images and the boot menu again with the tools that the host has now: they may hold what vgapt wrote";
        context.say(&format!("warning: {message}\n  remedy: {remedy}\n"));
        findings.push(Finding::warning("program-gone", message, remedy));
    }
    let note = match outcome {
        Outcome::Unchanged if !strays.is_empty() => "no receipt of vgapt was found; nothing was undone",
        Outcome::Unchanged if !own.files.is_empty() => {
            let message = format!("no receipt of vgapt was found, but these files are vgapt's: {}", own.files.join(", "));
            let parameters = if own.parameters.is_empty() {
                String::new()
            } else {
                format!("; remove those of these kernel parameters that you did not set yourself: {}", own.parameters.join(", "))
            };
            let remedy = format!(
                "restore /var/lib/vgapt from a backup, and run vgapt undo again; or remove them by hand: rm {}{parameters}; then make the boot images and the boot menu again",
                own.files.join(" ")
            );
            context.say(&format!("{message}\n  remedy: {remedy}\n"));
            findings.push(Finding::warning("no-receipt", message, remedy));
            return (Outcome::Incomplete, findings);
        }
        Outcome::Unchanged => "vgapt has changed nothing here; there is nothing to undo",
        Outcome::Done if !left.is_empty() => {
            let run = if noted { "; run the commands above in that system" } else { "" };
            let (message, remedy) =
                (format!("{left} is left unchanged"), "remove vgapt's lines from it manually, then run vgapt undo again");
            context.say(&format!("everything else is as before vgapt{run}; {message}: {remedy}\n"));
            findings.push(Finding::warning("edited", message, remedy));
            return (Outcome::Incomplete, findings);
        }
        Outcome::Done if undoing.edited().next().is_some() => {
            let edited: Vec<&str> = undoing.edited().map(|file| file.path.as_str()).collect();
            let run = if noted { "; run the commands above in that system" } else { "" };
            context.note(&format!("what vgapt changed is as before; what was edited since stays, in {}{run}", edited.join(", ")));
            return (outcome, findings);
        }
        Outcome::Done if noted => "the tree is as before; run the commands above in that system",
        Outcome::Done => "the host's files are as before vgapt; loaded drivers stay loaded until the next boot",
        Outcome::Refused => {
            let except = if left.is_empty() { String::new() } else { format!(", but leaves {left} unchanged") };
            let remedy = format!("--force keeps these edits and removes what vgapt added{except}");
            context.say(&format!("nothing was changed: see above; {remedy}\n"));
            let edited: Vec<&str> = undoing.edited().map(|file| file.path.as_str()).collect();
            findings.push(Finding::blocked("edited", format!("edited since vgapt wrote it: {}", edited.join(", ")), remedy));
            return (outcome, findings);
        }
        Outcome::Unconfirmed => {
            context.say("nothing was changed; use --yes to make the changes\n");
            return (outcome, findings);
        }
        _ => "nothing was changed",
    };
    context.note(note);
    (outcome, findings)
}
