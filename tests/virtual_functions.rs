//! Virtual functions (SR-IOV) in trees: what `vgapt prepare --vfs` plans, keeps, refuses and undoes, and what `check` and `list` say of
//! them. That the rule makes them is proved in the lab (`virtual-functions-kept`).

#[path = "support/command.rs"]
mod command;
#[path = "support/libvirt.rs"]
#[expect(dead_code, reason = "only what tells of missing programs is used here")]
mod libvirt;
#[path = "support/on.rs"]
mod on;
#[path = "support/tree.rs"]
mod tree;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use command::run;
use libvirt::have;
use on::{on, put};
use serde_json::Value;
use tempfile::TempDir;
use tree::{assert_same, distribution, walk};

const RULES: &str = "etc/udev/rules.d/60-vgapt-virtual-functions.rules";
const WAITS: &str = "etc/systemd/system/libvirtd.service.d/vgapt-virtual-functions.conf";
const DEVICES: &str = "sys/bus/pci/devices";
const ASKED: [&str; 4] = ["prepare", "--vfs", "00:1f.6=2", "--yes"];

fn json(root: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&on(root, &[&["--json"], arguments].concat()).stdout).unwrap()
}

/// A host whose network card can have seven virtual functions.
fn host() -> TempDir {
    let tree = distribution("debian13-grub-initramfs-tools");
    put(tree.path(), &format!("{DEVICES}/0000:00:1f.6/sriov_totalvfs"), "7\n");
    put(tree.path(), &format!("{DEVICES}/0000:00:1f.6/sriov_drivers_autoprobe"), "1\n");
    put(tree.path(), "usr/sbin/libvirtd", "");
    tree
}

/// A virtual function of the network card, on this driver.
fn made(root: &Path, address: &str, driver: &str) {
    let home = format!("{DEVICES}/{address}");
    let driver = if driver.is_empty() { String::new() } else { format!("DRIVER={driver}\n") };
    put(root, &format!("{home}/uevent"), &format!("{driver}PCI_CLASS=20000\nPCI_ID=8086:10CA\nPCI_SUBSYS_ID=1462:7B23\n"));
    symlink("../0000:00:1f.6", root.join(home).join("physfn")).unwrap();
}

fn read(root: &Path, path: &str) -> String {
    fs::read_to_string(root.join(path)).unwrap()
}

#[test]
fn they_are_planned_kept_and_undone() {
    let tree = host();
    let root = tree.path();
    let before = walk(root);
    let said = on(root, &ASKED).with(0);
    assert!(said.stdout.contains("echo 2 >sriov_numvfs") && said.stdout.contains("(not run)"), "{}", said.stdout);
    let rules = read(root, RULES);
    let rule = rules.lines().find(|line| !line.starts_with('#')).unwrap();
    let id = "ATTR{vendor}==\"0x8086\", ATTR{device}==\"0x15bc\"";
    for words in ["KERNEL==\"0000:00:1f.6\"", id, "ATTR{sriov_drivers_autoprobe}=\"0\", ATTR{sriov_numvfs}=\"2\""] {
        assert!(rule.contains(words), "no {words} in {rule}");
    }
    assert!(read(root, WAITS).contains("0000:00:1f.6/virtfn1"), "libvirt waits for the last one");
    assert!(!root.join("etc/modprobe.d/vgapt.conf").exists(), "nothing is bound at boot");

    // Kept where nothing is said of them, with or without another wish.
    on(root, &ASKED).with(0).saying(&["already up to date"]);
    on(root, &["prepare", "--gpu", "01:00.0", "--yes"]).with(0);
    assert_eq!(read(root, RULES), rules);
    on(root, &["prepare", "--vfs", "00:1f.6=3", "--yes"]).with(0);
    assert!(read(root, RULES).contains("ATTR{sriov_numvfs}=\"3\"") && read(root, WAITS).contains("virtfn2"));
    on(root, &["prepare", "--vfs", "00:1f.6=0", "--yes"]).with(0);
    assert!(!root.join(RULES).exists() && !root.join(WAITS).exists());

    on(root, &["undo", "--yes"]).with(0);
    assert_same(&before, &walk(root), "after undo");
}

