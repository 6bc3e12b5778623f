//! `vgapt prepare` and `vgapt undo` on every recorded machine and every card of it, and what is refused.

#[path = "support/command.rs"]
#[expect(dead_code, reason = "the guide's machine is one of many here")]
mod command;
#[path = "support/tree.rs"]
mod tree;

use std::fs;
use std::path::{Path, PathBuf};

use command::{Ran, run, vgapt, without_options};
use serde_json::Value;
use tempfile::TempDir;
use tree::{assert_same, distribution, unpacked, walk};
use vgapt::discovery::{self, Scope};
use vgapt::model::{Host, PciAddress};
use vgapt::passthrough::{self, Verdict};
use vgapt::root::Root;

const MODPROBE: &str = "etc/modprobe.d/vgapt.conf";
const ALL_ALLOWED: [&str; 6] = ["only-display", "disk-in-use", "default-route", "last-keyboard", "blocked-group", "host-function"];

fn recordings() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir("fixtures/hosts").unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "host"));
    files.sort();
    assert!(files.len() > 20, "the recorded machines are not there");
    files
}

fn read(root: &Path) -> Host {
    discovery::read(&Root::open(root).unwrap(), Scope::All)
}

fn on(root: &Path, arguments: &[&str]) -> Ran {
    run(&mut vgapt([&["--root", &root.display().to_string()], arguments].concat()))
}

/// What has to be allowed for it, by the message that refused it; the tree is as it was.
fn allowed_by(root: &Path, card: &str) -> Vec<&'static str> {
    let before = walk(root);
    let ran = on(root, &["prepare", "--gpu", card, "--bind", "boot", "--dry-run"]);
    assert_same(&before, &walk(root), "only shown");
    assert!(!ran.stderr.contains("error:"), "{card}: {}", ran.stderr);
    let needed: Vec<&str> = ALL_ALLOWED.into_iter().filter(|name| ran.stderr.contains(&format!("--allow {name}"))).collect();
    if !needed.is_empty() {
        on(root, &["prepare", "--gpu", card, "--bind", "boot", "--yes"]).with(1).saying(&["nothing was changed"]);
        assert_same(&before, &walk(root), "refused");
    }
    needed
}

/// What `check` still misses after `prepare` is not `prepare`'s to do, and what it says is all that it changes.
fn assert_is_left_to_others(root: &Path, card: &str, what: &str) {
    let before = walk(root);
    let report = without_options(&on(root, &["check", "--gpu", card, "--json"]).stdout);
    let report: Value = serde_json::from_str(&report).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_ne!(report["step"], "prepare", "{what}: {report:#}");
    assert!(!report["checks"].to_string().contains("\"vgapt prepare"), "{what}: {report:#}");
    assert_same(&before, &walk(root), what);
}

/// No id that another device has is ever bound by; whatever is bound is what was asked for.
fn assert_binds_only(host: &Host, wanted: &[PciAddress], modprobe: &str, what: &str) {
    let bound: Vec<PciAddress> =
        modprobe.lines().filter_map(|line| line.strip_prefix("#bound ")?.split(' ').next()?.parse().ok()).collect();
    assert_eq!(bound, wanted, "{what}");
    let ids: Vec<&str> = modprobe.lines().filter_map(|line| line.split_once(" ids=")).flat_map(|(_, ids)| ids.split(',')).collect();
    for device in host.pci.iter().filter(|device| !wanted.contains(&device.address)) {
        assert!(!ids.contains(&device.id.to_string().as_str()), "{what}: {} would be bound too:\n{modprobe}", device.address);
    }
    assert_eq!(ids.is_empty(), modprobe.contains("/etc/vgapt/bind"), "{what}: by ids or by address, not both:\n{modprobe}");
}

