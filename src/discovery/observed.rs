//! The present state of a host: `/dev/kvm`, the IOMMUs, interrupts, modules, power, free memory.

use std::collections::BTreeMap;

use super::files::{QEMU_CONF, qemu_account};
use super::{hook, kernel_log, software};
use crate::model::{FreeBlocks, Host, HostSource, IommuUnit, KvmNode, ModuleState, Observed, PciDevice, Setup};
use crate::root::Root;

const IOMMUS: &str = "/sys/class/iommu";
const KVM: &str = "/dev/kvm";
const READ_AND_WRITE: u32 = 6;

/// Reads the present state of a host; `is_root` says whether vgapt runs as root.
pub fn observe(root: &Root, host: &Host, setup: &Setup, is_root: bool) -> Observed {
    let reach = match () {
        () if root.is_live() => HostSource::Live { root: is_root },
        () if root.is_capture() => HostSource::Recorded,
        () => HostSource::Tree,
    };
    // A tree without programs or CPUs contains only a part of a machine: missing files there mean nothing.
    let whole = reach.is_live() || (!setup.programs.is_empty() && !host.cpu.flags.is_empty());
    let told = |found: Vec<String>| (whole || !found.is_empty()).then_some(found);
    let qemu_driver = software::qemu_driver(root);
    let directory_is_closed = reach == HostSource::Live { root: false } && root.status("/var/lib/libvirt/images").is_none();
    Observed {
        reach,
        kvm: kvm(root).or(whole.then_some(KvmNode { there: false, mode: 0, qemu_may: None })),
        iommus: root.names(IOMMUS).into_iter().map(|name| iommu(root, name)).collect(),
        interrupt_chips: interrupt_chips(root),
        unsafe_interrupts: root.attribute("/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts").map(|text| text == "Y"),
        vfio: setup.kernels.iter().filter_map(|kernel| Some((kernel.release.clone(), vfio(root, host, setup, &kernel.release)?))).collect(),
        d3cold_allowed: power(root, host),
        free_blocks: root.text("/proc/buddyinfo").map(|text| free_blocks(&text)).unwrap_or_default(),
        libvirt: None,
        libvirt_sockets: told(software::sockets(root)),
        qemu_driver: (whole || qemu_driver).then_some(qemu_driver),
        virtio_discs: told(software::virtio_discs(root)).filter(|found| !found.is_empty() || !directory_is_closed),
        log: kernel_log::read(root),
        smb_listeners: software::smb_listeners(root),
        hook: hook::read(root),
        ..Observed::default()
    }
}

fn kvm(root: &Root) -> Option<KvmNode> {
    let status = root.status(KVM)?;
    let everybody = status.mode & READ_AND_WRITE == READ_AND_WRITE;
    // Without qemu.conf the account is only assumed.
    let is_known = !root.is_capture() && root.reading(QEMU_CONF).unknown().is_none();
    let by_right = qemu_account(root).filter(|_| is_known).map(|account| {
        let shift = if status.uid == account.uid { 6 } else { 3 };
        let owns = status.uid == account.uid || account.gids.contains(&status.gid);
        owns && status.mode >> shift & READ_AND_WRITE == READ_AND_WRITE
    });
    Some(KvmNode { there: true, mode: status.mode, qemu_may: if everybody { Some(true) } else { by_right } })
}

fn iommu(root: &Root, name: String) -> IommuUnit {
    // MGAW of the capability register (Intel VT-d specification, 11.4.2).
    let capabilities = root.attribute(&format!("{IOMMUS}/{name}/intel-iommu/cap"));
    let width = capabilities
        .and_then(|text| u64::from_str_radix(&text, 16).ok())
        .and_then(|bits| u32::try_from(bits >> 16 & 0x3f).ok())
        .map(|bits| bits + 1);
    IommuUnit { name, width }
}

/// The kinds of interrupt controllers, such as `IR-PCI-MSI`, which show whether interrupts are remapped.
fn interrupt_chips(root: &Root) -> Vec<String> {
    let chips = |text: &str| {
        let is_one = |word: &&str| word.contains("IO-APIC") || word.contains("MSI");
        let plain = |word: &str| word.split("-0000:").next().unwrap_or_default().to_owned();
        let mut names: Vec<String> = text.split_ascii_whitespace().filter(is_one).map(plain).collect();
        names.sort_unstable();
        names.dedup();
        names.iter().map(|name| format!("{name}\n")).collect()
    };
    root.excerpt("/proc/interrupts", chips).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Whether a kernel has vfio-pci; `None` if unknown.
fn vfio(root: &Root, host: &Host, setup: &Setup, release: &str) -> Option<ModuleState> {
    let kernel = setup.kernels.iter().find(|kernel| kernel.release == release)?;
    if kernel.builtin.contains("vfio_pci") {
        return Some(ModuleState::BuiltIn);
    }
    // A driver that is bound to a device exists.
    let works = host.platform.kernel.as_deref() == Some(release) && host.pci.iter().any(PciDevice::on_vfio);
    let is_it = |name: &str| name.starts_with("vfio-pci.ko");
    let directory = format!("/lib/modules/{release}/kernel/drivers/vfio/pci");
    let lies_there = root.names(&directory).into_iter().any(|name| is_it(&name) && root.exists(&format!("{directory}/{name}")));
    // modprobe's own list, which has the module in whatever folder.
    let list = root.excerpt(&format!("/lib/modules/{release}/modules.dep"), |text| {
        let has = |line: &&str| is_it(line.split(':').next().unwrap_or_default().rsplit('/').next().unwrap_or_default());
        text.split_inclusive('\n').filter(has).collect()
    });
    if lies_there || list.as_ref().is_some_and(|lines| !lines.is_empty()) {
        return Some(ModuleState::Loadable);
    }
    if works {
        return Some(ModuleState::InUse);
    }
    // Without its list of modules or of built-in modules, nothing is known about a kernel.
    (list.is_some() && !kernel.builtin.is_empty()).then_some(ModuleState::Missing)
}

fn power(root: &Root, host: &Host) -> BTreeMap<crate::model::PciAddress, bool> {
    let cards = host.pci.iter().filter(|device| device.class.is_display());
    let allowed = |device: &crate::model::PciDevice| {
        let text = root.attribute(&format!("/sys/bus/pci/devices/{}/d3cold_allowed", device.address))?;
        Some((device.address, text == "1"))
    };
    cards.filter_map(allowed).collect()
}

/// Lines such as `Node 0, zone   Normal   2034   6391 …`.
fn free_blocks(text: &str) -> Vec<FreeBlocks> {
    let zone = |line: &str| {
        let (node, rest) = line.strip_prefix("Node")?.split_once(", zone")?;
        let counts = rest.split_ascii_whitespace().skip(1).map(str::parse).collect::<Result<_, _>>().ok()?;
        Some(FreeBlocks { node: node.trim().parse().ok()?, counts })
    };
    text.lines().filter_map(zone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Size;

    #[test]
    fn free_memory_by_its_pieces() {
        let text =
            "Node 0, zone      DMA      0 0 0 0 0 0 0 0 1 1 3\nNode 1, zone   Normal   9 9 9 9 9 9 9 9 9 2 1\ngarbage\nNode x, zone y z\n";
        let pieces = free_blocks(text);
        assert_eq!(pieces.len(), 2);
        assert_eq!((pieces[0].large(), pieces[1].large()), (Size::from_mib(14), Size::from_mib(8)));
    }
}
