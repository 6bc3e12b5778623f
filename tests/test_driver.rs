//! vgapt and libvirt's test driver, whose state lives no longer than the program that opened it.

#[path = "support/command.rs"]
mod command;

use std::fs;
use std::path::Path;

use command::{Ran, Z170, run, vgapt};
use serde_json::Value;
use tempfile::TempDir;

/// A host of which only libvirt's node devices are known, with domains: `off`, `on`, and `moved`, whose device is gone.
const NODE: &str = concat!("test://", env!("CARGO_MANIFEST_DIR"), "/fixtures/node/gtx960.xml");

fn on_node(arguments: &[&str]) -> Ran {
    run(&mut vgapt(["-c", NODE].iter().chain(arguments)))
}

fn on_default(arguments: &[&str]) -> Ran {
    run(&mut vgapt(["--root", Z170, "-c", "test:///default"].iter().chain(arguments)))
}

// --- Domains that vgapt did not define, on a host behind libvirt ---

#[test]
fn status() {
    let off = on_node(&["status", "off"]).with(0).saying(&["unknown on this host: drivers"]);
    assert!(off.stdout.starts_with("off: shut off\n"), "{}", off.stdout);
    assert!(off.stdout.contains("01:00.0") && off.stdout.contains("[10de:1401]") && off.stdout.contains("01:00.1"), "{}", off.stdout);
    assert!(
        off.stdout.contains("next: vgapt -c test:///") && off.stdout.ends_with(" start off   (it is defined, and shut off)\n"),
        "{}",
        off.stdout
    );
    let on = on_node(&["status", "on"]).with(0).stdout;
    assert!(on.starts_with("on: running, since when is unknown\n  memory      4 GiB\n") && !on.contains("[10de:"), "{on}");
    // A start that is refused is no next step.
    let moved = on_node(&["status", "moved"]).with(0).saying(&["PCI function 0a:00.0 does not exist"]);
    assert!(!moved.stdout.contains("start moved"), "{}", moved.stdout);

    let json: Value = serde_json::from_str(&on_node(&["--json", "status", "moved"]).with(0).stdout).unwrap();
    assert_eq!((json["state"].as_str(), json["findings"][0]["code"].as_str()), (Some("shut-off"), Some("no-such-device")), "{json:#}");
}

#[test]
fn start() {
    let off = on_node(&["start", "off"]).with(0).saying(&[
        "'off' is started",
        "checked: 01:00.0, 01:00.1 present; unknown: the drivers in their group, which processes have them open",
    ]);
    assert!(!off.stderr.contains("as recorded"), "nobody wrote down what they were: {}", off.stderr);
    on_node(&["start", "on"]).with(0).saying(&["'on' is running already"]);
    // What could not be read was not checked.
    let nothing = tempfile::tempdir().unwrap();
    let unread = run(vgapt(["-c", NODE, "start", "off", "--root"]).arg(nothing.path())).with(0).saying(&["devices were not checked"]);
    assert!(!unread.stderr.contains("checked: "), "{}", unread.stderr);
    // Nothing overrides a device that is not there.
    on_node(&["start", "moved"]).with(1).saying(&["PCI function 0a:00.0 does not exist", "Nothing was changed"]);
    on_node(&["start", "moved", "--force"]).with(1).saying(&["'moved' was not started"]);
}

#[test]
fn stop() {
    on_node(&["stop", "on"]).with(0).saying(&["'on' is off"]);
    on_node(&["stop", "--force", "on"]).with(0).saying(&["'on' is off"]);
    on_node(&["stop", "--timeout", "0", "on"]).with(0).saying(&["'on' was asked to shut down"]);
    on_node(&["stop", "off"]).with(0).saying(&["'off' is off"]);
    assert_eq!(on_node(&["-q", "stop", "on"]).with(0).stderr, "");
    on_node(&["stop", "--force", "--timeout", "3", "on"]).with(2);
}

#[test]
fn undefine() {
    on_node(&["undefine", "off"]).with(0).saying(&["'off' is undefined"]);
    on_node(&["undefine", "on"]).with(1).saying(&["'on' is running", "remedy: stop it first: vgapt stop on"]);
}

#[test]
fn undefine_tells_what_is_lost() {
    let place = tempfile::TempDir::new().unwrap();
    let node = place.path().join("node.xml");
    let domain = |name: &str, more: &str, devices: &str| {
        format!(
            "<domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'><name>{name}</name><memory>1024</memory><os><type>hvm</type></os>
            <devices>{devices}</devices><test:runstate>5</test:runstate>{more}</domain>"
        )
    };
    let disks = "<disk type='file'><source file='/vm/a.qcow2'/><target dev='sda'/></disk><disk type='volume'><source pool='p' volume='v'/><target dev='sdb'/></disk>";
    let snapshot = "<test:domainsnapshot><name>clean</name><state>shutoff</state><creationTime>1</creationTime><active>0</active></test:domainsnapshot>";
    let domains = [
        domain("plain", "", disks),
        domain("saved", "<test:hasmanagedsave>1</test:hasmanagedsave>", ""),
        domain("shot", snapshot, ""),
        domain("tpm", "", "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"),
        domain("kept", "", "<tpm model='tpm-crb'><backend type='emulator' version='2.0' persistent_state='yes'/></tpm>"),
    ];
    fs::write(&node, format!("<node>{}</node>", domains.concat())).unwrap();
    let uri = format!("test://{}", node.display());
    let undefine = |arguments: &[&str]| run(&mut vgapt([&["-c", &uri, "undefine"], arguments].concat()));
    undefine(&["plain"]).with(0).saying(&["'plain' is undefined; its disks are not deleted: /vm/a.qcow2, v of the storage pool p"]);
    undefine(&["kept"]).with(0);
    for (name, what) in [
        ("saved", "has a managed save, which would be lost"),
        ("shot", "has snapshots, whose metadata would be lost: clean"),
        ("tpm", "BitLocker"),
    ] {
        undefine(&["-q", name]).with(1).saying(&[what, "was not undefined", "--force"]);
        undefine(&[name, "--force"]).with(0).saying(&[what, "is undefined"]);
    }
}

