//! What was read of a directory, so that each path of it is read once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;

use foldhash::fast::RandomState;

use super::status::Status;

/// The answers so far.
#[derive(Default)]
pub(super) struct Once {
    /// Each file with the limit of its read.
    pub(super) files: Answers<(Rc<Vec<u8>>, usize)>,
    pub(super) names: Answers<Vec<String>>,
    pub(super) links: Answers<String>,
    pub(super) statuses: Answers<Status>,
}

/// The answers to one question, by path; an error by its number.
pub(super) struct Answers<T>(RefCell<HashMap<String, Result<T, i32>, RandomState>>);

impl<T> Default for Answers<T> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<T: Clone> Answers<T> {
    /// The answer from before where it serves, else the one that is asked for now.
    pub(super) fn or_ask(&self, path: &str, serves: impl FnOnce(&T) -> bool, ask: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self.0.borrow().get(path) {
            Some(Ok(answer)) if serves(answer) => return Ok(answer.clone()),
            Some(Err(number)) => return Err(io::Error::from_raw_os_error(*number)),
            _ => {}
        }
        let answer = ask();
        match &answer {
            Ok(answer) => self.keep(path, Ok(answer.clone())),
            Err(error) => {
                if let Some(number) = error.raw_os_error() {
                    self.keep(path, Err(number));
                }
            }
        }
        answer
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.0.borrow().contains_key(path)
    }

    pub(super) fn keep(&self, path: &str, answer: Result<T, i32>) {
        self.0.borrow_mut().insert(path.to_owned(), answer);
    }
}
