//! What kernel-install(8) is told: `install.conf`, and the files in `install.conf.d` after it.

use crate::model::Setup;

const FILES: [&str; 2] = ["/etc/kernel/install.conf", "/usr/lib/kernel/install.conf"];
const MORE: [&str; 2] = ["/etc/kernel/install.conf.d", "/usr/lib/kernel/install.conf.d"];

/// The value of a key; none if it is not set. Of the files themselves only the first one counts; those in the directories
/// are read in the order of their names, and the last assignment counts.
pub(super) fn value<'a>(setup: &'a Setup, key: &str) -> Option<&'a str> {
    let first = FILES.iter().find_map(|path| setup.files.text_lossy(path));
    let name = |path: &'a str| path.rsplit('/').next().unwrap_or_default();
    let mut more: Vec<(&str, &str)> = MORE.iter().flat_map(|folder| setup.files.texts_lossy(folder, ".conf")).collect();
    more.sort_by_key(|(path, _)| name(path));
    // A file masks the one of the same name in the later directory, and the sort keeps their order.
    more.dedup_by_key(|(path, _)| name(path));
    let lines = first.into_iter().chain(more.into_iter().map(|(_, text)| text)).flat_map(str::lines);
    let mut values = lines.filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == key).then(|| value.trim().trim_matches(['"', '\'']))
    });
    values.next_back().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ConfigFile, ConfigFiles};

    #[test]
    fn the_last_assignment_counts() {
        let of = |files: &[(&str, &str)]| {
            let file = |text: &str| ConfigFile { place: "/x".into(), mode: 0o644, text: Ok(text.into()) };
            let files = files.iter().map(|(path, text)| ((*path).to_owned(), file(text))).collect();
            value(&Setup { files: ConfigFiles(files), ..Setup::default() }, "initrd_generator").map(str::to_owned)
        };
        let main = ("/etc/kernel/install.conf", "layout=bls\ninitrd_generator=mkinitcpio\n");
        assert_eq!(of(&[main, (FILES[1], "initrd_generator=dracut\n")]).as_deref(), Some("mkinitcpio"));
        assert_eq!(of(&[main, ("/usr/lib/kernel/install.conf.d/9.conf", "initrd_generator = ugrd\n")]).as_deref(), Some("ugrd"));
        let both = [("/etc/kernel/install.conf.d/9.conf", ""), ("/usr/lib/kernel/install.conf.d/9.conf", "initrd_generator=ugrd\n")];
        assert_eq!(of(&both), None, "an empty file masks that of a package");
        assert_eq!(of(&[("/etc/kernel/install.conf", "#initrd_generator=dracut\n")]), None);
    }
}
