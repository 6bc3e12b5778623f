//! The format of a disk is stated or certain, and its header gives the guest no file of the host unasked.

#[allow(dead_code)] // Not every helper is used here.
#[path = "support/command.rs"]
mod command;

use std::fs;
use std::path::Path;

use command::{Ran, run, vgapt};
use tempfile::TempDir;

/// A qcow2 image that lies on another file (`docs/interop/qcow2.txt`): its first cluster.
fn overlay_of(backing: &str) -> Vec<u8> {
    let mut image = vec![0; 64 << 10];
    image[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
    image[8..16].copy_from_slice(&512_u64.to_be_bytes());
    image[16..20].copy_from_slice(&u32::try_from(backing.len()).unwrap().to_be_bytes());
    image[20..24].copy_from_slice(&16_u32.to_be_bytes());
    image[24..32].copy_from_slice(&(1_u64 << 20).to_be_bytes());
    image[100..104].copy_from_slice(&104_u32.to_be_bytes());
    image[512..512 + backing.len()].copy_from_slice(backing.as_bytes());
    image
}

fn tree(files: &[(&str, &[u8])]) -> TempDir {
    let tree = TempDir::new().unwrap();
    let firmware: [(&str, &[u8]); 2] = [("/usr/share/OVMF/OVMF_CODE_4M.fd", b"x"), ("/usr/share/OVMF/OVMF_VARS_4M.fd", b"x")];
    for (path, content) in firmware.iter().chain(files) {
        let place = tree.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, content).unwrap();
    }
    tree
}

fn define_on(tree: &Path, uri: &str, arguments: &[&str]) -> Ran {
    let root = tree.display().to_string();
    run(&mut vgapt([&["--root", &root, "-c", uri, "define", "new", "--dry-run"], arguments].concat()))
}

fn define(tree: &TempDir, arguments: &[&str]) -> Ran {
    define_on(tree.path(), "test:///default", arguments)
}

fn has(ran: &Ran, path: &str, format: &str) {
    let disk = ran.stdout.split("<disk ").find(|disk| disk.contains(&format!("'{path}'"))).unwrap_or_default();
    assert!(disk.contains(&format!("type='{format}'")), "{disk}\n{}", ran.stderr);
}

#[test]
fn a_name_that_says_raw_and_a_content_that_says_another_thing() {
    let evil = overlay_of("/etc/shadow");
    let tree = tree(&[("/vm/evil.img", &evil), ("/vm/evil.raw", &evil), ("/vm/plain.img", b"x"), ("/etc/shadow", b"root:x")]);
    for disk in ["/vm/evil.img", "/vm/evil.raw"] {
        let ran = define(&tree, &["--disk", disk]).with(1);
        let ran = ran.saying(&[disk, "its content looks like qcow2", "--disk-format raw, or --disk-format qcow2"]);
        has(&ran, disk, "raw");
        // --force is no statement.
        define(&tree, &["--disk", disk, "--force"]).with(1);
        let ran = define(&tree, &["--disk", disk, "--disk-format", "raw"]).with(0);
        has(&ran, disk, "raw");
        let ran =
            define(&tree, &["--disk", disk, "--disk-format", "qcow2"]).with(1).saying(&["/etc/shadow", "outside the disk's own folder"]);
        has(&ran, disk, "qcow2");
        define(&tree, &["--disk", disk, "--disk-format", "qcow2", "--force"]).with(0);
    }
    has(&define(&tree, &["--disk", "/vm/plain.img"]).with(0), "/vm/plain.img", "raw");
    let ran = define(&tree, &["--disk", "/vm/none.img"])
        .with(1)
        .saying(&["file /vm/none.img does not exist", "vgapt disk create /vm/none.img 100G"]);
    has(&ran, "/vm/none.img", "raw");
    define(&tree, &["--disk", "/dev/none"]).with(1).saying(&["ls -l /dev/disk/by-id"]);
    // A capture does not say what is a block device: its name does.
    let bytes: String = evil[..1024].iter().map(|byte| format!("{byte:02x}")).collect();
    let capture = tree.path().join("a.host");
    fs::write(&capture, format!("vgapt capture 1\n[/dev]\nsdz % {bytes}\n")).unwrap();
    let ran = define_on(&capture, "test:///default", &["--disk", "/dev/sdz"]).with(1);
    has(&ran.saying(&["/dev/sdz is a device, which means raw, but its content looks like qcow2"]), "/dev/sdz", "raw");
}

