//! What could not be looked at is not taken for what is not there: what would harm it is refused.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::process::Command;

use super::command::{Ran, run};
use super::images::Images;
use super::libvirt::{Libvirt, have, skip};
use super::recipes::TOOLS;

/// The account of nobody in particular.
const NOBODY: u32 = 65534;

/// An overlay of the base elsewhere.
fn overlay_at(images: &Images, place: &str) {
    if let Some(folder) = images.path(place).parent() {
        fs::create_dir_all(folder).unwrap();
    }
    images.tool(&["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", &images.text("base.qcow2"), &images.text(place)]);
}

/// A file of the test driver with these domains, none of which runs, and pools.
pub(crate) fn node(images: &Images, disks: &[(&str, &str)], pools: &str) -> String {
    let domains: String = disks
        .iter()
        .enumerate()
        .map(|(number, (path, format))| {
            format!(
                "<domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'><name>d{number}</name><memory>1024</memory>
                <os><type>hvm</type></os><devices><disk type='file' device='disk'><driver name='qemu' type='{format}'/><source file='{path}'/>
                <target dev='sda'/></disk></devices><test:runstate>5</test:runstate></domain>"
            )
        })
        .collect();
    fs::write(images.path("node.xml"), format!("<node>{domains}{pools}</node>")).unwrap();
    format!("test://{}", images.text("node.xml"))
}

/// Runs it as somebody whom permissions hold: root becomes nobody.
fn as_a_user(images: &Images, arguments: &[&str]) -> Option<Ran> {
    let own = images.command(arguments);
    let vgapt: Vec<_> = own.get_args().skip_while(|word| !word.to_string_lossy().ends_with("/vgapt")).collect();
    let mut command = super::command::command("setpriv");
    let id = NOBODY.to_string();
    let mut trial = Command::new("setpriv");
    if !trial.args(["--reuid", &id, "--regid", &id, "--clear-groups", "true"]).status().is_ok_and(|status| status.success()) {
        skip("permissions", "no other user can be had");
        return None;
    }
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]).args(vgapt);
    Some(run(command.current_dir(images.directory.path())))
}

#[test]
fn an_overlay_that_cannot_be_read_or_looked_at() {
    if !have("disk refusals", &TOOLS) {
        return;
    }
    // Beside the user's files others' that only root may read; the folders above are open to all.
    let images = Images::in_a_folder_of_all(1);
    overlay_at(&images, "root/other.diff");
    fs::set_permissions(images.path("root"), PermissionsExt::from_mode(0o700)).unwrap();
    for name in ["base.qcow2", "base.qcow2.diff"] {
        fs::set_permissions(images.path(name), PermissionsExt::from_mode(0o666)).unwrap();
        let _ = chown(images.path(name), Some(NOBODY), Some(NOBODY));
    }
    let _ = chown(images.directory.path(), Some(NOBODY), Some(NOBODY));
    images.tool(&["qemu-io", "-c", "write -q -P 99 0 64k", "base.qcow2.diff"]);
    let before = images.hash("base.qcow2");
    // Nothing names this folder, and it is shut; then it is open, and the file in it shut.
    for (folder, file) in [(0o700, 0o644), (0o755, 0o600)] {
        fs::set_permissions(images.path("root"), PermissionsExt::from_mode(folder)).unwrap();
        fs::set_permissions(images.path("root/other.diff"), PermissionsExt::from_mode(file)).unwrap();
        for quiet in [&[][..], &["-q"]] {
            let Some(ran) = as_a_user(&images, &[&["commit", "base.qcow2.diff"], quiet].concat()) else { return };
            ran.with(1).saying(&["has other overlays: ", "root", "Permission denied", "--force"]);
        }
    }
    fs::set_permissions(images.path("root"), PermissionsExt::from_mode(0o700)).unwrap();
    // Beside it, shut.
    fs::rename(images.path("root/other.diff"), images.path("other.diff")).unwrap();
    fs::set_permissions(images.path("other.diff"), PermissionsExt::from_mode(0o600)).unwrap();
    for quiet in [&[][..], &["-q"]] {
        let ran = as_a_user(&images, &[&["commit", "base.qcow2.diff"], quiet].concat()).unwrap().with(1);
        ran.saying(&["has other overlays: ", "other.diff", "--force", "Nothing was changed"]);
    }
    let ran = as_a_user(&images, &["copy-in", "base.qcow2", "base.qcow2", "/"]).unwrap().with(1);
    ran.saying(&["has other overlays: "]);
    // In a folder that a domain names, and that is shut.
    fs::rename(images.path("other.diff"), images.path("root/other.diff")).unwrap();
    let uri = node(&images, &[(&images.text("root/other.diff"), "qcow2")], "");
    fs::set_permissions(images.path("node.xml"), PermissionsExt::from_mode(0o644)).unwrap();
    let ran = as_a_user(&images, &["commit", "base.qcow2.diff", "-c", &uri]).unwrap().with(1);
    ran.saying(&["has other overlays: ", "root", "Permission denied"]);
    assert_eq!(images.hash("base.qcow2"), before);
    // What is too short for an image is none, whoever may read it.
    fs::remove_file(images.path("node.xml")).unwrap();
    fs::write(images.path("short"), "x").unwrap();
    fs::set_permissions(images.path("short"), PermissionsExt::from_mode(0o600)).unwrap();
    as_a_user(&images, &["commit", "base.qcow2.diff"]).unwrap().with(1).saying(&["root"]);
    fs::remove_dir_all(images.path("root")).unwrap();
    as_a_user(&images, &["commit", "base.qcow2.diff"]).unwrap().with(0).saying(&["searched for overlays of"]);
}

