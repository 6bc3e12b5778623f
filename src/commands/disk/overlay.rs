//! `vgapt disk overlay`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::super::Context;
use super::disk_context::DiskContext;
use super::guard::AccessMode;
use super::paths::{directory, existing};
use super::stated::Stated;
use crate::disk::{Staged, argv};
use crate::model::Size;

/// Space for an empty overlay's tables.
const TABLES: Size = Size::from_mib(4);

/// Create an overlay: a disk that stores only the changes to another one
///
/// Creates an overlay of BASE. From then on BASE must only be read: writing to it corrupts its overlays.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The backing file of the new disk
    base: PathBuf,
    /// The new disk [default: BASE.diff]
    new: Option<PathBuf>,
    #[command(flatten)]
    stated: Stated,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<ExitCode> {
        let disk_context = DiskContext::open(context)?;
        let base = existing(&self.base)?;
        let new = self.new.clone().unwrap_or_else(|| PathBuf::from(format!("{}.diff", base.display())));
        let new = std::path::absolute(new).context("cannot determine the current directory")?;
        let chain = disk_context.chain(&self.base, self.stated.options())?;
        let mut against = disk_context.check_target(&new);
        against.extend(disk_context.check_in_use(&chain, AccessMode::Read)?);
        against.extend(DiskContext::check_pending_copy(&base));
        against.extend(DiskContext::check_space(directory(&new), TABLES).err());
        if let Some(code) = disk_context.refusal(&against, "no overlay was created", false)? {
            return Ok(code);
        }
        let staged = Staged::new(&new)?;
        disk_context.make(&argv::overlay(&staged.path(), &base, &chain.top().format), &format!("cannot create {}", new.display()))?;
        staged.publish()?;
        let words = format!(
            "{0} was created, backed by {1} ({2}); use it in a domain: vgapt disk swap NAME {0}",
            new.display(),
            base.display(),
            chain.top().format
        );
        disk_context.done(&words, json!({"overlay": new, "base": base, "base-format": chain.top().format}))
    }
}
