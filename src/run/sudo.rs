//! Runs this program again as root.

use std::io::ErrorKind;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Context as _;

use super::search;
use crate::problem::Problem;

/// Replaces this process by sudo, which runs the same command line as root; returns only where sudo cannot be
/// run. Signals and the exit code then need no forwarding.
pub fn become_root() -> anyhow::Error {
    let own = match std::env::current_exe().context("cannot determine where this program is installed") {
        Ok(own) => own,
        Err(error) => return error,
    };
    let error = match search::find("sudo") {
        Some(sudo) => Command::new(sudo).env("PATH", search::path()).arg("--").arg(own).args(std::env::args_os().skip(1)).exec(),
        None => ErrorKind::NotFound.into(),
    };
    Problem::new(format!("cannot run sudo: {error}"), "run it as root").into()
}
