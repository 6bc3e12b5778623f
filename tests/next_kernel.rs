//! `vgapt check --next`: the kernel that boots next, after an update that brought another one.

#[path = "support/command.rs"]
#[expect(dead_code, reason = "not all of it is used here")]
mod command;
#[path = "support/tree.rs"]
#[expect(dead_code, reason = "trees are not compared here")]
mod tree;

use std::fs;
use std::path::Path;

use command::{run, vgapt, without_options};
use serde_json::Value;
use tempfile::TempDir;
use tree::distribution;

const OLD: &str = "6.12.48+deb13-amd64";
const NEW: &str = "6.13.2-amd64";

fn write(root: &Path, path: &str, text: &str) {
    let file = root.join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

/// Debian with a second kernel, which an update brought: with vfio-pci, with an entry of its own that has the parameter.
fn updated() -> TempDir {
    let tree = distribution("debian13-grub-initramfs-tools");
    let root = tree.path();
    write(root, &format!("lib/modules/{NEW}/modules.builtin"), "kernel/drivers/video/fbdev/core/fb.ko\n");
    write(root, &format!("lib/modules/{NEW}/modules.dep"), "kernel/drivers/vfio/pci/vfio-pci.ko.xz: kernel/drivers/vfio/vfio.ko.xz\n");
    write(root, &format!("boot/initrd.img-{NEW}"), "x");
    let menu = fs::read_to_string(root.join("boot/grub/grub.cfg")).unwrap();
    let menu = menu.replace("ro  quiet", "ro quiet intel_iommu=on");
    write(root, "boot/grub/grub.cfg", &format!("{}{menu}", menu.replace(OLD, NEW)));
    tree
}

fn check(root: &Path, arguments: &[&str], code: i32) -> Value {
    let root = root.display().to_string();
    let ran = run(&mut vgapt([&["--root", &root, "check", "--json"], arguments].concat())).with(code);
    serde_json::from_str(&without_options(&ran.stdout)).unwrap()
}

fn of<'a>(report: &'a Value, code: &str) -> &'a Value {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["code"] == code).unwrap_or_else(|| panic!("there is no {code}: {report}"))
}

#[track_caller]
fn says(check: &Value, state: &str, words: &[&str]) {
    assert_eq!(check["state"], state, "{check}");
    for word in words {
        assert!(check.to_string().contains(word), "{check}\ndoes not say: {word}");
    }
}

/// The card's start is the guest's: nothing has to be set up for the boot but the IOMMU.
const AT_START: [&str; 5] = ["--next", "--gpu", "01:00.0", "--bind", "start"];

#[test]
fn the_newest_of_the_boot_menu_is_meant() {
    let tree = updated();
    let report = check(tree.path(), &AT_START, 0);
    says(of(&report, "next-kernel"), "ok", &[NEW, "the newest that the boot menu has an entry for"]);
    says(of(&report, "next-vfio-module"), "ok", &["is a module of it"]);
    says(of(&report, "next-parameters"), "ok", &["intel_iommu=on"]);
    assert_eq!(report["summary"], format!("kernel {NEW}: ready"));
    assert_eq!(report["next"]["command"], "reboot", "{report}");

    // Another entry may be the default; what is in no entry does not boot.
    write(tree.path(), "etc/default/grub", "GRUB_DEFAULT=saved\n");
    write(tree.path(), "lib/modules/6.14.0-amd64/modules.builtin", "kernel/drivers/video/fbdev/core/fb.ko\n");
    let report = check(tree.path(), &AT_START, 0);
    says(of(&report, "next-kernel"), "warning", &[NEW, "GRUB_DEFAULT=saved", "vgapt check --next RELEASE"]);
    let menu = fs::read_to_string(tree.path().join("boot/grub/grub.cfg")).unwrap();
    write(tree.path(), "boot/grub/grub.cfg", &menu.replacen("menuentry 'Debian GNU/Linux'", "menuentry 'New'", 1));
    write(tree.path(), "boot/grub/grubenv", "# GRUB Environment Block\nsaved_entry=Debian GNU/Linux\n");
    says(of(&check(tree.path(), &AT_START, 0), "next-kernel"), "ok", &[OLD, "saved_entry=Debian GNU/Linux", "line 27"]);
    write(tree.path(), "etc/kernel/proxmox-boot-pin", &format!("{NEW}\n"));
    says(of(&check(tree.path(), &AT_START, 0), "next-kernel"), "ok", &[NEW, "proxmox-boot-pin"]);

    let report = check(tree.path(), &["--next", OLD, "--gpu", "01:00.0", "--bind", "start"], 0);
    says(of(&report, "next-kernel"), "ok", &[OLD, "named by --next"]);
    let root = tree.path().display().to_string();
    run(&mut vgapt(["--root", &root, "check", "--next", "6.99"])).with(1).saying(&["has no kernel 6.99", NEW, OLD]);
}

