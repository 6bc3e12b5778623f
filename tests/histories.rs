//! Hosts with a history: what somebody began and left behind, and what `vgapt` says of it. Each is a public report's situation
//! or a tool's documented behaviour; what is right was written down before vgapt was asked.

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
use std::path::Path;

use edit::edit;
use on::{on, put};
use tree::distribution;

const CARD: [&str; 4] = ["prepare", "--gpu", "01:00.0", "--dry-run"];
const CHECK: [&str; 3] = ["check", "--gpu", "01:00.0"];

fn text(root: &Path, path: &str) -> String {
    fs::read_to_string(root.join(path)).unwrap()
}

/// What `vgapt check` prints where something is missing.
#[track_caller]
fn check_says(root: &Path, words: &[&str]) -> String {
    let said = on(root, &CHECK).with(1).stdout;
    for word in words {
        assert!(said.contains(word), "does not say: {word}\n{said}");
    }
    said
}

fn remove(root: &Path, paths: &[&str]) {
    for path in paths {
        let place = root.join(path);
        if place.is_dir() { fs::remove_dir_all(place).unwrap() } else { fs::remove_file(place).unwrap() }
    }
}

/// A kernel update with /boot not mounted is a classic; grub.cfg and the images would be written below the mount point.
#[test]
fn what_boots_is_on_a_file_system_that_is_not_mounted() {
    const SAYS: &str = "/boot is in /etc/fstab, but not mounted";
    for name in ["arch-grub", "arch-systemd-boot"] {
        let root = distribution(name);
        let root = root.path();
        on(root, &CARD).with(0);
        remove(root, &["boot"]);
        fs::create_dir(root.join("boot")).unwrap();
        put(root, "etc/fstab", "# noauto\nUUID=1 / ext4 rw 0 1\nUUID=2 /boot vfat noauto 0 2\n");
        let said = on(root, &CARD).with(1).saying(&[SAYS, "mount /boot, and run vgapt"]);
        assert!(!said.stderr.contains("to your boot loader's configuration"), "{}", said.stderr);
        put(root, "dev/kvm", "");
        check_says(root, &[SAYS, "next: mount /boot"]);
        // systemd mounts it when it is looked at.
        put(root, "proc/mounts", "/dev/sda2 / ext4 rw 0 0\nsystemd-1 /boot autofs rw,relatime 0 0\n");
        assert!(!on(root, &CARD).stderr.contains(SAYS));
    }
}

#[test]
fn what_is_written_does_not_count() {
    let root = distribution("debian13-grub-initramfs-tools");
    let root = root.path();
    for (mounts, words) in [
        ("/dev/sda2 / ext4 ro,relatime 0 0\n", ["/ is mounted read-only", "mount -o remount,rw /"]),
        ("/dev/sda2 / btrfs ro,subvol=/@/.snapshots/42/snapshot 0 0\n", ["a snapshot that is booted", "not one of its snapshots"]),
        ("/cow / overlay rw,upperdir=/cow/upper 0 0\n", ["of type overlay", "lost at the next boot"]),
        ("/dev/sda2 / ext4 rw 0 0\n/dev/sda1 /boot ext4 ro 0 0\n", ["/boot is mounted read-only", "mount -o remount,rw /boot"]),
    ] {
        put(root, "proc/mounts", mounts);
        on(root, &CARD).with(1).saying(&words);
        check_says(root, &[words[0]]);
    }
    // The last mount of a place is the one that is seen.
    put(root, "proc/mounts", "rootfs / rootfs rw 0 0\n/dev/sda2 / ext4 rw 0 0\n");
    on(root, &CARD).with(0);
}

/// SYSLINUX and LILO write `BOOT_IMAGE` too, and Arch's grub package leaves /etc/default/grub where GRUB boots nothing.
#[test]
fn a_loader_that_only_looks_like_grub() {
    let root = distribution("arch-grub");
    let root = root.path();
    put(root, "proc/cmdline", "BOOT_IMAGE=../vmlinuz-linux root=UUID=1 rw initrd=../initramfs-linux.img\n");
    let says = "BOOT_IMAGE=../vmlinuz-linux is on the kernel's command line as SYSLINUX or LILO writes it";
    let said = on(root, &CARD).with(1).saying(&[says, "APPEND line", "add intel_iommu=on"]);
    assert!(!said.stdout.contains("/etc/default/grub"), "{}", said.stdout);
    put(root, "etc/update-extlinux.conf", "default_kernel_opts=\"quiet\"\n");
    on(root, &CARD).with(1).saying(&["in the quotes of default_kernel_opts, add intel_iommu=on; then: update-extlinux"]);
}

