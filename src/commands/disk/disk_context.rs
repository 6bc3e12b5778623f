//! The context of every disk command: what libvirt knows of disks, and how a command is refused or reported.

use std::cell::RefCell;
use std::fmt;
use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value, json};

use super::super::Context;
use super::super::exit_code::BLOCKED;
use super::libvirt_disks::LibvirtDisks;
use crate::interrupt::Interrupt;
use crate::model::{Finding, Size};
use crate::output;

/// The context of every disk command.
pub(super) struct DiskContext<'c> {
    pub(super) context: &'c Context,
    pub(super) interrupt: Interrupt,
    pub(super) libvirt: LibvirtDisks,
    /// Findings that --force has overridden.
    overridden: RefCell<Vec<Finding>>,
}

impl<'c> DiskContext<'c> {
    /// With what libvirt knows about the disks; prints a note where libvirt cannot be asked.
    pub(super) fn open(context: &'c Context) -> Result<Self> {
        Ok(Self { libvirt: LibvirtDisks::ask(context), ..Self::alone(context)? })
    }

    /// Without asking libvirt.
    pub(super) fn alone(context: &'c Context) -> Result<Self> {
        Ok(Self { context, interrupt: Interrupt::watch()?, libvirt: LibvirtDisks::default(), overridden: RefCell::default() })
    }

    /// Goes on only if no finding blocks the command, or `force` overrides those that do; `nothing` is what then was not
    /// done.
    pub(super) fn check(&self, findings: Vec<Finding>, nothing: &str, force: bool) -> Result<()> {
        if findings.iter().any(|finding| finding.refuses(force)) {
            return Err(Refused { findings, nothing: nothing.to_owned() }.into());
        }
        if !self.context.global.json {
            self.context.tell(&findings);
            if findings.iter().any(|finding| finding.refuses(false)) {
                output::tell("continuing because of --force\n");
            }
        }
        self.overridden.borrow_mut().extend(findings);
        Ok(())
    }

    /// Reports the result.
    pub(super) fn done(&self, words: &str, mut facts: Value) -> Result<ExitCode> {
        if self.context.global.json {
            facts["outcome"] = "done".into();
            let overridden = self.overridden.borrow();
            if !overridden.is_empty() {
                facts["findings"] = output::findings_json(&overridden).into();
            }
            output::print(&output::json(&facts))?;
        } else {
            self.context.note(words);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A disk command that is refused before anything is changed.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) findings: Vec<Finding>,
    /// What was not done.
    nothing: String,
}

impl From<Finding> for Refused {
    fn from(finding: Finding) -> Self {
        Self { findings: vec![finding], nothing: "nothing was done".to_owned() }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages: Vec<&str> = self.findings.iter().map(|finding| finding.message.as_str()).collect();
        f.write_str(&messages.join("; "))
    }
}

impl std::error::Error for Refused {}

impl Refused {
    /// Reports it, and returns the exit code.
    pub(super) fn report(&self, context: &Context) -> Result<ExitCode> {
        if context.global.json {
            output::print(&output::json(&json!({"outcome": "refused", "findings": output::findings_json(&self.findings)})))?;
        } else {
            context.tell(&self.findings);
            output::tell(&format!("{}: see above. Nothing was changed.\n", self.nothing));
        }
        Ok(ExitCode::from(BLOCKED))
    }
}

/// How many reasons are shown.
const SHOWN: usize = 5;

/// The first reasons, and how many more there are.
pub(super) fn shortened(reasons: &[String]) -> String {
    let more = reasons.len().saturating_sub(SHOWN);
    let first = reasons[..reasons.len() - more].join("; ");
    if more > 0 { format!("{first}; and {more} more") } else { first }
}

/// A size for people: 3.2 GiB.
pub(super) fn human_size(size: Size) -> String {
    #[allow(clippy::cast_precision_loss)] // One digit is shown.
    let in_units = |shift: u32| size.bytes() as f64 / (1_u64 << shift) as f64;
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.iter().find(|(_, shift)| size.bytes() >> shift > 0) {
        Some((unit, shift)) => format!("{:.1} {unit}", in_units(*shift)).replace(".0 ", " "),
        None => format!("{} B", size.bytes()),
    }
}
