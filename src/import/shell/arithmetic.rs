//! Arithmetic in `$((…))`: integers, variables, the operators of C that change nothing, and parentheses.

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
    let value = sum.choice()?;
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

    /// The operator that comes next.
    fn operator(&mut self) -> Option<&'static str> {
        self.rest = self.rest.trim_start();
        OPERATORS.into_iter().flatten().copied().filter(|operator| self.rest.starts_with(operator)).max_by_key(|operator| operator.len())
    }

    fn choice(&mut self) -> Option<i64> {
        let value = self.level(0)?;
        if self.sign(&['?']).is_none() {
            return Some(value);
        }
        let first = self.choice()?;
        self.sign(&[':'])?;
        let second = self.choice()?;
        Some(if value == 0 { second } else { first })
    }

    /// What the operators of a row, and those that bind more, have between them.
    fn level(&mut self, row: usize) -> Option<i64> {
        let Some(operators) = OPERATORS.get(row) else { return self.factor() };
        let mut value = self.level(row + 1)?;
        while let Some(operator) = self.operator().filter(|operator| operators.contains(operator)) {
            self.rest = &self.rest[operator.len()..];
            value = applied(value, operator, self.level(row + 1)?)?;
        }
        Some(value)
    }

    fn factor(&mut self) -> Option<i64> {
        // `$((…))` within a sum is its value.
        let is_variable = self.sign(&['$']).is_some();
        if self.sign(&['(']).is_some() {
            // Real scripts nest less, and a hostile text must not exhaust the stack.
            self.depth += 1;
            let value = if self.depth < 50 { self.choice()? } else { return None };
            self.depth -= 1;
            return self.sign(&[')']).map(|_| value);
        }
        if let Some(sign) = self.sign(&['-', '+', '!', '~']).filter(|_| !is_variable) {
            self.depth += 1;
            let value = if self.depth < 50 { self.factor()? } else { return None };
            self.depth -= 1;
            return match sign {
                '-' => value.checked_neg(),
                '!' => Some(i64::from(value == 0)),
                '~' => Some(!value),
                _ => Some(value),
            };
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
        if !is_variable && word.starts_with(|c: char| c.is_ascii_digit()) {
            return number(word);
        }
        number((self.variable)(word)?.trim())
    }
}

/// The operators between two numbers, those that bind least first.
const OPERATORS: [&[&str]; 10] =
    [&["||"], &["&&"], &["|"], &["^"], &["&"], &["==", "!="], &["<=", ">=", "<", ">"], &["<<", ">>"], &["+", "-"], &["*", "/", "%"]];

fn applied(left: i64, operator: &str, right: i64) -> Option<i64> {
    let holds = |holds: bool| Some(i64::from(holds));
    let by = || u32::try_from(right).ok();
    match operator {
        "||" => holds(left != 0 || right != 0),
        "&&" => holds(left != 0 && right != 0),
        "|" => Some(left | right),
        "^" => Some(left ^ right),
        "&" => Some(left & right),
        "<<" => left.checked_shl(by()?),
        ">>" => left.checked_shr(by()?),
        "+" => left.checked_add(right),
        "-" => left.checked_sub(right),
        "*" => left.checked_mul(right),
        "/" => left.checked_div(right),
        "%" => left.checked_rem(right),
        _ => holds(COMPARISONS.iter().find(|(sign, ..)| *sign == operator)?.2(&left, &right)),
    }
}

/// A number as C has it: `0x1f`, `017`.
fn number(text: &str) -> Option<i64> {
    let (digits, base) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    i64::from_str_radix(digits, base).ok()
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
        let (open, minus) = ("(".repeat(1000), "-".repeat(1000));
        assert_eq!([value("x"), value("1 / 0"), value("1 <<= 2"), value(""), value(&open), value(&minus)], [None; 6]);
        // Beside what bash says.
        for (sum, right) in [
            ("1<<2 | 1", 5),
            ("77 & 0xff", 77),
            ("6^3 & 2", 4),
            ("010 + 0x10", 24),
            ("3 > 2 ? 3 : 2", 3),
            ("0 ? 1 : 0 ? 2 : 3", 3),
            ("-2 - -3 * !0", 1),
            ("~0 == -1 && 1 <= 1", 1),
            ("1 || 0 && 0", 1),
            ("8 - 2 - 1", 5),
            ("CORES>4", 1),
        ] {
            assert_eq!(value(sum), Some(right), "{sum}");
        }
    }
}
