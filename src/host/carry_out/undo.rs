//! Undoing: planned for all receipts at once, then carried out; it can be repeated safely.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use serde::Serialize;

use super::outputs::outputs;
use super::receipt::{CommandRecord, FileRecord, Made, Progress, Receipt, Receipts, Store, StoredContent};
use crate::host::decide::loaders;
use crate::host::text::merge::{self, FileSyntax, Texts};
use crate::target::Target;
use crate::target::files::{self, State};

/// What undoing does.
#[derive(Debug, Default, Serialize)]
pub struct Undoing {
    /// The files that change, by path.
    pub files: Vec<RestoredFile>,
    /// The commands that are run after that.
    pub commands: Vec<Vec<String>>,
    /// Commands that were only recorded for this tree, and have to be run in it again.
    pub noted: Vec<Vec<String>>,
    /// What is in the store but is not a receipt; it is left unchanged.
    pub strays: Vec<String>,
    #[serde(skip)]
    receipts: Vec<(u32, Receipt)>,
    #[serde(skip)]
    returns: BTreeMap<String, Option<State>>,
    #[serde(skip)]
    made: Vec<(u32, Made)>,
    /// The files that are left unchanged: their resolved locations and their paths.
    #[serde(skip)]
    left: BTreeMap<String, String>,
}

/// A file that is restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RestoredFile {
    /// Its path.
    pub path: String,
    /// Its path with symbolic links resolved, as far as possible.
    pub place: String,
    /// Its present text; `None` if it does not exist.
    pub now: Option<String>,
    /// Its text afterwards; `None` if it is removed.
    pub then: Option<String>,
    /// If it was edited since: the text that vgapt had left; `None` if it was not edited.
    pub edited_since: Option<String>,
    /// Whether that edit cannot be told apart from vgapt's own change; the file is then left unchanged.
    pub in_the_way: bool,
}

impl Undoing {
    /// Whether there is nothing to undo.
    pub fn is_empty(&self) -> bool {
        self.receipts.is_empty()
    }

    /// Whether one of the receipts was interrupted.
    pub fn interrupted(&self) -> bool {
        self.receipts.iter().any(|(_, receipt)| receipt.progress != Progress::Applied)
    }

    /// The files that are left unchanged: an edit cannot be told apart from vgapt's change, or such a file refers to them.
    pub fn left_alone(&self) -> Vec<String> {
        self.left.values().cloned().collect()
    }

    /// The files that were edited since.
    pub fn edited(&self) -> impl Iterator<Item = &RestoredFile> {
        self.files.iter().filter(|file| file.edited_since.is_some())
    }
}

/// Which receipts are undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// All of them.
    All,
    /// Only those that were interrupted, which are the newest.
    Interrupted,
    /// The one with this number.
    Run(u32),
}

/// Plans what has to be done to undo the receipts.
///
/// # Errors
/// Where a receipt or a file cannot be read.
pub fn undoing(target: &Target, which: Which) -> Result<Undoing> {
    let store = Store::of(target);
    let Receipts { known: mut receipts, strays } = store.all()?;
    receipts.reverse();
    match which {
        Which::All => {}
        Which::Interrupted => {
            let interrupted = receipts.iter().take_while(|(_, receipt)| receipt.progress != Progress::Applied).count();
            receipts.truncate(interrupted);
        }
        Which::Run(run) => receipts.retain(|(number, _)| *number == run),
    }
    let mut undoing = Undoing { strays, ..Undoing::default() };
    let mut edits: BTreeMap<String, (Option<String>, bool)> = BTreeMap::new();
    let mut paths: BTreeMap<String, String> = BTreeMap::new();
    let mut digests: BTreeMap<String, Option<String>> = BTreeMap::new();
    for (index, (number, receipt)) in receipts.iter().enumerate() {
        let older: Vec<&FileRecord> = receipts[index..].iter().flat_map(|(_, receipt)| &receipt.files).collect();
        for file in receipt.files.iter().rev() {
            let now = match undoing.returns.get(&file.place) {
                Some(state) => state.clone(),
                None => target.read(&file.place)?,
            };
            let before = kept(&store, *number, file.before.as_ref())?;
            let is = |kept: &Option<StoredContent>| {
                now.as_ref().map(|state| files::digest(&state.bytes)) == kept.as_ref().map(|kept| kept.sha256.clone())
            };
            let already_back = older.iter().any(|older| older.place == file.place && is(&older.before));
            let before = before.map(|before| kept_by_others(before, now.as_ref(), file));
            let digest = now.as_ref().map(|state| files::digest(&state.bytes));
            // A command that did not finish may have left anything.
            let by_command = |made: &Made| made.path == file.place && (made.after.is_none() || made.after == digest);
            let made_anew = receipt.commands.iter().flat_map(|command| &command.made).any(by_command);
            let then = if made_anew || is(&file.after) || (already_back && is(&file.before)) {
                before
            } else if already_back {
                now.clone()
            } else {
                let left = kept(&store, *number, file.after.as_ref())?;
                let merged = without_ours(&file.path, left.as_ref(), now.as_ref(), before.as_ref());
                // The user edited what the newest receipt left; a conflict with any receipt is a conflict.
                let edit = edits.entry(file.place.clone()).or_insert_with(|| (left.as_ref().map(text), false));
                edit.1 |= matches!(merged, Merged::Clash);
                match merged {
                    Merged::Text(state) => Some(state),
                    Merged::Nothing => None,
                    Merged::Clash => now.clone(),
                }
            };
            paths.insert(file.place.clone(), file.path.clone());
            undoing.returns.insert(file.place.clone(), then);
        }
        for command in receipt.commands.iter().rev() {
            if command.begun {
                undoing.commands.extend(command.undo.clone());
                if stale(target, command, &mut digests)? && !undoing.commands.contains(&command.argv) {
                    undoing.commands.push(command.argv.clone());
                }
                undoing.made.extend(command.made.iter().map(|made| (*number, made.clone())));
            } else if receipt.progress != Progress::Applying && !undoing.noted.contains(&command.argv) {
                undoing.noted.push(command.undo.clone().unwrap_or_else(|| command.argv.clone()));
            }
        }
    }
    leave(&mut undoing, &edits, &paths, target)?;
    for (place, then) in &undoing.returns {
        let now = target.read(place)?;
        let (edited_since, in_the_way) =
            edits.remove(place).map_or((None, false), |(left, in_the_way)| (Some(left.unwrap_or_default()), in_the_way));
        if !files::same_whole(now.as_ref(), then.as_ref()) || edited_since.is_some() {
            let (path, place) = (paths.get(place).unwrap_or(place).clone(), target.real(place));
            undoing.files.push(RestoredFile {
                path,
                place,
                now: now.as_ref().map(text),
                then: then.as_ref().map(text),
                edited_since,
                in_the_way,
            });
        }
    }
    undoing.receipts = receipts;
    Ok(undoing)
}

