//! What GRUB reads at boot: which `grub.cfg` (one in /boot, or a complete one on the EFI system partition), its entries,
//! and the environment block.

use super::bls::{self, ENTRIES};
use super::loader::Entry;
use crate::host::plan::{Edits, text_of};
use crate::host::text::tokens::{self, ParameterChange};
use crate::model::{Finding, NoText, Setup};

/// The paths of `grub.cfg`: Fedora, openSUSE and similar distributions use the first.
pub(super) const CONFIGURATIONS: [&str; 2] = ["/boot/grub2/grub.cfg", "/boot/grub/grub.cfg"];
/// On Fedora and similar distributions a link to the one that GRUB reads with UEFI.
const LINK: &str = "/etc/grub2-efi.cfg";
/// The commands of GRUB that load a kernel.
const LINUX: [&str; 4] = ["linux", "linuxefi", "linux16", "linux_efi"];

/// The environment block, where RHEL 8 and similar distributions store the kernel parameters of all entries.
const ENVIRONMENTS: [&str; 2] = ["/boot/grub2/grubenv", "/boot/grub/grubenv"];
const KERNELOPTS: &str = "kernelopts=";
/// The block has this size, and is padded with `#` (GRUB manual, "GRUB environment block").
const ENVIRONMENT_SIZE: usize = 1024;

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
            format!("it is uncertain which grub.cfg GRUB reads: {}", several.join(" or ")),
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
    let is_started = |path: &str| started.as_deref().is_none_or(|directory| path.to_ascii_lowercase().contains(directory));
    let candidates: Vec<(&str, Result<&str, &NoText>)> = on_partition(setup).filter(|(path, _)| is_started(path)).collect();
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

/// The first word of a line.
fn command(line: &str) -> &str {
    line.split_whitespace().next().unwrap_or_default()
}

/// Whether it contains entries, or reads those of the Boot Loader Specification.
fn is_whole(text: &str) -> bool {
    text.lines().any(|line| ["menuentry", "blscfg"].contains(&command(line)))
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
        [one, other] if place(one) == place(other) => vec![if place(one) == Some(other) { other } else { one }],
        [fedora, debian] => match (setup.has("grub2-mkconfig"), setup.has("grub-mkconfig") || setup.has("update-grub")) {
            (true, false) => vec![fedora],
            (false, true) => vec![debian],
            _ => vec![fedora, debian],
        },
        _ => there,
    }
}

/// The lines of a `grub.cfg`, each with its index and the script that wrote it (grub-mkconfig marks its output by
/// `### BEGIN /etc/grub.d/10_linux ###`); those of os-prober are left out, which are for other systems on the disks.
pub(in crate::host::decide) fn own_lines(text: &str) -> impl Iterator<Item = (usize, &str, Option<&str>)> {
    let mut script = None;
    let lines = text.lines().enumerate().map(move |(index, line)| {
        match line.split_whitespace().take(4).collect::<Vec<_>>()[..] {
            ["###", "BEGIN", by, "###"] => script = Some(by),
            ["###", "END", ..] => script = None,
            _ => {}
        }
        (index, line, script)
    });
    lines.filter(|(_, _, script)| !script.is_some_and(|script| script.ends_with("os-prober")))
}

/// The script, if grub-mkconfig copies what somebody wrote in it (`40_custom`).
fn by_hand(script: Option<&str>) -> Option<&str> {
    script.filter(|script| script.ends_with("custom"))
}

/// The entries of Linux in a `grub.cfg`.
pub(super) fn entries(path: &str, text: &str) -> Vec<Entry> {
    let mut title = "entry".to_owned();
    let mut entries = Vec::new();
    let (mut menu, mut all, mut read) = (Menu::default(), text.lines(), 0);
    for (index, line, script) in own_lines(text) {
        // The entries of other systems have numbers, too.
        all.by_ref().take(index + 1 - read).for_each(|line| menu.read(line));
        read = index + 1;
        let mut words = line.split_whitespace();
        match words.next() {
            Some("menuentry") => quoted(line).unwrap_or("entry").clone_into(&mut title),
            Some(command) if LINUX.contains(&command) => {
                let Some(image) = words.next() else { continue };
                let parameters = line.split_once(image).map_or("", |(_, after)| after);
                // memtest is loaded by the same command, and is not Linux.
                if image.contains("memtest") {
                    continue;
                }
                entries.push(Entry {
                    source: format!("{path}, line {} ({title})", index + 1),
                    cmdline: parameters.trim().to_owned(),
                    kernel: Some(image.to_owned()),
                    by_hand: by_hand(script).map(str::to_owned),
                    names: menu.names.clone(),
                });
            }
            _ => {}
        }
    }
    entries
}

/// The names in a menu by which `default` can choose an entry: number, title and id, with those of the submenus before it
/// (GRUB manual, "default").
struct Menu {
    /// The open menus: how the names in each begin, and how many items it has so far.
    open: Vec<(Vec<String>, usize)>,
    /// The open braces: whether each is that of a submenu.
    braces: Vec<bool>,
    /// The names of the entry that was read last.
    names: Vec<String>,
}

