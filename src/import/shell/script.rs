//! A script followed as a shell would, without running anything, to the command that starts QEMU.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::condition::{self, Operand, Truth};
use super::expand::{Given, Variables, filled, is_name, shown, unknown, unknowns};
use super::lexer::{Piece, Word};
use super::parser::{Command, Joined, Part, Step, each, parse, plain};
use super::shape::{
    COMPARED, SAYING, all_assign, assignment, assignment_of, finds_files, head, is_qemu, key_pieces, names_read, starts_qemu,
};
use super::wrappers::{self, Inner};
use super::{arithmetic, kind, pattern};

/// What a script would run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Script {
    /// What stands before QEMU: `sudo`, `taskset -c 2-5`, …
    pub before: Vec<String>,
    /// QEMU and its options.
    pub argv: Vec<String>,
    /// Variables that nobody set, and commands that were not run, where QEMU's options need them.
    pub unset: Vec<String>,
    /// What is good to know of how it was read.
    pub notes: Vec<String>,
    /// Why no QEMU command was read, and what to do.
    pub refusal: Option<(String, String)>,
}

impl Script {
    fn refused(why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { refusal: Some((why.into(), remedy.into())), ..Self::default() }
    }
}

/// Words before assignments.
const DECLARERS: [&str; 5] = ["export", "local", "declare", "readonly", "typeset"];
/// Variables that a shell or a session always sets.
const ALWAYS_SET: [&str; 22] = [
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "PWD",
    "OLDPWD",
    "EUID",
    "UID",
    "HOSTNAME",
    "PATH",
    "PPID",
    "RANDOM",
    "SECONDS",
    "TERM",
    "OSTYPE",
    "HOSTTYPE",
    "MACHTYPE",
    "LANG",
    "DISPLAY",
    "XDG_RUNTIME_DIR",
    "SUDO_USER",
    "SUDO_UID",
];
/// Commands that only print, or do well without doing anything to what is read here.
const HARMLESS: [&str; 8] = ["echo", "printf", ":", "true", "set", "trap", "wait", "sleep"];
/// No script of people's runs a loop more often, or calls itself so deep, or does so much.
const ROUNDS: usize = 200;
const DEEPEST: usize = 15;
const MOST_STEPS: usize = 20_000;
/// How deep functions are looked into for what is left out.
const CALLS_SEEN: usize = 2;

/// Reads a script that lies at a path; `given` fills what it does not set.
pub fn read(text: &str, path: &str, given: Given<'_>) -> Script {
    if let Some(language) = kind::other_language(text, path) {
        let remedy = "write the QEMU command that it runs into a shell script: ps -ww -o args= -C qemu-system-x86_64 prints it";
        return Script::refused(format!("it is {language}, not a shell script"), remedy);
    }
    let arguments = (1..10).map_while(|number| given(&number.to_string())).collect();
    let first_line = text.lines().next().unwrap_or_default();
    let mut reader = Reader {
        variables: Variables {
            set: BTreeMap::new(),
            arguments,
            arguments_said: false,
            given,
            script: path,
            zsh: first_line.starts_with("#!") && first_line.contains("zsh"),
        },
        script: Script::default(),
        functions: BTreeMap::new(),
        called: BTreeSet::new(),
        local: Vec::new(),
        flow: None,
        steps: 0,
        assumed: BTreeSet::new(),
        asked: BTreeSet::new(),
        keyed: BTreeSet::new(),
        prefix: Vec::new(),
        line: 1,
        unread: BTreeMap::new(),
    };
    let unit = kind::is_unit(text).then(|| kind::of_unit(text));
    let text = unit.as_deref().unwrap_or(text);
    let text = if text.contains("\r\n") {
        reader.note(
            "its lines end in CR LF, as Windows writes them, and are read as if in LF alone; a shell makes the CR part of the last word",
        );
        text.replace("\r\n", "\n")
    } else {
        text.to_owned()
    };
    match parse(&text, 1) {
        Ok(steps) => {
            reader.run(&steps);
            reader.finish(&text)
        }
        Err(line) => Script::refused(format!("line {line}: a quote or bracket that opens there is never closed"), "close it"),
    }
}

/// What leaves the commands that are being followed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Flow {
    Break,
    Continue,
    Return,
    /// And what ended the script.
    Exit(String),
}

struct Reader<'g> {
    variables: Variables<'g>,
    script: Script,
    functions: BTreeMap<String, Rc<Vec<Step>>>,
    called: BTreeSet<String>,
    /// For each function that runs: what its local variables hide.
    local: Vec<Vec<(String, Option<Vec<String>>)>>,
    flow: Option<Flow>,
    steps: usize,
    /// What the last condition was not told: variables taken as empty, `1` for the script's arguments.
    assumed: BTreeSet<String>,
    /// Variables that are asked for when the script runs.
    asked: BTreeSet<String>,
    /// Associative arrays.
    keyed: BTreeSet<String>,
    /// The commands within which a text is read.
    prefix: Vec<String>,
    /// The line that is read.
    line: usize,
    /// Lines with a QEMU command that were left out, why, and whether a note says so.
    unread: BTreeMap<usize, (String, bool)>,
}

