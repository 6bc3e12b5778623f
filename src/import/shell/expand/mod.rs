//! Expands words to text: substitutes parameters and splits unquoted ones. Unknown values stay marked.

mod echoed;
mod filtered;
mod parameter;
mod printed;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::budget::{Budget, WORD};
use super::command::Statement;
use super::lexer::{Kind, Token, tokens};
use super::marks::{has_unknown, one_line, unknown, unknowns};
use super::word::{Piece, Word, is_name};
use super::{arithmetic, pattern};
use crate::model::Reading;

/// The longest value: one that doubles itself must not fill the memory.
const LONGEST: usize = 1 << 18;
/// Real scripts nest `${…}` less, and a hostile text must not exhaust the stack.
const DEEPEST: usize = 40;

/// The value of `IFS` where nothing sets it.
const WHITE_SPACE: &str = " \t\n";
/// Commands that print the number of the host's CPUs.
const OF_PROCESSORS: [&str; 3] = ["nproc --all", "getconf _NPROCESSORS_ONLN", "grep -c ^processor /proc/cpuinfo"];
/// Of how many variables a note says that they have no value.
const MOST_DEFAULTS: usize = 4;

/// Looks up a name.
pub(super) type Lookup<'g> = &'g dyn Fn(&str) -> Option<String>;

/// Reads a file that a script names.
pub(super) type Files<'g> = &'g dyn Fn(&str) -> Reading<String>;

/// The variables of a script so far.
pub(super) struct Variables<'g> {
    /// An element of an associative array is `NAME[key]`; what was unset has no values.
    pub(super) set: BTreeMap<String, Vec<String>>,
    /// `$1` and so on, and whether the script or a function's caller set them.
    pub(super) arguments: Vec<String>,
    pub(super) arguments_known: bool,
    /// Values for variables that the script does not set.
    pub(super) given: Lookup<'g>,
    /// The files in the script's directory.
    pub(super) files: Files<'g>,
    /// The path of the script.
    pub(super) script: &'g str,
    /// The remaining work for the script.
    pub(super) budget: Budget,
    /// The current nesting in `${…}`.
    pub(super) depth: usize,
    /// Whether `$PWD` was assumed to be the script's directory.
    pub(super) assumes_pwd: Cell<bool>,
    /// Of what was expanded last: the variables without a value from outside, for which the script has a default.
    pub(super) defaulted: RefCell<BTreeSet<String>>,
    /// Likewise those for which the script would add something, as `${NAME:+…}`.
    pub(super) left_out: RefCell<BTreeSet<String>>,
    /// Variables whose values follow from such a default, and from which.
    pub(super) by_default: BTreeMap<String, BTreeSet<String>>,
    /// Variables that are other names of variables (`declare -n`), and of which.
    pub(super) other_names: BTreeMap<String, String>,
    /// The functions of the script so far.
    pub(super) functions: BTreeMap<String, Rc<Vec<Statement>>>,
}

/// How many times a name may be another name's other name.
const MOST_NAMES: usize = 8;

