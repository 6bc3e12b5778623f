//! The data types: hosts, devices, files, findings.
//!
//! The types can be printed, parsed and serialised, and do no input or output.

mod address;
mod card;
mod cpu;
mod files;
mod finding;
mod hook;
mod host;
mod ids;
mod leads;
mod libvirt;
mod memory;
mod names;
mod observed;
mod pci;
mod platform;
mod reading;
mod rom;
mod samba;
mod setup;
mod shell_word;
mod size;
mod uri;
mod usb;

pub use address::{PciAddress, parse_number};
pub use card::{Card, CardKind};
pub use cpu::{Cache, Cpu, CpuSet, LogicalCpu, Topology};
pub use files::{
    BEGINNING, FileFacts, Files, Firmware, Identity, LONGEST_CHAIN, file_of_loop, format_by_content, format_by_name, has_protocol,
};
pub use finding::{Finding, Override, Severity};
pub use hook::{Daemon, HOOK, HOOK_DAEMONS, HOOK_MARK, HOOK_PROGRAMS, HookState, OtherHook};
pub use host::Host;
pub use ids::{Class, PciId, UsbId, is_uuid, vendor};
pub use leads::{ResolvedFile, ResolvedName, leads};
pub use libvirt::Libvirt;
pub use memory::{HugepagePool, Memory};
pub use names::{NamedFile, Role, is_known_format, named_by};
pub use observed::{CardUser, FreeBlocks, Holder, Holders, HostSource, IommuUnit, KvmNode, LibvirtAnswer, ModuleState, Observed, RomState};
pub use pci::{Bar, IommuGroup, PciDevice};
pub use platform::{BootLoader, Cmdline, Distribution, InitramfsTool, Iommu, Platform, SYSTEMD, at_least};
pub use reading::Reading;
pub use rom::{Rom, RomCode, RomImage};
pub use samba::{SmbShare, VirtualNetwork};
pub use setup::{
    Booted, ConfigFile, ConfigFiles, DomainFunctions, Kernel, LocalInitramfs, MODPROBE_FOLDERS, NoText, Setup, Use, UsedFor, Uses,
};
pub use shell_word::shell_word;
pub use size::Size;
pub use uri::Uri;
pub use usb::UsbDevice;
