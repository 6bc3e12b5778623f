//! Remedies for libvirt's errors.

use super::error::LibvirtError;
use crate::problem::Problem;

/// `VIR_ERR_NO_DOMAIN` of libvirt's virterror.h.
const NO_DOMAIN: u32 = 42;

/// Parts of messages of libvirt or QEMU, and the remedy. The first match is used.
const REMEDIES: [(&[&str], &str); 28] = [
    (
        &["ssh: ", "Host key verification failed", "Permission denied (publickey", "Permission denied, please try again"],
        "ssh fails before it reaches libvirt: check that `ssh HOST true` works from here, with the user and the port of the URI",
    ),
    (
        &["End of file while reading data", "Connection reset by peer"],
        "the connection was closed: see libvirt's log on that host (journalctl -u libvirtd -u virtqemud); with ssh, check whether `ssh HOST virsh -c qemu:///system list` works",
    ),
    (&["does not include a driver name"], "use a libvirt URI: qemu:///system for this host, qemu+ssh://HOST/system for another"),
    (
        &[
            "authentication unavailable",
            "authentication failed",
            "access denied by policy",
            "libvirt-sock': Permission denied",
            "virtqemud-sock': Permission denied",
        ],
        "add yourself to the group libvirt (sudo usermod -aG libvirt $USER, then log in again), or run with sudo",
    ),
    (
        &["Failed to connect socket", "Cannot recv data", "unable to connect to server", "Connection refused"],
        "start libvirt: systemctl start libvirtd (or virtqemud.socket); if it is not installed: apt install libvirt-daemon-system, dnf install libvirt, pacman -S libvirt",
    ),
    (
        &["no connection driver available"],
        "install libvirt's QEMU driver: apt install libvirt-daemon-driver-qemu, dnf install libvirt-daemon-driver-qemu",
    ),
    (&["unexpected qemu URI path"], "use qemu:///system"),
    (&["already exists with uuid", "already defined with uuid"], "remove the <uuid> from the template, or use another name"),
    (
        &["does not support virt type 'kvm'"],
        "QEMU cannot use KVM: see `vgapt check` for SVM or VT-x, and whether this user may open /dev/kvm (sudo usermod -aG kvm $USER, then log in again)",
    ),
    (
        &["Cannot check QEMU binary", "Cannot find suitable emulator", "does not support virt type"],
        "install QEMU (apt install qemu-system-x86, dnf install qemu-kvm, pacman -S qemu-desktop), or name it with --emulator",
    ),
    (
        &["/dev/kvmfr"],
        "see `vgapt check` for what Looking Glass's module lacks; or use shared memory: vgapt define NAME --no-looking-glass, then the same with --looking-glass 1920x1080",
    ),
    (
        &["KVM is not available", "Could not access KVM", "failed to initialize kvm", "/dev/kvm"],
        "enable SVM or VT-x in the firmware settings, and load kvm_amd or kvm_intel",
    ),
    (&["doesn't support passthrough of host PCI devices"], "enable the IOMMU (see `vgapt list`), and load the module: modprobe vfio-pci"),
    (&["is not viable"], "the host uses another device of the card's IOMMU group; `vgapt list` shows it"),
    (&["no iommu_group found", "no such host device"], "see `vgapt list`: the device does not exist, or the IOMMU is off"),
    (&["is in use by driver"], "stop the domain that uses the device, or remove the device from it"),
    (&["No such device pci", "Device 0000", "not found: could not access"], "see `vgapt list`: PCI addresses may have changed"),
    (
        &["hugetlbfs filesystem is not mounted"],
        "mount it (systemctl start dev-hugepages.mount) and restart libvirtd, which looks for it only when it starts",
    ),
    (&["unable to map backing store", "cannot set up guest memory"], "free or reserve memory: sysctl vm.nr_hugepages=N for huge pages"),
    (
        &["cannot limit locked memory", "VFIO_MAP_DMA failed"],
        "run libvirtd as a system service (root), with a memory lock limit of at least the guest's memory",
    ),
    (
        &["Cannot access storage file"],
        "create the disk (qemu-img create), or give QEMU's user access to the folders above it (setfacl -m u:libvirt-qemu:x FOLDER)",
    ),
    (&["Failed to open file"], "check the file that the message names: it does not exist, or libvirt may not read it"),
    (&["network 'default' is not active", "Network not found"], "virsh net-start default, or use another <interface>"),
    (&["Cannot find 'passt'"], "apt install passt, dnf install passt"),
    (&["Unable to find a satisfying virtiofsd"], "apt install virtiofsd, dnf install virtiofsd"),
    (&["System Management Mode not supported"], "use a firmware without Secure Boot (--loader), or a host whose KVM supports SMM"),
    (&["Domain is already active", "domain is already running"], "the domain is already running; see `vgapt status NAME`"),
    (&["domain is not running"], "the domain is off; see `vgapt status NAME`"),
];

/// The error, with the remedy if one is known.
pub(super) fn with_remedy(error: LibvirtError) -> anyhow::Error {
    let known = REMEDIES.iter().find(|(patterns, _)| patterns.iter().any(|pattern| error.message.contains(pattern)));
    let remedy =
        if error.code == NO_DOMAIN { Some("see `virsh list --all` for the existing domains") } else { known.map(|(_, remedy)| *remedy) };
    match remedy {
        Some(remedy) => Problem::new(error.message, remedy).into(),
        None => error.into(),
    }
}
