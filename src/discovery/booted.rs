//! Which program booted this machine, from the firmware's variables.

use crate::model::Booted;
use crate::root::Root;

const VARIABLES: &str = "/sys/firmware/efi/efivars";
/// The vendor GUIDs of the variables of UEFI and of systemd's Boot Loader Interface.
const UEFI: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
const LOADER_INTERFACE: &str = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
/// In efivarfs, the variable's attributes precede its value.
const ATTRIBUTES: usize = 4;
/// How much of a variable is read at most.
const LONGEST: usize = 16 << 10;

/// Type and subtype of a file path node in a device path, and the type of the end node (UEFI specification, 10.3).
const FILE_PATH: [u8; 2] = [4, 4];
const END: u8 = 0x7f;

pub(super) fn read(root: &Root) -> Booted {
    let text = |name: &str| variable(root, name, LOADER_INTERFACE).map(|value| utf16(&value)).filter(|text| !text.is_empty());
    let number = variable(root, "BootCurrent", UEFI).and_then(|value| Some(u16::from_le_bytes([*value.first()?, *value.get(1)?])));
    Booted {
        efi: root.exists("/sys/firmware/efi"),
        loader: text("LoaderInfo"),
        stub: text("StubInfo"),
        program: number.and_then(|number| program(&variable(root, &format!("Boot{number:04X}"), UEFI)?)),
        secure_boot: variable(root, "SecureBoot", UEFI).and_then(|value| value.first().map(|byte| *byte == 1)),
    }
}

fn variable(root: &Root, name: &str, vendor: &str) -> Option<Vec<u8>> {
    let bytes = root.first_bytes(&format!("{VARIABLES}/{name}-{vendor}"), LONGEST).ok()?;
    bytes.get(ATTRIBUTES..).map(<[u8]>::to_vec)
}

/// The file that a boot option starts: `EFI_LOAD_OPTION` of the UEFI specification, 3.1.3.
fn program(option: &[u8]) -> Option<String> {
    // Attributes, the length of the device path, a description, the device path.
    let description = option.get(6..)?;
    let length = description.chunks_exact(2).position(|unit| unit == [0, 0])?;
    let mut path = description.get(2 * length + 2..)?;
    let mut file = String::new();
    while let [kind, subkind, low, high, ..] = *path {
        let length = usize::from(u16::from_le_bytes([low, high]));
        if kind == END || length < 4 {
            break;
        }
        let Some(value) = path.get(4..length) else { break };
        if [kind, subkind] == FILE_PATH {
            file.push_str(&utf16(value));
        }
        path = path.get(length..)?;
    }
    (!file.is_empty()).then_some(file)
}

fn utf16(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).take_while(|unit| *unit != 0);
    char::decode_utf16(units).map(|character| character.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wide(text: &str) -> Vec<u8> {
        text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn the_file_of_a_boot_option() {
        let file = wide(r"\EFI\debian\shimx64.efi");
        let length = u16::try_from(file.len() + 4).unwrap().to_le_bytes();
        let disk = [[4, 1, 42, 0].as_slice(), &[0; 38]].concat();
        let option = [[1, 0, 0, 0, 0, 0].as_slice(), &wide("debian"), &disk, &[4, 4], &length, &file, &[0x7f, 0xff, 4, 0]].concat();
        assert_eq!(program(&option).unwrap(), r"\EFI\debian\shimx64.efi");
        for cut in 0..option.len() {
            let _ = program(&option[..cut]);
        }
    }
}
