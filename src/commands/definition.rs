//! What `define`, `attach` and `detach` have in common: tell all there is to say, show the
//! difference, define.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use super::Context;
use crate::cli::FOUND_AGAINST;
use crate::domain::{self, Base, Passed, Resolved};
use crate::hypervisor::{Defined, Hypervisor, Secrets};
use crate::model::{Finding, Host, Severity};
use crate::output;
use crate::passthrough::{self, Assessment};
use crate::xml::Document;

/// How a domain is defined.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "How it is defined")]
pub(super) struct How {
    /// Print the XML and define nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Print the XML as libvirt gives it back
    #[arg(long, conflicts_with = "dry_run")]
    pub(super) print_xml: bool,
    /// Define it although something speaks against it
    #[arg(long)]
    pub(super) force: bool,
}

/// A definition that is about to be made.
pub(super) struct Definition<'a> {
    pub(super) name: &'a str,
    pub(super) how: &'a How,
    /// The domain's XML as it is.
    pub(super) existing: Option<&'a str>,
    /// In words, what has come to pass with it.
    pub(super) done: &'static str,
    /// Whether it is to start with the host; `None` leaves that as it is.
    pub(super) autostart: Option<bool>,
}

impl Definition<'_> {
    /// Tells, shows, defines.
    pub(super) fn carry_out(
        &self,
        context: &Context,
        connection: &dyn Hypervisor,
        base: &Base,
        host: &Host,
        resolved: Resolved,
    ) -> Result<ExitCode> {
        let Resolved { spec, mut findings } = resolved;
        if spec.placed.is_some() {
            findings.extend(domain::of_neighbours(&spec, &self.others(connection)?));
        }
        let merged = domain::merge(&base.domain, &spec).to_string();
        let diff = self.existing.map(|before| output::diff(self.name, before, &merged)).unwrap_or_default();
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        if !context.global.json {
            context.tell(&findings);
            if context.global.verbose {
                context.tell(&of_cards(host, &spec.record.passed));
            }
            for line in domain::kept(base, &spec) {
                context.note(&format!("note: {line}"));
            }
            context.note(diff.trim_end());
        }
        let blocked = findings
            .iter()
            .any(|finding| finding.severity == Severity::Fatal || (finding.severity == Severity::Blocker && !self.how.force));
        let unchanged = self.existing == Some(merged.as_str());
        let outcome = if self.how.dry_run {
            Outcome::DryRun
        } else if blocked {
            Outcome::Refused
        } else if unchanged {
            Outcome::Unchanged
        } else {
            self.define(connection, &merged)?
        };
        let xml = match outcome {
            Outcome::DryRun => Some(merged),
            Outcome::Defined | Outcome::Unchanged if self.how.print_xml => connection.domain_xml(self.name, Secrets::LeftOut)?,
            _ => None,
        };
        if context.global.json {
            let value = json!({"name": self.name, "outcome": outcome.word(), "findings": output::findings_json(&findings), "diff": output::plain(&diff), "xml": xml});
            output::print(&output::json(&value))?;
        } else {
            self.report(context, &outcome, xml.as_deref())?;
        }
        if matches!(outcome, Outcome::Defined | Outcome::Unchanged) {
            self.set_autostart(context, connection)?;
        }
        let against = blocked || matches!(outcome, Outcome::Refused | Outcome::SchemaRefuses(_));
        Ok(if against { ExitCode::from(FOUND_AGAINST) } else { ExitCode::SUCCESS })
    }

    /// The other domains, each as it starts next.
    fn others(&self, connection: &dyn Hypervisor) -> Result<Vec<(String, Document)>> {
        let others = connection.domains()?.into_iter().filter(|known| known.name != self.name);
        Ok(others.filter_map(|known| Some((known.name, Document::parse(known.xml.first()?).ok()?))).collect())
    }

    fn define(&self, connection: &dyn Hypervisor, xml: &str) -> Result<Outcome> {
        let refused = match connection.define(xml)? {
            Defined::Yes => return Ok(Outcome::Defined),
            Defined::SchemaRefuses(words) => words,
        };
        if self.how.force {
            connection.define_unchecked(xml)?;
            return Ok(Outcome::Defined);
        }
        let dropped = connection.dropped(xml);
        Ok(Outcome::SchemaRefuses(if dropped.is_empty() { vec![refused] } else { dropped }))
    }

    /// libvirt keeps it beside the XML.
    fn set_autostart(&self, context: &Context, connection: &dyn Hypervisor) -> Result<()> {
        let Some(wanted) = self.autostart else { return Ok(()) };
        if connection.autostart(self.name)? != wanted {
            connection.set_autostart(self.name, wanted)?;
            context.note(&format!("'{}' {} with the host", self.name, if wanted { "starts" } else { "no longer starts" }));
        }
        Ok(())
    }

    fn report(&self, context: &Context, outcome: &Outcome, xml: Option<&str>) -> Result<()> {
        let name = self.name;
        match outcome {
            Outcome::DryRun => {}
            Outcome::Refused => output::tell(&format!("'{name}' is not defined: see above. What is only blocked goes on with --force.\n")),
            Outcome::Unchanged => context.note(&format!("'{name}' is as it was asked for; nothing changes")),
            Outcome::Defined => context.note(&format!("'{name}' {}; start it with: vgapt start {name}", self.done)),
            Outcome::SchemaRefuses(what) => output::tell(&output::finding(&Finding::blocker(
                "schema",
                format!("libvirt's schema refuses the domain; libvirt would drop: {}", what.join(", ")),
                "take that out of the template; --force defines it without",
            ))),
        }
        output::print(xml.unwrap_or_default())?;
        Ok(())
    }
}

enum Outcome {
    DryRun,
    Refused,
    Unchanged,
    Defined,
    /// What libvirt would drop.
    SchemaRefuses(Vec<String>),
}

impl Outcome {
    fn word(&self) -> &'static str {
        match self {
            Self::DryRun => "dry-run",
            Self::Refused => "refused",
            Self::Unchanged => "unchanged",
            Self::Defined => "defined",
            Self::SchemaRefuses(_) => "schema-refuses",
        }
    }
}

/// What else is good to know of the cards that are passed.
fn of_cards(host: &Host, passed: &[Passed]) -> Vec<Finding> {
    let is_passed = |card: &Assessment| passed.iter().any(|passed| passed.address == card.address);
    passthrough::assess(host).into_iter().filter(is_passed).flat_map(|card| card.warnings).collect()
}
