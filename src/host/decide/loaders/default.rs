//! The entry that boots where nobody chooses another one in the menu.

use super::loader::Entry;
use crate::model::Setup;

const GRUB: &str = "/etc/default/grub";
/// GRUB's environment, which has the saved entry, and systemd-boot's configuration.
const ENVIRONMENTS: [&str; 2] = ["/boot/grub2/grubenv", "/boot/grub/grubenv"];
const LOADERS: [&str; 3] = ["/boot/loader/loader.conf", "/boot/efi/loader/loader.conf", "/efi/loader/loader.conf"];

/// The menu's default where it is configured not to be the first entry.
#[derive(Debug)]
pub struct DefaultEntry<'a> {
    /// Where that is said.
    pub says: String,
    /// The entry; `None` where no known one has that name.
    pub entry: Option<&'a Entry>,
}

/// The default among these entries; `None` where none is configured.
pub fn default_entry<'a>(setup: &Setup, entries: &'a [Entry]) -> Option<DefaultEntry<'a>> {
    let (says, name) = configured(setup)?;
    Some(DefaultEntry { says, entry: entries.iter().find(|entry| is_named(entry, &name)) })
}

/// Where the default is said, and its name.
fn configured(setup: &Setup) -> Option<(String, String)> {
    let said = |path: &str, key: &str| {
        let values = setup.files.text(path)?.lines().filter_map(|line| line.trim().strip_prefix(key));
        let value = values.map(|value| value.trim().trim_matches(['"', '\''])).rfind(|value| !value.is_empty())?;
        Some((format!("{path} says {key}{value}"), value.to_owned()))
    };
    match said(GRUB, "GRUB_DEFAULT=").filter(|(_, value)| value != "0") {
        Some(of_grub) if of_grub.1 == "saved" => ENVIRONMENTS.iter().find_map(|path| said(path, "saved_entry=")).or(Some(of_grub)),
        Some(of_grub) => Some(of_grub),
        None => LOADERS.iter().find_map(|path| said(path, "default ")),
    }
}

/// Whether an entry is the one of this name: its file, or what its menu calls it.
fn is_named(entry: &Entry, name: &str) -> bool {
    let file = entry.source.rsplit('/').next().unwrap_or_default();
    file == name || file.strip_suffix(".conf") == Some(name) || entry.names.iter().any(|one| one == name)
}
