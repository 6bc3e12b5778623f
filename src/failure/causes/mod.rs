//! What is known of lines in logs. One file for each part of a domain; a new cause is one entry there, and a log in
//! fixtures/failures that has its line.

mod cause;
mod devices;
mod disks;
mod host;
mod kernel;
mod machine;
mod network;

pub(super) use cause::{Cause, Weight, When};
pub(super) use kernel::{HANGS, REASONS, SYMPTOMS};

/// All causes; the first that knows a line is its cause.
pub(super) fn all() -> impl Iterator<Item = &'static Cause> {
    [devices::CAUSES, host::CAUSES, network::CAUSES, machine::CAUSES, disks::CAUSES, kernel::CAUSES].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::pattern::matched;
    use super::*;

    #[test]
    fn each_entry_is_whole() {
        let mut codes = BTreeSet::new();
        for cause in all() {
            assert!(codes.insert(cause.code), "{} stands twice", cause.code);
            let texts = [cause.code, cause.what, cause.source];
            assert!(texts.iter().all(|text| !text.is_empty()) && !cause.lines.is_empty(), "{}", cause.code);
            assert!(!cause.remedy.is_empty() || !cause.command.is_empty(), "{}", cause.code);
            // Words stand beside a command, not in it.
            assert!([";", ": ", "(", ", "].iter().all(|words| !cause.command.contains(words)), "{}: {}", cause.code, cause.command);
            for line in cause.lines {
                assert!(!line.starts_with('{') && line.len() > 8, "{}: {line} fits too much", cause.code);
                // A pattern knows the line that it is made of.
                let line_of = ["address:0000:01:00.0", "number:7", "word:x", "path:/x", "other:x", "why:x", "rest:x"]
                    .iter()
                    .filter_map(|place| place.split_once(':'))
                    .fold((*line).to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value));
                assert!(matched(line, &line_of).is_some(), "{}: {line} does not know {line_of}", cause.code);
                // What is said uses only what the line has.
                for text in [cause.what, cause.command, cause.remedy] {
                    for place in text.split('{').skip(1).filter_map(|rest| rest.split('}').next()) {
                        assert!(place == "name" || line.contains(&format!("{{{place}}}")), "{}: {line} has no {{{place}}}", cause.code);
                    }
                }
            }
        }
    }
}
