//! What the files of sysctl.d set.

use super::ConfigFiles;

/// The folders of sysctl.d(5): a file masks files of the same name in later folders.
pub const SYSCTL_FOLDERS: [&str; 4] = ["/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d"];

/// The folders of `TuneD`'s own profiles, since its version 2.23 and before, and a profile's file below them.
pub const TUNED_FOLDERS: [&str; 2] = ["/etc/tuned/profiles", "/etc/tuned"];
pub const TUNED_PROFILE: &str = "tuned.conf";

impl ConfigFiles {
    /// What the active profile of `TuneD`, or one that it includes, sets this name to, with its file (tuned.conf(5)).
    pub fn tuned<'a>(&'a self, name: &str) -> Option<(&'a str, &'a str)> {
        let mut names: Vec<String> = self.text_lossy("/etc/tuned/active_profile")?.split_whitespace().map(str::to_owned).collect();
        let mut at = 0;
        while let Some(profile) = names.get(at).cloned() {
            at += 1;
            let own = TUNED_FOLDERS.iter().find_map(|folder| self.0.get_key_value(&format!("{folder}/{profile}/{TUNED_PROFILE}")));
            let Some((path, text)) = own.and_then(|(path, file)| Some((path.as_str(), file.text_lossy().ok()?))) else { continue };
            if let Some(value) = last_value(text, name) {
                return Some((path, value));
            }
            let included = text.lines().filter_map(|line| line.trim().strip_prefix("include")?.trim_start().strip_prefix('='));
            for one in included.flat_map(|value| value.split([',', ' '])).filter(|one| !one.is_empty()) {
                if !names.iter().any(|known| known == one) {
                    names.push(one.to_owned());
                }
            }
        }
        None
    }

    /// What each file of sysctl.d sets this name to (`vm.nr_hugepages`), with its path, in the order in which they count: sorted
    /// by the names of the files, whatever their folders, so that the last one takes effect.
    pub fn sysctl<'a>(&'a self, name: &str) -> Vec<(&'a str, &'a str)> {
        let mut files: Vec<(&str, &str, &str)> = Vec::new();
        for folder in SYSCTL_FOLDERS {
            for (path, file) in self.below(folder, ".conf") {
                let of_file = path.rsplit('/').next().unwrap_or(path);
                if !files.iter().any(|(known, ..)| *known == of_file) {
                    files.push((of_file, path, file.text_lossy().unwrap_or_default()));
                }
            }
        }
        files.sort_unstable();
        files.into_iter().filter_map(|(_, path, text)| Some((path, last_value(text, name)?))).collect()
    }
}

/// The value of the last line that sets this name.
fn last_value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let value = |line: &'a str| {
        let (key, value) = line.trim().split_once('=')?;
        is_name(key, name).then(|| value.trim())
    };
    text.lines().filter_map(value).next_back()
}

/// Whether a line's key is this name, which has no dot within a part. A `-` before the key only silences errors. If its first
/// separator is a slash, slashes separate, else dots, and empty parts do not count (`sysctl_normalize` of systemd's
/// sysctl-util.c).
fn is_name(key: &str, name: &str) -> bool {
    let key = key.trim();
    let key = key.strip_prefix('-').unwrap_or(key).trim_start();
    let separator = key.chars().find(|c| ['.', '/'].contains(c)).unwrap_or('.');
    key.split(separator).filter(|part| !part.is_empty()).eq(name.split('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ConfigFile;

    #[test]
    fn spellings_of_a_name() {
        let value = |text| last_value(text, "vm.nr_hugepages");
        for text in [
            "vm.nr_hugepages=64",
            " vm/nr_hugepages = 64 ",
            "-vm.nr_hugepages = 64",
            "- vm/nr_hugepages=64",
            "/vm//nr_hugepages=64",
            "vm.nr_hugepages=1\nvm/nr_hugepages=64\n# vm.nr_hugepages=2\n;vm.nr_hugepages=3\n",
        ] {
            assert_eq!(value(text), Some("64"), "{text:?}");
        }
        for text in ["vm.nr_hugepages", "-vm.nr_hugepages", "vm.nr_hugepages_mempolicy=64", "#vm.nr_hugepages=64", "vm.nr/hugepages=64"] {
            assert_eq!(value(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_last_name_counts_and_masks_its_like() {
        let mut files = ConfigFiles::default();
        for (path, text) in [
            ("/etc/sysctl.d/20-a.conf", "vm.nr_hugepages=1"),
            ("/usr/lib/sysctl.d/90-b.conf", "vm.nr_hugepages=2"),
            ("/usr/local/lib/sysctl.d/30-c.conf", "vm.nr_hugepages=3"),
            ("/run/sysctl.d/40-d.conf", "vm.nr_hugepages=4"),
            ("/usr/lib/sysctl.d/40-d.conf", "vm.nr_hugepages=5"),
            ("/etc/sysctl.d/80-e.conf", ""),
            ("/run/sysctl.d/80-e.conf", "vm.nr_hugepages=6"),
            ("/etc/sysctl.d/zz", "vm.nr_hugepages=7"),
        ] {
            files.0.insert(path.into(), ConfigFile { place: path.into(), mode: 0o644, text: Ok(text.into()) });
        }
        let set: Vec<(&str, &str)> = files.sysctl("vm.nr_hugepages");
        let in_order = [
            ("/etc/sysctl.d/20-a.conf", "1"),
            ("/usr/local/lib/sysctl.d/30-c.conf", "3"),
            ("/run/sysctl.d/40-d.conf", "4"),
            ("/usr/lib/sysctl.d/90-b.conf", "2"),
        ];
        assert_eq!(set, in_order);
    }
}
