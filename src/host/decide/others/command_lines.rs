//! The kernel command line: that of this boot, and what is configured for the next ones.

use strsim::levenshtein;

use super::external::{DRIVERS, ExternalBinding, Lapse, ModuleBlocker};
use super::modules::with;
use crate::host::decide::bound::bound;
use crate::host::decide::drivers;
use crate::host::decide::loaders::{self, BOOTED, Entry, FOLDERS, MADE_FROM, NEW_KERNELS};
use crate::host::plan::is_ours;
use crate::host::text::shell;
use crate::model::{Cmdline, ConfigFiles, Finding, Host, Setup};

/// A parameter in a configuration file.
struct Written<'a> {
    path: &'a str,
    /// The file and the line.
    place: String,
    token: &'a str,
    /// Its name, with underscores.
    name: String,
    value: &'a str,
}

/// All `name=value` parameters in the files that the boot loader of this host reads, and those in the other files.
fn by_loader<'a>(host: &Host, setup: &'a Setup) -> (Vec<Written<'a>>, Vec<Written<'a>>, Option<&'static str>) {
    let written = written(&setup.files);
    let Ok(chosen) = loaders::chosen(host, setup) else { return (written, Vec::new(), None) };
    let (read, unread) = written.into_iter().partition(|one| loaders::reads(chosen.loader.kind, setup, one.path));
    (read, unread, Some(chosen.loader.name))
}

/// All `name=value` parameters in the files, beginning with those from which command lines are generated.
fn written(files: &ConfigFiles) -> Vec<Written<'_>> {
    let of = |paths: &'static [&'static str]| paths.iter().filter_map(|path| Some((*path, files.text_lossy(path)?)));
    let folders = FOLDERS.iter().flat_map(|(folder, ending)| files.texts_lossy(folder, ending));
    let mut found = Vec::new();
    for (path, text) in of(&MADE_FROM).chain(folders).chain(of(&BOOTED)) {
        // vgapt's own entry that boots without the binding does not count.
        if is_ours(text) || path.contains("rescue") {
            continue;
        }
        for (index, line, _) in loaders::own_lines(text) {
            let tokens: Vec<&str> = shell::without_comment(line).split(|c: char| c.is_whitespace() || c == '"' || c == '\'').collect();
            if line.contains("GRUB_CMDLINE_LINUX_RECOVERY") || loaders::is_rescue(tokens.iter().copied()) {
                continue;
            }
            // kmod and dracut read what is for init, too, the kernel does not.
            let of_kernel = tokens.iter().position(|token| *token == "--").unwrap_or(tokens.len());
            let is_read =
                |(index, token): &(usize, &str)| *index < of_kernel || token.split('=').next().is_some_and(|name| name.contains('.'));
            let known =
                tokens.into_iter().enumerate().filter(is_read).map(|(_, token)| token).filter_map(|token| Some((token, parameter(token)?)));
            let place = || format!("{path}, line {}", index + 1);
            found.extend(known.map(|(token, (name, value))| Written { path, place: place(), token, name, value }));
        }
    }
    found
}

/// The parameters of the kinds that vgapt sets, each with its place; whose they are is not known. Generated files are left out.
pub fn of_our_kinds(files: &ConfigFiles) -> Vec<String> {
    const KINDS: [&str; 6] = ["intel_iommu", "vfio_pci.ids", "hugepagesz", "hugepages", "isolcpus", "nohz_full"];
    let is_one = |one: &Written<'_>| KINDS.contains(&one.name.as_str()) && !one.path.ends_with("/grub.cfg");
    written(files).into_iter().filter(is_one).map(|one| format!("{} ({})", one.token, one.place)).collect()
}

fn parameter(token: &str) -> Option<(String, &str)> {
    let (name, value) = token.split_once('=')?;
    // `GRUB_CMDLINE_LINUX=name=value`, without quotes.
    let is_variable = name.starts_with(|c: char| c.is_ascii_uppercase());
    let (name, value) = value.split_once('=').filter(|_| is_variable).unwrap_or((name, value));
    Some((name.replace('-', "_"), value))
}

