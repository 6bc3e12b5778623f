//! `vgapt export`.

use anyhow::{Context as _, Result};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::Context;
use super::shared::existing::Existing;
use crate::discovery::Scope;
use crate::export::{self, Passed};
use crate::hypervisor::{Hypervisor, Secrets};
use crate::model::Host;
use crate::output::Answer;
use crate::problem::Problem;

/// Print a domain as QEMU's options, or as a manifest for KubeVirt
///
/// Nothing is changed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vgapt export win11 --to qemu
  vgapt export win11 --to kubevirt > win11.yaml")]
pub struct Arguments {
    /// The domain's name
    name: String,
    /// Target format
    #[arg(long, value_name = "WORLD")]
    to: World,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum World {
    /// QEMU's options as libvirt would run them, one a line
    Qemu,
    /// A VirtualMachine manifest for KubeVirt, and what the cluster's administrator must permit
    Kubevirt,
}

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<Answer> {
        let connection = context.connect()?;
        match self.to {
            World::Qemu => Self::qemu(context, connection, Existing::open(connection, &self.name)?),
            World::Kubevirt => {
                // The output mentions that there is a password, but does not contain it.
                let existing = Existing::open_with(connection, &self.name, Secrets::Included)?;
                self.kubevirt(context, connection, &existing)
            }
        }
    }

    fn qemu(context: &Context, connection: &dyn Hypervisor, mut existing: Existing) -> Result<Answer> {
        let root = context.root()?;
        let host = context.host(root.as_ref(), Scope::Devices)?;
        let missing = export::resolve_usb_addresses(&mut existing.document, &host.usb);
        let missing = missing
            .into_iter()
            .map(|id| format!("the USB device {id} is not plugged in and is omitted: libvirt would refuse to start the domain"));
        let by_libvirt = export::functions_as_hostdevs(&mut existing.document);
        let by_libvirt = by_libvirt
            .into_iter()
            .map(|element| format!("libvirt applies this to the network function itself, before QEMU starts: {element}"));
        let scripts = export::without_scripts(&mut existing.document);
        let scripts = scripts.into_iter().map(|element| format!("libvirt runs this for the network card itself: {element}"));
        let notes: Vec<String> = missing.chain(by_libvirt).chain(scripts).collect();
        for note in &notes {
            context.note(&format!("note: {note}"));
        }
        export::set_vfio_driver(&mut existing.document);
        let options = export::one_option_per_line(&connection.native(&existing.document.to_string())?);
        context.print_document(&options)?;
        Ok(Answer::done(ForQemu { options: options.lines().map(str::to_owned).collect(), notes }))
    }

    fn kubevirt(&self, context: &Context, connection: &dyn Hypervisor, existing: &Existing) -> Result<Answer> {
        let root = context.root()?;
        let host = context.host(root.as_ref(), Scope::Devices)?;
        let passed: Vec<Passed> = existing.passed().iter().map(|function| passed(function, &host)).collect();
        let exported = export::kubevirt(&existing.document, &self.name, &passed, connection.autostart(&self.name)?).map_err(|because| {
            Problem::new(
                format!("'{}' cannot be exported to KubeVirt: {because}", self.name),
                "export a domain of type kvm with the architecture x86_64, aarch64 or s390x",
            )
        })?;
        let mut text = yaml(&exported.manifest)?;
        if let Some(permitted) = &exported.permitted {
            text.push_str("---\n# For the cluster's administrator: add this to the KubeVirt resource.\n");
            text.push_str(&yaml(permitted)?);
        }
        for what in &exported.unsupported {
            context.note(&format!("not in the manifest: {what}"));
        }
        for note in &exported.notes {
            context.note(&format!("note: {note}"));
        }
        context.print_document(&text)?;
        let export::Exported { manifest, permitted, unsupported, notes } = exported;
        Ok(Answer::done(ForCluster { manifest, permitted, beyond: unsupported, notes }))
    }
}

/// What `vgapt export --to qemu` answers.
#[derive(Serialize, JsonSchema)]
pub(super) struct ForQemu {
    /// QEMU's options, each with its value.
    options: Vec<String>,
    notes: Vec<String>,
}

/// What `vgapt export --to kubevirt` answers.
#[derive(Serialize, JsonSchema)]
pub(super) struct ForCluster {
    /// KubeVirt's VirtualMachine.
    manifest: Value,
    /// What the cluster's administrator must add to the KubeVirt resource; null if no function is passed through.
    permitted: Option<Value>,
    /// What is not in the manifest.
    beyond: Vec<String>,
    /// What remains to be done.
    notes: Vec<String>,
}

/// A passed function, with its id from the record, else from the host.
fn passed(function: &crate::domain::Passed, host: &Host) -> Passed {
    let device = host.device(function.address);
    let is_graphics = device.map(|device| device.class.code() >> 8 == 0x03);
    Passed { address: function.address, id: function.id.or(device.map(|device| device.id)), is_graphics }
}

fn yaml(value: &Value) -> Result<String> {
    let text = serde_norway::to_string(value).context("plain data serialises")?;
    Ok(text.lines().map(|line| quoted(line) + "\n").collect())
}

/// Quotes MAC addresses: YAML 1.1 reads one of digits only as a number to base 60.
fn quoted(line: &str) -> String {
    match line.split_once("macAddress: ") {
        Some((before, address)) if !address.starts_with(['\'', '"']) => format!("{before}macAddress: '{address}'"),
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn addresses_are_quoted() {
        let text = yaml(&json!({"a": [{"macAddress": "52:54:00:12:34:56"}]})).unwrap();
        assert_eq!(text, "a:\n- macAddress: '52:54:00:12:34:56'\n");
    }
}
