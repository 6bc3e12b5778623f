//! Block nodes: `-blockdev`, possibly nested.

use super::draft::Draft;
use super::table;

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
    pub(super) cache: Option<&'static str>,
    pub(super) aio: Option<String>,
    pub(super) discard: Option<String>,
    pub(super) detect_zeroes: Option<String>,
    pub(super) copy_on_read: bool,
    /// The options that it was read from.
    pub(super) options: Vec<usize>,
}

/// The image behind a node, if it is a file or a device with a format. The options are not settled yet.
pub(super) fn take(draft: &mut Draft, node: &str) -> Option<File> {
    take_below(draft, node, &mut Vec::new())
}

/// The same for a node below others. A node that refers to itself is skipped, as QEMU refuses it.
fn take_below(draft: &mut Draft, node: &str, above: &mut Vec<usize>) -> Option<File> {
    let index = draft.with("blockdev", "node-name", node).filter(|index| !above.contains(index))?;
    above.push(index);
    let driver = draft.peek(index, "driver")?.to_owned();
    if ENCRYPTED.iter().any(|name| draft.peek(index, name).is_some()) {
        let remedy = "make a libvirt secret of its key (virsh secret-define), and write the disk by hand: <encryption> with <secret>";
        draft.refuse(index, "the image is encrypted, and libvirt gets the key from a <secret> of its own", remedy);
        return None;
    }
    let mut file = if ["file", "host_device", "host_cdrom"].contains(&driver.as_str()) {
        File { path: draft.take(index, "filename")?, format: "raw".into(), ..File::default() }
    } else if driver == "copy-on-read" {
        let below = draft.take(index, "file")?;
        File { copy_on_read: true, ..take_below(draft, &below, above)? }
    } else if !table::has(FORMATS, &driver) {
        return None;
    } else {
        let below = draft.take(index, "file");
        let mut file = match below {
            Some(below) => take_below(draft, &below, above)?,
            None => {
                draft.take(index, "file.driver");
                File { path: draft.take(index, "file.filename")?, ..File::default() }
            }
        };
        file.format.clone_from(&driver);
        file
    };
    backing(draft, index);
    // Of the nodes of an image the uppermost decides whether the guest's discards are passed on (`bdrv_co_pdiscard`).
    let discard = draft.take(index, "discard");
    if driver != "copy-on-read" {
        file.discard = discard;
    }
    file.detect_zeroes = draft.take(index, "detect-zeroes").or(file.detect_zeroes).filter(|mode| mode != "off");
    for prefix in ["", "file."] {
        let mut taken = |name: &str| draft.take(index, &format!("{prefix}{name}"));
        file.aio = taken("aio").or(file.aio);
        file.read_only |= taken("read-only").as_deref() == Some("on");
        taken("auto-read-only");
        taken("node-name");
        match (taken("cache.direct").as_deref(), taken("cache.no-flush").as_deref()) {
            (Some("on"), _) => file.cache = Some("none"),
            (_, Some("on")) => file.cache = file.cache.or(Some("unsafe")),
            _ => {}
        }
    }
    draft.take(index, "driver");
    file.options.push(index);
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
