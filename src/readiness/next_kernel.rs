//! The kernel that boots next, after an update for example: whether a guest still gets its card with it.

use super::check::{Check, CheckState, NextStep, Topic};
use super::facts::{Facts, says};
use super::kernels::For;
use super::{binding, boot, cards, images, kernels};
use crate::host::loaders::{self, DefaultEntry, Entry};
use crate::host::{self, modprobe};
use crate::model::{Cmdline, DkmsModule, Host, Kernel, ModuleState, Setup, Severity, shell_command, version_order};

/// The kernel that boots next, and how it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextKernel {
    /// Its release, as `uname -r` prints it.
    pub release: String,
    pub evidence: String,
    /// What may choose another one, if there is something.
    pub doubt: Option<String>,
}

/// The kernel that boots next: the one that is pinned or the menu's default, else the newest that the menu has an entry for,
/// else the newest that is installed; `None` where no kernel is known.
pub fn next_kernel(host: &Host, setup: &Setup) -> Option<NextKernel> {
    // A folder that a removed kernel left behind has no list of modules.
    let mut kernels: Vec<&Kernel> = setup.kernels.iter().filter(|kernel| !kernel.builtin.is_empty()).collect();
    kernels.sort_by(|one, other| version_order(&one.release, &other.release));
    let of = |release: &str, evidence: String| NextKernel { release: release.to_owned(), evidence, doubt: None };
    if let Some((path, pinned)) =
        PINS.iter().find_map(|path| Some((path, setup.files.text(path)?.trim()))).filter(|(_, pin)| !pin.is_empty())
    {
        return Some(of(pinned, format!("{path} names it")));
    }
    let mut entries = loaders::chosen(host, setup).map(|chosen| chosen.loader.next_boot(setup)).unwrap_or_default();
    entries.retain(|entry| !entry.is_recovery());
    let boots = |entry: &Entry, kernel: &Kernel| entry.kernel.as_ref().is_some_and(|file| images::is_of(file, kernel));
    let default = loaders::next_entry(setup, &entries);
    if let Some(DefaultEntry { says, entry: Some(entry) }) = &default
        && let Some(kernel) = kernels.iter().find(|kernel| boots(entry, kernel))
    {
        return Some(of(&kernel.release, format!("{says}, and {} boots it", entry.source)));
    }
    let doubt = default.map(|default| format!("{}, which may be another", default.says));
    let in_menu = kernels.iter().rev().find(|kernel| entries.iter().any(|entry| boots(entry, kernel)));
    if let Some(kernel) = in_menu {
        return Some(NextKernel { doubt, ..of(&kernel.release, "the newest that the boot menu has an entry for".to_owned()) });
    }
    let evidence = if kernels.len() < 2 { "no other is known" } else { "the newest that is installed" };
    let release = kernels.last().map(|kernel| kernel.release.as_str()).or(host.platform.kernel.as_deref())?;
    Some(NextKernel { doubt, ..of(release, evidence.to_owned()) })
}

/// Where proxmox-boot-tool writes the kernel that is pinned, for the next boot or for all.
const PINS: [&str; 2] = ["/etc/kernel/next-boot-pin", "/etc/kernel/proxmox-boot-pin"];

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
    let mut checks = vec![named(facts, kernel), module(facts, kernel)];
    checks.extend(boot::unread(facts));
    checks.extend(cards::none(facts));
    checks.extend(cards::refusals(facts));
    checks.extend(command_line(facts, kernel));
    checks.extend(image(facts, kernel));
    checks.extend(binding::at_next_boot(facts));
    checks.extend(binding::others(facts));
    checks.extend(joined_words(facts));
    checks.extend(options(facts, kernel));
    checks.extend(dkms(facts, kernel));
    checks.extend(dkms_unread(facts));
    // What was not looked at is said here, since all that is known is.
    for check in checks.iter_mut().filter(|check| check.state == CheckState::Unknown) {
        check.minor = false;
    }
    checks
}

fn check(code: &'static str, subject: impl Into<String>, seen: String) -> Check {
    Check::ok(code, Topic::Boot, subject, seen)
}

fn named(facts: &Facts, kernel: &NextKernel) -> Check {
    let runs = if is_running(facts, kernel) { "the running kernel" } else { "another kernel" };
    let check = check("next-kernel", "next kernel", format!("{}, {runs}: {}", kernel.release, kernel.evidence));
    match &kernel.doubt {
        Some(doubt) => check.care(doubt.clone(), "check the kernel that you boot: vgapt check --next RELEASE"),
        None => check,
    }
}

