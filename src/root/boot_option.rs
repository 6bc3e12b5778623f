//! Redaction of the firmware's boot options (`Boot0001`, …): removes what identifies a machine, that is the
//! partition's GUID, network and disk addresses, and descriptions with serial numbers.

const VARIABLES: &str = "/sys/firmware/efi/efivars/Boot";
/// The offset of the description: efivarfs attributes, the option's attributes, and the length of its device path
/// (`EFI_LOAD_OPTION`, UEFI 3.1.3).
const DESCRIPTION: usize = 4 + 4 + 2;
const END: u8 = 0x7f;

/// The type of the node with the path of the program (UEFI 10.3.5.4), the only node that is read.
const FILE_PATH: (u8, u8) = (4, 4);

pub(super) fn is_one(path: &str) -> bool {
    let number = path.strip_prefix(VARIABLES).and_then(|rest| rest.split('-').next());
    number.is_some_and(|number| number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The variable with zeros for everything that is not read. Its structure stays the same, and the program's path is
/// filtered by `kept`.
pub(super) fn redacted(mut bytes: Vec<u8>, kept: &mut dyn FnMut(&str) -> String) -> Vec<u8> {
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
        if (kind, subkind) == FILE_PATH {
            let text: Vec<u16> = bytes[at + 4..node.end].chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
            let text = String::from_utf16_lossy(&text);
            // Truncated to the space of the node, because the replaced text may be longer.
            let mut units = kept(text.trim_end_matches('\0')).encode_utf16().collect::<Vec<u16>>().into_iter();
            for place in bytes[at + 4..node.end].chunks_mut(2) {
                let unit = units.next().unwrap_or(0).to_le_bytes();
                place.copy_from_slice(&unit[..place.len()]);
            }
        } else {
            bytes[(at + 4).min(node.end)..node.end].fill(0);
        }
        at = node.end;
        if kind == END && subkind == 0xff {
            break;
        }
    }
    // The rest is data for the started program, such as a command line.
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
        let kept = &mut |text: &str| text.to_owned();
        let clean = redacted(option.clone(), kept);
        assert_eq!(clean.len(), option.len());
        assert!(!clean.contains(&0xab) && !clean.windows(8).any(|part| part == &wide("S4EW")[..8] || part == &wide("9ff8")[..8]));
        assert!(clean.windows(file.len()).any(|part| part == file));
        assert_eq!(redacted(clean.clone(), kept), clean);
        for cut in 0..option.len() {
            assert_eq!(redacted(option[..cut].to_vec(), kept).len(), cut);
        }
    }

    #[test]
    fn which_variables() {
        assert!(is_one("/sys/firmware/efi/efivars/Boot0001-8be4df61-93ca-11d2-aa0d-00e098032b8c"));
        assert!(!is_one("/sys/firmware/efi/efivars/BootCurrent-8be4df61-93ca-11d2-aa0d-00e098032b8c"));
        assert!(!is_one("/etc/Boot0001-"));
    }
}
