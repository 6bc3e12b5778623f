//! Which `grub.cfg` GRUB reads: one in /boot, or a complete one on the EFI system partition.

use crate::model::{Finding, NoText, Setup};

/// The paths of `grub.cfg`: Fedora, openSUSE and similar distributions use the first.
pub(super) const CONFIGURATIONS: [&str; 2] = ["/boot/grub2/grub.cfg", "/boot/grub/grub.cfg"];
/// On Fedora and similar distributions a link to the one that GRUB reads with UEFI.
const LINK: &str = "/etc/grub2-efi.cfg";

/// Those that exist.
pub(super) fn there(setup: &Setup) -> Vec<&str> {
    let known = CONFIGURATIONS.into_iter().filter(|path| setup.files.exists(path));
    known.chain(on_partition(setup).filter(|(_, text)| text.is_ok_and(is_whole)).map(|(path, _)| path)).collect()
}

/// The one that GRUB reads.
///
/// # Errors
/// If that is not certain.
pub(super) fn read_one(setup: &Setup) -> Result<&str, Finding> {
    match read_ones(setup)[..] {
        [one] => Ok(one),
        [] => Ok(CONFIGURATIONS[1]),
        ref several => Err(Finding::error(
            "boot-loader",
            format!("which grub.cfg GRUB reads is not certain: {}", several.join(" or ")),
            "remove those that belong to no installed GRUB, and run vgapt prepare again",
        )),
    }
}

/// Those that GRUB may read: a single one if that is certain.
pub(super) fn read_ones(setup: &Setup) -> Vec<&str> {
    if setup.booted.efi
        && let Some(read) = by_firmware(setup)
    {
        return read;
    }
    in_boot(setup)
}

/// What GRUB reads from the partition from which the firmware started it; `None` if there is nothing.
fn by_firmware(setup: &Setup) -> Option<Vec<&str>> {
    let started = setup.booted.program.as_deref().and_then(directory);
    let all: Vec<(&str, Result<&str, &NoText>)> = on_partition(setup).collect();
    let of_program = |(path, _): &&(&str, Result<&str, &NoText>)| {
        started.as_deref().is_some_and(|directory| path.to_ascii_lowercase().contains(directory))
    };
    let candidates: Vec<&(&str, Result<&str, &NoText>)> = match all.iter().filter(of_program).collect::<Vec<_>>() {
        found if found.is_empty() && started.is_none() => all.iter().collect(),
        found => found,
    };
    // A file that cannot be read may be the one.
    if candidates.iter().any(|(_, text)| text.is_err()) {
        return Some(candidates.iter().map(|(path, _)| *path).chain(in_boot(setup)).collect());
    }
    let whole: Vec<&str> = candidates.iter().filter(|(_, text)| text.is_ok_and(is_whole)).map(|(path, _)| *path).collect();
    if !whole.is_empty() {
        return Some(whole);
    }
    // A stub loads another `grub.cfg`.
    let named = candidates
        .iter()
        .filter_map(|(_, text)| target(text.ok()?))
        .find_map(|place| CONFIGURATIONS.into_iter().find(|path| path.ends_with(&place) && setup.files.exists(path)));
    if let Some(path) = named {
        return Some(vec![path]);
    }
    let place = setup.files.0.get(LINK).map(|file| file.place.as_str())?;
    setup.files.0.get_key_value(place).map(|(path, _)| vec![path.as_str()])
}

/// The `grub.cfg` of each vendor on the EFI system partition, and its text.
fn on_partition(setup: &Setup) -> impl Iterator<Item = (&str, Result<&str, &NoText>)> {
    let is_one = |path: &str| {
        ["/boot/efi/EFI/", "/efi/EFI/", "/boot/EFI/"].iter().any(|start| path.starts_with(start)) && path.ends_with("/grub.cfg")
    };
    setup.files.0.iter().filter(move |(path, _)| is_one(path)).map(|(path, file)| (path.as_str(), file.text.as_deref()))
}

/// The directory of a program such as `\EFI\centos\shimx64.efi`, as part of a path.
fn directory(program: &str) -> Option<String> {
    let path = program.replace('\\', "/").to_ascii_lowercase();
    let (folder, _) = path.rsplit_once('/')?;
    // The path of the firmware's fallback says nothing about the vendor.
    (folder.len() > 1 && !folder.ends_with("/boot")).then(|| format!("{folder}/"))
}

