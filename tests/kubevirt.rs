//! The manifest against KubeVirt's published OpenAPI document: every field known, every type right.

#[path = "support/command.rs"]
mod command;

use std::collections::HashSet;
use std::fs;
use std::io::Read as _;

use serde_json::Value;

use command::{Z170, run, vgapt};
use vgapt::export::{self, Exported, Passed};
use vgapt::model::{PciAddress, PciId};
use vgapt::xml::{Document, Element};

fn schema() -> Value {
    let packed = fs::File::open("fixtures/kubevirt/openapi.json.gz").unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// What is wrong with a value by a schema.
fn wrong(all: &Value, schema: &Value, value: &Value, path: &str) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        let known = &all["definitions"][name];
        return if known.is_null() { vec![format!("{path}: {name} is not in the document")] } else { wrong(all, known, value, path) };
    }
    if let Some(parts) = schema["allOf"].as_array() {
        return parts.iter().flat_map(|part| wrong(all, part, value, path)).collect();
    }
    match schema["type"].as_str() {
        Some("string") if !value.is_string() => return vec![format!("{path}: {value} is no string")],
        Some("boolean") if !value.is_boolean() => return vec![format!("{path}: {value} is no boolean")],
        Some("integer") if !value.is_u64() && !value.is_i64() => return vec![format!("{path}: {value} is no integer")],
        Some("array") => {
            let Some(items) = value.as_array() else { return vec![format!("{path}: {value} is no array")] };
            let each = items.iter().enumerate();
            return each.flat_map(|(index, item)| wrong(all, &schema["items"], item, &format!("{path}[{index}]"))).collect();
        }
        Some("object") | None => {}
        Some(_) => return Vec::new(),
    }
    let Some(members) = value.as_object() else {
        return if schema["properties"].is_object() || schema["type"] == "object" {
            vec![format!("{path}: {value} is no object")]
        } else {
            Vec::new()
        };
    };
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut found: Vec<String> =
        required.filter(|name| !members.contains_key(*name)).map(|name| format!("{path}: {name} is missing")).collect();
    for (name, member) in members {
        let path = format!("{path}.{name}");
        if let Some(known) = schema["properties"].get(name) {
            found.extend(wrong(all, known, member, &path));
        } else if schema["additionalProperties"].is_object() {
            found.extend(wrong(all, &schema["additionalProperties"], member, &path));
        } else {
            found.push(format!("{path} is not known"));
        }
    }
    found
}

/// A domain's XML as the test driver has it, exported.
fn exported(name: &str, xml: &str, arguments: &[&str]) -> command::Ran {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("node.xml").display().to_string();
    // What libvirt would make up anew each time.
    let xml = xml.replacen("</name>", "</name><uuid>11111111-2222-4333-8444-555555555555</uuid>", 1);
    let xml = xml.replacen("<model type='virtio'/>", "<mac address='52:54:00:00:00:01'/><model type='virtio'/>", 1);
    fs::write(&file, format!("<node>{xml}</node>")).unwrap();
    run(&mut vgapt(["--root", Z170, "-c", &format!("test://{file}"), "export", name, "--to", "kubevirt"].iter().chain(arguments))).with(0)
}

fn imported(script: &str) -> String {
    let mut import = vgapt(["import", script, "--print-xml", "--name", "imported"]);
    run(&mut import).with(0).stdout
}

fn defined() -> String {
    let arguments = [
        "--root",
        Z170,
        "define",
        "win10",
        "--dry-run",
        "--force",
        "--gpu",
        "01:00.0",
        "--memory",
        "12G",
        "--cpus",
        "6",
        "--hugepages",
        "--keyboard",
        "046d:c31c",
        "--disk",
        "/vm/win10.qcow2",
        "--cdrom",
        "/iso/win10.iso",
        "--virtio-iso",
        "/iso/virtio-win.iso",
    ];
    run(&mut vgapt(arguments)).stdout
}

