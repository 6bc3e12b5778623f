//! Words to text: parameters put in, unquoted ones split. What is not known stays marked, so that
//! it can be named wherever it ends up.

use std::collections::BTreeMap;

use super::arithmetic;
use super::lexer::{Piece, Word};

/// Around the name of what is not known.
const OPEN: char = '\u{e000}';
const CLOSE: char = '\u{e001}';
/// In place of white space between them, by which words are split.
const SPACE: char = '\u{e002}';

/// What a name stands for.
pub(super) type Given<'g> = &'g dyn Fn(&str) -> Option<String>;

/// The variables of a script so far.
pub(super) struct Variables<'g> {
    pub(super) set: BTreeMap<String, Vec<String>>,
    /// What fills those that the script does not set.
    pub(super) given: Given<'g>,
    /// The directory of the script, and its path.
    pub(super) script: &'g str,
}

/// A mark in the place of what is not known.
fn unknown(name: &str) -> String {
    format!("{OPEN}{}{CLOSE}", name.replace(char::is_whitespace, &SPACE.to_string()))
}

/// The names of what is not known in a text.
pub(super) fn unknowns(text: &str) -> impl Iterator<Item = String> {
    text.split(OPEN).skip(1).filter_map(|part| Some(part.split_once(CLOSE)?.0.replace(SPACE, " ")))
}

/// The same text for people.
pub(super) fn shown(text: &str) -> String {
    let mut shown = text.to_owned();
    for name in unknowns(text) {
        let sign = if name.starts_with('$') { name.clone() } else { format!("${name}") };
        shown = shown.replace(&unknown(&name), &sign);
    }
    shown
}

impl Variables<'_> {
    /// A word as the words that a shell makes of it.
    pub(super) fn words(&self, word: &Word) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut is_word = word.quoted;
        for (index, piece) in word.pieces.iter().enumerate() {
            let (values, quoted) = match piece {
                Piece::Text(text) => (vec![self.tilde(text, index == 0 && !word.quoted)], true),
                Piece::Parameter { inside, quoted } => (self.parameter(inside, *quoted), *quoted),
                Piece::Command { text, quoted } => (vec![self.command(text)], *quoted),
            };
            is_word |= matches!(piece, Piece::Text(_));
            for (number, value) in values.iter().enumerate() {
                if number > 0 {
                    words.push(String::new());
                }
                if quoted {
                    append(&mut words, value);
                    continue;
                }
                is_word |= !value.trim().is_empty();
                let separate = value.starts_with(char::is_whitespace) && words.last().is_some_and(|last| !last.is_empty());
                if separate {
                    words.push(String::new());
                }
                for (number, part) in value.split_whitespace().enumerate() {
                    if number > 0 {
                        words.push(String::new());
                    }
                    append(&mut words, part);
                }
                if value.ends_with(char::is_whitespace) && !value.trim().is_empty() {
                    words.push(String::new());
                }
            }
            // An array without elements is no word.
            is_word &= !(values.is_empty() && word.pieces.len() == 1);
        }
        if !is_word {
            words.retain(|word| !word.is_empty());
        }
        if words.len() > 1 && words.last().is_some_and(String::is_empty) {
            words.pop();
        }
        words
    }

    /// A word that is not split, such as the value of an assignment.
    pub(super) fn text(&self, word: &Word) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Parameter { inside, .. } => self.parameter(inside, true).join(" "),
            Piece::Command { text, .. } => self.command(text),
        };
        let text: String = word.pieces.iter().map(piece).collect();
        self.tilde(&text, !word.quoted)
    }

    fn tilde(&self, text: &str, may: bool) -> String {
        match text.strip_prefix("~/") {
            Some(rest) if may => format!("{}/{rest}", self.value("HOME").unwrap_or_else(|| unknown("HOME"))),
            _ => text.to_owned(),
        }
    }

    fn value(&self, name: &str) -> Option<String> {
        match name {
            "0" | "BASH_SOURCE" => Some(self.script.to_owned()),
            _ => self.set.get(name).map(|values| values.first().cloned().unwrap_or_default()).or_else(|| (self.given)(name)),
        }
    }

    fn parameter(&self, inside: &str, quoted: bool) -> Vec<String> {
        // What the script is called with is nothing.
        if inside == "@" || inside == "*" || inside.bytes().all(|byte| byte.is_ascii_digit() && byte != b'0') {
            return Vec::new();
        }
        let end = inside.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inside.len());
        let (name, operation) = inside.split_at(end);
        let value = self.value(name);
        if operation == "[@]" || operation == "[*]" {
            let all = self.set.get(name).cloned().unwrap_or_else(|| value.into_iter().collect());
            return if operation == "[*]" && quoted { vec![all.join(" ")] } else { all };
        }
        let filled = value.clone().filter(|value| !value.is_empty());
        let word = |from: usize| self.nested(&operation[from..]);
        vec![match operation.get(..2).unwrap_or(operation) {
            "" | "[0" => value.unwrap_or_else(|| unknown(name)),
            ":-" | ":=" => filled.unwrap_or_else(|| word(2)),
            ":+" => filled.map(|_| word(2)).unwrap_or_default(),
            ":?" => filled.unwrap_or_else(|| unknown(name)),
            _ if operation.starts_with(['-', '=']) => value.unwrap_or_else(|| word(1)),
            _ if operation.starts_with('+') => value.map(|_| word(1)).unwrap_or_default(),
            _ if operation == "%/*" => {
                value.map_or_else(|| unknown(name), |value| value.rsplit_once('/').map_or(value.clone(), |(head, _)| head.to_owned()))
            }
            _ if operation == "##*/" => {
                value.map_or_else(|| unknown(name), |value| value.rsplit('/').next().unwrap_or_default().to_owned())
            }
            _ => unknown(inside),
        }]
    }

    /// The word in `${NAME:-word}`.
    fn nested(&self, text: &str) -> String {
        super::lexer::tokens(text)
            .iter()
            .filter_map(|token| match token {
                super::lexer::Token::Word(word) => Some(self.text(word)),
                _ => None,
            })
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Where the script lies is known; nothing else is run.
    fn command(&self, text: &str) -> String {
        if text.contains("dirname") && (text.contains("$0") || text.contains("BASH_SOURCE")) {
            return self.script.rsplit_once('/').map_or_else(|| ".".to_owned(), |(directory, _)| directory.to_owned());
        }
        let sum =
            text.strip_prefix('(').and_then(|sum| sum.strip_suffix(')')).and_then(|sum| arithmetic::value(sum, &|name| self.value(name)));
        sum.map(|sum| sum.to_string()).or_else(|| (self.given)(text)).unwrap_or_else(|| unknown(&format!("$({text})")))
    }
}

fn append(words: &mut [String], text: &str) {
    if let Some(last) = words.last_mut() {
        last.push_str(text);
    }
}
