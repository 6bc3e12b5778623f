//! All tools that vgapt supports, which of them makes the initramfs that is booted, and what it is made to include.

use super::tool::{Inclusion, Tool};
use super::{dracut, initramfs_tools, mkinitcpio};
use crate::host::decide::{kernel_install, loaders};
use crate::host::plan::Edits;
use crate::model::{Finding, Host, InitramfsTool, Setup};

/// All supported tools.
static ALL: [&Tool; 3] = [&initramfs_tools::INITRAMFS_TOOLS, &dracut::DRACUT, &mkinitcpio::MKINITCPIO];

/// Which tool makes an image of this name, judged by the name and mkinitcpio's presets.
fn maker(setup: &Setup, image: &str) -> Option<InitramfsTool> {
    if preset_images(setup).iter().any(|known| known == image) {
        return Some(InitramfsTool::Mkinitcpio);
    }
    let is_named = |word: &str| image.to_ascii_lowercase().contains(word);
    if is_named("booster") {
        return Some(InitramfsTool::Booster);
    }
    is_named("dracut").then_some(InitramfsTool::Dracut)
}

/// The names of the images that mkinitcpio's presets make.
fn preset_images(setup: &Setup) -> Vec<String> {
    let texts = setup.files.texts_lossy("/etc/mkinitcpio.d", ".preset").flat_map(|(_, text)| text.lines());
    let image = |line: &str| {
        let (name, value) = line.trim().split_once('=')?;
        let value = value.trim_matches(['"', '\'']);
        name.ends_with("_image").then(|| value.rsplit('/').next().unwrap_or_default().to_owned())
    };
    texts.filter_map(image).filter(|name| !name.is_empty()).collect()
}

fn of_kind(kind: InitramfsTool, setup: &Setup) -> Option<&'static Tool> {
    ALL.into_iter().find(|tool| tool.kind == kind && setup.has(tool.program))
}

fn maker_unknown(images: &[String], booster: bool) -> Finding {
    if booster {
        return by_booster(&format!("the booted initramfs is made by booster, which vgapt does not configure: {}", images.join(", ")));
    }
    Finding::error("initramfs", format!("the tool that makes the booted initramfs was not found: {}", images.join(", ")), BY_HAND)
}

/// Booster includes what it is told to load, and the options of these modules, but runs no script (booster(1)).
fn by_booster(message: &str) -> Finding {
    Finding::error(
        "initramfs",
        message,
        "leave the card with the host until the domain starts: --bind start; or the options of vfio-pci with the card's ids in /etc/modprobe.d, modules_force_load: vfio_pci,vfio_iommu_type1 in /etc/booster.yaml, then /usr/lib/booster/regenerate_images",
    )
}

/// The image that is booted, if the tool does not make it by default: its path, and the kernel release.
pub(in crate::host::decide) fn image(host: &Host, setup: &Setup) -> Option<(String, String)> {
    let release = host.platform.kernel.clone()?;
    let name = loaders::booted_images(host, setup).into_iter().find(|name| maker(setup, name) == Some(InitramfsTool::Dracut))?;
    let path = setup.images.iter().map(|(path, _)| path).find(|path| path.rsplit('/').next() == Some(&name))?;
    (!name.contains(&release)).then(|| (path.clone(), release))
}

/// No tool, or a package of Debian whose program has another name.
const NO_GENERATOR: [&str; 3] = ["none", "auto", "initramfs-tools"];
const BY_HAND: &str = "leave the card with the host until the domain starts: --bind start; or add vfio_pci to the initramfs by hand";

