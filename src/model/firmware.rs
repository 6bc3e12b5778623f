//! The firmware of guests.

use serde::Serialize;

/// A UEFI firmware for guests: a code image and the matching variables template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Firmware {
    /// The code image; guests share it read-only.
    pub code: String,
    /// The template from which a guest's variables are copied.
    pub vars: String,
    /// The format of both: `raw` or `qcow2`.
    pub format: String,
    /// Whether it enforces Secure Boot if keys are enrolled; this requires system management mode.
    pub secure_boot: bool,
    /// Whether Microsoft's keys are enrolled in the variables.
    pub has_keys: bool,
}
