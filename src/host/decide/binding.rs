//! Early binding to vfio-pci: by ids if these are unambiguous, else by address.

use std::collections::BTreeSet;

use super::bound::{Bound, GONE, IDS, MARK, MODPROBE, Whereabouts, bound, ids_of, not_understood};
use super::others::{self, ExternalBinding};
use super::{drivers, modprobe};
use crate::host::plan::{Edits, Plan};
use crate::host::request::{Bind, Wanted};
use crate::host::text::tokens::ParameterChange;
use crate::model::{Finding, Host, PciAddress, PciDevice, Setup};

/// Dependencies that have to be read before the files of other tools.
const EARLY: &str = "/etc/modprobe.d/00-vgapt.conf";
/// The script that binds by address.
pub const SCRIPT: &str = "/etc/vgapt/bind";
const SCRIPT_TEXT: &str = include_str!("bind.sh");
const DRIVER: &str = "vfio-pci";

/// The kernel parameters that keep vfio-pci from being loaded, or from being initialized if built in.
const NO_MODULE: &str = "module_blacklist=vfio_pci";
const NO_BUILTIN: &str = "initcall_blacklist=vfio_pci_init";

/// How functions are bound.
pub(super) struct Binding {
    functions: Vec<Bound>,
    by_address: bool,
    vfio_built_in: bool,
    /// The modules before which vfio-pci is loaded.
    before: Vec<String>,
    /// Lines that have to be read before the files of other tools.
    early: Vec<String>,
}

/// A name from pci.ids as a comment in a modprobe file, without backslashes: one at the end of the line would join the
/// next line to it.
fn as_comment(name: &str) -> String {
    name.replace('\\', "/").chars().filter(|c| !c.is_control()).collect()
}

/// Decides what is bound: what was bound before and still exists, and what is requested now.
pub(super) fn decide(host: &Host, setup: &Setup, wanted: &Wanted, plan: &mut Plan) -> Binding {
    let mut functions = Vec::new();
    plan.findings.extend(not_understood(setup));
    for known in bound(setup) {
        match host.device(known.address) {
            _ if wanted.bind == Bind::Start && wanted.functions.contains(&known.address) => {}
            Some(device) if known.is_still(device) => functions.push(known),
            found => plan.findings.push(moved(host, setup, wanted, &known, found)),
        }
    }
    let others = others::others(host, setup);
    if wanted.bind == Bind::Boot {
        plan.findings.extend(host.devices(&wanted.functions).filter_map(virtual_function));
        // Bindings that the user has set up already and that work.
        let others_bind = |device: &PciDevice| device.on_vfio() && others.iter().any(|other| other.binds(device.address));
        let new = host.devices(&wanted.functions).filter(|device| device.physical_function.is_none() && !others_bind(device));
        functions.extend(new.map(Bound::of));
    }
    functions.sort_by_key(|bound| bound.address);
    functions.dedup();
    let vfio_built_in = setup.is_built_in("vfio_pci");
    let before = modules(host, setup, &functions);
    let early = if vfio_built_in { Vec::new() } else { early_lines(setup, &before) };
    plan.findings.extend(out_of_reach(host, setup, &functions, &others).filter(|_| vfio_built_in));
    let by_address = !ids_are_enough(host, setup, &functions, vfio_built_in, &others);
    Binding { functions, by_address, vfio_built_in, before, early }
}

/// A function that is not at its address. Where nothing is named in its place, its binding would be lost without a word of who wants
/// that, so nothing is written.
fn moved(host: &Host, setup: &Setup, wanted: &Wanted, known: &Bound, found: Option<&PciDevice>) -> Finding {
    let at = known.address.short();
    let is_now = found.map_or_else(|| "gone".to_owned(), |device| device.id.to_string());
    let message = format!("{at} was set up to be bound as {}, but is now {is_now}", known.id);
    let is_same = |device: &&PciDevice| Bound { address: device.address, ..*known }.is_still(device);
    let requested = host.devices(&wanted.functions).find(is_same).map(|device| device.address);
    let whereabouts = Whereabouts::of(known, host, setup);
    let option = whereabouts.option(host);
    let loses = wanted.functions.is_empty() && whereabouts != Whereabouts::Gone;
    let remedy = match (&whereabouts, requested, option) {
        (Whereabouts::At(place), Some(requested), _) if *place == requested => {
            format!("nothing: it is at {} now, which is requested", place.short())
        }
        (Whereabouts::At(_), requested, Some(option)) => {
            let other = requested.map(|other| format!("; {}, which is requested, is another one with the same ids", other.short()));
            format!("name it where it is now: vgapt prepare {option}{}", other.unwrap_or_default())
        }
        (Whereabouts::Unclear(_), Some(requested), _) => {
            let requested = requested.short();
            format!("make sure that {requested}, which is requested, is the one that is meant: others have, or had, the same ids")
        }
        (Whereabouts::Unclear(places), None, _) => {
            format!("name the one for the guest with --gpu or --pci: {} has the same ids; see it: vgapt list", PciAddress::list(places))
        }
        _ => "see where the card is: vgapt list; name it with --gpu".to_owned(),
    };
    if loses {
        let message = format!("{message}, and nothing is named in its place: it would no longer be bound");
        return Finding::blocked("moved", message, format!("{remedy}; or take the binding back: vgapt undo"));
    }
    Finding::warning("moved", format!("{message}; it is no longer bound"), remedy)
}

