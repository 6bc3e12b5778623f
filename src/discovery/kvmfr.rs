//! kvmfr, the kernel module of Looking Glass: its node, its configuration, and whether libvirt lets QEMU open it.

use super::files::{QEMU_CONF, qemu_account};
use crate::model::{KVMFR_NODE, Kvmfr, MODPROBE_FOLDERS, Reading, allows_device};
use crate::root::{Root, Status};

/// What prepare writes with it.
const PREPARED: &str = "/etc/modules-load.d/vgapt-kvmfr.conf";
const READ_AND_WRITE: u32 = 6;

pub(super) fn read(root: &Root, kernel: Option<&str>) -> Kvmfr {
    let is_allowed = match root.reading(QEMU_CONF).and_then(|text| allows_device(&text, KVMFR_NODE)) {
        Reading::Absent if !root.is_live() => Reading::Unknown(format!("{QEMU_CONF} is not in what was read")),
        // Without the file libvirt's default counts.
        Reading::Absent => Reading::Known(false),
        // Only root may read it; what prepare wrote is written as a whole.
        Reading::Unknown(_) if root.text(PREPARED).is_ok_and(|text| text.contains("`vgapt prepare`")) => Reading::Known(true),
        known => known,
    };
    Kvmfr { node: node(root), mib: mib(root), module: module(root, kernel), is_allowed }
}

fn node(root: &Root) -> Reading<Option<bool>> {
    match root.status(KVMFR_NODE) {
        Some(status) if status.is_character_device => Reading::Known(qemu_may(root, status)),
        // QEMU makes a file in its place if the module is not loaded.
        Some(_) => Reading::Absent,
        None if root.is_live() && root.presence(KVMFR_NODE) == Some(false) => Reading::Absent,
        None => Reading::Unknown(format!("{KVMFR_NODE} is not in what was read")),
    }
}

/// Whether the user that QEMU runs as may use it.
fn qemu_may(root: &Root, status: Status) -> Option<bool> {
    let account = qemu_account(root)?;
    let shift = match () {
        () if status.uid == account.uid => 6,
        () if account.gids.contains(&status.gid) => 3,
        () => 0,
    };
    Some(status.mode >> shift & READ_AND_WRITE == READ_AND_WRITE)
}

/// The module's parameter is not in sysfs (`module_param_array` with 0000 in Looking Glass's module/kvmfr.c), so that only the
/// configuration tells it.
fn mib(root: &Root) -> Reading<u64> {
    let mut found: Vec<(String, u64)> = Vec::new();
    for folder in MODPROBE_FOLDERS {
        for path in root.names(folder).into_iter().filter(|name| name.ends_with(".conf")).map(|name| format!("{folder}/{name}")) {
            match root.excerpt(&path, |text| text.split_inclusive('\n').filter(|line| size_in(line).is_some()).collect()) {
                Some(text) => found.extend(text.lines().filter_map(size_in).map(|mib| (path.clone(), mib))),
                None => return Reading::Unknown(format!("cannot read {path}")),
            }
        }
    }
    match &found[..] {
        [] => Reading::Absent,
        [(path, mib), rest @ ..] if rest.iter().all(|(_, other)| other == mib) => {
            let is_newer = root.changed(path).zip(root.changed(KVMFR_NODE)).is_some_and(|(file, node)| file > node);
            if is_newer {
                return Reading::Unknown(format!("{path} was changed after the module was loaded"));
            }
            Reading::Known(*mib)
        }
        [(path, _), ..] => Reading::Unknown(format!("{path} and other lines give kvmfr different sizes")),
    }
}

/// The size of the first device in `options kvmfr static_size_mb=64,128`.
fn size_in(line: &str) -> Option<u64> {
    let mut words = line.split_ascii_whitespace();
    (words.next() == Some("options") && words.next() == Some("kvmfr")).then_some(())?;
    words.filter_map(|word| word.strip_prefix("static_size_mb=")?.split(',').next()?.parse().ok()).next_back()
}

fn module(root: &Root, kernel: Option<&str>) -> Reading<bool> {
    let Some(release) = kernel else { return Reading::Unknown("the release of the running kernel is unknown".to_owned()) };
    let list = format!("/lib/modules/{release}/modules.dep");
    let is_it =
        |line: &&str| line.split(':').next().is_some_and(|path| path.rsplit('/').next().unwrap_or_default().starts_with("kvmfr.ko"));
    match root.excerpt(&list, |text| text.split_inclusive('\n').filter(is_it).collect()) {
        // A capture has only the lines that earlier versions asked for.
        Some(text) if text.is_empty() && root.is_capture() => Reading::Unknown(format!("the capture may not contain all of {list}")),
        Some(text) => Reading::Known(!text.is_empty()),
        None => Reading::Unknown(format!("cannot read {list}")),
    }
}
