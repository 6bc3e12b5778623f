//! `vgapt capture`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use super::Context;
use super::shared::consent::Consent;
use super::shared::written;
use crate::discovery;
use crate::output;
use crate::problem::Problem;
use crate::root::Kept;

/// Of each file only what vgapt reads of it is kept, and of that only words that it looks for, numbers
/// and the kernel's own names; comments, passwords and the names of people, hosts, networks and disks
/// are not. What is kept is listed first. Every command takes the file with --root in place of the machine.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The file to write, packed if its name ends in .gz; standard output if left out
    file: Option<PathBuf>,
    /// Write it without asking
    #[arg(long)]
    yes: bool,
}

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<ExitCode> {
        let root = context.root()?.ok_or_else(|| {
            Problem::new(
                format!("a machine behind {} cannot be captured: its files are out of reach", context.uri()),
                "run vgapt capture on that machine",
            )
        })?;
        let (capture, kept) = discovery::capture(root);
        let text = capture.to_string();
        context.note(summary(&kept).trim_end());
        match &self.file {
            None => output::print_document(&text)?,
            Some(file) => {
                if !self.yes && Consent::can_ask(context) && !Consent::ask(&format!("Write this to {}?", file.display()))? {
                    context.note("nothing is written");
                    return Ok(ExitCode::SUCCESS);
                }
                let bytes = if file.extension().is_some_and(|ending| ending == "gz") { packed(&text)? } else { text.into_bytes() };
                written::write(file, &bytes)?;
                context.note(&format!("written to {}; read it before you pass it on", file.display()));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What is kept of each file that people write, and of the kernel's files together.
fn summary(kept: &[Kept]) -> String {
    let mut text = String::from("what is kept, and how many words of it are replaced:\n");
    let of_kernel = |kept: &&Kept| ["/sys", "/proc", "/dev"].iter().any(|tree| kept.path.starts_with(tree));
    for tree in ["/sys", "/proc", "/dev"] {
        let of_tree: Vec<&Kept> = kept.iter().filter(|kept| kept.path.starts_with(tree)).collect();
        let (bytes, replaced) =
            (of_tree.iter().map(|kept| kept.bytes).sum::<usize>(), of_tree.iter().map(|kept| kept.replaced).sum::<usize>());
        text.push_str(&format!("  {tree}: {} entries, {bytes} bytes, {replaced} replaced\n", of_tree.len()));
    }
    for one in kept.iter().filter(|kept| !of_kernel(kept) && kept.bytes > 0) {
        text.push_str(&format!("  {}: {} bytes, {} replaced\n", one.path, one.bytes, one.replaced));
    }
    let names = kept.iter().filter(|kept| !of_kernel(kept) && kept.bytes == 0).count();
    text.push_str(&format!("  and that {names} others are there\n"));
    text
}

fn packed(text: &str) -> std::io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text.as_bytes())?;
    encoder.finish()
}
