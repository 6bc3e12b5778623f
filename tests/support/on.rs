//! vgapt on a tree of files, and a file in it.

use std::fs;
use std::path::Path;

use super::command::{Ran, run, vgapt};

/// vgapt on a host's files, with libvirt's test driver.
pub(crate) fn on(root: &Path, arguments: &[&str]) -> Ran {
    run(&mut vgapt(["--root", root.to_str().unwrap(), "-c", "test:///default"].iter().chain(arguments)))
}

/// Writes a file, and makes its folders.
pub(crate) fn put(root: &Path, path: &str, text: &str) {
    let place = root.join(path);
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(place, text).unwrap();
}
