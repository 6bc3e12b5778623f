//! `vgapt list` with more than one connection: one table of all cards of all hosts.

#[path = "support/command.rs"]
mod command;

use command::{Z170, run, vgapt};

#[test]
fn one_table_of_all_cards() {
    let table = run(&mut vgapt(["--root", Z170, "list", "-c", "test:///default", "-c", "test+unix:///default"])).with(0).stdout;
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("HOST") && lines.len() == 5, "{table}");
    assert!(lines[1].starts_with("test:///default ") && lines[1].contains("01:00.0  available  NVIDIA GM206 [GeForce GTX 960]"));
    assert!(lines[4].starts_with("test+unix:///default") && lines[4].contains("available"), "{table}");
    let json = run(&mut vgapt(["--root", Z170, "--json", "list", "-c", "test:///default", "-c", "test:///default"])).with(0).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json["hosts"].as_array().map(Vec::len), json["hosts"][1]["gpus"].as_array().map(Vec::len)), (Some(2), Some(2)));
}

#[test]
fn a_host_that_does_not_answer_keeps_nobody_back() {
    let node = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/node/gtx960.xml");
    let ran = run(&mut vgapt(["list", "-c", "test:///nosuch.xml", "-c", &format!("test://{node}")])).with(3);
    assert!(ran.stdout.contains("[GeForce GTX 960]"), "{}", ran.stdout);
    ran.saying(&["test:///nosuch.xml: vgapt: cannot connect"]);
}

#[test]
fn only_list_takes_several() {
    run(&mut vgapt(["-c", "test:///default", "-c", "test:///default", "status", "x"])).with(2).saying(&["only 'list' takes more than one"]);
    run(&mut vgapt(["-c", "test:///default", "-c", "test:///default", "list", "--usb"])).with(3).saying(&["name one host with --connect"]);
}
