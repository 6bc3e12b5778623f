//! One plan for the host and the domain: the vgapt commands that are run, in their order.

use std::cmp::Reverse;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::answers::Answers;
use super::discs;
use super::domain::{self, Before};
use super::facts::{HostPart, Move, NewDisk, PlannedHost, SetUp};
use super::found::Found;
use super::own::{Said, global, line, said, shown, words};
use super::proposals::{self, DISK_SIZE};
use super::questions::{confirm, confirm_or};
use crate::commands::Context;
use crate::commands::shared::decision::Decision;
use crate::commands::shared::next;
use crate::commands::shared::refused::Refused;
use crate::commands::shared::request_file;
use crate::domain::{Profile, Request};
use crate::host::{Allow, PackageUse};
use crate::model::{Finding, Next, Severity, is_device_by_name, shell_word};
use crate::output::{self, Answer, Outcome};
use crate::problem::Problem;
use crate::run;

/// The two ways out, as options of setup.
const ONLY_DISPLAY: &str = "add --handover: the desktop stops while the guest runs, and returns afterwards; or add --allow only-display: \
                            the host is then used over ssh only";

/// What is to be done for a domain.
pub(super) struct Plan {
    name: String,
    answers: Answers,
    /// The answers before the images are moved.
    asked: Request,
    /// Where the answers are kept until the domain is defined.
    file: PathBuf,
    /// Whether the domain exists: an earlier run's answers are then not used.
    exists: bool,
    prepare: Vec<String>,
    /// What `prepare` would do.
    host: Said<HostPart>,
    /// The same, and what only the user can do, for the answer.
    planned: PlannedHost,
    new_disk: Option<NewDisk>,
    moves: Vec<Move>,
    check: Vec<String>,
    /// Whether the host is ready before anything is done: what `prepare` changes is then for the next boot, whenever that is.
    is_ready: bool,
    /// What `define` will make of the request.
    domain: Decision,
    define: Vec<String>,
    start: Option<Vec<String>>,
    /// What the host's part, the installation and the domain's part warn of, or refuse.
    findings: Vec<Finding>,
}

impl Plan {
    /// Decides the commands, and asks `prepare` what it would do.
    pub(super) fn make(context: &Context, found: &Found, asked: &Answers, starts: bool) -> Result<Self> {
        let mut answers = asked.clone();
        let moves = discs::place(&mut answers.request, found)?;
        let name = answers.name.clone().unwrap_or_default();
        let file = found.folder.join(format!("{name}.toml"));
        let request = &answers.request;
        if !answers.has_device() {
            let remedy = format!("a domain without one: vgapt define {}", shell_word(&name));
            return Err(Problem::usage("setup is for a guest with a graphics card or another device of the host", remedy).into());
        }
        let new_disk = request.disk.first().filter(|path| !is_device_by_name(path) && !found.has(path));
        let new_disk = new_disk.map(|path| NewDisk { path: path.clone(), size: answers.disk_size.unwrap_or(DISK_SIZE) });
        let cards: Vec<String> = request.gpu.iter().map(std::string::ToString::to_string).collect();
        let of_cards = if cards.is_empty() { Vec::new() } else { [vec!["--gpu".to_owned()], cards].concat() };
        let others: Vec<String> = request.pci.iter().map(|choice| choice.address.to_string()).collect();
        let of_others = if others.is_empty() { Vec::new() } else { [vec!["--pci".to_owned()], others].concat() };
        // Where nobody has said how the host does without its only display, `prepare` is to refuse it.
        let is_open = !answers.allow.contains(&Allow::OnlyDisplay) && proposals::is_only_display(&answers, found);
        let bind = match () {
            () if request.handover => words(&["--bind", "start"]),
            () if is_open => words(&["--bind", "boot"]),
            () => Vec::new(),
        };
        let install = words(&packages_for(request, new_disk.is_some()));
        let mut prepare = [words(&["prepare", "--install"]), install, of_cards.clone(), of_others, bind.clone()].concat();
        let check = [words(&["check"]), of_cards, bind].concat();
        prepare.extend(allowed(&answers));
        if let Some(memory) = request.memory.filter(|_| request.hugepages) {
            prepare.extend(words(&["--hugepages", &memory.short()]));
        }
        let host: Said<HostPart> = said(context, &[prepare.clone(), words(&["--dry-run"])].concat())?;
        let check_now = said::<Value>(context, &check)?.facts;
        let planned = PlannedHost {
            files: host.facts.plan.writes.iter().map(|file| file.path.clone()).collect(),
            commands: host.facts.plan.commands.clone(),
            reboot: host.facts.plan.reboot.clone(),
            firmware: firmware(&check_now),
        };
        let installed = planned.commands.iter().flat_map(|command| &command.argv).map(String::as_str).collect();
        let before = Before { new_disk: new_disk.as_ref(), moves: &moves, installed };
        let domain = domain::decided(context, found, &name, request, &before)?;
        let installation = proposals::lacking(&answers, found, new_disk.is_some(), domain.summary.installer.is_some());
        let mut findings: Vec<Finding> = host.findings.iter().map(by_setup).collect();
        for finding in installation.into_iter().chain(domain.findings.iter().cloned()) {
            if findings.iter().all(|known| known.code != finding.code && known.message != finding.message) {
                findings.push(finding);
            }
        }
        findings.retain(|finding| !is_answered(finding, &answers));
        findings.sort_by_key(|finding| Reverse(finding.severity));
        Ok(Self {
            check,
            is_ready: check_now["ready"].as_bool() == Some(true),
            exists: Found::domain(context, &name)?.is_some(),
            define: words(&["define", "-f", &file.to_string_lossy(), "--", &name]),
            start: starts.then(|| words(&["start", "--", &name])),
            name,
            answers,
            asked: asked.request.clone(),
            file,
            prepare,
            host,
            planned,
            new_disk,
            moves,
            domain,
            findings,
        })
    }

