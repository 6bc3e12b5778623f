//! The context of every disk command: what libvirt knows of disks, and how a command is refused or reported.

use std::cell::RefCell;

use anyhow::Result;
use serde::Serialize;

use super::super::Context;
use super::super::shared::refused::Refused;
use super::libvirt_disks::LibvirtDisks;
use crate::interrupt::Interrupt;
use crate::model::{Finding, Size};
use crate::output::Answer;

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
            return Err(Refused { findings, end: format!("{nothing}: see above. Nothing was changed."), next: None }.into());
        }
        self.context.tell(&findings);
        if findings.iter().any(|finding| finding.refuses(false)) {
            self.context.say("continuing because of --force\n");
        }
        self.overridden.borrow_mut().extend(findings);
        Ok(())
    }

    /// Reports the result.
    pub(super) fn done(&self, words: &str, facts: impl Serialize + 'static) -> Answer {
        self.context.note(words);
        Answer::done(facts).finding(self.overridden.take())
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
