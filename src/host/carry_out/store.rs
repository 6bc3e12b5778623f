//! Where receipts are stored: a directory each, which is created complete or not at all.

use std::io;

use anyhow::{Context as _, Result, bail};
use rustix::fs::{AtFlags, FileType, unlinkat};

use super::receipt::{FORMAT, Receipt, StoredContent};
use crate::model::RecordedGroup;
use crate::target::files::{self, LostAttributes, State};
use crate::target::{Folder, Target, own, own_folder};

/// Where receipts are stored on the host.
pub const RECEIPTS: &str = "/var/lib/vgapt";
const RECEIPT: &str = "receipt.json";
/// The name of an incomplete receipt.
const UNFINISHED: &str = "unfinished";

/// Contents of the host's files are stored here, so no other user may read it.
const PRIVATE: u32 = 0o700;
const PUBLIC: u32 = 0o755;

/// The receipts of one host.
#[derive(Debug)]
pub(super) struct Store {
    target: Target,
    /// `None` if nothing was stored yet.
    folder: Option<Folder>,
}

/// A receipt, in its directory.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) number: u32,
    pub(super) receipt: Receipt,
    folder: Folder,
}

impl Store {
    pub(super) const PATH: &str = RECEIPTS;

    /// An error if it does not belong to the caller: then its contents are not trusted.
    pub(super) fn open(target: &Target) -> Result<Self> {
        Ok(Self { target: target.clone(), folder: target.own_folder(Self::PATH)? })
    }

    /// The receipts, the oldest first, and the paths of other files and directories, which are not receipts.
    pub(super) fn receipts(&self) -> Result<(Vec<Stored>, Vec<String>)> {
        let (mut receipts, mut strays) = (Vec::new(), Vec::new());
        let Some(folder) = &self.folder else { return Ok((receipts, strays)) };
        for (name, kind) in entries(folder)?.into_iter().filter(|(name, _)| name != UNFINISHED) {
            let number = name.parse::<u32>().ok().filter(|number| number.to_string() == name && kind == FileType::Directory);
            match number.map(|number| Stored::read(folder, number)).transpose()?.flatten() {
                Some(stored) => receipts.push(stored),
                None => strays.push(format!("{}/{name}", Self::PATH)),
            }
        }
        receipts.sort_unstable_by_key(|stored| stored.number);
        Ok((receipts, strays))
    }

    /// Creates a receipt; `write` stores what belongs to it. It exists when this returns, not before.
    pub(super) fn begin(&mut self, write: impl FnOnce(&Folder) -> Result<Receipt>) -> Result<Stored> {
        if self.folder.is_none() {
            self.make()?;
        }
        let folder = self.folder.as_ref().with_context(|| format!("{} does not exist, although it was created", Self::PATH))?;
        discard(folder)?;
        let unfinished = folder.place(UNFINISHED)?;
        let told = |error: io::Error| files::told("create the directory", &unfinished.shown(), &error);
        unfinished.make_directory(PRIVATE).map_err(told)?;
        let new = folder.below(UNFINISHED).map_err(told)?;
        let receipt = write(&new)?;
        save(&new, &receipt)?;
        // Directories that are not receipts also use up their number.
        let last = entries(folder)?.iter().filter_map(|(name, _)| name.parse::<u32>().ok()).max().unwrap_or(0);
        let number = last.checked_add(1).with_context(|| format!("no number above {last} is available in {}", Self::PATH))?;
        let name = number.to_string();
        let named = unfinished.rename(&name).and_then(|()| folder.sync()).and_then(|()| folder.below(&name));
        let error = match named {
            Ok(folder) => return Ok(Stored { number, receipt, folder }),
            Err(error) => files::told("write", &folder.shown().join(name), &error),
        };
        Err(match self.forget(number) {
            Ok(()) => error,
            Err(other) => error.context(format!("the receipt {number} could not be removed ({other:#})")),
        })
    }

    /// Removes a receipt, in one step.
    pub(super) fn forget(&self, number: u32) -> Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        discard(folder)?;
        let place = folder.place(&number.to_string())?;
        let told = |error: io::Error| files::told("remove", &place.shown(), &error);
        if place.status().map_err(told)?.is_some() {
            place.rename(UNFINISHED).map_err(told)?;
        }
        discard(folder)
    }

    /// Removes what an interrupted run left, and the directory itself if it is empty.
    pub(super) fn tidy(&self) -> Result<()> {
        self.folder.as_ref().map_or(Ok(()), discard)?;
        self.target.remove_directory(Self::PATH)
    }

    fn make(&mut self) -> Result<()> {
        for directory in above(Self::PATH) {
            self.target.make_directory(&directory, PUBLIC)?;
        }
        self.target.make_directory(Self::PATH, PRIVATE)?;
        self.folder = self.target.own_folder(Self::PATH)?;
        Ok(())
    }
}

