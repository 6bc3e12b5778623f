//! How much of a machine is read.

/// How much of a machine is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// What is needed to tell which graphics cards can be passed through.
    Cards,
    /// Also what PCI functions are called, USB devices, memory and the number of processors.
    Devices,
    /// Everything.
    All,
}
