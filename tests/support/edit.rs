//! A change of a file in a tree.

use std::fs;
use std::path::Path;

/// Changes the text of a file.
pub(crate) fn edit(root: &Path, path: &str, change: impl FnOnce(String) -> String) {
    let place = root.join(path);
    let text = fs::read_to_string(&place).unwrap();
    fs::write(place, change(text)).unwrap();
}
