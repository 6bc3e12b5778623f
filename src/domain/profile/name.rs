//! The name of a guest system, the value of `--os`.

use std::ffi::OsStr;
use std::fmt;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser, ValueParserFactory};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::file::Profile;

/// The guest system of a new domain without `--os`.
const DEFAULT: &str = "windows";

/// The name of a guest system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Os(String);

impl Default for Os {
    fn default() -> Self {
        Self(DEFAULT.to_owned())
    }
}

impl Os {
    /// Its profile; `None` for a name that only a newer vgapt knows.
    pub fn profile(&self) -> Option<&'static Profile> {
        Profile::named(&self.0)
    }
}

impl From<String> for Os {
    fn from(name: String) -> Self {
        Self(Profile::name_of(&name).map_or(name, str::to_owned))
    }
}

impl From<&str> for Os {
    fn from(name: &str) -> Self {
        Self::from(name.to_owned())
    }
}

impl From<Os> for String {
    fn from(os: Os) -> Self {
        os.0
    }
}

impl fmt::Display for Os {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ValueParserFactory for Os {
    type Parser = Parser;

    fn value_parser() -> Self::Parser {
        Parser
    }
}

/// Parses the known names and their other spellings.
#[derive(Debug, Clone)]
pub struct Parser;

impl TypedValueParser for Parser {
    type Value = Os;

    fn parse_ref(&self, command: &clap::Command, argument: Option<&clap::Arg>, value: &OsStr) -> Result<Os, clap::Error> {
        let Os(name) = Os::from(value.to_string_lossy().into_owned());
        PossibleValuesParser::new(Profile::names()).parse_ref(command, argument, OsStr::new(&name)).map(Os)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(Profile::all().map(|(name, profile)| PossibleValue::new(name).help(profile.what()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_call_it() {
        for name in ["win11", "windows11", "windows-11", "win-11", "w11", "Windows11", "Windows 11", "WIN_11", "win2k25"] {
            assert_eq!(Os::from(name).to_string(), "win11", "{name}");
        }
        for name in ["linux", "Ubuntu", "ubuntu24.04", "debian-13", "openSUSE Leap 15.6", "arch", "fedora42"] {
            assert_eq!(Os::from(name).to_string(), "linux", "{name}");
        }
        assert_eq!([Os::from("w8.1").to_string(), Os::from("windows").to_string()], ["win8.1", "windows"]);
        for unknown in ["w95", "windows12", "ubuntux", "archer", "", "*"] {
            assert_eq!(Os::from(unknown).to_string(), unknown);
            assert!(Os::from(unknown).profile().is_none(), "{unknown}");
        }
    }
}
