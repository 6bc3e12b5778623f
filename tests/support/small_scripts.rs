//! The table of small scripts, one kind of trouble each: `fixtures/scripts/small.txt`.

use std::fs;
use std::path::Path;

const Q: &str = "qemu-system-x86_64 -enable-kvm -m 256 -M q35 -vga none -nodefaults ";

/// A script, and what is right of it.
pub(crate) struct Small {
    pub(crate) script: String,
    /// A sign (`+`, `-`, `!`) and a text.
    pub(crate) right: Vec<(char, String)>,
}

impl Small {
    pub(crate) fn is_refused(&self) -> bool {
        self.right.iter().any(|(sign, _)| *sign == '!')
    }
}

/// The whole table; the scripts are written into a folder, by their numbers.
pub(crate) fn all(folder: &Path) -> Vec<Small> {
    let mut all: Vec<Small> = Vec::new();
    for line in fs::read_to_string("fixtures/scripts/small.txt").unwrap().lines() {
        let Some((sign @ ('>' | '+' | '-' | '!'), text)) =
            line.split_at_checked(1).and_then(|(sign, text)| Some((sign.chars().next()?, text)))
        else {
            continue;
        };
        if sign == '>' {
            let words = format!(" {}", text.trim());
            let script = words.replace(" Q ", &format!(" {Q}")).trim().to_owned() + "\n";
            fs::write(folder.join(format!("small-{}.sh", all.len())), &script).unwrap();
            all.push(Small { script, right: Vec::new() });
        } else {
            let here = folder.display().to_string();
            let text = text.trim().replace("\\n", "\n").replace("/HERE", &here);
            all.last_mut().unwrap().right.push((sign, text));
        }
    }
    all
}