/// Overlays of one base lie together, and the base elsewhere.
#[test]
fn an_overlay_beside_the_one_that_goes_down() {
    if !have("disk refusals", &TOOLS) {
        return;
    }
    let (images, elsewhere) = (Images::new(1), Images::new(1));
    let before = images.hash("base.qcow2");
    for name in ["one.diff", "below/other.diff"] {
        overlay_at(&images, name);
    }
    fs::rename(images.path("one.diff"), elsewhere.path("one.diff")).unwrap();
    fs::rename(images.path("below"), elsewhere.path("below")).unwrap();
    let commit = ["commit", "one.diff", "--trust-backing"];
    fs::remove_file(images.path("base.qcow2.diff")).unwrap();
    elsewhere.vgapt(&commit).with(1).saying(&["has other overlays, which", "below/other.diff"]);
    assert_eq!(images.hash("base.qcow2"), before);
    fs::remove_file(elsewhere.path("below/other.diff")).unwrap();
    elsewhere.vgapt(&commit).with(0);
}

#[test]
fn libvirt_out_of_reach_and_force() {
    if !have("disk refusals", &TOOLS) {
        return;
    }
    let images = Images::new(1);
    let before = images.hash("base.qcow2");
    let nowhere = ["-c", "test:///nosuch.xml"];
    for recipe in [&["commit", "base.qcow2.diff"][..], &["copy-in", "base.qcow2.diff", "base.qcow2", "/"]] {
        let ran = images.vgapt(&[recipe, &nowhere, &["-q"]].concat()).with(1);
        ran.saying(&["it is unknown whether", "libvirt cannot be asked", "use --force: an overlay of"]);
    }
    let json: serde_json::Value =
        serde_json::from_str(&images.vgapt(&[&["commit", "base.qcow2.diff", "--json"][..], &nowhere].concat()).with(1).stdout).unwrap();
    assert_eq!(json["findings"].as_array().unwrap().iter().filter(|finding| finding["code"] == "overlays-unknown").count(), 1);
    images.vgapt(&[&["compact", "base.qcow2", "small.qcow2"][..], &nowhere].concat()).with(1).saying(&["unknown whether a domain uses"]);
    assert_eq!(images.hash("base.qcow2"), before);
    // A domain's disk that is a volume of a pool which libvirt does not have: where it lies is not known.
    let uri = node(&images, &[("x", "qcow2")], "");
    let text = fs::read_to_string(images.path("node.xml")).unwrap();
    fs::write(images.path("node.xml"), text.replace("type='file'", "type='volume'").replace("file='x'", "pool='nosuch' volume='v'"))
        .unwrap();
    images
        .vgapt(&["commit", "base.qcow2.diff", "-c", &uri])
        .with(1)
        .saying(&["the disk sda of the domain 'd0': libvirt does not list its volume"]);
    // Another machine's libvirt knows nothing of the files of this one.
    images.vgapt(&["commit", "base.qcow2.diff", "-c", "qemu+ssh://nosuch.invalid/system"]).with(1).saying(&["is another machine"]);
    let ran = images.vgapt(&[&["commit", "base.qcow2.diff", "--force", "--json"][..], &nowhere].concat()).with(0);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((json["outcome"].as_str(), json["findings"][0]["code"].as_str()), (Some("done"), Some("overlays-unknown")));
    assert_eq!(json["searched"]["domains"], 0);
    images.same("base.qcow2", "base.qcow2.diff");
}

