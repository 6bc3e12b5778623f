//! Reads a generated `grub.cfg`: the command line of each entry.

use super::entry::Entry;

/// The commands of GRUB that load a kernel.
const LINUX: [&str; 4] = ["linux", "linuxefi", "linux16", "linux_efi"];

/// The entries of Linux in a `grub.cfg`.
pub(super) fn entries(path: &str, text: &str) -> Vec<Entry> {
    let mut title = "entry".to_owned();
    let mut entries = Vec::new();
    for (index, line) in text.lines().enumerate() {
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
                entries.push(Entry { source: format!("{path}, line {} ({title})", index + 1), cmdline: parameters.trim().to_owned() });
            }
            _ => {}
        }
    }
    entries
}

/// The initramfs images that its entries load.
pub(super) fn images(text: &str) -> Vec<String> {
    let of = |line: &str| {
        let mut words = line.split_whitespace();
        let is_one = words.next().is_some_and(|command| command.starts_with("initrd"));
        if is_one { words.map(str::to_owned).collect() } else { Vec::new() }
    };
    text.lines().flat_map(of).collect()
}

/// The first quoted text in a line.
fn quoted(line: &str) -> Option<&str> {
    let mark = line.find(['\'', '"'])?;
    let quote = line[mark..].chars().next()?;
    line[mark + 1..].split(quote).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grub_will_boot() {
        let text = "menuentry 'Debian GNU/Linux' --class debian {\n\tload_video\n\tlinux\t/boot/vmlinuz-6.12 root=UUID=1 ro  quiet intel_iommu=on\n\tinitrd /boot/initrd.img-6.12\n}\nmenuentry \"x\" {\n linux16 /boot/memtest86+.bin\n}\n";
        assert_eq!(
            entries("/boot/grub/grub.cfg", text),
            [Entry {
                source: "/boot/grub/grub.cfg, line 3 (Debian GNU/Linux)".into(),
                cmdline: "root=UUID=1 ro  quiet intel_iommu=on".into()
            }]
        );
    }
}
