//! Limine: `limine.conf`, by hand or made by limine-entry-tool from /etc/default/limine.

use super::{Entry, Loader};
use crate::host::plan::{Command, Edits};
use crate::host::shell::{self, Quotes};
use crate::host::tokens::{self, Want};
use crate::model::{BootLoader, Finding, Host, Setup};

pub(super) static LIMINE: Loader = Loader { kind: BootLoader::Limine, name: "Limine", configured, edit, next, fallback: |_, _, _| None };

pub(super) const PLACES: [&str; 4] = ["/boot/limine.conf", "/boot/limine/limine.conf", "/boot/EFI/limine/limine.conf", "/boot/limine.cfg"];
/// limine-entry-tool's (CachyOS, limine-mkinitcpio-hook).
pub(super) const DEFAULTS: &str = "/etc/default/limine";

/// The keys of a command line: since version 8 `key: value`, before that `KEY=value` (CONFIG.md of Limine).
const KEYS: [&str; 5] = ["kernel_cmdline:", "cmdline:", "KERNEL_CMDLINE=", "CMDLINE=", "KERNEL_CMDLINE:"];

fn configured(setup: &Setup) -> bool {
    PLACES.iter().any(|path| setup.files.exists(path))
}

fn edit(_: &Host, setup: &Setup, wants: &[Want]) -> Result<Edits, Finding> {
    let mut edits = Edits::default();
    if setup.files.legible(DEFAULTS).is_some_and(|text| !keys(text).is_empty()) {
        edits.change(setup, DEFAULTS, "kernel parameters of the entries that limine-entry-tool makes", |text| defaults(text, wants))?;
    }
    for path in PLACES {
        edits.change(setup, path, "kernel parameters of Limine's entries", |text| changed(text, wants))?;
    }
    if next(setup).is_empty() {
        return Err(Finding::fatal(
            "boot-loader",
            "Limine's configuration has no entry with a command line",
            "give the entry a cmdline, and run vgapt prepare again",
        ));
    }
    let maker = ["limine-mkinitcpio", "limine-update"].into_iter().find(|name| setup.has(name) && setup.files.exists(DEFAULTS));
    if let Some(program) = maker.filter(|_| !edits.writes.is_empty()) {
        edits.commands.push(Command::of(&[program], "limine-entry-tool makes the entries").making(PLACES));
    }
    Ok(edits)
}

/// Of each key, for one kernel or for all, the last assignment counts, or adds.
fn defaults(text: &str, wants: &[Want]) -> String {
    keys(text).iter().fold(text.to_owned(), |text, key| with_key(&text, key, wants))
}

/// The keys of command lines that are set: `KERNEL_CMDLINE[default]`, `KERNEL_CMDLINE[linux-lts]`, `KERNEL_CMDLINE["linux"]`.
fn keys(text: &str) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    let lines = text.lines().map(str::trim_start).filter_map(|line| line.strip_prefix("KERNEL_CMDLINE["));
    for key in lines.filter_map(|rest| Some(format!("KERNEL_CMDLINE[{}]", rest.split_once(']')?.0))) {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

fn with_key(text: &str, key: &str, wants: &[Want]) -> String {
    let found = shell::assignments(text, key);
    let said: Vec<&str> = found.iter().map(|one| &text[one.inside.clone()]).collect();
    // What an earlier line says counts where the last one only adds.
    if found.last().is_some_and(|last| last.adds) && tokens::says(&said.join(" "), wants) {
        return text.to_owned();
    }
    match found.last() {
        Some(last) if last.quotes != Quotes::Mixed => shell::replace(text, last, &tokens::with(&text[last.inside.clone()], wants)),
        _ => {
            let line_break = if text.ends_with('\n') { "" } else { "\n" };
            format!("{text}{line_break}{key}+=\" {}\"\n", tokens::with("", wants))
        }
    }
}

/// The initramfs images that the entries load.
pub(super) fn images(setup: &Setup) -> Vec<String> {
    const KEYS: [&str; 3] = ["module_path:", "MODULE_PATH=", "MODULE_PATH:"];
    let texts = PLACES.iter().filter_map(|path| setup.files.text(path));
    let of = |line: &str| {
        KEYS.iter().find_map(|key| line.trim().strip_prefix(key)).map(|value| value.split('#').next().unwrap_or_default().trim().to_owned())
    };
    texts.flat_map(str::lines).filter_map(of).collect()
}

/// The command line in a line of the configuration.
fn value(line: &str) -> Option<&str> {
    let trimmed = line.trim();
    KEYS.iter().find_map(|key| trimmed.strip_prefix(key)).map(str::trim)
}

fn changed(text: &str, wants: &[Want]) -> String {
    text.split_inclusive('\n')
        .map(|line| match value(line) {
            Some("") => format!("{} {}\n", line.trim_end(), tokens::with("", wants)),
            Some(value) => line.replacen(value, &tokens::with(value, wants), 1),
            None => line.to_owned(),
        })
        .collect()
}

fn next(setup: &Setup) -> Vec<Entry> {
    let of = |path: &str| {
        let lines = setup.files.text(path).unwrap_or_default().lines().enumerate();
        lines
            .filter_map(|(index, line)| Some(Entry { source: format!("{path}, line {}", index + 1), cmdline: value(line)?.to_owned() }))
            .collect::<Vec<_>>()
    };
    PLACES.iter().flat_map(|path| of(path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_syntaxes() {
        let wants = [Want::Set("intel_iommu=on".into())];
        let text = "timeout: 5\n/Arch\n    protocol: linux\n    path: boot():/vmlinuz\n    cmdline: root=UUID=1 rw\n";
        assert!(changed(text, &wants).ends_with("    cmdline: root=UUID=1 rw intel_iommu=on\n"));
        assert_eq!(changed(":Arch\nCMDLINE=root=1\n", &wants), ":Arch\nCMDLINE=root=1 intel_iommu=on\n");
        let two = "KERNEL_CMDLINE[default]=\"quiet\"\nKERNEL_CMDLINE[linux-lts]='ro intel_iommu=off'\nKERNEL_CMDLINE[linux-lts]+=\" x\"\n";
        let both = "KERNEL_CMDLINE[default]=\"quiet intel_iommu=on\"\nKERNEL_CMDLINE[linux-lts]='ro intel_iommu=off'\nKERNEL_CMDLINE[linux-lts]+=\" x intel_iommu=on\"\n";
        assert_eq!(defaults(two, &wants), both);
        assert_eq!(defaults(both, &wants), both, "a second time");
        assert_eq!(defaults("KERNEL_CMDLINE[default]+=\"quiet\"\n", &wants), "KERNEL_CMDLINE[default]+=\"quiet intel_iommu=on\"\n");
    }
}