impl Variables<'_> {
    /// Expands a word to the words that a shell makes of it; what braces make of it is asked for.
    pub(super) fn words(&mut self, word: &Word) -> Vec<String> {
        if let Some(words) = word.braces().and_then(|_| word.spread()) {
            let cost = words.len() * (word.pieces.len() + 1) * WORD;
            let spread = self.budget.take(cost).then(|| self.within(|this| words.iter().flat_map(|word| this.words(word)).collect()));
            return spread.flatten().unwrap_or_default();
        }
        if let Some(written) = word.braces() {
            return (self.given)(&written).map_or_else(|| vec![unknown(&written)], |said| said.split(' ').map(str::to_owned).collect());
        }
        let words = self.split(word);
        if self.budget.take_words(&words) { words } else { Vec::new() }
    }

    /// The values of a piece, which are more or fewer than one for an array; and whether it was quoted.
    fn piece(&mut self, piece: &Piece, is_first: bool, in_quotes: bool) -> (Vec<String>, bool) {
        match piece {
            Piece::Text(text) => (vec![self.tilde(text, is_first)], false),
            Piece::Quoted(text) => (vec![text.clone()], true),
            Piece::Parameter { inside, quoted } => (self.parameter(inside, *quoted || in_quotes), *quoted),
            Piece::Command { text, quoted } => (vec![self.command(text)], *quoted),
        }
    }

    /// Splits as POSIX says ("2.6.5 Field Splitting"): white space among the separators counts once, however much of it there is, each
    /// other separator for itself.
    fn split(&mut self, word: &Word) -> Vec<String> {
        let mut words: Vec<String> = Vec::new();
        let mut open: Option<String> = None;
        let mut is_word = word.quoted;
        // Whether white space has ended the last word: another separator after it belongs to that end.
        let mut is_ended = false;
        for (index, piece) in word.pieces.iter().enumerate() {
            let (values, quoted) = self.piece(piece, index == 0, false);
            // An array without elements makes no word.
            is_word &= !(values.is_empty() && word.pieces.len() == 1);
            let separators = if quoted || matches!(piece, Piece::Text(_)) { None } else { Some(self.separators()) };
            for (number, value) in values.iter().enumerate() {
                if number > 0 {
                    words.extend(open.take());
                }
                let Some(separators) = &separators else {
                    is_ended = false;
                    open.get_or_insert_default().push_str(value);
                    continue;
                };
                for letter in value.chars() {
                    if !separators.contains(letter) {
                        open.get_or_insert_default().push(letter);
                        is_ended = false;
                        continue;
                    }
                    if !self.budget.take(WORD) {
                        return words;
                    }
                    if letter.is_whitespace() {
                        is_ended |= open.is_some();
                        words.extend(open.take());
                    } else if !std::mem::take(&mut is_ended) {
                        words.push(open.take().unwrap_or_default());
                    }
                }
            }
        }
        words.extend(open);
        if words.is_empty() && is_word {
            words.push(String::new());
        }
        words
    }

    /// At which characters values are split: those of `IFS`.
    pub(super) fn separators(&self) -> String {
        let given = self.set.get("IFS").and_then(|values| values.first()).filter(|value| !has_unknown(value));
        given.cloned().unwrap_or_else(|| WHITE_SPACE.to_owned())
    }

    /// What `"$*"` puts between the values: the first character of `IFS`.
    pub(super) fn separator(&self) -> String {
        self.separators().chars().next().map(String::from).unwrap_or_default()
    }

    /// A word that is not split, such as the value of an assignment.
    pub(super) fn text(&mut self, word: &Word) -> String {
        self.joined(word, |text, _| text)
    }

    /// A word as a pattern: quoted parts are literal.
    pub(super) fn pattern(&mut self, word: &Word) -> String {
        self.joined(word, |text, quoted| if quoted { pattern::literal(&text) } else { text })
    }

    /// A word as a regular expression, likewise.
    pub(super) fn regex(&mut self, word: &Word) -> String {
        self.joined(word, |text, quoted| if quoted { regex_lite::escape(&text) } else { text })
    }

    fn joined(&mut self, word: &Word, each: fn(String, bool) -> String) -> String {
        let mut joined = String::new();
        for (index, piece) in word.pieces.iter().enumerate() {
            let (values, quoted) = self.piece(piece, index == 0, true);
            let text = values.join(" ");
            if !self.budget.take_text(&text) {
                return String::new();
            }
            joined.push_str(&each(text, quoted));
            if joined.len() > LONGEST {
                return unknown("a value that is too long");
            }
        }
        joined
    }

    fn tilde(&self, text: &str, may: bool) -> String {
        // At the start, and after `NAME=` (bash: "words satisfying the conditions of variable assignments").
        let at = if text.starts_with('~') { Some(0) } else { text.find("=~").filter(|at| is_name(&text[..*at])).map(|at| at + 1) };
        let Some(at) = at.filter(|_| may) else { return text.to_owned() };
        let (before, rest) = (&text[..at], &text[at + 1..]);
        let (user, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        // `~USER` is another user's home; only the host knows it.
        let name = if user.is_empty() { "HOME".to_owned() } else { format!("~{user}") };
        format!("{before}{}{path}", self.value(&name).unwrap_or_else(|| unknown(&name)))
    }

    /// The value of a name, if it is set.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        self.looked_up(name).filter(|value| self.budget.take_text(value))
    }

    /// The script's directory.
    pub(super) fn folder(&self) -> &str {
        self.script.rsplit_once('/').map_or(".", |(folder, _)| folder)
    }

    /// What is in a file in the script's directory, or below it; `None` for one that is elsewhere.
    pub(super) fn file(&self, name: &str) -> Option<Reading<String>> {
        let name = name.strip_prefix("./").unwrap_or(name);
        let folder = self.folder();
        let name = name.strip_prefix(folder).and_then(|name| name.strip_prefix('/')).unwrap_or(name);
        let leaves = name.starts_with('/') || name.split('/').any(|part| part == "..");
        (!leaves && !name.is_empty() && !has_unknown(name)).then(|| (self.files)(&format!("{folder}/{name}")))
    }

    /// `$PWD`: the script's directory, in which its relative paths are resolved too.
    fn pwd(&self) -> String {
        self.assumes_pwd.set(true);
        self.folder().to_owned()
    }

    /// The variable of a name, or of `NAME[key]`: another one where the name is only its other name.
    pub(super) fn named<'n>(&self, name: &'n str) -> Cow<'n, str> {
        if self.other_names.is_empty() {
            return Cow::Borrowed(name);
        }
        let (bare, key) = name.split_at(name.find('[').unwrap_or(name.len()));
        let mut named = bare;
        for _ in 0..MOST_NAMES {
            let Some(of) = self.other_names.get(named) else { break };
            named = of;
        }
        // Names that stand for each other are none.
        if named == bare || self.other_names.contains_key(named) { Cow::Borrowed(name) } else { Cow::Owned(format!("{named}{key}")) }
    }

    fn looked_up(&self, name: &str) -> Option<String> {
        let name = &*self.named(name);
        match name {
            "0" | "BASH_SOURCE" => Some(self.script.to_owned()),
            "#" => Some(self.arguments.len().to_string()),
            "@" | "*" => Some(self.arguments.join(" ")).filter(|all| !all.is_empty()),
            _ if name.bytes().all(|byte| byte.is_ascii_digit()) => {
                let number: usize = name.parse().ok()?;
                let argument = self.arguments.get(number.checked_sub(1)?).cloned();
                argument.or_else(|| (self.given)(name).filter(|_| !self.arguments_known))
            }
            _ => match self.set.get(name) {
                Some(values) => {
                    self.by_default.get(name).into_iter().flatten().for_each(|of| self.note_default(of));
                    values.first().cloned()
                }
                None => (self.given)(name).or_else(|| (name == "PWD").then(|| self.pwd())),
            },
        }
    }

    /// The value for a name that is not set.
    fn missing(&self, name: &str) -> String {
        let is_argument = name.bytes().all(|byte| byte.is_ascii_digit());
        if self.set.contains_key(name) || (is_argument && self.arguments_known) { String::new() } else { unknown(name) }
    }

    /// Remembers that a variable has no value from outside; a few are enough for a note.
    pub(super) fn note_default(&self, name: &str) {
        let mut names = self.defaulted.borrow_mut();
        if names.len() < MOST_DEFAULTS {
            names.insert(name.to_owned());
        }
    }

    /// The given value of an expansion, or its mark.
    fn unknown(&self, name: &str) -> String {
        (self.given)(name).unwrap_or_else(|| unknown(name))
    }

    /// All elements of an array.
    fn elements(&self, name: &str) -> Vec<String> {
        let keys = format!("{name}[");
        let affordable = |values: &&Vec<String>| self.budget.take_words(values);
        let of_keys = self.set.range(keys.clone()..).take_while(|(key, _)| key.starts_with(&keys)).map(|(_, values)| values);
        let of_keys: Vec<String> = of_keys.take_while(affordable).flatten().cloned().collect();
        match self.set.get(name) {
            _ if !of_keys.is_empty() => of_keys,
            Some(values) => Some(values).filter(affordable).cloned().unwrap_or_default(),
            None => match (self.given)(name) {
                Some(said) => given_words(&said),
                None => self.value(name).into_iter().collect(),
            },
        }
    }

    pub(super) fn element(&mut self, name: &str, key: &str) -> Option<String> {
        let key = if key.trim_start().starts_with("((") { self.with_values(key) } else { self.nested(key) };
        if let Some(values) = self.set.get(&format!("{name}[{key}]")) {
            return values.first().cloned();
        }
        let number = key.parse().ok().or_else(|| arithmetic::value(&key, &|name| self.value(name)))?;
        let values = self.elements(name);
        let place = if number < 0 { number.checked_add(i64::try_from(values.len()).ok()?)? } else { number };
        values.get(usize::try_from(place).ok()?).cloned()
    }

    /// Reads one level deeper in `${…}` or `$(…)`; `None` if that is too deep.
    fn within<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.depth >= DEEPEST {
            // No real script nests this deep: spending the whole budget makes it refused.
            self.budget.take(usize::MAX);
            return None;
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        Some(result)
    }

    /// Spends the cost of copying all variables.
    pub(super) fn take_copy(&self) -> bool {
        self.set.iter().all(|(name, values)| self.budget.take_text(name) && self.budget.take_words(values))
    }

    /// The output of a command, if it is a path, a number or what the script itself has: nothing is run.
    fn command(&mut self, text: &str) -> String {
        if !self.budget.take_text(text) {
            return String::new();
        }
        // Between two backticks there may be nothing.
        if text.trim().is_empty() {
            return String::new();
        }
        // One number by several names is asked for once.
        let text = if OF_PROCESSORS.contains(&one_line(text).as_str()) { "nproc" } else { text };
        if let Some(path) = self.within(|this| this.echoed(text).or_else(|| this.filtered(text)).or_else(|| this.printed(text))).flatten() {
            return path;
        }
        // A comment in the middle of a command, as in `# it`.
        if text.starts_with('#') && !text.contains('\n') {
            return String::new();
        }
        let sum = text.strip_prefix('(').and_then(|sum| sum.strip_suffix(')')).map(|sum| self.with_values(sum));
        let name = if text.starts_with(['<', '>']) && text[1..].starts_with('(') { text.to_owned() } else { format!("$({text})") };
        if let Some(value) = sum.as_ref().and_then(|sum| self.stepped(sum)) {
            return value;
        }
        let value = sum.as_ref().and_then(|sum| arithmetic::value(sum, &|name| self.number(name)));
        let said = value.map(|value| value.to_string()).or_else(|| (self.given)(&one_line(text)));
        let said = said.or_else(|| self.lacking(&sum?));
        said.unwrap_or_else(|| unknown(&name))
    }

    /// `NAME++` and its like: the value, while the variable becomes another.
    fn stepped(&mut self, sum: &str) -> Option<String> {
        const STEPS: [(&str, i64); 2] = [("++", 1), ("--", -1)];
        let sum = sum.trim();
        let steps = || STEPS.into_iter();
        let after = steps().find_map(|(sign, step)| Some((sum.strip_suffix(sign)?.trim(), step, false)));
        let before = || steps().find_map(|(sign, step)| Some((sum.strip_prefix(sign)?.trim(), step, true)));
        let (name, step, is_first) = after.or_else(before).filter(|(name, ..)| is_name(name))?;
        let now = self.set.get(name)?.first().map_or("", String::as_str).trim();
        let old: i64 = if now.is_empty() { 0 } else { now.parse().ok()? };
        let new = old.checked_add(step)?;
        self.set.insert(name.to_owned(), vec![new.to_string()]);
        Some(if is_first { new } else { old }.to_string())
    }

    /// The value of a name in a sum. How many arguments the script is given is not known.
    pub(super) fn number(&self, name: &str) -> Option<String> {
        let is_unknown = name == "#" && !self.arguments_known && self.arguments.is_empty();
        if is_unknown { (self.given)(name) } else { self.value(name) }
    }

    /// The marks of what a sum lacks to be a number: variables and arguments without a value.
    pub(super) fn lacking(&self, sum: &str) -> Option<String> {
        let of_name = |name: &str| match self.number(name) {
            Some(value) => unknowns(&value).map(|name| unknown(&name)).collect(),
            None => unknown(name),
        };
        let within: String = unknowns(sum).map(|name| unknown(&name)).collect();
        let marks = if within.is_empty() { arithmetic::names(sum)?.into_iter().map(of_name).collect() } else { within };
        Some(marks).filter(|marks| !marks.is_empty())
    }
}

