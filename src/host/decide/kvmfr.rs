//! kvmfr, the kernel module of Looking Glass: its size, that it is loaded at boot, who may use its node, and that libvirt lets
//! QEMU open it. The module itself comes from the distribution or from DKMS.

use super::{modprobe, overruled};
use crate::host::plan::{Edits, is_ours, text_of};
use crate::model::{Finding, Host, KVMFR_NODE, Reading, Setup, with_device};

const HEAD: &str = "# Written by `vgapt prepare`, taken away by `vgapt undo`.\n";
const SIZE: &str = "/etc/modprobe.d/vgapt-kvmfr.conf";
const LOADED: &str = "/etc/modules-load.d/vgapt-kvmfr.conf";
/// Before 73-seat-late.rules of systemd, which gives whoever sits at the host what is tagged with uaccess.
const RIGHTS: &str = "/etc/udev/rules.d/70-vgapt-kvmfr.rules";
const QEMU_CONF: &str = "/etc/libvirt/qemu.conf";
/// AppArmor's rules for guests; they include the local file if it exists.
const PROFILE: &str = "/etc/apparmor.d/abstractions/libvirt-qemu";
const LOCAL_PROFILE: &str = "/etc/apparmor.d/local/abstractions/libvirt-qemu";

/// The files; all of them take effect at the next boot.
pub(super) fn edits(host: &Host, setup: &Setup, mib: u64) -> Result<Edits, Finding> {
    let mut edits = Edits::default();
    match &host.kvmfr.module {
        Reading::Known(true) => {}
        Reading::Known(false) | Reading::Absent => return Err(no_module(host)),
        Reading::Unknown(because) => {
            return Err(Finding::error("kvmfr-unknown", format!("whether the module kvmfr is installed is unknown: {because}"), NO_MODULE));
        }
    }
    if let Some(finding) = kvmfr_kept_out(setup) {
        return Err(finding);
    }
    if !is_set_by_others(setup, mib)? {
        let text = format!("{HEAD}options kvmfr static_size_mb={mib}\n");
        edits.write(setup, SIZE, text, 0o644, "the memory of Looking Glass: as much as the guest's screen needs")?;
    }
    edits.write(setup, LOADED, format!("{HEAD}kvmfr\n"), 0o644, "loads the module of Looking Glass at boot")?;
    let rule = format!("{HEAD}SUBSYSTEM==\"kvmfr\", GROUP=\"kvm\", MODE=\"0660\", TAG+=\"uaccess\"\n");
    edits.write(setup, RIGHTS, rule, 0o644, "QEMU, and whoever sits at the host, may use the memory of Looking Glass")?;
    let text = setup.files.0.get(QEMU_CONF).map(|file| text_of(QEMU_CONF, file)).transpose()?;
    let allowed = with_device(text.unwrap_or_default(), KVMFR_NODE).map_err(|what| {
        let remedy = format!("correct {QEMU_CONF}, which libvirt cannot read either; nothing was changed");
        Finding::error("qemu-conf", format!("{QEMU_CONF}, {what}"), remedy)
    })?;
    edits.write(setup, QEMU_CONF, allowed, 0o600, "libvirt lets QEMU open the memory of Looking Glass")?;
    if setup.files.exists(PROFILE) {
        let before = setup.files.0.get(LOCAL_PROFILE).map(|file| text_of(LOCAL_PROFILE, file)).transpose()?.unwrap_or_default();
        let rule = format!("{KVMFR_NODE} rw,");
        if !before.lines().any(|line| line.trim() == rule) {
            let after = crate::host::text::shell::with_line(before, &format!("  {rule}"));
            edits.write(setup, LOCAL_PROFILE, after, 0o644, "AppArmor lets QEMU open the memory of Looking Glass")?;
        }
    }
    Ok(edits)
}

/// A line that keeps the module from being loaded at boot: systemd-modules-load respects `blacklist` too.
pub fn kvmfr_kept_out(setup: &Setup) -> Option<Finding> {
    let configuration = modprobe::read(setup, &[]);
    let line = configuration.of("blacklist").find(|line| line.name == "kvmfr");
    let line = line.or_else(|| configuration.first("install", "kvmfr").filter(|line| line.loads_nothing()))?;
    let message = format!("{}, which keeps the module of Looking Glass from being loaded at boot", line.says());
    Some(Finding::error("kvmfr-kept-out", message, overruled::removal(line)))
}

/// Whether a file of somebody else gives it this size or a larger one.
fn is_set_by_others(setup: &Setup, mib: u64) -> Result<bool, Finding> {
    let configuration = modprobe::read(setup, &[]);
    let theirs = configuration.of("options").filter(|line| line.name == "kvmfr" && !is_ours_at(setup, &line.path));
    let mut is_enough = false;
    for line in theirs {
        let sizes = line.rest.split_ascii_whitespace().filter_map(|word| word.strip_prefix("static_size_mb="));
        for size in sizes.map(|sizes| sizes.split(',').next().and_then(|size| size.parse::<u64>().ok())) {
            if size.is_none_or(|size| size < mib || !size.is_power_of_two()) {
                let remedy = format!("set static_size_mb={mib} there, or remove the line and run vgapt prepare again");
                return Err(Finding::error("kvmfr-size", format!("{}, and the guest's screen needs {mib} MiB", line.says()), remedy));
            }
            is_enough = true;
        }
    }
    Ok(is_enough)
}

fn is_ours_at(setup: &Setup, path: &str) -> bool {
    path == SIZE && setup.files.text(path).is_some_and(is_ours)
}

const NO_MODULE: &str = "install Looking Glass's module by DKMS (looking-glass.io, IVSHMEM with the KVMFR module), or leave \
                         --looking-glass out: without the module, Looking Glass uses shared memory, which needs no preparation";

fn no_module(host: &Host) -> Finding {
    let release = host.platform.kernel.as_deref().unwrap_or("that runs");
    Finding::error("no-kvmfr", format!("the kernel {release} has no module kvmfr"), NO_MODULE)
}

/// What prepare cannot do.
pub(super) fn warnings(setup: &Setup) -> Vec<Finding> {
    let labels = setup.enforces_labels().then(|| {
        Finding::warning(
            "kvmfr-labels",
            format!("SELinux may keep QEMU from {KVMFR_NODE}, for which its policy has no rule"),
            "if the guest does not start: ausearch -m avc -c qemu-system-x86 --raw | audit2allow -M vgapt-kvmfr, read vgapt-kvmfr.te, and semodule -i vgapt-kvmfr.pp",
        )
    });
    labels.into_iter().collect()
}
