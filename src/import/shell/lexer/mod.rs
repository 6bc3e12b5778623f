//! Splits a script into words and operators, with their lines.

mod quotes;

use super::marks::{CLOSE, OPEN};

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

/// The kinds of tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Word(Word),
    /// `NAME=(`, `NAME+=(`.
    ArrayStart {
        name: String,
        append: bool,
    },
    /// `((…))`.
    Arithmetic(String),
    /// `;`, the end of a line, `&`, `&&`, `||`, `|`, `;;`, `(` and `)`.
    Sign(&'static str),
}

/// A token and its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) line: usize,
    /// Its byte range in the text.
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Reads a script; an error is the line of a quote or bracket that is never closed.
pub(super) fn tokens(script: &str, first_line: usize) -> Result<Vec<Token>, usize> {
    let mut lexer = Lexer {
        script,
        rest: script,
        tokens: Vec::new(),
        word: None,
        word_start: 0,
        before: 0,
        redirection: None,
        heredocs: Vec::new(),
        in_test: false,
        last_close: script.rfind("))"),
        counted: (0, first_line),
        open: None,
    };
    lexer.run();
    match lexer.open {
        Some(line) => Err(line),
        None => Ok(lexer.tokens),
    }
}

/// What the word after a redirection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Redirection {
    File,
    Heredoc,
}

struct Lexer<'s> {
    script: &'s str,
    rest: &'s str,
    tokens: Vec<Token>,
    word: Option<Word>,
    word_start: usize,
    /// Where the current character begins: a word before it ends there.
    before: usize,
    redirection: Option<Redirection>,
    /// The end markers of the here-documents that begin on the next line.
    heredocs: Vec<String>,
    /// Between `[[` and `]]`, where operators are words.
    in_test: bool,
    /// The position of the last `))`.
    last_close: Option<usize>,
    /// The position up to which lines were counted, and its line.
    counted: (usize, usize),
    /// The line of an unclosed quote or bracket.
    open: Option<usize>,
}

