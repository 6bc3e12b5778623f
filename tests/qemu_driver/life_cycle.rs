//! A real start, with no device of the host's.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use super::DAEMON;
use super::command::{run, vgapt};
use super::libvirt::{Libvirt, have};

#[test]
fn life_cycle() {
    if !have("a real start", &DAEMON) {
        return;
    }
    let libvirt = Libvirt::daemon();
    let template = libvirt.path("plain.xml");
    // What starts anywhere: no KVM, a processor that needs none, no firmware that needs a file of this distribution.
    let own = include_str!("../../templates/linux.xml")
        .replace("type='kvm'", "type='qemu'")
        .replace("mode='host-passthrough' check='none'", "mode='custom'");
    let own = own.replace("<topology", "<model>qemu64</model><topology");
    fs::write(&template, own).unwrap();
    for image in ["CODE.fd", "VARS.fd"] {
        fs::File::create(libvirt.path(image)).unwrap().set_len(4 << 20).unwrap();
    }
    let (code, vars) = (libvirt.path("CODE.fd"), libvirt.path("VARS.fd"));
    libvirt
        .vgapt(&[
            "define",
            "plain",
            "--template",
            &template,
            "--memory",
            "64M",
            "--cpus",
            "1",
            "--loader",
            &code,
            "--nvram-template",
            &vars,
            "--autostart",
        ])
        .with(0)
        .saying(&["'plain' starts with the host"]);
    autostart(&libvirt);
    libvirt.vgapt(&["start", "plain", "--paused"]).with(0).saying(&["'plain' is started and paused"]);
    assert!(libvirt.vgapt(&["status", "plain"]).with(0).stdout.contains("plain: paused"));
    let pid = qemu(&libvirt);
    let argv = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap().replace('\0', " ");
    assert!(
        argv.contains("-netdev {\"type\":\"user\",\"id\":\"hostua-vgapt-net-user\"}")
            && argv.contains("plain_VARS.fd")
            && !argv.contains(&vars),
        "{argv}"
    );

    libvirt.vgapt(&["start", "plain"]).with(1).saying(&["'plain' is paused, so it cannot be started", "resume plain"]);
    libvirt.vgapt(&["undefine", "plain"]).with(1).saying(&["'plain' is running", "vgapt stop plain"]);
    // Changed while it runs: from the next start on.
    libvirt.vgapt(&["define", "plain", "--memory", "96M"]).with(0);
    assert!(libvirt.xml("plain").contains("<memory unit='KiB'>98304</memory>"));
    // Nothing in it could answer.
    libvirt.virsh(&["resume", "plain"]);
    libvirt.vgapt(&["stop", "plain", "--timeout", "1"]).with(3).saying(&["vgapt stop --force plain"]);
    libvirt.vgapt(&["stop", "plain", "--force"]).with(0);
    libvirt.vgapt(&["stop", "plain"]).with(0).saying(&["'plain' is off"]);
    assert!(libvirt.vgapt(&["status", "plain"]).with(0).stdout.contains("plain: shut off"));
    // It has an agent's channel, and nothing in the guest that could answer.
    libvirt
        .vgapt(&["start", "plain", "--wait", "--timeout", "2"])
        .with(4)
        .saying(&["'plain' is running, but its guest is not up after 2 s"]);
    libvirt.vgapt(&["stop", "plain", "--force"]).with(0);
    // Ctrl-C ends the wait, not the guest.
    let mut child = vgapt(["-c", &libvirt.uri, "start", "plain", "--wait"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut notes = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(notes.any(|line| line == "waiting for the guest"));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let rest: Vec<String> = notes.collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
    assert!(rest.iter().any(|line| line.contains("'plain' keeps running")), "{rest:?}");
    assert!(libvirt.vgapt(&["status", "plain"]).with(0).stdout.contains("plain: running"));
    libvirt.vgapt(&["stop", "plain", "--force"]).with(0);
    // What makes a start fail is said at once, as `why` would; of this host's logs none is of this libvirt.
    fs::rename(&code, libvirt.path("moved.fd")).unwrap();
    run(&mut vgapt(["-c", &libvirt.uri, "start", "plain"])).with(3).saying(&[
        "plain: the start of ",
        " failed",
        &format!("cause: the file {code} does not exist"),
        "libvirt answered: ",
        "remedy: ",
    ]);
    // The copy of the variables goes with it, or this would be refused.
    libvirt.vgapt(&["undefine", "plain"]).with(0);
    assert_eq!(libvirt.virsh(&["list", "--all", "--name"]).stdout.trim(), "");
}

/// It is libvirt's to keep, whatever else is defined; only who asks for it changes it.
fn autostart(libvirt: &Libvirt) {
    let is_on = || libvirt.virsh(&["dominfo", "plain"]).stdout.contains("Autostart:      enable");
    assert!(is_on() && libvirt.vgapt(&["status", "plain"]).with(0).stdout.starts_with("plain: shut off, starts with the host\n"));
    let shown = libvirt.vgapt(&["show", "plain"]).with(0).stdout;
    assert!(shown.contains("\n# starts with the host\n") && shown.contains("autostart = true"), "{shown}");
    libvirt.vgapt(&["define", "plain", "--memory", "72M"]).with(0);
    assert!(is_on());
    let file = libvirt.path("plain.toml");
    fs::write(&file, "autostart = false\n").unwrap();
    libvirt.vgapt(&["define", "plain", "-f", &file, "--dry-run"]).with(0);
    assert!(is_on());
    libvirt.vgapt(&["define", "plain", "-f", &file]).with(0).saying(&["no longer starts with the host"]);
    assert!(!is_on());
    // Somebody else's word, against which nothing is asked.
    libvirt.virsh(&["autostart", "plain"]);
    libvirt.vgapt(&["define", "plain", "--memory", "64M"]).with(0);
    assert!(is_on());
    libvirt.vgapt(&["define", "plain", "--no-autostart"]).with(0).saying(&["no longer starts with the host"]);
    let json: serde_json::Value = serde_json::from_str(&libvirt.vgapt(&["--json", "show", "plain"]).with(0).stdout).unwrap();
    assert_eq!((json["autostart"].as_bool(), json["request"]["autostart"].as_bool()), (Some(false), Some(false)));
}

/// The process of the one domain.
fn qemu(libvirt: &Libvirt) -> String {
    let name = |entry: &Path| fs::read_to_string(entry.join("cmdline")).unwrap_or_default();
    let uuid = libvirt.virsh(&["domuuid", "plain"]).stdout.trim().to_owned();
    let mut processes = fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    let own = processes.find(|entry| name(entry).contains(&format!("-uuid\0{uuid}"))).expect("a QEMU process");
    own.file_name().unwrap().to_string_lossy().into_owned()
}
