//! `vgapt reset` in trees of a recorded machine, where a write has no effect on a card: what is refused, what is written, and
//! what is said of a card that does not come back. That a card comes back is tested in the lab (card-resets).

#[path = "support/command.rs"]
mod command;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;

use command::{Ran, Z170, run, vgapt};
use serde_json::Value;
use tempfile::TempDir;
use vgapt::root::Capture;

const CARD: &str = "sys/bus/pci/devices/0000:01:00.0";
const AUDIO: &str = "sys/bus/pci/devices/0000:01:00.1";

/// The machine, with its card on vfio-pci and what the kernel has for resets.
fn machine() -> TempDir {
    let place = TempDir::new().unwrap();
    Capture::load(Path::new(Z170)).unwrap().unpack(place.path()).unwrap();
    for home in [CARD, AUDIO] {
        on_driver(place.path(), home, "vfio-pci");
        set(place.path(), &format!("{home}/remove"), "");
    }
    set(place.path(), &format!("{CARD}/reset"), "");
    set(place.path(), "sys/bus/pci/rescan", "");
    place
}

fn on_driver(root: &Path, home: &str, driver: &str) {
    let uevent = get(root, &format!("{home}/uevent"));
    let others: Vec<&str> = uevent.lines().filter(|line| !line.starts_with("DRIVER=")).collect();
    set(root, &format!("{home}/uevent"), &format!("DRIVER={driver}\n{}\n", others.join("\n")));
}

fn set(root: &Path, path: &str, text: &str) {
    let place = root.join(path);
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(place, text).unwrap();
}

fn get(root: &Path, path: &str) -> String {
    fs::read_to_string(root.join(path)).unwrap().trim().to_owned()
}

/// The function no longer answers: its configuration space reads as ones.
fn dies(root: &Path, home: &str) {
    fs::write(root.join(home).join("config"), [0xff; 64]).unwrap();
}

fn reset(root: &Path, arguments: &[&str]) -> Ran {
    run(vgapt(["--root"]).arg(root).arg("reset").args(arguments))
}

#[test]
fn the_first_reset_is_enough_where_the_card_answers() {
    let root = machine();
    let plan = reset(root.path(), &["01:00.0", "--dry-run"]).with(0).stdout;
    for line in ["1. the kernel's method flr: hits 01:00.0", "2. removal and a rescan: hits 01:00.0, 01:00.1", "now: it answers"] {
        assert!(plan.contains(line), "{line}\n{plan}");
    }
    assert!(plan.contains("not tried: the kernel's method bus: ") && plan.contains("01:00.1 is there too"), "{plan}");
    assert_eq!(get(root.path(), &format!("{CARD}/reset")), "");
    reset(root.path(), &["01:00.0"]).with(1);
    assert_eq!(get(root.path(), &format!("{CARD}/reset")), "", "nobody has agreed");
    reset(root.path(), &["01:00.0", "--yes"]).with(0).saying(&["01:00.0 answers after the kernel's method flr"]);
    assert_eq!((get(root.path(), &format!("{CARD}/reset")), get(root.path(), "sys/bus/pci/rescan")), ("1".to_owned(), String::new()));
    assert_eq!(get(root.path(), &format!("{CARD}/reset_method")), "flr bus", "as before");
}

#[test]
fn a_card_that_stays_dead_is_a_failure_that_says_what_was_tried() {
    let root = machine();
    dies(root.path(), CARD);
    let plan = reset(root.path(), &["01:00.0", "--dry-run"]).with(0).stdout;
    assert!(plan.contains("now: 01:00.0 does not answer: its configuration space reads as ones"), "{plan}");
    let said = [
        "01:00.0 does not answer, whatever was tried",
        "after the kernel's method flr: 01:00.0 does not answer",
        "power the host off and on",
    ];
    reset(root.path(), &["01:00.0", "--yes"]).with(3).saying(&said);
    assert_eq!(get(root.path(), "sys/bus/pci/rescan"), "1");
    let document: Value = serde_json::from_str(&reset(root.path(), &["01:00.0", "--yes", "--json"]).with(3).stdout).unwrap();
    assert_eq!(document["tried"].as_array().unwrap().len(), 2);
    assert!(document["before"].as_str().unwrap().contains("does not answer"), "{document}");
}

#[test]
fn a_card_that_another_one_replaced_is_not_back() {
    let root = machine();
    let config = root.path().join(CARD).join("config");
    let mut bytes = fs::read(&config).unwrap();
    bytes[2..4].copy_from_slice(&0x2684_u16.to_le_bytes());
    fs::write(&config, bytes).unwrap();
    reset(root.path(), &["01:00.0", "--yes"]).with(3).saying(&["01:00.0 is 10de:2684 now, and was 10de:1401"]);
}

#[test]
fn what_is_in_use_is_refused_with_the_way_out() {
    let root = machine();
    on_driver(root.path(), AUDIO, "snd_hda_intel");
    let way_out = "virsh nodedev-detach pci_0000_01_00_1";
    reset(root.path(), &["01:00.0", "--yes"]).with(1).saying(&["01:00.1 is bound to snd_hda_intel", way_out]);
    // A guest has it: nobody else opens the file of its group.
    let root = machine();
    set(root.path(), "proc/77/comm", "qemu-system-x86\n");
    fs::create_dir_all(root.path().join("proc/77/fd")).unwrap();
    symlink("/dev/vfio/1", root.path().join("proc/77/fd/5")).unwrap();
    reset(root.path(), &["01:00.0", "--yes"]).with(1).saying(&["01:00.0 is in use by qemu-system-x86 (pid 77: /dev/vfio/1)"]);
    assert_eq!(get(root.path(), &format!("{CARD}/reset")), "");
}

