//! GRUB's environment block, where RHEL 8 and similar distributions store the kernel parameters of all entries.

use super::bls::ENTRIES;
use crate::host::plan::{Edits, text_of};
use crate::host::text::tokens::{self, ParameterChange};
use crate::model::{Finding, Setup};

const PLACES: [&str; 2] = ["/boot/grub2/grubenv", "/boot/grub/grubenv"];
const VARIABLE: &str = "kernelopts=";
/// The block has this size, and is padded with `#` (GRUB manual, "GRUB environment block").
const SIZE: usize = 1024;

/// The value of `kernelopts`; empty if it is not set.
pub(super) fn kernelopts(setup: &Setup) -> String {
    let mut texts = PLACES.iter().filter_map(|path| setup.files.text(path));
    let value = |text: &str| text.lines().find_map(|line| line.strip_prefix(VARIABLE)).map(str::to_owned);
    texts.find_map(value).unwrap_or_default()
}

/// Changes it if it is set.
pub(super) fn edit(setup: &Setup, wants: &[ParameterChange], edits: &mut Edits) -> Result<(), Finding> {
    let needed = setup.files.texts(ENTRIES, ".conf").any(|(_, text)| text.contains("$kernelopts"));
    for path in PLACES {
        if let Some(file) = setup.files.0.get(path).filter(|_| needed) {
            text_of(path, file)?;
        }
        let Some(text) = setup.files.text(path).filter(|text| text.lines().any(|line| line.starts_with(VARIABLE))) else { continue };
        let block = changed(text, wants);
        if block.len() != SIZE {
            return Err(Finding::error(
                "grubenv",
                format!("{path} has {SIZE} bytes, and the kernel parameters do not fit"),
                "remove unneeded kernel parameters from it with grub2-editenv",
            ));
        }
        edits.change(setup, path, "kernel parameters of all entries that use $kernelopts", |_| block)?;
    }
    Ok(())
}

fn changed(text: &str, wants: &[ParameterChange]) -> String {
    let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let mut block: String = lines
        .map(|line| match line.strip_prefix(VARIABLE) {
            Some(value) => format!("{VARIABLE}{}\n", tokens::with(value.trim_end_matches('\n'), wants)),
            None => line.to_owned(),
        })
        .collect();
    while block.len() < SIZE {
        block.push('#');
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_keeps_its_size() {
        let text = format!("# GRUB Environment Block\nsaved_entry=x\nkernelopts=root=/dev/sda1 ro\n{}", "#".repeat(SIZE - 69));
        let block = changed(&text, &[ParameterChange::Set("intel_iommu=on".into())]);
        assert_eq!(block.len(), SIZE);
        assert!(block.contains("kernelopts=root=/dev/sda1 ro intel_iommu=on\n#"));
    }
}
