//! `vgapt show`.

use std::collections::BTreeSet;

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::Context;
use super::shared::existing::Existing;
use crate::domain::{self, Passed, Record, Request, Written};
use crate::model::{CpuSet, GroupMember, PciAddress, RecordedGroup};
use crate::output::Answer;

/// Show the request that a domain was defined from
///
/// Prints the request that a domain was defined from, read from its metadata, as a file for `vgapt define -f`. The
/// disks and CDs are those that the domain has now.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vgapt show win11 > win11.toml    # for the option -f of define")]
pub struct Arguments {
    /// The domain's name
    name: String,
}

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<Answer> {
        let connection = context.connect()?;
        let existing = Existing::open(connection, &self.name)?;
        let record = existing.managed(&self.name)?;
        let (request, changed) = domain::present(&existing.document, &record.request);
        let autostart = connection.autostart(&self.name)?;
        let mut text = if record.attached {
            format!("# what vgapt attached to '{}', which it did not define\n", self.name)
        } else {
            format!("# the request from which vgapt defined '{}'\n", self.name)
        };
        text.push_str(if autostart { "# starts with the host\n" } else { "# is started manually\n" });
        for passed in &record.passed {
            let id = passed.id.map(|id| format!(" is {id}")).unwrap_or_default();
            text.push_str(&format!("# passed through: {}{id}\n", passed.address));
        }
        for group in &record.groups {
            let members: Vec<String> = group.members.iter().map(member).collect();
            let kernel = group.kernel.as_ref().map(|kernel| format!(" (kernel {kernel})")).unwrap_or_default();
            text.push_str(&format!("# in one IOMMU group then{kernel}: {}\n", members.join(", ")));
        }
        for line in &changed {
            text.push_str(&format!("# {line}\n"));
        }
        context.print(&(text + &request.to_toml()))?;
        let Record { passed, groups, attached, template, guest_cpus, by_hand, single_functions, written, .. } = record.clone();
        let shown =
            Shown { request, passed, groups, attached, template, guest_cpus, by_hand, single_functions, written, changed, autostart };
        Ok(Answer::done(shown))
    }
}

fn member(member: &GroupMember) -> String {
    let driver = member.driver.as_ref().map(|driver| format!(" on {driver}")).unwrap_or_default();
    format!("{} [{}]{driver}", member.address.short(), member.id)
}

/// What `vgapt show` answers: the record in the domain.
#[derive(Serialize, JsonSchema)]
pub(super) struct Shown {
    /// The options of `vgapt define` by their names.
    request: Request,
    /// The PCI functions that are passed through, with their ids.
    passed: Vec<Passed>,
    /// Their IOMMU groups, as they were when these functions were passed.
    groups: Vec<RecordedGroup>,
    /// Whether vgapt did not define the domain, but attached devices to it.
    attached: bool,
    /// The guest system of the template that the domain was made from.
    template: Option<String>,
    /// The host CPUs that are kept free for the guest.
    guest_cpus: Option<CpuSet>,
    /// The functions that were passed through by hand before vgapt.
    by_hand: BTreeSet<PciAddress>,
    /// The guest slots (bus and slot) whose first function had no `multifunction` attribute before vgapt.
    single_functions: BTreeSet<(u32, u32)>,
    /// What vgapt wrote into elements of the domain, by part and path.
    written: Written,
    /// What was changed since, not by vgapt.
    changed: Vec<String>,
    /// Whether it starts with the host.
    autostart: bool,
}
