//! What the tools print while they run: progress and errors.

/// A tool's progress.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// The completed part of the current step, from 0 to 1.
    Part(f64),
    /// A new step begins.
    Step(String),
}

/// Parses output that arrives in pieces: a line ends with a line feed or, where the next one overwrites it, with a
/// carriage return.
#[derive(Debug, Default)]
pub struct ProgressReader {
    rest: String,
}

impl ProgressReader {
    /// The progress in a piece of output.
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

/// A tool's error messages, on one line. QEMU repairs an image that was not closed when it opens it for writing
/// (`qcow2_check_refcounts`); these messages are not errors. Clusters without a refcount are printed as errors, and then
/// repaired by a rebuild of all refcounts (`compare_refcounts`).
pub fn complaints(stderr: &str) -> String {
    const REBUILD: &str = "Rebuilding refcount structure";
    let is_rebuilt = stderr.lines().any(|line| line.trim() == REBUILD);
    let is_repair = |line: &&str| {
        ["Leaked cluster ", "Repairing ", REBUILD].iter().any(|beginning| line.starts_with(beginning))
            || is_rebuilt && line.starts_with("ERROR cluster ") && line.contains(" refcount=0 ")
    };
    stderr.lines().map(str::trim).filter(|line| !line.is_empty() && !is_repair(line)).collect::<Vec<_>>().join(" ")
}

/// Whether qemu-img's error is that another process uses the image.
pub fn says_locked(complaint: &str) -> bool {
    complaint.contains("Is another process using the image") || complaint.contains("\" lock")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_repair_is_no_complaint() {
        assert_eq!(
            complaints(
                "Leaked cluster 4 refcount=1 reference=0\nRebuilding refcount structure\nRepairing cluster 5 refcount=1 reference=0\n"
            ),
            ""
        );
        assert_eq!(complaints("Repairing cluster 5 refcount=1 reference=0\nqemu-img: it is full\n"), "qemu-img: it is full");
        let without_refcount = "ERROR cluster 0 refcount=0 reference=1";
        assert_eq!(complaints(&format!("{without_refcount}\nRebuilding refcount structure\n")), "");
        assert_eq!(complaints(without_refcount), without_refcount);
        let broken = "ERROR rebuilt refcount structure is still broken";
        assert_eq!(complaints(&format!("{without_refcount}\nRebuilding refcount structure\n{broken}\n")), broken);
    }

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
