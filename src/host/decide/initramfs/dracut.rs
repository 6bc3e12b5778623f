//! dracut: a file of vgapt in its configuration directory.

use super::tool::{Inclusion, Tool, WHY, own_file};
use crate::host::decide::loaders;
use crate::host::plan::{Command, Edits};
use crate::model::{Finding, InitramfsTool, Setup};

pub(super) static DRACUT: Tool = Tool { kind: InitramfsTool::Dracut, program: "dracut", lister: "lsinitrd", edit };

const CONFIGURATION: &str = "/etc/dracut.conf.d/vgapt.conf";

fn edit(setup: &Setup, inclusion: &Inclusion) -> Result<Edits, Finding> {
    // The space at both ends is required (dracut.conf(5)); force_drivers are loaded before udev starts.
    let line = |name: &str, words: &[&str]| if words.is_empty() { String::new() } else { format!("{name}+=\" {} \"\n", words.join(" ")) };
    let text = format!(
        "# Written by `vgapt prepare`, taken away by `vgapt undo`.\n{}{}",
        line("force_drivers", &inclusion.modules),
        line("install_items", &inclusion.files)
    );
    let mut edits = own_file(setup, CONFIGURATION, inclusion, text, 0o644)?;
    edits.commands.push(rebuild(setup, inclusion.image.as_ref())?);
    Ok(edits)
}

fn rebuild(setup: &Setup, image: Option<&(String, String)>) -> Result<Command, Finding> {
    if setup.files.exists("/run/ostree-booted") {
        if !setup.has("rpm-ostree") {
            return Err(Finding::error(
                "initramfs",
                "this system is an image (bootc), and its initramfs is part of the image",
                "add the files that the plan shows to your image, or leave the card with the host until the domain starts: --bind start",
            ));
        }
        let mut command = Command::of(&["rpm-ostree", "initramfs", "--enable"], WHY);
        command.undo = Some(["rpm-ostree", "initramfs", "--disable"].map(str::to_owned).to_vec());
        return Ok(command);
    }
    // Its initramfs images are named by their digests; dracut alone would create others that are never booted.
    if loaders::owns_entries(setup) {
        let mut command = Command::of(&["sdbootutil", "mkinitrd"], WHY);
        command.undo = Some(command.argv.clone());
        return Ok(command);
    }
    // By default it creates an image named after the kernel release, which would never be booted.
    if let Some((path, release)) = image {
        return Ok(Command::of(&["dracut", "--force", path, release], WHY).making([path]));
    }
    Ok(Command::of(&["dracut", "--regenerate-all", "--force"], WHY).making(["/boot/initramfs-", "/boot/initrd-", "/boot/initrd.img-"]))
}
