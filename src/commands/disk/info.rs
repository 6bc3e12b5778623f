//! `vgapt disk info`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value, json};

use super::super::Context;
use super::super::exit_code::BLOCKED;
use super::disk_context::DiskContext;
use super::paths::existing;
use super::search::{Search, SearchOptions};
use super::shown::human_size;
use super::shown::shortened;
use super::stated::Stated;
use crate::disk::{Chain, Image, same_file};
use crate::output;

/// Show a disk, its backing chain, its overlays, and the domains that use it
///
/// Shows a disk, also while a domain uses it.
#[derive(Debug, clap::Args)]
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
struct Known {
    chain: Chain,
    /// Who uses each image of the chain.
    users: Vec<Vec<Used>>,
    search: Search,
    is_locked: bool,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<ExitCode> {
        let disk_context = DiskContext::open(context)?;
        let disk = existing(&self.disk)?;
        let (chain, end) = disk_context.chain_so_far(&self.disk, self.stated.options())?;
        let search = disk_context.search((&disk, &chain.top().format), None, &self.further)?;
        let is_locked = disk_context.check_locks(&chain)?.is_some();
        let users: Vec<Vec<Used>> = chain.0.iter().map(|image| users(&disk_context, Path::new(&image.path))).collect();
        let known = Known { chain, users, search, is_locked };
        let text = if context.global.json {
            let image = |(image, users): (&Image, &Vec<Used>)| -> Result<Value> {
                let users: Vec<Value> =
                    users.iter().map(|(name, state, target)| json!({"domain": name, "state": state, "target": target})).collect();
                let mut value = serde_json::to_value(image)?;
                value["used-by"] = users.into();
                Ok(value)
            };
            let chain = known.chain.0.iter().zip(&known.users).map(image).collect::<Result<Vec<Value>>>()?;
            let search = &known.search;
            output::json(&json!({"chain": chain, "overlays": search.overlays, "locked": known.is_locked, "searched": search.json(),
                "unknown-domains": disk_context.unknown_domains, "findings": output::findings_json(end.as_slice())}))
        } else {
            told(&known, &disk_context.unknown_domains)
        };
        output::print(&text)?;
        if !context.global.json {
            context.note(&known.search.told(&disk));
            context.tell(end.as_slice());
        }
        Ok(end.map_or(ExitCode::SUCCESS, |_| ExitCode::from(BLOCKED)))
    }
}

/// The domains that use an image.
fn users(disk_context: &DiskContext<'_>, image: &Path) -> Vec<Used> {
    let mut users: Vec<_> = disk_context
        .domains
        .iter()
        .flat_map(|user| user.disks.iter().map(move |(used, path)| (user, used, path)))
        .filter(|(_, _, path)| same_file(path, image))
        .map(|(user, used, _)| (user.known.name.clone(), user.known.state.to_string(), used.target.clone()))
        .collect();
    users.dedup();
    users
}

fn told(known: &Known, unknown_domains: &[String]) -> String {
    let Known { chain, users, search, is_locked } = known;
    let mut text = String::new();
    for (depth, (image, users)) in chain.0.iter().zip(users).enumerate() {
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
        if depth == 0 && *is_locked {
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
        for overlay in search.overlays.iter().filter(|_| depth == 0) {
            line("overlay", &overlay.display().to_string());
        }
        if depth == 0 && !search.unknown.is_empty() {
            line("unknown", &format!("whether it has other overlays: {}", shortened(&search.unknown)));
        }
    }
    text
}
