//! What may be done for one script in all: a text of a few lines can ask for more than a machine has.

use std::cell::Cell;

/// About one for each byte that is made, and for each comparison of a letter. A long script of people's
/// takes a hundredth.
const ALL: usize = 32 << 20;
/// What a word takes besides its letters.
pub(super) const WORD: usize = 64;
/// What a command takes besides its words.
pub(super) const COMMAND: usize = 1536;

/// What is left of it.
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
    /// Takes so much of it; whether there was enough. Once there was not, there is nothing left.
    pub(super) fn take(&self, cost: usize) -> bool {
        let left = self.left.get().checked_sub(cost);
        self.left.set(left.unwrap_or(0));
        left.is_some()
    }

    /// The same for a text that is made, or read once more.
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
