//! A progress bar on standard error, on a terminal only. No crate draws it: indicatif estimates the time that is left with
//! `pow`, and for that alone libm would be mapped at each start of vgapt.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use super::style::{columns, shown};
use super::terminal::width;

/// How often it is drawn.
const PAUSE: Duration = Duration::from_millis(200);
const BAR: usize = 30;

/// What is done, and how much of it.
pub struct ProgressBar {
    label: String,
    /// From 0 to 1.
    part: f64,
    begun: Instant,
    /// When the present step began.
    step_begun: Instant,
    /// When it was drawn; `None` where it never is.
    drawn: Option<Instant>,
}

impl ProgressBar {
    pub fn new(label: &str, is_wanted: bool) -> Self {
        let now = Instant::now();
        let drawn = (is_wanted && io::stderr().is_terminal()).then_some(now);
        Self { label: label.to_owned(), part: 0.0, begun: now, step_begun: now, drawn }
    }

    /// Says how much of the step is done.
    pub fn set_part(&mut self, part: f64) {
        self.part = part;
    }

    /// Begins a new step.
    pub fn begin_step(&mut self, label: &str) {
        (self.label, self.part, self.step_begun) = (shown(label).into_owned(), 0.0, Instant::now());
    }

    /// Draws it, unless it was drawn a moment ago.
    pub fn draw(&mut self) {
        if self.drawn.is_some_and(|drawn| drawn.elapsed() >= PAUSE) {
            let line = line(&self.label, self.part, self.begun.elapsed(), self.step_begun.elapsed(), width(&io::stderr()));
            self.drawn = Some(Instant::now());
            write(&line);
        }
    }
}

impl Drop for ProgressBar {
    fn drop(&mut self) {
        if self.drawn.is_some() {
            write("");
        }
    }
}

/// Replaces the line; a terminal that is gone shows nothing.
fn write(line: &str) {
    let _ = io::stderr().write_all(format!("\r{line}\x1b[K").as_bytes());
}

fn line(label: &str, part: f64, elapsed: Duration, of_step: Duration, width: usize) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)] // Small numbers.
    let full = (part * BAR as f64) as usize;
    let mut line = format!("{label} [{:<BAR$}] {:>3.0} %, {} elapsed", "=".repeat(full.min(BAR)), part * 100.0, words(elapsed));
    if part > 0.0
        && let Ok(left) = Duration::try_from_secs_f64(of_step.as_secs_f64() * (1.0 - part) / part)
    {
        let _ = write!(line, ", about {} left", words(left));
    }
    // A line that is broken could not be replaced.
    while columns(&line) >= width {
        line.pop();
    }
    line
}

/// `59 s`, `3 min`, `2 h 5 min`.
fn words(time: Duration) -> String {
    match time.as_secs() {
        seconds @ ..60 => format!("{seconds} s"),
        seconds @ ..3600 => format!("{} min", seconds / 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_how_far_it_is() {
        let seconds = Duration::from_secs;
        let of = |part, elapsed, width| line("disk merge", part, seconds(elapsed), seconds(elapsed), width);
        assert_eq!(of(0.0, 0, 100), "disk merge [                              ]   0 %, 0 s elapsed");
        assert_eq!(of(0.5, 30, 100), "disk merge [===============               ]  50 %, 30 s elapsed, about 30 s left");
        assert_eq!(of(0.25, 3600, 100), "disk merge [=======                       ]  25 %, 1 h 0 min elapsed, about 3 h 0 min left");
        assert_eq!(of(1.0, 200, 100), "disk merge [==============================] 100 %, 3 min elapsed, about 0 s left");
        assert_eq!(of(0.5, 30, 20), "disk merge [=======");
        // A part so small that no time is left for it.
        assert!(!of(f64::MIN_POSITIVE, 3600, 100).contains("left"));
    }
}
