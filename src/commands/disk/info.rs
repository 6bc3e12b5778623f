//! `vgapt disk info`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::super::Context;
use super::chain::Disk;
use super::disk_context::{DiskContext, human_size, shortened};
use super::options::{SearchOptions, Stated};
use super::search::{Search, Searched};
use crate::disk::{DiskUse, Image};
use crate::hypervisor::Known;
use crate::output::{Answer, Outcome};

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

/// What `vgapt disk info` answers.
#[derive(Serialize, JsonSchema)]
pub(in crate::commands) struct Info {
    /// The disk and its backing files, from top to bottom.
    chain: Vec<UsedImage>,
    /// The disk's overlays.
    overlays: Vec<PathBuf>,
    /// Whether a process has it open for writing.
    locked: bool,
    searched: Searched,
    /// Why it is unknown which domains use it.
    unknown_domains: Vec<String>,
}

/// An image and who uses it.
#[derive(Serialize, JsonSchema)]
struct UsedImage {
    #[serde(flatten)]
    image: Image,
    used_by: Vec<Used>,
}

/// A domain that uses an image.
#[derive(Clone, PartialEq, Serialize, JsonSchema)]
struct Used {
    domain: String,
    state: String,
    /// The disk's name in the guest.
    target: String,
}

/// What is known about a disk.
struct Shown {
    disk: Disk,
    /// Who uses each image of the chain.
    users: Vec<Vec<Used>>,
    search: Search,
    is_locked: bool,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<Answer> {
        let disk_context = DiskContext::open(context)?;
        let (disk, end) = disk_context.disk_so_far(&self.disk, self.stated.options())?;
        let search = disk_context.search((&disk.path, disk.format()), None, &self.further)?;
        let is_locked = disk_context.check_locks(&disk)?.is_some();
        let users = disk.chain.0.iter().map(|image| users(&disk_context, Path::new(&image.path))).collect();
        let (shown, unknown) = (Shown { disk, users, search, is_locked }, &disk_context.libvirt.unknown_domains);
        let outcome = if end.is_some() { Outcome::Incomplete } else { Outcome::Done };
        let findings = end.map(|refused| refused.findings).unwrap_or_default();
        if !context.global.json {
            context.print(&shown.text(unknown))?;
            context.note(&shown.search.told(&shown.disk.path));
            context.tell(&findings);
        }
        Ok(Answer::new(outcome).with(shown.facts(unknown)).finding(findings))
    }
}

/// The domains that use an image.
fn users(disk_context: &DiskContext<'_>, image: &Path) -> Vec<Used> {
    let used = |(domain, used): (&Known, &DiskUse)| Used {
        domain: domain.name.clone(),
        state: domain.state.to_string(),
        target: used.target.clone(),
    };
    let mut users: Vec<Used> = disk_context.libvirt.uses_of(image).map(used).collect();
    users.dedup();
    users
}

impl Shown {
    fn facts(&self, unknown_domains: &[String]) -> Info {
        let image = |(image, used_by): (&Image, &Vec<Used>)| UsedImage { image: image.clone(), used_by: used_by.clone() };
        Info {
            chain: self.disk.chain.0.iter().zip(&self.users).map(image).collect(),
            overlays: self.search.overlays.clone(),
            locked: self.is_locked,
            searched: self.search.facts(),
            unknown_domains: unknown_domains.to_vec(),
        }
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
            for Used { domain, state, target } in users {
                line("used by", &format!("{domain} ({state}) as {target}"));
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