/// The elements of disks and CDs, in their order.
fn elements(ran: &Ran) -> Vec<&str> {
    ran.stdout.split("<disk ").skip(1).filter_map(|rest| rest.split("</disk>").next()).collect()
}

#[test]
fn an_option_that_no_disk_heeds() {
    let tree = tree(&[("/vm/a.qcow2", &overlay_of("")), ("/vm/b.raw", b"x")]);
    let idle = |ran: &Ran| ran.stderr.lines().filter(|line| line.contains("has no effect")).map(str::to_owned).collect::<Vec<_>>();
    let options = [("--disk-cache", "none"), ("--disk-format", "raw"), ("--disk-discard", "ignore"), ("--detect-zeroes", "yes")];
    let mut disks = define(&tree, &["--disk", "/vm/b.raw"]).with(0);
    for (option, value) in options {
        let ran = define(&tree, &[option, value]).with(0).saying(&["name the disk with --disk"]);
        assert_eq!(idle(&ran), [format!("warning: {option} has no effect: the domain has no disk of --disk")]);
        assert_eq!(idle(&define(&tree, &[option, value, "--disk", "/vm/b.raw"]).with(0)), [""; 0]);
        assert_eq!(idle(&change(&tree, &disks, &[option, value]).with(0)), [""; 0]);
        // It was said when it was given.
        assert_eq!(idle(&change(&tree, &ran, &["--memory", "1G"]).with(0)), [""; 0]);
    }
    let keep = ["--disk", "/vm/a.qcow2", "--disk-discard", "keep-reserved"];
    assert_eq!(idle(&define(&tree, &keep).with(0)), [""; 0]);
    let both = define(&tree, &[&keep[..], &["--disk", "/vm/b.raw"]].concat()).with(0);
    let [line] = &idle(&both)[..] else { panic!("{}", both.stderr) };
    assert!(line.starts_with("warning: --disk-discard keep-reserved has no effect on /vm/b.raw (raw): only a qcow2 image"), "{line}");
    assert_eq!(idle(&change(&tree, &both, &["--disk-cache", "none"]).with(0)), [""; 0]);
    // The disk was removed by hand.
    let at = disks.stdout.find("<disk ").unwrap();
    let end = at + disks.stdout[at..].find("</disk>").unwrap() + "</disk>".len();
    disks.stdout.replace_range(at..end, "");
    let ran = change(&tree, &disks, &["--disk-cache", "none"]).with(0).saying(&["name the disks again with --disk"]);
    assert_eq!(idle(&ran), ["warning: --disk-cache has no effect: a disk of --disk was removed or replaced by hand"]);
}

