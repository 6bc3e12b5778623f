//! Memory and its backends.

use super::draft::Draft;
use super::size::{read, read_bytes};
use super::table;
use crate::model::Size;
use crate::xml::Fragment;

/// Where the memory is.
#[derive(Default)]
struct Place {
    /// The directory of huge pages, or of memory files.
    path: Option<String>,
    /// The size of a huge page.
    page: Option<Size>,
}

pub(super) fn translate(draft: &mut Draft) {
    amount(draft);
    let mut backends: Vec<String> = Vec::new();
    let machines = draft.options.iter().filter(|option| option.name == "machine");
    backends.extend(machines.filter_map(|machine| machine.peek("memory-backend").map(str::to_owned)));
    // Without -m the memory is as large as its backend (`machine_run_board_init` of hw/core/machine.c).
    let object = backends.last().and_then(|id| draft.with("object", "id", id)).filter(|_| !draft.has_option("m"));
    if let Some(size) = object.and_then(|object| draft.peek(object, "size")).and_then(read_bytes) {
        draft.domain.set("memory@unit", "KiB");
        draft.domain.set("memory", size.kib());
    }
    numa(draft, &mut backends);
    modules(draft);
    backends.sort();
    let mut place = Place::default();
    for index in draft.named(&["mem-path"]) {
        let path = draft.whole(index);
        draft.notes.extend(below_huge_pages(&path));
        place.path = Some(path);
        draft.native(index, "<memoryBacking>");
    }
    for index in draft.named(&["overcommit", "realtime"]) {
        if ["mem-lock", "mlock"].iter().all(|name| draft.peek(index, name).is_none()) {
            draft.keep(index, "libvirt has no element for this");
            continue;
        }
        draft.fill_domain(index, "overcommit", "");
        if let Some(value) = draft.take(index, "cpu-pm") {
            draft.pass("overcommit", &format!("cpu-pm={value}"));
            draft.notes.push(format!("cpu-pm={value} of -overcommit has no libvirt element, and is passed to QEMU unchanged"));
        }
        let is_locked = draft.domain.at("memoryBacking/locked").is_some();
        draft.native(index, if is_locked { "<locked/>" } else { "without <locked/> the memory is not locked" });
    }
    for id in backends {
        if let Some(index) = draft.with("object", "id", &id) {
            backend(draft, index, &mut place);
        }
    }
    write(draft, &place);
}

/// Modules beside the memory of `-m`, which has to leave room for them (`maxmem=`): without it QEMU refuses them.
fn modules(draft: &mut Draft) {
    for index in draft.devices(&["memory"]) {
        let has_room = draft.domain.at("maxMemory").is_some();
        let Some(object) = draft.behind(index, "memdev", "object").filter(|_| has_room) else { continue };
        let is_nvdimm = draft.peek(index, "driver") == Some("nvdimm");
        let path = draft.peek(object, "mem-path").filter(|_| !is_nvdimm).map(str::to_owned);
        // libvirt has no file of one's own behind a plain module, only huge pages.
        if path.as_deref().is_some_and(|path| !path.contains("huge")) {
            continue;
        }
        let mut module = draft.element(index, "memory");
        draft.fill(object, "memory module", &mut module);
        if module.at("target/node").is_none() {
            module.set("target/node", 0);
        }
        if let Some(path) = draft.take(object, "mem-path").filter(|_| is_nvdimm) {
            module.set("source/path", path);
        }
        if let Some(path) = path {
            // Without a size in its name it is the directory of x86-64's default size.
            let page = draft.take(object, "hugetlbsize").as_deref().and_then(read_bytes).or_else(|| page_of(&path));
            module.set("source/pagesize@unit", "KiB");
            module.set("source/pagesize", page.unwrap_or(Size::from_bytes(2 << 20)).kib());
            draft.notes.push(directory(&path));
        }
        if draft.peek(object, "policy") == Some("bind") {
            draft.take(object, "policy");
            module.set("source/nodemask", host_nodes(draft, object));
        }
        draft.native(object, "<memory model=…>");
        draft.finish(index, module);
    }
}

