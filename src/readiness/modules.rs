//! vfio-pci in each installed kernel, and module lists that name a module that no longer exists.

use super::check::{Check, Group, Step};
use super::prepared::Prepared;
use crate::model::{ModuleState, at_least};

/// Lists of modules: directories, how names in them end; files.
const LISTS: [(&str, &str); 4] = [
    ("/etc/modules-load.d", ".conf"),
    ("/etc/dracut.conf.d", ".conf"),
    ("/etc/mkinitcpio.conf.d", ".conf"),
    ("/etc/initramfs-tools/conf.d", ""),
];
const FILES: [&str; 4] = ["/etc/modules", "/etc/initramfs-tools/modules", "/etc/mkinitcpio.conf", "/etc/dracut.conf"];
const GONE: &str = "vfio_virqfd";

pub(super) fn checks(prepared: &Prepared) -> Vec<Check> {
    let mut checks = vec![vfio(prepared)];
    checks.extend(gone(prepared));
    checks
}

fn vfio(prepared: &Prepared) -> Check {
    let observed = prepared.facts.observed;
    let check = |seen: String| Check::ok("vfio-module", Group::Boot, "vfio-pci", seen);
    let running = prepared.facts.host.platform.kernel.as_deref();
    let lacking: Vec<&str> =
        observed.vfio.iter().filter(|(_, state)| **state == ModuleState::Missing).map(|(release, _)| release.as_str()).collect();
    if !lacking.is_empty() {
        let check = check(format!("is not part of the kernel {}", lacking.join(", ")));
        let why = "it is the driver that makes a device available to a guest";
        let remedy = "install the distribution's full kernel package (not a cloud or minimal one), or boot another kernel";
        let is_running = lacking.iter().any(|release| Some(*release) == running);
        return if is_running { check.missing(Step::Kernel, why, remedy) } else { check.care(why, remedy) };
    }
    // Another kernel's modules say nothing about the running kernel.
    let state = running.map_or_else(|| observed.vfio.values().next(), |release| observed.vfio.get(release));
    match state {
        Some(ModuleState::BuiltIn) => check("is built into the kernel".into()).minor(),
        Some(ModuleState::InUse) => check("is part of this kernel: a device is bound to it".into()).minor(),
        Some(_) => check("is a module of the kernel".into()).minor(),
        None if observed.reach.is_live() => check(String::new()).unknown("/lib/modules does not show which modules this kernel has"),
        None => check(String::new()).unknown(&format!("{} (/lib/modules)", observed.reach.because())).minor(),
    }
}

/// `vfio_virqfd` became a part of vfio in Linux 6.2; where it is still listed, dracut and mkinitcpio fail.
fn gone(prepared: &Prepared) -> Option<Check> {
    let setup = prepared.facts.setup;
    let kernels = setup.kernels.iter().map(|kernel| kernel.release.as_str()).chain(prepared.facts.host.platform.kernel.as_deref());
    kernels.into_iter().find(|release| at_least(release, 6, 2) == Some(true))?;
    let files = FILES.iter().filter_map(|path| Some((*path, setup.files.text_lossy(path)?)));
    let all = files.chain(LISTS.into_iter().flat_map(|(directory, ending)| setup.files.texts_lossy(directory, ending)));
    let named: Vec<&str> = all.filter(|(_, text)| names_it(text)).map(|(path, _)| path).collect();
    let path = named.first()?;
    Some(Check::ok("vfio-virqfd", Group::Boot, GONE, format!("is listed in {}", named.join(", "))).care(
        "it does not exist since Linux 6.2, and listing it makes the build of an initramfs fail (dracut, mkinitcpio)",
        format!("sed -i 's/vfio_virqfd//' {path}"),
    ))
}

fn names_it(text: &str) -> bool {
    text.lines().any(|line| !line.trim_start().starts_with('#') && line.contains(GONE))
}
