//! A machine full of secrets, in every file that is read: none of them is in its capture, and the capture
//! answers as the machine does.

#[allow(dead_code)] // No other machine is needed here.
#[path = "support/command.rs"]
mod command;

use std::fs;
use std::io::Read as _;
use std::path::Path;

use command::{Z170, run, vgapt};
use vgapt::root::{Capture, Node};

/// In every made up word of this machine.
const MARK: &str = "zwfs";
/// Identifiers that are no words.
const IDENTIFIERS: [&str; 6] = ["c0:ff:ee", "10.11.12.13", "9ff8c203", "WCC4E", "4711081500", "fe80"];

/// Lines with a secret in each position: comment, key, value, behind what is known, in quotes, as an identifier.
const LINES: &str = "# zwfs1 calls 4711081500\n; zwfs2\nzwfsc=zwfsd 4711081500\npassword = \"quiet zwfse\"\nhostname=zwfsf\nserial: WD-WCC4EZWFSG\n\
    kvm zwfsh 52:54:00:c0:ff:ee 10.11.12.13 9ff8c203-950b-4f46-8c41-6e994151ecd3 fe80::1:2:3\n/home/zwfsi/zwfsj.qcow2 LABEL=zwfsk pass=4711081500 ZWFSL zwfsmö\n";

