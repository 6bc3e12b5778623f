//! The initramfs images that are booted.

use super::choose::chosen;
use super::{bls, grub, limine, systemd_boot};
use crate::model::{BootLoader, Host, Setup};

/// The names of the initramfs images that are booted: those of the running kernel's command line, else of the loader's
/// entries; images of microcode left out.
pub(in crate::host::decide) fn booted_images(host: &Host, setup: &Setup) -> Vec<String> {
    let name = |path: &str| path.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
    let line = host.platform.cmdline.clone().unwrap_or_default().0;
    let running =
        line.split_ascii_whitespace().filter_map(|token| token.strip_prefix("initrd=")).flat_map(|value| value.split(',')).map(name);
    let is_one = |name: &String| !name.is_empty() && !name.contains("ucode") && !name.contains("fallback");
    let running: Vec<String> = running.filter(is_one).collect();
    if !running.is_empty() || setup.booted.stub.is_some() {
        return running;
    }
    let Ok(chosen) = chosen(host, setup) else { return Vec::new() };
    let of_folder = |folder: String| setup.files.texts(&folder, ".conf").flat_map(|(_, text)| bls::initramfs(text)).collect::<Vec<_>>();
    let named: Vec<String> = match chosen.loader.kind {
        BootLoader::SystemdBoot | BootLoader::Kernelstub => {
            systemd_boot::PLACES.iter().flat_map(|place| of_folder(format!("{place}/entries"))).collect()
        }
        BootLoader::Grub => grub::images(setup),
        BootLoader::Limine => limine::images(setup),
        BootLoader::Ostree | BootLoader::UnifiedKernelImage => Vec::new(),
    };
    named.iter().map(|path| name(path)).filter(is_one).collect()
}
