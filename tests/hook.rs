//! What libvirt's hook does around a domain's start and stop, in a tree of a recorded machine.

#[path = "support/command.rs"]
#[expect(dead_code, reason = "the hook is spoken to through its standard input")]
mod support;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;
use vgapt::root::Capture;

const GTX960: &str = "0000:01:00.0";

fn machine() -> TempDir {
    let place = TempDir::new().unwrap();
    Capture::load(Path::new(support::Z170)).unwrap().unpack(place.path()).unwrap();
    place
}

fn domain(id: &str, more: &str) -> String {
    let record = format!(r#"{{"request":{{}},"passed":[{{"address":"{GTX960}","id":"{id}","subsystem":null}}],"wrote":{{}}}}"#);
    let record = record.replace('"', "&quot;");
    format!(
        "<domain type='kvm'><name>it</name><metadata><vgapt:domain xmlns:vgapt='urn:vgapt:domain:1'>{record}</vgapt:domain></metadata>\
         <memory unit='MiB'>512</memory>{more}<devices><hostdev mode='subsystem' type='pci' managed='yes'><source>\
         <address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></source></hostdev></devices></domain>"
    )
}

/// The exit code, and what it said.
fn hook(root: &Path, operation: &[&str], xml: &str) -> (Option<i32>, String) {
    let mut hook: Command = support::vgapt(["--root"]);
    hook.arg(root).args(["hook", "it"]).args(operation).arg("-").stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = hook.spawn().unwrap();
    child.stdin.take().unwrap().write_all(xml.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

fn set(root: &Path, path: &str, text: &str) {
    let place = root.join(path);
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(place, text).unwrap();
}

fn get(root: &Path, path: &str) -> String {
    fs::read_to_string(root.join(path)).unwrap().trim().to_owned()
}

const HUGEPAGES: &str = "<memoryBacking><hugepages/></memoryBacking>";
const POOL: &str = "sys/kernel/mm/hugepages/hugepages-2048kB";

#[test]
fn a_card_that_is_still_there_may_start() {
    let root = machine();
    assert_eq!(hook(root.path(), &["prepare", "begin"], &domain("10de:1401", "")), (Some(0), String::new()));
}

#[test]
fn a_card_that_moved_is_refused_in_one_line() {
    let root = machine();
    let (code, said) = hook(root.path(), &["prepare", "begin"], &domain("10de:2684", ""));
    assert_eq!(code, Some(1));
    assert!(said.starts_with("vgapt: at 01:00.0 is now") && said.contains("10de:2684") && said.lines().count() == 1, "{said}");
    assert_eq!(hook(root.path(), &["release", "end"], &domain("10de:2684", "")).0, Some(0));
}

#[test]
fn a_card_that_somebody_has_open_is_refused() {
    let root = machine();
    fs::create_dir_all(root.path().join(format!("sys/bus/pci/devices/{GTX960}/drm/card0"))).unwrap();
    set(root.path(), "proc/77/comm", "Xorg\n");
    fs::create_dir_all(root.path().join("proc/77/fd")).unwrap();
    std::os::unix::fs::symlink("/dev/dri/card0", root.path().join("proc/77/fd/5")).unwrap();
    let (code, said) = hook(root.path(), &["prepare", "begin"], &domain("10de:1401", ""));
    assert_eq!(code, Some(1));
    assert!(said.contains("Xorg (pid 77: /dev/dri/card0)"), "{said}");
}

#[test]
fn domains_of_others_are_left_alone() {
    let root = machine();
    let foreign = domain("10de:2684", "").replace("urn:vgapt:domain:1", "urn:somebody");
    let broken = domain("10de:2684", "").replace("{&quot;", "{{");
    for xml in [foreign.as_str(), &broken, "", "<domain", "\u{0}\u{1}"] {
        for operation in [["prepare", "begin"], ["start", "begin"], ["started", "begin"], ["stopped", "end"], ["release", "end"]] {
            assert_eq!(hook(root.path(), &operation, xml), (Some(0), String::new()), "{xml}");
        }
    }
    assert!(!root.path().join("run/vgapt").exists());
}

#[test]
fn huge_pages_are_added_and_returned() {
    let root = machine();
    set(root.path(), &format!("{POOL}/nr_hugepages"), "10\n");
    set(root.path(), &format!("{POOL}/free_hugepages"), "6\n");
    let xml = domain("10de:1401", HUGEPAGES);
    assert_eq!(hook(root.path(), &["prepare", "begin"], &xml), (Some(0), String::new()));
    assert_eq!(get(root.path(), &format!("{POOL}/nr_hugepages")), "260", "256 are needed, 6 were free of 10");
    // libvirt calls both, also after a refused start.
    assert_eq!(hook(root.path(), &["stopped", "end"], &xml).0, Some(0));
    assert_eq!(get(root.path(), &format!("{POOL}/nr_hugepages")), "10");
    assert_eq!(hook(root.path(), &["release", "end"], &xml).0, Some(0));
    assert_eq!(get(root.path(), &format!("{POOL}/nr_hugepages")), "10");
    assert!(!root.path().join("run/vgapt/it.json").exists());
}

/// What a killed run took is returned by the next call, and only that.
#[test]
fn what_an_earlier_run_left_is_returned_first() {
    let root = machine();
    set(root.path(), &format!("{POOL}/nr_hugepages"), "300\n");
    set(root.path(), &format!("{POOL}/free_hugepages"), "300\n");
    set(root.path(), "run/vgapt/it.json", &format!(r#"[{{"pages":{{"attribute":"/{POOL}/nr_hugepages","before":40,"added":260}}}}]"#));
    assert_eq!(hook(root.path(), &["prepare", "begin"], &domain("10de:1401", "")), (Some(0), String::new()));
    assert_eq!(get(root.path(), &format!("{POOL}/nr_hugepages")), "40");
    // Killed after it was written down and before it was taken: nothing is given back.
    set(root.path(), "run/vgapt/it.json", &format!(r#"[{{"pages":{{"attribute":"/{POOL}/nr_hugepages","before":40,"added":260}}}}]"#));
    assert_eq!(hook(root.path(), &["release", "end"], &domain("10de:1401", "")).0, Some(0));
    assert_eq!(get(root.path(), &format!("{POOL}/nr_hugepages")), "40");
}

#[test]
fn the_guests_cpus_run_at_full_speed_meanwhile() {
    let root = machine();
    for cpu in [2, 3] {
        set(root.path(), &format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor"), "schedutil\n");
        set(root.path(), &format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_available_governors"), "performance schedutil\n");
    }
    let xml = domain("10de:1401", "<cputune><vcpupin vcpu='0' cpuset='2'/></cputune>");
    let governor = |cpu: u32| get(root.path(), &format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor"));
    assert_eq!(hook(root.path(), &["prepare", "begin"], &xml).0, Some(0));
    assert_eq!(hook(root.path(), &["started", "begin"], &xml).0, Some(0));
    assert_eq!((governor(2).as_str(), governor(3).as_str()), ("performance", "schedutil"));
    assert_eq!(hook(root.path(), &["stopped", "end"], &xml).0, Some(0));
    assert_eq!(governor(2), "schedutil");
}
