//! What `$(…)` prints where a command only looks at its words: paths, numbers, `printf`.

use super::super::budget::WORD;
use super::super::lexer::{Kind, tokens};
use super::super::marks::has_unknown;
use super::super::path::joined;
use super::super::printf::formatted;
use super::super::programs::is_qemu;
use super::Variables;

impl Variables<'_> {
    /// What a command prints that only looks at its words: a path (links are not followed), or numbers.
    pub(super) fn printed(&mut self, text: &str) -> Option<String> {
        const PRINTING: [&str; 11] =
            ["dirname", "realpath", "readlink -", "pwd", "seq ", "printf ", "basename ", "which ", "command -v ", "type -p ", "expr "];
        if !PRINTING.iter().any(|name| text.contains(name)) {
            return None;
        }
        let mut words = Vec::new();
        for token in tokens(text, 1).ok()? {
            match token.kind {
                Kind::Word(word) => words.extend(self.words(&word)),
                Kind::Sign("&&" | ";") => words.push("&&".into()),
                Kind::Sign("\n") => {}
                // What is found needs no other.
                Kind::Sign("||") if is_found(&words) => break,
                _ => return None,
            }
        }
        if is_found(&words) {
            return words.pop();
        }
        if let [first, format, values @ ..] = &words[..]
            && first == "printf"
        {
            return formatted(format, values);
        }
        if let [first, path, suffix @ ..] = &words[..]
            && first == "basename"
        {
            return base_name(path, suffix);
        }
        if let [first, sum @ ..] = &words[..]
            && first == "expr"
        {
            return summed(sum);
        }
        let has_options = words.iter().any(|word| word.starts_with('-'));
        let is_padded = words.iter().filter(|word| word.starts_with('-')).eq(["-w"]);
        let words: Vec<&str> =
            words.iter().map(String::as_str).filter(|word| !word.starts_with('-') && !word.starts_with("CDPATH=")).collect();
        // Where the script has changed to.
        let folder = self.set.get("PWD").and_then(|values| values.first().cloned()).or_else(|| (self.given)("PWD"));
        let (mut folder, mut words) = (folder.unwrap_or_else(|| self.folder().to_owned()), &words[..]);
        let absolute = |folder: &str, path: &str| match path.strip_prefix('/') {
            _ if has_unknown(path) => None,
            Some(path) => Some(joined("/", path)),
            None => Some(joined(folder, path)),
        };
        while let ["cd", to, "&&", rest @ ..] = words {
            (folder, words) = (absolute(&folder, to)?, rest);
        }
        match words {
            ["pwd"] if text.trim() == "pwd" => self.value("PWD"),
            ["pwd"] => Some(folder),
            ["dirname", path] => absolute(&folder, &format!("{path}/..")),
            ["realpath" | "readlink", path] => absolute(&folder, path),
            ["seq", ends @ ..] if !has_options || is_padded => {
                let ends: Option<Vec<usize>> = ends.iter().map(|end| end.parse().ok()).collect();
                let (first, step, last) = match ends?[..] {
                    [last] => (1, 1, last),
                    [first, last] => (first, 1, last),
                    [first, step, last] if step > 0 => (first, step, last),
                    _ => return None,
                };
                let affordable = self.budget.take(last.saturating_sub(first).saturating_mul(WORD));
                let width = if is_padded { last.to_string().len() } else { 0 };
                let number = |number: usize| format!("{number:0width$}");
                affordable.then(|| (first..=last).step_by(step).map(number).collect::<Vec<_>>().join("\n"))
            }
            _ => None,
        }
    }
}

/// Whether these look for a QEMU by its name, which libvirt finds too.
fn is_found(words: &[String]) -> bool {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    matches!(words[..], ["which", program] | ["command", "-v", program] | ["type", "-p", program] if is_qemu(program) && !program.contains('/'))
}

/// What `expr A + B` prints, from left to right; of another order of operations nothing is known.
fn summed(words: &[String]) -> Option<String> {
    let number = |word: &String| word.parse::<i64>().ok();
    let (first, rest) = words.split_first()?;
    let mut sum = number(first)?;
    let is_one_kind = |signs: &[&str]| rest.iter().step_by(2).all(|sign| signs.contains(&sign.as_str()));
    if rest.is_empty() || rest.len() % 2 != 0 || !(is_one_kind(&["+", "-"]) || is_one_kind(&["*", "/", "%"])) {
        return None;
    }
    for pair in rest.chunks_exact(2) {
        let by = number(&pair[1])?;
        sum = match pair[0].as_str() {
            "+" => sum.checked_add(by),
            "-" => sum.checked_sub(by),
            "*" => sum.checked_mul(by),
            "/" => sum.checked_div(by),
            _ => sum.checked_rem(by),
        }?;
    }
    Some(sum.to_string())
}

/// What `basename PATH [SUFFIX]` prints.
fn base_name(path: &str, suffix: &[String]) -> Option<String> {
    let name = path.trim_end_matches('/').rsplit('/').next()?;
    match suffix {
        _ if path.starts_with('-') || has_unknown(path) || name.is_empty() => None,
        [] => Some(name.to_owned()),
        [suffix] if !has_unknown(suffix) => {
            Some(name.strip_suffix(suffix.as_str()).filter(|rest| !rest.is_empty()).unwrap_or(name).to_owned())
        }
        _ => None,
    }
}
