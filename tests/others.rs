//! What others have set up on a host, and what `vgapt prepare` and `vgapt check` make of it.

#[path = "support/command.rs"]
#[expect(dead_code, reason = "every machine here is named")]
mod command;
#[path = "support/edit.rs"]
mod edit;
#[path = "support/on.rs"]
mod on;
#[path = "support/tree.rs"]
#[expect(dead_code, reason = "trees are not compared here")]
mod tree;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use edit::edit;
use on::{on, put};
use tempfile::TempDir;
use tree::distribution;

const CARD: [&str; 4] = ["prepare", "--gpu", "01:00.0", "--dry-run"];
const DISPLAY: &str = "sys/bus/pci/devices/0000:00:02.0";
const GUESTS: &str = "sys/bus/pci/devices/0000:01:00.0";

/// The function as this driver has it; none, where it is empty.
fn bind(root: &Path, function: &str, driver: &str) {
    let driver = if driver.is_empty() { String::new() } else { format!("DRIVER={driver}\n") };
    edit(root, &format!("{function}/uevent"), |text| {
        let rest: String = text.lines().filter(|line| !line.starts_with("DRIVER=")).map(|line| format!("{line}\n")).collect();
        format!("{driver}{rest}")
    });
}

/// The same card a second time, for the guest: an id takes both.
fn twin(root: &Path) {
    let home = "sys/bus/pci/devices/0000:05:00.0";
    let text = fs::read_to_string(root.join(GUESTS).join("uevent")).unwrap();
    put(root, &format!("{home}/uevent"), &text.replace("0000:01:00.0", "0000:05:00.0"));
}

#[test]
fn ids_that_take_a_display_of_the_host_are_not_recommended() {
    let debian = || distribution("debian13-grub-initramfs-tools");
    let by_address =
        "for at in 0000:01:00.0 0000:01:00.1; do echo vfio-pci > /sys/bus/pci/devices/$at/driver_override; done; modprobe -i vfio-pci";
    for (release, lines) in [
        ("ID=nixos\n", "\n    boot.initrd.preDeviceCommands = ''"),
        ("ID=steamos\n", "would also take 05:00.0, which stays with the host"),
        ("ID=guix\n", "would also take 05:00.0, which stays with the host"),
    ] {
        let root = debian();
        put(root.path(), "etc/os-release", release);
        on(root.path(), &CARD).with(1).saying(&["ids=10de:1c03,10de:10f1"]);
        twin(root.path());
        let said = on(root.path(), &CARD).with(1).saying(&[lines, by_address]);
        assert!(!said.stderr.contains("options vfio-pci ids=") && !said.stderr.contains("\"vfio-pci.ids="), "{}", said.stderr);
    }
}

/// The host's picture comes from the guest's card, since the driver of the other display is kept out.
#[test]
fn a_display_whose_driver_is_kept_out_shows_nothing() {
    let root = distribution("debian13-grub-initramfs-tools");
    let root = root.path();
    on(root, &CARD).with(0);
    bind(root, DISPLAY, "");
    put(root, &format!("{DISPLAY}/boot_vga"), "0\n");
    put(root, &format!("{GUESTS}/boot_vga"), "1\n");
    put(root, "etc/modprobe.d/igpu.conf", "# one card\nblacklist i915\n");
    let remedy = "remove `blacklist i915` from /etc/modprobe.d/igpu.conf, line 2";
    let at_boot = [&CARD[..], &["--bind", "boot"]].concat();
    on(root, &at_boot).with(1).saying(&["blocked: without 01:00.0, 01:00.1 the host has no display: 00:02.0 has no driver", remedy]);
    // Where nothing is said, it stays the host's until a guest is started.
    on(root, &CARD).with(0).saying(&["01:00.0 is the host's only display", "while a guest uses it: without 01:00.0, 01:00.1"]);
    on(root, &["check", "--gpu", "01:00.0"]).with(1);
    on(root, &["prepare", "--gpu", "01:00.0", "--allow", "only-display", "--dry-run"]).with(0);
    on(root, &["define", "w", "--gpu", "01:00.0", "--dry-run"]).saying(&["blocked: without 01:00.0", "00:02.0 has no driver"]);
    // What the firmware set up on it is a picture.
    put(root, &format!("{DISPLAY}/boot_vga"), "1\n");
    put(root, &format!("{GUESTS}/boot_vga"), "0\n");
    on(root, &CARD).with(0);

    let root = tree::unpacked(&[Path::new("fixtures/hosts/z170-gtx960.host")]);
    let verdict = || on(root.path(), &["list", "--gpu", "01:00.0"]).with(0).stdout;
    assert!(verdict().contains("verdict   available"), "{}", verdict());
    bind(root.path(), DISPLAY, "");
    put(root.path(), &format!("{DISPLAY}/boot_vga"), "0\n");
    assert!(verdict().contains("verdict   only-display"), "{}", verdict());
}

