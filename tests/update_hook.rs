//! The hook that `vgapt prepare` puts into updates of kernels: what each distribution's updates call, what it calls, what is
//! printed; and that it never fails an update. The lab's `next-kernel` has a whole update.

#[path = "support/command.rs"]
#[expect(dead_code, reason = "not all of it is used here")]
mod command;
#[path = "support/libvirt.rs"]
#[expect(dead_code, reason = "only what tells of missing programs is used here")]
mod libvirt;
#[path = "support/tree.rs"]
mod tree;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use command::{Ran, run, vgapt, without_options};
use libvirt::have;
use serde_json::Value;
use tempfile::TempDir;
use tree::{assert_same, distribution, walk};

const POSTINST: &str = "etc/kernel/postinst.d/zz-vgapt";
const POST_UPDATE: &str = "etc/initramfs/post-update.d/zz-vgapt";
const PLUG_IN: &str = "etc/kernel/install.d/zz-vgapt.install";
const PACMAN: &str = "etc/vgapt/after-update";
const VOID: &str = "etc/kernel.d/post-install/zz-vgapt";
const FIRST_PROGRAM: &str = "/etc/libvirt/hooks/vgapt";

fn on(root: &Path, arguments: &[&str]) -> Ran {
    run(&mut vgapt([&["--root", &root.display().to_string()], arguments].concat()))
}

/// A distribution that is prepared; with `id`, one of that name in os-release.
fn prepared(name: &str, id: Option<&str>) -> TempDir {
    let tree = distribution(name);
    if let Some(id) = id {
        let file = ["etc/os-release", "usr/lib/os-release"].map(|path| tree.path().join(path)).into_iter().find(|path| path.exists());
        fs::write(file.unwrap(), format!("ID={id}\n")).unwrap();
    }
    on(tree.path(), &["prepare", "--gpu", "01:00.0", "--yes"]).with(0);
    tree
}

