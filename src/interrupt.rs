//! Catches Ctrl-C, SIGTERM and SIGHUP, so that unfinished work is cleaned up before the program ends.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::sleep;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// How often a pause checks for a signal.
const SLICE: Duration = Duration::from_millis(50);

/// Whether the signals end the program although it once watched for them.
static ENDS: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Whether the program has been asked to end.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    came: Arc<AtomicBool>,
}

impl Interrupt {
    /// From now on the signals are recorded, and no longer end the program.
    pub fn watch() -> io::Result<Self> {
        let interrupt = Self::default();
        let ends = ENDS.get_or_init(Arc::default);
        ends.store(false, Ordering::Relaxed);
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register_conditional_default(signal, Arc::clone(ends))?;
            signal_hook::flag::register(signal, Arc::clone(&interrupt.came))?;
        }
        Ok(interrupt)
    }

    /// From now on the signals end the program again, until it watches for them the next time.
    pub fn no_longer(self) {
        if let Some(ends) = ENDS.get() {
            ends.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a signal has arrived.
    pub fn came(&self) -> bool {
        self.came.load(Ordering::Relaxed)
    }

    /// Sleeps for this time, or until a signal arrives.
    pub fn pause(&self, time: Duration) {
        let end = Instant::now() + time;
        while !self.came() && Instant::now() < end {
            sleep(SLICE.min(end.saturating_duration_since(Instant::now())));
        }
    }
}

/// Work that was interrupted; the text says what state that leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interrupted(pub String);

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "interrupted: {}", self.0)
    }
}

impl std::error::Error for Interrupted {}
