//! `vgapt capture`.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::Context;
use super::shared::consent::Consent;
use super::shared::next;
use super::shared::refused::Refused;
use super::shared::user_file;
use crate::discovery;
use crate::model::{Finding, Next};
use crate::output::{Answer, Outcome};
use crate::root::CapturedPath;

/// Record this host in one file, for a bug report or a test
///
/// A capture contains only what vgapt reads of each file, and of that only the words that vgapt looks for, numbers
/// and the kernel's own names; no comments, passwords, or names of people, hosts, networks and disks.
/// The contents are listed before the file is written. Every command reads a capture in place of the host with --root.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vgapt capture host.txt           # lists what is in it, and asks
  vgapt check --root host.txt      # on any machine")]
pub struct Arguments {
    /// The file to write, compressed if its name ends in .gz [default: standard output]
    file: Option<PathBuf>,
    /// Write it without asking
    #[arg(long)]
    yes: bool,
}

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<Answer> {
        let root = context.root()?.ok_or_else(|| {
            let message = format!("the host of {} cannot be captured: its files cannot be read from here", context.uri());
            Refused::from(Finding::error("not-this-host", message, "run vgapt on that host itself, without --connect"))
        })?;
        let (capture, kept) = discovery::capture(root);
        let text = capture.to_string();
        context.note(summary(&kept).trim_end());
        let shown = |capture| Captured { file: self.file.clone(), contents: kept, capture };
        match &self.file {
            None => {
                context.print_document(&text)?;
                Ok(Answer::done(shown(Some(text))))
            }
            Some(file) => {
                let is_allowed = self.yes || (Consent::can_ask(context) && Consent::ask(&format!("Write this to {}?", file.display()))?);
                if !is_allowed {
                    context.say("nothing was written\n");
                    let next = Next::command(next::again(&["--yes"], &["--json"]), "nothing was written");
                    context.next(&next);
                    return Ok(Answer::new(Outcome::Unconfirmed).next(next));
                }
                let bytes = if file.extension().is_some_and(|ending| ending == "gz") { packed(&text)? } else { text.into_bytes() };
                user_file::write(file, &bytes)?;
                context.note(&format!("written to {}; read it before you share it", file.display()));
                Ok(Answer::done(shown(None)))
            }
        }
    }
}

/// What `vgapt capture` answers.
#[derive(Serialize, JsonSchema)]
pub(super) struct Captured {
    /// The file that was written.
    file: Option<PathBuf>,
    contents: Vec<CapturedPath>,
    /// The capture, if it was not written to a file.
    capture: Option<String>,
}

/// What the capture contains: a line for each configuration file, and one for each tree of the kernel's files.
fn summary(kept: &[CapturedPath]) -> String {
    let mut text = String::from("contents of the capture, and how many words are replaced:\n");
    let of_kernel = |kept: &&CapturedPath| ["/sys", "/proc", "/dev"].iter().any(|tree| kept.path.starts_with(tree));
    for tree in ["/sys", "/proc", "/dev"] {
        let of_tree: Vec<&CapturedPath> = kept.iter().filter(|kept| kept.path.starts_with(tree)).collect();
        let (bytes, replaced) =
            (of_tree.iter().map(|kept| kept.bytes).sum::<usize>(), of_tree.iter().map(|kept| kept.replaced).sum::<usize>());
        text.push_str(&format!("  {tree}: {} entries, {bytes} bytes, {replaced} replaced\n", of_tree.len()));
    }
    for one in kept.iter().filter(|kept| !of_kernel(kept) && kept.bytes > 0) {
        text.push_str(&format!("  {}: {} bytes, {} replaced\n", one.path, one.bytes, one.replaced));
    }
    let names = kept.iter().filter(|kept| !of_kernel(kept) && kept.bytes == 0).count();
    text.push_str(&format!("  and that {names} other files exist\n"));
    text
}

fn packed(text: &str) -> std::io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text.as_bytes())?;
    encoder.finish()
}
