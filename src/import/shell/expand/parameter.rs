//! Parameter expansion: `${…}`.

use super::super::marks::{has_unknown, unknown};
use super::super::pattern;
use super::super::word::is_name;
use super::{Variables, words_of};

impl Variables<'_> {
    /// The values of `${inside}`.
    pub(super) fn parameter(&mut self, inside: &str, quoted: bool) -> Vec<String> {
        if !self.budget.take_text(inside) || (matches!(inside, "@" | "*") && !self.budget.take_words(&self.arguments)) {
            return Vec::new();
        }
        if inside == "@" || (inside == "*" && !quoted) {
            return self.arguments.clone();
        }
        if inside == "*" {
            return vec![self.arguments.join(&self.separator())];
        }
        let from = inside.strip_prefix("@:").or_else(|| inside.strip_prefix("*:")).and_then(|from| from.trim().parse::<usize>().ok());
        if let Some(from) = from.filter(|from| *from > 0 && (self.arguments_known || !self.arguments.is_empty())) {
            let rest = self.arguments.get(from - 1..).unwrap_or_default();
            return if self.budget.take_words(rest) { rest.to_vec() } else { Vec::new() };
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
                } else if !rest.is_empty() {
                    vec![self.unknown(inside)]
                } else if !is_set {
                    vec![self.unknown(&format!("{name}[{key}]"))]
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
            return if operation.is_empty() { value } else { self.changed(&value, operation).unwrap_or_else(|| self.unknown(inside)) };
        }
        let (sign, word) = rest.split_at(1);
        if value.is_none() && !self.set.contains_key(name) {
            let is_argument = name.bytes().all(|byte| byte.is_ascii_digit() || b"@*#".contains(&byte));
            match is_argument {
                false => self.note_default(name),
                true if !self.arguments_known => self.note_default("1"),
                true => {}
            }
        }
        match (sign, given) {
            ("+", given) => given.map(|_| self.nested(word)).unwrap_or_default(),
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

    /// An arithmetic text with its `${…}` expanded.
    pub(in super::super) fn with_values(&mut self, sum: &str) -> String {
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

    /// A value without its beginning or its end; any other change is asked for.
    pub(super) fn changed(&mut self, value: &str, operation: &str) -> Option<String> {
        let sign = operation.chars().next().filter(|sign| "#%".contains(*sign) && !has_unknown(value))?;
        let (twice, word) = operation[1..].strip_prefix(sign).map_or((false, &operation[1..]), |word| (true, word));
        let pattern = self.nested_pattern(word)?;
        Some(pattern::without(value, &pattern, sign == '#', twice, &self.budget))
    }

    /// The word in `${NAME:-word}`.
    pub(super) fn nested(&mut self, text: &str) -> String {
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
    let mut depth = 1_usize;
    text.char_indices().find_map(|(at, sign)| {
        match sign {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(at)
    })
}
