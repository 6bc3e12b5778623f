//! The plan of `vgapt setup` on five kinds of hosts: with one card, with two equal cards, a laptop, a server, and one
//! whose IOMMU is off. One command and one reboot, or one sentence that says why not.

#[path = "support/command.rs"]
#[allow(dead_code)] // The machines are named here.
mod command;
#[path = "support/tree.rs"]
#[allow(dead_code)] // The trees are put together here.
mod tree;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use command::{run, vgapt, without_options};
use serde_json::Value;
use tempfile::TempDir;
use tree::{MACHINE, assert_same, unpacked, walk};
use vgapt::host::{Command, Plan, Run};
use vgapt::model::Severity;
use vgapt::target::Target;

const HOSTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/hosts");

/// The exit code, and what setup said.
fn setup_in(root: &Path, arguments: &[&str], environment: &[(&str, &Path)]) -> (Option<i32>, String) {
    let home = TempDir::new().unwrap();
    let mut command = vgapt(["--root", root.to_str().unwrap(), "--connect", "test:///default", "setup"]);
    command.args(arguments).env("HOME", home.path()).env_remove("SUDO_USER").current_dir(home.path());
    command.envs(environment.iter().copied());
    let ran = run(&mut command);
    (ran.code(), without_options(&ran.stderr).replace(home.path().to_str().unwrap(), "HOME"))
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
            "host      3 files, 3 commands (update-initramfs, apt-get), then a reboot",
            "firmware  enable SVM (AMD-V) in the firmware settings, at the reboot",
            "$ vgapt prepare --install disk tpm --gpu 0000:10:00.0 --allow only-display",
            "picture   on a monitor that is plugged into the card; in a window on another machine (VNC): \
             virt-viewer -c qemu+ssh://HOST/system win11 opens it",
        ],
    );
    // The card stays with the host until the guest starts: nothing to reboot for.
    let (code, said) = setup("b450m-gtx1660-svm-off", &["--handover", "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    says(
        &said,
        &[
            "host      2 files, 2 commands (apt-get)\n",
            "firmware  enable SVM (AMD-V) in the firmware settings, then run this again",
            "$ vgapt prepare --install disk tpm --gpu 0000:10:00.0 --bind start",
            "picture   on the host's own monitor, which returns to the host when the guest ends; in a window on another machine (VNC): \
             virt-viewer -c qemu+ssh://HOST/system win11 opens it",
            "input     the window (VNC)",
        ],
    );
    // The user has answered that.
    assert!(!said.contains("has no display") && !said.contains("unbinding it"), "{said}");
}

#[test]
fn with_two_equal_cards() {
    plan(
        "ryzen1-two-rx580",
        &[],
        &[
            "host      4 files, 3 commands (update-initramfs, apt-get), then a reboot",
            "(27:00.0)",
            "$ vgapt prepare --install disk tpm --gpu 0000:27:00.0",
            "picture   on a monitor that is plugged into the card; in a window on this host (VNC): virt-manager or virt-viewer opens it",
            "input     the window (VNC)",
            // What define warns of is said before the plan is accepted.
            "warning: 27:00.0: cards of the Polaris family do not recover from a reset",
            "warning: the setup of this guest system requires UEFI with Secure Boot",
        ],
    );
}

#[test]
fn on_a_laptop_whose_card_has_no_outputs() {
    plan(
        "laptop-5625u-rtx3050m-muxless",
        &[],
        &[
            "$ vgapt prepare --install disk tpm --gpu 0000:01:00.0",
            "picture   in a window on this host (VNC): virt-manager or virt-viewer opens it",
        ],
    );
}

#[test]
fn a_card_without_outputs_has_no_picture_where_no_window_is_wanted() {
    plan(
        "laptop-5625u-rtx3050m-muxless",
        &["--display", "none"],
        &[
            "picture   nowhere: the card has no outputs; only a remote desktop in the guest shows it",
            "input     none",
            "warning: 01:00.0: it has no display outputs of its own",
            "warning: the guest has no keyboard and no mouse",
        ],
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
            "$ vgapt prepare --install disk tpm --gpu 0000:c1:00.0",
            "picture   in a window on this host (VNC): virt-manager or virt-viewer opens it",
        ],
    );
}