/// Files that are settings of people's, each with lines that are read and with secrets among them.
const SETTINGS: [(&str, &str); 27] = [
    (
        "/proc/cmdline",
        "BOOT_IMAGE=/vmlinuz root=UUID=9ff8c203-950b-4f46-8c41-6e994151ecd3 ro intel_iommu=on iommu=pt cryptdevice=UUID=9ff8c203-950b-4f46-8c41-6e994151ecd3:zwfs1 ip=10.11.12.13::10.11.12.13:255.255.255.0:zwfs2:eth0 zwfs3=4711081500\n",
    ),
    (
        "/etc/default/grub",
        "GRUB_DEFAULT=0\nGRUB_CMDLINE_LINUX_DEFAULT=\"quiet intel_iommu=on cryptdevice=/dev/sda2:zwfs1\" # zwfs2\nGRUB_CMDLINE_LINUX=\"zwfs3=zwfs4\"\n",
    ),
    (
        "/boot/grub/grub.cfg",
        "menuentry 'Debian zwfs1' {\n\tset root='hd0,gpt2'\n\tlinux /vmlinuz-6.12.0 root=LABEL=zwfs2 ro quiet\n\tinitrd /initrd.img-6.12.0\n}\npassword_pbkdf2 zwfs3 grub.pbkdf2.zwfs4\n",
    ),
    (
        "/boot/loader/entries/zwfs1.conf",
        "title zwfs2\nlinux /vmlinuz\ninitrd /initrd.img\noptions root=LABEL=zwfs3 quiet zwfs4=zwfs5\nmachine-id zwfs6\n",
    ),
    (
        "/etc/modprobe.d/zwfs1.conf",
        "options vfio-pci ids=10de:1401,10de:0fba zwfs2=1\nsoftdep nouveau pre: vfio-pci\nblacklist zwfs3\ninstall zwfs4 /bin/zwfs5\n",
    ),
    ("/etc/modprobe.d/vfio.conf", "# zwfs1\noptions zwfs2 zwfs3=zwfs4\nblacklist nouveau\n"),
    ("/etc/modules", "vfio-pci\nzwfs1\n"),
    ("/etc/modules-load.d/zwfs1.conf", "zwfs2\nvfio\n"),
    (
        "/etc/fstab",
        "UUID=9ff8c203-950b-4f46-8c41-6e994151ecd3 / ext4 defaults 0 1\n//zwfs1/zwfs2 /mnt/zwfs3 cifs username=zwfs4,password=zwfs5 0 0\n",
    ),
    ("/etc/crypttab", "zwfs1 UUID=9ff8c203-950b-4f46-8c41-6e994151ecd3 /root/zwfs2.key luks\n"),
    (
        "/etc/passwd",
        "root:x:0:0:zwfs1:/root:/bin/bash\nzwfs2:x:1000:1000:zwfs3:/home/zwfs2:/bin/zwfs4\nzwfs5:x:999:999::/opt/zwfs6:/bin/false\n",
    ),
    ("/etc/group", "kvm:x:104:zwfs1\nzwfs2:$6$zwfs3:500:zwfs4\n"),
    ("/etc/libvirt/qemu.conf", "user = \"zwfs1\"\nvnc_password = \"zwfs2\"\nspice_tls_x509_cert_dir = \"/zwfs3\"\n"),
    (
        "/etc/libvirt/qemu/networks/zwfs1.xml",
        "<network><!-- zwfs2 --><name>zwfs3</name><uuid>9ff8c203-950b-4f46-8c41-6e994151ecd3</uuid><bridge name='zwfs4'/><mac address='52:54:00:c0:ff:ee'/><domain name='zwfs5'/><ip address='10.11.12.13' netmask='255.255.255.0'/></network>\n",
    ),
    ("/etc/samba/smb.conf", "[global]\nworkgroup = zwfs1\nnetbios name = zwfs2\n[zwfs3]\npath = /srv/zwfs4\nvalid users = zwfs5\n"),
    ("/etc/sysctl.d/zwfs1.conf", "vm.nr_hugepages = 4096\nkernel.hostname = zwfs2\n"),
    ("/etc/security/limits.conf", "zwfs1 hard memlock unlimited\n@zwfs2 soft nofile 4711081500\n"),
    ("/etc/initramfs-tools/hooks/zwfs1", "#!/bin/sh\nTOKEN=zwfs2\ncurl http://zwfs3:zwfs4@10.11.12.13/\n"),
    (
        "/etc/initramfs-tools/scripts/init-top/zwfs1",
        "#!/bin/sh\necho vfio-pci > /sys/bus/pci/devices/0000:01:00.0/driver_override # zwfs2\n",
    ),
    ("/etc/udev/rules.d/zwfs1.rules", "ATTRS{serial}==\"WD-WCC4EZWFS\", SYMLINK+=\"zwfs2\"\n"),
    ("/etc/systemd/system/zwfs1.mount", "[Mount]\nWhat=//zwfs2/zwfs3\nWhere=/mnt/zwfs4\nOptions=credentials=/root/zwfs5\n"),
    ("/etc/mkinitcpio.conf", "MODULES=(vfio_pci zwfs1)\nHOOKS=(base udev encrypt)\n"),
    ("/etc/kernel/cmdline", "root=LABEL=zwfs1 quiet zwfs2\n"),
    (
        "/proc/mounts",
        "/dev/sda3 / ext4 rw 0 0\n/dev/mapper/zwfs1-zwfs2 /home/zwfs3 ext4 rw 0 0\n//zwfs4/zwfs5 /mnt cifs rw,username=zwfs6 0 0\n",
    ),
    (
        "/proc/net/route",
        "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\nzwfs1 00000000 0D0C0B0A 0003 0 0 0 00000000 0 0 0\n",
    ),
    (
        "/proc/bus/input/devices",
        "I: Bus=0003 Vendor=046d\nN: Name=\"zwfs1's USB Keyboard\"\nP: Phys=zwfs2\nS: Sysfs=/devices/pci0000:00/0000:00:14.0/usb1/1-1/input/input3\nU: Uniq=52:54:00:c0:ff:ee\nH: Handlers=sysrq kbd leds event3\n",
    ),
    (
        "/dev/kmsg",
        "6,1,0,-;DMAR: IOMMU enabled\n6,2,0,-;usb 1-1: reset zwfs1 SerialNumber: WD-WCC4EZWFS\n6,3,0,-;vfio-pci 0000:01:00.0: zwfs2 zwfs3 52:54:00:c0:ff:ee\n",
    ),
];

