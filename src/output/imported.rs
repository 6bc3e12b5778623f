//! What each part of an imported script was converted to.

use super::style::{CARE, FAINT, GOOD, STRONG, paint};
use crate::import::{Fate, Imported};

/// The three lists, and the notes.
pub fn imported(imported: &Imported) -> String {
    let lists = [
        (Fate::Native, "converted to libvirt elements", GOOD),
        (Fate::Kept, "passed to QEMU unchanged", CARE),
        (Fate::Meaningless, "not needed with libvirt", FAINT),
    ];
    let mut text = String::new();
    for (fate, title, style) in lists {
        let parts: Vec<_> = imported.parts.iter().filter(|part| part.fate == fate).collect();
        text.push_str(&format!("{} ({})\n", paint(STRONG, title), parts.len()));
        for part in parts {
            text.push_str(&format!("  {}  {}\n", part.option, paint(style, &part.how)));
            for left in &part.left {
                text.push_str(&format!("    {} {left}\n", paint(CARE, "not converted:")));
            }
        }
    }
    for note in &imported.notes {
        text.push_str(&format!("note: {note}\n"));
    }
    text
}
