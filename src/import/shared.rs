//! Shared memory, shared folders, and small devices: random numbers, balloon, watchdog, IOMMU.

use super::draft::Draft;
use super::memory::read_bytes;
use crate::xml::Fragment;

pub(super) fn translate(draft: &mut Draft) {
    memory(draft);
    folders(draft);
    random(draft);
    balloon(draft);
    for index in draft.devices(&["i6300esb", "itco-wdt"]) {
        let model = draft.take(index, "driver").unwrap_or_default();
        // libvirt's name for it.
        let model = if model == "itco-wdt" { "itco".to_owned() } else { model };
        let action = super::machine::watchdog_action(draft);
        draft.device(Fragment::new("watchdog").with("model", model).with("action", action));
        draft.ignore_address(index);
        draft.native(index, "<watchdog>");
    }
    for index in draft.devices(&["vhost-vsock-pci", "vhost-vsock-pci-non-transitional"]) {
        let Some(address) = draft.take(index, "guest-cid") else {
            draft.keep(index, "it sets no address");
            continue;
        };
        let cid = Fragment::new("cid").with("auto", "no").with("address", address);
        let model = draft.virtio_model(index);
        draft.device(Fragment::new("vsock").with("model", model).child(cid));
        draft.take(index, "driver");
        draft.ignore_address(index);
        draft.native(index, "<vsock>");
    }
    for index in draft.devices(&["pvpanic"]) {
        draft.take(index, "driver");
        draft.device(Fragment::new("panic").with("model", "isa"));
        draft.ignore_address(index);
        draft.native(index, "<panic>");
    }
    for index in draft.devices(&["intel-iommu"]) {
        let driver = ["intremap", "caching-mode", "eim", "device-iotlb"].map(|name| (name, draft.flag(index, name)));
        let state = |is_on: bool| if is_on { "on" } else { "off" };
        let mut element = Fragment::new("driver");
        for (name, is_on) in driver {
            let name = match name {
                "caching-mode" => "caching_mode",
                "device-iotlb" => "iotlb",
                name => name,
            };
            if let Some(is_on) = is_on {
                element = element.with(name, state(is_on));
            }
        }
        draft.take(index, "driver");
        draft.ignore_address(index);
        let iommu = Fragment::new("iommu").with("model", "intel");
        draft.device(if element.attributes().is_empty() { iommu } else { iommu.child(element) });
        draft.native(index, "<iommu>");
    }
}

/// Shared memory (ivshmem), as for Looking Glass.
fn memory(draft: &mut Draft) {
    for index in draft.devices(&["ivshmem-plain"]) {
        let id = draft.options[index].props.peek("memdev").unwrap_or_default().to_owned();
        let Some(object) = draft.with("object", "id", &id) else {
            draft.keep(index, "its memory backend was not found in the script");
            continue;
        };
        let path = draft.options[object].props.peek("mem-path").unwrap_or_default().to_owned();
        let size = draft.options[object].props.peek("size").and_then(read_bytes);
        let (Some(name), Some(size)) = (path.strip_prefix("/dev/shm/"), size) else {
            draft.keep(object, "libvirt shares memory in /dev/shm only");
            draft.keep(index, "libvirt shares memory in /dev/shm only");
            continue;
        };
        let shmem = Fragment::new("shmem").with("name", name).child(Fragment::new("model").with("type", "ivshmem-plain"));
        draft.device(shmem.child(Fragment::new("size").with("unit", "M").text(size.bytes() >> 20)));
        draft.options[object].props.ignore(&["qom-type", "id", "share", "mem-path", "size"]);
        draft.options[index].props.ignore(&["driver", "memdev"]);
        draft.ignore_address(index);
        draft.native(object, "<shmem>");
        draft.native(index, "<shmem>");
    }
}

