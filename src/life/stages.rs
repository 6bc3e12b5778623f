//! The stages of a domain, from before its start to after its end: what is taken and returned at each.

use std::time::Instant;

use anyhow::{Error, Result, bail};

use super::display::Holders;
use super::functions::Watch;
use super::pages::PagesWanted;
use super::taken::{Ledger, Taken};
use super::{console, display, functions, governor, interrupts, irqbalance, isolation, pages, reset, taken, units};
use crate::model::{Bound, CpuSet, Daemon, HOOK_MARK, PciAddress};
use crate::root::Root;
use crate::target::Target;
use crate::target::files::{LostAttributes, State};

/// What a domain takes from the host while it runs.
#[derive(Debug, Clone, Default)]
pub struct Share {
    /// The domain's name.
    pub name: String,
    /// Its memory in huge pages, by NUMA node.
    pub pages: Vec<PagesWanted>,
    /// The CPUs that its virtual ones are pinned to.
    pub cpus: CpuSet,
    /// Whether the host's interrupts are moved off these.
    pub moves_interrupts: bool,
    /// Its functions that libvirt would take from host drivers, in the order in which the drivers release them.
    pub functions: Vec<Bound>,
    /// All functions that libvirt takes for it, whoever has them now.
    pub managed: Vec<PciAddress>,
    /// The services that keep the devices of these drivers open.
    pub services: Vec<&'static str>,
    /// Whether the console and the boot framebuffer have to release the card.
    pub boot_display: bool,
    /// Whether the display manager has to release the card.
    pub handover: bool,
}

/// Who frees what a domain needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// The command that asks libvirt to start it: only what needs the card, so that no client of libvirt waits for a driver,
    /// as all do that ask for a domain whose hook runs.
    Starter,
    /// libvirt's hook, whoever starts the domain: all that the starter has not freed.
    Hook,
}

/// The stage of a domain's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its process is gone; libvirt still has its devices.
    Stopped,
    /// The host has its devices again.
    Released,
}

/// Records which daemon called the hook.
///
/// # Errors
/// Where it cannot be written.
pub fn called(daemon: &Daemon, target: &Target) -> Result<()> {
    let Some(mark) = daemon.mark() else { return Ok(()) };
    taken::make_directory(target)?;
    let _: LostAttributes = target.put(HOOK_MARK, &State::new(&mark, 0o644))?;
    Ok(())
}

/// Before libvirt takes the devices: frees what the domain needs.
///
/// # Errors
/// If it is not available, in one line; what was taken until then is returned.
pub fn before_start(share: &Share, caller: Caller, root: &Root, target: &Target, (holders, watch): (Holders<'_>, Watch<'_>)) -> Result<()> {
    let ledger = Ledger::of(target, &share.name);
    let _turn = ledger.turn()?;
    // Return what an earlier run took and could not return because it was killed; but the card stays with whom it is for.
    let end = if is_freed(share, &ledger, root)? { End::Stopped } else { End::Released };
    give_back(&ledger, end, root, target, watch)?;
    let take = || {
        units::take(&share.services, &ledger, root, target)?;
        if !share.handover
            && let Some(held) = holders()
        {
            bail!("{held}");
        }
        for wanted in share.pages.iter().filter(|_| caller == Caller::Hook) {
            pages::take(wanted, &ledger, root, target)?;
        }
        if share.handover {
            display::take(&ledger, root, target, holders)?;
        }
        if share.boot_display || share.handover {
            console::take(&ledger, root, target)?;
        }
        functions::take(&share.functions, &ledger, root, target, watch)
    };
    take().map_err(|error: Error| match give_back(&ledger, End::Released, root, target, watch) {
        Ok(()) => error,
        Err(other) => unreturned(error, &other),
    })
}

/// An error of a start after which not everything could be returned.
pub fn unreturned(error: Error, other: &Error) -> Error {
    error.context(format!(
        "vgapt could not return everything that it had taken from the host ({other:#}); the next start or stop tries again"
    ))
}

