//! A file that contains a command line, such as /etc/kernel/cmdline: on one or several lines, with comments.

use crate::host::text::shell;
use crate::host::text::tokens::{self, ParameterChange};
use crate::model::kernel_part;

/// Its content, on one line.
pub(super) fn joined(text: &str) -> String {
    text.lines().filter(|line| !is_comment(line)).flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

/// The file with all of these changes: contradictions are removed from each line, and what is missing is added to the last line.
pub(super) fn with(text: &str, wants: &[ParameterChange]) -> String {
    let lines = || text.lines().enumerate().filter(|(_, line)| !is_comment(line) && !line.trim().is_empty());
    // What follows `--` is for init.
    let last = lines().find(|(_, line)| is_for_init(line)).or_else(|| lines().last()).map(|(index, _)| index);
    let add = !tokens::has_all(&joined(text), wants);
    let changed: String = text
        .split_inclusive('\n')
        .enumerate()
        .map(|(index, line)| match () {
            () if is_comment(line) => line.to_owned(),
            () if add && last == Some(index) => tokens::with(line, wants),
            () => tokens::without_opposites(line, wants),
        })
        .collect();
    if add && last.is_none() { shell::with_line(&changed, &tokens::with("", wants)) } else { changed }
}

/// The first line. proxmox-boot-tool copies the file as it is behind `options` in the entry, so further lines are no options:
/// "needs to be placed as one line" (Proxmox VE Administration Guide, "Editing the Kernel Commandline").
pub(super) fn first(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// The file with all of these changes in its first line.
pub(super) fn with_first(text: &str, wants: &[ParameterChange]) -> String {
    let (first, rest) = text.split_at(first(text).len());
    format!("{}{rest}", tokens::with(first, wants))
}

/// The same file without contradicting parameters.
pub(super) fn without_opposites(text: &str, wants: &[ParameterChange]) -> String {
    let line = |line: &str| if is_comment(line) { line.to_owned() } else { tokens::without_opposites(line, wants) };
    text.split_inclusive('\n').map(line).collect()
}

/// Whether a part of it is for init.
pub(super) fn is_for_init(line: &str) -> bool {
    kernel_part(line).len() < line.len()
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_stay_comments() {
        let wants = [ParameterChange::Without("iommu".into(), "off".into()), ParameterChange::Set("intel_iommu=on".into())];
        for (before, after) in [
            ("root=1 rw\n", "root=1 rw intel_iommu=on\n"),
            ("root=1 rw", "root=1 rw intel_iommu=on"),
            ("root=1\nquiet\n# intel_iommu=on was bad\n", "root=1\nquiet intel_iommu=on\n# intel_iommu=on was bad\n"),
            ("iommu=off\nroot=1\n", "\nroot=1 intel_iommu=on\n"),
            ("root=1 intel_iommu=on\nquiet\n", "root=1 intel_iommu=on\nquiet\n"),
            ("root=1 -- single\nquiet\n", "root=1 intel_iommu=on -- single\nquiet\n"),
            ("# nothing\n", "# nothing\nintel_iommu=on\n"),
            ("", "intel_iommu=on\n"),
        ] {
            assert_eq!(with(before, &wants), after, "{before:?}");
            assert_eq!(with(after, &wants), after, "a second time");
        }
        for (before, after) in [
            ("root=1 boot=zfs\n", "root=1 boot=zfs intel_iommu=on\n"),
            ("root=1 boot=zfs\nintel_iommu=on iommu=pt\n", "root=1 boot=zfs intel_iommu=on\nintel_iommu=on iommu=pt\n"),
            ("root=1 intel_iommu=on", "root=1 intel_iommu=on"),
        ] {
            assert_eq!(with_first(before, &wants), after, "{before:?}");
            assert_eq!(with_first(after, &wants), after, "a second time");
        }
        assert_eq!(joined("# a\nb  c\n\nd\n"), "b c d");
    }
}