impl Stored {
    /// A receipt; `None` if the directory contains none.
    fn read(store: &Folder, number: u32) -> Result<Option<Self>> {
        let name = number.to_string();
        let folder = store.below(&name).map_err(|error| files::told("read", &store.shown().join(&name), &error))?;
        own_folder(&folder)?;
        let Some(state) = read_own(&folder, RECEIPT)? else { return Ok(None) };
        let path = folder.shown().join(RECEIPT).display().to_string();
        Ok(Some(Self { number, receipt: Receipt::parse(&state.bytes, &path)?, folder }))
    }

    pub(super) fn save(&self, receipt: &Receipt) -> Result<()> {
        save(&self.folder, receipt)
    }

    pub(super) fn keep(&self, name: &str, state: &State) -> Result<StoredContent> {
        keep(&self.folder, name, state)
    }

    /// A stored content, verified by its digest.
    pub(super) fn content(&self, kept: &StoredContent) -> Result<State> {
        let path = self.folder.shown().join(&kept.name);
        let state = read_own(&self.folder, &kept.name)?.with_context(|| format!("{} no longer exists", path.display()))?;
        if state.digest() != kept.sha256 {
            bail!("{} was modified: its SHA-256 differs from the recorded one", path.display());
        }
        Ok(State { bytes: state.bytes, meta: kept.meta.clone() })
    }
}

/// The commands that earlier runs recorded for a tree, and did not run, as it is not the running system.
///
/// # Errors
/// Where the receipts of a tree cannot be read.
pub fn noted(target: &Target) -> Result<Vec<Vec<String>>> {
    if target.is_live() || target.is_capture() {
        return Ok(Vec::new());
    }
    let (receipts, _) = Store::open(target)?.receipts()?;
    let commands = receipts.into_iter().flat_map(|stored| stored.receipt.commands);
    Ok(commands.filter(|run| !run.begun).map(|run| run.command.argv).collect())
}

/// The IOMMU groups of the functions that were prepared, as they were; of a function that was prepared twice only the last.
///
/// # Errors
/// Where the receipts cannot be read: then it is unknown.
pub fn recorded_groups(target: &Target) -> Result<Vec<RecordedGroup>> {
    if target.is_capture() {
        return Ok(Vec::new());
    }
    let (receipts, _) = Store::open(target)?.receipts()?;
    let mut groups: Vec<RecordedGroup> = Vec::new();
    for group in receipts.into_iter().rev().flat_map(|stored| stored.receipt.groups) {
        if !groups.iter().any(|later| group.members.iter().any(|member| later.has(member.address))) {
            groups.push(group);
        }
    }
    Ok(groups)
}

/// The directories above a path without the root, the outer ones first.
pub(super) fn above(path: &str) -> Vec<String> {
    path.match_indices('/').skip(1).map(|(end, _)| path[..end].to_owned()).collect()
}

/// Stores a content with a receipt.
pub(super) fn keep(folder: &Folder, name: &str, state: &State) -> Result<StoredContent> {
    let own = State { bytes: state.bytes.clone(), ..State::new("", 0o600) };
    // The copy needs no attributes; those of the file are in the receipt.
    let _: LostAttributes = own.put(&folder.place(name)?)?;
    Ok(StoredContent { name: name.to_owned(), sha256: state.digest(), meta: state.meta.clone() })
}

fn save(folder: &Folder, receipt: &Receipt) -> Result<()> {
    // It is always written in the current format.
    let text = serde_json::to_string_pretty(&Receipt { format: FORMAT, ..receipt.clone() }).context("a receipt cannot be serialized")?;
    let _: LostAttributes = State::new(&text, 0o600).put(&folder.place(RECEIPT)?)?;
    Ok(())
}

/// A file of the store.
fn read_own(folder: &Folder, name: &str) -> Result<Option<State>> {
    let place = folder.place(name).map_err(|error| files::told("read", folder.shown(), &error))?;
    let Some(state) = State::read(&place)? else { return Ok(None) };
    own(&place.shown(), state.meta.uid, state.meta.mode)?;
    Ok(Some(state))
}

fn entries(folder: &Folder) -> Result<Vec<(String, FileType)>> {
    folder.entries().map_err(|error| files::told("read", folder.shown(), &error))
}

/// Removes an unfinished receipt, or one that is being removed: a directory with files in it.
fn discard(folder: &Folder) -> Result<()> {
    let place = folder.place(UNFINISHED)?;
    let discard = || {
        let Some(status) = place.status()? else { return Ok(()) };
        if !FileType::from_raw_mode(status.st_mode).is_dir() {
            return place.remove();
        }
        let unfinished = folder.below(UNFINISHED)?;
        for (name, _) in unfinished.entries()? {
            unfinished.place(&name)?.remove()?;
        }
        unlinkat(folder.as_fd(), UNFINISHED, AtFlags::REMOVEDIR).map_err(io::Error::from)
    };
    discard().map_err(|error| files::told("remove", &place.shown(), &error))
}
