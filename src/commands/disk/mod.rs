//! `vgapt disk`: the commands for disk images, one file each.

mod chain;
mod commit;
mod compact;
mod copy_in;
mod create;
mod disk_context;
mod guard;
mod info;
mod libvirt_disks;
mod merge;
mod options;
mod overlay;
mod search;
mod swap;
mod tools;

use anyhow::Result;

use super::Context;
use crate::output::Answer;

pub(super) use commit::Committed;
pub(super) use compact::Compacted;
pub(super) use copy_in::Copied;
pub(super) use create::Created;
pub(super) use info::Info;
pub(super) use merge::Merged;
pub(super) use overlay::Overlaid;
pub(super) use swap::Swapped;

/// Create, merge, compact and change disk images
///
/// Commands that would do harm are refused: on a disk that a running domain uses, if the target exists, or if there is
/// too little space. An interrupted command leaves its sources unchanged and no incomplete target.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vgapt disk create win11.qcow2 100G
  vgapt disk overlay win11.qcow2   # win11.qcow2.diff takes the changes
  vgapt disk info win11.qcow2.diff")]
pub struct Arguments {
    #[command(subcommand)]
    recipe: Recipe,
}

#[derive(Debug, clap::Subcommand)]
enum Recipe {
    Create(create::Arguments),
    Overlay(overlay::Arguments),
    Info(info::Arguments),
    Merge(merge::Arguments),
    Commit(commit::Arguments),
    Compact(compact::Arguments),
    CopyIn(copy_in::Arguments),
    Swap(swap::Arguments),
}

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<Answer> {
        match &self.recipe {
            Recipe::Create(arguments) => arguments.run(context),
            Recipe::Overlay(arguments) => arguments.run(context),
            Recipe::Info(arguments) => arguments.run(context),
            Recipe::Merge(arguments) => arguments.run(context),
            Recipe::Commit(arguments) => arguments.run(context),
            Recipe::Compact(arguments) => arguments.run(context),
            Recipe::CopyIn(arguments) => arguments.run(context),
            Recipe::Swap(arguments) => arguments.run(context),
        }
    }
}
