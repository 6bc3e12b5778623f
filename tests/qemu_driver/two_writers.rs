//! Two programs that change one domain at the same time.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::process::{Output, Stdio};

use super::command::{Z170, command, run, vgapt};
use super::libvirt::{Libvirt, have};
use super::{DAEMON, words};

const ROUNDS: u32 = 8;
const MEANWHILE: &str = "in the meantime; nothing was defined";

fn started(libvirt: &Libvirt, arguments: &[&str]) -> std::process::Child {
    let mut define = vgapt(["--root", Z170, "-c", &libvirt.uri].iter().chain(arguments));
    define.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// One waits for the other; where no lock can be had, one is refused, and its user runs it again.
#[test]
fn two_runs_of_vgapt_lose_nothing() {
    if !have("two runs of vgapt", &DAEMON) {
        return;
    }
    let libvirt = Libvirt::daemon();
    libvirt.define_new(&words("both --memory 2G --cpus 2 --no-pin", &[])).with(0);
    for round in 1..=ROUNDS {
        let (memory, cpus) = (format!("{}M", 1024 + round), (1 + round % 4).to_string());
        let asked = [["define", "both", "--memory", &memory], ["define", "both", "--cpus", &cpus]];
        let both = asked.map(|asked| (started(&libvirt, &asked), asked));
        for (child, asked) in both {
            let output = child.wait_with_output().unwrap();
            if output.status.code() != Some(0) {
                assert!(said(&output).contains(MEANWHILE), "{}", said(&output));
                libvirt.vgapt(&asked).with(0);
            }
        }
        let xml = libvirt.xml("both");
        let memory = format!("<memory unit='KiB'>{}</memory>", (1024 + round) << 10);
        assert!(xml.contains(&memory) && xml.contains(&format!(">{cpus}</vcpu>")), "round {round}: no {memory} or {cpus} in {xml}");
    }
}

/// A file of options that comes late holds vgapt between reading the domain and defining it.
#[test]
fn what_another_program_changes_meanwhile_is_not_lost() {
    if !have("a change by virsh meanwhile", &DAEMON) {
        return;
    }
    let libvirt = Libvirt::daemon();
    libvirt.define_new(&words("slow --memory 2G --cpus 2 --no-pin", &[])).with(0);
    let late = libvirt.path("late.toml");
    run(command("mkfifo").arg(&late)).with(0);
    let change = |by: &dyn Fn()| {
        let child = started(&libvirt, &["define", "slow", "-f", &late]);
        // Open at both ends: the domain has been read.
        let mut options = OpenOptions::new().write(true).open(&late).unwrap();
        by();
        options.write_all(b"memory = \"3G\"\n").unwrap();
        drop(options);
        child.wait_with_output().unwrap()
    };
    let output = change(&|| drop(libvirt.virsh(&["desc", "slow", "--config", "mine"])));
    assert!(output.status.code() == Some(3) && said(&output).contains(MEANWHILE), "{}", said(&output));
    let xml = libvirt.xml("slow");
    assert!(xml.contains("<description>mine</description>") && xml.contains(">2097152</memory>"), "{xml}");
    let output = change(&|| drop(libvirt.virsh(&["undefine", "--nvram", "slow"])));
    assert!(output.status.code() == Some(3) && said(&output).contains(MEANWHILE), "{}", said(&output));
    // One that comes into being meanwhile is not overwritten either.
    let file = libvirt.path("slow.xml");
    fs::write(&file, &xml).unwrap();
    let output = change(&|| drop(libvirt.virsh(&["define", &file])));
    assert!(output.status.code() == Some(3) && said(&output).contains(MEANWHILE), "{}", said(&output));
    // Nobody else: it goes on.
    let output = change(&|| ());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let xml = libvirt.xml("slow");
    assert!(xml.contains("<description>mine</description>") && xml.contains(">3145728</memory>"), "{xml}");
}

/// A swap defines the domain too, and waits for its turn.
#[test]
fn a_swap_waits_for_another_vgapt() {
    if !have("two runs of vgapt", &[&DAEMON[..], &["qemu-img"]].concat()) {
        return;
    }
    let libvirt = Libvirt::daemon();
    let (base, overlay, late) = (libvirt.path("base.qcow2"), libvirt.path("over.qcow2"), libvirt.path("late.toml"));
    run(command("qemu-img").args(["create", "-q", "-f", "qcow2", &base, "1G"])).with(0);
    run(command("qemu-img").args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", &base, &overlay])).with(0);
    libvirt.define_new(&words("turns --memory 2G --cpus 2 --no-pin --disk", &[&base])).with(0);
    run(command("mkfifo").arg(&late)).with(0);
    let define = started(&libvirt, &["define", "turns", "-f", &late]);
    let mut options = OpenOptions::new().write(true).open(&late).unwrap();
    let mut swap = started(&libvirt, &["disk", "swap", "turns", &overlay]);
    std::thread::sleep(std::time::Duration::from_secs(5));
    assert!(swap.try_wait().unwrap().is_none(), "it did not wait");
    options.write_all(b"memory = \"3G\"\n").unwrap();
    drop(options);
    for child in [define, swap] {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    }
    let xml = libvirt.xml("turns");
    assert!(xml.contains(">3145728</memory>") && xml.contains(&format!("<source file='{overlay}'/>")), "{xml}");
}
