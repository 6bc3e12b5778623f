//! Entries of the Boot Loader Specification (type 1): one file each, with `options` for the kernel.

use super::cmdline;
use super::loader::{Entry, FALLBACK};
use crate::host::decide::modprobe;
use crate::host::plan::Edits;
use crate::host::text::shell;
use crate::host::text::tokens::{self, ParameterChange};
use crate::model::{Cmdline, Finding, Host, Setup};

/// The parameters that kernel-install sets for new kernels.
pub(in crate::host::decide) const NEW_KERNELS: &str = "/etc/kernel/cmdline";
pub(super) const WHY_NEW: &str = "kernel parameters of kernels that are installed later, and of regenerated entries";
/// The distribution's default for them.
pub(super) const SHIPPED: &str = "/usr/lib/kernel/cmdline";
/// The entries that GRUB's `blscfg` reads, and those of ostree.
pub(super) const ENTRIES: &str = "/boot/loader/entries";
/// Added to the title of the entry that boots as before vgapt.
pub(super) const WITHOUT: &str = "(without vgapt)";

/// The Linux entries in a directory, each with its kernel parameters.
pub(super) fn entries(setup: &Setup, directory: &str) -> Vec<Entry> {
    setup
        .files
        .texts(directory, ".conf")
        .filter(|(path, text)| is_linux(text) && !path.ends_with(FALLBACK))
        .map(|(path, text)| Entry {
            source: path.to_owned(),
            cmdline: options(text).join(" "),
            kernel: text.lines().find_map(|line| value(line, "linux")).map(str::to_owned),
            ..Entry::default()
        })
        .collect()
}

/// Changes each entry of a directory.
pub(super) fn edit_entries(
    host: &Host,
    setup: &Setup,
    directory: &str,
    wants: &[ParameterChange],
    edits: &mut Edits,
) -> Result<(), Finding> {
    let (recovery, usual): (Vec<Entry>, Vec<Entry>) = entries(setup, directory).into_iter().partition(Entry::is_recovery);
    // Where only an entry for recovery goes without them, that is left as it is.
    let only_recovery = !usual.is_empty() && !usual.iter().any(|entry| entry.lacks(wants));
    for (path, file) in setup.files.below(directory, ".conf") {
        let is_left = only_recovery && recovery.iter().any(|entry| entry.source == path);
        if file.text.as_deref().is_ok_and(|text| !is_linux(text)) || path.ends_with(FALLBACK) || is_left {
            continue;
        }
        let other = file.text.as_deref().ok().and_then(|text| other_root(host, text));
        let why = other.map_or_else(
            || "kernel parameters of an installed kernel".to_owned(),
            |root| {
                format!(
                    "kernel parameters of an installed kernel, whose root file system is written otherwise than that of this boot ({root})"
                )
            },
        );
        edits.change(setup, path, &why, |text| changed(text, wants))?;
    }
    Ok(())
}

/// Changes the parameters of new kernels. If they are not configured, kernel-install uses the running kernel's, so a
/// kernel that is installed, or an entry that is regenerated, before the next boot would lack vgapt's.
pub(super) fn edit_new_kernels(
    host: &Host,
    setup: &Setup,
    directory: &str,
    wants: &[ParameterChange],
    edits: &mut Edits,
) -> Result<(), Finding> {
    if setup.files.exists(NEW_KERNELS) {
        return edits.change(setup, NEW_KERNELS, WHY_NEW, |text| cmdline::with(text, wants));
    }
    let running = host.platform.cmdline.clone().unwrap_or_default().0;
    let release = host.platform.kernel.as_deref().filter(|_| setup.has("kernel-install") && !tokens::has_all(&running, wants));
    let made = |entry: &Entry| release.is_some_and(|release| entry.source.contains(release));
    let shipped = setup.files.text(SHIPPED).map(cmdline::joined).filter(|_| release.is_some());
    let Some(line) = shipped.or_else(|| entries(setup, directory).into_iter().find(made).map(|entry| entry.cmdline)) else { return Ok(()) };
    if line.contains("$kernelopts") {
        return Ok(());
    }
    // Variables belong to GRUB, and kernel-install adds the machine id.
    let kept: Vec<&str> =
        line.split_whitespace().filter(|token| !token.starts_with('$') && !token.starts_with("systemd.machine_id=")).collect();
    edits.write(setup, NEW_KERNELS, format!("{}\n", tokens::with(&kept.join(" "), wants)), 0o644, WHY_NEW)
}

