//! `vgapt` and its helper program: what is said where the helper is not there, not loaded, of another
//! version, or not one that answers.

#[allow(dead_code)] // The program is copied here.
#[path = "support/command.rs"]
mod command;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use command::{Ran, Z170, run};

/// A copy of `vgapt` that has only the helper that a test gives it.
struct Installed(tempfile::TempDir);

impl Installed {
    fn new() -> Self {
        let installed = Self(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap());
        fs::hard_link(env!("CARGO_BIN_EXE_vgapt"), installed.vgapt()).unwrap();
        installed
    }

    fn vgapt(&self) -> PathBuf {
        self.0.path().join("vgapt")
    }

    /// Another process writes the script: a file that this one had open for writing could not be executed
    /// while a test beside this one starts a program, which inherits it for a moment.
    fn with_helper(script: &str) -> Self {
        let installed = Self::new();
        let helper = installed.0.path().join("vgapt-libvirt");
        let write = "printf '#!/bin/sh\\n%s\\n' \"$0\" > \"$1\" && chmod 755 \"$1\"";
        let written = Command::new("sh").args(["-c", write, script]).arg(&helper).status().unwrap();
        assert!(written.success());
        installed
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        run(command::command(self.vgapt()).args(arguments).env("VGAPT_LIBVIRT_TIMEOUT", "1"))
    }
}

/// The first line of a helper that is connected.
fn connected() -> String {
    format!(r#"echo '{{"version":"{}","connected":{{"ok":null}}}}'"#, env!("CARGO_PKG_VERSION"))
}

/// A package has `bin/vgapt`, and the helper where nobody types it.
#[test]
fn the_helper_is_found_where_packages_put_it() {
    for directory in ["bin", "libexec/vgapt", "lib/vgapt"] {
        let prefix = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        fs::create_dir(prefix.path().join("bin")).unwrap();
        fs::create_dir_all(prefix.path().join(directory)).unwrap();
        let vgapt = prefix.path().join("bin/vgapt");
        fs::hard_link(env!("CARGO_BIN_EXE_vgapt"), &vgapt).unwrap();
        let status = || run(command::command(&vgapt).args(["--connect", "test:///default", "status", "test"]));
        status().with(3).saying(&["vgapt-libvirt is missing", "/libexec/vgapt or "]);
        fs::hard_link(env!("CARGO_BIN_EXE_vgapt-libvirt"), prefix.path().join(directory).join("vgapt-libvirt")).unwrap();
        status().with(0);
    }
}

#[test]
fn without_the_helper_only_what_asks_libvirt_fails() {
    let installed = Installed::new();
    installed.run(&["status", "win10"]).with(3).saying(&["vgapt-libvirt is missing", "remedy: install both programs"]);
    installed.run(&["list", "--root", Z170]).with(0);
}

#[test]
fn a_helper_that_does_not_answer_is_named_with_the_reason() {
    let greeted = connected();
    for (script, words) in [
        ("echo 'error while loading shared libraries' >&2; exit 127", ["client library is not installed", "remedy: install libvirt"]),
        (
            "echo '{\"version\":\"0.0.1\",\"connected\":{\"ok\":null}}'; cat >/dev/null",
            ["does not have the version", "install both programs from the same build"],
        ),
        ("echo hello; cat >/dev/null", ["does not have the version", "install both programs from the same build"]),
        ("echo 'out of luck' >&2; exit 9", ["ended while connecting: exit status: 9: out of luck", ""]),
        ("kill -9 $$", ["ended while connecting: signal: 9", ""]),
        ("exec sleep 100", ["connecting took longer than 1 seconds", "remedy: check whether its daemon hangs"]),
        (&format!("{greeted}; read line; exit 9"), ["ended while reading a domain: exit status: 9", ""]),
        (&format!("{greeted}; read line; printf '{{\"ok\":'; exit 0"), ["ended while reading a domain: exit status: 0", ""]),
        (&format!("{greeted}; read line; echo nonsense; cat >/dev/null"), ["sent an answer that this vgapt cannot read", ""]),
        (&format!("{greeted}; read line; echo '{{\"ok\":[1]}}'; cat >/dev/null"), ["has an unexpected type", ""]),
        (&format!("{greeted}; exec sleep 100"), ["reading a domain took longer than 1 seconds", "libvirt may still complete the request"]),
    ] {
        let since = Instant::now();
        Installed::with_helper(script).run(&["status", "win10"]).with(3).saying(&words);
        assert!(since.elapsed() < Duration::from_secs(30), "{script}");
    }
}

#[test]
fn an_error_of_libvirt_comes_with_its_number_and_gets_its_remedy() {
    let failed = r#"echo '{"failed":{"doing":["no domain win10"],"message":"Domain not found","code":42,"domain":10}}'"#;
    let installed = Installed::with_helper(&format!("{}; read line; {failed}; cat >/dev/null", connected()));
    installed.run(&["stop", "win10"]).with(3).saying(&["no domain win10", "because: Domain not found", "remedy: see `virsh list --all`"]);
}

#[test]
fn the_helper_says_what_it_is() {
    let helper = Path::new(env!("CARGO_BIN_EXE_vgapt-libvirt"));
    run(&mut command::command(helper)).with(1).saying(&["this is a helper program of vgapt"]);
    let said = run(command::command(helper).arg("--version")).with(0).stdout;
    assert_eq!(said, format!("vgapt-libvirt {}\n", env!("CARGO_PKG_VERSION")));
}

/// The helper compares and defines in one question, and asks the schema before that: between the two, another program's
/// change would be lost.
#[test]
fn a_domain_that_was_changed_meanwhile_is_not_defined() {
    let helper = Path::new(env!("CARGO_BIN_EXE_vgapt-libvirt"));
    let ask = |questions: &[serde_json::Value]| -> Vec<serde_json::Value> {
        let text: String = questions.iter().map(|question| format!("{question}\n")).collect();
        let mut helper = command::command(helper);
        let mut child = helper.arg("test:///default").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let lines = String::from_utf8(output.stdout).unwrap();
        lines.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let xml = |mib: u64, more: &str| {
        let os = "<os><type arch='x86_64'>hvm</type></os>";
        format!("<domain type='test'><name>it</name><memory unit='MiB'>{mib}</memory>{os}{more}</domain>")
    };
    let define = |question: &str, before: Option<&str>, xml: &str| serde_json::json!({"ask": question, "arguments": ["it", before, xml]});
    let read = serde_json::json!({"ask": "domain_xml", "arguments": ["it", "Included"]});
    let ok = |answer: &str| serde_json::json!({"ok": answer});
    let said = ask(&[
        define("define", None, &xml(64, "")),
        define("define", None, &xml(65, "")),
        define("define", Some("<domain/>"), &xml(66, "")),
        define("define_unchecked", Some("<domain/>"), &xml(67, "")),
        define("define", Some("<domain/>"), &xml(68, "<nonsense/>")),
        read.clone(),
    ]);
    assert_eq!(said[..4], [ok("Yes"), ok("Changed"), ok("Changed"), ok("Changed")]);
    assert!(said[4]["ok"]["SchemaRefuses"].as_str().is_some_and(|words| words.contains("nonsense")), "{}", said[4]);
    let now = said[5]["ok"].as_str().unwrap();
    assert!(now.contains("<memory unit='KiB'>65536</memory>"), "{now}");
    let said = ask(&[define("define_unchecked", None, &xml(64, "<nonsense/>")), read]);
    assert!(said[0] == ok("Yes") && !said[1]["ok"].as_str().unwrap().contains("nonsense"), "{said:?}");
}