#[test]
fn what_is_part_of_the_mainboard_is_not_reset() {
    let root = machine();
    for address in ["00:00.0", "00:1f.0"] {
        reset(root.path(), &[address, "--dry-run"]).with(1).saying(&["is part of the mainboard"]);
    }
}

#[test]
fn a_suspend_is_tried_only_where_the_host_wakes_again() {
    let root = machine();
    let plan = |root: &Path| reset(root, &["01:00.0", "--suspend", "--dry-run"]).with(0).stdout;
    assert!(plan(root.path()).contains("whether this host can suspend to RAM is unknown"), "{}", plan(root.path()));
    set(root.path(), "sys/power/state", "freeze mem disk\n");
    set(root.path(), "sys/power/mem_sleep", "[s2idle]\n");
    assert!(plan(root.path()).contains("leaves its slots powered"), "{}", plan(root.path()));
    set(root.path(), "sys/power/mem_sleep", "s2idle [deep]\n");
    assert!(plan(root.path()).contains("no clock can wake this host up"), "{}", plan(root.path()));
    set(root.path(), "sys/class/rtc/rtc0/wakealarm", "");
    assert!(plan(root.path()).contains("3. a suspend of the host to RAM: hits the whole host"), "{}", plan(root.path()));
    assert!(!reset(root.path(), &["01:00.0", "--dry-run"]).with(0).stdout.contains("suspend"), "only where it is asked for");
}

#[test]
fn a_card_that_is_off_the_bus_is_looked_for() {
    let root = machine();
    // A bus that is not there either has lost no card.
    reset(root.path(), &["09:00.0", "--dry-run"]).with(1).saying(&["there is no PCI function at 09:00.0"]);
    fs::create_dir_all(root.path().join("sys/class/pci_bus/0000:09")).unwrap();
    reset(root.path(), &["09:00.0", "--dry-run"]).with(0);
    let said = ["09:00.0 is gone from the bus", "plug it in again if it was unplugged, then: vgapt reset 09:00.0"];
    reset(root.path(), &["09:00.0", "--yes"]).with(3).saying(&said);
    assert_eq!(get(root.path(), "sys/bus/pci/rescan"), "1");
}

fn stopped(root: &Path, id: &str) -> (Option<i32>, String) {
    let record = format!(r#"{{"request":{{}},"passed":[{{"address":"0000:01:00.0","id":"{id}","subsystem":null}}],"wrote":{{}}}}"#);
    let xml = format!(
        "<domain type='kvm'><name>test</name><metadata><vgapt:domain xmlns:vgapt='urn:vgapt:domain:1'>{}</vgapt:domain></metadata><devices>\
         <hostdev mode='subsystem' type='pci' managed='yes'><source><address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></source>\
         </hostdev></devices></domain>",
        record.replace('"', "&quot;")
    );
    let mut hook = vgapt(["--root"]);
    hook.arg(root).args(["hook", "test", "stopped", "end", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = hook.spawn().unwrap();
    child.stdin.take().unwrap().write_all(xml.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// After a guest's end, only cards of the families that are known for it are reset, by what hits nothing else, and what became
/// of it is said later.
#[test]
fn a_card_that_is_lost_with_its_guest_is_told_of() {
    let root = machine();
    let status = |root: &Path| run(vgapt(["-c", "test:///default", "--root"]).arg(root).args(["status", "test"])).with(0);
    dies(root.path(), CARD);
    assert_eq!(stopped(root.path(), "10de:1401"), (Some(0), String::new()), "not known for it");
    assert_eq!(get(root.path(), &format!("{CARD}/reset")), "");
    for (home, id) in [(CARD, "1002:67DF"), (AUDIO, "1002:AAF0")] {
        let uevent = get(root.path(), &format!("{home}/uevent")).replace("10DE:1401", id).replace("10DE:0FBA", id);
        set(root.path(), &format!("{home}/uevent"), &uevent);
    }
    assert_eq!(stopped(root.path(), "10de:1401"), (Some(0), String::new()), "another card than the guest had");
    let (code, said) = stopped(root.path(), "1002:67df");
    assert_eq!(code, Some(0));
    assert!(said.contains("when the guest of 'test' ended, 01:00.0 does not answer") && said.contains("vgapt reset 01:00.0"), "{said}");
    assert_eq!((get(root.path(), &format!("{CARD}/reset")), get(root.path(), "sys/bus/pci/rescan")), ("1".to_owned(), String::new()));
    run(vgapt(["--root"]).arg(root.path()).args(["why", "test"]))
        .saying(&["no reset helped that hits only the card", "vgapt reset 01:00.0"]);
    // The test driver's domain runs: what was is of no importance now.
    assert!(!status(root.path()).stderr.contains("does not answer"));
    // It answers at the next end.
    for (home, id) in [(CARD, [0x02, 0x10, 0xdf, 0x67]), (AUDIO, [0x02, 0x10, 0xf0, 0xaa])] {
        let mut config = vec![0; 64];
        config[..4].copy_from_slice(&id);
        fs::write(root.path().join(home).join("config"), config).unwrap();
    }
    assert_eq!(stopped(root.path(), "1002:67df"), (Some(0), String::new()));
    assert!(!root.path().join("run/vgapt/test.reset").exists());
}
