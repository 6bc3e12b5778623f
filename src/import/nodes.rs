//! Block nodes: `-blockdev`, possibly nested.

use super::draft::Draft;
use super::table;
use crate::xml::Fragment;

/// Formats of images that libvirt has.
const FORMATS: &str = "raw qcow2 qcow qed vmdk vdi vpc vhdx parallels bochs cloop dmg";
/// Encrypted images.
const ENCRYPTED: [&str; 2] = ["encrypt.key-secret", "key-secret"];

/// The image behind a block node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct File {
    pub(super) path: String,
    pub(super) format: String,
    pub(super) read_only: bool,
    /// What becomes of the guest's discards.
    pub(super) discard: Option<String>,
    /// What the table has of its properties.
    pub(super) element: Fragment,
    /// The group of its limits.
    pub(super) limits: Option<usize>,
    /// The options that it was read from.
    pub(super) options: Vec<usize>,
}

/// The image behind a node, if it is a file or a device with a format. The options are not settled yet.
pub(super) fn take(draft: &mut Draft, node: &str) -> Option<File> {
    let mut file = take_below(draft, node, &mut Vec::new())?;
    if let Some(discard) = file.discard.take() {
        file.element.set("driver@discard", if discard == "on" { "unmap" } else { &discard });
    }
    Some(file)
}

/// The same for a node below others. A node that refers to itself is skipped, as QEMU refuses it.
fn take_below(draft: &mut Draft, node: &str, above: &mut Vec<usize>) -> Option<File> {
    let index = draft.with("blockdev", "node-name", node).filter(|index| !above.contains(index))?;
    above.push(index);
    backing(draft, index);
    let mut file = take_within(draft, index, "", above)?;
    file.options.push(index);
    file.options.extend(file.limits.filter(|limits| !file.options.contains(limits)));
    Some(file)
}

/// The same for a node that is written within the one above it, as `file.…`.
fn take_within(draft: &mut Draft, index: usize, prefix: &str, above: &mut Vec<usize>) -> Option<File> {
    let own = |name: &str| format!("{prefix}{name}");
    let driver = draft.take(index, &own("driver")).unwrap_or_else(|| "file".to_owned());
    if ENCRYPTED.iter().any(|name| draft.peek(index, &own(name)).is_some()) {
        let remedy = "make a libvirt secret of its key (virsh secret-define), and write the disk by hand: <encryption> with <secret>";
        draft.refuse(index, "the image is encrypted, and libvirt gets the key from a <secret> of its own", remedy);
        return None;
    }
    let is_format = table::has(FORMATS, &driver);
    let mut file = match driver.as_str() {
        "file" | "host_device" | "host_cdrom" => {
            File { path: draft.take(index, &own("filename"))?, format: "raw".into(), ..File::default() }
        }
        "nvme" => {
            let [device, namespace] = ["device", "namespace"].map(|name| draft.take(index, &own(name)));
            File { path: format!("nvme://{}/{}", device?, namespace?), format: "raw".into(), ..File::default() }
        }
        _ if !is_format && !["copy-on-read", "throttle"].contains(&driver.as_str()) => return None,
        _ => match draft.take(index, &own("file")) {
            Some(below) => take_below(draft, &below, above)?,
            None => take_within(draft, index, &own("file."), above)?,
        },
    };
    if is_format {
        file.format.clone_from(&driver);
    }
    if let Some(group) = draft.take(index, &own("throttle-group")) {
        file.limits = draft.with("object", "id", &group);
    }
    // Of the nodes of an image the uppermost decides whether the guest's discards are passed on (`bdrv_co_pdiscard`).
    let discard = draft.take(index, &own("discard"));
    if driver == "copy-on-read" {
        file.element.set("driver@copy_on_read", "on");
    } else {
        file.discard = discard;
    }
    draft.fill_prefixed(index, "node", prefix, &mut file.element);
    file.read_only |= draft.flag(index, &own("read-only")) == Some(true);
    let [direct, no_flush] = ["cache.direct", "cache.no-flush"].map(|name| draft.flag(index, &own(name)) == Some(true));
    let has_cache = file.element.at("driver").is_some_and(|driver| driver.attribute("cache").is_some());
    if direct || (no_flush && !has_cache) {
        file.element.set("driver@cache", if direct { "none" } else { "unsafe" });
    }
    Some(file)
}

/// The images below an overlay: libvirt finds them by the overlay's header, as QEMU does where they are not given.
fn backing(draft: &mut Draft, index: usize) {
    let Some(mut node) = draft.peek(index, "backing").map(str::to_owned) else { return };
    if node == "null" {
        return;
    }
    draft.take(index, "backing");
    let why = "libvirt finds the backing images by the header of the overlay (qemu-img info --backing-chain)";
    while let Some(below) = draft.with("blockdev", "node-name", &node) {
        let next = ["file", "backing"].map(|name| draft.peek(below, name).map(str::to_owned));
        draft.drop(below, why);
        let [file, further] = next;
        if let Some(file) = file.and_then(|file| draft.with("blockdev", "node-name", &file)) {
            draft.drop(file, why);
        }
        let Some(further) = further else { return };
        node = further;
    }
}