/// The ids on the running kernel's command line, with the file that sets them if there is one, and those of the next boot.
pub(super) fn ids(host: &Host, setup: &Setup) -> Vec<ExternalBinding> {
    let (written, _, _) = by_loader(host, setup);
    let next = Following::of(host, setup);
    let mut found = Vec::new();
    for driver in DRIVERS {
        let name = format!("{driver}.ids");
        let written: Vec<&Written<'_>> = written.iter().filter(|one| one.name == name).collect();
        let lapse = |value: &str| next.as_ref()?.lapse(&name, value, &written);
        let binding = |place: &str, token: &str| ExternalBinding::new(place.to_owned(), token).by_ids(driver).parameter(setup);
        let mut told: Vec<&str> = Vec::new();
        let is_it = |token: &&str| token.replace('-', "_").starts_with(&format!("{name}="));
        let running = host.platform.cmdline.as_ref().and_then(|line| line.of_modules().filter(is_it).last());
        if let Some((token, value)) = running.and_then(|token| Some((token, token.split_once('=')?.1))) {
            told.push(value);
            let running = "the kernel's command line";
            let place = written.first().map_or_else(|| running.to_owned(), |one| format!("{}, and {running}", one.place));
            // The boot entry of an installed kernel has it, but the file from which new entries are generated does not.
            let only_in_entries = !written.is_empty() && written.iter().all(|one| one.path.contains("/loader/entries/"));
            let fades = only_in_entries && setup.files.exists(NEW_KERNELS);
            if !are_own_ids(setup, &name, value) {
                found.push(with(ExternalBinding { fades, lapse: lapse(value), ..binding(&place, token) }, host, value));
            }
        }
        for one in &written {
            if !told.contains(&one.value) && !are_own_ids(setup, &name, one.value) {
                told.push(one.value);
                found.push(with(ExternalBinding { lapse: lapse(one.value), ..binding(&one.place, one.token) }, host, one.value));
            }
        }
    }
    found
}

/// From what the command line of the next boot comes.
struct Following {
    /// The files from which the boot entries are generated, where they are.
    sources: Vec<&'static str>,
    /// What can be booted next, recovery entries left out; only the default where that is known.
    entries: Vec<Entry>,
}

impl Following {
    /// `None` where that is not known.
    fn of(host: &Host, setup: &Setup) -> Option<Self> {
        let loader = loaders::chosen(host, setup).ok()?.loader;
        let sources = (loader.made_from)(setup);
        let mut entries = loader.next_boot(setup);
        entries.retain(|entry| !entry.is_recovery());
        if let Some(default) = loaders::default_entry(setup, &entries).and_then(|default| default.entry) {
            entries = vec![default.clone()];
        }
        let is_read =
            |source: &&str| setup.files.0.range((*source).to_owned()..).any(|(path, file)| path.starts_with(*source) && file.text.is_ok());
        (sources.iter().all(is_read) && !entries.is_empty()).then_some(Self { sources, entries })
    }

