//! Lines that are too long for a terminal are broken between words, and continue indented. A command is a word, so that
//! it can be copied; a word that is wider than the terminal has a line of its own.

use textwrap::core::Fragment;
use textwrap::wrap_algorithms::wrap_first_fit;

use super::style::{HANG, QUOTED, columns, sequence};

/// The programs that messages tell the user to run.
const PROGRAMS: [&str; 37] = [
    "apt",
    "apt-get",
    "chcon",
    "chmod",
    "chown",
    "dnf",
    "dracut",
    "echo",
    "grub2-mkconfig",
    "grubby",
    "journalctl",
    "loginctl",
    "ls",
    "mdevctl",
    "mkdir",
    "modprobe",
    "mv",
    "pacman",
    "qemu-img",
    "restorecon",
    "rm",
    "rmdir",
    "rpm-ostree",
    "semanage",
    "setfacl",
    "sudo",
    "sysctl",
    "systemctl",
    "udevadm",
    "update-grub",
    "update-initramfs",
    "usermod",
    "vgapt",
    "virsh",
    "virt-install",
    "virt-xml",
    "zypper",
];

/// A word or a command, and the spaces after it.
#[derive(Debug)]
struct Piece<'t> {
    text: &'t str,
    spaces: &'t str,
}

#[allow(clippy::cast_precision_loss)] // No line has 2^52 columns.
impl Fragment for Piece<'_> {
    fn width(&self) -> f64 {
        columns(self.text) as f64
    }

    fn whitespace_width(&self) -> f64 {
        self.spaces.len() as f64
    }

    fn penalty_width(&self) -> f64 {
        0.0
    }
}

/// A text whose lines are at most this wide, as far as they can be broken.
pub(super) fn wrapped(text: &str, width: usize) -> String {
    let mut wrapped = String::with_capacity(text.len() + 64);
    for line in text.split_inclusive('\n') {
        let end = line.trim_end_matches(['\n', '\r']).len();
        broken(&line[..end], width, &mut wrapped);
        wrapped.push_str(&line[end..]);
    }
    wrapped
}

/// Adds one line, broken.
#[allow(clippy::cast_precision_loss)]
fn broken(line: &str, width: usize, into: &mut String) {
    let bare = line.trim_start_matches(' ');
    let indent = line.len() - bare.len();
    if columns(line) <= width || line.contains(QUOTED) || bare.starts_with("$ ") {
        into.push_str(line);
        return;
    }
    let hang = line.find(HANG).map_or(indent + 2, |at| columns(&line[..at]));
    // A narrow terminal has to keep room for words.
    let hang = if hang > width / 2 { indent.min(width / 4) + 2 } else { hang };
    let words = bare.trim_end_matches(' ');
    into.push_str(&line[..indent]);
    let widths = [(width - indent.min(width)) as f64, (width - hang) as f64];
    for (number, pieces) in wrap_first_fit(&pieces(words), &widths).into_iter().enumerate() {
        if number > 0 {
            into.push_str(&format!("\n{:hang$}", ""));
        }
        for (place, piece) in pieces.iter().enumerate() {
            into.push_str(piece.text);
            into.push_str(if place + 1 < pieces.len() { piece.spaces } else { "" });
        }
    }
    // A question ends with the space before its answer.
    into.push_str(&bare[words.len()..]);
}

/// The words of a line; the words of a command are one.
fn pieces(line: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut start, mut command) = (0, Command::default());
    let mut rest = line;
    while !rest.is_empty() {
        let at = line.len() - rest.len();
        let word = &rest[..rest.find(' ').unwrap_or(rest.len())];
        rest = &rest[word.len()..];
        let spaces = &rest[..rest.len() - rest.trim_start_matches(' ').len()];
        rest = &rest[spaces.len()..];
        let next = &rest[..rest.find(' ').unwrap_or(rest.len())];
        if !command.goes_on(word, next) || spaces.len() > 1 || rest.is_empty() {
            pieces.push(Piece { text: &line[start..at + word.len()], spaces });
            start = line.len() - rest.len();
            command = Command::default();
        }
    }
    pieces
}

/// How far a command has been read.
#[derive(Debug, Default)]
struct Command {
    words: usize,
    /// Whether the last word was an option, whose value may be any word.
    is_option: bool,
}

