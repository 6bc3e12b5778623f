//! CPUs that are isolated from the boot on: what the command line says beside what the kernel made of it.

use super::check::{Check, NextStep, Topic};
use super::facts::Facts;
use crate::model::{Cmdline, CpuSet, Reading};

/// Whether they are isolated, if this boot or the next one is to have some.
pub(super) fn isolation(facts: &Facts) -> Option<Check> {
    let topology = &facts.host.topology;
    let check = |seen: String| Check::ok("isolation", Topic::Processor, "isolated CPUs", seen);
    let now = asked(facts.host.platform.cmdline.as_ref()?);
    let mut next = facts.needs.entries.iter().map(|entry| asked(&Cmdline(entry.cmdline.clone())));
    let first = next.next();
    if let Some(other) = next.find(|other| first.as_ref() != Some(other)) {
        let first = first.unwrap_or_default();
        let seen = format!("one boot entry isolates {}, and another one {}", next_words(&first), next_words(&other));
        return Some(check(seen).care("it depends on the entry that is booted", "vgapt prepare --isolate CPUS"));
    }
    if let Some(next) = first.filter(|next| *next != now) {
        let seen = format!("this boot isolates {}, and the next one {}", next_words(&now), next_words(&next));
        let check = check(seen).care("it takes effect at boot", facts.reboot());
        return Some(Check { step: Some(NextStep::Reboot), ..check });
    }
    let (isolcpus, nohz_full) = now;
    if isolcpus.is_none() && nohz_full.is_none() {
        return None;
    }
    let remedy = "see what the kernel says of it: dmesg | grep -i -e isol -e nohz -e housekeeping";
    let mut wrong = Vec::new();
    // The kernel leaves out CPUs that do not exist.
    let online = |text: &str| -> Result<CpuSet, String> {
        let list: Vec<&str> = text.split(',').filter(|word| word.starts_with(|letter: char| letter.is_ascii_digit())).collect();
        let cpus = list.join(",").parse::<CpuSet>()?;
        Ok(CpuSet(cpus.0.intersection(&topology.online.0).copied().collect()))
    };
    // `domain` is what isolcpus means without a flag, and only that shows in this attribute (housekeeping_isolcpus_setup).
    let is_domain =
        |text: &&String| text.split(',').any(|word| word == "domain") || text.starts_with(|letter: char| letter.is_ascii_digit());
    match isolcpus.as_ref().filter(is_domain).map(|text| online(text)) {
        Some(Ok(asked)) if !asked.0.is_subset(&topology.isolated.0) => {
            wrong.push(format!("isolcpus names {asked}, and the kernel isolates {}", words(&topology.isolated)));
        }
        Some(Err(because)) => wrong.push(format!("isolcpus: {because}")),
        _ => {}
    }
    match (nohz_full.as_deref().map(online), &topology.nohz_full) {
        (Some(_), Reading::Unknown(because)) => return Some(check(String::new()).unknown(because)),
        (Some(Ok(_)), Reading::Absent) => wrong.push("nohz_full has no effect: this kernel is built without CONFIG_NO_HZ_FULL".to_owned()),
        (Some(Ok(asked)), Reading::Known(real)) if !asked.0.is_subset(&real.0) => {
            wrong.push(format!("nohz_full names {asked}, and the kernel stops the tick on {}", words(real)));
        }
        (Some(Err(because)), _) => wrong.push(format!("nohz_full: {because}")),
        _ => {}
    }
    Some(if wrong.is_empty() {
        let tick = topology.nohz_full.clone().known().filter(|cpus| !cpus.0.is_empty());
        let tick = tick.map(|cpus| format!("; without a tick: {cpus}")).unwrap_or_default();
        check(format!("{}{tick}", words(&topology.isolated)))
    } else {
        check(wrong.join("; ")).care("the host runs there beside the guest", remedy)
    })
}

/// The values of `isolcpus` and `nohz_full`.
fn asked(line: &Cmdline) -> (Option<String>, Option<String>) {
    (line.get("isolcpus").map(str::to_owned), line.get("nohz_full").map(str::to_owned))
}

fn next_words((isolcpus, nohz_full): &(Option<String>, Option<String>)) -> String {
    isolcpus.as_ref().or(nohz_full.as_ref()).map_or_else(|| "none".to_owned(), Clone::clone)
}

fn words(cpus: &CpuSet) -> String {
    if cpus.0.is_empty() { "none".to_owned() } else { cpus.to_string() }
}
