//! That the boot images really contain what was put into them, asked of the tool that lists them.

use anyhow::Result;

use super::apply::Applied;
use super::initramfs::Tool;
use super::plan::Plan;
use super::target::Target;
use crate::problem::Problem;
use crate::run;

/// Lists each image that was made anew, and looks for what must be in it.
///
/// # Errors
/// Where something is missing, or no image was made anew, or none of those that the loader's entries name.
pub fn prove_initramfs(plan: &Plan, applied: &Applied, tool: &Tool, target: &Target, tell: &dyn Fn(&str)) -> Result<()> {
    let Some(images) = applied.made_by(tool.program) else { return Ok(()) };
    if images.is_empty() {
        let message = format!("{} ended well, and made no image anew", tool.program);
        return Err(Problem::new(message, format!("run {} by hand and see what it says", tool.program)).into());
    }
    let booted = applied.named_for(tool.program);
    if !booted.is_empty() && !booted.iter().any(|path| images.contains(path)) {
        let message = format!("{} ended well, and what is booted is as before: {}", tool.program, booted.join(", "));
        return Err(Problem::new(message, "see by which command a new initramfs gets there, such as kernel-install add").into());
    }
    for image in images {
        tell(&format!("looking into {image}"));
        let listing = run::output(&[tool.lister.to_owned(), target.at(&image).to_string_lossy().into_owned()])?;
        if let Some(missing) = plan.in_initramfs.iter().find(|wanted| !listing.stdout.contains(wanted.as_str())) {
            return Err(Problem::new(
                format!("{image} does not contain {missing} ({})", tool.lister),
                format!("see what {} says of it; nothing stays changed", tool.program),
            )
            .into());
        }
    }
    Ok(())
}
