//! Exit codes: one for each outcome.

use crate::output::Outcome;

/// The exit code of a command.
pub(crate) fn of(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Done | Outcome::Unchanged | Outcome::Planned => 0,
        Outcome::Incomplete | Outcome::NotReady | Outcome::Refused | Outcome::Unconfirmed => 1,
        // clap uses the same code.
        Outcome::Usage => 2,
        Outcome::Failed => 3,
        Outcome::TimedOut => 4,
        // As shells report Ctrl-C.
        Outcome::Interrupted => 130,
    }
}

/// What an exit code says of another vgapt command.
pub(crate) fn outcome(code: u8) -> Outcome {
    let outcomes = [Outcome::Done, Outcome::Refused, Outcome::Usage, Outcome::TimedOut, Outcome::Interrupted];
    outcomes.into_iter().find(|outcome| of(*outcome) == code).unwrap_or(Outcome::Failed)
}
