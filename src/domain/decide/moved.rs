//! Passed devices that have another PCI address now: the request follows them (`--moved`).

use crate::domain::base::Base;
use crate::domain::record::{Passed, Record};
use crate::domain::request::Request;
use crate::domain::request::gpu::GpuChoice;
use crate::model::{Finding, Host, PciAddress, shell_word};
use crate::passthrough::{Recorded, places};

/// Changes the request to where the recorded devices are now (`--moved`).
pub(crate) fn follow(wanted: &mut Request, base: &Base, host: &Host, findings: &mut Vec<Finding>) {
    let Some(last) = &base.last else { return };
    let missing: Vec<&Passed> = last.passed.iter().filter(|passed| passed.id.is_some() && !passed.recorded().is_there(host)).collect();
    if missing.is_empty() {
        findings.push(Finding::warning(
            "not-moved",
            format!("no device of '{}' has moved", base.name),
            "nothing has to be done: leave --moved out",
        ));
    }
    let (mut found, mut lost): (Vec<(PciAddress, PciAddress)>, Vec<PciAddress>) = (Vec::new(), Vec::new());
    for passed in missing {
        match place(passed, last, host, &found) {
            Ok(place) => found.push((passed.address, place)),
            Err((message, remedy)) => {
                // The functions of one card have one cause.
                if !lost.iter().any(|other| other.same_slot(passed.address)) {
                    findings.push(Finding::error("not-found", message, remedy.replace("NAME", &shell_word(&base.name))));
                }
                lost.push(passed.address);
            }
        }
    }
    // What is lost is said; it is refused for that alone.
    wanted.gpu.retain(|choice| !matches!(choice, GpuChoice::At(address) if lost.contains(address)));
    wanted.pci.retain(|choice| !lost.contains(&choice.address));
    let now = |address: &mut PciAddress| {
        if let Some((_, place)) = found.iter().find(|(before, _)| before == address) {
            *address = *place;
        }
    };
    for choice in &mut wanted.gpu {
        if let GpuChoice::At(address) = choice {
            now(address);
        }
    }
    wanted.pci.iter_mut().map(|choice| &mut choice.address).chain(&mut wanted.gpu_audio).for_each(now);
}

/// The one place where a function is now; else why it is not clear, and what to do.
fn place(passed: &Passed, last: &Record, host: &Host, found: &[(PciAddress, PciAddress)]) -> Result<PciAddress, (String, String)> {
    let named = format!("{}{}", passed.id.map(|id| format!("{id}, passed as ")).unwrap_or_default(), passed.address.short());
    let all: Vec<Recorded> = last.passed.iter().map(Passed::recorded).collect();
    let mut places = places(&passed.recorded(), &all, host);
    places.retain(|place| !found.iter().any(|(_, taken)| taken == place));
    match places[..] {
        _ if last.by_hand.contains(&passed.address) => {
            Err((format!("the device {named}, was passed through by hand"), "change its address by hand: virsh edit NAME".to_owned()))
        }
        [place] => Ok(place),
        [] => Err((
            format!("the device {named}, is not on this host"),
            "put it back, or name another one with --gpu or --pci, such as: vgapt define NAME --gpu ADDRESS; vgapt list shows the host's devices".to_owned(),
        )),
        _ => Err((
            format!("the device {named}, may be at {}: these have the same ids", PciAddress::list(&places)),
            "name the right one with --gpu or --pci, such as: vgapt define NAME --gpu ADDRESS".to_owned(),
        )),
    }
}
