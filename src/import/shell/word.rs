//! Words of a script, before expansion.

use crate::import::table::has;

/// A part of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Literal text.
    Text(String),
    /// Literal text in quotes: no character is special.
    Quoted(String),
    /// The content of `${…}`, or the name after `$`.
    Parameter { inside: String, quoted: bool },
    /// A command substitution; it is not run.
    Command { text: String, quoted: bool },
}

impl Piece {
    /// As it is written, without its quotes.
    fn written(&self) -> String {
        match self {
            Piece::Text(text) | Piece::Quoted(text) => text.clone(),
            Piece::Parameter { inside, .. } => format!("${{{inside}}}"),
            Piece::Command { text, .. } => format!("$({text})"),
        }
    }
}

/// A word, in parts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Word {
    pub(super) pieces: Vec<Piece>,
    /// Whether any part was quoted: then it counts as a word even if it is empty.
    pub(super) quoted: bool,
}

impl Word {
    /// A word of one piece.
    pub(super) fn of(piece: Piece) -> Self {
        let quoted = !matches!(piece, Piece::Text(_));
        Self { pieces: vec![piece], quoted }
    }

    /// Its text, if it has neither quotes nor expansions.
    pub(super) fn plain(&self) -> Option<&str> {
        match &self.pieces[..] {
            [Piece::Text(text)] if !self.quoted => Some(text),
            _ => None,
        }
    }

    /// The word as it was written, where braces in it make several: `{a,b}`, `{1..4}`.
    pub(super) fn braces(&self) -> Option<String> {
        let bare = |piece: &Piece| if let Piece::Text(text) = piece { text.clone() } else { " ".to_owned() };
        let bare: String = self.pieces.iter().map(bare).collect();
        let inside = bare.split_once('{').and_then(|(_, after)| Some(after.rsplit_once('}')?.0))?;
        (inside.contains(',') || inside.contains("..")).then(|| self.pieces.iter().map(Piece::written).collect())
    }

    /// The words that a shell makes of its first braces, where these and what is in them are plain text.
    pub(super) fn spread(&self) -> Option<Vec<Word>> {
        let (at, text) = self.pieces.iter().enumerate().find_map(|(at, piece)| match piece {
            Piece::Text(text) if text.contains('{') => Some((at, text)),
            _ => None,
        })?;
        let (before, rest) = text.split_once('{')?;
        let (inside, after) = closed(rest)?;
        let choices = choices_in(inside);
        let choices = if choices.len() > 1 { choices.into_iter().map(str::to_owned).collect() } else { range(inside)? };
        let word = |choice: String| {
            let mut word = self.clone();
            word.pieces[at] = Piece::Text(format!("{before}{choice}{after}"));
            word
        };
        Some(choices.into_iter().map(word).collect())
    }

    /// Whether it is a pattern that a shell expands to file names.
    pub(super) fn finds_files(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Text(text) if text.contains(['*', '?'])))
    }
}

/// The most words of a range in braces.
const MOST: u32 = 256;

/// What is in braces that are open, and what is behind them.
fn closed(text: &str) -> Option<(&str, &str)> {
    let mut depth = 1_usize;
    let end = text.char_indices().find_map(|(at, letter)| {
        depth = if letter == '{' { depth + 1 } else { depth - usize::from(letter == '}') };
        (depth == 0).then_some(at)
    })?;
    Some((&text[..end], &text[end + 1..]))
}

/// What commas separate, braces within left whole.
fn choices_in(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    text.split(|letter: char| {
        depth = if letter == '{' { depth + 1 } else { depth.saturating_sub(usize::from(letter == '}')) };
        letter == ',' && depth == 0
    })
    .collect()
}

/// `{1..4}`, `{a..d}`, `{08..02..2}`: zeros before a number are kept, for all.
fn range(inside: &str) -> Option<Vec<String>> {
    let parts: Vec<&str> = inside.split("..").collect();
    let (first, last, step) = match parts[..] {
        [first, last] => (first, last, "1"),
        [first, last, step] => (first, last, step),
        _ => return None,
    };
    let letter = |text: &str| text.parse::<char>().ok().filter(char::is_ascii_lowercase).map(u32::from);
    let number = |text: &str| text.parse::<u32>().ok();
    let step = number(step.trim_start_matches('-'))?.max(1) as usize;
    let of_letters = letter(first).zip(letter(last));
    let (from, to) = of_letters.or_else(|| number(first).zip(number(last)))?;
    if from.abs_diff(to) >= MOST {
        return None;
    }
    let is_padded = |text: &str| text.len() > 1 && text.starts_with('0');
    let width = if is_padded(first) || is_padded(last) { first.len().max(last.len()) } else { 0 };
    let written = |value: u32| match char::from_u32(value).filter(|_| of_letters.is_some()) {
        Some(letter) => letter.to_string(),
        None => format!("{value:0width$}"),
    };
    let values: Vec<u32> = if from <= to { (from..=to).collect() } else { (to..=from).rev().collect() };
    Some(values.into_iter().step_by(step).map(written).collect())
}

/// `NAME=value`, `NAME+=value` or `NAME[key]=value`.
pub(super) fn assignment(word: &Word) -> Option<(String, bool, Word)> {
    let Some(Piece::Text(first)) = word.pieces.first() else { return None };
    if let Some((bare, _)) = first.split_once('[')
        && is_name(bare)
        && !first.contains(']')
    {
        return of_element(first, &word.pieces[1..], word.quoted);
    }
    let (name, value) = first.split_once('=')?;
    let (name, append) = name.strip_suffix('+').map_or((name, false), |name| (name, true));
    let bare = name.strip_suffix(']').and_then(|name| name.split_once('[')).map_or(name, |(bare, _)| bare);
    is_name(bare).then(|| {
        let mut value = Word { pieces: vec![Piece::Text(value.to_owned())], quoted: word.quoted };
        value.pieces.extend(word.pieces[1..].iter().cloned());
        (name.to_owned(), append, value)
    })
}

/// `NAME[$key]=value`: the key as it is written.
fn of_element(first: &str, rest: &[Piece], quoted: bool) -> Option<(String, bool, Word)> {
    let mut name = first.to_owned();
    for (index, piece) in rest.iter().enumerate() {
        let end = if let Piece::Text(text) = piece { text.split_once(']') } else { None };
        if let Some((key, after)) = end {
            name.push_str(key);
            name.push(']');
            let (append, value) = after.strip_prefix('+').map_or((false, after), |after| (true, after));
            let mut value = Word { pieces: vec![Piece::Text(value.strip_prefix('=')?.to_owned())], quoted };
            value.pieces.extend(rest[index + 1..].iter().cloned());
            return Some((name, append, value));
        }
        name.push_str(&piece.written());
    }
    None
}

/// Variables that a shell or a session always sets.
const ALWAYS_SET: &str = "HOME USER LOGNAME SHELL PWD OLDPWD EUID UID HOSTNAME PATH PPID RANDOM SECONDS TERM OSTYPE HOSTTYPE MACHTYPE LANG \
                          DISPLAY XDG_RUNTIME_DIR SUDO_USER SUDO_UID";
/// Whether a variable always has a value, which the host or the user decides.
pub fn is_always_set(name: &str) -> bool {
    has(ALWAYS_SET, name)
}

/// Whether a text can be a variable's name.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
