//! Paths in options. QEMU resolves them in its working directory; under libvirt that is `/`.

use super::options::QemuOption;
use super::table::{self, LINES, PATH_PROPERTIES, PATHS};

/// What import knows of the host, apart from the script; it reads nothing itself.
#[derive(Clone, Copy)]
pub struct ImportContext<'a> {
    /// The script's directory.
    pub folder: &'a str,
    /// The format of an image, by its first bytes; `None` where it cannot be read.
    pub format: &'a dyn Fn(&str) -> Option<&'static str>,
}

/// Where QEMU searches firmware and ROMs that are not in its working directory (`qemu_find_file`).
const DATA: &str = "/usr/share/qemu";

/// Makes every path absolute; returns notes about it.
pub(super) fn absolute(options: &mut [QemuOption], around: &ImportContext<'_>) -> Vec<String> {
    let (mut from_folder, mut from_data) = (Vec::new(), Vec::new());
    for option in options {
        let mut found: Vec<(Option<&str>, String)> = Vec::new();
        for name in table::of(PATH_PROPERTIES, &option.name).into_iter().flat_map(|names| names.split(' ')) {
            found.extend(option.peek(name).map(|path| (Some(name), path.to_owned())));
        }
        if table::has(PATHS, &option.name) {
            found.extend(option.value.clone().map(|path| (None, path)));
        }
        // `file:log`, `unix:socket,server`: a character device with a path.
        let line = option.value.as_deref().filter(|_| table::has(LINES, &option.name)).and_then(|value| value.split_once(':'));
        if let Some((kind, path)) = line.filter(|(kind, path)| ["file", "unix", "pipe"].contains(kind) && is_relative(path)) {
            from_folder.push(path.split(',').next().unwrap_or_default().to_owned());
            option.value = Some(format!("{kind}:{}", joined(around.folder, path)));
        }
        for (property, path) in found.into_iter().filter(|(_, path)| is_relative(path)) {
            let here = joined(around.folder, &path);
            let is_data = (option.name == "bios" || property == Some("romfile")) && !path.contains('/');
            let absolute = if is_data && (around.format)(&here).is_none() {
                from_data.push(path.clone());
                joined(DATA, &path)
            } else {
                from_folder.push(path.clone());
                here
            };
            match property {
                Some(property) => option.set(property, Some(&absolute)),
                None => option.value = Some(absolute),
            }
        }
    }
    let mut notes = Vec::new();
    if !from_folder.is_empty() {
        let what = from_folder.join(", ");
        notes.push(format!("{what}: resolved in the script's directory {}, since libvirt does not run QEMU there", around.folder));
    }
    if !from_data.is_empty() {
        notes.push(format!("{}: not in the script's directory, so QEMU's own in {DATA} is used", from_data.join(", ")));
    }
    notes
}

/// Neither absolute, nor a protocol's (`nbd:…`, `fat:rw:…`, `json:{…}`), nor unknown.
fn is_relative(path: &str) -> bool {
    let has_scheme = path.split_once(':').is_some_and(|(scheme, _)| {
        scheme.len() > 1 && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)) && !scheme.contains('/')
    });
    !path.is_empty() && !path.starts_with(['/', '$', '~']) && !has_scheme
}

/// `./a` and `../a` from a folder.
fn joined(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::options::options;

    #[test]
    fn from_the_scripts_folder() {
        let argv =
            ["qemu", "-hda", "../a.img", "-drive", "file=x.img,format=raw", "-drive", "file=nbd:h:1", "-bios", "b.bin", "-cdrom", "/c"];
        let mut all = options(&argv.map(str::to_owned));
        let around = ImportContext { folder: "/vm/one", format: &|_| None };
        let notes = absolute(&mut all, &around);
        let values: Vec<&str> = all.iter().map(QemuOption::value).collect();
        assert_eq!(values, ["/vm/a.img", "file=/vm/one/x.img,format=raw", "file=nbd:h:1", "/usr/share/qemu/b.bin", "/c"]);
        assert_eq!((all[1].peek("file"), all[1].written.as_str()), (Some("/vm/one/x.img"), "-drive file=x.img,format=raw"));
        assert_eq!(notes.len(), 2);
    }
}
