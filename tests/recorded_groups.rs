//! What becomes of a domain whose card is in another IOMMU group than when it was defined, or at another address: a recorded
//! machine that is altered between `prepare`, `define` and the rest.

#[path = "support/command.rs"]
mod command;
#[path = "support/tree.rs"]
#[expect(dead_code, reason = "only trees are made here")]
mod tree;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use command::{Ran, Z170, run, vgapt, without_options};
use serde_json::Value;
use tempfile::TempDir;

const SATA: &str = "sys/devices/pci0000:00/0000:00:17.0";
const KERNEL: &str = "proc/sys/kernel/osrelease";

/// The machine as a tree, prepared for its card, with a domain `it` that has it.
struct Machine {
    root: TempDir,
    xml: String,
    uri: String,
}

impl Machine {
    fn new() -> Self {
        let root = tree::unpacked(&[Path::new(Z170)]);
        let on = |arguments: &[&str]| run(&mut vgapt([&["--root", root.path().to_str().unwrap()], arguments].concat()));
        on(&["prepare", "--gpu", "01:00.0", "--yes"]).with(0);
        let xml = on(&["define", "it", "--gpu", "01:00.0", "--memory", "1G", "--cpus", "1", "--dry-run"]).with(0).stdout;
        assert!(xml.contains(r#""groups":[{"kernel":"6.12.0","members":[{"address":"0000:00:01.0","#), "{xml}");
        let machine = Self { uri: node(root.path(), &xml), root, xml };
        machine.set("etc/libvirt/qemu/it.xml", &machine.xml);
        machine
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn set(&self, path: &str, text: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), text).unwrap();
    }

    /// Puts the SATA controller into the group of the card.
    fn grow(&self) {
        let link = self.path(&format!("{SATA}/iommu_group"));
        fs::remove_file(&link).unwrap();
        symlink("../../../kernel/iommu_groups/1", link).unwrap();
    }

    fn on(&self, arguments: &[&str]) -> Ran {
        run(&mut vgapt([&["--root", self.root.path().to_str().unwrap(), "-c", &self.uri], arguments].concat()))
    }

    /// What libvirt's hook says before a start, if it refuses it.
    fn hook(&self) -> Option<String> {
        let mut hook = vgapt(["--root", self.root.path().to_str().unwrap(), "hook", "it", "prepare", "begin", "-"]);
        let mut child = hook.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(self.xml.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.success(), said.is_empty(), "{said}");
        (!output.status.success()).then_some(said)
    }

    /// The check of this code: its state and what it saw.
    fn check(&self, code: &str) -> Option<(String, String)> {
        let report: Value = serde_json::from_str(&self.on(&["check", "--json"]).stdout).unwrap();
        let check = report["checks"].as_array().unwrap().iter().find(|check| check["code"] == code)?;
        Some((check["state"].as_str().unwrap().to_owned(), check["seen"].as_str().unwrap().to_owned()))
    }
}

/// A libvirt with this domain.
fn node(place: &Path, xml: &str) -> String {
    let file = place.join("node.xml");
    let domain = xml.split_once("<domain").unwrap().1;
    // Without its state it runs (libvirt's test driver, testParseDomains).
    let domain = domain.replacen("type='kvm'", "type='test'", 1);
    let domain = domain.replacen('>', " xmlns:t='http://libvirt.org/schemas/domain/test/1.0'>", 1);
    let domain = domain.trim_end().strip_suffix("</domain>").unwrap().to_owned() + "<t:runstate>5</t:runstate></domain>";
    fs::write(&file, format!("<node><domain{domain}</node>")).unwrap();
    format!("test://{}", file.display())
}

#[test]
fn a_group_that_grew_by_what_the_host_uses_is_refused() {
    let machine = Machine::new();
    assert_eq!(machine.hook(), None);
    assert_eq!(machine.check("group-grew"), None);
    machine.on(&["start", "it"]).with(0);

    machine.grow();
    machine.set(KERNEL, "6.18.3\n");
    let grew = "the IOMMU group of 01:00.0, 01:00.1 has changed since the kernel 6.12.0 (this is 6.18.3), and the host uses 00:17.0 SATA on ahci, which was not in it";
    let said = machine.hook().unwrap();
    assert!(said.starts_with(&format!("vgapt: {grew}; boot the kernel 6.12.0 again")) && said.lines().count() == 1, "{said}");
    let start = machine.on(&["start", "it", "--force"]).with(1).saying(&[grew, "'it' was not started"]).stderr;
    assert!(!start.contains("the host uses other devices"), "it is said twice: {start}");
    assert_eq!(machine.check("group-grew"), Some(("missing".to_owned(), grew.to_owned())));
    let status: Value = serde_json::from_str(&machine.on(&["status", "it", "--json"]).with(0).stdout).unwrap();
    assert_eq!(status["findings"][0]["code"], "group-grew", "{status:#}");
    // What prepare recorded is enough.
    fs::remove_file(machine.path("etc/libvirt/qemu/it.xml")).unwrap();
    let (state, seen) = machine.check("group-grew").unwrap();
    assert!(state == "missing" && seen.contains("00:17.0 SATA on ahci"), "{seen}");
    let text = machine.on(&["check"]).with(1).stdout;
    assert!(text.contains("boot the kernel 6.12.0 again"), "{text}");
    // A domain whose record is damaged is not counted as one without groups.
    machine.set("etc/libvirt/qemu/it.xml", &machine.xml.replace(r#","groups":["#, r#","groups":7,"x":["#));
    let (state, seen) = machine.check("group-changed").unwrap();
    assert!(state == "unknown" && seen.contains("is damaged"), "{seen}");

    // It is accepted by a definition, which says what it means.
    let accepted =
        machine.on(&["define", "it", "--dry-run", "--force"]).with(0).saying(&["the host uses other devices of the same IOMMU group"]);
    assert!(accepted.stdout.contains(r#""groups":[{"kernel":"6.18.3","#), "{}", accepted.stdout);
}

#[test]
fn a_group_that_grew_by_what_the_host_does_not_use_is_a_note() {
    let machine = Machine::new();
    machine.grow();
    let uevent = fs::read_to_string(machine.path(&format!("{SATA}/uevent"))).unwrap();
    machine.set(&format!("{SATA}/uevent"), &uevent.replace("DRIVER=ahci\n", ""));
    let joined = "with the same kernel 6.12.0: 00:17.0 SATA on none joined it, which the host does not use";
    assert_eq!(machine.hook(), None);
    machine.on(&["start", "it"]).with(0).saying(&[joined, "the next vgapt define NAME records the group as it is now"]);
    assert_eq!(machine.check("group-grew"), None);
    let (state, seen) = machine.check("group-changed").unwrap();
    assert!(state == "warning" && seen.contains(joined), "{seen}");
    // Recorded again, it is no news.
    let xml = machine.on(&["define", "it", "--dry-run"]).with(0).stdout;
    let uri = node(machine.root.path(), &xml);
    let started = Machine { xml, uri, ..machine }.on(&["start", "it"]).with(0).stderr;
    assert!(!started.contains("joined it"), "{started}");
}

#[test]
fn a_domain_without_recorded_groups_starts_as_before() {
    let machine = Machine::new();
    let (before, rest) = machine.xml.split_once(r#","groups":["#).unwrap();
    let xml = format!("{before}{}", rest.split_once("}]}]").unwrap().1);
    assert!(!xml.contains("groups"), "{xml}");
    let machine = Machine { uri: node(machine.root.path(), &xml), xml, ..machine };
    machine.grow();
    assert_eq!(machine.hook(), None, "libvirt says that the group is not viable");
    machine.on(&["start", "it"]).with(1).saying(&["the host uses other devices of the same IOMMU group: 00:17.0 SATA on ahci"]);
    let shown = machine.on(&["show", "it"]).with(0).stdout;
    assert!(!shown.contains("IOMMU group"), "{shown}");
}

#[test]
fn what_was_recorded_is_shown() {
    let machine = Machine::new();
    let shown = machine.on(&["show", "it"]).with(0).stdout;
    let line = "# in one IOMMU group then (kernel 6.12.0): 00:01.0 [8086:1901] on pcieport, 01:00.0 [10de:1401] on nouveau, 01:00.1 [10de:0fba] on snd_hda_intel\n";
    assert!(shown.contains(line), "{shown}");
    let shown: Value = serde_json::from_str(&machine.on(&["show", "it", "--json"]).with(0).stdout).unwrap();
    assert_eq!(shown["groups"][0]["members"][1]["driver"], "nouveau", "{shown:#}");
}

#[test]
fn a_card_that_moved_is_followed() {
    let place = TempDir::new().unwrap();
    let capture = fs::read_to_string(Z170).unwrap();
    let machine = |name: &str, text: &str| {
        let file = place.path().join(name);
        fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let then = machine("then.host", &capture);
    assert!(!capture.contains("0000:02:00."));
    let now = machine("now.host", &capture.replace("0000:01:00.", "0000:02:00."));
    let define = ["define", "it", "--gpu", "01:00.0", "--pci", "00:17.0", "--memory", "1G", "--cpus", "1", "--force", "--dry-run"];
    let xml = run(&mut vgapt([&["--root", &then], &define[..]].concat())).with(0).stdout;
    let uri = node(place.path(), &xml);
    let on = |root: &str, arguments: &[&str]| run(&mut vgapt([&["--root", root, "-c", &uri], arguments].concat()));

    on(&now, &["start", "it"]).with(1).saying(&["that device is now at 02:00.0: vgapt define it --moved changes the domain to it"]);
    on(&now, &["define", "it", "--memory", "2G"]).with(1).saying(&["vgapt define it --moved"]);
    // Another device is at the old address: that the card has moved is the cause, and nobody named that device.
    let other = machine("other.host", &capture.replace("0000:01:00.", "0000:02:00.").replace("0000:03:00.0", "0000:01:00.0"));
    let refused = on(&other, &["define", "it", "--memory", "2G"]).with(1).stderr;
    assert!(without_options(&refused).starts_with("error: 01:00.0 is now") && !refused.contains("is not a graphics card"), "{refused}");
    assert!(without_options(&refused).contains("now at 02:00.0: vgapt define it --moved"), "{refused}");
    let moved = on(&now, &["define", "it", "--moved", "--force", "--print-xml"]).with(0).stdout;
    assert!(moved.contains(r#""gpu":["0000:02:00.0"]"#) && moved.contains(r#""pci":["0000:00:17.0"]"#), "{moved}");
    assert!(moved.contains("bus='0x02' slot='0x00' function='0x1'/>") && !moved.contains("0000:01:00."), "{moved}");
    assert!(moved.contains(r#"{"address":"0000:02:00.1","id":"10de:0fba","driver":"snd_hda_intel"}"#), "{moved}");

    on(&then, &["define", "it", "--moved", "--force"]).with(0).saying(&["no device of 'it' has moved", "'it' is already up to date"]);
    on(&then, &["define", "new", "--moved"]).with(1).saying(&["vgapt did not pass any device to 'new'"]);
    // A second card with the same ids: nobody can tell which of them it was.
    let card = |text: &str, bus: &str| {
        let is_of_card = |line: &&str| line.starts_with("0000:01:00.");
        let links = text.lines().filter(is_of_card).map(|line| format!("{line}\n")).collect::<String>();
        let (_, rest) = text.split_once("[/sys/devices/pci0000:00/0000:01:00.0]").unwrap();
        let files = rest.split_once("[/sys/devices/pci0000:00/0000:03:00.0]").unwrap().0;
        let files = format!("[/sys/devices/pci0000:00/0000:01:00.0]{files}");
        [links, files].map(|part| part.replace("0000:01:00.", bus))
    };
    let replaced = |parts: [String; 2]| {
        let [links, files] = card(&capture, "0000:01:00.");
        capture.replace(&links, &parts[0]).replace(&files, &parts[1])
    };
    let [first, second] = [card(&capture, "0000:02:00."), card(&capture, "0000:05:00.")];
    let twins = machine("twins.host", &replaced([format!("{}{}", first[0], second[0]), format!("{}{}", first[1], second[1])]));
    let refused = on(&twins, &["define", "it", "--moved"]).with(1).stderr;
    assert!(refused.contains("may be at 02:00.0, 05:00.0: these have the same ids"), "{refused}");
    assert!(without_options(&refused).contains("vgapt define it --gpu ADDRESS"), "{refused}");
    on(&twins, &["start", "it"]).with(1).saying(&["that device may be at 02:00.0, 05:00.0"]);
    let gone = machine("gone.host", &replaced([String::new(), String::new()]));
    on(&gone, &["define", "it", "--moved"]).with(1).saying(&["10de:1401, passed as 01:00.0, is not on this host"]);
}