/// The words of a text within `${…}`.
fn words_of(text: &str) -> Vec<Word> {
    let literal = |text: &str| Word::of(Piece::Text(text.to_owned()));
    let Ok(tokens) = tokens(text, 1) else { return vec![literal(text)] };
    let word = |token: Token| match token.kind {
        Kind::Word(word) => Some(word),
        Kind::Sign(sign) if !sign.trim().is_empty() => Some(literal(sign)),
        _ => None,
    };
    tokens.into_iter().filter_map(word).collect()
}
/// The words of a value that the user gives for an array; quotes keep a word together.
pub(super) fn given_words(said: &str) -> Vec<String> {
    let text = |piece: &Piece| match piece {
        Piece::Text(text) | Piece::Quoted(text) => Some(text.clone()),
        _ => None,
    };
    let word = |token: Token| match token.kind {
        Kind::Word(word) => Some(word.pieces.iter().map(text).collect::<Option<String>>()),
        Kind::Sign(sign) if sign.trim().is_empty() => None,
        _ => Some(None),
    };
    let words = tokens(said, 1).ok().and_then(|tokens| tokens.into_iter().filter_map(word).collect::<Option<Vec<_>>>());
    words.unwrap_or_else(|| said.split_whitespace().map(str::to_owned).collect())
}