#[test]
fn no_such_domain() {
    for command in ["status", "start", "stop", "undefine", "why"] {
        let ran = on_node(&[command, "nosuch"]).with(3).saying(&["no domain 'nosuch'", "remedy: "]);
        assert!(ran.stderr.contains("the domains here are "), "{command}: {}", ran.stderr);
        assert!(ran.stdout.is_empty(), "{command}: {}", ran.stdout);
    }
    let ran = on_default(&["why", "nosuch"]).with(3).saying(&["no domain 'nosuch'"]);
    assert!(!ran.stderr.contains("log"), "{}", ran.stderr);
}

#[test]
fn no_remedy_is_the_command_that_just_ran() {
    for (arguments, command) in [(["why", "test"], "why"), (["undo", "--dry-run"], "undo")] {
        for ran in [on_default(&arguments), run(&mut vgapt(["-c", "test:///default"].iter().chain(&arguments)))] {
            assert!(!ran.stderr.contains(&format!(" {command} ")), "{}", ran.stderr);
        }
    }
}

#[test]
fn a_host_of_node_devices_says_what_it_cannot_know() {
    let list = on_node(&["list", "--verbose"]).with(0).stdout;
    for words in ["unknown: subsystem ids", "unknown: drivers", "GM206 [GeForce GTX 960] [10de:1401]", "Navi 31"] {
        assert!(list.contains(words), "no {words} in {list}");
    }
    let json: Value = serde_json::from_str(&on_node(&["list", "--json"]).with(0).stdout).unwrap();
    assert_eq!(json["unknown"].as_array().unwrap().len(), 2, "{:#}", json["unknown"]);
    let cards: Vec<&str> = json["gpus"].as_array().unwrap().iter().map(|card| card["address"].as_str().unwrap()).collect();
    assert_eq!(cards, ["0000:01:00.0", "0000:02:00.0"]);
    assert_eq!(json["gpus"][0]["functions"].as_array().unwrap().len(), 2);
    // The made-up host of the default has no PCI devices, which is no error.
    let none = run(&mut vgapt(["-c", "test:///default", "list"])).with(0).stdout;
    assert!(none.contains("No graphics card was found"), "{none}");
}

#[test]
fn define_for_a_host_of_node_devices() {
    let defined =
        on_node(&["define", "new", "--gpu", "01:00.0", "--print-xml"]).with(0).saying(&["unknown on this host", "'new' is defined"]);
    for words in ["ua-vgapt-gpu-0000-01-00-0", "ua-vgapt-gpu-0000-01-00-1", "multifunction='on'", "<vgapt:domain"] {
        assert!(defined.stdout.contains(words), "no {words} in {}", defined.stdout);
    }
    // Somebody else's domain: it is changed, and what it has stays, its password too.
    let changed = on_node(&["define", "off", "--cpus", "2", "--dry-run"]).with(0);
    assert!(changed.stdout.contains("passwd='geheim'") && changed.stdout.contains(">2</vcpu>"), "{}", changed.stdout);
    let shown = on_node(&["define", "off", "--cpus", "2", "--print-xml"]).with(0);
    assert!(!shown.stdout.contains("geheim") && shown.stdout.contains(">2</vcpu>"), "{}", shown.stdout);
    assert_eq!(shown.stdout.matches("<hostdev ").count(), 2);
    shown.saying(&[
        "'off' was not defined by vgapt",
        "remedy: to remove the devices and vgapt's record of the domain again: vgapt detach off",
    ]);
    on_node(&["define", "off", "--replace", "--dry-run"]).with(0).saying(&["--replace discards everything in it except its UUID"]);
}

#[test]
fn a_title_is_written_as_libvirt_reads_it() {
    let title = "Games & <work>, the \"second\"";
    let defined = on_default(&["define", "new", "--force", "--title", title]).with(0);
    defined.saying(&["'new' is defined"]);
    on_default(&["define", "new", "--force", "--title", "a\nb"]).with(1).saying(&["cannot be the title", "remedy: use another one"]);
    on_default(&["define", "new", "--title", title, "--no-title"]).with(2);
    // The driver forgets its domains when its program ends: the next one gets this domain from a file.
    let xml = on_default(&["define", "new", "--force", "--title", title, "--dry-run"]).with(0).stdout;
    let place = TempDir::new().unwrap();
    let node = place.path().join("node.xml");
    fs::write(&node, format!("<node>{}</node>", xml.replace("type='kvm'", "type='test'"))).unwrap();
    let uri = format!("test://{}", node.display());
    let on = |arguments: &[&str]| run(&mut vgapt(["--root", Z170, "-c", &uri].iter().chain(arguments)));
    on(&["define", "new", "--force"]).with(0).saying(&["'new' is already up to date"]);
    let explained = on(&["explain", "new"]).with(0).stdout;
    assert!(explained.contains(&format!("title {title}: the requested title")), "{explained}");
    assert!(on(&["show", "new"]).with(0).stdout.contains("title"));
    let without = on(&["define", "new", "--force", "--no-title", "--dry-run"]).with(0).stdout;
    assert!(!without.contains("title"), "{without}");
}

