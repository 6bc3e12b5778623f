//! How IOMMU groups differ from what vgapt recorded of them. A kernel or a firmware may form other groups than the one before
//! it; the kernel gives no function of a group to a guest while the host uses another one.

use std::collections::BTreeSet;

use super::group;
use crate::model::{Finding, GroupMember, Host, PciAddress, PciDevice, RecordedGroup};

/// The groups of these functions as they are now, to be recorded.
pub fn record_groups(host: &Host, functions: &[PciAddress]) -> Vec<RecordedGroup> {
    let of_functions = host.groups_of(functions);
    let member = |device: &PciDevice| GroupMember { address: device.address, id: device.id, driver: device.driver.clone() };
    let members = |number: &u32| host.pci.iter().filter(|device| device.group == Some(*number)).map(member).collect();
    let mut groups: Vec<RecordedGroup> =
        of_functions.iter().map(|number| RecordedGroup { kernel: host.platform.kernel.clone(), members: members(number) }).collect();
    // The numbers, by which they are sorted here, change from boot to boot.
    groups.sort_by_key(|group| group.members.first().map(GroupMember::identity));
    groups
}

/// The same where an earlier record exists: what has the same members stays as it was recorded, and so does what is unknown
/// now.
pub fn record_again(last: &[RecordedGroup], host: &Host, functions: &[PciAddress]) -> Vec<RecordedGroup> {
    let known = |now: RecordedGroup| last.iter().find(|then| then.has_members_of(&now)).cloned().unwrap_or(now);
    let mut groups: Vec<RecordedGroup> = record_groups(host, functions).into_iter().map(known).collect();
    let has_no_group = |function: &&PciAddress| host.device(**function).is_none_or(|device| device.group.is_none());
    for function in functions.iter().filter(has_no_group) {
        let then = last.iter().find(|then| then.has(*function) && !groups.contains(then));
        groups.extend(then.cloned());
    }
    groups
}

/// A group that has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupChange<'h> {
    host: &'h Host,
    then: &'h RecordedGroup,
    /// The functions of it that are passed.
    functions: Vec<PciAddress>,
    /// What the host uses, and did not use in this group then.
    used: Vec<&'h PciDevice>,
    /// What else was not in it.
    joined: Vec<&'h PciDevice>,
}

/// Each recorded group of these functions that has grown, or of which the host now uses something that it did not use then.
/// A function that is not the recorded one, because it is missing or has moved, is not compared: nothing is known of its group.
pub fn group_changes<'h>(recorded: &'h [RecordedGroup], host: &'h Host, functions: &[PciAddress]) -> Vec<GroupChange<'h>> {
    recorded.iter().filter_map(|then| change(then, host, functions)).collect()
}

fn change<'h>(then: &'h RecordedGroup, host: &'h Host, functions: &[PciAddress]) -> Option<GroupChange<'h>> {
    let is_there = |member: &&GroupMember| host.device(member.address).is_some_and(|device| device.id == member.id);
    let own = then.members.iter().filter(is_there).map(|member| member.address).filter(|address| functions.contains(address));
    let own: Vec<PciAddress> = own.collect();
    let numbers = host.groups_of(&own);
    let now = || host.pci.iter().filter(|device| device.group.is_some_and(|group| numbers.contains(&group)));
    let present: BTreeSet<_> = now().map(|device| (device.address, device.id)).collect();
    // What only got another address, as bus numbers do when a card is added, has not joined.
    let mut gone: Vec<&GroupMember> = then.members.iter().filter(|member| !present.contains(&member.identity())).collect();
    let (mut used, mut joined) = (Vec::new(), Vec::new());
    for device in now().filter(|device| !functions.contains(&device.address)) {
        let known = then.members.iter().find(|member| member.identity() == (device.address, device.id)).or_else(|| {
            let index = gone.iter().position(|member| member.id == device.id)?;
            Some(gone.remove(index))
        });
        let was_used = known.is_some_and(|member| device.would_block_with(member.driver.as_deref()));
        if device.blocks_its_group() && !was_used {
            used.push(device);
        } else if known.is_none() {
            joined.push(device);
        }
    }
    (!used.is_empty() || !joined.is_empty()).then_some(GroupChange { host, then, functions: own, used, joined })
}

