//! Binding to vfio-pci before any other driver: by ids where these are unambiguous, else by address.

use super::plan::{Edits, Plan};
use super::tokens::Want;
use super::wanted::{Bind, Wanted};
use crate::model::{Finding, Host, PciAddress, PciDevice, PciId, Setup};

/// What modprobe is told.
pub(super) const MODPROBE: &str = "/etc/modprobe.d/vgapt.conf";
/// What binds by address.
pub(super) const SCRIPT: &str = "/etc/vgapt/bind";
/// Marks the lines that tell which functions are bound; the file is also vgapt's own memory of it.
const MARK: &str = "#bound ";
const SCRIPT_TEXT: &str = include_str!("bind.sh");
const DRIVER: &str = "vfio-pci";
pub(super) const GONE: &str = "nothing is bound early any more";

/// The kernel's own parameters that leave out a module, or a built-in one's start.
const NO_MODULE: &str = "module_blacklist=vfio_pci";
const NO_BUILTIN: &str = "initcall_blacklist=vfio_pci_init";

/// A function that is bound early, and what it must still be then: addresses move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Its address.
    pub address: PciAddress,
    /// Its ids.
    pub id: PciId,
    /// The ids of its board.
    pub subsystem: PciId,
}

/// How functions are bound.
pub(super) struct Binding {
    functions: Vec<Bound>,
    by_address: bool,
    vfio_built_in: bool,
    /// The modules before which vfio-pci is loaded.
    before: Vec<String>,
}

/// What vgapt has set up to be bound early, from its own file.
pub fn bound(setup: &Setup) -> Vec<Bound> {
    let text = setup.files.text(MODPROBE).unwrap_or_default();
    let line = |line: &str| {
        let mut words = line.strip_prefix(MARK)?.split_whitespace();
        Some(Bound { address: words.next()?.parse().ok()?, id: words.next()?.parse().ok()?, subsystem: words.next()?.parse().ok()? })
    };
    text.lines().filter_map(line).collect()
}

impl Bound {
    fn of(device: &PciDevice) -> Self {
        Self { address: device.address, id: device.id, subsystem: device.subsystem.unwrap_or_default() }
    }

    /// Whether it is still what it was.
    pub fn is_still(&self, device: &PciDevice) -> bool {
        *self == Self::of(device)
    }
}

/// What is to be bound: what was before, as far as it is still there, and what is wanted now.
pub(super) fn decide(host: &Host, setup: &Setup, wanted: &Wanted, plan: &mut Plan) -> Binding {
    let mut functions = Vec::new();
    for known in bound(setup) {
        match host.device(known.address) {
            _ if wanted.bind == Bind::Start && wanted.functions.contains(&known.address) => {}
            Some(device) if known.is_still(device) => functions.push(known),
            found => plan.findings.push(Finding::warning(
                "moved",
                format!(
                    "{} was set up to be bound as {}, and is {} now; it is left out",
                    known.address.short(),
                    known.id,
                    found.map_or_else(|| "gone".to_owned(), |device| device.id.to_string())
                ),
                "vgapt list shows where the card is; name it with --gpu",
            )),
        }
    }
    if wanted.bind == Bind::Boot {
        let new = host.devices(&wanted.functions).filter(|device| !others_bind(host, setup, device));
        functions.extend(new.map(Bound::of).filter(|new| !bound(setup).contains(new)));
    }
    functions.sort_by_key(|bound| bound.address);
    functions.dedup();
    let vfio_built_in = setup.is_built_in("vfio_pci");
    let before = modules(host, setup, &functions);
    Binding { by_address: !ids_are_enough(host, setup, &functions, vfio_built_in), vfio_built_in, before, functions }
}

/// Whether the user has set it up already, and it works.
fn others_bind(host: &Host, setup: &Setup, device: &PciDevice) -> bool {
    let configured = foreign_ids(setup).chain(host.platform.cmdline.iter().filter_map(|cmdline| cmdline.get("vfio-pci.ids")));
    let named = |ids: &str| ids.split(',').any(|id| id.get(..9).is_some_and(|id| id.eq_ignore_ascii_case(&device.id.to_string())));
    device.on_vfio() && configured.into_iter().any(named)
}

/// The ids that other files of modprobe give to vfio-pci.
fn foreign_ids(setup: &Setup) -> impl Iterator<Item = &str> {
    let directories = ["/etc/modprobe.d", "/usr/lib/modprobe.d", "/run/modprobe.d", "/lib/modprobe.d"];
    let texts = directories.into_iter().flat_map(|directory| setup.files.texts(directory, ".conf"));
    texts.filter(|(path, _)| *path != MODPROBE).flat_map(|(_, text)| text.lines()).filter_map(|line| {
        let mut words = line.split_whitespace();
        let is_one = words.next() == Some("options") && matches!(words.next(), Some("vfio-pci" | "vfio_pci"));
        if is_one { words.find_map(|word| word.strip_prefix("ids=")) } else { None }
    })
}

/// An id takes every device that has it. A second `ids=` takes the place of the first. A built-in
/// driver is there before any module, so its device has to be taken from it.
fn ids_are_enough(host: &Host, setup: &Setup, functions: &[Bound], vfio_built_in: bool) -> bool {
    let is_ours = |device: &PciDevice| functions.iter().any(|bound| bound.address == device.address);
    let shared = host.pci.iter().any(|device| !is_ours(device) && functions.iter().any(|bound| bound.id == device.id));
    let taken = host.pci.iter().filter(|device| is_ours(device)).any(|device| claimed_by_kernel(setup, device));
    !shared && (vfio_built_in || !taken) && (vfio_built_in || foreign_ids(setup).next().is_none())
}