    /// The command that makes the disk.
    fn create(&self) -> Option<Vec<String>> {
        self.new_disk.as_ref().map(|disk| words(&["disk", "create", &disk.path, &disk.size.short()]))
    }

    fn is_to_prepare(&self) -> bool {
        self.host.outcome == Outcome::Planned
    }

    /// What the command answers before anything is run.
    pub(super) fn facts(&self) -> SetUp {
        SetUp {
            name: self.name.clone(),
            host: self.planned.clone(),
            new_disk: self.new_disk.clone(),
            moves: self.moves.clone(),
            answers: self.file.display().to_string(),
            summary: self.domain.summary.clone(),
            changes: self.domain.changes.clone(),
            commands: self.commands(),
            steps: Vec::new(),
            reboot: self.reboots(),
            again: None,
        }
    }

    /// The answer where nothing was run.
    pub(super) fn planned(&self, context: &Context, is_this_host: bool) -> Answer {
        let next = if is_this_host {
            Next::command(next::again(&[], &["--dry-run", "--json"]), "nothing was changed")
        } else {
            Next::about(
                "run the same command on the machine itself, without --root and --connect",
                "another host is never changed by setup",
            )
        };
        context.next(&next);
        Answer::new(Outcome::Planned).with(self.facts()).finding(self.findings.clone()).next(next)
    }

    fn reboots(&self) -> bool {
        let is_needed = !self.is_ready || self.answers.request.hugepages;
        self.is_to_prepare() && !self.planned.reboot.is_empty() && is_needed
    }

    /// The plan in a few lines: the host's part, the domain, and the commands.
    pub(super) fn summary(&self) -> String {
        let mut parts = Vec::new();
        let number = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        if self.is_to_prepare() {
            let PlannedHost { files, commands, .. } = &self.planned;
            let mut programs: Vec<&str> = commands.iter().filter_map(|command| Some(command.argv.first()?.as_str())).collect();
            programs.dedup();
            if !files.is_empty() {
                parts.push(number(files.len(), "file"));
            }
            if !commands.is_empty() {
                parts.push(format!("{} ({})", number(commands.len(), "command"), programs.join(", ")));
            }
            if self.reboots() {
                parts.push("then a reboot".to_owned());
            }
        }
        let host = if parts.is_empty() { "is already prepared".to_owned() } else { parts.join(", ") };
        let new_disk = self.new_disk.as_ref().map(|disk| format!("{}, {}", disk.path, disk.size)).unwrap_or_default();
        let moved = self.moves.iter().map(|image| image.to.as_str()).collect::<Vec<_>>().join(", ");
        let moved = if moved.is_empty() { moved } else { format!("{moved}: QEMU's user cannot read the folder where it is now") };
        let answers = format!("first into {}, until the domain is defined", self.file.display());
        let when = if self.reboots() { "at the reboot" } else { "then run this again" };
        let rows = [
            ("host", host),
            ("firmware", self.planned.firmware.iter().map(|what| format!("{what}, {when}")).collect::<Vec<_>>().join("; ")),
            ("new disk", new_disk),
            ("moved", moved),
            ("answers", answers),
            ("changes", self.domain.changes.join("; ")),
        ];
        let rows = rows.iter().filter(|(_, text)| !text.is_empty());
        let rows: String = rows.map(|(what, text)| output::row(what, 9, text)).collect();
        let commands: String = self.commands().iter().map(|line| format!("  $ {line}\n")).collect();
        format!("The plan:\n{rows}{}\nIts commands:\n{commands}", output::summary(&self.domain.summary))
    }

