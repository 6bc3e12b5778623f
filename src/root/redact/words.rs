//! Redaction word by word: words that vgapt looks for stay, everything else is replaced. The same word gets the
//! same replacement in the whole capture, so that names still match each other.

use std::collections::{HashMap, HashSet};

use super::line::{LONGEST_RUN, Line, digits, is_number, is_of_word};

/// Words that occur in vgapt's source or in files of distributions; see build.rs.
const KNOWN: &str = include_str!(concat!(env!("OUT_DIR"), "/words"));
/// UUIDs that are the same on every machine: the vendor GUIDs of the boot variables of UEFI and systemd.
const KNOWN_IDS: [&str; 2] = ["8be4df61-93ca-11d2-aa0d-00e098032b8c", "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"];
/// Addresses that are the same on every machine.
const KNOWN_ADDRESSES: [&str; 3] = ["0.0.0.0", "127.0.0.1", "192.168.122.1"];
/// Words of the formats that are read, which the source contains only within sentences.
const GRAMMAR: &str = "\
    softdep pre post options blacklist install alias remove modprobe ignore allow bin false true title version \
    linux initrd efi machine sort menuentry submenu set insmod search echo defaults noatime relatime ext4 btrfs \
    xfs vfat swap none tmpfs proc sysfs rw ro quiet splash soft hard memlock global path nologin usr sbin lib etc \
    boot home mnt media srv var dev root hugetlbfs flr af_flr pm acpi bus device_specific Node zone DMA DMA32 \
    Normal Movable LABEL UUID PARTUUID PARTLABEL cryptdevice resume";
/// The longest number in a setting that is read: bytes of memory.
const LONGEST_NUMBER: usize = 13;
/// The longest number that stays elsewhere in a configuration file: a version, an id, a line or a column.
const LONGEST_SHORT: usize = 4;
/// The longest number with `0x` that stays: the id of a device.
const LONGEST_SHORT_HEX: usize = 4;
const LONGEST_HEX: usize = 16;

/// What stays in a text besides the known words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// Hexadecimal numbers, as the kernel prints them.
    pub(super) hex: bool,
    /// Names assigned by the kernel, such as `card0`, and names of drivers and modules.
    pub(super) names: bool,
    pub(super) numbers: Numbers,
}

/// Which decimal numbers stay in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    /// Short numbers after a known word, and those of settings that are read.
    Few,
    /// Also after a replaced word: in names, which must stay different.
    Short,
    /// All numbers: they are the kernel's.
    All,
}

/// A file written by users.
pub(super) const SETTINGS: Rule = Rule { hex: false, names: false, numbers: Numbers::Few };
/// Names in paths that users chose.
pub(super) const NAMES: Rule = Rule { numbers: Numbers::Short, ..SETTINGS };
/// A file or a message of the kernel.
pub(super) const KERNEL: Rule = Rule { hex: true, names: false, numbers: Numbers::Few };
/// A path in the kernel's trees, or names of modules.
pub(super) const DRIVERS: Rule = Rule { hex: true, names: true, numbers: Numbers::All };

pub(super) struct Words {
    known: HashSet<&'static str>,
    replacements: HashMap<String, String>,
    pub(super) replaced: usize,
}

impl Words {
    pub(super) fn new() -> Self {
        Self { known: KNOWN.lines().chain(GRAMMAR.split_ascii_whitespace()).collect(), replacements: HashMap::new(), replaced: 0 }
    }

    pub(super) fn kept(&mut self, text: &str, rule: Rule) -> String {
        let mut kept = String::with_capacity(text.len());
        let mut rest = text;
        let mut line = Line::default();
        line.begins(rest);
        while let Some(c) = rest.chars().next() {
            let length = self.token(rest, &kept, &mut line, rule);
            if let Some((length, token)) = length {
                kept.push_str(&token);
                rest = &rest[length..];
                continue;
            }
            line.sees(c, &rest[c.len_utf8()..]);
            kept.push(if c.is_control() && !"\n\t\r\0".contains(c) { '?' } else { c });
            rest = &rest[c.len_utf8()..];
        }
        kept
    }

