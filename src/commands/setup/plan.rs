//! One plan for the host and the domain: the vgapt commands that are run, in their order.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::answers::Answers;
use super::found::Found;
use super::proposals::{self, DISK_SIZE};
use super::questions::{confirm, short};
use crate::commands::Context;
use crate::commands::exit_code::BLOCKED;
use crate::commands::shared::request_file;
use crate::domain::{Cpus, GpuChoice};
use crate::model::{PciAddress, shell_word};
use crate::output;
use crate::passthrough::Assessment;
use crate::run;

/// What is to be done for a domain.
pub(super) struct Plan {
    name: String,
    answers: Answers,
    /// Where the answers are kept until the domain is defined.
    file: PathBuf,
    /// The new disk.
    create: Option<Vec<String>>,
    prepare: Vec<String>,
    /// What `prepare` would do.
    host: Value,
    check: Vec<String>,
    define: Vec<String>,
    start: Option<Vec<String>>,
    /// Where the guest's picture will be.
    picture: &'static str,
}

impl Plan {
    /// Decides the commands, and asks `prepare` what it would do.
    pub(super) fn make(context: &Context, found: &Found, answers: Answers, starts: bool) -> Result<Self> {
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
        let mut prepare = [words(&["prepare", "--install"]), of_cards.clone(), of_others].concat();
        if request.handover {
            prepare.extend(words(&["--bind", "start"]));
        }
        prepare.extend(allowed(&answers));
        if let Some(memory) = request.memory.filter(|_| request.hugepages) {
            prepare.extend(words(&["--hugepages", &short(memory)]));
        }
        let host = said(context, &[prepare.clone(), words(&["--dry-run"])].concat())?;
        anyhow::ensure!(host["outcome"].is_string(), "`{}` did not say what it would do", shown(&prepare));
        Ok(Self {
            check: [words(&["check"]), of_cards].concat(),
            define: words(&["define", "-f", &file.to_string_lossy(), "--", &name]),
            start: starts.then(|| words(&["start", "--", &name])),
            picture: proposals::picture(&answers, found),
            name,
            answers,
            file,
            create,
            prepare,
            host,
        })
    }

    fn outcome(&self) -> &str {
        self.host["outcome"].as_str().unwrap_or_default()
    }

