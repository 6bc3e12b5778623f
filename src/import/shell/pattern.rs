//! Patterns of a shell: `*`, `?`, `[…]`; `\` before what stands for itself.

/// Whether a pattern is the whole of a text.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let pattern = parts(pattern);
    let text: Vec<char> = text.chars().collect();
    // The last star, and how far it reached.
    let (mut at, mut here, mut star) = (0, 0, None);
    while here < text.len() {
        match pattern.get(at) {
            Some(Part::Star) => {
                star = Some((at, here));
                at += 1;
            }
            Some(part) if part.is(text[here]) => {
                at += 1;
                here += 1;
            }
            _ => {
                let Some((from, reached)) = star else { return false };
                star = Some((from, reached + 1));
                at = from + 1;
                here = reached + 1;
            }
        }
    }
    pattern[at..].iter().all(|part| *part == Part::Star)
}

/// A text that stands for itself in a pattern.
pub(super) fn literal(text: &str) -> String {
    text.chars().flat_map(|c| ("*?[]\\".contains(c)).then_some('\\').into_iter().chain([c])).collect()
}

/// Replaces what a pattern is: the longest from the left, once or everywhere.
pub(super) fn replace(text: &str, pattern: &str, with: &str, everywhere: bool) -> String {
    let mut replaced = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = ends(rest).rev().find(|&end| end > 0 && matches(pattern, &rest[..end]));
        if let Some(end) = end {
            replaced.push_str(with);
            rest = &rest[end..];
            if !everywhere {
                break;
            }
        } else {
            let length = rest.chars().next().map_or(1, char::len_utf8);
            replaced.push_str(&rest[..length]);
            rest = &rest[length..];
        }
    }
    replaced + rest
}

/// Without the beginning (`#`) or the end (`%`) that a pattern is.
pub(super) fn without<'t>(text: &'t str, pattern: &str, from_start: bool, longest: bool) -> &'t str {
    let found = |end: &usize| matches(pattern, if from_start { &text[..*end] } else { &text[*end..] });
    let place = if from_start == longest { ends(text).rev().find(found) } else { ends(text).find(found) };
    match place {
        Some(place) if from_start => &text[place..],
        Some(place) => &text[..place],
        None => text,
    }
}

/// Each place at which a text can be cut.
fn ends(text: &str) -> impl DoubleEndedIterator<Item = usize> {
    text.char_indices().map(|(at, _)| at).chain([text.len()])
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Star,
    Any,
    One(char),
    /// From and to, and whether it is none of them.
    Set(Vec<(char, char)>, bool),
}

impl Part {
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
            '[' if chars[at + 1..].iter().skip(1).any(|c| *c == ']') => {
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
            assert_eq!(matches(pattern, text), is, "{pattern} {text}");
        }
        assert_eq!((replace("0_1_2", "_", ":", true), replace("0_1_2", "_*", "", false)), ("0:1:2".to_owned(), "0".to_owned()));
        let ends: Vec<&str> = [(true, false), (true, true), (false, false), (false, true)]
            .map(|(start, long)| without("a.b.c", if start { "*." } else { ".*" }, start, long))
            .into();
        assert_eq!(ends, ["b.c", "c", "a.b", "a"]);
    }
}
