//! The firmware's boot options (`Boot0001`, …) without what tells one machine from another: the
//! partition's GUID, network and disk addresses, and descriptions with serial numbers in them.

use std::ops::Range;

const VARIABLES: &str = "/sys/firmware/efi/efivars/Boot";
/// Linux's attributes, those of the option, and the length of its device path (`EFI_LOAD_OPTION`, UEFI 3.1.3).
const DESCRIPTION: usize = 4 + 4 + 2;
/// The type of the node that ends a device path.
const END: u8 = 0x7f;

/// What identifies in the nodes of a device path: type and subtype, and where it stands (UEFI 10.3).
const IDENTIFYING: [(u8, u8, Range<usize>); 7] = [
    (4, 1, 24..40),          // hard drive: the partition's signature
    (3, 11, 4..36),          // MAC address
    (3, 16, 10..usize::MAX), // USB: serial number
    (3, 19, 18..usize::MAX), // iSCSI: name of the target
    (3, 22, 4..24),          // SAS: address
    (3, 23, 8..16),          // NVMe: EUI-64
    (3, 24, 4..usize::MAX),  // a URI
];

/// Whether a path is that of a boot option.
pub(super) fn is_one(path: &str) -> bool {
    let number = path.strip_prefix(VARIABLES).and_then(|rest| rest.split('-').next());
    number.is_some_and(|number| number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The variable with zeros where something identifies; its shape stays, and the file that is started.
pub(super) fn redacted(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut at = DESCRIPTION;
    while let Some([low, high]) = bytes.get(at..at + 2) {
        let unit = u16::from_le_bytes([*low, *high]);
        if unit == 0 {
            break;
        }
        if !char::from_u32(u32::from(unit)).is_some_and(|c| c.is_whitespace() || c.is_ascii_punctuation()) {
            bytes[at] = b'0';
            bytes[at + 1] = 0;
        }
        at += 2;
    }
    at += 2;
    while let Some([kind, subkind, low, high]) = bytes.get(at..at + 4) {
        let (kind, subkind, length) = (*kind, *subkind, usize::from(u16::from_le_bytes([*low, *high])));
        if length < 4 {
            break;
        }
        let node = at..bytes.len().min(at + length);
        for (_, _, range) in IDENTIFYING.iter().filter(|(one, two, _)| (*one, *two) == (kind, subkind)) {
            let end = node.end.min(at.saturating_add(range.end));
            bytes[(at + range.start).min(end)..end].fill(0);
        }
        at = node.end;
        if kind == END && subkind == 0xff {
            break;
        }
    }
    // What follows belongs to the program that is started, such as a command line.
    let end = at.min(bytes.len());
    bytes[end..].fill(0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wide(text: &str) -> Vec<u8> {
        text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn signatures_and_serial_numbers_go_and_the_program_stays() {
        let file = wide(r"\EFI\debian\shimx64.efi");
        let length = u16::try_from(file.len() + 4).unwrap().to_le_bytes();
        let disk = [[4, 1, 42, 0].as_slice(), &[7; 20], &[0xab; 16], &[2, 2]].concat();
        let nvme = [[3, 23, 16, 0].as_slice(), &[1, 0, 0, 0], &[0xab; 8]].concat();
        let head = [7, 0, 0, 0, 1, 0, 0, 0, 0, 0];
        let option = [
            head.as_slice(),
            &wide("UEFI: DISK S4EWNX0M1"),
            &nvme,
            &disk,
            &[4, 4],
            &length,
            &file,
            &[0x7f, 0xff, 4, 0],
            &wide("root=UUID=9ff8"),
        ]
        .concat();
        let clean = redacted(option.clone());
        assert_eq!(clean.len(), option.len());
        assert!(!clean.contains(&0xab) && !clean.windows(8).any(|part| part == &wide("S4EW")[..8] || part == &wide("9ff8")[..8]));
        assert!(clean.windows(file.len()).any(|part| part == file) && clean.windows(20).any(|part| part == [7; 20]));
        assert_eq!(redacted(clean.clone()), clean);
        for cut in 0..option.len() {
            assert_eq!(redacted(option[..cut].to_vec()).len(), cut);
        }
    }

    #[test]
    fn which_variables() {
        assert!(is_one("/sys/firmware/efi/efivars/Boot0001-8be4df61-93ca-11d2-aa0d-00e098032b8c"));
        assert!(!is_one("/sys/firmware/efi/efivars/BootCurrent-8be4df61-93ca-11d2-aa0d-00e098032b8c"));
        assert!(!is_one("/etc/Boot0001-"));
    }
}
