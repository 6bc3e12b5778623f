//! Limine: `limine.conf`, by hand or made by limine-entry-tool from /etc/default/limine.

use super::{Entry, Loader};
use crate::host::plan::{Command, Edits};
use crate::host::shell::{self, Quotes};
use crate::host::tokens::{self, Want};
use crate::model::{BootLoader, Finding, Host, Setup};

pub(super) static LIMINE: Loader = Loader { kind: BootLoader::Limine, name: "Limine", configured, edit, next, fallback: |_, _, _| None };

const PLACES: [&str; 4] = ["/boot/limine.conf", "/boot/limine/limine.conf", "/boot/EFI/limine/limine.conf", "/boot/limine.cfg"];
/// limine-entry-tool's (CachyOS, limine-mkinitcpio-hook).
const DEFAULTS: &str = "/etc/default/limine";
const DEFAULT_CMDLINE: &str = "KERNEL_CMDLINE[default]";

/// The keys of a command line: since version 8 `key: value`, before that `KEY=value` (CONFIG.md of Limine).
const KEYS: [&str; 5] = ["kernel_cmdline:", "cmdline:", "KERNEL_CMDLINE=", "CMDLINE=", "KERNEL_CMDLINE:"];

fn configured(setup: &Setup) -> bool {
    PLACES.iter().any(|path| setup.files.exists(path))
}

fn edit(_: &Host, setup: &Setup, wants: &[Want]) -> Result<Edits, Finding> {
    let mut edits = Edits::default();
    if setup.files.text(DEFAULTS).is_some_and(|text| text.contains(DEFAULT_CMDLINE)) {
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

/// The last assignment counts, or adds.
fn defaults(text: &str, wants: &[Want]) -> String {
    match shell::assignments(text, DEFAULT_CMDLINE).last() {
        Some(last) if last.quotes != Quotes::Mixed => shell::replace(text, last, &tokens::with(&text[last.inside.clone()], wants)),
        _ => {
            let line_break = if text.ends_with('\n') { "" } else { "\n" };
            format!("{text}{line_break}{DEFAULT_CMDLINE}+=\" {}\"\n", tokens::with("", wants))
        }
    }
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
        assert_eq!(defaults("KERNEL_CMDLINE[default]+=\"quiet\"\n", &wants), "KERNEL_CMDLINE[default]+=\"quiet intel_iommu=on\"\n");
    }
}
