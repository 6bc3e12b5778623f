//! The one next step: whoever asks, the same answer, and one that is not refused.

#[path = "support/command.rs"]
#[expect(dead_code, reason = "not all of it is used here")]
mod command;

#[path = "support/tree.rs"]
#[expect(dead_code, reason = "not all of it is used here")]
mod tree;

use std::fs;
use std::path::Path;

use command::{Ran, run, vgapt, without_options};
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
    serde_json::from_str(&without_options(&ran.stdout)).unwrap_or_else(|_| panic!("{name}: {}{}", ran.stdout, ran.stderr))
}

/// The last line that says what comes next.
fn line(ran: &Ran) -> String {
    let all = without_options(&format!("{}{}", ran.stdout, ran.stderr));
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
    let details = without_options(&on(name, &["list", "--gpu", "e1:00.0"]).stdout);
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

/// The remedy of the first finding that refuses, and the finding, as the next step says them.
fn way_out(ran: &Ran) -> String {
    let said = without_options(&ran.stderr);
    let refusal =
        said.split("error: ").nth(1).or_else(|| said.split("blocked: ").nth(1)).unwrap_or_else(|| panic!("nothing refuses:\n{said}"));
    let (message, rest) = refusal.split_once("\n  remedy: ").unwrap();
    let remedy = rest.lines().next().unwrap().split("; to do it anyway: ").next().unwrap();
    format!("{remedy}   ({message})\n")
}

/// `check`, `prepare` and `define` decide by the same: what is ready is not refused, on every recorded machine, for every card,
/// whenever it is bound; and what a refusal says to do is the next step.
#[test]
fn check_prepare_and_define_are_of_one_mind() {
    let (mut ready, mut refused) = (0, 0);
    for name in names() {
        for card in json(&name, &["list"])["gpus"].as_array().unwrap() {
            let address = card["address"].as_str().unwrap();
            for bind in ["boot", "start"] {
                let checked = json(&name, &["check", "--gpu", address, "--bind", bind]);
                let planned = on(&name, &["prepare", "--gpu", address, "--bind", bind, "--dry-run"]);
                let what = format!("{name} {address} {bind}");
                assert!(checked["ready"] != true || planned.code() == Some(0), "{what}: ready, and prepare refuses\n{}", planned.stderr);
                ready += u32::from(checked["ready"] == true);
                let to_prepare = checked["next"]["command"].as_str().is_some_and(|command| command.starts_with("vgapt prepare"));
                assert!(!to_prepare || planned.code() == Some(0), "{what}: the next step is refused\n{}", planned.stderr);
            }
            let checked = json(&name, &["check", "--gpu", address]);
            let plain = on(&name, &["prepare", "--gpu", address, "--dry-run"]);
            assert!(checked["ready"] != true || plain.code() == Some(0), "{name} {address}: ready, and prepare refuses\n{}", plain.stderr);
            let hands_over = checked["next"]["command"].as_str().is_some_and(|command| command.ends_with(" --handover"));
            let options = ["define", "x", "--gpu", address, "--dry-run"];
            let defined = on(&name, &[&options[..], if hands_over { &["--handover"] } else { &[] }].concat());
            if checked["ready"] == true {
                assert_eq!(defined.code(), Some(0), "{name} {address}: ready, and define refuses\n{}", defined.stderr);
                assert!(line(&defined).ends_with("(nothing was defined)"), "{name} {address}: {}", defined.stderr);
            } else if defined.code() == Some(1) {
                refused += 1;
                let (next, said) = (line(&defined), without_options(&defined.stderr));
                let command = next.split("   (").next().unwrap();
                let is_remedy = format!("{next}\n") == way_out(&defined) || way_out(&defined).contains(command);
                assert!(is_remedy, "{name} {address}: the next step is not the remedy of what refuses\n{said}");
            }
        }
    }
    for name in names() {
        let (checked, plain) = (json(&name, &["check"]), on(&name, &["prepare", "--dry-run"]));
        assert!(checked["ready"] != true || plain.code() == Some(0), "{name}: ready, and prepare refuses\n{}", plain.stderr);
    }
    assert!(ready > 5 && refused > 5, "{ready} {refused}");
}

/// Each command that is printed has the options that say where the host is read from, and works as it is printed.
#[test]
fn a_printed_command_has_the_callers_options() {
    let folder = tempfile::tempdir().unwrap();
    let host = folder.path().join("a host");
    fs::copy(format!("{HOSTS}/epyc-two-h100.host"), &host).unwrap();
    let program = format!("vgapt --root '{}' -c test:///default", host.display());
    let on = |arguments: &[&str]| run(&mut vgapt(["--root", host.to_str().unwrap(), "-c", "test:///default"].iter().chain(arguments)));
    let next = format!("next: {program} prepare --gpu c1:00.0   (");
    for arguments in [["list"].as_slice(), &["check"], &["status"], &[]] {
        let ran = on(arguments);
        assert!(format!("{}{}", ran.stdout, ran.stderr).contains(&next), "{arguments:?}: {}{}", ran.stdout, ran.stderr);
    }
    let report: Value = serde_json::from_str(&on(&["--json", "check"]).stdout).unwrap();
    assert_eq!(report["next"]["command"], format!("{program} prepare --gpu c1:00.0"), "{report}");
    let report: Value = serde_json::from_str(&on(&["--json", "check", "--gpu", "c1:00.0"]).stdout).unwrap();
    let commands = report["checks"].as_array().unwrap().iter().filter_map(|check| check["command"].as_str());
    let own: Vec<&str> = commands.filter(|command| command.starts_with("vgapt")).collect();
    assert!(!own.is_empty() && own.iter().all(|command| command.starts_with(&program)), "{own:?}");
    on(&["show", "nosuch"]).with(3).saying(&[&format!("or create it: {program} define nosuch")]);
    let defined = on(&["define", "x", "--gpu", "c1:00.0", "--dry-run"]);
    defined.saying(&[&format!("make one: {program} disk create /"), &next]);
    // A shell runs it as it is printed.
    let again = format!("PATH={}:$PATH {program} prepare --gpu c1:00.0 --dry-run", env!("CARGO_BIN_EXE_vgapt").rsplit_once('/').unwrap().0);
    run(command::command("sh").args(["-c", &again])).with(0);
}

/// What was typed at the boot menu is gone at the next boot: both are said, and prepare is the next step.
#[test]
fn a_parameter_of_one_boot() {
    let distributions = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/distributions");
    let tree = tree::unpacked(&[&distributions.join("ubuntu2404-grub.host"), &distributions.join("machine.part")]);
    let root = tree.path();
    let at = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    let on = |arguments: &[&str]| run(&mut vgapt(["--root", root.to_str().unwrap()].iter().chain(arguments)));
    let next_boot = |arguments: &[&str]| {
        let report: Value = serde_json::from_str(&without_options(&on(&[&["--json", "check"], arguments].concat()).stdout)).unwrap();
        report["checks"].as_array().unwrap().iter().find(|check| check["code"] == "next-boot").cloned().unwrap_or_default()
    };
    // The kernel uses the IOMMU.
    fs::create_dir_all(root.join("sys/class/iommu/dmar0")).unwrap();
    for (number, function) in ["0000:00:02.0", "0000:01:00.0", "0000:01:00.1"].iter().enumerate() {
        let device = fs::canonicalize(root.join("sys/bus/pci/devices").join(function)).unwrap();
        let group = root.join(format!("sys/kernel/iommu_groups/{number}"));
        fs::create_dir_all(&group).unwrap();
        std::os::unix::fs::symlink(&group, device.join("iommu_group")).unwrap();
    }
    fs::write(root.join("proc/cmdline"), format!("{} intel_iommu=on\n", at("proc/cmdline").trim())).unwrap();
    let gpu = ["--gpu", "01:00.0", "--bind", "start"];
    let check = next_boot(&gpu);
    let says = |check: &Value, state: &str, place: &str| {
        assert_eq!(
            (check["state"].as_str(), check["remedy"].as_str()),
            (Some(state), Some("vgapt prepare --gpu 01:00.0 --bind start")),
            "{check}"
        );
        let seen = check["seen"].as_str().unwrap();
        assert!(seen.starts_with(place) && seen.contains("lacks intel_iommu=on, which this boot has"), "{seen}");
    };
    says(&check, "missing", "/boot/grub/grub.cfg");
    // The entries cannot be read: what they are generated from lacks it all the same.
    let entries = at("boot/grub/grub.cfg");
    fs::remove_file(root.join("boot/grub/grub.cfg")).unwrap();
    says(&next_boot(&gpu), "warning", "/etc/default/grub");
    // Written into the generated file only, it is lost at the next kernel.
    let with = entries
        .lines()
        .map(|line| if line.trim_start().starts_with("linux") { format!("{line} intel_iommu=on\n") } else { format!("{line}\n") });
    fs::write(root.join("boot/grub/grub.cfg"), with.collect::<String>()).unwrap();
    let check = next_boot(&gpu);
    assert_eq!(check["state"], "warning", "{check}");
    assert!(check["seen"].as_str().unwrap().contains("until they are generated again"), "{check}");
    on(&["prepare", "--gpu", "01:00.0", "--bind", "start", "--yes"]).with(0);
    assert_ne!(next_boot(&gpu)["state"], "warning");
    // What was left for the start is not proposed to be bound at boot, until it is undone; also to those who may not read receipts.
    let advised = || without_options(&on(&["check", "--gpu", "01:00.0"]).stdout);
    let receipts = root.join("var/lib/vgapt");
    fs::rename(&receipts, root.join("elsewhere")).unwrap();
    assert!(!advised().contains("vgapt prepare"), "{}", advised());
    fs::rename(root.join("elsewhere"), &receipts).unwrap();
    let again = on(&["prepare", "--gpu", "01:00.0", "--dry-run"]).with(0);
    assert!(again.stderr.contains("as before with --bind start"), "{}", again.stderr);
    // The other way round: this boot lacks what the next one has.
    fs::write(root.join("proc/cmdline"), at("proc/cmdline").replace(" intel_iommu=on", "")).unwrap();
    for function in ["0000:00:02.0", "0000:01:00.0", "0000:01:00.1"] {
        fs::remove_file(fs::canonicalize(root.join("sys/bus/pci/devices").join(function)).unwrap().join("iommu_group")).unwrap();
    }
    fs::remove_dir_all(root.join("sys/class/iommu")).unwrap();
    let said = on(&["check", "--gpu", "01:00.0"]).with(1).stdout;
    assert!(said.contains("lacks intel_iommu=on; the next boot has the correct parameters"), "{said}");
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
        "vgapt start x   (it is defined, and shut off)"
    );
    let value = json("z690-rx6700xt-rx560-vmd", &["define", "x", "--gpu", "04:00.0"]);
    assert_eq!(value["next"]["command"], "vgapt start x", "{value}");
    // One cause is said once: no card, so no picture.
    let unclear =
        on("epyc-two-h100", &["define", "x", "--gpu", "auto"]).with(1).saying(&["error: --gpu auto: more than one card is possible"]);
    assert!(!unclear.stderr.contains("no graphics card"), "{}", unclear.stderr);
    let dry = on("z490-rx6900xt-iommu-off", &["define", "x", "--gpu", "03:00.0", "--handover", "--dry-run"]);
    assert_eq!(line(&dry), "vgapt prepare --gpu 03:00.0 --bind start   (the IOMMU is off)");
}

