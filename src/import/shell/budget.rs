//! A limit on the work for one script: a text of a few lines can require more than a machine has.

use std::cell::Cell;

/// About one unit for each byte that is produced and each character that is compared. A long real script
/// takes a hundredth of it.
const ALL: usize = 32 << 20;
/// The cost of a word, besides its characters.
pub(super) const WORD: usize = 64;
/// The cost of a command, besides its words.
pub(super) const COMMAND: usize = 1536;

/// The remaining budget.
#[derive(Debug)]
pub(super) struct Budget {
    left: Cell<usize>,
}

impl Default for Budget {
    fn default() -> Self {
        Self { left: Cell::new(ALL) }
    }
}

impl Budget {
    /// Spends `cost`; whether there was enough. If not, nothing is left afterwards.
    pub(super) fn take(&self, cost: usize) -> bool {
        let left = self.left.get().checked_sub(cost);
        self.left.set(left.unwrap_or(0));
        left.is_some()
    }

    /// The same for a text that is produced, or parsed again.
    pub(super) fn take_text(&self, text: &str) -> bool {
        self.take(text.len() + WORD)
    }

    /// The same for words.
    pub(super) fn take_words(&self, words: &[String]) -> bool {
        self.take(words.iter().map(|word| word.len() + WORD).sum())
    }

    pub(super) fn is_spent(&self) -> bool {
        self.left.get() == 0
    }
}
