//! Plans: each file with its difference, each command, and what remains to do.

use schemars::JsonSchema;
use serde::Serialize;

use super::diff::diff;
use super::style::{FAINT, STRONG, WARNING, paint};
use super::table::row;
use crate::host::{Plan, Undoing, Write};
use crate::model::shell_command;

/// A plan for people.
#[derive(Debug, Clone, Copy)]
pub struct PlanView<'p> {
    pub plan: &'p Plan,
    /// The functions that are bound to vfio-pci, and when; empty if there are none.
    pub bound: &'p str,
    /// Whether its commands are run, not only printed.
    pub is_live: bool,
}

impl PlanView<'_> {
    /// What is done, in a few lines, and then each file and command; without the texts of files that `details` have.
    pub fn text(&self) -> String {
        self.told(false)
    }

    /// The same, with the text of every file.
    pub fn details(&self) -> String {
        self.told(true)
    }

    fn told(&self, is_full: bool) -> String {
        let plan = self.plan;
        let mut text = if plan.is_empty() { String::new() } else { self.summary() };
        let mut is_left_out = false;
        for write in &plan.writes {
            let (before, after) = (write.before.as_deref(), write.after.as_deref());
            let change = change(&write.path, before, after);
            let is_shown = is_full || (before.is_some() && after.is_some() && change.lines().count() <= SHORT);
            is_left_out |= !is_shown;
            let lines = if is_shown {
                String::new()
            } else {
                format!(" ({})", counted(after.or(before).unwrap_or_default().lines().count(), "line"))
            };
            text.push_str(&format!("{} {}{lines}: {}\n", paint(STRONG, &write.path), paint(FAINT, verb(before, after)), write.why));
            text.push_str(if is_shown { &change } else { "" });
        }
        if is_left_out {
            text.push_str(&paint(FAINT, "(the texts of these files: --verbose)"));
            text.push('\n');
        }
        for command in &plan.commands {
            let done = if self.is_live { "" } else { " (not run)" };
            text.push_str(&format!("{}\n    {}{done}\n", paint(STRONG, format_args!("$ {}", shell_command(&command.argv))), command.why));
        }
        for parameter in &plan.parameters {
            text.push_str(&format!("{} {}: {}\n", paint(FAINT, "kernel parameter"), parameter.token, parameter.why));
        }
        for why in &plan.reboot {
            text.push_str(&format!("{}: {why}\n", paint(WARNING, "reboot")));
        }
        if let Some(parameter) = &plan.switch_off {
            text.push_str(&format!("to boot once without the early binding, add to the kernel command line: {parameter}\n"));
        }
        text
    }

    fn summary(&self) -> String {
        let [files, commands, reboots] = self.counts();
        let bound = if self.bound.is_empty() { "nothing" } else { self.bound };
        let lines = [("bound", bound), ("files", &files), ("commands", &commands), ("reboots", &reboots)];
        format!("{}\n{}\n", paint(STRONG, "The plan"), lines.map(|(key, value)| row(key, 8, value)).concat())
    }

    /// The same in one line, for the end.
    pub fn total(&self) -> String {
        let plan = self.plan;
        let [files, commands, reboots] =
            [(plan.writes.len(), "file"), (plan.commands.len(), "command"), (usize::from(!plan.reboot.is_empty()), "reboot")]
                .map(|(count, noun)| counted(count, noun));
        let bound = if self.bound.is_empty() { String::new() } else { format!("; bound: {}", self.bound) };
        format!("\nIn all: {files}, {commands}, {reboots}{bound}\n")
    }

    fn counts(&self) -> [String; 3] {
        let plan = self.plan;
        let verbs = plan.writes.iter().map(|write| verb(write.before.as_deref(), write.after.as_deref())).collect::<Vec<_>>();
        let files = ["new", "changed", "removed"].map(|verb| (verb, verbs.iter().filter(|own| **own == verb).count()));
        let files: Vec<String> = files.into_iter().filter(|(_, count)| *count > 0).map(|(verb, count)| format!("{count} {verb}")).collect();
        let mut programs: Vec<&str> = plan.commands.iter().filter_map(|command| command.argv.first()).map(String::as_str).collect();
        programs.dedup();
        let not_run = if self.is_live { "" } else { ", to be run in that system" };
        let commands =
            if programs.is_empty() { "0".to_owned() } else { format!("{} ({}){not_run}", plan.commands.len(), programs.join(", ")) };
        let reboots = if plan.reboot.is_empty() { "0" } else { "1" };
        [if files.is_empty() { "0".to_owned() } else { files.join(", ") }, commands, reboots.to_owned()]
    }
}

