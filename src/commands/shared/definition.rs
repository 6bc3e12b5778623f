//! Shared by `define`, `attach` and `detach`: report all findings, show the difference, define the domain, and
//! check what libvirt made of it.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use super::context::Context;
use super::existing::changed;
use super::exit_code::BLOCKED;
use crate::discovery;
use crate::domain::{self, Base, DiskPaths, OtherDomain, Passed, Purpose, Resolved, Spec};
use crate::domain_xml;
use crate::hypervisor::{Defined, Hypervisor, Secrets};
use crate::model::{Finding, Host, shell_word};
use crate::output;
use crate::passthrough::{self, Assessment};
use crate::root::Root;
use crate::xml::{Document, Element};

/// How a domain is defined.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "How it is defined")]
pub(in crate::commands) struct DefineOptions {
    /// Print the XML and define nothing
    #[arg(long)]
    pub(in crate::commands) dry_run: bool,
    /// Print the XML as libvirt returns it
    #[arg(long, conflicts_with = "dry_run")]
    pub(in crate::commands) print_xml: bool,
    /// Define the domain even if it is blocked
    #[arg(long)]
    pub(in crate::commands) force: bool,
}

/// A definition that is about to be made.
pub(in crate::commands) struct Definition<'a> {
    pub(in crate::commands) name: &'a str,
    pub(in crate::commands) how: &'a DefineOptions,
    /// The domain's current XML.
    pub(in crate::commands) existing: Option<&'a str>,
    /// The user's own base of the domain (a template or a domain), for messages; `None`: vgapt's template.
    pub(in crate::commands) brought: Option<String>,
    /// The result, for a message.
    pub(in crate::commands) done: &'static str,
    /// Whether it is to start with the host; `None` leaves that unchanged.
    pub(in crate::commands) autostart: Option<bool>,
}

