//! The name of a guest system, as `--os` takes it.

use std::fmt;

use clap::builder::{PossibleValuesParser, TypedValueParser, ValueParserFactory};
use serde::{Deserialize, Serialize};

use super::Profile;

/// The system that a new domain is for where none is named.
const DEFAULT: &str = "windows";

/// The name of a guest system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Os(String);

impl Default for Os {
    fn default() -> Self {
        Self(DEFAULT.to_owned())
    }
}

impl Os {
    /// What is known of it; `None` where a later vgapt knew a system that this one does not.
    pub fn profile(&self) -> Option<&'static Profile> {
        Profile::named(&self.0)
    }
}

impl From<&str> for Os {
    fn from(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl fmt::Display for Os {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ValueParserFactory for Os {
    type Parser = clap::builder::MapValueParser<PossibleValuesParser, fn(String) -> Os>;

    fn value_parser() -> Self::Parser {
        PossibleValuesParser::new(Profile::names()).map(Os as fn(String) -> Os)
    }
}
