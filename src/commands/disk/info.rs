//! `vgapt disk info`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value, json};

use super::super::Context;
use super::desk::Desk;
use super::guard::{Will, existing, rough};
use crate::disk::{Chain, Image, same_file};
use crate::output;

/// Also of a disk that a running machine has.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The disk
    disk: PathBuf,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<ExitCode> {
        let desk = Desk::open(context)?;
        let disk = existing(&self.disk)?;
        let chain = desk.chain(&disk)?;
        let overlays = desk.overlays_of(&disk)?;
        let locked = desk.against_use(&disk, Will::Read)?.iter().any(|finding| finding.code == "locked");
        let users: Vec<Vec<(String, String, String)>> = chain.0.iter().map(|image| users(&desk, Path::new(&image.path))).collect();
        let text = if context.global.json {
            let image = |(image, users): (&Image, &Vec<(String, String, String)>)| {
                let users: Vec<Value> =
                    users.iter().map(|(name, state, target)| json!({"domain": name, "state": state, "target": target})).collect();
                let mut value = serde_json::to_value(image).unwrap_or_default();
                value["used-by"] = users.into();
                value
            };
            let chain: Vec<Value> = chain.0.iter().zip(&users).map(image).collect();
            output::json(&json!({"chain": chain, "overlays": overlays, "locked": locked}))
        } else {
            told(&chain, &users, &overlays, locked)
        };
        output::print(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Domains that have an image: name, state, the disk's name in the guest.
fn users(desk: &Desk<'_>, image: &Path) -> Vec<(String, String, String)> {
    let mut users: Vec<_> = desk
        .domains
        .iter()
        .flat_map(|user| user.disks.iter().map(move |(used, path)| (user, used, path)))
        .filter(|(_, _, path)| same_file(path, image))
        .map(|(user, used, _)| (user.known.name.clone(), user.known.state.to_string(), used.target.clone()))
        .collect();
    users.dedup();
    users
}

fn told(chain: &Chain, users: &[Vec<(String, String, String)>], overlays: &[PathBuf], locked: bool) -> String {
    let mut text = String::new();
    for (depth, (image, users)) in chain.0.iter().zip(users).enumerate() {
        let before = if depth == 0 { String::new() } else { format!("{}over ", "  ".repeat(depth)) };
        text.push_str(&format!("{before}{}\n", image.path));
        let indent = "  ".repeat(depth + 1);
        let mut line = |key: &str, value: &str| text.push_str(&format!("{indent}{key:<9} {value}\n"));
        line("format", &image.format);
        line("size", &format!("{}, takes {}", rough(image.virtual_size), rough(image.actual_size)));
        for (name, state, target) in users {
            line("used by", &format!("{name} ({state}) as {target}"));
        }
        if depth == 0 && locked {
            line("locked", "a process writes to it now");
        }
        if !image.snapshots.is_empty() {
            line("snapshots", &image.snapshots.join(", "));
        }
        if image.encrypted {
            line("encrypted", "only who has its key reads it");
        }
        if image.corrupt {
            line("broken", "see qemu-img check");
        }
        if image.backing.is_some() && image.backing_format.is_none() {
            line("unsafe", "it does not say the format of what it lies on");
        }
        for overlay in overlays.iter().filter(|_| depth == 0) {
            line("carries", &overlay.display().to_string());
        }
    }
    text
}
