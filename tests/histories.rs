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
    put(root, "etc/dracut.conf.d/no.conf", "force_drivers=\" xe \"\n");
    on(root, &CARD).with(0);
    put(root, "etc/dracut.conf.d/zzz.conf", "force_drivers=\" xe \"\n");
    let says = "/etc/dracut.conf.d/zzz.conf sets force_drivers anew (= instead of +=)";
    on(root, &CARD).with(1).saying(&[says, "write force_drivers+= instead of force_drivers= in /etc/dracut.conf.d/zzz.conf"]);
    put(root, "etc/dracut.conf.d/zzz.conf", "force_drivers+=\" xe \"\ninstall_items=/etc/x\n");
    on(root, &CARD).with(1).saying(&["zzz.conf sets install_items anew"]);
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

#[test]
fn a_preset_with_a_command_line_of_its_own() {
    let root = distribution("arch-uki-cmdline");
    let root = root.path();
    let with = |line: &str| edit(root, "etc/mkinitcpio.d/linux.preset", |text| format!("{text}{line}\n"));
    with("default_options=\"--splash /usr/share/x.bmp --cmdline /etc/kernel/cmdline\"");
    on(root, &CARD).with(0);
    with("default_options=\"--cmdline /etc/kernel/cmdline-hardened\"");
    let says =
        "/etc/mkinitcpio.d/linux.preset has `--cmdline /etc/kernel/cmdline-hardened`, so mkinitcpio does not read /etc/kernel/cmdline";
    on(root, &CARD).with(1).saying(&[says, "remove `--cmdline /etc/kernel/cmdline-hardened` from /etc/mkinitcpio.d/linux.preset"]);
}

/// It boots as before: it is the entry that booted, or that boots by default, and not one of another system.
#[test]
fn the_entry_that_boots_as_before() {
    let root = distribution("arch-systemd-boot");
    let root = root.path();
    let entry = |name: &str, image: &str, options: &str| {
        put(
            root,
            &format!("boot/loader/entries/{name}.conf"),
            &format!("title {name}\nlinux /vmlinuz-{image}\ninitrd /initramfs-{image}.img\noptions {options}\n"),
        );
    };
    let own = text(root, "proc/cmdline").split_whitespace().filter(|token| !token.starts_with("initrd=")).collect::<Vec<_>>().join(" ");
    entry("zz-lts", "linux-lts", &own);
    entry("zzz-other", "other", "root=UUID=other ro");
    let plan = |title: &str| {
        let said = on(root, &["prepare", "--gpu", "01:00.0", "--dry-run", "--verbose"]).with(0).stdout;
        assert!(said.contains(&format!("title {title} (without vgapt)")), "{title}: {said}");
        said
    };
    let said = plan("  Arch Linux (linux)");
    assert!(said.contains("is written otherwise than that of this boot (root=UUID=other)"), "{said}");
    edit(root, "proc/cmdline", |text| text.replace(" zswap.enabled=0", ""));
    put(root, "boot/loader/loader.conf", "timeout 3\ndefault zz-*\n");
    plan("zz-lts");
}

/// What follows `--` on a command line is for init.
#[test]
fn parameters_for_init() {
    let root = distribution("debian13-grub-initramfs-tools");
    let root = root.path();
    put(root, "etc/default/grub", "GRUB_CMDLINE_LINUX=\"quiet -- intel_iommu=on module_blacklist=vfio_pci\"\n");
    let said = on(root, &CARD).with(0).stdout;
    assert!(said.contains("+GRUB_CMDLINE_LINUX=\"quiet intel_iommu=on -- intel_iommu=on module_blacklist=vfio_pci\""), "{said}");
    // kmod reads the whole line.
    put(root, "etc/default/grub", "GRUB_CMDLINE_LINUX=\"quiet -- modprobe.blacklist=x rd.driver.blacklist=vfio-pci\"\n");
    on(root, &CARD).with(1).saying(&["/etc/default/grub, line 1 says `rd.driver.blacklist=vfio-pci`"]);
}

