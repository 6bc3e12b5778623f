//! `vgapt define`.

use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::Result;

use super::Context;
use super::shared::base::{self, Start};
use super::shared::decision::decide;
use super::shared::definition::{DefineOptions, Definition, Outcome};
use super::shared::existing::Existing;
use super::shared::facts::Facts;
use super::shared::lock::Lock;
use super::shared::refused::Refused;
use super::shared::request_file::{self, SAVED, domain_name, working_directory};
use super::shared::user_file;
use crate::domain::{self, Base, Request};
use crate::hypervisor::{Hypervisor, Secrets};
use crate::model::Finding;
use crate::output::Answer;
use crate::problem::Problem;

/// Define a domain with a graphics card, or change one
///
/// Creates the domain from a template, or changes it if it exists: an option that is not given keeps its value
/// from the last request, and what others changed stays unchanged. All problems are reported at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vgapt define win11 --os win11 --gpu auto --disk win11.qcow2 --cdrom win11.iso
  vgapt define win11 --memory 24G  # changes only the memory
  vgapt define win11 --no-cdrom    # removes the installer
  vgapt define win11 --moved       # its card has another PCI address now
  vgapt define win11 --gpu auto --dry-run
  vgapt define win11 -f win11.toml")]
pub struct Arguments {
    /// The domain's name
    #[arg(value_parser = domain_name)]
    name: String,
    #[command(flatten)]
    request: Request,
    /// Use this file as the template: a complete libvirt domain
    #[arg(long, value_name = "FILE", help_heading = "Definition")]
    template: Option<PathBuf>,
    /// Create an existing domain again from the template, keeping only its UUID
    #[arg(long, help_heading = "Definition")]
    replace: bool,
    /// The devices have other PCI addresses now, because a card was added or removed: find them by their ids
    #[arg(long, conflicts_with_all = ["replace", "template", "gpu", "pci"], help_heading = "Definition")]
    moved: bool,
    /// A TOML file with options by their names; options on the command line override it
    #[arg(short, long, value_name = "FILE", help_heading = "Definition")]
    file: Option<PathBuf>,
    /// When the domain is defined, write the request to a file for -f
    #[arg(long, value_name = "FILE", help_heading = "Definition")]
    save: Option<PathBuf>,
    #[command(flatten)]
    how: DefineOptions,
}

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<Answer> {
        // Read.
        self.check_save()?;
        let connection = context.connect()?;
        let _lock = (!self.how.dry_run).then(|| Lock::of_domain(context, &self.name)).transpose()?;
        let existing = Existing::find(connection, &self.name, Secrets::Included)?;
        if let Some(refusal) = self.refusal(existing.as_ref()) {
            return Err(Refused::from(refusal).into());
        }
        let given = self.given()?;
        let base = self.base(context, existing.as_ref(), &given)?;
        let has_own_template = base.is_new && self.template.is_some();
        let disks = if has_own_template { domain::disk_paths(&base.domain) } else { Vec::new() };
        let facts = Facts::read(context, connection, &base, disks)?;

        // Decide.
        let mut further: Vec<Finding> = self.discards(existing.as_ref()).into_iter().collect();
        if has_own_template {
            let state = "in the template: <driver name='qemu' type='raw'/>, or the disk's real format";
            further.extend(domain::of_disks(&base.domain, &facts.files, state, "use --force"));
        }
        let before = existing.as_ref().map(|existing| existing.text.as_str());
        let decision = decide(&base, &facts, before, further);

        // Write.
        let definition = Definition { context, connection, how: &self.how, base: &base, facts: &facts, before, has_own_template };
        let (outcome, answer) = definition.carry_out(&decision)?;
        if outcome.is_there() {
            // Autostart is not part of the XML in libvirt. One that is not given stays as it is.
            let wanted = given.autostart.or(given.without.no_autostart.then_some(false));
            set_autostart(context, connection, &self.name, wanted)?;
        }
        if let Some(record) = &decision.spec.record {
            self.save(context, &outcome, &record.request)?;
        }
        Ok(answer)
    }

    /// Refuses a template for a domain that exists, and --moved for one without recorded devices.
    fn refusal(&self, existing: Option<&Existing>) -> Option<Finding> {
        if self.moved && existing.is_none_or(|existing| existing.record.is_none()) {
            let message = format!("vgapt did not pass any device to '{}', so that none can have moved", self.name);
            return Some(Finding::error("not-defined-by-vgapt", message, "name the device: --gpu ADDRESS"));
        }
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
        let is_unmanaged = existing?.record.as_ref().is_none_or(|record| record.attached);
        (self.replace && is_unmanaged).then(|| {
            let message = format!("'{}' was not defined by vgapt; --replace discards everything in it except its UUID", self.name);
            Finding::warning("discards-domain", message, "keep a copy: virsh dumpxml --inactive --security-info")
        })
    }

    /// The options, which override the file of -f; its paths are relative to the file's folder.
    fn given(&self) -> Result<Request> {
        let directory = working_directory()?;
        let options = self.request.clone().with_absolute_paths(&directory.to_string_lossy());
        let Some(file) = &self.file else { return Ok(options) };
        Ok(request_file::read(file)?.overlaid_by(&options))
    }

    /// The domain as it is; for a new one the template.
    fn base(&self, context: &Context, existing: Option<&Existing>, given: &Request) -> Result<Base> {
        let start = match existing.filter(|_| !self.replace) {
            Some(existing) => Start::Domain(existing),
            None => {
                let uuid = existing.and_then(|existing| Some(existing.document.root().child("uuid")?.text().to_owned()));
                Start::Template { file: self.template.as_deref(), uuid }
            }
        };
        let base = base::of(context, &self.name, start, given)?;
        Ok(if self.moved { base.following_moved() } else { base })
    }

    /// Refuses a file of --save that vgapt did not save. One that cannot be read does not count as saved by vgapt.
    fn check_save(&self) -> Result<()> {
        let Some(file) = &self.save else { return Ok(()) };
        let is_own = match user_file::read(file) {
            Ok(text) => text.starts_with(SAVED),
            Err(error) => error.kind() == ErrorKind::NotFound,
        };
        let message = || format!("--save: {} exists and was not written by vgapt", file.display());
        if is_own { Ok(()) } else { Err(Problem::usage(message(), "use another file name").into()) }
    }

    /// Writes the request of a domain that is defined as a file for -f.
    fn save(&self, context: &Context, outcome: &Outcome, request: &Request) -> Result<()> {
        let Some(file) = &self.save else { return Ok(()) };
        let shown = file.display();
        if outcome.is_there() {
            request_file::write(file, &self.name, request)?;
            context.progress(&format!("the request is saved in {shown}"));
        } else {
            let because = if self.how.dry_run { "this is a dry run" } else { "the domain is not defined" };
            context.progress(&format!("note: the request is not saved in {shown}: {because}"));
        }
        Ok(())
    }
}

fn set_autostart(context: &Context, connection: &dyn Hypervisor, name: &str, wanted: Option<bool>) -> Result<()> {
    let Some(wanted) = wanted else { return Ok(()) };
    if connection.autostart(name)? != wanted {
        connection.set_autostart(name, wanted)?;
        context.progress(&format!("'{name}' {} with the host", if wanted { "starts" } else { "no longer starts" }));
    }
    Ok(())
}
