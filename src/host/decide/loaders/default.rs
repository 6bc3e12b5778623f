//! The entry that boots where nobody chooses another one in the menu.

use super::loader::Entry;
use crate::model::Setup;

const GRUB: &str = "/etc/default/grub";
/// GRUB's environment, which has the saved entry, and systemd-boot's configuration.
const ENVIRONMENTS: [&str; 2] = ["/boot/grub2/grubenv", "/boot/grub/grubenv"];
const LOADERS: [&str; 3] = ["/boot/loader/loader.conf", "/boot/efi/loader/loader.conf", "/efi/loader/loader.conf"];

/// The number of the menu's first entry.
const FIRST: &str = "0";

/// The menu's default where it is configured not to be the first entry.
#[derive(Debug)]
pub struct DefaultEntry<'a> {
    /// Where that is said.
    pub says: String,
    /// The entry; `None` where no known one has that name.
    pub entry: Option<&'a Entry>,
}

/// The default among these entries; `None` where it is the first of what is generated.
pub(in crate::host::decide) fn default_entry<'a>(setup: &Setup, entries: &'a [Entry]) -> Option<DefaultEntry<'a>> {
    if let Some(said) = configured(setup) {
        return Some(of_name(said, entries));
    }
    let first = entries.iter().find(|entry| is_named(entry, FIRST)).filter(|entry| entry.by_hand.is_some())?;
    Some(DefaultEntry { says: "the default is the menu's first entry".to_owned(), entry: Some(first) })
}

/// The entry of the next boot among these: the one that was chosen for one boot, else the default.
pub fn next_entry<'a>(setup: &Setup, entries: &'a [Entry]) -> Option<DefaultEntry<'a>> {
    let once = ENVIRONMENTS.iter().find_map(|path| said(setup, path, "next_entry="));
    once.map(|said| of_name(said, entries)).or_else(|| default_entry(setup, entries))
}

fn of_name((says, name): (String, String), entries: &[Entry]) -> DefaultEntry<'_> {
    DefaultEntry { says, entry: entries.iter().find(|entry| is_named(entry, &name)) }
}

/// Where the default is said, and its name.
fn configured(setup: &Setup) -> Option<(String, String)> {
    match said(setup, GRUB, "GRUB_DEFAULT=").filter(|(_, value)| value != FIRST) {
        Some(of_grub) if of_grub.1 == "saved" => ENVIRONMENTS.iter().find_map(|path| said(setup, path, "saved_entry=")).or(Some(of_grub)),
        Some(of_grub) => Some(of_grub),
        None => LOADERS.iter().find_map(|path| said(setup, path, "default ")),
    }
}

/// A line of a file that begins with this key, and its value.
fn said(setup: &Setup, path: &str, key: &str) -> Option<(String, String)> {
    let values = setup.files.text(path)?.lines().filter_map(|line| line.trim().strip_prefix(key));
    let value = values.map(|value| value.trim().trim_matches(['"', '\''])).rfind(|value| !value.is_empty())?;
    Some((format!("{path} says {key}{value}"), value.to_owned()))
}

/// Whether an entry is the one of this name: its file, or what its menu calls it.
fn is_named(entry: &Entry, name: &str) -> bool {
    let file = entry.source.rsplit('/').next().unwrap_or_default();
    file == name || file.strip_suffix(".conf") == Some(name) || entry.names.iter().any(|one| one == name)
}
