//! One plan for the host and the domain: the vgapt commands that are run, in their order.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answers::Answers;
use super::discs::{self, Move};
use super::found::Found;
use super::proposals::{self, DISK_SIZE};
use super::questions::{confirm, confirm_or, short};
use crate::commands::Context;
use crate::commands::exit_code;
use crate::commands::shared::refused::Refused;
use crate::commands::shared::request_file;
use crate::domain::{Cpus, GpuChoice, Request};
use crate::host;
use crate::model::{Finding, Next, PciAddress, shell_word};
use crate::output::{self, Answer, Failure, Outcome};
use crate::passthrough::Assessment;
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
    prepare: Vec<String>,
    /// What `prepare` would do.
    host: Said<HostPart>,
    /// What only the user can do, in the firmware settings.
    firmware: Vec<String>,
    /// The new disk.
    create: Option<Vec<String>>,
    moves: Vec<Move>,
    check: Vec<String>,
    define: Vec<String>,
    start: Option<Vec<String>>,
    /// What the installation needs and has.
    install: String,
    /// Where the guest's picture will be.
    picture: &'static str,
    /// How its window is opened, if it has one.
    window: Option<String>,
}

impl Plan {
    /// Decides the commands, and asks `prepare` what it would do.
    pub(super) fn make(context: &Context, found: &Found, asked: &Answers, starts: bool) -> Result<Self> {
        let mut answers = asked.clone();
        let moves = discs::place(&mut answers.request, found)?;
        let name = answers.name.clone().unwrap_or_default();
        let file = found.folder.join(format!("{name}.toml"));
        let request = &answers.request;
        let create = request.disk.first().filter(|path| !path.starts_with("/dev/") && !found.has(path));
        let size = answers.disk_size.unwrap_or(DISK_SIZE);
        let create = create.map(|path| words(&["disk", "create", path, &short(size)]));
        let cards: Vec<String> = request.gpu.iter().map(std::string::ToString::to_string).collect();
        let of_cards = if cards.is_empty() { Vec::new() } else { [vec!["--gpu".to_owned()], cards].concat() };
        let others: Vec<String> = request.pci.iter().map(PciAddress::to_string).collect();
        let of_others = if others.is_empty() { Vec::new() } else { [vec!["--pci".to_owned()], others].concat() };
        let bind = if request.handover { words(&["--bind", "start"]) } else { Vec::new() };
        let mut prepare = [words(&["prepare", "--install"]), of_cards.clone(), of_others, bind.clone()].concat();
        let check = [words(&["check"]), of_cards, bind].concat();
        prepare.extend(allowed(&answers));
        if let Some(memory) = request.memory.filter(|_| request.hugepages) {
            prepare.extend(words(&["--hugepages", &short(memory)]));
        }
        let host = said(context, &[prepare.clone(), words(&["--dry-run"])].concat())?;
        Ok(Self {
            firmware: firmware(&said::<Value>(context, &check)?.facts),
            check,
            define: words(&["define", "-f", &file.to_string_lossy(), "--", &name]),
            start: starts.then(|| words(&["start", "--", &name])),
            install: proposals::install(&answers, found, create.is_some()),
            picture: proposals::picture(&answers, found),
            window: answers.has_window().then(|| proposals::viewer(&answers, found, &shell_word(&name))),
            name,
            answers,
            asked: asked.request.clone(),
            file,
            prepare,
            host,
            create,
            moves,
        })
    }

    fn is_to_prepare(&self) -> bool {
        self.host.outcome == Outcome::Planned
    }

    /// What the command answers before anything is run.
    pub(super) fn facts(&self) -> SetUp {
        SetUp { name: self.name.clone(), commands: self.commands(), steps: Vec::new(), reboot: self.reboots(), again: None }
    }

    fn reboots(&self) -> bool {
        self.is_to_prepare() && !self.host.facts.plan.reboot.is_empty()
    }

