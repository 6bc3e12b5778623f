//! Arch's mkinitcpio: two arrays of its configuration.

use super::tool::{Inclusion, Tool, WHY};
use crate::host::plan::{Command, Edits, text_of};
use crate::host::text::shell::{self, Assignment};
use crate::model::{Finding, InitramfsTool, Setup};

pub(super) static MKINITCPIO: Tool = Tool {
    kind: InitramfsTool::Mkinitcpio,
    program: "mkinitcpio",
    lister: "lsinitcpio",
    files,
    loaded,
    regenerate: |setup, _| Ok(regenerate(setup)),
};

const CONFIGURATION: &str = "/etc/mkinitcpio.conf";
/// Read after it, in the order of names.
const MORE: &str = "/etc/mkinitcpio.conf.d";

fn files(setup: &Setup, inclusion: &Inclusion) -> Result<Edits, Finding> {
    let mut edits = Edits::default();
    if let Some((preset, own)) = other_configuration(setup).filter(|_| !inclusion.modules.is_empty()) {
        return Err(Finding::error(
            "initramfs",
            format!("{preset} has images made from {own}, and mkinitcpio does not read {CONFIGURATION} for them"),
            format!(
                "move what {own} has into {CONFIGURATION}, remove the line that names {own} from {preset}, and run vgapt prepare again; or leave the card with the host until the domain starts: --bind start"
            ),
        ));
    }
    let first = setup.files.0.get_key_value(CONFIGURATION).map(|(path, file)| (path.as_str(), file));
    let mut texts = Vec::new();
    for (path, file) in first.into_iter().chain(setup.files.below(MORE, ".conf")) {
        texts.push((path, text_of(path, file)?.to_owned()));
    }
    if texts.is_empty() {
        texts.push((CONFIGURATION, String::new()));
    }
    include(&mut texts, "MODULES", &inclusion.modules);
    include(&mut texts, "FILES", &inclusion.files);
    for (path, text) in texts {
        edits.write(setup, path, text, 0o644, WHY)?;
    }
    Ok(edits)
}

fn loaded(setup: &Setup) -> Option<Vec<String>> {
    let modules = array(setup, "MODULES")?;
    Some(modules.iter().map(|word| word.trim_end_matches('?').replace('-', "_")).collect())
}

/// The hooks that its configuration names; `None` where that is not known.
pub(in crate::host::decide) fn hooks(setup: &Setup) -> Option<Vec<String>> {
    array(setup, "HOOKS").filter(|hooks| !hooks.is_empty())
}

/// Whether its images have this file of modprobe's configuration; `None` where that is not known.
pub(in crate::host::decide) fn includes(setup: &Setup, path: &str) -> Option<bool> {
    let (hooks, files) = (hooks(setup)?, array(setup, "FILES")?);
    Some(hooks.iter().any(|hook| hook == "modconf") || files.iter().any(|file| file == path))
}

/// The words of an array of its configuration; `None` where that is not known.
fn array(setup: &Setup, name: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    for (_, text) in configurations(setup) {
        for one in shell::assignments(text, name) {
            let named = words_in(&text[one.inside.clone()]);
            match (one.certain, one.adds) {
                (false, _) => return None,
                (true, true) => words.extend(named),
                (true, false) => words = named,
            }
        }
    }
    Some(words).filter(|_| other_configuration(setup).is_none())
}

/// The files that it reads, in this order.
fn configurations(setup: &Setup) -> impl Iterator<Item = (&str, &str)> {
    let main = setup.files.text_lossy(CONFIGURATION).map(|text| (CONFIGURATION, text));
    main.into_iter().chain(setup.files.texts_lossy(MORE, ".conf"))
}

/// A preset that names another configuration, and which: mkinitcpio gets it as `--config` ("About presets" in its man page).
fn other_configuration(setup: &Setup) -> Option<(&str, &str)> {
    of_presets(setup, "config").find(|(_, own)| !own.is_empty() && *own != CONFIGURATION)
}

