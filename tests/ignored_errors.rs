//! Unknown is not absent: each place in `src` that can drop an error has a reason in `ignored_errors.txt`.

#[path = "support/sources.rs"]
mod sources;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sources::sources;

/// What can drop an error without a word.
const DROPS: [&str; 6] = [".ok()", "Result::ok", "unwrap_or_default()", ".flatten()", "let _ =", ".unwrap_or_else(|_|"];

/// The list: for each file the reasons, and how many places each counts for.
const LIST: &str = "tests/ignored_errors.txt";

/// The reasons that count, each explained at the top of the list.
const REASONS: [&str; 7] = ["option", "parse", "bound", "words", "cleanup", "elsewhere", "optional"];

#[test]
fn each_place_that_can_drop_an_error_has_a_reason() {
    let text = fs::read_to_string(LIST).unwrap();
    let listed: BTreeMap<&str, usize> = text
        .lines()
        .filter(|line| line.starts_with("src/"))
        .map(|line| line.split_once(": ").unwrap())
        .map(|(file, reasons)| (file, count(reasons)))
        .collect();
    let mut wrong = Vec::new();
    for file in sources(Path::new("src")) {
        let name = file.to_str().unwrap();
        let (found, listed) = (drops(&fs::read_to_string(&file).unwrap()), listed.get(name).copied().unwrap_or_default());
        if found != listed {
            wrong.push(format!("{name}: {found} places can drop an error, {LIST} gives the reasons of {listed}"));
        }
    }
    wrong.extend(listed.keys().filter(|name| !Path::new(name).exists()).map(|name| format!("{name}: is in {LIST}, and not there")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `option 2, parse 1` is 3.
fn count(reasons: &str) -> usize {
    let number = |reason: &str| {
        let (word, number) = reason.split_once(' ').unwrap_or_else(|| panic!("{reason}: a reason and a number are wanted"));
        assert!(REASONS.contains(&word), "{word} is no reason; there are {REASONS:?}");
        number.parse::<usize>().unwrap()
    };
    reasons.split(", ").map(number).sum()
}

/// How many places there are outside the file's own tests and comments.
fn drops(text: &str) -> usize {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.map(|line| DROPS.iter().map(|drop| line.matches(drop).count()).sum::<usize>()).sum()
}