#[test]
fn where_the_iommu_is_off() {
    plan(
        "z490-rx6900xt-iommu-off",
        &["--handover"],
        &[
            "host      3 files, 3 commands (update-grub, apt-get), then a reboot",
            "$ vgapt prepare --install disk tpm --gpu 0000:03:00.0 --bind start",
            "picture   on the host's own monitor",
        ],
    );
    plan(
        "laptop-8300h-gtx1050-iommu-off",
        &[],
        &["host      4 files, 4 commands (update-initramfs, update-grub, apt-get), then a reboot", "(01:00.0)"],
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
            "CD        /var/lib/libvirt/images/win11.iso; /var/lib/libvirt/images/virtio-win.iso",
            "install   the installer shows no disk until you load the driver vioscsi from the virtio CD",
            "moved     /var/lib/libvirt/images/win11.iso, /var/lib/libvirt/images/virtio-win.iso: QEMU's user cannot read",
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
    says(&said, &["CD        /home/me/Downloads/win11.iso; /home/me/Downloads/virtio-win.iso"]);
    assert!(!said.contains("moved"), "{said}");
    fs::set_permissions(root.path().join("home/me"), fs::Permissions::from_mode(0o700)).unwrap();

    // An interrupted run has moved one.
    let images = root.path().join("var/lib/libvirt/images");
    fs::create_dir_all(&images).unwrap();
    fs::rename(root.path().join("home/me/Downloads/win11.iso"), images.join("win11.iso")).unwrap();
    let named = ["--cdrom", "/home/me/Downloads/win11.iso", "--yes"];
    let (_, said) = in_home(&root, &named);
    says(&said, &["CD        /var/lib/libvirt/images/win11.iso", "virtio-win.iso /var/lib"]);
    assert!(!said.contains("Downloads/win11.iso"), "{said}");

    // Another one is in the place: it is not overwritten.
    fs::write(root.path().join("home/me/Downloads/win11.iso"), "another").unwrap();
    let (code, said) = in_home(&root, &named);
    assert_eq!(code, Some(2), "{said}");
    says(&said, &["cannot read /home/me/Downloads/win11.iso", "rename one of the two"]);
}

/// On Arch Linux QEMU and libvirt need no TPM, and Windows 11 is not installed without one. Only what is needed is installed, and what
/// the rest does not need by a command of its own, which may fail.
#[test]
fn what_an_installation_needs_is_installed() {
    let root = unpacked(&[Path::new(MACHINE), Path::new("fixtures/distributions/arch-grub.host")]);
    let at = root.path().to_str().unwrap();
    let installs = |uses: &[&str]| {
        let ran = run(vgapt(["--root", at, "prepare", "--gpu", "01:00.0", "--dry-run", "--json", "--install"]).args(uses)).with(0);
        let json: Value = serde_json::from_str(&ran.stdout).unwrap();
        let commands: Vec<Value> = json["plan"]["commands"].as_array().unwrap().clone();
        commands.into_iter().filter(|command| command["argv"][0] == "pacman").collect::<Vec<_>>()
    };
    for (uses, needed, optional) in [
        (&[][..], &["libvirt", "qemu-desktop", "edk2-ovmf", "qemu-img"][..], &["swtpm"][..]),
        (&["guest"], &["libvirt", "qemu-desktop", "edk2-ovmf"], &[]),
        (&["disk"], &["libvirt", "qemu-desktop", "edk2-ovmf", "qemu-img"], &[]),
        (&["tpm", "virtiofs"], &["libvirt", "qemu-desktop", "edk2-ovmf", "virtiofsd"], &["swtpm"]),
    ] {
        let commands = installs(uses);
        let of = |is_optional: bool| {
            let commands = commands.iter().filter(|command| command["lacking"].is_string() == is_optional);
            let words = commands.flat_map(|command| &command["argv"].as_array().unwrap()[4..]);
            words.map(|word| word.as_str().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!((of(false), of(true)), (needed.to_vec(), optional.to_vec()), "{uses:?}");
    }

    let (_, said) = setup_in(root.path(), &["--gpu", "01:00.0", "--yes"], &[]);
    says(
        &said,
        &[
            "$ vgapt prepare --install disk tpm --gpu 0000:01:00.0",
            // Arch's package has no keys, and Windows 11 does not install without them.
            "the setup refuses the firmware in edk2-ovmf",
        ],
    );
    fs::create_dir_all(root.path().join("srv")).unwrap();
    let (_, said) = setup_in(root.path(), &["--gpu", "01:00.0", "--os", "linux", "--share", "/srv", "--yes"], &[]);
    says(&said, &["$ vgapt prepare --install disk virtiofs --gpu 0000:01:00.0"]);
    fs::write(root.path().join("there.qcow2"), "").unwrap();
    let (_, said) = setup_in(root.path(), &["--gpu", "01:00.0", "--os", "linux", "--disk", "/there.qcow2", "--yes"], &[]);
    says(&said, &["$ vgapt prepare --install guest --gpu 0000:01:00.0"]);
}

#[test]
fn what_the_installation_lacks_is_said() {
    let (_, said) = in_home(&with_discs(&[]), &["--yes"]);
    says(
        &said,
        &[
            "warning: no installer is given, and the new disk is empty\n  remedy: add --cdrom with its path\n",
            "warning: the installer of Windows shows no disk without the drivers in virtio-win.iso\n  remedy: add --virtio-iso with its path\n",
        ],
    );
    let (_, said) = in_home(&with_discs(&["a.iso", "b.iso"]), &["--yes", "--os", "linux"]);
    says(&said, &["add --cdrom, with one of /home/me/Downloads/a.iso, /home/me/Downloads/b.iso\n"]);
}

#[test]
fn answers_come_from_a_file_and_options_override_it() {
    let home = TempDir::new().unwrap();
    let file = home.path().join("answers.toml");
    fs::write(&file, "os = \"linux\"\nmemory = \"3G\"\ncpus = 2\ngpu = \"01:00.0\"\ndisk = \"disk.qcow2\"\n").unwrap();
    let (code, said) = setup("z170-gtx960", &["it", "--answers", file.to_str().unwrap(), "--memory", "5G", "--dry-run"]);
    assert_eq!(code, Some(0), "{said}");
    says(&said, &["it: Linux, 5 GiB, 2 processors", &format!("new disk  {}/disk.qcow2, 100 GiB", home.path().display())]);
    fs::write(&file, "memroy = \"3G\"\n").unwrap();
    let (code, said) = setup("z170-gtx960", &["it", "--answers", file.to_str().unwrap(), "--yes"]);
    assert_eq!(code, Some(2), "{said}");
    says(&said, &["memroy"]);
}

/// Where `define` would refuse, setup says so before anything is done.
#[test]
fn what_define_refuses_is_refused_before_the_host_is_changed() {
    let (code, said) = setup("b550m-rtx2070s-gt710", &["--memory", "4096G", "--yes"]);
    assert_eq!(code, Some(1), "{said}");
    says(&said, &["blocked: the domain needs ", ", and the host has ", "'win11' cannot be set up: see above. Nothing was changed."]);
}

/// A function that is no card has no monitor.
#[test]
fn a_guest_without_a_card_gets_a_window() {
    let arguments = ["it", "--os", "linux", "--pci", "2d:00.4", "--yes"];
    let (code, said) = setup("b550m-rtx2070s-gt710", &arguments);
    assert_eq!(code, Some(0), "{said}");
    says(&said, &["picture   in a window on this host (VNC)", "input     the window (VNC)"]);
    assert!(!said.contains("monitor"), "{said}");
    let (_, said) = setup("b550m-rtx2070s-gt710", &[&arguments[..], &["--display", "none"]].concat());
    says(
        &said,
        &["picture   nowhere: only a remote desktop in the guest shows it", "the domain has no graphics card and no other display"],
    );
    assert!(!said.contains("monitor"), "{said}");
}

#[test]
fn the_document_has_the_whole_plan() {
    let home = TempDir::new().unwrap();
    let mut command = vgapt(["--json", "--root", &format!("{HOSTS}/ryzen1-two-rx580.host"), "-c", "test:///default", "setup", "--yes"]);
    let ran = run(command.env("HOME", home.path()).current_dir(home.path())).with(0);
    let json: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&json["outcome"], &json["reboot"]), (&"planned".into(), &true.into()));
    assert_eq!(json["host"]["files"].as_array().unwrap().len(), 4);
    assert_eq!(json["host"]["commands"][1]["argv"][0], "apt-get");
    assert_eq!(json["new_disk"], serde_json::json!({"path": "/var/lib/libvirt/images/win11.qcow2", "size": 100_u64 << 30}));
    assert_eq!(json["summary"]["input"][0]["by"], "window");
    let picture = serde_json::json!([
        {"on": "monitor", "card": "0000:27:00.0"},
        {"on": "window", "protocol": "vnc", "elsewhere": false},
    ]);
    assert_eq!(json["summary"]["picture"], picture);
    let codes: Vec<&str> = json["findings"].as_array().unwrap().iter().map(|finding| finding["code"].as_str().unwrap()).collect();
    for code in ["no-installer", "no-drivers", "reset", "no-secure-firmware"] {
        assert!(codes.contains(&code), "no {code} in {codes:?}");
    }
}

/// Of two options the harmless one counts.
#[test]
fn a_dry_run_changes_nothing_also_with_yes() {
    let root = with_discs(&[]);
    let before = walk(root.path());
    let at = root.path().to_str().unwrap();
    let (code, said) = in_home(&root, &["--yes", "--dry-run"]);
    assert_eq!(code, Some(0), "{said}");
    says(&said, &["--dry-run counts, and --yes does not", "The plan:", "answers   first into ", "next: run the same command on"]);
    for command in [&["prepare", "--gpu", "01:00.0"][..], &["undo"]] {
        run(vgapt(["--root", at]).args(command).args(["--yes", "--dry-run"])).with(0).saying(&["--dry-run counts, and --yes does not"]);
    }
    assert_same(&before, &walk(root.path()), "a dry run");
}

/// A command of the running system that fails ends the run, and the run is rolled back; one that the rest does not need is a warning.
#[test]
fn what_the_rest_does_not_need_may_fail() {
    for (lacking, is_needed) in [(None, true), (Some("a TPM".to_owned()), false)] {
        let root = TempDir::new().unwrap();
        let command = Command { argv: vec!["false".to_owned()], why: String::new(), makes: Vec::new(), undo: None, lacking };
        let plan = Plan { commands: vec![command], ..Plan::default() };
        let mut run = Run::begin(&plan, &Target::open(root.path(), true).unwrap()).unwrap();
        match run.carry_out(&|_| ()) {
            Err(error) => assert!(is_needed && error.to_string().contains("false failed"), "{error}"),
            Ok(warnings) => {
                let [warning] = &warnings[..] else { panic!("{warnings:?}") };
                assert!(!is_needed && warning.severity == Severity::Warning, "{warning:?}");
                assert!(warning.message.starts_with("the host still lacks a TPM; false failed"), "{}", warning.message);
                assert_eq!(warning.remedy, "correct what it names, then run: false");
                run.confirm().unwrap();
            }
        }
    }
}

/// Stopped after any of its steps and run again, setup does the rest, and the domain will be the same.
#[test]
fn what_is_done_is_not_done_again() {
    let root = with_discs(&["win11.iso", "virtio-win.iso"]);
    let at = root.path().to_str().unwrap();
    for name in ["OVMF_CODE_4M.ms.fd", "OVMF_VARS_4M.ms.fd", "OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"] {
        fs::create_dir_all(root.path().join("usr/share/OVMF")).unwrap();
        fs::write(root.path().join("usr/share/OVMF").join(name), "").unwrap();
    }
    // In a tree no package is installed.
    for program in ["virsh", "qemu-system-x86_64", "qemu-img", "swtpm"] {
        fs::create_dir_all(root.path().join("usr/bin")).unwrap();
        fs::write(root.path().join("usr/bin").join(program), "").unwrap();
    }
    // A run that was stopped has kept these answers.
    let answers = ["--cdrom", "/home/me/Downloads/win11.iso", "--virtio-iso", "/home/me/Downloads/virtio-win.iso"];
    let planned = || {
        let mut command = vgapt(["--json", "--root", at, "-c", "test:///default", "setup", "--yes"]);
        let ran = run(command.args(answers).env("HOME", "/home/me").current_dir("/")).with(0);
        let json: Value = serde_json::from_str(&ran.stdout).unwrap();
        let commands: Vec<String> = json["commands"].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect();
        (commands, json["summary"].clone())
    };
    let (all, summary) = planned();
    let steps: Vec<&str> = all.iter().map(|line| line.trim_start_matches("vgapt ").split(' ').next().unwrap()).collect();
    assert_eq!(steps, ["prepare", "disk", "mv", "mv", "define", "start"]);
    for (number, line) in all[..4].iter().enumerate() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["vgapt", "prepare", ..] => drop(run(vgapt(["--root", at]).args(&words[1..]).arg("--yes")).with(0)),
            ["vgapt", "disk", "create", path, _] => {
                fs::create_dir_all(root.path().join("var/lib/libvirt/images")).unwrap();
                fs::write(root.path().join(&path[1..]), "").unwrap();
            }
            ["mv", "-n", "--", from, to] => fs::rename(root.path().join(&from[1..]), root.path().join(&to[1..])).unwrap(),
            _ => panic!("{line}"),
        }
        assert_eq!(planned(), (all[number + 1..].to_vec(), summary.clone()), "after {line}");
    }
}

