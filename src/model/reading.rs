//! The result of reading something from the host or from libvirt: unknown is not the same as absent.

use std::io;

/// The error for files of a process that has ended (`ESRCH` of errno(3)).
const NO_SUCH_PROCESS: i32 = 3;

/// A value that was read, or is absent, or could not be read.
///
/// No destructive step and no reassuring message may be based on [`Reading::Unknown`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading<T> {
    Known(T),
    Absent,
    /// It could not be read, for this reason.
    Unknown(String),
}

impl<T> Default for Reading<T> {
    fn default() -> Self {
        Self::Unknown("it was not read".to_owned())
    }
}

impl<T> Reading<T> {
    /// The result of reading a path: only an error such as "no such file" means absent.
    pub fn of(result: io::Result<T>, path: &str) -> Self {
        match result {
            Ok(value) => Self::Known(value),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Self::Absent,
            Err(error) if error.raw_os_error() == Some(NO_SUCH_PROCESS) => Self::Absent,
            Err(error) => Self::Unknown(format!("cannot read {path}: {error}")),
        }
    }

    /// The value, if it was read. Only for callers for which treating unknown as absent is harmless.
    pub fn known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Absent | Self::Unknown(_) => None,
        }
    }

    /// Converts to a result: absent becomes `None`, unknown becomes the error.
    pub fn into_result(self) -> Result<Option<T>, String> {
        match self {
            Self::Known(value) => Ok(Some(value)),
            Self::Absent => Ok(None),
            Self::Unknown(because) => Err(because),
        }
    }

    /// Why it is unknown; `None` if it is known or absent.
    pub fn unknown(&self) -> Option<&str> {
        match self {
            Self::Unknown(because) => Some(because),
            Self::Known(_) | Self::Absent => None,
        }
    }

    pub fn as_ref(&self) -> Reading<&T> {
        match self {
            Self::Known(value) => Reading::Known(value),
            Self::Absent => Reading::Absent,
            Self::Unknown(because) => Reading::Unknown(because.clone()),
        }
    }

    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Reading<U> {
        self.then(|value| Reading::Known(change(value)))
    }

    /// Parses the value; if that fails, the result is unknown.
    pub fn and_then<U>(self, parse: impl FnOnce(T) -> Result<U, String>) -> Reading<U> {
        self.then(|value| parse(value).map_or_else(Reading::Unknown, Reading::Known))
    }

    /// Reads something else with the value.
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