    /// What it warns of.
    pub(super) fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The commands, in their order. The disk comes after `prepare`, which installs the program that makes it.
    fn commands(&self) -> Vec<String> {
        let prepare = Some(&self.prepare).filter(|_| self.host.outcome != Outcome::Unchanged);
        let moves = self.moves.iter().map(|image| line(&image.command()));
        let create = self.create();
        let before = prepare.into_iter().chain(&create).map(|argv| shown(argv));
        before.chain(moves).chain([&self.define].into_iter().chain(&self.start).map(|argv| shown(argv))).collect()
    }

    /// Where `prepare` or `define` will refuse: what they say. What they warn of is said once there is a plan.
    pub(super) fn refusal(&self) -> Option<Refused> {
        let refusing: Vec<Finding> = self.findings.iter().filter(|finding| finding.refuses(false)).cloned().collect();
        let is_refused = self.host.outcome == Outcome::Refused || !refusing.is_empty();
        let end = format!("'{}' cannot be set up: see above. Nothing was changed.", self.name);
        is_refused.then_some(Refused { findings: refusing, end, next: None })
    }

    /// Asks on the terminal, with the details on demand.
    pub(super) fn is_accepted(&self, context: &Context) -> Result<bool> {
        if self.is_to_prepare() && confirm("Show every file and command of the host's part?", false)? {
            run::own(&global(context, &[self.prepare.clone(), words(&["--dry-run", "--verbose"])].concat()))?;
        }
        confirm("Carry this plan out?", false)
    }

    /// Runs the commands one after the other, and stops where one fails or the host has to be rebooted.
    ///
    /// # Errors
    /// Where libvirt is there and does not answer: a domain of this name may exist, and its disk would be replaced.
    pub(super) fn carry_out(&self, context: &Context, found: &Found, can_ask: bool) -> Result<Answer> {
        if self.findings.iter().any(|finding| finding.code == domain::LIBVIRT_UNKNOWN) {
            let message = format!("libvirt does not answer, so it is unknown whether '{}' exists already; nothing was changed", self.name);
            return Err(Problem::new(message, "see vgapt check; once libvirt answers, run setup again").into());
        }
        self.save(&self.asked)?;
        context.note(&format!("the answers are in {}, until the domain is defined", self.file.display()));
        let mut done = self.facts();
        let create = self.create();
        let size = self.answers.disk_size.filter(|_| create.is_some());
        let size = size.map(|size| words(&["--disk-size", &size.short()])).unwrap_or_default();
        let again = self.again(&size);
        let prepare = [self.prepare.clone(), words(&["--yes"])].concat();
        let prepare = Some((&self.prepare, &prepare)).filter(|_| self.is_to_prepare());
        for (told, argv) in prepare.into_iter().chain(create.iter().map(|argv| (argv, argv))) {
            if let Some(failed) = done.step(context, told, argv, &again)? {
                return Ok(failed.with(done));
            }
        }
        let again = self.again(&[]);
        for image in &self.moves {
            let argv = image.command();
            context.note(&format!("$ {}", line(&argv)));
            let ran = run::output(&argv)?;
            let moved = ran.success() && found.has(&image.to);
            anyhow::ensure!(moved, "cannot move to {}: {}; continue with: {again}", image.to, ran.last_lines());
        }
        self.save(&self.answers.request)?;
        let Said { facts: check, next, .. } = said::<Value>(context, &self.check)?;
        let is_for_more = !self.planned.firmware.is_empty() || self.answers.request.hugepages;
        if check["step"].as_str() == Some("reboot") || (self.reboots() && is_for_more) {
            self.reboot(context, &again, can_ask)?;
            let done = SetUp { reboot: true, again: Some(again), ..done };
            return Ok(Answer::done(done).finding(self.findings.clone()));
        }
        if check["ready"].as_bool() == Some(false) {
            let next = next.unwrap_or_else(|| Next::sentence("see vgapt check"));
            context.say(&format!("the host is not ready: {next}\nAfterwards, continue with: {again}\n"));
            let done = SetUp { again: Some(again), ..done };
            return Ok(Answer::new(Outcome::NotReady).with(done).finding(self.findings.clone()).next(next));
        }
        for argv in [&self.define].into_iter().chain(&self.start) {
            if let Some(failed) = done.step(context, argv, argv, &again)? {
                return Ok(failed.with(done));
            }
        }
        // The domain has the request in its record from now on.
        fs::remove_file(&self.file).with_context(|| format!("cannot remove {}", self.file.display()))?;
        context.say(&self.afterwards());
        Ok(Answer::done(done).finding(self.findings.clone()))
    }

