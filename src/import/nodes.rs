//! Block nodes: `-blockdev`, possibly nested.

use super::draft::Draft;

/// The image behind a block node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct File {
    pub(super) path: String,
    pub(super) format: String,
    pub(super) read_only: bool,
    pub(super) cache: Option<&'static str>,
    pub(super) aio: Option<String>,
    pub(super) discard: Option<String>,
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
    let mut file = if ["file", "host_device", "host_cdrom"].contains(&driver.as_str()) {
        File { path: draft.take(index, "filename")?, format: "raw".into(), ..File::default() }
    } else {
        let below = draft.take(index, "file");
        let mut file = match below {
            Some(below) => take_below(draft, &below, above)?,
            None => {
                draft.take(index, "file.driver");
                File { path: draft.take(index, "file.filename")?, ..File::default() }
            }
        };
        file.format = driver;
        file
    };
    for prefix in ["", "file."] {
        let mut taken = |name: &str| draft.take(index, &format!("{prefix}{name}"));
        file.aio = taken("aio").or(file.aio);
        file.discard = taken("discard").or(file.discard);
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
