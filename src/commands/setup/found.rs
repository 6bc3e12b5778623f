//! What the host has: cards, images, input devices, and the answers of an earlier run.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::commands::Context;
use crate::commands::shared::existing::Existing;
use crate::commands::shared::request_file;
use crate::discovery::{self, Scope};
use crate::domain::Request;
use crate::hypervisor::Secrets;
use crate::model::Host;
use crate::passthrough::{self, Assessment};
use crate::problem::Problem;
use crate::root::Root;

/// The folder that libvirt keeps images in; QEMU can read files there.
pub(super) const IMAGES: &str = "/var/lib/libvirt/images";
/// Input devices by names that do not change.
const INPUT: &str = "/dev/input/by-id";

/// What was found on the host.
pub(super) struct Found {
    pub(super) root: Option<Root>,
    pub(super) host: Host,
    pub(super) cards: Vec<Assessment>,
    /// Images of CDs and DVDs in the usual folders.
    pub(super) discs: Vec<String>,
    /// Keyboards and mice that can be switched between host and guest.
    pub(super) inputs: Vec<String>,
    /// The folder for the answers of each domain.
    pub(super) folder: PathBuf,
    /// The answers of an earlier run.
    pub(super) earlier: Option<Earlier>,
}

/// The answers of an earlier run, kept until the domain is defined.
pub(super) struct Earlier {
    pub(super) name: String,
    pub(super) file: PathBuf,
    pub(super) request: Request,
}

impl Found {
    pub(super) fn read(context: &Context, root: Option<Root>, name: Option<&str>) -> Result<Self> {
        let host = context.host(root.as_ref(), Scope::All)?;
        let folder = folder()?;
        let earlier = earlier(&folder, name)?;
        Ok(Self {
            cards: passthrough::assess(&host),
            discs: root.as_ref().map(discs).unwrap_or_default(),
            inputs: root.as_ref().map(inputs).unwrap_or_default(),
            root,
            host,
            folder,
            earlier,
        })
    }

    /// The domain of this name, if there is one. Where libvirt is there and does not answer, the plan is shown as for a new domain,
    /// with a warning, and is not carried out.
    pub(super) fn domain(context: &Context, name: &str) -> Result<Option<Existing>> {
        let Ok(connection) = context.connect() else { return Ok(None) };
        Existing::find(connection, name, Secrets::Included)
    }

    /// Whether the running host is set up: not a tree, not a capture, and no other machine.
    pub(super) fn is_this_host(&self) -> bool {
        self.root.as_ref().is_some_and(Root::is_live)
    }

    /// Whether the host has this file; unknown on another machine.
    pub(super) fn has(&self, path: &str) -> bool {
        self.root.as_ref().is_some_and(|root| root.exists(path))
    }

    /// The folders on the way to this file that QEMU's user cannot access.
    pub(super) fn closed(&self, path: &str) -> Vec<String> {
        self.root.as_ref().map(|root| discovery::closed_to_qemu(root, path)).unwrap_or_default()
    }
}

/// The folder for the answers, where the XDG base directory specification has it.
fn folder() -> Result<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let configuration = variable("XDG_CONFIG_HOME").or_else(|| Some(variable("HOME")?.join(".config")));
    let configuration = configuration.ok_or_else(|| {
        Problem::new("neither XDG_CONFIG_HOME nor HOME is set, so there is no place for the answers", "set HOME to your home folder")
    })?;
    Ok(configuration.join("vgapt"))
}

/// The answers for this name; without a name the only ones there are.
fn earlier(folder: &Path, name: Option<&str>) -> Result<Option<Earlier>> {
    let entries = match folder.read_dir() {
        Ok(entries) => entries.collect::<std::io::Result<Vec<_>>>(),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    };
    let files = entries.with_context(|| format!("cannot read {}", folder.display()))?.into_iter().map(|entry| entry.path());
    let mut kept: Vec<(String, PathBuf)> = files
        .filter(|file| file.extension().is_some_and(|ending| ending == "toml"))
        .filter_map(|file| Some((file.file_stem()?.to_str()?.to_owned(), file)))
        .filter(|(kept, _)| name.is_none_or(|name| name == kept))
        .collect();
    let Some((name, file)) = kept.pop().filter(|_| kept.is_empty()) else { return Ok(None) };
    let request = request_file::read(&file)?;
    Ok(Some(Earlier { name, file, request }))
}

/// The images of CDs and DVDs in the folders where people keep them.
fn discs(root: &Root) -> Vec<String> {
    // Through sudo, HOME is root's.
    let home = std::env::var("SUDO_USER").ok().and_then(|user| discovery::home(root, &user)).or_else(|| std::env::var("HOME").ok());
    let home = home.unwrap_or_default();
    let here = std::env::current_dir().map(|here| here.to_string_lossy().into_owned()).unwrap_or_default();
    let downloads = format!("{home}/Downloads");
    let mut found: Vec<String> = Vec::new();
    for folder in [here.as_str(), home.as_str(), downloads.as_str(), IMAGES, "/var/lib/libvirt/boot", "/usr/share/virtio-win"] {
        // A folder that cannot be read only proposes nothing.
        let names = root.names(folder);
        let images = names.iter().filter(|name| name.to_lowercase().ends_with(".iso"));
        found.extend(images.map(|name| format!("{}/{name}", folder.trim_end_matches('/'))));
    }
    found.sort();
    found.dedup();
    found
}

/// Keyboards and mice that can be switched between host and guest.
pub(in crate::commands) fn inputs(root: &Root) -> Vec<String> {
    let names = root.names(INPUT);
    let is_wanted = |name: &&String| name.ends_with("-event-kbd") || name.ends_with("-event-mouse");
    names.iter().filter(is_wanted).map(|name| format!("{INPUT}/{name}")).collect()
}
