//! Writes the table of the pci-ids crate as text in the format of `pci.ids`, so that one parser
//! serves for both and a start pays nothing for the table.

use std::fmt::Write as _;
use std::{env, fs, path::Path};

use pci_ids::Vendors;

fn main() {
    let mut table = String::new();
    for vendor in Vendors::iter() {
        let _ = writeln!(table, "{:04x}  {}", vendor.id(), vendor.name());
        for device in vendor.devices() {
            let _ = writeln!(table, "\t{:04x}  {}", device.id(), device.name());
        }
    }
    assert!(!table.is_empty(), "the pci-ids crate came without its table");
    let directory = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&directory).join("pci.ids"), table).expect("OUT_DIR can be written");
    println!("cargo:rerun-if-changed=build.rs");
}