/// Other files that are read wherever they are there.
const OTHERS: [&str; 39] = [
    "/etc/initramfs/post-update.d/zz-vgapt",
    "/etc/kernel/install.d/zz-vgapt.install",
    "/etc/kernel/postinst.d/zz-vgapt",
    "/etc/kernel.d/post-install/zz-vgapt",
    "/etc/pacman.d/hooks/zz-vgapt.hook",
    "/etc/vgapt/after-update",
    "/etc/vgapt/at-start",
    "/etc/systemd/system/libvirtd.service.d/vgapt-virtual-functions.conf",
    "/etc/systemd/system/virtqemud.service.d/vgapt-virtual-functions.conf",
    "/etc/apparmor.d/abstractions/libvirt-qemu",
    "/etc/apparmor.d/local/abstractions/libvirt-qemu",
    "/boot/efi/loader/loader.conf",
    "/boot/limine.conf",
    "/boot/grub/custom.cfg",
    "/boot/grub/grubenv",
    "/etc/booster.yaml",
    "/etc/default/limine",
    "/etc/dracut.conf",
    "/etc/dracut.conf.d/zwfs.conf",
    "/etc/initramfs-tools/modules",
    "/etc/initramfs-tools/conf.d/zwfs",
    "/etc/kernel/install.conf",
    "/etc/kernel/next-boot-pin",
    "/etc/kernel/proxmox-boot-pin",
    "/etc/kernelstub/configuration",
    "/etc/sdboot-manage.conf",
    "/etc/sdboot-manage.conf.d/zwfs.conf",
    "/etc/samba/vgapt.conf",
    "/etc/vgapt/bind",
    "/etc/cmdline.d/zwfs.conf",
    "/etc/default/grub.d/zwfs.cfg",
    "/etc/mkinitcpio.d/zwfs.preset",
    "/etc/qemu/firmware/zwfs.json",
    "/usr/lib/sysctl.d/zwfs.conf",
    "/usr/lib/bootc/kargs.d/zwfs.toml",
    "/usr/lib/kernel/cmdline",
    "/etc/libvirt/hooks/qemu.d/vgapt",
    "/proc/iomem",
    "/proc/swaps",
];

fn recorded() -> Capture {
    Capture::load(Path::new(Z170)).unwrap()
}

/// The machine with these files instead of its own.
fn machine(files: &[(String, Vec<u8>)]) -> Capture {
    let mut machine = Capture::default();
    for (path, content) in files {
        machine.add(path, Node::File(content.clone()), None);
    }
    let own = recorded();
    for (path, entry) in own.entries().filter(|(path, _)| !files.iter().any(|(own, _)| own == path)) {
        machine.add(path, entry.node.clone(), Some(entry.mode));
    }
    machine
}

/// The text of its capture, packed or not, and the path of it.
fn captured(root: &Path, folder: &Path, name: &str) -> String {
    let file = folder.join(name);
    run(&mut vgapt(["--root", root.to_str().unwrap(), "capture", "--yes", file.to_str().unwrap()]))
        .with(0)
        .saying(&["contents of the capture", "written to"]);
    let bytes = fs::read(&file).unwrap();
    let mut text = String::new();
    if name.ends_with(".gz") {
        flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap();
    } else {
        text = String::from_utf8(bytes).unwrap();
    }
    text
}

/// The lines with a secret in them: as it stands, as the hexadecimal of a binary, or of UTF-16.
fn secrets_in(text: &str) -> Vec<String> {
    let small = text.to_lowercase();
    let hex = |text: &str, between: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(between);
    let mut found = Vec::new();
    for secret in [MARK].iter().chain(&IDENTIFIERS) {
        let (secret, capital) = (secret.to_lowercase(), secret.to_uppercase());
        for form in [secret.clone(), hex(&secret, ""), hex(&secret, "00"), hex(&capital, ""), hex(&capital, "00")] {
            found.extend(
                small
                    .lines()
                    .filter(|line| line.contains(&form))
                    .map(|line| format!("{secret}: {}", line.chars().take(200).collect::<String>())),
            );
        }
    }
    found
}

