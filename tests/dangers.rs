//! What a host would lose, and what is known of a card: asked by every command in the same way.

#[path = "support/command.rs"]
#[expect(dead_code, reason = "every machine here is named")]
mod command;
#[path = "support/on.rs"]
mod on;
#[path = "support/tree.rs"]
#[expect(dead_code, reason = "only trees of recorded machines are used here")]
mod tree;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;

use command::{run, vgapt, without_options};
use on::{on, put};
use serde_json::Value;
use tempfile::TempDir;
use vgapt::discovery::from_node_devices;
use vgapt::passthrough::{DangerKind, dangers};

fn machine(name: &str) -> TempDir {
    tree::unpacked(&[Path::new(&format!("fixtures/hosts/{name}.host"))])
}

/// A function of a device, in a group of its own; a virtual one of `parent`.
fn add(root: &Path, address: &str, driver: &str, class: &str, id: &str, parent: Option<&str>) {
    let home = format!("sys/bus/pci/devices/{address}");
    put(root, &format!("{home}/uevent"), &format!("DRIVER={driver}\nPCI_CLASS={class}\nPCI_ID={id}\n"));
    let group = format!("../../../../kernel/iommu_groups/{}", 100 + address.bytes().map(u32::from).sum::<u32>());
    symlink(group, root.join(&home).join("iommu_group")).unwrap();
    if let Some(parent) = parent {
        symlink(format!("../{parent}"), root.join(&home).join("physfn")).unwrap();
    }
}

fn take(root: &Path, address: &str) {
    let place = root.join("sys/bus/pci/devices").join(address);
    if place.is_symlink() { fs::remove_file(place).unwrap() } else { fs::remove_dir_all(place).unwrap() }
}

/// The card's functions as another driver has them.
fn bind(root: &Path, functions: &[&str], driver: &str) {
    for function in functions {
        let uevent = root.join("sys/bus/pci/devices").join(function).join("uevent");
        let text = fs::read_to_string(&uevent).unwrap();
        let rest: String = text.lines().filter(|line| !line.starts_with("DRIVER=")).map(|line| format!("{line}\n")).collect();
        fs::write(uevent, format!("DRIVER={driver}\n{rest}")).unwrap();
    }
}

const PASSES: &str = "<hostdev mode='subsystem' type='pci' managed='yes'><source><address domain='0x0000' bus='0x05' slot='0x00' function='0x0'/></source></hostdev>";