impl Default for Menu {
    fn default() -> Self {
        Self { open: vec![(vec![String::new()], 0)], braces: Vec::new(), names: Vec::new() }
    }
}

impl Menu {
    /// How many names of one entry are considered at most: each submenu multiplies them.
    const MOST: usize = 64;

    fn read(&mut self, line: &str) {
        match command(line) {
            first @ ("menuentry" | "submenu") => {
                let Some((begins, count)) = self.open.last_mut() else { return };
                let own = [Some(count.to_string()), quoted(line).map(str::to_owned), id(line)];
                let names = begins.iter().flat_map(|begin| own.iter().flatten().map(move |own| format!("{begin}{own}")));
                let names: Vec<String> = names.take(Self::MOST).collect();
                *count += 1;
                self.braces.push(first == "submenu");
                if first == "submenu" {
                    self.open.push((names.into_iter().map(|name| format!("{name}>")).collect(), 0));
                } else {
                    self.names = names;
                }
            }
            "}" => {
                let closed = usize::from(self.braces.pop() == Some(true));
                self.open.truncate(self.open.len() - closed);
            }
            _ if line.trim_end().ends_with('{') => self.braces.push(false),
            _ => {}
        }
    }
}

/// The id of an entry of the menu.
fn id(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("$menuentry_id_option ").or_else(|| line.split_once("--id "))?;
    Some(rest.split_whitespace().next()?.trim_matches(['\'', '"']).to_owned())
}

/// The initramfs images that its entries load; what somebody wrote by hand says nothing of who makes this system's.
pub(super) fn images(text: &str) -> Vec<String> {
    let made = own_lines(text).filter(|(_, _, script)| by_hand(*script).is_none()).map(|(_, line, _)| line);
    let lines = made.filter(|line| command(line).starts_with("initrd"));
    lines.flat_map(|line| line.split_whitespace().skip(1)).map(str::to_owned).collect()
}

/// The first quoted text in a line.
fn quoted(line: &str) -> Option<&str> {
    let mark = line.find(['\'', '"'])?;
    let quote = line[mark..].chars().next()?;
    line[mark + 1..].split(quote).next()
}

/// An entry that boots as before vgapt: a copy of the first one for Linux. GRUB reads `custom.cfg` next to its own
/// configuration (`41_custom` of grub-mkconfig).
pub(super) fn fallback(setup: &Setup, wants: &[ParameterChange], off: Option<&str>) -> Option<(String, String)> {
    let path = read_one(setup).ok()?;
    let text = setup.files.text(path)?;
    let custom = format!("{}/custom.cfg", path.rsplit_once('/')?.0);
    if setup.files.exists(&custom) {
        return None;
    }
    let lines: Vec<&str> = text.lines().collect();
    let is_linux = |line: &&str| matches!(command(line), "linux" | "linuxefi");
    let bodies = lines.iter().enumerate().filter(|(_, line)| line.starts_with("menuentry ")).filter_map(|(start, _)| {
        let end = start + lines[start..].iter().position(|line| *line == "}")?;
        Some(&lines[start + 1..end])
    });
    let line = |line: &&str| if is_linux(line) { bls::as_before(line, wants, off) + "\n" } else { format!("{line}\n") };
    let body: String = bodies.into_iter().find(|body| body.iter().any(&is_linux))?.iter().map(line).collect();
    let title = format!("Linux {}", bls::WITHOUT);
    Some((custom, format!("# Written by `vgapt prepare`, taken away by `vgapt undo`.\nmenuentry '{title}' {{\n{body}}}\n")))
}

/// The value of `kernelopts`; empty if it is not set.
pub(super) fn kernelopts(setup: &Setup) -> String {
    let mut texts = ENVIRONMENTS.iter().filter_map(|path| setup.files.text(path));
    let value = |text: &str| text.lines().find_map(|line| line.strip_prefix(KERNELOPTS)).map(str::to_owned);
    texts.find_map(value).unwrap_or_default()
}

/// Changes `kernelopts` if it is set.
pub(super) fn edit_kernelopts(setup: &Setup, wants: &[ParameterChange], edits: &mut Edits) -> Result<(), Finding> {
    let needed = setup.files.texts(ENTRIES, ".conf").any(|(_, text)| text.contains("$kernelopts"));
    for path in ENVIRONMENTS {
        if let Some(file) = setup.files.0.get(path).filter(|_| needed) {
            text_of(path, file)?;
        }
        let Some(text) = setup.files.text(path).filter(|text| text.lines().any(|line| line.starts_with(KERNELOPTS))) else { continue };
        let block = block_with(text, wants);
        if block.len() != ENVIRONMENT_SIZE {
            return Err(Finding::error(
                "grubenv",
                format!("{path} has {ENVIRONMENT_SIZE} bytes, and the kernel parameters do not fit"),
                "remove unneeded kernel parameters from it with grub2-editenv",
            ));
        }
        edits.change(setup, path, "kernel parameters of all entries that use $kernelopts", |_| block)?;
    }
    Ok(())
}