/// A guest has the host's only display now, and nothing binds it at boot: to be asked then is no decision to have it bound at boot.
#[test]
fn a_display_that_a_guest_has_now_is_not_bound_at_boot() {
    let root = distribution("debian13-grub-initramfs-tools");
    let root = root.path();
    bind(root, DISPLAY, "");
    put(root, &format!("{DISPLAY}/boot_vga"), "0\n");
    put(root, &format!("{GUESTS}/boot_vga"), "1\n");
    bind(root, GUESTS, "vfio-pci");
    let passed = |function: u8| {
        format!(
            "<hostdev mode='subsystem' type='pci' managed='yes'><source><address domain='0' bus='1' slot='0' function='{function}'/></source></hostdev>"
        )
    };
    let domain = format!("<domain type='kvm'><name>win</name><devices>{}{}</devices></domain>", passed(0), passed(1));
    put(root, "etc/libvirt/qemu/win.xml", &domain);
    let said = on(root, &CARD).with(0).saying(&["01:00.0 is the host's only display: as with --bind start"]);
    assert!(
        said.stdout.contains("to vfio-pci, when the domain starts") && !said.stdout.contains("modprobe.d/vgapt.conf"),
        "{}",
        said.stdout
    );
    // Who says it means it.
    let said = on(root, &["prepare", "--gpu", "01:00.0", "--dry-run", "--allow", "only-display"]).with(0);
    assert!(said.stdout.contains("to vfio-pci, at boot"), "{}", said.stdout);
    // Somebody else's file binds it at boot already.
    put(root, "etc/modprobe.d/vfio.conf", "options vfio-pci ids=10de:1c03,10de:10f1\n");
    let said = on(root, &[&CARD[..], &["--force"]].concat());
    assert!(!said.stderr.contains("as with --bind start"), "{}", said.stderr);
}

/// Both what binds the only display and what keeps its driver out have to go.
#[test]
fn the_only_display_comes_back_with_its_driver() {
    let root = distribution("debian13-grub-initramfs-tools");
    let root = root.path();
    bind(root, DISPLAY, "vfio-pci");
    bind(root, GUESTS, "vfio-pci");
    put(root, "etc/modprobe.d/vfio.conf", "options vfio-pci ids=8086:3e92,10de:1c03\n");
    put(root, "etc/modprobe.d/black.conf", "blacklist i915\n");
    let says = [
        "the host has no display",
        "remove `blacklist i915` from /etc/modprobe.d/black.conf, line 1, and remove `options vfio-pci ids=8086:3e92,10de:1c03` from /etc/modprobe.d/vfio.conf, line 1, regenerate the initramfs",
    ];
    on(root, &CARD).with(1).saying(&says);
    // With the first one done alone, there is no driver.
    put(root, "etc/modprobe.d/vfio.conf", "");
    bind(root, DISPLAY, "");
    let says = "no display of the host has a driver: 00:02.0 has none, and /etc/modprobe.d/black.conf, line 1 says `blacklist i915`";
    on(root, &CARD).with(1).saying(&[says, "remove `blacklist i915` from"]);
    let check = on(root, &["check", "--gpu", "01:00.0"]).with(1);
    assert!(check.stdout.contains(says), "{}", check.stdout);
    put(root, "etc/modprobe.d/black.conf", "");
    edit(root, "proc/cmdline", |text| format!("{} module_blacklist=i915\n", text.trim()));
    on(root, &CARD).with(1).saying(&["remove `module_blacklist=i915` from the kernel's command line, regenerate the boot entries"]);
}

