//! Drivers that hang, in words.

use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Error, Result, bail};

use crate::discovery;
use crate::domain::HostResources;
use crate::life;
use crate::model::Hang;
use crate::output;
use crate::root::Root;
use crate::run::Apart;
use crate::target::Target;

/// With this first argument, vgapt prints what shows why a driver hangs.
const WORD: &str = "--show-hang";
/// How long that may take. Who reads the mappings of a process waits for whoever changes them, and that may be the one that
/// hangs (`mmap_lock`); libvirt's clients wait meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a process that was killed may take to end.
const GRACE: Duration = Duration::from_millis(100);

/// The drivers that hang.
pub(in crate::commands) fn hangs(root: &Root) -> Result<Vec<Hang>> {
    discovery::hangs(root).map_err(Error::msg)
}

/// What shows why a driver hangs, in one line. Another process looks, which is not waited for longer than it may take.
pub(in crate::commands) fn evidence(target: &Target, hang: &Hang) -> String {
    let look = || -> Result<Option<String>> {
        let root = target.shown("/");
        let root = root.to_str().context("the path of the tree is not UTF-8")?;
        let mut process = Apart::start(&[WORD, root, &serde_json::to_string(hang)?])?;
        let shown = process.ended_by(Instant::now() + PATIENCE)?;
        if shown.is_none() {
            process.kill(GRACE);
        }
        Ok(shown)
    };
    match look() {
        Ok(Some(words)) => words.trim().to_owned(),
        Ok(None) => format!("why is unknown: that could not be read within {} s", PATIENCE.as_secs()),
        Err(error) => format!("why is unknown: {error:#}"),
    }
}

/// Prints what shows why a driver hangs if the arguments of this program say so; `main` calls it. Returns `None` if they do not.
pub(crate) fn show(mut arguments: impl Iterator<Item = OsString>) -> Option<Result<()>> {
    if arguments.next()?.to_str() != Some(WORD) {
        return None;
    }
    let texts: Vec<String> = arguments.filter_map(|argument| argument.into_string().ok()).collect();
    let show = || -> Result<()> {
        let [root, hang] = texts.as_slice() else { bail!("{WORD} is only for vgapt's internal use") };
        let (root, hang) = (Root::open(Path::new(root))?, serde_json::from_str::<Hang>(hang)?);
        Ok(output::print(&discovery::evidence(&root, &hang).in_words())?)
    };
    Some(show())
}

/// Refuses a domain if the driver of one of its functions hangs: whoever touches the function would hang too.
pub(in crate::commands) fn refuse(needs: &HostResources, root: &Root, target: &Target) -> Result<()> {
    let is_passed = |hang: &Hang| needs.passed.iter().any(|passed| passed.address == hang.function.address);
    match hangs(root)?.into_iter().find(is_passed) {
        Some(hang) => bail!("{}", life::hanging(&hang, &evidence(target, &hang), false)),
        None => Ok(()),
    }
}
