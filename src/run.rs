//! The only place that starts other programs.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::problem::Problem;

/// The program that links libvirt.
const LIBVIRT_PROGRAM: &str = "vgapt-libvirt";
/// What a dynamic loader returns where a library is missing, and a shell where the program is.
const NOT_LOADED: i32 = 127;

/// Runs the program that links libvirt with the arguments of this one, and returns its exit code.
///
/// # Errors
/// Where that program, or libvirt itself, is not installed.
pub fn hand_over(arguments: impl IntoIterator<Item = OsString>) -> Result<ExitCode> {
    let program = libvirt_program()?;
    let mut command = Command::new(&program);
    command.args(arguments);
    // libvirt's own log would go to our standard error. The setting is read once, before any code of
    // the process runs that could set it safely.
    if std::env::var_os("LIBVIRT_DEBUG").is_none() {
        command.env("LIBVIRT_DEBUG", "4");
    }
    let status = command.status().with_context(|| format!("cannot run {}", program.display()))?;
    match status.code() {
        Some(NOT_LOADED) => Err(Problem::new(
            format!("{} cannot be loaded: libvirt's client library is not installed", program.display()),
            "install libvirt: apt install libvirt-daemon-system, dnf install libvirt, pacman -S libvirt, zypper install libvirt",
        )
        .into()),
        Some(code) => Ok(ExitCode::from(u8::try_from(code).unwrap_or(3))),
        None => Err(anyhow::anyhow!("{} was killed: {status}", program.display())),
    }
}

/// Beside this program, or where distributions put the helpers of one.
fn libvirt_program() -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot tell where this program lies")?;
    let directory = own.parent().unwrap_or(&own);
    let places = [
        directory.join(LIBVIRT_PROGRAM),
        directory.join("../libexec/vgapt").join(LIBVIRT_PROGRAM),
        directory.join("../lib/vgapt").join(LIBVIRT_PROGRAM),
    ];
    places.iter().find(|place| place.exists()).cloned().ok_or_else(|| {
        Problem::new(
            format!("{LIBVIRT_PROGRAM} is not there; it belongs beside {}", own.display()),
            "install both programs (in a checkout: cargo build --bins)",
        )
        .into()
    })
}
