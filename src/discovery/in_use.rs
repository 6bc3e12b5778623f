//! Which block devices the host uses: mounted, swapped to, or part of something bigger.

use crate::model::PciAddress;
use crate::root::Root;

const BLOCK: &str = "/sys/class/block";

/// What the host does with a disk, in words; `None` where nothing is known of it.
pub(super) fn use_of(root: &Root, path: &str) -> Option<String> {
    let name = path.strip_prefix("/dev/").map(|_| block_name(root, path))?;
    of_block(root, &name)
}

/// The disks behind these functions that the host uses, in words.
pub fn disks_behind(root: &Root, functions: &[PciAddress]) -> Vec<(PciAddress, String)> {
    let mut found = Vec::new();
    for name in root.names(BLOCK) {
        let Some(place) = root.link(&format!("{BLOCK}/{name}")) else { continue };
        let behind = functions.iter().find(|function| place.split('/').any(|part| part == function.to_string()));
        let used = behind.and_then(|function| Some((*function, format!("{name} is {}", of_block(root, &name)?))));
        found.extend(used);
    }
    found
}

/// `/dev/disk/by-id/x` leads to `../../sda`.
fn block_name(root: &Root, path: &str) -> String {
    let name = root.link_name(path).unwrap_or_else(|| path.to_owned());
    name.rsplit('/').next().unwrap_or_default().to_owned()
}

fn of_block(root: &Root, disk: &str) -> Option<String> {
    let parts = root.names(&format!("{BLOCK}/{disk}")).into_iter().filter(|part| part.starts_with(disk));
    let devices: Vec<String> = std::iter::once(disk.to_owned()).chain(parts).collect();
    let mounts = root.text("/proc/mounts").unwrap_or_default();
    let swaps = root.text("/proc/swaps").unwrap_or_default();
    let source = |line: &str| {
        let source = line.split_ascii_whitespace().next().filter(|source| source.starts_with("/dev/"))?;
        Some(block_name(root, source))
    };
    let is_ours = |line: &&str| source(line).is_some_and(|name| devices.contains(&name));
    if let Some(line) = mounts.lines().find(is_ours) {
        return Some(format!("mounted on {}", line.split_ascii_whitespace().nth(1).unwrap_or_default()));
    }
    if swaps.lines().any(|line| is_ours(&line)) {
        return Some("used for swapping".to_owned());
    }
    devices.iter().find_map(|device| {
        let holder = root.names(&format!("{BLOCK}/{device}/holders")).into_iter().next()?;
        Some(format!("part of {holder}"))
    })
}
