//! Quotes and expansions within them.

use super::{Lexer, Piece};

impl Lexer<'_> {
    pub(super) fn single_quotes(&mut self) {
        let Some((inside, rest)) = self.rest.split_once('\'') else {
            return self.left_open();
        };
        self.rest = rest;
        self.quoted_text(inside);
    }

    pub(super) fn double_quotes(&mut self) {
        let start = self.at();
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
        self.rest = &self.script[start..];
        self.left_open();
    }

    pub(super) fn left_open(&mut self) {
        let line = self.line_at(self.at());
        self.open.get_or_insert(line);
        self.rest = "";
    }

    /// `$'…'`, with its escapes.
    pub(super) fn escaped_quotes(&mut self) {
        self.word.get_or_insert_default().quoted = true;
        while let Some(c) = self.next() {
            match c {
                '\'' => return,
                '\\' => match self.next() {
                    Some('n') => self.text('\n', true),
                    Some('t') => self.text('\t', true),
                    Some('r') => self.text('\r', true),
                    Some('x') => {
                        let length = self.rest.bytes().take(2).take_while(u8::is_ascii_hexdigit).count();
                        let (digits, rest) = self.rest.split_at(length);
                        self.rest = rest;
                        self.text(u8::from_str_radix(digits, 16).map_or('x', char::from), true);
                    }
                    Some(other) => self.text(other, true),
                    None => {}
                },
                c => self.text(c, true),
            }
        }
        self.left_open();
    }

    /// After `$` or a backtick.
    pub(super) fn expansion(&mut self, sign: char, quoted: bool) {
        let piece = if sign == '`' {
            let Some((text, rest)) = self.rest.split_once('`') else {
                return self.left_open();
            };
            self.rest = rest;
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
    pub(super) fn inside(&mut self, open: char, close: char) -> String {
        let start = self.at();
        let mut depth = 0_usize;
        let mut text = String::new();
        while let Some(c) = self.next() {
            text.push(c);
            match c {
                '\\' => text.extend(self.next()),
                '\'' if open == '(' => self.quote_inside('\'', &mut text),
                '"' => self.quote_inside('"', &mut text),
                _ if c == open => depth += 1,
                _ if c == close => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return text[1..text.len() - 1].to_owned();
            }
        }
        self.rest = &self.script[start..];
        self.left_open();
        String::new()
    }

    /// Reads up to the closing quote, if there is one.
    pub(super) fn quote_inside(&mut self, quote: char, text: &mut String) {
        if let Some((inside, rest)) = self.rest.split_once(quote) {
            self.rest = rest;
            text.push_str(inside);
            text.push(quote);
        }
    }
}