/// Nothing is proposed for what a domain has, whether vgapt defined it or not.
#[test]
fn a_domain_that_exists_keeps_what_it_has() {
    let host = format!("{HOSTS}/b550m-rtx2070s-gt710.host");
    let place = TempDir::new().unwrap();
    let node = place.path().join("node.xml");
    let uri = format!("test://{}", node.display());
    let mut define = vgapt(["--root", &host, "--connect", "test:///default", "define", "it", "--os", "win11", "--dry-run"]);
    let own = run(define.args(["--disk", "/vm/own.qcow2", "--memory", "6G", "--cpus", "3", "--cdrom", "/vm/own.iso", "--display", "vnc"]));
    let own = own.with(0).stdout.replace("<domain type='kvm'", "<domain type='test'");
    fs::write(&node, format!("<node>{own}</node>")).unwrap();
    let again = |name: &str, uri: &str| {
        let home = TempDir::new().unwrap();
        // A run of setup that was stopped has left its proposals; the domain was defined since.
        let folder = home.path().join(".config/vgapt");
        fs::create_dir_all(&folder).unwrap();
        let proposed = "os = \"linux\"\ngpu = \"2b:00.0\"\nmemory = \"16G\"\ncpus = 12\ndisk = \"/var/lib/libvirt/images/new.qcow2\"\n";
        fs::write(folder.join(format!("{name}.toml")), proposed).unwrap();
        let mut setup = vgapt(["--root", &host, "--connect", uri, "--json", "setup", name, "--yes", "--dry-run"]);
        let ran = run(setup.env("HOME", home.path()).current_dir(home.path())).with(0);
        let mut told = vgapt(["--root", &host, "--connect", uri, "setup", name, "--yes", "--dry-run"]);
        let said = format!("'{name}' exists, and keeps what it has: the answers in ");
        run(told.env("HOME", home.path()).current_dir(home.path())).with(0).saying(&[&said]);
        serde_json::from_str::<Value>(&ran.stdout).unwrap()
    };
    let own = again("it", &uri);
    let (changes, findings) = (own["changes"].to_string(), own["findings"].to_string());
    assert!(
        changes.contains("card 2b:00.0") && !["memory 6", "disk", "processors", "CD"].iter().any(|what| changes.contains(what)),
        "{changes}"
    );
    assert!(!own["new_disk"].to_string().contains("/var/lib/libvirt/images") && !findings.contains("no-installer"), "{own}");
    assert!(own["summary"].to_string().contains("/vm/own.qcow2"), "{own}");
    let foreign = again("test", "test:///default");
    assert!(foreign["new_disk"].is_null() && !foreign["findings"].to_string().contains("--os"), "{foreign}");
}

