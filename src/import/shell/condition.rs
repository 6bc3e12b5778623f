//! `[ … ]` and `[[ … ]]`, evaluated as far as possible without running anything.

use super::arithmetic::{self, COMPARISONS};
use super::budget::{Budget, WORD};
use super::pattern;
use super::regex::compiled;

/// The result of a condition or command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Truth {
    /// Whether the result is known; otherwise it is a guess.
    pub(super) known: bool,
    pub(super) holds: bool,
}

impl Truth {
    /// Files are assumed to exist, and commands to succeed.
    pub(super) const GUESS: Self = Self { known: false, holds: true };

    pub(super) fn of(holds: bool) -> Self {
        Self { known: true, holds }
    }

    pub(super) fn not(self) -> Self {
        Self { holds: !self.holds, ..self }
    }

    fn and(self, other: Self) -> Self {
        let is_false = |truth: Self| truth.known && !truth.holds;
        if is_false(self) || is_false(other) {
            return Self::of(false);
        }
        Self { known: self.known && other.known, holds: self.holds && other.holds }
    }

    fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }
}

/// A word of a condition.
#[derive(Debug, Clone)]
pub(super) struct Operand {
    /// Its value, if known.
    pub(super) text: Option<String>,
    /// The same as a pattern, for `[[ … ]]`; after `=~` as a regular expression.
    pub(super) pattern: Option<String>,
}

/// Whether a condition holds; `double` is one in `[[ … ]]`.
pub(super) fn holds(operands: &[Operand], double: bool, budget: &Budget) -> Truth {
    let mut test = Test { operands, at: 0, double, depth: 0, budget };
    if operands.is_empty() {
        return Truth::of(false);
    }
    let truth = test.or();
    // A syntax error makes the condition false.
    if test.at < operands.len() { Truth { holds: false, ..truth } } else { truth }
}

struct Test<'o> {
    operands: &'o [Operand],
    at: usize,
    double: bool,
    depth: usize,
    budget: &'o Budget,
}

/// Comparisons of texts and files.
const OTHER_COMPARISONS: [&str; 8] = ["=", "==", "!=", "=~", "<", ">", "-nt", "-ot"];

