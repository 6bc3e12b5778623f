//! Parses tokens into commands: conditions, loops, functions.

mod compound;

use std::rc::Rc;

use super::lexer::{Kind, Piece, Token, Word, tokens};

/// A part of a plain command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Word(Word),
    Array { name: String, append: bool, values: Vec<Word> },
}

/// How a command is joined to the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joined {
    Always,
    /// After `&&`.
    And,
    /// After `||`.
    Or,
}

/// A command in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) joined: Joined,
    /// After `!`.
    pub(super) negated: bool,
    pub(super) line: usize,
    /// As it was written, on one line.
    pub(super) text: String,
    pub(super) command: Command,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Plain(Vec<Part>),
    Group(Vec<Statement>),
    Subshell(Vec<Statement>),
    Pipeline(Vec<Statement>),
    /// Conditions and their bodies; the condition of `else` is empty.
    If(Vec<(Vec<Statement>, Vec<Statement>)>),
    While {
        until: bool,
        condition: Vec<Statement>,
        body: Vec<Statement>,
    },
    For {
        name: String,
        words: Option<Vec<Word>>,
        body: Vec<Statement>,
    },
    /// `for ((…; …; …))`.
    Count {
        head: String,
        body: Vec<Statement>,
    },
    Case {
        word: Word,
        arms: Vec<(Vec<Word>, Vec<Statement>)>,
    },
    /// The body is shared: following the definition again defines the function again.
    Function {
        name: String,
        body: Rc<Vec<Statement>>,
    },
    Arithmetic(String),
}

/// Real scripts nest less, and a hostile text must not exhaust the stack.
const DEEPEST: usize = 60;

/// Reads a script; an error is the line of a quote or bracket that is never closed.
pub(super) fn parse(script: &str, first_line: usize) -> Result<Vec<Statement>, usize> {
    let mut parser = Parser { script, tokens: tokens(script, first_line)?, at: 0, depth: 0 };
    let mut steps = Vec::new();
    while parser.at < parser.tokens.len() {
        steps.extend(parser.list(&[]));
        // An unmatched closing word is skipped.
        parser.at += 1;
    }
    Ok(steps)
}

/// A word without quotes and parameters.
pub(super) fn plain(word: &Word) -> Option<&str> {
    match &word.pieces[..] {
        [Piece::Text(text)] if !word.quoted => Some(text),
        _ => None,
    }
}

/// Visits all commands in a list, including nested ones.
pub(super) fn each<'s>(steps: &'s [Statement], see: &mut dyn FnMut(&'s Statement)) {
    for step in steps {
        see(step);
        match &step.command {
            Command::Group(body)
            | Command::Subshell(body)
            | Command::Pipeline(body)
            | Command::For { body, .. }
            | Command::Count { body, .. } => each(body, see),
            Command::Function { body, .. } => each(body, see),
            Command::If(branches) => {
                for (condition, body) in branches {
                    each(condition, see);
                    each(body, see);
                }
            }
            Command::While { condition, body, .. } => {
                each(condition, see);
                each(body, see);
            }
            Command::Case { arms, .. } => arms.iter().for_each(|(_, body)| each(body, see)),
            Command::Plain(_) | Command::Arithmetic(_) => {}
        }
    }
}

struct Parser<'s> {
    script: &'s str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

/// Words at which a list of commands ends.
const CLOSERS: [&str; 8] = ["then", "elif", "else", "fi", "do", "done", "esac", "}"];

impl Parser<'_> {
    fn keyword(&self) -> Option<&str> {
        match &self.tokens.get(self.at)?.kind {
            Kind::Word(word) => plain(word),
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
                Some(")" | ";;" | ";&") => break,
                _ => {}
            }
            if self.keyword().is_some_and(|word| ends.contains(&word) || CLOSERS.contains(&word)) {
                break;
            }
            let before = self.at;
            steps.extend(self.pipeline(joined));
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
            let from = self.tokens.get(self.at)?;
            let (from, line) = (from.start, from.line);
            let command = self.command()?;
            members.push(Statement { joined: Joined::Always, negated: false, line, text: self.text(from), command });
            if self.sign() != Some("|") {
                break;
            }
            self.at += 1;
            self.skip_ends();
        }
        let text = self.text(start);
        let command = if members.len() == 1 { members.pop()?.command } else { Command::Pipeline(members) };
        Some(Statement { joined, negated, line, text, command })
    }

    /// The text read since `start`, on one line.
    fn text(&self, start: usize) -> String {
        let end = self.tokens[..self.at].last().map_or(start, |token| token.end).max(start);
        let text = self.script.get(start..end).unwrap_or_default();
        text.replace("\\\n", " ").split_whitespace().collect::<Vec<_>>().join(" ")
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
                let condition = self.list(&["{"]);
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
                    // zsh: `if [[ … ]] {`.
                    if plain(word) == Some("]]") {
                        break;
                    }
                }
                Kind::ArrayStart { name, append } => {
                    let (name, append) = (name.clone(), *append);
                    self.at += 1;
                    let values = self.array();
                    parts.push(Part::Array { name, append, values });
                }
                Kind::Sign("(") if parts.len() == 1 => {
                    let [Part::Word(word)] = &parts[..] else { break };
                    let Some(name) = plain(word).map(str::to_owned) else { break };
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

    fn array(&mut self) -> Vec<Word> {
        let mut values = Vec::new();
        while let Some(token) = self.tokens.get(self.at) {
            match &token.kind {
                Kind::Word(word) => values.push(word.clone()),
                Kind::Sign("\n") => {}
                _ => break,
            }
            self.at += 1;
        }
        self.take(")");
        values
    }
}
