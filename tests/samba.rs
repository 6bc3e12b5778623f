//! Folders that the host's Samba shares with guests: prepare, check and undo, in trees.

#[path = "support/command.rs"]
#[expect(dead_code, reason = "the host is a distribution's")]
mod command;
#[path = "support/tree.rs"]
mod tree;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use command::{Ran, run, vgapt, without_options};
use serde_json::Value;
use tempfile::TempDir;
use tree::{assert_same, distribution, walk};

const SAMBA: &str = "etc/samba/smb.conf";
const OWN: &str = "etc/samba/vgapt.conf";
/// A file of somebody's, without a line break at its end.
const THEIRS: &str = "# mine\n[global]\n\tworkgroup = HOME\n[photos]\n  path = /srv/photos\n  comment = all \\\n  of them\n[print$]\n  path = /var/lib/samba/printers";

fn put(root: &Path, path: &str, text: &str) {
    let place = root.join(path);
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(place, text).unwrap();
}

fn get(root: &Path, path: &str) -> String {
    fs::read_to_string(root.join(path)).unwrap()
}

/// Debian with libvirt's network and a folder of somebody's.
fn host(samba: Option<&str>) -> TempDir {
    let tree = distribution("debian13-grub-initramfs-tools");
    let root = tree.path();
    put(
        root,
        "etc/libvirt/qemu/networks/default.xml",
        "<network><name>default</name><bridge name='virbr0'/><ip address='192.168.122.1' netmask='255.255.255.0'/></network>",
    );
    fs::create_dir_all(root.join("srv/docs")).unwrap();
    let owner = fs::metadata(root.join("srv/docs")).unwrap().uid();
    put(root, "etc/passwd", &format!("root:x:4294967294:0::/:/bin/sh\nanna:x:{owner}:{owner}::/home/anna:/bin/sh\n"));
    if let Some(text) = samba {
        put(root, SAMBA, text);
        put(root, "usr/sbin/smbd", "");
    }
    tree
}

fn prepare(root: &Path, more: &[&str]) -> Ran {
    let fixed = ["--root", &root.display().to_string(), "prepare", "--gpu", "01:00.0", "--yes", "--share-smb"].map(str::to_owned);
    run(&mut vgapt(fixed.iter().map(String::as_str).chain(more.iter().copied())))
}

#[test]
fn a_share_beside_those_of_others() {
    let tree = host(Some(THEIRS));
    let root = tree.path();
    let before = walk(root);
    let ran = prepare(root, &["/srv/docs"]).with(0).saying(&["requires anna's Samba password", "sudo smbpasswd -a anna"]);
    assert!(
        ran.stdout.contains("systemctl enable smbd.service") && ran.stdout.contains("systemctl reload-or-restart smbd.service"),
        "{}",
        ran.stdout
    );
    assert_eq!(get(root, SAMBA), format!("{THEIRS}\ninclude = /etc/samba/vgapt.conf\n"));
    let docs = "[docs]\n  path = /srv/docs\n  read only = no\n  valid users = anna\n  hosts allow = 127.0.0.1 192.168.122.0/24\n";
    assert_eq!(get(root, OWN), format!("# Written by `vgapt prepare`, taken away by `vgapt undo`.\n{docs}"));

    prepare(root, &["/srv/docs"]).with(0).saying(&["already up to date"]);
    fs::create_dir(root.join("srv/games")).unwrap();
    prepare(root, &["/srv/games=play"]).with(0);
    assert!(get(root, OWN).contains(docs) && get(root, OWN).contains("[play]\n  path = /srv/games\n"), "{}", get(root, OWN));
    assert_eq!(get(root, SAMBA).matches("include").count(), 1);
    fs::remove_dir(root.join("srv/games")).unwrap();
    run(&mut vgapt(["--root", &root.display().to_string(), "undo", "--yes"])).with(0);
    assert_same(&before, &walk(root), "given back");
}