    /// The plan in a few lines.
    pub(super) fn summary(&self, found: &Found) -> String {
        let request = &self.answers.request;
        let count = |what: &str| self.host["plan"][what].as_array().map(Vec::len).unwrap_or_default();
        let mut parts = Vec::new();
        let number = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        if self.outcome() == "planned" {
            let programs: Vec<&str> =
                self.host["plan"]["commands"].as_array().into_iter().flatten().filter_map(|command| command["argv"][0].as_str()).collect();
            parts.push(number(count("writes"), "file"));
            if !programs.is_empty() {
                parts.push(format!("{} ({})", number(programs.len(), "command"), programs.join(", ")));
            }
            if count("reboot") > 0 {
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
        let input = if !request.extras.evdev.is_empty() {
            "keyboard and mouse switch between host and guest with both control keys"
        } else if self.answers.has_input() {
            "USB devices of the host, which the guest has alone while it runs"
        } else {
            "none"
        };
        let rows = [
            ("host", host),
            ("disk", disk),
            ("domain", format!("{} (system {system}), {memory}, {cpus}, {}", self.name, named.join(", "))),
            ("input", input.to_owned()),
            ("picture", self.picture.to_owned()),
        ];
        let rows: String = rows.iter().map(|(what, text)| output::row(what, 7, text)).collect();
        let commands: String = self.commands().iter().map(|argv| format!("  $ {}\n", shown(argv))).collect();
        format!("The plan:\n{rows}Its commands:\n{commands}")
    }

    /// The commands, in their order.
    fn commands(&self) -> Vec<&Vec<String>> {
        let prepare = Some(&self.prepare).filter(|_| self.outcome() != "nothing-to-do");
        self.create.iter().chain(prepare).chain([&self.define]).chain(&self.start).collect()
    }

    /// Where `prepare` refuses: what it says, and the exit code.
    pub(super) fn refusal(&self) -> Option<ExitCode> {
        if self.outcome() != "refused" {
            return None;
        }
        let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        for finding in self.host["findings"].as_array().into_iter().flatten() {
            let (severity, message) = (text(finding, "severity"), text(finding, "message"));
            output::tell(&format!("{severity}: {message}\n  remedy: {}\n", text(finding, "remedy")));
        }
        output::tell(&format!("'{}' cannot be set up: see above. Nothing was changed.\n", self.name));
        Some(ExitCode::from(BLOCKED))
    }

    /// Asks on the terminal, with the details on demand.
    pub(super) fn is_accepted(&self, context: &Context) -> Result<bool> {
        if self.outcome() == "planned" && confirm("Show every file and command of the host's part?", false)? {
            run::own(&global(context, &[self.prepare.clone(), words(&["--dry-run", "--verbose"])].concat()))?;
        }
        confirm("Carry this plan out?", false)
    }

    /// Runs the commands one after the other, and stops where one fails or the host has to be rebooted.
    pub(super) fn carry_out(&self, context: &Context, can_ask: bool) -> Result<ExitCode> {
        self.save()?;
        let again = shown(&[words(&["setup", &self.name]), allowed(&self.answers)].concat());
        let before = self.create.iter().map(|argv| (argv.clone(), argv.clone()));
        let prepare = [self.prepare.clone(), words(&["--yes"])].concat();
        let prepare = Some((self.prepare.clone(), prepare)).filter(|_| self.outcome() == "planned");
        for (told, argv) in before.chain(prepare) {
            if let Some(code) = step(context, &told, &argv, &again)? {
                return Ok(code);
            }
        }
        let check = said(context, &self.check)?;
        if check["step"].as_str() == Some("reboot") {
            return reboot(&again, can_ask);
        }
        if check["ready"].as_bool() == Some(false) {
            output::tell(&format!(
                "the host is not ready: {}\nAfterwards, continue with: {again}\n",
                check["next"].as_str().unwrap_or_default()
            ));
            return Ok(ExitCode::from(BLOCKED));
        }
        for argv in [&self.define].into_iter().chain(&self.start) {
            if let Some(code) = step(context, argv, argv, &again)? {
                return Ok(code);
            }
        }
        // The domain has the request in its record from now on.
        fs::remove_file(&self.file).with_context(|| format!("cannot remove {}", self.file.display()))?;
        output::tell(&self.afterwards());
        Ok(ExitCode::SUCCESS)
    }

    /// Keeps the answers for the run after the reboot, as an ordinary file for `define -f`.
    fn save(&self) -> Result<()> {
        let folder = self.file.parent().unwrap_or(&self.file);
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        request_file::write(&self.file, &self.name, &self.answers.request)
    }

    /// What the user does next.
    fn afterwards(&self) -> String {
        let name = shell_word(&self.name);
        let mut lines = vec![format!("'{}' is set up.", self.name)];
        if self.start.is_none() {
            lines.push(format!("Start it with: vgapt start {name}"));
        }
        lines.push(format!("Its picture is {}.", self.picture));
        if self.answers.request.cdrom.is_some() && self.answers.request.virtio_iso.is_some() {
            lines.push(
                "Its installer shows no disk until you load the driver from the virtio CD: vioscsi, in the folder of the system."
                    .to_owned(),
            );
        }
        lines.push(format!(
            "Manage it with vgapt status {name}, vgapt stop {name}, virsh or virt-manager; vgapt undo takes the host's part back."
        ));
        lines.join("\n") + "\n"
    }
}

/// The options for what the host may lose: only what the user allowed.
fn allowed(answers: &Answers) -> Vec<String> {
    answers.allow.iter().flat_map(|allow| ["--allow".to_owned(), allow.name().to_owned()]).collect()
}

fn reboot(again: &str, can_ask: bool) -> Result<ExitCode> {
    output::tell(&format!("The host has to be rebooted. Then continue with: {again}\n"));
    if can_ask && confirm("Reboot now?", false)? {
        let ran = run::output(&words(&["systemctl", "reboot"]))?;
        anyhow::ensure!(ran.success(), "systemctl reboot failed: {}", ran.last_lines());
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a command of vgapt's on this terminal; an exit code where it failed.
fn step(context: &Context, told: &[String], argv: &[String], again: &str) -> Result<Option<ExitCode>> {
    context.note(&format!("$ {}", shown(told)));
    let code = run::own(&global(context, argv))?;
    if code == 0 {
        return Ok(None);
    }
    output::tell(&format!("that step failed; correct what it names, then continue with: {again}\n"));
    Ok(Some(ExitCode::from(code)))
}

/// What a command says as JSON. Its exit code is part of that.
fn said(context: &Context, argv: &[String]) -> Result<Value> {
    let ran = run::own_output(&global(context, &[argv.to_vec(), words(&["--json"])].concat()))?;
    serde_json::from_str(&ran.stdout).with_context(|| format!("{}: {}", shown(argv), ran.last_lines()))
}

/// The global options of this run before a command.
fn global(context: &Context, argv: &[String]) -> Vec<String> {
    let connect = context.global.connect.iter().flat_map(|uri| ["--connect".to_owned(), uri.clone()]);
    let root = context.global.root.iter().flat_map(|root| ["--root".to_owned(), root.to_string_lossy().into_owned()]);
    connect.chain(root).chain(argv.iter().cloned()).collect()
}

fn shown(argv: &[String]) -> String {
    let words: Vec<String> = argv.iter().map(|word| shell_word(word).clone()).collect();
    format!("vgapt {}", words.join(" "))
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