/// What a guide has had written for GRUB's normal entries is written: what lacks is update-grub, or a reboot.
#[test]
fn a_parameter_for_the_normal_entries() {
    let root = distribution("debian13-grub-initramfs-tools");
    let root = root.path();
    let prepare = ["prepare", "--gpu", "01:00.0", "--bind", "start", "--dry-run"];
    let grub_file = "--- /etc/default/grub";
    edit(root, "etc/default/grub", |text| text.replace("LINUX_DEFAULT=\"quiet\"", "LINUX_DEFAULT=\"quiet intel_iommu=on\""));
    let said = on(root, &prepare).with(0).stdout;
    assert!(said.contains("update-grub") && said.contains("  reboots  1") && !said.contains(grub_file), "{said}");
    edit(root, "boot/grub/grub.cfg", |text| text.replace("ro  quiet", "ro  quiet intel_iommu=on"));
    let said = on(root, &prepare).with(0).stdout;
    assert!(!said.contains("update-grub") && said.contains("  reboots  1") && !said.contains(grub_file), "{said}");
    check_says(root, &["the next boot has it: intel_iommu=on", "lacks intel_iommu=on; the next boot has the correct parameters"]);
    put(root, "dev/kvm", "");
    let said = on(root, &["check", "--gpu", "01:00.0", "--bind", "start"]).with(1).stdout;
    assert!(said.contains("next: reboot"), "{said}");
    // Of a generated file that is not understood nothing is known.
    put(root, "boot/grub/grub.cfg", "# generated\n");
    let said = on(root, &prepare).with(0).stdout;
    assert!(said.contains("update-grub") && !said.contains(grub_file), "{said}");
    edit(root, "proc/cmdline", |text| text.replace("ro quiet", "ro quiet intel_iommu=on"));
    let said = on(root, &prepare).with(0).stdout;
    assert!(!said.contains("update-grub") && said.contains("  reboots  0"), "{said}");
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

/// One number counts all pages of a size: what another program uses stays reserved beside the guest's.
#[test]
fn huge_pages_that_another_program_uses() {
    let root = distribution("debian13-grub-initramfs-tools");
    let root = root.path();
    let pool = |size: &str, total: u64, free: u64| {
        for (name, number) in [("nr_hugepages", total), ("free_hugepages", free)] {
            put(root, &format!("sys/kernel/mm/hugepages/hugepages-{size}kB/{name}"), &format!("{number}\n"));
        }
    };
    pool("2048", 1024, 0);
    pool("1048576", 2, 0);
    let small = ["prepare", "--hugepages", "2G", "--yes"];
    let dry_run = ["prepare", "--hugepages", "2G", "--dry-run"];
    let dry = on(root, &["prepare", "--hugepages", "2G", "--dry-run", "--verbose"]).with(0);
    let dry = dry.saying(&["other programs use 1024 huge pages of 2 MiB: 2048 are reserved, 1024 of them for the guest"]);
    assert!(dry.stdout.contains("vm.nr_hugepages = 2048"), "{}", dry.stdout);
    on(root, &["prepare", "--hugepages", "100G", "--dry-run"]).with(1).saying(&["and other programs use 2 GiB in such pages"]);
    put(root, "etc/sysctl.d/90-database.conf", "vm.nr_hugepages=1024\n");
    on(root, &dry_run)
        .with(0)
        .saying(&["remove that line from /etc/sysctl.d/90-database.conf: vgapt's number has the pages that are in use"]);
    edit(root, "proc/cmdline", |text| format!("{} hugepagesz=1G hugepages=2 hugepagesz=2M hugepages=3000\n", text.trim()));
    on(root, &dry_run).with(0).saying(&["reserves 3000 huge pages of 2 MiB at boot (hugepages=3000)", "takes the place of that: 2048"]);
    let large = on(root, &["prepare", "--hugepages", "2G", "--page-size", "1G", "--dry-run"]).with(0);
    let large = large.saying(&["other programs use 2 huge pages of 1 GiB", "reserves 2 huge pages of 1 GiB at boot (hugepages=2)"]);
    assert!(large.stdout.contains("kernel parameter hugepagesz=1G hugepages=4"), "{}", large.stdout);
    // The guest runs: it has what was reserved for it, and nothing more is reserved.
    on(root, &small).with(0);
    pool("2048", 2048, 0);
    let again = on(root, &small).with(0);
    assert!(!again.stdout.contains("60-vgapt-hugepages"), "{}", again.stdout);
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
    let said = on(root, &CARD).with(0).saying(&["names 01:00.0, 01:00.1, but nothing loads vfio-pci before the host's drivers"]);
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
    let said = said.saying(&["kernel parameters that you did not set yourself: intel_iommu=on (/etc/default/grub, line"]);
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
    let says = "50-remove-nvidia.rules, line 1 removes functions that are not here from the PCI bus";
    let said = on(root, &["prepare", "--dry-run"]).saying(&["no card is bound: 00:02.0 is the host's own display", says]);
    assert!(!said.stdout.contains("00:02.0 VGA"), "{}", said.stdout);
    on(root, &["prepare", "--gpu", "auto", "--dry-run"]).with(1).saying(&[says]);
    // Who names it means it.
    assert!(on(root, &["prepare", "--gpu", "00:02.0", "--dry-run"]).stdout.contains("00:02.0 VGA"));
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

/// What vgapt writes does not reach an entry that somebody wrote by hand, which is the menu's default.
#[test]
fn the_default_is_an_entry_by_hand() {
    let root = distribution("debian13-grub-initramfs-tools");
    let root = root.path();
    let generated = text(root, "boot/grub/grub.cfg");
    let own = |line: &str| {
        let entry = format!("menuentry 'Guest' --id guest {{\n\tlinux /boot/vmlinuz-6.12.48+deb13-amd64 root=UUID=2 {line}\n}}\n");
        let section = format!("### BEGIN /etc/grub.d/40_custom ###\n{entry}### END /etc/grub.d/40_custom ###\n");
        put(root, "boot/grub/grub.cfg", &format!("{generated}{section}"));
    };
    own("ro iommu=pt");
    on(root, &CARD).with(0);
    // For one boot, which `prepare` does not refuse.
    put(root, "boot/grub/grubenv", "# GRUB Environment Block\nnext_entry=guest\n");
    on(root, &CARD).with(0);
    let said = on(root, &["check", "--gpu", "01:00.0", "--next"]).with(1);
    assert!(said.stdout.contains("(Guest) lacks intel_iommu=on"), "{}", said.stdout);
    put(root, "boot/grub/grubenv", "# GRUB Environment Block\nnext_entry=\n");
    for name in ["\"Guest\"", "guest", "saved"] {
        edit(root, "etc/default/grub", |text| format!("{text}GRUB_DEFAULT={name}\n"));
        put(root, "boot/grub/grubenv", "# GRUB Environment Block\nsaved_entry=Guest\n");
        on(root, &CARD).with(1).saying(&[
            "(Guest): it is copied from /etc/grub.d/40_custom as it is",
            "it lacks intel_iommu=on",
            "add intel_iommu=on to its linux line in /etc/grub.d/40_custom",
        ]);
        let said = on(root, &["check", "--gpu", "01:00.0", "--next"]).with(1);
        assert!(said.stdout.contains("(Guest) lacks intel_iommu=on"), "{}", said.stdout);
    }
    // Once it has it, that is what boots.
    own("ro iommu=pt intel_iommu=on");
    on(root, &CARD).with(0);
    check_says(root, &["the next boot has"]);
    // One that is put before the generated ones (07_custom) is the first.
    edit(root, "etc/default/grub", |text| format!("{text}GRUB_DEFAULT=0\n"));
    let entry = "menuentry 'Guest' --id guest {\n\tlinux /boot/vmlinuz-6.12.48+deb13-amd64 root=UUID=2 ro\n}\n";
    put(root, "boot/grub/grub.cfg", &format!("### BEGIN /etc/grub.d/07_custom ###\n{entry}### END /etc/grub.d/07_custom ###\n{generated}"));
    on(root, &CARD)
        .with(1)
        .saying(&["the default is the menu's first entry, which is", "add intel_iommu=on to its linux line in /etc/grub.d/07_custom"]);
}

/// Somebody has written what opens the root file system into a generated entry only, or the file that it is made from anew.
#[test]
fn entries_that_could_not_open_the_root_file_system() {
    for (name, source, lost) in [
        ("cachyos-limine", "/etc/default/limine", "cryptdevice=UUID=2:root"),
        ("arch-uki-cmdline", "/etc/kernel/cmdline", "rd.luks.name=2=root"),
        ("tumbleweed-systemd-boot", "/etc/kernel/cmdline", "rd.luks.uuid=2"),
        ("proxmox9-zfs-systemd-boot", "/etc/kernel/cmdline", "rd.luks.uuid=2"),
        ("debian13-grub-initramfs-tools", "/etc/default/grub", "cryptdevice=UUID=2:root"),
    ] {
        let root = distribution(name);
        let root = root.path();
        on(root, &CARD).with(0);
        edit(root, "proc/cmdline", |line| format!("{} {lost}\n", line.trim_end()));
        let says = format!("this boot has {lost}, which {source} lacks");
        on(root, &CARD).with(1).saying(&[&says, &format!("add {lost} to {source}")]);
        // As another spelling of the same, or beside others in quotes.
        let other = lost.replace("=2", "=\"3\"").replace("=UUID=2:root", "=/dev/sda3:root");
        let as_written = if source.starts_with("/etc/default") { format!("MORE='{other}'") } else { other };
        edit(root, &source[1..], |text| {
            format!("{}{}{as_written}\n", text.trim_end(), if as_written.starts_with("MORE") { "\n" } else { " " })
        });
        on(root, &CARD).with(0);
    }
}

/// Where something else binds a card, and a driver of the host may be first.
#[test]
fn a_driver_of_the_host_may_be_first() {
    const NEXT: [&str; 4] = ["check", "--gpu", "01:00.0", "--next"];
    let vfio = "options vfio-pci ids=10de:1c03,10de:10f1\n";
    let root = distribution("arch-systemd-boot");
    let root = root.path();
    put(root, "etc/modprobe.d/vfio.conf", vfio);
    let next = |words: &str, code: i32| {
        let said = on(root, &NEXT).with(code).stdout;
        assert!(said.contains(words), "{said}");
    };
    let modules = |list: &str| edit(root, "etc/mkinitcpio.conf", |text| format!("{text}\nMODULES=({list})\n"));
    let binds = "binds 01:00.0, 01:00.1";
    for name in ["linux", "linux-fallback"] {
        edit(root, &format!("boot/loader/entries/2025-09-30_{name}.conf"), |text| text.replace(" rw", " rw intel_iommu=on"));
    }
    modules("vfio_pci vfio vfio_iommu_type1 nouveau");
    next(binds, 0);
    modules("nouveau vfio_pci vfio vfio_iommu_type1");
    next("but nouveau may be first at the next boot: mkinitcpio loads it before vfio-pci", 1);
    let own = on(root, &["prepare", "--gpu", "01:00.0", "--dry-run", "--verbose"]).with(0).stdout;
    assert!(own.contains("+softdep nouveau pre: vfio-pci"), "{own}");
    // What loads vfio-pci before, or keeps the other out.
    for held_back in ["softdep nouveau pre: vfio-pci\n", "blacklist nouveau\nblacklist nvidia\n"] {
        put(root, "etc/modprobe.d/vfio.conf", &format!("{vfio}{held_back}"));
        next(binds, 0);
    }
    put(root, "etc/modprobe.d/vfio.conf", vfio);
    // The image has no file of modprobe then.
    modules("vfio_pci vfio");
    edit(root, "etc/mkinitcpio.conf", |text| format!("{text}\nHOOKS=(base udev autodetect block filesystems)\n"));
    next("HOOKS of mkinitcpio lacks modconf", 1);
    edit(root, "etc/mkinitcpio.conf", |text| format!("{text}\nFILES=(/etc/modprobe.d/vfio.conf)\n"));
    next(binds, 0);
    modules("");
    put(root, "etc/modules-load.d/vfio.conf", "vfio-pci\n");
    next("udev may load it before systemd-modules-load loads vfio-pci", 1);
    // All functions count.
    put(root, "etc/modprobe.d/vfio.conf", "options vfio-pci ids=10de:1c03\n");
    modules("vfio_pci");
    next("nothing is set up that binds 01:00.1 to vfio-pci at the boot", 1);
}

/// An update on some distributions removes the modules of the running kernel.
#[test]
fn the_modules_of_the_running_kernel_are_gone() {
    let root = distribution("arch-systemd-boot");
    let root = root.path();
    assert!(!on(root, &CHECK).stdout.contains("is not there, as after an update"));
    remove(root, &["lib/modules/6.16.10-arch1-1"]);
    put(root, "lib/modules/6.99.1-arch1-1/modules.builtin", "kernel/drivers/video/fbdev/core/fb.ko\n");
    put(root, "lib/modules/6.99.1-arch1-1/modules.dep", "kernel/drivers/vfio/pci/vfio-pci.ko:\n");
    check_says(
        root,
        &[
            "/lib/modules/6.16.10-arch1-1 of the running kernel is not there, as after an update",
            "reboot: the modules of the running kernel are not there any more",
        ],
    );
}

/// Who has added the parameter needs another remedy.
#[test]
fn the_parameter_is_there_and_the_iommu_is_off() {
    let root = distribution("debian13-grub-initramfs-tools");
    let root = root.path();
    edit(root, "proc/cmdline", |line| format!("{} intel_iommu=on\n", line.trim_end()));
    check_says(root, &["although this boot has intel_iommu=on", "dmesg | grep -i -e DMAR -e IOMMU"]);
    assert!(!on(root, &CHECK).stdout.contains("add the kernel parameter"));
}

/// An entry that boots as before has what the user wrote; one for recovery goes without.
#[test]
fn what_the_user_wrote_stays() {
    let root = distribution("fedora41-grub-bls");
    let root = root.path();
    let folder = root.join("boot/loader/entries");
    let entries: Vec<String> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let (rescue, usual): (Vec<&String>, Vec<&String>) = entries.iter().partition(|name| name.contains("rescue"));
    assert!(!rescue.is_empty() && !usual.is_empty());
    for name in usual {
        edit(root, &format!("boot/loader/entries/{name}"), |text| text.replace(" ro ", " ro intel_iommu=on "));
    }
    edit(root, "proc/cmdline", |line| format!("{} intel_iommu=on\n", line.trim_end()));
    edit(root, "etc/default/grub", |text| text.replace("GRUB_CMDLINE_LINUX=\"", "GRUB_CMDLINE_LINUX=\"intel_iommu=on "));
    let said = on(root, &["prepare", "--gpu", "01:00.0", "--dry-run", "--verbose"]).with(0).stdout;
    assert!(!said.contains("rescue.conf"), "{said}");
    let fallback = said.split("Z-vgapt-without.conf").nth(1).unwrap();
    assert!(fallback.lines().any(|line| line.contains("options") && line.contains("intel_iommu=on")), "{said}");
}

/// A package replaced one file: the others still bind the card.
#[test]
fn a_parameter_is_lost_and_the_binding_is_not() {
    let root = distribution("debian13-grub-initramfs-tools");
    let root = root.path();
    let before = text(root, "etc/default/grub");
    on(root, &["prepare", "--gpu", "01:00.0", "--yes"]).with(0);
    for function in ["0", "1"] {
        edit(root, &format!("sys/bus/pci/devices/0000:01:00.{function}/uevent"), |text| {
            let rest: String = text.lines().filter(|line| !line.starts_with("DRIVER=")).map(|line| format!("{line}\n")).collect();
            format!("DRIVER=vfio-pci\n{rest}")
        });
    }
    put(root, "etc/default/grub", &before);
    let said = check_says(root, &["all its functions are bound to vfio-pci"]);
    assert!(!said.contains("no configuration was found"), "{said}");
    fs::remove_file(root.join("etc/modprobe.d/vgapt.conf")).unwrap();
    check_says(root, &["no configuration was found that binds it"]);
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

/// What dash and bash make of a text that is read as grub-mkconfig reads it, with `set -e`; `None` where the shell is missing.
fn reads(shell: &str, text: &str) -> Option<bool> {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, text).unwrap();
    let ran = std::process::Command::new(shell).args(["-ec", ". \"$1\"", shell]).arg(&file).output().ok()?;
    Some(ran.status.success())
}

/// grub-mkconfig reads /etc/default/grub with `.` under `set -e`: an update would fail at it, too.
#[test]
fn a_shell_cannot_read_the_defaults_of_grub() {
    const FILE: &str = "etc/default/grub";
    const DROP_IN: &str = "etc/default/grub.d/own.cfg";
    let root = distribution("debian13-grub-initramfs-tools");
    let root = root.path();
    let kept = text(root, FILE);
    on(root, &CARD).with(0);
    for (line, words) in [
        (
            "A=\"quiet splash acpi_osi=\\\"Windows 2009\\\"\nB=\"\"",
            ["line 1 opens a quote (\") and does not close it", "close the quote at the end"],
        ),
        ("A='x", ["line 1 opens a quote (') and does not close it", "close the quote at the end"]),
        (
            "\nA=\"quiet\" vfio-pci.ids=10de:1c03",
            ["line 2: sh runs `vfio-pci.ids=10de:1c03` as a command", "write everything within the quotes"],
        ),
        ("GRUB_TIMEOUT = 5", ["line 1: sh runs `GRUB_TIMEOUT` as a command", "no blanks beside ="]),
        ("A+=\" iommu=pt\"", ["line 1: sh runs `A+=\" iommu=pt\"` as a command, and update-grub stops there", "write: A=\"$A iommu=pt\""]),
        ("A=\"quiet\"\r\n\r", ["line 1 ends as lines of Windows do (CR LF)", "sed -i 's/\\r$//' /etc/default/grub"]),
    ] {
        put(root, DROP_IN, &format!("{line}\n"));
        on(root, &CARD).with(1).saying(&[&format!("error: /etc/default/grub.d/own.cfg, {}", words[0]), words[1]]);
        check_says(root, &[words[0]]);
        assert_ne!(reads("dash", &format!("{line}\n")), Some(true), "{line}");
    }
    for line in [
        "A='quiet' # it's a comment",
        "A=\"$(echo \"it's\" | head -n1)\"\nLC_ALL=C true",
        "if [ -n \"$A\" ]; then\n  A=\"x\"\nfi",
        "f() {\n  A=x B=y\n}\nf",
        "A=`( echo \"x\" ) 2>/dev/null || echo y`",
        "# CR LF in a comment\r",
    ] {
        put(root, DROP_IN, &format!("{line}\n"));
        on(root, &CARD).with(0);
        assert_ne!(reads("dash", &format!("{line}\n")), Some(false), "{line}");
    }
    // bash knows `+=`, and Fedora's and Arch's /bin/sh is bash.
    put(root, DROP_IN, "A+=\" x\"\n");
    on(root, &CARD).with(1);
    assert_ne!(reads("bash", "A+=\" x\"\n"), Some(false));
    put(root, "usr/bin/bash", "");
    put(root, "bin/.keep", "");
    std::os::unix::fs::symlink("../usr/bin/bash", root.join("bin/sh")).unwrap();
    on(root, &CARD).with(0);
    // The file itself, and what only other tools read.
    remove(root, &["etc/default/grub.d"]);
    put(root, FILE, &kept.replace("GRUB_DEFAULT=0", "GRUB_DEFAULT='0"));
    on(root, &CARD).with(1).saying(&["error: /etc/default/grub, line", "opens a quote (') that closes only in a later line"]);
    put(root, FILE, &kept);
    put(root, "etc/dracut.conf", "A='x\n");
    on(root, &CARD).with(0);
}

/// mkinitcpio and dracut are scripts of bash, without `set -e`.
#[test]
fn a_shell_cannot_read_the_configuration_of_the_initramfs() {
    for (name, file, lists) in [
        ("arch-grub", "etc/mkinitcpio.conf.d/own.conf", "MODULES+=(xe)\n"),
        ("fedora41-grub-bls", "etc/dracut.conf.d/own.conf", "add_drivers+=\" xe \"\n"),
    ] {
        let root = distribution(name);
        let root = root.path();
        put(root, file, lists);
        on(root, &CARD).with(0);
        put(root, file, &format!("{lists}A=\"x\n"));
        on(root, &CARD).with(1).saying(&[&format!("error: /{file}, line 2 opens a quote (\")")]);
        put(root, file, &format!("{lists}A=\"x\" kvm\n"));
        on(root, &CARD)
            .with(0)
            .saying(&[&format!("warning: /{file}, line 2: bash runs `kvm` as a command, so what the line sets is lost")]);
    }
}

/// Its next run writes the entries anew, with the options of its own configuration.
#[test]
fn entries_that_sdboot_manage_writes() {
    const FILE: &str = "etc/sdboot-manage.conf";
    let root = distribution("arch-systemd-boot");
    let root = root.path();
    put(root, "usr/bin/sdboot-manage", "");
    put(root, FILE, "# options\nLINUX_OPTIONS=\"quiet splash\"\n#LINUX_FALLBACK_OPTIONS=\"\"\n");
    let before = tree::walk(root);
    let said = on(root, &["prepare", "--gpu", "01:00.0", "--yes"]).with(0).stdout;
    assert!(said.contains("its entries are written by sdboot-manage"), "{said}");
    let after = text(root, FILE);
    assert!(after.contains("LINUX_OPTIONS=\"quiet splash intel_iommu=on\"\n"), "{after}");
    assert!(after.contains("\nLINUX_FALLBACK_OPTIONS+=\" intel_iommu=on\"\n"), "{after}");
    assert!(text(root, "boot/loader/entries/2025-09-30_linux.conf").contains("rootfstype=ext4 intel_iommu=on\n"));
    assert!(!on(root, &CARD).stdout.contains("sdboot-manage.conf"), "a second time");
    on(root, &["undo", "--yes"]).with(0);
    assert_eq!(tree::differences(&before, &tree::walk(root)), [""; 0]);
    // Without fallback entries their options do not matter.
    edit(root, FILE, |text| format!("{text}DISABLE_FALLBACK=\"yes\"\n"));
    assert!(!on(root, &CARD).with(0).stdout.contains("+LINUX_FALLBACK_OPTIONS"));
    put(root, "etc/sdboot-manage.conf.d/own.conf", "LINUX_OPTIONS+=\" x\"\n");
    on(root, &CARD).with(0);
    put(root, "etc/sdboot-manage.conf.d/own.conf", "LINUX_OPTIONS=\"x\"\n");
    on(root, &CARD).with(1).saying(&["/etc/sdboot-manage.conf.d/own.conf sets LINUX_OPTIONS anew", "write LINUX_OPTIONS+= instead"]);
}

/// A kernel for virtual machines, or one that somebody built.
#[test]
fn a_kernel_without_vfio() {
    const MODULES: &str = "lib/modules/6.16.10-arch1-1";
    let root = distribution("arch-grub");
    let root = root.path();
    put(root, &format!("{MODULES}/modules.dep"), "kernel/drivers/vfio/pci/vfio-pci.ko.zst: kernel/drivers/vfio/vfio.ko.zst\n");
    on(root, &CARD).with(0);
    put(root, &format!("{MODULES}/modules.dep"), "kernel/drivers/gpu/drm/drm.ko.zst:\n");
    let says = "is not part of the kernel 6.16.10-arch1-1";
    on(root, &CARD)
        .with(1)
        .saying(&[&format!("error: vfio-pci, which makes a device available to a guest, {says}"), "full kernel package"]);
    let said = check_says(root, &["see 'vfio-pci', because of which"]);
    assert_eq!(said.matches(says).count(), 1, "once: {said}");
    // Another kernel has it.
    put(root, "lib/modules/6.17.1-arch1-1/modules.dep", "kernel/drivers/vfio/pci/vfio-pci.ko.zst:\n");
    put(root, "lib/modules/6.17.1-arch1-1/modules.builtin", "kernel/fs/ext4/ext4.ko\nkernel/drivers/video/fbdev/core/fb.ko\n");
    on(root, &CARD).with(0).saying(&[&format!("warning: vfio-pci, which makes a device available to a guest, {says}")]);
}

/// In its mode integrated it removes NVIDIA's functions from the bus at its start.
#[test]
fn system76_power_removes_the_card() {
    let root = distribution("popos-kernelstub");
    let root = root.path();
    let says = "system76-power is in its mode integrated";
    put(root, "etc/modprobe.d/system76-power.conf", "# Automatically generated by system76-power\nalias nouveau off\nalias nvidia off\n");
    assert!(!on(root, &CARD).stderr.contains(says));
    put(root, "usr/bin/system76-power", "");
    on(root, &CARD).saying(&[says, "systemctl disable --now com.system76.PowerDaemon"]);
    check_says(root, &[says]);
    put(root, "etc/modprobe.d/system76-power.conf", "# Automatically generated by system76-power\n");
    assert!(!on(root, &CARD).stderr.contains(says));
}

/// Each of them would change the number that vgapt reserves, or write it a second time.
#[test]
fn other_writers_of_the_number_of_huge_pages() {
    const PAGES: [&str; 4] = ["prepare", "--hugepages", "8G", "--dry-run"];
    let root = distribution("fedora41-grub-bls");
    let root = root.path();
    put(root, "etc/tuned/own/tuned.conf", "[main]\ninclude=virtual-host\n[sysctl]\nvm.nr_hugepages=4096\n");
    put(root, "etc/libvirt/hooks/qemu.d/win/release/end/free.sh", "#!/bin/bash\n# 0 > nr_hugepages\necho 0 > /proc/sys/vm/nr_hugepages\n");
    put(root, "etc/libvirt/hooks/qemu.d/win/prepare/begin/look.sh", "#!/bin/bash\ncat /proc/sys/vm/nr_hugepages\n");
    put(root, "etc/tmpfiles.d/own.conf", "w /proc/sys/vm/nr_hugepages - - - - 64\n");
    let said = on(root, &PAGES).with(0).saying(&[
        "/etc/libvirt/hooks/qemu.d/win/release/end/free.sh, line 3 also sets the number of huge pages, when a domain starts or stops",
        "/etc/tmpfiles.d/own.conf, line 1 also sets the number of huge pages",
    ]);
    assert!(!said.stderr.contains("look.sh") && !said.stderr.contains("TuneD"), "{}", said.stderr);
    put(root, "etc/tuned/mine/tuned.conf", "[main]\ninclude=own\n");
    put(root, "etc/tuned/active_profile", "mine\n");
    on(root, &PAGES).with(0).saying(&["/etc/tuned/own/tuned.conf, of TuneD's active profile, also sets vm.nr_hugepages, to 4096"]);
}

/// `vm.nr_hugepages` counts pages of the default size.
#[test]
fn huge_pages_of_another_size_than_was_meant() {
    const PAGES: [&str; 6] = ["prepare", "--hugepages", "8G", "--page-size", "1G", "--dry-run"];
    const SYSCTL: &str = "etc/sysctl.d/40-pages.conf";
    let root = distribution("debian13-grub-initramfs-tools");
    let root = root.path();
    edit(root, "proc/meminfo", |text| text.replace("Hugepagesize:       2048 kB", "Hugepagesize:    1048576 kB"));
    for (name, number) in [("nr_hugepages", 8), ("free_hugepages", 8)] {
        put(root, &format!("sys/kernel/mm/hugepages/hugepages-1048576kB/{name}"), &format!("{number}\n"));
    }
    put(root, SYSCTL, "vm.nr_hugepages = 8192\n");
    let says = "counts pages of the default size, here 1 GiB, so 8192 of them are 8 TiB";
    let said = on(root, &PAGES).with(0).saying(&[says, "remove that line from /etc/sysctl.d/40-pages.conf"]);
    assert!(said.stdout.contains("/dev/hugepages1G"), "{}", said.stdout);
    let said = check_says(root, &[says]);
    assert!(!said.contains("sysctl --system"), "{said}");
    put(root, SYSCTL, "vm.nr_hugepages = 4\n");
    on(root, &PAGES).with(0).saying(&["to 4, which counts instead of the 8 on the kernel command line once sysctl.d is read"]);
    put(root, SYSCTL, "");
    // They are mounted by somebody's line, or by systemd.
    put(root, "etc/fstab", "hugetlbfs /dev/hugepages hugetlbfs mode=01770,pagesize=1G 0 0\n");
    assert!(!on(root, &PAGES).with(0).stdout.contains("/dev/hugepages1G"));
    put(root, "etc/fstab", "");
    edit(root, "proc/mounts", |text| format!("{text}hugetlbfs /dev/hugepages hugetlbfs rw,pagesize=1024M 0 0\n"));
    assert!(!on(root, &PAGES).with(0).stdout.contains("/dev/hugepages1G"));
}

/// grubby changes entries that the next deployment replaces.
#[test]
fn parameters_of_a_deployment_are_removed_by_rpm_ostree() {
    let root = distribution("silverblue-ostree");
    let root = root.path();
    put(root, "usr/bin/grubby", "");
    edit(root, "proc/cmdline", |text| format!("{} vfio-pci.ids=10de:1c03,10de:10f1\n", text.trim()));
    let entries = root.join("boot/loader/entries");
    let entry = fs::read_dir(entries).unwrap().next().unwrap().unwrap().file_name().into_string().unwrap();
    let add =
        |line: &str| if line.starts_with("options ") { format!("{line} vfio-pci.ids=10de:1c03,10de:10f1\n") } else { format!("{line}\n") };
    edit(root, &format!("boot/loader/entries/{entry}"), |text| text.lines().map(add).collect());
    let said = on(root, &CARD).saying(&["rpm-ostree kargs --delete-if-present=vfio-pci.ids=10de:1c03,10de:10f1"]);
    assert!(!said.stderr.contains("grubby"), "{}", said.stderr);
}

/// mkinitcpio ends with an error at a module that is not there; dracut-install ends, and leaves out what is behind it.
#[test]
fn modules_that_do_not_exist_in_the_lists_of_the_initramfs() {
    let root = distribution("arch-grub");
    let root = root.path();
    put(root, "etc/mkinitcpio.conf.d/own.conf", "MODULES+=(vfio_virqfd)\n");
    on(root, &CARD)
        .with(1)
        .saying(&["error: vfio_virqfd is listed in /etc/mkinitcpio.conf.d/own.conf", "and mkinitcpio fails where it is listed"]);
    // Nothing is built.
    on(root, &["prepare", "--gpu", "01:00.0", "--bind", "start", "--dry-run"]).with(0).saying(&["warning: vfio_virqfd is listed"]);

    let root = distribution("fedora41-grub-bls");
    let root = root.path();
    put(root, "etc/dracut.conf.d/own.conf", "add_drivers+=\" vfio_virqfd \"\n");
    on(root, &CARD).with(0).saying(&["warning: vfio_virqfd is listed", "leaves out the modules that stand behind it in the same list"]);
    put(root, "etc/dracut.conf.d/own.conf", "force_drivers+=\" vfio_virqfd \"\n");
    on(root, &CARD).with(1).saying(&["error: vfio_virqfd is listed"]);
    put(root, "etc/dracut.conf.d/own.conf", "force_drivers+=\"vfio_pci vfio\"\nomit_drivers+=\"a\"\n");
    put(root, "etc/dracut.conf.d/second.conf", "omit_drivers+=\"b\"\nforce_drivers+=\"nvidia\"\n");
    on(root, &CARD)
        .with(1)
        .saying(&["error: /etc/dracut.conf.d/second.conf, line 2 begins without a blank", "vfionvidia, which is no module"]);
    put(root, "etc/dracut.conf.d/second.conf", "force_drivers+=\" nvidia \"\n");
    on(root, &CARD).with(0);
}

#[test]
fn misspelt_parameters() {
    let root = distribution("debian13-grub-initramfs-tools");
    let root = root.path();
    let with = |words: &str| put(root, "etc/default/grub", &format!("GRUB_CMDLINE_LINUX=\"quiet {words}\"\n"));
    for (words, meant) in [
        ("intel_iommu=0n", "intel_iommu=on"),
        ("immou=pt", "iommu=pt"),
        ("intel-iomu=on", "intel_iommu=on"),
        ("intel_iommu=on,sm_onn", "intel_iommu=on,sm_on"),
        ("vfio-pci.id=10de:1c03", "vfio_pci.ids=10de:1c03"),
        ("modul_blacklist=nouveau", "module_blacklist=nouveau"),
    ] {
        with(words);
        let says = format!("/etc/default/grub, line 1 says `{words}`, which the kernel does not know; {meant} is nearly the same");
        on(root, &CARD).saying(&[&says]);
    }
    for words in
        ["intel_iommu=on iommu=pt amd_iommu=on", "hugepagesz=1G hugepages=4", "nohpet=1 isolcpus=1 video=x", "pci=noaer iommu.strict=0"]
    {
        with(words);
        assert!(!on(root, &CARD).stderr.contains("is nearly the same"), "{words}");
    }
}

/// The script of an old guide is gone, and the module is not loaded.
#[test]
fn an_install_line_runs_a_script_that_is_gone() {
    let root = distribution("debian13-grub-initramfs-tools");
    let root = root.path();
    put(root, "etc/modprobe.d/own.conf", "install vfio-pci /sbin/own.sh\n");
    let says = "runs /sbin/own.sh, which does not exist";
    on(root, &CARD).with(1).saying(&[says]);
    put(root, "sbin/own.sh", "#!/bin/sh\nmodprobe -i vfio-pci\n");
    assert!(!on(root, &CARD).stderr.contains(says));
}

/// A rule that is understood and matches nothing is not a rule that is not understood.
#[test]
fn a_rule_that_matches_no_device() {
    let root = distribution("debian13-grub-initramfs-tools");
    let root = root.path();
    put(root, "etc/udev/rules.d/9.rules", "SUBSYSTEM==\"pci\", ATTR{class}==\"0x028000\", ATTR{driver_override}=\"vfio-pci\"\n");
    let said = on(root, &CARD).with(0).saying(&["no device of this host is meant by /etc/udev/rules.d/9.rules, line 1"]);
    assert!(!said.stderr.contains("does not understand"), "{}", said.stderr);
}

/// What was edited since stays, and that is said.
#[test]
fn edits_that_stay_after_undo() {
    let root = distribution("debian13-grub-initramfs-tools");
    let root = root.path();
    on(root, &["prepare", "--gpu", "01:00.0", "--yes"]).with(0);
    edit(root, "etc/default/grub", |text| text.replace("GRUB_TIMEOUT=5", "GRUB_TIMEOUT=9"));
    edit(root, "etc/default/grub", |text| text.replace("intel_iommu=on", "intel_iommu=on nosmt"));
    let said = on(root, &["undo", "--yes", "--force"]).with(0).saying(&["what was edited since stays, in /etc/default/grub"]);
    assert!(!said.stderr.contains("the tree is as before"), "{}", said.stderr);
    let after = text(root, "etc/default/grub");
    assert!(after.contains("nosmt") && !after.contains("intel_iommu"), "{after}");
}
