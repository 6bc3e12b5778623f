//! How far a tool is, from what it prints.

/// How far a tool is.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// This part of what it is at, from 0 to 1.
    Part(f64),
    /// It begins something.
    Step(String),
}

/// Reads what comes in pieces: a line ends in a line feed or, so that it is written over, in a
/// carriage return.
#[derive(Debug, Default)]
pub struct ProgressReader {
    rest: String,
}

impl ProgressReader {
    /// What a piece tells.
    pub fn hear(&mut self, piece: &str) -> Vec<Progress> {
        self.rest.push_str(piece);
        let mut told = Vec::new();
        while let Some(end) = self.rest.find(['\r', '\n']) {
            told.extend(of_line(self.rest[..end].trim()));
            self.rest.drain(..=end);
        }
        told
    }
}

/// qemu-img's `(12.50/100%)`, or libguestfs's `43008/213272` and `{ "message": … }`.
fn of_line(line: &str) -> Option<Progress> {
    if line.starts_with('{') {
        let said: serde_json::Value = serde_json::from_str(line).ok()?;
        return (said["type"] == "message").then(|| Progress::Step(said["message"].as_str().unwrap_or_default().to_owned()));
    }
    let (done, all) = match line.strip_prefix('(') {
        Some(percent) => (percent.strip_suffix("/100%)")?, "100"),
        None => line.split_once('/')?,
    };
    let (done, all): (f64, f64) = (done.parse().ok()?, all.parse().ok()?);
    (all > 0.0 && done.is_finite()).then(|| Progress::Part((done / all).clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn in_pieces() {
        let mut reader = ProgressReader::default();
        assert_eq!(reader.hear("    (0.00/100%)\r    (6.2"), [Progress::Part(0.0)]);
        assert_eq!(reader.hear("5/100%)\r"), [Progress::Part(0.0625)]);
        let said = "{ \"message\": \"Copy\", \"timestamp\": \"x\", \"type\": \"message\" }\n[  25.1] Copy\n3/12\n";
        assert_eq!(reader.hear(said), [Progress::Step("Copy".into()), Progress::Part(0.25)]);
    }

    proptest! {
        #[test]
        fn hearing_never_panics(text in "\\PC*", more in "[()0-9./%\r\n{]*") {
            let mut reader = ProgressReader::default();
            reader.hear(&text);
            reader.hear(&more);
        }
    }
}
