//! The answers: what the domain shall be.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::domain::Request;
use crate::model::Size;
use crate::problem::Problem;

/// What was answered; the rest is asked or proposed.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers {
    pub(super) name: Option<String>,
    pub(super) request: Request,
    pub(super) disk_size: Option<Size>,
}

impl Answers {
    /// Whether the guest has an input device.
    pub(super) fn has_input(&self) -> bool {
        !self.request.extras.evdev.is_empty() || !self.request.usb_ids().is_empty()
    }

    /// Whether the guest is a Windows, which needs the virtio drivers.
    pub(super) fn is_windows(&self) -> bool {
        self.request.os.clone().unwrap_or_default().to_string().starts_with("win")
    }
}

/// The answers in a file; its paths are relative to its folder.
pub(super) fn from_file(file: &Path) -> Result<Request> {
    let shown = file.display();
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
    let request = Request::from_toml(&text).map_err(|what| {
        Problem::usage(format!("{shown}, {what}"), "keys and values are those of the options: see `vgapt define --help`")
    })?;
    let folder = file.parent().unwrap_or(Path::new("/"));
    Ok(request.with_absolute_paths(&folder.to_string_lossy()))
}