/// A change of an existing file with at most this many lines is always shown.
const SHORT: usize = 12;

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn verb(before: Option<&str>, after: Option<&str>) -> &'static str {
    match (before, after) {
        (None, _) => "new",
        (_, None) => "removed",
        _ => "changed",
    }
}

/// A plan for programs.
#[derive(Serialize, JsonSchema)]
pub struct Planned {
    /// The files that are written, in order.
    writes: Vec<PlannedWrite>,
    #[serde(flatten)]
    plan: Plan,
    /// Whether the commands are run, not only printed.
    commands_are_run: bool,
}

#[derive(Serialize, JsonSchema)]
struct PlannedWrite {
    #[serde(flatten)]
    write: Write,
    /// The difference as text.
    diff: String,
}

impl Planned {
    /// `live`: whether its commands are run.
    pub fn of(plan: &Plan, live: bool) -> Self {
        let write = |write: &Write| {
            let text = diff(&write.path, write.before.as_deref().unwrap_or_default(), write.after.as_deref().unwrap_or_default());
            PlannedWrite { write: write.clone(), diff: super::plain(&text) }
        };
        Self { writes: plan.writes.iter().map(write).collect(), plan: plan.clone(), commands_are_run: live }
    }
}

/// What an undo will change, for people.
pub fn undoing(undoing: &Undoing) -> String {
    let mut text = String::new();
    for file in undoing.files() {
        let (now, then) = (file.now(), file.then());
        let verb = match (&now, &then) {
            (_, None) => "removed",
            (None, _) => "restored",
            _ => "changed",
        };
        let place = if file.place == file.path { String::new() } else { format!(" (in {})", file.place) };
        text.push_str(&format!("{}{place} {}\n", paint(STRONG, &file.path), paint(FAINT, verb)));
        text.push_str(&change(&file.path, now.as_deref(), then.as_deref()));
    }
    for argv in &undoing.commands {
        text.push_str(&format!("{}\n", paint(STRONG, format_args!("$ {}", shell_command(argv)))));
    }
    for argv in &undoing.noted {
        text.push_str(&format!("{} (run it in that system)\n", paint(STRONG, format_args!("$ {}", shell_command(argv)))));
    }
    for argv in &undoing.gone {
        text.push_str(&format!("{} is left out: {} is not installed any more\n", shell_command(argv), argv[0]));
    }
    text
}

/// The files that were edited since, each with the edits.
pub fn edited(undoing: &Undoing) -> String {
    let mut text = String::new();
    for file in undoing.edited() {
        let note =
            if file.in_the_way { "; it cannot be told apart from vgapt's own change, so --force leaves the file unchanged" } else { "" };
        text.push_str(&format!("{} was edited since{note}:\n", paint(STRONG, &file.path)));
        text.push_str(&change(&file.path, file.edited_since.as_deref(), file.now().as_deref()));
    }
    text
}

/// A difference without its two header lines, indented.
fn change(path: &str, before: Option<&str>, after: Option<&str>) -> String {
    let diff = diff(path, before.unwrap_or_default(), after.unwrap_or_default());
    diff.lines().skip(2).map(|line| format!("    {line}\n")).collect()
}