impl Definition<'_> {
    /// Reports the findings, shows the difference, and defines the domain.
    pub(in crate::commands) fn carry_out(
        &self,
        context: &Context,
        connection: &dyn Hypervisor,
        base: &Base,
        host: &Host,
        resolved: Resolved,
    ) -> Result<ExitCode> {
        let Resolved { spec, mut findings } = resolved;
        let merged = domain::merge(&base.domain, &spec);
        if base.purpose != Purpose::Detach {
            let others = others(connection, self.name)?;
            let own = domain_xml::taken(&merged, host);
            findings.extend(domain::of_neighbours(&spec, &own, &others));
            let new = own.without(&domain_xml::taken(&base.domain, host), base.is_new);
            findings.extend(domain::of_others(&new, &others, host, false, &Paths::of(context)?));
            if let Some(root) = context.root()?.filter(|_| !new.functions.is_empty()) {
                findings.extend(discovery::other_hooks(&root, Some(self.name)));
            }
        }
        // A refused request was not resolved completely, so this comparison would report false differences.
        if !findings.iter().any(|finding| finding.refuses(true)) {
            findings.extend(self.not_written(base, &spec, &merged));
        }
        let merged = merged.to_string();
        let diff = self.existing.map(|before| output::diff(self.name, before, &merged)).unwrap_or_default();
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        if !context.global.json {
            context.tell(&findings);
            if context.global.verbose {
                let mut more = spec.record.as_ref().map(|record| of_cards(host, &record.passed)).unwrap_or_default();
                more.retain(|more| !findings.iter().any(|finding| finding.code == more.code));
                context.tell(&more);
            }
            for line in domain::manual_changes(base, &spec) {
                context.note(&format!("note: {line}"));
            }
            context.note(diff.trim_end());
        }
        let is_fatal = findings.iter().any(|finding| finding.refuses(true));
        let blocked = findings.iter().any(|finding| finding.refuses(self.how.force));
        let unchanged = self.existing == Some(merged.as_str());
        let outcome = if self.how.dry_run {
            Outcome::DryRun
        } else if blocked {
            Outcome::Refused { is_fatal }
        } else if unchanged {
            Outcome::Unchanged
        } else {
            self.define(connection, base, &spec, &merged)?
        };
        if let Outcome::SchemaRefuses(finding) | Outcome::Altered(finding) = &outcome {
            findings.insert(0, finding.clone());
        }
        let is_there = matches!(outcome, Outcome::Defined | Outcome::Unchanged | Outcome::Altered(_));
        let xml = match outcome {
            Outcome::DryRun => Some(merged),
            _ if is_there && self.how.print_xml => connection.domain_xml(self.name, Secrets::LeftOut)?,
            _ => None,
        };
        if context.global.json {
            let value = json!({"name": self.name, "outcome": outcome.word(), "findings": output::findings_json(&findings), "diff": output::plain(&diff), "xml": xml});
            output::print(&output::json(&value))?;
        } else {
            self.report(context, &outcome, xml.as_deref())?;
        }
        if is_there {
            self.set_autostart(context, connection)?;
        }
        let against = blocked || matches!(outcome, Outcome::SchemaRefuses(_) | Outcome::Altered(_));
        Ok(if against { ExitCode::from(BLOCKED) } else { ExitCode::SUCCESS })
    }

    /// What the merge could not write: an edit that would break the XML, or for which there was no place. A record
    /// that cannot be read is left unchanged; that has its own finding.
    fn not_written(&self, base: &Base, spec: &Spec, merged: &Document) -> Option<Finding> {
        if base.unreadable.is_some() {
            return None;
        }
        let mut what = domain::differences(spec, merged);
        what.extend(merged.fault().map(|fault| format!("an edit would break the XML: {fault}")));
        (!what.is_empty()).then(|| {
            let message = format!("the request cannot be written into '{}': {}", self.name, what.join("; "));
            Finding::error("not-written", message, "omit that option, or correct the domain: virsh edit")
        })
    }

    fn define(&self, connection: &dyn Hypervisor, base: &Base, spec: &Spec, xml: &str) -> Result<Outcome> {
        let defined = match connection.define(self.name, self.existing, xml)? {
            Defined::SchemaRefuses(_) if self.how.force => connection.define_unchecked(self.name, self.existing, xml)?,
            defined => defined,
        };
        match defined {
            Defined::Yes => {}
            Defined::Changed => return Err(changed(self.name)),
            Defined::SchemaRefuses(words) => {
                let dropped = connection.dropped(xml)?;
                return Ok(Outcome::SchemaRefuses(self.against_schema(base, &words, dropped.as_deref())));
            }
        }
        let back = connection.domain_xml(self.name, Secrets::Included)?;
        let Some(back) = back else {
            return Ok(Outcome::Altered(self.altered("libvirt accepted the domain, but does not list it")));
        };
        let back = Document::parse(&back).map_err(|what| anyhow::anyhow!("libvirt's XML of '{}' cannot be read: {what}", self.name))?;
        let differences = domain::differences(spec, &back);
        Ok(if differences.is_empty() { Outcome::Defined } else { Outcome::Altered(self.altered(&differences.join("; "))) })
    }

    fn altered(&self, what: &str) -> Finding {
        Finding::blocked(
            "not-as-asked",
            format!("'{}' is defined, but not as requested: {what}", self.name),
            "libvirt changed or dropped that: see virsh dumpxml --inactive, and correct it with virsh edit",
        )
    }

    /// What libvirt's schema refuses, where it comes from, and whether `--force` helps.
    fn against_schema(&self, base: &Base, words: &str, dropped: Option<&[String]>) -> Finding {
        let Some(dropped) = dropped else {
            let remedy = "correct what the message names; --force does not help";
            return Finding::blocked("schema", format!("both libvirt's schema and its parser refuse the domain: {words}"), remedy);
        };
        if dropped.is_empty() {
            let message = format!("libvirt's schema refuses the domain, but its parser would drop nothing: {words}");
            return Finding::blocked("schema", message, "--force defines the domain without schema validation");
        }
        let (brought, own): (Vec<&str>, Vec<&str>) =
            dropped.iter().map(String::as_str).partition(|path| self.brought.is_some() && has(base.domain.root(), path));
        let place = self.brought.as_deref().unwrap_or("the template");
        let brought = (!brought.is_empty()).then(|| format!("remove {} from {place}", brought.join(", ")));
        let own = (!own.is_empty()).then(|| {
            format!(
                "update libvirt, or omit the option that requires {}: vgapt wrote it, and this libvirt does not support it",
                own.join(", ")
            )
        });
        let remedies: Vec<String> = brought.into_iter().chain(own).collect();
        Finding::blocked(
            "schema",
            format!("libvirt's schema refuses the domain; libvirt would drop: {}", dropped.join(", ")),
            format!("{}; --force defines the domain without it", remedies.join("; ")),
        )
    }

    /// Autostart is not part of the XML in libvirt.
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
            Outcome::Refused { is_fatal } => {
                let force = if *is_fatal { "." } else { "; use --force to override." };
                output::tell(&format!("'{name}' is not defined: see above{force}\n"));
            }
            Outcome::Unchanged => context.note(&format!("'{name}' is already up to date")),
            Outcome::Defined => {
                let word = shell_word(name);
                let word = if name.starts_with('-') { format!("-- {word}") } else { word };
                context.note(&format!("'{name}' {}; start it with: {} start {word}", self.done, context.again()));
            }
            Outcome::SchemaRefuses(finding) | Outcome::Altered(finding) => output::tell(&output::finding(finding)),
        }
        output::print_document(xml.unwrap_or_default())?;
        Ok(())
    }
}

