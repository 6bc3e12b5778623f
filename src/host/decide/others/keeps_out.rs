//! A line by which a driver is not loaded.

/// A line that prevents a driver from loading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::host::decide) struct ModuleBlocker {
    /// Its file and line number, or the kernel command line.
    pub(in crate::host::decide) place: String,
    /// Its text.
    pub(in crate::host::decide) words: String,
}

impl ModuleBlocker {
    /// Its place and text in one phrase.
    pub(in crate::host::decide) fn says(&self) -> String {
        format!("{} says `{}`", self.place, self.words)
    }

    /// How to remove all of them.
    pub(in crate::host::decide) fn removal(lines: &[Self]) -> String {
        let one = |line: &Self| format!("remove `{}` from {}", line.words, line.place);
        lines.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}
