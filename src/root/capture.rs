//! A capture: the files of a recorded machine in one readable text, optionally gzipped.
//!
//! ```text
//! vgapt capture 1
//! [/sys/devices/pci0000:00/0000:00:02.0]
//! class = 0x030000
//! iommu_group -> ../../../kernel/iommu_groups/2
//! uevent |
//! | DRIVER=i915
//! | PCI_ID=8086:1912
//! config % 868012190704
//! [/usr/share/OVMF]
//! OVMF_CODE_4M.fd ? 3653632
//! [/etc/default]
//! grub 0600 = GRUB_TIMEOUT=5
//! ```
//!
//! A section is a directory. `=` is a file with one line, `|` a file with several lines (a last line that starts
//! with `\ ` has no newline), `%` a file in hexadecimal, `?` a file of which only the size is known,
//! `->` a symbolic link. The mode follows the name if it is not 644 (755 for a directory).
//! Space, backslash and control characters in names are written as `\x20`.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::capture_text::{escape, from_hex, octal, unescape, unpacked};
use super::redact::Redaction;
use super::resolve;
use super::status::Status;

const HEADER: &str = "vgapt capture 1";
const FILE_MODE: u32 = 0o644;
const DIRECTORY_MODE: u32 = 0o755;

/// One file, link or directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub node: Node,
    pub mode: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    File(Vec<u8>),
    /// A file whose content was not recorded, with its size in bytes.
    Unread(u64),
    Link(String),
    Directory,
}

/// What a redacted capture contains of a path.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct CapturedPath {
    pub path: String,
    /// The size of its content in bytes.
    pub bytes: usize,
    /// How many words, numbers and names were replaced.
    pub replaced: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capture {
    entries: BTreeMap<String, Entry>,
}

impl Capture {
    /// Reads a capture from a file, gzipped or not.
    pub fn load(path: &Path) -> io::Result<Self> {
        let bytes = unpacked(std::fs::File::open(path)?)?;
        let text = String::from_utf8(bytes).map_err(|_| invalid("it is not text".into()))?;
        Self::parse(&text).map_err(invalid)
    }

