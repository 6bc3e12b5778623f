//! Splits a script into words and operators, with their lines; quotes and expansions are parts of words.

use super::marks::{CLOSE, OPEN, unknown};
use super::word::{Piece, Word};

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
    /// The files into which what follows it writes: `> FILE`, `>> FILE`.
    pub(super) written: Vec<Word>,
    /// What the command reads: `<<<TEXT`, `<<END`; marked as unknown for `<FILE`.
    pub(super) input: Option<Word>,
}

/// Reads a script; an error is the line of a quote or bracket that is never closed.
pub(super) fn tokens(script: &str, first_line: usize) -> Result<Vec<Token>, usize> {
    let mut lexer = Lexer::new(script, first_line);
    lexer.run();
    match lexer.open {
        Some(line) => Err(line),
        None => Ok(lexer.tokens),
    }
}

/// Operators, the longest first, and the sign that each is.
const OPERATORS: [(&str, &str); 9] =
    [(";;&", ";;&"), (";;", ";;"), (";&", ";&"), ("&&", "&&"), ("||", "||"), ("|&", "|"), (";", ";"), ("&", "&"), ("|", "|")];

/// What the word after a redirection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Redirection {
    /// Another number, or a file for one.
    Other,
    Read,
    Written,
    /// The text itself: `<<<`.
    Text,
    Heredoc {
        strips_tabs: bool,
    },
}

/// A text that begins on the next line.
struct Heredoc {
    end: String,
    /// Its marker is quoted, so nothing in it is expanded.
    is_literal: bool,
    strips_tabs: bool,
    /// The token of the command that reads it.
    of: Option<usize>,
}

/// The text of a here-document, as if it were in double quotes.
fn expanded(text: &str) -> Word {
    let mut lexer = Lexer::new(text, 1);
    lexer.in_double_quotes(None);
    if lexer.open.is_some() { of_unknown() } else { lexer.word.unwrap_or_default() }
}

/// A shell ends the text after `<<<` as a line.
fn with_line_end(mut word: Word) -> Word {
    word.pieces.push(Piece::Quoted("\n".to_owned()));
    word
}

/// What a file contains.
fn of_unknown() -> Word {
    Word::of(Piece::Quoted(unknown("<")))
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
    heredocs: Vec<Heredoc>,
    /// Between `[[` and `]]`, where operators are words.
    in_test: bool,
    /// The position of the last `))`.
    last_close: Option<usize>,
    /// The position up to which lines were counted, and its line.
    counted: (usize, usize),
    /// The line of an unclosed quote or bracket.
    open: Option<usize>,
}

impl<'s> Lexer<'s> {
    fn new(script: &'s str, first_line: usize) -> Self {
        Self {
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
        }
    }

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
                c if c.is_whitespace() && self.in_test && self.open_in_regex().is_some_and(|open| open > 0) => self.text(c, false),
                '\n' => {
                    // Within `[[ … ]]` it is a blank, behind it the end of the command.
                    self.finish_word();
                    if !self.in_test {
                        self.sign("\n", 1);
                        self.read_heredocs();
                    }
                }
                '(' | ')' | '<' | '>' | '&' | '|' if self.in_test => self.sign_in_test(c),
                '&' if self.rest.starts_with('>') => {}
                ';' | '|' | '&' => self.operator(),
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
        let name = self.word.as_ref().and_then(|word| word.plain()?.strip_suffix('=').map(str::to_owned));
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

    fn operator(&mut self) {
        let text = &self.script[self.before..];
        for (written, sign) in OPERATORS {
            if let Some(rest) = text.strip_prefix(written) {
                self.rest = rest;
                return self.sign(sign, written.len());
            }
        }
    }

    /// The regular expression after `=~`: how many of its brackets are open.
    fn open_in_regex(&self) -> Option<usize> {
        let is_sign = |token: &Token| matches!(&token.kind, Kind::Word(word) if word.plain() == Some("=~"));
        self.tokens.last().filter(|last| is_sign(last))?;
        let texts = self
            .word
            .iter()
            .flat_map(|word| &word.pieces)
            .filter_map(|piece| if let Piece::Text(text) = piece { Some(text) } else { None });
        let count = |letter| texts.clone().map(|text| text.matches(letter).count()).sum::<usize>();
        Some(count('(').saturating_sub(count(')')))
    }