    /// The plan in a few lines.
    pub(super) fn summary(&self, found: &Found) -> String {
        let request = &self.answers.request;
        let mut parts = Vec::new();
        let number = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        if self.is_to_prepare() {
            let plan = &self.host.facts.plan;
            let programs: Vec<&str> = plan.commands.iter().filter_map(|command| Some(command.argv.first()?.as_str())).collect();
            if !plan.writes.is_empty() {
                parts.push(number(plan.writes.len(), "file"));
            }
            if !programs.is_empty() {
                parts.push(format!("{} ({})", number(programs.len(), "command"), programs.join(", ")));
            }
            if self.reboots() {
                parts.push("then a reboot".to_owned());
            }
        }
        let host = if parts.is_empty() { "is already prepared".to_owned() } else { parts.join(", ") };
        let disk = match (request.disk.first(), &self.create) {
            (None, _) => "none".to_owned(),
            (Some(path), Some(create)) => format!("{path}, new, {}", create[3]),
            (Some(path), None) => path.clone(),
        };
        let system = request.os.clone().unwrap_or_default();
        let cards: Vec<&Assessment> = found.cards.iter().filter(|card| request.gpu.contains(&GpuChoice::At(card.address))).collect();
        let named: Vec<String> =
            cards.iter().map(|card| format!("{} ({})", card.name.clone().unwrap_or_default(), card.address.short())).collect();
        let memory = request.memory.map_or_else(|| "8 GiB".to_owned(), |memory| memory.to_string());
        let cpus = match request.cpus {
            Some(Cpus::Auto) => "the processors of one L3 cache".to_owned(),
            Some(Cpus::Count(count)) => number(usize::try_from(count).unwrap_or_default(), "processor"),
            None => "4 processors".to_owned(),
        };
        let input = match &self.window {
            _ if !request.extras.evdev.is_empty() => "keyboard and mouse switch between host and guest with both control keys".to_owned(),
            _ if !request.usb_ids().is_empty() => "USB devices of the host, which the guest has alone while it runs".to_owned(),
            Some(window) => format!("a window: {window}"),
            None => "none: add --display vnc, --evdev or --usb, or use the guest over the network".to_owned(),
        };
        let moved = self.moves.iter().map(|image| image.to.as_str()).collect::<Vec<_>>().join(", ");
        let moved = if moved.is_empty() { moved } else { format!("{moved}: QEMU's user cannot read the folder where it is now") };
        let when = if self.reboots() { "at the reboot" } else { "then run this again" };
        let rows = [
            ("host", host),
            ("firmware", self.firmware.iter().map(|what| format!("{what}, {when}")).collect::<Vec<_>>().join("; ")),
            ("disk", disk),
            ("install", self.install.clone()),
            ("moved", moved),
            ("domain", [format!("{} (system {system})", self.name), memory, cpus].into_iter().chain(named).collect::<Vec<_>>().join(", ")),
            ("input", input),
            ("picture", self.picture.to_owned()),
        ];
        let rows = rows.iter().filter(|(_, text)| !text.is_empty());
        let rows: String = rows.map(|(what, text)| output::row(what, 8, text)).collect();
        let commands: String = self.commands().iter().map(|line| format!("  $ {line}\n")).collect();
        format!("The plan:\n{rows}Its commands:\n{commands}")
    }

    /// The commands, in their order. The disk comes after `prepare`, which installs the program that makes it.
    fn commands(&self) -> Vec<String> {
        let prepare = Some(&self.prepare).filter(|_| self.host.outcome != Outcome::Unchanged);
        let moves = self.moves.iter().map(|image| line(&image.command()));
        let before = prepare.into_iter().chain(&self.create).map(|argv| shown(argv));
        before.chain(moves).chain([&self.define].into_iter().chain(&self.start).map(|argv| shown(argv))).collect()
    }