/// The tool that makes this host's initramfs.
///
/// # Errors
/// If there is none that vgapt supports.
pub fn chosen(host: &Host, setup: &Setup) -> Result<&'static Tool, Finding> {
    let generator = kernel_install::value(setup, "initrd_generator").filter(|name| !NO_GENERATOR.contains(name));
    let named = ALL.into_iter().find(|tool| generator.is_some_and(|name| tool.program.contains(name)));
    // On Debian, dracut has its own update-initramfs, so the lister has to be installed too.
    let installed: Vec<&'static Tool> = ALL.into_iter().filter(|tool| setup.has(tool.program) && setup.has(tool.lister)).collect();
    let configured: Vec<&'static Tool> = ALL.into_iter().filter(|tool| host.platform.initramfs_tools.contains(&tool.kind)).collect();
    let is_usual = |tool: &&&'static Tool| {
        let distribution = &host.platform.distribution;
        match tool.kind {
            InitramfsTool::InitramfsTools => distribution.is_like(&["debian", "ubuntu"]),
            InitramfsTool::Mkinitcpio => distribution.is_like(&["arch"]),
            _ => distribution.is_like(&["fedora", "rhel", "suse", "opensuse"]),
        }
    };
    let one_of = |tools: &[&'static Tool]| match tools {
        [tool] => Some(*tool),
        several => several.iter().find(is_usual).copied(),
    };
    let images = loaders::booted_images(host, setup);
    if let Some(made) = images.iter().find_map(|image| maker(setup, image)) {
        return of_kind(made, setup).ok_or_else(|| maker_unknown(&images, made == InitramfsTool::Booster));
    }
    if let Some(name) = generator.filter(|_| named.is_none()) {
        let message = format!("the initramfs is made by {name}, which vgapt does not configure (initrd_generator of kernel-install)");
        return Err(if name == "booster" { by_booster(&message) } else { Finding::error("initramfs", message, BY_HAND) });
    }
    // The booted image is in none of mkinitcpio's presets, so mkinitcpio does not make it; kernel-install names every image initrd.
    let elsewhere = !images.is_empty() && !preset_images(setup).is_empty() && !images.iter().any(|image| image == "initrd");
    let is_excluded = |tool: &&'static Tool| tool.kind == InitramfsTool::Mkinitcpio && elsewhere && named.is_none();
    if one_of(&installed).is_some_and(|tool| is_excluded(&tool)) {
        let rest: Vec<&'static Tool> = installed.iter().copied().filter(|tool| !is_excluded(tool)).collect();
        return one_of(&rest).ok_or_else(|| maker_unknown(&images, false));
    }
    named
        .filter(|tool| installed.is_empty() || setup.has(tool.program))
        .or_else(|| one_of(&installed))
        .or_else(|| one_of(&configured))
        .ok_or_else(|| {
            if host.platform.initramfs_tools.contains(&InitramfsTool::Booster) {
                return by_booster("the initramfs is made by booster, which vgapt does not configure");
            }
            Finding::error(
                "initramfs",
                "the tool that makes the initramfs was not found: neither initramfs-tools, dracut nor mkinitcpio",
                BY_HAND,
            )
        })
}

/// Why nothing reads the files of this tool, where another one is known to make the initramfs.
pub(in crate::host::decide) fn unread(host: &Host, setup: &Setup, kind: InitramfsTool) -> Option<String> {
    let maker = chosen(host, setup).ok().filter(|tool| tool.kind != kind)?;
    Some(format!("{} makes the initramfs, and does not read it", maker.program))
}

/// The files of a tool; and, if they change or `changed` says that others in the image do, the command that regenerates the
/// images and what copies them to where they are booted from.
pub(in crate::host::decide) fn edits(tool: &Tool, setup: &Setup, inclusion: &Inclusion, changed: bool) -> Result<Edits, Finding> {
    let mut edits = (tool.files)(setup, inclusion)?;
    if changed || !edits.writes.is_empty() {
        let mut command = (tool.regenerate)(setup, inclusion)?;
        if command.argv.first().is_some_and(|name| name == tool.program) {
            command.makes.extend(loaders::copied(setup));
        }
        edits.commands.push(command);
        edits.commands.extend(loaders::copying(setup));
    }
    Ok(edits)
}
