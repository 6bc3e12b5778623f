//! A guest writes at the start of its raw disk what makes it look like another format, and names a file of the host.

use std::fs;

use super::images::Images;
use super::libvirt::{Libvirt, have};
use super::recipes::TOOLS;

const SECRET: &[u8] = b"root:secret of the host:";

/// `secret` in a folder of its own, and `evil.raw`, a raw disk that begins as an overlay of it.
fn evil(name: &str) -> (Images, Images) {
    let (images, host) = (Images::new(1), Images::new(1));
    fs::write(host.path("secret"), SECRET.repeat(50_000)).unwrap();
    images.tool(&["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", &host.text("secret"), &images.text(name)]);
    // Whole sectors, as a disk has them.
    fs::File::options().write(true).open(images.path(name)).unwrap().set_len(1 << 20).unwrap();
    (images, host)
}

fn leaks(images: &Images) -> Vec<String> {
    let holds = |name: &String| {
        !images.path(name).is_symlink()
            && fs::read(images.path(name)).is_ok_and(|bytes| bytes.windows(SECRET.len()).any(|window| window == SECRET))
    };
    images.names().into_iter().filter(holds).collect()
}

#[test]
fn a_raw_disk_that_looks_like_an_overlay_of_a_file_of_the_host() {
    if !have("hostile disks", &TOOLS) {
        return;
    }
    let (images, host) = evil("evil.raw");
    let before = images.hash("evil.raw");
    fs::write(images.path("file"), "x").unwrap();
    let recipes: [&[&str]; 5] = [
        &["merge", "evil.raw", "m.raw"],
        &["overlay", "evil.raw"],
        &["compact", "evil.raw", "c.qcow2"],
        &["copy-in", "file", "evil.raw", "/"],
        &["commit", "evil.raw"],
    ];
    for recipe in recipes {
        let option = if recipe[0] == "merge" { "--source-format" } else { "--format" };
        images.vgapt(recipe).with(1).saying(&[
            "evil.raw is raw according to its name",
            "looks like qcow2",
            &format!("{option} raw, or {option} qcow2"),
        ]);
        // Taken for what the guest says, it names a file that only a further word opens.
        let ran = images.vgapt(&[recipe, &[option, "qcow2"]].concat()).with(1);
        ran.saying(&[&host.text("secret"), "outside the disk's own folder", "--trust-backing"]);
        let json = images.vgapt(&[recipe, &["--json"]].concat()).with(1).stdout;
        assert!(json.contains("\"format-unclear\""), "{json}");
    }
    // Taken for what it is, the guest gets its own bytes.
    images.vgapt(&["merge", "evil.raw", "m.raw", "--source-format", "raw"]).with(0);
    assert_eq!(images.hash("m.raw"), before);
    images.vgapt(&["overlay", "evil.raw", "--format", "raw"]).with(0);
    images.tool(&["qemu-img", "convert", "-f", "qcow2", "-O", "raw", "evil.raw.diff", "through.raw"]);
    // The format of what it lies on is in the overlay: that is no guess.
    images.vgapt(&["merge", "evil.raw.diff", "n.raw"]).with(0);
    for copy in ["through.raw", "n.raw"] {
        assert_eq!(images.hash(copy), before);
    }
    assert_eq!((leaks(&images), images.hash("evil.raw")), (Vec::new(), before));
    // Who wants it, and says so twice, gets it.
    images.vgapt(&["merge", "evil.raw", "w.raw", "--source-format", "qcow2", "--trust-backing"]).with(0);
    assert_eq!(leaks(&images), ["w.raw"]);
}

