//! dracut: a file of vgapt in its configuration directory.

use super::tool::{Inclusion, Tool, WHY, own_file};
use crate::host::decide::loaders;
use crate::host::plan::{Command, Edits};
use crate::host::text::shell;
use crate::model::{Finding, InitramfsTool, Reading, Setup};

pub(super) static DRACUT: Tool = Tool { kind: InitramfsTool::Dracut, program: "dracut", lister: "lsinitrd", files, loaded, regenerate };

const CONFIGURATION: &str = "/etc/dracut.conf.d/vgapt.conf";
/// Read in the order of the files' names, whatever their folders.
const FOLDERS: [&str; 2] = ["/usr/lib/dracut/dracut.conf.d", "/etc/dracut.conf.d"];

fn files(setup: &Setup, inclusion: &Inclusion) -> Result<Edits, Finding> {
    if let Some((path, module)) = omitted(setup, &inclusion.modules) {
        return Err(Finding::error(
            "initramfs",
            format!(
                "{path} has {module} in omit_drivers, and dracut leaves what that list has out of the initramfs, also where force_drivers has it"
            ),
            format!("remove {module} from omit_drivers in {path}, and run vgapt prepare again"),
        ));
    }
    if let Some((path, name)) = dropped(setup, inclusion) {
        return Err(Finding::error(
            "initramfs",
            format!(
                "{path} sets {name} anew (= instead of +=), and dracut reads it after {CONFIGURATION}, so what vgapt adds there is lost"
            ),
            format!("write {name}+= instead of {name}= in {path}, and run vgapt prepare again"),
        ));
    }
    // The space at both ends is required (dracut.conf(5)); force_drivers are loaded before udev starts.
    let line = |name: &str, words: &[&str]| if words.is_empty() { String::new() } else { format!("{name}+=\" {} \"\n", words.join(" ")) };
    let text = format!(
        "# Written by `vgapt prepare`, taken away by `vgapt undo`.\n{}{}",
        line("force_drivers", &inclusion.modules),
        line("install_items", &inclusion.files)
    );
    own_file(setup, CONFIGURATION, inclusion, text, 0o644)
}

/// What `add_drivers` has is in the image, but is not loaded before the others (dracut.conf(5)).
fn loaded(setup: &Setup) -> Option<Vec<String>> {
    let mut list = String::new();
    for (_, text) in configurations(setup) {
        for one in shell::assignments(text, "force_drivers") {
            if !one.adds {
                list.clear();
            }
            // Without a blank between them, two words are one.
            list.push_str(&text[one.inside.clone()]);
        }
    }
    let modules = list.split_whitespace().map(|word| word.replace('-', "_"));
    // What the image of a deployment was built with is not known here.
    (!setup.is_of_ostree()).then(|| modules.collect())
}

/// The files that it reads.
fn configurations(setup: &Setup) -> impl Iterator<Item = (&str, &str)> {
    let main = setup.files.text_lossy("/etc/dracut.conf").map(|text| ("/etc/dracut.conf", text));
    main.into_iter().chain(FOLDERS.into_iter().flat_map(|folder| setup.files.texts_lossy(folder, ".conf")))
}

/// The first of these modules that a configuration leaves out, and the file: dracut makes one pattern of the list, and gives it to
/// each call of dracut-install (`omit_drivers` in dracut.sh and dracut-init.sh).
fn omitted<'a>(setup: &'a Setup, modules: &[&'static str]) -> Option<(&'a str, &'static str)> {
    configurations(setup).find_map(|(path, text)| {
        let lists = shell::assignments(text, "omit_drivers");
        let words = lists
            .iter()
            .flat_map(|one| text[one.inside.clone()].split_whitespace())
            .map(|word| word.trim_matches(['"', '\'']).replace('-', "_"));
        let words: Vec<String> = words.collect();
        modules.iter().find(|module| words.iter().any(|word| word == *module)).map(|module| (path, *module))
    })
}