fn executable(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The hook of a prepared tree, which calls this program, and takes it for hanging after a second.
fn hook_with(root: &Path, path: &str, program: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("vgapt");
    executable(&own, program);
    let text = fs::read_to_string(root.join(path)).unwrap();
    assert!(text.contains(FIRST_PROGRAM) && text.contains("timeout -k 5 60"), "{text}");
    let text = text.replace(FIRST_PROGRAM, own.to_str().unwrap()).replace("-k 5 60", "-k 1 1");
    let hook = folder.path().join("hooks").join(path.rsplit('/').next().unwrap());
    executable(&hook, &text);
    (folder, hook)
}

/// Runs it as an update does; it must succeed. What it printed.
#[track_caller]
fn updated(mut update: Command, input: &str) -> String {
    let mut child = update.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A hook that needs no input may have ended.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    assert_eq!(output.status.code(), Some(0), "{said}");
    said
}

const SAYS_HOW: &str = "#!/bin/sh\nprintf '<%s>' \"$@\"\necho\nexit 1\n";

#[test]
fn each_update_names_its_kernels() {
    let called = |release: &str| format!("<check><--after-update><--next><{release}>\n");
    let debian: &[&str] = &["6.13.2-amd64", "/boot/vmlinuz-6.13.2-amd64"];
    let plug_in: &[&str] = &["add", "6.13.2-200.fc41.x86_64", "/boot/0/6.13.2", "/lib/modules/6.13.2/vmlinuz"];
    let changed =
        "usr/lib/modules/6.17.1-arch1-1/vmlinuz\nusr/lib/modules/6.17.1-arch1-1/kernel/a.ko\nusr/lib/modules/6.12.50-1-lts/vmlinuz\n";
    let of_arch = called("6.12.50-1-lts") + &called("6.17.1-arch1-1");
    for (name, id, path, arguments, input, said) in [
        ("debian13-grub-initramfs-tools", None, POSTINST, debian, "", called("6.13.2-amd64")),
        ("proxmox9-zfs-systemd-boot", None, POSTINST, debian, "", called("6.13.2-amd64")),
        ("debian13-grub-initramfs-tools", None, POST_UPDATE, debian, "", called("6.13.2-amd64")),
        ("fedora41-grub-bls", None, PLUG_IN, plug_in, "", called("6.13.2-200.fc41.x86_64")),
        ("fedora41-grub-bls", None, PLUG_IN, &["remove", "6.13.2", "/boot/0/6.13.2"], "", String::new()),
        ("debian13-grub-dracut", Some("gentoo"), POSTINST, debian, "", called("6.13.2-amd64")),
        ("debian13-grub-dracut", Some("void"), VOID, &["linux6.13", "6.13.2_1"], "", called("6.13.2_1")),
        ("arch-grub", None, PACMAN, &[], changed, of_arch),
        ("arch-grub", None, PACMAN, &[], "usr/src/kvmfr-0.0.12/dkms.conf\n", called("")),
    ] {
        let tree = prepared(name, id);
        let (_folder, hook) = hook_with(tree.path(), path, SAYS_HOW);
        let with = |variables: &[(&str, &str)]| {
            let mut update = Command::new(&hook);
            update.args(arguments).envs(variables.iter().copied());
            updated(update, input)
        };
        assert_eq!(with(&[]), said, "{name} {path}");
        assert_eq!(with(&[("VGAPT_RUNS_IT", "1")]), "", "{name}: a program that vgapt runs");
        if path == POST_UPDATE {
            assert_eq!(with(&[("DEB_MAINT_PARAMS", "configure")]), "", "the update of a kernel says it itself, later");
        }
    }
}

#[test]
fn no_update_fails() {
    let tree = prepared("debian13-grub-initramfs-tools", None);
    for (program, said) in [
        ("#!/bin/sh\nexit 0\n", ""),
        ("#!/bin/sh\nkill -SEGV $$\n", "vgapt: kernel 6.13 was not checked (see above); to check it: vgapt check --next 6.13\n"),
        ("#!/bin/sh\nexit 101\n", "vgapt: kernel 6.13 was not checked (see above)"),
        ("no program\0", "vgapt: kernel 6.13 was not checked (see above)"),
        ("#!/bin/sh\nsleep 1000\n", "vgapt: kernel 6.13 was not checked (that took more than 60 seconds)"),
        ("#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 1; done\n", "vgapt: kernel 6.13 was not checked (that took more than 60 seconds)"),
    ] {
        let (_folder, hook) = hook_with(tree.path(), POSTINST, program);
        let mut update = Command::new(&hook);
        update.arg("6.13");
        let started = Instant::now();
        let printed = updated(update, "");
        assert!(printed.contains(said) && (!said.is_empty() || printed.is_empty()), "{program}: {printed}");
        assert!(started.elapsed() < Duration::from_secs(30), "{program}");
    }
    // Without any vgapt; this machine may have one.
    let (folder, hook) = hook_with(tree.path(), POSTINST, SAYS_HOW);
    let text = fs::read_to_string(&hook).unwrap().replace(" /usr/", &format!(" {}/usr/", folder.path().display()));
    executable(&hook, &text);
    fs::remove_file(folder.path().join("vgapt")).unwrap();
    let mut update = Command::new(&hook);
    update.arg("6.13");
    assert_eq!(updated(update, ""), "");
}

/// Debian's own program calls it, after those that make initramfs and menu.
#[test]
fn run_parts_calls_it_last() {
    if !have("run-parts", &["run-parts"]) {
        return;
    }
    let tree = prepared("debian13-grub-initramfs-tools", None);
    let (_folder, hook) = hook_with(tree.path(), POSTINST, "#!/bin/sh\necho this is $4\nexit 1\n");
    let folder = hook.parent().unwrap();
    for other in
        ["dkms", "initramfs-tools", "xx-update-initrd-links", "zz-kernelstub", "zz-proxmox-boot", "zz-systemd-boot", "zz-update-grub"]
    {
        executable(&folder.join(other), &format!("#!/bin/sh\necho {other}\n"));
    }
    let mut update = Command::new("run-parts");
    update.args(["--exit-on-error", "--arg=6.13", "--arg=/boot/vmlinuz-6.13"]).arg(folder).env("DEB_MAINT_PARAMS", "configure");
    let said = updated(update, "");
    assert!(said.contains("zz-update-grub\n") && said.ends_with("this is 6.13\n"), "{said}");
}

/// systemd's own program calls it.
#[test]
fn kernel_install_calls_it() {
    if !have("kernel-install", &["kernel-install"]) {
        return;
    }
    let tree = prepared("fedora41-grub-bls", None);
    let (folder, hook) = hook_with(tree.path(), PLUG_IN, "#!/bin/sh\necho this is $4\nexit 1\n");
    let image = folder.path().join("vmlinuz");
    fs::write(&image, "x").unwrap();
    for (command, said) in [("add", "this is 6.13.2-200\n"), ("remove", "")] {
        let mut update = Command::new("kernel-install");
        update.args([command, "6.13.2-200"]).args((command == "add").then_some(&image));
        update.env("KERNEL_INSTALL_PLUGINS", &hook).env("KERNEL_INSTALL_CONF_ROOT", folder.path());
        update.env("MACHINE_ID", "0123456789abcdef0123456789abcdef").env("BOOT_ROOT", folder.path());
        assert_eq!(updated(update, ""), said);
    }
}

/// What no recorded distribution has: the files of all, written once and taken away.
#[test]
fn other_distributions() {
    for (name, id, paths) in [
        ("debian13-grub-dracut", "void", &[VOID][..]),
        ("fedora41-grub-bls", "gentoo", &[PLUG_IN, POSTINST]),
        ("debian13-grub-dracut", "slackware", &[]),
    ] {
        let tree = distribution(name);
        let root = tree.path();
        let file = ["etc/os-release", "usr/lib/os-release"].map(|path| root.join(path)).into_iter().find(|path| path.exists());
        fs::write(file.unwrap(), format!("ID={id}\n")).unwrap();
        let before = walk(root);
        on(root, &["prepare", "--gpu", "01:00.0", "--yes"]).with(0);
        let hooks: Vec<&str> = [POSTINST, POST_UPDATE, PLUG_IN, PACMAN, VOID].into_iter().filter(|path| root.join(path).exists()).collect();
        let mut wanted = paths.to_vec();
        wanted.sort_by_key(|path| [POSTINST, POST_UPDATE, PLUG_IN, PACMAN, VOID].iter().position(|one| one == path));
        assert_eq!(hooks, wanted, "{id}");
        let again = on(root, &["prepare", "--gpu", "01:00.0", "--yes"]).with(0);
        assert!(again.stderr.contains("already up to date"), "{id}: {}{}", again.stdout, again.stderr);
        on(root, &["undo", "--yes"]).with(0);
        assert_same(&before, &walk(root), id);
    }
}

/// A host that an older vgapt prepared, or where the hook was lost: said, and what installs it; nothing else is missing for that.
#[test]
fn check_says_where_it_is_missing() {
    let tree = prepared("debian13-grub-initramfs-tools", None);
    let check = || {
        let ran = on(tree.path(), &["check", "--json"]);
        let report: Value = serde_json::from_str(&without_options(&ran.stdout)).unwrap();
        let checks = report["checks"].as_array().unwrap().iter();
        let found: Vec<Value> = checks.filter(|check| check["code"] == "update-hook").cloned().collect();
        assert_eq!(found.len(), 1, "{report}");
        (found[0].clone(), report["step"].clone())
    };
    let (there, step) = check();
    assert_eq!(there["state"], "ok", "{there}");
    fs::write(tree.path().join(POST_UPDATE), "#!/bin/sh\n").unwrap();
    assert!(check().0["seen"].as_str().unwrap().contains("is not from this version"));
    fs::remove_file(tree.path().join(POSTINST)).unwrap();
    let (gone, then) = check();
    assert_eq!((gone["state"].as_str(), gone["remedy"].as_str()), (Some("warning"), Some("vgapt prepare --gpu 01:00.0")), "{gone}");
    assert_eq!(step, then, "it is no reason to prepare the host again");
}

/// What an update cannot have changed is not said in it; nothing is said where nothing is lacking. On a host that leaves the card
/// with its own driver until a guest starts, that nothing binds it at boot is as it should be.
#[test]
fn what_is_said_in_an_update() {
    let tree = distribution("debian13-grub-initramfs-tools");
    let root = tree.path();
    on(root, &["prepare", "--gpu", "01:00.0", "--bind", "start", "--yes"]).with(0);
    let release = "6.12.48+deb13-amd64";
    fs::create_dir_all(root.join(format!("lib/modules/{release}"))).unwrap();
    fs::write(root.join(format!("lib/modules/{release}/modules.dep")), "kernel/drivers/vfio/pci/vfio-pci.ko.xz:\n").unwrap();
    let said = |code: i32| on(root, &["check", "--after-update", "--next", release]).with(code).stdout;
    let lacking = said(1);
    assert!(lacking.contains("missing command line: ") && lacking.contains("remedy: update-grub\n"), "{lacking}");
    assert!(lacking.contains(&format!("kernel {release}: not ready: 1 thing")) && !lacking.contains("  ok "), "{lacking}");
    let menu = root.join("boot/grub/grub.cfg");
    let text = fs::read_to_string(&menu).unwrap();
    fs::write(&menu, text.replace("ro  quiet", "ro quiet intel_iommu=on")).unwrap();
    assert_eq!(said(0), "");
    fs::create_dir_all(root.join("var/lib/dkms/vendor-reset/kernel-6.1.0-1-amd64-x86_64")).unwrap();
    fs::create_dir_all(root.join("var/lib/dkms/vendor-reset/0.1.1/source")).unwrap();
    let warned = said(0);
    assert!(warned.contains("dkms install vendor-reset/0.1.1") && !warned.contains("next:"), "{warned}");
}