#[test]
fn a_disk_with_large_sectors_is_shown_with_them() {
    let place = TempDir::new().unwrap();
    let host = place.path().join("a.host");
    let devices = "../../devices/pci0000:00/0000:00:02.0/block";
    let disk = |name: &str, size: u32| format!("[/sys/devices/pci0000:00/0000:00:02.0/block/{name}/queue]\nlogical_block_size = {size}\n");
    let text = format!(
        "vgapt capture 1\n[/dev]\nsdx ? 0\nsdx1 ? 0\nsdy ? 0\nsdz ? 0\n[/dev/disk/by-id]\na -> ../../sdx\n[/sys/class/block]\n\
         sdx -> {devices}/sdx\nsdx1 -> {devices}/sdx/sdx1\nsdy -> {devices}/sdy\nsdz -> {devices}/sdz\n{}{}",
        disk("sdx", 4096),
        disk("sdy", 512)
    );
    fs::write(&host, text).unwrap();
    let sectors = "<blockio logical_block_size='4096' physical_block_size='4096'/>";
    let new = |arguments: &[&str]| define_on(&host, "test:///default", &[arguments, &["--force"]].concat()).with(0);
    let after = |before: &Ran, arguments: &[&str]| {
        let node = place.path().join("node.xml");
        fs::write(&node, format!("<node>{}</node>", before.stdout.replace("type='kvm'", "type='test'"))).unwrap();
        define_on(&host, &format!("test://{}", node.display()), &[arguments, &["--force"]].concat()).with(0)
    };
    // A partition has its disk's; of sdz it is not known.
    for (path, is_large) in [
        ("/dev/sdx", true),
        ("/dev/disk/by-id/a", true),
        ("/dev/sdx1", true),
        ("/dev/sdy", false),
        ("/dev/sdz", false),
        ("/vm/a.raw", false),
    ] {
        let ran = new(&["--disk", path]);
        assert_eq!((ran.stdout.matches(sectors).count(), ran.stdout.contains("blockio")), (usize::from(is_large), is_large), "{path}");
    }
    assert!(!new(&["--disk", "/dev/sdx", "--disk-format", "qcow2"]).stdout.contains("blockio"), "the image has its own");
    let large = new(&["--disk", "/dev/sdx"]);
    let small = after(&large, &["--disk", "/dev/sdy"]);
    assert!(!small.stdout.contains("blockio"), "{}", small.stdout);
    assert!(after(&small, &["--disk", "/dev/sdx1"]).stdout.contains(sectors));
    // A guest that was installed with other sectors keeps them.
    let mut before = large;
    before.stdout = before.stdout.replace(sectors, "");
    assert!(!after(&before, &["--disk", "/dev/sdx", "--disk", "/dev/sdy", "--disk-cache", "directsync"]).stdout.contains("blockio"));
}

#[test]
fn each_controller_of_the_disks_is_declared() {
    let tree = tree(&[]);
    let paths: Vec<String> = (0..15).map(|number| format!("/vm/{number}.raw")).collect();
    let disks = |number: usize| paths[..number].iter().flat_map(|path| ["--disk", path]).chain(["--force"]).collect::<Vec<_>>();
    let controllers = |ran: &Ran| {
        let scsi = ran.stdout.split("<controller ").filter(|rest| rest.starts_with("type='scsi'"));
        let lines = scsi.map(|rest| rest.split("</controller>").next().unwrap_or_default().lines().map(str::trim).collect::<Vec<_>>());
        lines.map(|lines| lines.concat()).collect::<Vec<_>>()
    };
    let scsi = |index: u32, driver: &str| {
        let alias = if index == 0 { String::new() } else { format!("<alias name='ua-vgapt-scsi-{index}'/>") };
        format!("type='scsi' index='{index}' model='virtio-scsi'>{driver}{alias}")
    };
    let one = "<driver iothread='1'/>";
    let seven = define(&tree, &disks(7));
    assert_eq!(controllers(&seven), [scsi(0, one)]);
    let fifteen = define(&tree, &disks(15));
    assert_eq!(controllers(&fifteen), [scsi(0, one), scsi(1, one), scsi(2, one)]);
    assert!(fifteen.stdout.contains("<target dev='sdo' bus='scsi'/>"), "{}", fifteen.stdout);
    let eight = change(&tree, &seven, &disks(8));
    assert_eq!(controllers(&eight), [scsi(0, one), scsi(1, one)]);
    // What vgapt declared is served by the same threads, too.
    let several = "<driver><iothreads><iothread id='1'/><iothread id='2'/></iothreads></driver>";
    let threads = change(&tree, &eight, &[&disks(8)[..], &["--io-threads", "2"]].concat());
    assert_eq!(controllers(&threads), [scsi(0, several), scsi(1, several)]);
    assert_eq!(controllers(&change(&tree, &threads, &disks(15))), [scsi(0, several), scsi(1, several), scsi(2, several)]);
}