/// A virtual function is created while the system runs, by the driver of its physical function.
fn virtual_function(device: &PciDevice) -> Option<Finding> {
    let parent = device.physical_function?.short();
    let at = device.address.short();
    let message = format!(
        "{at} is a virtual function of {parent}: it does not exist at boot until something writes to sriov_numvfs of {parent}, so it cannot be bound early"
    );
    let remedy = "use --bind start: libvirt binds it when the domain starts (prepare --vfs makes it at each boot)";
    Some(if device.on_vfio() {
        Finding::warning("virtual-function", message, remedy)
    } else {
        Finding::blocked("virtual-function", message, remedy)
    })
}

/// The dependencies of these modules in files of other tools that kmod would use instead of vgapt's, since it uses
/// only the first of several. Returned with vfio-pci added.
fn early_lines(setup: &Setup, before: &[String]) -> Vec<String> {
    let configuration = modprobe::read(setup, &[]);
    let others = |module: &String| {
        let is_ours = |line: &modprobe::Line| [MODPROBE, EARLY].contains(&line.path.as_str());
        let line = configuration.of("softdep").filter(|line| !is_ours(line)).find(|line| modprobe::fits(&line.name, module))?;
        // kmod ignores lines of files that sort after vgapt's.
        let sorts_first = line.path.rsplit('/').next() < MODPROBE.rsplit('/').next();
        (sorts_first && !drivers::has_before(&line.rest)).then(|| {
            let (head, tail) = line.rest.split_once("pre:").unwrap_or(("", &line.rest));
            format!("softdep {module} {head} pre: {DRIVER} {tail}").split_whitespace().collect::<Vec<_>>().join(" ")
        })
    };
    before.iter().filter_map(others).collect()
}

/// An id binds every device that has it. Of several `ids=` only the last counts, so those of others and vgapt's cannot both. A
/// built-in driver is loaded before any module, so its device has to be unbound from it.
fn ids_are_enough(host: &Host, setup: &Setup, functions: &[Bound], vfio_built_in: bool, others: &[ExternalBinding]) -> bool {
    let is_ours = |device: &PciDevice| functions.iter().any(|bound| bound.address == device.address);
    let shared = host.pci.iter().any(|device| !is_ours(device) && functions.iter().any(|bound| bound.id == device.id));
    let taken = host.pci.iter().filter(|device| is_ours(device)).any(|device| claimed_by_kernel(setup, device));
    !shared && (vfio_built_in || !taken) && !others.iter().any(|other| other.overrides(functions))
}

/// The script runs before modules only: it comes too late for a built-in driver, where others' ids keep vgapt's from a built-in
/// vfio-pci.
fn out_of_reach(host: &Host, setup: &Setup, functions: &[Bound], others: &[ExternalBinding]) -> Option<Finding> {
    let other = others.iter().find(|other| other.gives_ids())?;
    let is_lost = |device: &&PciDevice| claimed_by_kernel(setup, device) && !other.takes.contains(&device.address);
    let device = functions.iter().filter_map(|bound| host.device(bound.address)).find(is_lost)?.address.short();
    Some(Finding::blocked(
        "bound-by-other",
        format!(
            "{} keeps vgapt from giving vfio-pci ids, and both vfio-pci and a driver for {device} are part of the kernel, so {device} cannot be bound by address in time",
            other.cited()
        ),
        other.remedy("first"),
    ))
}

fn claimed_by_kernel(setup: &Setup, device: &PciDevice) -> bool {
    let claimants = setup.claimants.get(&device.address).map(Vec::as_slice).unwrap_or_default();
    let driver = device.driver.as_deref().filter(|_| !device.on_vfio());
    claimants.iter().map(String::as_str).chain(driver).any(|module| setup.is_built_in(module))
}