    /// Reads a capture from its text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().enumerate().peekable();
        if lines.next().is_none_or(|(_, line)| line.trim_end() != HEADER) {
            return Err(format!("it does not start with '{HEADER}'"));
        }
        let mut capture = Self::default();
        let mut directory = String::new();
        while let Some((index, line)) = lines.next() {
            let refuse = || format!("line {} is invalid: '{}'", index + 1, line.chars().take(80).collect::<String>());
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(section) = line.strip_prefix('[') {
                let (path, mode) = section.rsplit_once(']').ok_or_else(refuse)?;
                directory = unescape(path).filter(|path| path.starts_with('/')).ok_or_else(refuse)?;
                let mode = if mode.is_empty() { None } else { Some(octal(mode.trim()).ok_or_else(refuse)?) };
                capture.add(&directory, Node::Directory, mode);
                continue;
            }
            let (name, rest) = line.split_once(' ').ok_or_else(refuse)?;
            let name = unescape(name).filter(|name| !name.is_empty() && !name.contains('/')).ok_or_else(refuse)?;
            let (mode, rest) = match rest.split_once(' ') {
                Some((mode, rest)) if octal(mode).is_some() => (octal(mode), rest),
                _ => (None, rest),
            };
            let node = match rest.split_at_checked(2) {
                Some(("= ", text)) => Node::File(format!("{text}\n").into_bytes()),
                Some(("% ", digits)) => Node::File(from_hex(digits).ok_or_else(refuse)?),
                Some(("? ", size)) => Node::Unread(size.parse().map_err(|_| refuse())?),
                Some(("->", target)) => Node::Link(target.strip_prefix(' ').and_then(unescape).ok_or_else(refuse)?),
                _ if rest == "|" => {
                    let mut content = String::new();
                    while let Some((_, line)) = lines.next_if(|(_, line)| line.starts_with("| ") || line.starts_with("\\ ") || *line == "|")
                    {
                        content.push_str(line.get(2..).unwrap_or_default());
                        if !line.starts_with('\\') {
                            content.push('\n');
                        }
                    }
                    Node::File(content.into_bytes())
                }
                _ => return Err(refuse()),
            };
            capture.add(&format!("{}/{name}", directory.trim_end_matches('/')), node, mode);
        }
        Ok(capture)
    }

    /// Adds an entry; if there is one already, the one with more information wins.
    pub fn add(&mut self, path: &str, node: Node, mode: Option<u32>) {
        let default = if matches!(node, Node::Directory) { DIRECTORY_MODE } else { FILE_MODE };
        // Modes in the kernel's own trees are not relevant.
        let mode = mode.filter(|_| !path.starts_with("/sys/") && !path.starts_with("/proc/")).unwrap_or(default);
        let says_more = match self.entries.get(path).map(|entry| &entry.node) {
            None | Some(Node::Unread(_)) => true,
            Some(Node::File(known)) => matches!(&node, Node::File(bytes) if bytes.len() >= known.len()),
            Some(Node::Link(_)) => false,
            Some(Node::Directory) => matches!(node, Node::Directory) && mode != DIRECTORY_MODE,
        };
        if says_more {
            self.entries.insert(path.to_owned(), Entry { node, mode });
        }
    }

    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(path, entry)| (path.as_str(), entry))
    }

    /// Unpacks the tree into an empty directory. Files with unknown content become sparse files of their size.
    pub fn unpack(&self, directory: &Path) -> io::Result<()> {
        for (path, entry) in &self.entries {
            if path.split('/').any(|name| name == "..") {
                return Err(invalid(format!("'{path}' leads out of the tree")));
            }
            let place = directory.join(path.trim_start_matches('/'));
            if let Some(parent) = place.parent() {
                std::fs::create_dir_all(parent)?;
            }
            match &entry.node {
                Node::File(bytes) => std::fs::write(place, bytes)?,
                Node::Unread(size) => std::fs::File::create(place)?.set_len(*size)?,
                Node::Link(target) => std::os::unix::fs::symlink(target, place)?,
                Node::Directory => std::fs::create_dir_all(place)?,
            }
        }
        Ok(())
    }

    /// The capture without personal data, and a list of what it contains.
    pub(super) fn redacted(self) -> (Self, Vec<CapturedPath>) {
        let mut redacted = Self::default();
        let mut kept = Vec::new();
        let mut redaction = Redaction::new();
        for (path, Entry { node, mode }) in self.entries {
            let before = redaction.replaced();
            let place = redaction.path(&path);
            let node = match node {
                Node::File(bytes) => Node::File(redaction.content(&path, &bytes)),
                Node::Link(target) => Node::Link(redaction.link(&path, &target)),
                other => other,
            };
            let bytes = if let Node::File(bytes) = &node { bytes.len() } else { 0 };
            kept.push(CapturedPath { path: place.clone(), bytes, replaced: redaction.replaced() - before });
            redacted.entries.insert(place, Entry { node, mode });
        }
        (redacted, kept)
    }

    pub(super) fn read(&self, path: &str) -> io::Result<&[u8]> {
        match self.entry(path, true).map(|entry| &entry.node) {
            Some(Node::File(bytes)) => Ok(bytes),
            Some(Node::Unread(_)) => {
                Err(io::Error::new(io::ErrorKind::Unsupported, format!("the capture does not contain the content of {path}")))
            }
            _ => Err(io::Error::new(io::ErrorKind::NotFound, format!("the capture does not contain {path}"))),
        }
    }

    pub(super) fn link(&self, path: &str) -> Option<String> {
        match self.entry(path, false).map(|entry| &entry.node) {
            Some(Node::Link(target)) => Some(target.clone()),
            _ => None,
        }
    }

    pub(super) fn status(&self, path: &str) -> Option<Status> {
        let place = self.place(path, true)?;
        let directory = Status {
            is_dir: true,
            is_stream: false,
            is_character_device: false,
            is_block_device: None,
            mode: DIRECTORY_MODE,
            uid: 0,
            gid: 0,
            size: 0,
        };
        let Some(entry) = self.entries.get(&place) else {
            return self.below(&place).next().map(|_| directory);
        };
        Some(match &entry.node {
            Node::Directory => Status { mode: entry.mode, ..directory },
            Node::File(bytes) => Status { is_dir: false, mode: entry.mode, size: bytes.len() as u64, ..directory },
            Node::Unread(size) => {
                let is_character_device = *size == 0 && place.starts_with("/dev/");
                Status { is_dir: false, is_character_device, mode: entry.mode, size: *size, ..directory }
            }
            Node::Link(_) => return None,
        })
    }

    pub(super) fn names(&self, path: &str) -> Vec<String> {
        let Some(place) = self.place(path, true) else { return Vec::new() };
        let prefix = format!("{}/", place.trim_end_matches('/'));
        let mut names: Vec<String> = Vec::new();
        let mut from = prefix.clone();
        // Skips entries in subdirectories: '0' is the character after '/'.
        while let Some(rest) = self.entries.range(from..).next().and_then(|(path, _)| path.strip_prefix(&prefix)) {
            let (name, next) = rest.split_once('/').map_or((rest, "\0"), |(name, _)| (name, "0"));
            from = format!("{prefix}{name}{next}");
            names.extend((!name.is_empty()).then(|| name.to_owned()));
        }
        names.sort_unstable();
        names.dedup();
        names
    }

    fn entry(&self, path: &str, follow_last: bool) -> Option<&Entry> {
        self.entries.get(&self.place(path, follow_last)?)
    }

    fn place(&self, path: &str, follow_last: bool) -> Option<String> {
        resolve::resolve(path, follow_last, |place| match &self.entries.get(place)?.node {
            Node::Link(target) => Some(target.clone()),
            _ => None,
        })
    }

    /// The paths below a directory, relative to it, in the order of the tree.
    fn below(&self, directory: &str) -> impl Iterator<Item = &str> {
        let prefix = format!("{}/", directory.trim_end_matches('/'));
        let start = prefix.clone();
        self.entries.range(start..).map_while(move |(path, _)| path.strip_prefix(&prefix))
    }
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

