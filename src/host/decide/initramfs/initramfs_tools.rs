//! Debian's initramfs-tools: a hook of vgapt; its own hooks copy modprobe's configuration.

use super::tool::{Inclusion, Tool, WHY, own_file};
use crate::host::decide::loaders;
use crate::host::plan::Edits;
use crate::model::{Finding, InitramfsTool, Setup};

pub(super) static INITRAMFS_TOOLS: Tool = Tool {
    kind: InitramfsTool::InitramfsTools,
    program: "update-initramfs",
    lister: "lsinitramfs",
    files,
    regenerate: |_, _| Ok(loaders::update_initramfs(WHY)),
};

const HOOK: &str = "/etc/initramfs-tools/hooks/vgapt";

fn files(setup: &Setup, inclusion: &Inclusion) -> Result<Edits, Finding> {
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