/// The test driver's domains run unless it is said that they do not.
const OFF: &str = "<test:runstate xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>5</test:runstate>";

/// A domain on the host of the node devices, with this in it.
fn with_domain(inner: &str) -> (TempDir, String) {
    let folder = TempDir::new().unwrap();
    let node = fs::read_to_string(NODE.strip_prefix("test://").unwrap()).unwrap();
    let own =
        format!("<domain type='test'><name>it</name>{inner}<os><type arch='x86_64' machine='q35'>hvm</type></os>{OFF}</domain></node>");
    let file = folder.path().join("node.xml");
    fs::write(&file, node.replace("</node>", &own)).unwrap();
    let uri = format!("test://{}", file.display());
    (folder, uri)
}

/// vgapt is blind for what a newer one did: every command says so, and does nothing.
#[test]
fn a_record_that_cannot_be_read_stops_every_command() {
    for (record, words) in
        [("{\"version\":9}", "has the format 9"), ("{", "is damaged"), ("{\"settings\":{\"new\":{}}}", "unknown variant `new`")]
    {
        let metadata = format!("<metadata><v:domain xmlns:v='urn:vgapt:domain:1'>{record}</v:domain></metadata><memory>1048576</memory>");
        let (folder, uri) = with_domain(&metadata);
        let overlay = folder.path().join("node.xml").display().to_string();
        let commands: [&[&str]; 12] = [
            &["define", "it", "--memory", "2G"],
            &["define", "it", "--replace", "--force"],
            &["attach", "it", "--gpu", "01:00.0", "--force"],
            &["detach", "it"],
            &["show", "it"],
            &["explain", "it"],
            &["start", "it", "--force"],
            &["status", "it"],
            &["export", "it", "--to", "kubevirt"],
            &["export", "it", "--to", "qemu"],
            &["topology", "it"],
            &["disk", "swap", "it", &overlay],
        ];
        for command in commands {
            let ran = run(&mut vgapt(["-c", &uri].iter().chain(command))).with(3);
            let ran = ran.saying(&["vgapt does not change 'it'", words, "remedy: use the newest vgapt", "virsh metadata --domain it"]);
            assert!(ran.stdout.is_empty(), "{}", ran.stdout);
        }
        let undefine = run(&mut vgapt(["-c", &uri, "undefine", "it"])).saying(&["vgapt does not change 'it'", words]);
        assert_ne!(undefine.code(), Some(0));
        // In a template it is no less unknown.
        let (_place, file) = template(&format!("<domain type='test'><name>x</name>{metadata}<os><type>hvm</type></os></domain>"));
        on_default(&["define", "x", "--template", &file, "--force"]).with(1).saying(&["vgapt does not change 'x'", words]);
        let kept = on_default(&["define", "x", "--template", &file, "--dry-run"]).with(1).stdout;
        assert!(kept.contains(record), "the record is left as it is: {kept}");
    }
}

