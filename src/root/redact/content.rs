//! Decides which part of each file may be written into a capture.

use super::super::boot_option;
use super::words::{DRIVERS, KERNEL, NAMES, Numbers, Rule, SETTINGS, Words};

const EFI_VARIABLES: &str = "/sys/firmware/efi/efivars/";
/// The offset of the header type in a function's configuration space.
const HEADER_TYPE: usize = 14;
/// Prefixes of the lines that are read of these files.
const PROCESSOR: [&str; 6] = ["vendor_id", "cpu family", "model name", "address sizes", "flags", "Features"];
const DISTRIBUTION: [&str; 5] = ["ID=", "ID_LIKE=", "VERSION_ID=", "PRETTY_NAME=", "NAME="];
const EVENT: [&str; 4] = ["DRIVER=", "PCI_CLASS=", "PCI_ID=", "PCI_SUBSYS_ID="];
const INPUT: [&str; 3] = ["N: ", "S: ", "H: "];
/// The longest PID in digits: the maximum is 2^22 (`PID_MAX_LIMIT`).
const LONGEST_PROCESS: usize = 7;
/// Directories below /dev with names assigned by the kernel; other names come from users, for example volume groups and udev
/// rules.
const DEVICES: [&str; 7] = ["dri/", "vfio/", "kvm/", "input/", "snd/", "bus/", "nvidia-caps/"];
/// The longest such line.
const LONGEST: usize = 8 << 10;

pub(in crate::root) struct Redaction {
    words: Words,
}

impl Redaction {
    pub(in crate::root) fn new() -> Self {
        Self { words: Words::new() }
    }

    pub(in crate::root) fn replaced(&self) -> usize {
        self.words.replaced
    }

    pub(in crate::root) fn path(&mut self, path: &str) -> String {
        self.place(path, rule_of_path(path))
    }

    pub(in crate::root) fn link(&mut self, path: &str, target: &str) -> String {
        // An absolute target may be outside the kernel's trees, with names that users chose.
        self.place(target, rule_of_path(if target.starts_with('/') { target } else { path }))
    }

    /// Redacts a path. Names in the kernel's trees stay, except those of network interfaces.
    fn place(&mut self, path: &str, rule: Rule) -> String {
        match path.find("/net/").filter(|_| rule.names) {
            Some(at) => self.words.kept(&path[..at], rule) + &self.words.kept(&path[at..], NAMES),
            None => self.words.kept(path, rule),
        }
    }

    pub(in crate::root) fn content(&mut self, path: &str, bytes: &[u8]) -> Vec<u8> {
        if boot_option::is_one(path) {
            return boot_option::redacted(bytes.to_vec(), &mut |text| self.words.kept(text, SETTINGS));
        }
        if let Some(name) = path.strip_prefix(EFI_VARIABLES) {
            return self.variable(name, bytes);
        }
        if path.starts_with("/sys/") && path.ends_with("/config") {
            return bytes.iter().enumerate().map(|(at, byte)| if at == HEADER_TYPE { *byte } else { 0 }).collect();
        }
        if path.ends_with("/rom") {
            return Vec::new();
        }
        if path.starts_with("/sys/") || path.starts_with("/proc/") || path.starts_with("/dev/") || path.starts_with("/var/log/") {
            return self.of_kernel(path, &String::from_utf8_lossy(bytes)).into_bytes();
        }
        match std::str::from_utf8(bytes) {
            Ok(text) if is_no_text(text) => no_text(text).into_bytes(),
            Ok(text) => self.of_people(path, text).into_bytes(),
            Err(_) => self.of_no_utf8(path, bytes),
        }
    }

    /// A file with invalid UTF-8 stays invalid, because that matters too; its words are redacted as in a text.
    fn of_no_utf8(&mut self, path: &str, bytes: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(bytes);
        let kept = if is_no_text(&text) { no_text(&text) } else { self.of_people(path, &text) };
        let (start, end) = kept.split_once(char::REPLACEMENT_CHARACTER).unwrap_or((&kept, ""));
        [start.as_bytes(), &[0xff], end.as_bytes()].concat()
    }