/// The one that gives virtual functions away is not given away, whoever asks.
#[test]
fn virtual_functions_keep_their_parent_with_the_host() {
    let root = machine("z170-gtx960");
    let root = root.path();
    add(root, "0000:05:00.0", "i40e", "20000", "8086:1572", None);
    add(root, "0000:05:02.0", "iavf", "20000", "8086:154c", Some("0000:05:00.0"));
    let why = ["blocked: 05:00.0 has virtual functions (05:02.0), which disappear with it", "0000:05:00.0/sriov_numvfs"];
    on(root, &["define", "w", "--pci", "05:00.0"]).with(1).saying(&why);
    on(root, &["prepare", "--pci", "05:00.0", "--dry-run"]).with(1).saying(&why);

    let os = "<memory>1048576</memory><os><type arch='x86_64'>hvm</type></os>";
    let off = "<test:runstate xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>5</test:runstate>";
    put(root, "node.xml", &format!("<node><domain type='test'><name>nic</name>{os}<devices>{PASSES}</devices>{off}</domain></node>"));
    let uri = format!("test://{}/node.xml", root.display());
    let start = || run(&mut vgapt(["--root", root.to_str().unwrap(), "-c", &uri, "start", "nic"]));
    start().with(1).saying(&why).saying(&["'nic' was not started"]);
    run(&mut vgapt(["--root", root.to_str().unwrap(), "-c", &uri, "status", "nic"])).with(0).saying(&why);

    let record = r#"{"request":{},"passed":[{"address":"0000:05:00.0","id":"8086:1572","subsystem":null}],"wrote":{}}"#;
    let record = record.replace('"', "&quot;");
    let domain = format!(
        "<domain type='kvm'><name>nic</name><metadata><vgapt:domain xmlns:vgapt='urn:vgapt:domain:1'>{record}</vgapt:domain></metadata>{os}<devices>{PASSES}</devices></domain>"
    );
    let hook = || {
        let mut hook = vgapt(["--root", root.to_str().unwrap(), "hook", "nic", "prepare", "begin", "-"]);
        let mut child = hook.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(domain.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = hook();
    assert!(code == Some(1) && said.contains("virtual functions (05:02.0)") && said.contains("sriov_numvfs"), "{said}");

    // Without them it goes.
    take(root, "0000:05:02.0");
    start().with(0).saying(&["'nic' is started"]);
    assert_eq!(hook(), (Some(0), String::new()));
}

/// libvirt tells of them too.
#[test]
fn virtual_functions_behind_libvirt() {
    let device = |name: &str, slot: u8, more: &str| {
        format!(
            "<device><name>{name}</name><capability type='pci'><class>0x020000</class><domain>0</domain><bus>5</bus><slot>{slot}</slot><function>0</function><product id='0x1572'/><vendor id='0x8086'/>{more}</capability></device>"
        )
    };
    let parent = "<capability type='phys_function'><address domain='0x0000' bus='0x05' slot='0x00' function='0x0'/></capability>";
    let host = from_node_devices(&[device("pci_0000_05_00_0", 0, ""), device("pci_0000_05_02_0", 2, parent)]);
    let found = dangers(&host, &vgapt::model::Uses::default(), &["05:00.0".parse().unwrap()]);
    assert!(found.iter().any(|danger| danger.kind == DangerKind::SharedOut), "{found:?}");
}

/// What is chosen by itself is bound as check says it: a virtual function when the domain starts.
#[test]
fn a_virtual_function_that_nobody_named() {
    let root = machine("z170-gtx960");
    let root = root.path();
    take(root, "0000:01:00.0");
    take(root, "0000:01:00.1");
    add(root, "0000:06:00.0", "nvidia", "30200", "10de:2237", None);
    add(root, "0000:06:00.4", "nvidia", "30200", "10de:2237", Some("0000:06:00.0"));
    for arguments in [["prepare", "--dry-run"].as_slice(), &["prepare", "--gpu", "auto", "--dry-run"]] {
        let ran = on(root, arguments).with(0).saying(&["using 06:00.4: ", "virtual functions do not exist yet when the host boots"]);
        assert!(!ran.stderr.contains("blocked"), "{}", ran.stderr);
    }
    let report: Value = serde_json::from_str(&on(root, &["--json", "check"]).stdout).unwrap();
    assert_eq!(report["cards"][0], "0000:06:00.4", "{report:#}");
    let binding = report["checks"].as_array().unwrap().iter().find(|check| check["code"] == "binding").unwrap();
    assert!(binding["state"] == "ok" && binding["seen"].as_str().unwrap().contains("a virtual function"), "{binding}");
    on(root, &["prepare", "--gpu", "06:00.0", "--dry-run"]).with(1).saying(&["06:00.0 has virtual functions (06:00.4)"]);
}

/// A management controller's graphics are no card for a guest, whatever other display there is.
#[test]
fn a_servers_console_stays() {
    for (name, address) in [("x570d4u-rtx-and-bmc", "29:00.0"), ("c246-server-bmc-only", "06:00.0")] {
        let root = machine(name);
        let root = root.path();
        let why = [format!("blocked: {address} is the server's management console (BMC)")];
        let why = why.each_ref().map(String::as_str);
        on(root, &["prepare", "--gpu", address, "--dry-run"]).with(1).saying(&why);
        on(root, &["prepare", "--gpu", address, "--dry-run", "--allow", "only-display"]).with(1).saying(&why);
        let define = on(root, &["define", "w", "--gpu", address]).with(1).saying(&why);
        assert!(!define.stderr.contains("--bind start"), "{}", define.stderr);
        let list: Value = serde_json::from_str(&on(root, &["--json", "list", "--gpu", address]).with(0).stdout).unwrap();
        assert_eq!(list["gpus"][0]["verdict"], "console", "{list:#}");
        let report: Value = serde_json::from_str(&on(root, &["--json", "check", "--gpu", address]).with(1).stdout).unwrap();
        assert!(report["next"]["command"].is_null() && !report["next"].to_string().contains("prepare"), "{report:#}");
    }
}

/// What is said of the only card leads somewhere, and not back to itself.
#[test]
fn the_only_card_leads_in_no_circle() {
    let root = machine("z170-gtx960");
    let root = root.path();
    take(root, "0000:00:02.0");
    put(root, "sys/bus/pci/devices/0000:01:00.0/boot_vga", "1\n");
    // Its driver has it: what is advised is neither what is being done nor what is refused.
    let ran = on(root, &["prepare", "--gpu", "01:00.0", "--bind", "start", "--dry-run"]).saying(&[
        "while a guest uses it: without 01:00.0, 01:00.1 the host has no display",
        "vgapt define NAME --gpu 01:00.0 --handover",
        "01:00.0 is the boot display",
    ]);
    // The last line is this command without --dry-run.
    let (said, next) = ran.stderr.split_once("next: ").unwrap();
    assert!(!said.contains("--bind boot") && !said.contains("prepare --gpu"), "{said}");
    assert!(next.contains("prepare --gpu 01:00.0 --bind start   (nothing was changed)"), "{next}");

    // It is bound by somebody's file, and nothing is left to prepare: somebody has decided it.
    bind(root, &["0000:01:00.0", "0000:01:00.1"], "vfio-pci");
    put(root, "etc/modprobe.d/vfio.conf", "options vfio-pci ids=10de:1401,10de:0fba\nsoftdep nouveau pre: vfio-pci\n");
    let check = || {
        let report: Value = serde_json::from_str(&on(root, &["--json", "check", "--gpu", "01:00.0"]).stdout).unwrap();
        report["checks"].as_array().unwrap().iter().find(|check| check["code"] == "no-display").unwrap().clone()
    };
    let before = check();
    assert!(before["state"] == "missing" && before["remedy"].as_str().unwrap().contains("--allow only-display"), "{before}");
    on(root, &["prepare", "--gpu", "01:00.0", "--allow", "only-display", "--yes"]).with(0);
    let after = check();
    assert!(after["state"] == "warning" && !after["remedy"].as_str().unwrap().contains("--allow"), "{after}");

    let listed = on(root, &["list"]).with(0).stdout;
    assert!(listed.contains("ready: all functions are on vfio-pci; the host has no display"), "{listed}");

    // Nothing is left to write, so prepare does not refuse either; it says the same.
    on(root, &["prepare", "--gpu", "01:00.0", "--dry-run"])
        .with(0)
        .saying(&["warning: the host has no display: 01:00.0 is bound to vfio-pci by"]);
    on(root, &["prepare", "--gpu", "01:00.0", "--bind", "start", "--dry-run"]).with(1).saying(&["blocked: /etc/modprobe.d/vfio.conf"]);
    // It is said once, in each.
    for command in [["check"].as_slice(), &["prepare", "--dry-run"]] {
        let ran = on(root, &[command, &["--gpu", "01:00.0"]].concat());
        let said = ran.stdout + &ran.stderr;
        assert_eq!(said.matches("the host has no display").count(), 1 + usize::from(command == ["check"]), "{said}");
    }
    put(root, "etc/modprobe.d/x.conf", "blacklist nouveau\n");
    let named = on(root, &["check", "--gpu", "01:00.0"]).stdout;
    assert!(named.contains("/etc/modprobe.d/x.conf, line 1 says `blacklist nouveau`"), "{named}");
    fs::remove_file(root.join("etc/modprobe.d/x.conf")).unwrap();

    // On vfio-pci already, nothing has to be released for it.
    let start = on(root, &["check", "--gpu", "01:00.0", "--bind", "start"]).stdout;
    assert!(!start.contains("or use --bind boot"), "{start}");

    let handover = ["define", "w", "--gpu", "01:00.0", "--handover", "--dry-run"];
    fs::create_dir_all(root.join("run/systemd/system")).unwrap();
    on(root, &handover).saying(&["--handover has no effect: 01:00.0 is bound to vfio-pci already"]);
    bind(root, &["0000:01:00.0", "0000:01:00.1"], "nouveau");
    assert!(!on(root, &handover).stderr.contains("--handover has no effect"));
}

/// A 3D controller shows no picture: alone on vfio-pci it takes no display away, and on a driver of the host it gives none.
#[test]
fn a_controller_without_outlets_is_no_display() {
    let root = machine("z170-gtx960");
    let root = root.path();
    take(root, "0000:00:02.0");
    bind(root, &["0000:01:00.0", "0000:01:00.1"], "vfio-pci");
    put(root, "etc/modprobe.d/vfio.conf", "options vfio-pci ids=10de:1401,10de:0fba\nsoftdep nouveau pre: vfio-pci\n");
    add(root, "0000:07:00.0", "nvidia", "30200", "10DE:20B0", None);
    let dark = "the host has no display: 01:00.0 is bound to vfio-pci by /etc/modprobe.d/vfio.conf, line 1";
    let prepare = || on(root, &["prepare", "--gpu", "01:00.0", "--dry-run"]);
    prepare().with(1).saying(&[&format!("blocked: {dark}")]);
    let check = || on(root, &["--json", "check", "--gpu", "01:00.0"]).stdout;
    assert!(check().contains(dark), "{}", check());
    let uevent = root.join("sys/bus/pci/devices/0000:01:00.0/uevent");
    fs::write(&uevent, fs::read_to_string(&uevent).unwrap().replace("PCI_CLASS=30000", "PCI_CLASS=30200")).unwrap();
    let ran = prepare().with(0);
    assert!(!ran.stdout.contains("has no display") && !ran.stderr.contains("has no display"), "{}{}", ran.stdout, ran.stderr);
    assert!(!check().contains("no-display"), "{}", check());
}

/// A next step that is a sentence about another's file is not said to be prepare's.
#[test]
fn the_next_step_is_one_step() {
    let root = machine("z170-gtx960");
    put(root.path(), "etc/modprobe.d/vfio.conf", "options vfio-pci ids=10de:1401,10de:0fba\n");
    let ran = on(root.path(), &["check", "--gpu", "01:00.0", "--bind", "start"]).with(1);
    assert!(ran.stdout.contains("/etc/modprobe.d/vfio.conf, line 1") && !ran.stdout.contains("it shows what blocks it"), "{}", ran.stdout);
}

#[test]
fn why_a_card_is_taken_is_true() {
    let root = machine("z170-gtx960");
    on(root.path(), &["prepare", "--dry-run"]).saying(&["using 01:00.0: 00:02.0 is integrated graphics, used only if it is named"]);
    let root = machine("x570d4u-rtx-and-bmc");
    on(root.path(), &["prepare", "--dry-run"]).saying(&["using 2d:00.0: 29:00.0 is the server's console"]);
    // Where there is none, all say the same.
    let root = machine("c246-server-bmc-only");
    let remedy = ["remedy: name a device that is not a graphics card with --pci; see all devices: vgapt list --all"];
    on(root.path(), &["prepare", "--gpu", "auto", "--dry-run"]).with(1).saying(&remedy);
    on(root.path(), &["define", "w", "--gpu", "auto"]).with(1).saying(&remedy);
    on(root.path(), &["list", "--env"]).with(1).saying(&remedy);
}

/// What list and check warn of, define says too.
#[test]
fn define_says_what_is_known_of_a_card() {
    for (name, address, words) in [
        ("ryzen1-two-rx580", "", "cards of the Polaris family do not recover from a reset"),
        ("laptop-5625u-rtx3050m-muxless", "01:00.0", "01:00.0: it has no display outputs of its own"),
        ("z170-gtx960", "00:02.0", "drive the board's display outputs only with the firmware's OpRegion"),
    ] {
        let root = machine(name);
        let list: Value = serde_json::from_str(&on(root.path(), &["--json", "list"]).with(0).stdout).unwrap();
        let first = list["gpus"][0]["address"].as_str().unwrap();
        let address = if address.is_empty() { first } else { address };
        let said = on(root.path(), &["define", "w", "--gpu", address, "--dry-run"]).saying(&[words]).stderr;
        assert_eq!(said.matches(words).count(), 1, "{said}");
        let said = on(root.path(), &["-v", "define", "w", "--gpu", address, "--dry-run"]).saying(&[words]).stderr;
        assert_eq!(said.matches(words.split(": ").last().unwrap()).count(), 1, "{said}");
    }
    // Looking Glass is the other way.
    let root = machine("laptop-5625u-rtx3050m-muxless");
    let said = on(root.path(), &["define", "w", "--gpu", "01:00.0", "--looking-glass", "1920x1080", "--dry-run"]).stderr;
    assert!(!said.contains("no display outputs"), "{said}");
}

/// What is to be run next names the libvirt that was named.
#[test]
fn the_connection_is_kept() {
    let root = machine("z170-gtx960");
    on(root.path(), &["define", "w", "--force"]).with(0).saying(&["next: vgapt start w"]);
    let default = run(&mut vgapt(["--root", root.path().to_str().unwrap(), "define", "w", "--force"])).with(0);
    assert!(without_options(&default.stderr).contains("next: vgapt start w"), "{}", default.stderr);
    let behind = run(&mut vgapt(["-c", "test:///default", "define", "w", "--disk", "/nowhere/x.qcow2", "--dry-run"]));
    behind.saying(&["these files could not be checked: /nowhere/x.qcow2", "vgapt does not read files of a host behind this connection"]);
}

/// What others' hooks do around a domain is named where that domain is given a device, and nowhere else.
#[test]
fn hooks_of_others_around_this_domain() {
    let root = machine("z170-gtx960");
    put(root.path(), "etc/libvirt/hooks/qemu.d/games/prepare/begin/bind.sh", "#!/bin/sh\nvirsh nodedev-detach pci_0000_01_00_0\n");
    let words = "/etc/libvirt/hooks/qemu.d/games/prepare/begin/bind.sh, for the domain games: line 2 calls libvirt";
    let define = |name: &str, more: &[&str]| on(root.path(), &[&["define", name, "--dry-run"], more].concat());
    define("games", &["--gpu", "01:00.0"]).with(0).saying(&[words, "remedy: let vgapt do this", "mv /etc/libvirt/hooks/qemu.d/games"]);
    for (name, more) in [("games", &[][..]), ("work", &["--gpu", "01:00.0"])] {
        let said = define(name, more).with(0).stderr;
        assert!(!said.contains("bind.sh"), "{name}: {said}");
    }
}

/// Where the disk of the root file system is not found, a controller may have it: that it is not in use is not known.
#[test]
fn a_disk_whose_use_is_unknown_is_not_unused() {
    let root = machine("z170-gtx960");
    put(root.path(), "proc/mounts", "rpool/ROOT/pve-1 / zfs rw 0 0\n");
    let words = ["it is unknown whether the host uses a disk behind 00:17.0: the ZFS pool rpool is in use"];
    let prepare = |more: &[&str]| on(root.path(), &[&["prepare", "--pci", "00:17.0", "--dry-run"], more].concat());
    prepare(&[]).with(1).saying(&words).saying(&["--allow disk-in-use"]);
    assert!(!prepare(&["--allow", "disk-in-use"]).with(0).stderr.contains("unknown whether"));
    let define = ["define", "it", "--pci", "00:17.0"];
    on(root.path(), &define).with(1).saying(&words);
    // A name of the kernel's tells the kind: an NVMe disk is not behind a SATA controller.
    put(root.path(), "proc/mounts", "/dev/sda2 / ext4 rw 0 0\n");
    prepare(&[]).with(1).saying(&["00:17.0: the root file system is on /dev/sda2, whose disk was not found"]);
    put(root.path(), "proc/mounts", "/dev/nvme0n1p2 / ext4 rw 0 0\n");
    assert!(!prepare(&[]).stderr.contains("unknown whether"));
    // Its disk is elsewhere.
    let disk = "devices/pci0000:00/0000:00:1d.0/0000:05:00.0/nvme/nvme0/nvme0n1/nvme0n1p2";
    put(root.path(), &format!("sys/{disk}/dev"), "259:2\n");
    fs::create_dir_all(root.path().join("sys/class/block")).unwrap();
    symlink(format!("../../{disk}"), root.path().join("sys/class/block/nvme0n1p2")).unwrap();
    for arguments in [&["prepare", "--pci", "00:17.0", "--dry-run"][..], &[&define[..], &["--dry-run"]].concat()] {
        let said = on(root.path(), arguments).stderr;
        assert!(!said.contains("unknown whether"), "{said}");
    }
}

/// What `check` says of a card is said where somebody agrees to give it away.
#[test]
fn what_is_said_of_a_card_before_it_is_bound() {
    let root = machine("z170-gtx960");
    let output = |display: &str, name: &str, state: Option<&str>| {
        let home = root.path().join("sys/bus/pci/devices").join(display).join("drm/card0").join(format!("card0-{name}"));
        fs::create_dir_all(&home).unwrap();
        if let Some(state) = state {
            fs::write(home.join("status"), format!("{state}\n")).unwrap();
        }
    };
    let said = |arguments: &[&str]| {
        let ran = on(root.path(), arguments);
        ran.stdout + &ran.stderr
    };
    let prepare = ["prepare", "--gpu", "01:00.0", "--dry-run"];
    let asked: [&[&str]; 3] = [&prepare, &["check", "--gpu", "01:00.0"], &["define", "w", "--gpu", "01:00.0", "--dry-run"]];
    let words = "no monitor is connected to 00:02.0, only to 01:00.0";
    output("0000:01:00.0", "DP-1", Some("connected"));
    // The other driver does not say it, says that it does not know, or has a monitor.
    for state in [None, Some("unknown"), Some("connected")] {
        if state.is_some() {
            output("0000:00:02.0", "HDMI-A-1", state);
        }
        assert!(asked.iter().all(|arguments| !said(arguments).contains(words)), "{state:?}");
    }
    output("0000:00:02.0", "HDMI-A-1", Some("disconnected"));
    for arguments in asked {
        assert!(said(arguments).contains(words), "{arguments:?}: {}", said(arguments));
    }

    put(root.path(), "sys/bus/pci/devices/0000:01:00.0/boot_vga", "0\n");
    assert!(!said(&prepare).contains("this is the boot display"), "{}", said(&prepare));
    put(root.path(), "sys/bus/pci/devices/0000:01:00.0/boot_vga", "1\n");
    assert!(said(&prepare).contains("01:00.0: this is the boot display"), "{}", said(&prepare));
    // Its outlets stay with the host until the start, which is said in other words.
    let at_start = said(&[&prepare[..], &["--bind", "start"]].concat());
    assert!(!at_start.contains("this is the boot display"), "{at_start}");

    // A bridge of an enclosure is above the card, and the kernel does not say that it can be unplugged.
    for arguments in asked {
        assert!(!said(arguments).contains("it can be unplugged"), "{}", said(arguments));
    }
    let devices = root.path().join("sys/devices/pci0000:00");
    fs::rename(devices.join("0000:01:00.0"), devices.join("0000:00:01.0/0000:01:00.0")).unwrap();
    let link = root.path().join("sys/bus/pci/devices/0000:01:00.0");
    fs::remove_file(&link).unwrap();
    symlink("../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0", &link).unwrap();
    let bridge = root.path().join("sys/bus/pci/devices/0000:00:01.0/uevent");
    let text = fs::read_to_string(&bridge).unwrap();
    assert!(text.contains("PCI_ID=8086:1901"), "{text}");
    fs::write(bridge, text.replace("PCI_ID=8086:1901", "PCI_ID=8086:15EF")).unwrap();
    for arguments in asked {
        assert!(said(arguments).contains("it can be unplugged"), "{arguments:?}: {}", said(arguments));
    }
}

/// No program that is closed frees what is reserved, nor what the host itself needs beside a guest whose memory is pinned.
#[test]
fn memory_that_is_never_free() {
    let root = machine("z170-gtx960");
    let memory = |more: &str| format!("MemTotal: 33554432 kB\nMemAvailable: 30000000 kB\nHugepagesize: 2048 kB\n{more}");
    put(root.path(), "proc/meminfo", &memory(""));
    let define = |more: &[&str]| on(root.path(), &[&["define", "w", "--dry-run"], more].concat());
    let words = "the host never has that free";
    define(&["--gpu", "01:00.0", "--memory", "31G"]).with(1).saying(&[
        words,
        "2048 MiB are for the host itself",
        "at most --memory 30720M",
    ]);
    assert!(!define(&["--gpu", "01:00.0", "--memory", "30G"]).stderr.contains(words));
    // Nothing of this one is pinned, so the host can swap.
    assert!(!define(&["--memory", "31G"]).with(0).stderr.contains(words));
    // A small host runs no desktop.
    put(root.path(), "proc/meminfo", "MemTotal: 2097152 kB\nMemAvailable: 1900000 kB\nHugepagesize: 2048 kB\n");
    define(&["--gpu", "01:00.0", "--memory", "1G"]).with(0);
    define(&["--gpu", "01:00.0", "--memory", "1600M"]).with(1).saying(&["512 MiB are for the host itself", "at most --memory 1536M"]);
    put(root.path(), "proc/meminfo", &memory(""));
    let pool = "sys/kernel/mm/hugepages/hugepages-2048kB";
    put(root.path(), &format!("{pool}/nr_hugepages"), "6144\n");
    put(root.path(), &format!("{pool}/free_hugepages"), "6144\n");
    define(&["--memory", "24G"]).with(1).saying(&[words, "12288 MiB are reserved as huge pages", "at most --memory 20480M"]);
    assert!(!define(&["--memory", "12G", "--hugepages"]).stderr.contains(words));
}

/// A limit of control groups is named, and not an option that nobody gave.
#[test]
fn processors_that_a_control_group_keeps_from_guests() {
    let root = machine("z170-gtx960");
    put(root.path(), "sys/fs/cgroup/machine.slice/cpuset.cpus.effective", "0\n");
    let words = ["guests may use only the CPUs 0 (cpuset.cpus of machine.slice)", "systemctl set-property machine.slice AllowedCPUs=CPUS"];
    let define = on(root.path(), &["define", "w", "--gpu", "01:00.0", "--cpus", "2", "--dry-run"]).saying(&words).stderr;
    assert!(!define.contains("--core-kind"), "{define}");
    let topology = on(root.path(), &["topology", "--cpus", "2"]).with(1).saying(&words).stderr;
    assert!(!topology.contains("--cpus 0"), "{topology}");
}

/// A `direct` range of a group is an RMRR: the kernel refuses the group. `direct-relaxable`, as graphics have it, is no obstacle.
#[test]
fn memory_that_the_firmware_reserves_keeps_a_card_with_the_host() {
    let root = machine("3700x-acs-on");
    let link = fs::read_link(root.path().join("sys/bus/pci/devices/0000:06:00.0/iommu_group")).unwrap();
    let regions = format!("sys/kernel/iommu_groups/{}/reserved_regions", link.file_name().unwrap().to_str().unwrap());
    let verdict = || {
        let json: Value = serde_json::from_str(&on(root.path(), &["list", "--gpu", "06:00.0", "--json"]).with(0).stdout).unwrap();
        json["gpus"][0]["verdict"].as_str().unwrap().to_owned()
    };
    let msi = "0x00000000fee00000 0x00000000feefffff msi\n";
    put(root.path(), &regions, &format!("0x00000000df7e8000 0x00000000df7eefff direct-relaxable\n{msi}"));
    assert_eq!(verdict(), "available");
    put(root.path(), &regions, &format!("0x00000000df7e8000 0x00000000df7eefff direct\n{msi}"));
    assert_eq!(verdict(), "reserved");
    let words = ["the firmware reserves memory for 06:00.0 (RMRR, 0x00000000df7e8000-0x00000000df7eefff)"];
    on(root.path(), &["prepare", "--gpu", "06:00.0", "--dry-run"]).with(1).saying(&words);
    on(root.path(), &["define", "it", "--gpu", "06:00.0"]).with(1).saying(&words);
    assert!(on(root.path(), &["check", "--gpu", "06:00.0"]).with(1).stdout.contains("the firmware reserves memory for it (RMRR)"));
}

#[test]
fn a_guest_on_a_virtual_function_has_no_picture() {
    let root = machine("3700x-acs-on");
    add(root.path(), "0000:06:10.0", "nvidia", "30000", "10DE:2231", Some("0000:06:00.0"));
    let words = ["06:10.0: it has no display outputs: no monitor can show the guest's picture", "use a remote desktop"];
    on(root.path(), &["define", "it", "--gpu", "06:10.0", "--dry-run"]).with(0).saying(&words);
}
