//! Regular expressions: those of bash and of `grep -E`, and basic ones.

use regex_lite::{Regex, RegexBuilder};

use super::budget::{Budget, WORD};

/// The most bytes of one, as it is compiled: `(a{99}){99}` is short.
const LARGEST: usize = 1 << 18;

/// What an extended expression finds; `None` where the library does not know it, or the work for it is too much.
pub(super) fn compiled(expression: &str, budget: &Budget) -> Option<Regex> {
    // A short one may need all of that.
    let cost = if expression.contains('{') { LARGEST } else { expression.len() * WORD };
    let regex = budget.take(cost).then(|| RegexBuilder::new(expression).size_limit(LARGEST).build());
    regex?.ok()
}

/// A basic expression as an extended one: some letters are signs only behind a backslash.
pub(super) fn basic(expression: &str) -> Option<String> {
    const SIGNS: &str = "+?|(){}";
    let mut extended = String::new();
    let mut letters = expression.chars();
    while let Some(letter) = letters.next() {
        if letter == '\\' {
            let escaped = letters.next()?;
            extended.extend((!SIGNS.contains(escaped)).then_some('\\').into_iter().chain([escaped]));
        } else {
            extended.extend(SIGNS.contains(letter).then_some('\\').into_iter().chain([letter]));
        }
    }
    Some(extended)
}