/// Domains as vgapt 0.1.0 left them, with records of format 1: every command goes on as the program that wrote them did.
#[test]
fn records_of_format_1_serve_every_command() {
    let place = TempDir::new().unwrap();
    let domain = |file: &str, changes: &[(&str, &str)]| {
        let mut xml = fs::read_to_string(format!("fixtures/records/{file}-format-1.xml")).unwrap();
        for (from, to) in changes {
            assert!(xml.contains(from), "{from}");
            xml = xml.replace(from, to);
        }
        let node = place.path().join("node.xml");
        fs::write(&node, format!("<node>{xml}</node>")).unwrap();
        format!("test://{}", node.display())
    };
    let on = |uri: &str, arguments: &[&str]| run(&mut vgapt(["--root", Z170, "-c", uri].iter().chain(arguments)));

    let attached = domain("attached", &[]);
    on(&attached, &["attach", "test", "--gpu", "01:00.0"]).with(0).saying(&["'test' is already up to date"]);
    let explained = on(&attached, &["explain", "test"]).with(0).stdout;
    assert!(
        explained.contains("features/ioapic driver='kvm': KVM's") && explained.contains("devices/memballoon model='none': "),
        "{explained}"
    );
    let without = on(&attached, &["detach", "test", "--print-xml"]).with(0).stdout;
    let balloon = "<memballoon model='virtio'>\n      <address type='pci' domain='0x0000' bus='0x00' slot='0x02' function='0x0'/>";
    assert!(without.contains(balloon) && !without.contains("ioapic") && !without.contains("vgapt"), "{without}");

    let defined = domain("defined", &[]);
    on(&defined, &["define", "new", "--force"]).with(0).saying(&["'new' is already up to date"]);
    insta::assert_snapshot!(on(&defined, &["explain", "new"]).with(0).stdout);
    let unpinned = on(&defined, &["define", "new", "--no-pin", "--no-hugepages", "--print-xml", "--force"]).with(0).stdout;
    assert!(unpinned.contains("{\"version\":2,") && unpinned.contains("\"written\":{\"memory\":"), "{unpinned}");
    for gone in ["<vcpupin", "<emulatorpin", "<hugepages", "\"pinning\"", "guest-cpus"] {
        assert!(!unpinned.contains(gone), "{gone} is in {unpinned}");
    }

    let edits = [
        ("<memory unit='KiB'>4194304", "<memory unit='KiB'>5242880"),
        ("<vcpu placement='static'>4", "<vcpu placement='static'>6"),
        ("vcpupin vcpu='0' cpuset='1'", "vcpupin vcpu='0' cpuset='3'"),
        ("<ioapic driver='kvm'/>", ""),
        ("file='/vm/a.qcow2'", "file='/vm/other.qcow2'"),
    ];
    on(&domain("defined", &edits), &["define", "new", "--force"]).with(0).saying(&[
        "note: memory was changed by hand to 5 GiB and stays as it is (vgapt wrote 4 GiB); use --memory with a new value to change it",
        "note: cpus was changed by hand to 6 and stays as it is (vgapt wrote 4); use --cpus with a new value to change it",
        "note: the vCPU pinning was changed by hand and stays as it is; use --pin to replace it with vgapt's",
        "note: these settings were changed by hand, so vgapt leaves them as they are: processor features",
        "note: the disk /vm/a.qcow2 was requested, but the domain has /vm/other.qcow2; this stays unchanged",
        "'new' is already up to date",
    ]);
}

/// A tab in an attribute is a blank to libvirt's parser, so that the disk is another file.
#[test]
fn what_libvirt_makes_something_else_of_is_told() {
    let define = ["define", "new", "--disk", "/vm/a\tb.qcow2", "--force"];
    let told = on_default(&define).with(1).saying(&[
        "'new' is defined, but not as requested: source of the device ua-vgapt-disk-0 is file='/vm/a b.qcow2'",
        "'/vm/a\tb.qcow2' was requested",
    ]);
    assert!(!told.stderr.contains("start it with"), "{}", told.stderr);
    let json: Value = serde_json::from_str(&on_default(&[&["--json"], &define[..]].concat()).with(1).stdout).unwrap();
    assert_eq!((&json["outcome"], &json["findings"][0]["code"]), (&"incomplete".into(), &"not-as-asked".into()), "{json:#}");
}

/// The set of CPUs of all virtual ones counts as their pins do.
#[test]
fn processors_that_are_pinned_all_at_once() {
    let (_folder, uri) = with_domain("<memory>1048576</memory><vcpu cpuset='1-3,^3'>2</vcpu>");
    let ran = run(&mut vgapt(["--root", Z170, "-c", &uri, "topology", "it", "--json"])).with(0);
    let json: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        (&json["vcpus"]["1"], &json["vcpus"]["2"], &json["emulator"]),
        (&serde_json::json!([0, 1]), &serde_json::json!([0, 1]), &"1-2".into())
    );
    let define = ["--root", Z170, "-c", &uri, "define", "new", "--gpu", "01:00.0", "--cpus", "4", "--dry-run"];
    run(&mut vgapt(define)).saying(&["other domains are pinned to the same host CPUs: 'it' uses 1-2"]);
    let stays = ["--root", Z170, "-c", &uri, "define", "it", "--cpus", "4", "--dry-run"];
    run(&mut vgapt(stays)).with(0).saying(&["the vCPU pinning was set by hand and stays as it is; use --pin to replace it with vgapt's"]);
}

/// libvirt would say so at the start only.
#[test]
fn devices_that_are_not_there() {
    let tree = TempDir::new().unwrap();
    vgapt::root::Capture::load(std::path::Path::new(Z170)).unwrap().unpack(tree.path()).unwrap();
    let (uuid, keyboard) = ("c2177883-f1bb-47f0-914d-32a22e3a8804", "/dev/input/by-id/a-event-kbd");
    let root = tree.path().display().to_string();
    let define = || run(&mut vgapt(["--root", &root, "define", "new", "--mdev", uuid, "--evdev", keyboard, "--dry-run"]));
    let words =
        ["blocked: mediated device c2177883", "mdevctl start -u c2177883", "input device /dev/input/by-id/a-event-kbd does not exist"];
    define().with(1).saying(&words);
    fs::create_dir_all(tree.path().join(format!("sys/bus/mdev/devices/{uuid}"))).unwrap();
    fs::create_dir_all(tree.path().join("dev/input/by-id")).unwrap();
    fs::write(tree.path().join(&keyboard[1..]), "").unwrap();
    let stderr = define().with(0).stderr;
    assert!(!stderr.contains("does not exist"), "{stderr}");
}

// --- Templates ---

/// A template that libvirt's schema refuses, for more than one reason.
const ODD: &str = "<?xml version=\"1.0\"?>\r
<!-- mine -->\r
<domain type=\"kvm\">\r
  <name>odd</name>\r
  <memory unit='GiB'>2</memory><vcpu>2</vcpu>\r
  <os><type arch='x86_64' machine='q35'>hvm</type><loader readonly='yes' type='pflash'>/c</loader></os>\r
  <devices>\r
    <frobnicator  level='11' />\r
    <disk type='file' device='disk' colour='red'><source file='/a'/><target dev='vda' bus='virtio'/></disk>\r
  </devices>\r