/// The root file system of an entry, where it is not the one of this boot: the entry may be of another system.
fn other_root(host: &Host, text: &str) -> Option<String> {
    let line = Cmdline(options(text).join(" "));
    let (running, root) = (host.platform.cmdline.as_ref()?.get("root")?, line.get("root")?);
    (root != running).then(|| format!("root={root}"))
}

/// The entry that booted; else the one that the loader's configuration names; else the last that has the root file system of this
/// boot, which is the newest kernel's.
fn usual<'a>(host: &Host, setup: &'a Setup, directory: &'a str) -> Option<&'a str> {
    let all = || setup.files.texts(directory, ".conf").filter(|(path, text)| !path.ends_with(FALLBACK) && is_linux(text));
    let booted = all().filter(|(_, text)| has_booted(host, text)).last();
    let named = || {
        let configuration = setup.files.text_lossy(&format!("{}/loader.conf", directory.strip_suffix("/entries")?))?;
        let pattern = configuration.lines().find_map(|line| value(line, "default"))?;
        let is_named = |path: &str| {
            let name = path.rsplit('/').next().unwrap_or_default();
            [name, name.trim_end_matches(".conf")].iter().any(|name| modprobe::fits(pattern, name))
        };
        all().filter(|(path, _)| is_named(path)).last()
    };
    let of_root = || all().filter(|(_, text)| other_root(host, text).is_none()).last();
    booted.or_else(named).or_else(of_root).or_else(|| all().last()).map(|(_, text)| text)
}

/// Whether this boot has an entry's parameters, and its kernel or its initramfs: GRUB writes the kernel on the command line
/// (`BOOT_IMAGE=`), systemd-boot the initramfs (`initrd=`), kernel-install names the files after the release.
fn has_booted(host: &Host, text: &str) -> bool {
    let Some(running) = &host.platform.cmdline else { return false };
    let says = |token: &str| token.starts_with('$') || running.parameters().any(|one| one == token);
    let file = |token: &str| token.replace('\\', "/").rsplit(['=', ')']).next().map(str::to_owned).unwrap_or_default();
    let files = |name: &str| running.parameters().filter(|token| token.starts_with(name)).map(file).collect::<Vec<_>>();
    let of_entry = |key: &'static str| text.lines().filter_map(move |line| value(line, key)).flat_map(str::split_whitespace);
    let (kernels, images) = (files("BOOT_IMAGE="), files("initrd="));
    let is_booted = if !kernels.is_empty() {
        of_entry("linux").any(|kernel| kernels.iter().any(|known| known == kernel))
    } else if !images.is_empty() {
        of_entry("initrd").eq(images.iter().map(String::as_str))
    } else {
        let release = host.platform.kernel.as_deref().filter(|release| !release.is_empty());
        release.is_some_and(|release| of_entry("linux").any(|kernel| kernel.contains(release)))
    };
    is_booted && options(text).iter().flat_map(|line| line.split_whitespace()).all(says)
}

