//! Disk images: their formats, and what the names in their headers refer to: files, things that only QEMU's block drivers open,
//! or several of them.

use std::path::Path;

use serde_json::{Map, Value};

use super::names::is_known_format;

/// Image formats by file name extension (`qemu-img --help`). `.img` and `.iso` are raw
/// by convention.
const ENDINGS: [(&str, &str); 11] = [
    ("qcow2", "qcow2"),
    ("qcow", "qcow"),
    ("raw", "raw"),
    ("img", "raw"),
    ("iso", "raw"),
    ("vmdk", "vmdk"),
    ("vdi", "vdi"),
    ("vhdx", "vhdx"),
    ("vhd", "vpc"),
    ("qed", "qed"),
    ("luks", "luks"),
];

/// Magic bytes at the beginning of disk images (from the formats' specifications; as QEMU probes them).
const MAGIC: [(&str, &[u8]); 12] = [
    ("qcow", b"QFI\xfb\0\0\0\x01"),
    ("qcow2", b"QFI\xfb"),
    ("vmdk", b"KDMV"),
    ("vmdk", b"COWD"),
    ("vmdk", b"# Disk D"),
    ("vhdx", b"vhdxfile"),
    ("qed", b"QED\0"),
    ("vpc", b"conectix"),
    ("parallels", b"WithoutFreeSpace"),
    ("parallels", b"WithouFreSpacExt"),
    ("bochs", b"Bochs Virtual HD Image"),
    ("luks", b"LUKS\xba\xbe"),
];
/// The magic number of VDI, which follows a text (`block/vdi.c`).
const VDI: (usize, &[u8]) = (64, b"\x7f\x10\xda\xbe");

/// How many bytes [`format_by_content`] needs.
pub const BEGINNING: usize = 512;

/// The format that the file name extension suggests; `None` for an unknown one.
pub fn format_by_name(path: &Path) -> Option<&'static str> {
    let ending = path.extension()?.to_str()?.to_ascii_lowercase();
    ENDINGS.iter().find(|(known, _)| *known == ending).map(|(_, format)| *format)
}

/// The format that the first bytes of an image look like; `raw` for anything else. Only a hint, because the
/// guest controls the first bytes of a raw disk.
pub fn format_by_content(beginning: &[u8]) -> &'static str {
    if beginning.get(VDI.0..).is_some_and(|rest| rest.starts_with(VDI.1)) {
        return "vdi";
    }
    let by_magic = MAGIC.iter().find(|(_, magic)| beginning.starts_with(magic)).map(|(name, _)| *name);
    by_magic.unwrap_or(if is_description(beginning) { "vmdk" } else { "raw" })
}

/// Whether it is a VMDK descriptor: a `version=` line after comments and blank lines (`vmdk_probe`).
fn is_description(beginning: &[u8]) -> bool {
    let lines = beginning.split_inclusive(|byte| *byte == b'\n');
    let is_space = |line: &&[u8]| line.starts_with(b" ") && line.ends_with(b"\n") && line.trim_ascii().is_empty();
    let first = lines.into_iter().find(|line| !line.starts_with(b"#") && !is_space(line));
    first.and_then(|line| line.strip_prefix(b"version=")).is_some_and(|rest| {
        let (version, end) = rest.split_at(rest.len().min(1));
        [&b"1"[..], b"2", b"3"].contains(&version) && [&b"\n"[..], b"\r\n"].contains(&end)
    })
}

pub const LONGEST_CHAIN: usize = 200;

/// Whether a name has a protocol of QEMU and is not a path: a colon before the first slash (`path_has_protocol`).
pub fn has_protocol(name: &str) -> bool {
    name.split('/').next().is_some_and(|first| first.contains(':'))
}

/// QEMU's drivers for files and devices.
const FILES: [&str; 3] = ["file", "host_device", "host_cdrom"];
/// Filter drivers, which pass on the data of another node.
const FILTERS: [&str; 4] = ["throttle", "copy-on-read", "preallocate", "compress"];
/// Options of a node that are not nodes themselves.
const SETTINGS: [&str; 3] = ["cache", "encrypt", "key-secret"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedFile {
    /// Its path, absolute or relative to the image's folder.
    pub path: String,
    /// Its format, if the name states one.
    pub format: Option<String>,
}

/// What a name in an image's header refers to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResolvedName {
    /// Files and devices of this host.
    pub files: Vec<ResolvedFile>,
    /// What only QEMU's block drivers can open: `nbd://…`, `json:{…}`.
    pub others: Vec<String>,
}

/// Resolves a name in an image's header. For `json:{…}`, all files in it, including backing files.
pub fn leads(name: &str) -> ResolvedName {
    let mut leads = ResolvedName::default();
    leads.follow(name, None);
    leads
}

impl ResolvedName {
    fn follow(&mut self, name: &str, format: Option<&str>) {
        let other = || name.to_owned();
        if let Some(options) = name.strip_prefix("json:") {
            match serde_json::from_str::<Value>(options).ok().and_then(nested) {
                Some(options) => self.node(&options, format),
                None => self.others.push(other()),
            }
            return;
        }
        // QEMU resolves a relative path after `file:` against its working directory.
        let path = match name.strip_prefix("file:") {
            Some(path) if path.starts_with('/') => Some(path),
            Some(_) => None,
            None => (!has_protocol(name)).then_some(name),
        };
        match path {
            Some(path) => self.files.push(ResolvedFile { path: path.to_owned(), format: format.map(str::to_owned) }),
            None => self.others.push(other()),
        }
    }

