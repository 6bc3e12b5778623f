//! Time. The machine is noisy, so the competitors take turns in one run, and only ratios are told.

use std::time::{Duration, Instant};

use crate::Result;
use crate::programs::Program;

/// How many times faster the first is than the second, and its time: medians of so many turns of both. What slows the machine
/// down for a while slows down both of a turn.
pub(crate) fn race(ours: &Program, theirs: &Program, turns: usize) -> Result<(f64, Duration)> {
    // The first run fills the caches.
    time(ours)?;
    time(theirs)?;
    let (mut ratios, mut times) = (Vec::new(), Vec::new());
    for _ in 0..turns {
        let our_time = time(ours)?;
        ratios.push(ratio(our_time, time(theirs)?));
        times.push(our_time);
    }
    ratios.sort_unstable_by(f64::total_cmp);
    times.sort_unstable();
    Ok((ratios[turns / 2], times[turns / 2]))
}

/// The median time of each program, which has so many runs in a turn.
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