/// The modules that may bind to one of these functions.
fn modules(host: &Host, setup: &Setup, functions: &[Bound]) -> Vec<String> {
    let devices = functions.iter().filter_map(|bound| host.device(bound.address));
    let modules: BTreeSet<String> = devices.flat_map(|device| drivers::of_host(setup, device)).collect();
    modules.into_iter().filter(|module| !setup.is_built_in(module) && !module.starts_with("vfio")).collect()
}

impl Binding {
    pub(super) fn is_empty(&self) -> bool {
        self.functions.is_empty()
    }

    /// The install lines that have to be the first ones for their module, and what they run: nothing for vfio-pci with ids.
    pub(super) fn install_lines(&self) -> Vec<(&str, String)> {
        let runs = |module: &str| format!("{SCRIPT} {module} $CMDLINE_OPTS");
        match (self.by_address, self.vfio_built_in) {
            _ if self.is_empty() => Vec::new(),
            (false, true) => Vec::new(),
            (false, false) => vec![("vfio_pci", String::new())],
            (true, false) => vec![("vfio_pci", runs(DRIVER))],
            // The script runs before each of the other drivers.
            (true, true) => self.before.iter().map(|module| (module.as_str(), runs(module))).collect(),
        }
    }

    /// The modules before which vfio-pci is loaded.
    pub(super) fn before(&self) -> &[String] {
        if self.vfio_built_in { &[] } else { &self.before }
    }

    pub(super) fn switch_off(&self) -> Option<&'static str> {
        (!self.is_empty()).then_some(if self.vfio_built_in { NO_BUILTIN } else { NO_MODULE })
    }

    /// What has to be on the kernel command line: a built-in module takes its options from there.
    pub(super) fn parameters(&self) -> Option<ParameterChange> {
        (self.vfio_built_in && !self.by_address && !self.is_empty()).then(|| ParameterChange::Include("vfio-pci.ids".into(), self.ids()))
    }

    /// What has to be included in the initramfs: modules and files.
    pub(super) fn in_initramfs(&self) -> (Vec<&'static str>, Vec<&'static str>) {
        let modules = if self.vfio_built_in { Vec::new() } else { vec!["vfio_pci", "vfio_iommu_type1"] };
        let mut files = if self.by_address { vec![MODPROBE, SCRIPT] } else { vec![MODPROBE] };
        files.extend((!self.early.is_empty()).then_some(EARLY));
        if self.is_empty() { (Vec::new(), Vec::new()) } else { (modules, files) }
    }

    fn ids(&self) -> Vec<String> {
        ids_of(&self.functions)
    }

    /// The files that set up the binding.
    pub(super) fn edits(&self, host: &Host, setup: &Setup) -> Result<Edits, Finding> {
        let mut edits = Edits::default();
        if self.is_empty() {
            for path in [EARLY, MODPROBE, SCRIPT] {
                edits.remove(setup, path, GONE)?;
            }
            return Ok(edits);
        }
        if self.early.is_empty() {
            edits.remove(setup, EARLY, "no file of another tool has to be overridden any more")?;
        } else {
            let text = format!(
                "# Written by `vgapt prepare`, taken away by `vgapt undo`. Of several lines for a module the first counts,\n# so these keep what others' lines say.\n{}\n",
                self.early.join("\n")
            );
            edits.write(setup, EARLY, text, 0o644, "vfio-pci before drivers for which another tool's file sets dependencies")?;
        }
        edits.write(setup, MODPROBE, self.modprobe(host), 0o644, "vfio-pci before any other driver")?;
        if self.by_address {
            edits.write(setup, SCRIPT, SCRIPT_TEXT.to_owned(), 0o755, "binds by address, if the device there is still the same")?;
        } else {
            edits.remove(setup, SCRIPT, "the ids are unambiguous, so binding by address is not needed")?;
        }
        Ok(edits)
    }

    fn modprobe(&self, host: &Host) -> String {
        let mut text = format!(
            "# Written by `vgapt prepare`, taken away by `vgapt undo`. For one boot without it, add to the\n# kernel's command line: {}\n",
            self.switch_off().unwrap_or_default()
        );
        for bound in &self.functions {
            let name = as_comment(&host.device(bound.address).map(PciDevice::label).unwrap_or_default());
            text.push_str(&format!("{MARK}{} {name}\n", bound.in_words()));
        }
        if !self.by_address && !self.vfio_built_in {
            text.push_str(&format!("{IDS}{}\n", self.ids().join(",")));
        }
        for (module, runs) in self.install_lines().iter().filter(|(_, runs)| !runs.is_empty()) {
            text.push_str(&format!("install {} {runs}\n", if *module == "vfio_pci" { DRIVER } else { module }));
        }
        text.extend(self.before().iter().map(|module| format!("softdep {module} pre: {DRIVER}\n")));
        text
    }
}
