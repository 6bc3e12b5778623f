//! The virtual functions (SR-IOV) that `vgapt prepare` makes at each boot: whether they exist now.

use super::check::{Check, NextStep, Topic};
use super::facts::Facts;
use crate::host::{self, MadeAtBoot};
use crate::model::{PciAddress, PciDevice};

const WHY: &str = "a domain that has one of them does not start without it";

pub(super) fn made(facts: &Facts) -> Vec<Check> {
    match host::made_at_boot(facts.setup) {
        Ok(all) => all.iter().map(|made| of(facts, made)).collect(),
        Err(finding) => {
            vec![Check::ok("virtual-functions", Topic::Binding, "virtual functions", String::new()).unknown(&finding.message)]
        }
    }
}

fn of(facts: &Facts, made: &MadeAtBoot) -> Check {
    let MadeAtBoot { parent, count } = made;
    let at = parent.address.short();
    let check = |seen: String| Check::ok("virtual-functions", Topic::Binding, format!("virtual functions of {at}"), seen);
    let Some(device) = facts.host.device(parent.address).filter(|device| parent.is_still(device)) else {
        if facts.host.pci.is_empty() {
            return check(String::new()).unknown("the host's PCI devices were not read");
        }
        let same = |device: &&PciDevice| device.id == parent.id && device.physical_function.is_none();
        let remedy = match facts.host.pci.iter().find(same) {
            Some(now) => format!("vgapt prepare --vfs {at}=0 {}={count}, if it is the same card", now.address.short()),
            None => format!("put the card back; or take it out of vgapt's rule: vgapt prepare --vfs {at}=0"),
        };
        return check(format!("none: {} is not there any more", parent.id)).missing(NextStep::Prepare, WHY, remedy);
    };
    let functions: Vec<PciAddress> = facts.host.virtual_functions_of(&[parent.address]);
    let found = functions.len();
    if u32::try_from(found) == Ok(*count) {
        let taken = facts.host.devices(&functions).filter(|device| device.driver.is_some() && !device.on_vfio());
        let taken = PciDevice::list(taken);
        let check = check(format!("{found}, made at each boot"));
        return if taken.is_empty() {
            check
        } else {
            check.care(
                format!("the host's drivers have some of them: {taken}"),
                "nothing: the next boot makes them without a driver of the host",
            )
        };
    }
    let check = check(format!("{found} of {count}"));
    match device.driver.as_deref() {
        _ if device.on_vfio() => {
            let remedy = format!("take {at} from vfio-pci, which makes no virtual functions: see what binds it with vgapt list --all");
            check.missing(NextStep::Prepare, WHY, remedy)
        }
        None => check.missing(NextStep::Prepare, WHY, format!("load the driver of {at}, which makes them")),
        Some(_) => check.missing(NextStep::Prepare, WHY, format!("vgapt prepare --vfs {at}={count}")).by_command(),
    }
}