/// systemd-boot's menu has a file for each kernel, and its configuration names one; files of Arch have its package's name.
#[test]
fn the_default_of_systemd_boot() {
    let tree = distribution("arch-systemd-boot");
    let root = tree.path();
    let entries = |name: &str| root.join("boot/loader/entries").join(name);
    let one = fs::read_dir(root.join("boot/loader/entries")).unwrap().next().unwrap().unwrap().path();
    let text = fs::read_to_string(&one).unwrap();
    let options: Vec<&str> = text.lines().filter(|line| line.starts_with("options")).collect();
    fs::remove_dir_all(root.join("boot/loader/entries")).unwrap();
    fs::remove_dir_all(root.join("lib/modules")).unwrap();
    for (package, release, more) in [("linux", "6.17.1-arch1-1", " intel_iommu=on"), ("linux-lts", "6.12.50-1-lts", "")] {
        write(root, &format!("lib/modules/{release}/pkgbase"), &format!("{package}\n"));
        write(root, &format!("lib/modules/{release}/modules.builtin"), "kernel/drivers/video/fbdev/core/fb.ko\n");
        write(root, &format!("lib/modules/{release}/modules.dep"), "kernel/drivers/vfio/pci/vfio-pci.ko.zst:\n");
        write(root, &format!("boot/initramfs-{package}.img"), "x");
        let entry = format!("title x\nlinux /vmlinuz-{package}\ninitrd /initramfs-{package}.img\n{}{more}\n", options[0]);
        write(root, &format!("boot/loader/entries/{package}.conf"), &entry);
    }
    write(root, "boot/loader/loader.conf", "timeout 3\n");
    assert!(entries("linux.conf").exists());
    let report = check(root, &AT_START, 0);
    says(of(&report, "next-kernel"), "ok", &["6.17.1-arch1-1", "the newest"]);
    says(of(&report, "next-parameters"), "ok", &["intel_iommu=on"]);
    write(root, "boot/loader/loader.conf", "timeout 3\ndefault linux-lts.conf\n");
    let report = check(root, &AT_START, 1);
    says(of(&report, "next-kernel"), "ok", &["6.12.50-1-lts", "loader.conf says default linux-lts.conf"]);
    says(of(&report, "next-parameters"), "missing", &["linux-lts.conf", "intel_iommu=on"]);
}

#[test]
fn what_the_next_kernel_lacks() {
    let tree = updated();
    let root = tree.path();
    write(root, &format!("lib/modules/{NEW}/modules.dep"), "kernel/drivers/net/tun.ko.xz:\n");
    let report = check(root, &AT_START, 1);
    says(of(&report, "next-vfio-module"), "missing", &["is not part of it", "full kernel package"]);
    assert_eq!((&report["ready"], report["step"].as_str()), (&Value::Bool(false), Some("kernel")), "{report}");
    // The other kernel has it, as far as its files say.
    assert_eq!(check(root, &["--next", OLD, "--gpu", "01:00.0", "--bind", "start"], 0)["ready"], true);

    // Nothing is known of a kernel whose list of modules is not there; that is neither ready nor the next step.
    fs::remove_file(root.join(format!("lib/modules/{NEW}/modules.dep"))).unwrap();
    let report = check(root, &AT_START, 0);
    says(of(&report, "next-vfio-module"), "unknown", &[NEW]);
    assert!(report["next"]["command"].is_null() && report["next"]["reason"].as_str().unwrap().contains("unknown"), "{report}");

    let tree = updated();
    fs::remove_file(tree.path().join(format!("boot/initrd.img-{NEW}"))).unwrap();
    says(of(&check(tree.path(), &AT_START, 1), "next-initramfs"), "missing", &[NEW]);
}

/// What has the card now says nothing of the next boot.
#[test]
fn a_card_that_nothing_binds_at_the_boot() {
    let tree = updated();
    let root = tree.path();
    let at_boot = ["--next", "--gpu", "01:00.0", "--bind", "boot"];
    let report = check(root, &at_boot, 1);
    says(of(&report, "binding"), "missing", &["nothing is set up that binds 01:00.0, 01:00.1", "vgapt prepare --gpu 01:00.0"]);
    let there = root.display().to_string();
    run(&mut vgapt(["--root", &there, "prepare", "--gpu", "01:00.0", "--yes"])).with(0);
    says(of(&check(root, &at_boot, 0), "binding"), "ok", &["is set up to be bound"]);

    // A parameter that an administrator added to this kernel's own entry, and lines of kmod.
    let menu = fs::read_to_string(root.join("boot/grub/grub.cfg")).unwrap();
    write(root, "boot/grub/grub.cfg", &menu.replacen("intel_iommu=on", "intel_iommu=on module_blacklist=vfio_pci", 1));
    let report = check(root, &at_boot, 1);
    let off: Vec<&Value> = report["checks"].as_array().unwrap().iter().filter(|check| check["state"] == "missing").collect();
    assert!(off.iter().any(|check| check.to_string().contains("module_blacklist=vfio_pci")), "{report}");
    write(root, "boot/grub/grub.cfg", &menu);
    write(root, "etc/modprobe.d/a.conf", "install vfio-pci /bin/false\n");
    says(of(&check(root, &at_boot, 1), "install-line"), "missing", &["a.conf"]);
}

