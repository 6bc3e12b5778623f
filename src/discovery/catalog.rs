//! The catalogs of gettext in which libvirt's messages, and those of the C library, are translated to the host's language.

use crate::root::Root;

/// Where systemd reads the language of the services that it starts (locale.conf(5)); Debian's own file.
const LOCALES: [&str; 2] = ["/etc/locale.conf", "/etc/default/locale"];
/// Longer than any catalog of libvirt (a megabyte).
const LONGEST: usize = 8 << 20;
/// What names the language of messages, the strongest first (locale(7)).
pub const LANGUAGE_VARIABLES: [&str; 3] = ["LC_ALL", "LC_MESSAGES", "LANG"];

/// The messages of a program, in English and translated, by the first catalog that is there: in the language of the host's
/// services, else in one of `others` (`de_DE.UTF-8`).
pub fn catalog(root: &Root, program: &str, others: &[String]) -> Vec<(String, String)> {
    let of_host = LOCALES.iter().filter_map(|path| root.text(path).ok()).flat_map(|text| {
        let value = |line: &str| {
            let (name, value) = line.trim().split_once('=')?;
            LANGUAGE_VARIABLES.contains(&name).then(|| value.trim_matches('"').to_owned())
        };
        text.lines().filter_map(value).collect::<Vec<_>>()
    });
    let languages = of_host.chain(others.iter().cloned()).flat_map(|locale| {
        // `de_DE.UTF-8@euro`: first `de_DE`, then `de`.
        let region = locale.split(['.', '@']).next().unwrap_or_default().to_owned();
        let language = region.split('_').next().unwrap_or_default().to_owned();
        [region, language]
    });
    let is_name = |name: &String| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    let files = languages.filter(is_name).map(|name| format!("/usr/share/locale/{name}/LC_MESSAGES/{program}.mo"));
    files.filter_map(|file| root.first_bytes(&file, LONGEST).ok()).find_map(|bytes| messages(&bytes)).unwrap_or_default()
}

/// The messages of a catalog (GNU gettext manual, The Format of GNU MO Files); `None` where it is none.
pub fn messages(bytes: &[u8]) -> Option<Vec<(String, String)>> {
    let is_little = match bytes.get(..4)? {
        [0xde, 0x12, 0x04, 0x95] => true,
        [0x95, 0x04, 0x12, 0xde] => false,
        _ => return None,
    };
    let number = |at: usize| {
        let word: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        usize::try_from(if is_little { u32::from_le_bytes(word) } else { u32::from_be_bytes(word) }).ok()
    };
    let (count, originals, translations) = (number(8)?, number(12)?, number(16)?);
    let text = |table: usize, index: usize| {
        let entry = table.checked_add(index.checked_mul(8)?)?;
        let (length, at) = (number(entry)?, number(entry.checked_add(4)?)?);
        // Of several forms for numbers the first.
        let text = bytes.get(at..at.checked_add(length)?)?.split(|byte| *byte == 0).next()?;
        Some(String::from_utf8_lossy(text).into_owned())
    };
    let all = (0..count.min(bytes.len() / 8)).map_while(|index| Some((text(originals, index)?, text(translations, index)?)));
    // The first has no message: it describes the catalog.
    Some(all.filter(|(original, translation)| !original.is_empty() && !translation.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_catalog_has_no_messages() {
        assert_eq!(messages(b""), None);
        assert_eq!(messages(b"\x7fELF and more of it"), None);
        let mut cut = vec![0xde, 0x12, 0x04, 0x95, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 28, 0, 0, 0, 255, 255, 255, 255];
        cut.extend([0; 40]);
        assert_eq!(messages(&cut), Some(Vec::new()));
    }
}
