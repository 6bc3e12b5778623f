//! What `define` says: the domain in a few lines, what changes in words, and what a guest lacks.

#[path = "support/command.rs"]
mod command;

use command::{Ran, Z170, run, vgapt};
use serde_json::Value;

const H100: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/hosts/epyc-two-h100.host");

fn on(root: &str, line: &str) -> Ran {
    run(&mut vgapt(["--root", root, "-c", "test:///default"].into_iter().chain(line.split(' '))))
}

/// The lines of the summary, by their names.
fn row(said: &str, name: &str) -> String {
    let begin = format!("  {name:<8}  ");
    let line = said.lines().find_map(|line| line.strip_prefix(&begin));
    line.unwrap_or_else(|| panic!("no '{name}' in:\n{said}")).to_owned()
}

#[test]
fn a_new_domain_is_told_in_a_few_lines() {
    let all = "define win11 --os win11 --gpu 01:00.0 --memory 6G --cpus 4 --disk /vm/a.qcow2 --cdrom /vm/w.iso --dry-run";
    let said = on(Z170, &format!("{all} --virtio-iso /vm/virtio-win.iso --evdev /dev/input/by-id/a-event-kbd --force")).stderr;
    assert!(said.contains("\nwin11: Windows 11, 6 GiB, 4 processors, pinned to cores of the host\n"), "{said}");
    assert_eq!(row(&said, "card"), "NVIDIA Corporation GM206 [GeForce GTX 960] (01:00.0)");
    assert_eq!(row(&said, "picture"), "on a monitor that is plugged into the card");
    assert_eq!(row(&said, "input"), "the host's devices, which both control keys switch between host and guest");
    assert_eq!(row(&said, "disk"), "/vm/a.qcow2");
    assert_eq!(row(&said, "network"), "through the host (user)");
    assert_eq!(row(&said, "install"), "the installer shows no disk until you load the driver vioscsi from the virtio CD");

    let said = on(Z170, &format!("{all} --keyboard 046d:c31c --handover --network nat --title Spiele --force")).stderr;
    assert!(said.contains("\nwin11: \"Spiele\", Windows 11,"), "{said}");
    // The processor's graphics stay with the host: nothing is handed over.
    assert_eq!(row(&said, "picture"), "on a monitor that is plugged into the card");
    assert!(said.contains("warning: --handover is not needed"), "{said}");
    assert!(row(&said, "input").starts_with("USB devices, which only the guest has while it runs: 046d:c31c"), "{said}");
    assert_eq!(row(&said, "network"), "libvirt's network default");
    assert!(row(&said, "install").contains("add the CD that has it with --virtio-iso"), "{said}");

    let glass = on(Z170, "define x --os linux --gpu 01:00.0 --disk /vm/a.raw --looking-glass 1920x1080 --dry-run --force").stderr;
    assert!(row(&glass, "picture").contains("in Looking Glass on this host; in a window on this host (SPICE)"), "{glass}");
    assert_eq!(row(&glass, "input"), "the window (SPICE)");
    assert!(!glass.contains("  install ") && glass.contains("\nx: Linux, 8 GiB"), "{glass}");

    let json = on(Z170, &format!("--json {all} --usb 046d:c31c --force")).stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    let summary = &json["summary"];
    assert_eq!((&summary["system"], &summary["processors"], &summary["memory"]), (&"Windows 11".into(), &4.into(), &(6_u64 << 30).into()));
    assert_eq!(summary["picture"][0], serde_json::json!({"on": "monitor", "card": "0000:01:00.0"}));
    assert_eq!(summary["input"][0]["by"], "usb");
    assert_eq!(summary["installer"], serde_json::json!({"driver": "vioscsi", "cd": false}));
    assert_eq!((&json["changes"], &json["diff"]), (&serde_json::json!([]), &"".into()), "there is nothing that it could differ from");
}