type Section<'c> = (u32, Vec<(&'c str, &'c Entry)>);

impl std::fmt::Display for Capture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{HEADER}")?;
        let mut sections: BTreeMap<&str, Section<'_>> = BTreeMap::new();
        let empty = || (DIRECTORY_MODE, Vec::new());
        for (path, entry) in self.entries() {
            if matches!(entry.node, Node::Directory) {
                sections.entry(path).or_insert_with(empty).0 = entry.mode;
            } else if let Some((directory, name)) = path.rsplit_once('/') {
                let section = if directory.is_empty() { "/" } else { directory };
                sections.entry(section).or_insert_with(empty).1.push((name, entry));
            }
        }
        for (directory, (mode, entries)) in sections {
            write!(f, "[{}]", escape(directory))?;
            writeln!(f, "{}", if mode == DIRECTORY_MODE { String::new() } else { format!(" {mode:03o}") })?;
            for (name, entry) in entries {
                write!(f, "{}", escape(name))?;
                if entry.mode != FILE_MODE {
                    write!(f, " {:03o}", entry.mode)?;
                }
                write_node(f, &entry.node)?;
            }
        }
        Ok(())
    }
}

fn write_node(f: &mut std::fmt::Formatter<'_>, node: &Node) -> std::fmt::Result {
    let bytes = match node {
        Node::Link(target) => return writeln!(f, " -> {}", escape(target)),
        Node::Unread(size) => return writeln!(f, " ? {size}"),
        Node::Directory => return writeln!(f),
        Node::File(bytes) => bytes,
    };
    let readable = |text: &&str| !text.chars().any(|c| c.is_control() && c != '\n' && c != '\t');
    let Some(text) = std::str::from_utf8(bytes).ok().filter(readable) else {
        write!(f, " % ")?;
        bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        return writeln!(f);
    };
    match text.strip_suffix('\n') {
        Some(line) if !line.contains('\n') => writeln!(f, " = {line}"),
        _ => {
            writeln!(f, " |")?;
            text.split_inclusive('\n').try_for_each(|line| match line.strip_suffix('\n') {
                Some("") => writeln!(f, "|"),
                Some(line) => writeln!(f, "| {line}"),
                None => writeln!(f, "\\ {line}"),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn node() -> impl Strategy<Value = Node> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40).prop_map(Node::File),
            "[a-z \n|\\\\=-]{0,40}".prop_map(|text| Node::File(text.into_bytes())),
            any::<u64>().prop_map(Node::Unread),
            "[a-z/. \\\\]{1,20}".prop_map(Node::Link),
        ]
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "\\PC*") {
            let _ = Capture::parse(&text);
            let _ = Capture::parse(&format!("{HEADER}\n{text}"));
        }

        #[test]
        fn what_is_written_is_read_back(files in proptest::collection::vec(("[a-z:. \\\\\\]=]{1,8}", node(), 0o600_u32..0o777), 0..8)) {
            let mut capture = Capture::default();
            for (index, (name, node, mode)) in files.into_iter().enumerate() {
                capture.add(&format!("/d{index}/{name}x"), node, Some(mode));
            }
            let read_back = Capture::parse(&capture.to_string()).unwrap();
            for (path, entry) in capture.entries() {
                prop_assert_eq!(read_back.entries.get(path), Some(entry));
            }
        }
    }

    #[test]
    fn errors_name_the_line() {
        assert_eq!(Capture::parse("{}").unwrap_err(), "it does not start with 'vgapt capture 1'");
        assert_eq!(Capture::parse("vgapt capture 1\n[/a]\nnonsense").unwrap_err(), "line 3 is invalid: 'nonsense'");
    }

    #[test]
    fn a_capture_that_is_too_long_is_refused_packed_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let comment = format!("# {}\n", "x".repeat(1 << 20)).repeat(65);
        let text = format!("{HEADER}\n[/a]\nb = c\n{comment}");
        std::fs::write(folder.path().join("long"), &text).unwrap();
        let packed = std::fs::File::create(folder.path().join("long.gz")).unwrap();
        let mut packed = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
        io::Write::write_all(&mut packed, text.as_bytes()).unwrap();
        packed.finish().unwrap();
        for name in ["long", "long.gz"] {
            let error = Capture::load(&folder.path().join(name)).unwrap_err();
            assert!(error.to_string().contains("longer than 64 MiB"), "{error}");
        }
    }

    #[test]
    fn each_name_once_and_none_of_what_lies_deeper() {
        let capture = Capture::parse("vgapt capture 1\n[/a]\nb = 1\nb-c = 1\n[/a/b-c/d]\n[/a/b/c/d]\nx = 1\n[/a/b/e]\n[/ab]\n").unwrap();
        assert_eq!((capture.names("/a"), capture.names("/a/b")), (vec!["b".to_owned(), "b-c".into()], vec!["c".to_owned(), "e".into()]));
        assert_eq!(capture.names("/"), ["a", "ab"]);
    }

    #[test]
    fn links_lead_where_they_lead_in_the_tree() {
        let capture = Capture::parse("vgapt capture 1\n[/a]\nb -> ../c\nloop -> loop\n[/c]\nd = text\n").unwrap();
        assert_eq!(capture.read("/a/b/d").unwrap(), b"text\n");
        assert_eq!(capture.names("/a/b"), ["d"]);
        assert!(capture.read("/a/loop/d").is_err());
        assert!(capture.status("/c").unwrap().is_dir);
    }
}
