//! The kernel's command line: that of this boot, and what is written down for the next ones.

use super::Other;
use super::modules::{DRIVERS, with};
use crate::host::loaders::{self, BOOTED, FOLDERS, MADE_FROM};
use crate::host::{binding, plan};
use crate::model::{ConfigFiles, Finding, Host, Setup};

/// A parameter as it is written down.
struct Written<'a> {
    /// The file and the line.
    place: String,
    token: &'a str,
    /// Its name, with underscores.
    name: String,
    value: &'a str,
}

/// All `name=value` of the files, those that command lines are made from first.
fn written(files: &ConfigFiles) -> Vec<Written<'_>> {
    let of = |paths: &'static [&'static str]| paths.iter().filter_map(|path| Some((*path, files.legible(path)?)));
    let folders = FOLDERS.iter().flat_map(|(folder, ending)| files.legible_texts(folder, ending));
    let mut found = Vec::new();
    for (path, text) in of(&MADE_FROM).chain(folders).chain(of(&BOOTED)) {
        // The entry that boots without the binding is one of ours.
        if plan::is_ours(text) || path.contains("rescue") {
            continue;
        }
        for (index, line) in text.lines().enumerate() {
            let tokens: Vec<&str> = code(line).split(|c: char| c.is_whitespace() || c == '"' || c == '\'').collect();
            if line.contains("GRUB_CMDLINE_LINUX_RECOVERY") || loaders::is_rescue(tokens.iter().copied()) {
                continue;
            }
            let known = tokens.into_iter().filter_map(|token| Some((token, parameter(token)?)));
            found.extend(known.map(|(token, (name, value))| Written { place: format!("{path}, line {}", index + 1), token, name, value }));
        }
    }
    found
}

/// A line without its comment.
fn code(line: &str) -> &str {
    let (mut quote, mut before) = (None, ' ');
    for (at, c) in line.char_indices() {
        match (c, quote) {
            ('#', None) if before.is_whitespace() => return &line[..at],
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            _ => {}
        }
        before = c;
    }
    line
}

fn parameter(token: &str) -> Option<(String, &str)> {
    let (name, value) = token.split_once('=')?;
    // `GRUB_CMDLINE_LINUX=name=value`, without quotes.
    let is_variable = name.starts_with(|c: char| c.is_ascii_uppercase());
    let (name, value) = value.split_once('=').filter(|_| is_variable).unwrap_or((name, value));
    Some((name.replace('-', "_"), value))
}

/// The ids of the running kernel's command line, by the file that gives them where one does, and those of the next boot.
pub(super) fn ids(host: &Host, setup: &Setup) -> Vec<Other> {
    let written = written(&setup.files);
    let mut found = Vec::new();
    for driver in DRIVERS {
        let name = format!("{driver}.ids");
        let line = host.platform.cmdline.as_ref();
        let now = line.and_then(|line| Some((line, line.get(&name)?)));
        if let Some((line, value)) = now.filter(|(_, value)| !is_ours(setup, &name, value)) {
            let place = written
                .iter()
                .find(|one| one.name == name)
                .map_or_else(|| "the kernel's command line".to_owned(), |one| format!("{}, and the kernel's command line", one.place));
            let token = line.0.split_ascii_whitespace().rfind(|token| token.replace('-', "_").starts_with(&name)).unwrap_or(&name);
            found.push(with(Other::new(place, token), host, value));
        }
        let mut told: Vec<&str> = now.iter().map(|(_, value)| *value).collect();
        for one in written.iter().filter(|one| one.name == name) {
            if !told.contains(&one.value) && !is_ours(setup, &name, one.value) {
                told.push(one.value);
                found.push(with(Other::new(one.place.clone(), one.token), host, one.value));
            }
        }
    }
    found
}

/// Where vfio-pci is part of the kernel, vgapt's own ids are there too.
fn is_ours(setup: &Setup, name: &str, value: &str) -> bool {
    let ours: Vec<String> = binding::bound(setup).iter().map(|bound| bound.id.to_string()).collect();
    name == "vfio_pci.ids"
        && setup.is_built_in("vfio_pci")
        && value.split(',').all(|id| ours.iter().any(|known| known.eq_ignore_ascii_case(id)))
}

/// What keeps vfio-pci out at the next boot.
pub(super) fn blacklists(setup: &Setup) -> Vec<Finding> {
    let mut told: Vec<(String, &str)> = Vec::new();
    let mut findings = Vec::new();
    for one in written(&setup.files) {
        let parts = binding::kept_out(setup, &one.name, one.value).join(",");
        if parts.is_empty() || told.contains(&(one.name.clone(), one.value)) {
            continue;
        }
        findings.push(Finding::blocker(
            "vfio-blacklisted",
            format!("{} says `{}`: from the next boot on it keeps {parts} out, and nothing is bound to vfio-pci", one.place, one.token),
            format!("take {parts} out of {}, make the boot entries anew, and run vgapt prepare again", one.place),
        ));
        told.push((one.name, one.value));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ConfigFile;

    fn setup(path: &str, text: &str) -> Setup {
        let file = ConfigFile { place: path.into(), mode: 0o644, text: Ok(text.into()) };
        Setup { files: ConfigFiles([(path.to_owned(), file)].into()), ..Setup::default() }
    }

    #[test]
    fn what_keeps_vfio_out_at_the_next_boot() {
        for (path, text, line) in [
            ("/etc/default/grub.d/9.cfg", "# x\nGRUB_CMDLINE_LINUX_DEFAULT=\"quiet module_blacklist=vfio_pci,vfio\"\n", 2),
            ("/etc/default/grub", "GRUB_CMDLINE_LINUX=module_blacklist=nouveau,vfio-pci\n", 1),
            ("/etc/kernel/cmdline", "root=1 modprobe.blacklist=vfio-pci\n", 1),
            ("/boot/loader/entries/a.conf", "title a\nlinux /vmlinuz\noptions root=1 module_blacklist=vfio_iommu_type1\n", 3),
            ("/boot/grub/grub.cfg", "menuentry 'a' {\n\tlinux /vmlinuz ro module_blacklist=vfio\n}\n", 2),
        ] {
            let found = blacklists(&setup(path, text));
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
            assert!(blacklists(&setup(path, text)).is_empty(), "{text}");
        }
    }
}
