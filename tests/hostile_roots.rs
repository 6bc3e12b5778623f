//! Trees that no kernel makes: whatever is in them, there is an answer or a clear error, no panic.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use proptest::prelude::*;
use tempfile::TempDir;
use vgapt::discovery::{self, Scope};
use vgapt::host::Bind;
use vgapt::readiness::{self, Input};
use vgapt::root::{Capture, Root};
use vgapt::{output, passthrough};

fn vgapt(root: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vgapt")).arg("--root").arg(root).args(arguments).output().unwrap()
}

fn write(root: &TempDir, path: &str, content: impl AsRef<[u8]>) {
    let place = root.path().join(path);
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(place, content).unwrap();
}

const CARD: &str = "sys/bus/pci/devices/0000:01:00.0";

/// The listing as JSON; it must have come out well.
fn listed(root: &TempDir) -> serde_json::Value {
    let output = vgapt(root.path(), &["list", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn an_empty_tree() {
    let root = TempDir::new().unwrap();
    let listed = vgapt(root.path(), &["list", "--json"]);
    assert_eq!(listed.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!((json["iommu"].as_str(), json["gpus"].as_array().map(Vec::len)), (Some("unknown"), Some(0)));
    let table = vgapt(root.path(), &["list"]);
    assert!(String::from_utf8_lossy(&table.stdout).contains("unknown: /sys/bus/pci/devices: there is no sysfs here"));
}

#[test]
fn no_tree_at_all() {
    let output = vgapt(Path::new("/nonexistent"), &["list"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("remedy: --root takes"));
    let file = tempfile::NamedTempFile::new().unwrap();
    assert_eq!(vgapt(file.path(), &["list"]).status.code(), Some(3));
}

#[test]
fn truncated_and_missing_attributes() {
    let root = TempDir::new().unwrap();
    write(&root, &format!("{CARD}/uevent"), "DRIVER=nouveau\nPCI_CLASS=30000\nPCI_ID=10D");
    write(&root, &format!("{CARD}/vendor"), "0x10de\n");
    write(&root, &format!("{CARD}/device"), "0x14");
    fs::create_dir_all(root.path().join("sys/bus/pci/devices/0000:02:00.0")).unwrap();
    fs::create_dir_all(root.path().join("sys/bus/pci/devices/not a device")).unwrap();
    let json = listed(&root);
    assert_eq!((json["gpus"][0]["id"].as_str(), json["gpus"][0]["driver"].as_str()), (Some("10de:0014"), Some("nouveau")));
}

#[test]
fn a_million_bytes_where_a_word_should_be() {
    let root = TempDir::new().unwrap();
    let long = "A".repeat(1_000_000);
    for name in ["uevent", "vendor", "device", "class", "boot_vga", "reset_method", "resource", "numa_node", "config"] {
        write(&root, &format!("{CARD}/{name}"), &long);
    }
    for path in [
        "proc/cpuinfo",
        "proc/meminfo",
        "proc/cmdline",
        "etc/os-release",
        "proc/mounts",
        "usr/share/hwdata/pci.ids",
        "sys/devices/system/cpu/online",
    ] {
        write(&root, path, &long);
    }
    assert_eq!(listed(&root)["gpus"].as_array().map(Vec::len), Some(0));
}

#[test]
fn links_in_circles_and_out_of_the_tree() {
    let root = TempDir::new().unwrap();
    let devices = root.path().join("sys/bus/pci/devices");
    fs::create_dir_all(&devices).unwrap();
    symlink("0000:01:00.0", devices.join("0000:01:00.0")).unwrap();
    symlink("../../../..", devices.join("0000:02:00.0")).unwrap();
    symlink("/etc", devices.join("0000:03:00.0")).unwrap();
    write(&root, "etc/uevent", "PCI_CLASS=30000\nPCI_ID=10DE:1401\n");
    symlink("/sys/kernel/iommu_groups/7", root.path().join("etc/iommu_group")).unwrap();
    let json = listed(&root);
    assert_eq!(json["gpus"][0]["address"], "0000:03:00.0", "an absolute link leads to a place in the tree");
    assert_eq!(json["gpus"][0]["groups"], serde_json::json!([7]));
}

#[test]
fn files_and_folders_change_places() {
    let root = TempDir::new().unwrap();
    write(&root, "sys/bus/pci/devices", "a file");
    fs::create_dir_all(root.path().join("proc/cpuinfo")).unwrap();
    fs::create_dir_all(root.path().join("etc/os-release")).unwrap();
    listed(&root);
    let root = TempDir::new().unwrap();
    fs::create_dir_all(root.path().join(CARD).join("uevent")).unwrap();
    fs::create_dir_all(root.path().join(CARD).join("iommu_group")).unwrap();
    listed(&root);
}

/// A folder that goes and comes between two looks is absent or whole, and never empty: it is looked at once.
#[test]
fn a_folder_that_is_never_empty_is_never_seen_empty() {
    let tree = TempDir::new().unwrap();
    write(&tree, "here/name", "");
    let root = Root::open(tree.path()).unwrap();
    let stop = AtomicBool::new(false);
    let seen: BTreeSet<String> = thread::scope(|scope| {
        scope.spawn(|| {
            let (here, away) = (tree.path().join("here"), tree.path().join("away"));
            while !stop.load(Ordering::Relaxed) {
                fs::rename(&here, &away).unwrap();
                fs::rename(&away, &here).unwrap();
            }
        });
        let seen = (0..50_000).map(|_| format!("{:?}", root.entries("/here"))).collect();
        stop.store(true, Ordering::Relaxed);
        seen
    });
    let known = r#"Known(["name"])"#;
    assert!(seen.contains(known) && seen.iter().all(|one| one == known || one == "Absent"), "{seen:?}");
}

#[test]
fn a_pipe_does_not_hold_us_up() {
    let root = TempDir::new().unwrap();
    fs::create_dir_all(root.path().join(CARD)).unwrap();
    let pipe = root.path().join(CARD).join("uevent");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    listed(&root);
}

#[test]
fn bytes_that_are_no_text() {
    let root = TempDir::new().unwrap();
    write(&root, &format!("{CARD}/uevent"), b"DRIVER=\xff\xfe\nPCI_CLASS=30000\nPCI_ID=10DE:1401\n");
    write(&root, "proc/cpuinfo", b"flags: \xff\n");
    assert_eq!(listed(&root)["gpus"][0]["id"], "10de:1401");
}

/// Sequences that turn colours, clear the screen, name the window, and write from right to left.
const COMMANDS: &str = "\x1b[2J\x1b]0;title\x07\x1b[31m\u{9b}8m\u{202e}\x7f";

#[test]
fn nothing_of_a_tree_commands_the_terminal() {
    let root = TempDir::new().unwrap();
    write(&root, &format!("{CARD}/uevent"), format!("DRIVER=nou{COMMANDS}veau\nPCI_CLASS=30000\nPCI_ID=10DE:1401\n"));
    write(&root, "usr/share/hwdata/pci.ids", format!("10de  NVIDIA{COMMANDS}\n\t1401  GTX{COMMANDS} 960\n"));
    write(&root, "sys/class/dmi/id/board_name", format!("Board{COMMANDS}\n"));
    write(&root, "etc/os-release", format!("ID=debian\nPRETTY_NAME=\"Debian{COMMANDS}\"\n"));
    write(&root, "proc/cmdline", format!("quiet {COMMANDS}\n"));
    write(&root, "etc/default/grub", format!("GRUB_CMDLINE_LINUX=\"{COMMANDS}\"\n"));
    write(&root, &format!("etc/modprobe.d/{COMMANDS}.conf").replace('\u{9b}', ""), format!("options vfio-pci ids=10de:1401 {COMMANDS}\n"));
    let file = root.path().join("machine.host");
    assert!(!vgapt(root.path(), &["capture", file.to_str().unwrap()]).status.success() && !file.exists(), "nobody was asked");
    let capture = vgapt(root.path(), &["capture", "--yes", file.to_str().unwrap()]);
    assert!(capture.status.success(), "{}", String::from_utf8_lossy(&capture.stderr));
    let mut told = 0;
    for place in [root.path(), &file] {
        for command in [
            ["list"].as_slice(),
            &["list", "--all", "--groups"],
            &["list", "--json"],
            &["check"],
            &["check", "-v"],
            &["prepare", "--dry-run"],
            &["nosuch"],
        ] {
            for colours in ["always", "never"] {
                let output = vgapt(place, &[command, &["--color", colours]].concat());
                let mut text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
                told += text.matches("u001b[2J").count();
                if colours == "always" {
                    for own in ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[33m", "\x1b[4m"] {
                        text = text.replace(own, "");
                    }
                    // The one of ours that is among those of the tree's: at the beginning of what is painted.
                    assert!(!text.contains("\u{9b}") && !text.contains("\x1b[2J") && !text.contains("\x1b]"), "{command:?} {text:?}");
                    assert!(!text.contains("\\u0007\x1b[31m"), "{command:?} {text:?}");
                } else {
                    let is_command = |c: char| (c.is_control() && !"\n\t".contains(c)) || c == '\u{202e}';
                    assert!(!text.contains(is_command), "{command:?} {text:?}");
                }
            }
        }
    }
    assert!(told > 10, "what is in the tree is shown: {told}");
}

proptest! {
    /// Law 6, for the whole reading side: any text in any file of a machine.
    #[test]
    fn reading_never_panics(content in proptest::collection::vec("\\PC{0,60}|0000:0[0-3]:00\\.[0-3]|0x[0-9a-f]{1,16}|[0-9]{1,20}(-[0-9]{1,20})?", 27)) {
        let mut capture = Capture::default();
        let card = "/sys/devices/0000:01:00.0";
        let files = ["uevent", "vendor", "device", "class", "config", "boot_vga", "reset_method", "resource", "resource0_resize", "numa_node", "revision", "driver_override"]
            .map(|name| format!("{card}/{name}")).into_iter()
            .chain(["/proc/cpuinfo", "/proc/meminfo", "/proc/cmdline", "/proc/mounts", "/etc/os-release", "/usr/share/misc/pci.ids",
                "/sys/devices/system/cpu/online", "/sys/devices/system/node/node0/cpulist", "/sys/devices/system/cpu/cpu0/topology/core_cpus_list",
                "/sys/devices/system/cpu/cpu0/cache/index3/level", "/sys/devices/system/cpu/cpu0/cache/index3/size",
                "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "/usr/share/qemu/firmware/50.json"].map(str::to_owned));
        for (path, text) in files.zip(&content) {
            capture.add(&path, vgapt::root::Node::File(text.as_bytes().to_vec()), None);
        }
        capture.add("/sys/bus/pci/devices/0000:01:00.0", vgapt::root::Node::Link("../../../devices/0000:01:00.0".into()), None);
        capture.add(&format!("{card}/iommu_group"), vgapt::root::Node::Link(content[25].clone()), None);
        capture.add(&format!("{card}/driver"), vgapt::root::Node::Link(content[26].clone()), None);
        let place = tempfile::NamedTempFile::new().unwrap();
        fs::write(place.path(), capture.to_string()).unwrap();
        let root = Root::open(place.path()).unwrap();
        let host = discovery::read(&root, Scope::All);
        let cards = passthrough::assess(&host);
        output::cards(&host, &cards);
        output::card_details(&host, &cards);
        let shared_out = passthrough::shared_out(&host, &vgapt::model::DomainFunctions::default());
        output::Listing::answer(host.clone(), cards, shared_out).document(Some("list"), output::Form::Indented);
        discovery::files(&root, &["/vm/disk".into()]);
    }

    /// The same for what only `vgapt check` reads.
    #[test]
    fn checking_never_panics(content in proptest::collection::vec("(\\PC{0,60}|[ ]{0,3}[0-9a-f]{1,9}-[0-9a-f]{1,9} : (BOOTFB|0000:01:00\\.0)|#bound 0000:0[12]:00\\.0 10de:1401 0000:0000|Node 0, zone DMA( [0-9]{1,20}){0,12}|[a-z_]{1,9}=[a-z,]{0,9}|6,1,1,-;(vfio|DMAR).{0,20}|vm.nr_hugepages = [0-9]{1,22}\n){1,3}", 14)) {
        let mut capture = Capture::default();
        let files = ["/proc/iomem", "/proc/buddyinfo", "/proc/interrupts", "/proc/cmdline", "/dev/kmsg", "/etc/modprobe.d/vgapt.conf", "/etc/modules",
            "/etc/sysctl.d/x.conf", "/etc/default/grub", "/boot/grub/grub.cfg", "/boot/loader/entries/x.conf", "/sys/class/iommu/dmar0/intel-iommu/cap",
            "/sys/bus/pci/devices/0000:01:00.0/rom", "/lib/modules/6.12.0/modules.builtin"];
        for (path, text) in files.into_iter().zip(&content) {
            capture.add(path, vgapt::root::Node::File(text.as_bytes().to_vec()), None);
        }
        capture.add("/sys/bus/pci/devices/0000:01:00.0/uevent", vgapt::root::Node::File(b"PCI_CLASS=30000\nPCI_ID=10DE:1401\n".to_vec()), None);
        let place = tempfile::NamedTempFile::new().unwrap();
        fs::write(place.path(), capture.to_string()).unwrap();
        let root = Root::open(place.path()).unwrap();
        let host = discovery::read(&root, Scope::All);
        let setup = discovery::setup(&root, &host);
        let mut observed = discovery::observe(&root, &host, &setup, true);
        let cards = readiness::meant(&host, &setup, &[]);
        observed.roms = discovery::roms(&root, &cards.iter().map(|card| card.address).collect::<Vec<_>>());
        for bind in [None, Some(Bind::Boot), Some(Bind::Start)] {
            let facts = Input { host: &host, setup: &setup, observed: &observed, cards: &cards, bind, noted: &[], session: true };
            output::checks(&readiness::check(&facts), output::Detail::More);
        }
    }
}
