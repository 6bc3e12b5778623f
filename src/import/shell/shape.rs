//! Classifies commands before expansion: which assign variables, and which start QEMU.

use super::expand::is_name;
use super::lexer::{Piece, Word};
use super::marks::{shown, unknown};
use super::parser::{Command, Part, Statement, plain};

/// Commands that may mention QEMU without running it.
pub(super) const MENTIONS_QEMU: [&str; 23] = [
    "apt-get", "apt", "dnf", "yum", "pacman", "zypper", "apk", "emerge", "nix-env", "echo", "printf", "pgrep", "pkill", "killall", "which",
    "type", "ls", "grep", "cat", "trap", "readlink", "alias", "pidof",
];

/// Whether a command, as written, starts QEMU.
pub(super) fn starts_qemu(step: &Statement) -> bool {
    let Command::Plain(parts) = &step.command else { return false };
    let says = |word: &Word| match word.pieces.first() {
        Some(Piece::Text(text) | Piece::Quoted(text)) => {
            is_qemu(text) || text.split_whitespace().next().is_some_and(|first| first != "kvm" && is_qemu(first))
        }
        Some(Piece::Parameter { inside, .. }) => word.pieces.len() == 1 && is_qemu(&unknown(inside)),
        _ => false,
    };
    let words: Vec<&Word> = parts.iter().filter_map(|part| if let Part::Word(word) = part { Some(word) } else { None }).collect();
    let first = words.first().and_then(|word| plain(word)).unwrap_or_default();
    let at = words.iter().position(|word| says(word));
    at.is_some_and(|at| {
        at == 0 || (!MENTIONS_QEMU.contains(&first) && !matches!(first, "[" | "[[" | "test")) && assignment(words[0]).is_none()
    })
}

pub(super) fn all_assign(parts: &[Part]) -> bool {
    parts.iter().all(|part| assignment_of(part).is_some() || matches!(part, Part::Array { .. }))
}

pub(super) fn assignment_of(part: &Part) -> Option<(String, bool, Word)> {
    match part {
        Part::Word(word) => assignment(word),
        Part::Array { .. } => None,
    }
}

/// Whether a word is a pattern that a shell expands to file names.
pub(super) fn finds_files(word: &Word) -> bool {
    word.pieces.iter().any(|piece| matches!(piece, Piece::Text(text) if text.contains(['*', '?'])))
}

/// `NAME=value`, `NAME+=value` or `NAME[key]=value`.
pub(super) fn assignment(word: &Word) -> Option<(String, bool, Word)> {
    let Some(Piece::Text(first)) = word.pieces.first() else { return None };
    let (name, value) = first.split_once('=')?;
    let (name, append) = name.strip_suffix('+').map_or((name, false), |name| (name, true));
    let bare = name.strip_suffix(']').and_then(|name| name.split_once('[')).map_or(name, |(bare, _)| bare);
    is_name(bare).then(|| {
        let mut value = Word { pieces: vec![Piece::Text(value.to_owned())], quoted: word.quoted };
        value.pieces.extend(word.pieces[1..].iter().cloned());
        (name.to_owned(), append, value)
    })
}

/// A QEMU program, or a variable that must be one.
pub(super) fn is_qemu(word: &str) -> bool {
    let name = word.rsplit('/').next().unwrap_or_default();
    let is_variable = || {
        shown(word)
            .strip_prefix('$')
            .is_some_and(|name| name.to_uppercase().contains("QEMU") && name.chars().all(|c| c.is_alphanumeric() || c == '_'))
    };
    name.starts_with("qemu-system-") || name == "qemu-kvm" || name == "kvm" || is_variable()
}
