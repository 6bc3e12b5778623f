//! What of a domain a manifest does not say. Every element and attribute that is not listed here as
//! said, or as libvirt's own business, is named: what the exporter does not know is not lost silently.

use super::kubevirt::Beyond;
use crate::xml::Element;

/// Elements that a manifest says, that are named in words elsewhere, or that a cluster makes itself;
/// with the attributes for which that holds. `*`: all of them, and all that is inside.
const SAID: &[(&str, &[&str])] = &[
    ("name", &["*"]),
    ("uuid", &["*"]),
    ("metadata", &["*"]),
    ("memory", &["unit"]),
    ("vcpu", &["placement"]),
    ("iothreads", &["*"]),
    ("memoryBacking", &[]),
    ("memoryBacking/hugepages", &[]),
    ("memoryBacking/hugepages/page", &["size", "unit"]),
    ("memoryBacking/locked", &[]),
    ("memoryBacking/nosharepages", &[]),
    ("cputune", &[]),
    ("cputune/vcpupin", &["*"]),
    ("cputune/emulatorpin", &["*"]),
    ("sysinfo", &["*"]),
    ("os", &["firmware"]),
    ("os/type", &["*"]),
    ("os/loader", &["*"]),
    ("os/nvram", &["*"]),
    ("os/firmware", &[]),
    ("os/kernel", &["*"]),
    ("os/initrd", &["*"]),
    ("os/cmdline", &["*"]),
    ("os/smbios", &["*"]),
    ("features", &[]),
    ("features/acpi", &[]),
    ("features/apic", &[]),
    ("features/pae", &[]),
    ("features/smm", &["state"]),
    ("features/hyperv", &["mode"]),
    ("features/hyperv/relaxed", &["state"]),
    ("features/hyperv/vapic", &["state"]),
    ("features/hyperv/vpindex", &["state"]),
    ("features/hyperv/runtime", &["state"]),
    ("features/hyperv/synic", &["state"]),
    ("features/hyperv/reset", &["state"]),
    ("features/hyperv/frequencies", &["state"]),
    ("features/hyperv/reenlightenment", &["state"]),
    ("features/hyperv/tlbflush", &["state"]),
    ("features/hyperv/ipi", &["state"]),
    ("features/hyperv/evmcs", &["state"]),
    ("features/hyperv/spinlocks", &["state", "retries"]),
    ("features/hyperv/vendor_id", &["state", "value"]),
    ("features/hyperv/stimer", &["state"]),
    ("features/hyperv/stimer/direct", &["state"]),
    ("features/kvm", &[]),
    ("features/kvm/hidden", &["state"]),
    ("cpu", &["mode", "match", "check", "migratable"]),
    ("cpu/model", &["fallback"]),
    ("cpu/topology", &["*"]),
    ("cpu/feature", &["*"]),
    ("clock", &["offset"]),
    ("qemu:commandline", &["*"]),
    ("qemu:override", &["*"]),
    ("devices", &[]),
    ("devices/emulator", &["*"]),
    ("devices/controller", &["type", "index", "model", "ports"]),
    ("devices/controller/target", &["*"]),
    ("devices/controller/model", &["*"]),
    ("devices/controller/master", &["*"]),
    ("devices/disk", &["type", "device"]),
    ("devices/disk/driver", &["name", "type", "cache", "io"]),
    ("devices/disk/source", &["*"]),
    ("devices/disk/target", &["dev", "bus"]),
    ("devices/disk/readonly", &[]),
    ("devices/disk/serial", &[]),
    ("devices/disk/boot", &["*"]),
    ("devices/disk/backingStore", &["*"]),
    ("devices/interface", &["type"]),
    ("devices/interface/mac", &["address"]),
    ("devices/interface/model", &["type"]),
    ("devices/interface/source", &["*"]),
    ("devices/hostdev", &["mode", "type", "managed"]),
    ("devices/hostdev/source", &["*"]),
    ("devices/hostdev/driver", &["*"]),
    ("devices/hostdev/rom", &["*"]),
    ("devices/tpm", &["*"]),
    ("devices/rng", &["model"]),
    ("devices/rng/backend", &["*"]),
    ("devices/sound", &["model"]),
    ("devices/sound/codec", &["*"]),
    ("devices/input", &["*"]),
    ("devices/graphics", &["*"]),
    ("devices/video", &[]),
    ("devices/video/model", &["type", "primary", "ram", "vram", "vgamem", "heads"]),
    ("devices/memballoon", &["*"]),
    ("devices/shmem", &["*"]),
    ("devices/filesystem", &["*"]),
    ("devices/redirdev", &["*"]),
    ("devices/iommu", &["*"]),
];

/// What is the same without being said: the values that libvirt and KubeVirt start from.
const USUAL: &[(&str, &str)] = &[("on_poweroff", "destroy"), ("on_reboot", "restart"), ("on_crash", "destroy")];

/// Names what is not said.
pub(super) fn name(domain: Element<'_>, beyond: &mut Beyond) {
    walk(domain, "", beyond);
    let bytes = |name: &str| {
        let element = domain.child(name)?;
        let unit = element.attribute("unit").map_or_else(|| "KiB".to_owned(), std::borrow::Cow::into_owned);
        Some((element.text().to_owned(), unit))
    };
    if bytes("currentMemory").is_some_and(|current| Some(current) != bytes("memory")) {
        beyond.name("less memory at first than it may have (currentMemory): it starts with all of it");
    }
}