#[test]
fn what_cannot_be_is_refused() {
    let tree = host();
    let root = tree.path();
    made(root, "0000:00:1f.7", "");
    for (arguments, words) in [
        (&["--vfs", "00:1f.6=8"][..], "can have 7 virtual functions at most"),
        (&["--vfs", "0a:00.0=1"], "there is no PCI function at"),
        (&["--vfs", "00:14.0=1"], "the kernel shows no SR-IOV for it"),
        (&["--vfs", "00:1f.7=1"], "is itself a virtual function of 00:1f.6"),
        (&["--vfs", "00:1f.6=1", "--pci", "00:1f.6", "--allow", "default-route"], "is to be bound to vfio-pci"),
    ] {
        let before = walk(root);
        on(root, &[&["prepare", "--yes"], arguments].concat()).with(1).saying(&[words]);
        assert_same(&before, &walk(root), words);
    }
    for wrong in ["00:1f.6", "00:1f.6=x", "x=1"] {
        on(root, &["prepare", "--vfs", wrong]).with(2);
    }
    // The physical function has no virtual ones on vfio-pci.
    put(root, &format!("{DEVICES}/0000:00:1f.6/uevent"), "DRIVER=vfio-pci\nPCI_CLASS=20000\nPCI_ID=8086:15BC\n");
    on(root, &ASKED).with(1).saying(&["is bound to vfio-pci, which makes no virtual functions"]);
}

#[test]
fn another_number_is_refused_where_they_are_used() {
    let tree = host();
    let root = tree.path();
    made(root, "0000:00:1f.7", "vfio-pci");
    let source = "<source><address domain='0' bus='0' slot='0x1f' function='7'/></source>";
    let domain = format!("<domain><name>win</name><devices><hostdev type='pci'>{source}</hostdev></devices></domain>");
    put(root, "etc/libvirt/qemu/win.xml", &domain);
    on(root, &ASKED).with(1).saying(&["00:1f.7 ethernet on vfio-pci", "shut down the domains that have them"]);
    let said = on(root, &["list"]).with(0).stdout;
    assert!(said.contains("Virtual functions of 00:1f.6") && said.contains(": 1 of 7\n  00:1f.7  vfio-pci, domain win\n"), "{said}");
    let all = on(tree.path(), &["list", "--all"]).with(0).stdout;
    assert!(all.contains(": 1 of 7\n  00:1f.7  vfio-pci, domain win\n"), "{all}");
    let listed = json(root, &["list"]);
    let parent = &listed["virtual_functions"][0];
    assert_eq!((&parent["parent"], &parent["total"]), (&"0000:00:1f.6".into(), &7.into()), "{parent}");
    assert_eq!(parent["functions"][0]["domains"][0], "win", "{parent}");

    // The same number needs nothing now.
    let said = on(root, &["prepare", "--vfs", "00:1f.6=1", "--dry-run"]).with(0);
    assert!(!said.stdout.contains("sriov_numvfs &&"), "{}", said.stdout);
}

#[test]
fn a_line_that_is_not_understood_is_not_lost() {
    let tree = host();
    put(tree.path(), RULES, "# Written by `vgapt prepare`, taken away by `vgapt undo`.\n#made 0000:00:1f.6 of another version\n");
    on(tree.path(), &ASKED).with(1).saying(&["line 2 cannot be parsed, so its virtual functions are unknown"]);
}

#[test]
fn check_says_what_is_missing() {
    let tree = host();
    let root = tree.path();
    on(root, &ASKED).with(0);
    let found = |root: &Path| {
        let report = json(root, &["check"]);
        let checks = report["checks"].as_array().unwrap().clone();
        checks.into_iter().find(|check| check["code"] == "virtual-functions").unwrap_or_default()
    };
    let check = found(root);
    assert_eq!((&check["state"], &check["seen"]), (&"missing".into(), &"0 of 2".into()), "{check}");
    assert!(check["command"].as_str().unwrap().ends_with(" prepare --vfs 00:1f.6=2"), "{check}");
    made(root, "0000:00:1f.7", "");
    made(root, "0000:00:1f.5", "igbvf");
    let check = found(root);
    assert_eq!(check["state"], "warning", "a driver of the host has one: {check}");
    fs::write(root.join(format!("{DEVICES}/0000:00:1f.5/uevent")), "PCI_CLASS=20000\nPCI_ID=8086:10CA\n").unwrap();
    assert_eq!(found(root)["state"], "ok");
    // Another card is there now.
    put(root, &format!("{DEVICES}/0000:00:1f.6/uevent"), "DRIVER=e1000e\nPCI_CLASS=20000\nPCI_ID=8086:1533\n");
    let check = found(root);
    assert!(check["state"] == "missing" && check["seen"].as_str().unwrap().contains("8086:15bc is not there any more"), "{check}");
}

