//! Lines of modprobe's configuration that override vgapt's.

use super::binding::Binding;
use super::drivers;
use super::modprobe::{self, Configuration, Line};
use crate::host::plan::Plan;
use crate::host::request::Wanted;
use crate::model::{Finding, Setup};

/// Other lines of modprobe's configuration that keep vfio-pci from being loaded as set up, or at all.
pub(super) fn findings(setup: &Setup, plan: &Plan, wanted: &Wanted, binding: &Binding) -> Vec<Finding> {
    let configuration = modprobe::read(setup, &plan.writes);
    let mut findings = Vec::new();
    if !binding.is_empty() {
        findings.extend(of_binding(&configuration, binding));
    }
    if !binding.is_empty() || !wanted.functions.is_empty() {
        findings.extend(kept_out(setup, &configuration));
    }
    findings
}

fn of_binding(configuration: &Configuration, binding: &Binding) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, what) in &configuration.unread {
        findings.push(Finding::blocked(
            "modprobe-unread",
            format!("{path} {what}, so it is unknown whether it changes how vfio-pci is loaded"),
            format!("correct or remove {path}, and run vgapt prepare again"),
        ));
    }
    let lines = binding.install_lines();
    for (module, wanted) in &lines {
        let differs = |line: &&Line| line.rest != *wanted && !line.loads_nothing();
        let Some(line) = configuration.first("install", module).filter(differs) else { continue };
        let ours =
            if wanted.is_empty() { String::new() } else { format!(", before the line `install {module} {wanted}` that vgapt needs") };
        let why = format!("of several install lines kmod runs only the first{ours}, so another tool decides how {module} is loaded");
        findings.push(Finding::blocked("install-line", format!("{}: {why}", line.says()), removal(line)));
    }
    // A built-in vfio-pci is bound by the script, without dependencies.
    let first = binding.before().iter().filter_map(|module| configuration.first("softdep", module));
    for line in first.filter(|line| !drivers::has_before(&line.rest)) {
        let why = "of several such lines kmod uses only the first, so vfio-pci is not loaded before that driver";
        findings.push(Finding::warning("softdep", format!("{}: {why}", line.says()), removal(line)));
    }
    let is_loaded = lines.iter().any(|(module, _)| *module == "vfio_pci");
    if let Some(line) = configuration.of("blacklist").find(|line| is_loaded && line.name == "vfio_pci") {
        let message = format!("{}, which keeps vfio-pci from being loaded early", line.says());
        findings.push(Finding::blocked("install-line", message, removal(line)));
    }
    findings
}

/// Install lines that keep vfio-pci, or a module it needs, from being loaded at all.
fn kept_out(setup: &Setup, configuration: &Configuration) -> Vec<Finding> {
    let mut told = Vec::new();
    let mut findings = Vec::new();
    for module in drivers::NEEDED_BY_VFIO.into_iter().filter(|module| !setup.is_built_in(module)) {
        let Some(line) = configuration.first("install", module).filter(|line| !told.contains(&line.place())) else { continue };
        let says = line.says();
        if line.loads_nothing() {
            let message = format!("{says}: it keeps {module} from being loaded, and without it vfio-pci binds no device");
            findings.push(Finding::blocked("install-line", message, removal(line)));
        } else if module != "vfio_pci" && !line.rest.contains("modprobe") {
            let message = format!("{says}: another tool decides whether {module} is loaded, and without it vfio-pci binds no device");
            findings.push(Finding::warning("install-line", message, removal(line)));
        }
        told.push(line.place());
    }
    findings
}

/// How to remove a line: a file of a package is masked by a copy, since an update restores it.
pub(super) fn removal(line: &Line) -> String {
    let Line { path, number, .. } = line;
    if path.starts_with("/etc/") {
        return format!("remove line {number} from {path} and run vgapt prepare again");
    }
    let name = path.rsplit('/').next().unwrap_or_default();
    format!("copy {path} to /etc/modprobe.d/{name}, which overrides it, remove line {number} from the copy, and run vgapt prepare again")
}
