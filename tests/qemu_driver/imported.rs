//! Imported scripts, and the QEMU driver: each is defined with validation, and of the guide's own
//! script each flag comes out again.

use std::fs;
use std::path::Path;

use super::command::{command, run, vgapt};
use super::guide_flags::{check, native};
use super::libvirt::{Libvirt, Version, have, skip};
use super::{DAEMON, QEMU, small_scripts};

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
    let (libvirt_is, qemu_is) = libvirt.versions();
    let refused = ran.stderr.lines().filter_map(|line| line.strip_prefix("error: Failed to define domain from "));
    let mut refused: Vec<&str> = refused.map(|path| Path::new(path).file_stem().unwrap().to_str().unwrap()).collect();
    refused.sort_unstable();
    let too_new = NEWER.iter().filter(|(_, libvirt, qemu)| *libvirt > libvirt_is || *qemu > qemu_is);
    assert_eq!(refused, too_new.map(|(script, ..)| *script).collect::<Vec<_>>(), "{}", ran.stderr);
}

#[test]
fn each_small_script_is_defined() {
    if !have("small scripts against the QEMU driver", &QEMU) {
        return;
    }
    let libvirt = Libvirt::embedded();
    let folder = tempfile::tempdir().unwrap();
    let mut commands = Vec::new();
    let all = small_scripts::all(folder.path());
    for (number, small) in all.iter().enumerate().filter(|(_, small)| !small.is_refused()) {
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
    // gives the guest the threads of the host's cores, and xHCI for -usb; the script does none of that, and
    // has no huge pages.
    let page = fs::read_to_string("docs/guide-flags.md").unwrap();
    let page = page
        .replace("\"id\":\"ua-vgapt-port-0000-01-00-0\"", "\"id\":\"pci.1\"")
        .replace("\"bus\":\"ua-vgapt-port-0000-01-00-0\"", "\"bus\":\"pci.1\"")
        .replace("…/nvram/win10_VARS.fd", "/vm/OVMF_VARS.fd")
        .replace("{\"driver\":\"qemu-xhci\"", "{\"driver\":\"ich9-usb-ehci1\"")
        .replace("…cores=2,threads=2", "…cores=4,threads=1")
        .replace(" no `/vm/OVMF_VARS.fd`", "");
    let page: String = page.lines().filter(|line| !line.contains("-mem-prealloc")).map(|line| format!("{line}\n")).collect();
    for (beginning, why) in check(&page, None, &argv, beyond) {
        skip(&format!("{beginning}… among the flags of the guide's script"), why);
    }
}
