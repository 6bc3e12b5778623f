//! Folders shared with guests by the host's Samba: whether Samba serves them.

use super::check::{Check, Group};
use super::prepared::Prepared;
use crate::host;
use crate::model::{HostSource, Observed, Setup};

const WHY: &str = "a defined guest uses this share, and libvirt does not set it up";

pub(super) fn checks(prepared: &Prepared) -> Vec<Check> {
    let mut checks: Vec<Check> = prepared.facts.observed.smb_wanted.iter().map(|folder| folder_check(prepared, folder)).collect();
    if !checks.is_empty() {
        checks.extend(listening(prepared));
    }
    checks.extend(not_known(prepared));
    checks
}

/// A domain that cannot be read may use a shared folder.
fn not_known(prepared: &Prepared) -> Option<Check> {
    let Observed { smb_unknown, reach, .. } = prepared.facts.observed;
    let check = || Check::ok("samba-share", Group::Software, "folders shared with guests by Samba", "");
    let check = (!smb_unknown.is_empty()).then(|| check().unknown(&smb_unknown.join("; ")))?;
    // An ordinary user may not read the domains, and a recording never has them.
    let is_usual = matches!(reach, HostSource::Live { root: false } | HostSource::Recorded);
    Some(if is_usual { check.minor() } else { check })
}

fn folder_check(prepared: &Prepared, folder: &str) -> Check {
    let setup = prepared.facts.setup;
    let check = |seen: String| Check::ok("samba-share", Group::Software, format!("the shared folder {folder}"), seen);
    let remedy = |more: &str| format!("vgapt prepare --share-smb {folder}{more}");
    if !setup.has("smbd") {
        return check("is not served: Samba is not installed".into()).care(WHY, remedy(" --install"));
    }
    if !host::is_shared(setup, folder) {
        return check("is not in Samba's configuration".into()).care(WHY, remedy(""));
    }
    check("is in Samba's configuration".into()).minor()
}

/// A Samba that was started before the network had an address does not listen there.
fn listening(prepared: &Prepared) -> Option<Check> {
    let Setup { networks, .. } = prepared.facts.setup;
    let check = |seen: String| Check::ok("samba", Group::Software, "Samba", seen);
    let Some(listeners) = &prepared.facts.observed.smb_listeners else {
        return Some(check(String::new()).unknown(prepared.facts.observed.reach.because()).minor());
    };
    if !prepared.facts.setup.has("smbd") {
        return None;
    }
    let remedy = "systemctl restart smbd.service, or smb.service";
    let reaches_guests =
        listeners.iter().any(|address| address.is_unspecified() || networks.iter().any(|network| network.address == *address));
    Some(if listeners.is_empty() {
        check("does not listen".into()).care(WHY, remedy)
    } else if !reaches_guests && !networks.is_empty() {
        check("does not listen on a guest network".into()).care(WHY, remedy)
    } else if !reaches_guests {
        let because = "libvirt's guest networks are not known, so whether Samba listens there is unknown too";
        check(String::new()).unknown(because).minor()
    } else {
        check("listens".into()).minor()
    })
}
