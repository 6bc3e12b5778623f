//! An entry that boots as before vgapt: a copy of the loader's first entry, with the early binding
//! disabled. It is created once, and removed by `vgapt undo`.

use super::bls;
use super::entry::FALLBACK;
use crate::host::text::tokens::{self, ParameterChange};
use crate::model::Setup;

const TITLE: &str = "(without vgapt)";
/// GRUB reads `custom.cfg` next to its own configuration (`41_custom` of grub-mkconfig).
pub(super) fn grub(setup: &Setup, configurations: &[&str], wants: &[ParameterChange], off: Option<&str>) -> Option<(String, String)> {
    let (path, text) = configurations.iter().find_map(|path| Some((*path, setup.files.text(path)?)))?;
    let custom = format!("{}/custom.cfg", path.rsplit_once('/')?.0);
    if setup.files.exists(&custom) {
        return None;
    }
    let lines: Vec<&str> = text.lines().collect();
    let starts = lines.iter().enumerate().filter(|(_, line)| line.starts_with("menuentry "));
    let block = starts.filter_map(|(start, _)| {
        let end = start + lines[start..].iter().position(|line| *line == "}")?;
        let body = &lines[start + 1..end];
        body.iter().any(|line| is_linux(line)).then_some(body)
    });
    let body: String = block
        .into_iter()
        .next()?
        .iter()
        .map(|line| if is_linux(line) { as_before(line, wants, off) + "\n" } else { format!("{line}\n") })
        .collect();
    Some((custom, format!("# Written by `vgapt prepare`, taken away by `vgapt undo`.\nmenuentry 'Linux {TITLE}' {{\n{body}}}\n")))
}

fn is_linux(line: &str) -> bool {
    matches!(line.split_whitespace().next(), Some("linux" | "linuxefi"))
}

/// A copy of the entry that is last in the order of names, which is the newest kernel's.
pub(super) fn entry(setup: &Setup, directory: &str, wants: &[ParameterChange], off: Option<&str>) -> Option<(String, String)> {
    let path = format!("{directory}/{FALLBACK}");
    if setup.files.exists(&path) {
        return None;
    }
    let (_, text) = setup.files.texts(directory, ".conf").filter(|(path, text)| !path.ends_with(FALLBACK) && bls::is_linux(text)).last()?;
    let line = |line: &str| match line.split_whitespace().next() {
        Some("title") => format!("{} {TITLE}\n", line.trim_end()),
        Some("options") => as_before(line, wants, off) + "\n",
        // Without a sort-key it sorts after all entries that have one.
        Some("sort-key") => String::new(),
        _ => format!("{line}\n"),
    };
    Some((path, format!("# Written by `vgapt prepare`, taken away by `vgapt undo`.\n{}", text.lines().map(line).collect::<String>())))
}

/// A line with kernel parameters, as it was before vgapt's changes.
fn as_before(line: &str, wants: &[ParameterChange], off: Option<&str>) -> String {
    let line = tokens::without(line, wants);
    off.map_or_else(|| line.clone(), |off| tokens::with(&line, &[ParameterChange::Set(off.to_owned())]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_of_the_first() {
        let wants = [ParameterChange::Set("intel_iommu=on".into())];
        let off = Some("module_blacklist=vfio_pci");
        let menu = "set x=1\nmenuentry 'Debian' --class debian {\n\tsearch x\n\tlinux\t/vmlinuz root=UUID=1 ro intel_iommu=on quiet\n\tinitrd\t/initrd.img\n}\nmenuentry 'b' {\n linux /old\n}\n";
        let (path, text) =
            grub(&Setup::with_file("/boot/grub/grub.cfg", menu), &["/boot/grub2/grub.cfg", "/boot/grub/grub.cfg"], &wants, off).unwrap();
        assert_eq!(path, "/boot/grub/custom.cfg");
        assert!(text.ends_with("menuentry 'Linux (without vgapt)' {\n\tsearch x\n\tlinux\t/vmlinuz root=UUID=1 ro quiet module_blacklist=vfio_pci\n\tinitrd\t/initrd.img\n}\n"), "{text}");
        let (path, text) = entry(
            &Setup::with_file("/boot/loader/entries/a.conf", "title Arch\nsort-key arch\nlinux /vmlinuz\noptions root=1 rw\n"),
            "/boot/loader/entries",
            &wants,
            off,
        )
        .unwrap();
        assert_eq!(path, "/boot/loader/entries/Z-vgapt-without.conf");
        assert!(text.ends_with("title Arch (without vgapt)\nlinux /vmlinuz\noptions root=1 rw module_blacklist=vfio_pci\n"), "{text}");
        assert!(grub(&Setup::with_file("/boot/grub/grub.cfg", "# generated\n"), &["/boot/grub/grub.cfg"], &wants, off).is_none());
    }
}
