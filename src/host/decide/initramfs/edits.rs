//! What makes the next initramfs contain vfio-pci, wherever it is booted from.

use super::tool::{Inclusion, Tool};
use crate::host::decide::loaders;
use crate::host::plan::Edits;
use crate::model::{Finding, Setup};

/// The files and commands of a tool; its images are copied to where they are booted from.
pub(in crate::host::decide) fn edits(tool: &Tool, setup: &Setup, inclusion: &Inclusion) -> Result<Edits, Finding> {
    let mut edits = (tool.edit)(setup, inclusion)?;
    if let Some(command) = edits.commands.iter_mut().find(|command| command.argv.first().is_some_and(|name| name == tool.program)) {
        command.makes.extend(loaders::copied(setup));
    }
    edits.commands.extend(loaders::copying(setup));
    Ok(edits)
}
