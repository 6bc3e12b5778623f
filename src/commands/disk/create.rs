//! `vgapt disk create`.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use schemars::JsonSchema;
use serde::Serialize;

use super::super::Context;
use super::disk_context::{DiskContext, human_size};
use super::options::{format_name, new_format};
use crate::commands::shared::options::with_unit;
use crate::disk::{Staged, argv, directory, free_space};
use crate::model::Size;
use crate::output::Answer;

/// Create an empty disk
///
/// Creates an empty disk; it uses space only as the guest writes to it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vgapt disk create win11.qcow2 100G")]
pub(super) struct Arguments {
    /// The image to create
    path: PathBuf,
    /// Virtual size, with a unit: 100G
    #[arg(value_parser = with_unit)]
    size: Size,
    /// Its format: qcow2, raw, … [default: from the file name's extension, else qcow2]
    #[arg(long, value_parser = format_name)]
    format: Option<String>,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<Answer> {
        let disk_context = DiskContext::alone(context)?;
        let target = std::path::absolute(&self.path).context("cannot determine the current directory")?;
        disk_context.check(disk_context.check_target(&target), "no disk was created", false)?;
        let format = new_format(&target, self.format.as_deref());
        let staged = Staged::of_format(&target, format)?;
        disk_context.make(&argv::create(&staged.path(), format, self.size), &format!("cannot create {}", target.display()))?;
        staged.publish()?;
        if let Some(free) = free_space(directory(&target)).filter(|free| *free < self.size) {
            context.progress(&format!(
                "note: the disk may grow to {}, but the file system has only {} free",
                human_size(self.size),
                human_size(free)
            ));
        }
        let words = format!("{} was created: {}, {}", target.display(), format, self.size);
        let format = format.to_owned();
        Ok(disk_context.done(&words, Created { disk: target, format, virtual_size: self.size }))
    }
}

/// What `vgapt disk create` answers.
#[derive(Serialize, JsonSchema)]
pub(in crate::commands) struct Created {
    disk: PathBuf,
    format: String,
    /// The size that a guest sees, in bytes.
    virtual_size: Size,
}
