//! Parameter expansion: `${…}`.

use super::super::arithmetic;
use super::super::marks::{has_unknown, unknown, unknowns};
use super::super::pattern;
use super::super::word::is_name;
use super::{MOST_DEFAULTS, Variables, given_words, words_of};

impl Variables<'_> {
    /// The values of `${inside}`.
    pub(super) fn parameter(&mut self, inside: &str, quoted: bool) -> Vec<String> {
        if !self.budget.take_text(inside) || (matches!(inside, "@" | "*") && !self.budget.take_words(&self.arguments)) {
            return Vec::new();
        }
        // `${#NAME[@]}`, `${!NAME[@]}`: an operation may stand before the name.
        let before = usize::from(inside.len() > 1 && inside.starts_with(['#', '!']));
        let end = inside[before..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(inside.len(), |end| before + end);
        let named = self.named(&inside[before..end]).into_owned();
        if named != inside[before..end] {
            // What `${!NAME}` gives of another name is the variable's own name.
            return if inside.starts_with('!') && end == inside.len() {
                vec![named]
            } else {
                self.parameter(&format!("{}{named}{}", &inside[..before], &inside[end..]), quoted)
            };
        }
        if inside == "@" || (inside == "*" && !quoted) {
            return self.arguments.clone();
        }
        if inside == "*" {
            return vec![self.arguments.join(&self.separator())];
        }
        if let Some(range) = inside.strip_prefix("@:").or_else(|| inside.strip_prefix("*:")) {
            // `$0` is the first of these.
            let all = std::iter::once(self.script.to_owned()).chain(self.arguments.iter().cloned()).collect::<Vec<_>>();
            return self.slice(&all, range).unwrap_or_else(|| vec![self.unknown(inside)]);
        }
        if let Some(counted) = inside.strip_prefix('#').filter(|name| !name.is_empty()) {
            return vec![self.length(counted).unwrap_or_else(|| self.unknown(inside))];
        }
        if let Some(name) = inside.strip_prefix('!').filter(|name| !name.is_empty()) {
            if let Some(array) = all_of(name) {
                return self.keys(array).unwrap_or_else(|| vec![self.unknown(inside)]);
            }
            let named = self.value(name).filter(|named| !has_unknown(named) && is_name(named));
            let value = named.and_then(|named| self.value(&named));
            return vec![value.unwrap_or_else(|| self.unknown(inside))];
        }
        let special = inside.starts_with(['@', '*', '#', '?', '!', '$', '-']);
        let end = inside.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inside.len());
        let (name, mut operation) = inside.split_at(if special { 1 } else { end });
        let mut value = self.value(name);
        let mut missing = self.missing(name);
        if let Some((key, rest)) = operation.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            operation = rest;
            if key == "@" || key == "*" {
                let all = self.elements(name);
                // An array that is never set is asked for: it may come from a file that is not read.
                let is_set = self.set.contains_key(name) || !all.is_empty();
                let choice = rest.strip_prefix(':').unwrap_or(rest).split_at_checked(1);
                return if let Some((sign @ ("-" | "+"), word)) = choice {
                    if !is_set {
                        self.note_default(name);
                    }
                    match (sign, all.is_empty()) {
                        ("-", false) => all,
                        ("+", false) if word.contains(&format!("${{{name}[{key}]}}")) => all,
                        ("-", true) | ("+", false) => Some(self.nested(word)).filter(|word| !word.is_empty()).into_iter().collect(),
                        _ => Vec::new(),
                    }
                } else if let Some(range) = rest.strip_prefix(':').filter(|_| is_set && !all.iter().any(|one| has_unknown(one))) {
                    self.slice(&all, range).unwrap_or_else(|| vec![self.unknown(inside)])
                } else if !rest.is_empty() {
                    vec![self.unknown(inside)]
                } else if !is_set {
                    let all = format!("{name}[{key}]");
                    (self.given)(&all).map_or_else(|| vec![unknown(&all)], |said| given_words(&said))
                } else if key == "*" && quoted {
                    vec![all.join(&self.separator())]
                } else {
                    all
                };
            }
            value = self.element(name, key);
            missing = if self.set.contains_key(name) { String::new() } else { self.unknown(&format!("{name}[{key}]")) };
        }
        vec![self.operated(name, inside, operation, value, missing)]
    }

    /// The value with an operation: `-word` and its like, where a colon counts empty as unset, or a change of the value.
    fn operated(&mut self, name: &str, inside: &str, operation: &str, value: Option<String>, missing: String) -> String {
        let is_default = |rest: &str| rest.starts_with(['-', '=', '+', '?']);
        let (rest, given) = match operation.strip_prefix(':').filter(|rest| is_default(rest)) {
            Some(rest) => (rest, value.clone().filter(|value| !value.is_empty())),
            None => (operation, value.clone()),
        };
        if operation.is_empty() || !is_default(rest) {
            let value = value.unwrap_or(missing);
            if operation.is_empty() {
                return value;
            }
            // What a value lacks is what a change of it lacks.
            let lacking: String = unknowns(&value).map(|name| unknown(&name)).collect();
            let changed = self.changed(&value, operation).or_else(|| (self.given)(inside));
            return changed.unwrap_or_else(|| if lacking.is_empty() { unknown(inside) } else { lacking });
        }
        let (sign, word) = rest.split_at(1);
        if value.is_none() && !self.set.contains_key(name) {
            let is_argument = name.bytes().all(|byte| byte.is_ascii_digit() || b"@*#".contains(&byte));
            match is_argument {
                false => self.note_default(name),
                true if !self.arguments_known => self.note_default(if self.arguments.is_empty() { "1" } else { name }),
                true => {}
            }
        }
        match (sign, given) {
            ("+", None) => {
                if !self.set.contains_key(name) && is_name(name) && self.left_out.borrow().len() < MOST_DEFAULTS {
                    self.left_out.borrow_mut().insert(name.to_owned());
                }
                String::new()
            }
            ("+", Some(_)) => self.nested(word),
            (_, Some(given)) => given,
            ("?", None) => unknown(name),
            ("=", None) => {
                let value = self.nested(word);
                self.set.insert(name.to_owned(), vec![value.clone()]);
                self.by_default.insert(name.to_owned(), [name.to_owned()].into());
                value
            }
            (_, None) => self.nested(word),
        }
    }

    /// `${!NAME[@]}`: the keys of an array that is set.
    fn keys(&self, array: &str) -> Option<Vec<String>> {
        let prefix = format!("{array}[");
        let keyed = self.set.range(prefix.clone()..).take_while(|(name, _)| name.starts_with(&prefix));
        let keyed: Vec<String> = keyed.filter_map(|(name, _)| Some(name[prefix.len()..].strip_suffix(']')?.to_owned())).collect();
        let keys = match self.set.get(array) {
            _ if !keyed.is_empty() => keyed,
            Some(values) => (0..values.len()).map(|number| number.to_string()).collect(),
            None => return None,
        };
        self.budget.take_words(&keys).then_some(keys)
    }

    /// An arithmetic text with its `$(…)` and `${…}` expanded.
    pub(in super::super) fn with_values(&mut self, sum: &str) -> String {
        let (mut rest, mut printed) = (sum, String::new());
        while let Some((before, inside, after)) =
            rest.split_once("$(").and_then(|(before, from)| end_of(from, '(', ')').map(|end| (before, &from[..end], &from[end + 1..])))
        {
            printed.push_str(before);
            let value = self.within(|variables| variables.command(inside)).unwrap_or_default();
            printed.push_str(&value);
            rest = after;
        }
        printed.push_str(rest);
        self.with_parameters(&printed)
    }

    fn with_parameters(&mut self, sum: &str) -> String {
        let (mut rest, mut filled) = (sum, String::new());
        while let Some((before, inside, after)) =
            rest.split_once("${").and_then(|(before, from)| closed(from).map(|end| (before, &from[..end], &from[end + 1..])))
        {
            filled.push_str(before);
            filled.push_str(&self.parameter(inside, true).join(" "));
            rest = after;
        }
        filled + rest
    }

    /// `${#NAME}`, `${#NAME[@]}`.
    pub(super) fn length(&self, name: &str) -> Option<String> {
        if let Some(name) = all_of(name) {
            return self.set.contains_key(name).then(|| self.elements(name).len().to_string());
        }
        let value = self.value(name).filter(|value| !has_unknown(value))?;
        Some(value.chars().count().to_string())
    }

    /// A value without its beginning or its end, a part of it, with other letters or with something replaced; any other change is
    /// asked for.
    pub(super) fn changed(&mut self, value: &str, operation: &str) -> Option<String> {
        if has_unknown(value) {
            return None;
        }
        match operation {
            "^^" => return Some(value.to_uppercase()),
            ",," => return Some(value.to_lowercase()),
            "^" | "," => {
                let mut letters = value.chars();
                let first = letters
                    .next()
                    .map(|first| if operation == "^" { first.to_uppercase().to_string() } else { first.to_lowercase().to_string() });
                return Some(first.unwrap_or_default() + letters.as_str());
            }
            _ => {}
        }
        if let Some(range) = operation.strip_prefix(':') {
            return self.part(value, range);
        }
        if let Some(replaced) = operation.strip_prefix('/') {
            let (all, replaced) = replaced.strip_prefix('/').map_or((false, replaced), |replaced| (true, replaced));
            // A `/` in quotes or behind `\` belongs to the pattern.
            if replaced.contains(['\\', '"', '\'', '&']) || replaced.starts_with(['#', '%', '/']) {
                return None;
            }
            let (what, by) = replaced.split_once('/').unwrap_or((replaced, ""));
            let (what, by) = (self.nested_pattern(what)?, self.nested(by));
            let is_known = !has_unknown(&by) && !what.is_empty();
            return if is_known { pattern::replaced(value, &what, &by, all, &self.budget) } else { None };
        }
        let sign = operation.chars().next().filter(|sign| "#%".contains(*sign) && !has_unknown(value))?;
        let (twice, word) = operation[1..].strip_prefix(sign).map_or((false, &operation[1..]), |word| (true, word));
        let pattern = self.nested_pattern(word)?;
        Some(pattern::without(value, &pattern, sign == '#', twice, &self.budget))
    }

    /// `${NAME[@]:from:count}`, `${@:from}`.
    fn slice(&mut self, all: &[String], range: &str) -> Option<Vec<String>> {
        let (from, count) = range.split_once(':').map_or((range, None), |(from, count)| (from, Some(count)));
        let mut number = |text: &str| {
            let text = self.with_values(text);
            usize::try_from(arithmetic::value(text.trim(), &|name| self.value(name))?).ok()
        };
        let from = match from.trim().strip_prefix('-') {
            // From the end.
            Some(from) => all.len().checked_sub(number(from)?)?,
            None => number(from)?,
        };
        let count = match count {
            Some(count) => number(count)?,
            None => usize::MAX,
        };
        let slice: Vec<String> = all.iter().skip(from).take(count).cloned().collect();
        self.budget.take_words(&slice).then_some(slice)
    }

    /// `${NAME:from:length}`.
    fn part(&mut self, value: &str, range: &str) -> Option<String> {
        let (from, length) = range.split_once(':').map_or((range, None), |(from, length)| (from, Some(length)));
        let mut number = |text: &str| {
            let text = self.with_values(text);
            let (text, sign) = text.trim().strip_prefix('-').map_or((text.trim(), 1), |text| (text, -1));
            Some(arithmetic::value(text, &|name| self.value(name))? * sign)
        };
        let (from, length) = (number(from)?, length.map(&mut number));
        let count = i64::try_from(value.chars().count()).ok()?;
        let at = |number: i64, before: i64| if number < 0 { count.checked_add(number) } else { number.checked_add(before) };
        let start = at(from, 0)?;
        let end = length.map_or(Some(count), |length| at(length?, start))?.min(count);
        let length = usize::try_from(end.saturating_sub(start)).unwrap_or(0);
        // A start before the text gives nothing.
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        Some(value.chars().skip(start).take(length).collect())
    }

    /// The word in `${NAME:-word}`.
    pub(in super::super) fn nested(&mut self, text: &str) -> String {
        let words = self.within(|variables| words_of(text).iter().map(|word| variables.text(word)).collect::<Vec<_>>());
        words.unwrap_or_default().join(" ")
    }

    pub(super) fn nested_pattern(&mut self, text: &str) -> Option<String> {
        let words = self.within(|variables| words_of(text).iter().map(|word| variables.pattern(word)).collect::<Vec<_>>())?;
        Some(words.join(" ")).filter(|pattern| !has_unknown(pattern))
    }
}

/// The array of `NAME[@]` or `NAME[*]`.
fn all_of(name: &str) -> Option<&str> {
    name.strip_suffix("[@]").or_else(|| name.strip_suffix("[*]"))
}

/// The position of the matching `}`.
fn closed(text: &str) -> Option<usize> {
    end_of(text, '{', '}')
}

fn end_of(text: &str, open: char, close: char) -> Option<usize> {
    let mut depth = 1_usize;
    text.char_indices().find_map(|(at, sign)| {
        depth = if sign == open { depth + 1 } else { depth - usize::from(sign == close) };
        (depth == 0).then_some(at)
    })
}
