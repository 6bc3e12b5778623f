//! Loops and their arithmetic.

use std::collections::{BTreeMap, BTreeSet};

use super::super::arithmetic::{self, COMPARISONS};
use super::super::command::{Part, Statement, each};
use super::super::condition::Truth;
use super::super::marks::{has_unknown, shown, unknown};
use super::super::word::{Word, is_name};
use super::branches::MAX_CALL_DEPTH;
use super::{Filled, ROUNDS, Reader};

impl Reader<'_> {
    pub(super) fn repeat(&mut self, step: &Statement, until: bool, condition: &[Statement], body: &[Statement]) {
        self.rounds(step, body, |reader| {
            let (truth, line, text) = reader.condition(condition);
            let (truth, word) = if until { (truth.not(), "until ") } else { (truth, "") };
            truth.known.then(|| reader.decide(line, &format!("{word}{text}"), truth, &[body], &[]))
        });
    }

    /// `for ((start; condition; next))`.
    pub(super) fn count(&mut self, step: &Statement, head: &str, body: &[Statement]) {
        let parts: Vec<&str> = head.split(';').collect();
        let mut is_begun = false;
        self.rounds(step, body, |reader| {
            let [start, condition, next] = parts[..] else { return None };
            reader.sum(if is_begun { next } else { start });
            is_begun = true;
            let truth = reader.sum(condition);
            truth.known.then_some(truth.holds)
        });
    }

    /// Follows a loop while it is known that it goes on; `goes` is `None` where that is not known.
    fn rounds(&mut self, step: &Statement, body: &[Statement], mut goes: impl FnMut(&mut Self) -> Option<bool>) {
        if !self.variables.take_copy() || !self.variables.budget.take_words(&self.variables.arguments) {
            return;
        }
        let before = (self.variables.set.clone(), self.variables.arguments.clone());
        let found = self.script.argv.len();
        for _ in 0..ROUNDS {
            match goes(self) {
                Some(true) => self.run(body),
                Some(false) => return,
                None => break,
            };
            if !self.goes_on() || self.script.argv.len() != found {
                return;
            }
        }
        (self.variables.set, self.variables.arguments) = before;
        self.assumed.clear();
        self.unbounded_loop(step, body);
    }

    /// A loop whose end is not known: a QEMU command in it is read as if the loop ran once.
    pub(super) fn unbounded_loop(&mut self, step: &Statement, body: &[Statement]) {
        if !self.variables.budget.take_text(&step.text) {
            return;
        }
        let head = head(&step.text);
        let line = step.line;
        if self.qemu_commands(body, MAX_CALL_DEPTH) > 0 {
            self.note(format!("line {line}: it is unknown how often `{head}` runs; assumed once"));
            self.run(body);
            self.goes_on();
            return;
        }
        let effects = self.effects(body, 0);
        if !effects.is_empty() {
            self.note(format!("line {line}: it is unknown how often `{head}` runs; left out: {}", effects.join("; ")));
        }
        // The loop's variables are unknown; they are asked for if QEMU's options need them.
        let mut arrays: BTreeMap<String, bool> = BTreeMap::new();
        let mut elements: BTreeSet<String> = BTreeSet::new();
        each(body, &mut |step| {
            for part in step.parts().into_iter().flat_map(|(_, parts)| parts) {
                if let Part::Array { name, append, .. } = part {
                    let is_kept = arrays.entry(name.clone()).or_insert(true);
                    *is_kept &= *append;
                } else if let Some((array, _)) = part.assigned().as_deref().and_then(|name| name.split_once('[')) {
                    elements.insert(array.to_owned());
                }
            }
        });
        let names = self.assigned(body);
        for name in names {
            match arrays.get(&name) {
                Some(is_kept) => self.ask_array(&name, *is_kept, &Filled { line, by: head.to_owned() }),
                None if elements.contains(&name) && !self.keyed.contains(&name) => {
                    self.ask_array(&name, true, &Filled { line, by: head.to_owned() });
                }
                None => self.ask(&[name]),
            }
        }
        if let Some(step) = self.sets_any(body) {
            self.sets_unknown(step);
        }
    }

    pub(super) fn each_word(&mut self, step: &Statement, name: &str, words: Option<&[Word]>, body: &[Statement]) {
        let of_arguments = words.is_none_or(|words| words.iter().any(|word| self.asks_for_arguments(word)));
        let values: Vec<String> = match words {
            Some(words) => words.iter().flat_map(|word| self.values(word)).collect(),
            None => self.variables.arguments.clone(),
        };
        if values.len() > ROUNDS {
            return self.unbounded_loop(step, body);
        }
        if values.iter().any(|value| has_unknown(value)) && !self.effects(body, 0).is_empty() {
            self.note(format!("line {}: it is unknown how often `{}` runs; assumed once", step.line, head(&step.text)));
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

    /// The values of a word of `for`; the file names that a pattern matches are asked for.
    fn values(&mut self, word: &Word) -> Vec<String> {
        let values = self.variables.words(word);
        if !word.finds_files() {
            return values;
        }
        let pattern = values.join(" ");
        match (self.variables.given)(&pattern) {
            Some(found) => found.split_whitespace().map(str::to_owned).collect(),
            None => vec![unknown(&shown(&pattern))],
        }
    }

    /// `((…))`: assigns a number, or compares two.
    pub(super) fn sum(&mut self, text: &str) -> Truth {
        self.assumed.clear();
        let text = self.variables.with_values(text);
        let text = text.trim();
        let value = |reader: &Self, text: &str| {
            arithmetic::value(text, &|name| match reader.variables.number(name) {
                Some(value) if !value.is_empty() => Some(value),
                // A shell reads an empty variable as 0; what comes from outside the script is not known.
                empty => (empty.is_some() || reader.variables.set.contains_key(name)).then(|| "0".into()),
            })
        };
        if let Some((name, by)) =
            [("++", 1_i64), ("--", -1)].iter().find_map(|(sign, by)| Some((text.strip_suffix(sign).or(text.strip_prefix(sign))?, by)))
        {
            let is_begun = self.variables.set.contains_key(name.trim());
            let now = if is_begun { value(self, name) } else { Some(0) };
            return self.set_sum(name, name, now.and_then(|now| now.checked_add(*by)));
        }
        for (sign, _, holds) in COMPARISONS {
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
            let to =
                now.zip(value(self, right)).and_then(|(now, right)| if sign < 0 { now.checked_sub(right) } else { now.checked_add(right) });
            return self.set_sum(name, right, to);
        }
        value(self, text).map_or(Truth::GUESS, |value| Truth::of(value != 0))
    }

    /// Sets a variable to the value of a sum, or marks it with what the sum lacks.
    fn set_sum(&mut self, name: &str, sum: &str, value: Option<i64>) -> Truth {
        if is_name(name.trim()) {
            let lacking = || self.variables.lacking(sum).unwrap_or_else(|| unknown(name.trim()));
            let value = value.map_or_else(lacking, |value| value.to_string());
            self.set(name.trim(), vec![value]);
        }
        Truth::GUESS
    }
}

/// A loop as written, without its body.
fn head(loop_text: &str) -> &str {
    let end = [";do", "; do", " do ", " {"].iter().filter_map(|word| loop_text.find(word)).min();
    loop_text[..end.unwrap_or(loop_text.len())].trim()
}