/// What is only the name of something secret, or the number that such a name is set to, in an answer.
fn names_left_out(text: &str) -> String {
    let is_own = |word: &str| word.strip_prefix('x').is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()));
    let mut words = String::new();
    for word in text.split_inclusive(|c: char| !c.is_alphanumeric() && c != '_') {
        let bare = word.trim_end_matches(|c: char| !c.is_alphanumeric() && c != '_');
        let is_value = words.ends_with("#=") && !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_digit());
        let is_left_out = bare.to_lowercase().contains(MARK) || is_own(bare) || is_value;
        words += &if is_left_out { word.replace(bare, "#") } else { word.to_owned() };
    }
    words
}

#[test]
fn a_machine_full_of_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let files: Vec<(String, Vec<u8>)> = SETTINGS.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
    let raw = folder.path().join("raw.host");
    fs::write(&raw, machine(&files).to_string()).unwrap();
    for name in ["clean.host", "clean.host.gz"] {
        assert_eq!(secrets_in(&captured(&raw, folder.path(), name)), [""; 0], "{name}");
    }
    // It answers as the machine does.
    let clean = folder.path().join("clean.host");
    for arguments in [
        ["list"].as_slice(),
        &["list", "--all", "--groups"],
        &["check"],
        &["check", "--json"],
        &["prepare", "--dry-run", "--gpu", "01:00.0"],
    ] {
        let answers = [&raw, &clean].map(|root| {
            let ran = run(&mut vgapt([&["--root", root.to_str().unwrap()], arguments].concat()));
            (ran.code(), names_left_out(&ran.stdout), names_left_out(&ran.stderr))
        });
        let place = |text: &str| text.replace(clean.to_str().unwrap(), raw.to_str().unwrap());
        let [told, of_capture] = &answers;
        assert_eq!(told.0, of_capture.0, "{arguments:?}");
        let both = [told.1.clone() + &told.2, place(&of_capture.1) + &place(&of_capture.2)];
        let differ: Vec<(&str, &str)> = both[0].lines().zip(both[1].lines()).filter(|(one, other)| one != other).collect();
        assert!(differ.is_empty() && both[0].lines().count() == both[1].lines().count(), "{arguments:?}: {differ:#?}");
    }
}

/// A number that is nobody's business, in every way in which people write one down, and each of its digits.
const NUMBERS: [&str; 40] = [
    "\"password\": \"@\"",
    "{'password': '@'}",
    "password -> @",
    "password(@)",
    "password/@",
    "password=\"\" @",
    "password='' '@'",
    "password:\n  @",
    "password =\n@",
    "\"password\":\n\t\"@\"",
    "password @",
    "vnc_password = \"@\"",
    "PASSWORD=@",
    "wifi_psk=0x@",
    "pwd=@",
    "root_pw: @",
    "pin: @",
    "code @",
    "vnc @",
    "root @",
    "kvm_amd @",
    "on @ quiet",
    "size of @",
    "echo @ | sudo -S true",
    "+49-30-@",
    "card @ quiet",
    "// @",
    "/* @ */",
    "<!-- @ -->",
    "x=1 # size=@",
    "0x@",
    "options vfio-pci @",
    "install vfio-pci /bin/true @",
    "/home/root/@",
    "//media/@ /mnt cifs rw 0 0",
    "[@]",
    "on,@",
    "on=@K",
    "@",
    "quiet-@",
];
/// Short ones are kept, but not beside a word for a secret, nor as parts of a long one.
const SHORT: [&str; 8] = [
    "the pin is 7731",
    "7731 is the password",
    "passphrase\n7731",
    "pass 77 31",
    "card 7731 3377 7731 3377",
    "7731-3377-7731",
    "quiet 7731/3377/7731/3377",
    "secret = vfio 7731",
];

