//! The hook by which an update of a kernel or of a driver runs `vgapt check --next`, at its end and into its own output.

use crate::host::plan::Edits;
use crate::model::{Distribution, Finding, Host, Setup};

const TEXT: &str = include_str!("update_hook.sh");
/// Where the line stands that makes the arguments of the script the releases of kernels.
const PLACE: &str = "@RELEASES@";
/// The script that pacman's hook runs: that hook is no script itself.
const PACMAN_SCRIPT: &str = "/etc/vgapt/after-update";

/// A file that updates of some distributions run.
struct UpdateHook {
    /// These distributions, and those that are based on them.
    of: &'static [&'static str],
    /// The program that runs it, if not all of these distributions have that.
    by: Option<&'static str>,
    path: &'static str,
    text: Text,
}

enum Text {
    /// The script, with the line that makes its arguments releases.
    Script(&'static str),
    Other(&'static str),
}

const DEBIAN: &[&str] = &["debian", "ubuntu", Distribution::PROXMOX];

/// openSUSE has none: the scripts of its kernel packages run only what belongs to packages (`kernel-scriptlets/rpm-script` of
/// suse-module-tools), and the plug-ins of libzypp do not print. Nor has a deployment of ostree, which is made elsewhere.
const HOOKS: [UpdateHook; 7] = [
    // The kernel packages run these in the order of their names, with release and image (Debian Kernel Handbook, 8.3); the last
    // is zz-update-grub, zz-systemd-boot, zz-proxmox-boot or zz-kernelstub. DKMS and initramfs-tools have run by then.
    UpdateHook { of: DEBIAN, by: None, path: "/etc/kernel/postinst.d/zz-vgapt", text: Text::Script("set -- \"$1\"") },
    // update-initramfs runs these with release and image (`run_bootloader` there): after the update of a driver, too. In that of a
    // kernel, which sets the variable (linux-image's postinst), the menu is still to come.
    UpdateHook {
        of: DEBIAN,
        by: Some("update-initramfs"),
        path: "/etc/initramfs/post-update.d/zz-vgapt",
        text: Text::Script("[ -z \"$DEB_MAINT_PARAMS\" ] || exit 0\nset -- \"$1\""),
    },
    // kernel-install(8): with `add`, release, folder and image, in the order of the names, of which most begin with digits.
    UpdateHook {
        of: &["fedora", "rhel", "centos", "gentoo"],
        by: Some("kernel-install"),
        path: "/etc/kernel/install.d/zz-vgapt.install",
        text: Text::Script("[ \"$1\" = add ] || exit 0\nset -- \"$2\""),
    },
    // Gentoo's installkernel runs either these, with release and image, or kernel-install (`SYSTEMD_KERNEL_INSTALL` there).
    UpdateHook { of: &["gentoo"], by: None, path: "/etc/kernel/postinst.d/zz-vgapt", text: Text::Script("set -- \"$1\"") },
    // xbps runs these with the package's name and the release (`kernel-hooks` of xbps-triggers).
    UpdateHook { of: &["void"], by: None, path: "/etc/kernel.d/post-install/zz-vgapt", text: Text::Script("set -- \"$2\"") },
    // alpm-hooks(5): the hooks run in the order of their names, after mkinitcpio's (90) and DKMS's (70).
    UpdateHook { of: &["arch"], by: None, path: "/etc/pacman.d/hooks/zz-vgapt.hook", text: Text::Other(PACMAN) },
    // The paths that were changed come line by line. The sources of a DKMS module name no kernel: the one that boots next is meant.
    UpdateHook {
        of: &["arch"],
        by: None,
        path: PACMAN_SCRIPT,
        text: Text::Script("set -- $(sed -n 's,^usr/lib/modules/\\([^/]*\\)/.*,\\1,p' | sort -u)\n[ $# -gt 0 ] || set -- ''"),
    },
];

const PACMAN: &str = "\
# Written by `vgapt prepare`, taken away by `vgapt undo`.
[Trigger]
Type = Path
Operation = Install
Operation = Upgrade
Target = usr/lib/modules/*
Target = usr/src/*/dkms.conf

[Action]
Description = Checking the next kernel for guests with a graphics card...
When = PostTransaction
Exec = /etc/vgapt/after-update
NeedsTargets
";

impl UpdateHook {
    fn is_run_on(&self, host: &Host, setup: &Setup) -> bool {
        host.platform.distribution.is_like(self.of) && self.by.is_none_or(|program| setup.has(program)) && !setup.is_of_ostree()
    }

    fn text(&self) -> String {
        match self.text {
            Text::Script(releases) => TEXT.replace(PLACE, releases),
            Text::Other(text) => text.to_owned(),
        }
    }

    fn mode(&self) -> u32 {
        if matches!(self.text, Text::Script(_)) { 0o755 } else { 0o644 }
    }
}

/// The hooks that updates of this host run: paths and texts; none where its distribution runs nothing of the administrator's.
pub fn update_hooks(host: &Host, setup: &Setup) -> Vec<(&'static str, String)> {
    HOOKS.iter().filter(|hook| hook.is_run_on(host, setup)).map(|hook| (hook.path, hook.text())).collect()
}

pub(super) fn edits(host: &Host, setup: &Setup) -> Result<Edits, Finding> {
    let mut edits = Edits::default();
    for hook in HOOKS.iter().filter(|hook| hook.is_run_on(host, setup)) {
        let why = "an update says what its kernel lacks for the guest, before the reboot";
        edits.write(setup, hook.path, hook.text(), hook.mode(), why)?;
    }
    Ok(edits)
}
