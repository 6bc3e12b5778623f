//! Undoing: decided for all receipts at once, then carried out; it can be repeated safely.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use anyhow::{Result, bail};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::command;
use super::file::RestoredFile;
use super::receipt::{Progress, Receipt};
use super::store::{Store, Stored};
use crate::model::shell_command;
use crate::target::Target;
use crate::target::files;

/// What undoing does.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Undoing {
    /// The files that receipts name, by path with symbolic links resolved.
    #[serde(serialize_with = "shown")]
    #[schemars(with = "Vec<RestoredFile>")]
    files: BTreeMap<String, RestoredFile>,
    /// The commands that are run after that.
    pub commands: Vec<Vec<String>>,
    /// Commands that were only recorded for this tree, and have to be run in it again.
    pub noted: Vec<Vec<String>>,
    /// Commands that are left out, since their program is not installed any more; what they made is not made again.
    pub gone: Vec<Vec<String>>,
    /// What is in the store but is not a receipt; it is left unchanged.
    pub strays: Vec<String>,
    #[serde(skip)]
    store: Store,
    /// The newest first.
    #[serde(skip)]
    receipts: Vec<Stored>,
}

fn shown<S: Serializer>(files: &BTreeMap<String, RestoredFile>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(files.values().filter(|file| file.is_shown()))
}

impl Undoing {
    /// Whether there is nothing to undo.
    pub fn is_empty(&self) -> bool {
        self.receipts.is_empty()
    }

    /// The files that change or were edited since, by path.
    pub fn files(&self) -> impl Iterator<Item = &RestoredFile> {
        self.files.values().filter(|file| file.is_shown())
    }

    /// The files that were edited since.
    pub fn edited(&self) -> impl Iterator<Item = &RestoredFile> {
        self.files.values().filter(|file| file.edited_since.is_some())
    }