#[test]
fn numbers_that_are_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let mut found = Vec::new();
    let places = ["/etc/modprobe.d/a.conf", "/etc/default/grub", "/etc/fstab", "/etc/initramfs-tools/hooks/a", "/etc/libvirt/qemu.conf"];
    for secret in ["7731337", "4111 1111 1111 1111", "4111-1111-1111-1111", "77313377313377", "773133"] {
        let text = NUMBERS.map(|line| line.replace('@', secret)).join("\n") + "\n" + &SHORT.join("\n") + "\n";
        let files: Vec<(String, Vec<u8>)> = places.iter().map(|path| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
        let raw = folder.path().join("raw.host");
        fs::write(&raw, machine(&files).to_string()).unwrap();
        let kept = captured(&raw, folder.path(), "clean.host");
        let is_told = |line: &&str| [secret, "7731", "4111 1", "4111-1", "1111", "3377"].iter().any(|part| line.contains(part));
        found.extend(kept.lines().filter(is_told).map(|line| format!("{secret}: {line}")));
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// The parts of a number may have anything between them but a word, in names of files too; so may a serial number's.
#[test]
fn numbers_and_names_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::new();
    let between = [".", ",", "\t", ";", "+", ")(", "] [", "\u{a0}", " | ", "*", "\" \"", "  ", " - ", "\u{2013}"];
    for between in between {
        text += &format!("root {}\npath = /{}/x\n", ["4111"; 4].join(between), ["4711", "0815", "4711"].join(between));
    }
    text += "root (0815)4711-1234\nroot +49.30.4711.0815\nroot d0815s4711n1234p9876\nroot ens4711p0815s1234\nroot x471108\nroot x0815\n";
    text += "root 0x0815 0x4711 0x0816\nroot 6.12.1-4711-0815-4711\nroot 6.12.1 4711 0815 4711\n";
    let names: Vec<String> = between
        .iter()
        .filter(|between| !between.contains(char::is_whitespace))
        .map(|between| format!("/etc/modprobe.d/{}.conf", ["4711"; 4].join(between)))
        .collect();
    let mut files: Vec<(String, Vec<u8>)> = names.into_iter().map(|name| (name, b"x\n".to_vec())).collect();
    files.extend(["/etc/modprobe.d/a.conf", "/etc/default/grub", "/etc/fstab"].map(|path| (path.to_owned(), text.as_bytes().to_vec())));
    // An array of disks has its name from people, and the kernel takes it over.
    files.push(("/proc/mounts".to_owned(), b"/dev/md_zwfs /home ext4 rw 0 0\n".to_vec()));
    files.push(("/sys/devices/virtual/block/md_zwfs/size".to_owned(), b"8\n".to_vec()));
    let mut machine = machine(&files);
    machine.add("/sys/class/block/md_zwfs", Node::Link("../../devices/virtual/block/md_zwfs".to_owned()), None);
    let raw = folder.path().join("raw.host");
    fs::write(&raw, machine.to_string()).unwrap();
    let kept = captured(&raw, folder.path(), "clean.host");
    let is_told = |line: &&str| ["4111", "4711", "0815", MARK].iter().any(|part| line.contains(part));
    let found: Vec<&str> = kept.lines().filter(is_told).collect();
    assert!(found.is_empty(), "{found:#?}");
}

/// What is read stays, however long, also beside a secret.
#[test]
fn numbers_that_are_read() {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in [
        ("/etc/sysctl.d/a.conf", "vm.nr_hugepages = 12288\n"),
        (
            "/proc/cmdline",
            "BOOT_IMAGE=/vmlinuz-6.12.48-1 hugepagesz=1G hugepages=12345 isolcpus=domain,0-7,16-23,32-39,48-55 vfio-pci.ids=10de:1401,10de:0fba\n",
        ),
        ("/proc/cmdline", "quiet hugepages=12345 vfio-pci.ids=10de:1401,10de:0fba systemd.password=on\n"),
        ("/proc/cmdline", "hugepagesz=1G hugepages=0:12345,1:23456,2:34567 quiet\n"),
        ("/etc/security/limits.conf", "kvm hard memlock 17179869184\n"),
        ("/run/libvirtd.pid", "1234567\n"),
        ("/etc/group", "libvirt-qemu:x:64055:\n"),
    ] {
        let raw = folder.path().join("raw.host");
        fs::write(&raw, machine(&[(path.to_owned(), text.as_bytes().to_vec())]).to_string()).unwrap();
        let kept = captured(&raw, folder.path(), "clean.host");
        let is_read = |line: &str| text.trim_end().split(" systemd.").next().is_some_and(|text| line.ends_with(text));
        assert!(kept.lines().any(is_read) || !fs::read_to_string(&raw).unwrap().lines().any(is_read), "{path}: {text}");
    }
}

/// Volumes are named by people, also where the kernel's own devices lie.
#[test]
fn names_of_volumes_are_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    recorded().unpack(&tree).unwrap();
    fs::create_dir_all(tree.join("dev/zwfsvg")).unwrap();
    fs::create_dir_all(tree.join("dev/vfio")).unwrap();
    fs::create_dir_all(tree.join("dev/dri")).unwrap();
    fs::write(tree.join("dev/dm-0"), "").unwrap();
    fs::write(tree.join("dev/sda2"), "").unwrap();
    std::os::unix::fs::symlink("../dm-0", tree.join("dev/zwfsvg/zwfslv")).unwrap();
    std::os::unix::fs::symlink("/dev/zwfsvg/zwfslv", tree.join("dev/dri/card9")).unwrap();
    fs::write(tree.join("proc/mounts"), "/dev/zwfsvg/zwfslv / ext4 rw 0 0\n/dev/sda2 /boot ext4 rw 0 0\n").unwrap();
    let text = captured(&tree, folder.path(), "clean.host");
    assert_eq!(secrets_in(&text), [""; 0]);
    assert!(text.contains("/dev/sda2 /boot ext4"), "{text}");
}

