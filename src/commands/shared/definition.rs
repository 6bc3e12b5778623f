//! Carries out a decision for `define`, `attach` and `detach`: shows it, defines the domain, checks what libvirt made
//! of it, and reports what changed and the outcome.

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::context::Context;
use super::decision::Decision;
use super::existing::{Existing, changed};
use super::facts::Facts;
use super::{next, schema};
use crate::domain::{self, Base, Purpose, Summary};
use crate::hypervisor::{Defined, Hypervisor, Secrets};
use crate::model::{Finding, Next, PciAddress, shell_word};
use crate::output::{self, Answer};
use crate::readiness::Stage;
use crate::xml::Document;

/// How a domain is defined.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Definition")]
pub(in crate::commands) struct DefineOptions {
    /// Print the XML and write nothing
    #[arg(long)]
    pub(in crate::commands) dry_run: bool,
    /// Print the XML as libvirt returns it
    #[arg(long, conflicts_with = "dry_run")]
    pub(in crate::commands) print_xml: bool,
    /// Define the domain even if it is blocked
    #[arg(long)]
    pub(in crate::commands) force: bool,
}

/// What becomes of a decision.
pub(in crate::commands) enum Outcome {
    DryRun,
    Refused,
    Unchanged,
    Defined,
    /// libvirt changed it.
    Altered(Finding),
    SchemaRefuses(Finding),
}

impl Outcome {
    /// Whether the domain has what was asked, or most of it.
    pub(in crate::commands) fn is_there(&self) -> bool {
        matches!(self, Self::Defined | Self::Unchanged | Self::Altered(_))
    }

    fn word(&self, is_blocked: bool) -> output::Outcome {
        match self {
            Self::DryRun if !is_blocked => output::Outcome::Planned,
            Self::DryRun | Self::Refused | Self::SchemaRefuses(_) => output::Outcome::Refused,
            Self::Unchanged => output::Outcome::Unchanged,
            Self::Defined => output::Outcome::Done,
            Self::Altered(_) => output::Outcome::Incomplete,
        }
    }

    fn finding(&self) -> Option<&Finding> {
        match self {
            Self::Altered(finding) | Self::SchemaRefuses(finding) => Some(finding),
            _ => None,
        }
    }
}

/// What `vgapt define`, `attach` and `detach` answer.
#[derive(Serialize, JsonSchema)]
pub(in crate::commands) struct DefinedDomain {
    name: String,
    /// What the domain is for its user.
    summary: Summary,
    /// What becomes different from the present domain, in words.
    changes: Vec<String>,
    /// The difference from the present domain, as text.
    diff: String,
    /// The domain's XML: with --dry-run the one that would be defined, with --print-xml what libvirt made of it.
    xml: Option<String>,
    /// What others changed by hand, and what therefore stays unchanged.
    kept: Vec<String>,
}

/// A definition that is about to be made.
pub(in crate::commands) struct Definition<'a> {
    pub(in crate::commands) context: &'a Context,
    pub(in crate::commands) connection: &'a dyn Hypervisor,
    pub(in crate::commands) how: &'a DefineOptions,
    pub(in crate::commands) base: &'a Base,
    pub(in crate::commands) facts: &'a Facts,
    /// The domain's present XML, as libvirt returned it.
    pub(in crate::commands) before: Option<&'a str>,
    /// The user's file that the domain is created from.
    pub(in crate::commands) has_own_template: bool,
}

