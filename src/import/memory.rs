//! Memory, and what it is made of.

use super::draft::Draft;
use crate::model::Size;
use crate::xml::Fragment;

pub(super) fn translate(draft: &mut Draft) {
    let mut backends = amount(draft);
    backends.sort();
    let mut hugepages: Option<String> = None;
    for index in draft.named(&["mem-path"]) {
        hugepages = Some(draft.options[index].value().to_owned());
        draft.native(index, "<memoryBacking>");
    }
    let mut immediate = false;
    for index in draft.named(&["mem-prealloc"]) {
        immediate = true;
        draft.native(index, "<allocation mode='immediate'>");
    }
    let mut locked = false;
    for index in draft.named(&["overcommit", "realtime"]) {
        match draft.flag(index, "mem-lock").or_else(|| draft.flag(index, "mlock")) {
            Some(is_on) => {
                locked |= is_on;
                draft.native(index, "<locked/>");
            }
            None => draft.keep(index, "no element says this"),
        }
    }
    for id in backends {
        let Some(index) = draft.with("object", "id", &id) else { continue };
        let kind = draft.take(index, "qom-type").unwrap_or_default();
        let path = draft.take(index, "mem-path");
        draft.needs_shared_memory |= draft.flag(index, "share") == Some(true);
        immediate |= draft.flag(index, "prealloc") == Some(true);
        let is_huge = draft.flag(index, "hugetlb") == Some(true) || path.as_deref().is_some_and(|path| path.contains("huge"));
        if is_huge {
            hugepages = hugepages.or(path).or_else(|| Some("/dev/hugepages".into()));
        } else if let Some(path) = path.filter(|path| path != "/dev/shm") {
            draft
                .notes
                .push(format!("memory in {path}: libvirt chooses the place of memory files itself (memory_backing_dir in qemu.conf)"));
        }
        if kind == "memory-backend-memfd" {
            draft.attribute("source", "type", "memfd");
        }
        draft.options[index].props.ignore(&["id", "size", "hugetlbsize"]);
        draft.native(index, "<memoryBacking>");
    }
    if let Some(path) = &hugepages {
        if path.contains("huge") {
            let page = if path.contains("1G") { Some(("G", 1)) } else { None };
            let pages = Fragment::new("hugepages");
            let page = page.map(|(unit, size)| Fragment::new("page").with("size", size).with("unit", unit));
            draft.put("memoryBacking", pages.child_if(page));
        } else {
            draft.attribute("source", "type", "file");
            draft
                .notes
                .push(format!("memory in {path}: libvirt chooses the place of memory files itself (memory_backing_dir in qemu.conf)"));
        }
    }
    if locked {
        draft.put("memoryBacking", Fragment::new("locked"));
    }
    if immediate {
        draft.put("memoryBacking", Fragment::new("allocation").with("mode", "immediate"));
    }
}

/// How much; the backends that it names.
fn amount(draft: &mut Draft) -> Vec<String> {
    for index in draft.named(&["m"]) {
        let size = draft.take(index, "size").and_then(|size| read(&size));
        match size {
            Some(size) => {
                draft.put("", Fragment::new("memory").with("unit", "KiB").text(size.kib()));
                if let Some(most) = draft.take(index, "maxmem").and_then(|most| read(&most)) {
                    let slots = draft.take(index, "slots").unwrap_or_else(|| "1".into());
                    draft.put("", Fragment::new("maxMemory").with("slots", slots).with("unit", "KiB").text(most.kib()));
                    // QEMU makes a node by itself for memory that is plugged in; libvirt wants to be told of it.
                    if draft.named(&["numa"]).len() < 2 {
                        draft.put("numa", Fragment::new("cell").with("id", 0).with("memory", size.kib()).with("unit", "KiB"));
                    }
                }
                draft.native(index, "<memory>");
            }
            None => draft.drop(index, "it is no size"),
        }
    }
    let mut backends: Vec<String> = Vec::new();
    let machines = draft.options.iter().filter(|option| option.name == "machine");
    backends.extend(machines.filter_map(|machine| machine.props.peek("memory-backend").map(str::to_owned)));
    let nodes = draft.named(&["numa"]);
    if let [index] = nodes[..] {
        backends.extend(draft.take(index, "memdev"));
        draft.options[index].props.ignore(&["type", "nodeid", "cpus", "mem"]);
        draft.native(index, "<memoryBacking>: one node is what there is without");
    }
    for index in nodes.iter().filter(|_| nodes.len() > 1) {
        backends.extend(draft.take(*index, "memdev"));
        let id = draft.take(*index, "nodeid").unwrap_or_else(|| "0".into());
        let cpus: Vec<String> = draft.options[*index].props.take_all("cpus");
        let memory = draft.take(*index, "mem").and_then(|size| read(&size));
        let memory = memory.or_else(|| {
            let backend = backends.last()?;
            let object =
                draft.options.iter().find(|option| option.name == "object" && option.props.peek("id") == Some(backend.as_str()))?;
            read(object.props.peek("size")?)
        });
        let cell = Fragment::new("cell").with("id", id).with("cpus", cpus.join(","));
        draft.put("numa", cell.with("memory", memory.unwrap_or_default().kib()).with("unit", "KiB"));
        draft.options[*index].props.ignore(&["type"]);
        draft.native(*index, "<numa><cell>");
    }
    backends
}

/// QEMU's sizes: a bare number is MiB.
pub(super) fn read(text: &str) -> Option<Size> {
    text.trim_matches('"').parse().ok()
}
