//! Runs a tool with a progress bar.

use std::path::Path;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::disk_context::{DiskContext, refused};
use crate::disk::{Progress, ProgressReader, complaints};
use crate::interrupt::Interrupted;
use crate::output;
use crate::run;

/// The length of the progress bar.
const WHOLE: f64 = 1000.0;

/// A run of a tool.
pub(super) struct ToolRun<'w> {
    /// What it does, for the progress bar and messages.
    pub(super) label: &'w str,
    /// The state that is left if it is interrupted.
    pub(super) if_interrupted: &'w str,
    /// The directory for its temporary files.
    pub(super) temporary: Option<&'w Path>,
}

impl ToolRun<'_> {
    /// Runs the tool to its end, and returns its standard error if it succeeded.
    pub(super) fn run(&self, disk_context: &DiskContext<'_>, argv: &[String]) -> Result<String> {
        disk_context.context.detail(&argv.join(" "));
        let bar = self.bar(disk_context);
        let mut reader = ProgressReader::default();
        let environment = self.temporary.map(|path| path.display().to_string());
        // Not TMPDIR: with it, libguestfs would also rebuild its appliance each time.
        let environment: Vec<(&str, String)> = environment.map(|path| ("LIBGUESTFS_TMPDIR", path)).into_iter().collect();
        let ran = run::stream(argv, &environment, &disk_context.interrupt, |piece| {
            for progress in reader.hear(piece) {
                match progress {
                    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Between 0 and WHOLE.
                    Progress::Part(part) => bar.set_position((part * WHOLE) as u64),
                    Progress::Step(step) => {
                        bar.set_position(0);
                        bar.reset_eta();
                        bar.set_message(output::shown(&step).into_owned());
                    }
                }
            }
        });
        bar.finish_and_clear();
        match ran {
            Ok(output) if output.success() => Ok(complaints(&output.stderr)),
            Ok(output) => Err(refused(&format!("{} failed", self.label), &output)),
            Err(error) if error.is::<Interrupted>() => Err(Interrupted(self.if_interrupted.to_owned()).into()),
            Err(error) => Err(disk_context.explain(error)),
        }
    }

    /// Drawn only on a terminal, and not with --quiet or --json.
    fn bar(&self, disk_context: &DiskContext<'_>) -> ProgressBar {
        let global = &disk_context.context.global;
        let target = if global.quiet || global.json { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // A small whole number.
        let bar = ProgressBar::with_draw_target(Some(WHOLE as u64), target);
        let style = ProgressStyle::with_template("{msg} [{bar:30}] {percent:>3} %, {elapsed} elapsed, about {eta} left");
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(self.label.to_owned());
        bar.enable_steady_tick(std::time::Duration::from_millis(200));
        bar
    }
}