    /// The files that are left unchanged: an edit cannot be told apart from vgapt's change, or such a file refers to them.
    pub fn left_alone(&self) -> Vec<String> {
        self.files.values().filter(|file| file.left).map(|file| file.path.clone()).collect()
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

/// Decides what has to be done to undo the receipts.
pub fn undoing(target: &Target, which: Which) -> Result<Undoing> {
    let store = Store::open(target)?;
    let (mut receipts, strays) = store.receipts()?;
    receipts.reverse();
    match which {
        Which::All => {}
        Which::Interrupted => {
            let interrupted = receipts.iter().take_while(|stored| stored.receipt.progress != Progress::Applied).count();
            receipts.truncate(interrupted);
        }
        Which::Run(run) => receipts.retain(|stored| stored.number == run),
    }
    let mut files: BTreeMap<String, RestoredFile> = BTreeMap::new();
    let mut digests = BTreeMap::new();
    let (mut commands, mut noted) = (Vec::new(), Vec::new());
    for (index, stored) in receipts.iter().enumerate() {
        let receipt = &stored.receipt;
        for write in receipt.files.iter().rev() {
            let file = match files.entry(write.place.clone()) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(RestoredFile::of(&write.place, target)?),
            };
            let older = receipts[index..].iter().flat_map(|stored| &stored.receipt.files);
            write.take_back(stored, older, file)?;
        }
        for run in receipt.commands.iter().rev() {
            let argv = &run.command.argv;
            if run.begun {
                commands.extend(run.command.undo.clone());
                if run.is_stale(target, &mut digests)? && !commands.contains(argv) {
                    commands.push(argv.clone());
                }
            } else if receipt.progress != Progress::Applying && !noted.contains(argv) {
                noted.push(run.command.undo.as_ref().unwrap_or(argv).clone());
            }
        }
    }
    leave(&mut files);
    let mut gone = Vec::new();
    for list in [&mut commands, &mut noted] {
        let (left_out, kept) = std::mem::take(list).into_iter().try_fold((Vec::new(), Vec::new()), |mut lists, argv: Vec<String>| {
            let list = if is_gone(&argv, target)? { &mut lists.0 } else { &mut lists.1 };
            list.push(argv);
            anyhow::Ok(lists)
        })?;
        *list = kept;
        gone.extend(left_out);
    }
    Ok(Undoing { files, commands, noted, gone, strays, store, receipts })
}

/// Whether the program of a command was removed since, as after a change of the boot loader or of the tool that makes the
/// initramfs. A tree without programs does not say it.
fn is_gone(argv: &[String], target: &Target) -> Result<bool> {
    const FOLDERS: [&str; 6] = ["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin", "/usr/local/sbin"];
    let Some(program) = argv.first().filter(|program| !program.contains('/')) else { return Ok(false) };
    for folder in FOLDERS {
        if target.exists(&format!("{folder}/{program}"))? {
            return Ok(false);
        }
    }
    target.exists(FOLDERS[0])
}

/// Excludes files whose edit cannot be told apart from vgapt's change, and the files that they refer to: a script has to
/// exist as long as a file that runs it.
fn leave(files: &mut BTreeMap<String, RestoredFile>) {
    let texts: Vec<String> = files.values().filter(|file| file.in_the_way).filter_map(RestoredFile::now).collect();
    for file in files.values_mut() {
        file.left = file.in_the_way || texts.iter().any(|text| text.contains(&file.path));
        if file.left {
            file.then.clone_from(&file.now);
        }
    }
}

/// Carries it out, and verifies it. After an error it can be run again.
pub fn undo(undoing: &Undoing, target: &Target, tell: &dyn Fn(&str)) -> Result<()> {
    let Undoing { files, commands, store, receipts, .. } = undoing;
    // An interrupted receipt is marked already; on a full disk it could not be written again.
    for stored in receipts.iter().filter(|stored| stored.receipt.progress == Progress::Applied) {
        stored.save(&Receipt { progress: Progress::Undoing, ..stored.receipt.clone() })?;
    }
    for (place, file) in files {
        target.clean_up(place)?;
        if files::same_whole(target.read(place)?.as_ref(), file.then.as_ref()) {
            continue;
        }
        tell(&format!("restoring {place}"));
        match &file.then {
            Some(state) => target.put(place, state)?.tell(place, tell),
            None => target.remove(place)?,
        }
    }
    // Verified before the commands, some of which regenerate the same files from the restored ones.
    for (place, file) in files {
        if !files::same(target.read(place)?.as_ref(), file.then.as_ref()) {
            bail!("{place} was restored, but differs from its original content; another program may be changing it");
        }
    }
    remove_directories(receipts, target)?;
    if target.is_live() {
        // The newest receipt comes first, so what is written last is the oldest state.
        for stored in receipts {
            for run in stored.receipt.commands.iter().rev().filter(|run| run.begun) {
                run.take_back(stored, &|path| files.contains_key(path), target, tell)?;
            }
        }
        for argv in commands {
            tell(&format!("running {}", shell_command(argv)));
            command::run(argv, target)?;
        }
    }
    for stored in receipts {
        let mut kept = stored.receipt.files.clone();
        kept.retain(|write| files.get(&write.place).is_some_and(|file| file.left));
        if kept.is_empty() {
            store.forget(stored.number)?;
        } else {
            // The next undo reverts these, after they were corrected by hand.
            stored.save(&Receipt { progress: Progress::Applied, files: kept, commands: Vec::new(), ..stored.receipt.clone() })?;
        }
    }
    store.tidy()?;
    // The store's own directories can be removed only now.
    remove_directories(receipts, target)
}

/// Removes the directories that were created, if they are empty.
fn remove_directories(receipts: &[Stored], target: &Target) -> Result<()> {
    let mut directories = receipts.iter().flat_map(|stored| stored.receipt.directories.iter().rev());
    directories.try_for_each(|directory| target.remove_directory(directory))
}
