//! `vgapt disk`: the recipes for disk images, one file each.

mod chain;
mod commit;
mod compact;
mod copy_in;
mod create;
mod desk;
mod guard;
mod info;
mod made;
mod merge;
mod overlay;
mod paths;
mod search;
mod shown;
mod stated;
mod swap;
mod work;

use std::process::ExitCode;

use anyhow::Result;

use super::Context;
use desk::{Against, refuse};

/// What is asked of is refused where it would harm: a disk that a running domain has, a target that
/// exists, too little room. What is interrupted leaves its sources as they were and no half target.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    recipe: Recipe,
}

#[derive(Debug, clap::Subcommand)]
enum Recipe {
    /// Make an empty disk
    Create(create::Arguments),
    /// Make a disk that holds only what differs from another
    Overlay(overlay::Arguments),
    /// Show a disk, what it lies on, what lies on it, and who uses it
    Info(info::Arguments),
    /// Copy all that is seen through an overlay into a new disk of any format
    Merge(merge::Arguments),
    /// Write what an overlay holds into the disk it lies on
    Commit(commit::Arguments),
    /// Copy a disk compressed, without what the guest does not use
    Compact(compact::Arguments),
    /// Copy a file or directory into a guest's file system
    CopyIn(copy_in::Arguments),
    /// Point a domain at an overlay, or back at the disk below
    Swap(swap::Arguments),
}

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<ExitCode> {
        let ran = match &self.recipe {
            Recipe::Create(arguments) => arguments.run(context),
            Recipe::Overlay(arguments) => arguments.run(context),
            Recipe::Info(arguments) => arguments.run(context),
            Recipe::Merge(arguments) => arguments.run(context),
            Recipe::Commit(arguments) => arguments.run(context),
            Recipe::Compact(arguments) => arguments.run(context),
            Recipe::CopyIn(arguments) => arguments.run(context),
            Recipe::Swap(arguments) => arguments.run(context),
        };
        match ran {
            Err(error) => match error.downcast::<Against>() {
                Ok(Against(findings)) => refuse(context, &findings, "nothing is done"),
                Err(error) => Err(error),
            },
            ran => ran,
        }
    }
}
