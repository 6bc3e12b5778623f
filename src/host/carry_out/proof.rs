//! Verifies with the tool that lists boot images that they contain what was put into them.

use anyhow::{Context as _, Result};

use super::receipt::{CommandRun, Made};
use super::run::Run;
use crate::host::decide::initramfs::Tool;
use crate::host::plan::Plan;
use crate::model::InitramfsTool;
use crate::problem::Problem;
use crate::target::Target;

/// The suffix of unified images.
const UNIFIED: &str = ".efi";

/// Lists each regenerated image, and looks for what must be in it. An error, too, if no image was regenerated, or none
/// of those that are booted.
pub fn prove_initramfs(plan: &Plan, applied: &Run, tool: &Tool, target: &Target, tell: &dyn Fn(&str)) -> Result<()> {
    let runs: Vec<&CommandRun> = applied.commands().iter().filter(|run| run.is_of(tool.program)).collect();
    let Some(run) = runs.iter().find(|run| run.begun) else { return Ok(()) };
    let images: Vec<String> = run.made.iter().filter(|made| is_new_image(made)).map(|made| made.path.clone()).collect();
    if images.is_empty() {
        let message = format!("{} succeeded, but regenerated no image", tool.program);
        return Err(Problem::new(message, format!("run {} by hand and read its output", tool.program)).into());
    }
    // lsinitramfs cannot list unified images; the listers of the other tools can.
    let by_bytes = |image: &String| tool.kind == InitramfsTool::InitramfsTools && image.ends_with(UNIFIED);
    let mut booted: Vec<String> = runs.into_iter().flat_map(booted_from).collect();
    booted.retain(|image| by_bytes(image) || !image.ends_with(UNIFIED));
    if !booted.is_empty() && !booted.iter().any(|image| images.contains(image)) {
        let message = format!("{} succeeded, but the booted images are unchanged: {}", tool.program, booted.join(", "));
        return Err(Problem::new(message, "find the command that installs a new initramfs there, such as kernel-install add").into());
    }
    let (unified, plain): (Vec<String>, Vec<String>) = images.into_iter().partition(by_bytes);
    for image in &plain {
        tell(&format!("verifying {image}"));
        let Some(listing) = target.run(&[tool.lister.to_owned(), image.clone()])? else { return Ok(()) };
        if let Some(missing) = plan.in_initramfs.iter().find(|wanted| !listing.stdout.contains(wanted.as_str())) {
            return Err(lacks(image, missing, tool, tool.lister));
        }
    }
    for image in &unified {
        tell(&format!("verifying {image}"));
        if !holds_one_of(image, &plain, target)? {
            return Err(lacks(image, "the new initramfs", tool, "searched byte by byte"));
        }
    }
    Ok(())
}

/// The files may include boot loader entries.
fn is_new_image(made: &Made) -> bool {
    let before = made.before.as_ref().map(|kept| &kept.sha256);
    !made.path.ends_with(".conf") && made.after.is_some() && made.after.as_ref() != before
}

/// Those files it makes that are booted: the files that boot loader entries name, and unified images.
fn booted_from(run: &CommandRun) -> Vec<String> {
    let paths = run.made.iter().map(|made| &made.path);
    paths.filter(|path| run.command.makes.contains(path) || path.ends_with(UNIFIED)).cloned().collect()
}

fn lacks(image: &str, what: &str, tool: &Tool, how: &str) -> anyhow::Error {
    let remedy = format!("see the output of {}; all changes are rolled back", tool.program);
    Problem::new(format!("{image} does not contain {what} ({how})"), remedy).into()
}

/// Whether a unified image contains, byte for byte, one of the verified initramfs images.
fn holds_one_of(image: &str, proved: &[String], target: &Target) -> Result<bool> {
    let read = |path: &str| target.read(path)?.map(|state| state.bytes).with_context(|| format!("{path} does not exist"));
    let whole = read(image)?;
    for part in proved {
        if memchr::memmem::find(&whole, &read(part)?).is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
