//! All boot loaders that vgapt supports.

use super::loader::Loader;
use super::{grub, kernelstub, limine, ostree, systemd_boot, unified};
use crate::model::BootLoader;

/// All supported boot loaders; if several are configured, the first one manages the files of the others.
pub(super) static ALL: [&Loader; 6] =
    [&ostree::OSTREE, &kernelstub::KERNELSTUB, &unified::UNIFIED, &systemd_boot::SYSTEMD_BOOT, &limine::LIMINE, &grub::GRUB];

/// The loader of this kind.
pub(super) fn of_kind(kind: BootLoader) -> Option<&'static Loader> {
    ALL.into_iter().find(|loader| loader.kind == kind)
}
