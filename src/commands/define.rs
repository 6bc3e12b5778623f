//! `vgapt define`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::Context;
use crate::cli::FOUND_AGAINST;
use crate::discovery::{self, Scope};
use crate::domain::{self, Base, Os, Passed, Profile, Request, Resolved};
use crate::hypervisor::{Defined, Hypervisor, Secrets};
use crate::model::{Files, Finding, Firmware, Host, Severity};
use crate::output;
use crate::passthrough::{self, Assessment};
use crate::problem::Problem;
use crate::root::Root;
use crate::xml::Document;

/// The domain is made from a template, or changed where it exists: an option that is not given
/// keeps what the last request said, and what somebody else changed stays. All that speaks against
/// it is told at once.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The domain's name
    name: String,
    #[command(flatten)]
    request: Request,
    /// A complete libvirt domain to start from, instead of vgapt's own
    #[arg(long, value_name = "FILE", help_heading = "How it is defined")]
    template: Option<PathBuf>,
    /// Make an existing domain anew from the template, keeping only its UUID
    #[arg(long, help_heading = "How it is defined")]
    replace: bool,
    /// Print the XML and define nothing
    #[arg(long, help_heading = "How it is defined")]
    dry_run: bool,
    /// Print the XML as libvirt gives it back
    #[arg(long, conflicts_with = "dry_run", help_heading = "How it is defined")]
    print_xml: bool,
    /// Define it although something speaks against it
    #[arg(long, help_heading = "How it is defined")]
    force: bool,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<ExitCode> {
        let connection = context.connect()?;
        let root = context.root()?;
        let host = context.host(root.as_ref(), Scope::All, Some(connection.as_ref()))?;
        let existing = connection.domain_xml(&self.name, Secrets::Kept)?;
        if let Some(refusal) = self.refusal(existing.as_deref()) {
            context.tell(&[refusal]);
            return Ok(ExitCode::from(FOUND_AGAINST));
        }
        let base = self.base(existing.as_deref())?;
        let files = files(root.as_ref(), connection.as_ref(), &base.wanted);
        let Resolved { spec, mut findings } = domain::resolve(&base, &host, &files, &connection.abilities());
        let merged = domain::merge(&base.domain, &spec).to_string();
        let diff = existing.as_deref().map(|before| output::diff(&self.name, before, &merged)).unwrap_or_default();
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        if !context.global.json {
            context.tell(&findings);
            if context.global.verbose {
                context.tell(&of_cards(&host, &spec.record.passed));
            }
            for line in domain::kept(&base, &spec) {
                context.note(&format!("note: {line}"));
            }
            context.note(diff.trim_end());
        }
        let blocked =
            findings.iter().any(|finding| finding.severity == Severity::Fatal || (finding.severity == Severity::Blocker && !self.force));
        let unchanged = existing.as_deref() == Some(merged.as_str());
        let outcome = if self.dry_run {
            Outcome::DryRun
        } else if blocked {
            Outcome::Refused
        } else if unchanged {
            Outcome::Unchanged
        } else {
            self.define(connection.as_ref(), &merged)?
        };
        let xml = match outcome {
            Outcome::DryRun => Some(merged),
            Outcome::Defined | Outcome::Unchanged if self.print_xml => connection.domain_xml(&self.name, Secrets::LeftOut)?,
            _ => None,
        };
        if context.global.json {
            let value = json!({"name": self.name, "outcome": outcome.word(), "findings": output::findings_json(&findings), "diff": output::plain(&diff), "xml": xml});
            output::print(&output::json(&value))?;
        } else {
            self.report(context, &outcome, xml.as_deref())?;
        }
        let against = blocked || matches!(outcome, Outcome::Refused | Outcome::SchemaRefuses(_));
        Ok(if against { ExitCode::from(FOUND_AGAINST) } else { ExitCode::SUCCESS })
    }

    /// What cannot be asked of a domain that exists.
    fn refusal(&self, existing: Option<&str>) -> Option<Finding> {
        (existing.is_some() && self.template.is_some() && !self.replace).then(|| {
            Finding::fatal(
                "exists",
                format!("the domain '{}' exists, and a template is for a new one", self.name),
                "leave --template out to change it, or make it anew with --replace",
            )
        })
    }

    /// The domain as it is; for a new one the template.
    fn base(&self, existing: Option<&str>) -> Result<Base> {
        let directory = std::env::current_dir().context("cannot tell the current directory")?;
        let given = self.request.clone().with_absolute_paths(&directory.to_string_lossy());
        let variables = domain::from_variables(|name| std::env::var(name).ok())
            .map_err(|what| Problem::new(what, "correct the variable, or unset it"))?;
        let variables = variables.with_absolute_paths(&directory.to_string_lossy());
        if let Some(existing) = existing.filter(|_| !self.replace) {
            let domain =
                Document::parse(existing).map_err(|what| anyhow::anyhow!("libvirt's own XML of '{}' cannot be read: {what}", self.name))?;
            return Ok(Base::new(domain, false, &self.name, &given, &variables));
        }
        let named = self.template.is_none().then(|| given.os.clone().unwrap_or_default()).or(given.os.clone());
        let profile = named.as_ref().and_then(Os::profile);
        let mut base = Base::new(self.template(profile)?, true, &self.name, &given, &variables);
        base.profile = profile;
        base.uuid = existing.and_then(|existing| Some(Document::parse(existing).ok()?.root().child("uuid")?.text().to_owned()));
        Ok(base)
    }

    fn template(&self, profile: Option<&Profile>) -> Result<Document> {
        let Some(file) = &self.template else {
            let name = profile.map(Profile::template).unwrap_or_default();
            return Document::parse(domain::template(name)).map_err(|what| anyhow::anyhow!("vgapt's own template cannot be read: {what}"));
        };
        let shown = file.display();
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read the template {shown}"))?;
        let domain = Document::parse(&text).map_err(|what| {
            Problem::new(format!("{shown}: {what}"), "a template is a complete libvirt domain; virt-xml-validate checks one")
        })?;
        if domain.root().name() != "domain" {
            return Err(Problem::new(
                format!("{shown} holds a <{}>, not a <domain>", domain.root().name()),
                "a template is a complete libvirt domain, as `virsh dumpxml` prints one",
            )
            .into());
        }
        Ok(domain)
    }

    fn define(&self, connection: &dyn Hypervisor, xml: &str) -> Result<Outcome> {
        let refused = match connection.define(xml)? {
            Defined::Yes => return Ok(Outcome::Defined),
            Defined::SchemaRefuses(words) => words,
        };
        if self.force {
            connection.define_unchecked(xml)?;
            return Ok(Outcome::Defined);
        }
        let dropped = connection.dropped(xml);
        Ok(Outcome::SchemaRefuses(if dropped.is_empty() { vec![refused] } else { dropped }))
    }

    fn report(&self, context: &Context, outcome: &Outcome, xml: Option<&str>) -> Result<()> {
        let name = &self.name;
        match outcome {
            Outcome::DryRun => {}
            Outcome::Refused => output::tell(&format!("'{name}' is not defined: see above. What is only blocked goes on with --force.\n")),
            Outcome::Unchanged => context.note(&format!("'{name}' is as it was asked for; nothing changes")),
            Outcome::Defined => context.note(&format!("'{name}' is defined; start it with: vgapt start {name}")),
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

/// What the host's files say; of a remote host only the firmwares are known, from libvirt.
fn files(root: Option<&Root>, connection: &dyn Hypervisor, wanted: &Request) -> Files {
    if let Some(root) = root {
        return discovery::files(root, &wanted.files());
    }
    let pairs = connection.loaders().into_iter().filter_map(|code| Some((domain::matching_vars(&code)?, code)));
    let secure = |code: &str| code.contains("secboot") || code.contains(".ms.") || code.contains("snakeoil");
    let format = |code: &str| if code.ends_with(".qcow2") { "qcow2" } else { "raw" };
    let firmwares = pairs.map(|(vars, code)| Firmware {
        format: format(&code).to_owned(),
        secure_boot: secure(&code),
        has_keys: code.contains(".ms."),
        vars,
        code,
    });
    Files { firmwares: firmwares.collect(), ..Files::default() }
}