</domain>\r
";

fn template(text: &str) -> (TempDir, String) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("template.xml").display().to_string();
    fs::write(&file, text).unwrap();
    (folder, file)
}

#[test]
fn a_template_that_the_schema_refuses() {
    let (_folder, file) = template(ODD);
    let refused = on_default(&["define", "new", "--template", &file]).with(1);
    let refused =
        refused.saying(&["remove devices/frobnicator, devices/disk @colour from the template; --force defines the domain without it"]);
    assert!(!refused.stderr.contains("'new' is defined") && refused.stdout.is_empty(), "{}", refused.stderr);

    let forced = on_default(&["define", "new", "--template", &file, "--force", "--print-xml"]).with(0).saying(&["'new' is defined"]);
    assert!(!forced.stdout.contains("frobnicator") && forced.stdout.contains("<source file='/a'/>"), "{}", forced.stdout);

    let json: Value = serde_json::from_str(&on_default(&["--json", "define", "new", "--template", &file]).with(1).stdout).unwrap();
    assert_eq!(json["outcome"], "refused");
}

#[test]
fn dry_run_keeps_every_byte_of_a_template() {
    let (_folder, file) = template(ODD);
    let dry = on_default(&["define", "odd", "--template", &file, "--dry-run"]).with(0).stdout;
    // Only the record has come; everything else is as it was.
    let (before, rest) = dry.split_once("  <metadata>").unwrap();
    let (record, after) = rest.split_once("</metadata>\r\n").unwrap();
    assert_eq!(format!("{before}{after}"), ODD);
    assert!(record.contains("urn:vgapt:domain:1"), "{record}");
    let with_card = on_default(&["define", "odd", "--template", &file, "--dry-run", "--gpu", "01:00.0"]).with(0).stdout;
    for line in ODD.lines() {
        assert!(with_card.contains(line), "{line:?} is gone from {with_card}");
    }
}

#[test]
fn a_template_that_is_none() {
    for (text, words) in [
        ("<domain>\n <name>x</name>\n <devices>\n</domain>\n", "line 4"),
        ("<domain>\n <name>x\n", "line "),
        ("", "template.xml: "),
        ("<network><name>x</name></network>", "holds a <network>, not a <domain>"),
    ] {
        let (_folder, file) = template(text);
        for extra in [&[][..], &["--dry-run"], &["--force"]] {
            let ran = on_default(&[&["define", "new", "--template", &file], extra].concat()).with(3).saying(&[&file, words, "remedy: "]);
            assert!(ran.stdout.is_empty(), "{}", ran.stdout);
        }
    }
    for option in ["--template", "--file"] {
        on_default(&["define", "new", option, "/dev/zero"]).with(3).saying(&["/dev/zero", "it is longer than 32 MiB"]);
    }
    on_default(&["define", "new", "--template", "/nonexistent.xml"]).with(3).saying(&["/nonexistent.xml", "No such file or directory"]);
}

#[test]
fn a_template_for_a_domain_that_exists() {
    let (_folder, file) = template(include_str!("../templates/linux.xml"));
    on_default(&["define", "test", "--template", &file]).with(1).saying(&["the domain 'test' already exists", "--replace"]);
    on_default(&["define", "test", "--template", &file, "--force"]).with(1).saying(&["the domain 'test' already exists"]);
    let uuid = "6695eb01-f6a4-8304-79aa-97f2502e193f";
    let replaced = on_default(&["define", "test", "--template", &file, "--replace", "--print-xml"]).with(0).stdout;
    assert!(replaced.contains(uuid) && replaced.contains("type='kvm'") && !replaced.contains("/guest/diskimage1"), "{replaced}");
    let changed = on_default(&["define", "test", "--memory", "1G", "--print-xml"]).with(0).stdout;
    assert!(changed.contains(uuid) && changed.contains("type='test'") && changed.contains("/guest/diskimage1"), "{changed}");
}

// --- Exit codes ---

