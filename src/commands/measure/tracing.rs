//! Counts why the virtual CPUs leave the guest: an instance of the kernel's tracing for this measurement alone, in which the
//! kernel itself counts. No event is recorded, and tracing of others is not touched.

use std::time::Instant;

use anyhow::Result;

use crate::discovery::{self, EXIT_KEYS};
use crate::model::{ExitReasons, Reading};
use crate::root::Root;
use crate::run::AtEnd;
use crate::target::Target;

const INSTANCES: &str = "/sys/kernel/tracing/instances";
const EVENT: &str = "events/kvm/kvm_exit";
/// An instance is named after the process that made it.
const NAME: &str = "vgapt-";
/// How many pairs of thread and reason have a place; a virtual CPU has some twenty reasons.
const PLACES: u32 = 8192;

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
            if root.presence(&format!("{path}/{EVENT}")) == Some(true) && root.presence(&format!("{path}/{EVENT}/hist")) == Some(false) {
                anyhow::bail!("this kernel cannot count them (CONFIG_HIST_TRIGGERS)");
            }
            target.set_attribute(&format!("{path}/{EVENT}/trigger"), &format!("hist:keys={EXIT_KEYS}:size={PLACES}"))?;
            Ok(Self { path: path.clone(), since: Instant::now(), removed })
        };
        made().map_err(|error: anyhow::Error| format!("{error:#}"))
    }

    /// What was counted; nothing is counted any more.
    pub(super) fn end(self, root: &Root) -> Reading<ExitReasons> {
        let time = self.since.elapsed();
        let read = |file: &str| {
            root.text(&format!("{}/{EVENT}/{file}", self.path)).map_err(|error| format!("cannot read {file} of {EVENT}: {error}"))
        };
        let counts = read("hist").and_then(|table| discovery::exit_reasons(&table, &read("format")?));
        let counts = counts.and_then(|counts| self.removed.now().map(|()| counts).map_err(|error| format!("{error:#}")));
        counts.map_or_else(Reading::Unknown, |counts| Reading::Known(ExitReasons { time, counts }))
    }
}

/// Whether it is an instance of a vgapt that has ended.
fn is_left(root: &Root, name: &str) -> bool {
    let pid = name.strip_prefix(NAME).and_then(|pid| pid.parse::<u32>().ok());
    pid.is_some_and(|pid| root.presence(&format!("/proc/{pid}")) == Some(false))
}
