//! Paths in options. QEMU resolves them in its working directory; under libvirt that is `/`.

use super::options::QemuOption;
use super::shell::{Script, joined};
use super::table::{self, LINES, PATH_PROPERTIES, PATHS};

/// What import knows of the host, apart from the script; it reads nothing itself.
#[derive(Clone, Copy)]
pub struct ImportContext<'a> {
    /// The format of an image, by its first bytes; `None` where it cannot be read.
    pub format: &'a dyn Fn(&str) -> Option<&'static str>,
}

/// Where QEMU searches firmware and ROMs that are not in its working directory, and not in the directories of `-L` (`qemu_find_file`;
/// the last two are those of Debian, see `qemu-system-x86_64 -L help`).
const DATA: [&str; 4] = ["/usr/share/qemu", "/usr/share/qemu-kvm", "/usr/share/seabios", "/usr/lib/ipxe/qemu"];

/// A path of an open file that QEMU was given (`-add-fd`).
const DESCRIPTORS: &str = "/dev/fdset/";

/// What was made of the paths.
#[derive(Debug, Default)]
pub(super) struct Placed {
    pub(super) notes: Vec<String>,
    /// Paths whose place is not known, each with the remedy.
    pub(super) refusals: Vec<(String, String)>,
}

/// Makes every path absolute.
pub(super) fn absolute(options: &mut [QemuOption], script: &Script, around: &ImportContext<'_>) -> Placed {
    let (mut from_folder, mut from_data) = (Vec::new(), Vec::new());
    let own =
        options.iter().filter(|option| option.name == "L").map(|option| joined(script.folder.as_deref().unwrap_or("/"), option.value()));
    let data: Vec<String> = own.chain(DATA.map(str::to_owned)).collect();
    let sets: Vec<(String, Option<String>)> = options
        .iter()
        .filter(|option| option.name == "add-fd")
        .filter_map(|option| Some((option.peek("set")?.to_owned(), open_file(option, script))))
        .collect();
    let mut placed = Placed::default();
    let folder = script.folder.as_deref();
    for option in options {
        let mut found: Vec<(Option<&str>, String)> = Vec::new();
        for name in table::of(PATH_PROPERTIES, &option.name).into_iter().flat_map(|names| names.split(' ')) {
            found.extend(option.peek(name).map(|path| (Some(name), path.to_owned())));
        }
        if option.name == "spice" && option.peek("unix").is_some_and(table::is_on) {
            found.extend(option.peek("addr").map(|path| (Some("addr"), path.to_owned())));
        }
        if table::has(PATHS, &option.name) {
            found.extend(option.value.clone().map(|path| (None, path)));
        }
        // `file:log`, `unix:socket,server`: a character device with a path.
        let line = option.value.as_deref().filter(|_| table::has(LINES, &option.name)).and_then(|value| value.split_once(':'));
        if let Some((kind, path)) = line.filter(|(kind, path)| ["file", "unix", "pipe"].contains(kind) && is_relative(path)) {
            from_folder.push(path.split(',').next().unwrap_or_default().to_owned());
            option.value = Some(format!("{kind}:{}", joined(folder.unwrap_or_default(), path)));
        }
        for (property, path) in found {
            if let Some(set) = path.strip_prefix(DESCRIPTORS) {
                match (property, sets.iter().find(|(known, _)| known == set).and_then(|(_, path)| path.as_ref())) {
                    (Some(property), Some(path)) => option.set(property, Some(path)),
                    (None, Some(path)) => option.value = Some(path.clone()),
                    (_, None) => placed.refusals.push((
                        format!("{}: it is an open file that QEMU was given, whose path is not known", option.written),
                        "import the QEMU that runs, as root: sudo vgapt import --running; or write the file's path in place of it".into(),
                    )),
                }
                continue;
            }
            // `fat:rw:DIRECTORY`: the directory is behind the last colon (`vvfat_parse_filename`).
            let (scheme, path) = path.split_at(if path.starts_with("fat:") { path.rfind(':').map_or(0, |at| at + 1) } else { 0 });
            let is_none = path == "no" && property.is_some_and(|name| name.ends_with("script"));
            if is_none || !is_relative(path) {
                continue;
            }
            let here = joined(folder.unwrap_or_default(), path);
            let is_data = option.name == "bios" || property == Some("romfile");
            let is_there = |path: &String| (around.format)(path).is_some();
            let in_data = || data.iter().map(|folder| joined(folder, path)).find(is_there);
            let absolute = if let Some(there) = in_data().filter(|_| is_data && !is_there(&here)) {
                from_data.push(format!("{path} is not in the script's directory: {there} is used, where QEMU looks for it too"));
                there
            } else {
                if is_data && !is_there(&here) {
                    from_data
                        .push(format!("{path} cannot be read in the script's directory, nor where QEMU looks for it: {}", data.join(", ")));
                }
                from_folder.push(path.to_owned());
                here
            };
            let absolute = format!("{scheme}{absolute}");
            match property {
                Some(property) => option.set(property, Some(&absolute)),
                None => option.value = Some(absolute),
            }
        }
    }
    let what = from_folder.join(", ");
    match folder {
        _ if from_folder.is_empty() => {}
        Some(folder) => {
            placed.notes.push(format!("{what}: resolved in {folder}, where the script starts QEMU, since libvirt does not run QEMU there"));
        }
        None => placed
            .refusals
            .push((format!("{what}: the directory in which QEMU was started is not known"), "give it: --set PWD=DIRECTORY".into())),
    }
    placed.notes.extend(from_data);
    placed
}

