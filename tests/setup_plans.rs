//! The plan of `vgapt setup` on five kinds of hosts: with one card, with two equal cards, a laptop, a server, and one
//! whose IOMMU is off. One command and one reboot, or one sentence that says why not.

#[path = "support/command.rs"]
#[expect(dead_code, reason = "the plans are compared line by line")]
mod command;
#[path = "support/tree.rs"]
#[expect(dead_code, reason = "only unpacked")]
mod tree;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use command::{run, vgapt};
use tempfile::TempDir;
use tree::{MACHINE, unpacked};

const HOSTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/hosts");

/// The exit code, and what setup said.
fn setup_in(root: &Path, arguments: &[&str], environment: &[(&str, &Path)]) -> (Option<i32>, String) {
    let home = TempDir::new().unwrap();
    let mut command = vgapt(["--root", root.to_str().unwrap(), "--connect", "test:///default", "setup"]);
    command.args(arguments).env("HOME", home.path()).env_remove("SUDO_USER").current_dir(home.path());
    command.envs(environment.iter().copied());
    let ran = run(&mut command);
    (ran.code(), ran.stderr.replace(home.path().to_str().unwrap(), "HOME"))
}

fn setup(host: &str, arguments: &[&str]) -> (Option<i32>, String) {
    setup_in(Path::new(&format!("{HOSTS}/{host}.host")), arguments, &[])
}

#[track_caller]
fn says(said: &str, lines: &[&str]) {
    for line in lines {
        assert!(said.contains(line), "no '{line}' in:\n{said}");
    }
}

/// A plan of one command that reboots the host once.
#[track_caller]
fn plan(host: &str, arguments: &[&str], lines: &[&str]) {
    let (code, said) = setup(host, &[arguments, &["--yes"]].concat());
    assert_eq!(code, Some(0), "{host}: {said}");
    says(&said, &["The plan:", "then a reboot", "$ vgapt define -f HOME/.config/vgapt/win11.toml -- win11", "$ vgapt start -- win11"]);
    says(&said, lines);
    assert_eq!(said.matches("then a reboot").count(), 1, "{said}");
}

