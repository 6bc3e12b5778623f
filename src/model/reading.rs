//! What came of reading something of the host or of libvirt: unknown is not absent.

use std::io;

/// What the kernel answers for the files of a process that has ended (`ESRCH` of errno(3)).
const NO_SUCH_PROCESS: i32 = 3;

/// A value that was read; where there is none, whether it is absent or could not be read.
///
/// No destructive step and no reassuring word may rest on [`Reading::Unknown`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading<T> {
    /// It was read.
    Known(T),
    /// It was looked for, and is not there.
    Absent,
    /// It could not be read, because of this.
    Unknown(String),
}

impl<T> Reading<T> {
    /// The result of reading a path: only an error that says "no such file" means absent.
    pub fn of(result: io::Result<T>, path: &str) -> Self {
        match result {
            Ok(value) => Self::Known(value),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Self::Absent,
            Err(error) if error.raw_os_error() == Some(NO_SUCH_PROCESS) => Self::Absent,
            Err(error) => Self::Unknown(format!("cannot read {path}: {error}")),
        }
    }

    /// The value, where it was read. For decisions that treat unknown as absent, which has to be harmless there.
    pub fn known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Absent | Self::Unknown(_) => None,
        }
    }

    /// The same as a result: absent is `None`, unknown is the error.
    ///
    /// # Errors
    /// Why it is unknown.
    pub fn into_result(self) -> Result<Option<T>, String> {
        match self {
            Self::Known(value) => Ok(Some(value)),
            Self::Absent => Ok(None),
            Self::Unknown(because) => Err(because),
        }
    }

    /// Why it is unknown; `None` where it is not.
    pub fn unknown(&self) -> Option<&str> {
        match self {
            Self::Unknown(because) => Some(because),
            Self::Known(_) | Self::Absent => None,
        }
    }

    /// The same, borrowed.
    pub fn as_ref(&self) -> Reading<&T> {
        match self {
            Self::Known(value) => Reading::Known(value),
            Self::Absent => Reading::Absent,
            Self::Unknown(because) => Reading::Unknown(because.clone()),
        }
    }

    /// Another value made of it.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Reading<U> {
        self.then(|value| Reading::Known(change(value)))
    }

    /// What a parser makes of it: what it does not understand is unknown.
    pub fn and_then<U>(self, parse: impl FnOnce(T) -> Result<U, String>) -> Reading<U> {
        self.then(|value| parse(value).map_or_else(Reading::Unknown, Reading::Known))
    }

    /// What is read by means of it.
    pub fn then<U>(self, read: impl FnOnce(T) -> Reading<U>) -> Reading<U> {
        match self {
            Self::Known(value) => read(value),
            Self::Absent => Reading::Absent,
            Self::Unknown(because) => Reading::Unknown(because),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_there_is_absent() {
        let read = |kind: io::ErrorKind| Reading::<()>::of(Err(kind.into()), "/x");
        assert_eq!(read(io::ErrorKind::NotFound), Reading::Absent);
        assert_eq!(read(io::ErrorKind::NotADirectory), Reading::Absent);
        assert!(read(io::ErrorKind::PermissionDenied).unknown().is_some_and(|because| because.contains("/x")));
        assert_eq!(read(io::ErrorKind::NotFound).into_result(), Ok(None));
        assert_eq!(
            (Reading::Known(1).into_result(), Reading::<()>::Unknown("x".to_owned()).into_result()),
            (Ok(Some(1)), Err("x".to_owned()))
        );
        assert!(Reading::Known("7x").and_then(|text| text.parse::<u32>().map_err(|error| error.to_string())).unknown().is_some());
    }
}