#[test]
fn pci_stub_has_the_card_first() {
    let root = distribution("debian13-grub-initramfs-tools");
    let root = root.path();
    edit(root, "etc/default/grub", |text| text.replace("=\"quiet\"", "=\"quiet pci-stub.ids=10de:1c03\""));
    on(root, &CARD)
        .with(0)
        .saying(&["(pci-stub.ids=10de:1c03) binds 01:00.0 to pci-stub at a boot where pci-stub is loaded before vfio-pci"]);
    bind(root, GUESTS, "pci-stub");
    on(root, &CARD).with(1).saying(&[
        "/etc/default/grub, line",
        "(pci-stub.ids=10de:1c03) binds 01:00.0 to pci-stub before vfio-pci is loaded",
        "remove `pci-stub.ids=10de:1c03` from /etc/default/grub, line",
    ]);
}

#[test]
fn files_of_a_loader_that_does_not_boot_the_host() {
    let root = distribution("proxmox9-zfs-systemd-boot");
    let root = root.path();
    let stale = "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet vfio-pci.ids=10de:1c03 module_blacklist=vfio_pci\"\n";
    put(root, "etc/default/grub", stale);
    let note = "/etc/default/grub, line 1 says `vfio-pci.ids=10de:1c03 module_blacklist=vfio_pci`, which has no effect: systemd-boot boots this host";
    on(root, &CARD).with(0).saying(&[note]);
    on(root, &["prepare", "--gpu", "01:00.0", "--bind", "start", "--dry-run"]).with(0).saying(&[note]);
    // What the loader reads counts.
    edit(root, "etc/kernel/cmdline", |text| format!("{} module_blacklist=vfio_pci\n", text.trim()));
    on(root, &CARD).with(1).saying(&["blocked: /etc/kernel/cmdline, line 1 says `module_blacklist=vfio_pci`"]);
}

#[test]
fn options_of_a_module_that_is_part_of_the_kernel() {
    let root = distribution("debian13-grub-initramfs-tools");
    let root = root.path();
    twin(root);
    put(root, "etc/modprobe.d/vfio.conf", "options vfio-pci ids=10de:1c03,8086:3e92\n");
    on(root, &CARD).with(1).saying(&["/etc/modprobe.d/vfio.conf, line 1 also binds 00:02.0 VGA, 05:00.0 VGA"]);
    let release = fs::read_dir(root.join("lib/modules")).unwrap().next().unwrap().unwrap().file_name().into_string().unwrap();
    let built_in = "kernel/drivers/vfio/vfio.ko\nkernel/drivers/vfio/pci/vfio-pci-core.ko\nkernel/drivers/vfio/pci/vfio-pci.ko\nkernel/drivers/vfio/vfio_iommu_type1.ko\n";
    put(root, &format!("lib/modules/{release}/modules.builtin"), built_in);
    on(root, &CARD).with(0).saying(&["which has no effect: vfio-pci is part of this kernel"]);
}

