//! What each tool that makes the initramfs provides.

use crate::host::decide::bound::GONE;
use crate::host::plan::{Command, Edits};
use crate::model::{Finding, InitramfsTool, Setup};

/// How vgapt handles a tool.
pub struct Tool {
    /// Which one it is.
    pub kind: InitramfsTool,
    /// The program by which the tool is detected.
    pub(in crate::host) program: &'static str,
    /// The program that lists what is in an image.
    pub lister: &'static str,
    /// The files that include something.
    pub(super) files: fn(&Setup, &Inclusion) -> Result<Edits, Finding>,
    /// The modules that others' configuration has it load before udev loads the host's drivers, in this order and with underscores;
    /// `None` where that is not known.
    pub(in crate::host::decide) loaded: fn(&Setup) -> Option<Vec<String>>,
    /// The command that regenerates the images.
    pub(super) regenerate: fn(&Setup, &Inclusion) -> Result<Command, Finding>,
}

/// What has to be included in the initramfs.
pub(in crate::host::decide) struct Inclusion {
    pub(in crate::host::decide) modules: Vec<&'static str>,
    pub(in crate::host::decide) files: Vec<&'static str>,
    /// The image that is booted, if it does not have the default name, and the kernel release.
    pub(in crate::host::decide) image: Option<(String, String)>,
}

impl Inclusion {
    fn is_empty(&self) -> bool {
        self.modules.is_empty() && self.files.is_empty()
    }
}

/// A file of vgapt: written, or removed if nothing has to be included in the initramfs any more.
pub(super) fn own_file(setup: &Setup, path: &str, inclusion: &Inclusion, text: String, mode: u32) -> Result<Edits, Finding> {
    let mut edits = Edits::default();
    if inclusion.is_empty() {
        edits.remove(setup, path, GONE)?;
    } else {
        edits.write(setup, path, text, mode, WHY)?;
    }
    Ok(edits)
}

pub(super) const WHY: &str = "vfio-pci has to be available when the first drivers are loaded";
