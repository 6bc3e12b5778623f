//! Parses tokens into commands: plain ones with their assignments, conditions, loops, functions.

use std::rc::Rc;

use super::command::{Arm, ArmEnd, Command, Joined, Part, Statement};
use super::lexer::{Kind, Token, tokens};
use super::marks::one_line;
use super::programs::starts_qemu;
use super::word::{Piece, Word};

/// Real scripts nest less, and a hostile text must not exhaust the stack.
const DEEPEST: usize = 60;

/// Reads a script; an error is the line of a quote or bracket that is never closed, or of a bracket in a QEMU command.
pub(super) fn parse(script: &str, first_line: usize) -> Result<Vec<Statement>, usize> {
    let mut parser = Parser { script, tokens: tokens(script, first_line)?, at: 0, depth: 0, bracket: None };
    let mut steps = Vec::new();
    while parser.at < parser.tokens.len() {
        steps.extend(parser.list(&[]));
        // An unmatched closing word is skipped.
        parser.at += 1;
    }
    parser.bracket.map_or(Ok(steps), Err)
}

struct Parser<'s> {
    script: &'s str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    /// The line of a bracket among the words of a QEMU command, which a shell refuses.
    bracket: Option<usize>,
}

/// Words at which a list of commands ends.
const CLOSERS: [&str; 8] = ["then", "elif", "else", "fi", "do", "done", "esac", "}"];

