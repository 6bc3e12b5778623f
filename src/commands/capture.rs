//! `vgapt capture`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use super::{Context, written};
use crate::discovery;
use crate::output;
use crate::problem::Problem;

/// Serial numbers, MAC addresses, UUIDs and user names are left out. Every command takes the file
/// with --root in place of the machine.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The file to write, packed if its name ends in .gz; standard output if left out
    file: Option<PathBuf>,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<ExitCode> {
        let root = context.root()?.ok_or_else(|| {
            Problem::new(
                format!("a machine behind {} cannot be captured: its files are out of reach", context.uri()),
                "run vgapt capture on that machine",
            )
        })?;
        let text = discovery::capture(root).to_string();
        match &self.file {
            None => output::print(&text)?,
            Some(file) => {
                let bytes = if file.extension().is_some_and(|ending| ending == "gz") { packed(&text)? } else { text.into_bytes() };
                written::write(file, &bytes)?;
                context.note(&format!("written to {}; read it before you pass it on", file.display()));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn packed(text: &str) -> std::io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text.as_bytes())?;
    encoder.finish()
}
