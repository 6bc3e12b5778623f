//! What `define`, `attach` and `detach` have in common: tell all there is to say, show the
//! difference, define, and look at what libvirt made of it.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use super::context::Context;
use super::existing::changed;
use super::exit_code::FOUND_AGAINST;
use crate::discovery;
use crate::domain::{self, Base, Other, Passed, Places, Purpose, Resolved, Spec};
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
pub(in crate::commands) struct How {
    /// Print the XML and define nothing
    #[arg(long)]
    pub(in crate::commands) dry_run: bool,
    /// Print the XML as libvirt gives it back
    #[arg(long, conflicts_with = "dry_run")]
    pub(in crate::commands) print_xml: bool,
    /// Define it although something speaks against it
    #[arg(long)]
    pub(in crate::commands) force: bool,
}

/// A definition that is about to be made.
pub(in crate::commands) struct Definition<'a> {
    pub(in crate::commands) name: &'a str,
    pub(in crate::commands) how: &'a How,
    /// The domain's XML as it is.
    pub(in crate::commands) existing: Option<&'a str>,
    /// What the user brought that the domain is made of, in words; `None`: it is a template of vgapt's.
    pub(in crate::commands) brought: Option<String>,
    /// In words, what has come to pass with it.
    pub(in crate::commands) done: &'static str,
    /// Whether it is to start with the host; `None` leaves that as it is.
    pub(in crate::commands) autostart: Option<bool>,
}

impl Definition<'_> {
    /// Tells, shows, defines.
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
        // What is refused already was not resolved to its end, and so is not written either.
        if !findings.iter().any(|finding| finding.refuses(true)) {
            findings.extend(self.not_written(base, &spec, &merged));
        }
        let merged = merged.to_string();
        let diff = self.existing.map(|before| output::diff(self.name, before, &merged)).unwrap_or_default();
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        if !context.global.json {
            context.tell(&findings);
            if context.global.verbose {
                let mut more = of_cards(host, &spec.record.passed);
                more.retain(|more| !findings.iter().any(|finding| finding.code == more.code));
                context.tell(&more);
            }
            for line in domain::kept(base, &spec) {
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
        Ok(if against { ExitCode::from(FOUND_AGAINST) } else { ExitCode::SUCCESS })
    }

    /// What the merge could not write: an edit that would break the XML, or that found no place. Where the record
    /// cannot be read it is left alone, which is a finding already.
    fn not_written(&self, base: &Base, spec: &Spec, merged: &Document) -> Option<Finding> {
        if base.unreadable.is_some() {
            return None;
        }
        let mut what = domain::differences(spec, merged);
        what.extend(merged.fault().map(|fault| format!("an edit would break the XML: {fault}")));
        (!what.is_empty()).then(|| {
            let message = format!("what is asked for cannot be written into '{}': {}", self.name, what.join("; "));
            Finding::fatal("not-written", message, "leave that option out, or correct the domain: virsh edit")
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
        let back = connection.domain_xml(self.name, Secrets::Kept)?;
        let Some(back) = back else {
            return Ok(Outcome::Altered(self.altered("libvirt took it, and does not have it")));
        };
        let back = Document::parse(&back).map_err(|what| anyhow::anyhow!("libvirt's XML of '{}' cannot be read: {what}", self.name))?;
        let differences = domain::differences(spec, &back);
        Ok(if differences.is_empty() { Outcome::Defined } else { Outcome::Altered(self.altered(&differences.join("; "))) })
    }

    fn altered(&self, what: &str) -> Finding {
        Finding::blocker(
            "not-as-asked",
            format!("'{}' is defined, and not as it was asked for: {what}", self.name),
            "libvirt changed or dropped that by itself: look at it with virsh dumpxml --inactive, and correct it with virsh edit",
        )
    }

    /// What libvirt's schema refuses, who wrote it, and whether `--force` helps.
    fn against_schema(&self, base: &Base, words: &str, dropped: Option<&[String]>) -> Finding {
        let Some(dropped) = dropped else {
            let remedy = "correct what is named there; --force does not help";
            return Finding::blocker("schema", format!("libvirt refuses the domain, its schema as well as its parser: {words}"), remedy);
        };
        if dropped.is_empty() {
            let message = format!("libvirt's schema refuses the domain, and its parser drops nothing of it: {words}");
            return Finding::blocker("schema", message, "--force defines it without the schema");
        }
        let (brought, own): (Vec<&str>, Vec<&str>) =
            dropped.iter().map(String::as_str).partition(|path| self.brought.is_some() && has(base.domain.root(), path));
        let place = self.brought.as_deref().unwrap_or("the template");
        let brought = (!brought.is_empty()).then(|| format!("take {} out of {place}", brought.join(", ")));
        let own = (!own.is_empty()).then(|| {
            format!(
                "update libvirt, or leave out the option that needs {}: vgapt wrote it, and this libvirt does not know it",
                own.join(", ")
            )
        });
        let remedies: Vec<String> = brought.into_iter().chain(own).collect();
        Finding::blocker(
            "schema",
            format!("libvirt's schema refuses the domain; libvirt would drop: {}", dropped.join(", ")),
            format!("{}; --force defines it without", remedies.join("; ")),
        )
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
            Outcome::Refused { is_fatal } => {
                let force = if *is_fatal { "." } else { "; use --force to override." };
                output::tell(&format!("'{name}' is not defined: see above{force}\n"));
            }
            Outcome::Unchanged => context.note(&format!("'{name}' is as it was asked for; nothing changes")),
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

/// A domain that the user brought, and how it is changed.
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

/// The other domains, also those that libvirt names and cannot describe.
pub(in crate::commands) fn others(connection: &dyn Hypervisor, name: &str) -> Result<Vec<Other>> {
    let domains = connection.domains()?;
    let documents = |xml: &[String]| xml.iter().map(|text| Document::parse(text)).collect();
    let known = domains.known.into_iter().map(|known| Other {
        documents: documents(&known.xml),
        is_running: known.state.is_active(),
        name: known.name,
    });
    let unread =
        domains.unread.into_iter().map(|unread| Other { documents: vec![Err(unread.because)], is_running: false, name: unread.name });
    Ok(known.chain(unread).filter(|other| other.name != name).collect())
}

/// The host's files, as far as they can be seen from here.
pub(in crate::commands) struct Paths(Option<Root>);

impl Paths {
    pub(in crate::commands) fn of(context: &Context) -> Result<Self> {
        Ok(Self(context.root()?))
    }
}

impl Places for Paths {
    fn real(&self, path: &str) -> String {
        self.0.as_ref().and_then(|root| root.real_path(path)).unwrap_or_else(|| path.to_owned())
    }

    fn identity(&self, path: &str) -> Option<String> {
        // One that cannot be looked at is compared by its path.
        self.0.as_ref().and_then(|root| root.identity(path).known())
    }

    fn below(&self, path: &str) -> (Vec<String>, Option<String>) {
        // Of another machine's files, and of a recorded one, no header is seen: that is said of the domain's own files.
        self.0.as_ref().filter(|root| !root.is_capture()).map(|root| discovery::lies_on(root, path)).unwrap_or_default()
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
    /// libvirt made something else of it.
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

/// What else is good to know of the cards that are passed.
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