#[test]
fn controllers_up_to_the_one_in_use() {
    let tree = tree(&[("/vm/a.raw", b"x")]);
    let node = tree.path().join("node.xml");
    let others: String = ('a'..='g')
        .map(|letter| format!("<disk type='file'><source file='/vm/{letter}'/><target dev='sd{letter}' bus='sata'/></disk>"))
        .collect();
    for (own, expected) in [("", &["0", "1"][..]), ("<controller type='scsi' index='0' model='lsilogic'/>", &["0", "1"])] {
        let text = format!(
            "<node><domain type='test'><name>new</name><memory>1024</memory><os><type>hvm</type></os><devices>{others}{own}</devices></domain></node>"
        );
        fs::write(&node, text).unwrap();
        let ran = define_on(tree.path(), &format!("test://{}", node.display()), &["--disk", "/vm/a.raw"]).with(0);
        assert!(ran.stdout.contains("<target dev='sdh' bus='scsi'/>"), "{}", ran.stdout);
        let scsi = ran.stdout.split("<controller type='scsi' index='").skip(1);
        assert_eq!(scsi.filter_map(|rest| rest.split('\'').next()).collect::<Vec<_>>(), expected, "{}", ran.stdout);
    }
}

/// The definition after this one.
fn change(tree: &TempDir, before: &Ran, arguments: &[&str]) -> Ran {
    let node = tree.path().join("node.xml");
    fs::write(&node, format!("<node>{}</node>", before.stdout.replace("type='kvm'", "type='test'"))).unwrap();
    define_on(tree.path(), &format!("test://{}", node.display()), arguments)
}

/// The attributes of the first disk's `<driver>`, sorted.
fn driver(ran: &Ran) -> String {
    let element = ran.stdout.split("<disk ").nth(1).and_then(|disk| disk.split("<driver ").nth(1)).unwrap_or_default();
    let mut attributes: Vec<&str> = element.split("/>").next().unwrap_or_default().split(' ').collect();
    attributes.sort_unstable();
    attributes.join(" ")
}

#[test]
fn another_disk_or_format_has_its_own_options() {
    let tree = tree(&[("/vm/a.qcow2", &overlay_of("")), ("/vm/b.raw", b"x")]);
    // A device that is not there is one by its name.
    let device = ["--disk", "/dev/disk/by-id/x", "--force"];
    let kept = "cache='writeback' discard='unmap' discard_no_unref='on' name='qemu' type='qcow2'";
    let raw = "cache='writeback' discard='unmap' name='qemu' type='raw'";
    let direct = "cache='none' discard='unmap' io='native' name='qemu' type='raw'";
    let qcow2 = define(&tree, &["--disk", "/vm/a.qcow2", "--disk-discard", "keep-reserved"]).with(0);
    assert_eq!(driver(&qcow2), kept);
    let other = change(&tree, &qcow2, &["--disk", "/vm/b.raw"]).with(0);
    assert_eq!(driver(&other), raw);
    assert_eq!(driver(&change(&tree, &other, &["--disk", "/vm/a.qcow2"]).with(0)), kept);
    let stated = change(&tree, &qcow2, &["--disk-format", "raw"]).with(0);
    assert_eq!(driver(&stated), raw);
    assert_eq!(driver(&change(&tree, &stated, &["--disk-format", "qcow2"]).with(0)), kept);
    let to_device = change(&tree, &other, &device).with(0);
    assert_eq!(driver(&to_device), direct);
    assert_eq!(driver(&change(&tree, &to_device, &["--disk", "/vm/a.qcow2"]).with(0)), kept);
    let of_device = change(&tree, &to_device, &["--disk-format", "qcow2", "--force"]).with(0);
    assert_eq!(driver(&of_device), "cache='none' discard='unmap' discard_no_unref='on' name='qemu' type='qcow2'");
}

