//! Writes the table of the pci-ids crate as text in the format of `pci.ids`, so that one parser
//! serves for both and a start pays nothing for the table; and the lists of the templates and of the
//! guest profiles, so that a new one is a new file and nothing else.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

use pci_ids::Vendors;

const TEMPLATES: &str = "templates";
const PROFILES: &str = "templates/profiles";

fn main() {
    let directory = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(directory.join("pci.ids"), pci_ids()).expect("OUT_DIR can be written");
    fs::write(directory.join("templates.rs"), texts(TEMPLATES, "xml")).expect("OUT_DIR can be written");
    fs::write(directory.join("profiles.rs"), texts(PROFILES, "toml")).expect("OUT_DIR can be written");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={TEMPLATES}");
}

fn pci_ids() -> String {
    let mut table = String::new();
    for vendor in Vendors::iter() {
        let _ = writeln!(table, "{:04x}  {}", vendor.id(), vendor.name());
        for device in vendor.devices() {
            let _ = writeln!(table, "\t{:04x}  {}", device.id(), device.name());
        }
    }
    assert!(!table.is_empty(), "the pci-ids crate came without its table");
    table
}

/// A Rust array of the names and texts of a folder's files with this ending.
fn texts(folder: &str, wanted: &str) -> String {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    let entries = fs::read_dir(root.join(folder)).expect("the folder is there");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a folder can be read").path()).collect();
    files.sort();
    files.retain(|file| file.extension().is_some_and(|ending| ending == wanted));
    let text = |text: &OsStr| format!("{:?}", text.to_str().expect("names of text"));
    let mut array = String::from("[");
    for file in &files {
        let name = file.file_stem().expect("a file has a name");
        let _ = write!(array, "({}, include_str!({})),", text(name), text(file.as_os_str()));
    }
    array + "]"
}
