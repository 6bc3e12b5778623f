//! The logs that are read.

use schemars::JsonSchema;
use serde::Serialize;

/// A log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Log {
    /// What libvirt answered to the request to start.
    Answer,
    /// libvirt's log of the domain, to which QEMU writes too.
    Domain,
    /// The log of libvirt's daemon.
    Daemon,
    /// The kernel's log.
    Kernel,
}