/// A file that is read after vgapt's, in the order of names, and replaces one of its lists; and the list.
fn dropped<'a>(setup: &'a Setup, inclusion: &Inclusion) -> Option<(&'a str, &'static str)> {
    let name = |path: &'a str| path.rsplit('/').next().unwrap_or_default();
    let files = FOLDERS.into_iter().flat_map(|folder| setup.files.texts_lossy(folder, ".conf"));
    files.filter(|(path, _)| name(path) > name(CONFIGURATION)).find_map(|(path, text)| {
        let lists = [("force_drivers", &inclusion.modules), ("install_items", &inclusion.files)];
        let replaces = |name: &str, words: &[&str]| {
            let has_all =
                |value: &str| words.iter().all(|word| value.split_whitespace().any(|one| one.replace('-', "_") == word.replace('-', "_")));
            shell::assignments(text, name).iter().any(|one| !one.adds && !has_all(&text[one.inside.clone()]))
        };
        lists.into_iter().find(|(name, words)| !words.is_empty() && replaces(name, words)).map(|(name, _)| (path, name))
    })
}

fn regenerate(setup: &Setup, inclusion: &Inclusion) -> Result<Command, Finding> {
    if setup.is_of_ostree() {
        return in_deployment(setup);
    }
    // Its initramfs images are named by their digests; dracut alone would create others that are never booted.
    if loaders::owns_entries(setup) {
        let mut command = Command::of(&["sdbootutil", "mkinitrd"], WHY);
        command.undo = Some(command.argv.clone());
        return Ok(command);
    }
    // By default it creates an image named after the kernel release, which would never be booted.
    if let Some((path, release)) = &inclusion.image {
        return Ok(Command::of(&["dracut", "--force", path, release], WHY).making([path]));
    }
    Ok(Command::of(&["dracut", "--regenerate-all", "--force"], WHY).making(["/boot/initramfs-", "/boot/initrd-", "/boot/initrd.img-"]))
}

/// The initramfs of the next deployment. Undoing restores whether rpm-ostree regenerated it before, and with which
/// arguments. If it already does so without arguments, it refuses to be asked for that again (`initramfs_state_transaction`
/// in its source), so one that rpm-ostree passes to dracut anyway is added.
fn in_deployment(setup: &Setup) -> Result<Command, Finding> {
    const START: &str = "leave the card with the host until the domain starts: --bind start";
    if !setup.has("rpm-ostree") {
        return Err(Finding::error(
            "initramfs",
            "this system is an image (bootc), and its initramfs is part of the image",
            format!("add the files that the plan shows to your image, or {START}"),
        ));
    }
    let enable = |arguments: &[String]| {
        let arguments = arguments.iter().map(|argument| format!("--arg={argument}"));
        ["rpm-ostree", "initramfs", "--enable"].map(str::to_owned).into_iter().chain(arguments).collect::<Vec<_>>()
    };
    let (argv, undo) = match &setup.local_initramfs.0 {
        Reading::Absent => (enable(&[]), ["rpm-ostree", "initramfs", "--disable"].map(str::to_owned).to_vec()),
        Reading::Known(arguments) if arguments.is_empty() => (enable(&["--reproducible".to_owned()]), enable(&[])),
        Reading::Known(arguments) => (enable(arguments), enable(arguments)),
        Reading::Unknown(because) => {
            return Err(Finding::error(
                "initramfs",
                format!(
                    "it is unknown whether rpm-ostree regenerates the initramfs already, so vgapt undo could not restore that: {because}"
                ),
                format!("run vgapt prepare as root, with /boot mounted; or {START}"),
            ));
        }
    };
    let mut command = Command::of(&[], WHY);
    (command.argv, command.undo) = (argv, Some(undo));
    if setup.has("bootc") {
        // "Deployment contains local rpm-ostree modifications; cannot upgrade via bootc" (bootc's cli.rs).
        command.why.push_str("; from then on rpm-ostree updates this host, and bootc upgrade refuses");
    }
    Ok(command)
}
