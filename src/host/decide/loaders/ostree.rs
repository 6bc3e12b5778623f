//! rpm-ostree and bootc hosts: the entries belong to the deployment, and only its tool may change them.

use super::bls::{self, ENTRIES};
use super::cmdline;
use super::loader::{Entry, Loader};
use crate::host::plan::{Command, Edits};
use crate::host::text::tokens::{self, ParameterChange};
use crate::model::{BootLoader, Finding, Host, OWN_OPTIONS, Reading, Setup};

const STAGED: &str = "/run/ostree/staged-deployment";

pub(super) static OSTREE: Loader = Loader {
    kind: BootLoader::Ostree,
    name: "rpm-ostree",
    configured,
    edit,
    next,
    made_from: |_| Vec::new(),
    images: |_| Vec::new(),
    fallback: |_, _, _, _| None,
};

fn configured(setup: &Setup) -> bool {
    setup.is_of_ostree()
}

fn edit(_: &Host, setup: &Setup, wants: &[ParameterChange]) -> Result<Edits, Finding> {
    let mut edits = Edits::default();
    let Some((entry, own)) = next_with_own(setup) else {
        let because = setup.staged.0.unknown().map_or_else(|| format!("no boot loader entry in {ENTRIES} can be read"), str::to_owned);
        return Err(Finding::error(
            "boot-loader",
            format!("{because}, so the kernel parameters of the deployment are not known"),
            "mount /boot, and run vgapt prepare again as root",
        ));
    };
    let now = entry.cmdline;
    let after = tokens::with(&now, wants);
    let (gone, come) = (missing_in(&now, &after), missing_in(&after, &now));
    if gone.is_empty() && come.is_empty() {
        return Ok(edits);
    }
    if cmdline::is_for_init(&now) && !come.is_empty() {
        return Err(Finding::error(
            "boot-loader",
            format!("the deployment's kernel parameters have a --, and what is added comes behind it, where only init reads it: {now}"),
            "remove -- and what follows it (rpm-ostree kargs --editor), and run vgapt prepare again",
        ));
    }
    let is_own = |token: &String| own.split_whitespace().any(|one| one == token);
    let (argv, undo, why) = if setup.has_sources && gone.iter().all(is_own) {
        let kept = missing_in(&own, &gone.join(" ")).into_iter();
        let whole = kept.chain(come).collect::<Vec<_>>().join(" ");
        (by_source(&whole), by_source(&own), "bootc keeps them over updates, as vgapt's own")
    } else if setup.has("rpm-ostree") {
        (kargs(&gone, &come), kargs(&come, &gone), "rpm-ostree manages the deployment's kernel parameters")
    } else {
        return Err(of_image(setup, &gone, &come));
    };
    let mut command = Command::of(&[], why);
    (command.argv, command.undo) = (argv, Some(undo));
    edits.commands.push(command);
    Ok(edits)
}

/// The words of one line that another one does not have.
fn missing_in(line: &str, other: &str) -> Vec<String> {
    line.split_whitespace().filter(|token| !other.split_whitespace().any(|known| known == *token)).map(str::to_owned).collect()
}

/// Options of `rpm-ostree kargs`, from its manual page.
fn kargs(gone: &[String], come: &[String]) -> Vec<String> {
    let gone = gone.iter().map(|token| format!("--delete-if-present={token}"));
    let come = come.iter().map(|token| format!("--append-if-missing={token}"));
    ["rpm-ostree".to_owned(), "kargs".to_owned()].into_iter().chain(gone).chain(come).collect()
}

/// bootc-loader-entries-set-options-for-source(8): without options, all that this owner had is taken back.
fn by_source(options: &str) -> Vec<String> {
    let command = ["bootc", "loader-entries", "set-options-for-source", "--source", "vgapt"].map(str::to_owned);
    command.into_iter().chain((!options.is_empty()).then(|| format!("--options={options}"))).collect()
}

fn of_image(setup: &Setup, gone: &[String], come: &[String]) -> Finding {
    const MESSAGE: &str = "this system is an image (bootc), and its kernel parameters are part of the image";
    if !gone.is_empty() {
        return Finding::error("boot-loader", MESSAGE, format!("remove from your image, or where it was installed: {}", gone.join(" ")));
    }
    // The items of a TOML list.
    let come: Vec<String> = come.iter().map(|token| format!("\"{token}\"")).collect();
    let image = format!("add a file to your image in /usr/lib/bootc/kargs.d with: kargs = [{}]", come.join(", "));
    let update = if setup.has("bootc") { "; or update to bootc 1.15.2 or later, with which vgapt sets them here" } else { "" };
    Finding::error("boot-loader", MESSAGE, format!("{image}{update}"))
}

/// The deployment that waits for the shutdown, else the one of the entry with the highest version.
fn next(setup: &Setup) -> Vec<Entry> {
    next_with_own(setup).map(|(entry, _)| entry).into_iter().collect()
}

/// The same with the part of its command line that vgapt owns; `None` where it is not known.
fn next_with_own(setup: &Setup) -> Option<(Entry, String)> {
    let newest = || {
        let version = |entry: &Entry| -> Option<u32> { value(setup.files.text(&entry.source)?, "version")?.parse().ok() };
        let entry = bls::entries(setup, ENTRIES).into_iter().max_by_key(version)?;
        let own = setup.files.text(&entry.source).and_then(|text| value(text, OWN_OPTIONS)).unwrap_or_default().to_owned();
        Some((entry, own))
    };
    match &setup.staged.0 {
        Reading::Absent => newest(),
        Reading::Unknown(_) => None,
        Reading::Known(staged) => {
            let Some(cmdline) = staged.cmdline.clone() else { return newest() };
            Some((Entry { source: STAGED.to_owned(), cmdline, ..Entry::default() }, staged.own.clone()))
        }
    }
}

fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| Some(line.strip_prefix(key)?.strip_prefix(char::is_whitespace)?.trim()))
}
