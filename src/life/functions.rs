//! Takes the domain's functions from their host drivers before libvirt does, which would wait for a driver that hangs, and with
//! it every client.

use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};

use super::taken::{self, Ledger, Taken};
use crate::model::{Bound, Daemon, HANGS, Hang, PciAddress};
use crate::root::Root;
use crate::run::Apart;
use crate::target::Target;
use crate::target::files::{LostAttributes, State};

/// How long the drivers may take for all functions of a domain together, while libvirt's clients wait. Healthy ones need a
/// second or two; the longest waits that end by themselves are a disk's for its cache (`shutdown_timeout` of the module nvme:
/// 5 s) and amdgpu's for a job that is stuck (`lockup_timeout`: 10 s until Linux 6.18). NVIDIA's `nv_pci_remove` waits without
/// limit for whoever uses the card. A driver that is only slower refuses one start: it has released the function by the next.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a process that was killed may take to end.
const GRACE: Duration = Duration::from_secs(1);
/// How often it is looked whether another domain has done with a function.
const INTERVAL: Duration = Duration::from_millis(50);
const DRIVERS: &str = "/sys/bus/pci/drivers";
const DEVICES: &str = "/sys/bus/pci/devices";

/// What looks at drivers that hang.
#[derive(Clone, Copy)]
pub struct Watch<'w> {
    /// The drivers that hang now.
    pub hangs: &'w dyn Fn() -> Result<Vec<Hang>>,
    /// What shows why one hangs, in one line.
    pub evidence: &'w dyn Fn(&Hang) -> String,
}

pub(super) fn take(functions: &[Bound], ledger: &Ledger, root: &Root, target: &Target, watch: Watch<'_>) -> Result<()> {
    let end = deadline();
    for function in functions {
        let unbind = format!("{DRIVERS}/{}/unbind", function.driver);
        // A few drivers have no such file; libvirt says so itself.
        if root.presence(&unbind) == Some(false) {
            continue;
        }
        if !claim(function, ledger, root, target, end)? {
            continue;
        }
        Ask { attribute: &unbind, function, domain: ledger.domain(), end }.write(root, target, watch)?;
    }
    Ok(())
}

/// Records that a function is taken; `false` if no driver has it any more, because another start has taken it meanwhile: libvirt
/// says whose it is. Two that ask a driver at once would each return to it what the other has taken.
fn claim(function: &Bound, ledger: &Ledger, root: &Root, target: &Target, end: Instant) -> Result<bool> {
    loop {
        {
            let _turn = taken::turn(target)?;
            let Some(rival) = ledger.rival(function.address)? else {
                let is_taken = has_no_driver(function, root);
                if !is_taken {
                    ledger.note(Taken::Function { function: function.clone() })?;
                }
                return Ok(!is_taken);
            };
            if Instant::now() >= end {
                let at = function.address.short();
                bail!(
                    "'{rival}', which is being started or stopped, takes {at} from its driver or returns it; start this domain again afterwards"
                );
            }
        }
        sleep(INTERVAL);
    }
}

/// Whether the kernel says that no driver has a function.
fn has_no_driver(function: &Bound, root: &Root) -> bool {
    let uevent = root.reading(&format!("{DEVICES}/{}/uevent", function.address)).known();
    is_free(function, root) && uevent.is_some_and(|text| !text.lines().any(|line| line.starts_with("DRIVER=")))
}

/// When drivers that are asked from now on must have answered.
pub(super) fn deadline() -> Instant {
    Instant::now() + PATIENCE
}

