//! What the commands print with `--json`: exactly one document, as its schema in docs/json says, which is made from the
//! types; and the same mistake ends in the same way in every command. `INSTA_UPDATE=always` rewrites docs/json.

#[path = "support/command.rs"]
mod command;
#[path = "support/libvirt.rs"]
#[expect(dead_code, reason = "only what tells of missing programs is used here")]
mod libvirt;
#[path = "support/tree.rs"]
#[allow(dead_code)] // Only the trees are used here.
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use clap::CommandFactory as _;
use command::{Ran, Z170, run, vgapt};
use jsonschema::Validator;
use serde_json::Value;
use tempfile::TempDir;

const DOCS: &str = "docs/json";

/// The outcomes and their exit codes, as docs/json/README.md promises them.
const CODES: [(&str, i32); 11] = [
    ("done", 0),
    ("unchanged", 0),
    ("planned", 0),
    ("incomplete", 1),
    ("not-ready", 1),
    ("refused", 1),
    ("unconfirmed", 1),
    ("usage", 2),
    ("failed", 3),
    ("timed-out", 4),
    ("interrupted", 130),
];

/// Where the schema of a command is.
fn place(command: &str) -> PathBuf {
    let name = if command.is_empty() { "vgapt" } else { command };
    Path::new(DOCS).join(format!("{}.json", name.replace(' ', "-")))
}

#[test]
fn the_schemas_are_those_of_the_types() {
    let update = std::env::var("INSTA_UPDATE").is_ok_and(|how| how == "always");
    let mut expected = BTreeSet::new();
    for (command, schema) in vgapt::commands::schemas() {
        let (file, text) = (place(command), serde_json::to_string_pretty(&schema).unwrap() + "\n");
        if update {
            fs::write(&file, &text).unwrap();
        }
        let shipped = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert!(shipped == text, "{} is not the schema of the types; INSTA_UPDATE=always rewrites it", file.display());
        expected.insert(file);
    }
    let there = fs::read_dir(DOCS).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "json"));
    assert_eq!(there.collect::<BTreeSet<_>>(), expected);
}

#[test]
fn each_command_has_a_schema() {
    fn names(command: &clap::Command, above: &str, all: &mut BTreeSet<String>) {
        for sub in command.get_subcommands() {
            let name = format!("{above} {}", sub.get_name()).trim().to_owned();
            names(sub, &name, all);
            all.insert(name);
        }
    }
    let mut all = BTreeSet::from([String::new()]);
    names(&vgapt::cli::Cli::command(), "", &mut all);
    let known: BTreeSet<String> = vgapt::commands::schemas().into_iter().map(|(command, _)| command.to_owned()).collect();
    assert_eq!(known, all);
}

