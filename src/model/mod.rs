//! The data types: hosts, devices, files, findings.
//!
//! The types can be printed, parsed and serialised, and do no input or output.

mod boot_pages;
mod card;
mod cells;
mod clocks;
mod cpu;
mod devices;
mod exit_target;
mod files;
mod finding;
mod firmware;
mod hook;
mod host;
mod ids;
mod images;
mod iommufd;
mod kvmfr;
mod libvirt;
mod logs;
mod memory;
mod names;
mod next;
mod observed;
mod pins;
mod platform;
mod process;
mod qemu_conf;
mod reading;
mod recorded_group;
mod reset;
mod rom;
mod sample;
mod setup;
mod sysctl;
mod text;
mod unbinding;

pub use boot_pages::{BootPages, kernel_size};
pub use card::{Card, CardKind};
pub use cells::CellPlace;
pub use clocks::Clocks;
pub use cpu::{BOOT_CPU, Cache, Cpu, CpuSet, LogicalCpu, Topology};
pub use devices::{Bar, IommuGroup, PARENT_DOWN, PARENT_DOWN_REMEDY, PciDevice, Sriov, UsbDevice};
pub use exit_target::ExitTarget;
pub use files::{FileFacts, Files, Identity, file_of_loop, is_device_by_name};
pub use finding::{Finding, Override, Severity, shell_command, shell_word};
pub use firmware::Firmware;
pub use hook::{Daemon, HOOK, HOOK_DAEMONS, HOOK_MARK, HOOK_PROGRAMS, HookState, OtherHook};
pub use host::{Host, Neighbour};
pub use ids::{Class, PciAddress, PciId, UsbId, is_uuid, parse_number, vendor};
pub use images::{BEGINNING, LONGEST_CHAIN, ResolvedFile, ResolvedName, format_by_content, format_by_name, has_protocol, leads};
pub use iommufd::Iommufd;
pub use kvmfr::{KVMFR_NODE, Kvmfr};
pub use libvirt::{Libvirt, SmbShare, Uri, VirtualNetwork};
pub use logs::{LogLine, Moment, ReadLog, STARTING};
pub use memory::{HOST_KEEPS_ONE_IN, HugepagePool, Memory, NodePool, Size, kept_by_host, most_for_guests, needed_by_host};
pub use names::{NamedFile, Role, is_known_format, named_by};
pub use next::Next;
pub use observed::{
    CardUser, Dkms, DkmsModule, FreeBlocks, Holder, Holders, HostSource, KvmNode, LibvirtAnswer, ModuleState, Observed, RecordedGroups,
    RomState,
};
pub use pins::OwnPins;
pub use platform::{BootLoader, Cmdline, Distribution, InitramfsTool, Iommu, Platform, SYSTEMD, at_least, kernel_part, version_order};
pub use process::{Descriptor, QemuProcess, Tap};
pub use qemu_conf::{allows_device, with_device};
pub use reading::Reading;
pub use recorded_group::{GroupMember, RecordedGroup};
pub use reset::{Ladder, ResetFunction, ResetWay, Rung, Tried};
pub use rom::{Rom, RomCode, RomImage};
pub use sample::{
    CpuQuota, CpuTimes, ExitReasons, Frequency, GuestClock, GuestMemory, IdleState, Interrupts, Link, Sample, Surroundings,
    TICKS_PER_SECOND, Thread, TurboOff,
};
pub(crate) use text::{serde_as_text, serialize_as_text};

pub use setup::{
    Booted, ConfigFile, ConfigFiles, DomainFunctions, Kernel, LocalInitramfs, MODPROBE_FOLDERS, NoText, ONLY_CONF, OSTREE_BOOTED,
    OWN_OPTIONS, Setup, StagedDeployment, StagedState, Use, UsedFor, Uses, WithoutDisk, WrittenLine,
};
pub use sysctl::{SYSCTL_FOLDERS, TUNED_FOLDERS, TUNED_PROFILE};
pub use unbinding::{Bound, HANGS, Hang, HangEvidence};