impl Parser<'_> {
    fn keyword(&self) -> Option<&str> {
        match &self.tokens.get(self.at)?.kind {
            Kind::Word(word) => word.plain(),
            _ => None,
        }
    }

    fn sign(&self) -> Option<&'static str> {
        match self.tokens.get(self.at)?.kind {
            Kind::Sign(sign) => Some(sign),
            _ => None,
        }
    }

    fn take(&mut self, keyword: &str) -> bool {
        let found = self.keyword() == Some(keyword) || self.sign() == Some(keyword);
        self.at += usize::from(found);
        found
    }

    fn skip_ends(&mut self) {
        while matches!(self.sign(), Some(";" | "\n" | "&")) {
            self.at += 1;
        }
    }

    /// Reads commands up to a closing word, which is not consumed.
    fn list(&mut self, ends: &[&str]) -> Vec<Statement> {
        let mut steps: Vec<Statement> = Vec::new();
        let mut joined = Joined::Always;
        while self.at < self.tokens.len() {
            match self.sign() {
                Some(";" | "\n" | "&") => {
                    if self.sign() == Some("&") {
                        in_background(&mut steps);
                    }
                    if !(self.sign() == Some("\n") && joined != Joined::Always) {
                        joined = Joined::Always;
                    }
                    self.at += 1;
                    continue;
                }
                Some(sign @ ("&&" | "||")) => {
                    joined = if sign == "&&" { Joined::And } else { Joined::Or };
                    self.at += 1;
                    continue;
                }
                Some("|") => {
                    self.at += 1;
                    continue;
                }
                Some(")" | ";;" | ";&" | ";;&") => break,
                _ => {}
            }
            if self.keyword().is_some_and(|word| ends.contains(&word) || CLOSERS.contains(&word)) {
                break;
            }
            let before = self.at;
            steps.extend(self.pipeline(joined));
            if self.sign() == Some("(") && steps.last().is_some_and(starts_qemu) {
                self.bracket = self.bracket.or(self.tokens.get(self.at).map(|token| token.line));
            }
            joined = Joined::Always;
            if self.at == before {
                self.at += 1;
            }
        }
        steps
    }

    fn pipeline(&mut self, joined: Joined) -> Option<Statement> {
        let (start, line) = self.tokens.get(self.at).map(|token| (token.start, token.line))?;
        let mut negated = false;
        while self.take("!") {
            negated = !negated;
        }
        let mut members: Vec<Statement> = Vec::new();
        loop {
            let first = self.at;
            let from = self.tokens.get(self.at)?;
            let (from, line) = (from.start, from.line);
            let command = self.command()?;
            let is_plain = matches!(command, Command::Plain(_));
            let tokens = self.tokens.get(first..self.at).filter(|_| is_plain).unwrap_or_default();
            let written = tokens.iter().flat_map(|token| token.written.iter().cloned()).collect();
            // That of a loop is behind its last word.
            let tokens = self.tokens.get(if is_plain { first } else { self.at.saturating_sub(1) }..self.at).unwrap_or_default();
            let input = tokens.iter().rev().find_map(|token| token.input.clone());
            members.push(Statement { joined: Joined::Always, negated: false, line, text: self.text(from), written, input, command });
            if self.sign() != Some("|") {
                break;
            }
            self.at += 1;
            self.skip_ends();
        }
        let text = self.text(start);
        if members.len() == 1 {
            return Some(Statement { joined, negated, line, text, ..members.pop()? });
        }
        Some(Statement { joined, negated, line, text, written: Vec::new(), input: None, command: Command::Pipeline(members) })
    }

    /// The text read since `start`, on one line.
    fn text(&self, start: usize) -> String {
        let end = self.tokens[..self.at].last().map_or(start, |token| token.end).max(start);
        one_line(&self.script.get(start..end).unwrap_or_default().replace("\\\n", " "))
    }

    fn command(&mut self) -> Option<Command> {
        if self.depth > DEEPEST {
            self.at = self.tokens.len();
            return None;
        }
        self.depth += 1;
        let command = self.command_here();
        self.depth -= 1;
        command
    }

    fn command_here(&mut self) -> Option<Command> {
        match &self.tokens.get(self.at)?.kind {
            Kind::Sign("(") => {
                self.at += 1;
                let body = self.list(&[]);
                self.take(")");
                return Some(Command::Subshell(body));
            }
            Kind::Arithmetic(text) => {
                let command = Command::Arithmetic(text.clone());
                self.at += 1;
                return Some(command);
            }
            _ => {}
        }
        match self.keyword() {
            Some("{") => Some(Command::Group(self.body())),
            Some("if") => Some(self.condition()),
            Some(word @ ("while" | "until")) => {
                let until = word == "until";
                self.at += 1;
                let condition = self.list(&[]);
                Some(Command::While { until, condition, body: self.body() })
            }
            Some("for" | "select") => self.for_loop(),
            Some("case") => self.case(),
            Some("function") => {
                self.at += 1;
                let name = self.keyword()?.to_owned();
                self.at += 1;
                if self.take("(") {
                    self.take(")");
                }
                Some(self.function(name))
            }
            _ => Some(self.plain()),
        }
    }

    /// `{ …; }`, `do …; done` or `then …`.
    fn body(&mut self) -> Vec<Statement> {
        self.skip_ends();
        for (open, close) in [("{", "}"), ("do", "done")] {
            if self.take(open) {
                let body = self.list(&[close]);
                self.take(close);
                return body;
            }
        }
        Vec::new()
    }

    fn plain(&mut self) -> Command {
        let mut parts = Vec::new();
        while let Some(token) = self.tokens.get(self.at) {
            match &token.kind {
                Kind::Word(word) => {
                    parts.push(Part::Word(word.clone()));
                    self.at += 1;
                }
                Kind::ArrayStart { name, append } => {
                    let (name, append) = (name.clone(), *append);
                    self.at += 1;
                    let values = self.words(|sign| sign == "\n");
                    self.take(")");
                    parts.push(Part::Array { name, append, values });
                }
                Kind::Sign("(") if parts.len() == 1 => {
                    let [Part::Word(word)] = &parts[..] else { break };
                    let Some(name) = word.plain().map(str::to_owned) else { break };
                    self.at += 1;
                    if self.take(")") {
                        return self.function(name);
                    }
                    break;
                }
                _ => break,
            }
        }
        Command::Plain(parts)
    }

    /// Words up to anything else; signs of this kind between them are skipped.
    fn words(&mut self, is_between: fn(&str) -> bool) -> Vec<Word> {
        let mut words = Vec::new();
        while let Some(token) = self.tokens.get(self.at) {
            match &token.kind {
                Kind::Word(word) => words.push(word.clone()),
                Kind::Sign(sign) if is_between(sign) => {}
                _ => break,
            }
            self.at += 1;
        }
        words
    }

    fn condition(&mut self) -> Command {
        let mut branches = Vec::new();
        self.at += 1;
        let mut condition = self.list(&[]);
        loop {
            self.take("then");
            branches.push((condition, self.list(&[])));
            if self.take("elif") {
                condition = self.list(&[]);
            } else if branches.last().is_some_and(|(condition, _)| !condition.is_empty()) && self.take("else") {
                condition = Vec::new();
            } else {
                self.take("fi");
                break;
            }
        }
        Command::If(branches)
    }

    fn for_loop(&mut self) -> Option<Command> {
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
        if self.take("in") {
            words = Some(self.words(|_| false));
        }
        if is_select {
            // The choice is not known.
            words = Some(vec![Word::of(Piece::Parameter { inside: name.clone(), quoted: true })]);
        }
        Some(Command::For { name, words, body: self.body() })
    }

    fn case(&mut self) -> Option<Command> {
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
            let patterns = self.words(|sign| sign == "|");
            if !self.take(")") {
                break;
            }
            let body = self.list(&[]);
            let end = match self.sign() {
                Some(";&") => ArmEnd::RunsNext,
                Some(";;&") => ArmEnd::TestsNext,
                _ => ArmEnd::Ends,
            };
            self.at += usize::from(matches!(self.sign(), Some(";;" | ";&" | ";;&")));
            arms.push(Arm { patterns, body, end });
        }
        Some(Command::Case { word, arms })
    }

    fn function(&mut self, name: String) -> Command {
        self.skip_ends();
        let body = match self.command() {
            Some(Command::Group(body)) => body,
            Some(command) => {
                vec![Statement {
                    joined: Joined::Always,
                    negated: false,
                    line: 0,
                    text: String::new(),
                    written: Vec::new(),
                    input: None,
                    command,
                }]
            }
            None => Vec::new(),
        };
        Command::Function { name, body: Rc::new(body) }
    }
}
/// `command &` runs in a subshell: `exec` in it does not end the script.
fn in_background(steps: &mut Vec<Statement>) {
    let Some(step) = steps.pop() else { return };
    let (joined, line, text) = (step.joined, step.line, step.text.clone());
    let command = Command::Subshell(vec![Statement { joined: Joined::Always, ..step }]);
    steps.push(Statement { joined, negated: false, line, text, written: Vec::new(), input: None, command });
}