#[test]
fn overlays_in_other_folders() {
    if !have("disk refusals", &TOOLS) {
        return;
    }
    let images = Images::new(1);
    let before = images.hash("base.qcow2");
    // A folder below the disk's own.
    overlay_at(&images, "below/deep/other.diff");
    images.vgapt(&["commit", "base.qcow2.diff"]).with(1).saying(&["has other overlays, which", "below/deep/other.diff"]);
    // A folder that only a domain's other disk names, that a storage pool has, or that the user names.
    let elsewhere = Images::new(1);
    fs::rename(images.path("below/deep/other.diff"), elsewhere.path("other.diff")).unwrap();
    let found = |arguments: &[&str]| {
        images.vgapt(&[&["commit", "base.qcow2.diff"], arguments].concat()).with(1).saying(&["has other overlays, which", "other.diff"]);
    };
    found(&["-c", &node(&images, &[(&elsewhere.text("base.qcow2"), "qcow2")], "")]);
    let pool = format!("<pool type='dir'><name>p</name><target><path>{}</path></target></pool>", elsewhere.directory.path().display());
    found(&["-c", &node(&images, &[], &pool)]);
    found(&["--search", &elsewhere.directory.path().display().to_string()]);
    // That only a snapshot of a domain names.
    let uri = node(&images, &[(&images.text("base.qcow2"), "qcow2")], "");
    let snapshot = format!(
        "<test:domainsnapshot><name>s</name><state>shutoff</state><creationTime>1</creationTime><active>0</active><disks>
        <disk name='sda' snapshot='external' type='file'><source file='{}'/></disk></disks></test:domainsnapshot>",
        elsewhere.text("other.diff")
    );
    let text = fs::read_to_string(images.path("node.xml")).unwrap();
    fs::write(images.path("node.xml"), text.replace("<test:runstate>", &format!("{snapshot}<test:runstate>"))).unwrap();
    found(&["-c", &uri]);
    // By a link in a folder that is searched.
    symlink(elsewhere.path("other.diff"), images.path("linked")).unwrap();
    found(&[]);
    fs::remove_file(images.path("linked")).unwrap();
    // Under an overlay of its own that lies where it is found.
    let over = images.text("over");
    images.tool(&["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", &elsewhere.text("other.diff"), &over]);
    found(&[]);
    fs::remove_file(&over).unwrap();
    images.vgapt(&["commit", "base.qcow2.diff", "--search", "nosuch"]).with(1).saying(&["the folder nosuch does not exist"]);
    assert_eq!(images.hash("base.qcow2"), before);
    // An overlay of the overlay shows the same afterwards, and does not speak against it.
    images.tool(&["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", &images.text("base.qcow2.diff"), &over]);
    images.vgapt(&["merge", "over", "whole", "--source-format", "qcow2"]).with(0);
    let uri = node(&images, &[(&images.text("base.qcow2.diff"), "qcow2")], "");
    let told = images.vgapt(&["commit", "base.qcow2.diff", "-c", &uri]).with(0).stderr;
    assert!(told.contains("the disks of 1 domain,") && told.contains("an overlay in any other folder would be corrupted"), "{told}");
    images.same("over", "whole");
}