#[test]
fn what_was_set_by_hand_stays() {
    let tree = tree(&[("/vm/a.raw", b"x"), ("/vm/b.raw", b"x"), ("/vm/c.raw", b"x")]);
    let mut by_hand = define(&tree, &["--disk", "/vm/a.raw"]).with(0);
    by_hand.stdout = by_hand.stdout.replace("cache='writeback' discard='unmap'", "cache='none' discard='ignore'");
    let more = change(&tree, &by_hand, &["--disk", "/vm/a.raw", "--disk", "/vm/c.raw"]).with(0);
    assert_eq!(driver(&more), "cache='none' discard='ignore' name='qemu' type='raw'");
    // What depends on the format goes by the cache that is there.
    let format = change(&tree, &by_hand, &["--disk-format", "qcow2"]).with(0);
    assert_eq!(driver(&format), "cache='none' discard='ignore' name='qemu' type='qcow2'");
    let back = change(&tree, &format, &["--disk-format", "raw"]).with(0);
    assert_eq!(driver(&back), "cache='none' discard='ignore' io='native' name='qemu' type='raw'");
    let other = change(&tree, &by_hand, &["--disk", "/vm/b.raw"]).with(0);
    assert_eq!(driver(&other), "cache='none' discard='ignore' name='qemu' type='raw'");
}

#[test]
fn a_block_device_is_one_whatever_its_name() {
    let tree = tree(&[("/dev/shm/x.raw", b"x"), ("/dev/shm/cd.iso", b"x"), ("/vm/none", b"x")]);
    let in_memory = define(&tree, &["--disk", "/dev/shm/x.raw", "--cdrom", "/dev/shm/cd.iso"]).with(0);
    let [disk, cd] = elements(&in_memory)[..] else { panic!("{}", in_memory.stdout) };
    assert!(disk.starts_with("type='file' device='disk'") && disk.contains("<source file='/dev/shm/x.raw'/>"), "{disk}");
    assert!(disk.contains("cache='writeback'"), "{disk}");
    assert!(cd.starts_with("type='file' device='cdrom'") && cd.contains("<source file='/dev/shm/cd.iso'/>"), "{cd}");
    for name in ["sr0", "sdz"] {
        let node = tree.path().join("dev").join(name);
        let number = rustix::fs::makedev(7, 200);
        // Only root may create device nodes.
        if rustix::fs::mknodat(rustix::fs::CWD, &node, rustix::fs::FileType::BlockDevice, rustix::fs::Mode::RUSR, number).is_err() {
            return;
        }
    }
    std::os::unix::fs::symlink("/dev/sdz", tree.path().join("vm/link.img")).unwrap();
    let devices = define(&tree, &["--disk", "/vm/link.img", "--cdrom", "/dev/sr0", "--disk-format", "raw", "--force"]).with(0);
    let [disk, cd] = elements(&devices)[..] else { panic!("{}", devices.stdout) };
    assert!(disk.starts_with("type='block' device='disk'") && disk.contains("<source dev='/vm/link.img'/>"), "{disk}");
    assert!(disk.contains("type='raw' cache='none' io='native'"), "{disk}");
    assert!(cd.starts_with("type='block' device='cdrom'") && cd.contains("<source dev='/dev/sr0'/>"), "{cd}");
    let other = change(&tree, &devices, &["--cdrom", "/dev/shm/cd.iso"]).with(0);
    let cd = elements(&other)[1];
    assert!(cd.starts_with("type='file' device='cdrom'") && cd.contains("<source file='/dev/shm/cd.iso'"), "{cd}");
}

