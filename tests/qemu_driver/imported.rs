//! Imported scripts, and the QEMU driver: each is defined with validation, and of the guide's own
//! script each flag comes out again.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::command::{command, run, vgapt};
use super::guide_flags::{check, native};
use super::libvirt::{Libvirt, Version, have, skip};
use super::small_scripts::{self, Small};
use super::{DAEMON, QEMU};

const GIVEN: &str = "QEMU_BINARY=qemu-system-x86_64 VGAPT_FIRMWARE_BIN=/vm/OVMF_CODE.fd VGAPT_FIRMWARE_VARS_TMP=/vm/OVMF_VARS.fd
    CORES_NUMBER=4 VGAPT_MEMORY=8192 VGAPT_KEYBOARD_ID=046d:c31c VGAPT_MOUSE_ID=046d:c077 VGAPT_VGA_BUS=01:00.0
    VGAPT_VGA_AUDIO_BUS=01:00.1 VGAPT_DISK_IMAGE=/vm/win10.qcow2 VGAPT_VIRTIO_DRIVERS_CD=/vm/virtio-win.iso VM_SHARED_FOLDERS=/srv";

/// Scripts that need a newer libvirt or QEMU than Debian 12 has: a machine type, a format of the
/// firmware's image (libvirt 9.2), a limit of addresses (libvirt 9.3).
const NEWER: [(&str, Version, Version); 4] = [
    ("04-evdev-pulseaudio", (0, 0), (8, 2)),
    ("07-blockdev-json", (0, 0), (9, 2)),
    ("13-numa-hugepages-1g", (9, 3), (0, 0)),
    ("14-smbios-identity", (9, 2), (0, 0)),
];
/// The same of small scripts, by what they have in them: a backend of sound.
const NEWER_OPTIONS: [(&str, Version, Version); 1] = [("driver=pipewire", (9, 10), (8, 1))];

fn imported(libvirt: &Libvirt, script: &Path) -> String {
    let mut import = vgapt(["import", "--print-xml"]);
    import.arg(script).args(GIVEN.split_whitespace().flat_map(|given| ["--set", given]));
    import.args(["--set", "cat /sys/class/net/macvtap0/address=52:54:00:00:00:16", "--set", "cat /sys/class/net/macvtap0/ifindex=7"]);
    let xml = run(&mut import).with(0).stdout;
    if libvirt.kvm { xml } else { xml.replace("<domain type='kvm'", "<domain type='qemu'") }
}

#[test]
fn each_script_is_defined() {
    if !have("imported scripts against the QEMU driver", &QEMU) {
        return;
    }
    let libvirt = Libvirt::embedded();
    let mut commands = Vec::new();
    for entry in fs::read_dir("fixtures/scripts").unwrap() {
        let script = entry.unwrap().path();
        if script.extension().is_none_or(|ending| ending != "sh") {
            continue;
        }
        let name = script.file_stem().unwrap().to_string_lossy().into_owned();
        let mut xml = imported(&libvirt, &script);
        if name.starts_with("18-") && !Path::new("/usr/libexec/qemu-kvm").exists() {
            xml = xml.replace("<emulator>/usr/libexec/qemu-kvm</emulator>", "");
        }
        if name.starts_with("08-") && !have("an emulated TPM", &["swtpm_setup"]) {
            continue;
        }
        let file = libvirt.path(&format!("{name}.xml"));
        fs::write(&file, xml).unwrap();
        commands.push(format!("define --validate {file}"));
    }
    assert!(commands.len() >= 20, "{commands:?}");
    let ran = run(command("virsh").args(["-q", "-c", &libvirt.uri, &commands.join("; ")]));
    let refused = ran.stderr.lines().filter_map(|line| line.strip_prefix("error: Failed to define domain from "));
    let mut refused: Vec<&str> = refused.map(|path| Path::new(path).file_stem().unwrap().to_str().unwrap()).collect();
    refused.sort_unstable();
    assert_eq!(refused, too_new(&libvirt, &NEWER), "{}", ran.stderr);
}

