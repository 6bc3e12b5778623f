//! Arithmetic in `$((…))`: integers, variables, `+ - * / %` and parentheses.

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

impl Sum<'_> {
    fn sign(&mut self, signs: &[char]) -> Option<char> {
        self.rest = self.rest.trim_start();
        let sign = self.rest.chars().next().filter(|sign| signs.contains(sign))?;
        self.rest = &self.rest[sign.len_utf8()..];
        Some(sign)
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
        // `$((…))` within a sum is its value; `$1` is an argument, and no number.
        let is_variable = self.sign(&['$']).is_some();
        if self.sign(&['(']).is_some() {
            // Real scripts nest less, and a hostile text must not exhaust the stack.
            self.depth += 1;
            let value = if self.depth < 50 { self.terms()? } else { return None };
            self.depth -= 1;
            return self.sign(&[')']).map(|_| value);
        }
        let braces = self.sign(&['{']).is_some();
        self.rest = self.rest.trim_start();
        let length = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(length);
        self.rest = rest;
        if braces {
            self.sign(&['}'])?;
        }
        let number = word.parse().ok().filter(|_| !is_variable);
        number.or_else(|| (self.variable)(word)?.trim().parse().ok())
    }
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
        assert_eq!([value("x"), value("1 / 0"), value("1 <<2"), value(""), value(&"(".repeat(1000))], [None; 5]);
    }
}
