//! Commands of a script, as they are parsed.

use std::rc::Rc;

use super::word::{Word, assignment};

/// A part of a plain command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Word(Word),
    Array { name: String, append: bool, values: Vec<Word> },
}

impl Part {
    pub(super) fn word(&self) -> Option<&Word> {
        match self {
            Part::Word(word) => Some(word),
            Part::Array { .. } => None,
        }
    }

    /// The variable that it assigns.
    pub(super) fn assigned(&self) -> Option<String> {
        match self {
            Part::Word(word) => assignment(word).map(|(name, ..)| name),
            Part::Array { name, .. } => Some(name.clone()),
        }
    }
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
    /// The files into which a plain command writes what it prints.
    pub(super) written: Vec<Word>,
    /// What it reads, where the script says that.
    pub(super) input: Option<Word>,
    pub(super) command: Command,
}

impl Statement {
    /// The parts of a plain command, and its first word if that is plain text.
    pub(super) fn parts(&self) -> Option<(&str, &[Part])> {
        let Command::Plain(parts) = &self.command else { return None };
        let first = match parts.first() {
            Some(Part::Word(word)) => word.plain().unwrap_or_default(),
            _ => "",
        };
        Some((first, parts))
    }
}

/// An arm of `case`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arm {
    pub(super) patterns: Vec<Word>,
    pub(super) body: Vec<Statement>,
    pub(super) end: ArmEnd,
}

/// What follows an arm that was run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ArmEnd {
    /// `;;`: nothing.
    Ends,
    /// `;&`: the next arm, whatever its patterns.
    RunsNext,
    /// `;;&`: the next arm whose patterns match.
    TestsNext,
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
        arms: Vec<Arm>,
    },
    /// The body is shared: following the definition again defines the function again.
    Function {
        name: String,
        body: Rc<Vec<Statement>>,
    },
    Arithmetic(String),
}

/// Visits all commands in a list, including nested ones.
pub(super) fn each<'s>(steps: &'s [Statement], see: &mut dyn FnMut(&'s Statement)) {
    for step in steps {
        see(step);
        let bodies: Vec<&[Statement]> = match &step.command {
            Command::Group(body)
            | Command::Subshell(body)
            | Command::Pipeline(body)
            | Command::For { body, .. }
            | Command::Count { body, .. } => vec![body],
            Command::Function { body, .. } => vec![body],
            Command::If(branches) => branches.iter().flat_map(|(condition, body)| [condition.as_slice(), body]).collect(),
            Command::While { condition, body, .. } => vec![condition, body],
            Command::Case { arms, .. } => arms.iter().map(|arm| arm.body.as_slice()).collect(),
            Command::Plain(_) | Command::Arithmetic(_) => Vec::new(),
        };
        for body in bodies {
            each(body, see);
        }
    }
}