#[test]
fn an_entry_that_was_made_anew_without_the_parameter() {
    let tree = updated();
    let menu = fs::read_to_string(tree.path().join("boot/grub/grub.cfg")).unwrap();
    write(tree.path(), "boot/grub/grub.cfg", &menu.replacen("intel_iommu=on", "", 1));
    let report = check(tree.path(), &AT_START, 1);
    says(of(&report, "next-parameters"), "missing", &["line", "intel_iommu=on", "vgapt prepare --gpu 01:00.0 --bind start"]);
    // The other kernel's entry has it.
    check(tree.path(), &["--next", OLD, "--gpu", "01:00.0", "--bind", "start"], 0);
}

/// DKMS says of each kernel by a link whether a module is installed for it.
#[test]
fn a_module_that_dkms_did_not_build() {
    let tree = updated();
    let root = tree.path();
    for (module, version, kernels) in [("vendor-reset", "0.1.1", &[OLD][..]), ("kvmfr", "0.0.12", &[OLD, NEW]), ("never-built", "1", &[])] {
        for kernel in kernels {
            write(root, &format!("var/lib/dkms/{module}/kernel-{kernel}-x86_64"), "");
        }
        write(root, &format!("var/lib/dkms/{module}/{version}/source"), "");
    }
    write(root, "var/lib/dkms/vendor-reset/0.0.9/source", "");
    write(root, "var/lib/dkms/dkms_dbversion", "2.0.0\n");
    for arguments in [&["--next"][..], &[]] {
        let report = check(root, &[arguments, &["--gpu", "01:00.0", "--bind", "start"]].concat(), i32::from(arguments.is_empty()));
        let dkms: Vec<&Value> = report["checks"].as_array().unwrap().iter().filter(|check| check["code"] == "dkms").collect();
        assert_eq!(dkms.len(), 1, "{arguments:?}: {dkms:?}");
        says(dkms[0], "warning", &["vendor-reset", OLD, NEW, &format!("dkms install vendor-reset/0.1.1 -k {NEW}")]);
    }
}

/// In a tree, the menu is generated by whoever runs the command that was printed: until then both commands say so.
#[test]
fn an_old_menu_of_a_tree_is_said_by_check_and_prepare() {
    let tree = distribution("debian13-grub-initramfs-tools");
    let root = tree.path().display().to_string();
    let prepare = ["--root", &root, "prepare", "--gpu", "01:00.0", "--bind", "start", "--yes"];
    run(&mut vgapt(prepare)).with(0);
    let report = check(tree.path(), &AT_START, 1);
    says(of(&report, "next-parameters"), "missing", &["lacks intel_iommu=on", "update-grub"]);
    assert_eq!(report["next"]["command"], "update-grub", "{report}");
    run(&mut vgapt(prepare)).with(0).saying(&["was not run in it", "run in that system: update-grub"]);

    // Once it is, neither has anything to do; a rescue entry needs nothing.
    let menu = fs::read_to_string(tree.path().join("boot/grub/grub.cfg")).unwrap();
    let rescue = menu.replace("ro  quiet", "ro single");
    write(tree.path(), "boot/grub/grub.cfg", &format!("{}{rescue}", menu.replace("ro  quiet", "ro quiet intel_iommu=on")));
    says(of(&check(tree.path(), &AT_START, 0), "next-parameters"), "ok", &["intel_iommu=on"]);
    let said = run(&mut vgapt(prepare)).with(0);
    assert!(!said.stderr.contains("update-grub"), "{}", said.stderr);
}

#[test]
fn a_release_that_is_not_there_is_named_with_those_that_are() {
    let tree = updated();
    let root = tree.path().display().to_string();
    let words = ["/lib/modules has no kernel 6.99", &format!("check --next {OLD}, or vgapt"), &format!("check --next {NEW}")];
    run(&mut vgapt(["--root", &root, "check", "--next", "6.99"])).with(1).saying(&words);
}
