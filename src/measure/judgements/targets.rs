//! What exits were for: the names of ports, registers and addresses that every virtual machine of QEMU's has.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::seen::Seen;
use crate::measure::numbers::rounded;
use crate::model::ExitTarget;

/// What a port, a register or an address belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A clock: each reading is an exit.
    Clock,
    /// A device that a domain need not have.
    Device,
    /// What every machine or processor has.
    Machine,
}

use Kind::{Clock, Device, Machine};

/// Ports, the more exact first. That of the ACPI timer is 8 behind the base that the firmware chooses (`PORT_ACPI_PM_BASE` of
/// SeaBIOS, `ICH9_PMBASE_VALUE` and `PIIX4_PMBA_VALUE` of OVMF).
const PORTS: [(RangeInclusive<u64>, &str, Kind); 19] = [
    (0x608..=0x60b, "the ACPI timer", Clock),
    (0xb008..=0xb00b, "the ACPI timer", Clock),
    (0x600..=0x67f, "ACPI", Machine),
    (0x40..=0x43, "the PIT", Clock),
    (0x61..=0x61, "the PIT", Clock),
    (0x60..=0x64, "the PS/2 keyboard and mouse", Device),
    (0x20..=0x21, "the old interrupt controller", Machine),
    (0xa0..=0xa1, "the old interrupt controller", Machine),
    (0x70..=0x71, "the RTC", Machine),
    (0xb2..=0xb3, "the firmware's SMM", Machine),
    (0x170..=0x177, "an IDE disk", Device),
    (0x1f0..=0x1f7, "an IDE disk", Device),
    (0x2f8..=0x2ff, "a serial port", Device),
    (0x3f8..=0x3ff, "a serial port", Device),
    (0x3b0..=0x3df, "VGA", Device),
    (0x402..=0x402, "the firmware's debug output", Machine),
    (0x510..=0x51b, "what QEMU tells the firmware", Machine),
    (0xcf8..=0xcff, "the configuration of PCI", Machine),
    (0x5658..=0x5658, "the port of VMware's tools", Device),
];

/// Registers (`msr-index.h`, `apicdef.h` with the base of 0x800 of x2APIC, `kvm_para.h` of Linux, and Hyper-V's TLFS).
const REGISTERS: [(RangeInclusive<u64>, &str, Kind); 12] = [
    (0x10..=0x10, "the TSC", Machine),
    (0x6e0..=0x6e0, "the timer of the local APIC", Machine),
    (0x838..=0x839, "the timer of the local APIC", Machine),
    (0x830..=0x830, "interrupts to other virtual CPUs", Machine),
    (0x80b..=0x80b, "ends of interrupts", Machine),
    (0x800..=0x8ff, "the local APIC", Machine),
    (0x4000_0020..=0x4000_0021, "Hyper-V's clock", Machine),
    (0x4000_0070..=0x4000_0070, "ends of interrupts", Machine),
    (0x4000_0071..=0x4000_0071, "interrupts to other virtual CPUs", Machine),
    (0x4000_00b0..=0x4000_00b7, "Hyper-V's timers", Machine),
    (0x4000_0000..=0x4000_0fff, "Hyper-V", Machine),
    (0x4b56_4d00..=0x4b56_4dff, "KVM", Machine),
];

/// Addresses (`include/hw/timer/hpet.h`, `include/hw/i386/apic.h`, `hw/tpm` of QEMU).
const MEMORY: [(RangeInclusive<u64>, &str, Kind); 4] = [
    (0xfed0_0000..=0xfed0_03ff, "the HPET", Clock),
    (0xfec0_0000..=0xfec0_0fff, "the I/O APIC", Machine),
    (0xfee0_0000..=0xfee0_0fff, "the local APIC", Machine),
    (0xfed4_0000..=0xfed4_4fff, "the TPM", Machine),
];

fn known(target: ExitTarget) -> Option<(&'static str, Kind)> {
    let (all, number): (&[_], u64) = match target {
        ExitTarget::Port(number) => (&PORTS, number),
        ExitTarget::Register(number) => (&REGISTERS, number),
        ExitTarget::Memory(number) => (&MEMORY, number),
    };
    all.iter().find(|(numbers, ..)| numbers.contains(&number)).map(|(_, name, kind)| (*name, *kind))
}

/// In words: `port 0x608 (the ACPI timer)`.
pub(super) fn shown(target: ExitTarget) -> String {
    known(target).map_or_else(|| target.to_string(), |(name, _)| format!("{target} ({name})"))
}

/// What it belongs to; other ports and addresses are those that the firmware gave devices.
pub(super) fn kind(target: ExitTarget) -> Kind {
    known(target).map_or(if matches!(target, ExitTarget::Register(_)) { Machine } else { Device }, |(_, kind)| kind)
}

/// What all virtual CPUs left the guest for, the most frequent first, with how often a second.
pub(super) fn targets(seen: &Seen<'_>) -> Vec<(ExitTarget, f64)> {
    let mut all: BTreeMap<ExitTarget, f64> = BTreeMap::new();
    for (target, rate) in seen.vcpus.iter().filter_map(|vcpu| vcpu.exit_targets.as_ref()).flatten() {
        *all.entry(*target).or_default() += rate;
    }
    let mut all: Vec<(ExitTarget, f64)> = all.into_iter().map(|(target, rate)| (target, rounded(rate))).collect();
    all.sort_by(|one, other| other.1.total_cmp(&one.1));
    all
}
