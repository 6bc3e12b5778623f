//! dracut: a file of our own in its configuration directory.

use super::{Inclusion, Tool, WHY, own_file};
use crate::host::plan::{Command, Edits};
use crate::model::{Finding, InitramfsTool, Setup};

pub(super) static DRACUT: Tool = Tool { kind: InitramfsTool::Dracut, program: "dracut", lister: "lsinitrd", edit };

const CONFIGURATION: &str = "/etc/dracut.conf.d/vgapt.conf";

fn edit(setup: &Setup, inclusion: &Inclusion) -> Result<Edits, Finding> {
    // The space at both ends belongs there (dracut.conf(5)); force_drivers are loaded before udev starts.
    let line = |name: &str, words: &[&str]| if words.is_empty() { String::new() } else { format!("{name}+=\" {} \"\n", words.join(" ")) };
    let text = format!(
        "# Written by `vgapt prepare`, taken away by `vgapt undo`.\n{}{}",
        line("force_drivers", &inclusion.modules),
        line("install_items", &inclusion.files)
    );
    let mut edits = own_file(setup, CONFIGURATION, inclusion, text, 0o644)?;
    let argv: &[&str] = if setup.files.exists("/run/ostree-booted") {
        &["rpm-ostree", "initramfs", "--enable"]
    } else {
        &["dracut", "--regenerate-all", "--force"]
    };
    let mut command = Command::of(argv, WHY).making(["/boot/initramfs-", "/boot/initrd-", "/boot/initrd.img-"]);
    if argv[0] == "rpm-ostree" {
        command.undo = Some(["rpm-ostree", "initramfs", "--disable"].map(str::to_owned).to_vec());
    }
    edits.commands.push(command);
    Ok(edits)
}