#[test]
fn every_card_of_every_machine() {
    let mut prepared = 0;
    for file in recordings() {
        let root = unpacked(&[&file]);
        let root = root.path();
        let host = read(root);
        let before = walk(root);
        for card in passthrough::assess(&host) {
            let what = format!("{} {}", file.display(), card.address);
            let address = card.address.to_string();
            if card.verdict == Verdict::Console {
                on(root, &["prepare", "--gpu", &address, "--yes", "--allow", &ALL_ALLOWED.join(",")]).with(1).saying(&["console (BMC)"]);
                assert_same(&before, &walk(root), &what);
                continue;
            }
            let needed = allowed_by(root, &address);
            assert_eq!(needed.contains(&"blocked-group"), card.verdict == Verdict::Blocked, "{what}: {needed:?}");
            let all = needed.join(",");
            let mut arguments = vec!["prepare", "--gpu", &address, "--bind", "boot", "--yes"];
            arguments.extend(if needed.is_empty() { vec![] } else { vec!["--allow", &all] });
            on(root, &arguments).with(0);
            let after = walk(root);
            if let Ok(modprobe) = fs::read_to_string(root.join(MODPROBE)) {
                assert_binds_only(&host, &card.functions, &modprobe, &what);
                assert_eq!(root.join("etc/vgapt/bind").exists(), modprobe.contains("/etc/vgapt/bind"), "{what}");
                prepared += 1;
            } else {
                assert_eq!(card.verdict, Verdict::Ready, "{what}: nothing is bound, and nothing was before");
            }
            assert_is_left_to_others(root, &address, &what);
            on(root, &arguments).with(0).saying(&["already up to date"]);
            assert_same(&after, &walk(root), &format!("{what}, a second time"));
            on(root, &["undo", "--yes"]).with(0);
            assert_same(&before, &walk(root), &what);
        }
    }
    assert!(prepared > 20, "only {prepared} cards");
}

/// The text of modprobe's file for a card.
fn modprobe_of(machine: &str, card: &str) -> String {
    let root = unpacked(&[Path::new(&format!("fixtures/hosts/{machine}.host"))]);
    on(root.path(), &["prepare", "--gpu", card, "--allow", "only-display", "--yes"]).with(0);
    fs::read_to_string(root.path().join(MODPROBE)).unwrap()
}

#[test]
fn twins_are_told_apart_by_address() {
    let host = read(unpacked(&[Path::new("fixtures/hosts/ryzen1-two-rx580.host")]).path());
    let twins: Vec<_> = passthrough::assess(&host).into_iter().filter(|card| !card.twins.is_empty()).collect();
    assert_eq!(twins.len(), 2);
    for twin in twins {
        let text = modprobe_of("ryzen1-two-rx580", &twin.address.to_string());
        assert!(text.contains("install vfio-pci /etc/vgapt/bind") && !text.contains("ids="), "{text}");
    }
}

#[test]
fn all_functions_of_a_card_go() {
    for (machine, functions) in
        [("b450m-gtx1660-svm-off", 4), ("7950x-rtx3060-group-per-function", 2), ("x570d4u-rtx-and-bmc", 2), ("z490-rx6900xt-iommu-off", 4)]
    {
        let host = read(unpacked(&[Path::new(&format!("fixtures/hosts/{machine}.host"))]).path());
        let card = passthrough::assess(&host).into_iter().find(|card| card.functions.len() == functions).expect(machine);
        let text = modprobe_of(machine, &card.address.to_string());
        assert_eq!(text.matches("#bound ").count(), functions, "{machine}: {text}");
    }
}

fn debian() -> TempDir {
    distribution("debian13-grub-initramfs-tools")
}

/// Refused with the reason; by exactly the option that the message names, it is done.
#[track_caller]
fn assert_refused(root: &Path, device: &[&str], reason: &str, option: &str) {
    let before = walk(root);
    let prepare = [&["prepare", "--yes"], device].concat();
    on(root, &prepare).with(1).saying(&[reason, &format!("--allow {option}"), "nothing was changed"]);
    let others = ALL_ALLOWED.into_iter().filter(|name| *name != option).collect::<Vec<_>>().join(",");
    on(root, &[&prepare[..], &["--allow", &others]].concat()).with(1).saying(&[reason]);
    assert_same(&before, &walk(root), reason);
    on(root, &[&prepare[..], &["--allow", option]].concat()).with(0);
    on(root, &["undo", "--yes"]).with(0);
    assert_same(&before, &walk(root), reason);
}

