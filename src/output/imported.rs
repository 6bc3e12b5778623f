//! What each part of an imported script was converted to.

use super::style::{FAINT, GOOD, STRONG, WARNING, paint};
use crate::import::{Comparison, Conversion, Imported};

pub fn imported(imported: &Imported, quiet: bool) -> String {
    let lists = [
        (Conversion::Native, "converted to libvirt elements", GOOD),
        (Conversion::Unchanged, "passed to QEMU unchanged", WARNING),
        (Conversion::Meaningless, "not needed with libvirt", FAINT),
    ];
    let mut text = String::new();
    for (fate, title, style) in lists {
        let parts: Vec<_> = imported.parts.iter().filter(|part| part.fate == fate).collect();
        text.push_str(&format!("{} ({})\n", paint(STRONG, title), parts.len()));
        for part in parts {
            text.push_str(&format!("  {}  {}\n", part.option, paint(style, &part.how)));
            for left in &part.left {
                text.push_str(&format!("    {} {left}\n", paint(WARNING, "not converted:")));
            }
        }
    }
    for note in imported.notes.iter().filter(|_| !quiet) {
        text.push_str(&format!("note: {note}\n"));
    }
    text
}

/// How the command line that libvirt makes of the domain differs from the script's.
pub fn compared(comparison: &Comparison) -> String {
    let Comparison { same, meaning, left_out, silent, added } = comparison;
    let mut text = paint(STRONG, "libvirt's command line");
    text.push_str(&format!(
        ": {} options are the same, {} in other words, {} left out, {} differ\n",
        same.len(),
        meaning.len(),
        left_out.len(),
        silent.len()
    ));
    for (option, how) in silent {
        text.push_str(&format!("  {option}  {}\n", paint(WARNING, how)));
    }
    if !added.is_empty() {
        text.push_str(&format!("  {}\n", paint(FAINT, format!("libvirt adds: {}", added.join(", ")))));
    }
    text
}