#[test]
fn a_relative_backing_is_sought_from_the_name_that_is_opened() {
    if !have("disk refusals", &TOOLS) {
        return;
    }
    let (images, elsewhere) = (Images::new(1), Images::new(1));
    let before = images.hash("base.qcow2");
    // By its own name it lies on a file elsewhere, by the link on the base here.
    elsewhere.tool(&["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "qcow2", "-b", "base.qcow2", "other.diff", "2M"]);
    symlink(elsewhere.path("other.diff"), images.path("linked.diff")).unwrap();
    images.same("linked.diff", "base.qcow2");
    images.vgapt(&["commit", "base.qcow2.diff"]).with(1).saying(&["has other overlays, which", "linked.diff"]);
    images.vgapt(&["copy-in", "base.qcow2.diff", "base.qcow2", "/"]).with(1).saying(&["has other overlays, which", "linked.diff"]);
    // Where it is in a folder that only a domain names.
    let third = Images::new(1);
    fs::rename(images.path("linked.diff"), third.path("linked.diff")).unwrap();
    fs::remove_file(third.path("base.qcow2")).unwrap();
    symlink(images.path("base.qcow2"), third.path("base.qcow2")).unwrap();
    let uri = node(&images, &[(&third.text("linked.diff"), "qcow2")], "");
    images.vgapt(&["commit", "base.qcow2.diff", "-c", &uri]).with(1).saying(&["has other overlays, which", "linked.diff"]);
    assert_eq!(images.hash("base.qcow2"), before);
    // What goes down from it goes into one of two files: it is not said into which.
    let of_elsewhere = elsewhere.hash("base.qcow2");
    let link = third.text("linked.diff");
    for recipe in [&["commit", &link][..], &["merge", &link, "m.raw"], &["overlay", &link, "o.diff"]] {
        images.vgapt(recipe).with(1).saying(&["is a link to", "whose backing file name is relative", "qemu-img rebase -u -F FORMAT"]);
    }
    // By its own name too, where a domain has it by the other.
    elsewhere.vgapt(&["commit", "other.diff", "-c", &uri]).with(1).saying(&["is a link to", "whose backing file name is relative"]);
    assert_eq!((images.hash("base.qcow2"), elsewhere.hash("base.qcow2")), (before, of_elsewhere));
    // An image in the middle of a chain is opened by the name that stands above it.
    images.tool(&["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "qcow2", "-b", &link, "top.diff", "2M"]);
    images.vgapt(&["merge", "top.diff", "m.raw"]).with(1).saying(&["outside the disk's own folder"]);
    images
        .vgapt(&["merge", "top.diff", "m.raw", "--trust-backing"])
        .with(1)
        .saying(&["is a link to", "whose backing file name is relative"]);
    // By a link beside which there is nothing, QEMU does not open it.
    fs::remove_file(images.path("top.diff")).unwrap();
    fs::remove_file(third.path("base.qcow2")).unwrap();
    images.vgapt(&["merge", &link, "m.raw"]).with(0);
}

/// Defines a domain that gives these words to QEMU.
pub(crate) fn with_options(libvirt: &Libvirt, words: &[&str]) {
    let words: String = words.iter().map(|word| format!("<q:arg value=\"{word}\"/>")).collect();
    let file = libvirt.path("options.xml");
    fs::write(
        &file,
        format!(
            "<domain type='qemu' xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'><name>options</name><memory>65536</memory>
            <os><type arch='x86_64' machine='q35'>hvm</type></os><q:commandline>{words}</q:commandline></domain>"
        ),
    )
    .unwrap();
    if libvirt.virsh(&["list", "--all", "--name"]).stdout.contains("options") {
        libvirt.virsh(&["undefine", "options"]);
    }
    libvirt.virsh(&["define", &file]);
}

#[test]
fn an_overlay_that_only_options_of_qemu_name() {
    if !have("disk refusals", &["virsh", "qemu-system-x86_64", "qemu-img", "qemu-io"]) {
        return;
    }
    let (images, elsewhere) = (Images::new(1), Images::new(1));
    overlay_at(&images, "other.diff");
    fs::rename(images.path("other.diff"), elsewhere.path("other.diff")).unwrap();
    let before = images.hash("base.qcow2");
    let libvirt = Libvirt::embedded();
    let (overlay, other) = (images.text("base.qcow2.diff"), elsewhere.text("other.diff"));
    let json = format!("{{'driver':'qcow2','node-name':'x','file':{{'driver':'file','filename':'{other}'}}}}");
    let words = [
        ["-drive", &format!("file={other},format=qcow2,if=virtio")],
        ["-drive", &format!("file.driver=file,file.filename={other},if=none,id=x")],
        ["-blockdev", &json],
        ["-hda", &other],
        ["-fdb", &other],
    ];
    for words in words {
        with_options(&libvirt, &words);
        libvirt.vgapt(&["disk", "commit", &overlay]).with(1).saying(&["has other overlays, which", "other.diff"]);
    }
    // What is not understood may name one.
    for words in [["-drive", "{x"], ["-drive", "file=blkdebug:conf:/x"], ["-drive", "file=nbd+unix:///x?socket=/run/x"]] {
        with_options(&libvirt, &words);
        let ran = libvirt.vgapt(&["disk", "commit", &overlay]).with(1);
        ran.saying(&["has other overlays: ", "qemu:commandline of the domain 'options'"]);
    }
    assert_eq!(images.hash("base.qcow2"), before);
    // Another machine's disk is no file of this one.
    with_options(&libvirt, &["-drive", "file=nbd://other.invalid/x"]);
    libvirt.vgapt(&["disk", "commit", &overlay]).with(0);
}

#[test]
fn a_swap_to_a_disk_that_carries_others() {
    if !have("disk swap", &["virsh", "qemu-system-x86_64", "qemu-img", "qemu-io"]) {
        return;
    }
    let images = Images::new(1);
    let libvirt = Libvirt::embedded();
    let (base, overlay) = (images.text("base.qcow2"), images.text("base.qcow2.diff"));
    let file = libvirt.path("domain.xml");
    let domain = |name: &str, disk: &str| {
        fs::write(
            &file,
            format!(
                "<domain type='qemu'><name>{name}</name><memory>65536</memory><os><type arch='x86_64' machine='q35'>hvm</type></os><devices>
                <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{disk}'/><target dev='sda' bus='sata'/></disk></devices></domain>"
            ),
        )
        .unwrap();
        libvirt.virsh(&["define", &file]);
    };
    domain("one", &overlay);
    images.vgapt(&["overlay", "base.qcow2", "other.diff"]).with(0);
    libvirt.vgapt(&["disk", "swap", "one", &base]).with(1).saying(&[
        "has other overlays, which",
        "other.diff",
        "the disk of 'one' was not changed",
    ]);
    assert!(libvirt.xml("one").contains(&format!("<source file='{overlay}'/>")));
    libvirt
        .vgapt(&["disk", "swap", "one", &base, "--force"])
        .with(0)
        .saying(&["continuing because of --force", "the changes since then stay in"]);
    assert!(libvirt.xml("one").contains(&format!("<source file='{base}'/>")));
    // A file beside it that looks like an overlay and is broken.
    fs::remove_file(images.path("other.diff")).unwrap();
    libvirt.vgapt(&["disk", "swap", "one", &overlay]).with(0);
    fs::write(images.path("broken"), [&b"QFI\xfb\0\0\0\x03"[..], &[0xff; 600]].concat()).unwrap();
    libvirt.vgapt(&["disk", "swap", "one", &base]).with(1).saying(&["has other overlays: ", "broken names"]);
}
