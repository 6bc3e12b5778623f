//! Parts of a domain that are the same in a cluster without an entry in the manifest, each with the reason. The
//! list is of values, not of subtrees: another value of the same attribute is reported.

use What::{Any, Tag, Text, Values, Whole};

use crate::xml::Element;

enum What {
    /// The element and its whole content.
    Whole,
    /// The presence of the element.
    Tag,
    /// This attribute, whatever its value.
    Any(&'static str),
    /// This attribute with one of these values.
    Values(&'static str, &'static [&'static str]),
    /// The element with one of these texts.
    Text(&'static [&'static str]),
}

/// Path (`*`: any one name), part, and reason.
const ALIKE: &[(&str, What, &str)] = &[
    ("metadata", Whole, "notes of tools; the guest sees nothing of them"),
    ("on_poweroff", Text(&["destroy"]), "the default of libvirt and KubeVirt"),
    ("on_reboot", Text(&["restart"]), "the default of libvirt and KubeVirt"),
    ("on_crash", Text(&["destroy"]), "the default of libvirt and KubeVirt"),
    ("vcpu", Values("placement", &["static"]), "libvirt's default; a cluster places CPUs itself"),
    ("memoryBacking", Tag, "its content is checked separately"),
    ("cputune", Tag, "its content is checked separately"),
    ("os", Tag, "its content is checked separately"),
    ("os/firmware", Tag, "its content is checked separately"),
    ("features", Tag, "its content is checked separately"),
    ("features/pae", Whole, "each 64-bit processor has it"),
    ("features/apic", Tag, "each machine of the cluster has it"),
    ("features/hyperv", Tag, "its content is checked separately"),
    ("features/hyperv", Values("mode", &["custom"]), "libvirt's default"),
    ("features/kvm", Tag, "its content is checked separately"),
    ("clock", Tag, "its content is checked separately"),
    ("devices", Tag, "its content is checked separately"),
    ("devices/*/alias", Whole, "libvirt's name for a device; the guest does not see it"),
    ("devices/*/address", Whole, "the address that libvirt assigned; a guest detects its devices"),
    (
        "devices/emulator",
        Text(&[
            "/usr/bin/qemu-system-x86_64",
            "/usr/bin/qemu-system-aarch64",
            "/usr/bin/qemu-system-s390x",
            "/usr/bin/kvm",
            "/usr/bin/qemu-kvm",
            "/usr/libexec/qemu-kvm",
        ]),
        "a distribution's QEMU; the cluster has its own",
    ),
    ("devices/controller", Tag, "libvirt adds what the devices need, in a cluster too"),
    ("devices/controller", Values("type", &["pci", "sata", "scsi", "usb", "virtio-serial"]), "the same"),
    ("devices/controller", Any("index"), "the same"),
    (
        "devices/controller",
        Values(
            "model",
            &[
                "pcie-root",
                "pcie-root-port",
                "pci-root",
                "pci-bridge",
                "pcie-to-pci-bridge",
                "dmi-to-pci-bridge",
                "virtio-scsi",
                "qemu-xhci",
            ],
        ),
        "libvirt adds it by itself in a cluster",
    ),
    ("devices/controller", Values("ports", &["15"]), "libvirt's own number for qemu-xhci"),
    ("devices/controller/model", Tag, "QEMU's name for the controller's model"),
    ("devices/controller/model", Any("name"), "QEMU's name for the controller's model"),
    ("devices/controller/target", Tag, "libvirt numbers the ports"),
    ("devices/controller/target", Any("chassis"), "libvirt numbers the ports"),
    ("devices/controller/target", Any("chassisNr"), "libvirt numbers the ports"),
    ("devices/controller/target", Any("port"), "libvirt numbers the ports"),
    ("devices/disk/driver", Tag, "its content is checked separately"),
    ("devices/disk/driver", Values("name", &["qemu"]), "the only driver available"),
    (
        "devices/disk/driver",
        Values("type", &["raw", "qcow2", "vmdk", "vdi", "vpc", "vhdx"]),
        "the cluster's importer detects the format, and converts to raw",
    ),
    ("devices/disk/driver", Values("cache", &["default"]), "no value is requested"),
    ("devices/disk/driver", Values("io", &["default"]), "no value is requested"),
    ("devices/disk/driver", Values("discard", &["unmap"]), "KubeVirt asks for it with each disk"),
    ("devices/disk/target", Any("dev"), "libvirt's name for the disk, not the guest's"),
    ("devices/interface/driver", Tag, "its content is checked separately"),
    ("devices/interface/driver", Values("name", &["vhost"]), "libvirt's default"),
    ("devices/hostdev", Any("managed"), "the node decides how a device is bound"),
    ("devices/hostdev/driver", Tag, "its content is checked separately"),
    ("devices/hostdev/driver", Values("name", &["vfio"]), "the only driver available"),
    ("devices/audio", Any("id"), "a number for libvirt's own use"),
    ("devices/graphics", Any("port"), "where it listens on this host; a cluster has `virtctl vnc`"),
    ("devices/graphics", Any("autoport"), "where it listens on this host; a cluster has `virtctl vnc`"),
    ("devices/graphics", Any("listen"), "where it listens on this host; a cluster has `virtctl vnc`"),
    ("devices/graphics/listen", Whole, "where it listens on this host; a cluster has `virtctl vnc`"),
    ("devices/channel/source", Whole, "a socket of this host"),
    ("devices/serial/target", Tag, "the first port, of the machine's own type"),
    ("devices/serial/target", Values("type", &["isa-serial"]), "the machine's own type"),
    ("devices/serial/target", Values("port", &["0"]), "the first port"),
    ("devices/serial/target/model", Tag, "the machine's own type"),
    ("devices/serial/target/model", Values("name", &["isa-serial"]), "the machine's own type"),
    ("devices/console/target", Tag, "the first serial port"),
    ("devices/console/target", Values("type", &["serial"]), "the first serial port"),
    ("devices/console/target", Values("port", &["0"]), "the first serial port"),
];

fn rows(path: &str) -> impl Iterator<Item = &'static What> {
    let path = path.trim_end_matches('/');
    ALIKE.iter().filter(move |(pattern, _, _)| fits(pattern, path)).map(|(_, what, _)| what)
}

fn fits(pattern: &str, path: &str) -> bool {
    let Some((before, behind)) = pattern.split_once('*') else { return pattern == path };
    let inner = path.strip_prefix(before).and_then(|rest| rest.strip_suffix(behind));
    inner.is_some_and(|name| !name.is_empty() && !name.contains('/'))
}

pub(super) fn whole(path: &str) -> bool {
    rows(path).any(|what| matches!(what, Whole))
}

pub(super) fn tag(element: Element<'_>, path: &str) -> bool {
    rows(path).any(|what| match what {
        Tag => true,
        Text(texts) => texts.contains(&element.text()),
        _ => false,
    })
}

pub(super) fn attribute(element: Element<'_>, path: &str, name: &str) -> bool {
    let value = element.attribute(name).unwrap_or_default();
    rows(path).any(|what| match what {
        Any(any) => *any == name,
        Values(of, values) => *of == name && values.contains(&value.as_ref()),
        _ => false,
    })
}

pub(super) fn text(element: Element<'_>, path: &str) -> bool {
    rows(path).any(|what| matches!(what, Text(texts) if texts.contains(&element.text())))
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_has_a_reason() {
        for (path, _, because) in super::ALIKE {
            assert!(because.len() > 10 || *because == "the same", "{path}");
        }
    }
}