/// Switchers between the cards of a laptop take one off the bus by a rule of udev.
#[test]
fn rules_that_take_the_card_off_the_bus() {
    let root = distribution("debian13-grub-initramfs-tools");
    let root = root.path();
    let rule = "# x\nACTION==\"add\", SUBSYSTEM==\"pci\", ATTR{vendor}==\"0x10de\", ATTR{class}==\"0x03[0-9]*\", ATTR{power/control}=\"auto\", ATTR{remove}=\"1\"\n";
    put(root, "etc/udev/rules.d/50-remove-nvidia.rules", rule);
    on(root, &CARD)
        .with(1)
        .saying(&["blocked: /etc/udev/rules.d/50-remove-nvidia.rules, line 2", "removes 01:00.0 from the PCI bus at each boot"]);
    let absent = ["there is no PCI function at 07:00.0", "/etc/udev/rules.d/50-remove-nvidia.rules, line 2"];
    for arguments in [["prepare", "--gpu", "07:00.0"], ["check", "--gpu", "07:00.0"], ["list", "--gpu", "07:00.0"]] {
        on(root, &arguments).with(1).saying(&absent);
        let mut other = arguments;
        other[2] = "00:1f.3";
        on(root, &other).with(1).saying(&["00:1f.3 is not a function of a graphics card", "the cards here are 00:02.0, 01:00.0"]);
    }
    topology(root);
}

fn topology(root: &Path) {
    on(root, &["topology", "--gpu", "07:00.0"]).with(1).saying(&["there is no PCI function at 07:00.0"]);
}

/// What an entry of an installed kernel says is lost with the next kernel, and is taken out by the loader's own program.
#[test]
fn parameters_of_installed_kernels_alone() {
    let root = distribution("fedora41-grub-bls");
    let root = root.path();
    let entry = fs::read_dir(root.join("boot/loader/entries")).unwrap().map(|entry| entry.unwrap().path()).max().unwrap();
    let entry = entry.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
    edit(root, &entry, |text| text.replace("rhgb quiet", "rhgb quiet vfio-pci.ids=10de:1c03,10de:10f1"));
    edit(root, "proc/cmdline", |text| format!("{} vfio-pci.ids=10de:1c03,10de:10f1\n", text.trim()));
    put(root, "usr/bin/grubby", "");
    put(root, "etc/dracut.conf.d/vfio.conf", "force_drivers+=\" vfio_pci \"\n");
    for function in ["sys/bus/pci/devices/0000:01:00.0", "sys/bus/pci/devices/0000:01:00.1"] {
        bind(root, function, "vfio-pci");
    }
    on(root, &CARD).saying(&[
        "/etc/kernel/cmdline, from which the entry of the next kernel is generated, lacks it",
        "to keep it, add vfio-pci.ids=10de:1c03,10de:10f1 to /etc/kernel/cmdline too",
        "grubby --update-kernel=ALL --remove-args=\"vfio-pci.ids=10de:1c03,10de:10f1\", then: vgapt prepare",
    ]);
}

/// The card is on vfio-pci now, by others' hands.
fn held(name: &str) -> TempDir {
    let root = distribution(name);
    for function in ["sys/bus/pci/devices/0000:01:00.0", "sys/bus/pci/devices/0000:01:00.1"] {
        bind(root.path(), function, "vfio-pci");
    }
    root
}

/// vgapt binds the card itself, and says why what is there does not.
#[track_caller]
fn is_not_bound(root: &Path, because: &str) {
    let said = on(root, &CARD).with(0).saying(&[because]);
    assert!(said.stdout.contains("/etc/modprobe.d/vgapt.conf new"), "{}", said.stdout);
    let said = on(root, &["check", "--gpu", "01:00.0"]).with(1);
    assert!(said.stdout.contains("missing 01:00.0: ") && said.stdout.contains(because), "{}", said.stdout);
    let said = on(root, &["check", "--gpu", "01:00.0", "--next"]).with(1);
    assert!(said.stdout.contains("nothing is set up that binds 01:00.0, 01:00.1 to vfio-pci"), "{}", said.stdout);
}

#[track_caller]
fn is_bound_by_others(root: &Path) {
    let said = on(root, &CARD).saying(&["which vgapt does not manage"]);
    assert!(!said.stdout.contains("modprobe.d/vgapt.conf"), "{}{}", said.stdout, said.stderr);
}