#[test]
fn a_samba_of_our_own_listens_on_the_guests_network_only() {
    let tree = host(None);
    let root = tree.path();
    let before = walk(root);
    prepare(root, &["/srv/docs"]).with(1).saying(&["Samba, which is needed to share the folders, is not installed", "--install"]);
    assert_same(&before, &walk(root), "refused");
    let ran = prepare(root, &["/srv/docs", "--install"]).with(0);
    let install = ran.stdout.find("apt-get install -y").expect("Samba is installed");
    assert!(
        ran.stdout[install..].lines().next().unwrap().contains(" samba")
            && install < ran.stdout.find("systemctl reload-or-restart smbd").unwrap()
    );
    assert!(
        get(root, SAMBA).contains("[global]\n  interfaces = lo virbr0\n  bind interfaces only = yes\ninclude = /etc/samba/vgapt.conf\n")
    );
    run(&mut vgapt(["--root", &root.display().to_string(), "undo", "--yes"])).with(0);
    assert_same(&before, &walk(root), "given back");
}

#[test]
fn what_is_not_sound_is_refused_and_changes_nothing() {
    for (samba, share, words) in [
        ("[global]\nnonsense\n", "/srv/docs", "line 2 is neither a section nor a parameter"),
        ("[global]\n config backend = registry\n", "/srv/docs", "its shares are in Samba's registry"),
        ("[global]\n comment = x \\", "/srv/docs", "its last line ends with a backslash"),
        ("[DOCS]\n path = /elsewhere\n", "/srv/docs", "already has a section [docs]"),
        ("", "/srv/docs=homes", "already has a section [homes]"),
        ("", "/srv/docs=a%u", "Samba cannot share '/srv/docs' as 'a%u'"),
        ("", "/srv/nowhere", "the folder /srv/nowhere does not exist"),
    ] {
        let tree = host(Some(samba));
        let before = walk(tree.path());
        prepare(tree.path(), &[share]).with(1).saying(&[words, "nothing was changed"]);
        assert_same(&before, &walk(tree.path()), words);
    }
    let tree = host(Some(""));
    prepare(tree.path(), &["/srv/docs", "--share-network", "lan"]).with(1).saying(&["no network 'lan'", "--share-network NAME"]);
    let passwd = get(tree.path(), "etc/passwd").replace("anna:", "bob:").replace("bob:x", "root:x").replacen("root:", "zero:", 1);
    put(tree.path(), "etc/passwd", &passwd);
    prepare(tree.path(), &["/srv/docs"]).with(1).saying(&["/srv/docs belongs to root"]);
}

#[test]
fn a_folder_that_its_owner_shares_already_is_left_alone() {
    let tree = host(Some("[mine]\n directory = /srv/docs/\n"));
    prepare(tree.path(), &["/srv/docs"]).with(0);
    assert!(!tree.path().join(OWN).exists());
    assert_eq!(get(tree.path(), SAMBA), "[mine]\n directory = /srv/docs/\n");
}

#[test]
fn check_says_what_is_not_served() {
    let tree = host(None);
    let root = tree.path();
    let check = |code: &str| {
        let ran = run(&mut vgapt(["--root", &root.display().to_string(), "--json", "check", "--gpu", "01:00.0"]));
        let report: Value = serde_json::from_str(&without_options(&ran.stdout)).unwrap();
        report["checks"].as_array().unwrap().iter().find(|check| check["code"] == code).map(Value::to_string).unwrap_or_default()
    };
    assert_eq!(check("samba-share"), "");
    let record = r#"{"request":{"share-smb":["/srv/docs=papers"]},"passed":[],"wrote":{}}"#.replace('"', "&quot;");
    put(
        root,
        "etc/libvirt/qemu/win10.xml",
        &format!(
            "<domain><name>win10</name><metadata><vgapt:domain xmlns:vgapt='urn:vgapt:domain:1'>{record}</vgapt:domain></metadata></domain>"
        ),
    );
    assert!(check("samba-share").contains("vgapt prepare --share-smb /srv/docs --install"), "{}", check("samba-share"));
    put(root, "usr/sbin/smbd", "");
    put(root, SAMBA, "");
    assert!(check("samba-share").contains("is not in Samba's configuration"));
    prepare(root, &["/srv/docs=papers"]).with(0);
    assert!(check("samba-share").contains("\"state\":\"ok\"") && check("samba").contains("unknown"), "{}", check("samba"));
    let head = "  sl  local_address rem_address   st\n";
    for (line, seen) in [
        ("", "does not listen"),
        ("   0: 0100007F:01BD 00000000:0000 0A 0\n", "does not listen on a guest network"),
        ("   0: 017AA8C0:01BD 00000000:0000 01 0\n", "does not listen"),
        ("   0: 017AA8C0:01BD 00000000:0000 0A 0\n", "\"seen\":\"listens\""),
        ("   0: 00000000:01BD 00000000:0000 0A 0\n", "\"seen\":\"listens\""),
    ] {
        put(root, "proc/net/tcp", &format!("{head}{line}"));
        assert!(check("samba").contains(seen), "{line}: {}", check("samba"));
    }
    fs::set_permissions(root.join(SAMBA), fs::Permissions::from_mode(0o644)).unwrap();
    put(root, SAMBA, "[global]\n");
    assert!(check("samba-share").contains("is not in Samba's configuration"), "the line that reads our file is gone");
}