#[test]
fn what_an_image_names_outside_its_folder() {
    let tree = tree(&[
        ("/vm/beside.qcow2", &overlay_of("base.qcow2")),
        ("/vm/far.qcow2", &overlay_of("/pool/base.qcow2")),
        ("/vm/up.qcow2", &overlay_of("../etc/shadow")),
        ("/vm/net.qcow2", &overlay_of("nbd://host/export")),
        ("/vm/json.qcow2", &overlay_of("json:{\"driver\":\"raw\"}")),
        ("/vm/link.qcow2", &overlay_of("linked")),
        ("/vm/vm/deep.qcow2", &overlay_of("base")),
        ("/pool/base.qcow2", b"x"),
        ("/etc/shadow", b"root:x"),
    ]);
    std::os::unix::fs::symlink("/etc/shadow", tree.path().join("vm/linked")).unwrap();
    define(&tree, &["--disk", "/vm/beside.qcow2", "--disk", "/vm/vm/deep.qcow2"]).with(0);
    for (name, named) in
        [("far", "/pool/base.qcow2"), ("up", "/etc/shadow"), ("net", "nbd://host/export"), ("json", "json:{"), ("link", "/etc/shadow")]
    {
        define(&tree, &["--disk", &format!("/vm/{name}.qcow2")]).with(1).saying(&[named, "outside the disk's own folder"]);
    }
    // Each level, and each format that names others.
    let description = |line: &str| format!("# Disk DescriptorFile\nversion=1\n{line}\n").into_bytes();
    let of_version_1 = [&b"QFI\xfb\0\0\0\x01"[..], &overlay_of("/etc/shadow")[8..]].concat();
    let mut qed = vec![0; 1024];
    for (at, bytes) in [(0, &b"QED\0"[..]), (16, b"\x01"), (57, b"\x02"), (60, b"\x0b"), (512, b"/etc/shadow")] {
        qed[at..at + bytes.len()].copy_from_slice(bytes);
    }
    let others = [
        ("deep", overlay_of("up.qcow2")),
        ("extent", description("RW 2048 FLAT \"/etc/shadow\" 0")),
        ("extent.vmdk", description("RW 2048 SPARSE \"../etc/shadow\"")),
        ("parent.vmdk", description("parentFileNameHint=\"/etc/shadow\"")),
        ("over.qcow2", overlay_of("extent.vmdk")),
        ("old.qcow", of_version_1),
        ("x.qed", qed),
        (
            "nested.qcow2",
            overlay_of("json:{\"driver\":\"qcow2\",\"file.filename\":\"beside.qcow2\",\"backing.file.filename\":\"/etc/shadow\"}"),
        ),
    ];
    for (name, bytes) in &others {
        fs::write(tree.path().join("vm").join(name), bytes).unwrap();
        define(&tree, &["--disk", &format!("/vm/{name}")]).with(1).saying(&["/etc/shadow", "outside the disk's own folder"]);
    }
    // What cannot be understood is no reassurance.
    let mut far = overlay_of("/etc/shadow");
    far[8] = 1;
    fs::write(tree.path().join("vm/broken.qcow2"), &far).unwrap();
    define(&tree, &["--disk", "/vm/broken.qcow2"])
        .with(1)
        .saying(&["unknown whether /vm/broken.qcow2 gives the guest access to other files", "--force"]);
    // A storage pool's folder is no other place.
    let node = tree.path().join("node.xml");
    fs::write(&node, "<node><pool type='dir'><name>p</name><target><path>/pool</path></target></pool></node>").unwrap();
    define_on(tree.path(), &format!("test://{}", node.display()), &["--disk", "/vm/far.qcow2"]).with(0);
}

#[test]
fn the_format_that_a_domain_states_counts() {
    let tree = tree(&[("/vm/disk", &overlay_of("/etc/shadow")), ("/vm/second.qcow2", b"x"), ("/etc/shadow", b"root:x")]);
    let node = tree.path().join("node.xml");
    fs::write(
        &node,
        "<node><domain type='test'><name>new</name><memory>1024</memory><os><type>hvm</type></os><devices><disk type='file' device='disk'>
        <driver name='qemu' type='raw'/><source file='/vm/disk'/><target dev='sda'/></disk></devices></domain></node>",
    )
    .unwrap();
    let ran = define_on(tree.path(), &format!("test://{}", node.display()), &["--disk", "/vm/disk", "--disk", "/vm/second.qcow2"]).with(0);
    assert!(!ran.stdout.contains("type='qcow2'") && ran.stdout.matches("type='raw'").count() >= 3, "{}", ran.stdout);
}

