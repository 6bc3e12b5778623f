//! Reads which other files the header of a disk image names, like QEMU's block drivers (`docs/interop`, `block/`).

use std::io;

/// Formats whose images do not make QEMU open other files.
const ALONE: [&str; 11] = ["raw", "vdi", "vpc", "vhdx", "parallels", "bochs", "luks", "dmg", "cloop", "file", "host_device"];
/// Formats whose headers are read here.
const NAMING: [&str; 4] = ["qcow2", "qcow", "qed", "vmdk"];
/// Enough for most headers: one cluster of the default size.
const USUAL: usize = 64 << 10;
/// The longest header that a program writes: the largest cluster of qcow2.
const LONGEST: usize = 2 << 20;
/// The longest name that QEMU's drivers accept (`bs->backing_file`).
const LONGEST_NAME: usize = 1023;
/// The size of a sector, the unit of offsets in VMDK.
const SECTOR: u64 = 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Backing,
    /// It contains data of the image: an external data file or an extent. QEMU opens it together with the image.
    Data,
}

/// A file that an image's header names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile {
    /// The name as written.
    pub name: String,
    pub role: Role,
    /// The format in which QEMU reads it; `None` if QEMU probes the content.
    pub format: Option<String>,
}

/// Whether vgapt knows which other files QEMU opens for an image of this format.
pub fn is_known_format(format: &str) -> bool {
    ALONE.contains(&format) || NAMING.contains(&format)
}

/// The other files that an image of this format names; `first_bytes` reads up to a number of bytes from its start.
pub fn named_by(format: &str, first_bytes: &dyn Fn(usize) -> io::Result<Vec<u8>>) -> Result<Vec<NamedFile>, String> {
    if ALONE.contains(&format) {
        return Ok(Vec::new());
    }
    let header = Header { bytes: first_bytes(USUAL).map_err(|error| error.to_string())?, first_bytes };
    match format {
        "qcow" | "qcow2" => header.of_qcow(),
        "qed" => header.of_qed(),
        "vmdk" => header.of_vmdk(),
        _ => Err(format!("the files that an image in the format {format} names are unknown")),
    }
}

struct Header<'h> {
    bytes: Vec<u8>,
    first_bytes: &'h dyn Fn(usize) -> io::Result<Vec<u8>>,
}

