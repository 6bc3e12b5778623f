//! The clocks that a guest finds.

/// Which clocks a guest can find; one that finds neither KVM's nor Hyper-V's may read an emulated one, of which each reading is
/// an exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Clocks {
    pub kvm: bool,
    pub hyper_v: bool,
    /// An emulated one.
    pub hpet: bool,
}
