//! `vgapt define`.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};

use super::Context;
use super::exit_code::FOUND_AGAINST;
use super::shared::definition::{Definition, How, brought};
use super::shared::existing::Existing;
use super::shared::files::files;
use super::shared::lock::Lock;
use super::shared::written;
use crate::discovery::Scope;
use crate::domain::{self, Base, Os, Profile, Record, Request};
use crate::hypervisor::Secrets;
use crate::model::Finding;
use crate::problem::Problem;
use crate::xml::Document;

/// The domain is made from a template, or changed where it exists: an option that is not given
/// keeps what the last request said, and what somebody else changed stays. All that speaks against
/// it is told at once.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The domain's name
    #[arg(value_parser = domain_name)]
    name: String,
    #[command(flatten)]
    request: Request,
    /// A complete libvirt domain to start from, instead of vgapt's own
    #[arg(long, value_name = "FILE", help_heading = "How it is defined")]
    template: Option<PathBuf>,
    /// Make an existing domain anew from the template, keeping only its UUID
    #[arg(long, help_heading = "How it is defined")]
    replace: bool,
    /// A file that says what the domain is to have, by the names of the options; an option beside it has the last word
    #[arg(short, long, value_name = "FILE", help_heading = "How it is defined")]
    file: Option<PathBuf>,
    /// Write what was asked for to a file for -f
    #[arg(long, value_name = "FILE", help_heading = "How it is defined")]
    save: Option<PathBuf>,
    #[command(flatten)]
    how: How,
}

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<ExitCode> {
        let connection = context.connect()?;
        let root = context.root()?;
        let host = context.host(root.as_ref(), Scope::All)?;
        let _lock = (!self.how.dry_run).then(|| Lock::of_domain(context, &self.name)).transpose()?;
        let existing = Existing::find(connection, &self.name, Secrets::Kept)?;
        if let Some(refusal) = self.refusal(existing.as_ref()) {
            context.tell(&[refusal]);
            return Ok(ExitCode::from(FOUND_AGAINST));
        }
        let directory = std::env::current_dir().context("cannot tell the current directory")?;
        let given = self.given(&directory)?;
        let mut base = self.base(existing.as_ref(), &given, &directory)?;
        base.uri = context.uri().to_string();
        let brought_disks = base.is_new && self.template.is_some();
        let mut paths = base.wanted.files();
        paths.extend(if brought_disks { domain::disk_paths(&base.domain) } else { Vec::new() });
        let files = files(root.as_ref(), connection, &paths)?;
        let autostart = Request::default().overlaid_by(&given).autostart;
        let definition = Definition {
            name: &self.name,
            how: &self.how,
            existing: existing.as_ref().map(|existing| existing.text.as_str()),
            brought: if base.is_new {
                self.template.as_ref().map(|_| "the template".to_owned())
            } else {
                Some(brought(context, &self.name))
            },
            done: "is defined",
            autostart,
        };
        let mut resolved = domain::resolve(&base, &host, &files, &connection.abilities()?);
        resolved.findings.extend(self.discards(existing.as_ref()));
        if brought_disks {
            let state = "in the template: <driver name='qemu' type='raw'/>, or the type that it has";
            resolved.findings.extend(domain::of_disks(&base.domain, &files, state, "use --force"));
        }
        if let Some(file) = &self.save {
            save(file, &self.name, &resolved.spec.record)?;
            context.note(&format!("what was asked for is in {}", file.display()));
        }
        definition.carry_out(context, connection, &base, &host, resolved)
    }

    /// What cannot be asked of a domain that exists.
    fn refusal(&self, existing: Option<&Existing>) -> Option<Finding> {
        (existing.is_some() && self.template.is_some() && !self.replace).then(|| {
            Finding::fatal(
                "exists",
                format!("the domain '{}' exists, and a template is for a new one", self.name),
                "leave --template out to change it, or make it anew with --replace",
            )
        })
    }

    /// What is lost with a domain of somebody else's that is made anew.
    fn discards(&self, existing: Option<&Existing>) -> Option<Finding> {
        let is_foreign = existing?.record(&self.name).map_or(true, |record| record.attached);
        (self.replace && is_foreign).then(|| {
            let message = format!("'{}' was not defined by vgapt, and --replace discards all that it has but its UUID", self.name);
            Finding::warning("discards-domain", message, "keep a copy: virsh dumpxml --inactive --security-info")
        })
    }

    /// The domain as it is; for a new one the template.
    fn base(&self, existing: Option<&Existing>, given: &Request, directory: &Path) -> Result<Base> {
        let variables = domain::from_environment().map_err(|what| Problem::usage(what, "correct the variable, or unset it"))?;
        let variables = variables.with_absolute_paths(&directory.to_string_lossy());
        if let Some(existing) = existing.filter(|_| !self.replace) {
            return Ok(Base::new(existing.document.clone(), false, &self.name, given, &variables));
        }
        let named = self.template.is_none().then(|| given.os.clone().unwrap_or_default()).or(given.os.clone());
        let profile = named.as_ref().and_then(Os::profile);
        let mut base = Base::new(self.template(profile)?, true, &self.name, given, &variables);
        base.profile = profile;
        base.uuid = existing.and_then(|existing| Some(existing.document.root().child("uuid")?.text().to_owned()));
        Ok(base)
    }

    /// The options, over what the file says; its paths are seen from where it lies.
    fn given(&self, directory: &Path) -> Result<Request> {
        let options = self.request.clone().with_absolute_paths(&directory.to_string_lossy());
        let Some(file) = &self.file else { return Ok(options) };
        let shown = file.display();
        let text = read(file).with_context(|| format!("cannot read {shown}"))?;
        let said = Request::from_toml(&text).map_err(|what| {
            Problem::usage(format!("{shown}, {what}"), "keys and values are those of the options: see `vgapt define --help`")
        })?;
        let place = directory.join(file);
        let folder = place.parent().unwrap_or(directory);
        Ok(said.with_absolute_paths(&folder.to_string_lossy()).overlaid_by(&options))
    }

    fn template(&self, profile: Option<&Profile>) -> Result<Document> {
        let Some(file) = &self.template else {
            let name = profile.map(Profile::template).unwrap_or_default();
            return Document::parse(domain::template(name)).map_err(|what| anyhow::anyhow!("vgapt's own template cannot be read: {what}"));
        };
        let shown = file.display();
        let text = read(file).with_context(|| format!("cannot read the template {shown}"))?;
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
}

