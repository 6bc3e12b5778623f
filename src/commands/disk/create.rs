//! `vgapt disk create`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::super::Context;
use super::desk::Desk;
use super::made::{new_format, staged};
use super::paths::directory;
use super::shown::rough;
use super::stated::format_name;
use crate::disk::{argv, free_space};
use crate::model::Size;

/// It takes room only as the guest writes to it.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The image to make
    path: PathBuf,
    /// How large the guest sees it, with its unit: 100G
    #[arg(value_parser = with_unit)]
    size: Size,
    /// Its format: qcow2, raw, … [default: what the name's ending says, else qcow2]
    #[arg(long, value_parser = format_name)]
    format: Option<String>,
}

/// A bare number would be MiB here, GiB in the head of some people, and bytes for qemu-img.
fn with_unit(text: &str) -> Result<Size, String> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("say in which unit, such as 100G".into());
    }
    text.parse()
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<ExitCode> {
        let desk = Desk::alone(context)?;
        let target = std::path::absolute(&self.path).context("cannot tell the current directory")?;
        if let Some(code) = desk.refusal(&desk.against_target(&target), "no disk is made", false)? {
            return Ok(code);
        }
        let format = new_format(&target, self.format.as_deref());
        let staged = staged(&target, format)?;
        desk.make(&argv::create(&staged.path(), format, self.size), &format!("cannot make {}", target.display()))?;
        staged.publish()?;
        if let Some(free) = free_space(directory(&target)).filter(|free| *free < self.size) {
            context.note(&format!("note: it may grow to {}, and the file system has room for {} now", rough(self.size), rough(free)));
        }
        let words = format!("{} is made: {}, {}", target.display(), format, self.size);
        desk.done(&words, json!({"disk": target, "format": format, "virtual-size": self.size}))
    }
}
