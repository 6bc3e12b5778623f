//! Words of a script, before expansion.

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
        let shown = |piece: &Piece| match piece {
            Piece::Text(text) | Piece::Quoted(text) => text.clone(),
            Piece::Parameter { inside, .. } => format!("${{{inside}}}"),
            Piece::Command { text, .. } => format!("$({text})"),
        };
        let bare = |piece: &Piece| if let Piece::Text(text) = piece { text.clone() } else { " ".to_owned() };
        let bare: String = self.pieces.iter().map(bare).collect();
        let inside = bare.split_once('{').and_then(|(_, after)| Some(after.rsplit_once('}')?.0))?;
        (inside.contains(',') || inside.contains("..")).then(|| self.pieces.iter().map(shown).collect())
    }

    /// Whether it is a pattern that a shell expands to file names.
    pub(super) fn finds_files(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Text(text) if text.contains(['*', '?'])))
    }
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

/// Whether a text can be a variable's name.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
