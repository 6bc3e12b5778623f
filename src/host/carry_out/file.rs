//! Writing a file of a plan, and what the file becomes when that is undone.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::receipt::StoredContent;
use super::store::{Stored, keep};
use crate::host::decide::loaders;
use crate::host::plan::Write;
use crate::host::text::merge::FileSyntax;
use crate::host::text::merge::{self, Texts};
use crate::problem::Problem;
use crate::target::files::{self, Meta, State};
use crate::target::{Folder, Target};

impl Write {
    /// The present file, if it is still the one for which the plan was made.
    pub(super) fn present(&self, target: &Target) -> Result<Option<State>> {
        let now = target.read(&self.place)?;
        if now.as_ref().map(|state| state.bytes.as_slice()) == self.before.as_deref().map(str::as_bytes) {
            return Ok(now);
        }
        Err(Problem::new(format!("{} changed since the plan was made", self.path), "run vgapt prepare again").into())
    }

    /// What the present file becomes: it keeps its mode, owner and attributes.
    pub(super) fn result(&self, present: Option<&State>) -> Option<State> {
        let text = self.after.as_deref()?;
        Some(match present {
            Some(present) => State { bytes: text.as_bytes().to_vec(), ..present.clone() },
            None => State::new(text, self.mode),
        })
    }

    /// The same with the contents stored.
    pub(super) fn stored(
        &self,
        index: usize,
        (before, after): &(Option<State>, Option<State>),
        folder: &Folder,
    ) -> Result<Write<StoredContent>> {
        let keep = |when, state: &Option<State>| state.as_ref().map(|state| keep(folder, &format!("{index}.{when}"), state)).transpose();
        let (before, after) = (keep("before", before)?, keep("after", after)?);
        let Self { path, place, why, mode, .. } = self.clone();
        Ok(Write { path, place, why, before, after, mode })
    }
}

/// What undoing makes of a file.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RestoredFile {
    /// Its path.
    pub path: String,
    /// Its path with symbolic links resolved, as far as possible.
    pub place: String,
    /// As it is; `None` if it does not exist.
    #[serde(serialize_with = "text")]
    #[schemars(with = "Option<String>")]
    pub(super) now: Option<State>,
    /// As it will be; `None` if it is removed.
    #[serde(serialize_with = "text")]
    #[schemars(with = "Option<String>")]
    pub(super) then: Option<State>,
    /// If it was edited since: the text that vgapt had left; `None` if it was not edited.
    pub edited_since: Option<String>,
    /// Whether that edit cannot be told apart from vgapt's own change; the file is then left unchanged.
    pub in_the_way: bool,
    /// Whether it is left unchanged, because it is in the way or a file that is needs it.
    #[serde(skip)]
    pub(super) left: bool,
}

#[expect(clippy::ref_option, reason = "serde passes the field")]
fn text<S: Serializer>(state: &Option<State>, serializer: S) -> Result<S::Ok, S::Error> {
    state.as_ref().map(State::text).serialize(serializer)
}

impl RestoredFile {
    /// The file that a receipt names, before anything of it is undone.
    pub(super) fn of(place: &str, target: &Target) -> Result<Self> {
        let now = target.read(place)?;
        let (then, place) = (now.clone(), target.real(place));
        Ok(Self { path: String::new(), place, now, then, edited_since: None, in_the_way: false, left: false })
    }

    /// Its present text; `None` if it does not exist.
    pub fn now(&self) -> Option<String> {
        self.now.as_ref().map(State::text)
    }

    /// Its text afterwards; `None` if it is removed.
    pub fn then(&self) -> Option<String> {
        self.then.as_ref().map(State::text)
    }

    /// Whether it changes, or was edited.
    pub(super) fn is_shown(&self) -> bool {
        self.edited_since.is_some() || !files::same_whole(self.now.as_ref(), self.then.as_ref())
    }
}

impl Write<StoredContent> {
    pub(super) fn carry_out(&self, result: Option<&State>, target: &Target, tell: &dyn Fn(&str)) -> Result<()> {
        tell(&format!("{} {}", if result.is_some() { "writing" } else { "removing" }, self.path));
        match result {
            Some(state) => target.put(&self.place, state)?.tell(&self.path, tell),
            None => target.remove(&self.place)?,
        }
        Ok(())
    }

    /// Takes this write, which is in the receipt `by`, out of the file; newer receipts are already taken out of it.
    /// `older` are the writes of this receipt and of older ones.
    pub(super) fn take_back<'a>(&self, by: &Stored, older: impl Iterator<Item = &'a Self>, file: &mut RestoredFile) -> Result<()> {
        file.path.clone_from(&self.path);
        let now = file.then.take();
        let digest = now.as_ref().map(State::digest);
        let is = |content: &Option<StoredContent>| content.as_ref().map(|content| &content.sha256) == digest.as_ref();
        let already_back = older.filter(|older| older.place == self.place).any(|older| is(&older.before));
        let before = self.before.as_ref().map(|content| by.content(content)).transpose()?;
        let before = before.map(|before| self.with_later_modes(before, now.as_ref()));
        let mut made = by.receipt.commands.iter().flat_map(|run| &run.made).filter(|made| made.path == self.place);
        // A command that did not finish may have left anything.
        let is_made = made.any(|made| made.after.is_none() || made.after == digest);
        if is_made || is(&self.after) || (already_back && is(&self.before)) {
            file.then = before;
        } else if already_back {
            file.then = now;
        } else {
            let left = self.after.as_ref().map(|content| by.content(content)).transpose()?;
            // The user edited what the newest receipt left; a conflict with any receipt is a conflict.
            file.edited_since.get_or_insert_with(|| left.as_ref().map(State::text).unwrap_or_default());
            let Some(now) = now else { return Ok(()) };
            let [left, before] = [&left, &before].map(|state| state.as_ref().map(|state| state.bytes.as_slice()).unwrap_or_default());
            file.then = match merge::without_ours(Texts { left, now: &now.bytes, before }, self.syntax()) {
                Some(bytes) if self.before.is_none() && bytes.is_empty() => None,
                Some(bytes) => Some(State { bytes, meta: now.meta }),
                // Both changed the same lines, and the words cannot be separated.
                None => {
                    file.in_the_way = true;
                    Some(now)
                }
            };
        }
        Ok(())
    }

    /// vgapt never changes modes, owners and attributes, so if they changed since, another tool or the user changed them.
    fn with_later_modes(&self, before: State, now: Option<&State>) -> State {
        let (Some(now), Some(left)) = (now, self.after.as_ref().or(self.before.as_ref())) else { return before };
        let (then, now, left) = (before.meta, &now.meta, &left.meta);
        let meta = Meta {
            mode: if now.mode == left.mode { then.mode } else { now.mode },
            uid: if now.uid == left.uid { then.uid } else { now.uid },
            gid: if now.gid == left.gid { then.gid } else { now.gid },
            // Where they were not recorded, the present ones stay.
            attributes: then.attributes.filter(|_| now.attributes == left.attributes).or_else(|| now.attributes.clone()),
        };
        State { bytes: before.bytes, meta }
    }

    /// How an edit is told apart from vgapt's own change.
    fn syntax(&self) -> FileSyntax {
        match loaders::syntax_of(&self.path) {
            // A file that vgapt created is not merged word by word.
            FileSyntax::Assignments | FileSyntax::Strings if self.before.is_none() => FileSyntax::Other,
            // mkinitcpio's lists are shell arrays.
            FileSyntax::Other if self.before.is_some() && self.path.starts_with("/etc/mkinitcpio.conf") => FileSyntax::Assignments,
            syntax => syntax,
        }
    }
}