    /// A firmware variable: a number, or a text of the boot loader.
    fn variable(&mut self, name: &str, bytes: &[u8]) -> Vec<u8> {
        let (attributes, value) = bytes.split_at(bytes.len().min(4));
        if !(name.starts_with("LoaderInfo-") || name.starts_with("StubInfo-")) {
            return bytes[..bytes.len().min(6)].to_vec();
        }
        let units: Vec<u16> =
            value.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).take_while(|unit| *unit != 0).collect();
        let text = self.words.kept(&String::from_utf16_lossy(&units), SETTINGS);
        let value = text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes);
        attributes.iter().copied().chain(value).collect()
    }

    fn of_kernel(&mut self, path: &str, text: &str) -> String {
        if is_no_text(text.trim_end_matches('\0')) {
            return no_text(text);
        }
        match path {
            // Only the first processor's paragraph is read.
            "/proc/cpuinfo" => lines(text.split("\n\n").next().unwrap_or_default(), &PROCESSOR),
            "/proc/bus/input/devices" => {
                let blocks = text.split("\n\n").map(|block| lines(block, &INPUT) + "\n").collect::<String>();
                let mut kept = String::new();
                for line in blocks.split_inclusive('\n') {
                    kept += &self.words.kept(line, if line.starts_with("S: ") { DRIVERS } else { SETTINGS });
                }
                kept
            }
            "/sys/class/dmi/id/board_name" => model(text),
            "/proc/net/route" | "/proc/net/tcp" | "/proc/net/tcp6" => self.addresses(text),
            "/proc/cmdline" | "/proc/mounts" | "/proc/swaps" | "/proc/sys/kernel/osrelease" => self.words.kept(text, SETTINGS),
            "/dev/kmsg" => self.words.kept(text, KERNEL),
            _ if path.starts_with("/var/log/") => self.words.kept(text, KERNEL),
            _ if path.ends_with("/uevent") => {
                let text = lines(text, &EVENT);
                let rule = |line: &str| if line.starts_with("DRIVER=") { DRIVERS } else { KERNEL };
                text.split_inclusive('\n').map(|line| self.words.kept(line, rule(line))).collect()
            }
            _ => {
                let last = path.rsplit('/').next().unwrap_or_default();
                let of_people = matches!(last, "name" | "product" | "manufacturer" | "comm" | "slaves" | "information" | "stat")
                    && path != "/proc/stat";
                // The process name is in parentheses between the numbers.
                if let (true, "stat", Some((name, counts))) = (of_people, last, text.rsplit_once(')')) {
                    let (process, name) = name.split_once('(').unwrap_or_default();
                    let all = Rule { numbers: Numbers::All, ..SETTINGS };
                    return format!(
                        "{}({}){}",
                        self.words.kept(process, all),
                        self.words.kept(name, SETTINGS),
                        self.words.kept(counts, all)
                    );
                }
                self.words.kept(text, if of_people { SETTINGS } else { KERNEL })
            }
        }
    }

    /// Redacts the kernel's tables of hexadecimal addresses: only addresses that every machine has stay.
    fn addresses(&mut self, text: &str) -> String {
        let known = |field: &str| matches!(field, "0100007F" | "017AA8C0") || field.bytes().all(|byte| byte == b'0' || byte == b'F');
        let is_entry = |line: &str| {
            let address = line.split_whitespace().nth(1).and_then(|field| field.split(':').next()).unwrap_or_default();
            matches!(address.len(), 8 | 32) && address.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        let mut kept = String::new();
        for (index, line) in text.lines().enumerate() {
            if !is_entry(line) {
                // The first line is the heading, which parsers skip.
                kept.push_str(if index == 0 { "Iface\n" } else { "" });
                continue;
            }
            let fields = line.split_whitespace().map(|field| {
                let (address, port) = field.split_at(field.find(':').unwrap_or(field.len()));
                let is_address = matches!(address.len(), 8 | 32) && address.bytes().all(|byte| byte.is_ascii_hexdigit());
                if is_address && known(address) {
                    field.to_owned()
                } else if is_address {
                    format!("{}{port}", if address.len() == 8 { "010200C0".to_owned() } else { "1".repeat(32) })
                } else {
                    self.words.kept(field, Rule { numbers: Numbers::All, hex: true, ..SETTINGS })
                }
            });
            kept += &fields.collect::<Vec<_>>().join(" ");
            kept.push('\n');
        }
        kept
    }

    fn of_people(&mut self, path: &str, text: &str) -> String {
        match path {
            "/etc/passwd" | "/etc/group" => {
                let accounts = system_accounts(text);
                self.words.kept(&accounts, Rule { numbers: Numbers::All, ..SETTINGS })
            }
            // A PID and nothing else.
            _ if path.ends_with(".pid") && text.trim().len() <= LONGEST_PROCESS && text.trim().bytes().all(|c| c.is_ascii_digit()) => {
                text.to_owned()
            }
            "/etc/os-release" | "/usr/lib/os-release" => lines(text, &DISTRIBUTION),
            // A public list; the lines that are read name the machine's devices.
            _ if path.ends_with("/pci.ids") => text.lines().filter(|line| is_name_of_id(line)).map(|line| format!("{line}\n")).collect(),
            _ if path.contains("/lib/modules/") => {
                let of_device = |line: &str| {
                    line.starts_with("alias pci:v") && line.chars().all(|c| c.is_ascii_alphanumeric() || ":*_- \n".contains(c))
                };
                text.split_inclusive('\n')
                    .map(|line| if of_device(line) { line.to_owned() } else { self.words.kept(line, SETTINGS) })
                    .collect()
            }
            // Not line by line, because the value of a secret may be on the next line.
            _ => self.words.kept(&text.split_inclusive('\n').map(comment).collect::<String>(), SETTINGS),
        }
    }
}

