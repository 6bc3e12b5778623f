//! Compound commands.

use std::rc::Rc;

use super::super::lexer::{Kind, Piece, Token, Word};
use super::{Command, Joined, Parser, Statement};

impl Parser<'_> {
    pub(super) fn condition(&mut self) -> Command {
        let mut branches = Vec::new();
        self.at += 1;
        let mut condition = self.list(&["{"]);
        loop {
            let in_braces = self.keyword() == Some("{");
            let body = if in_braces {
                self.body()
            } else {
                self.take("then");
                self.list(&[])
            };
            branches.push((condition, body));
            let here = self.at;
            if in_braces {
                self.skip_ends();
            }
            if self.take("elif") {
                condition = self.list(&["{"]);
            } else if self.keyword() == Some("else") && branches.last().is_some_and(|(condition, _)| !condition.is_empty()) {
                self.at += 1;
                condition = Vec::new();
            } else if in_braces {
                self.at = here;
                break;
            } else {
                self.take("fi");
                break;
            }
        }
        Command::If(branches)
    }

    pub(super) fn for_loop(&mut self) -> Option<Command> {
        let is_select = self.take("select");
        self.at += usize::from(!is_select);
        if let Kind::Arithmetic(head) = &self.tokens.get(self.at)?.kind {
            let head = head.clone();
            self.at += 1;
            return Some(Command::Count { head, body: self.body() });
        }
        let name = self.keyword()?.to_owned();
        self.at += 1;
        let mut words = None;
        if self.take("in") || self.take("(") {
            let mut found = Vec::new();
            while let Some(Token { kind: Kind::Word(word), .. }) = self.tokens.get(self.at) {
                found.push(word.clone());
                self.at += 1;
            }
            self.take(")");
            words = Some(found);
        }
        if is_select {
            // The choice is not known.
            let text = format!("select {name}");
            words = Some(vec![Word { pieces: vec![Piece::Command { text, quoted: true }], quoted: true }]);
        }
        Some(Command::For { name, words, body: self.body() })
    }

    pub(super) fn case(&mut self) -> Option<Command> {
        self.at += 1;
        let Kind::Word(word) = self.tokens.get(self.at)?.kind.clone() else { return None };
        self.at += 1;
        self.skip_ends();
        self.take("in");
        let mut arms = Vec::new();
        loop {
            self.skip_ends();
            if self.take("esac") || self.at >= self.tokens.len() {
                break;
            }
            self.take("(");
            let mut patterns = Vec::new();
            while let Some(token) = self.tokens.get(self.at) {
                match &token.kind {
                    Kind::Word(word) => patterns.push(word.clone()),
                    Kind::Sign("|") => {}
                    _ => break,
                }
                self.at += 1;
            }
            if !self.take(")") {
                break;
            }
            arms.push((patterns, self.list(&[])));
            let _ = self.take(";;") || self.take(";&");
        }
        Some(Command::Case { word, arms })
    }

    pub(super) fn function(&mut self, name: String) -> Command {
        self.skip_ends();
        let body = match self.command() {
            Some(Command::Group(body)) => body,
            Some(command) => vec![Statement { joined: Joined::Always, negated: false, line: 0, text: String::new(), command }],
            None => Vec::new(),
        };
        Command::Function { name, body: Rc::new(body) }
    }
}