#[test]
fn manifests_of_three_domains_pass_the_schema() {
    let all = schema();
    let domains = [
        ("win10", defined()),
        ("imported", imported("fixtures/scripts/03-array-looking-glass.sh")),
        ("imported", imported("fixtures/scripts/07-blockdev-json.sh")),
    ];
    for (name, xml) in domains {
        let told = exported(name, &xml, &[]).saying(&["not in the manifest: ", "virtctl image-upload pvc"]);
        let documents: Vec<Value> = told.stdout.split("---\n").map(|document| serde_norway::from_str(document).unwrap()).collect();
        let found = wrong(&all, &all["definitions"]["v1.VirtualMachine"], &documents[0], "vm");
        assert!(found.is_empty(), "{found:#?}\n{}", told.stdout);
        if let Some(permitted) = documents.get(1) {
            let found = wrong(&all, &all["definitions"]["v1.KubeVirt"], permitted, "kubevirt");
            assert!(found.is_empty(), "{found:#?}\n{}", told.stdout);
        }
        let json: Value = serde_json::from_str(&exported(name, &xml, &["--json"]).stdout).unwrap();
        assert_eq!(json["manifest"], documents[0]);
    }
}

#[test]
fn the_card_is_asked_for_by_what_it_is() {
    let manifest = exported("win10", &defined(), &[]).saying(&["USB devices of the host", "a clock in the host's local time"]).stdout;
    insta::assert_snapshot!("win10", manifest);
}

#[test]
fn the_validator_finds_what_is_wrong() {
    let all = schema();
    let vm = &all["definitions"]["v1.VirtualMachine"];
    let value = serde_json::json!({"spec": {"running": "yes", "template": {"spec": {"domain": {"devices": {"disks": [{"nam": 1}]}}}}}});
    let found = wrong(&all, vm, &value, "vm");
    assert_eq!(
        found,
        [
            "vm.spec.running: \"yes\" is no boolean",
            "vm.spec.template.spec.domain.devices.disks[0]: name is missing",
            "vm.spec.template.spec.domain.devices.disks[0].nam is not known"
        ]
    );
}

const DOMAINS: [&str; 2] = ["workstation", "server"];

fn domain(name: &str) -> String {
    fs::read_to_string(format!("fixtures/kubevirt/domains/{name}.xml")).unwrap()
}

#[test]
fn a_function_that_is_not_known_is_no_card() {
    let address = PciAddress { domain: 0, bus: 1, device: 0, function: 0 };
    let passed = Passed { address, id: Some(PciId { vendor: 0x8086, device: 0x1521 }), is_graphics: None };
    let exported = export::kubevirt(&Document::parse(&domain("workstation")).unwrap(), "a", &[passed], false).unwrap();
    let devices = &exported.manifest["spec"]["template"]["spec"]["domain"]["devices"];
    assert!(devices["gpus"].is_null() && devices["hostDevices"][0]["deviceName"] == "intel.com/function-8086-1521", "{devices}");
    assert!(exported.unsupported.iter().any(|told| told.contains("whether 0000:01:00.0 is graphics is not known")));
}

/// A domain for a cluster. The card at 01:00.0 is known.
fn of(xml: &str) -> Result<Exported, String> {
    let address = PciAddress { domain: 0, bus: 1, device: 0, function: 0 };
    let card = Passed { address, id: Some(PciId { vendor: 0x10de, device: 0x1401 }), is_graphics: Some(true) };
    export::kubevirt(&Document::parse(xml).unwrap(), "workstation", &[card], false)
}

/// One change of a domain: where, what, and the text that comes of it.
struct Mutation {
    place: String,
    what: String,
    xml: String,
}

/// Other values than this one.
fn others(value: &str) -> Vec<String> {
    let opposite = match value {
        "on" => Some("off"),
        "off" => Some("on"),
        "yes" => Some("no"),
        "no" => Some("yes"),
        _ => None,
    };
    let number = value.parse::<u64>().ok().map(|number| (number + 1).to_string());
    let others = [opposite.map(str::to_owned), number, Some(format!("{value}x"))];
    others.into_iter().flatten().collect()
}

/// Each element left out, each attribute left out and with other values, each text with others.
fn mutations(xml: &str, element: Element<'_>, place: &str, into: &mut Vec<Mutation>) {
    let range = element.range();
    let mut with = |what: String, source: String| {
        let xml = format!("{}{source}{}", &xml[..range.start], &xml[range.end..]);
        into.push(Mutation { place: place.to_owned(), what, xml });
    };
    let source = element.source();
    if !place.is_empty() {
        with("left out".into(), String::new());
    }
    for name in element.attribute_names().filter(|name| !name.starts_with("xmlns")) {
        let value = element.attribute(name).unwrap();
        let written = format!(" {name}='{value}'");
        assert!(source.contains(&written), "{written} in {source}");
        with(format!("@{name} left out"), source.replacen(&written, "", 1));
        for other in others(&value) {
            with(format!("@{name}={other}"), source.replacen(&written, &format!(" {name}='{other}'"), 1));
        }
    }
    if !element.text().is_empty() {
        for other in others(element.text()) {
            with(format!("text {other}"), source.replacen(&format!(">{}<", element.text()), &format!(">{other}<"), 1));
        }
    }
    for child in element.children() {
        let place = if place.is_empty() { child.name().to_owned() } else { format!("{place}/{}", child.name()) };
        mutations(xml, child, &place, into);
    }
}

