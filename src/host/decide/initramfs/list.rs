//! All tools that vgapt supports.

use super::tool::Tool;
use super::{dracut, initramfs_tools, mkinitcpio};

/// All supported tools.
pub(super) static ALL: [&Tool; 3] = [&initramfs_tools::INITRAMFS_TOOLS, &dracut::DRACUT, &mkinitcpio::MKINITCPIO];
