//! The window that shows the guest on the host: libvirt takes it, QEMU would be told of it, and it goes without a trace.

use std::fs;

use super::DAEMON;
use super::command::{Z170, run, vgapt};
use super::guide_flags::native;
use super::libvirt::{Libvirt, have};
use super::lines::changes;

/// Lines of the PCI ports and bridges that libvirt adds for devices, and keeps after them.
const PORTS: [&str; 4] = ["<controller type='pci'", "<model name='pcie-", "<target chassis=", "</controller>"];

/// The lines that came and went, but for the places that libvirt found for devices.
fn seen(before: &str, after: &str) -> (Vec<String>, Vec<String>) {
    let (mut gone, mut come) = changes(before, after);
    for lines in [&mut gone, &mut come] {
        lines.retain(|line| !line.starts_with("<address ") && !PORTS.iter().any(|port| line.starts_with(port)));
    }
    (gone, come)
}

#[test]
fn a_window_on_this_host_comes_and_goes() {
    if !have("a window on the QEMU driver", &DAEMON) {
        return;
    }
    let libvirt = Libvirt::daemon();
    libvirt.define_new(&["win10", "--gpu", "01:00.0", "--memory", "2G", "--cpus", "4", "--disk", "/vm/a.qcow2", "--force"]).with(0);
    let without = libvirt.xml("win10");
    // libvirt writes the port of VNC that is chosen at the start.
    for (kind, agents, port) in [("spice", 1, ""), ("vnc", 0, "port='-1' ")] {
        libvirt.vgapt(&["define", "win10", "--display", kind]).with(0);
        let with = libvirt.xml("win10");
        let graphics = format!("<graphics type='{kind}' {port}autoport='yes' listen='127.0.0.1'>");
        for line in [graphics.as_str(), "<model type='vga' ", "<alias name='ua-vgapt-video'/>", "<input type='tablet' bus='usb'>"] {
            assert!(with.contains(line), "no {line} in\n{with}");
        }
        assert_eq!((with.matches("<channel type='spicevmc'>").count(), with.matches("<graphics ").count()), (agents, 1), "{with}");
        libvirt.vgapt(&["define", "win10", "--display", kind]).with(0).saying(&["already up to date"]);
        let argv = native(&libvirt, &with).0;
        let has = |words: &str| argv.iter().any(|option| option.contains(words));
        assert!(has("\"driver\":\"VGA\"") && has("\"driver\":\"usb-tablet\"") && has("127.0.0.1"), "{argv:#?}");
        assert!(argv.iter().any(|option| option.starts_with(&format!("-{kind} "))), "{argv:#?}");
        libvirt.vgapt(&["define", "win10", "--display", "none"]).with(0);
        assert_eq!(seen(&without, &libvirt.xml("win10")), (vec![], vec![]), "after {kind}");
    }
}

/// To a domain that is new with SPICE, libvirt adds SPICE's sound.
#[test]
fn a_new_domain_can_lose_its_window() {
    if !have("a window on the QEMU driver", &DAEMON) {
        return;
    }
    let libvirt = Libvirt::daemon();
    let new = ["--gpu", "01:00.0", "--memory", "2G", "--cpus", "4", "--disk", "/vm/a.qcow2", "--force"];
    for (name, with, without) in [
        ("a", ["--display", "spice"], &["--display", "none"][..]),
        ("b", ["--display", "spice"], &["--display", "vnc"]),
        ("c", ["--looking-glass", "1920x1080"], &["--no-looking-glass"]),
    ] {
        libvirt.define_new(&[&[name], &new[..], &with].concat()).with(0);
        assert!(libvirt.xml(name).contains("<audio id='1' type='spice'/>"), "{}", libvirt.xml(name));
        libvirt.vgapt(&[&["define", name], without].concat()).with(0);
        assert!(libvirt.xml(name).contains("<audio id='1' type='none'/>"), "{}", libvirt.xml(name));
    }
}

#[test]
fn looking_glass_brings_the_input_that_it_needs() {
    if !have("Looking Glass on the QEMU driver", &DAEMON) {
        return;
    }
    let libvirt = Libvirt::daemon();
    let card = ["win10", "--gpu", "01:00.0", "--memory", "2G", "--cpus", "4", "--disk", "/vm/a.qcow2", "--force"];
    libvirt.define_new(&card).with(0);
    let without = libvirt.xml("win10");
    libvirt.vgapt(&["define", "win10", "--looking-glass", "1920x1080"]).with(0);
    let with = libvirt.xml("win10");
    for line in [
        "<graphics type='spice' ",
        "<input type='mouse' bus='virtio'>",
        "<input type='keyboard' bus='virtio'>",
        "<channel type='spicevmc'>",
    ] {
        assert!(with.contains(line), "no {line} in\n{with}");
    }
    assert!(!with.contains("type='tablet'"), "{with}");
    let argv = native(&libvirt, &with).0;
    assert!(argv.iter().any(|option| option.contains("virtio-mouse-pci")), "{argv:#?}");
    libvirt.vgapt(&["define", "win10", "--no-looking-glass"]).with(0);
    assert_eq!(seen(&without, &libvirt.xml("win10")), (vec![], vec![]));
    // Without the window: its user has other input.
    libvirt.vgapt(&["define", "win10", "--looking-glass", "1920x1080", "--display", "none"]).with(0);
    assert!(!libvirt.xml("win10").contains("<graphics"), "{}", libvirt.xml("win10"));
}

/// libvirt keeps the options and their namespace, and would hand them to QEMU.
#[test]
fn looking_glass_in_its_kernel_module() {
    if !have("Looking Glass's module on the QEMU driver", &DAEMON) {
        return;
    }
    let libvirt = Libvirt::daemon();
    libvirt.define_new(&["win10", "--memory", "2G", "--cpus", "4", "--disk", "/vm/a.qcow2", "--display", "spice", "--force"]).with(0);
    let without = libvirt.xml("win10");
    let machine = libvirt.path("machine.host");
    let module = "\n[/dev]\nkvmfr0 0666 ? 0\n[/etc]\npasswd = libvirt-qemu:x:64055:108::/:/bin/false\n[/etc/modprobe.d]\nx.conf = options kvmfr static_size_mb=64\n\
                  [/etc/libvirt]\nqemu.conf = cgroup_device_acl = [ \"/dev/null\", \"/dev/kvmfr0\" ]\n";
    fs::write(&machine, fs::read_to_string(Z170).expect("a recorded machine") + module).expect("own folder");
    let define =
        |arguments: &[&str]| run(&mut vgapt([&["--root", &machine, "-c", &libvirt.uri, "define", "win10"], arguments].concat())).with(0);
    let screen = ["--looking-glass", "2560x1440"];
    define(&screen).saying(&["of the same version as the client on this host"]);
    let with = libvirt.xml("win10");
    assert!(with.contains("<qemu:commandline>") && with.contains("kvmfr0") && !with.contains("<shmem"), "{with}");
    define(&screen).saying(&["already up to date"]);
    let argv = native(&libvirt, &with).0;
    let has = |words: &str| argv.iter().any(|option| option.contains(words));
    assert!(has("\"mem-path\":\"/dev/kvmfr0\",\"size\":67108864") && has("\"driver\":\"ivshmem-plain\""), "{argv:#?}");
    define(&["--no-looking-glass"]);
    let (gone, come) = seen(&without, &libvirt.xml("win10"));
    let rest: Vec<&String> =
        gone.iter().chain(&come).filter(|line| !line.contains("xmlns:qemu") && !line.starts_with("<domain ")).collect();
    assert!(rest.is_empty(), "{rest:#?}");
}