#[test]
fn exit_codes() {
    let none = on_default(&["attach", "test"]).with(2);
    assert!(
        none.stderr.contains("--gpu <ADDRESS|auto>|--pci <ADDRESS[,mac=MAC][,vlan=ID]>...|--usb "),
        "one of the three: {}",
        none.stderr
    );
    on_default(&["define", "new"]).with(0);
    let fatal = on_default(&["define", "new", "--gpu", "0f:00.0"])
        .with(1)
        .saying(&["PCI function 0f:00.0 does not exist", "the graphics cards of this host are 00:02.0, 01:00.0"]);
    assert!(!fatal.stderr.contains("--force"), "it would not help: {}", fatal.stderr);
    on_default(&["define", "--print-xml", "--", "-x"]).with(0).saying(&["vgapt start -- -x"]);
    on_default(&["define", &"x".repeat(250)]).with(0);
    assert!(on_default(&["define", " it ", "--print-xml"]).with(0).stdout.contains("<name> it </name>"));
    on_default(&["define", "new", "--gpu", "00:1f.3"]).with(1).saying(&["00:1f.3 is not a graphics card", "--pci 00:1f.3"]);
    on_default(&["define"]).with(2).saying(&["<NAME>"]);
    on_default(&["define", "new", "--gpu", "nonsense"]).with(2).saying(&["'nonsense' is not a valid PCI address"]);
    on_default(&["define", "new", "--usb", "1:2", "--no-usb"]).with(2);
    for odd in ["a/b", "a\x1b[31mb", "a\u{7f}"] {
        let refused = on_default(&["define", odd, "--dry-run"]).with(2).saying(&["must not contain / or control characters"]);
        assert!(!(refused.stdout + &refused.stderr).contains(['\x1b', '\u{7f}']));
    }
    run(vgapt(["--root", Z170, "-c", "test:///default", "define", "x"]).env("VGAPT_MEMORY", "lots"))
        .with(2)
        .saying(&["VGAPT_MEMORY=lots: "]);
    // What is no text is not taken for what is not set.
    let odd = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"/vm/\xff");
    run(vgapt(["--root", Z170, "-c", "test:///default", "define", "x"]).env("VGAPT_DISK_IMAGE", odd))
        .with(2)
        .saying(&["VGAPT_DISK_IMAGE: its value is not valid UTF-8"]);
    run(vgapt(["status", "test"]).env("LIBVIRT_DEFAULT_URI", odd)).saying(&["LIBVIRT_DEFAULT_URI is not valid UTF-8"]);
}

#[test]
fn connections_that_fail() {
    for command in [&["define", "x"][..], &["start", "x"], &["stop", "x"], &["status", "x"], &["undefine", "x"]] {
        let uri = "qemu+unix:///system?socket=/nonexistent/sock";
        let ran = run(&mut vgapt(["--root", Z170, "-c", uri].iter().chain(command))).with(3);
        let ran = ran.saying(&[&format!("cannot connect to {uri}"), "No such file or directory", "remedy: start libvirt"]);
        assert!(ran.stdout.is_empty() && !ran.stderr.contains("libvirt:  error"), "{}", ran.stderr);
    }
    // A socket that nobody answers on.
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("libvirt-sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let uri = format!("qemu+unix:///system?socket={}", socket.display());
    run(&mut vgapt(["-c", &uri, "status", "x"])).with(3).saying(&["Connection refused", "remedy: start libvirt"]);
    run(&mut vgapt(["-c", "test:///nonexistent.xml", "list"])).with(3).saying(&["cannot connect to test:///nonexistent.xml"]);
}

/// One that is closed to the user is only closed to others than root.
#[test]
fn a_denied_socket_names_the_group() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("libvirt-sock");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let uri = format!("qemu+unix:///system?socket={}", socket.display());
    let mut status = vgapt(["-c", &uri, "status", "x"]);
    if fs::read(folder.path().join("libvirt-sock")).is_err_and(|error| error.kind() != std::io::ErrorKind::PermissionDenied) {
        status = as_nobody(&["-c", &uri, "status", "x"]);
    }
    run(&mut status).with(3).saying(&["Permission denied", "remedy: add yourself to the group libvirt"]);
}

/// Root drops what lets it pass any permission.
fn as_nobody(arguments: &[&str]) -> std::process::Command {
    let mut setpriv = command::command("setpriv");
    setpriv.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"]);
    setpriv.arg(env!("CARGO_BIN_EXE_vgapt")).args(arguments);
    setpriv
}

