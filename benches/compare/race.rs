//! Time. The machine is noisy, so the competitors take turns in one run, and only ratios of their
//! medians are told.

use std::time::{Duration, Instant};

use crate::Result;
use crate::programs::Program;

/// The median time of each program; they take turns for so many rounds.
pub(crate) fn race<const N: usize>(programs: [&Program; N], rounds: usize) -> Result<[Duration; N]> {
    turns(programs.map(|program| (program, 1)), rounds)
}

/// The same where each has so many runs in a turn.
pub(crate) fn turns<const N: usize>(programs: [(&Program, usize); N], rounds: usize) -> Result<[Duration; N]> {
    let mut times = [const { Vec::new() }; N];
    for (program, _) in programs {
        time(program)?; // The first run fills the caches.
    }
    for _ in 0..rounds {
        for ((program, runs), times) in programs.iter().zip(&mut times) {
            for _ in 0..*runs {
                times.push(time(program)?);
            }
        }
    }
    Ok(times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    }))
}

/// How many times longer the second takes than the first.
pub(crate) fn ratio(ours: Duration, theirs: Duration) -> f64 {
    theirs.as_secs_f64() / ours.as_secs_f64()
}

fn time(program: &Program) -> Result<Duration> {
    let mut command = program.command(&[]);
    let start = Instant::now();
    let status = command.status()?;
    let time = start.elapsed();
    // 1: something speaks against it, which --dry-run tells and goes on.
    if !matches!(status.code(), Some(0 | 1)) {
        return Err(format!("{command:?}: {status}").into());
    }
    Ok(time)
}