/// Keys of vgapt are in `snake_case`; those of options, of libvirt, QEMU and KubeVirt stay as they are.
#[test]
fn keys_are_in_snake_case() {
    fn keys(schema: &Value, found: &mut BTreeSet<String>) {
        let Some(map) = schema.as_object() else { return schema.as_array().into_iter().flatten().for_each(|one| keys(one, found)) };
        for (key, value) in map {
            if key == "properties" {
                found.extend(value.as_object().unwrap().keys().cloned());
            }
            keys(value, found);
        }
    }
    for (command, mut schema) in vgapt::commands::schemas() {
        if let Some(definitions) = schema["$defs"].as_object_mut() {
            definitions.remove("Request");
        }
        let mut found = BTreeSet::new();
        keys(&schema, &mut found);
        found.retain(|key| key.contains(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')));
        assert!(found.is_empty(), "{command}: {found:?}");
    }
}

/// The schemas, which allow no key that they do not name: for readers they do, so that later versions may add some.
static SCHEMAS: LazyLock<BTreeMap<&str, Validator>> = LazyLock::new(|| {
    fn close(schema: &mut Value) {
        if schema.get("properties").is_some_and(Value::is_object) && schema.get("additionalProperties").is_none() {
            schema["additionalProperties"] = false.into();
        }
        match schema {
            Value::Object(map) => map.values_mut().for_each(close),
            Value::Array(list) => list.iter_mut().for_each(close),
            _ => {}
        }
    }
    let closed = |(command, mut schema): (_, Value)| {
        close(&mut schema);
        (command, jsonschema::validator_for(&schema).unwrap_or_else(|error| panic!("{command}: {error}")))
    };
    vgapt::commands::schemas().into_iter().map(closed).collect()
});

/// A document is as its schema says, and its outcome as the exit code.
#[track_caller]
fn check(document: &Value, code: Option<i32>, what: &str) {
    let command = document["command"].as_str().unwrap_or_default();
    let faults: Vec<String> = SCHEMAS[command].iter_errors(document).map(|error| error.to_string().chars().take(400).collect()).collect();
    assert!(faults.is_empty(), "{what}\n{}\n{document:#}", faults.join("\n"));
    let outcome = document["outcome"].as_str().unwrap();
    let expected = CODES.iter().find(|(word, _)| *word == outcome).map(|(_, code)| *code);
    assert_eq!(code, expected, "{what}: {outcome}");
}

/// What a command answers with `--json`.
#[track_caller]
fn answer(arguments: &[&str]) -> Value {
    answered(arguments, &run(&mut vgapt([&["--json"], arguments].concat())))
}

#[track_caller]
fn answered(arguments: &[&str], ran: &Ran) -> Value {
    let what = format!("vgapt {}\n{}", arguments.join(" "), ran.stderr);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{what}: {error}: {}", ran.stdout));
    check(&document, ran.code(), &what);
    let said = document["findings"].as_array().unwrap().iter().chain([&document["error"]]).filter_map(|one| one["message"].as_str());
    let noted = ["notes", "beyond", "steps"].iter().filter_map(|key| document[key].as_array()).flatten().filter_map(Value::as_str);
    for message in said.chain(noted) {
        assert!(!ran.stderr.contains(message), "{what}: it is said twice: {message}");
    }
    document
}

#[test]
fn nothing_of_a_document_is_repeated() {
    let silent = |arguments: &[&str]| {
        let arguments = [&["-c", "test:///default"], arguments].concat();
        let ran = run(&mut vgapt([&["--json"], &arguments[..]].concat()));
        answered(&arguments, &ran);
        assert_eq!(ran.stderr, "", "{arguments:?}");
    };
    for arguments in [["start", "test"].as_slice(), &["stop", "test"], &["undefine", "test"], &["export", "test", "--to", "kubevirt"]] {
        silent(arguments);
    }
    let several = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/hosts/b550m-rtx2070s-gt710.host");
    silent(&["--root", several, "prepare", "--dry-run"]);
    silent(&["--root", several, "define", "x", "--gpu", "auto", "--disk", "/nosuch.qcow2"]);
}

#[test]
fn recorded_machines() {
    let files = fs::read_dir("fixtures/hosts").unwrap().map(|entry| entry.unwrap().path().display().to_string());
    let mut outcomes = BTreeSet::new();
    for host in files.filter(|name| name.ends_with(".host")) {
        let on = |arguments: &[&str]| answer(&[&["--root", &host, "-c", "test:///default"], arguments].concat());
        let commands: [&[&str]; 5] = [
            &["list"],
            &["check"],
            &["prepare", "--hugepages", "4G", "--dry-run"],
            &["define", "x", "--gpu", "auto", "--cpus", "auto", "--pin", "--dry-run"],
            &["topology"],
        ];
        outcomes.extend(commands.map(|arguments| on(arguments)["outcome"].as_str().unwrap().to_owned()));
    }
    assert!(outcomes.is_superset(&["done", "not-ready", "planned", "refused"].map(str::to_owned).into()), "{outcomes:?}");
}

/// A libvirt with the domains `managed` and `plain`, which are off, and `on`, which is running.
fn node(place: &TempDir) -> String {
    let defined = answer(&["--root", Z170, "define", "managed", "--gpu", "01:00.0", "--memory", "4G", "--pin", "--dry-run"]);
    let xml = defined["xml"].as_str().unwrap();
    let plain = "<domain type='test'><name>plain</name><memory>1048576</memory><os><type>hvm</type></os></domain>";
    let on = plain
        .replace("<name>plain</name>", "<name>on</name>")
        .replace("type='test'", "type='test' xmlns:t='http://libvirt.org/schemas/domain/test/1.0'");
    let off = "<t:runstate>5</t:runstate></domain>";
    let with_state = |xml: &str| {
        let xml = xml.replacen("<domain ", "<domain xmlns:t='http://libvirt.org/schemas/domain/test/1.0' ", 1);
        xml.trim_end().strip_suffix("</domain>").unwrap().to_owned() + off
    };
    let file = place.path().join("node.xml");
    fs::write(&file, format!("<node>{}{}{on}</node>", with_state(xml), with_state(plain))).unwrap();
    format!("test://{}", file.display())
}

#[test]
fn the_life_of_a_domain() {
    let place = TempDir::new().unwrap();
    let uri = node(&place);
    let on = |arguments: &[&str]| answer(&[&["--root", Z170, "-c", &uri], arguments].concat());
    assert_eq!(on(&["show", "managed"])["request"]["memory"], "4 GiB");
    assert!(!on(&["explain", "managed"])["reasons"].as_array().unwrap().is_empty());
    assert_eq!(on(&["status", "managed"])["devices"].as_array().map(Vec::len), Some(2));
    let topology = on(&["topology", "managed"]);
    assert_eq!(topology["name"], "managed");
    // A new guest is shown what this one has for itself, unless it passes the same card.
    let cores = topology["guest"].clone();
    assert_eq!(on(&["topology", "--cpus", "2"])["others"], cores);
    assert_eq!(on(&["topology", "--cpus", "2", "--gpu", "01:00.0"])["others"], "");
    let unknown = answer(&["--root", Z170, "-c", "test:///nowhere.xml", "topology"]);
    assert_eq!(unknown["findings"][0]["code"], "neighbours-unknown", "{unknown}");
    assert_eq!(on(&["start", "managed", "--force"])["outcome"], "done");
    assert_eq!(on(&["start", "plain", "--wait"])["guest"], Value::Null);
    assert_eq!(on(&["stop", "on"])["off"], true);
    assert_eq!(on(&["stop", "plain"])["outcome"], "unchanged");
    assert_eq!(on(&["stop", "on", "--timeout", "0"])["off"], false);
    assert_eq!(on(&["undefine", "plain"])["disks"], serde_json::json!([]));
    assert_eq!(on(&["define", "managed", "--memory", "5G", "--force"])["outcome"], "done");
    assert_eq!(on(&["define", "managed", "--force"])["outcome"], "unchanged");
    assert!(on(&["attach", "plain", "--pci", "01:00.1", "--dry-run"])["xml"].is_string());
    assert!(on(&["export", "managed", "--to", "kubevirt"])["manifest"].is_object());
    assert!(on(&["list", "--env"])["variables"]["VGAPT_VGA_BUS"].is_string());
    let hosts = answer(&["-c", "test:///nosuch.xml", "-c", &uri, "list"]);
    assert!(hosts["outcome"] == "failed" && hosts["hosts"][0]["error"].is_object() && hosts["hosts"][1]["gpus"].is_array(), "{hosts:#}");
    assert!(answer(&["disk"])["outcome"] == "usage" && answer(&[])["command"].is_null());
    assert!(on(&["capture"])["capture"].is_string());
    assert_eq!(on(&["setup", "new", "--yes", "--allow", "only-display"])["outcome"], "planned");
    let script = place.path().join("new.sh").display().to_string();
    fs::write(&script, "qemu-system-x86_64 -machine q35 -m 1G\n").unwrap();
    assert!(on(&["import", &script])["xml"].is_string());
    assert_eq!(on(&["import", &script, "--define"])["outcome"], "done");
    assert!(on(&["import", "fixtures/scripts/00-guide.sh"])["notes"].is_array());
    assert!(on(&["import", "fixtures/scripts/03-array-looking-glass.sh", "--request"])["request"].is_object());
    // One document a line, until it is interrupted or fails.
    let watched = run(&mut vgapt(["--json", "-c", &uri, "status", "nosuch", "--watch"])).with(3);
    assert_eq!(watched.stdout.lines().count(), 1);
    answered(&["status"], &watched);
    // These print what another program reads.
    for arguments in [&["--json", "man"][..], &["--json", "completions", "bash"], &["--json", "list", "--help"], &["--json", "--version"]] {
        assert!(serde_json::from_str::<Value>(&run(&mut vgapt(arguments)).with(0).stdout).is_err(), "{arguments:?}");
    }
}

#[test]
fn a_tree_prepared_and_undone() {
    let tree = tree::distribution("debian13-grub-initramfs-tools");
    let root = tree.path().to_str().unwrap();
    let on = |arguments: &[&str]| answer(&[&["--root", root, "-c", "test:///default"], arguments].concat())["outcome"].clone();
    let card = ["prepare", "--gpu", "01:00.0"];
    assert_eq!(on(&card), "unconfirmed");
    assert_eq!(on(&[&card[..], &["--dry-run"]].concat()), "planned");
    assert_eq!(on(&[&card[..], &["--yes"]].concat()), "done");
    assert_eq!(on(&[&card[..], &["--yes"]].concat()), "unchanged");
    assert_eq!(on(&["undo"]), "unconfirmed");
    assert_eq!(on(&["undo", "--dry-run"]), "planned");
    assert_eq!(on(&["undo", "--yes"]), "done");
    assert_eq!(on(&["undo", "--yes"]), "unchanged");
    let reset = ["reset", "01:00.0", "--yes"];
    assert_eq!(on(&reset), "refused");
    let bus = tree.path().join("sys/bus/pci");
    for function in ["0000:01:00.0", "0000:01:00.1"] {
        let uevent = bus.join(format!("devices/{function}/uevent"));
        let text = fs::read_to_string(&uevent).unwrap();
        fs::write(&uevent, text.lines().filter(|line| !line.starts_with("DRIVER")).map(|line| format!("{line}\n")).collect::<String>())
            .unwrap();
    }
    assert_eq!(on(&["reset", "01:00.0", "--dry-run"]), "planned");
    assert_eq!(on(&["reset", "01:00.0"]), "unconfirmed");
    assert_eq!(on(&reset), "failed");
    assert_eq!(on(&["reset", "09:00.0", "--yes"]), "refused");
    fs::create_dir_all(tree.path().join("sys/class/pci_bus/0000:09")).unwrap();
    fs::write(bus.join("rescan"), "").unwrap();
    assert_eq!(on(&["reset", "09:00.0", "--yes"]), "failed");
}

#[test]
fn disks() {
    if !libvirt::have("documents of disks", &["qemu-img"]) {
        return;
    }
    let place = TempDir::new().unwrap();
    let file = |name: &str| place.path().join(name).display().to_string();
    let (base, over, copy) = (file("a.qcow2"), file("a.diff"), file("b.qcow2"));
    let disk = |arguments: &[&str]| answer(&[&["-c", "test:///default", "disk"], arguments].concat());
    assert_eq!(disk(&["create", &base, "1G"])["virtual_size"], 1 << 30);
    assert_eq!(disk(&["create", &base, "1G"])["findings"][0]["code"], "target-exists");
    assert_eq!(disk(&["overlay", &base, &over])["base_format"], "qcow2");
    assert_eq!(disk(&["info", &over])["chain"].as_array().map(Vec::len), Some(2));
    assert_eq!(disk(&["merge", &over, &copy])["format"], "qcow2");
    assert_eq!(disk(&["commit", &over, "--search", place.path().to_str().unwrap(), "--force"])["outcome"], "done");
    let domain = format!(
        "<domain type='test'><name>it</name><memory>1048576</memory><os><type>hvm</type></os><devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{base}'/><target dev='sda' bus='sata'/></disk></devices></domain>"
    );
    let node = file("node.xml");
    let state = "xmlns:t='http://libvirt.org/schemas/domain/test/1.0'";
    let domain = domain.replacen("<domain ", &format!("<domain {state} "), 1).replace("</domain>", "<t:runstate>5</t:runstate></domain>");
    fs::write(&node, format!("<node>{domain}</node>")).unwrap();
    let swap = ["-c", &format!("test://{node}"), "disk", "swap", "it", &over, "--force"];
    assert_eq!(answer(&[&swap[..], &["--dry-run"]].concat())["outcome"], "planned");
    assert_eq!(answer(&swap)["target"], "sda");
}

/// The same mistake has the same exit code in every command that it can be made with.
#[test]
#[allow(clippy::too_many_lines)] // A table.
fn mistakes() {
    let place = TempDir::new().unwrap();
    let uri = node(&place);
    let (bad, server) = (place.path().join("bad.toml").display().to_string(), "fixtures/hosts/c246-server-bmc-only.host");
    fs::write(&bad, "memory = \"lots\"\n").unwrap();
    let script = place.path().join("on.sh").display().to_string();
    fs::write(&script, "qemu-system-x86_64 -machine q35 -m 1G\n").unwrap();
    let alone = place.path().join("alone.raw").display().to_string();
    fs::write(&alone, vec![0; 1 << 20]).unwrap();
    let z170 = |arguments: &str| format!("--root {Z170} -c {uri} {arguments}");
    let without = |arguments: &str| format!("-c {uri} {arguments}");
    let both = |arguments: &[&str]| arguments.iter().map(|one| z170(one)).collect::<Vec<_>>();
    let mistakes: Vec<(i32, &str, Vec<String>)> = vec![
        (2, "unrecognized subcommand 'frobnicate'", both(&["frobnicate", "disk frobnicate"])),
        (1, "the folder /nosuch does not exist", both(&["disk create /nosuch/a 1G"])),
        (2, "unexpected argument '--frob'", both(&["list --frob", "define x --frob", "disk info x --frob"])),
        (2, "required arguments were not provided", both(&["define", "start", "export on", "disk create x", "attach on"])),
        (
            2,
            "invalid value 'nowhere'",
            both(&[
                "list --gpu nowhere",
                "check --gpu nowhere",
                "prepare --gpu nowhere",
                "define x --gpu nowhere",
                "attach on --gpu nowhere",
                "topology --gpu nowhere",
            ]),
        ),
        (
            2,
            "invalid value 'lots'",
            both(&["define x --memory lots", "prepare --hugepages lots", "setup --memory lots", "disk create x lots"]),
        ),
        (2, "invalid value 'a/b'", both(&["define a/b", "setup a/b"])),
        (2, "invalid value '0'", both(&["define x --cpus 0", "topology --cpus 0", "setup --cpus 0"])),
        (2, "cannot be used with", both(&["define x --dry-run --print-xml"])),
        (2, "invalid value '0'", both(&["define x --memory 0", "prepare --hugepages 0", "setup --memory 0"])),
        (2, "add a unit, such as 100G", both(&["disk create x 9", "setup --disk-size 9", "prepare --hugepages 4"])),
        (2, "line 1", vec![z170(&format!("define x -f {bad}")), z170(&format!("setup --yes --answers {bad}"))]),
        (2, "only 'list' takes more than one --connect", both(&["-c test:///default status on", "-c test:///default define x"])),
        (2, "with several hosts, only the cards are listed", both(&["-c test:///default list --usb"])),
        (2, "this is not a terminal", both(&["setup"])),
        (2, "there is no command 'vgapt nosuch'", vec!["man nosuch".into()]),
        (
            3,
            "there is no domain 'nosuch'",
            both(&[
                "start nosuch",
                "stop nosuch",
                "status nosuch",
                "show nosuch",
                "explain nosuch",
                "export nosuch --to qemu",
                "topology nosuch",
                "attach nosuch --gpu 01:00.0",
                "detach nosuch",
                "undefine nosuch",
            ]),
        ),
        (1, "is not managed by vgapt", both(&["show plain", "explain plain"])),
        (
            3,
            "cannot read a host from /nosuch",
            ["list", "check", "prepare", "undo", "define x", "topology", "capture"]
                .iter()
                .map(|one| format!("--root /nosuch {one}"))
                .collect(),
        ),
        (
            3,
            "cannot connect to test:///nosuch.xml",
            ["list", "define x", "status x", "stop x", "undefine x", "start x", "show x"]
                .iter()
                .map(|one| format!("-c test:///nosuch.xml {one}"))
                .collect(),
        ),
        (
            3,
            "cannot read",
            both(&[
                "define x -f /nosuch",
                "define x --template /nosuch",
                "setup --yes --answers /nosuch",
                "import /nosuch",
                "check --gpu 01:00.0 --rom /nosuch",
            ]),
        ),
        (
            3,
            "does not exist",
            both(&[
                "disk info /nosuch",
                "disk commit /nosuch",
                "disk merge /nosuch /tmp/x",
                "disk compact /nosuch /tmp/x",
                "disk overlay /nosuch",
                "disk swap on /nosuch",
            ]),
        ),
        (1, "cannot be", ["check", "prepare", "capture"].iter().map(|one| without(one)).collect()),
        (1, "never changes a capture or a remote host", vec![z170("undo"), without("undo")]),
        (1, "resets no card of a capture or of a remote host", vec![z170("reset 01:00.0"), without("reset 01:00.0")]),
        (1, "does not start QEMU", both(&["import /dev/null"])),
        (1, "was defined by vgapt", both(&["attach managed --gpu 01:00.0", "detach managed"])),
        (1, "has attached nothing", both(&["detach plain"])),
        (1, "has no backing file", both(&[&format!("disk commit {alone}")])),
        (2, "libvirt has no driver 'nosuch'", ["status", "define x", "show x"].iter().map(|one| format!("-c nosuch:///x {one}")).collect()),
        (
            1,
            "07:00.0",
            both(&[
                "list --gpu 07:00.0",
                "check --gpu 07:00.0",
                "prepare --gpu 07:00.0",
                "define x --gpu 07:00.0",
                "attach plain --gpu 07:00.0",
                "topology --gpu 07:00.0",
            ]),
        ),
        (
            1,
            "graphics card",
            both(&[
                "list --gpu 00:17.0",
                "check --gpu 00:17.0",
                "prepare --gpu 00:17.0",
                "define x --gpu 00:17.0",
                "attach plain --gpu 00:17.0",
                "topology --gpu 00:17.0",
            ]),
        ),
        (
            1,
            "console",
            ["prepare --gpu auto", "define x --gpu auto", "list --env"].iter().map(|one| format!("--root {server} {one}")).collect(),
        ),
        (1, "'on' is running", both(&["undefine on"])),
        (1, "room for only", both(&["topology --cpus 64"])),
        (
            1,
            "already exists",
            both(&[
                &format!("define on --template {}", place.path().join("node.xml").display()),
                &format!("import {script} --name on --define"),
            ]),
        ),
    ];
    assert!(mistakes.len() >= 30);
    let mut wrong = Vec::new();
    for (code, message, commands) in &mistakes {
        for command in commands {
            if std::panic::catch_unwind(|| ends_with(command, *code, message)).is_err() {
                wrong.push(command);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// With and without --json a mistake has the same exit code, message and remedy.
fn ends_with(command: &str, code: i32, message: &str) {
    let arguments: Vec<&str> = command.split(' ').collect();
    let document = answer(&arguments);
    let told: Vec<&Value> = document["findings"].as_array().unwrap().iter().chain([&document["error"]]).collect();
    let says = |key: &str| told.iter().filter_map(|one| one[key].as_str()).collect::<Vec<_>>();
    assert!(says("message").iter().any(|said| said.contains(message)), "vgapt --json {command}: does not say '{message}': {document:#}");
    let (_, documented) = CODES.iter().find(|(word, _)| document["outcome"] == *word).unwrap();
    assert_eq!(*documented, code, "vgapt --json {command}: {document:#}");
    let ran = run(&mut vgapt(&arguments)).with(code).saying(&[message]);
    // clap lays out the parts of its message in paragraphs.
    if document["error"].is_null() || code != 2 {
        ran.saying(&says("remedy"));
    }
}
