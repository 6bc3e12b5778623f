//! Installed software: what guests require, and what they may use.

use super::check::{Check, Group, Step};
use super::prepared::Prepared;
use crate::host::packages::{SOFTWARE, SoftwarePackage};

/// Where the disc with the virtio drivers comes from, for distributions that have no package of it.
const VIRTIO_DISC: &str =
    "download virtio-win.iso (https://github.com/virtio-win/virtio-win-pkg-scripts#downloads) into /var/lib/libvirt/images";

pub(super) fn checks(prepared: &Prepared) -> Vec<Check> {
    let known = prepared.facts.observed.reach.is_live() || !prepared.facts.setup.programs.is_empty();
    let mut checks: Vec<Check> = SOFTWARE.iter().map(|piece| piece_check(prepared, piece, known)).collect();
    checks.push(virtio_disc(prepared));
    checks
}

fn piece_check(prepared: &Prepared, piece: &SoftwarePackage, known: bool) -> Check {
    let check = |seen: String| Check { minor: !piece.required, ..Check::ok("software", Group::Software, piece.name, seen) };
    let version = prepared.facts.observed.versions.get(piece.program);
    if piece.is_there(prepared.facts.setup) {
        return check(version.map_or_else(|| "is installed".to_owned(), Clone::clone));
    }
    if !known {
        return Check { minor: true, ..check(String::new()).unknown(prepared.facts.observed.reach.because()) };
    }
    let check = Check { minor: false, ..check("is not installed".into()) };
    if piece.required {
        check.missing(Step::Software, piece.why, install(prepared, piece.name))
    } else {
        check.care(piece.why, install(prepared, piece.name))
    }
}

/// The command that installs a component on this distribution.
pub(super) fn install(prepared: &Prepared, name: &str) -> String {
    let distribution = &prepared.facts.host.platform.distribution;
    let package = SOFTWARE.iter().find(|piece| piece.name == name).and_then(|piece| piece.package(distribution));
    let command = package.and_then(|package| distribution.install_command(package));
    command.unwrap_or_else(|| format!("install {name} with this distribution's package manager"))
}

fn virtio_disc(prepared: &Prepared) -> Check {
    let check = |seen: String| Check::ok("virtio-win", Group::Software, "virtio drivers for Windows", seen);
    match prepared.facts.observed.virtio_discs.as_deref() {
        None => {
            check(String::new()).unknown(&format!("{} (/var/lib/libvirt/images)", prepared.facts.observed.reach.because_closed())).minor()
        }
        Some([]) => check("no virtio-win.iso was found in the usual places".into())
            .care("Windows has no drivers of its own for virtio disks and networks", VIRTIO_DISC),
        Some([first, ..]) => check(first.clone()).minor(),
    }
}