fn backend(draft: &mut Draft, index: usize, place: &mut Place) {
    let kind = draft.take(index, "qom-type").unwrap_or_default();
    if !table::has("memory-backend-ram memory-backend-file memory-backend-memfd", &kind) {
        let remedy = "write memory-backend-memfd, memory-backend-file or memory-backend-ram in its place";
        return draft.refuse(index, "libvirt makes the guest's memory itself, and has no such kind", remedy);
    }
    let path = draft.take(index, "mem-path");
    draft.needs_shared_memory |= draft.flag(index, "share") == Some(true);
    let is_huge = draft.flag(index, "hugetlb") == Some(true) || path.as_deref().is_some_and(|path| path.contains("huge"));
    if is_huge {
        draft.notes.extend(path.as_deref().and_then(below_huge_pages));
        place.page = place.page.or_else(|| read_bytes(&draft.take(index, "hugetlbsize")?));
        place.path = place.path.take().or(path).or_else(|| Some("/dev/hugepages".into()));
    } else if let Some(path) = path.filter(|path| path != "/dev/shm") {
        draft.notes.push(directory(&path));
    }
    if kind == "memory-backend-memfd" {
        draft.domain.set("memoryBacking/source@type", "memfd");
    }
    nodes(draft, index);
    draft.fill_domain(index, "memory-backend", "");
    let threads = draft.take(index, "prealloc-threads");
    if let Some(threads) = threads.filter(|_| draft.domain.at("memoryBacking/allocation").is_some()) {
        draft.domain.set("memoryBacking/allocation@threads", threads);
    }
    draft.native(index, "<memoryBacking>");
}

/// The size of pages that is not the default and stands in the name of their directory: `/dev/hugepages1G`.
fn page_of(path: &str) -> Option<Size> {
    if path.contains("1G") { read_bytes("1G") } else { None }
}

/// What is said of a file, or of a directory of one's own, in the directory of huge pages.
fn below_huge_pages(path: &str) -> Option<String> {
    let (folder, name) = path.trim_end_matches('/').rsplit_once('/')?;
    let note = format!("memory in {path}: libvirt names the file itself, where huge pages are mounted (hugetlbfs_mount in qemu.conf)");
    (folder.contains("huge") && !name.contains("huge")).then_some(note)
}

fn directory(path: &str) -> String {
    format!("memory in {path}: libvirt chooses the directory of memory files itself (memory_backing_dir in qemu.conf)")
}

fn write(draft: &mut Draft, place: &Place) {
    let mut source = draft.needs_shared_memory.then_some("memfd");
    match &place.path {
        Some(path) if path.contains("huge") => {
            let pages = draft.domain.below("memoryBacking/hugepages");
            if let Some(page) = place.page.or_else(|| page_of(path)) {
                pages.push("", Fragment::new("page").with("size", page.bytes() >> 10).with("unit", "KiB"));
            }
        }
        Some(path) => {
            source = Some("file");
            draft.notes.push(directory(path));
        }
        None => {}
    }
    if let Some(source) = source.filter(|_| draft.domain.at("memoryBacking/source").is_none()) {
        draft.domain.set("memoryBacking/source@type", source);
    }
    if draft.needs_shared_memory {
        draft.domain.set("memoryBacking/access@mode", "shared");
    }
    if draft.domain.at("memoryBacking").is_some() {
        draft.domain.below("memoryBacking").sort(&["hugepages", "nosharepages", "locked", "source", "access", "allocation", "discard"]);
    }
}

/// `host-nodes=` and `policy=`: the host's NUMA nodes that the memory comes from.
fn nodes(draft: &mut Draft, index: usize) {
    let id = draft.peek(index, "id").map(str::to_owned);
    let policy = draft.take(index, "policy");
    let nodes = host_nodes(draft, index);
    let mode = match policy.as_deref() {
        Some("bind") => "strict",
        Some(mode @ ("interleave" | "preferred")) => mode,
        _ => return,
    };
    let cells: Vec<usize> = (0..draft.options.len()).filter(|index| draft.options[*index].name == "numa").collect();
    let cell = cells.iter().find(|cell| draft.peek(**cell, "memdev") == id.as_deref()).filter(|_| cells.len() > 1);
    let element = match cell {
        Some(cell) => Fragment::new("memnode").with("cellid", draft.peek(*cell, "nodeid").unwrap_or("0")),
        None => Fragment::new("memory"),
    };
    draft.domain.push("numatune", element.with("mode", mode).with("nodeset", nodes));
}