/// libvirt and the user bind while the system runs, too: the next boot binds only where something loads vfio-pci early.
#[test]
fn ids_bind_where_vfio_pci_is_loaded_early() {
    const IDS: &str = "options vfio-pci ids=10de:1c03,10de:10f1\n";
    const PARAMETER: &str = "vfio-pci.ids=10de:1c03,10de:10f1";
    const LATE: &str = "names 01:00.0, 01:00.1, but nothing loads vfio-pci before the host's drivers";
    let debian = "debian13-grub-initramfs-tools";
    for (path, more) in [
        ("etc/modprobe.d/vfio.conf", format!("{IDS}softdep nouveau pre: vfio-pci\n")),
        ("etc/initramfs-tools/modules", "vfio_pci\n".to_owned()),
        ("etc/initramfs-tools/scripts/init-top/load", "#!/bin/sh\nmodprobe vfio-pci\n".to_owned()),
    ] {
        let root = held(debian);
        let root = root.path();
        put(root, "etc/modprobe.d/vfio.conf", IDS);
        is_not_bound(root, LATE);
        put(root, path, &more);
        fs::set_permissions(root.join(path), fs::Permissions::from_mode(0o755)).unwrap();
        is_bound_by_others(root);
    }
    // udev loads the host's drivers meanwhile.
    let root = held(debian);
    put(root.path(), "etc/modprobe.d/vfio.conf", IDS);
    put(root.path(), "etc/modules", "vfio-pci\n");
    let said = on(root.path(), &CARD).saying(&["names 01:00.0, 01:00.1, but nouveau may be first at the next boot: udev may load it"]);
    assert!(said.stdout.contains("modprobe.d/vgapt.conf"), "{}", said.stdout);
    // Dracut does not read it.
    let root = held("fedora41-grub-bls");
    let root = root.path();
    for path in ["etc/default/grub", "etc/kernel/cmdline", "proc/cmdline"] {
        edit(root, path, |text| text.replace("rhgb quiet", &format!("rhgb quiet {PARAMETER}")));
    }
    for entry in fs::read_dir(root.join("boot/loader/entries")).unwrap() {
        let entry = entry.unwrap().path();
        edit(root, entry.strip_prefix(root).unwrap().to_str().unwrap(), |text| {
            text.replace("rhgb quiet", &format!("rhgb quiet {PARAMETER}"))
        });
    }
    put(root, "etc/initramfs-tools/modules", "vfio_pci\n");
    is_not_bound(root, LATE);
    put(root, "etc/dracut.conf.d/vfio.conf", "add_drivers+=\" vfio_pci \"\n");
    is_not_bound(root, LATE);
    put(root, "etc/dracut.conf.d/vfio.conf", "force_drivers+=\" vfio_pci \"\n");
    is_bound_by_others(root);
}

/// A parameter counts where the next entry has it: an entry that is made anew has what its source has.
#[test]
fn parameters_that_are_lost() {
    const PARAMETER: &str = "vfio-pci.ids=10de:1c03,10de:10f1";
    let root = held("debian13-grub-initramfs-tools");
    let root = root.path();
    put(root, "etc/initramfs-tools/modules", "vfio_pci\n");
    put(root, "proc/cmdline", &format!("BOOT_IMAGE=/boot/vmlinuz root=UUID=1 ro quiet {PARAMETER}\n"));
    let lost = "at this boot only: /etc/default/grub, from which the boot entries are generated, lacks it";
    is_not_bound(root, lost);
    edit(root, "boot/grub/grub.cfg", |text| text.replace("ro  quiet", &format!("ro  quiet {PARAMETER}")));
    is_not_bound(root, lost);
    on(root, &CARD).saying(&["to keep the parameter, add it to /etc/default/grub"]);
    edit(root, "etc/default/grub", |text| text.replace("=\"quiet\"", &format!("=\"quiet {PARAMETER}\"")));
    is_bound_by_others(root);
    // The entry that boots next is another one.
    let root = held("fedora41-grub-bls");
    let root = root.path();
    put(root, "etc/dracut.conf.d/vfio.conf", "force_drivers+=\" vfio_pci \"\n");
    edit(root, "proc/cmdline", |text| format!("{} {PARAMETER}\n", text.trim()));
    is_not_bound(root, "at this boot only: ");
}

