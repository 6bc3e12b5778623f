//! Whether vfio-pci is there before the host's drivers at the next boot: ids that are given to it take effect only then. What is
//! bound now says nothing of that, since libvirt and the user bind while the system runs.

use super::external::{ExternalBinding, Lapse};
use super::{command_lines, scripts};
use crate::host::decide::bound::bound;
use crate::host::decide::{drivers, initramfs, modprobe};
use crate::host::plan::is_ours;
use crate::model::{Host, NoText, PciAddress, Setup};

/// Where what loads a module early is configured.
const PLACES: [&str; 6] = ["/etc/initramfs-tools", "/etc/dracut", "/etc/mkinitcpio", "/etc/initcpio", "/etc/modules", "/etc/modprobe.d"];
const DRIVER: &str = "vfio_pci";

/// Marks the bindings that wait for vfio-pci, where nothing loads it early.
pub(super) fn mark(host: &Host, setup: &Setup, found: &mut [ExternalBinding]) {
    if !found.iter().any(|other| other.waits_for_module() && other.lapse.is_none()) || may_be_loaded(host, setup) {
        return;
    }
    for other in found.iter_mut().filter(|other| other.waits_for_module() && other.lapse.is_none()) {
        if !is_dependency(host, setup, &other.takes) {
            other.lapse = Some(Lapse::Late);
        }
    }
}

/// Whether something loads vfio-pci at boot, whichever device is there, or that is not known.
fn may_be_loaded(host: &Host, setup: &Setup) -> bool {
    setup.is_built_in(DRIVER)
        // vgapt's own files load it.
        || !bound(setup).is_empty()
        || is_unread(setup)
        || is_in_lists(setup)
        || command_lines::loading(host, setup)
        || scripts::are_loading(host, setup)
        || initramfs::chosen(host, setup).map_or(true, |tool| (tool.may_load)(setup, DRIVER))
}

/// Whether loading a driver of one of these functions loads vfio-pci before, or the devices' aliases name vfio-pci.
fn is_dependency(host: &Host, setup: &Setup, functions: &[PciAddress]) -> bool {
    let configuration = modprobe::read(setup, &[]);
    let is_before = |module: &String| {
        configuration.first("softdep", module).is_some_and(|line| drivers::has_before(&line.rest))
            || configuration.first("install", module).is_some_and(|line| line.rest.replace('-', "_").contains(DRIVER))
    };
    let is_alias = |name: &str| {
        let mut aliases = configuration.of("alias").filter(|line| line.rest.replace('-', "_") == DRIVER);
        aliases.any(|line| modprobe::fits(&line.name, name))
    };
    host.devices(functions).any(|device| drivers::of_host(setup, device).iter().any(is_before) || is_alias(&device.modalias()))
}

/// Whether something may be configured where it could not be read.
fn is_unread(setup: &Setup) -> bool {
    let is_place = |text: &str| PLACES.iter().any(|place| text.contains(place));
    let is_lost = |what: Result<&str, &NoText>| what.is_err_and(|what| !what.is_no_file());
    setup.unread.iter().any(|text| is_place(text)) || setup.files.0.iter().any(|(path, file)| is_place(path) && is_lost(file.text_lossy()))
}

/// Whether a list of systemd-modules-load has it: it is loaded while udev loads the others, so either may be first.
fn is_in_lists(setup: &Setup) -> bool {
    let folders = ["/etc/modules-load.d", "/usr/lib/modules-load.d"].into_iter();
    let texts = folders.flat_map(|folder| setup.files.texts_lossy(folder, ".conf")).map(|(_, text)| text);
    texts.chain(setup.files.text_lossy("/etc/modules")).filter(|text| !is_ours(text)).any(|text| modprobe::names(text, DRIVER))
}