impl GroupChange<'_> {
    /// Why it prevents a start, or what is to be known of it.
    pub fn finding(&self) -> Finding {
        let since = self.since();
        if self.used.is_empty() {
            let unknown = if self.host.unknown.is_empty() { "" } else { " as far as is known here" };
            let message =
                format!("{since}: {} joined it, which the host does not use{unknown}", PciDevice::list(self.joined.iter().copied()));
            return Finding::warning(
                "group-changed",
                message,
                "nothing has to be done; the next vgapt define NAME records the group as it is now",
            );
        }
        let blockers: Vec<PciAddress> = self.used.iter().map(|device| device.address).collect();
        let used: Vec<String> = self.used.iter().map(|device| self.used_by_host(device)).collect();
        let isolation = group::isolation_remedy(self.host, &self.functions, &blockers);
        let remedy = match self.then.kernel.as_deref().filter(|then| Some(*then) != self.now()) {
            Some(then) => format!("boot the kernel {then} again, where the host did not use them there; or {isolation}"),
            None => format!("take back what was changed in the firmware settings, or in the slots; or {isolation}"),
        };
        Finding::error("group-grew", format!("{since}, and the host uses {}", used.join(", ")), remedy)
    }

    /// The functions of it that are passed.
    pub fn functions(&self) -> &[PciAddress] {
        &self.functions
    }

    /// What the host uses, and did not use in this group then.
    pub fn used(&self) -> impl Iterator<Item = PciAddress> {
        self.used.iter().map(|device| device.address)
    }

    fn now(&self) -> Option<&str> {
        self.host.platform.kernel.as_deref()
    }

    fn since(&self) -> String {
        let since = match (self.then.kernel.as_deref(), self.now()) {
            (Some(then), Some(now)) if then == now => format!("changed, with the same kernel {now}"),
            (Some(then), Some(now)) => format!("changed since the kernel {then} (this is {now})"),
            (Some(then), None) => format!("changed since the kernel {then}"),
            (None, _) => "changed since it was recorded".to_owned(),
        };
        format!("the IOMMU group of {} has {since}", PciAddress::list(&self.functions))
    }

    fn used_by_host(&self, device: &PciDevice) -> String {
        let named = PciDevice::list(std::iter::once(device));
        match self.then.members.iter().find(|member| member.identity() == (device.address, device.id)) {
            None => format!("{named}, which was not in it"),
            Some(GroupMember { driver: Some(driver), .. }) => format!("{named}, which was on {driver}"),
            Some(GroupMember { driver: None, .. }) => format!("{named}, which had no driver"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Class, Platform, Severity};

    fn device(address: &str, id: &str, group: u32, driver: Option<&str>) -> PciDevice {
        PciDevice {
            address: address.parse().unwrap(),
            id: id.parse().unwrap(),
            group: Some(group),
            driver: driver.map(str::to_owned),
            ..PciDevice::default()
        }
    }

    fn host(kernel: &str, pci: Vec<PciDevice>) -> Host {
        Host { platform: Platform { kernel: Some(kernel.to_owned()), ..Platform::default() }, pci, ..Host::default() }
    }

    const CARD: (&str, &str) = ("01:00.0", "10de:1401");

    fn before() -> Host {
        let bridge = PciDevice { class: Class(0x06_04_00), ..device("00:01.0", "8086:1901", 1, Some("pcieport")) };
        let pci = vec![
            bridge,
            device(CARD.0, CARD.1, 1, Some("nouveau")),
            device("01:00.1", "10de:0fba", 1, Some("vfio-pci")),
            device("02:00.0", "144d:a808", 2, Some("nvme")),
        ];
        host("6.1.0", pci)
    }

    /// The findings against the card alone after the host has become this.
    fn since(recorded: &[RecordedGroup], now: &Host) -> Vec<(Severity, String)> {
        let functions = [CARD.0.parse().unwrap()];
        group_changes(recorded, now, &functions).iter().map(|change| (change.finding().severity, change.finding().message)).collect()
    }

    fn recorded() -> Vec<RecordedGroup> {
        record_groups(&before(), &[CARD.0.parse().unwrap()])
    }

    fn after(change: impl FnOnce(&mut Vec<PciDevice>)) -> Host {
        let mut pci = before().pci;
        change(&mut pci);
        host("6.12.48", pci)
    }

    #[test]
    fn what_is_as_it_was_or_less_is_fine() {
        assert_eq!(recorded()[0].members.len(), 3, "the bridge and both functions, not the disk");
        for now in [
            after(|_| {}),
            // Numbers mean nothing.
            after(|pci| pci.iter_mut().for_each(|device| device.group = device.group.map(|group| group + 7))),
            after(|pci| pci.retain(|device| device.address != "01:00.1".parse().unwrap())),
            after(|pci| pci[2].group = Some(9)),
            after(|pci| pci[1].driver = Some("vfio-pci".into())),
            // Another device is at its address: that is another finding.
            after(|pci| (pci[1].id, pci[3].group) = ("1002:67df".parse().unwrap(), Some(1))),
        ] {
            assert_eq!(since(&recorded(), &now), []);
        }
        assert_eq!(since(&[], &after(|pci| pci[3].group = Some(1))), [], "a record of before groups were recorded");
    }

    #[test]
    fn what_the_host_uses_is_refused() {
        let joined = after(|pci| pci[3].group = Some(1));
        let [(severity, message)] = &since(&recorded(), &joined)[..] else { panic!() };
        assert_eq!(*severity, Severity::Error);
        assert_eq!(
            message,
            "the IOMMU group of 01:00.0 has changed since the kernel 6.1.0 (this is 6.12.48), and the host uses 02:00.0 device on nvme, which was not in it"
        );
        let functions = [CARD.0.parse().unwrap()];
        let remedy = |recorded: &[RecordedGroup], now: &Host| group_changes(recorded, now, &functions)[0].finding().remedy;
        assert!(remedy(&recorded(), &joined).starts_with("boot the kernel 6.1.0 again"));
        let same_kernel = Host { platform: before().platform, ..joined };
        assert!(since(&recorded(), &same_kernel)[0].1.contains("with the same kernel 6.1.0"));
        assert!(remedy(&recorded(), &same_kernel).starts_with("take back what was changed in the firmware settings"));
        let taken = after(|pci| pci[2].driver = Some("snd_hda_intel".into()));
        let [(Severity::Error, message)] = &since(&recorded(), &taken)[..] else { panic!() };
        assert!(message.ends_with("the host uses 01:00.1 device on snd_hda_intel, which was on vfio-pci"), "{message}");
        // It was accepted as it was.
        let mut accepted = recorded();
        accepted[0].members[2].driver = Some("snd_hda_intel".into());
        assert_eq!(since(&accepted, &taken), []);
    }

    #[test]
    fn what_the_host_does_not_use_is_a_note() {
        let bridge = PciDevice { class: Class(0x06_04_00), ..device("03:00.0", "8086:1905", 1, Some("pcieport")) };
        for device in [device("03:00.0", "1b21:1242", 1, None), device("03:00.0", "1b21:1242", 1, Some("vfio-pci")), bridge] {
            let [(severity, message)] = &since(&recorded(), &after(|pci| pci.push(device.clone())))[..] else { panic!() };
            assert_eq!(*severity, Severity::Warning);
            assert!(message.contains("03:00.0") && message.ends_with("joined it, which the host does not use"), "{message}");
        }
        let both = [CARD.0.parse().unwrap(), "02:00.0".parse().unwrap()];
        assert_eq!(group_changes(&recorded(), &after(|pci| pci[3].group = Some(1)), &both), [], "it is passed too");
    }

    #[test]
    fn what_got_another_address_has_not_joined() {
        let moved = after(|pci| pci[2].address = "03:00.1".parse().unwrap());
        let moved = Host {
            pci: {
                let mut pci = moved.pci;
                pci.sort_by_key(|device| device.address);
                pci
            },
            ..moved
        };
        assert_eq!(since(&recorded(), &moved), []);
    }

    #[test]
    fn a_record_stays_while_its_members_do() {
        let functions = [CARD.0.parse().unwrap()];
        let again = |now: &Host| record_again(&recorded(), now, &functions);
        assert_eq!(again(&after(|pci| pci[1].driver = Some("vfio-pci".into()))), recorded(), "with the kernel of then");
        let grown = after(|pci| pci[3].group = Some(1));
        assert_eq!(again(&grown), record_groups(&grown, &functions));
        assert_eq!(again(&after(|pci| pci[1].group = None)), recorded(), "unknown is not absent");
        assert_eq!(record_again(&recorded(), &before(), &[]), [], "nothing is passed any more");
    }
}