/// What the presets set for this, such as `default_options`, each with its file; a fallback may differ.
pub(in crate::host::decide) fn of_presets<'a>(setup: &'a Setup, what: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    setup.files.texts_lossy("/etc/mkinitcpio.d", ".preset").flat_map(move |(path, text)| {
        let presets = shell::assignments(text, "PRESETS");
        let mut names = presets.last().map_or_else(Vec::new, |last| words_in(&text[last.inside.clone()]));
        names.push("ALL".to_owned());
        let names = names.into_iter().filter(|name| name != "fallback");
        let own = names.filter_map(move |name| shell::assignments(text, &format!("{name}_{what}")).pop());
        own.map(move |own| (path, text[own.inside].trim_matches(['"', '\'', '(', ')'])))
    })
}

/// If limine-mkinitcpio-hook is installed, it builds the images that are booted, and mkinitcpio has no presets.
fn regenerate(setup: &Setup) -> Command {
    const LIMINE: [&str; 1] = ["limine-mkinitcpio"];
    if setup.has(LIMINE[0]) && setup.files.below("/etc/mkinitcpio.d", ".preset").next().is_none() {
        let mut command = Command::of(&LIMINE, WHY).making(["/boot/limine.conf"]);
        // Its images are in a directory named after the machine id; they are built again instead of restored from copies.
        command.undo = Some(command.argv.clone());
        return command;
    }
    Command::of(&["mkinitcpio", "-P"], WHY).making(["/boot/initramfs-", "/boot/EFI/Linux/", "/boot/efi/EFI/Linux/", "/efi/EFI/Linux/"])
}

/// Adds words to the last assignment, before the present ones: modules are loaded in this order.
fn include(texts: &mut [(&str, String)], name: &str, words: &[&str]) {
    let last = texts.iter().rposition(|(_, text)| !shell::assignments(text, name).is_empty());
    let text = &mut texts[last.unwrap_or(0)].1;
    let found = shell::assignments(text, name);
    let assignment = found.last();
    let there: Vec<String> = found.iter().flat_map(|one| words_in(&text[one.inside.clone()])).collect();
    let missing: Vec<&str> = words.iter().copied().filter(|word| !there.iter().any(|known| known == word)).collect();
    if missing.is_empty() {
        return;
    }
    let missing = missing.join(" ");
    *text = match assignment {
        Some(Assignment { inside, certain: true, .. }) => {
            let value = &text[inside.clone()];
            let (open, rest) = value.strip_prefix('(').map_or(("", value), |rest| ("(", rest));
            let space = if rest.trim_start().is_empty() || rest.starts_with(')') { "" } else { " " };
            let quotes = if open.is_empty() && assignment.is_some_and(|one| one.quotes == shell::Quotes::None) { "\"" } else { "" };
            format!("{}{quotes}{open}{missing}{space}{rest}{quotes}{}", &text[..inside.start], &text[inside.end..])
        }
        _ => shell::with_line(text, &format!("{name}+=({missing})")),
    };
}

fn words_in(value: &str) -> Vec<String> {
    value.trim_matches(['(', ')']).split_whitespace().map(|word| word.trim_matches(['"', '\'']).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_and_strings() {
        for (before, after) in [
            ("MODULES=()\n", "MODULES=(vfio_pci)\n"),
            ("MODULES=(amdgpu btrfs) # mine\n", "MODULES=(vfio_pci amdgpu btrfs) # mine\n"),
            ("MODULES=\"amdgpu\"\n", "MODULES=\"vfio_pci amdgpu\"\n"),
            ("MODULES=(\n  amdgpu\n)\n", "MODULES=(vfio_pci \n  amdgpu\n)\n"),
            ("MODULES=(\n  vfio_pci\n)\n", "MODULES=(\n  vfio_pci\n)\n"),
            ("MODULES=(vfio_pci)\n", "MODULES=(vfio_pci)\n"),
            ("HOOKS=(base)\n", "HOOKS=(base)\nMODULES+=(vfio_pci)\n"),
        ] {
            let mut texts = [(CONFIGURATION, before.to_owned())];
            include(&mut texts, "MODULES", &["vfio_pci"]);
            assert_eq!(texts[0].1, after);
        }
    }
}
