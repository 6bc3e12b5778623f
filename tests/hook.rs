//! What libvirt's hook does around a domain's start and stop, in a tree of a recorded machine.

#[path = "support/command.rs"]
mod command;
#[path = "support/libvirt.rs"]
#[expect(dead_code, reason = "only what tells of what cannot be tested is used here")]
mod libvirt;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use command as support;
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
    hook_with(root, operation, xml, &std::env::var("PATH").unwrap())
}

fn hook_with(root: &Path, operation: &[&str], xml: &str, path: &str) -> (Option<i32>, String) {
    // libvirt names the domain that the XML is of.
    let name = xml.split_once("<name>").and_then(|(_, rest)| rest.split_once("</name>")).map_or("it", |(name, _)| name);
    called(root, &[&[name], operation, &["-"]].concat(), xml.as_bytes(), path)
}

fn hook_bytes(root: &Path, arguments: &[&str], xml: &[u8]) -> (Option<i32>, String) {
    called(root, arguments, xml, &std::env::var("PATH").unwrap())
}

fn called(root: &Path, arguments: &[&str], xml: &[u8], path: &str) -> (Option<i32>, String) {
    let mut hook: Command = support::vgapt(["--root"]);
    hook.env("PATH", path);
    hook.arg(root).arg("hook").args(arguments);
    fed(hook, xml)
}

fn fed(mut hook: Command, xml: &[u8]) -> (Option<i32>, String) {
    let mut child = hook.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A hook that needs no more of it may have ended.
    let _ = child.stdin.take().unwrap().write_all(xml);
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
const NODE: &str = "sys/devices/system/node/node0/hugepages/hugepages-2048kB";

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
    assert!(said.starts_with("vgapt: 01:00.0 is now") && said.contains("10de:2684") && said.lines().count() == 1, "{said}");
    assert_eq!(hook(root.path(), &["release", "end"], &domain("10de:2684", "")).0, Some(0));
}

#[test]
fn a_controller_with_a_disk_in_use_is_refused() {
    let root = machine();
    let disk = "sys/devices/pci0000:00/0000:00:17.0/ata1/host0/block/sda/sda1";
    set(root.path(), &format!("{disk}/size"), "1\n");
    fs::create_dir_all(root.path().join("sys/class/block")).unwrap();
    std::os::unix::fs::symlink(format!("../../../{disk}"), root.path().join("sys/class/block/sda1")).unwrap();
    let passes = domain("10de:1401", "").replace("bus='0x01' slot='0x00'", "bus='0x00' slot='0x17'");
    set(root.path(), "proc/mounts", "tmpfs /tmp tmpfs rw 0 0\n");
    assert!(!hook(root.path(), &["prepare", "begin"], &passes).1.contains("sda1"));
    set(root.path(), "proc/mounts", "/dev/sda1 / ext4 rw 0 0\n");
    let (code, said) = hook(root.path(), &["prepare", "begin"], &passes);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("the host uses the disk sda1 (/) behind 00:17.0"), "{said}");
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

/// What the domain gives to QEMU by options of QEMU's own, and as an interface, is looked at like a hostdev.
#[test]
fn a_function_that_is_no_hostdev_is_looked_at_too() {
    let good = domain("10de:1401", "");
    let (before, rest) = good.split_once("<devices>").unwrap();
    let tail = rest.split_once("</hostdev>").unwrap().1;
    let namespace = "<domain xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0' ";
    let option = "<q:commandline><q:arg value='-device'/><q:arg value='vfio-pci,host=01:00.0'/></q:commandline>";
    let by_option =
        format!("{before}<devices>{tail}").replacen("<domain ", namespace, 1).replace("</domain>", &format!("{option}</domain>"));
    let source = "<source><address type='pci' domain='0' bus='1' slot='0' function='0'/></source>";
    let by_interface = format!("{before}<devices><interface type='hostdev' managed='yes'>{source}</interface>{tail}");
    for xml in [&by_option, &by_interface] {
        assert!(!xml.contains("<hostdev"), "{xml}");
        let root = machine();
        assert_eq!(hook(root.path(), &["prepare", "begin"], xml), (Some(0), String::new()));
        let (code, said) = hook(root.path(), &["prepare", "begin"], &xml.replace("10de:1401", "10de:2684"));
        assert!(code == Some(1) && said.starts_with("vgapt: 01:00.0 is now"), "{said}");
        fs::create_dir_all(root.path().join(format!("sys/bus/pci/devices/{GTX960}/drm/card0"))).unwrap();
        set(root.path(), "proc/77/comm", "Xorg\n");
        fs::create_dir_all(root.path().join("proc/77/fd")).unwrap();
        std::os::unix::fs::symlink("/dev/dri/card0", root.path().join("proc/77/fd/5")).unwrap();
        let (code, said) = hook(root.path(), &["prepare", "begin"], xml);
        assert!(code == Some(1) && said.contains("Xorg (pid 77: /dev/dri/card0)"), "{said}");
    }
}

#[test]
fn domains_of_others_are_left_alone() {
    let root = machine();
    let foreign = domain("10de:2684", "").replace("urn:vgapt:domain:1", "urn:somebody");
    for xml in [foreign.as_str(), "", "<domain", "\u{0}\u{1}"] {
        for operation in [["prepare", "begin"], ["start", "begin"], ["started", "begin"], ["stopped", "end"], ["release", "end"]] {
            assert_eq!(hook(root.path(), &operation, xml), (Some(0), String::new()), "{xml}");
        }
    }
    assert!(!root.path().join("run/vgapt").exists());
    // Nor does it matter what is wrong with the host.
    assert_eq!(hook(Path::new("/nonexistent"), &["prepare", "begin"], &foreign), (Some(0), String::new()));
    assert_eq!(hook(Path::new("/nonexistent"), &["prepare", "begin"], &domain("10de:1401", "")).0, Some(1));
}

