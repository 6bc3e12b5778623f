//! What `$(…)` prints of a file in the script's directory: `$(<PORT)`, `$(grep -v '^#' .env | xargs)`.

use regex_lite::Regex;

use super::super::budget::{Budget, WORD};
use super::super::command::{Command, Part, Statement};
use super::super::marks::has_unknown;
use super::super::parser::parse;
use super::super::regex::{basic, compiled};
use super::super::word::Word;
use super::Variables;

/// Programs that print what they read, or a part of it; and those that print their words, with which a pipe begins.
const FILTERS: [&str; 8] = ["cat", "grep", "egrep", "sed", "tr", "xargs", "cut", "awk"];
const WRITERS: [&str; 2] = ["echo", "printf"];

impl Variables<'_> {
    /// What these commands print; `None` where that is not known.
    pub(super) fn filtered(&mut self, text: &str) -> Option<String> {
        let text = text.trim();
        if let Some(name) = text.strip_prefix('<').filter(|name| !name.starts_with(['(', '<'])) {
            return self.filtered(&format!("cat {name}"));
        }
        let first = text.split_whitespace().next()?;
        let may_begin = FILTERS.contains(&first) || (WRITERS.contains(&first) && text.contains('|'));
        if !may_begin {
            return None;
        }
        let steps = parse(text, 1).ok()?;
        let [step] = &steps[..] else { return None };
        let stages = if let Command::Pipeline(stages) = &step.command { stages } else { &steps };
        let mut printed = None;
        for stage in stages {
            printed = Some(match &printed {
                None if WRITERS.contains(&stage.text.split_whitespace().next()?) => self.echoed(&stage.text)? + "\n",
                _ => self.stage(stage, printed)?,
            });
        }
        Some(printed?.trim_end_matches('\n').to_owned())
    }

    /// What one of them prints of its files, or of what the one before it prints.
    fn stage(&mut self, stage: &Statement, before: Option<String>) -> Option<String> {
        let Command::Plain(parts) = &stage.command else { return None };
        if stage.negated || !stage.written.is_empty() {
            return None;
        }
        // `<<<"$X"`.
        let before = match &stage.input {
            Some(input) => Some(self.text(input)).filter(|text| !has_unknown(text)),
            None => before,
        };
        let words: Vec<&Word> = parts.iter().map(Part::word).collect::<Option<_>>()?;
        let words: Vec<String> = words.into_iter().flat_map(|word| self.words(word)).collect();
        if words.iter().any(|word| has_unknown(word)) {
            return None;
        }
        let words = attached(words);
        let (name, rest) = words.split_first()?;
        let options: Vec<&str> = rest.iter().map(String::as_str).filter(|word| word.starts_with('-')).collect();
        let others: Vec<&str> = rest.iter().map(String::as_str).filter(|word| !word.starts_with('-')).collect();
        let (files, done): (&[&str], Filter) = match (name.as_str(), &options[..], &others[..]) {
            ("cat", [], files) => (files, Box::new(|text| Some(text.to_owned()))),
            ("grep" | "egrep", options, [expression, files @ ..]) => (files, lines(name == "egrep", options, expression, &self.budget)?),
            ("sed", [] | ["-E" | "-r" | "-e"], [command, files @ ..]) => {
                (files, edited(options.iter().any(|one| *one != "-e"), command, &self.budget)?)
            }
            ("tr", ["-d"], [letters]) => {
                let letters = letters_of(letters)?;
                (&[], Box::new(move |text| Some(text.replace(|c| letters.contains(c), ""))))
            }
            ("tr", [], [from, to]) => {
                let (from, to) = (letters_of(from)?, letters_of(to)?);
                (
                    &[],
                    (from.chars().count() == 1 && to.chars().count() == 1)
                        .then(|| Box::new(move |text: &str| Some(text.replace(&from, &to))) as Filter)?,
                )
            }
            ("cut", options, []) => (&[], fields(options)?),
            ("awk", options, [program]) => (&[], fields_of_awk(options, program)?),
            ("xargs", [], [] | ["echo"]) => (&[], Box::new(words_of_xargs)),
            _ => return None,
        };
        let read = match (before, files) {
            (Some(before), []) => before,
            (None, [_, ..]) => files.iter().map(|file| self.file(file)?.known()).collect::<Option<String>>()?,
            _ => return None,
        };
        // An expression is tried at each letter.
        let cost = read.len().saturating_mul(words.iter().map(String::len).sum::<usize>() + 1) + WORD;
        if !self.budget.take(cost) {
            return None;
        }
        done(&read)
    }
}

/// The values of `cut -d : -f 1` and `awk -F :` behind their options.
fn attached(words: Vec<String>) -> Vec<String> {
    if !matches!(words.first().map(String::as_str), Some("cut" | "awk")) {
        return words;
    }
    let mut joined: Vec<String> = Vec::new();
    for word in words {
        match joined.last_mut() {
            Some(option) if ["-d", "-f", "-F"].contains(&option.as_str()) => option.push_str(&word),
            _ => joined.push(word),
        }
    }
    joined
}

