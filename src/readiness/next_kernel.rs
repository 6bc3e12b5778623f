//! The kernel that boots next, after an update for example: whether a guest still gets its card with it.

use super::check::{Check, NextStep, Topic};
use super::facts::Facts;
use super::{images, kernels};
use crate::host::{bound, loaders, modprobe};
use crate::model::{DkmsModule, Host, ModuleState, Setup, version_order};

/// The kernel that boots next, and how it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextKernel {
    /// Its release, as `uname -r` prints it.
    pub release: String,
    pub evidence: String,
}

/// The kernel that boots next: the newest that the boot menu has an entry for, else the newest that is installed; `None`
/// where no kernel is known.
pub fn next_kernel(host: &Host, setup: &Setup) -> Option<NextKernel> {
    // A folder that a removed kernel left behind has no list of modules.
    let mut releases: Vec<&str> =
        setup.kernels.iter().filter(|kernel| !kernel.builtin.is_empty()).map(|kernel| kernel.release.as_str()).collect();
    releases.sort_by(|one, other| version_order(one, other));
    let images = loaders::chosen(host, setup).map(|chosen| chosen.loader.images(setup)).unwrap_or_default();
    let is_in_menu = |release: &&&str| images.iter().any(|image| images::is_of(image, release));
    if let Some(release) = releases.iter().rev().find(is_in_menu) {
        let evidence = format!("the newest that the boot menu has an entry for{}", default_entry(setup));
        return Some(NextKernel { release: (*release).to_owned(), evidence });
    }
    let evidence = if releases.len() < 2 { "no other is known" } else { "the newest that is installed" };
    let release = releases.last().copied().or(host.platform.kernel.as_deref())?;
    Some(NextKernel { release: release.to_owned(), evidence: evidence.to_owned() })
}

/// What /etc/default/grub says of another entry.
fn default_entry(setup: &Setup) -> String {
    const FILE: &str = "/etc/default/grub";
    let lines = setup.files.text(FILE).into_iter().flat_map(str::lines);
    let mut values = lines.filter_map(|line| line.trim().strip_prefix("GRUB_DEFAULT=")).map(|value| value.trim_matches(['"', '\'']));
    match values.next_back() {
        Some(value) if !["", "0"].contains(&value) => format!(", but {FILE} says GRUB_DEFAULT={value}, which may choose another"),
        _ => String::new(),
    }
}

pub(super) fn is_running(facts: &Facts, kernel: &NextKernel) -> bool {
    facts.host.platform.kernel.as_deref() == Some(&kernel.release)
}

/// What `vgapt check` says of it where another kernel is running, besides what it says of all kernels.
pub(super) fn of_another(facts: &Facts) -> Vec<Check> {
    let kernel = next_kernel(facts.host, facts.setup).filter(|kernel| !is_running(facts, kernel));
    kernel.map(|kernel| dkms(facts, &kernel)).unwrap_or_default()
}

/// All that is checked of it.
pub(super) fn checks(facts: &Facts, kernel: &NextKernel) -> Vec<Check> {
    let mut checks = vec![named(facts, kernel), module(facts, kernel), command_line(facts)];
    checks.extend(image(facts, kernel));
    checks.extend(options(facts, kernel));
    checks.extend(dkms(facts, kernel));
    checks.extend(dkms_unread(facts));
    checks
}

fn check(code: &'static str, subject: impl Into<String>, seen: String) -> Check {
    Check::ok(code, Topic::Boot, subject, seen)
}

fn named(facts: &Facts, kernel: &NextKernel) -> Check {
    let runs = if is_running(facts, kernel) { "the running kernel" } else { "another kernel" };
    check("next-kernel", "next kernel", format!("{}, {runs}: {}", kernel.release, kernel.evidence))
}

fn module(facts: &Facts, kernel: &NextKernel) -> Check {
    let check = |seen: &str| check("next-vfio-module", "vfio-pci", seen.to_owned());
    match facts.observed.vfio.get(&kernel.release) {
        Some(ModuleState::Missing) => check("is not part of it").missing(
            NextStep::Kernel,
            "it is the driver that makes a device available to a guest",
            "install the distribution's full kernel package (not a cloud or minimal one), or boot another kernel",
        ),
        Some(ModuleState::BuiltIn) => check("is built into it"),
        Some(ModuleState::Loadable | ModuleState::InUse) => check("is a module of it"),
        None => check("").unknown(&facts.because(&format!("/lib/modules/{}", kernel.release))),
    }
}

