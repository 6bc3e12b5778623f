//! Debian's initramfs-tools: a hook of vgapt; its own hooks copy modprobe's configuration.

use super::tool::{Inclusion, Tool, WHY, own_file};
use crate::host::decide::loaders;
use crate::host::plan::Edits;
use crate::host::text::shell;
use crate::model::{Finding, InitramfsTool, Setup};

pub(super) static INITRAMFS_TOOLS: Tool = Tool {
    kind: InitramfsTool::InitramfsTools,
    program: "update-initramfs",
    lister: "lsinitramfs",
    files,
    loaded: |setup| Some(loaded(setup)),
    regenerate: |_, _| Ok(loaders::update_initramfs(WHY)),
};

/// The list of modules that it loads (initramfs-tools(7)).
pub(in crate::host::decide) const MODULES: &str = "/etc/initramfs-tools/modules";
const HOOK: &str = "/etc/initramfs-tools/hooks/vgapt";

/// "no disables any update action" (update-initramfs.conf(5)).
const UPDATES: &str = "/etc/initramfs-tools/update-initramfs.conf";

fn loaded(setup: &Setup) -> Vec<String> {
    let words = setup.files.text_lossy(MODULES).unwrap_or_default().lines().filter_map(|line| line.split_whitespace().next());
    words.map(|word| word.replace('-', "_")).collect()
}

fn files(setup: &Setup, inclusion: &Inclusion) -> Result<Edits, Finding> {
    let text = setup.files.text_lossy(UPDATES).filter(|_| !inclusion.modules.is_empty());
    let last = text.and_then(|text| Some((text, shell::assignments(text, "update_initramfs").pop()?)));
    if last.is_some_and(|(text, last)| &text[last.inside] == "no") {
        let message = format!("{UPDATES} says update_initramfs=no: update-initramfs -u then does nothing, and reports success");
        let remedy = format!("write update_initramfs=yes into {UPDATES}, and run vgapt prepare again");
        return Err(Finding::error("initramfs", message, remedy));
    }
    // Functions of hook-functions, from initramfs-tools(7).
    let modules = inclusion.modules.iter().map(|module| format!("force_load {module}\n"));
    let programs = inclusion.files.iter().filter(|file| !file.ends_with(".conf")).map(|file| format!("copy_exec {file} {file}\n"));
    let text = format!(
        "#!/bin/sh\n# Written by `vgapt prepare`, taken away by `vgapt undo`.\ncase $1 in\nprereqs)\n    exit 0\n    ;;\nesac\n. /usr/share/initramfs-tools/hook-functions\n{}{}",
        modules.collect::<String>(),
        programs.collect::<String>()
    );
    own_file(setup, HOOK, inclusion, text, 0o755)
}
