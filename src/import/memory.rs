//! Memory and its backends.

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
    let mut threads = None;
    for index in draft.named(&["mem-prealloc"]) {
        immediate = true;
        draft.native(index, "<allocation mode='immediate'>");
    }
    let mut locked = false;
    for index in draft.named(&["overcommit", "realtime"]) {
        match draft.flag(index, "mem-lock").or_else(|| draft.flag(index, "mlock")) {
            Some(is_on) => {
                locked |= is_on;
                if let Some(value) = draft.take(index, "cpu-pm") {
                    draft.arguments.extend(["-overcommit".into(), format!("cpu-pm={value}")]);
                    draft.notes.push(format!("cpu-pm={value} of -overcommit has no libvirt element, and is passed to QEMU unchanged"));
                }
                draft.native(index, "<locked/>");
            }
            None => draft.keep(index, "libvirt has no element for this"),
        }
    }
    for id in backends {
        let Some(index) = draft.with("object", "id", &id) else { continue };
        let kind = draft.take(index, "qom-type").unwrap_or_default();
        let path = draft.take(index, "mem-path");
        draft.needs_shared_memory |= draft.flag(index, "share") == Some(true);
        immediate |= draft.flag(index, "prealloc") == Some(true);
        threads = draft.take(index, "prealloc-threads").or(threads);
        let is_huge = draft.flag(index, "hugetlb") == Some(true) || path.as_deref().is_some_and(|path| path.contains("huge"));
        if is_huge {
            hugepages = hugepages.or(path).or_else(|| Some("/dev/hugepages".into()));
        } else if let Some(path) = path.filter(|path| path != "/dev/shm") {
            draft
                .notes
                .push(format!("memory in {path}: libvirt chooses the directory of memory files itself (memory_backing_dir in qemu.conf)"));
        }
        if kind == "memory-backend-memfd" {
            draft.attribute("source", "type", "memfd");
        }
        nodes(draft, index);
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
                .push(format!("memory in {path}: libvirt chooses the directory of memory files itself (memory_backing_dir in qemu.conf)"));
        }
    }
    if locked {
        draft.put("memoryBacking", Fragment::new("locked"));
    }
    if immediate {
        let allocation = Fragment::new("allocation").with("mode", "immediate");
        draft.put("memoryBacking", if let Some(threads) = threads { allocation.with("threads", threads) } else { allocation });
    }
}

/// `host-nodes=` and `policy=`: the host's NUMA nodes that the memory comes from.
fn nodes(draft: &mut Draft, index: usize) {
    let id = draft.options[index].props.peek("id").unwrap_or_default().to_owned();
    let policy = draft.take(index, "policy");
    // As name=value, host-nodes= is given once per node; in JSON it is a list.
    let mut nodes = draft.options[index].props.take_all("host-nodes");
    nodes.extend((0..64).map_while(|number| draft.options[index].props.take(&format!("host-nodes.{number}"))));
    let mode = match policy.as_deref() {
        Some("bind") => "strict",
        Some("interleave") => "interleave",
        Some("preferred") => "preferred",
        _ => return,
    };
    let cells = draft.options.iter().filter(|option| option.name == "numa");
    let cells: Vec<(Option<&str>, Option<&str>)> = cells.map(|option| (option.props.peek("nodeid"), option.props.peek("memdev"))).collect();
    let cell = cells.iter().find(|(_, memdev)| *memdev == Some(&id)).map(|(cell, _)| cell.unwrap_or("0").to_owned());
    let nodeset = nodes.join(",");
    let element = match cell.filter(|_| cells.len() > 1) {
        Some(cell) => Fragment::new("memnode").with("cellid", cell),
        None => Fragment::new("memory"),
    };
    draft.put("numatune", element.with("mode", mode).with("nodeset", nodeset));
}

/// Sets the amount of memory; returns the backends that it names.
fn amount(draft: &mut Draft) -> Vec<String> {
    for index in draft.named(&["m"]) {
        let size = draft.take(index, "size").and_then(|size| read(&size));
        match size {
            Some(size) => {
                draft.put("", Fragment::new("memory").with("unit", "KiB").text(size.kib()));
                if let Some(most) = draft.take(index, "maxmem").and_then(|most| read(&most)) {
                    let slots = draft.take(index, "slots").unwrap_or_else(|| "1".into());
                    draft.put("", Fragment::new("maxMemory").with("slots", slots).with("unit", "KiB").text(most.kib()));
                    // QEMU creates a NUMA node for hotplugged memory by itself; libvirt requires it in the domain.
                    if draft.named(&["numa"]).len() < 2 {
                        draft.put("numa", Fragment::new("cell").with("id", 0).with("memory", size.kib()).with("unit", "KiB"));
                    }
                }
                draft.native(index, "<memory>");
            }
            None => draft.refuse(index, "not a valid memory size for a domain", "write it as QEMU does: -m 8G"),
        }
    }
    let mut backends: Vec<String> = Vec::new();
    let machines = draft.options.iter().filter(|option| option.name == "machine");
    backends.extend(machines.filter_map(|machine| machine.props.peek("memory-backend").map(str::to_owned)));
    let nodes = draft.named(&["numa"]);
    if let [index] = nodes[..] {
        backends.extend(draft.take(index, "memdev"));
        draft.options[index].props.ignore(&["type", "nodeid", "cpus", "mem"]);
        draft.native(index, "<memoryBacking>: a single node is the default");
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
            read_bytes(object.props.peek("size")?)
        });
        let Some(memory) = memory else {
            draft.keep(*index, "the memory size of the node is not known");
            continue;
        };
        let cell = Fragment::new("cell").with("id", id).with("cpus", cpus.join(","));
        draft.put("numa", cell.with("memory", memory.kib()).with("unit", "KiB"));
        draft.options[*index].props.ignore(&["type"]);
        draft.native(*index, "<numa><cell>");
    }
    backends
}

/// The size of `-m` and `-numa mem=`: a bare number is MiB.
pub(super) fn read(text: &str) -> Option<Size> {
    size(text, 20)
}

/// The size of an object: a bare number is bytes.
pub(super) fn read_bytes(text: &str) -> Option<Size> {
    size(text, 0)
}

/// QEMU's sizes (`do_strtosz` of `util/cutils.c`): bytes in hexadecimal, or a number, also with a
/// fraction, and a suffix of one letter.
fn size(text: &str, bare: u32) -> Option<Size> {
    let text = text.trim_matches('"').trim();
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u64::from_str_radix(digits, 16).ok()?.checked_mul(1 << bare).map(Size::from_bytes);
    }
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let shift = match suffix.to_ascii_lowercase().as_str() {
        "" => bare,
        "b" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return text.parse().ok(),
    };
    if let Ok(number) = number.parse::<u64>() {
        return number.checked_mul(1 << shift).map(Size::from_bytes);
    }
    fraction(number.parse().ok()?, shift)
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // As QEMU does.
fn fraction(number: f64, shift: u32) -> Option<Size> {
    let bytes = number * (1_u64 << shift) as f64;
    (bytes < u64::MAX as f64).then(|| Size::from_bytes(bytes as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(read("1.5G"), Some(Size::from_bytes(3 << 29)));
        assert_eq!((read("8"), read_bytes("4294967296")), (Some(Size::from_bytes(8 << 20)), Some(Size::from_bytes(4 << 30))));
        assert_eq!((read("lots"), read("1.2.3G")), (None, None));
    }
}
