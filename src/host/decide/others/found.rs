//! All bindings that vgapt does not manage, from each place where they can be set.

use std::collections::BTreeSet;

use super::external::ExternalBinding;
use super::{command_lines, early, modules, scripts};
use crate::model::{Host, Setup};

/// All bindings for guests that vgapt does not manage.
pub fn others(host: &Host, setup: &Setup) -> Vec<ExternalBinding> {
    all(host, setup).into_iter().filter(|other| !other.is_to_host()).collect()
}

/// What gives a function to a driver of the host, whatever is set up for vfio-pci.
pub(super) fn to_host(host: &Host, setup: &Setup) -> Vec<ExternalBinding> {
    all(host, setup).into_iter().filter(ExternalBinding::is_to_host).collect()
}

fn all(host: &Host, setup: &Setup) -> Vec<ExternalBinding> {
    let mut found = modules::of_modprobe(host, setup);
    found.extend(command_lines::ids(host, setup));
    found.extend(modules::of_module_lists(host, setup));
    found.extend(modules::of_driverctl(host, setup));
    found.extend(scripts::of_scripts(host, setup));
    let mut seen = BTreeSet::new();
    found.retain(|other| seen.insert(other.place.clone()));
    early::mark(host, setup, &mut found);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Class, PciDevice, PciId};

    fn host() -> Host {
        let device = |address: &str, vendor: u16, id: u16, class: u32| {
            let mut device = PciDevice::new(address.parse().unwrap());
            (device.id, device.class) = (PciId { vendor, device: id }, Class(class));
            device
        };
        let mut screen = device("00:02.0", 0x8086, 0x1912, 0x03_00_00);
        screen.boot_vga = Some(true);
        let pci = vec![
            screen,
            device("01:00.0", 0x10de, 0x1401, 0x03_00_00),
            device("01:00.1", 0x10de, 0x0fba, 0x04_03_00),
            device("03:00.0", 0x1b21, 0x2142, 0x0c_03_30),
        ];
        Host { pci, ..Host::default() }
    }

    fn found(path: &str, text: &str) -> Vec<(String, Vec<String>)> {
        others(&host(), &Setup::with_file(path, text))
            .into_iter()
            .map(|other| (other.place, other.takes.iter().map(|address| address.short()).collect()))
            .collect()
    }

    /// Each rule is parsed once, no matter how many rules and continuation lines there are.
    #[test]
    fn many_rules_are_each_parsed_once() {
        const RULE: &str = "KERNEL==\"0000:01:00.0\", ATTR{driver_override}=\"vfio-pci\"";
        let begun = std::time::Instant::now();
        for end in ["\n", ", \\\n"] {
            let all = found("/etc/udev/rules.d/9.rules", &format!("{RULE}{end}").repeat(20_000));
            assert!(all.len() == 20_000 && all.iter().all(|(_, takes)| *takes == ["01:00.0"]));
        }
        assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    }

    #[test]
    fn every_way_in_which_people_bind() {
        let both = ["01:00.0", "01:00.1"].as_slice();
        for (path, text, line, takes) in [
            ("/run/modprobe.d/x.conf", "# x\noptions vfio_pci disable_vga=1 ids=10de:1401,10de:0fba\n", 2, both),
            (
                "/etc/modprobe.d/x.conf",
                "options vfio-pci \\\n ids=\"10de:ffffffff:ffffffff:ffffffff:00030000:ffff00ff\"\n",
                1,
                &["01:00.0"],
            ),
            ("/etc/modprobe.d/x.conf", "alias pci:v000010DEd00001401sv* vfio-pci\n", 1, &["01:00.0"]),
            ("/etc/modprobe.d/x.conf", "install vfio-pci /sbin/x\n", 1, &[]),
            ("/etc/default/grub.d/x.cfg", "\nGRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX vfio-pci.ids=1b21:2142\"\n", 2, &["03:00.0"]),
            ("/etc/modules-load.d/x.conf", "vfio-pci ids=10de:1401\n", 1, &[]),
            ("/etc/tmpfiles.d/x.conf", "w /sys/bus/pci/devices/0000:03:00.0/driver_override - - - - vfio-pci\n", 1, &["03:00.0"]),
            (
                "/usr/share/initramfs-tools/scripts/init-top/vfio",
                "#!/bin/sh\necho vfio-pci > /sys/bus/pci/devices/0000:03:00.0/driver_override\n",
                2,
                &["03:00.0"],
            ),
            ("/etc/driverctl.d/0000:03:00.0", "vfio-pci\n", 1, &["03:00.0"]),
            ("/etc/initramfs-tools/modules", "vfio\nvfio_pci ids=1b21:2142\n", 2, &["03:00.0"]),
            (
                "/etc/udev/rules.d/9.rules",
                "ACTION==\"add\", KERNEL==\"0000:01:00.*\", SUBSYSTEM==\"pci\", \\\n ATTR{driver_override}=\"vfio-pci\"\n",
                2,
                both,
            ),
            (
                "/etc/udev/rules.d/9.rules",
                "ATTR{vendor}==\"0x1b21\", ATTR{device}==\"0x2142\", ATTR{driver_override}=\"vfio-pci\"\n",
                1,
                &["03:00.0"],
            ),
            (
                "/etc/initramfs-tools/scripts/init-top/vfio.sh",
                "#!/bin/sh\n# 03:00.0 stays\nfor d in 0000:01:00.0 0000:01:00.1; do\n echo vfio-pci > /sys/bus/pci/devices/$d/driver_override\ndone\nmodprobe -i vfio-pci\n",
                4,
                both,
            ),
            // A file that mentions vgapt was not necessarily written by it.
            (
                "/usr/local/bin/bind",
                "#!/bin/sh\n# vgapt prepare --gpu 01:00.0 does this, too\necho 10de 1401 > /sys/bus/pci/drivers/vfio-pci/new_id\n",
                3,
                &["01:00.0"],
            ),
            ("/usr/local/bin/bind", "#!/bin/sh\necho 10de 1401 > /sys/bus/pci/drivers/vfio-pci/new_id\n", 2, &["01:00.0"]),
            ("/etc/rc.local", "for i in /sys/bus/pci/devices/*/boot_vga; do\n echo vfio-pci > x/driver_override; done\n", 2, both),
        ] {
            let takes = takes.iter().map(|address| (*address).to_owned()).collect();
            assert_eq!(found(path, text), [(format!("{path}, line {line}"), takes)], "{text}");
        }
        for (path, text) in [
            ("/etc/modprobe.d/x.conf", "#options vfio-pci ids=10de:1401\noptions kvm ids=1\nsoftdep nvidia pre: vfio-pci\n"),
            ("/etc/initramfs-tools/modules", "vfio_pci\n"),
            ("/etc/initramfs-tools/scripts/init-top/vfio.sh", "#!/bin/sh\nmodprobe vfio-pci\n"),
            ("/etc/modprobe.d/x.conf", "install vfio-pci /bin/false\n"),
            (
                "/usr/local/bin/bind",
                "#!/bin/sh\n# Written by `vgapt prepare`, taken away by `vgapt undo`.\necho 10de 1401 > /sys/bus/pci/drivers/vfio-pci/new_id\n",
            ),
            ("/etc/modules", "# vfio_pci ids=10de:1401\n"),
            ("/etc/udev/rules.d/9.rules", "SUBSYSTEM==\"vfio\", OWNER=\"me\"\n"),
        ] {
            assert!(found(path, text).is_empty(), "{text}: {:?}", found(path, text));
        }
    }
}
