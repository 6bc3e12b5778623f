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

/// Each with its meaning, for the help and the manual.
pub(crate) const MEANINGS: [(Outcome, &str); 6] = [
    (Outcome::Done, "success"),
    (Outcome::Refused, "blocked or not ready"),
    (Outcome::Usage, "wrong usage"),
    (Outcome::Failed, "failed"),
    (Outcome::TimedOut, "guest not up in time"),
    (Outcome::Interrupted, "interrupted"),
];

/// All of them, for the help.
pub(crate) fn in_a_line() -> String {
    let each: Vec<String> = MEANINGS.iter().map(|(outcome, meaning)| format!("{} {meaning}", of(*outcome))).collect();
    format!("Exit codes: {}.", each.join(", "))
}
