//! Lines of modprobe's configuration that override vgapt's.

use super::binding::{self, Binding};
use super::{drivers, modprobe};
use crate::host::plan::Plan;
use crate::host::request::Wanted;
use crate::model::{Finding, Setup};

/// Other lines of modprobe's configuration that keep vfio-pci from being loaded as set up.
pub(super) fn findings(setup: &Setup, plan: &Plan, binding: &Binding) -> Vec<Finding> {
    let lines = binding.install_lines();
    if binding.is_empty() {
        return Vec::new();
    }
    let configuration = modprobe::read(setup, &plan.writes);
    let mut findings = Vec::new();
    for (path, what) in &configuration.unread {
        findings.push(Finding::blocked(
            "modprobe-unread",
            format!("{path} {what}, so whether it changes how vfio-pci is loaded is not known"),
            format!("correct or remove {path}, and run vgapt prepare again"),
        ));
    }
    for (module, wanted) in &lines {
        let differs = |line: &&modprobe::Line| line.rest != *wanted && !line.loads_nothing();
        let Some(line) = configuration.first("install", module).filter(differs) else { continue };
        let ours =
            if wanted.is_empty() { String::new() } else { format!(", before the line `install {module} {wanted}` that vgapt needs") };
        findings.push(Finding::blocked(
            "install-line",
            format!(
                "{} says `{}`: of several install lines kmod runs only the first{ours}, so another tool decides how {module} is loaded",
                line.place(),
                line.words()
            ),
            put_away(&line.path, line.number),
        ));
    }
    // A built-in vfio-pci is bound by the script, without dependencies.
    let late =
        binding.before().iter().filter_map(|module| configuration.first("softdep", module).filter(|line| !binding::has_before(&line.rest)));
    findings.extend(late.map(|line| {
        Finding::warning(
            "softdep",
            format!(
                "{} says `{}`: of several such lines kmod uses only the first, so vfio-pci is not loaded before that driver",
                line.place(),
                line.words()
            ),
            put_away(&line.path, line.number),
        )
    }));
    let blacklisted = configuration
        .of("blacklist")
        .find(|line| line.name == "vfio_pci")
        .filter(|_| lines.iter().any(|(module, _)| *module == "vfio_pci"));
    findings.extend(blacklisted.map(|line| {
        Finding::blocked(
            "install-line",
            format!("{} says `{}`, which keeps vfio-pci from being loaded early", line.place(), line.words()),
            put_away(&line.path, line.number),
        )
    }));
    findings
}

/// Install lines that keep vfio-pci, or a module it needs, from being loaded at all.
pub(super) fn kept_out(setup: &Setup, plan: &Plan, wanted: &Wanted, binding: &Binding) -> Vec<Finding> {
    if binding.is_empty() && wanted.functions.is_empty() {
        return Vec::new();
    }
    let configuration = modprobe::read(setup, &plan.writes);
    let mut told = Vec::new();
    let mut findings = Vec::new();
    for module in drivers::NEEDED_BY_VFIO.into_iter().filter(|module| !setup.is_built_in(module)) {
        let Some(line) = configuration.first("install", module).filter(|line| !told.contains(&line.place())) else { continue };
        let says = format!("{} says `{}`", line.place(), line.words());
        let remedy = put_away(&line.path, line.number);
        if line.loads_nothing() {
            let message = format!("{says}: it keeps {module} from being loaded, and without it vfio-pci binds no device");
            findings.push(Finding::blocked("install-line", message, remedy));
        } else if module != "vfio_pci" && !line.rest.contains("modprobe") {
            let message = format!("{says}: another tool decides whether {module} is loaded, and without it vfio-pci binds no device");
            findings.push(Finding::warning("install-line", message, remedy));
        }
        told.push(line.place());
    }
    findings
}

/// How to remove a line: a file of a package is masked by a copy, since an update restores it.
fn put_away(path: &str, number: usize) -> String {
    if path.starts_with("/etc/") {
        return format!("remove line {number} from {path} and run vgapt prepare again");
    }
    let name = path.rsplit('/').next().unwrap_or_default();
    format!("copy {path} to /etc/modprobe.d/{name}, which overrides it, remove line {number} from the copy, and run vgapt prepare again")
}
