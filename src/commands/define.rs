//! `vgapt define`.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};

use super::Context;
use super::exit_code::BLOCKED;
use super::shared::definition::{DefineOptions, Definition, brought};
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

/// Define a domain with a graphics card, or change one
///
/// Creates the domain from a template, or changes it if it exists: an option that is not given keeps its value
/// from the last request, and what others changed stays unchanged. All problems are reported at once.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The domain's name
    #[arg(value_parser = domain_name)]
    name: String,
    #[command(flatten)]
    request: Request,
    /// Use this file as the template: a complete libvirt domain
    #[arg(long, value_name = "FILE", help_heading = "How it is defined")]
    template: Option<PathBuf>,
    /// Create an existing domain again from the template, keeping only its UUID
    #[arg(long, help_heading = "How it is defined")]
    replace: bool,
    /// A TOML file with options by their names; options on the command line override it
    #[arg(short, long, value_name = "FILE", help_heading = "How it is defined")]
    file: Option<PathBuf>,
    /// Write the request to a file for -f
    #[arg(long, value_name = "FILE", help_heading = "How it is defined")]
    save: Option<PathBuf>,
    #[command(flatten)]
    how: DefineOptions,
}

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<ExitCode> {
        let connection = context.connect()?;
        let root = context.root()?;
        let host = context.host(root.as_ref(), Scope::All)?;
        let _lock = (!self.how.dry_run).then(|| Lock::of_domain(context, &self.name)).transpose()?;
        let existing = Existing::find(connection, &self.name, Secrets::Included)?;
        if let Some(refusal) = self.refusal(existing.as_ref()) {
            context.tell(&[refusal]);
            return Ok(ExitCode::from(BLOCKED));
        }
        let directory = std::env::current_dir().context("cannot determine the current directory")?;
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
            let state = "in the template: <driver name='qemu' type='raw'/>, or the disk's real format";
            resolved.findings.extend(domain::of_disks(&base.domain, &files, state, "use --force"));
        }
        if let (Some(file), Some(record)) = (&self.save, &resolved.spec.record) {
            save(file, &self.name, record)?;
            context.note(&format!("the request is saved in {}", file.display()));
        }
        definition.carry_out(context, connection, &base, &host, resolved)
    }

    /// Refuses a template for a domain that exists.
    fn refusal(&self, existing: Option<&Existing>) -> Option<Finding> {
        (existing.is_some() && self.template.is_some() && !self.replace).then(|| {
            Finding::error(
                "exists",
                format!("the domain '{}' already exists; --template is only for a new domain", self.name),
                "omit --template to change the domain, or create it again with --replace",
            )
        })
    }

    /// Warns of what is lost where --replace creates a domain again that vgapt did not define.
    fn discards(&self, existing: Option<&Existing>) -> Option<Finding> {
        let is_unmanaged = existing?.record(&self.name).map_or(true, |record| record.attached);
        (self.replace && is_unmanaged).then(|| {
            let message = format!("'{}' was not defined by vgapt; --replace discards everything in it except its UUID", self.name);
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

    /// The options, which override the file of -f; its paths are relative to the file's folder.
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
            return Document::parse(domain::template(name))
                .map_err(|what| anyhow::anyhow!("vgapt's built-in template cannot be parsed: {what}"));
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

/// Names that libvirt accepts (`virDomainDefPostParse`: no slash, since files are named after the domain).
fn domain_name(text: &str) -> Result<String, String> {
    // XML cannot contain control characters except the tab here (XML 1.0, 2.2).
    let is_odd = |c: char| c == '/' || (c.is_ascii_control() && c != '\t');
    let is_one = !text.trim().is_empty() && !text.contains(is_odd);
    is_one
        .then(|| text.to_owned())
        .ok_or_else(|| "a domain's name must not be empty, and must not contain / or control characters".to_owned())
}

/// The largest file that is read: libvirt's limit for a message.
const LONGEST: u64 = 32 << 20;

/// Reads a file or pipe that the user names; the limit also refuses one that never ends.
fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)?.take(LONGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("it is longer than {} MiB", LONGEST >> 20)));
    }
    Ok(text)
}

/// The beginning of a saved file.
const SAVED: &str = "# vgapt define ";

/// Writes the request as a file for -f. Overwrites only a file that vgapt saved.
fn save(file: &Path, name: &str, record: &Record) -> Result<()> {
    // A file that exists and cannot be read does not count as saved by vgapt.
    if read(file).map_or_else(|error| error.kind() != ErrorKind::NotFound, |text| !text.starts_with(SAVED)) {
        return Err(
            Problem::usage(format!("--save: {} exists and was not written by vgapt", file.display()), "use another file name").into()
        );
    }
    let text = format!("{SAVED}{name} -f {}\n{}", file.display(), record.request.to_toml());
    written::write(file, text.as_bytes())
}