/// Removes the text of a comment, except of vgapt's own comments. The line stays, to keep the line numbers.
fn comment(line: &str) -> String {
    let start = line.trim_start();
    let own = start.contains("vgapt") || start.starts_with("#bound") || start.starts_with("#!");
    match start.chars().next() {
        Some(sign @ ('#' | ';')) if !own => format!("{sign}{}", if line.ends_with('\n') { "\n" } else { "" }),
        _ => line.to_owned(),
    }
}

/// Whether a text contains control characters, as UTF-16 does.
fn is_no_text(text: &str) -> bool {
    text.contains(|c: char| c.is_control() && !"\n\t\r".contains(c))
}

/// Redacts a text with control characters: its letters are replaced, because they are not words.
fn no_text(text: &str) -> String {
    text.chars().map(|c| if c.is_alphanumeric() { '0' } else { c }).collect()
}

fn lines(text: &str, begin: &[&str]) -> String {
    let is_read = |line: &&str| line.len() <= LONGEST && begin.iter().any(|begin| line.starts_with(begin));
    text.lines().filter(is_read).map(|line| format!("{line}\n")).collect()
}

/// The model name of a board, if it is one line of letters and numbers; else empty.
fn model(text: &str) -> String {
    let is_of_a_name = |c: char| c.is_ascii_alphanumeric() || " ._+-()/,&".contains(c);
    let line = text.trim_end_matches('\n');
    if line.len() <= 80 && line.chars().all(is_of_a_name) { text.to_owned() } else { String::new() }
}

fn is_name_of_id(line: &str) -> bool {
    let id = line.strip_prefix('\t').unwrap_or(line);
    id.len() < 200 && id.get(..4).is_some_and(|id| id.bytes().all(|byte| byte.is_ascii_hexdigit())) && id.get(4..6) == Some("  ")
}

/// Below /sys and /proc, the kernel assigns the names; below /dev, users name volumes and disks.
fn rule_of_path(path: &str) -> Rule {
    let is_device = |rest: &str| DEVICES.iter().any(|folder| rest.starts_with(folder));
    let is_of_kernel = path.starts_with("/sys/") || path.starts_with("/proc/") || path.strip_prefix("/dev/").is_some_and(is_device);
    if is_of_kernel { DRIVERS } else { NAMES }
}

/// Removes accounts of people (ids 1000 to 59999).
fn system_accounts(accounts: &str) -> String {
    let kept = |line: &&str| line.split(':').nth(2).and_then(|id| id.parse::<u32>().ok()).is_some_and(|id| !(1000..60_000).contains(&id));
    accounts.lines().filter(kept).map(without_members).collect()
}