/// Whether it contains entries, or reads those of the Boot Loader Specification.
fn is_whole(text: &str) -> bool {
    let command = |line: &str| line.split_whitespace().next().unwrap_or_default().to_owned();
    text.lines().any(|line| ["menuentry", "blscfg"].contains(&command(line).as_str()))
}

/// The end of the path that a stub loads: `set prefix=($root)'/boot/grub'`, then `configfile $prefix/grub.cfg`.
fn target(text: &str) -> Option<String> {
    let plain = |word: &str| word.rsplit(')').next().unwrap_or_default().replace(['\'', '"'], "");
    let prefix = text.lines().rev().find_map(|line| line.trim().strip_prefix("set prefix=")).map(plain);
    let named = text.lines().find_map(|line| line.trim().strip_prefix("configfile "))?;
    let named = named.trim().replace(['\'', '"'], "");
    let path = match named.strip_prefix("$prefix").or_else(|| named.strip_prefix("${prefix}")) {
        Some(rest) => format!("{}{rest}", prefix?),
        None => plain(&named),
    };
    let mut parts = path.rsplit('/');
    let (file, folder) = (parts.next()?, parts.next()?);
    Some(format!("/{folder}/{file}"))
}

/// Of two in /boot, with links followed, the one of the installed GRUB.
fn in_boot(setup: &Setup) -> Vec<&str> {
    let place = |path: &str| setup.files.0.get(path).map(|file| file.place.as_str());
    let there: Vec<&str> = CONFIGURATIONS.into_iter().filter(|path| setup.files.exists(path)).collect();
    match there[..] {
        [one, other] if place(one) == place(other) => vec![
            place(one)
                .filter(|place| CONFIGURATIONS.contains(place))
                .and_then(|place| CONFIGURATIONS.into_iter().find(|path| *path == place))
                .unwrap_or(one),
        ],
        [fedora, debian] => match (setup.has("grub2-mkconfig"), setup.has("grub-mkconfig") || setup.has("update-grub")) {
            (true, false) => vec![fedora],
            (false, true) => vec![debian],
            _ => vec![fedora, debian],
        },
        _ => there,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Booted, ConfigFile, ConfigFiles};

    fn setup(files: &[(&str, &str, &str)], program: Option<&str>) -> Setup {
        let file = |(path, place, text): &(&str, &str, &str)| {
            ((*path).to_owned(), ConfigFile { place: (*place).to_owned(), mode: 0o644, text: Ok((*text).to_owned()) })
        };
        let booted = Booted { efi: true, program: program.map(str::to_owned), ..Booted::default() };
        Setup { files: ConfigFiles(files.iter().map(file).collect()), booted, ..Setup::default() }
    }

    #[test]
    fn where_grub_reads() {
        let whole = "menuentry 'x' {\n linux /vmlinuz\n}\n";
        let (one, two) = (CONFIGURATIONS[0], CONFIGURATIONS[1]);
        let esp = "/boot/efi/EFI/amzn/grub.cfg";
        let program = Some(r"\EFI\amzn\shimx64.efi");
        let stub = "search.fs_uuid 1 root hd0,gpt2\nset prefix=($root)'/boot/grub'\nconfigfile $prefix/grub.cfg\n";
        for (files, program, expected) in [
            (vec![(one, one, whole), (esp, esp, whole)], program, vec![esp]),
            (vec![(one, one, whole), (esp, esp, "blscfg\n")], None, vec![esp]),
            (vec![(one, one, whole), (two, two, whole), (esp, esp, stub)], program, vec![two]),
            (
                vec![
                    (one, one, whole),
                    (esp, esp, "search --fs-uuid --set=dev 1\nset prefix=($dev)/grub2\nexport $prefix\nconfigfile $prefix/grub.cfg\n"),
                ],
                program,
                vec![one],
            ),
            // Another system's is on the same partition.
            (vec![(two, two, whole), ("/boot/efi/EFI/other/grub.cfg", "", whole)], program, vec![two]),
            (vec![(one, two, whole), (two, two, whole)], None, vec![two]),
            (vec![(one, one, whole), (two, two, whole)], None, vec![one, two]),
            (vec![(one, one, whole), (esp, esp, whole), (LINK, esp, whole)], Some(r"\EFI\BOOT\BOOTX64.EFI"), vec![esp]),
        ] {
            assert_eq!(read_ones(&setup(&files, program)), expected, "{files:?}");
        }
    }
}