/// What is written for systemd, as systemd reads it.
#[test]
fn systemd_takes_the_drop_in() {
    if !have("the drop-in file of libvirt's daemon", &["systemd-analyze"]) {
        return;
    }
    let tree = host();
    on(tree.path(), &ASKED).with(0);
    let own = tempfile::tempdir().unwrap();
    put(own.path(), "libvirtd.service", "[Service]\nExecStart=/bin/true\n");
    put(own.path(), "libvirtd.service.d/vgapt.conf", &read(tree.path(), WAITS));
    let unit = own.path().join("libvirtd.service");
    let said = run(command::command("systemd-analyze").args(["verify", "--man=no"]).arg(unit)).with(0);
    assert!(!said.stderr.contains("vgapt.conf"), "{}", said.stderr);
}

#[test]
fn a_function_that_is_named_twice() {
    let tree = host();
    on(tree.path(), &["prepare", "--vfs", "00:1f.6=2", "--vfs", "00:1f.6=3", "--yes"]).with(1).saying(&["--vfs names 00:1f.6 twice"]);
    assert!(!tree.path().join(RULES).exists());
    on(tree.path(), &["define", "vf", "--pci", "00:1f.6,vlan=1,vlan=2"]).with(2).saying(&["has vlan= twice"]);
}

/// libvirt sets their addresses through the interface of the physical function.
#[test]
fn an_interface_that_is_down_is_said_before_the_start() {
    let tree = host();
    made(tree.path(), "0000:00:1f.7", "");
    let define = ["define", "vf", "--pci", "00:1f.7", "--force", "--dry-run"];
    let words = "libvirt sets the MAC address and VLAN of virtual function 00:1f.7 through the host's interface eth7, which is down";
    // What cannot be read is not said to be down.
    for (flags, is_down) in [("0x1002\n", true), ("0x1003\n", false), ("", false)] {
        put(tree.path(), &format!("{DEVICES}/0000:00:1f.6/net/eth7/flags"), flags);
        let ran = on(tree.path(), &define);
        assert_eq!(ran.stderr.contains(words), is_down, "{flags}: {}", ran.stderr);
        assert!(ran.stdout.contains("<interface type='hostdev' managed='yes'>"), "{}{}", ran.stdout, ran.stderr);
    }
}

#[test]
fn no_two_functions_have_one_mac_address() {
    let tree = host();
    made(tree.path(), "0000:00:1f.7", "");
    made(tree.path(), "0000:00:1f.5", "");
    let mac = |address: &str, last: u8| format!("{address},mac=52:54:00:00:00:{last:02}");
    let define = |second: u8| {
        let (one, other) = (mac("00:1f.7", 1), mac("00:1f.5", second));
        on(tree.path(), &["define", "vf", "--pci", &one, "--pci", &other, "--force", "--dry-run"])
    };
    define(1).saying(&["00:1f.5 and 00:1f.7 would have the same MAC address 52:54:00:00:00:01"]);
    assert!(!define(2).stderr.contains("the same MAC address"));
}

/// What cannot be read is not none.
#[test]
fn a_rule_that_cannot_be_read_is_unknown() {
    let tree = host();
    let root = tree.path();
    on(root, &ASKED).with(0);
    fs::write(root.join(RULES), read(root, RULES).replace("#made ", "#made ? ")).unwrap();
    let report = json(root, &["check"]);
    let check = report["checks"].as_array().unwrap().iter().find(|check| check["code"] == "virtual-functions").unwrap();
    assert!(check["state"] == "unknown" && check["seen"].as_str().unwrap().contains("cannot be parsed"), "{check}");
    on(root, &["prepare", "--vfs", "00:1f.6=3", "--yes"]).with(1).saying(&["cannot be parsed"]);
}