    /// The length of the next word, number or address, and its replacement; `None` if there is none here.
    fn token(&mut self, rest: &str, before: &str, line: &mut Line, rule: Rule) -> Option<(usize, String)> {
        if let Some(known) = KNOWN_IDS.iter().find(|known| rest.starts_with(**known)) {
            return Some((known.len(), (*known).to_owned()));
        }
        let identifier = identifier_length(rest);
        if identifier > 0 {
            line.value_begins();
            line.ends_run();
            return Some((identifier, self.replacement(&rest[..identifier], identifier_like)));
        }
        let address = address_length(rest);
        if address > 0 {
            line.value_begins();
            line.ends_run();
            let text = &rest[..address];
            let is_mask = text.starts_with("255.");
            let token = if KNOWN_ADDRESSES.contains(&text) || is_mask { text.to_owned() } else { self.replacement(text, address_like) };
            return Some((address, token));
        }
        let long = rest.find(|c: char| !c.is_ascii_hexdigit() && c != ':').unwrap_or(rest.len());
        if rule.numbers == Numbers::Few && rest[..long].matches(':').count() > 2 && rest[..long].contains(|c: char| c.is_ascii_hexdigit()) {
            line.value_begins();
            return Some((long, self.replacement(&rest[..long], zeros)));
        }
        let end = rest.find(|c: char| !is_of_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            return None;
        }
        let is_number = is_number(word);
        let run = line.counts(word, rest);
        let stays = !line.is_secret() && (self.known.contains(word) || Self::shape_stays(word, after, before, line, rule, run));
        line.knows(word, after, before);
        line.after_unknown = !stays;
        if stays {
            return Some((end, word.to_owned()));
        }
        let like = match is_number {
            true if digits(word) > LONGEST_SHORT => number_like,
            true => zeros,
            false => name_like,
        };
        Some((end, self.replacement(word, like)))
    }

    /// `run`: the number of digits in this number and the adjacent ones.
    fn shape_stays(word: &str, after: &str, before: &str, line: &Line, rule: Rule, run: usize) -> bool {
        if is_number(word) {
            let behind_known = !line.after_unknown && !line.is_comment;
            let length = digits(word);
            return rule.numbers == Numbers::All
                || (line.is_read && !line.is_comment && length <= LONGEST_NUMBER)
                || (rule.hex && behind_known && word.len() <= LONGEST_HEX && !line.has_secret)
                || ((rule.numbers == Numbers::Short || behind_known) && length <= LONGEST_SHORT && run <= LONGEST_RUN && !line.has_secret);
        }
        let hex = word.strip_prefix("0x").unwrap_or(word);
        let is_hex = !hex.is_empty() && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        // A PCI address or an id.
        let beside = after.starts_with(':') || before.ends_with(':');
        let has_digit = word.bytes().any(|byte| byte.is_ascii_digit());
        let is_told = has_digit && line.has_secret && !line.is_read && rule.numbers != Numbers::All;
        is_own(word)
            || (!is_told
                && ((is_hex && rule.hex && hex.len() <= LONGEST_HEX && (rule.numbers == Numbers::All || !line.after_unknown))
                    || (is_hex && matches!(hex.len(), 2 | 4) && beside && !line.after_unknown && !line.is_comment)
                    || (is_hex
                        && word.len() > 2
                        && hex.len() <= LONGEST_SHORT_HEX
                        && hex.len() < word.len()
                        && !line.after_unknown
                        && run <= LONGEST_RUN)
                    || is_device(word)
                    || (rule.names && (is_kernel_name(word) || is_driver_name(word)))))
    }

    fn replacement(&mut self, text: &str, like: fn(&str, usize) -> String) -> String {
        self.replaced += 1;
        let number = self.replacements.len() + 1;
        self.replacements.entry(text.to_owned()).or_insert_with(|| like(text, number)).clone()
    }
}

