//! A script's text in words and the ends of commands.

/// A part of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// As it stands.
    Text(String),
    /// What is in `${…}`, or the name behind `$`.
    Parameter { inside: String, quoted: bool },
    /// A command whose output would stand here; it is not run.
    Command { text: String, quoted: bool },
}

/// A word, in parts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Word {
    pub(super) pieces: Vec<Piece>,
    /// Whether anything of it was in quotes: then it is a word although it is empty.
    pub(super) quoted: bool,
}

/// What a script is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Word(Word),
    /// `NAME=(`, `NAME+=(`.
    ArrayStart {
        name: String,
        append: bool,
    },
    /// `)`, also that of an array.
    Close,
    /// The end of a command.
    End,
}

/// Reads a script.
pub(super) fn tokens(script: &str) -> Vec<Token> {
    let mut lexer = Lexer { rest: script, tokens: Vec::new(), word: None, heredocs: Vec::new() };
    lexer.run();
    lexer.tokens
}

struct Lexer<'s> {
    rest: &'s str,
    tokens: Vec<Token>,
    word: Option<Word>,
    /// The words that end the texts which begin on the next line.
    heredocs: Vec<String>,
}

impl Lexer<'_> {
    fn run(&mut self) {
        while let Some(c) = self.next() {
            match c {
                '\\' => match self.next() {
                    Some('\n') | None => {}
                    Some(escaped) => self.text(escaped, true),
                },
                '\'' => {
                    let end = self.rest.find('\'').unwrap_or(self.rest.len());
                    let (inside, rest) = self.rest.split_at(end);
                    self.rest = rest.strip_prefix('\'').unwrap_or(rest);
                    self.quoted_text(inside);
                }
                '"' => self.double_quotes(),
                '$' | '`' => self.expansion(c, false),
                '#' if self.word.is_none() => self.skip_line(),
                '\n' => {
                    self.end();
                    self.skip_heredocs();
                }
                '&' if self.rest.starts_with('>') => {}
                ';' | '|' | '&' => self.end(),
                '<' | '>' => self.redirection(),
                '(' => self.open(),
                ')' => {
                    self.finish_word();
                    self.tokens.push(Token::Close);
                }
                c if c.is_whitespace() => self.finish_word(),
                c => self.text(c, false),
            }
        }
        self.end();
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn text(&mut self, c: char, quoted: bool) {
        let word = self.word.get_or_insert_default();
        word.quoted |= quoted;
        match word.pieces.last_mut() {
            Some(Piece::Text(text)) => text.push(c),
            _ => word.pieces.push(Piece::Text(c.to_string())),
        }
    }

    fn quoted_text(&mut self, text: &str) {
        self.word.get_or_insert_default().quoted = true;
        for c in text.chars() {
            self.text(c, true);
        }
    }

    fn double_quotes(&mut self) {
        self.word.get_or_insert_default().quoted = true;
        while let Some(c) = self.next() {
            match c {
                '"' => return,
                '\\' => match self.next() {
                    Some('\n') | None => {}
                    Some(escaped @ ('"' | '\\' | '$' | '`')) => self.text(escaped, true),
                    Some(other) => self.quoted_text(&format!("\\{other}")),
                },
                '$' | '`' => self.expansion(c, true),
                c => self.text(c, true),
            }
        }
    }

    /// Behind `$` or a back tick.
    fn expansion(&mut self, sign: char, quoted: bool) {
        let piece = if sign == '`' {
            let end = self.rest.find('`').unwrap_or(self.rest.len());
            let (text, rest) = self.rest.split_at(end);
            self.rest = rest.strip_prefix('`').unwrap_or(rest);
            Piece::Command { text: text.trim().to_owned(), quoted }
        } else if self.rest.starts_with('(') {
            let text = self.inside('(', ')');
            Piece::Command { text: text.trim().to_owned(), quoted }
        } else if self.rest.starts_with('{') {
            Piece::Parameter { inside: self.inside('{', '}'), quoted }
        } else {
            let special = self.rest.chars().next().filter(|c| "@*#?0123456789".contains(*c));
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

    /// What stands between brackets, those inside of it matched.
    fn inside(&mut self, open: char, close: char) -> String {
        let mut depth = 0_usize;
        let mut text = String::new();
        while let Some(c) = self.next() {
            if c == open {
                depth += 1;
            } else if c == close {
                depth -= 1;
            }
            if depth == 0 {
                break;
            }
            text.push(c);
        }
        text.chars().skip(1).collect()
    }

    fn open(&mut self) {
        let name = self.word.as_ref().and_then(|word| match &word.pieces[..] {
            [Piece::Text(text)] if !word.quoted => text.strip_suffix('=').map(str::to_owned),
            _ => None,
        });
        match name {
            Some(name) => {
                self.word = None;
                let append = name.ends_with('+');
                self.tokens.push(Token::ArrayStart { name: name.trim_end_matches('+').to_owned(), append });
            }
            None => self.end(),
        }
    }

    /// `2>&1`, `< file`, `<< END`: it is left out.
    fn redirection(&mut self) {
        let is_number = self
            .word
            .as_ref()
            .is_some_and(|word| matches!(&word.pieces[..], [Piece::Text(text)] if text.bytes().all(|byte| byte.is_ascii_digit())));
        if is_number {
            self.word = None;
        }
        self.finish_word();
        let is_heredoc = self.rest.starts_with('<') && !self.rest.starts_with("<<");
        self.rest = self.rest.trim_start_matches(['<', '>', '&', '-', '|']).trim_start_matches([' ', '\t']);
        let end = self.rest.find(|c: char| c.is_whitespace() || ";|&<>()".contains(c)).unwrap_or(self.rest.len());
        let (target, rest) = self.rest.split_at(end);
        self.rest = rest;
        if is_heredoc {
            self.heredocs.push(target.trim_matches(['"', '\'']).to_owned());
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
        self.tokens.extend(self.word.take().map(Token::Word));
    }

    fn end(&mut self) {
        self.finish_word();
        if self.tokens.last().is_some_and(|last| *last != Token::End) {
            self.tokens.push(Token::End);
        }
    }
}