/// Excludes files whose edit cannot be told apart from vgapt's change, and the files that they refer to: a script has to
/// exist as long as a file that runs it.
fn leave(
    undoing: &mut Undoing,
    edits: &BTreeMap<String, (Option<String>, bool)>,
    paths: &BTreeMap<String, String>,
    target: &Target,
) -> Result<()> {
    let clashes: Vec<&String> = edits.iter().filter(|(_, (_, clash))| *clash).map(|(place, _)| place).collect();
    let mut texts = Vec::new();
    for place in &clashes {
        texts.extend(target.read(place)?.as_ref().map(text));
    }
    let is_left = |(place, path): &(&String, &String)| clashes.contains(place) || texts.iter().any(|text| text.contains(path.as_str()));
    let left: Vec<(String, String)> = paths.iter().filter(is_left).map(|(place, path)| (place.clone(), path.clone())).collect();
    for (place, path) in left {
        undoing.returns.insert(place.clone(), target.read(&place)?);
        undoing.left.insert(place, path);
    }
    Ok(())
}

fn kept(store: &Store, number: u32, kept: Option<&StoredContent>) -> Result<Option<State>> {
    kept.map(|kept| store.keeper(number)?.get(kept)).transpose()
}

/// vgapt never changes modes, owners and attributes, so if they changed since, another tool or the user changed them.
fn kept_by_others(before: State, now: Option<&State>, file: &FileRecord) -> State {
    let (Some(now), Some(left)) = (now, file.after.as_ref().or(file.before.as_ref())) else { return before };
    State {
        mode: if now.mode == left.mode { before.mode } else { now.mode },
        uid: if now.uid == left.uid { before.uid } else { now.uid },
        gid: if now.gid == left.gid { before.gid } else { now.gid },
        // They were not recorded: keep the present ones.
        attributes: if before.attributes.is_some() && now.attributes == left.attributes {
            before.attributes
        } else {
            now.attributes.clone()
        },
        bytes: before.bytes,
    }
}

/// An edited file without vgapt's own change.
enum Merged {
    Text(State),
    Nothing,
    /// Both changed the same lines, and the words cannot be separated.
    Clash,
}

fn without_ours(path: &str, left: Option<&State>, now: Option<&State>, before: Option<&State>) -> Merged {
    fn bytes(state: Option<&State>) -> &[u8] {
        state.map(|state| state.bytes.as_slice()).unwrap_or_default()
    }
    let Some(now) = now else { return Merged::Nothing };
    let sort = match loaders::syntax_of(path) {
        // A file that vgapt created is not merged word by word.
        FileSyntax::Assignments | FileSyntax::Strings if before.is_none() => FileSyntax::Other,
        // mkinitcpio's lists are shell arrays.
        FileSyntax::Other if before.is_some() && path.starts_with("/etc/mkinitcpio.conf") => FileSyntax::Assignments,
        sort => sort,
    };
    match merge::without_ours(Texts { left: bytes(left), now: &now.bytes, before: bytes(before) }, sort) {
        None => Merged::Clash,
        Some(merged) if before.is_none() && merged.is_empty() => Merged::Nothing,
        Some(merged) => Merged::Text(State { bytes: merged, ..now.clone() }),
    }
}

