//! Writes an attribute from a process of its own: the kernel may never return from the write.

use std::ffi::OsString;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::Target;
use crate::run::Apart;

/// With this first argument, vgapt writes an attribute.
const WORD: &str = "--write-attribute";
const LIVE: &str = "live";
const TREE: &str = "tree";

impl Target {
    /// Writes a sysfs attribute like `set_attribute`, but does not wait for it beyond this moment. Returns the process
    /// that has not come back from the write.
    pub(crate) fn set_attribute_by(&self, path: &str, value: &str, end: Instant) -> Result<Option<Apart>> {
        let root = self.shown("/");
        let root = root.to_str().context("the path of the tree is not UTF-8")?;
        let mut process = Apart::start(&[WORD, if self.is_live() { LIVE } else { TREE }, root, path, value])?;
        Ok(if process.ended_by(end)?.is_some() { None } else { Some(process) })
    }
}

/// Writes an attribute if the arguments of this program say so; `main` calls it. Returns `None` if they do not.
pub fn write_attribute(mut arguments: impl Iterator<Item = OsString>) -> Option<Result<()>> {
    if arguments.next()?.to_str() != Some(WORD) {
        return None;
    }
    let texts: Vec<String> = arguments.filter_map(|argument| argument.into_string().ok()).collect();
    let [kind, root, path, value] = texts.as_slice() else {
        return Some(Err(anyhow::anyhow!("{WORD} is only for vgapt's internal use")));
    };
    Some(Target::open(Path::new(root), kind == LIVE).and_then(|target| target.set_attribute(path, value)))
}
