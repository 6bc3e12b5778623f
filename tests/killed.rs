//! What is killed leaves nothing running, what does not answer is not waited for, and what lies in the
//! current folder is not run.

#[allow(dead_code)] // No machine is needed here.
#[path = "support/command.rs"]
mod command;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use command::{run, vgapt};

/// A daemon that takes every connection and never says a word.
fn silent(folder: &Path) -> String {
    let socket = folder.join("silent-sock");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        let mut taken = Vec::new();
        listener.incoming().for_each(|connection| taken.push(connection));
    });
    format!("qemu+unix:///system?socket={}", socket.display())
}

/// The processes in whose command line a text stands.
fn running(text: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let line = |path: &Path| Some(String::from_utf8_lossy(&fs::read(path.join("cmdline")).ok()?).replace('\0', " "));
    processes.filter_map(|process| line(&process.path())).filter(|line| line.contains(text)).collect()
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(40);
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        sleep(Duration::from_millis(50));
    }
}

/// Without the program between that ends it in time: it would be the one that is killed.
fn start(arguments: &[&str], path: Option<&Path>) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vgapt"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some(path) = path {
        command.env("PATH", format!("{}:{}", path.display(), std::env::var("PATH").unwrap()));
    }
    command.env("LIBVIRT_DEFAULT_URI", "test:///default").spawn().unwrap()
}

fn program(folder: &Path, name: &str, script: &str) {
    fs::write(folder.join(name), format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(folder.join(name), PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn a_daemon_that_never_answers_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let uri = silent(folder.path());
    for command in [["status", "win10"].as_slice(), &["list"], &["show", "win10"], &["define", "win10"]] {
        let mut vgapt = vgapt(command.iter().copied().chain(["--connect", &uri]));
        let since = Instant::now();
        let ran = run(vgapt.env("VGAPT_LIBVIRT_TIMEOUT", "1"));
        if command != ["list"] {
            ran.with(3).saying(&["libvirt does not answer: connecting took longer than 1 seconds", "remedy: ", "VGAPT_LIBVIRT_TIMEOUT"]);
        }
        assert!(since.elapsed() < Duration::from_secs(20), "{command:?}");
    }
    assert_eq!(running(&uri), [""; 0]);
}

#[test]
fn the_part_that_links_libvirt_ends_with_the_program_that_started_it() {
    let folder = tempfile::tempdir().unwrap();
    let uri = silent(folder.path());
    let mut vgapt = start(&["status", "win10", "--connect", &uri], None);
    let is_there = || running(&uri).iter().any(|line| line.contains("vgapt-libvirt"));
    until("it is started", is_there);
    vgapt.kill().unwrap();
    vgapt.wait().unwrap();
    until("it ends too", || running(&uri).is_empty());
}

#[test]
fn a_tool_ends_with_the_program_that_started_it() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("a.qcow2").display().to_string();
    fs::write(&image, "").unwrap();
    // It stays what it is, and its name is the tool's.
    program(folder.path(), "qemu-img", "while :; do sleep 0.2; done");
    let mut vgapt = start(&["disk", "info", &image], Some(folder.path()));
    let tool = folder.path().join("qemu-img").display().to_string();
    until("it is started", || running(&tool).iter().any(|line| line.contains("/bin/sh")));
    vgapt.kill().unwrap();
    vgapt.wait().unwrap();
    until("it ends too", || running(&tool).is_empty());
}

#[test]
fn what_lies_in_the_current_folder_is_not_run() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("bin")).unwrap();
    for place in ["", "bin"] {
        program(&folder.path().join(place), "qemu-img", "touch ran");
    }
    // `timeout` is found by its own path.
    for path in ["", ":", ".", "bin", ":bin:."] {
        let mut command = Command::new("/usr/bin/timeout");
        command.args(["60", env!("CARGO_BIN_EXE_vgapt"), "disk", "create", "a.qcow2", "--size", "1M"]);
        command.current_dir(&folder).env("PATH", path).env("LIBVIRT_DEFAULT_URI", "test:///default");
        run(&mut command);
        assert!(!folder.path().join("ran").exists(), "PATH={path}");
    }
}