/// A replacement of an earlier redaction.
fn is_own(word: &str) -> bool {
    word.strip_prefix('x')
        .is_some_and(|number| matches!(number.len(), 1..=4) && !number.starts_with('0') && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Generic names of devices: `sda1`, `nvme0n1p2`, `enp3s0`.
fn is_device(word: &str) -> bool {
    const KINDS: [&str; 19] = [
        "eth", "wlan", "wlp", "enp", "eno", "ens", "br", "virbr", "bond", "nvme", "md", "loop", "sr", "mmcblk", "zram", "nvidia", "tpm",
        "tpmrm", "kvmfr",
    ];
    /// The parts of a name such as `enp129s0f1np1d1`.
    const PARTS: [&str; 6] = ["n", "p", "s", "f", "d", "np"];
    const MOST_DIGITS: usize = 7;
    let disk = ["sd", "vd", "hd", "xvd"].iter().find_map(|kind| word.strip_prefix(kind));
    if let Some(rest) = disk.filter(|rest| rest.len() <= 4 && rest.starts_with(|c: char| c.is_ascii_lowercase())) {
        let letters = rest.trim_end_matches(|c: char| c.is_ascii_digit());
        if letters.len() <= 2 {
            return letters.bytes().all(|byte| byte.is_ascii_lowercase());
        }
    }
    let (mut rest, mut names) = (word, KINDS.as_slice());
    while !rest.is_empty() {
        let letters = rest.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(rest.len());
        let digits = rest[letters..].find(|c: char| !c.is_ascii_digit()).map_or(rest.len(), |end| letters + end);
        if !names.contains(&&rest[..letters]) || digits == letters || digits - letters > 4 {
            return false;
        }
        (rest, names) = (&rest[digits..], &PARTS);
    }
    word.len() > 3 && digits(word) <= MOST_DIGITS
}

/// `card0`, `renderD128`, `ata1`, `event3`.
fn is_kernel_name(word: &str) -> bool {
    let letters = word.trim_end_matches(|c: char| c.is_ascii_digit());
    word.len() - letters.len() <= 4
        && letters.len() < word.len()
        && !letters.is_empty()
        && letters.len() <= 10
        && letters.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// Whether it may be the name of a driver, such as `nouveau` or `snd_hda_intel`; not `md_home`, since users
/// choose the names of disk arrays (md(4)).
fn is_driver_name(word: &str) -> bool {
    !word.starts_with("md_")
        && word.len() <= 40
        && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

fn name_like(_: &str, number: usize) -> String {
    format!("x{number}")
}

fn zeros(text: &str, _: usize) -> String {
    text.chars().map(|c| if c.is_alphanumeric() { '0' } else { c }).collect()
}

/// Zeros that end with a running number, of the same length, so that names with numbers still differ.
fn number_like(text: &str, number: usize) -> String {
    let number = number.to_string();
    let zeros = zeros(text, 0);
    match text.len().checked_sub(number.len()) {
        Some(start) => format!("{}{number}", &zeros[..start]),
        None => zeros,
    }
}

/// The same shape with zeros that end with a running number.
fn identifier_like(text: &str, number: usize) -> String {
    let mut digits: Vec<char> = format!("{number:x}").chars().collect();
    let of_the_end = |c: char| if c.is_ascii_hexdigit() { digits.pop().unwrap_or('0') } else { c };
    let reversed: Vec<char> = text.chars().rev().map(of_the_end).collect();
    reversed.into_iter().rev().collect()
}

/// An address of the documentation range (RFC 5737).
fn address_like(_: &str, number: usize) -> String {
    format!("192.0.2.{}", number % 250 + 1)
}

/// The length of a UUID, MAC address or machine id at the start of a text; 0 if there is none.
fn identifier_length(rest: &str) -> usize {
    const SHAPES: [(u8, &[usize]); 5] = [(b'-', &[8, 4, 4, 4, 12]), (b':', &[2; 6]), (b'-', &[2; 6]), (b'-', &[32]), (b'-', &[8, 2])];
    SHAPES.iter().map(|(separator, widths)| shape_length(rest.as_bytes(), *separator, widths)).find(|length| *length > 0).unwrap_or(0)
}

/// The length of hexadecimal groups of these widths with a separator between them; 0 if they do not match.
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

/// The length of an IPv4 address at the start of a text; 0 if there is none.
fn address_length(rest: &str) -> usize {
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let text = rest[..end].trim_end_matches('.');
    if text.parse::<std::net::Ipv4Addr>().is_ok() { text.len() } else { 0 }
}