/// An entry that boots as before vgapt: a copy of the usual one. It is created once, and removed by `vgapt undo`.
pub(super) fn fallback(
    host: &Host,
    setup: &Setup,
    directory: &str,
    wants: &[ParameterChange],
    off: Option<&str>,
) -> Option<(String, String)> {
    let path = format!("{directory}/{FALLBACK}");
    if setup.files.exists(&path) {
        return None;
    }
    let text = usual(host, setup, directory)?;
    let line = |line: &str| match line.split_whitespace().next() {
        Some("title") => format!("{} {WITHOUT}\n", line.trim_end()),
        Some("options") => as_before(line, wants, off) + "\n",
        // Without a sort-key it sorts after all entries that have one.
        Some("sort-key") => String::new(),
        _ => format!("{line}\n"),
    };
    Some((path, format!("# Written by `vgapt prepare`, taken away by `vgapt undo`.\n{}", text.lines().map(line).collect::<String>())))
}

/// A line with kernel parameters as it was before vgapt's changes, with the early binding disabled.
pub(super) fn as_before(line: &str, wants: &[ParameterChange], off: Option<&str>) -> String {
    let line = tokens::without(line, wants);
    off.map_or_else(|| line.clone(), |off| tokens::with(&line, &[ParameterChange::Set(off.to_owned())]))
}

fn is_linux(text: &str) -> bool {
    text.lines().any(|line| value(line, "linux").is_some())
}

/// The initramfs images that the entries of a directory name.
pub(super) fn images(setup: &Setup, directory: &str) -> Vec<String> {
    let lines = setup.files.texts(directory, ".conf").flat_map(|(_, text)| text.lines()).filter_map(|line| value(line, "initrd"));
    lines.flat_map(str::split_whitespace).filter(|word| !word.starts_with('$')).map(str::to_owned).collect()
}

fn options(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| value(line, "options")).collect()
}

fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let rest = line.trim_start().strip_prefix(key)?;
    rest.starts_with([' ', '\t']).then(|| rest.trim())
}

/// Several `options` lines are combined, so what is missing is added to the last one.
fn changed(text: &str, wants: &[ParameterChange]) -> String {
    let all = options(text);
    let elsewhere = all.iter().any(|line| line.split_whitespace().any(|token| token == "$kernelopts"));
    let missing = !elsewhere && !tokens::has_all(&all.join(" "), wants);
    // What follows `--` is for init.
    let last = all.iter().position(|line| cmdline::is_for_init(line)).map_or(all.len(), |index| index + 1);
    let mut seen = 0;
    let mut changed: String = text
        .split_inclusive('\n')
        .map(|line| {
            let Some(value) = value(line, "options") else { return line.to_owned() };
            seen += 1;
            let edited = if seen == last && missing { tokens::with(value, wants) } else { tokens::without_opposites(value, wants) };
            if value.is_empty() { format!("options {edited}\n") } else { line.replacen(value, &edited, 1) }
        })
        .collect();
    if last == 0 && missing {
        changed = shell::with_line(&changed, &format!("options {}", tokens::with("", wants)));
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_changes_in_its_options_only() {
        let wants = [ParameterChange::Set("intel_iommu=on".into())];
        let head = "title Fedora\nversion 6.11\nlinux /vmlinuz-6.11\n";
        for (before, after) in [
            ("options root=UUID=1 ro rhgb quiet\n", "options root=UUID=1 ro rhgb quiet intel_iommu=on\n"),
            ("options\troot=1  ro \n", "options\troot=1  ro intel_iommu=on \n"),
            ("options a\noptions b\n", "options a\noptions b intel_iommu=on\n"),
            ("options a -- b\noptions c\n", "options a intel_iommu=on -- b\noptions c\n"),
            ("options intel_iommu=on\noptions b\n", "options intel_iommu=on\noptions b\n"),
            ("options a intel_iommu=off\n", "options a intel_iommu=on\n"),
            ("", "options intel_iommu=on\n"),
            ("options root=1", "options root=1 intel_iommu=on"),
            ("options $kernelopts $tuned_params\n", "options $kernelopts $tuned_params\n"),
        ] {
            assert_eq!(changed(&format!("{head}{before}"), &wants), format!("{head}{after}"));
        }
    }
}
