//! The colours of pictures, for people with any colour vision (Okabe and Ito, 2008); each has a word beside it.

pub(super) const GUEST: &str = "#009e73";
pub(super) const EMULATOR: &str = "#56b4e9";
pub(super) const UNUSED: &str = "#e69f00";
pub(super) const HOST: &str = "#d9d9d9";
pub(super) const OTHER: &str = "#f0e442";
pub(super) const STOLEN: &str = "#cc79a7";
