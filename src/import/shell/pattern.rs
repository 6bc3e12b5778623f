//! Shell patterns: `*`, `?`, `[…]`; `\` makes the next character literal.

use super::budget::Budget;

/// Whether a pattern matches the whole text.
pub(super) fn matches(pattern: &str, text: &str, budget: &Budget) -> bool {
    let parts = parts(pattern);
    let text: Vec<char> = text.chars().collect();
    budget.take(pattern.len() + text.len()) && ends(&parts, text.iter().copied(), budget).last() == Some(&text.len())
}

/// Escapes a text, so that a pattern matches it literally.
pub(super) fn literal(text: &str) -> String {
    text.chars().flat_map(|c| ("*?[]\\".contains(c)).then_some('\\').into_iter().chain([c])).collect()
}

/// Removes the beginning (`#`) or the end (`%`) that a pattern matches.
pub(super) fn without(text: &str, pattern: &str, from_start: bool, longest: bool, budget: &Budget) -> String {
    let mut parts = parts(pattern);
    let letters: Vec<char> = text.chars().collect();
    let found = if from_start {
        ends(&parts, letters.iter().copied(), budget)
    } else {
        parts.reverse();
        ends(&parts, letters.iter().rev().copied(), budget)
    };
    let length = if longest { found.last() } else { found.first() }.copied().unwrap_or(0);
    let kept = if from_start { &letters[length..] } else { &letters[..letters.len() - length] };
    kept.iter().collect()
}

/// Replaces the first or all of what a pattern matches, the longest match at each place; `None` where that is too much work.
pub(super) fn replaced(text: &str, pattern: &str, by: &str, all: bool, budget: &Budget) -> Option<String> {
    let parts = parts(pattern);
    let letters: Vec<char> = text.chars().collect();
    let (mut at, mut done) = (0, String::new());
    while at < letters.len() {
        let length = ends(&parts, letters[at..].iter().copied(), budget).last().copied().filter(|length| *length > 0);
        if budget.is_spent() || !budget.take(by.len() + 1) {
            return None;
        }
        match length {
            Some(length) => {
                done.push_str(by);
                at += length;
                if !all {
                    break;
                }
            }
            None => {
                done.push(letters[at]);
                at += 1;
            }
        }
    }
    done.extend(&letters[at..]);
    Some(done)
}

/// The lengths of all matches at the beginning, in order. Each character is examined once for each position
/// in the pattern that can be reached with it.
fn ends(parts: &[Part], letters: impl Iterator<Item = char>, budget: &Budget) -> Vec<usize> {
    let mut found = Vec::new();
    let mut here = Vec::new();
    reach(parts, 0, &mut here);
    let mut note = |here: &[usize], length: usize| {
        if here.last() == Some(&parts.len()) {
            found.push(length);
        }
    };
    note(&here, 0);
    for (index, letter) in letters.enumerate() {
        let mut next = Vec::new();
        if !budget.take(here.iter().filter_map(|at| parts.get(*at)).map(Part::cost).sum::<usize>()) {
            break;
        }
        for &at in &here {
            match parts.get(at) {
                Some(Part::Star) => reach(parts, at, &mut next),
                Some(part) if part.is(letter) => reach(parts, at + 1, &mut next),
                _ => {}
            }
        }
        if next.is_empty() || !budget.take(next.len()) {
            break;
        }
        here = next;
        note(&here, index + 1);
    }
    found
}

/// Records a position in a pattern, and those after its stars, which may match nothing.
fn reach(parts: &[Part], mut at: usize, places: &mut Vec<usize>) {
    // Positions come in ascending order: each is recorded once.
    while places.last().is_none_or(|last| *last < at) {
        places.push(at);
        if parts.get(at) != Some(&Part::Star) {
            break;
        }
        at += 1;
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Star,
    Any,
    One(char),
    /// First and last characters of the ranges, and whether the set is negated.
    Set(Vec<(char, char)>, bool),
}

impl Part {
    /// The number of comparisons for each character.
    fn cost(&self) -> usize {
        match self {
            Part::Set(ranges, _) => ranges.len() + 1,
            Part::Star | Part::Any | Part::One(_) => 1,
        }
    }

    fn is(&self, c: char) -> bool {
        match self {
            Part::Star => false,
            Part::Any => true,
            Part::One(one) => *one == c,
            Part::Set(ranges, none) => ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) != *none,
        }
    }
}

fn parts(pattern: &str) -> Vec<Part> {
    let chars: Vec<char> = pattern.chars().collect();
    let last = chars.iter().rposition(|c| *c == ']').unwrap_or(0);
    let mut parts = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        match chars[at] {
            '*' => parts.push(Part::Star),
            '?' => parts.push(Part::Any),
            '\\' if at + 1 < chars.len() => {
                at += 1;
                parts.push(Part::One(chars[at]));
            }
            '[' if last > at + 1 => {
                let none = matches!(chars[at + 1], '!' | '^');
                let from = at + 1 + usize::from(none);
                let end = (from + 1..chars.len()).find(|&end| chars[end] == ']').unwrap_or(chars.len());
                parts.push(Part::Set(ranges(&chars[from.min(end)..end]), none));
                at = end;
            }
            c => parts.push(Part::One(c)),
        }
        at += 1;
    }
    parts
}

fn ranges(inside: &[char]) -> Vec<(char, char)> {
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < inside.len() {
        let is_range = inside.get(at + 1) == Some(&'-') && at + 2 < inside.len();
        ranges.push((inside[at], if is_range { inside[at + 2] } else { inside[at] }));
        at += if is_range { 3 } else { 1 };
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, is) in [
            ("*.qcow2", "a.qcow2", true),
            ("*.qcow2", "a.img", false),
            ("[yY]*", "yes", true),
            ("[!a-c]", "b", false),
            ("?", "", false),
            ("\\*", "x", false),
            ("a*b*c", "aXbYbc", true),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern, text, &Budget::default()), is, "{pattern} {text}");
        }
        let budget = Budget::default();
        let ends: Vec<String> = [(true, false), (true, true), (false, false), (false, true)]
            .map(|(start, long)| without("a.b.c", if start { "*." } else { ".*" }, start, long, &budget))
            .into();
        assert_eq!(ends, ["b.c", "c", "a.b", "a"]);
    }

    /// Each of these was tried in bash.
    #[test]
    fn stars_in_a_row_and_the_longest_of_many() {
        let budget = Budget::default();
        for (pattern, text, is) in [("**", "", true), ("a**b", "ab", true), ("*a*", "bab", true), ("*ab", "aab", true), ("a*", "ba", false)]
        {
            assert_eq!(matches(pattern, text, &budget), is, "{pattern} {text}");
        }
        assert_eq!(without("/a/b/c", "*/", true, true, &budget), "c");
        assert_eq!(without("/a/b/c", "/*", false, false, &budget), "/a/b");
    }

    #[test]
    fn hostile_patterns_end() {
        let text = "a".repeat(100_000);
        let budget = Budget::default();
        assert!(!matches(&"*a".repeat(30_000), &(text.clone() + "b"), &budget) && budget.is_spent());
        let budget = Budget::default();
        without(&text, &format!("*[{}]", "b".repeat(50_000)), true, true, &budget);
        assert!(budget.is_spent(), "each range of a set is a comparison");
    }
}
