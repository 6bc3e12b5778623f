//! Processes of QEMU on a host.

use std::collections::BTreeMap;

use super::Reading;

/// A process that runs QEMU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QemuProcess {
    pub pid: u32,
    /// The program and its arguments, exactly.
    pub argv: Vec<String>,
    /// The path of the program; `None` where it could not be read.
    pub program: Option<String>,
    /// The working directory.
    pub folder: Reading<String>,
    /// The environment that it was started with.
    pub environment: Reading<Vec<(String, String)>>,
    pub descriptors: Reading<BTreeMap<u32, Descriptor>>,
    /// The host CPUs that it may use, where these are not all.
    pub processors: Option<String>,
    /// The host CPUs of each vCPU's thread, where they are others than the process's. The threads have names with `debug-threads=on` only.
    pub pins: Vec<(u32, String)>,
}

/// An open file of a process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Descriptor {
    pub path: String,
    /// The network device of a tap.
    pub tap: Option<Tap>,
}

/// A network device to which QEMU is connected by an open file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tap {
    pub name: String,
    /// The bridge that it is on.
    pub bridge: Option<String>,
    /// The device that it is a macvtap of.
    pub below: Option<String>,
}