#[test]
fn a_disk_that_a_domain_has_as_raw() {
    if !have("hostile disks", &TOOLS) {
        return;
    }
    // The name says nothing, or the wrong thing.
    for name in ["disk", "evil.qcow2"] {
        let (images, _host) = evil(name);
        let node = images.text("node.xml");
        let domain = format!(
            "<node><domain type='test'><name>d</name><memory>1024</memory><os><type>hvm</type></os><devices><disk type='file' device='disk'>
            <driver name='qemu' type='raw'/><source file='{}'/><target dev='sda'/></disk></devices></domain></node>",
            images.text(name)
        );
        fs::write(&node, domain).unwrap();
        let uri = format!("test://{node}");
        images.vgapt(&["merge", name, "m.raw", "-c", &uri]).with(1).saying(&["is raw according to its domain", "looks like qcow2"]);
        images.vgapt(&["info", name, "-c", &uri]).with(1).saying(&["is raw according to its domain"]);
        // Where no domain can be asked, a name that says nothing is not made up for by the content.
        if name == "disk" {
            images.vgapt(&["merge", name, "m.raw", "-c", "test:///nosuch.xml"]).with(1).saying(&["a domain may use it as raw"]);
        }
        assert_eq!(leaks(&images), Vec::<String>::new());
    }
}

#[test]
fn all_that_a_guest_may_write_as_raw() {
    if !have("hostile disks", &TOOLS) {
        return;
    }
    // A floppy, and a disk of which the domain says no format: libvirt takes it for raw.
    for disk in ["device='floppy'><driver name='qemu' type='raw'/><target dev='fda'/>", "device='disk'><target dev='sda'/>"] {
        let (images, _host) = evil("disk");
        let node = images.text("node.xml");
        let domain = format!(
            "<node><domain type='test'><name>d</name><memory>1024</memory><os><type>hvm</type></os><devices><disk type='file' {disk}
            <source file='{}'/></disk></devices></domain></node>",
            images.text("disk")
        );
        fs::write(&node, domain).unwrap();
        let uri = format!("test://{node}");
        let ran = images.vgapt(&["merge", "disk", "m.raw", "-c", &uri, "--trust-backing"]).with(1);
        ran.saying(&["is raw according to its domain", "looks like qcow2"]);
        images.vgapt(&["overlay", "disk", "-c", &uri, "--trust-backing"]).with(1).saying(&["is raw according to its domain"]);
        assert_eq!(leaks(&images), Vec::<String>::new());
    }
}

#[test]
fn a_raw_drive_by_options_of_qemu() {
    if !have("hostile disks", &["virsh", "qemu-system-x86_64", "qemu-img", "qemu-io"]) {
        return;
    }
    let (images, _host) = evil("disk");
    let libvirt = Libvirt::embedded();
    let disk = images.text("disk");
    let blockdev = format!("{{'driver':'raw','node-name':'x','file':{{'driver':'file','filename':'{disk}'}}}}");
    for words in [["-drive", &format!("file={disk},format=raw,if=floppy")], ["-blockdev", &blockdev]] {
        super::unknown::with_options(&libvirt, &words);
        libvirt
            .vgapt(&["disk", "merge", &disk, &images.text("m.raw"), "--trust-backing"])
            .with(1)
            .saying(&["is raw according to its domain"]);
    }
    assert_eq!(leaks(&images), Vec::<String>::new());
}

