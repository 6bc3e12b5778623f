//! Plans: each file with its difference, each command, and what remains to do.

use schemars::JsonSchema;
use serde::Serialize;

use super::diff::diff;
use super::style::{FAINT, STRONG, WARNING, paint};
use crate::host::{Plan, Undoing, Write};

/// A plan for people; `live`: whether its commands are run, not only printed.
pub fn plan(plan: &Plan, live: bool) -> String {
    let mut text = String::new();
    for write in &plan.writes {
        let verb = match (&write.before, &write.after) {
            (None, _) => "new",
            (_, None) => "removed",
            _ => "changed",
        };
        text.push_str(&format!("{} {}: {}\n", paint(STRONG, &write.path), paint(FAINT, verb), write.why));
        text.push_str(&change(&write.path, write.before.as_deref(), write.after.as_deref()));
    }
    for command in &plan.commands {
        let done = if live { "" } else { " (not run; run it in that system)" };
        text.push_str(&format!("{}: {}{done}\n", paint(STRONG, format_args!("$ {}", command.argv.join(" "))), command.why));
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
        text.push_str(&format!("{}\n", paint(STRONG, format_args!("$ {}", argv.join(" ")))));
    }
    for argv in &undoing.noted {
        text.push_str(&format!("{} (run it in that system)\n", paint(STRONG, format_args!("$ {}", argv.join(" ")))));
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
