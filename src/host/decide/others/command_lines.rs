//! The kernel command line: that of this boot, and what is configured for the next ones.

use super::external::{ExternalBinding, ModuleBlocker};
use super::modules::{DRIVERS, with};
use crate::host::decide::bound::bound;
use crate::host::decide::drivers;
use crate::host::decide::loaders::{self, BOOTED, FOLDERS, MADE_FROM, NEW_KERNELS};
use crate::host::plan::is_ours;
use crate::host::text::shell;
use crate::model::{ConfigFiles, Finding, Host, Setup};

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
            let known = tokens.into_iter().filter_map(|token| Some((token, parameter(token)?)));
            let place = || format!("{path}, line {}", index + 1);
            found.extend(known.map(|(token, (name, value))| Written { path, place: place(), token, name, value }));
        }
    }
    found
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
    let mut found = Vec::new();
    for driver in DRIVERS {
        let name = format!("{driver}.ids");
        let written: Vec<&Written<'_>> = written.iter().filter(|one| one.name == name).collect();
        let binding = |place: &str, token: &str| ExternalBinding::new(place.to_owned(), token).by(driver).parameter(setup);
        let mut told: Vec<&str> = Vec::new();
        if let Some((line, value)) = host.platform.cmdline.as_ref().and_then(|line| Some((line, line.get(&name)?))) {
            told.push(value);
            let running = "the kernel's command line";
            let place = written.first().map_or_else(|| running.to_owned(), |one| format!("{}, and {running}", one.place));
            // The boot entry of an installed kernel has it, but the file from which new entries are generated does not.
            let only_in_entries = !written.is_empty() && written.iter().all(|one| one.path.contains("/loader/entries/"));
            let fades = only_in_entries && setup.files.exists(NEW_KERNELS);
            let token = line.0.split_ascii_whitespace().rfind(|token| token.replace('-', "_").starts_with(&name)).unwrap_or(&name);
            if !are_own_ids(setup, &name, value) {
                found.push(with(ExternalBinding { fades, ..binding(&place, token) }, host, value));
            }
        }
        for one in written {
            if !told.contains(&one.value) && !are_own_ids(setup, &name, one.value) {
                told.push(one.value);
                found.push(with(binding(&one.place, one.token), host, one.value));
            }
        }
    }
    found
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
    let running = host.platform.cmdline.as_ref().map(|line| line.0.as_str()).unwrap_or_default();
    let is_running = |token: &&str| parameter(token).is_some_and(|(name, value)| is_said(&name, value));
    let running = running.split_ascii_whitespace().find(is_running).filter(|_| found.is_empty());
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
