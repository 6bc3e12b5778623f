//! `vgapt attach`.

use anyhow::Result;

use super::Context;
use super::shared::decision::decide;
use super::shared::definition::{DefineOptions, Definition};
use super::shared::existing::Existing;
use super::shared::facts::Facts;
use super::shared::lock::Lock;
use super::shared::refused::Refused;
use crate::domain::{Base, Extras, GpuChoice, IommufdMode, Origin, PciChoice, Request};
use crate::hypervisor::Secrets;
use crate::model::{Finding, UsbId, shell_word};
use crate::output::Answer;

/// Add a graphics card or other host devices to an existing domain
///
/// Adds host devices to an existing domain and leaves everything else unchanged, also what was attached before;
/// `vgapt detach` removes the devices again. What has to be replaced is recorded in the domain's metadata.
#[derive(Debug, clap::Args)]
#[command(override_usage = "vgapt attach [OPTIONS] <NAME> <--gpu …|--pci …|--usb …>")]
#[command(group = clap::ArgGroup::new("devices").args(["gpu", "pci", "usb"]).required(true).multiple(true))]
#[command(after_help = "\
Examples:
  vgapt attach win11 --gpu auto
  vgapt attach win11 --usb 046d:c31c --dry-run")]
pub struct Arguments {
    /// The domain's name
    name: String,
    /// Graphics card, by the address of any of its functions; all are passed through. auto: choose it, if the choice is unambiguous
    #[arg(long, value_name = "ADDRESS|auto")]
    gpu: Vec<GpuChoice>,
    /// Any other PCI function to pass through
    #[arg(long, value_name = "ADDRESS[,mac=MAC][,vlan=ID]", num_args = 1..)]
    pci: Vec<PciChoice>,
    /// USB device to pass through
    #[arg(long, value_name = "VENDOR:PRODUCT", num_args = 1..)]
    usb: Vec<UsbId>,
    /// Give the PCI devices to QEMU through iommufd, the kernel's newer interface: on, off, or auto, where all that it needs is known to be there [default: off]
    #[arg(long, hide_short_help = true, value_name = "MODE")]
    iommufd: Option<IommufdMode>,
    #[command(flatten)]
    how: DefineOptions,
}

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<Answer> {
        // Read.
        let connection = context.connect()?;
        let _lock = (!self.how.dry_run).then(|| Lock::of_domain(context, &self.name)).transpose()?;
        let Existing { text, document: domain, .. } = Existing::open_with(connection, &self.name, Secrets::Included)?;
        let extras = Extras { iommufd: self.iommufd, ..Extras::default() };
        let devices = Request { gpu: self.gpu.clone(), pci: self.pci.clone(), usb: self.usb.clone(), extras, ..Request::default() };
        let base = Base::attach(Origin { domain, name: &self.name, uri: context.uri().as_str(), new: None }, &devices);
        if base.last.as_ref().is_some_and(|last| !last.attached) {
            let message = format!("'{}' was defined by vgapt", self.name);
            let option = if self.gpu.is_empty() && !self.pci.is_empty() { "--pci ADDRESS" } else { "--gpu auto" };
            let remedy = format!("add devices by its definition: vgapt define {} {option}", shell_word(&self.name));
            return Err(Refused::from(Finding::error("own-domain", message, remedy)).into());
        }
        let facts = Facts::read(context, connection, &base, Vec::new())?;

        // Decide.
        let decision = decide(&base, &facts, Some(&text), Vec::new());

        // Write.
        let definition =
            Definition { context, connection, how: &self.how, base: &base, facts: &facts, before: Some(&text), has_own_template: false };
        definition.carry_out(&decision).map(|(_, answer)| answer)
    }
}
