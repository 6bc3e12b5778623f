//! `vgapt disk info`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value, json};

use super::super::Context;
use super::super::exit_code::BLOCKED;
use super::chain::Disk;
use super::disk_context::{DiskContext, human_size, shortened};
use super::options::{SearchOptions, Stated};
use super::search::Search;
use crate::disk::{DiskUse, Image};
use crate::hypervisor::Known;
use crate::output;

/// Show a disk, its backing chain, its overlays, and the domains that use it
///
/// Shows a disk, also while a domain uses it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vgapt disk info win11.qcow2")]
pub(super) struct Arguments {
    /// The disk
    disk: PathBuf,
    #[command(flatten)]
    stated: Stated,
    #[command(flatten)]
    further: SearchOptions,
}

/// A domain that uses an image: its name, state, and the disk's name in the guest.
type Used = (String, String, String);

/// What is known about a disk.
struct Shown {
    disk: Disk,
    /// Who uses each image of the chain.
    users: Vec<Vec<Used>>,
    search: Search,
    is_locked: bool,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<ExitCode> {
        let disk_context = DiskContext::open(context)?;
        let (disk, end) = disk_context.disk_so_far(&self.disk, self.stated.options())?;
        let search = disk_context.search((&disk.path, disk.format()), None, &self.further)?;
        let is_locked = disk_context.check_locks(&disk)?.is_some();
        let users = disk.chain.0.iter().map(|image| users(&disk_context, Path::new(&image.path))).collect();
        let (shown, unknown) = (Shown { disk, users, search, is_locked }, &disk_context.libvirt.unknown_domains);
        let findings = end.as_ref().map(|refused| refused.findings.as_slice()).unwrap_or_default();
        if context.global.json {
            let mut value = shown.json()?;
            value["unknown-domains"] = unknown.as_slice().into();
            value["findings"] = output::findings_json(findings).into();
            output::print(&output::json(&value))?;
        } else {
            output::print(&shown.text(unknown))?;
            context.note(&shown.search.told(&shown.disk.path));
            context.tell(findings);
        }
        Ok(if end.is_some() { ExitCode::from(BLOCKED) } else { ExitCode::SUCCESS })
    }
}

/// The domains that use an image.
fn users(disk_context: &DiskContext<'_>, image: &Path) -> Vec<Used> {
    let used = |(domain, used): (&Known, &DiskUse)| (domain.name.clone(), domain.state.to_string(), used.target.clone());
    let mut users: Vec<Used> = disk_context.libvirt.uses_of(image).map(used).collect();
    users.dedup();
    users
}

impl Shown {
    fn json(&self) -> Result<Value> {
        let image = |(image, users): (&Image, &Vec<Used>)| -> Result<Value> {
            let users = users.iter().map(|(name, state, target)| json!({"domain": name, "state": state, "target": target}));
            let mut value = serde_json::to_value(image)?;
            value["used-by"] = users.collect();
            Ok(value)
        };
        let chain = self.disk.chain.0.iter().zip(&self.users).map(image).collect::<Result<Vec<Value>>>()?;
        Ok(json!({"chain": chain, "overlays": self.search.overlays, "locked": self.is_locked, "searched": self.search.json()}))
    }

    fn text(&self, unknown_domains: &[String]) -> String {
        let mut text = String::new();
        for (depth, (image, users)) in self.disk.chain.0.iter().zip(&self.users).enumerate() {
            let before = if depth == 0 { String::new() } else { format!("{}backed by ", "  ".repeat(depth)) };
            text.push_str(&format!("{before}{}\n", image.path));
            let indent = "  ".repeat(depth + 1);
            let mut line = |key: &str, value: &str| text.push_str(&format!("{indent}{key:<9} {value}\n"));
            line("format", &image.format);
            line("size", &format!("{}, uses {}", human_size(image.virtual_size), human_size(image.actual_size)));
            for (name, state, target) in users {
                line("used by", &format!("{name} ({state}) as {target}"));
            }
            if depth == 0 && !unknown_domains.is_empty() {
                line("unknown", &format!("which domains use it: {}", shortened(unknown_domains)));
            }
            if depth == 0 && self.is_locked {
                line("locked", "a process has it open for writing");
            }
            if !image.snapshots.is_empty() {
                line("snapshots", &image.snapshots.join(", "));
            }
            if image.encrypted {
                line("encrypted", "it can be read only with its key");
            }
            if image.corrupt {
                line("corrupt", "see qemu-img check");
            }
            if image.backing.is_some() && image.backing_format.is_none() {
                line("unsafe", "it does not state the format of its backing file");
            }
            for name in &image.data_files {
                line("data in", name);
            }
            for overlay in self.search.overlays.iter().filter(|_| depth == 0) {
                line("overlay", &overlay.display().to_string());
            }
            if depth == 0 && !self.search.unknown.is_empty() {
                line("unknown", &format!("whether it has other overlays: {}", shortened(&self.search.unknown)));
            }
        }
        text
    }
}