impl Command {
    /// Takes a word, and says whether the next one belongs to the same command.
    fn goes_on(&mut self, word: &str, next: &str) -> bool {
        let bare = bare(word);
        if self.words == 0 && !PROGRAMS.contains(&bare) {
            return false;
        }
        // The options before a subcommand, and their values, are none of its words.
        let is_global = self.words == 1 && (bare.starts_with('-') || self.is_option);
        self.words += usize::from(!is_global);
        self.is_option = bare.starts_with('-') && !bare.contains('=');
        // The first two words after a program may be any words, such as `disk create`.
        !ends(word) && (self.words < 3 || self.is_option || is_argument(next))
    }
}

/// A word without colours, and without what encloses it.
fn bare(word: &str) -> &str {
    word.trim_start_matches(|c| sequence(c).is_some() || "(`'\"".contains(c)).trim_end_matches(|c| sequence(c).is_some())
}

/// Whether a sentence goes on after this word, and not a command.
fn ends(word: &str) -> bool {
    word.trim_end_matches(|c| sequence(c).is_some()).ends_with([',', ';', ':', '.', ')', '`', '\''])
}

/// Whether a word does not look like one of a sentence: it is an option, an address, a path, something to be filled in.
fn is_argument(word: &str) -> bool {
    let word = bare(word).trim_end_matches([',', ';', ':', '.', ')', '`']);
    let is_placeholder = word.len() > 1 && !word.contains(|c: char| c.is_lowercase());
    is_placeholder || word.contains(|c: char| c.is_ascii_digit() || "-/=:_.'\"<>|&{".contains(c))
}

#[cfg(test)]
mod tests {
    use super::super::style::{BAD, paint};
    use super::*;

    fn lines(text: &str, width: usize) -> Vec<String> {
        wrapped(text, width).lines().map(super::super::plain).collect()
    }

    #[test]
    fn words_stay_whole_and_lines_hang() {
        let text = "warning: the id of one card is also the id of another one\n  remedy: bind it by address, never by its id\n";
        assert_eq!(
            lines(text, 40),
            ["warning: the id of one card is also the", "  id of another one", "  remedy: bind it by address, never by", "    its id"]
        );
        assert_eq!(
            lines(&format!("  ok      {HANG}cards: this one and this one and this"), 40),
            ["  ok      cards: this one and this one", "          and this"]
        );
    }

    #[test]
    fn a_command_is_one_word() {
        let text = "hand it over: vgapt prepare --gpu 05:00.0 --bind start, then vgapt define NAME --gpu 05:00.0; or add a second display";
        assert_eq!(
            lines(text, 50),
            [
                "hand it over:",
                "  vgapt prepare --gpu 05:00.0 --bind start, then",
                "  vgapt define NAME --gpu 05:00.0; or add a second",
                "  display"
            ]
        );
        let long = "add it: virt-xml NAME --add-device --graphics spice --video virtio";
        assert_eq!(lines(long, 40), ["add it:", "  virt-xml NAME --add-device --graphics spice --video virtio"]);
        let global = "first: vgapt --root /a/tree -c test:///default list --verbose; of one: vgapt list";
        assert_eq!(lines(global, 40), ["first:", "  vgapt --root /a/tree -c test:///default list --verbose;", "  of one: vgapt list"]);
        let command = format!("  $ {}", "word ".repeat(20));
        assert_eq!(lines(&command, 40), [command.as_str()]);
    }

    #[test]
    fn what_is_wide_is_measured_and_what_is_invisible_is_not() {
        assert_eq!(lines("日本語日本語日本語 日本語日本語日本語 日本", 40), ["日本語日本語日本語 日本語日本語日本語", "  日本"]);
        let painted = paint(BAD, "12345678 12345678 12345678 12345678 1234");
        assert_eq!(wrapped(&painted, 40), painted);
        assert_eq!(lines("12345678 12345678 12345678 12345678 1\x1b34 1", 40).len(), 2, "an escaped character takes six columns");
        assert_eq!(
            wrapped("Make all of these changes on this host now? [y/N] ", 40),
            "Make all of these changes on this host\n  now? [y/N] "
        );
    }

    #[test]
    fn a_path_has_a_line_of_its_own_and_quoted_lines_stay() {
        let path = "/sys/firmware/acpi/tables/very/long/path/of/a/table/VFCT";
        assert_eq!(lines(&format!("read {path} as root"), 40), ["read", &format!("  {path}"), "  as root"]);
        let quoted = format!("{QUOTED}+{}", "a b ".repeat(30));
        assert_eq!(wrapped(&quoted, 40), quoted);
    }
}