/// Each way in which a record is not this program's: of a newer one, damaged, or in XML that cannot be read.
#[test]
fn a_domain_whose_record_cannot_be_read_does_not_start() {
    let good = domain("10de:1401", HUGEPAGES);
    let changed = |from: &str, to: &str| {
        let xml = good.replacen(from, to, 1);
        assert_ne!(xml, good);
        xml
    };
    let records = [
        (changed("{&quot;", "{{"), "is damaged"),
        (changed("{&quot;request", "{&quot;version&quot;:3,&quot;request"), "has the format 3, but vgapt"),
        (changed("&quot;wrote&quot;:{}", "&quot;version&quot;:2,&quot;written&quot;:{&quot;new&quot;:{}}"), "unknown variant `new`"),
        (changed("&quot;wrote&quot;:{}", "&quot;settings&quot;:{&quot;new&quot;:{}}"), "unknown variant `new`"),
        (changed("&quot;request&quot;:{}", "&quot;request&quot;:{&quot;new&quot;:true}"), "contains the option 'new'"),
        (changed("urn:vgapt:domain:1", "urn:vgapt:domain:2"), "the namespace 'urn:vgapt:domain:2'"),
        (changed("</domain>", ""), "its XML cannot be read"),
        (changed("<hugepages/>", "<hugepages><page size='many'/></hugepages>"), "the size of its huge pages"),
    ];
    for (xml, words) in records {
        let root = machine();
        let (code, said) = hook(root.path(), &["prepare", "begin"], &xml);
        assert!(code == Some(1) && said.lines().count() == 1, "{code:?} {said}");
        for words in ["vgapt does not change 'it'", words, "vgapt prepare installs a newer one"] {
            assert!(said.contains(words), "no {words} in {said}");
        }
        // What was taken is returned all the same, and nothing that runs is disturbed.
        set(root.path(), &format!("{POOL}/nr_hugepages"), "300\n");
        set(root.path(), &format!("{POOL}/free_hugepages"), "300\n");
        let ledger = format!(r#"[{{"pages":{{"attribute":"/{POOL}/nr_hugepages","before":40,"added":260}}}}]"#);
        set(root.path(), "run/vgapt/it.json", &ledger);
        assert_eq!(hook(root.path(), &["started", "begin"], &xml).0, Some(0));
        assert_eq!(hook(root.path(), &["release", "end"], &xml), (Some(0), String::new()));
        assert_eq!(get(root.path(), &format!("{POOL}/nr_hugepages")), "40");
    }
    // A byte that is no text, where vgapt's mark is and where it is not.
    let bytes = |xml: &str| [xml.as_bytes(), b"\xff"].concat();
    let root = machine();
    assert_eq!(hook_bytes(root.path(), &["it", "prepare", "begin", "-"], &bytes(&good)).0, Some(1));
    assert_eq!(hook_bytes(root.path(), &["it", "prepare", "begin", "-"], &bytes("<domain/>")), (Some(0), String::new()));
}

/// In a tree that somebody else has made, an attribute may be a file of elsewhere by another name.
#[test]
fn nothing_outside_of_a_tree_is_written() {
    let place = tempfile::tempdir().unwrap();
    let victim = place.path().join("victim");
    fs::write(&victim, "10\n").unwrap();
    // Elsewhere than the victim a link is a copy, and proves nothing.
    let link = |root: &Path, name: &str| {
        let link = root.join(name);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&link);
        fs::hard_link(&victim, &link).unwrap();
    };
    let xml = domain("10de:1401", HUGEPAGES);
    let root = machine();
    link(root.path(), "sys/x/gov");
    set(root.path(), "run/vgapt/it.json", r#"[{"governor":{"attribute":"/sys/x/gov","before":"root::0:0:pwn\n"}}]"#);
    assert_eq!(hook(root.path(), &["release", "end"], &xml), (Some(0), String::new()));
    assert_eq!(fs::read_to_string(&victim).unwrap(), "10\n");
    assert_eq!(get(root.path(), "sys/x/gov"), "root::0:0:pwn");
    // No list is needed for that.
    let root = machine();
    let pool = format!("{POOL}/nr_hugepages");
    link(root.path(), &pool);
    set(root.path(), &format!("{POOL}/free_hugepages"), "6\n");
    assert_eq!(hook(root.path(), &["prepare", "begin"], &xml), (Some(0), String::new()));
    assert_eq!((fs::read_to_string(&victim).unwrap().as_str(), get(root.path(), &pool).as_str()), ("10\n", "260"));
}

/// As with receipts, a list to which others may write is not believed.
#[test]
fn lists_of_others_are_not_believed() {
    let pool = format!("{POOL}/nr_hugepages");
    let xml = domain("10de:1401", HUGEPAGES);
    for (path, mode) in [("run/vgapt", 0o777), ("run/vgapt/it.json", 0o666)] {
        let root = machine();
        set(root.path(), &pool, "300\n");
        set(root.path(), "run/vgapt/it.json", &format!(r#"[{{"pages":{{"attribute":"/{POOL}/nr_hugepages","before":40,"added":260}}}}]"#));
        fs::set_permissions(root.path().join(path), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        let (code, said) = hook(root.path(), &["release", "end"], &xml);
        assert!(said.contains(path) && said.contains("other users may write to it"), "{code:?} {said}");
        assert_eq!(get(root.path(), &pool), "300", "{path}");
    }
}

#[test]
fn names_that_look_like_options_or_are_long() {
    let long = "x".repeat(250);
    for name in ["-x", "--help", "-", " it ", "a b", &long] {
        let root = machine();
        set(root.path(), &format!("{POOL}/nr_hugepages"), "10\n");
        set(root.path(), &format!("{POOL}/free_hugepages"), "6\n");
        let xml = domain("10de:1401", HUGEPAGES).replace("<name>it<", &format!("<name>{name}<"));
        let around = |what: [&str; 2]| hook_bytes(root.path(), &["--", name, what[0], what[1], "-"], xml.as_bytes());
        assert_eq!(around(["prepare", "begin"]), (Some(0), String::new()), "{name}");
        assert_eq!(get(root.path(), &format!("{POOL}/nr_hugepages")), "260", "{name}");
        assert_eq!(around(["release", "end"]), (Some(0), String::new()), "{name}");
        assert_eq!(get(root.path(), &format!("{POOL}/nr_hugepages")), "10", "{name}");
    }
}

/// A change of the format makes `prepare` write the hook anew, and with it the program's copy.
#[test]
fn the_hook_names_the_format_of_the_records() {
    let hook = include_str!("../src/host/decide/hook.sh");
    assert!(hook.contains(&format!("up to format {}.", vgapt::domain::RECORD_FORMAT)) && hook.contains("hook -- \"$@\""), "{hook}");
}

#[test]
fn who_calls_is_written_down() {
    let root = machine();
    let mark = root.path().join("run/vgapt/called");
    set(root.path(), "run/virtqemud.pid", "31\n");
    assert_eq!(hook(root.path(), &["prepare", "begin"], &domain("10de:1401", "")).0, Some(0));
    assert!(!mark.exists(), "no such daemon runs");
    set(root.path(), "proc/31/comm", "virtqemud\n");
    set(root.path(), "proc/31/stat", "31 (virtqemud) S 1 31 31 0 -1 0 3 4 0 0 5 6 0 0 20 0 17 0 4321 1 2\n");
    assert_eq!(hook(root.path(), &["prepare", "begin"], &domain("10de:1401", "").replace("urn:vgapt", "urn:other")).0, Some(0));
    assert!(!mark.exists(), "a domain of others");
    assert_eq!(hook(root.path(), &["release", "end"], &domain("10de:1401", "")).0, Some(0));
    assert_eq!(fs::read_to_string(&mark).unwrap(), "virtqemud 31 4321\n");
}

#[test]
fn huge_pages_are_added_and_returned() {
    let root = machine();
    set(root.path(), &format!("{POOL}/nr_hugepages"), "10\n");
    set(root.path(), &format!("{POOL}/free_hugepages"), "6\n");
    let compacted = "proc/sys/vm/compact_memory";
    set(root.path(), compacted, "0\n");
    let xml = domain("10de:1401", HUGEPAGES);
    assert_eq!(hook(root.path(), &["prepare", "begin"], &xml), (Some(0), String::new()));
    assert_eq!(get(root.path(), &format!("{POOL}/nr_hugepages")), "260", "256 are needed, 6 were free of 10");
    assert_eq!(get(root.path(), compacted), "0", "that takes seconds, and was not needed");
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
    let preference = "sys/devices/system/cpu/cpu2/cpufreq/energy_performance_preference";
    set(root.path(), preference, "balance_performance\n");
    let governor = |cpu: u32| get(root.path(), &format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor"));
    assert_eq!(hook(root.path(), &["prepare", "begin"], &xml).0, Some(0));
    assert_eq!(hook(root.path(), &["started", "begin"], &xml).0, Some(0));
    assert_eq!((governor(2).as_str(), governor(3).as_str()), ("performance", "schedutil"));
    // amd-pstate sets it with the governor, and leaves it there.
    set(root.path(), preference, "performance\n");
    assert_eq!(hook(root.path(), &["stopped", "end"], &xml).0, Some(0));
    assert_eq!(governor(2), "schedutil");
    assert_eq!(get(root.path(), preference), "balance_performance");
}

/// A machine with a desktop on its card, systemd's stand-in, and the text console on the card's framebuffer.
struct Desktop {
    root: TempDir,
    programs: TempDir,
    /// More of the domain.
    more: String,
}

/// The tree's, where the running system's are; /proc last, which mount itself reads.
const MOUNTS: &str = "root=$1; shift; for name in sys run proc; do mount --bind \"$root/$name\" /$name; done; exec \"$0\" hook it \"$@\" -";

/// What unshare needs for mounts of its own.
fn own_mounts() -> &'static [&'static str] {
    if rustix::process::geteuid().is_root() { &["--mount"] } else { &["--user", "--map-root-user", "--mount"] }
}

/// Whether the hook can run as on a running system.
fn has_own_mounts(what: &str) -> bool {
    let place = TempDir::new().unwrap();
    let tried = support::command("unshare").args(own_mounts()).args(["mount", "--bind"]).arg(place.path()).arg("/proc").output();
    let has = tried.is_ok_and(|output| output.status.success());
    if !has {
        libvirt::skip(what, "no mount namespace can be had here");
    }
    has
}

const CONSOLE: &str = "sys/class/vtconsole/vtcon1";
/// Keeps in `display-manager` what state the unit is in, and writes down what changes it. Xorg goes
/// and comes with it.
const SYSTEMCTL: &str = "#!/bin/sh
state=$0.state log=$0.log fd=ROOT/proc/77/fd
case $1 in
is-active) cat \"$state\" ;;
stop) echo stop >>\"$log\"; echo inactive >\"$state\"; [ -e \"$0.stays\" ] || rm -f \"$fd/5\" ;;
show) cat \"$0.allowed\" || exit 1 ;;
set-property) echo \"$*\" >>\"$log\" ;;
start) echo start >>\"$log\"; [ ! -e \"$0.fails\" ] || exit 1; echo active >\"$state\"; ln -sf /dev/dri/card0 \"$fd/5\" ;;
esac
";