fn block_with(text: &str, wants: &[ParameterChange]) -> String {
    let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let mut block: String = lines
        .map(|line| match line.strip_prefix(KERNELOPTS) {
            Some(value) => format!("{KERNELOPTS}{}\n", tokens::with(value.trim_end_matches('\n'), wants)),
            None => line.to_owned(),
        })
        .collect();
    block.extend(std::iter::repeat_n('#', ENVIRONMENT_SIZE.saturating_sub(block.len())));
    block
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

    #[test]
    fn what_grub_will_boot() {
        let text = "menuentry 'Debian GNU/Linux' --class debian {\n\tload_video\n\tlinux\t/boot/vmlinuz-6.12 root=UUID=1 ro  quiet intel_iommu=on\n\tinitrd /boot/initrd.img-6.12\n}\nmenuentry \"x\" {\n linux16 /boot/memtest86+.bin\n}\n";
        assert_eq!(
            entries("/boot/grub/grub.cfg", text),
            [Entry {
                source: "/boot/grub/grub.cfg, line 3 (Debian GNU/Linux)".into(),
                cmdline: "root=UUID=1 ro  quiet intel_iommu=on".into(),
                kernel: Some("/boot/vmlinuz-6.12".into()),
                by_hand: None,
                names: ["0", "Debian GNU/Linux"].map(str::to_owned).to_vec(),
            }]
        );
    }

    #[test]
    fn what_the_default_can_name() {
        let entry =
            |title: &str, id: &str| format!("menuentry '{title}' --class x $menuentry_id_option '{id}' {{\n\tlinux /vmlinuz ro\n}}\n");
        let text = format!(
            "function load {{\n  x\n}}\n### BEGIN /etc/grub.d/30_os-prober ###\nmenuentry 'Other' {{\n}}\n### END /etc/grub.d/30_os-prober ###\nsubmenu 'More' $menuentry_id_option 'more' {{\n{}}}\n{}",
            entry("One", "one"),
            entry("Two", "two")
        );
        let names: Vec<Vec<String>> = entries("/x", &text).into_iter().map(|entry| entry.names).collect();
        assert!(["1>0", "1>One", "More>one", "more>0"].iter().all(|name| names[0].iter().any(|one| one == name)), "{names:?}");
        assert_eq!(names[1], ["2", "Two", "two"]);
        let deep = "submenu 'a' {\n".repeat(2000) + "menuentry 'b' {\n linux /vmlinuz\n}\n";
        assert!(entries("/x", &deep)[0].names.len() <= Menu::MOST);
    }

    #[test]
    fn the_block_keeps_its_size() {
        let text = format!("# GRUB Environment Block\nsaved_entry=x\nkernelopts=root=/dev/sda1 ro\n{}", "#".repeat(ENVIRONMENT_SIZE - 69));
        let block = block_with(&text, &[ParameterChange::Set("intel_iommu=on".into())]);
        assert_eq!(block.len(), ENVIRONMENT_SIZE);
        assert!(block.contains("kernelopts=root=/dev/sda1 ro intel_iommu=on\n#"));
    }

    #[test]
    fn copies_of_the_first() {
        let wants = [ParameterChange::Set("intel_iommu=on".into())];
        let off = Some("module_blacklist=vfio_pci");
        let menu = "set x=1\nmenuentry 'Debian' --class debian {\n\tsearch x\n\tlinux\t/vmlinuz root=UUID=1 ro intel_iommu=on quiet\n\tinitrd\t/initrd.img\n}\nmenuentry 'b' {\n linux /old\n}\n";
        let (path, text) = fallback(&Setup::with_file("/boot/grub/grub.cfg", menu), &wants, off).unwrap();
        assert_eq!(path, "/boot/grub/custom.cfg");
        assert!(text.ends_with("menuentry 'Linux (without vgapt)' {\n\tsearch x\n\tlinux\t/vmlinuz root=UUID=1 ro quiet module_blacklist=vfio_pci\n\tinitrd\t/initrd.img\n}\n"), "{text}");
        let (path, text) = bls::fallback(
            &crate::model::Host::default(),
            &Setup::with_file("/boot/loader/entries/a.conf", "title Arch\nsort-key arch\nlinux /vmlinuz\noptions root=1 rw\n"),
            "/boot/loader/entries",
            &wants,
            off,
        )
        .unwrap();
        assert_eq!(path, "/boot/loader/entries/Z-vgapt-without.conf");
        assert!(text.ends_with("title Arch (without vgapt)\nlinux /vmlinuz\noptions root=1 rw module_blacklist=vfio_pci\n"), "{text}");
        assert!(fallback(&Setup::with_file("/boot/grub/grub.cfg", "# generated\n"), &wants, off).is_none());
    }
}
