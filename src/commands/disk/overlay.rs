//! `vgapt disk overlay`.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use schemars::JsonSchema;
use serde::Serialize;

use super::super::Context;
use super::chain::existing;
use super::disk_context::DiskContext;
use super::guard::check_space;
use super::options::Stated;
use crate::disk::{Staged, argv, directory};
use crate::model::Size;
use crate::output::Answer;

/// Space for an empty overlay's tables.
const TABLES: Size = Size::from_mib(4);

/// Create an overlay: a disk that stores only the changes to another one
///
/// Creates an overlay of BASE. From then on BASE must only be read: writing to it corrupts its overlays.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vgapt disk overlay win11.qcow2   # makes win11.qcow2.diff")]
pub(super) struct Arguments {
    /// The backing file of the new disk
    base: PathBuf,
    /// The new disk [default: BASE.diff]
    new: Option<PathBuf>,
    #[command(flatten)]
    stated: Stated,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<Answer> {
        let disk_context = DiskContext::open(context)?;
        let new = match &self.new {
            Some(new) => new.clone(),
            None => format!("{}.diff", existing(&self.base)?.display()).into(),
        };
        let new = std::path::absolute(new).context("cannot determine the current directory")?;
        let base = disk_context.disk(&self.base, self.stated.options())?;
        let against = [disk_context.check_target(&new), disk_context.check_readable(&base)?, check_space(directory(&new), TABLES)];
        disk_context.check(against.concat(), "no overlay was created", false)?;
        let staged = Staged::new(&new)?;
        disk_context.make(&argv::overlay(&staged.path(), &base.path, base.format()), &format!("cannot create {}", new.display()))?;
        staged.publish()?;
        let words = format!(
            "{0} was created, backed by {1} ({2}); use it in a domain: vgapt disk swap NAME {0}",
            new.display(),
            base.path.display(),
            base.format()
        );
        let base_format = base.format().to_owned();
        Ok(disk_context.done(&words, Overlaid { overlay: new, base: base.path, base_format }))
    }
}

/// What `vgapt disk overlay` answers.
#[derive(Serialize, JsonSchema)]
pub(in crate::commands) struct Overlaid {
    overlay: PathBuf,
    base: PathBuf,
    base_format: String,
}
