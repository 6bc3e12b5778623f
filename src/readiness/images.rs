//! The initramfs images: which are listed, and which kernel each is for.

use crate::host::{self, bound};
use crate::model::{Host, Kernel, Setup, version_order};

/// How many images are listed at most; listing one takes a second.
const MOST_IMAGES: usize = 3;

/// The program that lists the contents of an image, and the images to list, those of one kernel or of all: only if
/// something is set up to be bound early.
pub fn images(host: &Host, setup: &Setup, kernel: Option<&str>) -> Option<(&'static str, Vec<String>)> {
    if bound(setup).is_empty() {
        return None;
    }
    let tool = host::initramfs::chosen(host, setup).ok()?;
    let kernel = setup.kernels.iter().find(|one| Some(one.release.as_str()) == kernel);
    let of_kernel = kernel.map(|kernel| of_kernel(setup, kernel)).unwrap_or_default();
    if !of_kernel.is_empty() {
        return Some((tool.lister, of_kernel));
    }
    let is_one = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or_default();
        let of_kernel = setup.kernels.iter().any(|kernel| name.contains(&kernel.release)) || name.starts_with("initramfs-linux");
        of_kernel && is_usual(path)
    };
    let mut found: Vec<String> = setup.images.iter().map(|(path, _)| path.clone()).filter(|path| is_one(path)).collect();
    // The newest kernels come last.
    let running = host.platform.kernel.clone().unwrap_or_default();
    found.sort_by(|one, other| version_order(one, other));
    found.sort_by_key(|path| !path.contains(&running));
    let (first, rest) = found.split_at(found.len().min(1));
    let newest = rest.iter().rev().take(MOST_IMAGES - 1);
    Some((tool.lister, first.iter().chain(newest).cloned().collect()))
}

/// Whether this is an initramfs for every day.
fn is_usual(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.starts_with("init") && !["fallback", "rescue", "kdump"].iter().any(|other| name.contains(other))
}

/// The images of a kernel.
pub(super) fn of_kernel(setup: &Setup, kernel: &Kernel) -> Vec<String> {
    setup.images.iter().map(|(path, _)| path.clone()).filter(|path| is_of(path, kernel) && is_usual(path)).collect()
}

/// Whether a file of /boot is named for a kernel, and not for one whose name goes on.
pub(super) fn is_of(path: &str, kernel: &Kernel) -> bool {
    let ends = |rest: &str| !rest.starts_with(|next: char| next.is_ascii_alphanumeric() || "-_".contains(next));
    let by_release = path.split(kernel.release.as_str()).skip(1).any(ends);
    let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
    let stem = name.strip_suffix(".img").or_else(|| name.strip_suffix(".efi")).unwrap_or(name);
    by_release || kernel.package.as_ref().is_some_and(|package| stem.split_once('-').is_some_and(|(_, of)| of == package))
}