impl Reader<'_> {
    fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.script.notes.contains(&note) {
            self.script.notes.push(note);
        }
    }

    /// Follows commands; whether the last one did well.
    fn run(&mut self, steps: &[Step]) -> Truth {
        let mut truth = Truth::of(true);
        for (index, step) in steps.iter().enumerate() {
            if let Some(flow) = &self.flow {
                let why = if let Flow::Exit(by) = flow { format!("{by} ends the script before it") } else { "it is not reached".into() };
                self.leave(&steps[index..], &why, false);
                return truth;
            }
            if step.joined != Joined::Always && index > 0 {
                let rest = &steps[index..];
                let chain = &rest[..rest.iter().position(|step| step.joined == Joined::Always).unwrap_or(rest.len())];
                let other = chain.iter().position(|other| other.joined != step.joined).unwrap_or(chain.len());
                let (then, otherwise) = match step.joined {
                    Joined::Or => (&chain[other..], &chain[..other]),
                    _ => (&chain[..other], &chain[other..]),
                };
                let before = &steps[index - 1];
                truth = Truth::of(self.decide(before.line, &before.text, truth, &[then], &[otherwise]));
                if truth.holds != (step.joined == Joined::And) {
                    continue;
                }
            }
            self.steps += 1;
            if self.steps > MOST_STEPS {
                self.flow = Some(Flow::Exit("that it does so much".into()));
                return truth;
            }
            self.line = step.line;
            truth = self.step(step);
            if step.negated {
                truth = truth.not();
            }
        }
        truth
    }

    fn step(&mut self, step: &Step) -> Truth {
        match &step.command {
            Command::Plain(parts) => return self.plain(step, parts),
            Command::Group(body) => return self.run(body),
            Command::Subshell(body) => return self.apart(body),
            Command::Pipeline(members) => {
                for member in members {
                    self.apart(std::slice::from_ref(member));
                }
                return Truth::GUESS;
            }
            Command::Arithmetic(text) => return self.sum(text),
            Command::If(branches) => self.branches(branches),
            Command::While { until, condition, body } => self.repeat(step, *until, condition, body),
            Command::For { name, words, body } => self.each_word(step, name, words.as_deref(), body),
            Command::Count { head, body } => self.count(step, head, body),
            Command::Case { word, arms } => self.case(step, word, arms),
            Command::Function { name, body } => {
                self.functions.insert(name.clone(), Rc::new(body.clone()));
            }
        }
        Truth::of(true)
    }

    /// In a shell of its own: nothing that is set there stays.
    fn apart(&mut self, body: &[Step]) -> Truth {
        let before = (self.variables.set.clone(), self.variables.arguments.clone(), self.variables.arguments_said);
        let truth = self.run(body);
        (self.variables.set, self.variables.arguments, self.variables.arguments_said) = before;
        if self.steps <= MOST_STEPS {
            self.flow = None;
        }
        truth
    }

    /// Which way a condition goes. What cannot be told is guessed, and what the other way would have
    /// done is told.
    fn decide(&mut self, line: usize, condition: &str, truth: Truth, then: &[&[Step]], otherwise: &[&[Step]]) -> bool {
        let assumed = std::mem::take(&mut self.assumed);
        let ends = |reader: &Self, lists: &[&[Step]]| lists.first().is_some_and(|list| reader.ends(list, 0));
        let holds = if truth.known {
            truth.holds
        } else {
            match (ends(self, then), ends(self, otherwise)) {
                (true, false) => false,
                (false, true) => true,
                _ => truth.holds,
            }
        };
        let (taken, left) = if holds { (then, otherwise) } else { (otherwise, then) };
        let effects: Vec<String> = left.iter().flat_map(|list| self.effects(list, 0)).collect();
        let matters = !effects.is_empty() || taken.iter().any(|list| !self.effects(list, 0).is_empty());
        let out = if effects.is_empty() { "nothing".to_owned() } else { effects.join("; ") };
        let does = if holds { "holds" } else { "does not hold" };
        // That a command does well is nothing to tell, unless something hangs on it.
        let is_test = condition.starts_with(['[', '!']) || condition.starts_with("test ") || condition.starts_with("case ");
        let told = if truth.known { matters && !assumed.is_empty() } else { matters && (is_test || !effects.is_empty()) };
        if told && !truth.known {
            let as_it = if holds { "does" } else { "does not" };
            self.note(format!("line {line}: whether `{condition}` holds is not known; taken as it {as_it}; left out: {out}"));
        } else if told && assumed.contains("1") {
            self.note(format!(
                "line {line}: the script takes arguments; without any, `{condition}` {does}; left out: {out}; --set '1=VALUE' gives it the first"
            ));
        } else if told {
            let names: Vec<String> = assumed.iter().map(|name| format!("${name}")).collect();
            let sets: Vec<String> = assumed.iter().map(|name| format!("--set '{name}=VALUE'")).collect();
            let (names, sets) = (names.join(" and "), sets.join(" "));
            self.note(format!(
                "line {line}: {names} is not set by the script, and taken as empty: `{condition}` {does}; left out: {out}; else {sets}"
            ));
        }
        let why = format!("line {line}: `{condition}` {does}, as it is read");
        let remedy = if assumed.contains("1") { "; --set '1=VALUE' gives the script its first argument" } else { "" };
        for list in left {
            self.leave(list, &format!("{why}{remedy}"), told);
            self.leave_empty(list);
        }
        holds
    }

    /// Commands that are not followed: those of QEMU among them are remembered.
    fn leave(&mut self, steps: &[Step], why: &str, told: bool) {
        each(steps, &mut |step| {
            if starts_qemu(step) {
                self.unread.entry(step.line).or_insert_with(|| (why.to_owned(), told));
            }
        });
    }

    /// What only commands that are not followed would set is not set.
    fn leave_empty(&mut self, steps: &[Step]) {
        let mut names = Vec::new();
        each(steps, &mut |step| {
            let Command::Plain(parts) = &step.command else { return };
            names.extend(parts.iter().filter_map(|part| match part {
                Part::Word(word) => assignment(word).map(|(name, ..)| name),
                Part::Array { name, .. } => Some(name.clone()),
            }));
        });
        for name in names {
            if self.variables.value(&name).is_none() && is_name(&name) {
                self.set(&name, Vec::new());
            }
        }
    }

    /// Whether commands end the script or the function.
    fn ends(&self, steps: &[Step], depth: usize) -> bool {
        steps.iter().filter(|step| step.joined != Joined::Or).any(|step| match &step.command {
            Command::Group(body) => self.ends(body, depth),
            Command::Plain(parts) => {
                let first = match parts.first() {
                    Some(Part::Word(word)) => plain(word).unwrap_or_default(),
                    _ => "",
                };
                let called = self.functions.get(first).filter(|_| depth < CALLS_SEEN);
                matches!(first, "exit" | "return" | "break" | "continue")
                    || (first == "exec" && parts.len() > 1 && !starts_qemu(step))
                    || called.is_some_and(|body| self.ends(body, depth + 1))
            }
            _ => false,
        })
    }

    /// What commands would do to QEMU's command, as they are written.
    fn effects(&self, steps: &[Step], depth: usize) -> Vec<String> {
        let mut effects = Vec::new();
        each(steps, &mut |step| {
            let Command::Plain(parts) = &step.command else { return };
            let first = match parts.first() {
                Some(Part::Word(word)) => plain(word).unwrap_or_default(),
                _ => "",
            };
            let sets = match parts.last() {
                Some(Part::Array { .. }) => true,
                Some(Part::Word(word)) => {
                    assignment(word).is_some() && (parts.len() == 1 || all_assign(parts) || DECLARERS.contains(&first))
                }
                None => false,
            };
            let sets_arguments = first == "set" && parts.len() > 1 && step.text.contains("--");
            let called = self.functions.get(first).filter(|_| depth < CALLS_SEEN);
            let calls = called.is_some_and(|body| !self.effects(body, depth + 1).is_empty());
            let within = matches!(first, "eval" | "source" | "." | "unset" | "read" | "mapfile");
            if (sets || sets_arguments || calls || within || starts_qemu(step)) && !effects.contains(&step.text) {
                effects.push(step.text.clone());
            }
        });
        effects
    }

    fn condition(&mut self, steps: &[Step]) -> (Truth, usize, String) {
        self.assumed.clear();
        let truth = self.run(steps);
        let mut text = String::new();
        for step in steps {
            text += match (text.is_empty(), step.joined) {
                (true, _) => "",
                (_, Joined::And) => " && ",
                (_, Joined::Or) => " || ",
                _ => "; ",
            };
            text += &step.text;
        }
        (truth, steps.first().map_or(self.line, |step| step.line), text)
    }

    fn branches(&mut self, branches: &[(Vec<Step>, Vec<Step>)]) {
        for (index, (condition, body)) in branches.iter().enumerate() {
            let rest: Vec<&[Step]> = branches[index + 1..].iter().map(|(_, body)| body.as_slice()).collect();
            if condition.is_empty() {
                self.run(body);
                return;
            }
            let (truth, line, text) = self.condition(condition);
            if self.flow.is_some() {
                return;
            }
            if self.decide(line, &text, truth, &[body], &rest) {
                self.run(body);
                return;
            }
        }
    }

    /// Whether a loop goes on after its body was followed.
    fn goes_on(&mut self) -> bool {
        match self.flow {
            Some(Flow::Break) => {
                self.flow = None;
                false
            }
            Some(Flow::Continue) => {
                self.flow = None;
                true
            }
            Some(_) => false,
            None => true,
        }
    }

    fn repeat(&mut self, step: &Step, until: bool, condition: &[Step], body: &[Step]) {
        let before = (self.variables.set.clone(), self.variables.arguments.clone());
        let found = self.script.argv.len();
        for _ in 0..ROUNDS {
            let (mut truth, line, text) = self.condition(condition);
            if until {
                truth = truth.not();
            }
            if !truth.known {
                break;
            }
            let word = if until { "until " } else { "" };
            let goes = self.decide(line, &format!("{word}{text}"), truth, &[body], &[]);
            if !goes {
                return;
            }
            self.run(body);
            if !self.goes_on() || self.script.argv.len() != found {
                return;
            }
        }
        (self.variables.set, self.variables.arguments) = before;
        self.assumed.clear();
        self.left_loop(step, body);
    }

    /// A loop that is not known to end: QEMU in it is read as if it ran once.
    fn left_loop(&mut self, step: &Step, body: &[Step]) {
        let head = head(&step.text);
        let mut has_qemu = false;
        each(body, &mut |step| has_qemu |= starts_qemu(step));
        let line = step.line;
        if has_qemu {
            self.note(format!("line {line}: how often `{head}` runs is not known; read as if once"));
            self.run(body);
            self.goes_on();
            return;
        }
        let effects = self.effects(body, 0);
        if !effects.is_empty() {
            self.note(format!("line {line}: how often `{head}` runs is not known; left out: {}", effects.join("; ")));
        }
    }

    fn each_word(&mut self, step: &Step, name: &str, words: Option<&[Word]>, body: &[Step]) {
        let of_arguments = words.is_none_or(|words| words.iter().any(|word| self.asks_for_arguments(word)));
        let values: Vec<String> = match words {
            Some(words) => words.iter().flat_map(|word| self.variables.words(word)).collect(),
            None => self.variables.arguments.clone(),
        };
        let is_known = |value: &String| unknowns(value).next().is_none();
        if !values.iter().all(is_known) || values.len() > ROUNDS || words.is_some_and(|words| words.iter().any(finds_files)) {
            return self.left_loop(step, body);
        }
        if values.is_empty() && of_arguments {
            self.assumed.insert("1".into());
            self.decide(step.line, head(&step.text), Truth::of(false), &[body], &[]);
            return;
        }
        for value in values {
            self.set(name, vec![value]);
            self.run(body);
            if !self.goes_on() {
                return;
            }
        }
    }

    fn count(&mut self, step: &Step, head: &str, body: &[Step]) {
        let parts: Vec<&str> = head.split(';').collect();
        let before = self.variables.set.clone();
        if let [start, condition, next] = parts[..] {
            self.sum(start);
            for _ in 0..ROUNDS {
                let truth = self.sum(condition);
                if !truth.known {
                    break;
                }
                if !truth.holds {
                    return;
                }
                self.run(body);
                if !self.goes_on() {
                    return;
                }
                self.sum(next);
            }
        }
        self.variables.set = before;
        self.left_loop(step, body);
    }

    /// `((…))`: a number set, or two compared.
    fn sum(&mut self, text: &str) -> Truth {
        self.assumed.clear();
        let text = text.trim();
        let value = |reader: &Self, text: &str| {
            arithmetic::value(text, &|name| {
                Some(reader.variables.value(name).unwrap_or_default()).map(|value| if value.is_empty() { "0".into() } else { value })
            })
        };
        if let Some((name, by)) =
            [("++", 1), ("--", -1)].iter().find_map(|(sign, by)| Some((text.strip_suffix(sign).or(text.strip_prefix(sign))?, by)))
        {
            return self.set_sum(name, value(self, name).map(|now| now + by));
        }
        for (sign, holds) in COMPARED {
            if let Some((left, right)) = text.split_once(sign) {
                return match (value(self, left), value(self, right)) {
                    (Some(left), Some(right)) => Truth::of(holds(&left, &right)),
                    _ => Truth::GUESS,
                };
            }
        }
        if let Some((name, right)) = text.split_once('=') {
            let (name, sign) =
                name.trim().strip_suffix(['+', '-']).map_or((name, 0), |bare| (bare, if name.contains('+') { 1 } else { -1 }));
            let now = if sign == 0 { Some(0) } else { value(self, name) };
            let to = now.zip(value(self, right)).and_then(|(now, right)| now.checked_add(if sign < 0 { -right } else { right }));
            return self.set_sum(name, to);
        }
        value(self, text).map_or(Truth::GUESS, |value| Truth::of(value != 0))
    }

    fn set_sum(&mut self, name: &str, value: Option<i64>) -> Truth {
        if is_name(name.trim()) {
            let value = value.map_or_else(|| unknown(name.trim()), |value| value.to_string());
            self.set(name.trim(), vec![value]);
        }
        Truth::GUESS
    }

    fn case(&mut self, step: &Step, word: &Word, arms: &[(Vec<Word>, Vec<Step>)]) {
        self.assumed.clear();
        if self.asks_for_arguments(word) {
            self.assumed.insert("1".into());
        }
        let text = self.variables.text(word);
        let known = self.known(&text);
        let written = step.text.split(" in ").next().unwrap_or_default().to_owned();
        let chosen = match &known {
            Some(text) => {
                let is = |reader: &mut Self, word: &Word| pattern::matches(&reader.variables.pattern(word), text);
                arms.iter().position(|(patterns, _)| patterns.iter().any(|word| is(self, word)))
            }
            None => arms.iter().position(|(_, body)| !self.ends(body, 0)),
        };
        let others = |taken: Option<usize>| -> Vec<&[Step]> {
            arms.iter().enumerate().filter(|(index, _)| Some(*index) != taken).map(|(_, (_, body))| body.as_slice()).collect()
        };
        let taken: &[Step] = chosen.map_or(&[], |index| &arms[index].1);
        let name = chosen.and_then(|index| arms[index].0.first()).map(|word| shown(&self.variables.text(word)));
        let condition = match name {
            Some(name) => format!("{written} in {name})"),
            None => format!("{written} in any of its patterns"),
        };
        let truth = Truth { known: known.is_some(), holds: chosen.is_some() };
        let rest = others(chosen);
        // What is asked is whether the arm is the one: the others are left out either way.
        if chosen.is_some() {
            let assumed = self.assumed.clone();
            self.decide_arm(step.line, &condition, truth, &assumed, taken, &rest);
            self.run(taken);
        } else {
            self.decide(step.line, &condition, truth, &rest, &[]);
        }
    }

    fn decide_arm(&mut self, line: usize, condition: &str, truth: Truth, assumed: &BTreeSet<String>, taken: &[Step], rest: &[&[Step]]) {
        let ends_nothing: &[Step] = &[];
        self.assumed.clone_from(assumed);
        // An arm that ends the script is what the script does, not a guess.
        let then = if self.ends(taken, 0) { ends_nothing } else { taken };
        self.decide(line, condition, truth, &[then], rest);
    }

    fn asks_for_arguments(&self, word: &Word) -> bool {
        let asks = |piece: &Piece| matches!(piece, Piece::Parameter { inside, .. } if matches!(inside.as_str(), "@" | "*" | "#"));
        !self.variables.arguments_said && self.variables.arguments.is_empty() && word.pieces.iter().any(asks)
    }

    /// A text of a condition, if it can be known; what is only not set is taken as empty.
    fn known(&mut self, text: &str) -> Option<String> {
        let (asked, assumed) = (&self.asked, &mut self.assumed);
        filled(text, &mut |name| {
            if name.bytes().all(|byte| byte.is_ascii_digit()) {
                assumed.insert("1".into());
                return Some(String::new());
            }
            if !is_name(name) || asked.contains(name) || ALWAYS_SET.contains(&name) {
                return None;
            }
            assumed.insert(name.to_owned());
            Some(String::new())
        })
    }

    fn test(&mut self, words: &[&Word], double: bool) -> Truth {
        self.assumed.clear();
        let mut operands = Vec::new();
        for word in words {
            if self.asks_for_arguments(word) {
                self.assumed.insert("1".into());
            }
            if double {
                let (text, pattern) = (self.variables.text(word), self.variables.pattern(word));
                operands.push(Operand { text: self.known(&text), pattern: self.known(&pattern) });
                continue;
            }
            for text in self.variables.words(word) {
                let text = self.known(&text);
                // An empty word without quotes is none.
                if word.quoted || text.as_deref() != Some("") {
                    operands.push(Operand { pattern: text.clone(), text });
                }
            }
        }
        condition::holds(&operands, double)
    }

    fn set(&mut self, name: &str, values: Vec<String>) {
        self.variables.set.insert(name.to_owned(), values);
    }

    fn assign(&mut self, name: &str, append: bool, text: String) {
        let before = if append { self.variables.value(name).unwrap_or_default() } else { String::new() };
        if let Some((array, key)) = name.strip_suffix(']').and_then(|name| name.split_once('[')) {
            let number: Option<usize> = key.parse().ok().filter(|number| *number < ROUNDS && !self.keyed.contains(array));
            match number {
                Some(number) => {
                    let values = self.variables.set.entry(array.to_owned()).or_default();
                    values.resize(values.len().max(number + 1), String::new());
                    values[number] = text;
                }
                None => self.set(name, vec![text]),
            }
            return;
        }
        let value = before + &text;
        match self.variables.set.get_mut(name).and_then(|values| values.first_mut()) {
            Some(first) if append => *first = value,
            _ => self.set(name, vec![value]),
        }
    }

    fn assign_array(&mut self, name: &str, append: bool, words: &[Word]) {
        let keyed = |word: &Word| matches!(word.pieces.first(), Some(Piece::Text(text)) if text.starts_with('['));
        if words.first().is_some_and(keyed) {
            for word in words {
                let text = self.variables.text(word);
                if let Some((key, value)) = text.strip_prefix('[').and_then(|text| text.split_once("]=")) {
                    self.assign(&format!("{name}[{key}]"), false, value.to_owned());
                }
            }
            return;
        }
        let values: Vec<String> = words.iter().flat_map(|word| self.variables.words(word)).collect();
        let now = self.variables.set.entry(name.to_owned()).or_default();
        if append {
            now.extend(values);
        } else {
            *now = values;
        }
    }

    fn plain(&mut self, step: &Step, parts: &[Part]) -> Truth {
        let words: Vec<&Word> = parts.iter().filter_map(|part| if let Part::Word(word) = part { Some(word) } else { None }).collect();
        match words.first().and_then(|word| plain(word)) {
            Some("[[") => {
                return self.test(&words[1..words.len() - usize::from(words.last().and_then(|word| plain(word)) == Some("]]"))], true);
            }
            Some("[") => return self.test(&words[1..words.len().max(2) - 1], false),
            Some("test") => return self.test(&words[1..], false),
            Some("((") => return Truth::GUESS,
            Some(first) if DECLARERS.contains(&first) => return self.declare(first, &parts[1..]),
            _ => {}
        }
        self.assumed.clear();
        let assigns = parts.iter().take_while(|part| !matches!(part, Part::Word(word) if assignment(word).is_none())).count();
        let (assigns, rest) = parts.split_at(assigns);
        if rest.is_empty() {
            self.assign_all(assigns);
            if assigns.iter().any(|part| assignment_of(part).is_some_and(|(name, ..)| name == "IFS")) {
                self.note(format!("line {}: IFS is changed; here values are split at white space all the same", step.line));
            }
            return Truth::of(true);
        }
        let mut argv = Vec::new();
        for part in rest {
            if let Part::Word(word) = part {
                if starts_qemu(step) && finds_files(word) {
                    let words = shown(&self.variables.text(word));
                    self.note(format!("line {}: which files '{words}' finds is not looked up: it is read as it stands", step.line));
                }
                argv.extend(self.variables.words(word));
            }
        }
        let before = self.variables.set.clone();
        self.assign_all(assigns);
        let within = self.variables.set.clone();
        let truth = self.command(step, &argv);
        // What is set before a command is set for it alone.
        for part in assigns {
            let name = match part {
                Part::Word(word) => assignment(word).map(|(name, ..)| name).unwrap_or_default(),
                Part::Array { name, .. } => name.clone(),
            };
            if self.variables.set.get(&name) == within.get(&name) {
                match before.get(&name) {
                    Some(values) => self.set(&name, values.clone()),
                    None => drop(self.variables.set.remove(&name)),
                }
            }
        }
        truth
    }

    fn assign_all(&mut self, parts: &[Part]) {
        for part in parts {
            match part {
                Part::Word(word) => {
                    if let Some((name, append, value)) = assignment(word) {
                        // What is added to is empty before.
                        let itself = |piece: &Piece| matches!(piece, Piece::Parameter { inside, .. } if *inside == name);
                        if value.pieces.iter().any(itself) && self.variables.value(&name).is_none() {
                            self.set(&name, Vec::new());
                        }
                        let text = self.variables.text(&value);
                        let name = self.key(&name);
                        self.assign(&name, append, text);
                    }
                }
                Part::Array { name, append, values } => self.assign_array(name, *append, values),
            }
        }
    }

    /// `NAME[$i]` with its key put in.
    fn key(&mut self, name: &str) -> String {
        let Some((array, key)) = name.strip_suffix(']').and_then(|name| name.split_once('[')) else { return name.to_owned() };
        let key = self.variables.text(&Word { pieces: key_pieces(key), quoted: false });
        format!("{array}[{key}]")
    }

    /// `export`, `local`, `declare -A`.
    fn declare(&mut self, declarer: &str, parts: &[Part]) -> Truth {
        let mut keyed = false;
        for part in parts {
            let name = match part {
                Part::Word(word) => match (plain(word), assignment(word)) {
                    (Some(option), _) if option.starts_with('-') => {
                        keyed |= option.contains('A');
                        continue;
                    }
                    (_, Some((name, ..))) => name,
                    (name, None) => name.unwrap_or_default().to_owned(),
                },
                Part::Array { name, .. } => name.clone(),
            };
            if keyed {
                self.keyed.insert(name.clone());
            }
            let is_local = declarer != "export" && declarer != "readonly";
            // The value is of what the name was before it was local.
            let hidden = self.variables.set.get(&name).cloned();
            self.assign_all(std::slice::from_ref(part));
            if let (true, Some(locals)) = (is_local, self.local.last_mut()) {
                if assignment_of(part).is_none() && !matches!(part, Part::Array { .. }) {
                    self.variables.set.insert(name.clone(), Vec::new());
                }
                locals.push((name, hidden));
            }
        }
        Truth::of(true)
    }

    /// A command with its words.
    fn command(&mut self, step: &Step, argv: &[String]) -> Truth {
        let Some(first) = argv.first() else { return Truth::of(true) };
        if let Some(body) = self.functions.get(first).cloned() {
            return self.call(step, first, &body, &argv[1..]);
        }
        let by = || format!("line {}: `{}`", step.line, step.text);
        match first.as_str() {
            "false" => return Truth::of(false),
            "printf" if argv.get(1).is_some_and(|word| word == "-v") => self.ask(&argv[2..argv.len().min(3)]),
            "set" => self.set_arguments(&argv[1..]),
            "shift" => {
                let by = argv.get(1).and_then(|by| by.parse().ok()).unwrap_or(1);
                let has = by <= self.variables.arguments.len();
                self.variables.arguments.drain(..if has { by } else { 0 });
                return Truth::of(has);
            }
            "unset" => {
                for name in argv[1..].iter().filter(|name| !name.starts_with('-')) {
                    let keys = format!("{name}[");
                    self.variables.set.retain(|key, _| !key.starts_with(&keys));
                    self.set(name, Vec::new());
                }
            }
            "read" | "mapfile" | "readarray" => {
                self.ask(&names_read(first, &argv[1..]));
                return Truth::GUESS;
            }
            "getopts" => {
                if self.variables.arguments.is_empty() {
                    if !self.variables.arguments_said {
                        self.assumed.insert("1".into());
                    }
                    return Truth::of(false);
                }
                self.ask(&["OPTARG".to_owned(), argv.last().cloned().unwrap_or_default()]);
                return Truth::GUESS;
            }
            "source" | "." if argv.len() > 1 => {
                self.note(format!("line {}: the file {} is not read; it may set or change any variable", step.line, shown(&argv[1])));
                return Truth::GUESS;
            }
            "let" => {
                for sum in &argv[1..] {
                    self.sum(sum);
                }
                return Truth::GUESS;
            }
            "exit" => self.flow = Some(Flow::Exit(by())),
            "return" => {
                self.flow = Some(Flow::Return);
                let code = argv.get(1).map_or("0", String::as_str);
                return code.parse::<i64>().map_or(Truth::GUESS, |code| Truth::of(code == 0));
            }
            "break" => self.flow = Some(Flow::Break),
            "continue" => self.flow = Some(Flow::Continue),
            _ if HARMLESS.contains(&first.as_str()) => {}
            _ => {
                self.outside(step, argv);
                if first == "exec" && argv.len() > 1 {
                    self.flow = Some(Flow::Exit(by()));
                }
                return Truth::GUESS;
            }
        }
        Truth::of(true)
    }

    /// Variables whose values are only known when the script runs.
    fn ask(&mut self, names: &[String]) {
        for name in names {
            let value = (self.variables.given)(name);
            if value.is_none() {
                self.asked.insert(name.clone());
            }
            self.set(name, vec![value.unwrap_or_else(|| unknown(name))]);
        }
    }

    fn set_arguments(&mut self, words: &[String]) {
        let dashes = words.iter().position(|word| word == "--");
        let start = match dashes {
            Some(dashes) => dashes + 1,
            None if words.first().is_some_and(|word| !word.starts_with(['-', '+'])) => 0,
            None => return,
        };
        self.variables.arguments = words[start..].to_vec();
        self.variables.arguments_said = true;
    }

    fn call(&mut self, step: &Step, name: &str, body: &[Step], arguments: &[String]) -> Truth {
        if self.local.len() >= DEEPEST {
            return Truth::GUESS;
        }
        self.called.insert(name.to_owned());
        let before = std::mem::replace(&mut self.variables.arguments, arguments.to_vec());
        let said = std::mem::replace(&mut self.variables.arguments_said, true);
        self.local.push(Vec::new());
        let truth = self.run(body);
        for (name, hidden) in self.local.pop().unwrap_or_default().into_iter().rev() {
            match hidden {
                Some(values) => self.set(&name, values),
                None => drop(self.variables.set.remove(&name)),
            }
        }
        (self.variables.arguments, self.variables.arguments_said) = (before, said);
        if self.flow == Some(Flow::Return) {
            self.flow = None;
        }
        self.line = step.line;
        truth
    }

    /// A program: QEMU, or one that runs another.
    fn outside(&mut self, step: &Step, argv: &[String]) {
        let Some(first) = argv.first() else { return };
        if first.starts_with('-') && !self.script.argv.is_empty() {
            let words = shown(&argv.join(" "));
            self.note(format!("a comment or an empty line ends QEMU's command before '{words}'; a shell does not give it to QEMU"));
            return;
        }
        if is_qemu(first) {
            return self.qemu(step, argv);
        }
        if self.prefix.len() > DEEPEST {
            return;
        }
        match wrappers::inner(argv) {
            Some(Inner::From(at)) if at < argv.len() => {
                let outer = self.prefix.len();
                self.prefix.extend_from_slice(&argv[..at]);
                self.outside(step, &argv[at..]);
                self.prefix.truncate(outer);
            }
            Some(Inner::Text(at, text)) => {
                let is_eval = first == "eval";
                let Ok(steps) = parse(&text, step.line) else {
                    self.note(format!("line {}: what {} runs is not read: a quote in it is never closed", step.line, shown(first)));
                    return;
                };
                let outer = self.prefix.len();
                self.prefix.extend_from_slice(&argv[..at]);
                if is_eval {
                    self.prefix.truncate(outer);
                    self.run(&steps);
                } else {
                    self.apart(&steps);
                }
                self.prefix.truncate(outer);
            }
            _ if argv.iter().any(|word| is_qemu(word)) && !SAYING.contains(&first.as_str()) => {
                let why = format!("{} is not known to start it", shown(first));
                self.unread.entry(step.line).or_insert((why, false));
            }
            _ => {}
        }
    }

    fn qemu(&mut self, step: &Step, argv: &[String]) {
        if argv.len() < 3 && argv.iter().skip(1).all(|word| unknowns(word).next().is_none()) {
            self.unread.entry(step.line).or_insert(("it has no options there".into(), true));
            return;
        }
        let is_longer = argv.len() > self.script.argv.len();
        let out = if is_longer { self.script.argv.clone() } else { argv.to_vec() };
        if is_longer {
            self.script.argv = argv.to_vec();
            self.script.before.clone_from(&self.prefix);
        }
        if !out.is_empty() && (is_longer || out != self.script.argv) {
            self.note(format!("another QEMU command is left out: {}", shown(&out.join(" "))));
        }
        self.unread.remove(&step.line);
    }

    fn finish(mut self, text: &str) -> Script {
        let uncalled: Vec<(String, Rc<Vec<Step>>)> = self
            .functions
            .iter()
            .filter(|(name, _)| !self.called.contains(*name))
            .map(|(name, body)| (name.clone(), body.clone()))
            .collect();
        for (name, body) in uncalled {
            self.leave(&body, &format!("nothing that is read calls the function {name}"), false);
        }
        if self.script.argv.is_empty() {
            self.refuse(text);
            return self.script;
        }
        for (line, (why, told)) in std::mem::take(&mut self.unread) {
            if !told {
                self.note(format!("line {line}: another QEMU command is not read: {why}"));
            }
        }
        let options = self.script.argv.iter().skip(1);
        let unset: BTreeSet<String> = options.flat_map(|word| unknowns(word)).collect();
        self.script.unset = unset.into_iter().collect();
        for word in self.script.argv.iter_mut().chain(&mut self.script.before) {
            *word = shown(word);
        }
        self.script
    }

    /// Says where QEMU stands in a script of which no command was read.
    fn refuse(&mut self, text: &str) {
        let remedy = "write the QEMU command alone into a script, and import that";
        // One without options only asks whether QEMU is there.
        let by_line = self.unread.iter().min_by_key(|(_, (_, told))| *told).map(|(line, (why, _))| (*line, why.clone()));
        let names = |line: &&str| line.contains("qemu-system-") || line.contains("qemu-kvm");
        let mut lines = text.lines().zip(1..).filter(|(line, _)| !line.trim_start().starts_with('#'));
        let by_word = || {
            lines
                .find(|(line, _)| names(line))
                .map(|(_, line)| (line, "it is no command there, but part of a text, or a word of another command".into()))
        };
        if let Some((line, why)) = by_line.or_else(by_word) {
            self.script.refusal = Some((format!("the QEMU command of line {line} is not read: {why}"), remedy.into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn argv(script: &str) -> String {
        read(script, "/vm/start.sh", &|name| (name == "GIVEN").then(|| "given".into())).argv.join("|")
    }

    #[test]
    fn as_a_shell_reads_it() {
        assert_eq!(argv("qemu-kvm -m 1 \\\n  -smp 2 # more\n-x"), "qemu-kvm|-m|1|-smp|2");
        assert_eq!(
            argv("A=1 B=\"$A 2\"\nsudo -E /usr/bin/qemu-system-x86_64 -m $B -n \"$B\" 'a $B'"),
            "/usr/bin/qemu-system-x86_64|-m|1|2|-n|1 2|a $B"
        );
        assert_eq!(
            argv("O=\"-m 1\"\nO=\"$O -smp 2\"\nO+=' -usb'\nkvm $O ${X:-a b} ${GIVEN:-c} \"${Y-}\""),
            "kvm|-m|1|-smp|2|-usb|a|b|given|"
        );
        assert_eq!(argv("A=(-m 1)\nA+=(\n -smp 'a b' # c\n)\nqemu-kvm \"${A[@]}\" \"$@\" $1 2>&1 >log &"), "qemu-kvm|-m|1|-smp|a b|$1");
        assert_eq!(
            argv("if [ -n \"$X\" ]; then A=1; else A=2; fi\nqemu-kvm -m $A -d $(dirname \"$0\")/x ${0%/*}"),
            "qemu-kvm|-m|2|-d|/vm/x|/vm"
        );
        assert_eq!(argv("cat <<END\nqemu-kvm -m 1 -m 2 -m 3\nEND\nqemu-kvm -m 7 -m 8"), "qemu-kvm|-m|7|-m|8");
    }

    fn notes(script: &str) -> String {
        read(script, "x", &|_| None).notes.join("\n")
    }

    #[test]
    fn conditions_are_followed_as_far_as_they_can_be_told() {
        let of = |script: &str| argv(&format!("{script}\nkvm -m 1 $V"));
        assert_eq!(of("G=0\nif [ $G = 1 ]; then V=a; elif [[ $G == [0-9] && ! -z x ]]; then V=b; else V=c; fi"), "kvm|-m|1|b");
        assert_eq!(of("I=\n[ -n \"$I\" ] && V=a\n[ -z \"$I\" ] || V=b"), "kvm|-m|1");
        assert_eq!(of("M=b\ncase $M in a|c) V=1;; (b*) V=2;; *) V=3;; esac"), "kvm|-m|1|2");
        assert_eq!(of("i=0\nwhile [ $i -lt 3 ]; do V=\"$V $i\"; i=$((i+1)); done\nuntil true; do V=x; done"), "kvm|-m|1|0|1|2");
        assert_eq!(of("for x in a b{1,2}; do [ $x = b1 ] && continue; V+=\" $x\"; done"), "kvm|-m|1|a|b2");
        assert_eq!(of("for ((i=1; i<3; i++)); do V+=\" $i\"; done"), "kvm|-m|1|1|2");
        assert_eq!(of("false && V=a || V=b; true || V=c"), "kvm|-m|1|b");
        assert_eq!(of("[ $EUID -ne 0 ] && { echo no; exit 1; }\nV=a\nif [ ! -f /x ]; then usage; exit; fi"), "kvm|-m|1|a");
        assert_eq!(argv("while true; do kvm -m 1; sleep 1; done"), "kvm|-m|1");
        assert_eq!(argv("kvm -m 1\nexit\nkvm -m 2 -x"), "kvm|-m|1");
    }

    #[test]
    fn what_cannot_be_told_is_told() {
        assert_eq!(
            notes("V=\nif [ -e /dev/kvm ]; then\n V=a\nelse V=\"b c\"; fi\nkvm -m 1 $V"),
            "line 2: whether `[ -e /dev/kvm ]` holds is not known; taken as it does; left out: V=\"b c\""
        );
        assert_eq!(
            notes("V=\nwhile [ $# -gt 0 ]; do V=$1; shift; done\nkvm -m 1 $V"),
            "line 2: the script takes arguments; without any, `[ $# -gt 0 ]` does not hold; left out: V=$1; --set '1=VALUE' gives it the first"
        );
        assert_eq!(
            notes("[[ -n $X ]] && V=a\nkvm -m 1 $V"),
            "line 1: $X is not set by the script, and taken as empty: `[[ -n $X ]]` does not hold; left out: V=a; else --set 'X=VALUE'"
        );
        assert_eq!(
            notes("V=\ncat f | while read -r x; do V+=$x; done\nkvm -m 1"),
            "line 2: how often `while read -r x` runs is not known; left out: V+=$x"
        );
        assert_eq!(notes("M=1\n. ./conf\nkvm -m $M"), "line 2: the file ./conf is not read; it may set or change any variable");
        assert_eq!(
            notes("kvm -m 1 -cdrom /iso/*.iso '*'"),
            "line 1: which files '/iso/*.iso' finds is not looked up: it is read as it stands"
        );
        assert_eq!(notes("modprobe vfio && kvm -m 1 || echo no"), "");
        let arguments = |name: &str| (name == "1").then(|| "run".to_owned());
        let script = read("case $1 in run) kvm -m 1 ;; *) exit ;; esac", "x", &arguments);
        assert_eq!((script.argv.join(" "), script.notes), ("kvm -m 1".into(), Vec::new()));
    }

    #[test]
    fn functions_and_arguments() {
        assert_eq!(argv("gpu() { O+=\" -device $1\"; }\nO='-m 1'\ngpu a\ngpu b\nkvm $O"), "kvm|-m|1|-device|a|-device|b");
        assert_eq!(argv("M=1\nf() { local M=2; kvm -m $M \"$@\"; }\nM=3\nf 'a b' c"), "kvm|-m|2|a b|c");
        assert_eq!(argv("f() { local M=2; N=$M; return; N=4; }\nM=1\nf\nkvm -m $M $N"), "kvm|-m|1|2");
        assert_eq!(argv("set -e -- -m 'a b'\nkvm \"$@\" $2 $3"), "kvm|-m|a b|a|b");
        assert_eq!(argv("A=x\nunset A\nkvm -m 1 $A"), "kvm|-m|1");
        let unset = |script: &str| read(script, "x", &|_| None).unset.join(" ");
        assert_eq!(unset("M=1\nread -p mem M\nkvm -m $M ${2:-3} $1"), "1 M");
        assert_eq!(unset("printf -v M %d 4\nmapfile -t X <list\nkvm -m $M \"${X[@]}\""), "M X");
    }

    #[test]
    fn commands_within_commands() {
        for script in [
            "sudo -u kvm bash -c 'kvm -m \"4 G\"'",
            "O='-m \"4 G\"'\neval \"kvm $O\"",
            "tmux new-session -d -s qemu 'kvm -m \"4 G\"'",
            "screen -dmS vm sudo kvm -m '4 G'",
            "su - user -c \"kvm -m '4 G'\"",
            "{ kvm -m '4 G' | tee log; } &",
            "[Service]\nEnvironment=\"M=4 G\"\nExecStart=/usr/bin/env kvm \\\n -m \"$M\"\nRestart=no",
        ] {
            assert_eq!(argv(script), "kvm|-m|4 G", "{script}");
        }
    }

    #[test]
    fn parts_of_values() {
        let of = |words: &str| argv(&format!("P=0_1_2\nF=a.b.c\ndeclare -A C=([x]=1 [y]='2 3')\nC[z]=4\nL=(k l m)\nkvm -m {words}"));
        assert_eq!(of("${P//_/:} ${P/_/} ${P:0:3} ${P: -1} ${P#*_} ${P##*_} ${P%_*}"), "kvm|-m|0:1:2|01_2|0_1|2|1_2|2|0_1");
        assert_eq!(of("${F^^} ${F^} ${#F} ${#L[@]} ${L[1]} ${L[-1]}"), "kvm|-m|A.B.C|A.b.c|5|3|l|m");
        assert_eq!(of("${C[x]} \"${C[y]}\" ${C[z]} ${N:=7} $N"), "kvm|-m|1|2 3|4|7|7");
        assert_eq!(of("x{a,'b c'}{1..2} '{a,b}' {} $'a\\x41\\'' <<< \"no\""), "kvm|-m|xa1|xa2|xb c1|xb c2|{a,b}|{}|aA'");
        assert_eq!(argv("O=$(cat <<END\n-m 1\n-x $GIVEN\nEND\n)\nkvm $O"), "kvm|-m|1|-x|given");
        assert_eq!(argv("#!/bin/zsh\nA=(-m 1 -n 'a b')\nS='c d'\nkvm $A $S"), "kvm|-m|1|-n|a b|c d");
        assert_eq!(argv("M=1\r\nkvm \\\r\n -m $M\r\n"), "kvm|-m|1");
    }

    #[test]
    fn why_nothing_was_read() {
        let why = |script: &str, path: &str| read(script, path, &|_| None).refusal.map(|(why, _)| why).unwrap_or_default();
        assert_eq!(why("A=1\nB='x\nkvm -m 1", "x"), "line 2: a quote or bracket that opens there is never closed");
        assert_eq!(why("import os", "a.py"), "it is a Python script, not a shell script");
        assert_eq!(
            why("start() {\n qemu-kvm -m 1\n}\n$1", "x"),
            "the QEMU command of line 2 is not read: nothing that is read calls the function start"
        );
        assert_eq!(
            why("exit 0\n\nqemu-kvm -m 1", "x"),
            "the QEMU command of line 3 is not read: line 1: `exit 0` ends the script before it"
        );
        assert!(why("# qemu-kvm\ncat <<END\nqemu-system-x86_64 -m 1\nEND", "x").contains("line 3"));
        assert_eq!(why("strange qemu-kvm -m 1", "x"), "the QEMU command of line 1 is not read: strange is not known to start it");
        assert_eq!(why("echo hello", "x"), "");
        assert!(why("command -v qemu-kvm\nf() { qemu-kvm -m 1; }", "x").contains("line 2"));
    }

    #[test]
    fn what_is_not_known_is_named() {
        let script = read("taskset -c 1 $QEMU -smp $(nproc) -m $MEM -x `a b`", "x", &|_| None);
        assert_eq!(
            (script.unset, script.before.join(" ")),
            (vec!["$(a b)".to_owned(), "$(nproc)".into(), "MEM".into()], "taskset -c 1".into())
        );
        assert_eq!(script.argv.join(" "), "$QEMU -smp $(nproc) -m $MEM -x $(a b)");
    }

    #[test]
    fn a_hostile_script_ends() {
        let loops = "for a in {1..99}; do (".repeat(20) + "x" + &"); done".repeat(20);
        let calls: String = (0..14).map(|n| format!("f{n}() {{ {} }}\n", format!("f{}; ", n + 1).repeat(50))).collect();
        let doubled = "A=x\n".to_owned() + &"A=$A$A\n".repeat(90);
        for script in
            [loops, calls + "f14() { A=1; }\n[ -f x ] || f0\nf0", doubled, "f() { f; f; }; f".into(), "while :; do :; done".into()]
        {
            assert_eq!(argv(&format!("{script}\n")), "");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "\\PC*", shell in "[a-z \"'$(){}<>&|;\\\\\n#=+@\\[\\]:-]*") {
            read(&text, "x", &|_| None);
            read(&shell, "x", &|_| None);
            read(&format!("qemu-kvm -m 1 {shell}"), "x", &|_| None);
        }
    }
}
