//! Counts why the virtual CPUs leave the guest: an instance of the kernel's tracing for this measurement alone, in which the
//! kernel itself counts. No event is recorded, and tracing of others is not touched.

use std::time::Instant;

use anyhow::Result;

use crate::discovery::{self, EXIT_EVENT, TARGET_EVENTS};
use crate::model::{ExitReasons, Reading};
use crate::root::Root;
use crate::run::AtEnd;
use crate::target::Target;

const INSTANCES: &str = "/sys/kernel/tracing/instances";
/// An instance is named after the process that made it.
const NAME: &str = "vgapt-";

/// While it exists, exits are counted.
pub(super) struct Tracing {
    path: String,
    since: Instant,
    removed: AtEnd,
}

impl Tracing {
    /// Begins to count; what another process left that was killed together with its watcher is removed.
    pub(super) fn begin(root: &Root, target: &Target) -> Result<Self, String> {
        if !root.is_live() {
            return Err("they are counted only on the running system".to_owned());
        }
        let instances = match root.entries(INSTANCES) {
            Reading::Known(instances) => instances,
            Reading::Unknown(because) => return Err(format!("{because}: tracing is for root only")),
            Reading::Absent => return Err(format!("there is no {INSTANCES}: tracefs is not mounted")),
        };
        for left in instances.iter().filter(|name| is_left(root, name)) {
            // One that is in use all the same stays, and does no harm.
            let _ = target.remove_directory(&format!("{INSTANCES}/{left}"));
        }
        let path = format!("{INSTANCES}/{NAME}{}", std::process::id());
        let made = || {
            // Whoever removes it is there before it.
            let removed = target.remove_directory_at_end(&path)?;
            target.make_directory(&path, 0o700)?;
            let exits = EXIT_EVENT.0;
            if root.presence(&format!("{path}/{exits}")) == Some(true) && root.presence(&format!("{path}/{exits}/hist")) == Some(false) {
                anyhow::bail!("this kernel cannot count them (CONFIG_HIST_TRIGGERS)");
            }
            for (event, trigger) in TARGET_EVENTS.iter().map(|event| (event.event, event.trigger)).chain([EXIT_EVENT]) {
                target.set_attribute(&format!("{path}/{event}/trigger"), trigger)?;
            }
            Ok(Self { path: path.clone(), since: Instant::now(), removed })
        };
        made().map_err(|error: anyhow::Error| format!("{error:#}"))
    }

    /// What was counted; nothing is counted any more.
    pub(super) fn end(self, root: &Root) -> Reading<ExitReasons> {
        let time = self.since.elapsed();
        let read = |event: &str, file: &str| {
            root.text(&format!("{}/{event}/{file}", self.path)).map_err(|error| format!("cannot read {file} of {event}: {error}"))
        };
        let counted = || {
            let counts = discovery::exit_reasons(&read(EXIT_EVENT.0, "hist")?, &read(EXIT_EVENT.0, "format")?)?;
            let [ports, registers, memory] = TARGET_EVENTS.each_ref().map(|event| read(event.event, "hist"));
            let targets = discovery::exit_targets([&ports?, &registers?, &memory?])?;
            Ok(ExitReasons { time, counts, targets })
        };
        let counted = counted().and_then(|counted| self.removed.now().map(|()| counted).map_err(|error| format!("{error:#}")));
        counted.map_or_else(Reading::Unknown, Reading::Known)
    }
}

/// Whether it is an instance of a vgapt that has ended.
fn is_left(root: &Root, name: &str) -> bool {
    let pid = name.strip_prefix(NAME).and_then(|pid| pid.parse::<u32>().ok());
    pid.is_some_and(|pid| root.presence(&format!("/proc/{pid}")) == Some(false))
}