/// A hook that its tool does not run binds nothing.
#[test]
fn hooks_that_are_not_run() {
    const LOOP: &str = "for DEV in 0000:01:00.0 0000:01:00.1\ndo\n  echo vfio-pci > /sys/bus/pci/devices/$DEV/driver_override\ndone\n";
    let root = held("arch-systemd-boot");
    let root = root.path();
    put(root, "etc/initcpio/hooks/vfio", &format!("run_hook() {{\n{LOOP}modprobe -i vfio-pci\n}}\n"));
    put(root, "etc/mkinitcpio.conf", "MODULES=()\nHOOKS=(base udev autodetect modconf block filesystems)\n");
    is_not_bound(root, "but binds nothing: HOOKS of mkinitcpio's configuration does not name vfio");
    put(root, "etc/mkinitcpio.conf", "MODULES=()\nHOOKS=(base udev vfio autodetect modconf block filesystems)\n");
    is_bound_by_others(root);

    let root = held("debian13-grub-initramfs-tools");
    let root = root.path();
    let script = "etc/initramfs-tools/scripts/init-top/vfio.sh";
    fs::set_permissions(root.join("usr/sbin/update-initramfs"), fs::Permissions::from_mode(0o755)).unwrap();
    put(root, script, &format!("#!/bin/sh\nPREREQ=\"\"\n{LOOP}modprobe -i vfio-pci\n"));
    is_not_bound(root, "but binds nothing: it is not executable, and initramfs-tools skips it then");
    // Half a loop would be left of the line alone.
    on(root, &CARD).saying(&["remove /etc/initramfs-tools/scripts/init-top/vfio.sh, which does nothing else"]);
    edit(root, script, |text| format!("{text}/bin/other thing\n"));
    on(root, &CARD).saying(&["remove lines 3 to 6 from /etc/initramfs-tools/scripts/init-top/vfio.sh"]);
    fs::set_permissions(root.join(script), fs::Permissions::from_mode(0o755)).unwrap();
    is_bound_by_others(root);
}

/// A service runs its program wherever that lies.
#[test]
fn what_an_enabled_service_runs() {
    let root: TempDir = distribution("debian13-grub-initramfs-tools");
    let root = root.path();
    put(root, "root/bind.sh", "#!/bin/sh\necho vfio-pci > /sys/bus/pci/devices/0000:01:00.0/driver_override\n");
    let start = ["prepare", "--gpu", "01:00.0", "--bind", "start", "--dry-run"];
    on(root, &start).with(0);
    put(root, "etc/systemd/system/gpu.service", "[Service]\nExecStart=/root/bind.sh\n");
    let wants = root.join("etc/systemd/system/multi-user.target.wants");
    fs::create_dir_all(&wants).unwrap();
    std::os::unix::fs::symlink("../gpu.service", wants.join("gpu.service")).unwrap();
    on(root, &start).with(1).saying(&["/root/bind.sh, line 2", "binds 01:00.0 at boot"]);
}

/// The hook is installed beside those of others, which are named then.
#[test]
fn hooks_beside_which_ours_is_installed() {
    let root = distribution("debian13-grub-initramfs-tools");
    let root = root.path();
    put(root, "etc/libvirt/hooks/qemu.d/win10/prepare/begin/bind.sh", "#!/bin/sh\nmodprobe -r nvidia\n");
    on(root, &["prepare", "--gpu", "01:00.0", "--bind", "start", "--dry-run"])
        .with(0)
        .saying(&["win10/prepare/begin/bind.sh", "line 2 takes devices"]);
}

#[test]
fn virtual_functions_are_made_at_each_boot() {
    let root = distribution("debian13-grub-initramfs-tools");
    let root = root.path();
    std::os::unix::fs::symlink("../0000:00:02.0", root.join(GUESTS).join("physfn")).unwrap();
    let start = ["prepare", "--gpu", "01:00.0", "--bind", "start", "--dry-run"];
    let said =
        on(root, &start).saying(&["01:00.0 is a virtual function of 00:02.0: it exists only after", "vgapt", "prepare --vfs 00:02.0=1"]);
    assert!(!said.stderr.contains("--bind boot"), "{}", said.stderr);
    put(root, "etc/sysfs.conf", "devices/pci0000:00/0000:00:02.0/sriov_numvfs = 7\n");
    let said = on(root, &start);
    assert!(!said.stderr.contains("it exists only after"), "{}", said.stderr);
}