fn module(facts: &Facts, kernel: &NextKernel) -> Check {
    let check = |seen: &str| check("next-vfio-module", "vfio-pci", seen.to_owned());
    match facts.setup.vfio.get(&kernel.release) {
        Some(ModuleState::Missing) => check("is not part of it").missing(
            NextStep::Kernel,
            "it is the driver that makes a device available to a guest",
            host::FULL_KERNEL,
        ),
        Some(ModuleState::BuiltIn) => check("is built into it"),
        Some(ModuleState::Loadable | ModuleState::InUse) => check("is a module of it"),
        None => check("").unknown(&facts.because(&format!("/lib/modules/{}", kernel.release))),
    }
}

/// The parameters of the entries that boot it, whatever this boot has, and what keeps vfio-pci out there.
fn command_line(facts: &Facts, kernel: &NextKernel) -> Vec<Check> {
    let needs = &facts.needs;
    let check = |seen: String| check("next-parameters", "command line", seen);
    let of_another = |entry: &&Entry| {
        let boots = |one: &Kernel| entry.kernel.as_ref().is_some_and(|file| images::is_of(file, one));
        let kernels = &facts.setup.kernels;
        kernels.iter().any(boots) && !kernels.iter().any(|one| one.release == kernel.release && boots(one))
    };
    let entries: Vec<&Entry> = needs.entries.iter().filter(|entry| !of_another(entry)).collect();
    let needed: Vec<&str> = facts.plan.parameters.iter().map(|one| one.token.as_str()).collect();
    if entries.is_empty() {
        return vec![match &needs.loader {
            _ if needed.is_empty() => check("no kernel parameter is needed".to_owned()),
            Err(finding) => check(String::new()).unknown(&finding.message),
            Ok(chosen) => check(String::new()).unknown(&format!("no entry of {} for it could be read", chosen.loader.name)),
        }];
    }
    let mut checks = Vec::new();
    if let Some(entry) = entries.iter().find(|entry| needs.lacking.contains(entry)) {
        let what = difference(entry, &needed);
        checks.push(
            check(format!("{} {what}", entry.source))
                .missing(NextStep::Prepare, "the IOMMU or the binding would not work after the next boot", facts.remedy())
                .by_command(),
        );
    } else if needed.is_empty() {
        checks.push(check("no kernel parameter is needed".to_owned()));
    } else {
        let check = check(format!("has {}", needed.join(" ")));
        checks.push(match facts.regenerating().filter(|_| !needs.lacks_now.is_empty()) {
            Some(command) => check.care(
                "this boot lacks it, and what the next one reads was not looked at, only the file from which it is generated",
                format!("if the host was rebooted since: {}", shell_command(&command.argv)),
            ),
            None => check,
        });
    }
    let off = |entry: &&Entry| Some((entry.source.clone(), binding::switched_off(facts.setup, &Cmdline(entry.cmdline.clone()))?));
    if let Some((source, parameter)) = entries.iter().find_map(off) {
        checks.push(check(format!("{source} says {parameter}, which keeps vfio-pci from being loaded")).missing(
            NextStep::Kernel,
            "without vfio-pci no guest gets the card",
            format!("remove {parameter} from the kernel command line"),
        ));
    }
    checks
}

/// What an entry lacks, or says that turns the IOMMU off.
fn difference(entry: &Entry, needed: &[&str]) -> String {
    let line = Cmdline(entry.cmdline.clone());
    if let Some(name) = line.iommu_off() {
        return format!("says {name}=off");
    }
    let lacking: Vec<&str> = needed.iter().filter(|token| !says(&line, token)).copied().collect();
    boot::lacks_and_says(&lacking)
}

/// Its initramfs: whether there is one, and for early binding what is in it.
fn image(facts: &Facts, kernel: &NextKernel) -> Vec<Check> {
    let of = |one: &Kernel| !images::of_kernel(facts.setup, one).is_empty();
    let (its, others): (Vec<&Kernel>, Vec<&Kernel>) = facts.setup.kernels.iter().partition(|one| one.release == kernel.release);
    if !its.iter().any(|one| of(one)) && others.iter().any(|one| of(one)) {
        let check = check("next-initramfs", "initramfs", format!("there is none for {}", kernel.release));
        let remedy = "generate it, as the update of the kernel should have";
        return vec![check.missing(NextStep::Kernel, "the kernel may not boot, or boots without the early binding", remedy)];
    }
    kernels::initramfs(facts, For::NextBoot)
}

/// A list of dracut with two words in one, behind which its image lacks modules.
fn joined_words(facts: &Facts) -> Option<Check> {
    let finding = facts.finding("dracut-list")?;
    Some(binding::refused(facts, finding, finding.severity > Severity::Warning))
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