#[test]
fn what_the_host_needs_is_refused() {
    let root = debian();
    assert_refused(root.path(), &["--pci", "00:17.0"], "the host uses the disk sda2 (/) behind 00:17.0", "disk-in-use");
    // define has the same list; what would destroy data is not to be forced.
    let define = |device: &str, reason: &str, more: &[&str]| {
        on(root.path(), &[&["-c", "test:///default", "define", "x", "--pci", device], more].concat()).saying(&[reason])
    };
    define("00:17.0", "error: the host uses the disk sda2 (/) behind 00:17.0", &["--force"]).with(1);
    define("00:1f.6", "blocked: the host's default route uses eno1, which is behind 00:1f.6", &[]).with(1);
    define("00:14.0", "blocked: the host's last keyboard is behind 00:14.0", &[]).with(1);
    assert_refused(root.path(), &["--pci", "00:1f.6"], "the host's default route uses eno1, which is behind 00:1f.6", "default-route");
    assert_refused(root.path(), &["--pci", "00:14.0"], "the host's last keyboard is behind 00:14.0", "last-keyboard");
    fs::remove_file(root.path().join("sys/bus/pci/devices/0000:00:02.0")).unwrap();
    let display = ["--gpu", "01:00.0", "--bind", "boot"];
    assert_refused(root.path(), &display, "without 01:00.0, 01:00.1 the host has no display", "only-display");
    // Where nobody says when, the host keeps it until a domain starts, as `vgapt check` advises.
    let planned = on(root.path(), &["prepare", "--gpu", "01:00.0", "--dry-run"]).with(0);
    let planned = planned.saying(&["01:00.0 is the host's only display: as with --bind start", "while a guest uses it"]);
    assert!(!planned.stdout.contains("/etc/modprobe.d/vgapt.conf"), "{}", planned.stdout);
    let root = unpacked(&[Path::new("fixtures/hosts/ryzen1-gtx1060-gtx580-one-group.host")]);
    let host = read(root.path());
    let card = passthrough::assess(&host).into_iter().find(|card| card.verdict == Verdict::Blocked).unwrap().address.to_string();
    assert_refused(root.path(), &["--gpu", &card], "the host uses other devices of the same IOMMU group", "blocked-group");
}

#[test]
fn what_is_no_device_for_a_guest() {
    let root = debian();
    on(root.path(), &["prepare", "--pci", "05:00.0", "--yes"]).with(1).saying(&["there is no PCI function at 0000:05:00.0"]);
    on(root.path(), &["prepare", "--pci", "00:01.0", "--yes"]).with(1).saying(&["00:01.0 is a bridge"]);
    on(root.path(), &["prepare", "--gpu", "00:17.0", "--yes"]).with(1).saying(&["is not a function of a graphics card"]);
}

#[test]
fn a_disk_that_the_tpm_unlocks() {
    let root = debian();
    let root = root.path();
    fs::write(root.join("etc/crypttab"), "# tpm2-device=auto\nroot UUID=1 none tpm2-device=auto,discard\n").unwrap();
    let before = walk(root);
    on(root, &["prepare", "--gpu", "01:00.0", "--yes"]).with(1).saying(&["the TPM unlocks the disk", "--accept-tpm"]);
    assert_same(&before, &walk(root), "refused");
    on(root, &["prepare", "--gpu", "01:00.0", "--yes", "--accept-tpm"]).with(0);
    on(root, &["undo", "--yes"]).with(0);
    assert_same(&before, &walk(root), "taken back");
}

/// What was not done is not said: without a card the host is not prepared.
#[test]
fn without_a_card_nothing_is_prepared() {
    let tree = distribution("debian13-grub-initramfs-tools");
    let root = tree.path();
    fs::remove_dir_all(root.join("sys/bus/pci/devices")).unwrap();
    fs::create_dir(root.join("sys/bus/pci/devices")).unwrap();
    let before = walk(root);
    for words in ["the tree was changed", "nothing to do"] {
        let ran = on(root, &["prepare", "--yes"]).with(1).saying(&[words, "no card is bound"]);
        assert!(!ran.stderr.contains("the host is prepared"), "{}", ran.stderr);
    }
    // Where only memory is asked for, no card is looked for.
    let ran = on(root, &["prepare", "--hugepages", "2G", "--yes"]).with(0);
    assert!(["the host is prepared", "no card is bound"].iter().all(|words| !ran.stderr.contains(words)), "{}", ran.stderr);
    on(root, &["undo", "--yes"]).with(0);
    assert_same(&before, &walk(root), "taken back");
    fs::remove_file(root.join("proc/meminfo")).unwrap();
    on(root, &["prepare", "--hugepages", "2G", "--yes"]).with(1).saying(&["the host's memory size cannot be read"]);
}

const GRUB: &str = "etc/default/grub";
const CMDLINE: &str = "proc/cmdline";

fn put(root: &Path, path: &str, text: &str) {
    let place = root.join(path);
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(place, text).unwrap();
}

/// The host with two EPYCs of 384 GiB each, and its first card on the second node.
fn two_nodes(kernel: &str, second: u64) -> TempDir {
    let tree = unpacked(&[Path::new("fixtures/hosts/epyc-two-h100.host")]);
    let root = tree.path();
    for (node, gib) in [(0, 384), (1, second)] {
        put(root, &format!("sys/devices/system/node/node{node}/meminfo"), &format!("Node {node} MemTotal: {} kB\n", gib << 20));
    }
    put(root, "proc/sys/kernel/osrelease", &format!("{kernel}\n"));
    put(root, "sys/bus/pci/devices/0000:c1:00.0/numa_node", "1\n");
    tree
}

