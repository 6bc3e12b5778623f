//! What was to be reached, and whether it was.

use std::fmt;

/// The goals, each with what was found.
#[derive(Default)]
pub(crate) struct Goals(Vec<(bool, String)>);

impl Goals {
    /// At least so many times faster than something.
    pub(crate) fn faster(&mut self, what: &str, at_least: f64, found: f64) {
        self.0.push((found >= at_least, format!("{what}: at least {at_least} times faster; {found:.1} times")));
    }

    /// Anything else.
    pub(crate) fn that(&mut self, met: bool, text: String) {
        self.0.push((met, text));
    }

    pub(crate) fn all_met(&self) -> bool {
        self.0.iter().all(|(met, _)| *met)
    }
}

impl fmt::Display for Goals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Goals")?;
        self.0.iter().try_for_each(|(met, text)| writeln!(f, "  {:8}{text}", if *met { "met" } else { "NOT MET" }))
    }
}
