//! Trees that stand for hosts, and what is in them byte for byte.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use vgapt::root::{Capture, Node};

/// The machine that the distributions of fixtures/distributions run on.
pub(crate) const MACHINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/distributions/machine.part");

/// A distribution's files on that machine.
pub(crate) fn distribution(name: &str) -> TempDir {
    let own = format!("{}/fixtures/distributions/{name}.host", env!("CARGO_MANIFEST_DIR"));
    unpacked(&[Path::new(MACHINE), Path::new(&own)])
}

/// A tree with all that these captures have, with its modes.
pub(crate) fn unpacked(captures: &[&Path]) -> TempDir {
    let root = TempDir::new().expect("a temporary folder");
    for file in captures {
        let capture = Capture::load(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        capture.unpack(root.path()).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        for (path, entry) in capture.entries().filter(|(_, entry)| !matches!(entry.node, Node::Link(_))) {
            let mode = fs::Permissions::from_mode(entry.mode);
            fs::set_permissions(root.path().join(path.trim_start_matches('/')), mode).expect("own tree");
        }
    }
    root
}

/// One thing in a tree: what can be seen of it from outside, but not when it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) mode: u32,
    owner: (u32, u32),
    pub(crate) content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    File(Vec<u8>),
    Link(PathBuf),
    Other,
}

/// Everything in a tree by its path in it; no link is followed.
pub(crate) fn walk(root: &Path) -> BTreeMap<String, Item> {
    let mut all = BTreeMap::new();
    add(root, root, &mut all);
    all
}

fn add(root: &Path, place: &Path, all: &mut BTreeMap<String, Item>) {
    let status = fs::symlink_metadata(place).expect("own tree");
    let content = if status.is_symlink() {
        Content::Link(fs::read_link(place).expect("own tree"))
    } else if status.is_file() {
        Content::File(fs::read(place).expect("own tree"))
    } else {
        Content::Other
    };
    let path = format!("/{}", place.strip_prefix(root).expect("below it").display());
    all.insert(path, Item { mode: status.mode(), owner: (status.uid(), status.gid()), content });
    if status.is_dir() {
        for entry in fs::read_dir(place).expect("own tree") {
            add(root, &entry.expect("own tree").path(), all);
        }
    }
}

/// What differs between two trees, a line each; empty where nothing does.
pub(crate) fn differences(before: &BTreeMap<String, Item>, after: &BTreeMap<String, Item>) -> Vec<String> {
    let mut lines = Vec::new();
    for path in before.keys().chain(after.keys().filter(|path| !before.contains_key(*path))) {
        match (before.get(path), after.get(path)) {
            (Some(_), None) => lines.push(format!("{path} is gone")),
            (None, Some(_)) => lines.push(format!("{path} is new")),
            (Some(old), Some(new)) if old.mode != new.mode => lines.push(format!("{path}: mode {:o}, was {:o}", new.mode, old.mode)),
            (Some(old), Some(new)) if old != new => lines.push(format!("{path} is another one")),
            _ => {}
        }
    }
    lines
}

#[track_caller]
pub(crate) fn assert_same(before: &BTreeMap<String, Item>, after: &BTreeMap<String, Item>, what: &str) {
    let differences = differences(before, after);
    assert!(differences.is_empty(), "{what}:\n{}", differences.join("\n"));
}