/// What libvirt takes for a name (`virDomainDefPostParse`: no slash; files are named after it).
fn domain_name(text: &str) -> Result<String, String> {
    // XML has no way to write a control character but the tabulator (XML 1.0, 2.2).
    let is_odd = |c: char| c == '/' || (c.is_ascii_control() && c != '\t');
    let is_one = !text.trim().is_empty() && !text.contains(is_odd);
    is_one.then(|| text.to_owned()).ok_or_else(|| "a domain's name is not empty, and has neither / nor control characters in it".to_owned())
}

/// The longest file that is read: as long as libvirt's longest message.
const LONGEST: u64 = 32 << 20;

/// A text that the user names, a pipe too; one without an end is refused.
fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)?.take(LONGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("it is longer than {} MiB", LONGEST >> 20)));
    }
    Ok(text)
}

/// How a file that is saved begins.
const SAVED: &str = "# vgapt define ";

/// Writes what was asked for as a file for -f. Only another one of these is written over.
fn save(file: &Path, name: &str, record: &Record) -> Result<()> {
    // What is there and cannot be read is not one of these.
    if read(file).map_or_else(|error| error.kind() != ErrorKind::NotFound, |text| !text.starts_with(SAVED)) {
        return Err(Problem::usage(format!("--save: {} exists, and vgapt did not write it", file.display()), "give another name").into());
    }
    let text = format!("{SAVED}{name} -f {}\n{}", file.display(), record.request.to_toml());
    written::write(file, text.as_bytes())
}