    /// Why a parameter is not there at the next boot, if that is so.
    fn lapse(&self, name: &str, value: &str, written: &[&Written<'_>]) -> Option<Lapse> {
        let has_it =
            |entry: &Entry| Cmdline(entry.cmdline.clone()).of_modules().filter_map(parameter).any(|one| one == (name.to_owned(), value));
        let (by_hand, generated): (Vec<&Entry>, Vec<&Entry>) = self.entries.iter().partition(|entry| entry.by_hand.is_some());
        let in_source = written.iter().any(|one| one.value == value && self.sources.iter().any(|source| one.path.starts_with(source)));
        if by_hand.into_iter().any(has_it) || (in_source && !generated.is_empty()) {
            return None;
        }
        if let Some(source) = self.sources.first().filter(|_| !generated.is_empty()) {
            let because = format!("{source}, from which the boot entries are generated, lacks it");
            return Some(Lapse::Lost { because, source: Some(source), everywhere: true });
        }
        let lacking = self.entries.iter().find(|_| !self.entries.iter().any(has_it))?;
        let because = match self.entries.len() {
            1 => format!("{}, which boots next, lacks it", lacking.source),
            _ => "no entry that can be booted next has it".to_owned(),
        };
        let everywhere = !written.iter().any(|one| one.value == value);
        Some(Lapse::Lost { because, source: None, everywhere })
    }
}

/// Whether a parameter of this or the next boot loads vfio-pci (dracut.cmdline(7), systemd-modules-load.service(8)).
pub(super) fn loading(host: &Host, setup: &Setup) -> bool {
    const NAMES: [&str; 3] = ["rd.driver.pre", "modules_load", "rd.modules_load"];
    let is_said = |name: &str, value: &str| NAMES.contains(&name) && value.split(',').any(|module| module.replace('-', "_") == "vfio_pci");
    let (written, _, _) = by_loader(host, setup);
    let running = host.platform.cmdline.iter().flat_map(Cmdline::of_modules).filter_map(parameter);
    written.iter().any(|one| is_said(&one.name, one.value)) || running.into_iter().any(|(name, value)| is_said(&name, value))
}

/// If vfio-pci is built in, vgapt's own ids are on the command line too.
fn are_own_ids(setup: &Setup, name: &str, value: &str) -> bool {
    let ours: Vec<String> = bound(setup).iter().map(|bound| bound.id.to_string()).collect();
    name == "vfio_pci.ids"
        && setup.is_built_in("vfio_pci")
        && value.split(',').all(|id| ours.iter().any(|known| known.eq_ignore_ascii_case(id)))
}

/// The kernel parameters of this or the next boot that prevent one of these modules from loading.
pub(super) fn keeping_out(host: &Host, setup: &Setup, is_one: impl Fn(&str) -> bool) -> Vec<ModuleBlocker> {
    const NAMES: [&str; 4] = ["module_blacklist", "modprobe.blacklist", "rd.driver.blacklist", "blacklist"];
    let is_said = |name: &str, value: &str| NAMES.contains(&name) && value.split(',').any(&is_one);
    let (written, _, _) = by_loader(host, setup);
    let written = written.into_iter().filter(|one| is_said(&one.name, one.value));
    let mut found: Vec<ModuleBlocker> = written.map(|one| ModuleBlocker { place: one.place, words: one.token.to_owned() }).collect();
    let is_running = |token: &&str| parameter(token).is_some_and(|(name, value)| is_said(&name, value));
    let running = host.platform.cmdline.as_ref().and_then(|line| line.of_modules().find(is_running)).filter(|_| found.is_empty());
    found.extend(running.map(|token| ModuleBlocker { place: "the kernel's command line".to_owned(), words: token.to_owned() }));
    found
}

/// Parameters that bind devices, block modules or are for the IOMMU, in files that the boot loader of this host does not read.
pub(super) fn not_read(host: &Host, setup: &Setup) -> Vec<Finding> {
    const OF_IOMMU: [&str; 4] = ["intel_iommu", "amd_iommu", "iommu", "pcie_acs_override"];
    let (_, unread, Some(loader)) = by_loader(host, setup) else { return Vec::new() };
    let running = host.platform.cmdline.clone().unwrap_or_default();
    // What this boot has by other means is only left over.
    let is_missed = |one: &Written<'_>| OF_IOMMU.contains(&one.name.as_str()) && running.get(&one.name).is_none();
    let counts = |one: &&Written<'_>| {
        is_missed(one)
            || DRIVERS.iter().any(|driver| one.name == format!("{driver}.ids"))
            || !drivers::kept_out(setup, &one.name, one.value).is_empty()
    };
    let mut lines: Vec<(&str, String)> = Vec::new();
    for one in unread.iter().filter(counts) {
        match lines.iter_mut().find(|(place, _)| *place == one.place) {
            Some((_, tokens)) => tokens.push_str(&format!(" {}", one.token)),
            None => lines.push((&one.place, one.token.to_owned())),
        }
    }
    let finding = |(place, tokens): &(&str, String)| {
        Finding::warning(
            "not-read",
            format!("{place} says `{tokens}`, which has no effect: {loader} boots this host and does not read that file"),
            format!("nothing; remove it from {place} if nothing else reads that file"),
        )
    };
    lines.iter().map(finding).collect()
}

/// Parameters of passthrough, and the values that the kernel knows where it knows only these
/// (Documentation/admin-guide/kernel-parameters.txt, and the drivers of the IOMMUs).
const KNOWN: [(&str, &[&str]); 16] = [
    ("intel_iommu", &["on", "off", "igfx_off", "forcedac", "strict", "sp_off", "sm_on", "sm_off", "nobounce", "tboot_noforce"]),
    ("amd_iommu", &["on", "off", "fullflush", "force_enable", "force_isolation", "pgtbl_v1", "pgtbl_v2", "nohugepages", "irtcachedis"]),
    (
        "iommu",
        &[
            "on",
            "off",
            "force",
            "noforce",
            "biomerge",
            "merge",
            "nomerge",
            "soft",
            "pt",
            "nopt",
            "panic",
            "nopanic",
            "forcedac",
            "usedac",
            "allowdac",
            "fullflush",
            "strict",
        ],
    ),
    ("iommu.passthrough", &[]),
    ("iommu.strict", &[]),
    ("vfio_pci.ids", &[]),
    ("vfio_pci.disable_vga", &[]),
    ("pci_stub.ids", &[]),
    ("pcie_acs_override", &[]),
    ("module_blacklist", &[]),
    ("modprobe.blacklist", &[]),
    ("rd.driver.pre", &[]),
    ("rd.driver.blacklist", &[]),
    ("default_hugepagesz", &[]),
    ("hugepagesz", &[]),
    ("hugepages", &[]),
];