    fn sign_in_test(&mut self, c: char) {
        if let Some(open) = self.open_in_regex()
            && c != '&'
            && (open > 0 || (c != ')' && !(c == '|' && self.rest.starts_with('|'))))
        {
            return self.text(c, false);
        }
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

    /// What follows `2>&1`, `< file`, `<< END`, `<<< text` is no word of the command. `<(…)` is one.
    fn redirect(&mut self, c: char) {
        if self.rest.starts_with('(') {
            let text = format!("{c}({})", self.inside('(', ')'));
            let piece = Piece::Command { text, quoted: true };
            return self.word.get_or_insert_default().pieces.push(piece);
        }
        if c == '<'
            && let Some(place) = self.place_to_fill_in()
        {
            self.rest = &self.rest[place.len() - 1..];
            return self.word.get_or_insert_default().pieces.push(Piece::Quoted(unknown(place)));
        }
        let is_number = |word: &mut Word| word.plain().is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let is_other = self.word.take_if(is_number).is_some_and(|number| number.plain() != Some(if c == '<' { "0" } else { "1" }));
        self.finish_word();
        let is_heredoc = c == '<' && self.rest.starts_with('<') && !self.rest.starts_with("<<");
        let length = self.rest.find(|c| !['<', '>', '&', '-', '|'].contains(&c)).unwrap_or(self.rest.len());
        let (sign, rest) = self.rest.split_at(length);
        // `< <(…)`: the second `<` belongs to the word.
        let (sign, rest) = if rest.starts_with('(') { ("", self.rest) } else { (sign, rest) };
        self.rest = rest;
        if !sign.ends_with("&-") {
            self.redirection = Some(match c {
                _ if is_heredoc => Redirection::Heredoc { strips_tabs: sign.contains('-') },
                // Of `>&2` what is printed goes elsewhere, as into a file.
                '>' if !sign.contains('&') || !is_other => Redirection::Written,
                '<' if sign.starts_with("<<") && !is_other => Redirection::Text,
                '<' if !is_other => Redirection::Read,
                _ => Redirection::Other,
            });
        }
    }

    /// `<PATH TO ISO>`, which a page has in place of a value: a shell would read a file, and write into one named as the next option.
    fn place_to_fill_in(&self) -> Option<&'s str> {
        let (name, after) = self.rest.split_once('>')?;
        let is_name = name.starts_with(char::is_alphabetic) && name.chars().all(|c| c.is_alphanumeric() || "_-. ".contains(c));
        let ends = after.is_empty() || after.starts_with(char::is_whitespace) || self.word.is_some();
        (is_name && ends).then(|| &self.script[self.at() - 1..=self.at() + name.len()])
    }

    fn read_heredocs(&mut self) {
        for heredoc in std::mem::take(&mut self.heredocs) {
            let mut text = String::new();
            loop {
                let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
                self.rest = rest;
                if line.trim() == heredoc.end {
                    break;
                }
                text.push_str(if heredoc.strips_tabs { line.trim_start_matches('\t') } else { line });
                text.push('\n');
                if rest.is_empty() {
                    break;
                }
            }
            let Some(token) = heredoc.of.and_then(|of| self.tokens.get_mut(of)) else { continue };
            token.input = Some(if heredoc.is_literal { Word::of(Piece::Quoted(text)) } else { expanded(&text) });
        }
    }

    fn skip_line(&mut self) {
        self.rest = &self.rest[self.rest.find('\n').unwrap_or(self.rest.len())..];
    }

