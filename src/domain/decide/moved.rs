//! Passed devices that have another PCI address now, as all behind a new card may have: where each of them is.

use crate::domain::base::Base;
use crate::domain::record::{Passed, Record};
use crate::domain::request::Request;
use crate::domain::request::gpu::GpuChoice;
use crate::model::{Finding, Host, PciAddress, PciDevice, shell_word};

/// Whether this is the device that was passed; what was not recorded is not compared.
pub(crate) fn is_same(passed: &Passed, device: &PciDevice) -> bool {
    let same_subsystem = passed.subsystem.is_none() || device.subsystem.is_none() || passed.subsystem == device.subsystem;
    passed.id.is_none_or(|id| id == device.id) && same_subsystem
}

fn is_there(passed: &Passed, host: &Host) -> bool {
    host.device(passed.address).is_some_and(|device| is_same(passed, device))
}

/// Where a recorded function that is not at its address may be now: in a slot that has all functions of its slot that are
/// missing, and none that is passed and in its place.
pub(crate) fn places(function: &Passed, all: &[Passed], host: &Host) -> Vec<PciAddress> {
    if function.id.is_none() {
        return Vec::new();
    }
    let is_taken = |address: PciAddress| all.iter().any(|other| other.address == address && is_there(other, host));
    let slot = || all.iter().filter(|other| other.address.same_slot(function.address) && other.id.is_some() && !is_there(other, host));
    let is_in = |other: &Passed, place: PciAddress| {
        let at = PciAddress { function: other.address.function, ..place };
        !is_taken(at) && host.device(at).is_some_and(|device| is_same(other, device))
    };
    let candidates = host.pci.iter().map(|device| device.address).filter(|place| place.function == function.address.function);
    candidates.filter(|place| slot().all(|other| is_in(other, *place))).collect()
}

/// Changes the request to where the recorded devices are now (`--moved`).
pub(crate) fn follow(wanted: &mut Request, base: &Base, host: &Host, findings: &mut Vec<Finding>) {
    let Some(last) = &base.last else { return };
    let missing: Vec<&Passed> = last.passed.iter().filter(|passed| passed.id.is_some() && !is_there(passed, host)).collect();
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
    let mut places = places(passed, &last.passed, host);
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
