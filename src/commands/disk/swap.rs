//! `vgapt disk swap`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use super::super::Context;
use super::super::shared::existing::{Existing, changed};
use super::super::shared::lock::Lock;
use super::disk_context::DiskContext;
use super::paths::existing;
use super::shown::shortened;
use super::stated::BeforeWriting;
use crate::disk::{Chain, same_file};
use crate::domain_xml;
use crate::hypervisor::{Defined, Secrets};
use crate::interrupt::Interrupted;
use crate::model::{Finding, Severity, shell_word};
use crate::output;
use crate::problem::Problem;
use crate::xml::{Document, Element, Fragment, Id};

/// Switch a domain's disk to an overlay, or back to its backing file
///
/// Switches a domain's disk to OVERLAY. The current disk must be in the backing chain of OVERLAY, or an overlay of it:
/// so the command also switches back.
#[derive(Debug, clap::Args)]
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

struct Place {
    disk: Id,
    target: String,
    path: PathBuf,
    /// Whether the domain switches back to its disk's backing file.
    is_back: bool,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<ExitCode> {
        let disk_context = DiskContext::open(context)?;
        let connection = context.connect()?;
        let overlay = existing(&self.overlay)?;
        let name = &self.name;
        let _lock = (!self.dry_run).then(|| Lock::of_domain(context, name)).transpose()?;
        let Existing { text: before, document: mut domain, .. } = Existing::open_with(connection, name, Secrets::Included)?;
        let chain = disk_context.chain(&self.overlay, self.before.stated.options())?;
        let place = self.place(&disk_context, &domain, &overlay, &chain)?;
        let mut against = Vec::new();
        if connection.state(name)?.is_active() {
            against.push(Finding::error(
                "in-use",
                format!("'{name}' is running"),
                format!("stop it first: vgapt stop {}", shell_word(name)),
            ));
        }
        against.extend(DiskContext::check_pending_copy(&overlay));
        // On switching back, the overlay that the domain leaves is expected to become invalid.
        let search = disk_context.search((&overlay, &chain.top().format), Some(&place.path), &self.before.further)?;
        // Nothing is lost before the guest writes to the disk: a swap can be reverted.
        against.extend(search.findings(&overlay).into_iter().map(|finding| Finding { severity: Severity::Blocked, ..finding }));
        if let Some(code) = disk_context.refusal(&against, &format!("the disk of '{name}' was not changed"), self.before.force.force)? {
            return Ok(code);
        }
        change(&mut domain, place.disk, &overlay, &chain.top().format);
        let after = domain.to_string();
        let diff = output::diff(name, &before, &after);
        if !context.global.json {
            context.note(diff.trim_end());
        }
        if !self.dry_run && after != before {
            match connection.define(name, Some(&before), &after)? {
                Defined::Yes => {}
                Defined::Changed => return Err(changed(name)),
                Defined::SchemaRefuses(words) => return Err(anyhow::anyhow!("libvirt's schema refuses the domain: {words}")),
            }
        }
        context.note(&search.told(&overlay));
        if place.is_back {
            context.note(&format!(
                "note: the changes since then stay in {}; they become useless once the guest writes to {}",
                place.path.display(),
                overlay.display()
            ));
        }
        let words = format!(
            "'{name}' now uses {} as {}{}",
            overlay.display(),
            place.target,
            if self.dry_run { " (dry run: not changed)" } else { "" }
        );
        let facts = json!({"name": name, "target": place.target, "from": place.path, "to": overlay, "dry-run": self.dry_run, "diff": output::plain(&diff), "searched": search.json()});
        disk_context.done(&words, facts)
    }

    /// The domain's disk to switch.
    fn place(&self, disk_context: &DiskContext<'_>, domain: &Document, overlay: &Path, chain: &Chain) -> Result<Place> {
        let disks: Vec<(Element<'_>, String, PathBuf)> = disks(domain).collect();
        let lies_on = |chain: &Chain, path: &Path| chain.0.iter().any(|image| same_file(Path::new(&image.path), path));
        let (mut places, mut unread) = (Vec::new(), Vec::new());
        for (disk, target, path) in &disks {
            if self.disk.as_ref().is_some_and(|wanted| wanted != target) {
                continue;
            }
            let is_forth = lies_on(chain, path);
            let is_back = !is_forth
                && match disk_context.chain(path, self.before.stated.trusting()) {
                    Ok(below) => lies_on(&below, overlay),
                    Err(error) if error.is::<Interrupted>() => return Err(error),
                    Err(error) => {
                        unread.push(format!("{target}: {error:#}"));
                        false
                    }
                };
            if is_back || is_forth {
                places.push(Place { disk: disk.id(), target: target.clone(), path: path.clone(), is_back });
            }
        }
        if places.len() > 1 {
            let named: Vec<&str> = places.iter().map(|place| place.target.as_str()).collect();
            let remedy = format!("name one with --disk: {}", named.join(", "));
            return Err(Problem::new(format!("more than one disk of '{}' matches", self.name), remedy).into());
        }
        places.pop().ok_or_else(|| {
            let named: Vec<String> = disks.iter().map(|(_, target, path)| format!("{target} ({})", path.display())).collect();
            let unread = if unread.is_empty() { String::new() } else { format!("; not all could be read: {}", shortened(&unread)) };
            Problem::new(
                format!("no disk of '{}' is in the backing chain of {}, or an overlay of it{unread}", self.name, overlay.display()),
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
    let is_block = path.starts_with("/dev");
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
