//! That the boot images really contain what was put into them, asked of the tool that lists them.

use anyhow::{Context as _, Result};

use super::apply::{Run, UNIFIED};
use super::initramfs::Tool;
use super::plan::Plan;
use super::target::Target;
use crate::model::InitramfsTool;
use crate::problem::Problem;

/// Lists each image that was made anew, and looks for what must be in it.
///
/// # Errors
/// Where something is missing, or no image was made anew, or none of those that are booted.
pub fn prove_initramfs(plan: &Plan, applied: &Run, tool: &Tool, target: &Target, tell: &dyn Fn(&str)) -> Result<()> {
    let Some(images) = applied.made_by(tool.program) else { return Ok(()) };
    if images.is_empty() {
        let message = format!("{} ended well, and made no image anew", tool.program);
        return Err(Problem::new(message, format!("run {} by hand and see what it says", tool.program)).into());
    }
    // lsinitramfs cannot look into unified images; the others' listers can.
    let by_bytes = |image: &String| tool.kind == InitramfsTool::InitramfsTools && image.ends_with(UNIFIED);
    let mut booted = applied.booted_from(tool.program);
    booted.retain(|image| by_bytes(image) || !image.ends_with(UNIFIED));
    if !booted.is_empty() && !booted.iter().any(|image| images.contains(image)) {
        let message = format!("{} ended well, and what is booted is as before: {}", tool.program, booted.join(", "));
        return Err(Problem::new(message, "see by which command a new initramfs gets there, such as kernel-install add").into());
    }
    let (unified, plain): (Vec<String>, Vec<String>) = images.into_iter().partition(by_bytes);
    for image in &plain {
        tell(&format!("looking into {image}"));
        let Some(listing) = target.run(&[tool.lister.to_owned(), image.clone()])? else { return Ok(()) };
        if let Some(missing) = plan.in_initramfs.iter().find(|wanted| !listing.stdout.contains(wanted.as_str())) {
            return Err(lacks(image, missing, tool, tool.lister));
        }
    }
    for image in &unified {
        tell(&format!("looking into {image}"));
        if !holds_one_of(image, &plain, target)? {
            return Err(lacks(image, "the new initramfs", tool, "looked for byte by byte"));
        }
    }
    Ok(())
}

fn lacks(image: &str, what: &str, tool: &Tool, how: &str) -> anyhow::Error {
    let remedy = format!("see what {} says of it; nothing stays changed", tool.program);
    Problem::new(format!("{image} does not contain {what} ({how})"), remedy).into()
}

/// Whether a unified image has in it, as it is, one of the initramfs that were proved.
fn holds_one_of(image: &str, proved: &[String], target: &Target) -> Result<bool> {
    let read = |path: &str| target.read(path)?.map(|state| state.bytes).with_context(|| format!("{path} is not there"));
    let whole = read(image)?;
    for part in proved {
        if memchr::memmem::find(&whole, &read(part)?).is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
