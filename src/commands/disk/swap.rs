//! `vgapt disk swap`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::super::Context;
use super::super::shared::existing::{Existing, changed};
use super::super::shared::lock::Lock;
use super::chain::Disk;
use super::disk_context::{DiskContext, shortened};
use super::guard::check_pending_copy;
use super::options::BeforeWriting;
use super::search::Searched;
use crate::disk::{Chain, same_file};
use crate::domain_xml;
use crate::hypervisor::{Defined, Secrets};
use crate::interrupt::Interrupted;
use crate::model::{Finding, Severity, is_device_by_name, shell_word};
use crate::output::{self, Answer, Outcome};
use crate::problem::Problem;
use crate::xml::{Document, Element, Fragment, Id};

/// Switch a domain's disk to an overlay, or back to its backing file
///
/// Switches a domain's disk to OVERLAY. The current disk must be in the backing chain of OVERLAY, or an overlay of it:
/// so the command also switches back.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vgapt disk swap win11 win11.qcow2.diff
  vgapt disk swap win11 win11.qcow2 --dry-run")]
pub(super) struct Arguments {
    /// The domain's name
    name: String,
    /// The disk that the domain will use
    overlay: PathBuf,
    /// Which of its disks, by the name in the guest (sda), if more than one matches
    #[arg(long, value_name = "TARGET")]
    disk: Option<String>,
    #[command(flatten)]
    before: BeforeWriting,
    /// Print the change without making it
    #[arg(long)]
    dry_run: bool,
}

/// The domain's disk that is switched.
struct Switched {
    element: Id,
    target: String,
    path: PathBuf,
    /// Whether the domain switches back to its disk's backing file.
    is_back: bool,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<Answer> {
        // Read.
        let disk_context = DiskContext::open(context)?;
        let connection = context.connect()?;
        let name = &self.name;
        let overlay = disk_context.disk(&self.overlay, self.before.stated.options())?;
        let _lock = (!self.dry_run).then(|| Lock::of_domain(context, name)).transpose()?;
        let Existing { text: before, document: mut domain, .. } = Existing::open_with(connection, name, Secrets::Included)?;
        let switched = self.switched(&disk_context, &domain, &overlay)?;
        let is_running = connection.state(name)?.is_active();
        // On switching back, the overlay that the domain leaves is expected to become invalid.
        let search = disk_context.search((&overlay.path, overlay.format()), Some(&switched.path), &self.before.further)?;

        // Decide.
        let in_use = is_running
            .then(|| Finding::error("in-use", format!("'{name}' is running"), format!("stop it first: vgapt stop {}", shell_word(name))));
        let mut against: Vec<Finding> = in_use.into_iter().chain(check_pending_copy(&overlay.path)).collect();
        // Nothing is lost before the guest writes to the disk: a swap can be reverted.
        against.extend(search.findings(&overlay.path).into_iter().map(|finding| Finding { severity: Severity::Blocked, ..finding }));
        disk_context.check(against, &format!("the disk of '{name}' was not changed"), self.before.force.force)?;
        change(&mut domain, switched.element, &overlay.path, overlay.format());
        let after = domain.to_string();
        let diff = output::diff(name, &before, &after);
        if !context.global.json {
            context.note(diff.trim_end());
        }

        // Write.
        if !self.dry_run && after != before {
            match connection.define(name, Some(&before), &after)? {
                Defined::Yes => {}
                Defined::Changed => return Err(changed(name)),
                Defined::SchemaRefuses(words) => return Err(anyhow::anyhow!("libvirt's schema refuses the domain: {words}")),
            }
        }
        context.progress(&search.told(&overlay.path));
        let (shown, left) = (overlay.path.display(), switched.path.display());
        if switched.is_back {
            context.progress(&format!("note: the changes since then stay in {left}; they become useless once the guest writes to {shown}"));
        }
        let dry = if self.dry_run { " (dry run: not changed)" } else { "" };
        let words = format!("'{name}' now uses {shown} as {}{dry}", switched.target);
        let facts = Swapped {
            name: name.clone(),
            target: switched.target,
            from: switched.path,
            to: overlay.path,
            diff: output::plain(&diff),
            searched: search.facts(),
        };
        let answer = disk_context.done(&words, facts);
        Ok(if self.dry_run { Answer { outcome: Outcome::Planned, ..answer } } else { answer })
    }