/// Changes after which a cluster's guest is the same: where (`*`: any name, at the end anything), what is changed, the reason.
const SAME: &[(&str, &str, &str)] = &[
    ("", "@type left out", "a guess; libvirt takes no domain without it"),
    ("name", "left out", "the name is asked for by name"),
    ("metadata*", "", "notes of tools"),
    ("currentMemory", "left out", "all of it is what libvirt starts from"),
    ("*", "@unit left out", "KiB is what libvirt starts from"),
    ("vcpu", "@placement left out", "static is what libvirt starts from"),
    ("os", "@firmware left out", "the loader says it too"),
    ("os/firmware*", "left out", "the loader says it too"),
    ("os/type", "@arch left out", "x86_64 is what the tests run on"),
    ("os/boot", "left out", "the first disk is what libvirt starts from"),
    ("features/pae", "left out", "each 64-bit processor has it"),
    ("features/hyperv", "@mode left out", "custom is what libvirt starts from"),
    ("features/*", "@state left out", "on is what libvirt starts from"),
    ("cpu", "@check left out", "what libvirt starts from with this mode"),
    ("cpu", "@migratable left out", "on is what libvirt starts from"),
    ("cpu", "@m", "custom and exact are what libvirt starts from beside a model"),
    ("cpu/model", "@fallback left out", "allow is what libvirt starts from"),
    ("cpu/topology", "@", "one is what libvirt starts from"),
    ("cpu/feature", "@policy left out", "require is what libvirt starts from"),
    ("clock", "@offset left out", "utc is what libvirt starts from"),
    ("clock", "@basis left out", "utc is what libvirt starts from"),
    ("on_*", "left out", "what libvirt starts from"),
    ("devices/emulator", "left out", "libvirt finds the distribution's"),
    ("devices/*/alias*", "", "libvirt's name for a device"),
    ("devices/*/address*", "", "where libvirt plugged a device in"),
    ("devices/disk", "@type left out", "file is what libvirt starts from"),
    ("devices/disk", "@device left out", "disk is what libvirt starts from"),
    ("devices/disk/driver", "left out", "qemu and raw are what libvirt starts from"),
    ("devices/disk/driver", "@name left out", "qemu is what libvirt starts from"),
    ("devices/disk/driver", "@type left out", "the importer finds the format"),
    ("devices/disk/driver", "@discard left out", "KubeVirt asks for unmap with each disk"),
    ("devices/disk/backingStore", "left out", "it says that there is none"),
    ("devices/disk/target", "@dev", "libvirt's name for the disk"),
    ("devices/disk/readonly", "left out", "a CD is read only anyway"),
    ("devices/controller*", "@", "libvirt numbers and fills in what the devices need"),
    ("devices/controller/*", "left out", "libvirt numbers and fills in what the devices need"),
    ("devices/serial*", "left out", "the console says it too"),
    ("devices/serial*", "@", "the first port is what libvirt starts from"),
    ("devices/console*", "left out", "the serial port says it too"),
    ("devices/console*", "@", "the first port is what libvirt starts from"),
    ("devices/channel", "left out", "KubeVirt gives each guest the agent's"),
    ("devices/input", "left out", "a part of the machine"),
    ("devices/tpm/backend", "@version left out", "2.0 is what libvirt starts from"),
    ("devices/tpm/backend", "@persistent_state left out", "the manifest has it persistent"),
    ("devices/graphics", "@port", "where it listens on this host"),
    ("devices/graphics", "@autoport", "where it listens on this host"),
    ("devices/graphics", "@listen", "where it listens on this host"),
    ("devices/graphics", "@passwd=", "a password is not shown"),
    ("devices/graphics/listen*", "", "where it listens on this host"),
    ("devices/audio", "left out", "none is what a cluster has"),
    ("devices/audio", "@id", "a number for libvirt's own use"),
    ("devices/interface/driver", "@name left out", "vhost is what libvirt starts from"),
    ("devices/hostdev", "@mode left out", "subsystem is what libvirt starts from"),
    ("devices/hostdev", "@managed", "who binds a device is up to the node"),
    ("devices/hostdev/driver", "", "vfio is the only driver"),
    ("devices/hostdev/source/address", "@domain left out", "0 is what libvirt starts from"),
    ("devices/hostdev/source/address", "@function left out", "0 is what libvirt starts from"),
    ("devices/watchdog", "left out", "a part of the machine q35"),
    ("devices/watchdog", "@action left out", "reset is what libvirt starts from"),
    ("devices/memballoon", "@model left out", "virtio is what libvirt starts from"),
    ("devices/rng/backend", "left out", "the manifest has the node's kernel"),
    ("devices/video", "left out", "no screen either way"),
];

fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, behind)) => {
            let Some(rest) = text.strip_prefix(before) else { return false };
            let name = &rest[..rest.find('/').unwrap_or(rest.len())];
            behind.is_empty() || (0..=name.len()).any(|end| rest.is_char_boundary(end) && fits(behind, &rest[end..]))
        }
    }
}

#[test]
fn whatever_is_changed_of_a_domain_is_in_the_manifest_or_named() {
    let all = schema();
    let (mut silent, mut used) = (Vec::new(), HashSet::new());
    let mut counted = 0;
    for name in DOMAINS {
        let xml = domain(name);
        let before = of(&xml).unwrap();
        assert_eq!(wrong(&all, &all["definitions"]["v1.VirtualMachine"], &before.manifest, "vm"), [""; 0]);
        let document = Document::parse(&xml).unwrap();
        let mut changed = Vec::new();
        mutations(&xml, document.root(), "", &mut changed);
        counted += changed.len();
        for Mutation { place, what, xml } in changed {
            let Ok(after) = of(&xml) else { continue };
            if after == before {
                match SAME.iter().position(|(path, change, _)| fits(path, &place) && what.starts_with(change)) {
                    Some(row) => drop(used.insert(row)),
                    None => silent.push(format!("{name} {place} {what}")),
                }
            } else if after.manifest != before.manifest {
                let found = wrong(&all, &all["definitions"]["v1.VirtualMachine"], &after.manifest, "vm");
                assert!(found.is_empty(), "{name} {place} {what}: {found:#?}");
            }
        }
    }
    assert!(counted > 1000, "{counted} changes");
    assert!(silent.is_empty(), "silent, {} of {counted}:\n{}", silent.len(), silent.join("\n"));
    let idle: Vec<_> = (0..SAME.len()).filter(|row| !used.contains(row)).map(|row| SAME[row]).collect();
    assert!(idle.is_empty(), "told after all: {idle:#?}");
}

/// Each kind once, to be read: is what is written what the domain says, and what is not written named?
#[test]
fn domains_of_many_kinds() {
    for name in DOMAINS {
        let exported = of(&domain(name)).unwrap();
        let manifest = serde_norway::to_string(&exported.manifest).unwrap();
        let told = format!("{manifest}\nBEYOND\n{}\n\nNOTES\n{}\n", exported.unsupported.join("\n"), exported.notes.join("\n"));
        assert!(!told.contains("opensesame"), "{told}");
        insta::assert_snapshot!(name, told);
    }
}

#[test]
fn what_a_cluster_cannot_run_is_refused() {
    let of = |kind: &str, os: &str| of(&format!("<domain type='{kind}'><name>a</name><os>{os}</os></domain>"));
    for (kind, os, words) in [
        ("lxc", "<type>exe</type>", "its type is 'exe'"),
        ("xen", "<type>linux</type>", "its type is 'linux'"),
        ("kvm", "<type arch='ppc64le'>hvm</type>", "its architecture is ppc64le"),
        ("kvm", "<type arch='i686'>hvm</type>", "its architecture is i686"),
        ("kvm", "", "does not state its type"),
    ] {
        let refused = of(kind, os).unwrap_err();
        assert!(refused.contains(words), "{refused}");
    }
    let arm = of("hvf", "<type arch='aarch64'>hvm</type>").unwrap();
    let guest = &arm.manifest["spec"]["template"]["spec"];
    assert_eq!((&guest["architecture"], &guest["domain"]["machine"]["type"]), (&"arm64".into(), &"virt".into()));
    assert!(arm.unsupported.iter().any(|told| told.contains("type='hvf'")), "{:?}", arm.unsupported);
}
