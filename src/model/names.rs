//! Which other files the header of a disk image names, as QEMU's drivers read it (`docs/interop`, `block/`).

use std::io;

/// Formats whose images name no other file that QEMU opens.
const ALONE: [&str; 11] = ["raw", "vdi", "vpc", "vhdx", "parallels", "bochs", "luks", "dmg", "cloop", "file", "host_device"];
/// Formats whose headers are read here.
const NAMING: [&str; 4] = ["qcow2", "qcow", "qed", "vmdk"];
/// As much as most headers take: one cluster of the usual size.
const USUAL: usize = 64 << 10;
/// No header that a program makes goes further: the largest cluster of qcow2.
const LONGEST: usize = 2 << 20;
/// The longest name that QEMU's drivers take (`bs->backing_file`).
const LONGEST_NAME: usize = 1023;
/// A sector, by which VMDK counts.
const SECTOR: u64 = 512;

/// What a named file is to the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The image lies on it.
    Backing,
    /// The image's own content is in it: an external data file, an extent. QEMU opens it with the image.
    Data,
}

/// A file that an image's header names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// As it is written.
    pub name: String,
    /// What it is to the image.
    pub role: Role,
    /// The format by which it is read; `None` where QEMU looks at the content.
    pub format: Option<String>,
}

/// Whether it is known which other files an image of this format makes QEMU open.
pub fn is_known_format(format: &str) -> bool {
    ALONE.contains(&format) || NAMING.contains(&format)
}

/// The other files that an image of this format names; `first_bytes` reads at most so many from its start.
///
/// # Errors
/// Where that cannot be told, with the reason.
pub fn named_by(format: &str, first_bytes: &dyn Fn(usize) -> io::Result<Vec<u8>>) -> Result<Vec<Named>, String> {
    if ALONE.contains(&format) {
        return Ok(Vec::new());
    }
    let header = Header { bytes: first_bytes(USUAL).map_err(|error| error.to_string())?, first_bytes };
    match format {
        "qcow" | "qcow2" => header.of_qcow(),
        "qed" => header.of_qed(),
        "vmdk" => header.of_vmdk(),
        _ => Err(format!("which files an image of the format {format} names is not known")),
    }
}

struct Header<'h> {
    bytes: Vec<u8>,
    first_bytes: &'h dyn Fn(usize) -> io::Result<Vec<u8>>,
}

