//! `read` and `mapfile`.

use super::super::command::Statement;
use super::super::condition::Truth;
use super::super::marks::has_unknown;
use super::input::{Call, Input, call, fields};
use super::{Filled, Reader};

impl Reader<'_> {
    pub(super) fn read(&mut self, step: &Statement, command: &str, words: &[String]) -> Truth {
        let is_read = command == "read";
        let call = call(is_read, words);
        if call.is_unnamed {
            self.sets_unknown(step);
            return Truth::GUESS;
        }
        if !call.is_other
            && let Some((text, is_ended)) = self.next_input(&call)
        {
            if !is_read {
                self.set_all(&call.names, text.lines().map(str::to_owned).collect());
                return Truth::of(true);
            }
            let separators = self.variables.separators();
            match &call.names[..] {
                [] => self.set("REPLY", vec![text]),
                names if call.is_array => self.set_all(names, fields(&text, &separators, usize::MAX)),
                names => {
                    let mut values = fields(&text, &separators, names.len()).into_iter();
                    for name in names {
                        self.set(name, vec![values.next().unwrap_or_default()]);
                    }
                }
            }
            return Truth::of(is_ended);
        }
        let names = if call.names.is_empty() { vec!["REPLY".to_owned()] } else { call.names };
        if call.is_array {
            for name in names {
                self.ask_array(&name, false, &Filled { line: step.line, by: step.text.clone() });
            }
        } else {
            self.ask(&names);
        }
        Truth::GUESS
    }

    fn set_all(&mut self, names: &[String], values: Vec<String>) {
        if let [name] = names
            && self.variables.budget.take_words(&values)
        {
            self.set(name, values);
        }
    }

    /// The next line, or all that is left, and whether its end was found; `None` where it is not known.
    fn next_input(&mut self, call: &Call) -> Option<(String, bool)> {
        let input = match self.inputs.pop()? {
            Input::Written(word) => {
                let text = self.variables.text(&word);
                if has_unknown(&text) { Input::Unknown } else { Input::Left(text) }
            }
            input => input,
        };
        let (input, next) = match input {
            Input::Left(left) if self.variables.budget.take_text(&left) && (call.is_raw || !left.contains('\\')) => {
                let line = left.split_once('\n').filter(|_| !call.to_end);
                let (text, rest) = line.unwrap_or((&left, ""));
                (Input::Left(rest.to_owned()), Some((text.to_owned(), line.is_some())))
            }
            _ => (Input::Unknown, None),
        };
        self.inputs.push(input);
        next
    }
}
