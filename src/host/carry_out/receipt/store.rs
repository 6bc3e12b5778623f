//! Where receipts are stored: a directory each, which is created complete or not at all.

use std::io;
use std::path::Path;

use anyhow::{Context as _, Error, Result, bail};
use rustix::fs::{AtFlags, FileType, unlinkat};

use super::record::{FORMAT, Head, Receipt, StoredContent};
use crate::problem::Problem;
use crate::target::files::{self, LostAttributes, State};
use crate::target::{Folder, Target, own};

const RECEIPT: &str = "receipt.json";
/// The name of an incomplete receipt.
const UNFINISHED: &str = "unfinished";

/// Contents of the host's files are stored here, so no other user may read it.
const PRIVATE: u32 = 0o700;
const PUBLIC: u32 = 0o755;
/// The receipts of one host.
pub(in crate::host) struct Store {
    target: Target,
}

/// What is in a store.
#[derive(Debug, Default)]
pub(in crate::host) struct Receipts {
    /// The receipts, the oldest first.
    pub(in crate::host) known: Vec<(u32, Receipt)>,
    /// The paths of other files and directories, which are not receipts.
    pub(in crate::host) strays: Vec<String>,
}

impl Store {
    /// Where receipts are stored on the host.
    pub(in crate::host) const PATH: &str = "/var/lib/vgapt";

    pub(in crate::host) fn of(target: &Target) -> Self {
        Self { target: target.clone() }
    }

    /// The opened store; `None` if there is none.
    ///
    /// # Errors
    /// If it cannot be read, or does not belong to the caller: then its contents are not trusted.
    fn folder(&self) -> Result<Option<Folder>> {
        let Some(folder) = self.target.folder(Self::PATH)? else { return Ok(None) };
        let status = folder.status().map_err(|error| files::told("read", folder.shown(), &error))?;
        own(folder.shown(), status.st_uid, status.st_mode)?;
        Ok(Some(folder))
    }

    /// All its contents. Only the paths are given of what is not a receipt.
    pub(in crate::host) fn all(&self) -> Result<Receipts> {
        let mut receipts = Receipts::default();
        let Some(folder) = self.folder()? else { return Ok(receipts) };
        let entries = folder.entries().map_err(|error| files::told("read", folder.shown(), &error))?;
        for (name, kind) in entries.into_iter().filter(|(name, _)| name != UNFINISHED) {
            let number = name.parse::<u32>().ok().filter(|number| number.to_string() == name && kind == FileType::Directory);
            match number.map(|number| read(&folder, number)).transpose()?.flatten() {
                Some(known) => receipts.known.push(known),
                None => receipts.strays.push(format!("{}/{name}", Self::PATH)),
            }
        }
        receipts.known.sort_unstable_by_key(|(number, _)| *number);
        Ok(receipts)
    }

    /// Creates a receipt; `write` stores what belongs to it. It exists when this returns, not before.
    pub(in crate::host) fn begin(&self, write: impl FnOnce(&Keeper) -> Result<Receipt>) -> Result<(u32, Receipt)> {
        self.make_place()?;
        let folder = self.folder()?.with_context(|| format!("{} does not exist, although it was created", Self::PATH))?;
        discard(&folder)?;
        let unfinished = folder.place(UNFINISHED)?;
        let told = |error: io::Error| files::told("create the directory", &unfinished.shown(), &error);
        unfinished.make_directory(PRIVATE).map_err(told)?;
        let keeper = Keeper(folder.below(UNFINISHED).map_err(told)?);
        let receipt = write(&keeper)?;
        save(&keeper.0, &receipt)?;
        let names = folder.entries().map_err(|error| files::told("read", folder.shown(), &error))?;
        // Directories that are not receipts also use up their number.
        let last = names.iter().filter_map(|(name, _)| name.parse::<u32>().ok()).max().unwrap_or(0);
        let number = last.checked_add(1).with_context(|| format!("no number above {last} is available in {}", Self::PATH))?;
        let named = unfinished.rename(&number.to_string()).and_then(|()| folder.sync());
        if let Err(error) = named {
            let error = files::told("write", &folder.shown().join(number.to_string()), &error);
            return Err(match self.forget(number) {
                Ok(()) => error,
                Err(other) => error.context(format!("the receipt {number} could not be removed ({other:#})")),
            });
        }
        Ok((number, receipt))
    }

    /// Writes an existing receipt again.
    pub(in crate::host) fn save(&self, number: u32, receipt: &Receipt) -> Result<()> {
        save(&self.keeper(number)?.0, receipt)
    }

    /// Where a receipt stores contents.
    pub(in crate::host) fn keeper(&self, number: u32) -> Result<Keeper> {
        let folder = self.folder()?.with_context(|| format!("{} no longer exists", Self::PATH))?;
        Ok(Keeper(opened(&folder, number)?))
    }

    /// Removes a receipt, in one step.
    pub(in crate::host) fn forget(&self, number: u32) -> Result<()> {
        let Some(folder) = self.folder()? else { return Ok(()) };
        discard(&folder)?;
        let place = folder.place(&number.to_string())?;
        let told = |error: io::Error| files::told("remove", &place.shown(), &error);
        if place.status().map_err(told)?.is_some() {
            place.rename(UNFINISHED).map_err(told)?;
        }
        discard(&folder)
    }