fn text(state: &State) -> String {
    String::from_utf8_lossy(&state.bytes).into_owned()
}

/// Whether these files, or others that the command makes, were regenerated since: then the stored copies are
/// outdated. `digests` holds what each file will be once the newer commands are undone.
fn stale(target: &Target, command: &CommandRecord, digests: &mut BTreeMap<String, Option<String>>) -> Result<bool> {
    let mut stale = false;
    for made in &command.made {
        if !digests.contains_key(&made.path) {
            digests.insert(made.path.clone(), target.read(&made.path)?.map(|state| files::digest(&state.bytes)));
        }
        let now = digests.entry(made.path.clone()).or_default();
        let before = made.before.as_ref().map(|kept| kept.sha256.clone());
        if made.after.is_none() || *now == made.after {
            *now = before;
        } else if now.is_some() && *now != before {
            stale = true;
        }
    }
    let is_known = |path: &String| command.made.iter().any(|made| made.path == *path || leftovers(made).contains(path));
    Ok(stale || outputs(&command.makes, target)?.iter().any(|path| !is_known(path)))
}

/// What a killed program leaves next to the file that it was writing: update-initramfs and
/// grub-mkconfig the new one, update-initramfs also a second name of the old one.
fn leftovers(made: &Made) -> [String; 2] {
    [".new", ".dpkg-bak"].map(|ending| made.path.clone() + ending)
}

/// Carries out the planned undo, and verifies it.
///
/// # Errors
/// If a file cannot be written, or a command fails; it can be run again.
pub fn undo(undoing: &Undoing, target: &Target, tell: &dyn Fn(&str)) -> Result<()> {
    let store = Store::of(target);
    // An interrupted receipt is marked already; on a full disk it could not be written again.
    for (number, receipt) in undoing.receipts.iter().filter(|(_, receipt)| receipt.progress == Progress::Applied) {
        store.save(*number, &Receipt { progress: Progress::Undoing, ..receipt.clone() })?;
    }
    for (place, then) in &undoing.returns {
        target.clean_up(place)?;
        if files::same_whole(target.read(place)?.as_ref(), then.as_ref()) {
            continue;
        }
        tell(&format!("restoring {place}"));
        match then {
            Some(state) => target.put(place, state)?.tell(place, tell),
            None => target.remove(place)?,
        }
    }
    // Verified before the commands, some of which regenerate the same files from the restored ones.
    for (place, then) in &undoing.returns {
        if !files::same(target.read(place)?.as_ref(), then.as_ref()) {
            bail!("{place} was restored, but differs from its original content; another program may be changing it");
        }
    }
    remove_directories(undoing, target)?;
    if target.is_live() {
        give_back_made(undoing, &store, target, tell)?;
        for argv in &undoing.commands {
            tell(&format!("running {}", argv.join(" ")));
            let Some(ran) = target.run(argv)? else { continue };
            if !ran.success() {
                bail!("{} failed ({}): {}", argv.join(" "), ran.status, ran.last_lines());
            }
        }
    }
    for (number, receipt) in &undoing.receipts {
        let files: Vec<FileRecord> = receipt.files.iter().filter(|file| undoing.left.contains_key(&file.place)).cloned().collect();
        if files.is_empty() {
            store.forget(*number)?;
        } else {
            // The next undo reverts these, after they were corrected by hand.
            store.save(*number, &Receipt { progress: Progress::Applied, files, commands: Vec::new(), ..receipt.clone() })?;
        }
    }
    store.tidy()?;
    // The store's own directories can be removed only now.
    remove_directories(undoing, target)
}

/// Removes the directories that were created, if they are empty.
fn remove_directories(undoing: &Undoing, target: &Target) -> Result<()> {
    let mut directories = undoing.receipts.iter().flat_map(|(_, receipt)| receipt.directories.iter().rev());
    directories.try_for_each(|directory| target.remove_directory(directory))
}

/// Restores boot images and generated configuration, byte for byte, unless they were regenerated since.
/// The newest receipt comes first, so what is written last is the oldest state.
fn give_back_made(undoing: &Undoing, store: &Store, target: &Target, tell: &dyn Fn(&str)) -> Result<()> {
    // Files that were restored already are as before the command, too.
    for (number, made) in undoing.made.iter().filter(|(_, made)| !undoing.returns.contains_key(&made.path)) {
        if made.after.is_none() {
            for path in leftovers(made) {
                target.remove(&path)?;
            }
        }
        let now = target.read(&made.path)?;
        let digest = now.as_ref().map(|state| files::digest(&state.bytes));
        let is_ours = made.after.is_none() || digest == made.after;
        match &made.before {
            Some(kept) if is_ours && digest.as_ref() != Some(&kept.sha256) => {
                tell(&format!("restoring {}", made.path));
                target.put(&made.path, &store.keeper(*number)?.get(kept)?)?.tell(&made.path, tell);
            }
            None if is_ours && now.is_some() => target.remove(&made.path)?,
            _ => {}
        }
    }
    Ok(())
}
