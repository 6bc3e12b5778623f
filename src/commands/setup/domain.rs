//! The domain's part of the plan: what `define` will make of the request, and what it says of it, on the host as it is once its own
//! part is done.

use std::path::Path;

use anyhow::Result;

use super::facts::{Move, NewDisk};
use super::found::Found;
use crate::commands::Context;
use crate::commands::shared::base::{self, Start};
use crate::commands::shared::decision::{Decision, decide};
use crate::commands::shared::existing::Existing;
use crate::commands::shared::facts::Facts;
use crate::discovery;
use crate::domain::Request;
use crate::host::packages::{self, SOFTWARE};
use crate::hypervisor::Secrets;
use crate::model::{FileFacts, Files, Finding, Firmware, Libvirt, format_by_name};

/// What the plan does before the domain is defined.
pub(super) struct Before<'a> {
    pub(super) new_disk: Option<&'a NewDisk>,
    pub(super) moves: &'a [Move],
    /// The packages that it installs, among other words of commands.
    pub(super) installed: Vec<&'a str>,
}

/// libvirt is there and does not answer.
pub(super) const LIBVIRT_UNKNOWN: &str = "libvirt-unknown";

/// What `prepare`, a reboot or the firmware settings correct: `vgapt check` looks at it before the domain is defined.
const OF_HOST: [&str; 3] = ["no-group", "virtualization-off", "too-few-hugepages"];

/// Decides as `define` does.
pub(super) fn decided(context: &Context, found: &Found, name: &str, request: &Request, before: &Before) -> Result<Decision> {
    let mut further = Vec::new();
    let connection = match context.connect() {
        Ok(connection) => Some(connection),
        Err(error) => {
            further.extend(not_reached(found, &error));
            None
        }
    };
    let existing = connection.map(|connection| Existing::find(connection, name, Secrets::Included)).transpose()?.flatten();
    let start = existing.as_ref().map_or(Start::Template { file: None, uuid: None }, Start::Domain);
    let base = base::of(context, name, start, request)?;
    let mut facts = match connection {
        Some(connection) => Facts::read(context, connection, &base, Vec::new())?,
        None => Facts::without_libvirt(context, &base)?,
    };
    files_then(&mut facts.files, before);
    firmware_then(&mut facts, before);
    let mut decision = decide(&base, &facts, existing.as_ref().map(|existing| existing.text.as_str()), further);
    decision.findings.retain(|finding| !OF_HOST.contains(&finding.code));
    Ok(decision)
}

/// libvirt is there, and does not answer: what it knows is unknown. Where it is not there yet, it knows nothing.
fn not_reached(found: &Found, error: &anyhow::Error) -> Option<Finding> {
    let root = found.root.as_ref()?;
    let setup = discovery::setup(root, &found.host);
    let is_there = SOFTWARE.iter().any(|software| software.name == "libvirt" && software.is_there(&setup));
    is_there.then(|| {
        let message = format!("libvirt does not answer, so its networks and other domains were not checked: {error:#}");
        Finding::warning(LIBVIRT_UNKNOWN, message, "see vgapt check; vgapt define checks them before it defines the domain")
    })
}

/// The disk will be there, and the images will be where they are moved to.
fn files_then(files: &mut Files, before: &Before) {
    let there = |path: &str, format: Option<&str>| FileFacts {
        path: path.to_owned(),
        exists: Some(true),
        format: format.map(str::to_owned),
        ..FileFacts::default()
    };
    let disk = before.new_disk.map(|disk| there(&disk.path, format_by_name(Path::new(&disk.path))));
    let images = before.moves.iter().map(|image| there(&image.to, Some("raw")));
    for new in disk.into_iter().chain(images) {
        files.facts.retain(|facts| facts.path != new.path);
        files.facts.push(new);
    }
}

/// Firmware that is installed will be there; and what libvirt can do, it says once all is installed.
fn firmware_then(facts: &mut Facts, before: &Before) {
    if before.installed.is_empty() {
        return;
    }
    facts.libvirt = Libvirt::default();
    let distribution = &facts.host.platform.distribution;
    let package = SOFTWARE.iter().find(|software| software.name == "OVMF").and_then(|software| software.package(distribution));
    if let Some(package) = package.filter(|package| before.installed.contains(package)) {
        let firmware = |has_keys: bool| Firmware {
            code: format!("the firmware in {package}"),
            vars: format!("the variables in {package}"),
            format: "raw".to_owned(),
            secure_boot: has_keys,
            has_keys,
        };
        let with_keys = packages::firmware_has_keys(distribution).then(|| firmware(true));
        facts.files.firmwares.extend([firmware(false)].into_iter().chain(with_keys));
    }
}