/// With this on the kernel command line, for which the tree's GRUB has a configuration.
fn says(root: &Path, words: &str) {
    let line = fs::read_to_string(root.join(GRUB)).unwrap();
    let kept = line.lines().filter(|line| !line.starts_with("GRUB_CMDLINE_LINUX=")).collect::<Vec<_>>().join("\n");
    put(root, GRUB, &format!("{kept}\nGRUB_CMDLINE_LINUX=\"{words}\"\n"));
    let line = fs::read_to_string(root.join(CMDLINE)).unwrap();
    put(root, CMDLINE, &format!("{} {words}\n", line.trim()));
}

/// A guest takes all of its pages from the node of its card, and the kernel would divide them.
#[test]
fn pages_of_a_gibibyte_are_on_the_node_of_the_card() {
    let pages = ["prepare", "--gpu", "c1:00.0", "--hugepages", "96G", "--page-size", "1G", "--yes"];
    let now = |root: &Path| fs::read_to_string(root.join(GRUB)).unwrap();
    let tree = two_nodes("6.12.48", 384);
    let root = tree.path();
    let before = walk(root);
    let planned = on(root, &[&pages[..7], &["--dry-run"]].concat()).with(0).stdout;
    assert!(planned.contains("96 GiB of memory for the guest in pages of 1 GiB on NUMA node 1"), "{planned}");
    let ran = on(root, &pages).with(0);
    assert!(!ran.stderr.contains("divides"), "{}", ran.stderr);
    assert!(now(root).contains("hugepagesz=1G hugepages=1:96\""), "{}", now(root));
    let after = walk(root);
    on(root, &pages).with(0).saying(&["already up to date"]);
    // Also where only the pages are asked for: the card is bound now.
    on(root, &["prepare", "--hugepages", "96G", "--page-size", "1G", "--yes"]).with(0).saying(&["already up to date"]);
    assert_same(&after, &walk(root), "a second time");
    on(root, &["undo", "--yes"]).with(0);
    assert_same(&before, &walk(root), "undone");

    // What the node cannot spare is on the other.
    let tree = two_nodes("6.12.48", 64);
    on(tree.path(), &pages).with(0);
    assert!(now(tree.path()).contains("hugepagesz=1G hugepages=0:40,1:56\""), "{}", now(tree.path()));
}

#[test]
fn pages_that_the_kernel_divides() {
    let card = ["prepare", "--gpu", "c1:00.0", "--hugepages", "96G", "--page-size", "1G", "--yes"];
    let none = ["prepare", "--hugepages", "96G", "--page-size", "1G", "--yes"];
    let divided = "the kernel divides the 96 pages of 1 GiB among the 2 NUMA nodes, about 48 on each";
    for (kernel, arguments, node, why) in [
        ("5.14.0-570.el9", &card[..], "1", "this is Linux 5.14.0-570.el9, and only Linux 5.16"),
        ("6.12.48", &none, "1", "no card is named or bound"),
        ("6.12.48", &card, "-1", "the NUMA node of the card is not known"),
    ] {
        let tree = two_nodes(kernel, 384);
        put(tree.path(), "sys/bus/pci/devices/0000:c1:00.0/numa_node", node);
        on(tree.path(), arguments).with(0).saying(&["warning: ", divided, why]);
        let text = fs::read_to_string(tree.path().join(GRUB)).unwrap();
        assert!(text.contains("hugepagesz=1G hugepages=96\""), "{text}");
    }
    // As recorded: it has two nodes, and their memory is unknown.
    let tree = unpacked(&[Path::new("fixtures/hosts/epyc-two-h100.host")]);
    put(tree.path(), "proc/sys/kernel/osrelease", "6.12.48\n");
    on(tree.path(), &card).with(0).saying(&[divided, "how much memory each of them has is not known"]);
}

