//! The files that a request refers to.

use super::Request;
use super::extras::Extras;
use super::network::Network;

/// `OVMF_CODE_4M.fd` → `OVMF_VARS_4M.fd`, `ovmf-x86_64-code.bin` → `ovmf-x86_64-vars.bin`.
pub fn matching_vars(code: &str) -> Option<String> {
    let (directory, name) = code.rsplit_once('/')?;
    let vars = if name.contains("CODE") { name.replacen("CODE", "VARS", 1) } else { name.replacen("code", "vars", 1) };
    // A Secure Boot build uses the same variables as the plain build.
    (vars != name).then(|| format!("{directory}/{}", vars.replace(".secboot", "")))
}

/// The folder of a share, and its name in the guest.
pub fn folder(share: &str) -> (&str, &str) {
    let last = |path: &'_ str| path.trim_end_matches('/').rsplit('/').next().map_or(0, str::len);
    match share.split_once('=') {
        Some((folder, name)) if !name.is_empty() => (folder, name),
        _ => {
            let folder = share.trim_end_matches(['=', '/']);
            (folder, &folder[folder.len() - last(folder)..])
        }
    }
}

/// The sysfs directory of a mediated device.
pub(crate) fn mdev_path(uuid: &str) -> String {
    format!("/sys/bus/mdev/devices/{uuid}")
}

/// The sysfs directory of a network interface.
pub(crate) fn interface_path(name: &str) -> String {
    format!("/sys/class/net/{name}")
}

/// The sysfs directory that exists only if a network interface is a bridge.
pub(crate) fn bridge_path(name: &str) -> String {
    format!("/sys/class/net/{name}/bridge")
}

impl Request {
    /// The same request with every path made absolute, relative to `directory`.
    #[must_use]
    pub fn with_absolute_paths(mut self, directory: &str) -> Self {
        let Extras { rom, share, share_smb, .. } = &mut self.extras;
        let paths = [rom, &mut self.cdrom, &mut self.virtio_iso, &mut self.loader, &mut self.nvram_template, &mut self.emulator];
        for path in paths.into_iter().flatten().chain(&mut self.disk).chain(share).chain(share_smb).filter(|path| !path.starts_with('/')) {
            *path = format!("{}/{}", directory.trim_end_matches('/'), path.trim_start_matches("./"));
        }
        self
    }

    /// The files that the request needs: those it names, and those that belong to them.
    pub fn files(&self) -> Vec<String> {
        let belonging = self.loader.as_deref().filter(|_| self.nvram_template.is_none()).and_then(matching_vars);
        self.disk
            .iter()
            .chain(&self.cdrom)
            .chain(&self.virtio_iso)
            .chain(&self.loader)
            .chain(&self.nvram_template)
            .chain(&self.extras.rom)
            .chain(&self.extras.evdev)
            .cloned()
            .chain(self.extras.mdev.iter().map(|uuid| mdev_path(uuid)))
            .chain(self.extras.share.iter().chain(&self.extras.share_smb).map(|share| folder(share).0.to_owned()))
            .chain(belonging)
            .chain(self.extras.network.iter().flat_map(|network| match network {
                Network::Bridge(name) => vec![interface_path(name), bridge_path(name)],
                Network::Macvtap(name) => vec![interface_path(name)],
                _ => Vec::new(),
            }))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_absolute() {
        let request = Request { disk: vec!["./a.qcow2".into(), "/b".into()], cdrom: Some("c.iso".into()), ..Request::default() }
            .with_absolute_paths("/vm");
        assert_eq!((request.disk, request.cdrom), (vec!["/vm/a.qcow2".into(), "/b".into()], Some("/vm/c.iso".into())));
    }
}