    /// Where `prepare` refuses: what it says.
    pub(super) fn refusal(&self) -> Option<Refused> {
        if self.host.outcome != Outcome::Refused {
            return None;
        }
        let by_setup = |finding: &Finding| match finding.code {
            "only-display" => Finding { remedy: ONLY_DISPLAY.to_owned(), ..finding.clone() },
            _ => finding.clone(),
        };
        let end = format!("'{}' cannot be set up: see above. Nothing was changed.", self.name);
        Some(Refused { findings: self.host.findings.iter().map(by_setup).collect(), end, next: None })
    }

    /// Asks on the terminal, with the details on demand.
    pub(super) fn is_accepted(&self, context: &Context) -> Result<bool> {
        if self.is_to_prepare() && confirm("Show every file and command of the host's part?", false)? {
            run::own(&global(context, &[self.prepare.clone(), words(&["--dry-run", "--verbose"])].concat()))?;
        }
        confirm("Carry this plan out?", false)
    }

    /// Runs the commands one after the other, and stops where one fails or the host has to be rebooted.
    pub(super) fn carry_out(&self, context: &Context, found: &Found, can_ask: bool) -> Result<Answer> {
        self.save(&self.asked)?;
        let mut done = self.facts();
        let size = self.answers.disk_size.filter(|_| self.create.is_some());
        let size = size.map(|size| words(&["--disk-size", &short(size)])).unwrap_or_default();
        let again = self.again(&size);
        let prepare = [self.prepare.clone(), words(&["--yes"])].concat();
        let prepare = Some((&self.prepare, &prepare)).filter(|_| self.is_to_prepare());
        for (told, argv) in prepare.into_iter().chain(self.create.iter().map(|argv| (argv, argv))) {
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
        if check["step"].as_str() == Some("reboot") || (self.reboots() && !self.firmware.is_empty()) {
            self.reboot(context, &again, can_ask)?;
            return Ok(Answer::done(SetUp { reboot: true, again: Some(again), ..done }));
        }
        if check["ready"].as_bool() == Some(false) {
            let next = next.unwrap_or_else(|| Next::sentence("see vgapt check"));
            context.say(&format!("the host is not ready: {next}\nAfterwards, continue with: {again}\n"));
            let done = SetUp { again: Some(again), ..done };
            return Ok(Answer::new(Outcome::NotReady).with(done).next(next));
        }
        for argv in [&self.define].into_iter().chain(&self.start) {
            if let Some(failed) = done.step(context, argv, argv, &again)? {
                return Ok(failed.with(done));
            }
        }
        // The domain has the request in its record from now on.
        fs::remove_file(&self.file).with_context(|| format!("cannot remove {}", self.file.display()))?;
        context.say(&self.afterwards());
        Ok(Answer::done(done))
    }

    /// The command that continues.
    fn again(&self, more: &[String]) -> String {
        let no_start = if self.start.is_none() { words(&["--no-start"]) } else { Vec::new() };
        shown(&[words(&["setup", &self.name]), allowed(&self.answers), no_start, more.to_vec()].concat())
    }

    fn reboot(&self, context: &Context, again: &str, can_ask: bool) -> Result<()> {
        let firmware: String = self.firmware.iter().map(|what| format!(" When it starts, {what}.")).collect();
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
        lines.push(format!("its picture is {}", self.picture));
        lines.extend(self.window.iter().map(|window| format!("open its window: {window}")));
        if request.cdrom.is_some() && request.virtio_iso.is_some() && self.answers.is_windows() {
            lines.push(
                "its installer shows no disk until you load the driver vioscsi from the virtio CD, from the folder of the system"
                    .to_owned(),
            );
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

/// What `vgapt check` misses in the firmware settings.
fn firmware(report: &Value) -> Vec<String> {
    let checks = report["checks"].as_array().into_iter().flatten();
    let is_of_platform = |check: &&Value| ["processor", "iommu"].iter().any(|group| check["group"] == *group);
    let missing = checks.filter(is_of_platform).filter(|check| check["state"] == "missing" && check["step"] == "firmware");
    missing.filter_map(|check| check["remedy"].as_str().map(str::to_owned)).collect()
}

/// What `vgapt setup` answers.
#[derive(Serialize, JsonSchema)]
pub(in crate::commands) struct SetUp {
    name: String,
    /// The commands of the plan, in their order.
    commands: Vec<String>,
    /// Those that were run, and those that prepare the rest.
    steps: Vec<Step>,
    /// Whether the host has to be rebooted.
    reboot: bool,
    /// The command that continues, if not all is done.
    again: Option<String>,
}

/// A vgapt command that was run.
#[derive(Serialize, JsonSchema)]
struct Step {
    argv: Vec<String>,
    /// Its document.
    document: Value,
}

impl SetUp {
    /// Runs a command of vgapt's on this terminal, or for its document; an answer where it failed.
    fn step(&mut self, context: &Context, told: &[String], argv: &[String], again: &str) -> Result<Option<Answer>> {
        context.note(&format!("$ {}", shown(told)));
        let failed = if context.global.json {
            let document = document(context, argv)?;
            let said: Said<Value> = Said::of(argv, &document)?;
            self.steps.push(Step { argv: argv.to_vec(), document });
            (exit_code::of(said.outcome) != 0)
                .then(|| Answer { error: said.error, ..Answer::new(said.outcome).finding(said.findings).next(said.next) })
        } else {
            let code = run::own(&global(context, argv))?;
            (code != 0).then(|| Answer::new(exit_code::outcome(code)))
        };
        if failed.is_some() {
            context.say(&format!("that step failed; correct what it names, then continue with: {again}\n"));
            self.again = Some(again.to_owned());
        }
        Ok(failed)
    }
}

/// The document of a vgapt command, as far as setup reads it.
#[derive(Deserialize)]
struct Said<T> {
    outcome: Outcome,
    findings: Vec<Finding>,
    next: Option<Next>,
    error: Option<Failure>,
    #[serde(flatten)]
    facts: T,
}

/// What `prepare` would do.
#[derive(Deserialize)]
struct HostPart {
    plan: HostPlan,
}

#[derive(Deserialize)]
struct HostPlan {
    writes: Vec<Value>,
    commands: Vec<host::Command>,
    reboot: Vec<String>,
}

impl<T: for<'a> Deserialize<'a>> Said<T> {
    fn of(argv: &[String], document: &Value) -> Result<Self> {
        Self::deserialize(document).with_context(|| format!("`{}` answered something else than expected", shown(argv)))
    }
}

/// What a command says that shows something. Its exit code is part of that.
fn said<T: for<'a> Deserialize<'a>>(context: &Context, argv: &[String]) -> Result<Said<T>> {
    let document = document(context, argv)?;
    if let Some(Failure { message, causes, remedy }) = Said::<Value>::of(argv, &document)?.error {
        let message = std::iter::once(message).chain(causes).collect::<Vec<_>>().join(": ");
        return Err(match remedy {
            Some(remedy) => Problem::new(message, remedy).into(),
            None => anyhow::Error::msg(message),
        });
    }
    Said::of(argv, &document)
}

/// The document of a command.
fn document(context: &Context, argv: &[String]) -> Result<Value> {
    let ran = run::own_output(&[words(&["--json"]), global(context, argv)].concat())?;
    serde_json::from_str(&ran.stdout).with_context(|| format!("{}: {}", shown(argv), ran.last_lines()))
}

/// The global options of this run before a command.
fn global(context: &Context, argv: &[String]) -> Vec<String> {
    let connect = context.global.connect.iter().flat_map(|uri| ["--connect".to_owned(), uri.clone()]);
    let root = context.global.root.iter().flat_map(|root| ["--root".to_owned(), root.to_string_lossy().into_owned()]);
    connect.chain(root).chain(argv.iter().cloned()).collect()
}

fn shown(argv: &[String]) -> String {
    format!("vgapt {}", line(argv))
}

/// As it is typed in a shell.
fn line(argv: &[String]) -> String {
    let words: Vec<String> = argv.iter().map(|word| shell_word(word)).collect();
    words.join(" ")
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
