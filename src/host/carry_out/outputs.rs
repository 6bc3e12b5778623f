//! The files that a command makes: copies of them are stored before it runs, and they are compared afterwards.

use anyhow::Result;
use rustix::fs::FileType;

use crate::target::Target;
use crate::target::files;

/// The suffix of unified images.
pub(super) const UNIFIED: &str = ".efi";

/// A directory and a prefix of the names in it; if that is empty, everything below the directory.
fn split(pattern: &str) -> (&str, &str) {
    pattern.rsplit_once('/').unwrap_or(("", pattern))
}

/// Whether a file is one of those that a command makes.
pub(super) fn makes(patterns: &[String], path: &str) -> bool {
    patterns.iter().any(|pattern| path.starts_with(pattern.as_str()))
}

/// The files that a command makes: by path, by a prefix of their names, or all below a directory.
///
/// # Errors
/// If a directory cannot be read: copies of its files could not be stored.
pub(super) fn outputs(makes: &[String], target: &Target) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for pattern in makes {
        let (directory, prefix) = split(pattern);
        below(target, directory, prefix, prefix.is_empty(), &mut found)?;
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn below(target: &Target, directory: &str, prefix: &str, deep: bool, found: &mut Vec<String>) -> Result<()> {
    let Some(folder) = target.folder(if directory.is_empty() { "/" } else { directory })? else { return Ok(()) };
    let entries = folder.entries().map_err(|error| files::told("read", folder.shown(), &error))?;
    for (name, kind) in entries {
        let path = format!("{directory}/{name}");
        match kind {
            FileType::RegularFile if name.starts_with(prefix) => found.push(path),
            FileType::Directory if deep => below(target, &path, "", true, found)?,
            _ => {}
        }
    }
    Ok(())
}