/// How to change an existing domain, for remedies.
pub(in crate::commands) fn brought(context: &Context, name: &str) -> String {
    format!("the domain (virsh -c {} edit {})", shell_word(context.uri().as_str()), shell_word(name))
}

/// Whether a domain has an element (`devices/disk`), or one with this attribute (`devices/disk @colour`).
fn has(root: Element<'_>, path: &str) -> bool {
    let (path, attribute) = path.split_once(" @").map_or((path, None), |(path, attribute)| (path, Some(attribute)));
    let mut found = vec![root];
    for name in path.split('/').filter(|name| !name.is_empty()) {
        found = found.into_iter().flat_map(|element| element.children_named(name)).collect();
    }
    found.iter().any(|element| attribute.is_none_or(|attribute| element.attribute(attribute).is_some()))
}

/// The other domains, also those that libvirt lists but cannot describe.
pub(in crate::commands) fn others(connection: &dyn Hypervisor, name: &str) -> Result<Vec<OtherDomain>> {
    let domains = connection.domains()?;
    let documents = |xml: &[String]| xml.iter().map(|text| Document::parse(text)).collect();
    let known = domains.known.into_iter().map(|known| OtherDomain {
        documents: documents(&known.xml),
        is_running: known.state.is_active(),
        name: known.name,
    });
    let unread =
        domains.unread.into_iter().map(|unread| OtherDomain { documents: vec![Err(unread.because)], is_running: false, name: unread.name });
    Ok(known.chain(unread).filter(|other| other.name != name).collect())
}

/// The host's files, as far as they can be read from here.
pub(in crate::commands) struct Paths(Option<Root>);

impl Paths {
    pub(in crate::commands) fn of(context: &Context) -> Result<Self> {
        Ok(Self(context.root()?))
    }
}

impl DiskPaths for Paths {
    fn real(&self, path: &str) -> String {
        self.0.as_ref().and_then(|root| root.real_path(path)).unwrap_or_else(|| path.to_owned())
    }

    fn identity(&self, path: &str) -> Option<String> {
        // A file that cannot be read is compared by its path.
        self.0.as_ref().and_then(|root| root.identity(path).known())
    }

    fn below(&self, path: &str) -> (Vec<String>, Option<String>) {
        // Headers cannot be read on a remote host or in a capture; that is reported for the domain's own files.
        self.0.as_ref().filter(|root| !root.is_capture()).map(|root| discovery::backing_chain(root, path)).unwrap_or_default()
    }
}

enum Outcome {
    DryRun,
    Refused {
        /// Whether `--force` does not help.
        is_fatal: bool,
    },
    Unchanged,
    Defined,
    /// libvirt changed it.
    Altered(Finding),
    SchemaRefuses(Finding),
}

impl Outcome {
    fn word(&self) -> &'static str {
        match self {
            Self::DryRun => "dry-run",
            Self::Refused { .. } => "refused",
            Self::Unchanged => "unchanged",
            Self::Defined => "defined",
            Self::Altered(_) => "altered",
            Self::SchemaRefuses(_) => "schema-refuses",
        }
    }
}

/// Further warnings about the cards that are passed through.
fn of_cards(host: &Host, passed: &[Passed]) -> Vec<Finding> {
    let is_passed = |card: &Assessment| passed.iter().any(|passed| passed.address == card.address);
    passthrough::assess(host).into_iter().filter(is_passed).flat_map(|card| card.warnings).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_wrote_what_the_schema_refuses() {
        let document = Document::parse("<domain x='1'><devices><disk/><disk colour='red'/></devices></domain>").unwrap();
        let is_there = |path: &str| has(document.root(), path);
        assert!(is_there("devices/disk") && is_there("devices/disk @colour") && is_there(" @x"));
        assert!(!is_there("devices/disk @size") && !is_there("devices/tpm") && !is_there(" @y"));
    }
}
