//! A request as a file: `define -f` and `--save`, the answers of `setup`; and the name of a domain.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::user_file;
use crate::domain::Request;
use crate::problem::Problem;

/// The beginning of a file that vgapt wrote.
pub(in crate::commands) const SAVED: &str = "# vgapt define ";

/// Reads a request; its paths are relative to the file's folder.
pub(in crate::commands) fn read(file: &Path) -> Result<Request> {
    let shown = file.display();
    let text = user_file::read(file).with_context(|| format!("cannot read {shown}"))?;
    let request = Request::from_toml(&text).map_err(|what| {
        Problem::usage(format!("{shown}, {what}"), "keys and values are those of the options: see `vgapt define --help`")
    })?;
    let directory = working_directory()?;
    let place = directory.join(file);
    Ok(request.with_absolute_paths(&place.parent().unwrap_or(&directory).to_string_lossy()))
}

/// Writes the request of a domain as a file for -f.
pub(in crate::commands) fn write(file: &Path, name: &str, request: &Request) -> Result<()> {
    let text = format!("{SAVED}{name} -f {}\n{}", file.display(), request.to_toml());
    user_file::write(file, text.as_bytes())
}

pub(in crate::commands) fn working_directory() -> Result<PathBuf> {
    std::env::current_dir().context("cannot determine the current directory")
}

/// Names that libvirt accepts (`virDomainDefPostParse`: no slash, since files are named after the domain).
pub(in crate::commands) fn domain_name(text: &str) -> Result<String, String> {
    // XML cannot contain control characters except the tab here (XML 1.0, 2.2).
    let is_odd = |c: char| c == '/' || (c.is_ascii_control() && c != '\t');
    let is_one = !text.trim().is_empty() && !text.contains(is_odd);
    is_one
        .then(|| text.to_owned())
        .ok_or_else(|| "a domain's name must not be empty, and must not contain / or control characters".to_owned())
}