/// What needs a newer libvirt or QEMU than these.
fn too_new(libvirt: &Libvirt, newer: &[(&'static str, Version, Version)]) -> Vec<&'static str> {
    let (libvirt_is, qemu_is) = libvirt.versions();
    newer.iter().filter(|(_, libvirt, qemu)| *libvirt > libvirt_is || *qemu > qemu_is).map(|(script, ..)| *script).collect()
}

/// The small scripts that this libvirt can define, with their numbers.
fn small_scripts(libvirt: &Libvirt, folder: &Path) -> Vec<(usize, Small)> {
    let too_new = too_new(libvirt, &NEWER_OPTIONS);
    let can_be = |small: &Small| !small.is_refused() && !too_new.iter().any(|option| small.script.contains(option));
    small_scripts::all(folder).into_iter().enumerate().filter(|(_, small)| can_be(small)).collect()
}

#[test]
fn each_small_script_is_defined() {
    if !have("small scripts against the QEMU driver", &QEMU) {
        return;
    }
    let libvirt = Libvirt::embedded();
    let folder = tempfile::tempdir().unwrap();
    let mut commands = Vec::new();
    for (number, small) in small_scripts(&libvirt, folder.path()) {
        let file = libvirt.path(&format!("small-{number}.xml"));
        fs::write(&file, imported(&libvirt, &folder.path().join(format!("small-{number}.sh")))).unwrap();
        commands.push(format!("define --validate {file}"));
        assert!(!small.right.is_empty(), "{}", small.script);
    }
    let ran = run(command("virsh").args(["-q", "-c", &libvirt.uri, &commands.join("; ")]));
    assert_eq!(ran.stderr.trim(), "", "{commands:?}");
}

#[test]
fn features_of_processors_are_called_as_libvirt_calls_them() {
    let map = Path::new("/usr/share/libvirt/cpu_map/x86_features.xml");
    if !have("features of processors", &["qemu-system-x86_64"]) || !map.exists() {
        return skip("features of processors", "libvirt's map of them is not here");
    }
    let map = fs::read_to_string(map).unwrap();
    let help = run(command("qemu-system-x86_64").args(["-cpu", "help"])).with(0).stdout;
    let (_, features) = help.split_once("Recognized CPUID flags:").unwrap();
    let features: Vec<String> = features.split_whitespace().map(|feature| format!("+{feature}")).collect();
    assert!(features.len() > 200, "{help}");
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("start.sh");
    fs::write(&script, format!("qemu-system-x86_64 -enable-kvm -m 256 -cpu host,{}\n", features.join(","))).unwrap();
    let mut import = vgapt(["import", "--print-xml"]);
    let xml = run(import.arg(&script)).with(0).stdout;
    let names = xml.lines().filter_map(|line| line.trim().strip_prefix("<feature policy='require' name='")?.strip_suffix("'/>"));
    let names: Vec<&str> = names.collect();
    assert!(names.len() > 40, "{xml}");
    let unknown: Vec<&&str> = names.iter().filter(|name| !map.contains(&format!("<feature name='{name}'"))).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn the_guides_own_script() {
    if !have("the guide's script against domxml-to-native", &DAEMON) {
        return;
    }
    let libvirt = Libvirt::daemon();
    let file = libvirt.path("guide.xml");
    fs::write(&file, imported(&libvirt, Path::new("fixtures/scripts/00-guide.sh"))).unwrap();
    libvirt.virsh(&["define", "--validate", &file]);
    let (argv, beyond) = native(&libvirt, &libvirt.xml("00-guide"));
    // The page is of `define`, which names its ports and copies the variables of the firmware, and
    // gives the guest the threads of the host's cores, without retries of spinlocks, and xHCI for -usb; the script does none
    // of that, and has no huge pages.
    let page = fs::read_to_string("docs/guide-flags.md").unwrap();
    let page = page
        .replace("\"id\":\"ua-vgapt-port-0000-01-00-0\"", "\"id\":\"pci.1\"")
        .replace("\"bus\":\"ua-vgapt-port-0000-01-00-0\"", "\"bus\":\"pci.1\"")
        .replace("…/nvram/win10_VARS.fd", "/vm/OVMF_VARS.fd")
        .replace("{\"driver\":\"qemu-xhci\"", "{\"driver\":\"ich9-usb-ehci1\"")
        .replace("…cores=2,threads=2", "…cores=4,threads=1")
        .replace(" no `hv-spinlocks`", " `-cpu …,hv-spinlocks=0x1fff,…`")
        .replace(" no `/vm/OVMF_VARS.fd`", "");
    let page: String = page.lines().filter(|line| !line.contains("-mem-prealloc")).map(|line| format!("{line}\n")).collect();
    for (beginning, why) in check(&page, None, &argv, beyond) {
        skip(&format!("{beginning}… among the flags of the guide's script"), why);
    }
}

/// What the comparison of each script with libvirt's command line finds, and what libvirt refuses.
fn compared(libvirt: &Libvirt, script: &Path) -> (Value, Vec<String>) {
    let mut import = vgapt(["import", "--json", "-c", &libvirt.uri]);
    import.arg(script).args(GIVEN.split_whitespace().flat_map(|given| ["--set", given]));
    import.args(["--set", "cat /sys/class/net/macvtap0/address=52:54:00:00:00:16", "--set", "cat /sys/class/net/macvtap0/ifindex=7"]);
    let ran = run(&mut import);
    let json: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}", ran.stderr));
    let refused = json["findings"].as_array().into_iter().flatten().filter(|finding| finding["code"] == "libvirt-refuses");
    (json["comparison"].clone(), refused.map(|finding| finding["message"].as_str().unwrap_or_default().to_owned()).collect())
}

/// What a machine of the tests does not have: libvirt then makes no command line, and says so.
const NOT_HERE: [&str; 9] = [
    "hugetlbfs",
    "/dev/tpm0",
    "/dev/dri",
    "NUMA node",
    "/usr/libexec/qemu-kvm",
    "KVM is not available",
    "swtpm",
    "TSC frequency",
    "Emulator '/usr/bin/qemu-system-x86_64' does not support machine type",
];

#[test]
fn no_difference_to_libvirts_command_line_is_silent() {
    if !have("imported scripts against libvirt's command line", &DAEMON) {
        return;
    }
    // One that answers for all scripts: an embedded driver starts anew with each.
    let libvirt = Libvirt::daemon();
    let folder = tempfile::tempdir().unwrap();
    let small = small_scripts(&libvirt, folder.path());
    let too_new = too_new(&libvirt, &NEWER);
    let mut scripts: Vec<_> = fs::read_dir("fixtures/scripts").unwrap().map(|entry| entry.unwrap().path()).collect();
    scripts.retain(|path| {
        path.extension().is_some_and(|ending| ending == "sh") && !too_new.iter().any(|name| path.ends_with(format!("{name}.sh")))
    });
    scripts.extend(small.iter().map(|(number, _)| folder.path().join(format!("small-{number}.sh"))));
    let (mut wrong, mut same, mut not_here) = (Vec::new(), 0, 0);
    for script in &scripts {
        let (comparison, refused) = compared(&libvirt, script);
        let said = || format!("{}: {refused:?} {}", script.display(), fs::read_to_string(script).unwrap());
        if refused.iter().any(|why| NOT_HERE.iter().any(|what| why.contains(what))) {
            not_here += 1;
            continue;
        }
        if !refused.is_empty() || comparison.is_null() || comparison["silent"].as_array().is_none_or(|silent| !silent.is_empty()) {
            wrong.push(format!("{}\n{}", said(), comparison["silent"]));
        }
        same += comparison["same"].as_array().map_or(0, Vec::len);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // An older libvirt leaves more of what it adds to be named.
    assert!(same > 250 && not_here < 12, "{same} options are the same, {not_here} scripts need what is not here");
}

#[test]
fn what_libvirt_refuses_is_said_with_the_line() {
    if !have("a refused option against the QEMU driver", &QEMU) {
        return;
    }
    let libvirt = Libvirt::embedded();
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("start.sh");
    fs::write(&script, "#!/bin/sh\n\nqemu-system-x86_64 -m 256 -nodefaults -M q35 -smp 2 -cpu nosuchmodel\n").unwrap();
    let (_, refused) = compared(&libvirt, &script);
    assert!(refused.len() == 1 && refused[0].starts_with("line 3: -cpu nosuchmodel: "), "{refused:?}");
}

#[test]
fn a_qemu_that_runs_is_imported() {
    if !have("a QEMU that runs", &QEMU) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a b.img"), [0; 4096]).unwrap();
    let name = format!("vgapt-test-{}", std::process::id());
    let mut qemu = std::process::Command::new("qemu-system-x86_64")
        .args([
            "-name",
            &name,
            "-machine",
            "q35",
            "-m",
            "64",
            "-nodefaults",
            "-display",
            "none",
            "-S",
            "-drive",
            "file=a b.img,format=raw,if=virtio",
        ])
        .current_dir(folder.path())
        .spawn()
        .unwrap();
    let read = || run(&mut vgapt(["import", "--print-xml", "--running", &name]));
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let mut ran = read();
    while ran.stdout.is_empty() && std::time::Instant::now() < deadline {
        ran = read();
    }
    qemu.kill().unwrap();
    qemu.wait().unwrap();
    assert!(ran.stdout.contains(&format!("<source file='{}/a b.img'/>", folder.path().display())), "{}{}", ran.stderr, ran.stdout);
    assert!(ran.stdout.contains(&format!("<name>{name}</name>")), "{}", ran.stdout);
}

#[test]
fn what_qemu_gets_as_it_is_finds_libvirts_controllers() {
    if !have("devices on libvirt's controllers", &["qemu-system-x86_64"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("start.sh");
    fs::write(
        &script,
        "qemu-system-x86_64 -M q35 -m 256 -vga none -nodefaults -device qemu-xhci,id=x -device usb-bot,id=b,bus=x.0 \
         -drive file=null-co://,if=none,format=raw,id=a -device scsi-hd,bus=b.0,drive=a,logical_block_size=4096,physical_block_size=4096,serial=12 \
         -device virtio-serial-pci -chardev ringbuf,id=r -device virtserialport,chardev=r,name=a\n",
    )
    .unwrap();
    let mut import = vgapt(["import", "--print-xml"]);
    let xml = run(import.arg(&script)).with(0).stdout;
    let kept = xml.lines().filter_map(|line| line.trim().strip_prefix("<qemu:arg value='")?.strip_suffix("'/>"));
    let kept: Vec<String> = kept.map(|word| word.replace("&quot;", "\"").replace("&amp;", "&")).collect();
    assert!(kept.iter().filter(|word| *word == "-device").count() == 3, "{xml}");
    // As libvirt writes its own.
    let own = [r#"{"driver":"qemu-xhci","id":"usb"}"#, r#"{"driver":"virtio-serial-pci","id":"virtio-serial0"}"#];
    let mut qemu = std::process::Command::new("qemu-system-x86_64")
        .args(["-machine", "q35,accel=tcg", "-nodefaults", "-display", "none", "-S", "-monitor", "stdio"])
        .args(own.iter().flat_map(|device| ["-device", device]))
        .args(&kept)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut qemu.stdin.take().unwrap(), b"quit\n").unwrap_or_default();
    let ended = qemu.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}\n{kept:?}", String::from_utf8_lossy(&ended.stderr));
}