#[test]
fn a_file_instead_of_options() {
    let place = TempDir::new().unwrap();
    let file = |name: &str, text: &str| {
        let path = place.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good = file("good.toml", "# mine\ngpu = \"01:00.0\"\nmemory = \"2G\"\ncpus = 2\ndisk = \"disk.qcow2\"\nos = \"win10\"\n");
    let saved = place.path().join("saved.toml").to_str().unwrap().to_owned();
    let define = |options: &[&str]| on_default(&[&["define", "w", "--force"], options].concat());
    let xml = define(&["-f", &good, "--cpus", "6", "--dry-run"]).with(0).stdout;
    let disk = format!("<source file='{}'/>", place.path().join("disk.qcow2").display());
    for words in ["<memory unit='KiB'>2097152</memory>", ">6</vcpu>", &disk, "<vcpupin vcpu='5' cpuset='7'/>", "<tlbflush state='on'"] {
        assert!(xml.contains(words), "no {words} in {xml}");
    }
    // A dry run writes nothing, and neither does a request that is refused.
    define(&["-f", &good, "--save", &saved, "--dry-run"]).with(0).saying(&["not saved in", "this is a dry run"]);
    define(&["-f", &good, "--gpu", "1f:00.0", "--save", &saved]).with(1).saying(&["not saved in", "the domain is not defined"]);
    assert!(!Path::new(&saved).exists());
    define(&["-f", &good, "--cpus", "6", "--save", &saved]).with(0).saying(&["the request is saved in"]);
    // What was saved makes the same domain.
    assert_eq!(define(&["-f", &saved, "--dry-run"]).with(0).stdout, xml);
    let bad = file("bad.toml", "memory = \"2G\"\ncpu = 4\n");
    define(&["-f", &good, "--save", &saved]).with(0);
    define(&["--save", &bad, "--dry-run"]).with(2).saying(&["bad.toml exists and was not written by vgapt"]);
    on_default(&["define", "w", "-f", &bad]).with(2).saying(&["bad.toml, line 2: unknown key 'cpu'; did you mean 'cpus'?"]);
}

#[test]
fn a_picture_of_who_has_which_core() {
    let place = TempDir::new().unwrap();
    let svg = place.path().join("x.svg");
    on_default(&["topology", "--gpu", "01:00.0", "--cpus", "4", "--svg", svg.to_str().unwrap()]).with(0).saying(&["the picture is in"]);
    let svg = fs::read_to_string(svg).unwrap();
    assert!(
        svg.starts_with("<svg ") && svg.contains("5: vCPU 1") && svg.contains("GTX 960") && vgapt::xml::Document::parse(&svg).is_ok(),
        "{svg}"
    );
    let json: Value = serde_json::from_str(&on_default(&["topology", "--cpus", "4", "--json"]).with(0).stdout).unwrap();
    assert_eq!(
        (&json["vcpus"]["5"][0], &json["guest"], &json["cores"][0]["cpus"][1]),
        (&1.into(), &"1-2,5-6".into(), &4.into()),
        "{json:#}"
    );
    on_default(&["topology", "--cpus", "8"]).with(1).saying(&["room for only 6 virtual CPUs", "use at most --cpus 6"]);
}

#[test]
fn huge_pages_that_the_hook_reserves_are_not_missed() {
    let place = TempDir::new().unwrap();
    let file = place.path().join("machine.host");
    let recorded = fs::read_to_string(Z170).unwrap();
    let define = |machine: &str, more: &[&str]| {
        fs::write(&file, machine).unwrap();
        let root = file.display().to_string();
        let arguments =
            ["--root", &root, "-c", "test:///default", "define", "it", "--gpu", "01:00.0", "--hugepages", "--dry-run", "--force"];
        run(&mut vgapt(arguments.iter().chain(more)))
    };
    define(&recorded, &[]).with(0).saying(&["4096 huge pages of 2 MiB are needed, but only 0 are free"]);
    let hooked = format!("{recorded}[/etc/libvirt/hooks/qemu.d]\nvgapt = #!/bin/sh\n");
    let ran = define(&hooked, &[]).with(0);
    assert!(!ran.stderr.contains("huge pages of"), "{}", ran.stderr);
    define(&hooked, &["--hugepage-size", "1G"]).with(0).saying(&["8 huge pages of 1 GiB are needed, but only 0 are free"]);
}

// --- Domains beside each other ---

/// libvirt's test driver with domains that run, or not, and have these devices.
fn with_domains(domains: &[(&str, &str, &str)]) -> tempfile::NamedTempFile {
    let place = tempfile::NamedTempFile::new().unwrap();
    let node = fs::read_to_string("fixtures/node/gtx960.xml").unwrap();
    let without = node.split("<domain type=").next().unwrap().replace("</node>", "");
    let domain = |(name, runs, devices): &(&str, &str, &str)| {
        let state = if *runs == "runs" { "" } else { "<test:runstate>5</test:runstate>" };
        format!(
            "<domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>{state}<name>{name}</name><memory>1048576</memory><vcpu>1</vcpu><os><type arch='x86_64'>hvm</type></os><devices>{devices}</devices></domain>"
        )
    };
    let all: String = domains.iter().map(domain).collect();
    fs::write(place.path(), format!("{without}{all}</node>")).unwrap();
    place
}

#[test]
fn what_another_domain_has_too() {
    let card =
        "<hostdev mode='subsystem' type='pci' managed='yes'><source><address domain='0' bus='1' slot='0' function='0'/></source></hostdev>";
    let disk = "<disk type='file' device='disk'><source file='/vm/one.qcow2'/><target dev='vda'/></disk>";
    let usb = "<hostdev mode='subsystem' type='usb'><source><vendor id='0x046d'/><product id='0xc52b'/></source></hostdev>";
    let folder = "<filesystem type='mount'><source dir='/srv/files/'/><target dir='files'/></filesystem>";
    let both = format!("{card}{disk}{usb}{folder}");
    let place = with_domains(&[("idle", "off", &both), ("busy", "runs", disk), ("mine", "off", &format!("{card}{disk}"))]);
    let uri = format!("test://{}", place.path().display());
    let on = |arguments: &[&str]| run(&mut vgapt(["-c", uri.as_str()].iter().chain(arguments)));
    // define tells of all that is new, whoever runs.
    let told =
        on(&["define", "new", "--gpu", "01:00.0", "--usb", "046d:c52b", "--disk", "/vm/one.qcow2", "--share", "/srv/files", "--dry-run"]);
    let told = told.saying(&[
        "the domain 'idle' uses the same host devices: 01:00.0, USB 046d:c52b",
        "the domain 'idle' writes to the same disk: /vm/one.qcow2",
        "the domain 'idle' shares the same folder: /srv/files",
        "the domain 'busy', which runs, writes to the same disk: /vm/one.qcow2",
        "the domain 'mine' uses the same host devices: 01:00.0",
    ]);
    assert!(told.stdout.contains("<domain"), "{}", told.stdout);
    let other = on(&["define", "new", "--disk", "/vm/two.qcow2", "--dry-run"]);
    assert!(!other.stderr.contains("the domain '"), "{}", other.stderr);
    // attach only of what it adds.
    let attached = on(&["attach", "busy", "--gpu", "01:00.0", "--dry-run"]).saying(&["the domain 'idle' uses the same host devices"]);
    assert!(!attached.stderr.contains("same disk"), "{}", attached.stderr);
    // At a start it counts whether the other one runs.
    let blocked = on(&["start", "mine"]).with(1).saying(&[
        "blocked: the domain 'busy', which runs, writes to the same disk: /vm/one.qcow2",
        "warning: the domain 'idle' uses the same host devices: 01:00.0",
        "'mine' was not started",
    ]);
    assert!(!blocked.stderr.contains("folder"), "{}", blocked.stderr);
    on(&["start", "mine", "--force"]).with(0).saying(&["'mine' is started"]);
}

// --- What is asked for and is not there ---

#[test]
fn names_of_systems_and_networks() {
    // Whatever people call it; it does not boot with a BIOS, and boots with any UEFI once it is installed.
    for name in ["win11", "windows11", "windows-11", "w11"] {
        let said = on_node(&["define", "x", "--os", name, "--gpu", "01:00.0"]).with(1);
        said.saying(&["blocked: the setup of this guest system requires UEFI with Secure Boot", "the system does not boot with a BIOS"]);
        let said = on_default(&["define", "x", "--os", name, "--gpu", "01:00.0", "--dry-run"]).with(0);
        assert!(said.stdout.contains("OVMF_CODE_4M.fd"), "{}", said.stdout);
        said.saying(&[
            "warning: the setup of this guest system requires UEFI with Secure Boot",
            "only a system that is already installed boots with it",
        ]);
    }
    on_default(&["define", "x", "--os", "windws"]).with(2).saying(&["windows"]);
    on_default(&["define", "x", "--gpu", "01:00.0", "--network", "nat=office"])
        .with(1)
        .saying(&["blocked: libvirt network office does not exist", "libvirt's networks are default"]);
    on_default(&["define", "x", "--gpu", "01:00.0", "--network", "nat"]).with(0);
    let tree = TempDir::new().unwrap();
    vgapt::root::Capture::load(std::path::Path::new(Z170)).unwrap().unpack(tree.path()).unwrap();
    fs::create_dir_all(tree.path().join("sys/class/net/eno9")).unwrap();
    let place = tree.path().display().to_string();
    let define = |network: &str| {
        run(&mut vgapt(["--root", &place, "-c", "test:///default", "define", "x", "--gpu", "01:00.0", "--network", network, "--dry-run"]))
    };
    define("bridge=br7").with(1).saying(&["blocked: network interface br7 does not exist"]);
    define("bridge=eno9").with(1).saying(&["blocked: the network interface eno9 is not a bridge", "--network macvtap=eno9"]);
    define("macvtap=eno8").with(1).saying(&["blocked: network interface eno8 does not exist"]);
    assert!(!define("macvtap=eno9").stderr.contains("interface eno9"), "unknown whether it is active");
    let flags = tree.path().join("sys/class/net/eno9/flags");
    fs::write(&flags, "0x1002\n").unwrap();
    define("macvtap=eno9").with(0).saying(&["warning: the network interface eno9 is not active", "remedy: ip link set eno9 up"]);
    fs::write(&flags, "0x1003\n").unwrap();
    assert!(!define("macvtap=eno9").stderr.contains("interface eno9"));
    let template = "<domain type='test'><name>x</name><memory>1</memory><os><type>hvm</type></os><devices>\
                    <interface type='network'><source network='office'/></interface></devices></domain>";
    let (_folder, file) = self::template(template);
    on_default(&["define", "x", "--template", &file, "--dry-run"]).with(1).saying(&["blocked: libvirt network office does not exist"]);
    fs::create_dir_all(tree.path().join("sys/class/net/eno9/bridge")).unwrap();
    assert!(!define("bridge=eno9").stderr.contains("interface eno9"));
}

#[test]
fn virtualization_that_is_switched_off() {
    let host = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/hosts/b450m-gtx1660-svm-off.host");
    run(&mut vgapt(["--root", host, "-c", "test:///default", "define", "x", "--gpu", "10:00.0", "--dry-run"]))
        .with(1)
        .saying(&["blocked: the processor reports no SVM (AMD-V)", "enable SVM (AMD-V) in the firmware settings"]);
}

/// What is told to do lies where the fault does: with ssh, with the URI, with libvirt.
#[test]
fn the_remedy_of_a_connection_is_where_its_fault_is() {
    for (uri, remedy) in [
        ("foo", "qemu:///system for this host"),
        // Nothing listens on that port of this machine.
        ("qemu+ssh://127.0.0.1:1/system", "ssh HOST"),
        ("qemu+unix:///system?socket=/nonexistent", "systemctl start libvirtd"),
    ] {
        run(&mut vgapt(["--connect", uri, "status", "win10"])).with(3).saying(&["remedy: ", remedy]);
    }
    // libvirt would say that no daemon listens: the URI is wrong, and no daemon knows its driver.
    for uri in ["nosuch:///system", "qmeu+ssh://box/system"] {
        let ran = run(&mut vgapt(["--connect", uri, "status", "win10"])).with(2);
        ran.saying(&["libvirt has no driver '", "remedy: use qemu:///system for this host"]);
    }
}