/// QEMU would wait for the other end of a pipe, or read something that never ends.
#[test]
fn what_has_no_length_is_no_image() {
    let tree = tree(&[("/vm/disk.img", b"x")]);
    for name in ["pipe.img", "socket.img"] {
        let kind = if name == "pipe.img" { rustix::fs::FileType::Fifo } else { rustix::fs::FileType::Socket };
        let place = tree.path().join("vm").join(name);
        rustix::fs::mknodat(rustix::fs::CWD, &place, kind, rustix::fs::Mode::from_raw_mode(0o600), 0).unwrap();
        let path = format!("/vm/{name}");
        for option in ["--disk", "--cdrom"] {
            let arguments = [option, &path, "--force", "--disk-format", "raw"];
            let stated = if option == "--disk" { &arguments[..] } else { &arguments[..3] };
            define(&tree, stated).with(1).saying(&[&path, "is a named pipe, a socket or a character device", "remedy: "]);
        }
    }
    define(&tree, &["--disk", "/vm/disk.img", "--disk-format", "raw"]).with(0);
}

#[test]
fn the_disks_of_a_template() {
    let evil = overlay_of("/etc/shadow");
    let tree = tree(&[("/vm/sh.raw", &evil), ("/vm/x.qcow2", &evil), ("/vm/plain.qcow2", b"x"), ("/etc/shadow", b"root:x")]);
    let template = tree.path().join("template.xml").display().to_string();
    let with = |inner: &str, line: &str, more: &[&str]| {
        let text = format!(
            "<domain type='test' xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'><name>new</name><memory>65536</memory><os><type>hvm</type></os>
            <devices><disk type='file' device='disk'>{inner}<target dev='vda'/></disk></devices><q:commandline>{line}</q:commandline></domain>"
        );
        fs::write(&template, text).unwrap();
        define(&tree, &[&["--template", &template], more].concat())
    };
    let outside = "gives the guest access to /etc/shadow";
    let (qcow2, raw) = ("<driver name='qemu' type='qcow2'/>", "<driver name='qemu' type='raw'/>");
    for path in ["/vm/sh.raw", "/vm/x.qcow2"] {
        let source = format!("<source file='{path}'/>");
        with(&format!("{qcow2}{source}"), "", &[]).with(1).saying(&[outside, "use --force"]);
        with(&format!("{qcow2}{source}"), "", &["--force"]).with(0).saying(&[outside]);
        with(&format!("{raw}{source}"), "", &[]).with(0);
    }
    with("<source file='/vm/sh.raw'/>", "", &["--force"]).with(1).saying(&["looks like qcow2", "in the template: <driver"]);
    let plain = format!("{qcow2}<source file='/vm/plain.qcow2'/>");
    with(&plain, "", &[]).with(0);
    with(&plain, "<q:arg value='-drive'/><q:arg value='file=/vm/sh.raw,if=none'/>", &[]).with(1).saying(&["looks like qcow2"]);
    with(&plain, "<q:arg value='-drive'/><q:arg value='file=/vm/sh.raw,format=raw,if=none'/>", &[]).with(0);
}

