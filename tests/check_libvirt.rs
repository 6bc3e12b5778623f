//! What `vgapt check` asks libvirt: whether it answers, and which domains use the card.

#[allow(dead_code)] // The host is this machine.
#[path = "support/command.rs"]
mod command;

use std::fs;
use std::process::Command;

use command::{Z170, run};
use serde_json::Value;
use vgapt::discovery::{self, Scope};
use vgapt::model::{CardUser, Libvirt, LibvirtAnswer};
use vgapt::readiness::{self, Input, Report};
use vgapt::root::Root;

/// The report on the recorded machine, whose libvirt gives this answer.
fn report(answer: LibvirtAnswer) -> Report {
    let root = Root::open(Z170.as_ref()).unwrap();
    let host = discovery::read(&root, Scope::All);
    let setup = discovery::setup(&root, &host);
    let cards = readiness::meant(&host, &setup, &["01:00.0".parse().unwrap()]);
    let mut observed = discovery::observe(&root, &host, &setup, false);
    observed.libvirt = Some(answer);
    readiness::check(&Input { host: &host, setup: &setup, observed: &observed, cards: &cards, bind: None, noted: &[], session: false })
}

#[test]
fn the_domains_that_use_the_card_are_named() {
    let user = |name: &str, state: &str, function: &str| CardUser {
        name: name.to_owned(),
        state: state.to_owned(),
        functions: [function.parse().unwrap()].into(),
    };
    let domains = vec![user("win10", "running", "01:00.1"), user("other", "shut off", "00:1f.3")];
    let report =
        report(LibvirtAnswer::Connected { uri: "qemu:///system".into(), domains, unread: Vec::new(), abilities: Libvirt::default() });
    let seen: Vec<&str> = report.checks.iter().filter(|check| check.code == "card-domains").map(|check| check.seen.as_str()).collect();
    assert_eq!(seen, ["is passed through to the domain 'win10' (running)"]);
}

/// What `vgapt check` says of libvirt, with a helper program that does this.
fn answer(helper: &str) -> Value {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    fs::hard_link(env!("CARGO_BIN_EXE_vgapt"), folder.path().join("vgapt")).unwrap();
    // Another process writes it: see tests/helper.rs.
    let write = "printf '#!/bin/sh\\n%s\\n' \"$0\" > \"$1\" && chmod 755 \"$1\"";
    assert!(Command::new("sh").args(["-c", write, helper]).arg(folder.path().join("vgapt-libvirt")).status().unwrap().success());
    let mut check = command::command(folder.path().join("vgapt"));
    let ran = run(check.args(["check", "--json"]).env("LIBVIRT_DEFAULT_URI", "qemu:///system").env("VGAPT_LIBVIRT_TIMEOUT", "1"));
    let report: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {} {}", ran.stdout, ran.stderr));
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["code"] == "libvirt-answer").cloned().unwrap_or_default()
}

#[test]
fn whether_libvirt_answers_is_said() {
    let greeting = format!(r#"echo '{{"version":"{}","connected":{{"ok":null}}}}'"#, env!("CARGO_PKG_VERSION"));
    let domains =
        r#"read line; echo '{"ok":{"known":[],"unread":[{"name":"odd","because":"x"}]}}'; read line; echo '{"ok":{}}'; cat > /dev/null"#;
    let partly = answer(&format!("{greeting}; {domains}"));
    assert_eq!(partly["state"], "unknown", "{partly}");
    assert!(partly["seen"].as_str().unwrap().contains("these domains cannot be read: odd"), "{partly}");
    let hangs = answer("exec sleep 100");
    assert_eq!(hangs["state"], "warning", "{hangs}");
    assert!(hangs["seen"].as_str().unwrap().contains("took longer than 1 seconds"), "{hangs}");
    assert!(hangs["remedy"].as_str().unwrap().contains("systemctl status"), "{hangs}");
}
