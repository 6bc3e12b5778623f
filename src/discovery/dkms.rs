//! The modules that DKMS builds for each kernel.

use crate::model::{Dkms, DkmsModule, Reading, version_order};
use crate::root::Root;

/// Where DKMS keeps them: `NAME/VERSION`, and for each kernel for which a version is installed a link
/// `NAME/kernel-RELEASE-ARCHITECTURE` (dkms(8); `do_install` of dkms).
const TREE: &str = "/var/lib/dkms";
const INSTALLED: &str = "kernel-";
/// What else is beside the versions: the kernel's own module that was replaced.
const REPLACED: &str = "original_module";

pub(super) fn read(root: &Root) -> Dkms {
    Dkms(root.entries(TREE).and_then(|names| names.iter().filter_map(|name| module(root, name).transpose()).collect()))
}

/// One module; `None` for a file beside the modules, such as DKMS's own version.
fn module(root: &Root, name: &str) -> Result<Option<DkmsModule>, String> {
    let entries = match root.entries(&format!("{TREE}/{name}")) {
        Reading::Known(entries) => entries,
        Reading::Absent => return Ok(None),
        Reading::Unknown(because) => return Err(because),
    };
    let (installed, versions): (Vec<&String>, Vec<&String>) = entries.iter().partition(|entry| entry.starts_with(INSTALLED));
    let kernels = installed.into_iter().filter_map(|entry| Some(entry.strip_prefix(INSTALLED)?.rsplit_once('-')?.0.to_owned())).collect();
    let newest = versions.into_iter().filter(|version| *version != REPLACED).max_by(|one, other| version_order(one, other));
    Ok(newest.map(|version| DkmsModule { name: name.to_owned(), version: version.clone(), kernels }))
}