/// "needs to be placed as one line in /etc/kernel/cmdline": what stands on a second one never reaches the kernel.
#[test]
fn a_second_line_of_proxmox_is_not_read() {
    let root = distribution("proxmox9-zfs-systemd-boot");
    let root = root.path();
    edit(root, "etc/kernel/cmdline", |line| format!("{}\nintel_iommu=on iommu=pt\n", line.trim()));
    let said = check_says(root, &["lacks intel_iommu=on"]);
    assert!(!said.contains("the correct parameters"), "{said}");
    on(root, &["prepare", "--gpu", "01:00.0", "--yes"]).with(0);
    let after = text(root, "etc/kernel/cmdline");
    assert_eq!(after, "root=ZFS=rpool/ROOT/pve-1 boot=zfs intel_iommu=on\nintel_iommu=on iommu=pt\n");
}

/// Another tool makes the image, whatever is installed beside it.
#[test]
fn kernel_install_names_who_makes_the_initramfs() {
    let root = distribution("debian13-grub-dracut");
    let root = root.path();
    on(root, &CARD).with(0);
    put(root, "etc/kernel/install.conf", "layout=grub\ninitrd_generator=dracut\n");
    on(root, &CARD).with(0);
    put(root, "etc/kernel/install.conf.d/50-own.conf", "initrd_generator = ugrd\n");
    on(root, &CARD).with(1).saying(&["error: the initramfs is made by ugrd, which vgapt does not configure"]);
}

/// Somebody kept vfio out of the image once, and forgot it.
#[test]
fn dracut_leaves_out_what_is_in_omit_drivers() {
    let root = distribution("fedora41-grub-bls");
    let root = root.path();
    put(root, "etc/dracut.conf.d/no.conf", "omit_drivers+=\" nouveau \"\n# omit_drivers+=\" vfio_pci \"\n");
    on(root, &CARD).with(0);
    put(root, "etc/dracut.conf.d/no.conf", "omit_drivers+=\" nouveau vfio-pci \"\n");
    let says = "/etc/dracut.conf.d/no.conf has vfio_pci in omit_drivers";
    on(root, &CARD).with(1).saying(&[says, "remove vfio_pci from omit_drivers in /etc/dracut.conf.d/no.conf"]);
    check_says(root, &[says]);
    // Left with the host, the card needs nothing in the image.
    on(root, &["prepare", "--gpu", "01:00.0", "--bind", "start", "--dry-run"]).with(0);
}

#[test]
fn a_preset_with_a_configuration_of_its_own() {
    let root = distribution("arch-grub");
    let root = root.path();
    let with = |line: &str| edit(root, "etc/mkinitcpio.d/linux.preset", |text| format!("{text}{line}\n"));
    with("ALL_config=\"/etc/mkinitcpio.conf\"");
    with("fallback_config=\"/etc/mkinitcpio-fallback.conf\"");
    on(root, &CARD).with(0);
    with("default_config='/etc/mkinitcpio-zen.conf'");
    let says = "/etc/mkinitcpio.d/linux.preset has images made from /etc/mkinitcpio-zen.conf";
    on(root, &CARD).with(1).saying(&[says, "remove the line that names /etc/mkinitcpio-zen.conf"]);
}

/// KVM cannot use what Xen has, and Xen's own entries hold the command line.
#[test]
fn xen_runs_below() {
    let root = distribution("debian13-grub-initramfs-tools");
    let root = root.path();
    put(root, "sys/hypervisor/type", "xen\n");
    edit(root, "proc/cpuinfo", |text| text.replace("vmx", "hypervisor"));
    // A guest of Xen is a virtual machine as others are.
    assert!(!on(root, &CHECK).stdout.contains("Xen"));
    put(root, "proc/xen/capabilities", "control_d\n");
    on(root, &CARD).with(1).saying(&["error: Xen runs below this kernel", "choose the entry of Linux without Xen"]);
    let said = check_says(root, &["next: choose the entry of Linux without Xen"]);
    assert!(!said.contains("nested virtualization") && !said.contains("lacks intel_iommu=on"), "{said}");
    assert!(on(root, &["list"]).stdout.contains("IOMMU: none: Xen has it"));
}