#[test]
fn numbers_by_node_that_somebody_chose() {
    let pages = |size: &'static str| ["prepare", "--gpu", "c1:00.0", "--hugepages", size, "--page-size", "1G", "--yes"];
    for (kernel, there, size, then) in [
        ("6.12.48", "hugepagesz=1G hugepages=0:8,1:40", "40G", "hugepagesz=1G hugepages=0:8,1:40"),
        ("6.12.48", "default_hugepagesz=1G hugepages=0:8,1:40", "40G", "default_hugepagesz=1G hugepages=0:8,1:40"),
        ("6.12.48", "hugepagesz=1G hugepages=0:8,1:40", "96G", "hugepagesz=1G hugepages=0:8,1:96"),
        ("6.12.48", "hugepagesz=1G hugepages=96", "96G", "hugepagesz=1G hugepages=1:96"),
        ("5.14.0-570.el9", "hugepagesz=1G hugepages=0:8,1:40", "48G", "hugepagesz=1G hugepages=0:8,1:40"),
    ] {
        let tree = two_nodes(kernel, 384);
        let root = tree.path();
        says(root, there);
        let before = walk(root);
        let ran = on(root, &pages(size)).with(0);
        assert!(!ran.stderr.contains("divides"), "{there}: {}", ran.stderr);
        let text = fs::read_to_string(root.join(GRUB)).unwrap();
        assert!(text.contains(&format!("GRUB_CMDLINE_LINUX=\"{then}\"")), "{there}, {size}: {text}");
        on(root, &pages(size)).with(0).saying(&["already up to date"]);
        on(root, &["undo", "--yes"]).with(0);
        assert_same(&before, &walk(root), there);
    }
}

/// After the boot, `check` compares each node with what was asked of it.
#[test]
fn pages_that_a_node_did_not_have() {
    let tree = two_nodes("6.12.48", 384);
    let root = tree.path();
    says(root, "hugepagesz=1G hugepages=0:8,1:40");
    let pool = |place: &str, number: u64| {
        for file in ["nr_hugepages", "free_hugepages"] {
            put(root, &format!("{place}/hugepages-1048576kB/{file}"), &format!("{number}\n"));
        }
    };
    let check = || on(root, &["check", "--gpu", "c1:00.0", "--verbose"]).stdout;
    for (second, said) in [(39, Some("40 pages of 1 GiB are requested at boot on NUMA node 1, but only 39 exist")), (40, None)] {
        pool("sys/kernel/mm/hugepages", 48);
        pool("sys/devices/system/node/node0/hugepages", 48 - second);
        pool("sys/devices/system/node/node1/hugepages", second);
        let text = check();
        assert_eq!(text.contains("requested at boot"), said.is_some(), "{text}");
        assert!(said.is_none_or(|said| text.contains(said)), "{text}");
    }
    fs::remove_dir_all(root.join("sys/devices/system/node/node1/hugepages")).unwrap();
    pool("sys/kernel/mm/hugepages", 47);
    assert!(check().contains("48 pages of 1 GiB are requested at boot, but only 47 exist"), "{}", check());
}

/// Also where nothing else had to be written, until it is undone or bound at boot; a device that has moved is not it.
#[test]
fn what_is_left_for_the_start_is_remembered() {
    let folder = unpacked(&[Path::new("fixtures/hosts/z87-gtx970.host")]);
    let root = folder.path();
    let list = root.join("etc/vgapt/at-start");
    let proposes = |bind: &str| {
        let planned = on(root, &["prepare", "--gpu", "01:00.0", "--dry-run"]);
        assert_eq!(planned.stderr.contains("as before with --bind start"), bind == "start", "{}", planned.stderr);
    };
    proposes("boot");
    let before = walk(root);
    on(root, &["prepare", "--gpu", "01:00.0", "--bind", "boot", "--yes"]).with(0);
    assert!(!list.exists());
    on(root, &["undo", "--yes"]).with(0);
    assert_same(&before, &walk(root), "undone");

    let at_start = ["prepare", "--gpu", "01:00.0", "--bind", "start", "--yes"];
    on(root, &at_start).with(0);
    let text = fs::read_to_string(&list).unwrap();
    proposes("start");
    // All but the list is there already.
    fs::remove_file(&list).unwrap();
    proposes("boot");
    on(root, &at_start).with(0);
    assert_eq!(fs::read_to_string(&list).unwrap(), text);
    on(root, &at_start).with(0).saying(&["already up to date"]);
    // Another device is there now.
    fs::write(&list, text.replace("10de:", "10df:")).unwrap();
    proposes("boot");
    fs::write(&list, &text).unwrap();
    on(root, &["prepare", "--gpu", "01:00.0", "--bind", "boot", "--yes"]).with(0);
    assert!(!list.exists() && root.join(MODPROBE).exists());
    proposes("boot");
    on(root, &["undo", "--yes"]).with(0);
    assert_same(&before, &walk(root), "undone");
}
