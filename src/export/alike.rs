//! What of a domain is the same in a cluster without being said: each with its reason. The list is of values,
//! not of subtrees: another value of the same attribute is named.

use What::{Any, Tag, Text, Values, Whole};

use crate::xml::Element;

enum What {
    /// The element and all that is in it.
    Whole,
    /// That the element is there.
    Tag,
    /// This attribute, whatever its value.
    Any(&'static str),
    /// This attribute with one of these values.
    Values(&'static str, &'static [&'static str]),
    /// The element with one of these texts.
    Text(&'static [&'static str]),
}

/// Where (`*`: any one name), what, and the reason.
const ALIKE: &[(&str, What, &str)] = &[
    ("metadata", Whole, "notes of tools; the guest sees nothing of them"),
    ("on_poweroff", Text(&["destroy"]), "what libvirt and KubeVirt start from"),
    ("on_reboot", Text(&["restart"]), "what libvirt and KubeVirt start from"),
    ("on_crash", Text(&["destroy"]), "what libvirt and KubeVirt start from"),
    ("vcpu", Values("placement", &["static"]), "what libvirt starts from; a cluster places processors itself"),
    ("memoryBacking", Tag, "holds what is judged by itself"),
    ("cputune", Tag, "holds what is judged by itself"),
    ("os", Tag, "holds what is judged by itself"),
    ("os/firmware", Tag, "holds what is judged by itself"),
    ("features", Tag, "holds what is judged by itself"),
    ("features/pae", Whole, "each 64-bit processor has it"),
    ("features/apic", Tag, "each machine of the cluster has it"),
    ("features/hyperv", Tag, "holds what is judged by itself"),
    ("features/hyperv", Values("mode", &["custom"]), "what libvirt starts from"),
    ("features/kvm", Tag, "holds what is judged by itself"),
    ("clock", Tag, "holds what is judged by itself"),
    ("devices", Tag, "holds what is judged by itself"),
    ("devices/*/alias", Whole, "what libvirt calls a device; the guest does not see it"),
    ("devices/*/address", Whole, "where libvirt plugged a device in; a guest finds its devices"),
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
    ("devices/controller", Tag, "libvirt puts in what the devices need, there too"),
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
        "what libvirt puts in by itself in a cluster",
    ),
    ("devices/controller", Values("ports", &["15"]), "libvirt's own number for qemu-xhci"),
    ("devices/controller/model", Tag, "QEMU's name for the controller's model"),
    ("devices/controller/model", Any("name"), "QEMU's name for the controller's model"),
    ("devices/controller/target", Tag, "libvirt numbers the ports"),
    ("devices/controller/target", Any("chassis"), "libvirt numbers the ports"),
    ("devices/controller/target", Any("chassisNr"), "libvirt numbers the ports"),
    ("devices/controller/target", Any("port"), "libvirt numbers the ports"),
    ("devices/disk/driver", Tag, "holds what is judged by itself"),
    ("devices/disk/driver", Values("name", &["qemu"]), "the only driver that there is"),
    (
        "devices/disk/driver",
        Values("type", &["raw", "qcow2", "vmdk", "vdi", "vpc", "vhdx"]),
        "the importer of the cluster finds the format, and makes it raw",
    ),
    ("devices/disk/driver", Values("cache", &["default"]), "nothing is asked for"),
    ("devices/disk/driver", Values("io", &["default"]), "nothing is asked for"),
    ("devices/disk/driver", Values("discard", &["unmap"]), "KubeVirt asks for it with each disk"),
    ("devices/disk/target", Any("dev"), "libvirt's name for the disk, not the guest's"),
    ("devices/interface/driver", Tag, "holds what is judged by itself"),
    ("devices/interface/driver", Values("name", &["vhost"]), "what libvirt starts from"),
    ("devices/hostdev", Any("managed"), "who binds a device is up to the node"),
    ("devices/hostdev/driver", Tag, "holds what is judged by itself"),
    ("devices/hostdev/driver", Values("name", &["vfio"]), "the only driver that there is"),
    ("devices/audio", Any("id"), "a number for libvirt's own use"),
    ("devices/graphics", Any("port"), "where it listens on this host; a cluster has `virtctl vnc`"),
    ("devices/graphics", Any("autoport"), "where it listens on this host; a cluster has `virtctl vnc`"),
    ("devices/graphics", Any("listen"), "where it listens on this host; a cluster has `virtctl vnc`"),
    ("devices/graphics/listen", Whole, "where it listens on this host; a cluster has `virtctl vnc`"),
    ("devices/channel/source", Whole, "a socket of this host"),
    ("devices/serial/target", Tag, "the first port, of the machine's own sort"),
    ("devices/serial/target", Values("type", &["isa-serial"]), "the machine's own sort"),
    ("devices/serial/target", Values("port", &["0"]), "the first port"),
    ("devices/serial/target/model", Tag, "the machine's own sort"),
    ("devices/serial/target/model", Values("name", &["isa-serial"]), "the machine's own sort"),
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
