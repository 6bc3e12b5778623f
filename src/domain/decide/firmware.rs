//! Which UEFI firmware a domain gets.

use super::checks::files::{no_firmware, no_secure_firmware, other_firmware, plain_firmware};
use crate::domain::base::Base;
use crate::domain::profile::file::Profile;
use crate::domain::request::Request;
use crate::domain::request::files::matching_vars;
use crate::model::{Files, Finding, Firmware};

/// The firmware to write: the requested one. A new domain gets the host's, unless its template has its own firmware
/// or boots a kernel directly.
pub(crate) fn firmware(base: &Base, files: &Files, findings: &mut Vec<Finding>) -> Option<Firmware> {
    let wanted = &base.wanted;
    if base.differs(|request| (request.loader.clone(), request.nvram_template.clone()))
        && (wanted.loader.is_some() || wanted.nvram_template.is_some())
    {
        let firmware = asked_firmware(wanted, files, findings);
        findings.extend(firmware.as_ref().and_then(|firmware| other_firmware(base, &firmware.code)));
        let is_plain = |code: &str| files.firmwares.iter().any(|known| known.code == code && !(known.secure_boot && known.has_keys));
        if let Some(firmware) =
            firmware.as_ref().filter(|firmware| base.profile.is_some_and(Profile::secure_boot) && is_plain(&firmware.code))
        {
            findings.push(plain_firmware(&firmware.code));
        }
        return firmware;
    }
    let os = base.domain.root().child("os");
    let has_own = os.is_some_and(|os| os.attribute("firmware").is_some() || os.child("loader").is_some() || os.child("kernel").is_some());
    if !base.is_new || has_own {
        return None;
    }
    // A user's template without UEFI means BIOS, and a system that is installed in it boots with the BIOS.
    if base.profile.is_none() && os.is_some() {
        findings.push(Finding::warning(
            "bios",
            "the template has no UEFI firmware, so the domain boots with BIOS",
            "if its system boots with UEFI, specify the firmware with --loader and --nvram-template, or the system with --os",
        ));
        return None;
    }
    if base.profile.is_some_and(Profile::secure_boot) {
        let found = files.firmwares.iter().find(|firmware| firmware.secure_boot && firmware.has_keys).cloned();
        if found.is_some() {
            return found;
        }
        // A system that is installed already boots with any UEFI firmware, but not with a BIOS.
        let plain = files.firmwares.iter().find(|firmware| !firmware.secure_boot).cloned();
        findings.push(no_secure_firmware(plain.as_ref()));
        return plain;
    }
    let found = files.firmwares.iter().find(|firmware| !firmware.secure_boot).cloned();
    if found.is_none() {
        findings.push(no_firmware(files));
    }
    found
}

fn asked_firmware(wanted: &Request, files: &Files, findings: &mut Vec<Finding>) -> Option<Firmware> {
    let known = files.firmwares.iter().find(|known| match (&wanted.loader, &wanted.nvram_template) {
        (Some(code), _) => known.code == *code,
        (None, vars) => Some(&known.vars) == vars.as_ref(),
    });
    let code = wanted.loader.clone().or_else(|| known.map(|known| known.code.clone()));
    let vars = wanted.nvram_template.clone().or_else(|| known.map(|known| known.vars.clone())).or_else(|| matching_vars(code.as_deref()?));
    let (Some(code), Some(vars)) = (code, vars) else {
        let given = wanted.loader.as_deref().or(wanted.nvram_template.as_deref()).unwrap_or_default();
        findings.push(Finding::error(
            "no-matching-firmware",
            format!("no matching firmware image found for {given}"),
            "specify both --loader and --nvram-template",
        ));
        return None;
    };
    let format = files.of(&code).and_then(|facts| facts.format.clone()).filter(|format| format == "qcow2");
    let format = format.or_else(|| known.map(|known| known.format.clone())).unwrap_or_else(|| "raw".into());
    let is = |of: fn(&Firmware) -> bool| known.is_some_and(of);
    Some(Firmware { code, vars, format, secure_boot: is(|known| known.secure_boot), has_keys: is(|known| known.has_keys) })
}