/// The file of the answers is named before it is written, and counts as long as there is no domain of its name.
#[test]
fn the_file_of_the_answers_is_said() {
    let home = TempDir::new().unwrap();
    let plan = || {
        let mut command =
            vgapt(["--root", &format!("{HOSTS}/z690-rx6700xt-rx560-vmd.host"), "-c", "test:///default", "setup", "it", "--yes"]);
        run(command.env("HOME", home.path()).current_dir(home.path())).with(0).stderr
    };
    let file = home.path().join(".config/vgapt/it.toml");
    let first = plan();
    assert!(first.contains(&format!("answers   first into {}, until the domain is defined\n", file.display())), "{first}");
    // The card is bound now: what prepare writes is for the next boot, and setup waits for none.
    assert!(first.contains("host      4 files, 4 commands (update-initramfs, update-grub, apt-get)\n"), "{first}");
    assert!(!file.exists(), "a plan that was only shown has written it");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "os = \"linux\"\ngpu = \"04:00.0\"\nmemory = \"3G\"\ncpus = 2\ndisk = \"/vm/it.qcow2\"\n").unwrap();
    let second = plan();
    assert!(second.contains("continuing with the answers in") && second.contains("it: Linux, 3 GiB, 2 processors"), "{second}");
}

/// Proxmox VE has a QEMU of its own, beside which apt cannot install Debian's.
#[test]
fn the_packages_of_proxmox_are_its_own() {
    let root = unpacked(&[Path::new(MACHINE), Path::new("fixtures/distributions/proxmox9-grub.host")]);
    let at = root.path().to_str().unwrap();
    let said = run(&mut vgapt(["--root", at, "check", "--gpu", "01:00.0"])).with(1).stdout;
    for words in
        ["remedy: apt install pve-qemu-kvm\n", "remedy: apt install pve-edk2-firmware\n", "Proxmox VE: runs its own guests without libvirt"]
    {
        assert!(said.contains(words), "no '{words}' in:\n{said}");
    }
    let plan = run(&mut vgapt(["--root", at, "prepare", "--gpu", "01:00.0", "--install", "disk", "--dry-run"])).with(0).stdout;
    assert!(plan.contains("$ apt-get install -y libvirt-daemon-system pve-qemu-kvm pve-edk2-firmware\n"), "{plan}");
    for debian in ["qemu-system-x86", "qemu-utils", " ovmf"] {
        assert!(!said.contains(debian) && !plan.contains(debian), "{debian}:\n{said}\n{plan}");
    }
}

#[test]
fn a_guest_without_a_device_is_for_define() {
    let (code, said) = setup("b550m-rtx2070s-gt710", &["it", "--no-gpu", "--yes"]);
    assert_eq!(code, Some(2), "{said}");
    says(&said, &["graphics card or another device", "vgapt define it"]);
}