/// What is printed of a text.
type Filter = Box<dyn Fn(&str) -> Option<String>>;

/// The lines in which `grep` finds an expression, or does not find it.
fn lines(is_extended: bool, options: &[&str], expression: &str, budget: &Budget) -> Option<Filter> {
    let letters: String = options.iter().map(|option| option.trim_start_matches('-')).collect();
    if options.iter().any(|option| option.starts_with("--")) || !letters.chars().all(|letter| "vE".contains(letter)) {
        return None;
    }
    let regex = regex(is_extended || letters.contains('E'), expression, budget)?;
    let is_inverted = letters.contains('v');
    Some(Box::new(move |text| {
        let kept = text.lines().filter(|line| regex.is_match(line) != is_inverted);
        Some(kept.flat_map(|line| [line, "\n"]).collect())
    }))
}

/// `sed`: `s/EXPRESSION/TEXT/`, with `g` for all in a line, or `/EXPRESSION/d`.
fn edited(is_extended: bool, command: &str, budget: &Budget) -> Option<Filter> {
    if let Some(expression) = command.strip_prefix('/').and_then(|rest| rest.strip_suffix("/d")) {
        return lines(is_extended, &["-v"], expression, budget).filter(|_| !expression.contains('/'));
    }
    let mut parts = command.strip_prefix('s')?.chars();
    let sign = parts.next()?;
    let parts: Vec<&str> = parts.as_str().split(sign).collect();
    let [expression, text, flags @ ("" | "g")] = parts[..] else { return None };
    // `&` is what was found, `\\1` a part of it.
    if text.contains(['&', '\\', '$']) || sign == '\\' {
        return None;
    }
    let regex = regex(is_extended, expression, budget)?;
    let (text, most) = (text.to_owned(), usize::from(flags.is_empty()));
    Some(Box::new(move |read| Some(read.lines().map(|line| format!("{}\n", regex.replacen(line, most, text.as_str()))).collect())))
}

fn regex(is_extended: bool, expression: &str, budget: &Budget) -> Option<Regex> {
    if is_extended { compiled(expression, budget) } else { compiled(&basic(expression)?, budget) }
}

/// `cut -d: -f2`: one field of each line.
fn fields(options: &[&str]) -> Option<Filter> {
    let value = |name: &str| options.iter().find_map(|option| option.strip_prefix(name));
    let (separator, number) = (value("-d").unwrap_or("\t"), value("-f")?.parse::<usize>().ok()?.checked_sub(1)?);
    let mut letters = separator.chars();
    let (Some(separator), None, true) = (letters.next(), letters.next(), options.len() <= 2) else { return None };
    let field = move |line: &str| {
        // A line without a separator is printed whole.
        if line.contains(separator) { line.split(separator).nth(number).unwrap_or_default() } else { line }.to_owned() + "\n"
    };
    Some(Box::new(move |text| Some(text.lines().map(&field).collect())))
}

/// `awk -F: '{print $2}'`, likewise; without `-F` fields are separated by blanks.
fn fields_of_awk(options: &[&str], program: &str) -> Option<Filter> {
    let number = program.split_whitespace().collect::<Vec<_>>().join("");
    let number = number.strip_prefix("{print$")?.strip_suffix('}')?.trim_end_matches(';').parse::<usize>().ok()?.checked_sub(1)?;
    let separator = match options {
        [] => None,
        // A longer one is an expression, and a blank stands for all blanks.
        [one] => Some(
            one.strip_prefix("-F")?.parse::<char>().ok().filter(|letter| !letter.is_whitespace() && !"\\|^$.*+?[]()".contains(*letter))?,
        ),
        _ => return None,
    };
    let field = move |line: &str| match separator {
        Some(separator) => line.split(separator).nth(number).unwrap_or_default().to_owned() + "\n",
        None => line.split_whitespace().nth(number).unwrap_or_default().to_owned() + "\n",
    };
    Some(Box::new(move |text| Some(text.lines().map(&field).collect())))
}

/// The letters that `tr` is given.
fn letters_of(said: &str) -> Option<String> {
    let letters = said.replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t");
    let is_range = letters.len() > 2 && letters.contains('-');
    (!is_range && !letters.contains(['\\', '['])).then_some(letters)
}

/// The words that `xargs` makes of a text: quotes keep a word together, and are taken away.
fn words_of_xargs(text: &str) -> Option<String> {
    let mut words = Vec::new();
    let (mut word, mut quote): (Option<String>, Option<char>) = (None, None);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            _ if quote == Some(letter) => quote = None,
            // A quote ends on its line.
            '\n' if quote.is_some() => return None,
            _ if quote.is_some() => word.get_or_insert_default().push(letter),
            '"' | '\'' => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            '\\' => word.get_or_insert_default().extend(letters.next()),
            _ if letter.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    quote.is_none().then(|| words.join(" "))
}
