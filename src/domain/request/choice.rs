//! Values of options that several parts of the request have.

use clap::builder::{PossibleValuesParser, TypedValueParser};

/// `yes` or `no`.
pub(super) fn yes_or_no() -> impl TypedValueParser<Value = bool> {
    PossibleValuesParser::new(["yes", "no"]).map(|word| word == "yes")
}