/// As many pages of 1 GiB as were meant of 2 MiB would take all of the memory.
#[test]
fn huge_pages_that_somebody_set_up() {
    let root = distribution("debian13-grub-initramfs-tools");
    let root = root.path();
    let pages = ["prepare", "--hugepages", "8G", "--dry-run"];
    on(root, &pages).with(0);
    put(root, "etc/sysctl.d/40-database.conf", "# vm.nr_hugepages = 1\nvm.nr_hugepages = 3000\n");
    let says = "/etc/sysctl.d/40-database.conf also sets vm.nr_hugepages, to 3000, and is read before";
    on(root, &pages).with(0).saying(&[says, "only vgapt's number counts then: 4096", "vgapt prepare --hugepages 14192M"]);
    put(root, "etc/sysctl.d/90-database.conf", "vm.nr_hugepages=3000\n");
    // A package's file comes earlier, whatever its folder.
    put(root, "usr/lib/sysctl.d/50-package.conf", "vm.nr_hugepages=1\n");
    on(root, &pages).with(0).saying(&["/etc/sysctl.d/90-database.conf also sets", "it counts instead of vgapt's number"]);
    // Every folder and spelling of sysctl.d(5) counts.
    for (path, text) in [
        ("etc/sysctl.d/99-x.conf", "vm/nr_hugepages = 64\n"),
        ("run/sysctl.d/99-y.conf", "vm.nr_hugepages = 64\n"),
        ("usr/local/lib/sysctl.d/99-z.conf", "-vm.nr_hugepages = 64\n"),
    ] {
        put(root, path, text);
        on(root, &pages).with(0).saying(&[&format!("/{path} also sets vm.nr_hugepages, to 64, and is read later")]);
    }
    // A package's file is masked by the one of the same name in /etc.
    put(root, "usr/local/lib/sysctl.d/99-zz.conf", "vm.nr_hugepages = 65\n");
    put(root, "etc/sysctl.d/99-zz.conf", "");
    on(root, &pages).with(0).saying(&["/usr/local/lib/sysctl.d/99-z.conf also sets"]);
    edit(root, "proc/meminfo", |text| text.replace("Hugepagesize:       2048 kB", "Hugepagesize:    1048576 kB"));
    on(root, &pages).with(1).saying(&["error: this host's huge pages are of 1 GiB", "use --page-size 1G"]);
    on(root, &["prepare", "--hugepages", "8G", "--page-size", "1G", "--dry-run"]).with(0);
}

/// What somebody wrote, and what nothing reads.
#[test]
fn what_was_meant_and_has_no_effect() {
    let root = distribution("proxmox9-zfs-systemd-boot");
    let root = root.path();
    let none = on(root, &CARD).with(0);
    assert!(!none.stderr.contains("has no effect"), "{}", none.stderr);
    // The guide is for GRUB, systemd-boot boots the host.
    put(root, "etc/default/grub", "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet intel_iommu=on iommu=pt\"\n");
    on(root, &CARD).with(0).saying(&["/etc/default/grub, line 1 says `intel_iommu=on iommu=pt`, which has no effect"]);
    put(root, "etc/modprobe.d/vfio", "options vfio-pci ids=10de:1c03,10de:10f1\n");
    on(root, &CARD).with(0).saying(&["/etc/modprobe.d/vfio says `options vfio-pci ids=10de:1c03,10de:10f1`", "whose names end in .conf"]);
    put(root, "etc/modprobe.d/own.conf", "options vfio-pci ids=10de:1c03, 10de:10f1\n");
    on(root, &CARD).with(0).saying(&["ends at the space, so 10de:10f1 is not bound by it"]);
    put(root, "etc/modprobe.d/own.conf", "options vfio-pci ids=\"10de:1c03, 10de:10f1\"\n");
    let said = on(root, &CARD).with(0).saying(&["binds 01:00.0, 01:00.1 at boot too"]);
    assert!(!said.stderr.contains("ends at the space"), "{}", said.stderr);
    put(root, "etc/driverctl.d/0000:0a:00.0", "vfio-pci\n");
    on(root, &CARD).with(0).saying(&["an address at which there is no device now", "driverctl unset-override 0000:0a:00.0"]);
    // What this boot has by other means is only left over.
    edit(root, "proc/cmdline", |line| format!("{} intel_iommu=on iommu=pt\n", line.trim()));
    assert!(!on(root, &CARD).stderr.contains("/etc/default/grub, line 1"));
}