/// The name or the value that was probably meant, where a letter is wrong or the letters are in another order.
fn meant(name: &str, value: &str) -> Option<String> {
    let is_near = |one: &str, other: &str| {
        let letters = |word: &str| {
            let mut letters: Vec<char> = word.chars().collect();
            letters.sort_unstable();
            letters
        };
        one != other && (levenshtein(one, other) == 1 || letters(one) == letters(other))
    };
    let Some((_, values)) = KNOWN.iter().find(|(known, _)| *known == name) else {
        // Shorter names are near to too many others.
        let near = KNOWN.iter().find(|(known, _)| name.len() > 4 && is_near(known, name));
        return near.map(|(known, _)| format!("{known}={value}"));
    };
    let wrong = value.split(',').find(|item| !values.is_empty() && !values.contains(item))?;
    let near = values.iter().find(|known| is_near(known, wrong))?;
    let items: Vec<&str> = value.split(',').map(|item| if item == wrong { near } else { item }).collect();
    Some(format!("{name}={}", items.join(",")))
}

/// Parameters of this or the next boot that the kernel does not know, and that are nearly one of passthrough.
pub(super) fn misspelt(host: &Host, setup: &Setup) -> Vec<Finding> {
    let mut told: Vec<(String, String, String)> = Vec::new();
    let mut tell = |place: &str, token: &str, name: &str, value: &str| {
        let Some(meant) = meant(name, value).filter(|_| !told.iter().any(|(_, known, _)| known == token)) else { return };
        told.push((place.to_owned(), token.to_owned(), meant));
    };
    for one in by_loader(host, setup).0 {
        tell(&one.place, one.token, &one.name, one.value);
    }
    for token in host.platform.cmdline.iter().flat_map(Cmdline::parameters) {
        if let Some((name, value)) = parameter(token) {
            tell("the kernel's command line", token, &name, value);
        }
    }
    let finding = |(place, token, meant): (String, String, String)| {
        let message = format!("{place} says `{token}`, which the kernel does not know; {meant} is nearly the same");
        let (file, _) = place.split_once(", line").unwrap_or(("the boot loader's configuration", ""));
        Finding::warning("not-read", message, format!("if {meant} is meant, correct it in {file}, and regenerate the boot entries"))
    };
    told.into_iter().map(finding).collect()
}

/// What keeps vfio-pci from being loaded at the next boot.
pub(super) fn blacklists(host: &Host, setup: &Setup) -> Vec<Finding> {
    let mut told: Vec<(String, &str)> = Vec::new();
    let mut findings = Vec::new();
    for one in by_loader(host, setup).0 {
        let parts = drivers::kept_out(setup, &one.name, one.value).join(",");
        if parts.is_empty() || told.contains(&(one.name.clone(), one.value)) {
            continue;
        }
        findings.push(Finding::blocked(
            "vfio-blacklisted",
            format!(
                "{} says `{}`: from the next boot on it keeps {parts} from being loaded, and nothing is bound to vfio-pci",
                one.place, one.token
            ),
            format!("remove {parts} from {}, regenerate the boot entries, and run vgapt prepare again", one.place),
        ));
        told.push((one.name, one.value));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_vfio_out_at_the_next_boot() {
        for (path, text, line) in [
            ("/etc/default/grub.d/9.cfg", "# x\nGRUB_CMDLINE_LINUX_DEFAULT=\"quiet module_blacklist=vfio_pci,vfio\"\n", 2),
            ("/etc/default/grub", "GRUB_CMDLINE_LINUX=module_blacklist=nouveau,vfio-pci\n", 1),
            ("/etc/kernel/cmdline", "root=1 modprobe.blacklist=vfio-pci\n", 1),
            ("/boot/loader/entries/a.conf", "title a\nlinux /vmlinuz\noptions root=1 module_blacklist=vfio_iommu_type1\n", 3),
            ("/boot/grub/grub.cfg", "menuentry 'a' {\n\tlinux /vmlinuz ro module_blacklist=vfio\n}\n", 2),
        ] {
            let found = blacklists(&Host::default(), &Setup::with_file(path, text));
            assert_eq!(found.len(), 1, "{text}");
            assert!(found[0].message.starts_with(&format!("{path}, line {line} says `")), "{}", found[0].message);
        }
        for (path, text) in [
            ("/etc/default/grub", "#GRUB_CMDLINE_LINUX=\"module_blacklist=vfio\"\nGRUB_CMDLINE_LINUX=\"\" # module_blacklist=vfio\n"),
            (
                "/etc/default/grub",
                "GRUB_CMDLINE_LINUX_DEFAULT=\"module_blacklist=nouveau modprobe.blacklist=vfio initcall_blacklist=vfio_pci_init\"\n",
            ),
            (
                "/boot/grub/custom.cfg",
                "# Written by `vgapt prepare`, taken away by `vgapt undo`.\n linux /vmlinuz module_blacklist=vfio_pci\n",
            ),
            ("/boot/grub/grub.cfg", "menuentry 'a (recovery mode)' {\n\tlinux /vmlinuz ro single module_blacklist=vfio\n}\n"),
        ] {
            assert!(blacklists(&Host::default(), &Setup::with_file(path, text)).is_empty(), "{text}");
        }
    }
}