fn folders(draft: &mut Draft) {
    for index in draft.devices(&["vhost-user-fs-pci", "vhost-user-fs"]) {
        let id = draft.options[index].props.peek("chardev").unwrap_or_default().to_owned();
        let Some(chardev) = draft.with("chardev", "id", &id) else {
            draft.keep(index, "its backend was not found in the script");
            continue;
        };
        let socket = draft.take(chardev, "path").unwrap_or_default();
        let tag = draft.take(index, "tag").unwrap_or_default();
        let driver = Fragment::new("driver").with("type", "virtiofs");
        let driver = match draft.take(index, "queue-size") {
            Some(size) => driver.with("queue", size),
            None => driver,
        };
        let folder = Fragment::new("filesystem").with("type", "mount").child(driver);
        draft.device(folder.child(Fragment::new("source").with("socket", socket)).child(Fragment::new("target").with("dir", tag)));
        draft.needs_shared_memory = true;
        draft.options[chardev].props.ignore(&["backend", "id"]);
        draft.options[index].props.ignore(&["driver", "chardev"]);
        draft.ignore_address(index);
        draft.native(index, "<filesystem>");
        draft.native(chardev, "<filesystem><source socket=…>: start virtiofsd as before");
    }
    for index in draft.named(&["virtfs"]) {
        let [path, tag, model] = ["path", "mount_tag", "security_model"].map(|name| draft.take(index, name));
        let read_only = draft.flag(index, "readonly") == Some(true);
        folder_9p(draft, path, tag, model.as_deref(), read_only);
        draft.options[index].props.ignore(&["fsdriver", "id"]);
        draft.native(index, "<filesystem>");
    }
    for index in draft.devices(&["virtio-9p-pci", "virtio-9p"]) {
        let id = draft.options[index].props.peek("fsdev").unwrap_or_default().to_owned();
        let Some(backend) = draft.with("fsdev", "id", &id) else {
            draft.keep(index, "its backend was not found in the script");
            continue;
        };
        let [path, model] = ["path", "security_model"].map(|name| draft.take(backend, name));
        let tag = draft.take(index, "mount_tag");
        let read_only = draft.flag(backend, "readonly") == Some(true);
        folder_9p(draft, path, tag, model.as_deref(), read_only);
        draft.options[backend].props.ignore(&["fsdriver", "id"]);
        draft.options[index].props.ignore(&["driver", "fsdev"]);
        draft.ignore_address(index);
        draft.native(index, "<filesystem>");
        draft.native(backend, "<filesystem>");
    }
}

fn folder_9p(draft: &mut Draft, path: Option<String>, tag: Option<String>, model: Option<&str>, read_only: bool) {
    let mode = match model {
        Some(model) if model.starts_with("mapped") => "mapped",
        Some("none") => "squash",
        _ => "passthrough",
    };
    let folder = Fragment::new("filesystem").with("type", "mount").with("accessmode", mode);
    let folder = folder.child(Fragment::new("source").with("dir", path.unwrap_or_default()));
    let folder = folder.child(Fragment::new("target").with("dir", tag.unwrap_or_default()));
    draft.device(folder.child_if(read_only.then(|| Fragment::new("readonly"))));
}

fn random(draft: &mut Draft) {
    for index in draft.devices(&["virtio-rng-pci", "virtio-rng", "virtio-rng-pci-non-transitional", "virtio-rng-pci-transitional"]) {
        let behind = draft.options[index].props.peek("rng").and_then(|id| draft.with("object", "id", id));
        let other = behind.filter(|object| {
            let kind = draft.options[*object].props.peek("qom-type");
            kind.is_some_and(|kind| !["rng-random", "rng-builtin"].contains(&kind))
        });
        if let Some(object) = other {
            draft.keep(object, "this source of random numbers is not converted");
            draft.keep(index, "its backend is passed to QEMU unchanged");
            continue;
        }
        let model = draft.virtio_model(index);
        let object = draft.take(index, "rng").and_then(|id| draft.with("object", "id", &id));
        let kind = object.and_then(|object| draft.take(object, "qom-type"));
        let backend = Fragment::new("backend");
        let backend = match (object, kind.as_deref()) {
            // The default backend is QEMU's own (`virtio_rng_device_realize`).
            (_, Some("rng-builtin")) | (None, _) => backend.with("model", "builtin"),
            (Some(object), _) => {
                backend.with("model", "random").text(draft.take(object, "filename").unwrap_or_else(|| "/dev/urandom".into()))
            }
        };
        let (most, period) = (draft.take(index, "max-bytes"), draft.take(index, "period"));
        let rate = most.map(|bytes| Fragment::new("rate").with("bytes", bytes));
        // QEMU's default is a minute (`virtio_rng_properties`), libvirt's a second.
        let rate = rate.map(|rate| rate.with("period", period.unwrap_or_else(|| "65536".into())));
        draft.device(Fragment::new("rng").with("model", model).child_if(rate).child(backend));
        if let Some(object) = object {
            draft.take(object, "id");
            draft.native(object, "<rng><backend>");
        }
        draft.take(index, "driver");
        draft.ignore_address(index);
        draft.native(index, "<rng>");
    }
}

fn balloon(draft: &mut Draft) {
    let mut model = "none";
    for index in draft.devices(&["virtio-balloon-pci", "virtio-balloon"]) {
        model = draft.virtio_model(index);
        draft.take(index, "driver");
        draft.ignore_address(index);
        draft.native(index, "<memballoon>");
    }
    for index in draft.named(&["balloon"]) {
        if draft.options[index].value() == "virtio" {
            model = "virtio";
        }
        draft.options[index].props = super::props::Props::default();
        draft.native(index, "<memballoon>");
    }
    draft.device(Fragment::new("memballoon").with("model", model));
}
