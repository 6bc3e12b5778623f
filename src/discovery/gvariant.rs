//! `GVariant`'s format, as far as ostree's files need it: what a dictionary has (the `GVariant` specification, 2.5).

/// In a dictionary `a{sv}`, the value with this key: its bytes, if it is of this type.
pub(super) fn value<'a>(dictionary: &'a [u8], key: &str, kind: &str) -> Option<&'a [u8]> {
    const ALIGNMENT: usize = 8;
    let entries = elements(dictionary, ALIGNMENT)?;
    let (_, variant) = entries.into_iter().filter_map(|entry| pair(entry, ALIGNMENT)).find(|(name, _)| *name == key)?;
    let end = variant.iter().rposition(|byte| *byte == 0)?;
    (&variant[end + 1..] == kind.as_bytes()).then_some(&variant[..end])
}

/// The strings of an array `as`.
pub(super) fn strings(array: &[u8]) -> Option<Vec<&str>> {
    elements(array, 1)?.into_iter().map(string).collect()
}

/// In a dictionary `a{ss}`, the value with this key.
pub(super) fn text<'a>(dictionary: &'a [u8], key: &str) -> Option<&'a str> {
    elements(dictionary, 1)?
        .into_iter()
        .filter_map(|entry| pair(entry, 1))
        .find(|(name, _)| *name == key)
        .and_then(|(_, value)| string(value))
}

fn string(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes.strip_suffix(b"\0")?).ok()
}

/// The elements of an array whose elements have no fixed size: the offsets of their ends stand behind them.
fn elements(array: &[u8], alignment: usize) -> Option<Vec<&[u8]>> {
    if array.is_empty() {
        return Some(Vec::new());
    }
    let size = offset_size(array.len());
    let offsets = offset(array, array.len().checked_sub(size)?)?;
    let (mut found, mut start) = (Vec::new(), 0_usize);
    for at in (offsets..array.len()).step_by(size) {
        let end = offset(array, at).filter(|end| *end <= offsets)?;
        found.push(array.get(start.next_multiple_of(alignment)..end)?);
        start = end;
    }
    Some(found)
}

/// The key and the bytes of the value of an entry of a dictionary: the offset of the key's end stands behind them.
fn pair(entry: &[u8], alignment: usize) -> Option<(&str, &[u8])> {
    let end_of_value = entry.len().checked_sub(offset_size(entry.len()))?;
    let end_of_key = offset(entry, end_of_value)?;
    Some((string(entry.get(..end_of_key)?)?, entry.get(end_of_key.next_multiple_of(alignment)..end_of_value)?))
}

/// How many bytes each offset in a container of this length has.
fn offset_size(length: usize) -> usize {
    match length {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        _ => 4,
    }
}

fn offset(container: &[u8], at: usize) -> Option<usize> {
    let bytes = container.get(at..at.checked_add(offset_size(container.len()))?)?;
    usize::try_from(bytes.iter().rev().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `GLib` 2.74 wrote it (`g_variant_parse`, `g_variant_get_data`).
    const STAGED: &[u8] = b"target\x00\x00[origin]\x0arefspec=x\x0a\x00\x00s\x07\x00kargs\x00\x00\x00rhgb\x00quiet\x00root=UUID=00000000-0000-0000-0000-000000000000\x00rw\x00intel_iommu=on\x00\x05\x0b:=L\x00as\x06\x00\x00\x00bootconfig-extra\x00\x00\x00\x00\x00\x00\x00\x00x-options-source-tuned\x00isolcpus=1\x00\x17x-options-source-vgapt\x00intel_iommu=on\x00\x17#J\x00a{ss}\x11\x1f}\xeb";

    #[test]
    fn what_glib_wrote() {
        let line = strings(value(STAGED, "kargs", "as").unwrap()).unwrap();
        assert_eq!(line, ["rhgb", "quiet", "root=UUID=00000000-0000-0000-0000-000000000000", "rw", "intel_iommu=on"]);
        let extra = value(STAGED, "bootconfig-extra", "a{ss}").unwrap();
        assert_eq!(text(extra, "x-options-source-vgapt"), Some("intel_iommu=on"));
        assert_eq!(text(extra, "x-options-source-tuned"), Some("isolcpus=1"));
        assert_eq!((text(extra, "x-options-source"), value(STAGED, "kargs", "s"), value(STAGED, "karg", "as")), (None, None, None));
        assert_eq!(value(b"", "kargs", "as"), None);
    }

    #[test]
    fn bytes_that_are_none() {
        for cut in 0..STAGED.len() {
            for byte in [0, 1, 0x7f, 0xff] {
                let mut bytes = STAGED[cut..].to_vec();
                bytes[0] = byte;
                bytes.reverse();
                for bytes in [&STAGED[..cut], &STAGED[cut..], &bytes] {
                    for kind in ["as", "a{ss}"] {
                        let found = value(bytes, "kargs", kind);
                        let _ = found.map(|found| (strings(found).is_some(), text(found, "x").is_some()));
                    }
                }
            }
        }
    }
}
