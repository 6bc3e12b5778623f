//! What a storage pool's XML says of its folder.

use vgapt::xml::Element;

/// The types of pools whose volumes are the files of a folder. The folder can be read even if the pool is not active.
const OF_FOLDERS: [&str; 5] = ["dir", "fs", "netfs", "gluster-fuse", "vstorage"];

/// The folder of its volumes, if it has one, and whether they are the files in it.
pub(super) fn folder(root: Element<'_>) -> (Option<String>, bool) {
    let target = root.at("target/path").map(Element::text).map(str::to_owned);
    let is_folder = target.is_some() && root.attribute("type").is_some_and(|kind| OF_FOLDERS.contains(&&*kind));
    (target, is_folder)
}
