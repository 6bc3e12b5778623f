//! rpm-ostree and bootc hosts: the entries belong to the deployment, and only its tool may change them.

use super::bls::{self, ENTRIES};
use super::entry::Entry;
use super::loader::Loader;
use crate::host::plan::{Command, Edits};
use crate::host::text::tokens::{self, ParameterChange};
use crate::model::{BootLoader, Finding, Host, Setup};

pub(super) static OSTREE: Loader =
    Loader { kind: BootLoader::Ostree, name: "rpm-ostree", configured, edit, next, fallback: |_, _, _| None };

fn configured(setup: &Setup) -> bool {
    setup.files.exists("/run/ostree-booted")
}

fn edit(_: &Host, setup: &Setup, wants: &[ParameterChange]) -> Result<Edits, Finding> {
    let mut edits = Edits::default();
    let entries = next(setup);
    let Some(now) = entries.first().map(|entry| entry.cmdline.clone()) else {
        return Err(Finding::error(
            "boot-loader",
            format!("no boot loader entry in {ENTRIES} can be read, so the kernel parameters of the deployment are not known"),
            "mount /boot, and run vgapt prepare again",
        ));
    };
    let (before, after): (Vec<&str>, String) = (now.split_whitespace().collect(), tokens::with(&now, wants));
    let after: Vec<&str> = after.split_whitespace().collect();
    if before == after {
        return Ok(edits);
    }
    if !setup.has("rpm-ostree") {
        return Err(Finding::error(
            "boot-loader",
            "this system is an image (bootc), and its kernel parameters are part of the image",
            format!("add a file to your image in /usr/lib/bootc/kargs.d with: kargs = [{}]", quoted(&after, &before)),
        ));
    }
    let gone: Vec<&str> = before.iter().filter(|token| !after.contains(token)).copied().collect();
    let come: Vec<&str> = after.iter().filter(|token| !before.contains(token)).copied().collect();
    // Options of `rpm-ostree kargs`, from its manual page.
    let kargs = |gone: &[&str], come: &[&str]| {
        let gone = gone.iter().map(|token| format!("--delete-if-present={token}"));
        let come = come.iter().map(|token| format!("--append-if-missing={token}"));
        ["rpm-ostree".to_owned(), "kargs".to_owned()].into_iter().chain(gone).chain(come).collect::<Vec<_>>()
    };
    let mut command = Command::of(&[], "rpm-ostree manages the deployment's kernel parameters");
    command.argv = kargs(&gone, &come);
    command.undo = Some(kargs(&come, &gone));
    edits.commands.push(command);
    Ok(edits)
}

/// The added parameters, as items of a TOML list.
fn quoted(after: &[&str], before: &[&str]) -> String {
    after.iter().filter(|token| !before.contains(token)).map(|token| format!("\"{token}\"")).collect::<Vec<_>>().join(", ")
}

fn next(setup: &Setup) -> Vec<Entry> {
    bls::entries(setup, ENTRIES)
}