/// The line of an account without its description, or of a group with only QEMU's users as members.
fn without_members(line: &str) -> String {
    let mut fields: Vec<String> = line.split(':').map(str::to_owned).collect();
    let is_name = |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.$".contains(c));
    if !fields.first().is_some_and(is_name) {
        return String::new();
    }
    match fields.as_mut_slice() {
        [_, secret, _, members] => {
            secret.truncate(1);
            let kept: Vec<&str> = members.split(',').filter(|name| matches!(*name, "libvirt-qemu" | "qemu")).collect();
            *members = kept.join(",");
        }
        [_, secret, _, _, description, _, _] => {
            secret.truncate(1);
            description.clear();
        }
        _ => return String::new(),
    }
    format!("{}\n", fields.join(":"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> String {
        Words::new().kept(text, SETTINGS)
    }

    #[test]
    fn what_is_looked_for_stays_and_nothing_else() {
        for stays in [
            "options vfio-pci ids=10de:1401,10de:0fba",
            "intel_iommu=on iommu=pt",
            "softdep nouveau pre: vfio-pci",
            "vm.nr_hugepages = 12288",
            "/sys/bus/pci/devices/0000:0a:00.0",
            "/dev/nvme0n1p2 /boot ext4 rw 0 0",
            "efivars/BootCurrent-8be4df61-93ca-11d2-aa0d-00e098032b8c",
            "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet splash\"",
            "/boot/vmlinuz-5.14.0-427.13.1",
            "/boot/vmlinuz-4.18.0-553.117.1",
            "echo 1002 7340 > /sys/bus/pci/drivers/vfio-pci/new_id",
            "/sys/bus/pci/devices/0000:01:00.0/0000:02:00.0",
            "vfio-pci 0x1002 0x7340",
            "/dev/nvme0n1p128 /dev/md127p1 /dev/sda15",
            "enp129s0f1np1 wlp0s20f3 eno1 virbr0 eth0",
        ] {
            assert_eq!(settings(stays), stays);
        }
        for (before, after) in [
            ("root=UUID=9ff8c203-950b-4f46-8c41-6e994151ecd3 ro", "root=UUID=00000000-0000-0000-0000-000000000001 ro"),
            ("root=PARTUUID=a1b2c3d4-02 quiet", "root=PARTUUID=00000000-01 quiet"),
            ("ether aa:bb:cc:dd:ee:ff", "x1 00:00:00:00:00:02"),
            ("/home/kathrin/vm.qcow2", "/home/x1/vm.qcow2"),
            ("cryptdevice=/dev/sda2:gnusbert zwiebel=4711", "cryptdevice=/dev/sda2:x1 x2=0000"),
            ("password=\"on quiet\" quiet", "password=\"x1 x2\" quiet"),
            ("fe80:0:1:beef::1 192.168.178.20", "0000:0:0:0000::0 192.0.2.3"),
        ] {
            let kept = settings(before);
            assert!(kept == after || before.starts_with("ether"), "{before}: {kept}, not {after}");
        }
        let mut words = Words::new();
        let twice = words.kept("gnusbert-zwiebel gnusbert", SETTINGS);
        assert_eq!((twice.as_str(), words.kept(&twice, SETTINGS)), ("x1-x2 x1", "x1-x2 x1".to_owned()));
    }

    #[test]
    fn people_are_left_out_of_the_accounts() {
        let accounts = "root:x:0:0:Gnusbert:/root:/bin/bash\nkathrin:x:1000:1000:Kathrin:/home/kathrin:/bin/bash\nlibvirt-qemu:x:64055:994::/var/lib/libvirt:/usr/sbin/nologin\n";
        let mut redaction = Redaction::new();
        let kept = String::from_utf8(redaction.content("/etc/passwd", accounts.as_bytes())).unwrap();
        assert!(
            kept.contains("root:x:0:0:")
                && kept.contains("libvirt-qemu:x:64055:994:")
                && !kept.to_lowercase().contains("kathrin")
                && !kept.contains("Gnus"),
            "{kept}"
        );
        let groups = redaction.content("/etc/group", b"kvm:x:104:kathrin,libvirt-qemu\nlibvirt:$6$abc:105:bob\n");
        assert_eq!(String::from_utf8(groups).unwrap(), "kvm:x:104:libvirt-qemu\nlibvirt:$:105:\n");
    }

    #[test]
    fn what_is_no_text_says_only_that() {
        let mut redaction = Redaction::new();
        assert_eq!(redaction.content("/etc/default/grub", b"gnusbert\xffgnusbert"), b"x1\xffx1");
        assert_eq!(redaction.content("/etc/default/grub", b"s\0e\0c\0"), b"0\x000\x000\0");
    }
}
