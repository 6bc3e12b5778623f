//! This program once more, as root.

use std::io::ErrorKind;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Context as _;

use super::search;
use crate::problem::Problem;

/// Makes this process sudo, which runs this very command line once more; comes back only where there is
/// no sudo. Signals and the exit code need no passing on.
pub fn become_root() -> anyhow::Error {
    let own = match std::env::current_exe().context("cannot tell where this program lies") {
        Ok(own) => own,
        Err(error) => return error,
    };
    let error = match search::find("sudo") {
        Some(sudo) => Command::new(sudo).env("PATH", search::path()).arg("--").arg(own).args(std::env::args_os().skip(1)).exec(),
        None => ErrorKind::NotFound.into(),
    };
    Problem::new(format!("cannot run sudo: {error}"), "run it as root").into()
}