/// What libvirt has not bound to the driver already: it does that after a guest, but not after a start that was refused.
pub(super) fn give_back(function: &Bound, ledger: &Ledger, root: &Root, target: &Target, (watch, end): (Watch<'_>, Instant)) -> Result<()> {
    target.remove(&record_of(function.address))?;
    let home = format!("{DEVICES}/{}", function.address);
    // Where that is unknown, the driver is asked.
    if root.presence(&format!("{home}/driver")) == Some(true) || root.presence(&home) == Some(false) {
        return Ok(());
    }
    let attribute = format!("{DRIVERS}/{}/bind", function.driver);
    Ask { attribute: &attribute, function, domain: ledger.domain(), end }.write(root, target, watch)
}

/// Whether no driver has a function.
pub(super) fn is_free(function: &Bound, root: &Root) -> bool {
    root.presence(&format!("{DEVICES}/{}/driver", function.address)) == Some(false)
}

/// Whether the driver of a function hangs, so that nothing may touch it.
pub(super) fn hangs(taken: &Taken, watch: Watch<'_>) -> Result<bool> {
    let Some(function) = taken.function() else { return Ok(false) };
    Ok((watch.hangs)()?.iter().any(|hang| hang.function.address == function.address))
}

/// What a driver is asked to do with a function, for which domain, and when it must have answered.
struct Ask<'a> {
    attribute: &'a str,
    function: &'a Bound,
    domain: &'a str,
    end: Instant,
}

impl Ask<'_> {
    /// Writes the function's address to the attribute. A driver that does not return is recorded, and is an error.
    fn write(&self, root: &Root, target: &Target, watch: Watch<'_>) -> Result<()> {
        let Self { attribute, function, domain, end } = self;
        let since = now();
        let Some(process) = target.set_attribute_by(attribute, &function.address.to_string(), *end)? else { return Ok(()) };
        let stat = root.attribute(&format!("/proc/{}/stat", process.pid())).unwrap_or_default();
        let hang = Hang {
            function: (*function).clone(),
            releases: attribute.ends_with("/unbind"),
            domain: (*domain).to_owned(),
            pid: process.pid(),
            // If it has just ended it has none, and its record counts for nothing.
            started: Daemon::ticks(&stat).unwrap_or_default(),
            since,
        };
        bail!("{}", abandon(&hang, process, target, watch)?);
    }
}

/// Ends a process that does not come back, as far as the kernel lets it end. What hangs is recorded first.
fn abandon(hang: &Hang, process: Apart, target: &Target, watch: Watch<'_>) -> Result<String> {
    taken::make_directory(target)?;
    target.make_directory(HANGS, 0o755)?;
    let record = serde_json::to_string_pretty(hang).context("the record cannot be serialized")?;
    // Readable for all: vgapt list, too, must not touch the function.
    let _: LostAttributes = target.put(&record_of(hang.function.address), &State::new(&record, 0o644))?;
    let evidence = (watch.evidence)(hang);
    let is_gone = process.kill(GRACE);
    if is_gone {
        target.remove(&record_of(hang.function.address))?;
    }
    Ok(hanging(hang, &evidence, is_gone))
}

/// Why a domain is not started: in one line, because libvirt shows the end of what its hook says.
pub fn hanging(hang: &Hang, evidence: &str, is_gone: bool) -> String {
    let Hang { function: Bound { address, driver, .. }, releases, pid, .. } = hang;
    let address = address.short();
    let then = if is_gone {
        "the process could be ended: end what uses the device, and start the domain again".to_owned()
    } else {
        format!(
            "the process cannot be ended while the driver hangs, and no domain starts with {address} until then; end what uses the device \
             (vgapt check), else only a reboot helps; if the reboot hangs too: sync; echo b >/proc/sysrq-trigger"
        )
    };
    let what = if *releases { format!("release {address}") } else { format!("take {address} back") };
    let seconds = now().saturating_sub(hang.since) / 1_000_000;
    format!("the driver {driver} does not {what} (process {pid}, for {seconds} s so far); {evidence}; {then}")
}

/// In microseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    i64::try_from(since).unwrap_or(i64::MAX)
}

fn record_of(function: PciAddress) -> String {
    format!("{HANGS}/{function}")
}