#[test]
fn a_change_is_said_in_words_and_only_where_it_is_made() {
    let change = "define test --memory 1G --display vnc --title Work";
    let made = on(Z170, change).with(0).saying(&[
        "'test' was not defined by vgapt: only what is requested is changed",
        "changes of 'test':\n",
        "\n  memory 8 GiB → 1 GiB\n",
        "\n  window (vnc) added\n",
        "\n  title Work added\n",
        "'test' is running: that holds from its next start on",
        // It is new to vgapt.
        "\n  disk      /guest/diskimage1\n",
    ]);
    assert!(!made.stderr.contains("+++") && !made.stderr.contains("SPICE"), "{}", made.stderr);
    let detailed = on(Z170, &format!("-v {change}")).with(0).saying(&["  memory 8 GiB → 1 GiB", "+++ test new", "+  <title>Work</title>"]);
    assert!(!detailed.stderr.contains("vgapt:domain") && !detailed.stderr.contains("<metadata>"), "{}", detailed.stderr);

    let json: Value = serde_json::from_str(&on(Z170, &format!("--json {change}")).with(0).stdout).unwrap();
    let changes: Vec<&str> = json["changes"].as_array().unwrap().iter().map(|change| change.as_str().unwrap()).collect();
    assert!(changes.contains(&"memory 8 GiB → 1 GiB") && changes.contains(&"title Work added"), "{changes:?}");
    let diff = json["diff"].as_str().unwrap();
    assert!(diff.contains("+  <title>Work</title>") && !diff.contains("vgapt:domain"), "{diff}");

    for refused in ["define test --memory 1G --gpu 0f:00.0", "-v define test --memory 1G --gpu 0f:00.0"] {
        let said = on(Z170, refused).with(1).saying(&["nothing was defined for 'test'"]).stderr;
        assert!(!said.contains("memory") && !said.contains("+++") && !said.contains("running"), "{said}");
    }
    let card = on(Z170, "define test --gpu 01:00.0 --dry-run").with(0).stderr;
    assert!(card.contains("\n  card 01:00.0 (NVIDIA Corporation GM206 [GeForce GTX 960]) added\n"), "{card}");
    let only_record = on(Z170, "define test --share-smb /srv --dry-run --force").stderr;
    assert!(
        only_record.contains("changes of 'test': only vgapt's record of the request\n") && !only_record.contains("running"),
        "{only_record}"
    );
}

#[test]
fn what_a_guest_lacks_is_said_once() {
    let has = |said: &str| {
        let words = ["no display outputs", "no graphics card", "no keyboard and no mouse", "has no disk"];
        words.map(|words| said.matches(words).count())
    };
    let of = |root: &str, line: &str| has(&on(root, &format!("define {line} --dry-run")).stderr);
    assert_eq!(of(Z170, "new"), [0, 1, 0, 1]);
    assert_eq!(of(Z170, "new --gpu 01:00.0"), [0, 0, 1, 1]);
    assert_eq!(of(Z170, "new --gpu 01:00.0 --disk /vm/a.raw --usb 046d:c31c"), [0, 0, 0, 0]);
    assert_eq!(of(Z170, "new --gpu 01:00.0 --disk /vm/a.raw --display vnc"), [0, 0, 0, 0]);
    assert_eq!(of(H100, "new --gpu c1:00.0 --disk /vm/a.raw"), [1, 0, 1, 0]);
    assert_eq!(of(H100, "new --gpu c1:00.0 --disk /vm/a.raw --display spice"), [0, 0, 0, 0]);
    let nowhere = on(H100, "define new --gpu c1:00.0 --dry-run").stderr;
    assert!(nowhere.contains("by define's option --display vnc"), "{nowhere}");
    assert_eq!(row(&nowhere, "picture"), "nowhere: the card has no outputs; only a remote desktop in the guest shows it");
    // Its owner knows what it has.
    assert_eq!(of(Z170, "test --memory 1G"), [0, 0, 0, 0]);
    assert_eq!(of(H100, "test --gpu c1:00.0"), [1, 0, 0, 0], "but for the card that is new in it");
    let glass = on(Z170, "define new --gpu 01:00.0 --looking-glass 1920x1080 --display vnc --dry-run").stderr;
    assert!(glass.contains("Looking Glass takes keyboard and mouse through SPICE"), "{glass}");
}

