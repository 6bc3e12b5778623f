//! What libvirt makes of a definition is what was asked for, and a damaged record is corrected as the remedy says.

use std::fs;

use super::DAEMON;
use super::command::{command, run};
use super::libvirt::{Libvirt, have};

/// What libvirt takes memory, pins and threads from in other places than the usual ones.
const CELLS: &str = "<domain type='KIND'><name>cells</name><maxMemory slots='4' unit='GiB'>8</maxMemory><memory unit='GiB'>5</memory>
  <vcpu cpuset='0-1'>4</vcpu><iothreads>2</iothreads><iothreadids><iothread id='4'/><iothread id='7'/></iothreadids>
  <os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features>
  <cpu><numa><cell id='0' cpus='0-1' memory='1' unit='GiB'/><cell id='1' cpus='2-3' memory='3' unit='GiB'/></numa></cpu>
  <devices><memory model='dimm'><target><size unit='GiB'>1</size><node>0</node></target></memory><memballoon model='none'/></devices></domain>";

fn define(libvirt: &Libvirt, xml: &str) {
    let file = libvirt.path("domain.xml");
    fs::write(&file, xml.replace("KIND", if libvirt.kvm { "kvm" } else { "qemu" })).unwrap();
    libvirt.virsh(&["define", &file]);
}

#[track_caller]
fn has(xml: &str, lines: &[&str]) {
    for line in lines {
        assert!(xml.contains(line), "no {line} in\n{xml}");
    }
}

#[test]
fn memory_of_cells_and_devices() {
    if !have("NUMA cells on the QEMU driver", &DAEMON) {
        return;
    }
    let libvirt = Libvirt::daemon();
    define(&libvirt, CELLS);
    let before = libvirt.xml("cells");
    libvirt.vgapt(&["define", "cells", "--memory", "6G", "--force"]).with(0).saying(&["'cells' was not defined by vgapt"]);
    let six = libvirt.xml("cells");
    has(&six, &["<memory unit='KiB'>6291456</memory>", "<currentMemory unit='KiB'>6291456</currentMemory>"]);
    has(&six, &["cpus='0-1' memory='1310720' unit='KiB'", "cpus='2-3' memory='3932160' unit='KiB'", "<size unit='KiB'>1048576</size>"]);
    libvirt.vgapt(&["define", "cells", "--memory", "6G", "--force"]).with(0).saying(&["already up to date"]);
    libvirt
        .vgapt(&["define", "cells", "--memory", "9G", "--force"])
        .with(1)
        .saying(&["the domain cannot have 9 GiB: its <maxMemory> is 8 GiB"]);
    libvirt.vgapt(&["define", "cells", "--cpus", "1", "--force"]).with(1).saying(&["cannot have 1 vCPUs: it has 2 NUMA cells"]);
    assert_eq!(libvirt.xml("cells"), six);

    libvirt.vgapt(&["define", "cells", "--cpus", "6"]).with(0).saying(&["the vCPU pinning was set by hand and stays as it is"]);
    let cpus = libvirt.xml("cells");
    has(&cpus, &["cpuset='0-1'>6</vcpu>", "cpus='0-2' memory=", "cpus='3-5' memory="]);
    assert!(!cpus.contains("<vcpupin"), "{cpus}");
    libvirt.vgapt(&["define", "cells", "--pin"]).with(0);
    has(&libvirt.xml("cells"), &["<vcpupin vcpu='5' ", "<iothreadpin iothread='4' ", "<iothreadpin iothread='7' "]);
    assert_ne!(before, cpus);
}

#[test]
fn a_damaged_record_is_corrected_as_the_remedy_says() {
    if !have("virsh metadata on the QEMU driver", &DAEMON) {
        return;
    }
    let libvirt = Libvirt::daemon();
    let metadata = "<metadata><vgapt:domain xmlns:vgapt='urn:vgapt:domain:1'>{damaged</vgapt:domain></metadata>";
    define(&libvirt, &CELLS.replace("</name>", &format!("</name>{metadata}")));
    let said = libvirt.vgapt(&["show", "cells"]).with(3).stderr;
    let said = said.split("to correct a damaged record: virsh ").nth(1).unwrap();
    let (correct, delete) = said.split_once("; to delete it, so that vgapt no longer knows what it changed: virsh ").unwrap();
    let words: Vec<&str> = correct.split_whitespace().collect();
    let editor = libvirt.path("editor");
    fs::write(&editor, "sed -i -e 's,{damaged,{},' \"$1\"").unwrap();
    run(command("virsh").args(["-q", "-c", &libvirt.uri]).args(&words).env("EDITOR", format!("sh {editor}"))).with(0);
    libvirt.vgapt(&["show", "cells"]).with(0);
    libvirt.virsh(&delete.lines().next().unwrap().split_whitespace().collect::<Vec<_>>());
    libvirt.vgapt(&["show", "cells"]).with(1).saying(&["'cells' is not managed by vgapt"]);
}