    fn finish_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        match self.redirection.take() {
            Some(Redirection::Heredoc { strips_tabs }) => {
                let text = |piece: &Piece| match piece {
                    Piece::Text(text) | Piece::Quoted(text) => text.clone(),
                    _ => String::new(),
                };
                let end = word.pieces.iter().map(text).collect();
                self.heredocs.push(Heredoc { end, is_literal: word.quoted, strips_tabs, of: self.tokens.len().checked_sub(1) });
            }
            Some(Redirection::Other) => {}
            Some(to @ (Redirection::Read | Redirection::Text)) => {
                let Some(token) = self.tokens.last_mut() else { return };
                token.input = Some(if to == Redirection::Read { of_unknown() } else { with_line_end(word) });
            }
            Some(Redirection::Written) => {
                if let Some(token) = self.tokens.last_mut() {
                    token.written.push(word);
                }
            }
            None => {
                match &word.pieces[..] {
                    [Piece::Text(text)] if text == "[[" || text == "]]" => self.in_test = text == "[[",
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
        self.tokens.push(Token { kind, line, start, end: self.at(), written: Vec::new(), input: None });
    }

    /// The text up to a character, which is consumed.
    fn until(&mut self, end: char) -> Option<&'s str> {
        let (inside, rest) = self.rest.split_once(end)?;
        self.rest = rest;
        Some(inside)
    }

    fn single_quotes(&mut self) {
        match self.until('\'') {
            Some(inside) => self.quoted_text(inside),
            None => self.left_open(),
        }
    }

    fn double_quotes(&mut self) {
        let start = self.at();
        if !self.in_double_quotes(Some('"')) {
            self.rest = &self.script[start..];
            self.left_open();
        }
    }

    /// Text up to a character, or all; whether that character was there.
    fn in_double_quotes(&mut self, end: Option<char>) -> bool {
        self.word.get_or_insert_default().quoted = true;
        while let Some(c) = self.next() {
            match c {
                c if Some(c) == end => return true,
                '\\' => match self.next() {
                    Some('\n') | None => {}
                    Some(escaped) if Some(escaped) == end || ['\\', '$', '`'].contains(&escaped) => self.text(escaped, true),
                    Some(other) => self.quoted_text(&format!("\\{other}")),
                },
                '$' | '`' => self.expansion(c, true),
                c => self.text(c, true),
            }
        }
        end.is_none()
    }

    fn left_open(&mut self) {
        let line = self.line_at(self.at());
        self.open.get_or_insert(line);
        self.rest = "";
    }

    /// `$'…'`, with its escapes.
    fn escaped_quotes(&mut self) {
        self.word.get_or_insert_default().quoted = true;
        while let Some(c) = self.next() {
            match c {
                '\'' => return,
                '\\' => match self.next() {
                    Some('x') => {
                        let length = self.rest.bytes().take(2).take_while(u8::is_ascii_hexdigit).count();
                        let (digits, rest) = self.rest.split_at(length);
                        self.rest = rest;
                        self.text(u8::from_str_radix(digits, 16).map_or('x', char::from), true);
                    }
                    Some(letter) => {
                        let known = [('n', '\n'), ('t', '\t'), ('r', '\r')].into_iter().find(|(known, _)| *known == letter);
                        self.text(known.map_or(letter, |(_, control)| control), true);
                    }
                    None => {}
                },
                c => self.text(c, true),
            }
        }
        self.left_open();
    }

    /// After `$` or a backtick.
    fn expansion(&mut self, sign: char, quoted: bool) {
        let piece = if sign == '`' {
            let Some(text) = self.until('`') else { return self.left_open() };
            Piece::Command { text: text.trim().to_owned(), quoted }
        } else if !quoted && self.rest.starts_with('\'') {
            self.next();
            return self.escaped_quotes();
        } else if !quoted && self.rest.starts_with('"') {
            return;
        } else if self.rest.starts_with('(') {
            let text = self.inside('(', ')');
            Piece::Command { text: text.trim().to_owned(), quoted }
        } else if self.rest.starts_with('{') {
            Piece::Parameter { inside: self.inside('{', '}'), quoted }
        } else {
            let special = self.rest.chars().next().filter(|c| "@*#?!$0123456789".contains(*c));
            let length = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest.len());
            let length = special.map_or(length, char::len_utf8);
            if length == 0 {
                return self.text('$', quoted);
            }
            let (name, rest) = self.rest.split_at(length);
            self.rest = rest;
            Piece::Parameter { inside: name.to_owned(), quoted }
        };
        let word = self.word.get_or_insert_default();
        word.quoted |= quoted;
        word.pieces.push(piece);
    }

    /// The text between brackets, with nested ones matched.
    fn inside(&mut self, open: char, close: char) -> String {
        let start = self.at();
        let mut depth = 0_usize;
        while let Some(c) = self.next() {
            if c == '\\' {
                self.next();
            } else if c == '"' || (c == '\'' && open == '(') {
                self.until(c);
            } else if c == open {
                depth += 1;
            } else if c == close {
                depth -= 1;
            }
            if depth == 0 {
                return self.script[start + 1..self.at() - 1].to_owned();
            }
        }
        self.rest = &self.script[start..];
        self.left_open();
        String::new()
    }
}