impl Definition<'_> {
    /// Shows the decision, writes it unless that is refused, and reports the outcome.
    pub(in crate::commands) fn carry_out(&self, decision: &Decision) -> Result<(Outcome, Answer)> {
        let is_blocked = decision.findings.iter().any(|finding| finding.refuses(self.how.force));
        let of_host = self.next_on_host(decision)?;
        let mut findings = self.named(&decision.findings);
        let out_of = next::out_of(&mut findings, self.how.force, of_host.as_ref());
        self.context.tell(&findings);
        if !self.context.global.json {
            self.show(decision);
        }
        let outcome = if self.how.dry_run {
            Outcome::DryRun
        } else if is_blocked {
            Outcome::Refused
        } else if self.before == Some(decision.xml.as_str()) {
            Outcome::Unchanged
        } else {
            self.write(decision)?
        };
        let next = if is_blocked { out_of } else { self.next(decision, &outcome, of_host)? };
        let xml = self.report(decision, &outcome, next.as_ref())?;
        let facts = DefinedDomain {
            name: self.base.name.clone(),
            summary: decision.summary.clone(),
            changes: decision.changes.clone(),
            diff: output::plain(&decision.diff),
            xml,
            kept: decision.manual_changes.clone(),
        };
        let findings = outcome.finding().cloned().into_iter().chain(findings).collect();
        let answer = Answer::new(outcome.word(is_blocked)).with(facts).finding(findings).next(next);
        Ok((outcome, answer))
    }

    fn show(&self, decision: &Decision) {
        if self.context.global.verbose {
            self.context.tell(&decision.card_warnings);
        }
        for line in &decision.manual_changes {
            self.context.note(&format!("note: {line}"));
        }
    }

    /// Shows what becomes different, and what the domain will be where it is new, or new to vgapt.
    fn show_changes(&self, decision: &Decision) -> Result<()> {
        let Self { context, connection, base, .. } = self;
        if self.before.is_some_and(|before| before != decision.xml) {
            context.note(&output::changes(&base.name, &decision.changes));
            if !decision.changes.is_empty() && connection.state(&base.name)?.is_active() {
                context.note(&format!("'{}' is running: that holds from its next start on", base.name));
            }
            context.detail(decision.diff.trim_end());
        }
        let is_known = self.before.is_some() && base.last.is_some();
        if base.purpose == Purpose::Define && (!is_known || context.global.verbose) {
            context.note(&output::summary(&decision.summary));
        }
        Ok(())
    }

    /// Defines the domain, and compares what libvirt made of it with the decision.
    fn write(&self, decision: &Decision) -> Result<Outcome> {
        let (connection, name, xml) = (self.connection, self.base.name.as_str(), decision.xml.as_str());
        let defined = match connection.define(name, self.before, xml)? {
            Defined::SchemaRefuses(_) if self.how.force => connection.define_unchecked(name, self.before, xml)?,
            defined => defined,
        };
        match defined {
            Defined::Yes => {}
            Defined::Changed => return Err(changed(name)),
            Defined::SchemaRefuses(words) => {
                let place = self.brought();
                let brought = place.as_deref().map(|place| (&self.base.domain, place));
                return Ok(Outcome::SchemaRefuses(schema::refusal(&words, connection.dropped(xml)?.as_deref(), brought)));
            }
        }
        let Some(back) = connection.domain_xml(name, Secrets::Included)? else {
            return Ok(Outcome::Altered(altered(name, "libvirt accepted the domain, but does not list it")));
        };
        let back = Document::parse(&back).map_err(|what| anyhow::anyhow!("libvirt's XML of '{name}' cannot be read: {what}"))?;
        let differences = domain::differences(&decision.spec, &back);
        Ok(if differences.is_empty() { Outcome::Defined } else { Outcome::Altered(altered(name, &differences.join("; "))) })
    }

    /// The user's own template or domain, as a place to change; `None`: vgapt's template.
    fn brought(&self) -> Option<String> {
        let Base { name, uri, is_new, .. } = self.base;
        match (is_new, self.has_own_template) {
            (true, false) => None,
            (true, true) => Some("the template".to_owned()),
            (false, _) => Some(format!("the domain (virsh -c {} edit {})", shell_word(uri), shell_word(name))),
        }
    }

    /// The findings, whose remedies name this domain.
    fn named(&self, findings: &[Finding]) -> Vec<Finding> {
        let own = format!("vgapt define {}", shell_word(&self.base.name));
        let named = |finding: &Finding| Finding { remedy: finding.remedy.replace("vgapt define NAME", &own), ..finding.clone() };
        findings.iter().map(named).collect()
    }

    /// What the host lacks for the domain's cards.
    fn next_on_host(&self, decision: &Decision) -> Result<Option<Next>> {
        let Facts { root, host, .. } = self.facts;
        let record = decision.spec.record.as_ref();
        let functions: Vec<PciAddress> = record.iter().flat_map(|record| &record.passed).map(|passed| passed.address).collect();
        let handover = record.is_some_and(|record| record.request.handover);
        next::of_host(self.context, root.as_ref(), host, &functions, handover)
    }

    /// What comes next where nothing is in the way: what the host lacks for the domain's cards, else the domain's own step.
    fn next(&self, decision: &Decision, outcome: &Outcome, of_host: Option<Next>) -> Result<Option<Next>> {
        let name = self.base.name.as_str();
        Ok(match outcome {
            Outcome::DryRun => {
                Some(of_host.unwrap_or_else(|| Next::command(next::again(&[], &["--dry-run", "--json"]), "nothing was defined")))
            }
            Outcome::Altered(finding) | Outcome::SchemaRefuses(finding) => Some(Next::out_of(finding)),
            Outcome::Refused => None,
            Outcome::Defined | Outcome::Unchanged => {
                let is_changed = matches!(outcome, Outcome::Defined);
                let state = self.connection.state(name)?;
                let stage = match next::stage(state) {
                    Stage::Running if is_changed => Stage::Changed,
                    stage => stage,
                };
                let before_start = if state.is_active() { of_host } else { self.before_start(decision)? };
                let picture = output::picture(&decision.summary);
                Some(next::of_domain(self.context, name, stage, picture.as_deref(), before_start))
            }
        })
    }

    /// What has to be done before the domain can be started; also for devices that vgapt did not add.
    fn before_start(&self, decision: &Decision) -> Result<Option<Next>> {
        let Facts { root, host, files, .. } = self.facts;
        let existing = Existing::of(&self.base.name, decision.xml.clone())?;
        let mut against = existing.against_start(&self.base.name, host, &files.uses);
        next::before_start(self.context, root.as_ref(), host, &existing, &mut against)
    }

    fn report(&self, decision: &Decision, outcome: &Outcome, next: Option<&Next>) -> Result<Option<String>> {
        let (context, name) = (self.context, self.base.name.as_str());
        let xml = match outcome {
            Outcome::DryRun => Some(decision.xml.clone()),
            _ if outcome.is_there() && self.how.print_xml => self.connection.domain_xml(name, Secrets::LeftOut)?,
            _ => None,
        };
        if context.global.json {
            return Ok(xml);
        }
        if matches!(outcome, Outcome::DryRun | Outcome::Defined | Outcome::Altered(_)) {
            self.show_changes(decision)?;
        }
        match outcome {
            Outcome::DryRun => {}
            Outcome::Refused => {
                let is_fatal = decision.findings.iter().any(|finding| finding.refuses(true));
                let force = if is_fatal { "." } else { "; use --force to override." };
                output::tell(&format!("nothing was defined for '{name}': see above{force}\n"));
            }
            Outcome::Unchanged => context.note(&format!("'{name}' is already up to date")),
            Outcome::Defined => {
                let is_on = self.connection.state(name)?.is_active();
                let done = match self.base.purpose {
                    Purpose::Define => "is defined",
                    Purpose::Attach if is_on => "gets the devices at its next start",
                    Purpose::Attach => "now has the devices",
                    Purpose::Detach if is_on => "is as before from its next start on",
                    Purpose::Detach => "is as before",
                };
                context.note(&format!("'{name}' {done}"));
            }
            Outcome::SchemaRefuses(finding) | Outcome::Altered(finding) => output::tell(&output::finding(finding)),
        }
        if let Some(next) = next {
            context.next(next);
        }
        let text = xml.as_deref().unwrap_or_default();
        // What is only shown is for a reader, unless a program reads it; what libvirt made is shown as libvirt has it.
        let is_for_reader = matches!(outcome, Outcome::DryRun) && !context.global.verbose;
        if is_for_reader {
            output::print_document_or(text, || domain::folded(text, "(vgapt's record: --verbose shows it)"))?;
        } else {
            output::print_document(text)?;
        }
        Ok(xml)
    }
}

fn altered(name: &str, what: &str) -> Finding {
    Finding::error(
        "not-as-asked",
        format!("'{name}' is defined, but not as requested: {what}"),
        "libvirt changed or dropped that: see virsh dumpxml --inactive, and correct it with virsh edit",
    )
}
