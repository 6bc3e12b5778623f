//! A disk that the TPM unlocks may ask for its key after a change of what is booted.

use crate::host::plan::Plan;
use crate::host::request::Wanted;
use crate::model::{Finding, Host, NoText, Setup};

const TABLE: &str = "/etc/crypttab";

pub(super) fn refusal(host: &Host, setup: &Setup, plan: &Plan, wanted: &Wanted) -> Option<Finding> {
    if let Some(Err(what)) = setup.files.0.get(TABLE).map(|file| &file.text).filter(|_| !wanted.accept_tpm && !plan.reboot.is_empty()) {
        let message = format!("{TABLE} {what}, so whether the TPM unlocks a disk is not known");
        // A user who may not read it may not write anything either.
        return Some(if matches!(what, NoText::Unread { closed: true, .. }) {
            Finding::warning("tpm", message, "run it as root")
        } else {
            let remedy = format!("correct {TABLE}; or have the disk's passphrase or recovery key at hand, then add --accept-tpm");
            Finding::blocked("tpm", message, remedy)
        });
    }
    let table = setup.files.text(TABLE).unwrap_or_default();
    let on_command_line = host
        .platform
        .cmdline
        .as_ref()
        .and_then(|cmdline| cmdline.get("rd.luks.options"))
        .filter(|options| options.contains("tpm2-device="));
    let measured = table.lines().map(str::trim).filter(|line| !line.starts_with('#')).find(|line| line.contains("tpm2-device="));
    let line = measured.or(on_command_line.map(|_| "of the root file system")).filter(|_| !wanted.accept_tpm && !plan.reboot.is_empty())?;
    let name = if on_command_line.is_some() { line } else { line.split_whitespace().next().unwrap_or_default() };
    Some(Finding::blocked(
        "tpm",
        format!("the TPM unlocks the disk {name}, and may refuse to after a change of the kernel command line or the initramfs"),
        "have the disk's passphrase or recovery key at hand, then add --accept-tpm; afterwards enroll the TPM again (systemd-cryptenroll)",
    ))
}
