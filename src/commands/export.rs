//! `vgapt export`.

use std::process::ExitCode;

use anyhow::Result;

use super::Context;

/// x
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The domain's name
    name: String,
}

impl Arguments {
    pub(super) fn run(&self, _context: &Context) -> Result<ExitCode> {
        let _ = &self.name;
        Ok(ExitCode::SUCCESS)
    }
}
