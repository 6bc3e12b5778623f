//! The one next step: whoever asks, the same answer, and one that is not refused.

#[path = "support/command.rs"]
#[expect(dead_code, reason = "not all of it is used here")]
mod command;

use std::fs;

use command::{Ran, run, vgapt};
use serde_json::Value;

const HOSTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/hosts");

fn names() -> Vec<String> {
    let names =
        fs::read_dir(HOSTS).unwrap().filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(".host")?.to_owned()));
    let names: Vec<String> = names.collect();
    assert!(names.len() > 20, "the recorded machines are not there");
    names
}

fn on(name: &str, arguments: &[&str]) -> Ran {
    let host = format!("{HOSTS}/{name}.host");
    run(&mut vgapt(["--root", &host, "-c", "test:///default"].iter().chain(arguments)))
}

fn json(name: &str, arguments: &[&str]) -> Value {
    let ran = on(name, &[&["--json"], arguments].concat());
    serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{name}: {}{}", ran.stdout, ran.stderr))
}

/// The last line that says what comes next.
fn line(ran: &Ran) -> String {
    let all = format!("{}{}", ran.stdout, ran.stderr);
    let lines: Vec<&str> = all.lines().filter_map(|line| line.strip_prefix("next: ")).collect();
    assert_eq!(lines.len(), 1, "the next step is said once:\n{all}");
    lines[0].to_owned()
}

#[test]
fn list_check_and_vgapt_alone_say_the_same() {
    for name in names() {
        let listed = json(&name, &["list"]);
        for card in listed["gpus"].as_array().unwrap() {
            let address = card["address"].as_str().unwrap();
            assert_eq!(card["next"], json(&name, &["check", "--gpu", address])["next"], "{name} {address}");
        }
        let checked = json(&name, &["check"]);
        assert!(checked["next"]["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{name}: {checked}");
        assert_eq!(listed["next"], checked["next"], "{name}");
        assert_eq!(json(&name, &[])["next"], checked["next"], "{name}");
    }
    let name = "epyc-two-h100";
    let said = line(&on(name, &["check"]));
    for arguments in [["list"].as_slice(), &["status"], &[]] {
        assert_eq!(line(&on(name, arguments)), said, "{arguments:?}");
    }
    // The details of one card end with it, so it is not said again.
    let details = on(name, &["list", "--gpu", "e1:00.0"]).stdout;
    assert!(details.contains("\n  next      vgapt prepare --gpu e1:00.0   (the host uses e1:00.0 by nouveau)\n"), "{details}");
    assert!(!details.contains("\nnext: "), "{details}");
}

/// What is advised is done by the program that is advised, and leads to another step.
#[test]
fn what_is_advised_is_not_refused() {
    for name in names() {
        for card in json(&name, &["list"])["gpus"].as_array().unwrap() {
            let Some(command) = card["next"]["command"].as_str() else { continue };
            let words: Vec<&str> = command.split(' ').collect();
            assert!(matches!(words[..], ["vgapt", "prepare" | "define", ..]), "{name}: {command}");
            on(&name, &[&words[1..], &["--dry-run"]].concat()).with(0);
        }
    }
}

/// One card, two equal ones, a laptop, a server with two data-centre cards, and a host whose IOMMU is off.
#[test]
fn five_machines() {
    for (name, next) in [
        ("z490-rx6900xt-iommu-off", "vgapt prepare --gpu 03:00.0 --bind start   (the IOMMU is off)"),
        ("ryzen1-two-rx580", "vgapt prepare --gpu 27:00.0   (the host uses 27:00.0 by amdgpu, snd_hda_intel)"),
        ("laptop-5625u-rtx3050m-muxless", "vgapt prepare --gpu 01:00.0   (the host uses 01:00.0 by nouveau)"),
        ("epyc-two-h100", "vgapt prepare --gpu c1:00.0   (or e1:00.0, which is as good; the host uses c1:00.0 by nouveau)"),
        ("laptop-8300h-gtx1050-iommu-off", "vgapt prepare --gpu 01:00.0   (the IOMMU is off)"),
        (
            "b450m-gtx1660-svm-off",
            "enable SVM (AMD-V) in the firmware settings   (the processor reports no SVM (AMD-V): KVM cannot work, with or without an IOMMU)",
        ),
        ("c246-server-bmc-only", "no card can be passed through at present: 06:00.0 is the server's console"),
        ("z690-rx6700xt-rx560-vmd", "vgapt define NAME --gpu 04:00.0   (04:00.0 is ready for a guest)"),
    ] {
        assert_eq!(line(&on(name, &["check"])), next, "{name}");
    }
}

/// Before the host is ready, a definition leads back to the host; then to the start.
#[test]
fn after_a_definition() {
    let refused = on("z490-rx6900xt-iommu-off", &["define", "x", "--gpu", "03:00.0", "--handover"]).with(1);
    assert_eq!(line(&refused), "vgapt prepare --gpu 03:00.0 --bind start   (the IOMMU is off)");
    let groups = refused.stderr.matches("not in an IOMMU group").count();
    assert_eq!(groups, 1, "one cause is said once:\n{}", refused.stderr);
    assert_eq!(
        line(&on("z170-gtx960", &["define", "x", "--gpu", "01:00.0"]).with(0)),
        "vgapt prepare --gpu 01:00.0   (the host uses 01:00.0 by nouveau, snd_hda_intel)"
    );
    assert_eq!(
        line(&on("z690-rx6700xt-rx560-vmd", &["define", "x", "--gpu", "04:00.0"]).with(0)),
        "vgapt -c test:///default start x   (it is defined, and shut off)"
    );
    let value = json("z690-rx6700xt-rx560-vmd", &["define", "x", "--gpu", "04:00.0"]);
    assert_eq!(value["next"]["command"], "vgapt -c test:///default start x", "{value}");
    let dry = on("z490-rx6900xt-iommu-off", &["define", "x", "--gpu", "03:00.0", "--handover", "--dry-run"]);
    assert_eq!(line(&dry), "vgapt prepare --gpu 03:00.0 --bind start   (the IOMMU is off)");
}

/// Where prepare is refused in one way, the other way is named; where it is refused for something else, not itself.
#[test]
fn after_prepare() {
    let refused = on("b450m-gtx1660-svm-off", &["prepare", "--gpu", "10:00.0", "--dry-run"]).with(1);
    assert!(line(&refused).starts_with("enable SVM"), "{}", refused.stderr);
    let refused = on("z490-rx6900xt-iommu-off", &["prepare", "--gpu", "03:00.0", "--dry-run"]).with(1);
    assert_eq!(line(&refused), "vgapt prepare --gpu 03:00.0 --bind start   (the IOMMU is off)");
    let too_much = ["prepare", "--gpu", "01:00.0", "--hugepages", "900G", "--dry-run"];
    assert_eq!(line(&on("laptop-8300h-gtx1050-iommu-off", &too_much).with(1)), "correct what blocks it: see above");
    let value = json("z170-gtx960", &["prepare", "--gpu", "01:00.0", "--dry-run"]);
    assert_eq!(value["next"]["command"], "vgapt prepare --gpu 01:00.0", "{value}");
}
