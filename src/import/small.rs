//! Shared memory, shared folders, and small devices: random numbers, balloon, watchdog, IOMMU.

use super::draft::Draft;
use super::machine::watchdog_action;
use super::size::read_bytes;
use super::table;
use crate::xml::Fragment;

pub(super) fn translate(draft: &mut Draft) {
    shared_memory(draft);
    folders(draft);
    random(draft);
    balloon(draft);
    for index in draft.devices(&["watchdog"]) {
        let action = watchdog_action(draft);
        let watchdog = draft.element(index, "watchdog");
        draft.finish(index, watchdog.with("action", action));
    }
    for index in draft.devices(&["vsock"]).into_iter().filter(|index| draft.peek(*index, "guest-cid").is_none()).collect::<Vec<_>>() {
        draft.keep(index, "it sets no address");
    }
    for index in draft.devices(&["domain"]) {
        let places = table::places("domain", draft.peek(index, "driver").unwrap_or_default()).unwrap_or_default();
        table::write(&mut draft.domain, places, "");
        draft.fill_domain(index, "domain", "");
        draft.native(index, &format!("<{}>", places.split('@').next().unwrap_or_default().replace('/', "><")));
        draft.ignore_address(index);
    }
    for group in ["vsock", "panic", "iommu"] {
        draft.convert_devices(group);
    }
}

/// Shared memory (ivshmem), as for Looking Glass.
fn shared_memory(draft: &mut Draft) {
    for index in draft.devices(&["shmem"]) {
        let Some(object) = draft.backend(index, "memdev", "object") else { continue };
        let name = draft.peek(object, "mem-path").and_then(|path| path.strip_prefix("/dev/shm/")).map(str::to_owned);
        let (Some(name), Some(size)) = (name, draft.peek(object, "size").and_then(read_bytes)) else {
            draft.keep(object, "libvirt shares memory in /dev/shm only");
            draft.keep(index, "libvirt shares memory in /dev/shm only");
            continue;
        };
        let mut shmem = draft.element(index, "shmem");
        shmem.set("@name", name);
        shmem.set("size@unit", "M");
        shmem.set("size", size.bytes() >> 20);
        draft.options[object].props.ignore(&["qom-type", "id", "share", "mem-path", "size"]);
        draft.native(object, "<shmem>");
        draft.finish(index, shmem);
    }
}

fn folders(draft: &mut Draft) {
    for index in draft.devices(&["filesystem virtiofs"]) {
        let Some(chardev) = draft.backend(index, "chardev", "chardev") else { continue };
        let mut folder = draft.element(index, "filesystem virtiofs");
        folder.set("source@socket", draft.take(chardev, "path").unwrap_or_default());
        folder.sort(&["driver", "source", "target"]);
        draft.needs_shared_memory = true;
        draft.options[chardev].props.ignore(&["backend", "id"]);
        draft.native(chardev, "<filesystem><source socket=…>: start virtiofsd as before");
        draft.finish(index, folder);
    }
    for index in draft.named(&["virtfs", "fsdev"]) {
        if draft.peek(index, "security_model") == Some("mapped-file") {
            draft.keep(index, "libvirt keeps what the guest sets of files in their attributes only, not in files beside them");
        }
    }
    for index in draft.named(&["virtfs"]) {
        let mut folder = Fragment::new("filesystem").with("type", "mount").with("accessmode", "passthrough");
        draft.fill(index, "filesystem 9p", &mut folder);
        folder.sort(&["driver", "source", "target"]);
        draft.device(folder);
        draft.native(index, "<filesystem>");
    }
    for index in draft.devices(&["filesystem 9p"]) {
        let Some(backend) = draft.backend(index, "fsdev", "fsdev") else { continue };
        if draft.peek(backend, "fsdriver").is_some_and(|driver| driver != "local") {
            draft.keep(backend, "libvirt shares folders by the driver 'local' only");
            draft.keep(index, "its folder is passed to QEMU unchanged");
            continue;
        }
        let mut folder = draft.element(index, "filesystem 9p");
        draft.fill(backend, "filesystem 9p", &mut folder);
        folder.sort(&["driver", "source", "target"]);
        draft.native(backend, "<filesystem>");
        draft.finish(index, folder);
    }
}

fn random(draft: &mut Draft) {
    for index in draft.devices(&["rng"]) {
        let object = draft.behind(index, "rng", "object");
        let kind = object.and_then(|object| draft.peek(object, "qom-type")).unwrap_or("rng-builtin").to_owned();
        if let Some(object) = object.filter(|_| !["rng-random", "rng-builtin"].contains(&kind.as_str())) {
            draft.keep(object, "this source of random numbers is not converted");
            draft.keep(index, "its backend is passed to QEMU unchanged");
            continue;
        }
        let mut rng = draft.element(index, "rng");
        // QEMU's default is a minute (`virtio_rng_properties`), libvirt's a second.
        match rng.at("rate").map(|rate| (rate.attribute("bytes").is_some(), rate.attribute("period").is_some())) {
            Some((true, false)) => rng.set("rate@period", "65536"),
            Some((false, _)) => rng.remove("rate"),
            _ => {}
        }
        // The default backend is QEMU's own (`virtio_rng_device_realize`).
        if kind == "rng-builtin" {
            rng.set("backend@model", "builtin");
        } else if let Some(object) = object {
            rng.set("backend@model", "random");
            rng.set("backend", draft.take(object, "filename").unwrap_or_else(|| "/dev/urandom".into()));
        }
        if let Some(object) = object {
            draft.options[object].props.ignore(&["id", "qom-type"]);
            draft.native(object, "<rng><backend>");
        }
        draft.take(index, "rng");
        draft.finish(index, rng);
    }
}

/// A domain has one balloon, or says that it has none.
fn balloon(draft: &mut Draft) {
    let mut balloon = Fragment::new("memballoon").with("model", "none");
    for index in draft.devices(&["memballoon"]) {
        balloon = draft.element(index, "memballoon");
        draft.ignore_address(index);
        draft.native(index, "<memballoon>");
    }
    for index in draft.named(&["balloon"]) {
        if draft.whole(index) == "virtio" {
            balloon.set("@model", "virtio");
        }
        draft.native(index, "<memballoon>");
    }
    draft.device(balloon);
}
