//! Bash. clap's own script takes the words as bash splits them, and bash also splits at `:` and `=`, which are in every
//! PCI address, USB id and `--option=value`. So the script passes the line, and it is split here.

use std::ffi::OsString;

use clap_complete::CompletionCandidate;

/// The script that bash reads.
pub(super) const SCRIPT: &str = r#"# vgapt's completions for bash 4.4 or later; vgapt itself finds the candidates.
_vgapt() {
    mapfile -t COMPREPLY < <(
        VGAPT_COMPLETE=bash "$1" -- "${COMP_LINE:0:COMP_POINT}" "$2" "${COMP_TYPE-}" "${COLUMNS-}" 2>/dev/null
    )
    # After a folder or `nat=` the word goes on.
    [[ ${#COMPREPLY[@]} -ne 1 || ${COMPREPLY[0]} != *[=/] ]] || compopt -o nospace
}
complete -o nosort -F _vgapt vgapt
"#;

/// Letters that mean nothing to a shell.
const PLAIN: &str = "-_./:=,@%+~^";
/// How wide a screen is of which nothing is known.
const WIDTH: usize = 80;

/// What bash passes.
#[derive(Debug)]
pub(super) struct Line {
    /// The words up to the cursor, without their quotes; the last one is to be completed.
    pub(super) words: Vec<String>,
    /// How many bytes of the last word bash keeps: what it replaces begins after a `:` or `=`.
    kept: usize,
    is_quoted: bool,
    /// Whether bash inserts one candidate after the other, and does not list them.
    is_menu: bool,
    width: usize,
}

impl Line {
    /// The arguments of the script.
    pub(super) fn of(given: &[OsString]) -> Option<Self> {
        let mut given = given.iter().map(|word| word.to_string_lossy());
        let (words, is_quoted) = split(&given.next()?);
        let (replaced, _) = split(&given.next().unwrap_or_default());
        let is_menu = given.next().is_some_and(|kind| kind == "37" || kind == "42");
        let width = given.next().and_then(|width| width.parse().ok()).unwrap_or(WIDTH);
        let kept = words.last()?.strip_suffix(replaced.last()?.as_str()).map_or(0, str::len);
        Some(Self { words, kept, is_quoted, is_menu, width })
    }

    /// The candidates, one a line; of several values each with what it is, which bash lists but does not insert.
    pub(super) fn answer(&self, found: &[CompletionCandidate]) -> String {
        let is_clean = |value: &&CompletionCandidate| value.get_value().to_str().is_some_and(|value| !value.contains(char::is_control));
        let shown: Vec<(String, String)> = found.iter().filter(is_clean).map(|candidate| self.entry(candidate)).collect();
        let longest = shown.iter().map(|(value, _)| value.chars().count()).max().unwrap_or(0);
        let is_list = shown.len() > 1 && !self.is_menu && self.words.last().is_some_and(|word| !word.starts_with('-'));
        let line = |(value, what): &(String, String)| {
            let room = self.width.saturating_sub(longest + 5);
            if !is_list || what.is_empty() || room < 10 || value.starts_with('-') {
                return format!("{value}\n");
            }
            format!("{value:longest$}  ({})\n", shortened(what, room))
        };
        shown.iter().map(line).collect()
    }

    /// What is inserted for a candidate, and what it is.
    fn entry(&self, candidate: &CompletionCandidate) -> (String, String) {
        let value = candidate.get_value().to_string_lossy();
        let rest = value.get(self.kept..).unwrap_or_default();
        let is_plain = |letter: char| letter.is_alphanumeric() || PLAIN.contains(letter);
        let escaped = rest.chars().flat_map(|letter| (!is_plain(letter)).then_some('\\').into_iter().chain([letter]));
        let what = candidate.get_help().map(ToString::to_string).unwrap_or_default();
        (if self.is_quoted { rest.to_owned() } else { escaped.collect() }, what.lines().next().unwrap_or_default().to_owned())
    }
}

fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most { text.to_owned() } else { text.chars().take(most - 1).chain(['…']).collect() }
}

/// The words of a command line that is not finished, and whether it ends within quotes. The last word may be empty.
fn split(line: &str) -> (Vec<String>, bool) {
    let mut words = vec![String::new()];
    let (mut quote, mut is_in_word) = (None, false);
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        let last = words.len() - 1;
        match (quote, letter) {
            (None, letter) if letter.is_whitespace() => {
                if is_in_word {
                    words.push(String::new());
                }
                is_in_word = false;
                continue;
            }
            (None, '\'' | '"') => quote = Some(letter),
            (Some(open), letter) if open == letter => quote = None,
            (None | Some('"'), '\\') => words[last].extend(letters.next()),
            (_, letter) => words[last].push(letter),
        }
        is_in_word = true;
    }
    (words, quote.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(given: [&str; 4], found: &[(&str, &str)]) -> String {
        let line = Line::of(&given.map(OsString::from)).unwrap();
        let candidate = |(value, what): &(&str, &str)| CompletionCandidate::new(*value).help(Some((*what).to_owned().into()));
        line.answer(&found.iter().map(candidate).collect::<Vec<_>>())
    }

    #[test]
    fn words_of_a_line() {
        let words = |line| split(line).0;
        assert_eq!(words("vgapt define x --gpu 01:0"), ["vgapt", "define", "x", "--gpu", "01:0"]);
        assert_eq!(words("vgapt  start "), ["vgapt", "start", ""]);
        assert_eq!(split(r#"vgapt start "Windows 1"#), (vec!["vgapt".into(), "start".into(), "Windows 1".into()], true));
        assert_eq!(words(r"vgapt start Windows\ 1"), ["vgapt", "start", "Windows 1"]);
        assert_eq!(words(r"a 'b'\''c' '' "), ["a", "b'c", "", ""]);
        assert_eq!((words(""), words(r"a\")), (vec![String::new()], vec!["a".to_owned()]));
    }

    #[test]
    fn what_bash_replaces() {
        // Bash completes what stands after the last colon.
        assert_eq!(answer(["vgapt list --gpu 01:0", "0", "9", "80"], &[("01:00.0", "a card")]), "00.0\n");
        assert_eq!(answer(["vgapt list --gpu=01:", "", "9", "80"], &[("--gpu=01:00.0", "")]), "00.0\n");
        // With other COMP_WORDBREAKS it completes the whole word.
        assert_eq!(answer(["vgapt list --gpu 01:0", "01:0", "9", "80"], &[("01:00.0", "")]), "01:00.0\n");
        assert_eq!(answer(["vgapt start Win", "Win", "9", "80"], &[("Windows 11", "")]), "Windows\\ 11\n");
        assert_eq!(answer(["vgapt start \"Win", "Win", "9", "80"], &[("Windows 11", "")]), "Windows 11\n");
    }

    #[test]
    fn what_bash_lists() {
        let cards = [("01:00.0", "GTX 960"), ("auto", "the one that can be passed through")];
        assert_eq!(answer(["vgapt list --gpu ", "", "63", "30"], &cards), "01:00.0  (GTX 960)\nauto     (the one that can …)\n");
        assert_eq!(answer(["vgapt list --gpu ", "", "37", "80"], &cards), "01:00.0\nauto\n");
        assert_eq!(answer(["vgapt start ", "", "9", "80"], &[("a\nb", ""), ("c", "")]), "c\n");
    }
}
