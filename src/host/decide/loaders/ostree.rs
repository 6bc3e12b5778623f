//! rpm-ostree and bootc hosts: the entries belong to the deployment, and only its tool may change them.

use super::bls::{self, ENTRIES};
use super::loader::{Entry, Loader};
use crate::host::plan::{Command, Edits};
use crate::host::text::tokens::{self, ParameterChange};
use crate::model::{BootLoader, Finding, Host, Setup};

pub(super) static OSTREE: Loader =
    Loader { kind: BootLoader::Ostree, name: "rpm-ostree", configured, edit, next, images: |_| Vec::new(), fallback: |_, _, _| None };

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
    let after = tokens::with(&now, wants);
    let missing_in = |line: &str, other: &str| -> Vec<String> {
        line.split_whitespace().filter(|token| !other.split_whitespace().any(|known| known == *token)).map(str::to_owned).collect()
    };
    let (gone, come) = (missing_in(&now, &after), missing_in(&after, &now));
    if gone.is_empty() && come.is_empty() {
        return Ok(edits);
    }
    if !setup.has("rpm-ostree") {
        // The items of a TOML list.
        let come: Vec<String> = come.iter().map(|token| format!("\"{token}\"")).collect();
        return Err(Finding::error(
            "boot-loader",
            "this system is an image (bootc), and its kernel parameters are part of the image",
            format!("add a file to your image in /usr/lib/bootc/kargs.d with: kargs = [{}]", come.join(", ")),
        ));
    }
    // Options of `rpm-ostree kargs`, from its manual page.
    let kargs = |gone: &[String], come: &[String]| {
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

fn next(setup: &Setup) -> Vec<Entry> {
    bls::entries(setup, ENTRIES)
}
