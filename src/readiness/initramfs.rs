//! The initramfs: for early binding, vfio-pci and its configuration must be in it.

use super::check::{Check, Group, Step};
use super::prepared::Prepared;
use crate::host::{bound, initramfs};
use crate::model::{Host, Setup};

/// How many images are listed at most; listing one takes a second.
const MOST_IMAGES: usize = 3;

/// The program that lists the contents of an image, and the images to list: only if something is
/// set up to be bound early.
pub fn images(host: &Host, setup: &Setup) -> Option<(&'static str, Vec<String>)> {
    if bound(setup).is_empty() {
        return None;
    }
    let tool = initramfs::chosen(host, setup).ok()?;
    let is_one = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or_default();
        let of_kernel = setup.kernels.iter().any(|kernel| name.contains(&kernel.release)) || name.starts_with("initramfs-linux");
        name.starts_with("init") && of_kernel && !name.contains("fallback") && !name.contains("rescue") && !name.contains("kdump")
    };
    let mut found: Vec<String> = setup.images.iter().map(|(path, _)| path.clone()).filter(|path| is_one(path)).collect();
    // The newest kernels have the last names.
    let running = host.platform.kernel.clone().unwrap_or_default();
    found.sort_by_key(|path| !path.contains(&running));
    let (first, rest) = found.split_at(found.len().min(1));
    let newest = rest.iter().rev().take(MOST_IMAGES - 1);
    Some((tool.lister, first.iter().chain(newest).cloned().collect()))
}

pub(super) fn checks(prepared: &Prepared) -> Vec<Check> {
    let (setup, observed) = (prepared.facts.setup, prepared.facts.observed);
    if bound(setup).is_empty() {
        return Vec::new();
    }
    let check = |subject: &str, seen: String| Check::ok("initramfs", Group::Boot, subject, seen);
    if observed.images.is_empty() {
        let because =
            if observed.reach.is_live() { "no image was found that could be listed" } else { "programs are run only on the running host" };
        return vec![check("initramfs", String::new()).unknown(because).minor()];
    }
    let one = |(path, content): (&String, &Result<Vec<String>, String>)| match content {
        Err(because) => check(path, String::new()).unknown(because),
        Ok(names) => {
            let missing: Vec<&str> = prepared
                .plan
                .in_initramfs
                .iter()
                .map(String::as_str)
                .filter(|wanted| !names.iter().any(|name| name.contains(wanted)))
                .collect();
            if missing.is_empty() {
                return check(path, "has vfio-pci and its configuration".into()).minor();
            }
            check(path, format!("lacks {}", missing.join(", "))).missing(
                Step::Prepare,
                "other drivers are loaded from it, so vfio-pci has to be in it too, to be loaded before them",
                rebuild(prepared),
            )
        }
    };
    observed.images.iter().map(one).collect()
}

/// The command that regenerates it.
fn rebuild(prepared: &Prepared) -> String {
    use crate::model::InitramfsTool;
    match initramfs::chosen(prepared.facts.host, prepared.facts.setup).map(|tool| tool.kind) {
        Ok(InitramfsTool::InitramfsTools) => "update-initramfs -u -k all",
        Ok(InitramfsTool::Dracut) => "dracut --regenerate-all --force",
        Ok(InitramfsTool::Mkinitcpio) => "mkinitcpio -P",
        _ => "regenerate the initramfs",
    }
    .to_owned()
}