fn walk(parent: Element<'_>, at: &str, beyond: &mut Beyond) {
    for child in parent.children() {
        // Where libvirt put a device, and what it calls it.
        if at.starts_with("devices/") && ["address", "alias"].contains(&child.name()) {
            continue;
        }
        let path = if at.is_empty() { child.name().to_owned() } else { format!("{at}/{}", child.name()) };
        if is_usual(child, &path) {
            continue;
        }
        let Some((_, attributes)) = SAID.iter().find(|(said, _)| *said == path) else {
            beyond.name(&format!("{}{}", place(at), shown(child)));
            continue;
        };
        if attributes.contains(&"*") {
            continue;
        }
        for attribute in child.attribute_names().filter(|name| !attributes.contains(name)) {
            let value = child.attribute(attribute).unwrap_or_default();
            beyond.name(&format!("{attribute}='{value}' of {}<{}>", place(at), child.name()));
        }
        walk(child, &path, beyond);
    }
}

fn is_usual(element: Element<'_>, path: &str) -> bool {
    let attribute = |name: &str| element.attribute(name).map(std::borrow::Cow::into_owned).unwrap_or_default();
    match path {
        // Said, or named one by one, where the clock is.
        "clock/timer" | "currentMemory" => true,
        // The first disk is what a guest starts from anyway.
        "os/boot" => attribute("dev") == "hd",
        "os/firmware/feature" => ["secure-boot", "enrolled-keys"].contains(&attribute("name").as_str()),
        "devices/audio" => attribute("type") == "none",
        "devices/watchdog" => attribute("model") == "i6300esb",
        // A cluster gives each guest a console, and a channel to the guest agent.
        "devices/serial" | "devices/console" => attribute("type") == "pty",
        "devices/channel" => {
            element.child("target").is_some_and(|target| target.attribute("name").as_deref() == Some("org.qemu.guest_agent.0"))
        }
        _ => USUAL.iter().any(|(usual, value)| *usual == path && element.text() == *value),
    }
}

fn place(at: &str) -> String {
    if at.is_empty() { String::new() } else { format!("<{}> ", at.replace('/', "> <")) }
}

/// An element's first tag, with its text where it has no more than that.
fn shown(element: Element<'_>) -> String {
    let source = element.source();
    let tag = source.split_inclusive('>').next().unwrap_or(source);
    if element.children().next().is_none() && !element.text().is_empty() { source.to_owned() } else { tag.to_owned() }
}

#[cfg(test)]
mod tests {
    use crate::export::kubevirt;
    use crate::xml::Document;

    #[test]
    fn whatever_is_not_said_is_named() {
        let text = "<domain type='kvm'><name>a</name><memory unit='GiB'>8</memory><currentMemory unit='GiB'>4</currentMemory>
            <vcpu placement='static' current='2'>4</vcpu><numatune><memory mode='strict' nodeset='1'/></numatune>
            <cputune><vcpupin vcpu='0' cpuset='1'/><vcpusched vcpus='0' scheduler='fifo' priority='1'/></cputune>
            <os firmware='efi'><type machine='q35'>hvm</type><firmware><feature enabled='yes' name='secure-boot'/></firmware>
            <bootmenu enable='yes'/><boot dev='hd'/></os>
            <features><acpi/><pmu state='off'/></features><on_reboot>destroy</on_reboot><on_crash>destroy</on_crash>
            <clock offset='utc'><timer name='tsc' mode='native'/><timer name='hpet' present='no'/></clock>
            <devices><vsock model='virtio'><cid auto='no' address='3'/></vsock><panic model='isa'/>
            <disk type='network' device='disk'><source protocol='rbd' name='pool/image'/><target dev='vda' bus='virtio'/></disk>
            <disk type='nvme' device='disk'><source type='pci'/><target dev='vdb' bus='virtio'/></disk>
            <interface type='user'><mac address='52:54:00:12:34:56'/><model type='virtio'/><driver queues='4'/></interface>
            </devices></domain>";
        let exported = kubevirt(&Document::parse(text).unwrap(), "a", &[], false);
        let words = exported.beyond.join("\n");
        for word in [
            "currentMemory",
            "current='2' of <vcpu>",
            "<numatune>",
            "<vcpusched",
            "<bootmenu",
            "<pmu state='off'/>",
            "<on_reboot>destroy",
            "name='tsc'",
            "<vsock model='virtio'>",
            "<panic model='isa'/>",
            "<driver queues='4'/>",
            "rbd:pool/image",
            "NVMe",
        ] {
            assert!(words.contains(word), "{word} is not in:\n{words}");
        }
        assert!(
            !words.contains("on_crash") && !words.contains("<acpi/>") && !words.contains("hpet") && !words.contains("<boot "),
            "{words}"
        );
        let spec = &exported.manifest["spec"]["template"]["spec"]["domain"];
        assert_eq!(spec["firmware"]["bootloader"]["efi"]["secureBoot"], true);
        assert_eq!(spec["features"]["smm"]["enabled"], true);
        assert_eq!(spec["cpu"]["dedicatedCpuPlacement"], true);
        let unpinned = kubevirt(
            &Document::parse("<domain><vcpu>2</vcpu><cputune><emulatorpin cpuset='0'/></cputune></domain>").unwrap(),
            "a",
            &[],
            true,
        );
        let cpu = &unpinned.manifest["spec"]["template"]["spec"]["domain"]["cpu"];
        assert!(cpu["dedicatedCpuPlacement"].is_null() && cpu["isolateEmulatorThread"].is_null(), "{cpu}");
        assert_eq!(unpinned.manifest["spec"]["runStrategy"], "Always");
    }
}