/// Programs that decide which card a laptop uses.
#[test]
fn switchers_of_laptops() {
    let root = distribution("ubuntu2404-grub");
    let root = root.path();
    put(root, "etc/supergfxd.conf", "{\n  \"mode\": \"Integrated\",\n  \"vfio_enable\": false\n}\n");
    let says = "supergfxd (mode Integrated in /etc/supergfxd.conf) decides";
    on(root, &CARD).with(0).saying(&[says, "systemctl disable --now supergfxd"]);
    check_says(root, &[says]);
    assert!(!on(root, &["prepare", "--pci", "00:1f.3", "--dry-run"]).stderr.contains("supergfxd"));
    // prime-select writes into the packages' folder.
    let rule = "ACTION==\"add\", SUBSYSTEM==\"pci\", ATTR{vendor}==\"0x10de\", ATTR{class}==\"0x030000\", ATTR{remove}=\"1\"\n";
    put(root, "usr/lib/udev/rules.d/50-pm-nvidia.rules", rule);
    on(root, &CARD).with(1).saying(&["/usr/lib/udev/rules.d/50-pm-nvidia.rules, line 1", "removes 01:00.0 from the PCI bus"]);
}

/// Where the store is gone, "nothing was changed" would be untrue.
#[test]
fn files_of_vgapt_without_a_receipt() {
    let root = distribution("debian13-grub-initramfs-tools");
    let root = root.path();
    on(root, &["undo", "--yes"]).with(0).saying(&["there is nothing to undo"]);
    on(root, &["prepare", "--gpu", "01:00.0", "--yes"]).with(0);
    remove(root, &["var/lib/vgapt"]);
    let said = on(root, &["undo", "--yes"])
        .with(1)
        .saying(&["no receipt of vgapt was found, but these files are vgapt's:", "restore /var/lib/vgapt"]);
    assert!(said.stderr.contains("rm ") && said.stderr.contains(" /etc/modprobe.d/vgapt.conf"), "{}", said.stderr);
    assert!(root.join("etc/modprobe.d/vgapt.conf").exists());
}

/// The user has another initramfs tool and another boot loader now.
#[test]
fn programs_that_are_gone_when_it_is_undone() {
    let root = distribution("arch-grub");
    let root = root.path();
    on(root, &["prepare", "--gpu", "01:00.0", "--yes"]).with(0);
    remove(root, &["usr/bin/mkinitcpio"]);
    let said = on(root, &["undo", "--yes"]).with(0);
    let all = format!("{}{}", said.stdout, said.stderr);
    assert!(all.contains("mkinitcpio -P is left out: mkinitcpio is not installed any more"), "{all}");
    assert!(all.contains("make the boot images and the boot menu again") && all.contains("$ grub-mkconfig"), "{all}");
    assert!(!root.join("etc/modprobe.d/vgapt.conf").exists());
}

/// The rule of a switcher hides the card, and the host's own display is no card for the guest in its place.
#[test]
fn the_card_is_hidden_by_a_rule() {
    let root = distribution("ubuntu2404-grub");
    let root = root.path();
    let rule = "ACTION==\"add\", SUBSYSTEM==\"pci\", ATTR{vendor}==\"0x10de\", ATTR{class}==\"0x03[0-9]*\", ATTR{remove}=\"1\"\n";
    put(root, "dev/kvm", "");
    remove(root, &["sys/bus/pci/devices/0000:01:00.0", "sys/bus/pci/devices/0000:01:00.1"]);
    put(root, "etc/udev/rules.d/50-remove-nvidia.rules", rule);
    let said = on(root, &["check"]).with(1).stdout;
    assert!(said.contains("missing functions that are not here: are removed from the PCI bus at each boot by /etc/udev"), "{said}");
    assert!(!said.contains("next: vgapt prepare --gpu 00:02.0"), "{said}");
}

