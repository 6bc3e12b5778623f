//! The processes that use a device. Unbinding a device while a process has its nodes open hangs the kernel.

use crate::model::{Holder, Holders, PciAddress, Reading};
use crate::root::Root;

/// The processes that have nodes of these functions open; only root can check other users' processes.
pub fn holders(root: &Root, functions: &[PciAddress]) -> Holders {
    let nodes: Vec<String> = functions.iter().flat_map(|function| nodes(root, *function)).collect();
    let mut holders = Holders::default();
    if nodes.is_empty() {
        return holders;
    }
    let processes = root.entries("/proc");
    holders.unknown = processes.unknown().map(str::to_owned);
    for pid in processes.known().into_iter().flatten().filter_map(|name| name.parse::<u32>().ok()) {
        match holder(root, pid, &nodes) {
            Reading::Known(holder) => holders.known.extend(holder),
            // The process has ended.
            Reading::Absent => {}
            Reading::Unknown(because) => holders.unknown = holders.unknown.or(Some(because)),
        }
    }
    holders
}

fn holder(root: &Root, pid: u32, nodes: &[String]) -> Reading<Option<Holder>> {
    let descriptors = format!("/proc/{pid}/fd");
    root.entries(&descriptors).map(|open| holder_of(root, pid, &descriptors, &open, nodes))
}

fn holder_of(root: &Root, pid: u32, descriptors: &str, open: &[String], nodes: &[String]) -> Option<Holder> {
    let mut open: Vec<String> =
        open.iter().filter_map(|fd| root.link(&format!("{descriptors}/{fd}"))).filter(|target| nodes.contains(target)).collect();
    open.sort_unstable();
    open.dedup();
    let name = || root.attribute(&format!("/proc/{pid}/comm")).unwrap_or_else(|| "unknown".into());
    (!open.is_empty()).then(|| Holder { pid, name: name(), nodes: open })
}

/// The device nodes of a function in `/dev`: graphics, sound, and those of NVIDIA's driver.
fn nodes(root: &Root, function: PciAddress) -> Vec<String> {
    let home = format!("/sys/bus/pci/devices/{function}");
    let mut nodes: Vec<String> = root.names(&format!("{home}/drm")).iter().map(|name| format!("/dev/dri/{name}")).collect();
    for card in root.names(&format!("{home}/sound")) {
        for entry in root.names(&format!("{home}/sound/{card}")) {
            // `controlC1`, `pcmC1D3p`, `hwC1D0`, …
            if ["control", "pcm", "hw", "midi"].iter().any(|prefix| entry.starts_with(prefix)) {
                nodes.push(format!("/dev/snd/{entry}"));
            }
        }
    }
    if let Ok(information) = root.text(&format!("/proc/driver/nvidia/gpus/{function}/information")) {
        let minor = information.lines().find_map(|line| line.strip_prefix("Device Minor:"));
        nodes.extend(minor.map(|minor| format!("/dev/nvidia{}", minor.trim())));
        // These nodes are shared by all cards of the driver; with a single card they belong to it.
        if root.names("/proc/driver/nvidia/gpus").len() == 1 {
            nodes.extend(["/dev/nvidia-modeset", "/dev/nvidia-uvm", "/dev/nvidiactl"].map(str::to_owned));
        }
    }
    nodes
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn open_files_that_cannot_be_read_are_unknown() {
        let tree = tempfile::tempdir().unwrap();
        let at = |path: &str| tree.path().join(path);
        let function: PciAddress = "0000:01:00.0".parse().unwrap();
        fs::create_dir_all(at(&format!("sys/bus/pci/devices/{function}/drm/card0"))).unwrap();
        fs::create_dir_all(at("proc/7/fd")).unwrap();
        fs::create_dir_all(at("proc/8")).unwrap();
        let root = Root::open(tree.path()).unwrap();
        // Process 8 has ended: its folder is being removed.
        assert_eq!(holders(&root, &[function]), Holders::default());
        // A symlink loop simulates a folder that even root cannot read.
        symlink("fd", at("proc/8/fd")).unwrap();
        let seen = holders(&root, &[function]);
        assert!(seen.known.is_empty() && seen.unknown.is_some_and(|because| because.contains("/proc/8/fd")));
        symlink("/dev/dri/card0", at("proc/7/fd/3")).unwrap();
        let seen = holders(&root, &[function]);
        assert_eq!((seen.known[0].pid, seen.known[0].nodes.join(" ")), (7, "/dev/dri/card0".to_owned()));
        assert!(seen.unknown.is_some());
    }
}
