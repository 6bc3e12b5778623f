//! Conditions: which branch is followed, and what is reported of the others.

use std::collections::BTreeSet;

use super::super::budget::WORD;
use super::super::command::{Arm, ArmEnd, Command, Joined, Part, Statement, each};
use super::super::condition::{self, Operand, Truth};
use super::super::marks::{filled, shown};
use super::super::pattern;
use super::super::programs::{DECLARERS, is_qemu, starts_qemu};
use super::super::regex::compiled;
use super::super::word::{Piece, Word, is_always_set, is_name};
use super::commands::copied;
use super::{Flow, Reader};
use crate::import::copied::Copied;
use crate::import::table::has;
use crate::model::Reading;

/// Programs that make a file, which QEMU's options may name.
const MAKE_FILES: &str = "cp mv ln qemu-img dd truncate fallocate wget curl";
/// How deep called functions are searched.
pub(super) const MAX_CALL_DEPTH: usize = 2;

impl Reader<'_> {
    /// Decides a condition. An unknown one is guessed, and what the other branch would have done
    /// is reported.
    pub(super) fn decide(&mut self, line: usize, condition: &str, truth: Truth, then: &[&[Statement]], otherwise: &[&[Statement]]) -> bool {
        let assumed = std::mem::take(&mut self.assumed);
        let ends = |reader: &Self, lists: &[&[Statement]]| lists.first().is_some_and(|list| reader.ends(list, 0));
        let qemu_commands = [then, otherwise].map(|lists| lists.iter().map(|list| self.qemu_commands(list, 0)).sum::<usize>());
        // Prefer the branch that starts QEMU, unless that branch ends the script and another QEMU command follows.
        let by_qemu = match qemu_commands {
            [count, 0] if count > 0 => Some((true, count, ends(self, then) && !ends(self, otherwise))),
            [0, count] if count > 0 => Some((false, count, ends(self, otherwise) && !ends(self, then))),
            _ => None,
        };
        let by_qemu = by_qemu.filter(|(_, count, leaves)| !truth.known && (!leaves || *count >= self.qemu_commands));
        let holds = if truth.known {
            truth.holds
        } else if let Some((holds, ..)) = by_qemu {
            holds
        } else {
            match (ends(self, then), ends(self, otherwise)) {
                (true, false) => false,
                (false, true) => true,
                // What a branch reads is there where the branch is taken.
                _ => truth.holds && !then.first().is_some_and(|list| self.lacks_file(list)),
            }
        };
        let (taken, left) = if holds { (then, otherwise) } else { (otherwise, then) };
        let leaves = ends(self, taken);
        self.wants.extend(assumed.iter().filter(|name| leaves || *name == "1").cloned());
        let effects: Vec<String> = left.iter().flat_map(|list| self.effects(list, 0)).collect();
        let matters = !effects.is_empty() || taken.iter().any(|list| !self.effects(list, 0).is_empty());
        let out = if effects.is_empty() { "nothing".to_owned() } else { effects.join("; ") };
        let does = if holds { "is true" } else { "is false" };
        let told = matters && (!truth.known || !assumed.is_empty());
        if told && !truth.known {
            let as_it = if holds { "true" } else { "false" };
            self.note(format!("line {line}: it is unknown whether `{condition}` is true; assumed {as_it}; left out: {out}"));
        } else if told && assumed.contains("1") && self.variables.arguments.is_empty() {
            self.note(format!(
                "line {line}: the script takes arguments; without any, `{condition}` {does}; left out: {out}; --set '1=VALUE' sets the first"
            ));
        } else if told {
            let names: Vec<String> = assumed.iter().map(|name| format!("${name}")).collect();
            let sets: Vec<String> = assumed.iter().map(|name| format!("--set '{name}=VALUE'")).collect();
            let (names, sets) = (names.join(" and "), sets.join(" "));
            self.note(format!(
                "line {line}: {names} has no value {}, so `{condition}` {does}; left out: {out}; to give one: {sets}",
                if self.may_have_set_any { "that is known" } else { "from outside the script" }
            ));
        }
        let why = format!("line {line}: `{condition}` {does} as vgapt reads it");
        for list in left {
            if !truth.known {
                self.copies_if_missing(list);
            }
            self.leave(list, &why, told);
            self.leave_empty(list);
        }
        holds
    }

    /// Whether commands source a file that is not in the script's directory, and should be.
    fn lacks_file(&mut self, steps: &[Statement]) -> bool {
        let files = steps.iter().filter_map(Statement::parts).filter(|(first, _)| matches!(*first, "source" | "."));
        let files: Vec<Word> = files.filter_map(|(_, parts)| parts.get(1)?.word().cloned()).collect();
        files.iter().any(|file| {
            let file = self.variables.text(file);
            self.variables.file(&file) == Some(Reading::Absent)
        })
    }

    /// `[ -f TO ] || cp FROM TO`: what libvirt does with a template too.
    fn copies_if_missing(&mut self, steps: &[Statement]) {
        let mut copies = Vec::new();
        each(steps, &mut |step| copies.extend(step.parts().filter(|(first, _)| *first == "cp").map(|(_, parts)| parts)));
        for parts in copies {
            let argv: Vec<String> = parts.iter().filter_map(Part::word).flat_map(|word| self.variables.words(word)).collect();
            // `cp FROM TO || cp OTHER TO`: the first is what is done.
            let is_new = |copy: &Copied| self.script.copies.iter().all(|known| known.to != copy.to);
            let copy = copied(&argv, true).filter(is_new);
            self.script.copies.extend(copy);
        }
    }

    /// Skips commands, and remembers the QEMU commands among them.
    pub(super) fn leave(&mut self, steps: &[Statement], why: &str, told: bool) {
        each(steps, &mut |step| {
            if self.variables.budget.take_text(&step.text) && self.starts_qemu(step) && self.variables.budget.take_text(why) {
                self.unread.entry(step.line).or_insert_with(|| (why.to_owned(), told));
            }
        });
    }

    /// The body of the function that a command calls, down to a depth of calls.
    fn called(&self, name: &str, depth: usize) -> Option<&[Statement]> {
        self.variables.functions.get(name).filter(|_| depth < MAX_CALL_DEPTH).map(|body| body.as_slice())
    }

    /// Whether a command starts QEMU, as it is written or by the value of a variable that it begins with.
    fn starts_qemu(&self, step: &Statement) -> bool {
        let by_value = || match &step.parts()?.1.first()?.word()?.pieces[..] {
            [Piece::Parameter { inside, .. }] => {
                let values = self.variables.set.get(inside.split('[').next()?)?;
                let mut words =
                    values.iter().take_while(|value| self.variables.budget.take_text(value)).flat_map(|value| value.split_whitespace());
                Some(words.any(is_qemu))
            }
            _ => None,
        };
        starts_qemu(step) || by_value() == Some(true)
    }

    /// How many of these commands start QEMU, including those of called functions.
    pub(super) fn qemu_commands(&self, steps: &[Statement], depth: usize) -> usize {
        let mut count = 0;
        each(steps, &mut |step| {
            if let Some((first, _)) = step.parts().filter(|_| self.variables.budget.take(WORD)) {
                let called = self.called(first, depth);
                count += called.map_or_else(|| usize::from(self.starts_qemu(step)), |body| self.qemu_commands(body, depth + 1));
            }
        });
        count
    }

    /// The variables that commands set.
    pub(super) fn assigned(&self, steps: &[Statement]) -> Vec<String> {
        let mut names = Vec::new();
        each(steps, &mut |step| {
            if let Some((_, parts)) = step.parts().filter(|_| self.variables.budget.take_text(&step.text)) {
                names.extend(parts.iter().filter_map(Part::assigned));
            }
        });
        for name in &mut names {
            // What sets an element sets the array.
            name.truncate(name.find('[').unwrap_or(name.len()));
        }
        names.retain(|name| is_name(name));
        names
    }

    /// The first command of these that sets variables whose names are not written in it.
    pub(super) fn sets_any<'s>(&self, steps: &'s [Statement]) -> Option<&'s Statement> {
        let mut found = None;
        each(steps, &mut |step| {
            if found.is_none() && self.variables.budget.take_text(&step.text) && sets_unnamed(step) {
                found = Some(step);
            }
        });
        found
    }

    /// Variables that only skipped commands would set are empty.
    fn leave_empty(&mut self, steps: &[Statement]) {
        for name in self.assigned(steps) {
            if self.variables.value(&name).is_none() {
                self.set(&name, Vec::new());
            }
        }
    }

    /// Whether commands end the script or the function.
    fn ends(&self, steps: &[Statement], depth: usize) -> bool {
        let affordable = |step: &&Statement| self.variables.budget.take(WORD) && step.joined != Joined::Or;
        steps.iter().filter(affordable).any(|step| match (&step.command, step.parts()) {
            (Command::Group(body), _) => self.ends(body, depth),
            (_, Some((first, parts))) => {
                // A loop that searches ends with what it has found.
                let finds = || first == "break" && !self.effects(steps, depth).is_empty();
                (matches!(first, "exit" | "return" | "break" | "continue") && !finds())
                    || (first == "exec" && parts.len() > 1 && !self.starts_qemu(step))
                    || self.called(first, depth).is_some_and(|body| self.ends(body, depth + 1))
            }
            _ => false,
        })
    }

    /// The commands, as written, that would affect the QEMU command.
    pub(super) fn effects(&self, steps: &[Statement], depth: usize) -> Vec<String> {
        let mut effects = Vec::new();
        let mut seen = BTreeSet::new();
        each(steps, &mut |step| {
            let Some((first, parts)) = step.parts().filter(|_| self.variables.budget.take_text(&step.text)) else { return };
            let sets = parts.last().is_some_and(|last| {
                let all_assign = || parts.iter().all(|part| part.assigned().is_some());
                last.word().is_none() || (last.assigned().is_some() && (all_assign() || DECLARERS.contains(&first)))
            });
            let sets_arguments = first == "set" && parts.len() > 1 && step.text.contains("--");
            let calls = self.called(first, depth).is_some_and(|body| !self.effects(body, depth + 1).is_empty());
            let makes = has(MAKE_FILES, first);
            let within = matches!(first, "eval" | "source" | "." | "unset" | "read" | "mapfile");
            if (sets || sets_arguments || sets_unnamed(step) || calls || within || makes || starts_qemu(step))
                && seen.insert(step.text.as_str())
            {
                effects.push(step.text.clone());
            }
        });
        effects
    }

    pub(super) fn condition(&mut self, steps: &[Statement]) -> (Truth, usize, String) {
        self.clear_assumed();
        let truth = self.run(steps);
        let mut text = String::new();
        for step in steps {
            if !self.variables.budget.take_text(&step.text) {
                break;
            }
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

    pub(super) fn branches(&mut self, branches: &[(Vec<Statement>, Vec<Statement>)]) {
        for (index, (condition, body)) in branches.iter().enumerate() {
            let rest: Vec<&[Statement]> = branches[index + 1..].iter().map(|(_, body)| body.as_slice()).collect();
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

    /// Whether a loop continues after its body was followed.
    pub(super) fn goes_on(&mut self) -> bool {
        let flow = self.flow.take_if(|flow| matches!(flow, Flow::Break | Flow::Continue));
        self.flow.is_none() && flow != Some(Flow::Break)
    }

    pub(super) fn case(&mut self, step: &Statement, word: &Word, arms: &[Arm]) {
        self.clear_assumed();
        if self.asks_for_arguments(word) {
            self.assumed.insert("1".into());
        }
        let text = self.variables.text(word);
        let known = self.known(&text);
        self.assume_defaults();
        let written = step.text.split(" in ").next().unwrap_or_default().to_owned();
        // The arms that are run, if that is known.
        let mut run = Vec::new();
        let chosen = match &known {
            Some(text) => {
                let is = |reader: &mut Self, word: &Word| pattern::matches(&reader.variables.pattern(word), text, &reader.variables.budget);
                let mut next = ArmEnd::TestsNext;
                for (at, arm) in arms.iter().enumerate() {
                    let is_run = match next {
                        ArmEnd::Ends => break,
                        ArmEnd::RunsNext => true,
                        ArmEnd::TestsNext => arm.patterns.iter().any(|word| is(self, word)),
                    };
                    if is_run {
                        run.push(at);
                        next = arm.end;
                    }
                }
                run.first().copied()
            }
            None => arms.iter().position(|arm| !self.ends(&arm.body, 0)),
        };
        let name = chosen.and_then(|index| arms[index].patterns.first()).map(|word| shown(&self.variables.text(word)));
        let condition = match name {
            Some(name) => format!("{written} in {name})"),
            None => format!("{written} in any of its patterns"),
        };
        let truth = Truth { known: known.is_some(), holds: chosen.is_some() };
        let rest: Vec<&[Statement]> = arms
            .iter()
            .enumerate()
            .filter(|(index, _)| Some(*index) != chosen && !run.contains(index))
            .map(|(_, arm)| arm.body.as_slice())
            .collect();
        let Some(chosen) = chosen else {
            self.decide(step.line, &condition, truth, &rest, &[]);
            return;
        };
        // The question is whether this arm is taken; the others are left out either way. An arm that ends the script is what
        // the script does, not a guess.
        let taken: &[Statement] = &arms[chosen].body;
        let then = if self.ends(taken, 0) { &[] } else { taken };
        self.decide(step.line, &condition, truth, &[then], &rest);
        self.run(taken);
        for at in run.into_iter().skip(1) {
            if self.flow.is_none() {
                self.run(&arms[at].body);
            }
        }
    }

    pub(super) fn asks_for_arguments(&self, word: &Word) -> bool {
        let asks = |piece: &Piece| matches!(piece, Piece::Parameter { inside, .. } if matches!(inside.as_str(), "@" | "*" | "#"));
        !self.variables.arguments_known && self.variables.arguments.is_empty() && word.pieces.iter().any(asks)
    }

    /// The text of a condition, if it is known; unset variables are assumed empty.
    pub(super) fn known(&mut self, text: &str) -> Option<String> {
        let has_arguments = !self.variables.arguments.is_empty();
        let (asked, assumed) = (&self.asked, &mut self.assumed);
        filled(text, &mut |name| {
            if name.bytes().all(|byte| byte.is_ascii_digit()) {
                // Without any, the first is what is missing.
                assumed.insert(if has_arguments { name.to_owned() } else { "1".into() });
                return Some(String::new());
            }
            if !is_name(name) || asked.contains(name) || is_always_set(name) {
                return None;
            }
            assumed.insert(name.to_owned());
            Some(String::new())
        })
    }

    pub(super) fn test(&mut self, words: &[&Word], double: bool) -> Truth {
        self.clear_assumed();
        let mut operands = Vec::new();
        for word in words {
            if self.asks_for_arguments(word) {
                self.assumed.insert("1".into());
            }
            if double {
                let is_regex = operands.last().is_some_and(|before: &Operand| before.text.as_deref() == Some("=~"));
                let pattern = if is_regex { self.variables.regex(word) } else { self.variables.pattern(word) };
                let text = self.variables.text(word);
                operands.push(Operand { text: self.known(&text), pattern: self.known(&pattern) });
                continue;
            }
            for text in self.variables.words(word) {
                let text = self.known(&text);
                // An empty word without quotes is dropped.
                if word.quoted || text.as_deref() != Some("") {
                    operands.push(Operand { pattern: text.clone(), text });
                }
            }
        }
        self.assume_defaults();
        self.decide_set(&mut operands);
        let truth = condition::holds(&operands, double, &self.variables.budget);
        if double && truth.known && truth.holds {
            self.set_found(&operands);
        }
        truth
    }

    /// `BASH_REMATCH`, where a condition has a single `=~` and holds.
    fn set_found(&mut self, operands: &[Operand]) {
        let is_sign = |operand: &Operand| operand.text.as_deref() == Some("=~");
        let mut compared = operands.windows(3).filter(|words| is_sign(&words[1]));
        let (Some([Operand { text: Some(text), .. }, _, Operand { pattern: Some(expression), .. }]), None) =
            (compared.next(), compared.next())
        else {
            return;
        };
        let Some(regex) = compiled(expression, &self.variables.budget) else { return };
        let Some(found) = regex.captures(text) else { return };
        let found = found.iter().map(|part| part.map_or("", |part| part.as_str()).to_owned()).collect();
        self.set("BASH_REMATCH", found);
    }

    /// `-v NAME` as `-n`, of a text where the variable is set.
    fn decide_set(&mut self, operands: &mut [Operand]) {
        for at in 0..operands.len().saturating_sub(1) {
            let sign = |at: usize| operands.get(at).and_then(|operand| operand.text.as_deref());
            let begins = at == 0 || sign(at - 1).is_some_and(|before| matches!(before, "!" | "(" | "&&" | "||" | "-a" | "-o"));
            let compares = matches!(sign(at + 1), Some("=" | "==" | "!="));
            if !begins || compares || sign(at) != Some("-v") {
                continue;
            }
            let is_set = sign(at + 1).map(str::to_owned).and_then(|name| self.is_set(&name));
            operands[at] = Operand { text: Some("-n".into()), pattern: None };
            operands[at + 1] = Operand { text: is_set.map(|is_set| if is_set { "set".into() } else { String::new() }), pattern: None };
        }
    }

    /// Whether a variable or an element is set; one that may come from outside of the script is assumed not to be.
    fn is_set(&mut self, name: &str) -> Option<bool> {
        let (bare, key) =
            name.strip_suffix(']').and_then(|name| name.split_once('[')).map_or((name, None), |(bare, key)| (bare, Some(key)));
        let named = self.variables.named(bare).into_owned();
        if let Some(values) = self.variables.set.get(&named) {
            let is_empty = values.is_empty();
            return Some(match key {
                Some("@" | "*") | None => !is_empty,
                Some(key) => self.variables.element(&named, key).is_some(),
            });
        }
        let is_set = self.variables.value(&named).is_some();
        if !is_set && (self.asked.contains(&named) || is_always_set(&named) || !is_name(&named)) {
            return None;
        }
        if !is_set {
            self.assumed.insert(named);
        }
        Some(is_set)
    }

    fn clear_assumed(&mut self) {
        self.assumed.clear();
        self.variables.defaulted.borrow_mut().clear();
    }

    /// What was expanded rests on defaults of the script for these.
    fn assume_defaults(&mut self) {
        let mut names = std::mem::take(&mut *self.variables.defaulted.borrow_mut());
        names.retain(|name| !is_always_set(name));
        self.assumed.extend(names);
    }
}

/// Whether a command sets variables whose names are not written in it, as `declare "$1=$2"` does.
fn sets_unnamed(step: &Statement) -> bool {
    let Some((first, parts)) = step.parts() else { return false };
    let is_expanded = |part: &Part| {
        let word = part.word().filter(|_| part.assigned().is_none());
        word.is_some_and(|word| word.pieces.iter().any(|piece| matches!(piece, Piece::Parameter { .. } | Piece::Command { .. })))
    };
    let second = parts.get(1).and_then(|part| part.word()?.plain());
    match first {
        "eval" | "source" | "." => true,
        "printf" => second == Some("-v") && parts.get(2).is_some_and(is_expanded),
        _ => DECLARERS.contains(&first) && parts.iter().skip(1).any(is_expanded),
    }
}
