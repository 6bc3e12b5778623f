//! The templates that come with vgapt: complete, valid libvirt domains.

use super::Os;

/// The template for a guest system.
pub const fn template(os: Os) -> &'static str {
    match os {
        Os::Windows => include_str!("../../templates/windows.xml"),
        Os::Linux => include_str!("../../templates/linux.xml"),
    }
}