/// As name=value, host-nodes= is given once per node; in JSON it is a list.
fn host_nodes(draft: &mut Draft, index: usize) -> String {
    let mut nodes = draft.options[index].props.take_all("host-nodes");
    nodes.extend((0..64).map_while(|number| draft.take(index, &format!("host-nodes.{number}"))));
    nodes.join(",")
}

/// Sets the amount of memory.
fn amount(draft: &mut Draft) {
    for index in draft.named(&["m"]) {
        let Some(size) = draft.take(index, "size").and_then(|size| read(&size)) else {
            draft.refuse(index, "not a valid memory size for a domain", "write it as QEMU does: -m 8G");
            continue;
        };
        draft.domain.set("memory@unit", "KiB");
        draft.domain.set("memory", size.kib());
        if let Some(most) = draft.take(index, "maxmem").and_then(|most| read(&most)) {
            draft.domain.set("maxMemory@slots", draft.peek(index, "slots").unwrap_or("1").to_owned());
            draft.domain.set("maxMemory@unit", "KiB");
            draft.domain.set("maxMemory", most.kib());
            draft.take(index, "slots");
            // QEMU creates a NUMA node for hotplugged memory by itself; libvirt requires it in the domain.
            if draft.named(&["numa"]).len() < 2 {
                let cell = Fragment::new("cell").with("id", 0).with("memory", size.kib()).with("unit", "KiB");
                draft.domain.push("cpu/numa", cell);
            }
        }
        draft.native(index, "<memory>");
    }
}

/// Adds the NUMA nodes of the guest, and the backends that they name.
fn numa(draft: &mut Draft, backends: &mut Vec<String>) {
    let (nodes, others): (Vec<usize>, Vec<usize>) =
        draft.named(&["numa"]).into_iter().partition(|index| draft.peek(*index, "type") == Some("node"));
    for index in &others {
        let (why, remedy) = match draft.peek(*index, "type") {
            Some("dist") => continue,
            Some("cpu") => {
                ("libvirt needs the CPUs of each node by number", "write them into each node in its place: -numa node,nodeid=0,cpus=0-3")
            }
            _ => (
                "import does not convert the latencies and caches of nodes (HMAT)",
                "remove them, initiator= and hmat=on from the script, and write <interconnects> and <cache> into <numa> by hand",
            ),
        };
        draft.refuse(*index, why, remedy);
    }
    if let [index] = nodes[..] {
        backends.extend(draft.take(index, "memdev"));
        draft.options[index].props.ignore(&["type", "nodeid", "cpus", "mem"]);
        draft.native(index, "<memoryBacking>: a single node is the default");
        return;
    }
    for index in nodes {
        backends.extend(draft.take(index, "memdev"));
        let id = draft.take(index, "nodeid").unwrap_or_else(|| "0".into());
        let cpus = draft.options[index].props.take_all("cpus");
        let of_backend = || {
            let object =
                draft.options.iter().find(|option| option.name == "object" && option.peek("id") == backends.last().map(String::as_str))?;
            read_bytes(object.peek("size")?)
        };
        let Some(memory) = draft.peek(index, "mem").and_then(read).or_else(of_backend) else {
            draft.keep(index, "the memory size of the node is not known");
            continue;
        };
        let mut cell = Fragment::new("cell").with("id", id);
        if !cpus.is_empty() {
            cell = cell.with("cpus", cpus.join(","));
        }
        cell = cell.with("memory", memory.kib()).with("unit", "KiB");
        let object = draft.with("object", "id", backends.last().map_or("", String::as_str));
        if let Some(share) = object.and_then(|object| draft.peek(object, "share")) {
            cell = cell.with("memAccess", if table::is_on(share) { "shared" } else { "private" });
        }
        if let Some(discards) = object.and_then(|object| draft.flag(object, "discard-data")) {
            cell = cell.with("discard", if discards { "yes" } else { "no" });
        }
        draft.domain.push("cpu/numa", cell);
        draft.options[index].props.ignore(&["type", "mem"]);
        draft.native(index, "<numa><cell>");
    }
    for index in others {
        if let [Some(from), Some(to), Some(distance)] = ["src", "dst", "val"].map(|name| draft.take(index, name)) {
            draft.domain.set(&format!("cpu/numa/cell[id={from}]/distances/sibling[id={to}]@value"), distance);
            draft.take(index, "type");
            draft.native(index, "<distances>");
        }
    }
}
