//! sdboot-manage (`CachyOS`, Manjaro): it writes systemd-boot's entries anew at each update of a kernel, with the kernel
//! parameters of its own configuration. What only the entries have is lost then.

use super::limine::with_key;
use super::loader::Loader;
use super::systemd_boot;
use crate::host::plan::Edits;
use crate::host::text::shell;
use crate::host::text::tokens::{self, ParameterChange};
use crate::model::{Finding, Host, Setup};

pub(super) static SDBOOT_MANAGE: Loader =
    Loader { name: "systemd-boot (its entries are written by sdboot-manage)", configured, edit, ..systemd_boot::SYSTEMD_BOOT };

pub(super) const CONFIGURATION: &str = "/etc/sdboot-manage.conf";
/// Read after it, by versions that know it.
pub(super) const MORE: &str = "/etc/sdboot-manage.conf.d";
const OPTIONS: &str = "LINUX_OPTIONS";
const OPTIONS_OF_FALLBACK: &str = "LINUX_FALLBACK_OPTIONS";

pub(super) fn configured(setup: &Setup) -> bool {
    setup.has("sdboot-manage") && (systemd_boot::SYSTEMD_BOOT.configured)(setup)
}

/// Its configuration, and the present entries, as sdboot-manage will write them: it appends the options to what it finds itself.
fn edit(host: &Host, setup: &Setup, wants: &[ParameterChange]) -> Result<Edits, Finding> {
    let text = setup.files.text_lossy(CONFIGURATION).unwrap_or_default();
    let mut names = vec![OPTIONS];
    let last = shell::assignments(text, "DISABLE_FALLBACK").pop();
    if last.is_none_or(|last| &text[last.inside] != "yes") {
        names.push(OPTIONS_OF_FALLBACK);
    }
    if let Some((path, name)) = replaced(setup, &names, wants) {
        return Err(Finding::error(
            "boot-loader",
            format!("{path} sets {name} anew, and sdboot-manage reads it after {CONFIGURATION}, so what vgapt adds there is lost"),
            format!("write {name}+= instead of {name}= in {path}, and run vgapt prepare again"),
        ));
    }
    let mut edits = Edits::default();
    let changed = |text: &str| names.iter().fold(text.to_owned(), |text, name| with_key(&text, name, wants));
    let why = "kernel parameters of the entries that sdboot-manage writes at the next update of a kernel";
    // Without a file there are no options.
    if setup.files.exists(CONFIGURATION) {
        edits.change(setup, CONFIGURATION, why, changed)?;
    } else if !wants.is_empty() {
        edits.write(setup, CONFIGURATION, changed(""), 0o644, why)?;
    }
    let entries = (systemd_boot::SYSTEMD_BOOT.edit)(host, setup, wants)?;
    edits.writes.extend(entries.writes);
    edits.commands.extend(entries.commands);
    Ok(edits)
}

/// A later file that replaces what the configuration sets, without what is needed; and the name.
fn replaced<'a>(setup: &'a Setup, names: &[&'static str], wants: &[ParameterChange]) -> Option<(&'a str, &'static str)> {
    setup.files.texts_lossy(MORE, ".conf").find_map(|(path, text)| {
        let replaces =
            |name: &str| shell::assignments(text, name).iter().any(|one| !one.adds && !tokens::has_all(&text[one.inside.clone()], wants));
        names.iter().find(|name| replaces(name)).map(|name| (path, *name))
    })
}
