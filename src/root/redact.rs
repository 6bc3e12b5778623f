//! What identifies a person or a single machine is left out of a capture: UUIDs, serial numbers,
//! MAC addresses, machine ids, user names. Shapes are kept, so that a parser still sees what it saw.

use super::boot_option;

/// The content of a file as it may be passed on.
pub(super) fn content(path: &str, bytes: Vec<u8>) -> Vec<u8> {
    if boot_option::is_one(path) {
        return boot_option::redacted(bytes);
    }
    match (path, String::from_utf8(bytes)) {
        ("/etc/passwd" | "/etc/group", Ok(accounts)) => system_accounts(&accounts).into_bytes(),
        (_, Ok(content)) => content.split_inclusive('\n').map(text).collect::<String>().into_bytes(),
        (_, Err(binary)) => binary.into_bytes(),
    }
}

/// A line or a path as it may be passed on.
pub(super) fn text(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        if let Some(name) = KNOWN.iter().find(|name| rest.starts_with(**name)) {
            out.push_str(name);
            rest = &rest[name.len()..];
            continue;
        }
        let at_boundary = !out.ends_with(char::is_alphanumeric);
        let label: String = out.chars().rev().take(LONGEST_NAME).map(|c| c.to_ascii_lowercase()).collect();
        let length = if !at_boundary {
            0
        } else if NAMES_AFTER.iter().any(|before| before.chars().rev().eq(label.chars().take(before.len()))) {
            word_length(rest)
        } else {
            identifier_length(rest)
        };
        if length == 0 {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            let (identifier, after) = rest.split_at(length);
            out.extend(identifier.chars().map(|c| if c.is_alphanumeric() { '0' } else { c }));
            rest = after;
        }
    }
    out
}

/// UUIDs that are the same on every machine: under these UEFI and systemd keep the variables of the boot.
const KNOWN: [&str; 2] = ["8be4df61-93ca-11d2-aa0d-00e098032b8c", "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"];

/// What stands before a value that is always an identifier, whatever its shape.
const NAMES_AFTER: [&str; 8] = ["uuid=", "uuid/", "serial=", "machine_id=", "hostname=", "user=", "/home/", "initiator="];

/// Characters of the longest of them.
const LONGEST_NAME: usize = 11;

/// Up to the next character that ends a value.
fn word_length(rest: &str) -> usize {
    rest.find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'' | ',' | '.')).unwrap_or(rest.len())
}

/// The length of a UUID, MAC address or machine id at the beginning of a text; 0 where there is none.
fn identifier_length(rest: &str) -> usize {
    const SHAPES: [(u8, &[usize]); 4] = [(b'-', &[8, 4, 4, 4, 12]), (b':', &[2; 6]), (b'-', &[2; 6]), (b'-', &[32])];
    SHAPES.iter().map(|(separator, widths)| shape_length(rest.as_bytes(), *separator, widths)).find(|length| *length > 0).unwrap_or(0)
}

/// The length of hexadecimal runs of these widths with a separator between them; 0 where they are not there.
fn shape_length(bytes: &[u8], separator: u8, widths: &[usize]) -> usize {
    let mut at = 0;
    for (index, width) in widths.iter().enumerate() {
        if index > 0 {
            if bytes.get(at) != Some(&separator) {
                return 0;
            }
            at += 1;
        }
        if !bytes.get(at..at + width).is_some_and(|run| run.iter().all(u8::is_ascii_hexdigit)) {
            return 0;
        }
        at += width;
    }
    if bytes.get(at).is_some_and(u8::is_ascii_alphanumeric) { 0 } else { at }
}

/// Accounts of people (ids from 1000 on, up to where the system's begin again) are left out.
fn system_accounts(accounts: &str) -> String {
    let kept = |line: &&str| line.split(':').nth(2).and_then(|id| id.parse::<u32>().ok()).is_some_and(|id| !(1000..60_000).contains(&id));
    accounts.lines().filter(kept).map(without_members).collect()
}

/// The line of a group with no members but QEMU's own users.
fn without_members(line: &str) -> String {
    let mut fields: Vec<String> = line.split(':').map(str::to_owned).collect();
    if let [_, _, _, members] = fields.as_mut_slice() {
        let kept: Vec<&str> = members.split(',').filter(|name| matches!(*name, "libvirt-qemu" | "qemu")).collect();
        *members = kept.join(",");
    }
    format!("{}\n", fields.join(":"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_left_out_and_shapes_kept() {
        for (before, after) in [
            ("root=UUID=9ff8c203-950b-4f46-8c41-6e994151ecd3 ro", "root=UUID=00000000-0000-0000-0000-000000000000 ro"),
            ("rd.luks.uuid=luks-9ff8c203-950b-4f46-8c41-6e994151ecd3 x", "rd.luks.uuid=0000-00000000-0000-0000-0000-000000000000 x"),
            ("luks-9ff8c203-950b-4f46-8c41-6e994151ecd3 x", "luks-00000000-0000-0000-0000-000000000000 x"),
            ("root=PARTUUID=a1b2c3d4-02 quiet", "root=PARTUUID=00000000-00 quiet"),
            ("ether aa:bb:cc:dd:ee:ff", "ether 00:00:00:00:00:00"),
            ("/entries/0123456789abcdef0123456789abcdef-6.1.0.conf", "/entries/00000000000000000000000000000000-6.1.0.conf"),
            ("/home/alice/vm.qcow2", "/home/00000/vm.qcow2"),
            ("/sys/bus/pci/devices/0000:01:00.0", "/sys/bus/pci/devices/0000:01:00.0"),
            ("/efivars/BootCurrent-8be4df61-93ca-11d2-aa0d-00e098032b8c", "/efivars/BootCurrent-8be4df61-93ca-11d2-aa0d-00e098032b8c"),
            ("options vfio-pci ids=10de:1401,10de:0fba", "options vfio-pci ids=10de:1401,10de:0fba"),
            ("intel_iommu=on iommu=pt", "intel_iommu=on iommu=pt"),
        ] {
            assert_eq!(text(before), after);
        }
    }

    #[test]
    fn people_are_left_out_of_the_accounts() {
        let accounts = "root:x:0:0:root:/root:/bin/bash\nalice:x:1000:1000:Alice:/home/alice:/bin/bash\nlibvirt-qemu:x:64055:994::/var/lib/libvirt:/usr/sbin/nologin\n";
        let kept = String::from_utf8(content("/etc/passwd", accounts.into())).unwrap();
        assert!(kept.contains("root:") && kept.contains("libvirt-qemu:") && !kept.contains("alice"));
        let groups = String::from_utf8(content("/etc/group", "kvm:x:104:alice,libvirt-qemu\nlibvirt:x:105:bob\n".into())).unwrap();
        assert_eq!(groups, "kvm:x:104:libvirt-qemu\nlibvirt:x:105:\n");
    }
}