    /// Removes what an interrupted run left, and the directory itself if it is empty.
    pub(in crate::host) fn tidy(&self) -> Result<()> {
        if let Some(folder) = self.folder()? {
            discard(&folder)?;
        }
        self.target.remove_directory(Self::PATH)
    }

    fn make_place(&self) -> Result<()> {
        let above = Path::new(Self::PATH).ancestors().skip(1).filter_map(Path::to_str).collect::<Vec<_>>();
        for directory in above.into_iter().rev().filter(|directory| *directory != "/") {
            self.target.make_directory(directory, PUBLIC)?;
        }
        self.target.make_directory(Self::PATH, PRIVATE)
    }
}

fn opened(folder: &Folder, number: u32) -> Result<Folder> {
    let name = number.to_string();
    let told = |error: io::Error| files::told("read", &folder.shown().join(&name), &error);
    let opened = folder.below(&name).map_err(told)?;
    let status = opened.status().map_err(told)?;
    own(opened.shown(), status.st_uid, status.st_mode)?;
    Ok(opened)
}

/// A file of the store.
fn read_own(folder: &Folder, name: &str) -> Result<Option<State>> {
    let place = folder.place(name).map_err(|error| files::told("read", folder.shown(), &error))?;
    let Some(state) = State::read(&place)? else { return Ok(None) };
    own(&place.shown(), state.uid, state.mode)?;
    Ok(Some(state))
}

/// A receipt; `None` if the directory contains none.
fn read(folder: &Folder, number: u32) -> Result<Option<(u32, Receipt)>> {
    let directory = opened(folder, number)?;
    let path = directory.shown().join(RECEIPT);
    let Some(state) = read_own(&directory, RECEIPT)? else { return Ok(None) };
    let understood = |error: serde_json::Error| {
        let message = format!("{} is not a receipt that this vgapt can read: {error}", path.display());
        Error::from(Problem::new(message, "use the vgapt that wrote it; a damaged receipt can only be removed from the store by hand"))
    };
    let head: Head = serde_json::from_slice(&state.bytes).map_err(understood)?;
    if head.format > FORMAT {
        let (own, by) = (env!("CARGO_PKG_VERSION"), &head.vgapt);
        if !is_later(by, own) {
            let message = format!(
                "{} has the format {}, but names vgapt {by} as its writer, which has no such format: it was changed by something else",
                path.display(),
                head.format
            );
            return Err(Problem::new(message, "find out where this tree comes from; nothing of the receipt is applied").into());
        }
        let message = format!(
            "{} was written by vgapt {by}, in the format {}; this is vgapt {own}, which reads up to {FORMAT}",
            path.display(),
            head.format
        );
        return Err(Problem::new(message, format!("run this with vgapt {by} or later")).into());
    }
    let receipt: Receipt = serde_json::from_slice(&state.bytes).map_err(understood)?;
    if let Some(odd) = receipt.odd() {
        let remedy = "find out where this tree comes from; nothing of the receipt is applied";
        return Err(Problem::new(format!("{} contains {odd}, which no vgapt has written", path.display()), remedy).into());
    }
    Ok(Some((number, receipt)))
}

/// Whether a version is later than another one; one that cannot be parsed counts as later.
fn is_later(version: &str, than: &str) -> bool {
    let numbers = |version: &str| version.split('.').map(str::parse).collect::<Result<Vec<u64>, _>>();
    numbers(version).is_ok_and(|version| numbers(than).is_ok_and(|than| version > than)) || numbers(version).is_err()
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

fn save(directory: &Folder, receipt: &Receipt) -> Result<()> {
    // It is always written in the current format.
    let text = serde_json::to_string_pretty(&Receipt { format: FORMAT, ..receipt.clone() }).context("a receipt cannot be serialized")?;
    let place = directory.place(RECEIPT)?;
    let _: LostAttributes = State::new(&text, 0o600).put(&place)?;
    Ok(())
}

/// Stores contents with a receipt.
pub(in crate::host) struct Keeper(Folder);

impl Keeper {
    pub(in crate::host) fn keep(&self, name: &str, state: &State) -> Result<StoredContent> {
        let own = State { bytes: state.bytes.clone(), ..State::new("", 0o600) };
        // The copy needs no attributes; those of the file are in the receipt.
        let _: LostAttributes = own.put(&self.0.place(name)?)?;
        let sha256 = files::digest(&state.bytes);
        let State { mode, uid, gid, attributes, .. } = state.clone();
        Ok(StoredContent { name: name.to_owned(), sha256, mode, uid, gid, attributes })
    }

    /// A stored content, verified by its digest.
    pub(in crate::host) fn get(&self, kept: &StoredContent) -> Result<State> {
        let path = self.0.shown().join(&kept.name);
        let state = read_own(&self.0, &kept.name)?.with_context(|| format!("{} no longer exists", path.display()))?;
        if files::digest(&state.bytes) != kept.sha256 {
            bail!("{} was modified: its SHA-256 differs from the recorded one", path.display());
        }
        let StoredContent { mode, uid, gid, attributes, .. } = kept.clone();
        Ok(State { bytes: state.bytes, mode, uid, gid, attributes })
    }
}
