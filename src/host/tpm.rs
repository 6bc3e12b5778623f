//! A disk that the TPM unlocks: it may ask for its key once what is booted has changed.

use super::plan::{Plan, text_of};
use super::wanted::Wanted;
use crate::model::{Finding, Host, Setup};

const CRYPTTAB: &str = "/etc/crypttab";

pub(super) fn refusal(host: &Host, setup: &Setup, plan: &Plan, wanted: &Wanted) -> Option<Finding> {
    let table = match setup.files.0.get(CRYPTTAB).map(|file| text_of(CRYPTTAB, file)).transpose() {
        Ok(table) => table.unwrap_or_default(),
        Err(_) if wanted.accept_tpm || plan.reboot.is_empty() => return None,
        Err(unread) => {
            let message = format!("whether the TPM unlocks a disk, which may ask for its key then, is not known: {}", unread.message);
            return Some(Finding::warning("tpm", message, "see that it can be read (as root), or have the key at hand"));
        }
    };
    let on_command_line = host
        .platform
        .cmdline
        .as_ref()
        .and_then(|cmdline| cmdline.get("rd.luks.options"))
        .filter(|options| options.contains("tpm2-device="));
    let measured = table.lines().map(str::trim).filter(|line| !line.starts_with('#')).find(|line| line.contains("tpm2-device="));
    let line = measured.or(on_command_line.map(|_| "of the root file system")).filter(|_| !wanted.accept_tpm && !plan.reboot.is_empty())?;
    let name = if on_command_line.is_some() { line } else { line.split_whitespace().next().unwrap_or_default() };
    Some(Finding::blocker(
        "tpm",
        format!("the TPM unlocks the disk {name}, and may refuse once the kernel's command line or the initramfs has changed"),
        "have the disk's passphrase or recovery key at hand, then add --accept-tpm; afterwards enroll the TPM again (systemd-cryptenroll)",
    ))
}
