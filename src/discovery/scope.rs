//! How much of a host is read.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// What is needed to decide which graphics cards can be passed through.
    Cards,
    /// Also the names of PCI functions, USB devices, memory and the number of CPUs.
    Devices,
    All,
}
