//! irqbalance distributes interrupts over all CPUs every few seconds: it is told which to leave out, over its socket, as
//! `irqbalance-ui` does (`sock_handle` of its irqbalance.c).

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use super::taken::{self, Ledger, Taken};
use crate::model::CpuSet;
use crate::root::Root;
use crate::target::Target;
use crate::target::files::{LostAttributes, State};

/// Where its socket is since 1.5.
const SOCKETS: &str = "/run/irqbalance";
const UNIT: &str = "/etc/systemd/system/irqbalance.service";
/// What it was told last. It answers with that only after its next round.
const TOLD: &str = "/run/vgapt/irqbalance";

/// How long after the end of its round its answer is trusted again, in seconds.
const MARGIN: u64 = 5;

/// What vgapt added to the CPUs that it leaves out, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    at: u64,
    added: String,
}

/// What irqbalance answers to `setup`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalancerSetup {
    /// How long one of its rounds is, in seconds.
    pub round: u64,
    /// The CPUs that it leaves out.
    pub banned: CpuSet,
}

impl BalancerSetup {
    /// # Errors
    /// Where the answer is none that is known.
    pub fn parse(answer: &str) -> Result<Self> {
        let mut words = answer.split_whitespace();
        let mut value = |name: &str| words.by_ref().find(|word| *word == name).and_then(|_| words.next());
        let (Some(round), Some(banned)) = (value("SLEEP").and_then(|round| round.parse::<u64>().ok()), value("BANNED")) else {
            bail!("its answer '{answer}' is not known");
        };
        Ok(Self { round, banned: CpuSet::of_mask(banned).map_err(anyhow::Error::msg)? })
    }
}

/// Tells it to leave out the CPUs of all guests. Returns what is wrong if it runs and cannot be told.
pub(super) fn take(cpus: &CpuSet, ledger: &Ledger, root: &Root, target: &Target) -> Result<Option<String>> {
    let Some(pid) = running(root).filter(|_| target.is_live()) else { return Ok(None) };
    let unreached = |error: anyhow::Error| {
        Some(format!(
            "irqbalance could not be told, and may move interrupts onto the guest's CPUs: {error:#}; irqbalance 1.8 and newer leaves \
             them out with: mkdir -p {UNIT}.d && printf '[Service]\\nEnvironment=IRQBALANCE_BANNED_CPULIST={cpus}\\n' \
             >{UNIT}.d/guest.conf && systemctl daemon-reload && systemctl restart irqbalance"
        ))
    };
    let others = ledger.of_others()?;
    let of_first = others.iter().find_map(|taken| if let Taken::Balancer { before, .. } = taken { Some(before.clone()) } else { None });
    let before: CpuSet = match of_first {
        Some(first) => first.parse().map_err(anyhow::Error::msg)?,
        None => match left_out(pid, root, target) {
            Ok(before) => before,
            Err(error) => return Ok(unreached(error)),
        },
    };
    ledger.note(Taken::Balancer { cpus: cpus.to_string(), before: before.to_string(), pid: Some(pid) })?;
    Ok(tell(pid, &before, &of_guests(cpus, &others)?, root, target).err().and_then(unreached))
}

pub(super) fn give_back(taken: &Taken, ledger: &Ledger, root: &Root, target: &Target) -> Result<()> {
    let Taken::Balancer { before, pid: told, .. } = taken else { return Ok(()) };
    // One that ended was told nothing that the next one knows.
    let Some(pid) = running(root).filter(|pid| target.is_live() && told.is_none_or(|told| told == *pid)) else { return Ok(()) };
    let before: CpuSet = before.parse().map_err(anyhow::Error::msg)?;
    tell(pid, &before, &of_guests(&CpuSet::default(), &ledger.of_others()?)?, root, target)
}

/// The CPUs of all guests.
fn of_guests(own: &CpuSet, others: &[Taken]) -> Result<CpuSet> {
    let mut all = own.clone();
    for other in others {
        if let Taken::Balancer { cpus, .. } = other {
            all.0.extend(cpus.parse::<CpuSet>().map_err(anyhow::Error::msg)?.0);
        }
    }
    Ok(all)
}

/// What is said where the process that was told has ended while another one runs.
pub(super) fn restarted(taken: &Taken, root: &Root) -> Option<String> {
    let Taken::Balancer { pid: Some(told), .. } = taken else { return None };
    running(root).filter(|pid| pid != told)?;
    Some("irqbalance was restarted since, and may use the guest's CPUs until the domain starts again".to_owned())
}

/// Its process: that of its socket; without one, another of its name, which then cannot be asked.
fn running(root: &Root) -> Option<u32> {
    let is_it = |pid: &u32| root.attribute(&format!("/proc/{pid}/comm")).is_some_and(|name| name == "irqbalance");
    let of_socket = |name: String| name.strip_prefix("irqbalance")?.strip_suffix(".sock")?.parse::<u32>().ok();
    let of_sockets = root.names(SOCKETS).into_iter().filter_map(of_socket).find(is_it);
    of_sockets.or_else(|| root.names("/proc").into_iter().filter_map(|name| name.parse().ok()).find(is_it))
}

/// The CPUs that it leaves out, but for those that vgapt told it a moment ago.
fn left_out(pid: u32, root: &Root, target: &Target) -> Result<CpuSet> {
    let BalancerSetup { round, mut banned } = BalancerSetup::parse(&ask(pid, "setup", target)?)?;
    if let Some(told) = told(root)?
        && uptime(root)?.saturating_sub(told.at) <= round.saturating_add(MARGIN)
    {
        let added: CpuSet = told.added.parse().map_err(anyhow::Error::msg)?;
        banned.0.retain(|cpu| !added.0.contains(cpu));
    }
    Ok(banned)
}

/// Tells it to leave out these CPUs and those of guests; `NULL` is what its own configuration says.
fn tell(pid: u32, before: &CpuSet, guests: &CpuSet, root: &Root, target: &Target) -> Result<()> {
    let all = CpuSet(before.0.union(&guests.0).copied().collect());
    // Before 1.9 it did not end the list itself, and read on behind it unless a space did.
    let list = if all.0.is_empty() { "NULL".to_owned() } else { format!("{all} ") };
    ask(pid, &format!("settings cpus {list}"), target)?;
    // Until its next round it answers with what it was told before.
    let mut added = told(root)?.map_or(Ok(CpuSet::default()), |told| told.added.parse()).map_err(anyhow::Error::msg)?;
    added.0.extend(guests.0.difference(&before.0));
    let text = serde_json::to_string(&Told { at: uptime(root)?, added: added.to_string() })?;
    taken::make_directory(target)?;
    let _: LostAttributes = target.put(TOLD, &State::new(&text, 0o600))?;
    Ok(())
}

fn told(root: &Root) -> Result<Option<Told>> {
    let text = root.reading(TOLD).into_result().map_err(anyhow::Error::msg)?;
    Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
}

fn ask(pid: u32, words: &str, target: &Target) -> Result<String> {
    target.ask(&format!("{SOCKETS}/irqbalance{pid}.sock"), words)
}

fn uptime(root: &Root) -> Result<u64> {
    let text = root.text("/proc/uptime")?;
    let seconds = text.split(['.', ' ']).next().and_then(|seconds| seconds.parse().ok());
    seconds.ok_or_else(|| anyhow::anyhow!("/proc/uptime cannot be read"))
}