/// Whether drivers have released functions for this domain, and nobody has taken them since.
fn is_freed(share: &Share, ledger: &Ledger, root: &Root) -> Result<bool> {
    let all = ledger.all()?;
    let mut functions = all.iter().filter_map(Taken::function).peekable();
    Ok(functions.peek().is_some()
        && functions.all(|function| share.managed.contains(&function.address) && functions::is_free(function, root)))
}

/// As soon as it runs: keeps the host's own processes and interrupts off its CPUs, and runs these at full speed.
///
/// # Errors
/// If what is taken cannot be recorded.
pub fn started(share: &Share, root: &Root, target: &Target) -> Result<()> {
    let ledger = Ledger::of(target, &share.name);
    if !share.pages.is_empty() {
        let _turn = taken::turn(target)?;
        ledger.settle()?;
    }
    if share.cpus.0.is_empty() {
        return Ok(());
    }
    let left_alone = isolation::take(&share.cpus, &ledger, root, target);
    governor::take(&share.cpus, &ledger, root, target)?;
    let mut left_alone = left_alone?;
    if share.moves_interrupts {
        left_alone.extend(interrupts::take(&share.cpus, &ledger, root, target)?);
    }
    if !left_alone.is_empty() {
        bail!("{}", left_alone.join("; "));
    }
    Ok(())
}

/// When it has ended, or was not started after all. What needs the card is returned once the host has it again.
///
/// # Errors
/// Where something cannot be returned; the next call tries again.
pub fn ended(name: &str, end: End, root: &Root, target: &Target, watch: Watch<'_>) -> Result<()> {
    let ledger = Ledger::of(target, name);
    let _turn = ledger.turn()?;
    give_back(&ledger, end, root, target, watch)
}

/// Last taken, first returned. What cannot be returned stays recorded; so does a function whose driver hangs, without an error:
/// who started the domain was told.
fn give_back(ledger: &Ledger, end: End, root: &Root, target: &Target, watch: Watch<'_>) -> Result<()> {
    let mut rest = ledger.all()?;
    let mut failed = None;
    let watch = (watch, functions::deadline());
    for index in (0..rest.len()).rev() {
        if rest[index].needs_the_card() && end == End::Stopped {
            continue;
        }
        match functions::hangs(&rest[index], watch.0) {
            Ok(false) => {}
            Ok(true) => continue,
            Err(error) => {
                failed.get_or_insert(error);
                continue;
            }
        }
        let is_shared = rest[index].is_shared();
        let mut give = || {
            // What is shared is returned and removed from the record under the lock, before another hook counts it.
            let _turn = if is_shared { Some(taken::turn(target)?) } else { None };
            give_one_back(&rest[index], ledger, root, target, watch)?;
            rest.remove(index);
            if is_shared { ledger.keep(&rest) } else { Ok(()) }
        };
        if let Err(error) = give() {
            failed.get_or_insert(error);
        }
    }
    ledger.keep(&rest)?;
    failed.map_or(Ok(()), Err)
}

fn give_one_back(taken: &Taken, ledger: &Ledger, root: &Root, target: &Target, watch: (Watch<'_>, Instant)) -> Result<()> {
    match taken {
        Taken::Pages { .. } => pages::give_back(taken, ledger, root, target),
        Taken::Slices { .. } => isolation::give_back(taken, ledger, root, target),
        Taken::Interrupts { .. } => interrupts::give_back(taken, ledger, root, target),
        Taken::Balancer { .. } => irqbalance::give_back(taken, ledger, root, target),
        Taken::Governor { .. } => governor::give_back(taken, target),
        Taken::Service { .. } => units::give_back(taken, target),
        Taken::Function { function } => functions::give_back(function, ledger, root, target, watch),
        Taken::DisplayManager { .. } => display::give_back(taken, target),
        Taken::Console { .. } | Taken::Framebuffer { .. } => console::give_back(taken, root, target),
        Taken::DuringReset { .. } => reset::give_back(taken, target),
    }
}
