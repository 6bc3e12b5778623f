//! Whether vfio-pci is there before the host's drivers at the next boot: ids that are given to it take effect only then. What is
//! bound now says nothing of that, since libvirt and the user bind while the system runs.

use super::external::{ExternalBinding, Lapse};
use super::kept_out::kept_out;
use super::{command_lines, scripts};
use crate::host::decide::bound::bound;
use crate::host::decide::{drivers, initramfs, modprobe};
use crate::host::plan::is_ours;
use crate::model::{Host, InitramfsTool, NoText, PciAddress, PciDevice, Setup};

/// Where what loads a module early is configured.
const PLACES: [&str; 6] = ["/etc/initramfs-tools", "/etc/dracut", "/etc/mkinitcpio", "/etc/initcpio", "/etc/modules", "/etc/modprobe.d"];
const DRIVER: &str = "vfio_pci";
/// Drivers that claim NVIDIA's cards and take none by themselves.
const RELUCTANT: [&str; 2] = ["nvidiafb", "nova_core"];

/// Whether vfio-pci is loaded at boot.
enum Loading {
    /// Before the host's drivers, or that is not known.
    First,
    /// At an unknown time: why a driver of the host may be first, and which drivers (`None`: any).
    Raced {
        because: String,
        by: Option<Vec<String>>,
    },
    Never,
}

/// Marks the bindings that wait for vfio-pci, where nothing loads it before the host's drivers.
pub(super) fn mark(host: &Host, setup: &Setup, found: &mut [ExternalBinding]) {
    let waits = |other: &ExternalBinding| other.waits_for_module() && other.lapse.is_none();
    // What could not be read may load it first.
    if !found.iter().any(waits) || is_unread(setup) {
        return;
    }
    let loading = loading(host, setup);
    for other in found.iter_mut().filter(|other| waits(other)) {
        if let Some(because) = left_out(host, setup, other) {
            other.lapse = may_win(host, setup, other, None).map(|driver| Lapse::Raced { because, driver });
            continue;
        }
        if is_dependency(host, setup, &other.takes) {
            continue;
        }
        other.lapse = match &loading {
            Loading::First => None,
            Loading::Never => Some(Lapse::Late),
            Loading::Raced { because, by } => {
                may_win(host, setup, other, by.as_deref()).map(|driver| Lapse::Raced { because: because.clone(), driver })
            }
        };
    }
}

/// Why the image of the initramfs lacks the file that gives the ids, while it loads vfio-pci.
fn left_out(host: &Host, setup: &Setup, other: &ExternalBinding) -> Option<String> {
    let path = other.place.split(", line ").next().filter(|path| path.starts_with("/etc/modprobe.d/"))?;
    let tool = initramfs::chosen(host, setup).ok().filter(|tool| tool.kind == InitramfsTool::Mkinitcpio)?;
    let loads_it = (tool.loaded)(setup)?.iter().any(|module| module == DRIVER);
    let is_there = initramfs::includes(setup, path)?;
    (loads_it && !is_there).then(|| format!("HOOKS of mkinitcpio lacks modconf, so its image loads vfio-pci without {path}"))
}

/// The driver of the host that may take a function of this binding before vfio-pci does. Of a card only the display counts: libvirt
/// unbinds the other functions from their drivers when the domain starts.
fn may_win(host: &Host, setup: &Setup, other: &ExternalBinding, by: Option<&[String]>) -> Option<String> {
    let is_display = |device: &&PciDevice| device.class.is_display();
    let has_display = host.devices(&other.takes).any(|device| is_display(&device));
    let mut devices = host.devices(&other.takes).filter(|device| !has_display || is_display(device));
    devices.find_map(|device| {
        let has_now = device.driver.as_deref().map(|driver| driver.replace('-', "_"));
        let mut drivers = drivers::of_host(setup, device);
        // They claim cards that they take only where somebody asks for it.
        drivers.retain(|driver| !RELUCTANT.contains(&driver.as_str()) || has_now.as_deref() == Some(driver));
        drivers.into_iter().find(|driver| {
            by.is_none_or(|by| by.contains(driver)) && kept_out(host, setup, |module| module.replace('-', "_") == *driver).is_empty()
        })
    })
}

fn loading(host: &Host, setup: &Setup) -> Loading {
    // vgapt's own files load it.
    if !bound(setup).is_empty() {
        return Loading::First;
    }
    if setup.is_built_in(DRIVER) {
        // The kernel initializes them in the order in which they are linked (drivers/Makefile: gpu, sound, usb, and then vfio).
        let all = host.pci.iter().flat_map(|device| drivers::of_host(setup, device));
        let by: Vec<String> = all.filter(|driver| setup.is_built_in(driver)).collect();
        let because = "it is built into the kernel before vfio-pci, which is built in, too".to_owned();
        return if by.is_empty() { Loading::First } else { Loading::Raced { because, by: Some(by) } };
    }
    if command_lines::loading(host, setup) || scripts::are_loading(host, setup) {
        return Loading::First;
    }
    let Ok(tool) = initramfs::chosen(host, setup) else { return Loading::First };
    let Some(mut loaded) = (tool.loaded)(setup) else { return Loading::First };
    if let Some(at) = loaded.iter().position(|module| module == DRIVER) {
        loaded.truncate(at);
        let because = format!("{} loads it before vfio-pci", tool.program);
        return if loaded.is_empty() { Loading::First } else { Loading::Raced { because, by: Some(loaded) } };
    }
    if is_in_lists(setup) {
        let because = "udev may load it before systemd-modules-load loads vfio-pci".to_owned();
        return Loading::Raced { because, by: None };
    }
    Loading::Never
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
