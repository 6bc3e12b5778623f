//! How much of a host is read.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// What is needed to decide which graphics cards can be passed through.
    Cards,
    /// Also the names of PCI functions, USB devices, memory and the number of CPUs.
    Devices,
    /// What decides the next step: all but the names and details of functions that are on no graphics card, which most are,
    /// and the layout of the CPUs.
    NextStep,
    All,
}