#[test]
fn a_disk_of_another_domain_under_any_name() {
    let tree = tree(&[
        ("/vm/a.qcow2", &overlay_of("")),
        ("/vm/over.qcow2", &overlay_of("a.qcow2")),
        ("/vm/upper.qcow2", &overlay_of("/vm/over.qcow2")),
        ("/vm/beside.qcow2", &overlay_of("a.qcow2")),
        ("/far/over.qcow2", &overlay_of("a.qcow2")),
        ("/far/a.qcow2", b"x"),
        ("/vm/evil.raw", &overlay_of("a.qcow2")),
        ("/vm/other.qcow2", b"x"),
    ]);
    fs::hard_link(tree.path().join("vm/a.qcow2"), tree.path().join("vm/hard.qcow2")).unwrap();
    std::os::unix::fs::symlink("a.qcow2", tree.path().join("vm/soft.qcow2")).unwrap();
    // By this name it lies on the disk of the other domain, by its own on a file beside it.
    std::os::unix::fs::symlink("/far/over.qcow2", tree.path().join("vm/linked.qcow2")).unwrap();
    let node = tree.path().join("node.xml");
    let with = |theirs: &str, arguments: &[&str]| {
        let format = if theirs.ends_with("raw") { "raw" } else { "qcow2" };
        let text = format!(
            "<node><domain type='test'><name>other</name><memory>1024</memory><os><type>hvm</type></os><devices><disk type='file' device='disk'>
            <driver name='qemu' type='{format}'/><source file='{theirs}'/><target dev='sda'/></disk></devices></domain></node>"
        );
        fs::write(&node, text).unwrap();
        define_on(tree.path(), &format!("test://{}", node.display()), arguments)
    };
    for own in ["/vm/a.qcow2", "/vm/hard.qcow2", "/vm/soft.qcow2"] {
        with("/vm/a.qcow2", &["--disk", own]).with(0).saying(&["writes to the same disk", own]);
    }
    for own in ["/vm/over.qcow2", "/vm/upper.qcow2", "/vm/linked.qcow2"] {
        let ran = with("/vm/hard.qcow2", &["--disk", own, "--force"]);
        ran.saying(&[
            "the domain 'other', which runs, writes to the backing file of a disk",
            &format!("{own} is an overlay of /vm/hard.qcow2"),
        ]);
        let ran = with(own, &["--disk", "/vm/soft.qcow2"]).with(0);
        ran.saying(&["uses an overlay of a disk", &format!("{own} is an overlay of /vm/soft.qcow2"), "vgapt disk overlay"]);
    }
    // The data of an image is below it, too, and each overlay is named once.
    fs::write(tree.path().join("vm/parts.vmdk"), "# Disk DescriptorFile\nversion=1\nRW 1 FLAT \"other.qcow2\" 0\n").unwrap();
    fs::write(tree.path().join("vm/on-parts.qcow2"), overlay_of("parts.vmdk")).unwrap();
    fs::write(tree.path().join("vm/in-options.qcow2"), overlay_of("json:{\"driver\":\"raw\",\"file\":{\"filename\":\"/vm/other.qcow2\"}}"))
        .unwrap();
    for theirs in ["/vm/on-parts.qcow2", "/vm/in-options.qcow2"] {
        let ran = with(theirs, &["--disk", "/vm/other.qcow2"]).with(0);
        let told = format!("{theirs} is an overlay of /vm/other.qcow2");
        assert_eq!(ran.stderr.matches(&told).count(), 1, "{}", ran.stderr);
    }
    // Two overlays of one disk, another disk, and what the guest of a raw disk wrote into it.
    for (theirs, own) in [("/vm/over.qcow2", "/vm/beside.qcow2"), ("/vm/a.qcow2", "/vm/other.qcow2"), ("/vm/evil.raw", "/vm/a.qcow2")] {
        let ran = with(theirs, &["--disk", own]).with(0);
        assert!(!ran.stderr.contains("overlay of") && !ran.stderr.contains("same disk"), "{theirs} {own}: {}", ran.stderr);
    }
    // It does not start while that runs; what would corrupt the other's disk does not start at all.
    let start = |theirs: &str, own: &str| {
        let domain = |name: &str, disk: &str, state: u8| {
            format!(
                "<domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'><name>{name}</name><memory>1024</memory>
                <os><type>hvm</type></os><devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{disk}'/>
                <target dev='sda'/></disk></devices><test:runstate>{state}</test:runstate></domain>"
            )
        };
        fs::write(&node, format!("<node>{}{}</node>", domain("other", theirs, 5), domain("new", own, 5))).unwrap();
        let root = tree.path().display().to_string();
        run(&mut vgapt(["--root", &root, "-c", &format!("test://{}", node.display()), "start", "new"]))
    };
    start("/vm/upper.qcow2", "/vm/hard.qcow2").with(1).saying(&["uses an overlay of a disk", "'new' was not started"]);
    start("/vm/a.qcow2", "/vm/over.qcow2").with(0).saying(&["writes to the backing file of a disk"]);
}
