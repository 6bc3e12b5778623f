//! What `$(…)` prints where it only sets variables and prints: `$(IFS=,; echo "${LIST[*]}")`, `$(function_of_the_script VALUE)`,
//! `$(cat <<END …)`.

use super::super::arithmetic;
use super::super::budget::WORD;
use super::super::command::{Command, Joined, Part, Statement};
use super::super::condition::{self, Operand, Truth};
use super::super::marks::has_unknown;
use super::super::parser::parse;
use super::super::printf::formatted;
use super::super::word::{Word, assignment, is_name};
use super::Variables;

impl Variables<'_> {
    /// What these commands print; `None` where that is not known. What they set is set in a subshell only.
    pub(super) fn echoed(&mut self, text: &str) -> Option<String> {
        let first = text.split_whitespace().next()?;
        let may_print = self.functions.contains_key(first) || text.contains("echo ") || first == "cat";
        if !may_print || !self.budget.take(text.len() * WORD) || !self.take_copy() || !self.budget.take_words(&self.arguments) {
            return None;
        }
        let steps = parse(text, 1).ok()?;
        let before = (self.set.clone(), self.arguments.clone(), self.arguments_known);
        let printed = self.print(&steps);
        (self.set, self.arguments, self.arguments_known) = before;
        Some(printed?.trim_end_matches('\n').to_owned())
    }

    fn print(&mut self, steps: &[Statement]) -> Option<String> {
        let mut printed = String::new();
        // Whether the command before has succeeded.
        let mut holds = true;
        for step in steps {
            if (step.joined == Joined::And && !holds) || (step.joined == Joined::Or && holds) {
                continue;
            }
            if let Command::Arithmetic(sum) = &step.command {
                let sum = self.with_values(sum);
                holds = arithmetic::value(&sum, &|name| self.number(name))? != 0;
                holds ^= step.negated;
                continue;
            }
            let Command::Plain(parts) = &step.command else { return None };
            let words: Vec<&Word> = parts.iter().map(Part::word).collect::<Option<_>>()?;
            if let Some(truth) = self.tested(&words) {
                holds = truth.known.then_some(truth.holds != step.negated)?;
                continue;
            }
            // `echo … >&2` prints elsewhere.
            if step.negated || !step.written.is_empty() {
                return None;
            }
            holds = true;
            if words.iter().all(|word| assignment(word).is_some()) {
                self.set_plainly(&words)?;
                continue;
            }
            let (first, rest) = words.split_first()?;
            match first.plain()? {
                "local" | "declare" => self.set_plainly(rest)?,
                ":" | "true" => {}
                "return" if rest.is_empty() || rest[0].plain() == Some("0") => break,
                "echo" => {
                    let is_as_written = !rest.iter().any(|word| word.finds_files());
                    let said = rest.iter().flat_map(|word| self.words(word)).collect::<Vec<_>>();
                    // What becomes of a backslash depends on the shell.
                    if !is_as_written
                        || said.first().is_some_and(|word| word.starts_with('-'))
                        || said.iter().any(|word| word.contains('\\'))
                    {
                        return None;
                    }
                    printed.push_str(&said.join(" "));
                    printed.push('\n');
                }
                // What the script itself has for it, as `cat <<END`.
                "cat" if rest.is_empty() => printed.push_str(&step.input.as_ref().map(|input| self.text(input))?),
                "printf" => {
                    let said = rest.iter().flat_map(|word| self.words(word)).collect::<Vec<_>>();
                    let (format, values) = said.split_first()?;
                    printed.push_str(&formatted(format, values)?);
                    printed.push_str(if format.ends_with("\\n") { "\n" } else { "" });
                }
                name => {
                    let body = self.functions.get(name).cloned()?;
                    let arguments = rest.iter().flat_map(|word| self.words(word)).collect();
                    let outer = (std::mem::replace(&mut self.arguments, arguments), std::mem::replace(&mut self.arguments_known, true));
                    let said = self.within(|variables| variables.print(&body)).flatten();
                    (self.arguments, self.arguments_known) = outer;
                    printed.push_str(&said?);
                }
            }
        }
        self.budget.take_text(&printed).then_some(printed)
    }

    /// `[ … ]` of known texts and numbers; `None` for another command.
    fn tested(&mut self, words: &[&Word]) -> Option<Truth> {
        let (first, rest) = words.split_first()?;
        let rest = match first.plain()? {
            "[" => rest.split_last()?.1,
            "test" => rest,
            _ => return None,
        };
        let mut operands = Vec::new();
        for word in rest {
            let values = self.words(word);
            let is_dropped = values.is_empty() && !word.quoted;
            let text = values.join(" ");
            let text = Some(text).filter(|text| !has_unknown(text));
            operands.extend((!is_dropped).then(|| Operand { pattern: text.clone(), text }));
        }
        Some(condition::holds(&operands, false, &self.budget))
    }

    /// Assignments of single values.
    fn set_plainly(&mut self, words: &[&Word]) -> Option<()> {
        for word in words {
            let (name, append, value) = assignment(word)?;
            if append || !is_name(&name) || self.other_names.contains_key(&name) {
                return None;
            }
            let value = self.text(&value);
            self.set.insert(name, vec![value]);
        }
        Some(())
    }
}
