//! An error of libvirt, as the helper program passes it on.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An error of libvirt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LibvirtError {
    /// Its message.
    pub message: String,
    /// Its number (`virErrorNumber`); 0 where the error is not libvirt's.
    pub code: u32,
    /// The part of libvirt that it comes from (`virErrorDomain`).
    pub domain: u32,
}

impl fmt::Display for LibvirtError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for LibvirtError {}