/// A card that is no display of the host has nothing to hand over: all is as without it.
#[test]
fn a_handover_that_is_not_needed() {
    let define = ["define", "x", "--gpu", "2b:00.0"];
    let asked = on("b550m-rtx2070s-gt710", &[&define[..], &["--handover"]].concat())
        .with(0)
        .saying(&["warning: --handover is not needed: without 2b:00.0 the host keeps another display", "leave --handover out"]);
    let plain = on("b550m-rtx2070s-gt710", &define).with(0);
    let picture = |ran: &Ran| ran.stderr.lines().find(|line| line.starts_with("  picture")).map(str::to_owned);
    assert_eq!((line(&asked), picture(&asked)), (line(&plain), picture(&plain)));
    assert!(line(&asked).starts_with("vgapt prepare --gpu 2b:00.0   (") && !plain.stderr.contains("handover"), "{}", plain.stderr);
}

/// Where prepare is refused in one way, the other way is named; where it is refused for something else, not itself.
#[test]
fn after_prepare() {
    let refused = on("b450m-gtx1660-svm-off", &["prepare", "--gpu", "10:00.0", "--bind", "boot", "--dry-run"]).with(1);
    assert!(line(&refused).starts_with("enable SVM"), "{}", refused.stderr);
    let refused = on("z490-rx6900xt-iommu-off", &["prepare", "--gpu", "03:00.0", "--bind", "boot", "--dry-run"]).with(1);
    assert_eq!(line(&refused), "vgapt prepare --gpu 03:00.0 --bind start   (the IOMMU is off)");
    let too_much = ["prepare", "--gpu", "01:00.0", "--hugepages", "900G", "--dry-run"];
    let refused = on("laptop-8300h-gtx1050-iommu-off", &too_much).with(1);
    assert_eq!(format!("{}\n", line(&refused)), way_out(&refused));
    // Where it chooses no card, it says what `check` says of the host.
    let name = "epyc-two-h100";
    assert_eq!(line(&on(name, &["prepare", "--dry-run"])), line(&on(name, &["check"])));
    // A recording is never changed, so the command is not its own next step.
    for (name, arguments) in [
        ("z170-gtx960", ["--gpu", "01:00.0", "--hugepages", "4G", "--dry-run"].as_slice()),
        ("z170-gtx960", &["--gpu", "01:00.0"]),
        ("z490-rx6900xt-iommu-off", &["--gpu", "03:00.0", "--bind", "start"]),
    ] {
        let arguments = [&["prepare"], arguments].concat();
        let next = &json(name, &arguments)["next"];
        assert_eq!(next["remedy"], "run the same command on the machine itself, without --root", "{name}: {next}");
        assert_eq!(next["command"], Value::Null, "{name}: {next}");
        let said = line(&on(name, &arguments).with(0));
        assert_eq!(said, format!("{}   ({})", next["remedy"].as_str().unwrap(), next["reason"].as_str().unwrap()), "{name}");
    }
    // In a tree, which can be changed, it is the command itself, with all that was asked.
    let tree = tree::unpacked(&[&Path::new(HOSTS).join("z170-gtx960.host")]);
    let arguments = ["--root", tree.path().to_str().unwrap(), "prepare", "--gpu", "01:00.0", "--hugepages", "4G", "--dry-run"];
    assert_eq!(line(&run(&mut vgapt(arguments))), "vgapt prepare --gpu 01:00.0 --hugepages 4G   (nothing was changed)");
}

/// What is as it was asked is no error, and what is in the way is said with the way out.
#[test]
fn what_is_on_already() {
    let on = |arguments: &[&str]| run(&mut vgapt(["-c", "test:///default"].iter().chain(arguments)));
    let started = on(&["start", "test"]).with(0).saying(&["'test' is running already"]);
    assert_eq!(line(&started), "vgapt stop test   (when the guest is no longer needed)");
    let value: Value = serde_json::from_str(&on(&["--json", "start", "test"]).stdout).unwrap();
    assert_eq!((value["outcome"].as_str(), value["paused"].as_bool()), (Some("unchanged"), Some(false)), "{value}");
    let paused = on(&["start", "test", "--paused"]).with(1).saying(&["error: 'test' is running, so it cannot be started"]);
    assert_eq!(line(&paused), "vgapt stop test   (it can be started anew, and paused, once it is off)");
    let kept = on(&["undefine", "test"]).with(1).saying(&["error: 'test' is running"]);
    assert_eq!(line(&kept), "vgapt stop test   (then undefine it)");
}