impl Header<'_> {
    /// Big-endian, as qcow and qcow2 have it.
    fn be32(&self, at: usize) -> Option<u32> {
        Some(u32::from_be_bytes(self.bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
    }

    fn be64(&self, at: usize) -> Option<u64> {
        Some(u64::from_be_bytes(self.bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
    }

    /// Little-endian, as QED and VMDK have it.
    fn le32(&self, at: usize) -> Option<u32> {
        self.be32(at).map(u32::swap_bytes)
    }

    fn le64(&self, at: usize) -> Option<u64> {
        self.be64(at).map(u64::swap_bytes)
    }

    /// Reads on, where the header is longer than most.
    fn up_to(&mut self, end: usize) -> Result<(), String> {
        if end > self.bytes.len() && self.bytes.len() >= USUAL {
            self.bytes = (self.first_bytes)(end).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// The name at a place of the header; none where there is none.
    fn name_at(&mut self, at: u64, length: u32) -> Result<Option<String>, String> {
        if at == 0 || length == 0 {
            return Ok(None);
        }
        let (at, length) = (usize::try_from(at).unwrap_or(usize::MAX), usize::try_from(length).unwrap_or(usize::MAX));
        let end = at.saturating_add(length);
        if length > LONGEST_NAME || end > LONGEST + LONGEST_NAME {
            return Err("its header names a file at a place where no program writes a name".to_owned());
        }
        self.up_to(end)?;
        let bytes = self.bytes.get(at..end).ok_or("it ends before the name of its backing file")?;
        text(bytes).map(Some)
    }

    /// `docs/interop/qcow2.rst`, and `block/qcow.c` for version 1, which has no extensions.
    fn of_qcow(mut self) -> Result<Vec<Named>, String> {
        /// The header extension with the format of the backing file.
        const BACKING_FORMAT: u32 = 0xe279_2aca;
        /// The header extension with the name of an external data file.
        const DATA_FILE: u32 = 0x4441_5441;
        if !self.bytes.starts_with(b"QFI\xfb") {
            return Ok(Vec::new());
        }
        let short = "its header is cut off";
        let version = self.be32(4).ok_or(short)?;
        let (at, length) = (self.be64(8).ok_or(short)?, self.be32(16).ok_or(short)?);
        let backing = self.name_at(at, length)?;
        let (mut format, mut named) = (None, Vec::new());
        if version > 1 {
            // The extensions are in the first cluster too.
            let cluster = self.be32(20).and_then(|bits| 1_usize.checked_shl(bits)).unwrap_or(LONGEST).min(LONGEST);
            self.up_to(cluster)?;
            for (kind, bytes) in self.extensions(version) {
                match kind {
                    BACKING_FORMAT => format = Some(text(bytes)?),
                    DATA_FILE => named.push(Named { name: text(bytes)?, role: Role::Data, format: Some("raw".to_owned()) }),
                    _ => {}
                }
            }
        }
        named.extend(backing.map(|name| Named { name, role: Role::Backing, format }));
        Ok(named)
    }

    /// The extensions of a qcow2 header: kind and content.
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

    /// `docs/interop/qed_spec.rst`.
    fn of_qed(mut self) -> Result<Vec<Named>, String> {
        const BACKING_FILE: u64 = 1;
        const NO_PROBE: u64 = 4;
        if !self.bytes.starts_with(b"QED\0") {
            return Ok(Vec::new());
        }
        let short = "its header is cut off";
        let features = self.le64(16).ok_or(short)?;
        let (at, length) = (self.le32(56).ok_or(short)?, self.le32(60).ok_or(short)?);
        let name = if features & BACKING_FILE == 0 { None } else { self.name_at(at.into(), length)? };
        let format = (features & NO_PROBE != 0).then(|| "raw".to_owned());
        Ok(name.map(|name| Named { name, role: Role::Backing, format }).into_iter().collect())
    }

    /// `block/vmdk.c`: a text, or an image that has one in it.
    fn of_vmdk(mut self) -> Result<Vec<Named>, String> {
        /// What QEMU reads of a text to find the parent in, and of one to find extents in.
        const PARENT: usize = 20 * 512;
        const EXTENTS: usize = 1 << 20;
        /// Where an image has its text.
        const WITHIN: usize = 512;
        let is_sparse = self.bytes.starts_with(b"KDMV");
        let is_image = is_sparse || self.bytes.starts_with(b"COWD");
        let mut named = Vec::new();
        // An image of capacity 0 is a text elsewhere in the file.
        let extents_at = match (is_image, self.le64(12), self.le64(28)) {
            (false, ..) => Some(0),
            (true, Some(0), Some(sector @ 1..)) if is_sparse => Some(sector.saturating_mul(SECTOR)),
            _ => None,
        };
        if let Some(at) = extents_at {
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            if at > LONGEST {
                return Err("its description is at a place where no program writes one".to_owned());
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

/// A name ends where a C program sees its end.
fn text(bytes: &[u8]) -> Result<String, String> {
    let bytes = until(bytes, 0);
    String::from_utf8(bytes.to_vec()).map_err(|_| format!("it names {}, which is no UTF-8", String::from_utf8_lossy(bytes)))
}

fn until(bytes: &[u8], end: u8) -> &[u8] {
    bytes.iter().position(|byte| *byte == end).map_or(bytes, |at| &bytes[..at])
}

/// The lines `RW SECTORS KIND "NAME" …`, with QEMU's lenience in spaces (`vmdk_parse_extents`).
fn extents(description: &[u8]) -> Result<Vec<Named>, String> {
    /// As much of a name as QEMU takes.
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
        named.push(Named { name: text(&name[..name.len().min(NAME)])?, role: Role::Data, format: Some(format.to_owned()) });
    }
    named.dedup();
    Ok(named)
}

/// `parentFileNameHint="NAME"` (`vmdk_parent_open`).
fn parent(description: &[u8]) -> Result<Option<Named>, String> {
    const HINT: &[u8] = b"parentFileNameHint";
    let description = until(description, 0);
    let Some(at) = description.windows(HINT.len()).position(|window| window == HINT) else { return Ok(None) };
    let name = description.get(at + HINT.len() + 2..).map(|rest| until(rest, b'"')).unwrap_or_default();
    let named = |name: String| Named { name, role: Role::Backing, format: Some("vmdk".to_owned()) };
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
        // QEMU sees C strings.
        header[458] = 0;
        assert_eq!(named("qcow2", &header), Ok(vec![data.clone(), one("/b", Role::Backing, "raw")]));
        // At the end of the largest cluster; further on no program writes it.
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
        // Extensions that the first 64 KiB do not hold.
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
        // An image's own text: the extents in it are itself, unless it has no capacity.
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
