//! Writes a recorded host as text.

use std::collections::BTreeMap;

use super::entry::{DIRECTORY_MODE, Entry, FILE_MODE, HEADER, Node};
use super::text::{escape, write_node};
use super::tree::Capture;

/// The mode of a directory, and its entries by name.
type Section<'c> = (u32, Vec<(&'c str, &'c Entry)>);

impl std::fmt::Display for Capture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{HEADER}")?;
        let mut sections: BTreeMap<&str, Section<'_>> = BTreeMap::new();
        let empty = || (DIRECTORY_MODE, Vec::new());
        for (path, entry) in self.entries() {
            if matches!(entry.node, Node::Directory) {
                sections.entry(path).or_insert_with(empty).0 = entry.mode;
            } else if let Some((directory, name)) = path.rsplit_once('/') {
                let section = if directory.is_empty() { "/" } else { directory };
                sections.entry(section).or_insert_with(empty).1.push((name, entry));
            }
        }
        for (directory, (mode, entries)) in sections {
            write!(f, "[{}]", escape(directory))?;
            writeln!(f, "{}", if mode == DIRECTORY_MODE { String::new() } else { format!(" {mode:03o}") })?;
            for (name, entry) in entries {
                write!(f, "{}", escape(name))?;
                if entry.mode != FILE_MODE {
                    write!(f, " {:03o}", entry.mode)?;
                }
                write_node(f, &entry.node)?;
            }
        }
        Ok(())
    }
}