impl Header<'_> {
    /// Big-endian, as in qcow and qcow2.
    fn be32(&self, at: usize) -> Option<u32> {
        Some(u32::from_be_bytes(self.bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
    }

    fn be64(&self, at: usize) -> Option<u64> {
        Some(u64::from_be_bytes(self.bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
    }

    /// Little-endian, as in QED and VMDK.
    fn le32(&self, at: usize) -> Option<u32> {
        self.be32(at).map(u32::swap_bytes)
    }

    fn le64(&self, at: usize) -> Option<u64> {
        self.be64(at).map(u64::swap_bytes)
    }

    /// Reads more of the header if it is longer than usual.
    fn up_to(&mut self, end: usize) -> Result<(), String> {
        if end > self.bytes.len() && self.bytes.len() >= USUAL {
            self.bytes = (self.first_bytes)(end).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// The name at an offset of the header; `None` if the header has none.
    fn name_at(&mut self, at: u64, length: u32) -> Result<Option<String>, String> {
        if at == 0 || length == 0 {
            return Ok(None);
        }
        let (at, length) = (usize::try_from(at).unwrap_or(usize::MAX), usize::try_from(length).unwrap_or(usize::MAX));
        let end = at.saturating_add(length);
        if length > LONGEST_NAME || end > LONGEST + LONGEST_NAME {
            return Err("its header names a file at an offset where no program writes a name".to_owned());
        }
        self.up_to(end)?;
        let bytes = self.bytes.get(at..end).ok_or("it ends before the name of its backing file")?;
        text(bytes).map(Some)
    }

    /// See `docs/interop/qcow2.rst`, and `block/qcow.c` for version 1, which has no extensions.
    fn of_qcow(mut self) -> Result<Vec<NamedFile>, String> {
        /// The header extension with the format of the backing file.
        const BACKING_FORMAT: u32 = 0xe279_2aca;
        /// The header extension with the name of an external data file.
        const DATA_FILE: u32 = 0x4441_5441;
        if !self.bytes.starts_with(b"QFI\xfb") {
            return Ok(Vec::new());
        }
        let short = "its header is truncated";
        let version = self.be32(4).ok_or(short)?;
        let (at, length) = (self.be64(8).ok_or(short)?, self.be32(16).ok_or(short)?);
        let backing = self.name_at(at, length)?;
        let (mut format, mut named) = (None, Vec::new());
        if version > 1 {
            // Like the header, the extensions are in the first cluster.
            let cluster = self.be32(20).and_then(|bits| 1_usize.checked_shl(bits)).unwrap_or(LONGEST).min(LONGEST);
            self.up_to(cluster)?;
            for (kind, bytes) in self.extensions(version) {
                match kind {
                    BACKING_FORMAT => format = Some(text(bytes)?),
                    DATA_FILE => named.push(NamedFile { name: text(bytes)?, role: Role::Data, format: Some("raw".to_owned()) }),
                    _ => {}
                }
            }
        }
        named.extend(backing.map(|name| NamedFile { name, role: Role::Backing, format }));
        Ok(named)
    }

    /// The extensions of a qcow2 header: type and content.
    fn extensions(&self, version: u32) -> Vec<(u32, &[u8])> {
        // A version 2 header does not contain its length: 72 bytes.
        let length = if version == 2 { Some(72) } else { self.be32(100) };
        let mut at = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(usize::MAX);
        let mut found = Vec::new();
        while let (Some(kind @ 1..), Some(length)) = (self.be32(at), at.checked_add(4).and_then(|at| self.be32(at))) {
            let Ok(length) = usize::try_from(length) else { break };
            let Some(content) = at.checked_add(8 + length).and_then(|end| self.bytes.get(at + 8..end)) else { break };
            found.push((kind, content));
            let Some(next) = length.checked_next_multiple_of(8).and_then(|length| (at + 8).checked_add(length)) else { break };
            at = next;
        }
        found
    }

    /// See `docs/interop/qed_spec.rst`.
    fn of_qed(mut self) -> Result<Vec<NamedFile>, String> {
        const BACKING_FILE: u64 = 1;
        const NO_PROBE: u64 = 4;
        if !self.bytes.starts_with(b"QED\0") {
            return Ok(Vec::new());
        }
        let short = "its header is truncated";
        let features = self.le64(16).ok_or(short)?;
        let (at, length) = (self.le32(56).ok_or(short)?, self.le32(60).ok_or(short)?);
        let name = if features & BACKING_FILE == 0 { None } else { self.name_at(at.into(), length)? };
        let format = (features & NO_PROBE != 0).then(|| "raw".to_owned());
        Ok(name.map(|name| NamedFile { name, role: Role::Backing, format }).into_iter().collect())
    }

    /// See `block/vmdk.c`: a text descriptor, or an image with an embedded descriptor.
    fn of_vmdk(mut self) -> Result<Vec<NamedFile>, String> {
        /// How much of a descriptor QEMU searches for the parent, and for the extents.
        const PARENT: usize = 20 * 512;
        const EXTENTS: usize = 1 << 20;
        /// The offset of the embedded descriptor.
        const WITHIN: usize = 512;
        let is_sparse = self.bytes.starts_with(b"KDMV");
        let is_image = is_sparse || self.bytes.starts_with(b"COWD");
        let mut named = Vec::new();
        // An image with capacity 0 has its extents in a descriptor at another offset.
        let extents_at = match (is_image, self.le64(12), self.le64(28)) {
            (false, ..) => Some(0),
            (true, Some(0), Some(sector @ 1..)) if is_sparse => Some(sector.saturating_mul(SECTOR)),
            _ => None,
        };
        if let Some(at) = extents_at {
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            if at > LONGEST {
                return Err("its description is at an offset where no program writes one".to_owned());
            }
            self.up_to(at + EXTENTS)?;
            named = extents(self.bytes.get(at..).unwrap_or_default())?;
        }
        let at = if is_image { WITHIN } else { 0 };
        let end = self.bytes.len().min(at + PARENT);
        named.extend(parent(self.bytes.get(at..end).unwrap_or_default())?);
        Ok(named)
    }
}

/// A name as text; as in C, it ends at the first NUL byte.
fn text(bytes: &[u8]) -> Result<String, String> {
    let bytes = until(bytes, 0);
    String::from_utf8(bytes.to_vec()).map_err(|_| format!("it names {}, which is not UTF-8", String::from_utf8_lossy(bytes)))
}

fn until(bytes: &[u8], end: u8) -> &[u8] {
    bytes.iter().position(|byte| *byte == end).map_or(bytes, |at| &bytes[..at])
}

/// The lines `RW SECTORS KIND "NAME" …`; whitespace is parsed as leniently as in QEMU (`vmdk_parse_extents`).
fn extents(description: &[u8]) -> Result<Vec<NamedFile>, String> {
    /// QEMU truncates longer names.
    const NAME: usize = 511;
    let description = until(description, 0);
    let mut named = Vec::new();
    for (at, _) in description.iter().enumerate().filter(|(at, _)| *at == 0 || description[at - 1] == b'\n') {
        let line = description[at..].trim_ascii_start();
        let Some(rest) = line.strip_prefix(b"RW").filter(|rest| rest.first().is_some_and(u8::is_ascii_whitespace)) else { continue };
        let before = until(rest, b'"');
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || byte.is_ascii_whitespace() || b"+-".contains(byte);
        let Some(name) = rest.get(before.len() + 1..).filter(|_| before.iter().all(is_plain)) else { continue };
        let name = name.iter().position(|byte| b"\"\r\n".contains(byte)).map_or(name, |end| &name[..end]);
        let is_flat = before.trim_ascii_end().ends_with(b"FLAT") || before.trim_ascii_end().ends_with(b"VMFS");
        let format = if is_flat { "raw" } else { "vmdk" };
        named.push(NamedFile { name: text(&name[..name.len().min(NAME)])?, role: Role::Data, format: Some(format.to_owned()) });
    }
    named.dedup();
    Ok(named)
}

/// The parent in `parentFileNameHint="NAME"` (`vmdk_parent_open`).
fn parent(description: &[u8]) -> Result<Option<NamedFile>, String> {
    const HINT: &[u8] = b"parentFileNameHint";
    let description = until(description, 0);
    let Some(at) = description.windows(HINT.len()).position(|window| window == HINT) else { return Ok(None) };
    let name = description.get(at + HINT.len() + 2..).map(|rest| until(rest, b'"')).unwrap_or_default();
    let named = |name: String| NamedFile { name, role: Role::Backing, format: Some("vmdk".to_owned()) };
    Ok(Some(text(name)?).filter(|name| !name.is_empty()).map(named))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(format: &str, bytes: &[u8]) -> Result<Vec<(String, Role, String)>, String> {
        let named = named_by(format, &|limit| Ok(bytes[..bytes.len().min(limit)].to_vec()))?;
        Ok(named.into_iter().map(|named| (named.name, named.role, named.format.unwrap_or_default())).collect())
    }

    fn one(name: &str, role: Role, format: &str) -> (String, Role, String) {
        (name.to_owned(), role, format.to_owned())
    }

    #[test]
    fn what_a_qcow2_header_names() {
        let mut header = vec![0; 3 << 20];
        header[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
        header[14..16].copy_from_slice(&[1, 200]);
        header[19] = 5;
        header[23] = 16;
        header[103] = 104;
        header[104..120].copy_from_slice(b"DATA\0\0\0\x04/dat\0\0\0\0");
        header[456..461].copy_from_slice(b"/base");
        let (base, data) = (one("/base", Role::Backing, ""), one("/dat", Role::Data, "raw"));
        assert_eq!(named("qcow2", &header), Ok(vec![data.clone(), base]));
        header[120..131].copy_from_slice(b"\xe2\x79\x2a\xca\0\0\0\x03raw");
        assert_eq!(named("qcow2", &header), Ok(vec![data.clone(), one("/base", Role::Backing, "raw")]));
        // For QEMU, a name ends at a NUL byte.
        header[458] = 0;
        assert_eq!(named("qcow2", &header), Ok(vec![data.clone(), one("/b", Role::Backing, "raw")]));
        // A name at the end of the largest cluster is accepted, one beyond it is refused.
        header[12..16].copy_from_slice(&((2_u32 << 20) - 5).to_be_bytes());
        header[(2 << 20) - 5..2 << 20].copy_from_slice(b"/last");
        assert_eq!(named("qcow2", &header), Ok(vec![data.clone(), one("/last", Role::Backing, "raw")]));
        header[8] = 1;
        assert!(named("qcow2", &header).is_err());
        header[8] = 0;
        header[16..20].copy_from_slice(&2000_u32.to_be_bytes());
        assert!(named("qcow2", &header).is_err());
        header[16..20].copy_from_slice(&0_u32.to_be_bytes());
        assert_eq!(named("qcow2", &header), Ok(vec![data]));
        assert!(named("qcow2", b"QFI\xfb\0\0").is_err() && named("blkdebug", b"").is_err());
        assert_eq!((named("raw", &header), named("vdi", &header), named("qcow2", b"x")), (Ok(vec![]), Ok(vec![]), Ok(vec![])));
        // Extensions beyond the first 64 KiB.
        header[23] = 21;
        header[120..128].copy_from_slice(b"\0\0\0\x01\0\x10\0\0");
        header[128 + (1 << 20)..][..10].copy_from_slice(b"DATA\0\0\0\x02/x");
        assert_eq!(named("qcow2", &header), Ok(vec![one("/dat", Role::Data, "raw"), one("/x", Role::Data, "raw")]));
    }

    #[test]
    fn what_a_description_of_vmdk_names() {
        let text = "# Disk DescriptorFile\nRW 1 FLAT \"a-flat\" 0\n  RW\t2\nSPARSE  \"/b c\"\nRW 3 VMFS \"d\r\nRDONLY 1 FLAT \"e\" 0\nparentFileNameHint=\"p\"\n\0RW 1 FLAT \"f\"";
        let all = vec![
            one("a-flat", Role::Data, "raw"),
            one("/b c", Role::Data, "vmdk"),
            one("d", Role::Data, "raw"),
            one("p", Role::Backing, "vmdk"),
        ];
        assert_eq!(named("vmdk", text.as_bytes()), Ok(all.clone()));
        // The extents in an embedded descriptor are the image itself, unless its capacity is 0.
        let mut image = vec![0; 2048];
        image[..4].copy_from_slice(b"KDMV");
        image[28] = 1;
        image[512..512 + text.len()].copy_from_slice(text.as_bytes());
        assert_eq!(named("vmdk", &image), Ok(all));
        image[12] = 1;
        assert_eq!(named("vmdk", &image), Ok(vec![one("p", Role::Backing, "vmdk")]));
    }

    proptest::proptest! {
        #[test]
        fn a_header_never_panics(mut bytes in proptest::collection::vec(0_u8.., 0..700), text in "\\PC*") {
            for (format, magic) in [("qcow2", &b"QFI\xfb\0\0\0\x03"[..]), ("qcow", b"QFI\xfb\0\0\0\x01"), ("qed", b"QED\0"), ("vmdk", b"KDMV")] {
                let _ = named(format, &bytes);
                if let Some(beginning) = bytes.get_mut(..magic.len()) {
                    beginning.copy_from_slice(magic);
                }
                let _ = named(format, &bytes);
            }
            let _ = named("vmdk", text.as_bytes());
        }
    }
}