impl Desktop {
    fn new(state: &str) -> Self {
        let desktop = Self { root: machine(), programs: TempDir::new().unwrap(), more: String::new() };
        let place = desktop.root.path();
        fs::create_dir_all(place.join(format!("sys/bus/pci/devices/{GTX960}/drm/card0"))).unwrap();
        fs::create_dir_all(place.join("run/systemd/system")).unwrap();
        set(place, "sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n");
        fs::create_dir_all(place.join("proc/77/fd")).unwrap();
        set(place, "proc/77/comm", "Xorg\n");
        set(place, &format!("{CONSOLE}/name"), "(M) frame buffer device\n");
        set(place, &format!("{CONSOLE}/bind"), "1\n");
        let program = desktop.programs.path().join("systemctl");
        fs::write(&program, SYSTEMCTL.replace("ROOT", &place.display().to_string())).unwrap();
        fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        desktop.note("state", state);
        if state == "active" {
            desktop.open_card();
        }
        desktop
    }

    fn note(&self, name: &str, text: &str) {
        fs::write(self.programs.path().join(format!("systemctl.{name}")), format!("{text}\n")).unwrap();
    }

    fn open_card(&self) {
        std::os::unix::fs::symlink("/dev/dri/card0", self.root.path().join("proc/77/fd/5")).unwrap();
    }

