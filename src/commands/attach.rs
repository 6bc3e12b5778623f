//! `vgapt attach`.

use std::process::ExitCode;

use anyhow::Result;

use super::Context;
use super::shared::definition::{DefineOptions, Definition, brought};
use super::shared::existing::Existing;
use super::shared::files::files;
use super::shared::lock::Lock;
use crate::discovery::Scope;
use crate::domain::{self, Base, GpuChoice, Purpose, Request};
use crate::hypervisor::Secrets;
use crate::model::{PciAddress, UsbId, shell_word};
use crate::problem::Problem;

/// Add a graphics card or other host devices to an existing domain
///
/// Adds host devices to an existing domain and leaves everything else unchanged, also what was attached before;
/// `vgapt detach` removes the devices again. What has to be replaced is recorded in the domain's metadata.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The domain's name
    name: String,
    /// Graphics card, by the address of any of its functions; all are passed through. auto: choose it, if the choice is unambiguous
    #[arg(long, value_name = "ADDRESS|auto", required_unless_present_any = ["pci", "usb"])]
    gpu: Vec<GpuChoice>,
    /// Any other PCI function to pass through
    #[arg(long, value_name = "ADDRESS", num_args = 1..)]
    pci: Vec<PciAddress>,
    /// USB device to pass through
    #[arg(long, value_name = "VENDOR:PRODUCT", num_args = 1..)]
    usb: Vec<UsbId>,
    #[command(flatten)]
    how: DefineOptions,
}

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<ExitCode> {
        let connection = context.connect()?;
        let _lock = (!self.how.dry_run).then(|| Lock::of_domain(context, &self.name)).transpose()?;
        let existing = Existing::open_with(connection, &self.name, Secrets::Included)?;
        let root = context.root()?;
        let host = context.host(root.as_ref(), Scope::All)?;
        let given = Request { gpu: self.gpu.clone(), pci: self.pci.clone(), usb: self.usb.clone(), ..Request::default() };
        let mut base = Base::new(existing.document, false, &self.name, &given, &Request::default());
        if base.last.as_ref().is_some_and(|last| !last.attached) {
            return Err(Problem::new(
                format!("'{}' was defined by vgapt", self.name),
                format!("vgapt define {} --gpu … adds devices to it", shell_word(&self.name)),
            )
            .into());
        }
        base.purpose = Purpose::Attach;
        base.uri = context.uri().to_string();
        // What was attached before stays.
        if let Some(last) = &base.last {
            base.wanted.gpu = both(&last.request.gpu, &self.gpu);
            base.wanted.pci = both(&last.request.pci, &self.pci);
            base.wanted.usb = both(&last.request.usb, &self.usb);
        }
        let files = files(root.as_ref(), connection, &base.wanted.files())?;
        let resolved = domain::resolve(&base, &host, &files, &connection.abilities()?);
        let definition = Definition {
            name: &self.name,
            how: &self.how,
            existing: Some(&existing.text),
            brought: Some(brought(context, &self.name)),
            done: "now has the devices",
            autostart: None,
        };
        definition.carry_out(context, connection, &base, &host, resolved)
    }
}

fn both<T: Clone + PartialEq>(before: &[T], given: &[T]) -> Vec<T> {
    before.iter().chain(given.iter().filter(|one| !before.contains(one))).cloned().collect()
}