#[test]
fn with_one_card() {
    // Nobody said how the host does without its display.
    let (code, said) = setup("b450m-gtx1660-svm-off", &["--yes"]);
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(
        said,
        "blocked: without 10:00.0, 10:00.1, 10:00.2, 10:00.3 the host has no display\n  \
         remedy: add --handover: the desktop stops while the guest runs, and returns afterwards; or add --allow only-display: \
         the host is then used over ssh only\n\
         'win11' cannot be set up: see above. Nothing was changed.\n"
    );
    plan(
        "b450m-gtx1660-svm-off",
        &["--allow", "only-display"],
        &[
            "host     2 files, 2 commands (update-initramfs, apt-get), then a reboot",
            "firmware enable SVM (AMD-V) in the firmware settings, at the reboot",
            "$ vgapt prepare --install --gpu 0000:10:00.0 --allow only-display",
            "picture  on a monitor that is plugged into the card",
        ],
    );
    // The card stays with the host until the guest starts: nothing to reboot for.
    let (code, said) = setup("b450m-gtx1660-svm-off", &["--handover", "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    says(
        &said,
        &[
            "host     1 command (apt-get)\n",
            "firmware enable SVM (AMD-V) in the firmware settings, then run this again",
            "$ vgapt prepare --install --gpu 0000:10:00.0 --bind start",
            "picture  on the host's own monitor, which returns to the host when the guest ends",
            "input    a window: from another machine, virt-viewer -c qemu+ssh://HOST/system win11",
        ],
    );
}

#[test]
fn with_two_equal_cards() {
    plan(
        "ryzen1-two-rx580",
        &[],
        &[
            "host     3 files, 2 commands (update-initramfs, apt-get), then a reboot",
            "(27:00.0)",
            "$ vgapt prepare --install --gpu 0000:27:00.0",
            "picture  on a monitor that is plugged into the card",
            "input    a window: virt-viewer",
        ],
    );
}

#[test]
fn on_a_laptop_whose_card_has_no_outputs() {
    plan(
        "laptop-5625u-rtx3050m-muxless",
        &[],
        &[
            "$ vgapt prepare --install --gpu 0000:01:00.0",
            "picture  in a window on this host, which virt-manager or virt-viewer opens: the card has no outputs",
        ],
    );
}

#[test]
fn a_card_without_outputs_has_no_picture_where_no_window_is_wanted() {
    plan(
        "laptop-5625u-rtx3050m-muxless",
        &["--display", "none"],
        &["picture  nowhere yet: the card has no outputs; add --display vnc", "input    none: add --display vnc, --evdev or --usb"],
    );
}

#[test]
fn on_a_server() {
    let (code, said) = setup("epyc-two-h100", &["--yes"]);
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(
        said,
        "error: more than one card is possible: c1:00.0 (NVIDIA Corporation GH100); e1:00.0 (NVIDIA Corporation GH100)\n  \
         remedy: name one, such as --gpu c1:00.0\n"
    );
    plan(
        "epyc-two-h100",
        &["--gpu", "c1:00.0"],
        &[
            "$ vgapt prepare --install --gpu 0000:c1:00.0",
            "picture  in a window on this host, which virt-manager or virt-viewer opens: the card has no outputs",
        ],
    );
}

#[test]
fn where_the_iommu_is_off() {
    plan(
        "z490-rx6900xt-iommu-off",
        &["--handover"],
        &[
            "host     1 file, 2 commands (update-grub, apt-get), then a reboot",
            "$ vgapt prepare --install --gpu 0000:03:00.0 --bind start",
            "picture  on the host's own monitor",
        ],
    );
    plan(
        "laptop-8300h-gtx1050-iommu-off",
        &[],
        &["host     3 files, 3 commands (update-initramfs, update-grub, apt-get), then a reboot", "(01:00.0)"],
    );
}

/// A host whose images of CDs lie in a home folder that is closed to others.
fn with_discs(names: &[&str]) -> TempDir {
    let root = unpacked(&[Path::new(MACHINE), Path::new("fixtures/distributions/debian13-grub-initramfs-tools.host")]);
    let downloads = root.path().join("home/me/Downloads");
    fs::create_dir_all(&downloads).unwrap();
    for name in names {
        fs::write(downloads.join(name), "an image").unwrap();
    }
    fs::set_permissions(root.path().join("home/me"), fs::Permissions::from_mode(0o700)).unwrap();
    root
}

fn in_home(root: &TempDir, arguments: &[&str]) -> (Option<i32>, String) {
    setup_in(root.path(), arguments, &[("HOME", Path::new("/home/me"))])
}

#[test]
fn images_that_qemu_cannot_read_are_moved() {
    let root = with_discs(&["win11.iso", "virtio-win.iso"]);
    let (code, said) = in_home(&root, &["--yes"]);
    assert_eq!(code, Some(0), "{said}");
    says(
        &said,
        &[
            "install  from /var/lib/libvirt/images/win11.iso, drivers from /var/lib/libvirt/images/virtio-win.iso",
            "moved    /var/lib/libvirt/images/win11.iso, /var/lib/libvirt/images/virtio-win.iso: QEMU's user cannot read",
            "$ mv -n -- /home/me/Downloads/win11.iso /var/lib/libvirt/images/win11.iso",
            "$ mv -n -- /home/me/Downloads/virtio-win.iso /var/lib/libvirt/images/virtio-win.iso",
        ],
    );
    let at = |what: &str| said.find(what).unwrap_or_else(|| panic!("no {what} in:\n{said}"));
    assert!(at("$ vgapt prepare") < at("$ vgapt disk create") && at("$ vgapt disk create") < at("$ mv"), "{said}");
    assert!(at("$ mv") < at("$ vgapt define"), "{said}");

    // Open to all: nothing is moved.
    fs::set_permissions(root.path().join("home/me"), fs::Permissions::from_mode(0o755)).unwrap();
    let (_, said) = in_home(&root, &["--yes"]);
    says(&said, &["install  from /home/me/Downloads/win11.iso, drivers from /home/me/Downloads/virtio-win.iso"]);
    assert!(!said.contains("moved"), "{said}");
    fs::set_permissions(root.path().join("home/me"), fs::Permissions::from_mode(0o700)).unwrap();

    // An interrupted run has moved one.
    let images = root.path().join("var/lib/libvirt/images");
    fs::create_dir_all(&images).unwrap();
    fs::rename(root.path().join("home/me/Downloads/win11.iso"), images.join("win11.iso")).unwrap();
    let named = ["--cdrom", "/home/me/Downloads/win11.iso", "--yes"];
    let (_, said) = in_home(&root, &named);
    says(&said, &["install  from /var/lib/libvirt/images/win11.iso", "virtio-win.iso /var/lib"]);
    assert!(!said.contains("Downloads/win11.iso"), "{said}");

    // Another one is in the place: it is not overwritten.
    fs::write(root.path().join("home/me/Downloads/win11.iso"), "another").unwrap();
    let (code, said) = in_home(&root, &named);
    assert_eq!(code, Some(2), "{said}");
    says(&said, &["cannot read /home/me/Downloads/win11.iso", "rename one of the two"]);
}

/// On Arch Linux QEMU and libvirt need no TPM, and Windows 11 is not installed without one.
#[test]
fn what_an_installation_needs_is_installed() {
    let root = unpacked(&[Path::new(MACHINE), Path::new("fixtures/distributions/arch-grub.host")]);
    let root = root.path().to_str().unwrap();
    let ran = run(&mut vgapt(["--root", root, "prepare", "--gpu", "01:00.0", "--install", "--dry-run"])).with(0);
    let install = ran.stdout.lines().find(|line| line.contains("pacman -S")).unwrap_or_else(|| panic!("{}", ran.stdout));
    for package in ["libvirt", "qemu-desktop", "edk2-ovmf", "qemu-img", "swtpm"] {
        assert!(install.contains(package), "{install}");
    }
    assert!(!install.contains("samba") && !install.contains("guestfs"), "{install}");
}

#[test]
fn what_the_installation_lacks_is_said() {
    let (_, said) = in_home(&with_discs(&[]), &["--yes"]);
    says(&said, &["install  nothing: the new disk is empty", "--cdrom; without virtio-win.iso", "add --virtio-iso\n"]);
    let (_, said) = in_home(&with_discs(&["a.iso", "b.iso"]), &["--yes", "--os", "linux"]);
    says(&said, &["add --cdrom one of /home/me/Downloads/a.iso, /home/me/Downloads/b.iso\n"]);
}

#[test]
fn answers_come_from_a_file_and_options_override_it() {
    let home = TempDir::new().unwrap();
    let file = home.path().join("answers.toml");
    fs::write(&file, "os = \"linux\"\nmemory = \"3G\"\ncpus = 2\ngpu = \"01:00.0\"\ndisk = \"disk.qcow2\"\n").unwrap();
    let (code, said) = setup("z170-gtx960", &["it", "--answers", file.to_str().unwrap(), "--memory", "5G", "--dry-run"]);
    assert_eq!(code, Some(0), "{said}");
    says(&said, &["it (system linux), 5 GiB, 2 processors", &format!("disk     {}/disk.qcow2, new", home.path().display())]);
    fs::write(&file, "memroy = \"3G\"\n").unwrap();
    let (code, said) = setup("z170-gtx960", &["it", "--answers", file.to_str().unwrap(), "--yes"]);
    assert_eq!(code, Some(2), "{said}");
    says(&said, &["memroy"]);
}