/// What an option needs besides, or where it has no effect.
#[test]
fn what_an_option_leaves_to_the_user() {
    let host = |name: &str| format!("{}/fixtures/hosts/{name}.host", env!("CARGO_MANIFEST_DIR"));
    let said = |name: &str, line: &str| on(&host(name), &format!("define x --dry-run --force {line}")).stderr;

    // A passed disk has no place in the order that libvirt writes.
    let passed = "--os win10 --gpu 03:00.0 --pci 17:00.0";
    let place = "its firmware does not boot from 17:00.0";
    let with_cd = said("x670e-7950x3d-rx7900xtx", &format!("{passed} --cdrom /i/w.iso"));
    assert!(with_cd.contains(place) && with_cd.contains("<boot order='1'/> into the <hostdev>"), "{with_cd}");
    assert!(!said("x670e-7950x3d-rx7900xtx", passed).contains(place));
    assert!(!said("x670e-7950x3d-rx7900xtx", &format!("{passed} --cdrom /i/w.iso --disk /vm/a.raw")).contains(place));

    // Both cards are handed over, not one of them.
    let both = said("x670e-rx7800xt-rtx2070s", "--gpu 03:00.0 --gpu 05:00.0");
    assert!(both.contains("--gpu 03:00.0 --gpu 05:00.0 --handover"), "{both}");
    // The display that stays shows nothing of the desktop.
    let desktop = said("z370-gt1030-iommu-by-default", "--gpu auto --handover");
    assert!(desktop.contains("the desktop runs on this card") && !desktop.contains("--handover is not needed"), "{desktop}");

    let glass = said("z170-gtx960", "--os win11 --gpu 01:00.0 --looking-glass 1920x1080 --display none");
    assert!(glass.contains("looking-glass.io/downloads") && !glass.contains("window of SPICE"), "{glass}");
    let toggle = said("z170-gtx960", "--gpu 01:00.0 --evdev-toggle scrolllock");
    assert!(toggle.contains("--evdev-toggle has no effect"), "{toggle}");
    let number = said("z170-gtx960", "--gpu 01:00.0 --evdev /dev/input/event3");
    assert!(number.contains("/dev/input/event3 may name another device") && !number.contains("--evdev-toggle"), "{number}");
    // libvirt's schema has runtimeDir for PipeWire only.
    let pulse = said("z170-gtx960", "--gpu 01:00.0 --sound pulseaudio");
    assert!(pulse.contains("serverName='/run/user/1000/pulse/native'") && !pulse.contains("runtimeDir"), "{pulse}");
    assert!(said("z170-gtx960", "--gpu 01:00.0 --sound pipewire").contains("runtimeDir='/run/user/1000'"));
}

/// Its ROM expects it at 00:02.0 (QEMU, docs/igd-assign.txt).
#[test]
fn intels_graphics_are_where_their_rom_expects_them() {
    let place = "<address type='pci' domain='0x0000' bus='0x00' slot='0x02' function='0x0'";
    let all = "define i --os linux --gpu 00:02.0 --rom /vm/gop.rom --disk /vm/a.raw --force --dry-run";
    let made = on(Z170, all).with(0);
    let hostdev = made.stdout.split("<hostdev").nth(1).and_then(|rest| rest.split("</hostdev>").next()).unwrap().to_owned();
    assert!(hostdev.contains(place), "{hostdev}");
    assert!(!made.stderr.contains("where /vm/gop.rom expects it"), "{}", made.stderr);
    // Another card is on a root port, and so is this one where something is at its place.
    assert!(!on(Z170, &all.replace("00:02.0", "01:00.0")).with(0).stdout.contains(place));
    let folder = tempfile::TempDir::new().unwrap();
    let template = folder.path().join("own.xml");
    let port = format!("<controller type='pci' index='1' model='pcie-root-port'>{place}/></controller>");
    let domain = format!("<domain type='kvm'><os><type machine='q35'>hvm</type></os><devices>{port}</devices></domain>");
    std::fs::write(&template, domain).unwrap();
    let made = on(Z170, &format!("{all} --template {}", template.display()).replace("--os linux ", "")).with(0);
    assert_eq!(made.stdout.matches(place).count(), 1, "{}", made.stdout);
    made.saying(&["00:02.0 is not at 00:02.0 of the guest, where /vm/gop.rom expects it: something else is there"]);
}
