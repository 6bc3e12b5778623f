//! Assignments.

use super::super::arithmetic;
use super::super::budget::WORD;
use super::super::command::{Part, Statement};
use super::super::condition::Truth;
use super::super::expand::given_words;
use super::super::marks::{has_unknown, shown, unknown, unknowns};
use super::super::word::{Piece, Word, assignment, is_always_set, is_name};
use super::{Filled, ROUNDS, Reader};

impl Reader<'_> {
    pub(super) fn set(&mut self, name: &str, values: Vec<String>) {
        let name = self.variables.named(name).into_owned();
        self.variables.set.insert(name, values);
    }

    /// From here on any variable may have another value. One that is empty is then as unknown as one that was never set, so that it
    /// is asked for and can be given.
    pub(super) fn may_set_any(&mut self, line: usize, why: &str) {
        self.note(format!("line {line}: {why}; it may set or change any variable"));
        self.forget_empty();
    }

    /// Whether any was empty.
    fn forget_empty(&mut self) -> bool {
        self.may_have_set_any = true;
        let count = self.variables.set.len();
        if self.variables.budget.take(count * WORD) {
            self.variables.set.retain(|name, values| values.iter().any(|value| !value.is_empty()) || name == "IFS");
        }
        self.variables.set.len() < count
    }

    /// A command that may be a function of a file that is not read.
    pub(super) fn may_be_of_file(&mut self, line: usize, name: &str) {
        if let Some(file) = self.unread_file.clone()
            && self.forget_empty()
        {
            self.note(format!("line {line}: {} may be a function of the file {file}, and set or change any variable", shown(name)));
        }
    }

    /// The values of a variable, if the budget allows copying them.
    pub(super) fn copy(&self, name: &str) -> Option<Vec<String>> {
        self.variables.set.get(name).filter(|values| self.variables.budget.take_words(values)).cloned()
    }

    /// Sets a variable to what it was.
    pub(super) fn restore(&mut self, name: &str, before: Option<Vec<String>>) {
        match before {
            Some(values) => drop(self.variables.set.insert(name.to_owned(), values)),
            None => drop(self.variables.set.remove(name)),
        }
    }

    fn assign(&mut self, name: &str, append: bool, text: &str) {
        let name = &*self.variables.named(name).into_owned();
        if let Some((array, key)) = of_array(name) {
            let before = if append { self.variables.element(array, key).unwrap_or_default() } else { String::new() };
            let text = before + text;
            let number: Option<usize> = key.parse().ok().filter(|number| *number < ROUNDS && !self.keyed.contains(array));
            match number {
                Some(number) => {
                    let values = self.variables.set.entry(array.to_owned()).or_default();
                    if self.variables.budget.take(WORD * number) {
                        values.resize(values.len().max(number + 1), String::new());
                        values[number] = text;
                    }
                }
                // Which element it is, nobody knows, so that any may have another value.
                None if has_unknown(key) && !self.keyed.contains(array) => {
                    let by = format!("{array}[…]={}", shown(&text));
                    self.ask_array(array, true, &Filled { line: self.line, by });
                }
                None => {
                    if has_unknown(key) && self.variables.set.get(array).is_some_and(Vec::is_empty) {
                        self.variables.set.remove(array);
                    }
                    self.set(name, vec![text]);
                }
            }
            return;
        }
        let before = if append { self.variables.value(name).unwrap_or_default() } else { String::new() };
        let value = match self.numbers.contains(name) {
            true if append => self.computed(&format!("({before})+({text})")),
            true => self.computed(text),
            false => before + text,
        };
        match self.variables.set.get_mut(name).and_then(|values| values.first_mut()) {
            Some(first) if append => *first = value,
            _ => self.set(name, vec![value]),
        }
    }

    /// The value of a sum that is assigned to a number (`declare -i`); what it lacks stays marked.
    fn computed(&self, sum: &str) -> String {
        if sum.trim().is_empty() {
            return "0".to_owned();
        }
        let value = arithmetic::value(sum, &|name| self.variables.number(name)).map(|value| value.to_string());
        value.or_else(|| self.variables.lacking(sum)).unwrap_or_else(|| sum.to_owned())
    }

    fn assign_array(&mut self, name: &str, append: bool, words: &[Word]) {
        let name = &*self.variables.named(name).into_owned();
        let keyed = |word: &Word| matches!(word.pieces.first(), Some(Piece::Text(text)) if text.starts_with('['));
        if words.first().is_some_and(keyed) {
            for word in words {
                let text = self.variables.text(word);
                if let Some((key, value)) = text.strip_prefix('[').and_then(|text| text.split_once("]=")) {
                    self.assign(&format!("{name}[{key}]"), false, value);
                }
            }
            return;
        }
        let mut values: Vec<String> = words.iter().flat_map(|word| self.variables.words(word)).collect();
        if let Some(said) = (self.variables.given)(name).filter(|_| !append && values.iter().any(|value| has_unknown(value))) {
            values = given_words(&said);
        }
        let now = self.variables.set.entry(name.to_owned()).or_default();
        if append {
            now.extend(values);
        } else {
            *now = values;
        }
    }

    /// Says what was not added just now because variables have no value.
    pub(super) fn note_left_out(&mut self) {
        let names = std::mem::take(&mut *self.variables.left_out.borrow_mut());
        for name in names {
            if !is_always_set(&name) {
                let line = self.line;
                self.note(format!(
                    "line {line}: ${name} has no value from outside the script, so what `${{{name}:+…}}` adds is left out; to give one: --set '{name}=VALUE'"
                ));
            }
        }
    }

    pub(super) fn assign_all(&mut self, parts: &[Part]) {
        for part in parts {
            match part {
                Part::Word(word) => {
                    if let Some((name, append, value)) = assignment(word) {
                        // In `NAME="$NAME …"` an unset NAME is empty.
                        let itself = |piece: &Piece| matches!(piece, Piece::Parameter { inside, .. } if *inside == name);
                        if value.pieces.iter().any(itself) && self.variables.value(&name).is_none() {
                            self.set(&name, Vec::new());
                        }
                        self.variables.defaulted.borrow_mut().clear();
                        self.variables.left_out.borrow_mut().clear();
                        let text = self.variables.text(&value);
                        self.note_left_out();
                        // A value that is known only when the script runs can be given.
                        let text = if has_unknown(&text) && !append { (self.variables.given)(&name).unwrap_or(text) } else { text };
                        let text = if is_command_of_script(&text) && !append { unknown(&name) } else { text };
                        let of = std::mem::take(&mut *self.variables.defaulted.borrow_mut());
                        let name = self.key(&name);
                        match of.is_empty() {
                            false => drop(self.variables.by_default.insert(name.clone(), of)),
                            true if !append => drop(self.variables.by_default.remove(&name)),
                            true => {}
                        }
                        self.assign(&name, append, &text);
                    }
                }
                Part::Array { name, append, values } => {
                    self.note_arguments(values.iter());
                    self.variables.left_out.borrow_mut().clear();
                    self.assign_array(name, *append, values);
                    self.note_left_out();
                }
            }
        }
    }

    /// `NAME[$i]` with its key expanded; of an array that is not associative it is a number.
    fn key(&mut self, name: &str) -> String {
        let Some((array, key)) = of_array(name) else { return name.to_owned() };
        let key = self.variables.nested(key);
        if self.keyed.contains(&*self.variables.named(array)) || key.parse::<i64>().is_ok() {
            return format!("{array}[{key}]");
        }
        let number = arithmetic::value(&key, &|name| self.variables.value(name));
        let lacks = || self.variables.value(&key).filter(|value| is_name(&key) && has_unknown(value));
        let key = number.map(|number| number.to_string()).or_else(lacks).unwrap_or(key);
        format!("{array}[{key}]")
    }

    /// `export`, `local`, `declare -A`.
    pub(super) fn declare(&mut self, step: &Statement, declarer: &str, parts: &[Part]) -> Truth {
        let (mut keyed, mut is_array, mut is_name_of, mut is_global, mut is_number) = (false, false, false, false, false);
        let mut sets_unknown = false;
        for part in self.declared(parts) {
            let plain = part.word().and_then(|word| word.plain()).unwrap_or_default();
            if plain.starts_with(['-', '+']) {
                if plain.contains(['f', 'F', 'p']) {
                    // It prints, or exports functions.
                    return Truth::GUESS;
                }
                keyed |= plain.contains('A');
                is_array |= plain.contains(['A', 'a']);
                is_global |= plain.contains('g');
                is_number |= plain.starts_with('-') && plain.contains('i');
                is_name_of |= plain.starts_with('-') && plain.contains('n') && declarer != "export";
                continue;
            }
            let assigned = part.assigned();
            let is_assigned = assigned.is_some();
            let name = assigned.unwrap_or_else(|| plain.to_owned());
            if !is_name(of_array(&name).map_or(name.as_str(), |(array, _)| array)) {
                sets_unknown |= has_unknown(plain);
                continue;
            }
            let is_local = declarer != "export" && declarer != "readonly" && !is_global;
            // The value refers to the variable as it was before it became local.
            let hidden = if is_local && !self.local.is_empty() { self.copy(&name) } else { None };
            if is_name_of {
                sets_unknown |= !self.names_other(&name, part.word());
            } else {
                if keyed {
                    self.keyed.insert(name.clone());
                }
                if is_number {
                    self.numbers.insert(name.clone());
                }
                if is_array && is_name(&name) && !self.variables.set.contains_key(&name) {
                    self.set(&name, Vec::new());
                }
                if declarer == "export" && is_name(&name) {
                    self.exported.insert(name.clone(), self.line);
                }
                let of = if is_local { self.variables.other_names.get(&name).cloned() } else { None };
                // Of `local NAME=$NAME` the value is still the other variable's.
                let values = of.is_some().then(|| self.with_value(&part));
                if of.is_some() {
                    self.variables.other_names.remove(&name);
                }
                self.assign_all(&[values.flatten().unwrap_or(part)]);
            }
            if let (true, Some(locals)) = (is_local, self.local.last_mut()) {
                if !is_assigned {
                    self.variables.set.insert(name.clone(), Vec::new());
                }
                locals.push((name, hidden));
            }
        }
        if sets_unknown {
            self.may_set_any(step.line, &format!("it is unknown which variables `{}` sets", step.text));
        }
        Truth::of(true)
    }

    /// What is declared, with names that are known only after expansion, as in `declare "$1=$2"`.
    fn declared(&mut self, parts: &[Part]) -> Vec<Part> {
        let mut declared = Vec::new();
        for part in parts {
            let Some(word) = part.word().filter(|word| part.assigned().is_none() && word.plain().is_none()) else {
                declared.push(part.clone());
                continue;
            };
            let text = |text: &str| Word { pieces: vec![Piece::Text(text.to_owned())], quoted: false };
            declared.extend(self.variables.words(word).iter().map(|said| match said.split_once('=') {
                Some((name, value)) if !has_unknown(name) => {
                    let mut word = text(&format!("{name}="));
                    word.pieces.push(Piece::Quoted(value.to_owned()));
                    Part::Word(word)
                }
                _ => Part::Word(text(said)),
            }));
        }
        declared
    }

    /// An assignment with its value expanded.
    fn with_value(&mut self, part: &Part) -> Option<Part> {
        let (name, append, value) = assignment(part.word()?)?;
        let value = self.variables.text(&value);
        let sign = if append { "+=" } else { "=" };
        Some(Part::Word(Word { pieces: vec![Piece::Text(name + sign), Piece::Quoted(value)], quoted: true }))
    }

    /// `declare -n NAME=OTHER`: whether it is known which variable that is.
    fn names_other(&mut self, name: &str, word: Option<&Word>) -> bool {
        self.variables.other_names.remove(name);
        let other = word.and_then(assignment).map(|(.., value)| self.variables.text(&value));
        let other = other.filter(|other| is_name(other) && other != name);
        match other.clone() {
            Some(other) => drop(self.variables.other_names.insert(name.to_owned(), other)),
            None => self.ask(&[name.to_owned()]),
        }
        other.is_some()
    }
}

/// Whether a value is what a command prints that has variables of the script in it: in a terminal it prints something else, so that
/// the variable which is set to it is easier to give.
fn is_command_of_script(text: &str) -> bool {
    let mut names = unknowns(text);
    let command = names.next().filter(|name| names.next().is_none() && name.starts_with("$(") && name[1..].contains('$'));
    command.is_some_and(|command| text == unknown(&command))
}

/// The array and the key of `NAME[key]`.
fn of_array(name: &str) -> Option<(&str, &str)> {
    name.strip_suffix(']').and_then(|name| name.split_once('['))
}
