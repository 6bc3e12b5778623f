//! What a process of its own does: it writes an attribute, from which the kernel may never return, or removes a directory when
//! this process has ended.

use std::ffi::OsString;
use std::io::{copy, sink, stdin};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::Target;
use crate::interrupt::Interrupt;
use crate::run::{Apart, AtEnd};

/// With this first argument, vgapt writes an attribute.
const WORD: &str = "--write-attribute";
/// With this first argument, vgapt removes a directory at the end of its standard input.
const REMOVE: &str = "--remove-directory-at-the-end";
/// How often it tries to: the kernel refuses while files in it are open, which a process that is killed closes one by one.
const TRIES: u32 = 50;
const INTERVAL: Duration = Duration::from_millis(100);
const LIVE: &str = "live";
const TREE: &str = "tree";

impl Target {
    /// Writes a sysfs attribute like `set_attribute`, but does not wait for it beyond this moment. Returns the process
    /// that has not come back from the write.
    pub(crate) fn set_attribute_by(&self, path: &str, value: &str, end: Instant) -> Result<Option<Apart>> {
        let (kind, root) = self.named()?;
        let mut process = Apart::start(&[WORD, kind, &root, path, value])?;
        Ok(if process.ended_by(end)?.is_some() { None } else { Some(process) })
    }

    /// A directory, which need not exist yet, that is removed when this process has ended, however it ended, or at once by
    /// `AtEnd::now`.
    pub(crate) fn remove_directory_at_end(&self, path: &str) -> Result<AtEnd> {
        let (kind, root) = self.named()?;
        AtEnd::start(&[REMOVE, kind, &root, path])
    }

    /// This host, for another process of this program.
    fn named(&self) -> Result<(&'static str, String)> {
        let root = self.shown("/").to_str().context("the path of the tree is not UTF-8")?.to_owned();
        Ok((if self.is_live() { LIVE } else { TREE }, root))
    }
}

/// Does what a process of its own is for if the arguments of this program say so; `main` calls it. Returns `None` if they do
/// not.
pub fn apart(mut arguments: impl Iterator<Item = OsString>) -> Option<Result<()>> {
    let first = arguments.next()?;
    let word = [WORD, REMOVE].into_iter().find(|word| first.to_str() == Some(*word))?;
    let texts: Vec<String> = arguments.filter_map(|argument| argument.into_string().ok()).collect();
    let open = |kind: &str, root: &str| Target::open(Path::new(root), kind == LIVE);
    Some(match (word, texts.as_slice()) {
        (WORD, [kind, root, path, value]) => open(kind, root).and_then(|target| target.set_attribute(path, value)),
        (REMOVE, [kind, root, path]) => open(kind, root).and_then(|target| remove_at_end(&target, path)),
        _ => Err(anyhow::anyhow!("{word} is only for vgapt's internal use")),
    })
}

fn remove_at_end(target: &Target, path: &str) -> Result<()> {
    // From now on no signal but SIGKILL ends this process.
    let _caught = Interrupt::watch()?;
    copy(&mut stdin(), &mut sink())?;
    let mut removed = target.remove_directory(path);
    for _ in 1..TRIES {
        if removed.is_ok() {
            break;
        }
        sleep(INTERVAL);
        removed = target.remove_directory(path);
    }
    removed
}