/// What is asked needs no card, and no IOMMU where no functions are made.
#[test]
fn only_what_is_asked_is_prepared() {
    let tree = host();
    let root = tree.path();
    let plan = |asked: &[&str]| {
        let said = on(root, &[&["prepare", "--dry-run"], asked].concat());
        assert!(!said.stdout.contains("vfio-pci"), "{asked:?}: {}", said.stdout);
        said.stdout.contains("intel_iommu=on")
    };
    assert!(plan(&["--vfs", "00:1f.6=2"]), "a guest is to have them");
    for asked in [&["--vfs", "00:1f.6=0"][..], &["--looking-glass", "2560x1440"], &["--hugepages", "2G"], &["--isolate", "2"]] {
        assert!(!plan(asked), "{asked:?}");
    }
}

/// The lines for the configuration of a system that generates /etc: where they belong, and each of its files.
#[test]
fn a_generated_configuration_gets_its_own_lines() {
    for (id, words) in [
        (
            "nixos",
            &[
                "services.udev.extraRules = ''",
                "systemd.services.libvirtd.serviceConfig.ExecStartPre = [ \"-${pkgs.coreutils}/bin/timeout 30",
            ][..],
        ),
        ("guix", &["(udev-rules-service 'vgapt (udev-rule \"60-vgapt-virtual-functions.rules\" \"ACTION==\\\"add|bind\\\""]),
        (
            "sle-micro",
            &[
                "/etc/udev/rules.d/60-vgapt-virtual-functions.rules:",
                "/etc/systemd/system/libvirtd.service.d/vgapt-virtual-functions.conf:",
                "[Service]",
            ],
        ),
    ] {
        let tree = host();
        fs::remove_file(tree.path().join("etc/os-release")).unwrap();
        put(tree.path(), "etc/os-release", &format!("ID={id}\n"));
        on(tree.path(), &ASKED).with(1).saying(words).saying(&["ATTR{sriov_numvfs}="]);
        assert!(!tree.path().join(RULES).exists());
    }
}

/// Of two numbers the kernel takes only the first.
#[test]
fn what_else_makes_them_is_named() {
    const DRY_RUN: [&str; 4] = ["prepare", "--vfs", "00:1f.6=2", "--dry-run"];
    let tree = host();
    let root = tree.path();
    for (path, text, says) in [
        ("etc/sysfs.conf", "# x\ndevices/pci0000:00/0000:00:1f.6/sriov_numvfs = 7\n", "/etc/sysfs.conf, line 2 makes"),
        ("etc/sysfs.d/own.conf", "class/net/eno1/device/sriov_numvfs=7\n", "/etc/sysfs.d/own.conf, line 1 makes"),
        (
            "etc/tmpfiles.d/own.conf",
            "w /sys/bus/pci/devices/0000:00:1f.6/sriov_numvfs - - - - 7\n",
            "/etc/tmpfiles.d/own.conf, line 1 makes",
        ),
        ("etc/udev/rules.d/9.rules", "KERNEL==\"0000:00:1f.6\", ATTR{sriov_numvfs}=\"7\"\n", "/etc/udev/rules.d/9.rules, line 1 makes"),
        ("etc/rc.local", "#!/bin/sh\necho 7 > /sys/bus/pci/devices/0000:00:1f.6/sriov_numvfs\n", "/etc/rc.local, line 2 makes"),
    ] {
        put(root, path, text);
        on(root, &DRY_RUN).with(0).saying(&[says, &format!("remove that line from /{path}")]);
        put(root, path, &text.replace("00:1f.6", "00:02.0").replace('7', "0").replace("sriov_numvfs", "sriov_totalvfs"));
        assert!(!on(root, &DRY_RUN).with(0).stderr.contains(says), "{path}");
    }
    put(root, "etc/sysfs.conf", "devices/pci0000:00/0000:00:02.0/sriov_numvfs = 7\n");
    assert!(!on(root, &DRY_RUN).with(0).stderr.contains("/etc/sysfs.conf"), "it is for another function");
}