/// A domain that cannot be read may be to share a folder, and so may those in a folder that cannot be read.
#[test]
fn what_the_domains_are_to_share_is_unknown_where_they_cannot_be_read() {
    let tree = host(None);
    let root = tree.path();
    let check = || {
        let ran = run(&mut vgapt(["--root", &root.display().to_string(), "--json", "check", "--gpu", "01:00.0"]));
        let report: Value = serde_json::from_str(&ran.stdout).unwrap();
        let checks = report["checks"].as_array().unwrap().clone();
        let ours = checks.iter().filter(|check| check["code"] == "samba-share");
        ours.map(|check| format!("{} {}", check["state"].as_str().unwrap(), check["seen"].as_str().unwrap())).collect::<Vec<_>>()
    };
    let qemu = root.join("etc/libvirt/qemu");
    put(root, "etc/libvirt/qemu/other.xml", "<domain/>");
    put(root, "etc/libvirt/qemu/notes.txt", "<domain");
    assert_eq!(check(), [""; 0]);
    put(root, "etc/libvirt/qemu/broken.xml", "<domain");
    let newer = "<domain><metadata><v:domain xmlns:v='urn:vgapt:domain:9'/></metadata></domain>";
    put(root, "etc/libvirt/qemu/newer.xml", newer);
    fs::create_dir(qemu.join("folder.xml")).unwrap();
    let [told] = &check()[..] else { panic!("{:?}", check()) };
    assert!(told.starts_with("unknown because /etc/libvirt/qemu/broken.xml: "), "{told}");
    assert!(told.contains("/etc/libvirt/qemu/newer.xml: ") && told.contains("cannot read /etc/libvirt/qemu/folder.xml: "), "{told}");
    // It leads to itself: nobody can read it.
    fs::remove_dir_all(&qemu).unwrap();
    std::os::unix::fs::symlink("qemu", &qemu).unwrap();
    let [told] = &check()[..] else { panic!("{:?}", check()) };
    assert!(told.starts_with("unknown because cannot read /etc/libvirt/qemu: "), "{told}");
    fs::remove_file(&qemu).unwrap();
    assert_eq!(check(), [""; 0]);
}

/// Names out of the host's files are written only where Samba reads them as what they are.
#[test]
fn bridges_and_owners_with_odd_names() {
    for bridge in ["virbr0 0.0.0.0/0", "*", "virbr0\n  guest ok = yes", "a-name-too-long-for-one", "-x", ""] {
        let tree = host(None);
        let root = tree.path();
        let network = format!(
            "<network><name>default</name><bridge name='{}'/><ip address='192.168.122.1' netmask='255.255.255.0'/></network>",
            bridge.replace('\n', "&#10;")
        );
        put(root, "etc/libvirt/qemu/networks/default.xml", &network);
        put(root, "usr/sbin/smbd", "");
        let before = walk(root);
        prepare(root, &["/srv/docs"]).with(1).saying(&["network", "remedy: "]);
        assert_same(&before, &walk(root), bridge);
    }
    for owner in ["@wheel", "anna bob", "anna,root", "%U", "-anna", "a\\"] {
        let tree = host(Some(THEIRS));
        let root = tree.path();
        let passwd = get(root, "etc/passwd").replace("anna:x", &format!("{owner}:x"));
        put(root, "etc/passwd", &passwd);
        let before = walk(root);
        prepare(root, &["/srv/docs"]).with(1).saying(&["belongs to a user whose name Samba would misread", "remedy: chown USER"]);
        assert_same(&before, &walk(root), owner);
    }
}
