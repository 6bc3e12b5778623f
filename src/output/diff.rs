//! The difference between two texts, and the changes in words.

use similar::{ChangeTag, TextDiff};

use super::style::{BAD, FAINT, GOOD, paint, shown};

/// Changes in words, one a line.
pub fn changes(name: &str, changes: &[String]) -> String {
    let lines = |changes: &[String]| changes.iter().map(|change| format!("\n  {}", shown(change))).collect::<String>();
    match changes {
        [] => format!("changes of '{name}': only vgapt's record of the request"),
        changes => format!("changes of '{name}':{}", lines(changes)),
    }
}

/// A unified diff with three lines around each change; empty where nothing changes.
pub fn diff(name: &str, before: &str, after: &str) -> String {
    let diff = TextDiff::from_lines(before, after);
    let mut text = String::new();
    for hunk in diff.unified_diff().context_radius(3).iter_hunks() {
        text.push_str(&paint(FAINT, hunk.header()));
        text.push('\n');
        for change in hunk.iter_changes() {
            let line = change.value().trim_end_matches(['\r', '\n']);
            text.push_str(&match change.tag() {
                ChangeTag::Delete => paint(BAD, format_args!("-{line}")),
                ChangeTag::Insert => paint(GOOD, format_args!("+{line}")),
                ChangeTag::Equal => format!(" {line}"),
            });
            text.push('\n');
        }
    }
    if text.is_empty() { text } else { format!("--- {name} now\n+++ {name} new\n{text}") }
}
