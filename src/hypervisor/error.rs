//! An error of libvirt's, as the helper program hands it on.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What libvirt said when it refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LibvirtError {
    /// In its own words.
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
