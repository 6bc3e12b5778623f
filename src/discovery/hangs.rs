//! Drivers that hang in the kernel: which, and why.

use super::kernel_log;
use super::observed::holders_of;
use crate::model::{HANGS, Hang, HangEvidence, Moment, PciAddress, Reading};
use crate::root::Root;

/// The most lines of the kernel's log, and the most functions of its stack.
const MOST_LINES: usize = 5;
const MOST_CALLS: usize = 12;
/// The kernel's function for a write to a file of sysfs (fs/kernfs/file.c).
const WRITE: &str = "kernfs_fop_write_iter";

/// The drivers that hang according to vgapt's records, and whose process has not ended.
///
/// # Errors
/// Where a record cannot be read.
pub fn hangs(root: &Root) -> Result<Vec<Hang>, String> {
    let names = root.entries(HANGS).into_result()?.unwrap_or_default();
    let found = names.iter().filter(|name| name.parse::<PciAddress>().is_ok()).map(|name| hang(root, name).into_result());
    Ok(found.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// The record of a function; absent if its process has ended.
fn hang(root: &Root, name: &str) -> Reading<Hang> {
    let path = format!("{HANGS}/{name}");
    let record = root.reading(&path).and_then(|text| serde_json::from_str::<Hang>(&text).map_err(|error| format!("{path}: {error}")));
    record.then(|hang| {
        root.reading(&format!("/proc/{}/stat", hang.pid))
            .then(|stat| if hang.is_in(&stat) { Reading::Known(hang) } else { Reading::Absent })
    })
}

/// Whether the driver of a function hangs, as far as is known.
pub(super) fn may_hang(root: &Root, function: PciAddress) -> bool {
    hang(root, &function.to_string()) != Reading::Absent
}

/// What shows why a driver hangs.
pub fn evidence(root: &Root, hang: &Hang) -> HangEvidence {
    let process = format!("/proc/{}", hang.pid);
    let module = root.link_name(&format!("/sys/bus/pci/drivers/{}/module", hang.function.driver)).map(|name| {
        let home = format!("/sys/module/{name}");
        let count = root.reading(&format!("{home}/refcnt")).map(|text| text.trim().to_owned());
        let users = root.names(&format!("{home}/holders"));
        (name, count, users)
    });
    let recent = |line: crate::model::LogLine| (line.at? >= Moment(hang.since)).then_some(line.text);
    let log = kernel_log::with_times(root).map(|lines| {
        let lines: Vec<String> = lines.into_iter().filter_map(recent).collect();
        lines[lines.len().saturating_sub(MOST_LINES)..].to_vec()
    });
    HangEvidence {
        stack: root.reading(&format!("{process}/stack")).map(|text| stack(&text)),
        sleeps_in: root.reading(&format!("{process}/wchan")).map(|text| text.trim().to_owned()),
        module,
        holders: holders_of(root, &hang.function.nodes),
        log,
    }
}

/// The functions of a `/proc/PID/stack`, whose lines are such as `[<0>] snd_card_free+0x5c/0x80 [snd]`; those above the write
/// to a file of sysfs are always the same.
fn stack(text: &str) -> Vec<String> {
    let call = |line: &str| {
        let call = line.split_once("] ")?.1;
        let (function, rest) = call.split_once('+').unwrap_or((call, ""));
        Some(rest.split_once(' ').map_or_else(|| function.to_owned(), |(_, module)| format!("{function} {module}")))
    };
    text.lines().filter_map(call).take_while(|call| call != WRITE).take(MOST_CALLS).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::model::{Bound, Holder};

    fn hang() -> Hang {
        let function =
            Bound { address: "0000:01:00.1".parse().unwrap(), driver: "snd_hda_intel".into(), nodes: vec!["/dev/snd/controlC0".into()] };
        Hang { function, releases: true, domain: "it".into(), pid: 31, started: 4321, since: 1_000_000_000 }
    }

    #[test]
    fn what_is_read_of_a_driver_that_hangs() {
        let tree = tempfile::tempdir().unwrap();
        let set = |path: &str, text: &str| {
            fs::create_dir_all(tree.path().join(path).parent().unwrap()).unwrap();
            fs::write(tree.path().join(path), text).unwrap();
        };
        let link = |target: &str, path: &str| {
            fs::create_dir_all(tree.path().join(path).parent().unwrap()).unwrap();
            symlink(target, tree.path().join(path)).unwrap();
        };
        set("proc/stat", "btime 900\n");
        set(
            "proc/31/stack",
            "[<0>] snd_card_free+0x5c/0x80 [snd]\n[<0>] pci_device_remove+0x3b/0xb0\n[<0>] kernfs_fop_write_iter+0x1/0x2\n[<0>] vfs_write+0x1/0x2\n",
        );
        set("proc/31/wchan", "snd_card_free");
        link("../../../../module/snd_hda_intel", "sys/bus/pci/drivers/snd_hda_intel/module");
        set("sys/module/snd_hda_intel/refcnt", "1\n");
        fs::create_dir_all(tree.path().join("sys/module/snd_hda_intel/holders")).unwrap();
        // One has the node open, one has mapped it and closed it; by now the driver has removed it.
        link("/dev/snd/controlC0 (deleted)", "proc/7/fd/3");
        set("proc/8/maps", "7f0-7f1 r--s 0 00:06 5    /dev/snd/controlC0 (deleted)\n7f2-7f3 r--p 0 00:06 6    /usr/lib/libc.so\n");
        fs::create_dir_all(tree.path().join("proc/8/fd")).unwrap();
        set("dev/kmsg", "6,1,99000000,-;before\n4,2,101000000,-;after\n");
        let root = Root::open(tree.path()).unwrap();
        let found = evidence(&root, &hang());
        assert_eq!(found.stack, Reading::Known(vec!["snd_card_free [snd]".to_owned(), "pci_device_remove".to_owned()]));
        assert_eq!(found.sleeps_in, Reading::Known("snd_card_free".to_owned()));
        assert_eq!(found.module, Some(("snd_hda_intel".to_owned(), Reading::Known("1".to_owned()), Vec::new())));
        let mut pids: Vec<u32> = found.holders.known.iter().map(|Holder { pid, .. }| *pid).collect();
        pids.sort_unstable();
        assert_eq!((pids, found.holders.unknown.as_deref()), (vec![7, 8], None));
        assert_eq!(found.log, Reading::Known(vec!["after".to_owned()]));
    }

    #[test]
    fn a_record_counts_while_its_process_lives() {
        let tree = tempfile::tempdir().unwrap();
        let root = Root::open(tree.path()).unwrap();
        let address = hang().function.address;
        assert_eq!((hangs(&root), may_hang(&root, address)), (Ok(Vec::new()), false));
        fs::create_dir_all(tree.path().join("run/vgapt/hangs")).unwrap();
        fs::create_dir_all(tree.path().join("proc/31")).unwrap();
        let record = tree.path().join(format!("run/vgapt/hangs/{address}"));
        fs::write(&record, serde_json::to_string(&hang()).unwrap()).unwrap();
        assert_eq!((hangs(&root), may_hang(&root, address)), (Ok(Vec::new()), false));
        fs::write(tree.path().join("proc/31/stat"), "31 (vgapt) D 1 31 31 0 -1 0 3 4 0 0 5 6 0 0 20 0 17 0 4321 1 2\n").unwrap();
        assert_eq!((hangs(&root), may_hang(&root, address)), (Ok(vec![hang()]), true));
        // A damaged record is of something that may hang.
        fs::write(&record, "{").unwrap();
        assert!(hangs(&root).is_err() && may_hang(&root, address));
    }
}