    /// What was done to the display manager.
    fn done(&self) -> Vec<String> {
        let log = fs::read_to_string(self.programs.path().join("systemctl.log")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    fn console(&self) -> String {
        get(self.root.path(), &format!("{CONSOLE}/bind"))
    }

    /// On the running system: only there programs are run. It has this tree's /sys, /run and /proc meanwhile.
    fn hook(&self, operation: &[&str]) -> (Option<i32>, String) {
        let mut hook = support::command("unshare");
        hook.args(own_mounts()).args(["sh", "-ec", MOUNTS, env!("CARGO_BIN_EXE_vgapt")]).arg(self.root.path()).args(operation);
        hook.env("PATH", self.path());
        fed(hook, self.xml().as_bytes())
    }

    /// In a tree.
    fn hook_of_tree(&self, operation: &[&str]) -> (Option<i32>, String) {
        hook_with(self.root.path(), operation, &self.xml(), &self.path())
    }

    fn path(&self) -> String {
        format!("{}:{}", self.programs.path().display(), std::env::var("PATH").unwrap())
    }

    fn xml(&self) -> String {
        let xml = domain("10de:1401", &self.more).replace("request&quot;:{", "request&quot;:{&quot;handover&quot;:true");
        assert!(xml.contains("handover"));
        xml
    }

    fn has_ledger(&self) -> bool {
        self.root.path().join("run/vgapt/it.json").exists()
    }
}

#[test]
fn the_display_is_handed_over_and_comes_back() {
    if !has_own_mounts("a display that is handed over") {
        return;
    }
    let desktop = Desktop::new("active");
    assert_eq!(desktop.hook(&["prepare", "begin"]), (Some(0), String::new()));
    assert_eq!((desktop.done(), desktop.console().as_str()), (vec!["stop".to_owned()], "0"));
    assert_eq!(desktop.hook(&["started", "begin"]).0, Some(0));
    // The card is still vfio's.
    assert_eq!(desktop.hook(&["stopped", "end"]).0, Some(0));
    assert_eq!((desktop.done().len(), desktop.console().as_str(), desktop.has_ledger()), (1, "0", true));
    assert_eq!(desktop.hook(&["release", "end"]), (Some(0), String::new()));
    assert_eq!((desktop.done(), desktop.console().as_str()), (vec!["stop".to_owned(), "start".to_owned()], "1"));
    assert!(!desktop.has_ledger());
    assert_eq!(desktop.hook(&["release", "end"]).0, Some(0));
    assert_eq!(desktop.done().len(), 2);
}

#[test]
fn a_display_manager_that_was_off_stays_off() {
    if !has_own_mounts("a display that is handed over") {
        return;
    }
    let desktop = Desktop::new("inactive");
    assert_eq!(desktop.hook(&["prepare", "begin"]), (Some(0), String::new()));
    assert_eq!(desktop.console(), "0");
    assert_eq!(desktop.hook(&["release", "end"]).0, Some(0));
    assert_eq!((desktop.done(), desktop.console().as_str()), (vec![], "1"));
}

/// Killed after it had stopped the desktop: the next call, whatever it is, brings it back first.
#[test]
fn a_display_that_a_killed_run_took_comes_back() {
    if !has_own_mounts("a display that is handed over") {
        return;
    }
    for operation in [["release", "end"], ["prepare", "begin"]] {
        let desktop = Desktop::new("inactive");
        set(
            desktop.root.path(),
            "run/vgapt/it.json",
            r#"[{"display-manager":{"unit":"display-manager.service"}},{"console":{"attribute":"/sys/class/vtconsole/vtcon1/bind"}}]"#,
        );
        set(desktop.root.path(), &format!("{CONSOLE}/bind"), "0\n");
        assert_eq!(desktop.hook(&operation).0, Some(0));
        if operation[0] == "prepare" {
            assert_eq!((desktop.done(), desktop.console().as_str()), (vec!["start".to_owned(), "stop".to_owned()], "0"));
            assert_eq!(desktop.hook(&["release", "end"]).0, Some(0));
        }
        assert_eq!((desktop.done().last().map(String::as_str), desktop.console().as_str()), (Some("start"), "1"));
        assert!(!desktop.has_ledger());
    }
}

#[test]
fn who_keeps_the_card_gets_the_display_back() {
    if !has_own_mounts("a display that is handed over") {
        return;
    }
    let desktop = Desktop::new("active");
    desktop.note("stays", "");
    let (code, said) = desktop.hook(&["prepare", "begin"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("Xorg (pid 77: /dev/dri/card0)") && said.lines().count() == 1, "{said}");
    assert_eq!((desktop.done(), desktop.console().as_str()), (vec!["stop".to_owned(), "start".to_owned()], "1"));
    assert!(!desktop.has_ledger());
}

#[test]
fn a_display_that_does_not_come_back_is_tried_again() {
    if !has_own_mounts("a display that is handed over") {
        return;
    }
    let desktop = Desktop::new("active");
    assert_eq!(desktop.hook(&["prepare", "begin"]).0, Some(0));
    desktop.note("fails", "");
    let (code, said) = desktop.hook(&["release", "end"]);
    assert!(code == Some(0) && said.contains("systemctl start display-manager.service failed"), "{said}");
    assert!(desktop.console() == "1" && desktop.has_ledger(), "what can be returned is");
    fs::remove_file(desktop.programs.path().join("systemctl.fails")).unwrap();
    assert_eq!(desktop.hook(&["release", "end"]), (Some(0), String::new()));
    assert!(desktop.done().len() == 3 && !desktop.has_ledger());
}

#[test]
fn without_systemd_no_display_is_handed_over() {
    if !has_own_mounts("a display that is handed over") {
        return;
    }
    let desktop = Desktop::new("active");
    fs::remove_dir_all(desktop.root.path().join("run/systemd")).unwrap();
    let (code, said) = desktop.hook(&["prepare", "begin"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("that needs systemd") && said.lines().count() == 1, "{said}");
    assert_eq!((desktop.done(), desktop.console().as_str()), (vec![], "1"));
}

#[test]
fn define_and_start_know_what_a_handover_needs() {
    let root = machine();
    let place = root.path().display().to_string();
    let asked = |arguments: &[&str]| support::run(&mut support::vgapt(["--root", &place].iter().chain(arguments)));
    let define = ["define", "it", "--gpu", "01:00.0", "--handover", "--dry-run"];
    asked(&define).with(1).saying(&["this host does not run systemd"]);

    let os = "<os><type arch='x86_64' machine='q35'>hvm</type></os>";
    let xml = domain("10de:1401", os).replace("request&quot;:{", "request&quot;:{&quot;handover&quot;:true");
    let xml =
        xml.replace("</devices>", "</devices><test:runstate xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>5</test:runstate>");
    set(root.path(), "node.xml", &format!("<node>{xml}</node>"));
    let uri = format!("test://{place}/node.xml");
    asked(&["-c", &uri, "start", "it", "--force"]).with(1).saying(&["this host does not run systemd"]);
    fs::create_dir_all(root.path().join("run/systemd/system")).unwrap();
    asked(&define).with(0);
    asked(&["-c", &uri, "start", "it", "--force"]).with(1).saying(&["qemu.d/vgapt does not exist", "remedy: vgapt prepare installs it"]);
    set(root.path(), "etc/libvirt/hooks/qemu.d/vgapt", "");
    asked(&["-c", &uri, "start", "it", "--force"]).with(0).saying(&["hook: the display manager stops until the domain ends"]);
}

/// A tree is no running system: the same calls there change its files, and run nothing.
#[test]
fn in_a_tree_nothing_is_run() {
    let desktop = Desktop::new("active");
    set(
        desktop.root.path(),
        "run/vgapt/it.json",
        r#"[{"display-manager":{"unit":"--now"}},{"slices":{"cpus":"2","before":[["--system",""]]}}]"#,
    );
    for operation in [["prepare", "begin"], ["started", "begin"], ["stopped", "end"], ["release", "end"]] {
        assert_eq!(desktop.hook_of_tree(&operation), (Some(0), String::new()), "{operation:?}");
    }
    assert_eq!((desktop.done(), desktop.console().as_str(), desktop.has_ledger()), (vec![], "1", false));
}

/// What could not be read could not be given back, so it is not changed.
#[test]
fn units_whose_cpus_cannot_be_read_keep_them() {
    if !has_own_mounts("units that keep their CPUs") {
        return;
    }
    let mut desktop = Desktop::new("inactive");
    desktop.more = "<cputune><vcpupin vcpu='0' cpuset='2'/></cputune>".to_owned();
    let (code, said) = desktop.hook(&["started", "begin"]);
    assert_eq!(code, Some(0));
    assert!(said.contains("the processes of user.slice stay on the guest's CPUs: systemctl show failed"), "{said}");
    assert_eq!(desktop.hook(&["stopped", "end"]), (Some(0), String::new()));
    assert_eq!(desktop.done(), Vec::<String>::new());
    // Those of the administrator come back, and meanwhile no other ones are added.
    desktop.note("allowed", "0-3 6");
    assert_eq!(desktop.hook(&["started", "begin"]), (Some(0), String::new()));
    let done = desktop.done();
    assert!(done.len() == 3 && done.iter().all(|line| line.ends_with("AllowedCPUs=0-1 3 6")), "{done:?}");
    assert_eq!(desktop.hook(&["stopped", "end"]), (Some(0), String::new()));
    let done = desktop.done();
    assert!(
        done.len() == 6
            && done[3..].iter().all(|line| line.starts_with("set-property --runtime -- ") && line.ends_with("AllowedCPUs=0-3 6")),
        "{done:?}"
    );
}

/// The words are recorded too: libvirt drops what the hook says.
#[test]
fn processes_that_stay_on_the_guests_cpus_are_told() {
    if !has_own_mounts("processes that stay on the guest's CPUs") {
        return;
    }
    let mut desktop = Desktop::new("inactive");
    desktop.note("allowed", "");
    desktop.more = "<cputune><vcpupin vcpu='0' cpuset='2'/></cputune>".to_owned();
    let root = desktop.root.path().to_owned();
    set(&root, "sys/devices/system/cpu/online", "0-7\n");
    // Those that were isolated at boot are for nobody.
    set(&root, "sys/devices/system/cpu/isolated", "2-5\n");
    for (group, populated) in [("kubepods.slice", 1), ("machine.slice", 1), ("system.slice", 1), ("dev-hugepages.mount", 0)] {
        set(&root, &format!("sys/fs/cgroup/{group}/cgroup.events"), &format!("populated {populated}\nfrozen 0\n"));
    }
    let told = |desktop: &Desktop, words: &str| {
        let (code, said) = desktop.hook(&["started", "begin"]);
        assert!(code == Some(0) && said.contains(words), "{code:?} {said}");
        let record = get(desktop.root.path(), "run/vgapt/it.json");
        assert!(record.contains(words), "{record}");
        assert_eq!(desktop.hook(&["stopped", "end"]), (Some(0), String::new()));
        assert!(!desktop.has_ledger());
    };
    told(&desktop, "the processes of kubepods.slice may use the guest's CPUs: only those of user.slice");
    let done = desktop.done();
    assert!(done.len() == 6 && done[..3].iter().all(|line| line.ends_with("AllowedCPUs=0-1 6-7")), "{done:?}");
    for controllers in ["cpu io memory pids\n", ""] {
        set(&root, "sys/fs/cgroup/cgroup.controllers", controllers);
        told(&desktop, "the host's processes stay on the guest's CPUs: /sys/fs/cgroup has no cpuset controller of version 2");
    }
    set(&root, "sys/fs/cgroup/cgroup.controllers", "cpuset\n");
    set(&root, "sys/devices/system/cpu/online", "2\n");
    told(&desktop, "the host's processes stay on the guest's CPUs: no other CPUs are left");
    assert_eq!(desktop.done().len(), 6);
}

/// The XML of a domain in huge pages, by its name.
fn in_pages(name: &str, mib: u64) -> String {
    domain("10de:1401", HUGEPAGES).replace("<name>it</name>", &format!("<name>{name}</name>")).replace(">512<", &format!(">{mib}<"))
}

/// Two domains that start and stop at the same time: no page is lost, and none is left.
#[test]
fn hooks_side_by_side_count_every_page() {
    let rounds = if std::env::var_os("VGAPT_TEST_ALL").is_some() { 60 } else { 8 };
    let root = machine();
    let root = root.path();
    set(root, &format!("{POOL}/nr_hugepages"), "10\n");
    set(root, &format!("{POOL}/free_hugepages"), "6\n");
    let pages = || get(root, &format!("{POOL}/nr_hugepages")).parse::<u64>().unwrap();
    let at_once = |operations: [[&str; 2]; 2]| {
        std::thread::scope(|scope| {
            for (name, operation) in ["one", "two"].into_iter().zip(operations) {
                scope.spawn(move || assert_eq!(hook(root, &operation, &in_pages(name, 512)), (Some(0), String::new()), "{name}"));
            }
        });
    };
    for round in 0..rounds {
        at_once([["prepare", "begin"]; 2]);
        assert_eq!(pages(), 10 + 250 + 256, "round {round}: the six free ones are only the first one's");
        at_once([["started", "begin"], ["release", "end"]]);
        let left = pages();
        assert!(left == 10 + 250 || left == 10 + 256, "round {round}: {left}");
        at_once([["stopped", "end"], ["prepare", "begin"]]);
        at_once([["release", "end"]; 2]);
        assert_eq!(pages(), 10, "round {round}");
    }
    assert_eq!(fs::read_dir(root.join("run/vgapt")).unwrap().count(), 0);
}

/// A domain that needs as many as are free takes them from nobody: the next one's come on top.
#[test]
fn free_pages_are_promised_once() {
    let root = machine();
    let root = root.path();
    set(root, &format!("{POOL}/nr_hugepages"), "300\n");
    set(root, &format!("{POOL}/free_hugepages"), "300\n");
    let pages = || get(root, &format!("{POOL}/nr_hugepages"));
    assert_eq!(hook(root, &["prepare", "begin"], &in_pages("one", 512)).0, Some(0));
    assert_eq!(pages(), "300");
    assert_eq!(hook(root, &["prepare", "begin"], &in_pages("two", 512)).0, Some(0));
    assert_eq!(pages(), "512", "44 are left of 300");
    // The first one runs: the kernel counts its pages itself.
    assert_eq!(hook(root, &["started", "begin"], &in_pages("one", 512)).0, Some(0));
    set(root, &format!("{POOL}/free_hugepages"), "256\n");
    assert_eq!(hook(root, &["release", "end"], &in_pages("two", 512)).0, Some(0));
    assert_eq!(pages(), "300");
    // Somebody else's list that cannot be read: what is free is not known.
    set(root, "run/vgapt/other.json", "[{");
    let (code, said) = hook(root, &["prepare", "begin"], &in_pages("two", 512));
    assert!(code == Some(1) && said.contains("/run/vgapt/other.json") && said.lines().count() == 1, "{said}");
}

/// Pages that one domain takes from any node may come from the node that the next one asks for, and the other way round.
#[test]
fn pages_of_any_node_and_of_one_are_promised_once() {
    let of_node = |name: &str| {
        let node = "<numatune><memory mode='strict' nodeset='0'/></numatune><devices>";
        in_pages(name, 200).replace("<devices>", node)
    };
    for (first, second, pool) in [(in_pages("one", 200), of_node("two"), NODE), (of_node("one"), in_pages("two", 200), POOL)] {
        let root = machine();
        let root = root.path();
        for pool in [POOL, NODE] {
            set(root, &format!("{pool}/nr_hugepages"), "100\n");
            set(root, &format!("{pool}/free_hugepages"), "100\n");
        }
        assert_eq!(hook(root, &["prepare", "begin"], &first), (Some(0), String::new()));
        assert!([POOL, NODE].iter().all(|pool| get(root, &format!("{pool}/nr_hugepages")) == "100"));
        assert_eq!(hook(root, &["prepare", "begin"], &second), (Some(0), String::new()));
        assert_eq!(get(root, &format!("{pool}/nr_hugepages")), "200", "none is left of 100");
    }
    // What running domains have reserved and not touched is counted for all nodes together.
    let root = machine();
    let root = root.path();
    for pool in [POOL, NODE] {
        set(root, &format!("{pool}/nr_hugepages"), "100\n");
        set(root, &format!("{pool}/free_hugepages"), "100\n");
    }
    set(root, &format!("{POOL}/resv_hugepages"), "60\n");
    assert_eq!(hook(root, &["prepare", "begin"], &of_node("one")), (Some(0), String::new()));
    assert_eq!(get(root, &format!("{NODE}/nr_hugepages")), "160");
}

/// A guest on two nodes: 100 pages of one, 50 of the other.
#[test]
fn each_node_of_a_guest_has_its_own_pages() {
    const OTHER: &str = "sys/devices/system/node/node1/hugepages/hugepages-2048kB";
    let cells = "<cpu><numa><cell id='0' memory='200' unit='MiB'/><cell id='1' memory='100' unit='MiB'/></numa></cpu>";
    let tune = "<numatune><memory nodeset='0-1'/><memnode cellid='0' nodeset='1'/><memnode cellid='1' nodeset='0'/></numatune>";
    let xml = in_pages("it", 300).replace("<devices>", &format!("{cells}{tune}<devices>"));
    let root = machine();
    let root = root.path();
    let pools = |all: [(&str, u64, u64); 3]| {
        for (pool, total, free) in all {
            set(root, &format!("{pool}/nr_hugepages"), &format!("{total}\n"));
            set(root, &format!("{pool}/free_hugepages"), &format!("{free}\n"));
        }
    };
    let totals = || [POOL, NODE, OTHER].map(|pool| get(root, &format!("{pool}/nr_hugepages")));
    pools([(POOL, 300, 300), (NODE, 20, 5), (OTHER, 10, 10)]);
    assert_eq!(hook(root, &["prepare", "begin"], &xml), (Some(0), String::new()));
    assert_eq!(totals(), ["300", "65", "100"]);
    assert_eq!(hook(root, &["release", "end"], &xml), (Some(0), String::new()));
    assert_eq!(totals(), ["300", "20", "10"]);
    // Reserved pages of others may be from any node, but those that it takes from one node are not on the other.
    pools([(POOL, 200, 200), (NODE, 100, 100), (OTHER, 100, 100)]);
    set(root, &format!("{POOL}/resv_hugepages"), "100\n");
    assert_eq!(hook(root, &["prepare", "begin"], &xml), (Some(0), String::new()));
    assert_eq!(totals(), ["200", "100", "150"]);
}

/// Any user can open these folders, and lock what they can open.
#[test]
fn locks_of_other_users_hold_nothing_up() {
    let root = machine();
    let root = root.path();
    set(root, &format!("{POOL}/nr_hugepages"), "300\n");
    set(root, &format!("{POOL}/free_hugepages"), "300\n");
    fs::create_dir_all(root.join("run/vgapt")).unwrap();
    let held = ["", "run", "run/vgapt"].map(|folder| fs::File::open(root.join(folder)).unwrap());
    for folder in &held {
        rustix::fs::flock(folder, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    }
    let begun = std::time::Instant::now();
    assert_eq!(hook(root, &["prepare", "begin"], &in_pages("it", 512)), (Some(0), String::new()));
    assert_eq!(hook(root, &["release", "end"], &in_pages("it", 512)), (Some(0), String::new()));
    assert!(begun.elapsed().as_secs() < 30, "it waits for a minute");

    let runtime = TempDir::new().unwrap();
    fs::set_permissions(runtime.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let place = root.display().to_string();
    for command in [&["prepare", "--gpu", "01:00.0", "--yes"][..], &["undo", "--yes"]] {
        let mut command = support::vgapt(["--root", &place].iter().chain(command));
        let output = command.env("XDG_RUNTIME_DIR", runtime.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains("another vgapt"), "{said}");
    }
}

/// Whoever can open the folder of the locks could keep every domain from starting.
#[test]
fn a_folder_of_locks_that_is_open_to_others_is_refused() {
    let root = machine();
    let root = root.path();
    set(root, &format!("{POOL}/nr_hugepages"), "300\n");
    set(root, &format!("{POOL}/free_hugepages"), "300\n");
    let locks = root.join("run/vgapt-locks");
    fs::create_dir_all(&locks).unwrap();
    fs::set_permissions(&locks, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (code, said) = hook(root, &["prepare", "begin"], &in_pages("it", 512));
    assert!(code == Some(1) && said.contains("vgapt-locks is open to other users"), "{said}");
    // The remedy works as it is printed.
    let remedy = said.trim().rsplit_once("; ").unwrap().1.replace("root:", &rustix::process::geteuid().as_raw().to_string());
    assert!(support::command("sh").args(["-c", &remedy]).status().unwrap().success(), "{said}");
    assert_eq!(hook(root, &["prepare", "begin"], &in_pages("it", 512)), (Some(0), String::new()));
}

/// Never more than `prepare` would reserve, whatever number stands in the XML.
#[test]
fn more_memory_than_the_host_can_spare_is_refused() {
    let root = machine();
    let root = root.path();
    set(root, &format!("{POOL}/nr_hugepages"), "10\n");
    set(root, &format!("{POOL}/free_hugepages"), "10\n");
    set(root, "proc/meminfo", "MemTotal:       16777216 kB\nHugepagesize:       2048 kB\n");
    // Of 16 GiB the host keeps two.
    for (mib, fits) in [(14 << 10, true), ((14 << 10) + 2, false), (1_000_000_000_000 >> 10, false), (u64::MAX >> 20, false)] {
        let (code, said) = hook(root, &["prepare", "begin"], &in_pages("it", mib));
        assert_eq!(code, Some(i32::from(!fits)), "{mib} MiB: {said}");
        assert!(fits || (said.contains("the host can spare only 14336 MiB of its 16384 MiB") && said.lines().count() == 1), "{said}");
        assert_eq!(hook(root, &["release", "end"], &in_pages("it", mib)).0, Some(0));
        assert_eq!(get(root, &format!("{POOL}/nr_hugepages")), "10");
    }
    for (meminfo, why) in [
        ("Hugepagesize:       2048 kB\n", "the host's memory size cannot be read"),
        ("MemTotal:       16777216 kB\n", "the size of the host's huge pages cannot be read"),
    ] {
        set(root, "proc/meminfo", meminfo);
        let (code, said) = hook(root, &["prepare", "begin"], &in_pages("it", 512));
        assert!(code == Some(1) && said.contains(why), "{said}");
    }
}

/// Names that libvirt takes, and that are no good names of files or of arguments.
#[test]
fn odd_names_of_domains() {
    assert!(vgapt::host::HOOK_TEXT.contains("\"$vgapt\" hook -- \"$@\""), "as it is called here");
    let root = machine();
    let root = root.path();
    let long = "n".repeat(250);
    for name in ["-it", "--help", "--json", " it ", ".", "it.json", &long] {
        set(root, &format!("{POOL}/nr_hugepages"), "0\n");
        set(root, &format!("{POOL}/free_hugepages"), "0\n");
        let call = |operation: [&str; 2]| {
            let mut hook = support::vgapt(["--root"]);
            hook.arg(root).args(["hook", "--", name]).args(operation).arg("-");
            fed(hook, in_pages(name, 512).as_bytes())
        };
        assert_eq!(call(["prepare", "begin"]), (Some(0), String::new()), "{name}");
        assert_eq!(get(root, &format!("{POOL}/nr_hugepages")), "256", "{name}");
        assert_eq!(call(["release", "end"]), (Some(0), String::new()), "{name}");
        assert_eq!(get(root, &format!("{POOL}/nr_hugepages")), "0", "{name}");
        assert_eq!(fs::read_dir(root.join("run/vgapt")).unwrap().count(), 0, "{name}");
    }
}

/// The machine with the files of the drivers of its card, for a domain that passes the card and its audio.
fn machine_with_drivers() -> (TempDir, String) {
    let root = machine();
    for driver in ["nouveau", "snd_hda_intel"] {
        set(root.path(), &format!("sys/bus/pci/drivers/{driver}/unbind"), "");
        set(root.path(), &format!("sys/bus/pci/drivers/{driver}/bind"), "");
    }
    let audio = "<hostdev mode='subsystem' type='pci' managed='yes'><source>\
        <address domain='0x0000' bus='0x01' slot='0x00' function='0x1'/></source></hostdev></devices>";
    (root, domain("10de:1401", "").replace("</devices>", audio))
}

#[test]
fn functions_are_taken_from_their_drivers_and_returned() {
    let file = |root: &Path, driver: &str, name: &str| get(root, &format!("sys/bus/pci/drivers/{driver}/{name}"));
    let (root, xml) = machine_with_drivers();
    let root = root.path();
    assert_eq!(hook(root, &["prepare", "begin"], &xml), (Some(0), String::new()));
    assert_eq!(file(root, "nouveau", "unbind"), GTX960);
    assert_eq!(file(root, "snd_hda_intel", "unbind"), "0000:01:00.1");
    let taken = get(root, "run/vgapt/it.json");
    let at = |driver: &str| taken.find(driver).unwrap_or_else(|| panic!("no {driver} in {taken}"));
    assert!(at("snd_hda_intel") < at("nouveau"), "the audio is first: {taken}");
    // libvirt still has them; then it has bound one of them again, and not the other.
    assert_eq!(hook(root, &["stopped", "end"], &xml), (Some(0), String::new()));
    assert_eq!(file(root, "nouveau", "bind"), "");
    fs::create_dir_all(root.join("sys/bus/pci/devices/0000:01:00.1/driver")).unwrap();
    assert_eq!(hook(root, &["release", "end"], &xml), (Some(0), String::new()));
    assert_eq!((file(root, "nouveau", "bind").as_str(), file(root, "snd_hda_intel", "bind").as_str()), (GTX960, ""));
    assert!(!root.join("run/vgapt/it.json").exists());
    // What libvirt does not take from a driver is left alone: its user does that.
    let (root, xml) = machine_with_drivers();
    assert_eq!(hook(root.path(), &["prepare", "begin"], &xml.replace("managed='yes'", "managed='no'")), (Some(0), String::new()));
    assert_eq!(file(root.path(), "nouveau", "unbind"), "");
}

/// The process that writes to an attribute, and the process that started it.
fn writer(root: &Path, attribute: &str) -> Option<(u32, u32)> {
    let place = root.to_str().unwrap();
    fs::read_dir("/proc").unwrap().filter_map(Result::ok).find_map(|process| {
        let line = String::from_utf8_lossy(&fs::read(process.path().join("cmdline")).ok()?).replace('\0', " ");
        let stat = fs::read_to_string(process.path().join("stat")).ok()?;
        let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        (line.contains(place) && line.contains(attribute)).then_some((process.file_name().to_str()?.parse().ok()?, parent))
    })
}

/// The process that writes is stopped: whoever waits for it waits for ever.
#[test]
fn a_driver_that_does_not_return_does_not_hold_the_start() {
    for _ in 0..20 {
        let (place, xml) = machine_with_drivers();
        let root = place.path();
        // To read it takes long enough for the process to be found.
        let unbind = "sys/bus/pci/drivers/nouveau/unbind";
        fs::File::create(root.join(unbind)).unwrap().set_len(200 << 20).unwrap();
        let since = std::time::Instant::now();
        let (stopped, (code, said)) = std::thread::scope(|scope| {
            let hook = scope.spawn(|| hook(root, &["prepare", "begin"], &xml));
            let mut stopped = None;
            while stopped.is_none() && !hook.is_finished() {
                stopped = writer(root, unbind);
            }
            if let Some((pid, parent)) = stopped {
                let _ = Command::new("kill").args(["-STOP", &pid.to_string()]).status().unwrap();
                let open = |pid: u32, fd: u32| fs::read_link(format!("/proc/{pid}/fd/{fd}"));
                // Nothing that libvirt reads is open in it, so the end of the hook is the end of its output.
                for (own, of_hook) in [(0, 0), (1, 1), (2, 2), (1, 2), (2, 1)] {
                    if let (Ok(own), Ok(of_hook)) = (open(pid, own), open(parent, of_hook)) {
                        assert!(own != of_hook || own == Path::new("/dev/null"), "{own:?}");
                    }
                }
                set(root, &format!("proc/{pid}/stack"), "[<0>] nv_pci_remove+0x5c/0x80 [nvidia]\n[<0>] pci_device_remove+0x3b/0xb0\n");
            }
            (stopped, hook.join().unwrap())
        });
        let Some((pid, _)) = stopped else { continue };
        if code == Some(0) {
            continue; // It was faster.
        }
        let seconds = since.elapsed().as_secs();
        assert!(code == Some(1) && (8..40).contains(&seconds), "{seconds} s: {said}");
        assert!(said.lines().count() == 1 && said.contains(&format!("(process {pid}, for ")), "{said}");
        for words in ["the driver nouveau does not release 01:00.0", "it is in the kernel's nv_pci_remove [nvidia] < pci_device_remove"] {
            assert!(said.contains(words), "no {words} in {said}");
        }
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "a process that can be ended is ended");
        // What was unbound is back, and nothing is recorded as taken or as hanging.
        assert_eq!(get(root, "sys/bus/pci/drivers/snd_hda_intel/bind"), "0000:01:00.1");
        assert!(!root.join("run/vgapt/it.json").exists() && !root.join(format!("run/vgapt/hangs/{GTX960}")).exists());
        return;
    }
    panic!("the process that writes was never found in time");
}

/// What `vgapt start` has freed is not given back and taken once more when libvirt's hook runs; what somebody has bound since is.
#[test]
fn what_is_freed_for_a_domain_stays_freed_for_it() {
    let (place, xml) = machine_with_drivers();
    let root = place.path();
    let freed = |address: &str| {
        let function = format!(r#"{{"address":"{address}","driver":"nouveau","nodes":[]}}"#);
        set(root, "run/vgapt/it.json", &format!(r#"[{{"service":{{"unit":"some.service"}}}},{{"function":{{"function":{function}}}}}]"#));
    };
    // As the kernel says it of a function that no driver has.
    let unbound = |address: &str| {
        let uevent = format!("sys/bus/pci/devices/{address}/uevent");
        let rest: Vec<String> = get(root, &uevent).lines().filter(|line| !line.starts_with("DRIVER=")).map(str::to_owned).collect();
        set(root, &uevent, &rest.join("\n"));
    };
    let bind = || get(root, "sys/bus/pci/drivers/nouveau/bind");
    freed(GTX960);
    unbound(GTX960);
    assert_eq!(hook(root, &["prepare", "begin"], &xml), (Some(0), String::new()));
    let taken = get(root, "run/vgapt/it.json");
    assert!(bind().is_empty() && taken.contains(GTX960) && taken.contains("some.service"), "{taken}");
    // At the end it is returned.
    assert_eq!(hook(root, &["release", "end"], &xml), (Some(0), String::new()));
    assert_eq!(bind(), GTX960);
    assert!(!root.join("run/vgapt/it.json").exists());
    // A function of a card that the domain no longer has is returned first.
    set(root, "sys/bus/pci/drivers/nouveau/bind", "");
    let other = "0000:00:1f.3";
    unbound(other);
    freed(other);
    assert_eq!(hook(root, &["prepare", "begin"], &xml), (Some(0), String::new()));
    assert_eq!(bind(), other);
    assert!(!get(root, "run/vgapt/it.json").contains("some.service"));
}

#[test]
fn while_a_driver_hangs_nothing_touches_its_function() {
    let (place, xml) = machine_with_drivers();
    let root = place.path();
    let function = format!(r#"{{"address":"{GTX960}","driver":"nouveau","nodes":["/dev/nvidia0"]}}"#);
    let record = format!(r#"{{"function":{function},"releases":true,"domain":"other","pid":31,"started":4321,"since":0}}"#);
    set(root, &format!("run/vgapt/hangs/{GTX960}"), &record);
    set(root, "run/vgapt/it.json", &format!(r#"[{{"function":{{"function":{function}}}}}]"#));
    set(root, "proc/31/stat", "31 (vgapt) D 1 31 31 0 -1 0 3 4 0 0 5 6 0 0 20 0 17 0 4321 1 2\n");
    set(root, "proc/31/stack", "[<0>] nv_pci_remove+0x5c/0x80 [nvidia]\n");
    set(root, "proc/77/comm", "ollama\n");
    set(root, "proc/77/maps", "7f0-7f1 rw-s 0 00:06 5    /dev/nvidia0\n");
    fs::create_dir_all(root.join("proc/77/fd")).unwrap();
    let (code, said) = hook(root, &["prepare", "begin"], &xml);
    assert!(code == Some(1) && said.lines().count() == 1, "{code:?} {said}");
    for words in [
        "nv_pci_remove [nvidia]",
        "in use by ollama (pid 77: /dev/nvidia0)",
        "no domain starts with 01:00.0",
        "the driver nouveau does not release 01:00.0",
    ] {
        assert!(said.contains(words), "no {words} in {said}");
    }
    for operation in [["stopped", "end"], ["release", "end"]] {
        assert_eq!(hook(root, &operation, &xml), (Some(0), String::new()));
    }
    let driver = |name: &str| get(root, &format!("sys/bus/pci/drivers/nouveau/{name}"));
    assert_eq!((driver("bind"), driver("unbind")), (String::new(), String::new()));
    assert!(root.join("run/vgapt/it.json").exists());
    // Once it returns, the function goes back.
    fs::remove_file(root.join("proc/31/stat")).unwrap();
    assert_eq!(hook(root, &["release", "end"], &xml), (Some(0), String::new()));
    assert_eq!(driver("bind"), GTX960);
    assert!(!root.join("run/vgapt/it.json").exists() && !root.join(format!("run/vgapt/hangs/{GTX960}")).exists());
}

/// The interrupts of a machine of 8 CPUs: number, who requested it, the CPUs that it may go to.
fn interrupts(root: &Path, all: &[(u32, &str, &str)]) {
    set(root, "sys/devices/system/cpu/online", "0-7\n");
    set(root, "proc/irq/default_smp_affinity", "ff\n");
    for (number, of, cpus) in all {
        set(root, &format!("sys/kernel/irq/{number}/actions"), &format!("{of}\n"));
        set(root, &format!("proc/irq/{number}/smp_affinity_list"), &format!("{cpus}\n"));
    }
}

/// Where they may go now, and those that are requested later.
fn now(root: &Path, all: &[u32]) -> Vec<String> {
    let numbers = all.iter().map(|number| format!("proc/irq/{number}/smp_affinity_list"));
    numbers.chain(["proc/irq/default_smp_affinity".to_owned()]).map(|path| get(root, &path)).collect()
}

fn pinned(name: &str, cpus: &str, request: &str) -> String {
    domain("10de:1401", &format!("<cputune><vcpupin vcpu='0' cpuset='{cpus}'/></cputune>"))
        .replace("<name>it<", &format!("<name>{name}<"))
        .replace("request&quot;:{", &format!("request&quot;:{{{}", request.replace('"', "&quot;")))
}

#[test]
fn the_hosts_interrupts_leave_the_guests_cpus_and_come_back() {
    let root = machine();
    let root = root.path();
    interrupts(root, &[(5, "eth0", "0-7"), (6, "nvme0q3", "2"), (7, "ahci", "0-1"), (8, "", "0-7"), (9, "vfio-msi[0](0000:01:00.0)", "3")]);
    let all = [5, 6, 7, 8, 9];
    let (start, stop) = (["started", "begin"], ["stopped", "end"]);
    let before = now(root, &all);
    let (one, two) = (pinned("one", "2-3", ""), pinned("two", "6-7", ""));

    assert_eq!(hook(root, &start, &pinned("kept", "2-3", r#""move-interrupts":false"#)), (Some(0), String::new()));
    assert_eq!(now(root, &all), before, "--move-interrupts no");
    assert_eq!(hook(root, &start, &one), (Some(0), String::new()));
    assert_eq!(now(root, &all), ["0-1,4-7", "0-1,4-7", "0-1", "0-7", "0-1,4-7", "000000f3"]);
    // The second guest: what the first has moved is remembered as it was before both.
    assert_eq!(hook(root, &start, &two), (Some(0), String::new()));
    assert_eq!(now(root, &all), ["0-1,4-5", "0-1,4-5", "0-1", "0-7", "0-1,4-5", "00000033"]);
    // The device of the guest is gone, and another one of the host has its number.
    set(root, "sys/kernel/irq/9/actions", "eth1\n");
    set(root, "proc/irq/9/smp_affinity_list", "4\n");
    assert_eq!(hook(root, &stop, &one), (Some(0), String::new()));
    assert_eq!(now(root, &all), ["0-5", "2", "0-1", "0-7", "4", "0000003f"]);
    assert_eq!(hook(root, &stop, &two), (Some(0), String::new()));
    assert_eq!(now(root, &all), ["0-7", "2", "0-1", "0-7", "4", "ff"]);
    assert!(!root.join("run/vgapt/one.json").exists() && !root.join("run/vgapt/two.json").exists());
}

/// The kernel gives these what is left of the default; others were never moved.
#[test]
fn interrupts_that_are_requested_while_the_guest_runs_follow_the_default() {
    let root = machine();
    let root = root.path();
    let shared = "i801_smbus,vfio-intx(0000:01:00.0)";
    interrupts(root, &[(5, "eth0", "0-7"), (6, shared, "0-7"), (7, "ahci", "0-1,4-7"), (8, "", "0-7")]);
    let (one, two) = (pinned("one", "2-3", ""), pinned("two", "6-7", ""));
    assert_eq!(hook(root, &["started", "begin"], &one), (Some(0), String::new()));
    assert_eq!(hook(root, &["started", "begin"], &two), (Some(0), String::new()));
    assert_eq!(now(root, &[5, 6, 7]), ["0-1,4-5", "0-1,4-5", "0-1,4-5", "00000033"]);
    set(root, "sys/kernel/irq/6/actions", "i801_smbus\n");
    interrupts(root, &[(8, "wlan0", "0-1,4-5"), (9, "eth1", "4-5"), (10, "eth2", "0-1")]);
    set(root, "proc/irq/default_smp_affinity", "00000033\n");
    set(root, "proc/irq/9/node", "1\n");
    set(root, "sys/devices/system/node/node1/cpulist", "4-7\n");
    set(root, "proc/irq/10/node", "-1\n");
    let all = [5, 6, 7, 8, 9, 10];
    assert_eq!(hook(root, &["stopped", "end"], &two), (Some(0), String::new()));
    assert_eq!(now(root, &all), ["0-1,4-7", "0-1,4-7", "0-1,4-7", "0-1,4-7", "4-7", "0-1", "000000f3"]);
    assert_eq!(hook(root, &["stopped", "end"], &one), (Some(0), String::new()));
    // Interrupt 7 was there before, and was never among the guest's; interrupt 10 was placed by somebody.
    assert_eq!(now(root, &all), ["0-7", "0-7", "0-1,4-7", "0-7", "4-7", "0-1", "ff"]);
}

/// Killed between the record and the last write: the next start of the domain brings back what was moved.
#[test]
fn interrupts_that_a_killed_hook_moved_come_back() {
    let root = machine();
    let root = root.path();
    interrupts(root, &[(5, "eth0", "0-7"), (6, "eth1", "0-7")]);
    let xml = pinned("it", "2-3", "");
    assert_eq!(hook(root, &["started", "begin"], &xml).0, Some(0));
    set(root, "proc/irq/6/smp_affinity_list", "0-7\n");
    assert_eq!(hook(root, &["prepare", "begin"], &xml), (Some(0), String::new()));
    assert_eq!(now(root, &[5, 6]), ["0-7", "0-7", "ff"]);
}

#[test]
fn interrupts_stay_where_no_other_cpus_are_left() {
    let root = machine();
    interrupts(root.path(), &[(5, "eth0", "0-7")]);
    set(root.path(), "sys/devices/system/cpu/online", "0-1\n");
    let (code, said) = hook(root.path(), &["started", "begin"], &pinned("it", "0-1", ""));
    assert_eq!((code, now(root.path(), &[5])), (Some(0), vec!["0-7".to_owned(), "ff".to_owned()]));
    assert!(said.contains("the host's interrupts stay on the guest's CPUs: no other CPUs are left"), "{said}");
}

/// A machine with an interrupt that irqbalance distributes, and a guest on the host CPUs 2 and 3.
fn with_irqbalance(pid: u32) -> Desktop {
    let more = "<cputune><vcpupin vcpu='0' cpuset='2-3'/></cputune>".to_owned();
    let desktop = Desktop { more, ..Desktop::new("inactive") };
    desktop.note("allowed", "");
    let root = desktop.root.path();
    interrupts(root, &[(5, "eth0", "0-7")]);
    set(root, &format!("proc/{pid}/comm"), "irqbalance\n");
    set(root, "proc/uptime", "100.5 7.0\n");
    desktop
}

fn socket_of_irqbalance(root: &Path, pid: u32) -> std::os::unix::net::UnixListener {
    fs::create_dir_all(root.join("run/irqbalance")).unwrap();
    std::os::unix::net::UnixListener::bind(root.join(format!("run/irqbalance/irqbalance{pid}.sock"))).unwrap()
}

/// A stand-in that answers as `sock_handle` of irqbalance 1.9 does: what it was told takes effect with its next round, which
/// never comes here. The lab has the program itself.
#[test]
fn irqbalance_is_told_and_untold() {
    if !has_own_mounts("irqbalance's socket") {
        return;
    }
    let desktop = with_irqbalance(4321);
    let root = desktop.root.path();
    let (code, said) = desktop.hook(&["started", "begin"]);
    assert_eq!((code, now(root, &[5])[0].as_str()), (Some(0), "0-1,4-7"), "without a socket");
    assert!(
        said.contains("irqbalance could not be told")
            && said.contains("Environment=IRQBALANCE_BANNED_CPULIST=2-3\\n' >/etc/systemd/system/irqbalance.service.d/guest.conf"),
        "{said}"
    );
    assert_eq!(desktop.hook(&["stopped", "end"]), (Some(0), String::new()));

    let listener = socket_of_irqbalance(root, 4321);
    let (sender, told) = std::sync::mpsc::channel();
    let mask = std::sync::Arc::new(std::sync::Mutex::new("00000080"));
    let banned = std::sync::Arc::clone(&mask);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut words) = (stream.unwrap(), [0; 100]);
            let length = std::io::Read::read(&mut stream, &mut words).unwrap();
            match std::str::from_utf8(&words[..length]).unwrap() {
                "setup" => write!(stream, "SLEEP 10 BANNED {}", banned.lock().unwrap()).unwrap(),
                other => sender.send(other.to_owned()).unwrap(),
            }
        }
    });
    assert_eq!(desktop.hook(&["started", "begin"]), (Some(0), String::new()));
    assert_eq!(told.try_recv().unwrap(), "settings cpus 2-3,7 ");
    assert_eq!(desktop.hook(&["stopped", "end"]), (Some(0), String::new()));
    assert_eq!(told.try_recv().unwrap(), "settings cpus 7 ");
    // It still answers with what it left out for the guest, and the guest starts again.
    *mask.lock().unwrap() = "0000000c";
    for (uptime, at_the_end) in [("104.0", "settings cpus NULL"), ("200.0", "settings cpus 2-3 ")] {
        set(root, "proc/uptime", &format!("{uptime} 7.0\n"));
        assert_eq!(desktop.hook(&["started", "begin"]), (Some(0), String::new()));
        assert_eq!(told.try_recv().unwrap(), "settings cpus 2-3 ");
        assert_eq!(desktop.hook(&["stopped", "end"]), (Some(0), String::new()));
        assert_eq!(told.try_recv().unwrap(), at_the_end, "{uptime}");
    }
}

/// Another irqbalance knows nothing of what the first was told.
#[test]
fn an_irqbalance_that_was_restarted_keeps_its_configuration() {
    if !has_own_mounts("irqbalance's socket") {
        return;
    }
    let desktop = with_irqbalance(4322);
    let root = desktop.root.path();
    set(root, "run/vgapt/it.json", r#"[{"balancer":{"cpus":"2-3","before":"6","pid":4321}}]"#);
    let listener = socket_of_irqbalance(root, 4322);
    listener.set_nonblocking(true).unwrap();
    assert_eq!(desktop.hook(&["stopped", "end"]), (Some(0), String::new()));
    assert!(listener.accept().is_err() && !desktop.has_ledger());
}

/// Two start at the same moment: what one takes, the other neither asks for again nor returns.
#[test]
fn starts_at_the_same_moment_do_not_undo_each_other() {
    for second in ["it", "other"] {
        starts_beside(second);
    }
}

fn starts_beside(second: &str) {
    for _ in 0..20 {
        let (place, xml) = machine_with_drivers();
        let root = place.path();
        let other = xml.replace("<name>it</name>", &format!("<name>{second}</name>"));
        let unbind = "sys/bus/pci/drivers/nouveau/unbind";
        // To read it takes long enough for the process to be found.
        fs::File::create(root.join(unbind)).unwrap().set_len(200 << 20).unwrap();
        let ended = std::thread::scope(|scope| {
            let first = scope.spawn(|| hook(root, &["prepare", "begin"], &xml));
            let mut stopped = None;
            while stopped.is_none() && !first.is_finished() {
                stopped = writer(root, unbind);
            }
            let signal = |pid: u32, signal: &str| Command::new("kill").args([signal, &pid.to_string()]).status().unwrap();
            let (pid, _) = stopped?;
            let _ = signal(pid, "-STOP");
            let beside = scope.spawn(|| hook(root, &["prepare", "begin"], &other));
            std::thread::sleep(std::time::Duration::from_secs(2));
            let waits = !beside.is_finished();
            // As the kernel says it once the driver has released them.
            for address in [GTX960, "0000:01:00.1"] {
                let uevent = format!("sys/bus/pci/devices/{address}/uevent");
                let rest: Vec<String> = get(root, &uevent).lines().filter(|line| !line.starts_with("DRIVER=")).map(str::to_owned).collect();
                set(root, &uevent, &rest.join("\n"));
            }
            let _ = signal(pid, "-CONT");
            Some((first.join().unwrap(), beside.join().unwrap(), waits))
        });
        let Some((first, beside, waits)) = ended else { continue };
        assert!(waits, "{second}: {beside:?}");
        assert_eq!((first.0, beside.0), (Some(0), Some(0)), "{second}: {first:?} {beside:?}");
        for driver in ["nouveau", "snd_hda_intel"] {
            assert_eq!(get(root, &format!("sys/bus/pci/drivers/{driver}/bind")), "", "{second}: nothing is returned meanwhile");
        }
        let taken = get(root, "run/vgapt/it.json");
        assert_eq!(taken.matches("\"function\": {").count(), 4, "{second}: each function is recorded once: {taken}");
        assert!(second == "it" || !root.join("run/vgapt/other.json").exists());
        return;
    }
    panic!("the process that writes was never found in time");
}

/// libvirt waits for its hook: it reads no more of the processes than is reasonable, and what it has not read is unknown.
#[test]
fn the_search_for_holders_is_bounded() {
    let place = TempDir::new().unwrap();
    let nodes = format!("sys/bus/pci/devices/{GTX960}/drm/card0");
    fs::create_dir_all(place.path().join(nodes)).unwrap();
    let look = || vgapt::discovery::holders(&vgapt::root::Root::open(place.path()).unwrap(), &[GTX960.parse().unwrap()]);
    for pid in 100..120 {
        fs::create_dir_all(place.path().join(format!("proc/{pid}/fd"))).unwrap();
        set(place.path(), &format!("proc/{pid}/maps"), "");
    }
    assert_eq!(look().unknown, None);
    for pid in 100..120 {
        fs::File::create(place.path().join(format!("proc/{pid}/maps"))).unwrap().set_len(15 << 20).unwrap();
    }
    let unknown = look().unknown.unwrap_or_default();
    assert!(unknown.contains("too many mappings"), "{unknown}");
}