/// The path of the open file that `-add-fd` adds to a set.
fn open_file(option: &QemuOption, script: &Script) -> Option<String> {
    let descriptor = script.descriptors.get(&option.peek("fd")?.parse().ok()?)?;
    descriptor.path.starts_with('/').then(|| descriptor.path.clone())
}

/// Neither absolute, nor a protocol's (`nbd:…`, `json:{…}`), nor unknown.
fn is_relative(path: &str) -> bool {
    let has_scheme = path.split_once(':').is_some_and(|(scheme, _)| {
        scheme.len() > 1 && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)) && !scheme.contains('/')
    });
    !path.is_empty() && !path.starts_with(['/', '$', '~']) && !has_scheme
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::options::current_options;
    use crate::model::Descriptor;

    #[test]
    fn from_the_scripts_folder() {
        let argv =
            ["qemu", "-hda", "../a.img", "-drive", "file=x.img,format=raw", "-drive", "file=nbd:h:1", "-bios", "b.bin", "-cdrom", "/c"];
        let mut all = current_options(&argv.map(str::to_owned));
        let around = ImportContext { format: &|path| (path == "/usr/share/seabios/b.bin").then_some("raw") };
        let script = |folder: Option<&str>| Script { folder: folder.map(str::to_owned), ..Script::default() };
        assert_eq!(absolute(&mut all.clone(), &script(None), &around).refusals.len(), 1);
        let notes = absolute(&mut all, &script(Some("/vm/one")), &around).notes;
        let values: Vec<&str> = all.iter().map(QemuOption::value).collect();
        assert_eq!(
            values,
            [
                "index=0,media=disk,file=/vm/a.img",
                "file=/vm/one/x.img,format=raw",
                "file=nbd:h:1",
                "/usr/share/seabios/b.bin",
                "index=2,media=cdrom,file=/c"
            ]
        );
        assert_eq!((all[1].peek("file"), all[1].written.as_str()), (Some("/vm/one/x.img"), "-drive file=x.img,format=raw"));
        assert_eq!(notes.len(), 2);
    }

    #[test]
    fn an_open_file_is_its_path() {
        let argv = ["qemu", "-add-fd", "fd=9,set=2", "-drive", "file=/dev/fdset/2,if=virtio", "-cdrom", "/dev/fdset/3"];
        let mut all = current_options(&argv.map(str::to_owned));
        let descriptors = [(9, Descriptor { path: "/vm/a.img".into(), tap: None })].into();
        let placed = absolute(&mut all, &Script { descriptors, ..Script::default() }, &ImportContext { format: &|_| None });
        assert_eq!((all[1].peek("file"), placed.refusals.len()), (Some("/vm/a.img"), 1));
    }
}