impl Lexer<'_> {
    fn run(&mut self) {
        loop {
            self.before = self.at();
            let Some(c) = self.next() else { break };
            match c {
                '\\' => match self.next() {
                    Some('\n') | None => {}
                    Some(escaped) => self.text(escaped, true),
                },
                '\'' => self.single_quotes(),
                '"' => self.double_quotes(),
                '$' | '`' => self.expansion(c, false),
                OPEN => self.unknown(),
                '#' if self.word.is_none() => self.skip_line(),
                '\n' if self.in_test => self.finish_word(),
                '\n' => {
                    self.sign("\n", 1);
                    self.skip_heredocs();
                }
                '(' | ')' | '<' | '>' | '&' | '|' if self.in_test => self.sign_in_test(c),
                '&' if self.rest.starts_with('>') => {}
                ';' | '|' | '&' => self.operator(c),
                '<' | '>' => self.redirect(c),
                '(' => self.open(),
                ')' => self.sign(")", 1),
                c if c.is_whitespace() => self.finish_word(),
                c => self.text(c, false),
            }
        }
        self.sign("\n", 0);
    }

    fn at(&self) -> usize {
        self.script.len() - self.rest.len()
    }

    fn line_at(&mut self, at: usize) -> usize {
        let (counted, line) = self.counted;
        if at >= counted {
            self.counted = (at, line + self.script[counted..at].matches('\n').count());
        }
        self.counted.1
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        if self.word.is_none() {
            self.word_start = self.at();
        }
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn text(&mut self, c: char, quoted: bool) {
        let word = self.word.get_or_insert_default();
        word.quoted |= quoted;
        match (word.pieces.last_mut(), quoted) {
            (Some(Piece::Text(text)), false) | (Some(Piece::Quoted(text)), true) => text.push(c),
            (_, false) => word.pieces.push(Piece::Text(c.to_string())),
            (_, true) => word.pieces.push(Piece::Quoted(c.to_string())),
        }
    }

    fn quoted_text(&mut self, text: &str) {
        self.word.get_or_insert_default().quoted = true;
        for c in text.chars() {
            self.text(c, true);
        }
    }

    /// The mark of an unknown value, in a text that is parsed again.
    fn unknown(&mut self) {
        self.text(OPEN, false);
        while let Some(c) = self.next() {
            self.text(c, false);
            if c == CLOSE {
                return;
            }
        }
    }

    fn open(&mut self) {
        let name = self.word.as_ref().and_then(|word| match &word.pieces[..] {
            [Piece::Text(text)] if !word.quoted => text.strip_suffix('=').map(str::to_owned),
            _ => None,
        });
        if let Some(name) = name {
            self.word = None;
            let append = name.ends_with('+');
            self.push(Kind::ArrayStart { name: name.trim_end_matches('+').to_owned(), append }, self.word_start);
        } else if self.word.is_none() && self.rest.starts_with('(') && self.last_close.is_some_and(|close| close >= self.at()) {
            let start = self.at() - 1;
            let text = self.inside('(', ')');
            self.rest = self.rest.strip_prefix(')').unwrap_or(self.rest);
            self.push(Kind::Arithmetic(text), start);
        } else {
            self.sign("(", 1);
        }
    }

    fn operator(&mut self, c: char) {
        let (sign, more) = match (c, self.rest.chars().next()) {
            (';', Some(';')) => (";;", 1),
            (';', Some('&')) => (";&", 1),
            ('&', Some('&')) => ("&&", 1),
            ('|', Some('|')) => ("||", 1),
            ('|', Some('&')) => ("|", 1),
            (';', _) => (";", 0),
            ('&', _) => ("&", 0),
            _ => ("|", 0),
        };
        self.rest = &self.rest[more..];
        if sign == ";;" {
            self.rest = self.rest.strip_prefix('&').unwrap_or(self.rest);
        }
        self.sign(sign, 1 + more);
    }

    fn sign_in_test(&mut self, c: char) {
        let doubled = (c == '&' || c == '|') && self.rest.starts_with(c);
        if !doubled && c != '(' && c != ')' {
            return self.text(c, false);
        }
        self.finish_word();
        self.text(c, false);
        if doubled {
            self.next();
            self.text(c, false);
        }
        self.finish_word();
    }

    /// `2>&1`, `< file`, `<< END`, `<<< text` are ignored. `<(…)` is a word.
    fn redirect(&mut self, c: char) {
        if self.rest.starts_with('(') {
            let text = format!("{c}({})", self.inside('(', ')'));
            let piece = Piece::Command { text, quoted: true };
            return self.word.get_or_insert_default().pieces.push(piece);
        }
        let is_number = self
            .word
            .as_ref()
            .is_some_and(|word| matches!(&word.pieces[..], [Piece::Text(text)] if text.bytes().all(|byte| byte.is_ascii_digit())));
        if is_number {
            self.word = None;
        }
        self.finish_word();
        let is_heredoc = c == '<' && self.rest.starts_with('<') && !self.rest.starts_with("<<");
        let length = self.rest.find(|c| !['<', '>', '&', '-', '|'].contains(&c)).unwrap_or(self.rest.len());
        let (sign, rest) = self.rest.split_at(length);
        // `< <(…)`: the second `<` belongs to the word.
        let (sign, rest) = if rest.starts_with('(') { ("", self.rest) } else { (sign, rest) };
        self.rest = rest;
        if !sign.ends_with("&-") {
            self.redirection = Some(if is_heredoc { Redirection::Heredoc } else { Redirection::File });
        }
    }

    fn skip_heredocs(&mut self) {
        for end in std::mem::take(&mut self.heredocs) {
            loop {
                let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
                self.rest = rest;
                if line.trim() == end || rest.is_empty() {
                    break;
                }
            }
        }
    }

    fn skip_line(&mut self) {
        self.rest = &self.rest[self.rest.find('\n').unwrap_or(self.rest.len())..];
    }

    fn finish_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        match self.redirection.take() {
            Some(Redirection::Heredoc) => {
                let text = |piece: &Piece| match piece {
                    Piece::Text(text) | Piece::Quoted(text) => text.clone(),
                    _ => String::new(),
                };
                self.heredocs.push(word.pieces.iter().map(text).collect());
            }
            Some(Redirection::File) => {}
            None => {
                match &word.pieces[..] {
                    [Piece::Text(text)] if text == "[[" => self.in_test = true,
                    [Piece::Text(text)] if text == "]]" => self.in_test = false,
                    _ => {}
                }
                self.push(Kind::Word(word), self.word_start);
                if let Some(token) = self.tokens.last_mut() {
                    token.end = self.before.max(token.start);
                }
            }
        }
    }

    fn sign(&mut self, sign: &'static str, length: usize) {
        self.finish_word();
        self.redirection = None;
        self.push(Kind::Sign(sign), self.at().saturating_sub(length));
    }

    fn push(&mut self, kind: Kind, start: usize) {
        let line = self.line_at(start);
        self.tokens.push(Token { kind, line, start, end: self.at() });
    }
}