/// Of several `ids=` for one driver only the last counts: vgapt's own would come before these.
#[test]
fn beside_ids_of_others_the_card_is_bound_by_address() {
    let ids = "vfio-pci.ids=1b21:2142";
    for (path, from, to) in [
        ("etc/default/grub", "=\"quiet\"", format!("=\"quiet {ids}\"")),
        ("proc/cmdline", "quiet", format!("quiet {ids}")),
        ("etc/initramfs-tools/modules", "", "vfio_pci ids=1b21:2142\n".to_owned()),
        ("etc/initramfs-tools/scripts/init-top/vfio", "", "#!/bin/sh\nmodprobe vfio-pci ids=1b21:2142\n".to_owned()),
        ("etc/modprobe.d/vfio.conf", "", "options vfio-pci ids=1b21:2142\n".to_owned()),
    ] {
        let root = distribution("debian13-grub-initramfs-tools");
        let root = root.path();
        if !root.join(path).exists() {
            put(root, path, if path == "proc/cmdline" { "root=1 quiet\n" } else { "" });
        }
        edit(root, path, |text| if from.is_empty() { to } else { text.replace(from, &to) });
        let said = on(root, &CARD).with(0);
        assert!(said.stdout.contains("/etc/vgapt/bind new"), "{path}: {}", said.stdout);
        if !path.contains("scripts") {
            said.saying(&["no device here has the ids in"]);
        }
    }
}

/// A module's own line in a file counts, not what a built-in one would not read.
#[test]
fn beside_ids_of_others_a_built_in_driver_binds_by_address_too() {
    let root = distribution("debian13-grub-initramfs-tools");
    let root = root.path();
    let release = fs::read_dir(root.join("lib/modules")).unwrap().next().unwrap().unwrap().file_name().into_string().unwrap();
    let list = format!("lib/modules/{release}/modules.builtin");
    put(root, &list, "kernel/drivers/vfio/pci/vfio-pci.ko\n");
    let parameter = "kernel parameter vfio-pci.ids=10de:1c03,10de:10f1";
    assert!(on(root, &CARD).with(0).stdout.contains(parameter));
    edit(root, "etc/default/grub", |text| text.replace("=\"quiet\"", "=\"quiet vfio-pci.ids=10de:1c03,1b21:2142\""));
    let said = on(root, &CARD).with(0).stdout;
    assert!(said.contains("/etc/vgapt/bind new") && !said.contains("kernel parameter vfio-pci.ids"), "{said}");
    put(root, &list, "kernel/drivers/vfio/pci/vfio-pci.ko\nkernel/sound/pci/hda/snd-hda-intel.ko\n");
    on(root, &CARD).with(1).saying(&["are part of the kernel, so 01:00.1 cannot be bound by address in time"]);
}

/// What is written to `driver_override` wins over any ids.
#[test]
fn another_tool_gives_the_card_to_a_driver_of_the_host() {
    for (path, text) in [
        ("etc/driverctl.d/0000:01:00.0", "nouveau\n"),
        ("etc/udev/rules.d/9.rules", "ACTION==\"add\", KERNEL==\"0000:01:00.0\", ATTR{driver_override}=\"nouveau\"\n"),
    ] {
        let root = distribution("debian13-grub-initramfs-tools");
        put(root.path(), path, text);
        on(root.path(), &CARD)
            .with(1)
            .saying(&[&format!("blocked: /{path}, line 1"), "gives 01:00.0 to nouveau at each boot, not to vfio-pci"]);
        on(root.path(), &["prepare", "--gpu", "01:00.0", "--bind", "start", "--dry-run"]).with(0);
    }
}
