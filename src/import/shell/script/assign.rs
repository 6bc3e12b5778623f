//! Assignments.

use super::super::budget::WORD;
use super::super::command::Part;
use super::super::condition::Truth;
use super::super::marks::has_unknown;
use super::super::word::{Piece, Word, assignment, is_name};
use super::{ROUNDS, Reader};

impl Reader<'_> {
    pub(super) fn set(&mut self, name: &str, values: Vec<String>) {
        self.variables.set.insert(name.to_owned(), values);
    }

    /// The values of a variable, if the budget allows copying them.
    pub(super) fn copy(&self, name: &str) -> Option<Vec<String>> {
        self.variables.set.get(name).filter(|values| self.variables.budget.take_words(values)).cloned()
    }

    /// Sets a variable to what it was.
    pub(super) fn restore(&mut self, name: &str, before: Option<Vec<String>>) {
        match before {
            Some(values) => self.set(name, values),
            None => drop(self.variables.set.remove(name)),
        }
    }

    fn assign(&mut self, name: &str, append: bool, text: String) {
        if let Some((array, key)) = of_array(name) {
            let number: Option<usize> = key.parse().ok().filter(|number| *number < ROUNDS && !self.keyed.contains(array));
            match number {
                Some(number) => {
                    let values = self.variables.set.entry(array.to_owned()).or_default();
                    if self.variables.budget.take(WORD * number) {
                        values.resize(values.len().max(number + 1), String::new());
                        values[number] = text;
                    }
                }
                None => self.set(name, vec![text]),
            }
            return;
        }
        let before = if append { self.variables.value(name).unwrap_or_default() } else { String::new() };
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
        let mut values: Vec<String> = words.iter().flat_map(|word| self.variables.words(word)).collect();
        if let Some(said) = (self.variables.given)(name).filter(|_| !append && values.iter().any(|value| has_unknown(value))) {
            values = said.split_whitespace().map(str::to_owned).collect();
        }
        let now = self.variables.set.entry(name.to_owned()).or_default();
        if append {
            now.extend(values);
        } else {
            *now = values;
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
                        let text = self.variables.text(&value);
                        // A value that is known only when the script runs can be given.
                        let text = if has_unknown(&text) && !append { (self.variables.given)(&name).unwrap_or(text) } else { text };
                        let of = std::mem::take(&mut *self.variables.defaulted.borrow_mut());
                        let name = self.key(&name);
                        match of.is_empty() {
                            false => drop(self.variables.by_default.insert(name.clone(), of)),
                            true if !append => drop(self.variables.by_default.remove(&name)),
                            true => {}
                        }
                        self.assign(&name, append, text);
                    }
                }
                Part::Array { name, append, values } => {
                    self.note_arguments(values.iter());
                    self.assign_array(name, *append, values);
                }
            }
        }
    }

    /// `NAME[$i]` with its key expanded.
    fn key(&mut self, name: &str) -> String {
        let Some((array, key)) = of_array(name) else { return name.to_owned() };
        let piece = match key.strip_prefix('$') {
            Some(name) => Piece::Parameter { inside: name.trim_matches(['{', '}']).to_owned(), quoted: true },
            None => Piece::Quoted(key.to_owned()),
        };
        let key = self.variables.text(&Word::of(piece));
        format!("{array}[{key}]")
    }

    /// `export`, `local`, `declare -A`.
    pub(super) fn declare(&mut self, declarer: &str, parts: &[Part]) -> Truth {
        let (mut keyed, mut is_array) = (false, false);
        for part in parts {
            let plain = part.word().and_then(|word| word.plain()).unwrap_or_default();
            if plain.starts_with('-') {
                keyed |= plain.contains('A');
                is_array |= plain.contains(['A', 'a']);
                continue;
            }
            let assigned = part.assigned();
            let is_assigned = assigned.is_some();
            let name = assigned.unwrap_or_else(|| plain.to_owned());
            if keyed {
                self.keyed.insert(name.clone());
            }
            if is_array && is_name(&name) && !self.variables.set.contains_key(&name) {
                self.set(&name, Vec::new());
            }
            if declarer == "export" && is_name(&name) {
                self.exported.insert(name.clone(), self.line);
            }
            let is_local = declarer != "export" && declarer != "readonly";
            // The value refers to the variable as it was before it became local.
            let hidden = if is_local && !self.local.is_empty() { self.copy(&name) } else { None };
            self.assign_all(std::slice::from_ref(part));
            if let (true, Some(locals)) = (is_local, self.local.last_mut()) {
                if !is_assigned {
                    self.variables.set.insert(name.clone(), Vec::new());
                }
                locals.push((name, hidden));
            }
        }
        Truth::of(true)
    }
}

/// The array and the key of `NAME[key]`.
fn of_array(name: &str) -> Option<(&str, &str)> {
    name.strip_suffix(']').and_then(|name| name.split_once('['))
}