fn claimed_by_kernel(setup: &Setup, device: &PciDevice) -> bool {
    let claimants = setup.claimants.get(&device.address).map(Vec::as_slice).unwrap_or_default();
    let driver = device.driver.as_deref().filter(|_| !device.on_vfio());
    claimants.iter().map(String::as_str).chain(driver).any(|module| setup.is_built_in(module))
}

/// The modules that could take one of these functions: from the kernel's own table, else the usual ones.
fn modules(host: &Host, setup: &Setup, functions: &[Bound]) -> Vec<String> {
    let mut modules: Vec<String> = Vec::new();
    for device in functions.iter().filter_map(|bound| host.device(bound.address)) {
        match setup.claimants.get(&device.address) {
            Some(claimants) => modules.extend(claimants.iter().cloned()),
            None => modules.extend(usual(device)),
        }
    }
    modules.retain(|module| !setup.is_built_in(module) && !module.starts_with("vfio"));
    modules.sort_unstable();
    modules.dedup();
    modules
}

/// The modules that claim such a device in the distributions' kernels (names from the kernel's drivers/gpu, sound, usb).
fn usual(device: &PciDevice) -> Vec<String> {
    let names: &[&str] = match (device.class.code(), device.id.vendor) {
        (0x0300..=0x0380, 0x10de) => &["nouveau", "nvidia", "nvidiafb", "nova_core"],
        (0x0300..=0x0380, 0x1002) => &["amdgpu", "radeon"],
        (0x0300..=0x0380, 0x8086) => &["i915", "xe"],
        (0x0403, _) => &["snd_hda_intel"],
        (0x0c03, _) => &["xhci_pci"],
        (0x0c80, 0x10de) => &["i2c_nvidia_gpu"],
        (0x0c80, 0x1002) => &["i2c_designware_pci"],
        (0x0108, _) => &["nvme"],
        (0x0106, _) => &["ahci"],
        _ => &[],
    };
    let driver = device.driver.iter().filter(|_| names.is_empty() && !device.on_vfio()).map(|driver| driver.replace('-', "_"));
    names.iter().map(|name| (*name).to_owned()).chain(driver).collect()
}

impl Binding {
    pub(super) fn is_empty(&self) -> bool {
        self.functions.is_empty()
    }

    pub(super) fn switch_off(&self) -> Option<&'static str> {
        (!self.is_empty()).then_some(if self.vfio_built_in { NO_BUILTIN } else { NO_MODULE })
    }

    /// What belongs on the kernel's command line: a built-in module takes its options from there.
    pub(super) fn parameters(&self) -> Option<Want> {
        (self.vfio_built_in && !self.by_address && !self.is_empty()).then(|| Want::Include("vfio-pci.ids".into(), self.ids()))
    }

    /// What belongs into the initramfs: modules and files.
    pub(super) fn in_initramfs(&self) -> (Vec<&'static str>, Vec<&'static str>) {
        let modules = if self.vfio_built_in { Vec::new() } else { vec!["vfio_pci", "vfio_iommu_type1"] };
        let files = if self.by_address { vec![MODPROBE, SCRIPT] } else { vec![MODPROBE] };
        if self.is_empty() { (Vec::new(), Vec::new()) } else { (modules, files) }
    }

    fn ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = self.functions.iter().map(|bound| bound.id.to_string()).collect();
        let mut seen = Vec::new();
        ids.retain(|id| !seen.contains(id) && (seen.push(id.clone()), true).1);
        ids
    }

    /// The files that do it.
    pub(super) fn edits(&self, host: &Host, setup: &Setup) -> Result<Edits, Finding> {
        let mut edits = Edits::default();
        if self.is_empty() {
            for path in [MODPROBE, SCRIPT] {
                edits.remove(setup, path, GONE)?;
            }
            return Ok(edits);
        }
        edits.write(setup, MODPROBE, self.modprobe(host), 0o644, "vfio-pci before any other driver")?;
        if self.by_address {
            edits.write(
                setup,
                SCRIPT,
                SCRIPT_TEXT.to_owned(),
                0o755,
                "binds by address what is still the same device, and nothing else",
            )?;
        } else {
            edits.remove(setup, SCRIPT, "the ids are unambiguous, so nothing has to be bound by address")?;
        }
        Ok(edits)
    }

    fn modprobe(&self, host: &Host) -> String {
        let mut text = format!(
            "# Written by `vgapt prepare`, taken away by `vgapt undo`. For one boot without it, add to the\n# kernel's command line: {}\n",
            self.switch_off().unwrap_or_default()
        );
        for bound in &self.functions {
            let name = host.device(bound.address).map(PciDevice::label).unwrap_or_default();
            text.push_str(&format!("{MARK}{} {} {} {name}\n", bound.address, bound.id, bound.subsystem));
        }
        match (self.by_address, self.vfio_built_in) {
            (false, false) => text.push_str(&format!("options {DRIVER} ids={}\n", self.ids().join(","))),
            (false, true) => return text,
            (true, false) => text.push_str(&format!("install {DRIVER} {SCRIPT} {DRIVER} $CMDLINE_OPTS\n")),
            // vfio-pci is no module there, so the script runs before each of the other drivers.
            (true, true) => {
                text.extend(self.before.iter().map(|module| format!("install {module} {SCRIPT} {module} $CMDLINE_OPTS\n")));
                return text;
            }
        }
        text.extend(self.before.iter().map(|module| format!("softdep {module} pre: {DRIVER}\n")));
        text
    }
}