#[test]
fn what_a_header_names_outside() {
    if !have("hostile disks", &TOOLS) {
        return;
    }
    let (images, host) = (Images::new(1), Images::new(1));
    fs::write(host.path("secret"), SECRET.repeat(50_000)).unwrap();
    let names = [
        ("json", format!("json:{{\"driver\":\"raw\",\"file\":{{\"driver\":\"file\",\"filename\":\"{}\"}}}}", host.text("secret"))),
        ("protocol", format!("file:{}", host.text("secret"))),
        ("up", format!("../{}/secret", host.directory.path().file_name().unwrap().to_string_lossy())),
        ("net", "nbd://localhost:1/x".to_owned()),
    ];
    for (name, backing) in &names {
        let name = format!("{name}.qcow2");
        images.tool(&["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", backing, &name, "1M"]);
        images.vgapt(&["merge", &name, "m.raw"]).with(1).saying(&["outside the disk's own folder"]);
        images.vgapt(&["info", &name]).with(1).saying(&["outside the disk's own folder"]);
    }
    std::os::unix::fs::symlink(host.path("secret"), images.path("link.raw")).unwrap();
    images.tool(&["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", "link.raw", "linked.qcow2", "1M"]);
    images.vgapt(&["merge", "linked.qcow2", "m.raw"]).with(1).saying(&["outside the disk's own folder", &host.text("secret")]);
    images.tool(&[
        "qemu-img",
        "create",
        "-q",
        "-f",
        "qcow2",
        "-o",
        &format!("data_file={},data_file_raw=on", host.text("data")),
        "d.qcow2",
        "1M",
    ]);
    images.vgapt(&["merge", "d.qcow2", "m.raw"]).with(1).saying(&[&host.text("data"), "outside the disk's own folder"]);
    // What is said to be an extent of a VMDK.
    images.tool(&["qemu-img", "create", "-q", "-f", "vmdk", "-o", "subformat=monolithicFlat", "v.vmdk", "1M"]);
    let text = fs::read_to_string(images.path("v.vmdk"))
        .unwrap_or_else(|_| String::from_utf8_lossy(&fs::read(images.path("v.vmdk")).unwrap()).into_owned());
    fs::write(images.path("v.vmdk"), text.replace("v-flat.vmdk", &host.text("secret"))).unwrap();
    images.vgapt(&["merge", "v.vmdk", "m.raw"]).with(1).saying(&[&host.text("secret"), "outside the disk's own folder"]);
    // A format that is not said would be guessed.
    images.tool(&["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", "base.qcow2", "unsaid.qcow2"]);
    let mut bytes = fs::read(images.path("unsaid.qcow2")).unwrap();
    let at = bytes.windows(4).position(|window| window == [0xe2, 0x79, 0x2a, 0xca]).unwrap();
    bytes[at..at + 4].copy_from_slice(b"\x12\x34\x56\x78");
    fs::write(images.path("unsaid.qcow2"), bytes).unwrap();
    images
        .vgapt(&["merge", "unsaid.qcow2", "m.raw"])
        .with(1)
        .saying(&["does not state the format of its backing file", "qemu-img rebase -u -F FORMAT"]);
    assert_eq!(leaks(&images), Vec::<String>::new());
    // A storage pool's folder is no other place.
    let node = images.text("node.xml");
    fs::write(
        &node,
        format!("<node><pool type='dir'><name>p</name><target><path>{}</path></target></pool></node>", host.directory.path().display()),
    )
    .unwrap();
    images.vgapt(&["merge", "up.qcow2", "m.raw", "-c", &format!("test://{node}")]).with(0);
}

#[test]
fn a_domain_is_not_swapped_to_what_its_guest_wrote() {
    if !have("disk swap", &["virsh", "qemu-system-x86_64", "qemu-img", "qemu-io"]) {
        return;
    }
    let (images, _host) = evil("evil.raw");
    let libvirt = Libvirt::embedded();
    let file = libvirt.path("domain.xml");
    let disk = images.text("evil.raw");
    fs::write(
        &file,
        format!(
            "<domain type='qemu'><name>d</name><memory>65536</memory><os><type arch='x86_64' machine='q35'>hvm</type></os><devices>
            <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{disk}'/><target dev='sda' bus='sata'/></disk></devices></domain>"
        ),
    )
    .unwrap();
    libvirt.virsh(&["define", &file]);
    let before = libvirt.xml("d");
    libvirt.vgapt(&["disk", "swap", "d", &disk]).with(1).saying(&["is raw according to its domain", "looks like qcow2"]);
    libvirt.vgapt(&["disk", "overlay", &disk, "--format", "raw"]).with(0);
    libvirt.vgapt(&["disk", "swap", "d", &format!("{disk}.diff")]).with(0);
    libvirt.vgapt(&["disk", "swap", "d", &disk, "--format", "raw"]).with(0);
    assert_eq!(libvirt.xml("d"), before);
}