/// How bytes can be written down.
type Encoding<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;

/// The same lines in every file that was read, in every encoding.
#[test]
fn secrets_in_every_file_and_encoding() {
    let folder = tempfile::tempdir().unwrap();
    let wide = |text: &str, mark: &[u8]| [mark.to_vec(), text.encode_utf16().flat_map(u16::to_le_bytes).collect()].concat();
    let encodings: [(&str, Encoding<'_>); 6] = [
        ("UTF-8", &|own| [own, b"\n", LINES.as_bytes()].concat()),
        ("before", &|own| [LINES.as_bytes(), own].concat()),
        ("a byte that is not UTF-8", &|own| [own, b"\nzwfs\xff", LINES.as_bytes()].concat()),
        ("UTF-16", &|_| wide(LINES, &[0xff, 0xfe])),
        ("UTF-16 without a mark", &|_| wide(&LINES.replace('ö', ""), &[])),
        ("with a NUL", &|own| [own, b"\0", LINES.replace(' ', "\0").as_bytes()].concat()),
    ];
    let own = recorded();
    let mut found = Vec::new();
    for (encoding, with) in encodings {
        let of = |path: &str, content: &[u8]| (path.to_owned(), with(content));
        let mut files: Vec<(String, Vec<u8>)> = own
            .entries()
            .filter_map(|(path, entry)| match &entry.node {
                Node::File(bytes) if !path.ends_with("pci.ids") => Some(of(path, bytes)),
                _ => None,
            })
            .collect();
        files.extend(SETTINGS.iter().map(|(path, text)| of(path, text.as_bytes())));
        files.extend(OTHERS.iter().map(|path| of(path, b"")));
        let raw = folder.path().join("raw.host");
        fs::write(&raw, machine(&files).to_string()).unwrap();
        let text = captured(&raw, folder.path(), "clean.host");
        found.extend(secrets_in(&text).into_iter().map(|line| format!("{encoding}: {line}")));
        // As a tree, where names and links are real.
        let tree = tempfile::tempdir().unwrap();
        machine(&files).unpack(tree.path()).unwrap();
        found.extend(
            secrets_in(&captured(tree.path(), folder.path(), "tree.host")).into_iter().map(|line| format!("{encoding}, a tree: {line}")),
        );
        assert!(text.contains("[/etc/default]") && text.contains("[/sys/"), "{encoding}: there is something left");
    }
    assert!(found.is_empty(), "{found:#?}");
}