/// The parameters of what can be booted next, whatever this boot has.
fn command_line(facts: &Facts) -> Check {
    let needs = &facts.needs;
    let check = |seen: String| check("next-parameters", "command line", seen);
    let needed: Vec<&str> = facts.plan.parameters.iter().map(|one| one.token.as_str()).collect();
    match (needs.lacking.first(), &needs.loader) {
        (Some(entry), _) => check(format!("{} does not have {}", entry.source, needed.join(" ")))
            .missing(NextStep::Prepare, "the IOMMU or the binding would not work after the next boot", facts.remedy())
            .by_command(),
        (None, _) if needed.is_empty() => check("no kernel parameter is needed".to_owned()),
        (None, _) if !needs.entries.is_empty() => check(format!("has {}", needed.join(" "))),
        (None, Err(finding)) => check(String::new()).unknown(&finding.message),
        (None, Ok(chosen)) => check(String::new()).unknown(&format!("no entry of {} could be read", chosen.loader.name)),
    }
}

/// For early binding: its initramfs.
fn image(facts: &Facts, kernel: &NextKernel) -> Vec<Check> {
    if bound(facts.setup).is_empty() {
        return Vec::new();
    }
    let images = images::of_release(facts.setup, &kernel.release);
    if !images.is_empty() || !facts.observed.reach.is_live() {
        return kernels::initramfs(facts);
    }
    let others =
        facts.setup.images.iter().filter(|(path, _)| facts.setup.kernels.iter().any(|kernel| images::is_of(path, &kernel.release)));
    match others.count() {
        // Its images are not named for their kernels, or lie where nothing was read.
        0 => kernels::initramfs(facts),
        _ => vec![
            check("initramfs", "initramfs", format!("there is none for {}", kernel.release))
                .missing(NextStep::Prepare, "the kernel may not boot, or boots without the early binding", facts.command())
                .by_command(),
        ],
    }
}

/// Options of modules that this version of the module does not know: the kernel ignores them, and says so only in its log.
fn options(facts: &Facts, kernel: &NextKernel) -> Vec<Check> {
    let configuration = modprobe::read(facts.setup, &[]);
    let mut checks = Vec::new();
    for line in configuration.of("options").filter(|line| is_of_passthrough(&line.name)) {
        let check = |seen: String| check("module-option", &line.name, seen);
        match facts.observed.parameters.get(&line.name) {
            None => {}
            Some(Err(because)) => checks.push(check(String::new()).unknown(because).minor()),
            Some(Ok(known)) => {
                let names = line.rest.split_whitespace().map(|option| option.split('=').next().unwrap_or(option).replace('-', "_"));
                checks.extend(names.filter(|name| !known.contains(name)).map(|name| {
                    check(format!("of {} has no option {name}; {}", kernel.release, line.says())).care(
                        "the kernel ignores it",
                        format!("remove it from {}, or replace it by what the module's documentation names instead", line.path),
                    )
                }));
            }
        }
    }
    checks
}

/// The modules whose options are compared.
pub fn options_of(setup: &Setup) -> Vec<String> {
    let configuration = modprobe::read(setup, &[]);
    let mut names: Vec<String> = configuration.of("options").map(|line| line.name.clone()).filter(|name| is_of_passthrough(name)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn is_of_passthrough(module: &str) -> bool {
    module.starts_with("vfio") || module.starts_with("kvm")
}

/// Modules of DKMS that were built for another kernel, and not for this one.
fn dkms(facts: &Facts, kernel: &NextKernel) -> Vec<Check> {
    let modules = facts.observed.dkms.0.as_ref().known().map_or(&[][..], Vec::as_slice);
    let is_built = |module: &&DkmsModule| module.kernels.contains(&kernel.release);
    let names_built: Vec<&str> = modules.iter().filter(is_built).map(|module| module.name.as_str()).collect();
    let lacks = |module: &&DkmsModule| !module.kernels.is_empty() && !names_built.contains(&module.name.as_str());
    let one = |module: &DkmsModule| {
        let built: Vec<&str> = module.kernels.iter().map(String::as_str).collect();
        let seen = format!("{} is built for {}, and not for {}", module.version, built.join(", "), kernel.release);
        check("dkms", &module.name, seen).care(
            "what needs this module does not work with that kernel",
            format!(
                "build it: dkms install {}/{} -k {}; where that fails, boot the present kernel until there is a newer version",
                module.name, module.version, kernel.release
            ),
        )
    };
    modules.iter().filter(lacks).map(one).collect()
}

fn dkms_unread(facts: &Facts) -> Option<Check> {
    Some(check("dkms", "DKMS", String::new()).unknown(facts.observed.dkms.0.unknown()?).minor())
}