    /// The command that continues.
    fn again(&self, more: &[String]) -> String {
        if self.exists {
            // It keeps what it has, so what was asked of it is asked again.
            return next::again(&[], &[]);
        }
        let no_start = if self.start.is_none() { words(&["--no-start"]) } else { Vec::new() };
        shown(&[words(&["setup", &self.name]), allowed(&self.answers), no_start, more.to_vec()].concat())
    }

    fn reboot(&self, context: &Context, again: &str, can_ask: bool) -> Result<()> {
        let firmware: String = self.planned.firmware.iter().map(|what| format!(" When it starts, {what}.")).collect();
        context.say(&format!("The host has to be rebooted.{firmware} Then continue with: {again}\n"));
        if can_ask && confirm_or("Reboot now?", false, "the host was not rebooted")? {
            let ran = run::output(&words(&["systemctl", "reboot"]))?;
            anyhow::ensure!(ran.success(), "systemctl reboot failed: {}", ran.last_lines());
        }
        Ok(())
    }

    /// Keeps the answers for the run after the reboot, as an ordinary file for `define -f`.
    fn save(&self, request: &Request) -> Result<()> {
        let folder = self.file.parent().unwrap_or(&self.file);
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        request_file::write(&self.file, &self.name, request)
    }

    /// What the user does next.
    fn afterwards(&self) -> String {
        let name = shell_word(&self.name);
        let request = &self.answers.request;
        let mut lines = vec![format!("'{}' is set up. What to do now:", self.name)];
        if self.start.is_none() {
            lines.push(format!("start it: vgapt start {name}"));
        }
        let summary = &self.domain.summary;
        lines.extend(output::picture(summary).map(|picture| format!("its picture is {picture}")));
        if let Some(driver) = summary.installer.as_ref().filter(|installer| installer.cd).map(|installer| &installer.driver) {
            lines.push(format!(
                "its installer shows no disk until you load the driver {driver} from the virtio CD, from the folder of the system"
            ));
            lines.push("in Windows, run virtio-win-guest-tools from the virtio CD, and install the card's driver".to_owned());
        }
        if request.cdrom.is_some() {
            lines.push(format!("after the installation, take the CDs out: vgapt define {name} --no-cdrom --no-virtio-iso"));
        }
        lines.push(format!("manage it: vgapt status {name}, vgapt stop {name}, virsh or virt-manager"));
        lines.push("take the host's part back: vgapt undo".to_owned());
        lines.join("\n- ") + "\n"
    }
}

/// The options for what the host may lose: only what the user allowed.
fn allowed(answers: &Answers) -> Vec<String> {
    answers.allow.iter().flat_map(|allow| ["--allow".to_owned(), allow.name().to_owned()]).collect()
}

/// What `prepare` is to install packages for.
fn packages_for(request: &Request, is_new: bool) -> Vec<&'static str> {
    let os = request.os.clone().unwrap_or_default();
    let uses = [
        (PackageUse::Disk, is_new),
        (PackageUse::Tpm, os.profile().is_some_and(Profile::tpm)),
        (PackageUse::Virtiofs, !request.extras.share.is_empty()),
    ];
    let uses: Vec<&str> = uses.into_iter().filter(|(_, is_needed)| *is_needed).map(|(of, _)| of.name()).collect();
    if uses.is_empty() { vec![PackageUse::Guest.name()] } else { uses }
}

/// Whether it warns of what the user was asked about, or of what the handover is there for.
fn is_answered(finding: &Finding, Answers { request, allow, .. }: &Answers) -> bool {
    finding.severity == Severity::Warning
        && match finding.code {
            "only-display" => request.handover || allow.contains(&Allow::OnlyDisplay),
            "bind-start" => request.handover,
            _ => false,
        }
}

/// A finding of `prepare`, with the options of setup.
fn by_setup(finding: &Finding) -> Finding {
    match finding.code {
        "only-display" => Finding { remedy: ONLY_DISPLAY.to_owned(), ..finding.clone() },
        // `prepare` binds it all the same, and VFIO then refuses the guest's start.
        "blocked-group" => Finding { remedy: "see what is in the way: vgapt check".to_owned(), ..finding.clone() },
        _ => finding.clone(),
    }
}

/// What `vgapt check` misses in the firmware settings.
fn firmware(report: &Value) -> Vec<String> {
    let checks = report["checks"].as_array().into_iter().flatten();
    let is_of_platform = |check: &&Value| ["processor", "iommu"].iter().any(|group| check["group"] == *group);
    let missing = checks.filter(is_of_platform).filter(|check| check["state"] == "missing" && check["step"] == "firmware");
    missing.filter_map(|check| check["remedy"].as_str().map(str::to_owned)).collect()
}
