//! Arithmetic in `$((…))`: integers, variables, `+ - * / %` and parentheses.

/// A comparison of two numbers.
type Comparison = fn(&i64, &i64) -> bool;

/// Comparisons of numbers: in a sum, and in `[ … ]`.
pub(super) const COMPARISONS: [(&str, &str, Comparison); 6] = [
    ("<=", "-le", i64::le),
    (">=", "-ge", i64::ge),
    ("==", "-eq", i64::eq),
    ("!=", "-ne", i64::ne),
    ("<", "-lt", i64::lt),
    (">", "-gt", i64::gt),
];

/// Its value; `None` if it contains anything else.
pub(super) fn value(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Option<i64> {
    let mut sum = Sum { rest: text, variable, depth: 0 };
    let value = sum.terms()?;
    sum.rest.trim().is_empty().then_some(value)
}

struct Sum<'s> {
    rest: &'s str,
    variable: &'s dyn Fn(&str) -> Option<String>,
    depth: usize,
}

impl<'s> Sum<'s> {
    fn sign(&mut self, signs: &[char]) -> Option<char> {
        self.rest = self.rest.trim_start();
        let sign = self.rest.chars().next().filter(|sign| signs.contains(sign))?;
        self.rest = &self.rest[sign.len_utf8()..];
        Some(sign)
    }

    /// A number or a name; after `$` a name, also in braces. `$1` is an argument, `$#` their number.
    fn word(&mut self, is_variable: bool) -> Option<&'s str> {
        let braces = is_variable && self.sign(&['{']).is_some();
        let (word, rest) = split_word(self.rest.trim_start(), is_variable);
        self.rest = rest;
        if braces {
            self.sign(&['}'])?;
        }
        Some(word)
    }

    fn terms(&mut self) -> Option<i64> {
        let mut value = self.factors()?;
        while let Some(sign) = self.sign(&['+', '-']) {
            let next = self.factors()?;
            value = if sign == '+' { value.checked_add(next)? } else { value.checked_sub(next)? };
        }
        Some(value)
    }

    fn factors(&mut self) -> Option<i64> {
        let mut value = self.factor()?;
        while let Some(sign) = self.sign(&['*', '/', '%']) {
            let next = self.factor()?;
            value = match sign {
                '*' => value.checked_mul(next)?,
                '/' => value.checked_div(next)?,
                _ => value.checked_rem(next)?,
            };
        }
        Some(value)
    }

    fn factor(&mut self) -> Option<i64> {
        // `$((…))` within a sum is its value.
        let is_variable = self.sign(&['$']).is_some();
        if self.sign(&['(']).is_some() {
            // Real scripts nest less, and a hostile text must not exhaust the stack.
            self.depth += 1;
            let value = if self.depth < 50 { self.terms()? } else { return None };
            self.depth -= 1;
            return self.sign(&[')']).map(|_| value);
        }
        let word = self.word(is_variable)?;
        // `10#08`: the base of what follows.
        if !is_variable && self.sign(&['#']).is_some() {
            let is_variable = self.sign(&['$']).is_some();
            let digits = self.word(is_variable)?;
            let digits = if is_variable { (self.variable)(digits)? } else { digits.to_owned() };
            let base = word.parse().ok().filter(|base| (2..=36).contains(base))?;
            return i64::from_str_radix(digits.trim(), base).ok();
        }
        let number = word.parse().ok().filter(|_| !is_variable);
        number.or_else(|| (self.variable)(word)?.trim().parse().ok())
    }
}

/// The number or name that a text begins with, and the rest.
fn split_word(text: &str, is_variable: bool) -> (&str, &str) {
    let length = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    text.split_at(if is_variable && text.starts_with('#') { 1 } else { length })
}

/// The variables and arguments in a sum; `None` where commands are in it.
pub(super) fn names(sum: &str) -> Option<Vec<&str>> {
    let (mut rest, mut names) = (sum, Vec::new());
    while let Some(first) = rest.chars().next() {
        let after = &rest[first.len_utf8()..];
        let is_variable = first == '$';
        if is_variable && after.starts_with('(') && !after.starts_with("((") {
            return None;
        }
        let from = if is_variable { after.trim_start_matches('{') } else { rest };
        let (word, next) = split_word(from, is_variable);
        if !word.is_empty() && (is_variable || !word.starts_with(|c: char| c.is_ascii_digit())) {
            names.push(word);
        }
        rest = if word.is_empty() { after } else { next };
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums() {
        let value = |text| value(text, &|name| (name == "CORES").then(|| "6".into()));
        assert_eq!(
            [value("CORES * 2"), value("1+2*(3 - $CORES)/ ${CORES}%4"), value("128*1024*1024")],
            [Some(12), Some(0), Some(134_217_728)]
        );
        assert_eq!([value("(( 4 / 2 ))"), value("$(( 2*2 + 1 ))")], [Some(2), Some(5)]);
        assert_eq!([value("$1 * 2"), value("${2} + $1")], [None; 2]);
        let argument = |text| super::value(text, &|name| (name == "1").then(|| "5".into()));
        assert_eq!([argument("$1 * 1024"), argument("${1} + 1")], [Some(5120), Some(6)]);
        assert_eq!([argument("10#$1"), argument("16#1f + 10#08"), argument("37#1"), argument("$# + 1")], [Some(5), Some(39), None, None]);
        assert_eq!(names("10#$2 + ${n}*(m_1-$#)"), Some(vec!["2", "n", "m_1", "#"]));
        assert_eq!(names("$(nproc) / 2"), None);
        assert_eq!([value("x"), value("1 / 0"), value("1 <<2"), value(""), value(&"(".repeat(1000))], [None; 5]);
    }
}