    /// A QEMU block node with its children; `format` is the format in which the parent node reads its data.
    fn node(&mut self, options: &Map<String, Value>, format: Option<&str>) {
        let driver = options.get("driver").and_then(Value::as_str);
        let is_file = driver.is_none_or(|driver| FILES.contains(&driver));
        let is_image = driver.is_some_and(is_known_format) && !is_file;
        let is_filter = driver.is_some_and(|driver| FILTERS.contains(&driver));
        if !is_file && !is_image && !is_filter {
            // For other drivers, it is unknown which options are files.
            self.others.push(format!("json:{}", Value::Object(options.clone())));
            return;
        }
        let own = if is_image { driver } else { format };
        let before = (self.files.len(), self.others.len());
        for (key, value) in options.iter().filter(|(key, _)| !SETTINGS.contains(&key.as_str())) {
            let below = match key.as_str() {
                "filename" | "file" => own,
                "backing" => None,
                // An external data file or an extent.
                _ => Some("raw"),
            };
            match value {
                // For a file driver, this is always a path, even if it contains a colon.
                Value::String(name) if key == "filename" && driver.is_some() && is_file => {
                    self.files.push(ResolvedFile { path: name.clone(), format: own.map(str::to_owned) });
                }
                Value::String(name) if key == "filename" => self.follow(name, below),
                // A reference to a node that is defined elsewhere.
                Value::String(name) if ["file", "backing", "data-file"].contains(&key.as_str()) => self.others.push(name.clone()),
                Value::Object(options) => self.node(options, below),
                Value::Array(nodes) => {
                    for node in nodes.iter().filter_map(Value::as_object) {
                        self.node(node, below);
                    }
                }
                _ => {}
            }
        }
        if before == (self.files.len(), self.others.len()) {
            self.others.push(format!("json:{}", Value::Object(options.clone())));
        }
    }
}

/// The options with dotted keys such as `file.filename` nested under `file`; `None` if two keys conflict.
fn nested(options: Value) -> Option<Map<String, Value>> {
    let Value::Object(options) = options else { return None };
    let mut made = Map::new();
    for (key, value) in options {
        let value = if value.is_object() { Value::Object(nested(value)?) } else { value };
        put(&mut made, &key, value)?;
    }
    Some(made)
}

fn put(options: &mut Map<String, Value>, key: &str, value: Value) -> Option<()> {
    if let Some((first, rest)) = key.split_once('.') {
        return put(options.entry(first).or_insert_with(|| Value::Object(Map::new())).as_object_mut()?, rest, value);
    }
    match (options.get_mut(key), value) {
        (None, value) => {
            options.insert(key.to_owned(), value);
        }
        (Some(Value::Object(there)), Value::Object(more)) => {
            for (key, value) in more {
                put(there, &key, value)?;
            }
        }
        (Some(_), _) => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings() {
        let of = |name: &str| format_by_name(Path::new(name));
        assert_eq!([of("/a.b/x.VDI"), of("x.vhd"), of("x.img"), of("x")], [Some("vdi"), Some("vpc"), Some("raw"), None]);
    }

    #[test]
    fn beginnings() {
        assert_eq!(format_by_content(b"QFI\xfb\0\0\0\x03"), "qcow2");
        assert_eq!(format_by_content(b"QFI\xfb\0\0\0\x01"), "qcow");
        assert_eq!(format_by_content(b""), "raw");
        assert_eq!(format_by_content(&[&[b'<'; 64][..], b"\x7f\x10\xda\xbe"].concat()), "vdi");
    }

    #[test]
    fn a_description_of_vmdk() {
        for text in ["# Disk DescriptorFile\n", "version=1\nx", "# c\n \n#\n  \r\nversion=3\r\n"] {
            assert_eq!(format_by_content(text.as_bytes()), "vmdk", "{text}");
        }
        for text in ["", " ", "#", "version=4\n", "version=1", " version=1\n", "x\nversion=1\n", "\nversion=1\n"] {
            assert_eq!(format_by_content(text.as_bytes()), "raw", "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_beginning_never_panics(beginning in proptest::collection::vec(0_u8.., 0..300), text in "[# \r\nversion=1]*") {
            format_by_content(&beginning);
            format_by_content(text.as_bytes());
        }
    }

    #[test]
    fn where_names_lead() {
        let told = |name: &str| {
            let leads = leads(name);
            let file = |lead: ResolvedFile| format!("{}={}", lead.path, lead.format.unwrap_or_default());
            leads.files.into_iter().map(file).chain(leads.others).collect::<Vec<_>>().join(" ")
        };
        assert_eq!([told("a"), told("file:/b"), told("nbd://x"), told("file:c")], ["a=", "/b=", "nbd://x", "file:c"]);
        let nested = r#"json:{"driver":"qcow2","cache":{"direct":true},"file":{"driver":"file","filename":"/m"},"data-file":{"driver":"file","filename":"/d"},
            "backing":{"driver":"raw","file":{"driver":"file","filename":"a:b"}}}"#;
        assert_eq!(told(nested), "a:b=raw /d=raw /m=qcow2");
        let flat = r#"json:{"driver":"qcow2","file.filename":"/m","backing.driver":"qcow2","backing.file.filename":"/b","backing.backing.file.filename":"/c"}"#;
        assert_eq!(told(flat), "/c= /b=qcow2 /m=qcow2");
        for unknown in [
            "json:{",
            "json:{'filename':'/x'}",
            r#"json:{"driver":"raw"}"#,
            r#"json:{"driver":"quorum","children":[{"filename":"/x"}]}"#,
            r#"json:{"driver":"qcow2","file":"node"}"#,
            r#"json:{"file.filename":"/x","file":{"filename":"/y"}}"#,
        ] {
            assert!(!leads(unknown).others.is_empty() && leads(unknown).files.is_empty(), "{unknown}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_name_never_panics(text in "\\PC*") {
            let _ = (leads(&text), leads(&format!("json:{text}")));
        }
    }
}