    /// The domain's disk that is in the backing chain of the overlay, or is itself an overlay of it.
    fn switched(&self, disk_context: &DiskContext<'_>, domain: &Document, overlay: &Disk) -> Result<Switched> {
        let disks: Vec<(Element<'_>, String, PathBuf)> = disks(domain).collect();
        let lies_on = |chain: &Chain, path: &Path| chain.0.iter().any(|image| same_file(Path::new(&image.path), path));
        let (mut matching, mut unread) = (Vec::new(), Vec::new());
        for (disk, target, path) in disks.iter().filter(|(_, target, _)| self.disk.as_ref().is_none_or(|wanted| wanted == target)) {
            let is_forth = lies_on(&overlay.chain, path);
            let is_back = !is_forth
                && match disk_context.disk(path, self.before.stated.trusting()) {
                    Ok(present) => lies_on(&present.chain, &overlay.path),
                    Err(error) if error.is::<Interrupted>() => return Err(error),
                    Err(error) => {
                        unread.push(format!("{target}: {error:#}"));
                        false
                    }
                };
            if is_back || is_forth {
                matching.push(Switched { element: disk.id(), target: target.clone(), path: path.clone(), is_back });
            }
        }
        if matching.len() > 1 {
            let named: Vec<&str> = matching.iter().map(|disk| disk.target.as_str()).collect();
            let remedy = format!("name one with --disk: {}", named.join(", "));
            return Err(Problem::new(format!("more than one disk of '{}' matches", self.name), remedy).into());
        }
        matching.pop().ok_or_else(|| {
            let named: Vec<String> = disks.iter().map(|(_, target, path)| format!("{target} ({})", path.display())).collect();
            let unread = if unread.is_empty() { String::new() } else { format!("; not all could be read: {}", shortened(&unread)) };
            let overlay = overlay.path.display();
            Problem::new(
                format!("no disk of '{}' is in the backing chain of {overlay}, or an overlay of it{unread}", self.name),
                format!("its disks are {}; `vgapt disk info` shows a disk's backing chain", named.join(", ")),
            )
            .into()
        })
    }
}

/// The disks that are files or devices: element, name in the guest, path.
fn disks(domain: &Document) -> impl Iterator<Item = (Element<'_>, String, PathBuf)> {
    let disks = domain_xml::disks(domain.root()).filter(|disk| disk.kind == "disk");
    disks.filter_map(|disk| Some((disk.element, disk.target.clone()?, PathBuf::from(disk.path()?))))
}

/// Changes only the disk's path and format; libvirt detects the backing chain itself.
fn change(domain: &mut Document, disk: Id, path: &Path, format: &str) {
    let is_block = is_device_by_name(&path.to_string_lossy());
    let (kind, attribute, other) = if is_block { ("block", "dev", "file") } else { ("file", "file", "dev") };
    // Later elements are removed first, so that the ids of earlier ones stay valid.
    let below = |domain: &Document, name: &str| domain.element(disk).child(name).map(Element::id);
    if let Some(store) = below(domain, "backingStore") {
        domain.remove(store);
    }
    if let Some(source) = below(domain, "source") {
        domain.remove_attribute(source, other);
        domain.set_attribute(source, attribute, &path.display().to_string());
    }
    match below(domain, "driver") {
        Some(driver) => domain.set_attribute(driver, "type", format),
        // Without a driver element, libvirt assumes raw.
        None => domain.append(disk, &Fragment::new("driver").with("name", "qemu").with("type", format)),
    }
    domain.set_attribute(disk, "type", kind);
}

/// What `vgapt disk swap` answers.
#[derive(Serialize, JsonSchema)]
pub(in crate::commands) struct Swapped {
    name: String,
    /// Which of the domain's disks, by the name in the guest.
    target: String,
    from: PathBuf,
    to: PathBuf,
    /// The change of the domain, as text.
    diff: String,
    searched: Searched,
}
