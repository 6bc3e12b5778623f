//! The manifest against KubeVirt's published OpenAPI document: every field known, every type right.

#[path = "support/command.rs"]
mod command;

use std::fs;
use std::io::Read as _;

use serde_json::Value;

use command::{Z170, run, vgapt};

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
        let told = exported(name, &xml, &[]).saying(&["a cluster cannot express: ", "virtctl image-upload pvc"]);
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