impl Test<'_> {
    fn peek(&self, ahead: usize) -> Option<&str> {
        self.operands.get(self.at + ahead)?.text.as_deref()
    }

    fn take(&mut self, signs: [&str; 2]) -> bool {
        let found = self.peek(0).is_some_and(|text| signs.contains(&text));
        self.at += usize::from(found);
        found
    }

    fn or(&mut self) -> Truth {
        let mut truth = self.and();
        while self.take(["||", "-o"]) {
            truth = truth.or(self.and());
        }
        truth
    }

    fn and(&mut self) -> Truth {
        let mut truth = self.one();
        while self.take(["&&", "-a"]) {
            truth = truth.and(self.one());
        }
        truth
    }

    fn one(&mut self) -> Truth {
        let compares = |sign: &&str| OTHER_COMPARISONS.contains(sign) || COMPARISONS.iter().any(|(_, word, _)| word == sign);
        let comparison = self.peek(1).filter(compares).map(str::to_owned);
        if let (Some(sign), Some(left), Some(right)) = (comparison, self.operands.get(self.at), self.operands.get(self.at + 2)) {
            self.at += 3;
            return self.compare(left, &sign, right);
        }
        self.depth += 1;
        if self.depth > 50 {
            return Truth::GUESS;
        }
        if self.peek(0) == Some("!") && self.at + 1 < self.operands.len() {
            self.at += 1;
            return self.one().not();
        }
        if self.take(["(", "\\("]) {
            let truth = self.or();
            self.take([")", "\\)"]);
            return truth;
        }
        let is_unary = self.peek(0).is_some_and(|text| text.len() == 2 && text.starts_with('-'));
        if let (true, Some(operand)) = (is_unary, self.operands.get(self.at + 1)) {
            let sign = self.peek(0).unwrap_or_default().to_owned();
            self.at += 2;
            let empty = operand.text.as_ref().map(String::is_empty);
            return match (sign.as_str(), empty) {
                ("-z", Some(empty)) => Truth::of(empty),
                ("-n", Some(empty)) => Truth::of(!empty),
                ("-z", None) => Truth::GUESS.not(),
                // No file has an empty name.
                (_, Some(true)) => Truth::of(false),
                _ => Truth::GUESS,
            };
        }
        let Some(operand) = self.operands.get(self.at) else { return Truth::of(false) };
        self.at += 1;
        operand.text.as_ref().map_or(Truth::GUESS, |text| Truth::of(!text.is_empty()))
    }

    fn compare(&self, left: &Operand, sign: &str, right: &Operand) -> Truth {
        let (Some(left), Some(text)) = (&left.text, &right.text) else { return Truth::GUESS };
        let number = |text: &str| if self.double && text.trim().is_empty() { Some(0) } else { number(text) };
        let equal = || match &right.pattern {
            Some(pattern) if self.double => pattern::matches(pattern, left, self.budget),
            _ => left == text,
        };
        if let Some((.., holds)) = COMPARISONS.iter().find(|(_, word, _)| *word == sign) {
            return Truth::of(number(left).zip(number(text)).is_some_and(|(left, right)| holds(&left, &right)));
        }
        match sign {
            "=" | "==" => Truth::of(equal()),
            "!=" => Truth::of(!equal()),
            "=~" if self.double => right.pattern.as_ref().map_or(Truth::GUESS, |regex| self.finds(regex, left)),
            _ => Truth::GUESS,
        }
    }

    /// Whether a regular expression is found in a text. bash has those of POSIX; where the library does not know one, it is not known.
    fn finds(&self, regex: &str, text: &str) -> Truth {
        let affordable = self.budget.take(regex.len().saturating_mul(text.len() + WORD));
        let regex = affordable.then(|| compiled(regex, self.budget)).flatten();
        regex.map_or(Truth::GUESS, |regex| Truth::of(regex.is_match(text)))
    }
}

fn number(text: &str) -> Option<i64> {
    let text = text.trim();
    // `[` takes every number as a decimal one.
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    text.strip_prefix('-').map_or_else(|| arithmetic::value(text, &|_| None), |text| arithmetic::value(text, &|_| None).map(|value| -value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(condition: &str, double: bool) -> Option<bool> {
        let operand = |word: &str| {
            let text = (word != "?").then(|| word.trim_matches('\'').to_owned());
            Operand { pattern: text.clone(), text }
        };
        let truth =
            holds(&condition.split(' ').filter(|word| !word.is_empty()).map(operand).collect::<Vec<_>>(), double, &Budget::default());
        truth.known.then_some(truth.holds)
    }

    #[test]
    fn what_can_be_told() {
        for (condition, holds) in [
            ("-n a", Some(true)),
            ("-n", Some(true)),
            ("-z ''", Some(true)),
            ("= tap", Some(false)),
            ("a = a -a ! b != b", Some(true)),
            ("3 -lt 10", Some(true)),
            ("x -eq 0", Some(false)),
            ("-f /x", None),
            ("-f /x -o 1 -ge 1", Some(true)),
            ("-f /x -a 1 -gt 1", Some(false)),
            ("? = a", None),
            ("12 =~ ^[0-9]+$", None),
        ] {
            assert_eq!(told(condition, false), holds, "{condition}");
        }
        assert_eq!([told("win10 == win*", true), told("win10 == win*", false)], [Some(true), Some(false)]);
        // Beside what bash says.
        for (condition, holds) in [
            ("12 =~ ^[0-9]+$", Some(true)),
            ("x12 =~ ^[[:digit:]]+$", Some(false)),
            ("win10 =~ 1", Some(true)),
            ("! win10 =~ ^(win|mac)[0-9]*$", Some(false)),
            ("? =~ a", None),
            ("a =~ (", None),
            ("a =~ (a{999}){999}", None),
        ] {
            assert_eq!(told(condition, true), holds, "{condition}");
        }
        assert_eq!(told("( a == b || c == c ) && ! -z d", true), Some(true));
    }
}