/// A card in an enclosure with Thunderbolt.
#[test]
fn a_card_that_can_be_unplugged() {
    let root = distribution("arch-grub");
    let root = root.path();
    assert!(!on(root, &["list", "--gpu", "01:00.0"]).stdout.contains("unplugged"));
    put(root, "sys/bus/pci/devices/0000:01:00.0/removable", "removable\n");
    assert!(on(root, &["list", "--gpu", "01:00.0"]).stdout.contains("it can be unplugged (Thunderbolt, USB4)"));
    check_says(root, &["boltctl enroll --policy auto UUID"]);
}

/// grub-mkconfig copies what is in `40_custom`, and os-prober's entries boot other systems: a command line there is no reason to
/// make grub.cfg again and again.
#[test]
fn entries_of_other_systems_and_by_hand() {
    let root = distribution("debian13-grub-initramfs-tools");
    let root = root.path();
    let section = |script: &str, title: &str, line: &str| {
        let linux = format!("\tlinux /boot/vmlinuz root=UUID=2 {line}\n\tinitrd /boot/initramfs-booster.img\n");
        format!("### BEGIN /etc/grub.d/{script} ###\nmenuentry '{title}' {{\n{linux}}}\n### END /etc/grub.d/{script} ###\n")
    };
    let generated = text(root, "boot/grub/grub.cfg");
    let with = |own: &str, more: &str| put(root, "boot/grub/grub.cfg", &format!("{}{more}", generated.replace("ro  quiet", own)));
    let others = section("30_os-prober", "Arch Linux (on /dev/sda3)", "rw module_blacklist=vfio_pci");
    with("ro  quiet", &others);
    on(root, &["prepare", "--gpu", "01:00.0", "--yes"]).with(0);
    // What update-grub then makes of it.
    with("ro intel_iommu=on quiet", &others);
    let said = on(root, &CARD).with(0);
    assert!(!format!("{}{}", said.stdout, said.stderr).contains("update-grub"), "{}{}", said.stdout, said.stderr);
    let said = check_says(root, &["the next boot has the correct parameters"]);
    assert!(!said.contains("Arch Linux"), "{said}");
    with("ro intel_iommu=on quiet", &section("40_custom", "mine", "rw quiet"));
    let says = "(mine) is copied from /etc/grub.d/40_custom as it is, so a boot by it lacks intel_iommu=on";
    let said = on(root, &CARD).with(0).saying(&[says, "add intel_iommu=on to its linux line in /etc/grub.d/40_custom"]);
    assert!(!said.stdout.contains("$ update-grub"), "{}", said.stdout);
    check_says(root, &[says]);
    with("ro intel_iommu=on quiet", &section("40_custom", "mine", "rw quiet intel_iommu=on"));
    assert!(!on(root, &CARD).with(0).stderr.contains("40_custom"));
}

/// Guides for `VirtualBox` keep KVM out, and to load it once is not enough.
#[test]
fn kvm_was_kept_out_for_another_hypervisor() {
    let root = distribution("ubuntu2404-grub");
    let root = root.path();
    check_says(root, &["remedy: modprobe kvm_intel; if it fails"]);
    for (line, is_one) in [("blacklist kvm_intel", true), ("install kvm /bin/false", true), ("blacklist kvm_amd", false)] {
        put(root, "etc/modprobe.d/no.conf", &format!("# VirtualBox\n{line}\n"));
        let remedy = format!("remedy: remove `{line}` from /etc/modprobe.d/no.conf, line 2; then: modprobe kvm_intel");
        assert_eq!(on(root, &CHECK).with(1).stdout.contains(&remedy), is_one, "{line}");
    }
}

/// `update-initramfs -u` does nothing then, and says that it is well.
#[test]
fn initramfs_tools_may_be_told_to_update_nothing() {
    const PLACE: &str = "etc/initramfs-tools/update-initramfs.conf";
    let root = distribution("debian13-grub-initramfs-tools");
    let root = root.path();
    put(root, PLACE, "# update_initramfs=no\nupdate_initramfs=yes\nbackup_initramfs=no\n");
    on(root, &CARD).with(0);
    put(root, PLACE, "update_initramfs=no\n");
    on(root, &CARD).with(1).saying(&["says update_initramfs=no", "write update_initramfs=yes into /etc/initramfs-tools"]);
}
