//! Conflicts with other domains of the host: devices, disks, folders and cores that both use.

use crate::domain::spec::Spec;
use crate::domain_xml::{ExclusiveResources, functions, owned, pins, taken};
use crate::model::{CpuSet, Finding, Host, Neighbour, shell_word};
use crate::xml::Document;

/// Another domain of the host.
#[derive(Debug)]
pub struct OtherDomain {
    /// Its name.
    pub name: String,
    /// Whether it runs now.
    pub is_running: bool,
    /// Its XML: the persistent configuration and, if it runs, the live one; or why it cannot be read.
    pub documents: Vec<Result<Document, String>>,
}

/// Facts about disk paths that have to be read from the host.
pub trait DiskPaths {
    /// The path with all symbolic links resolved.
    fn real(&self, path: &str) -> String;
    /// An identity that all names of one file share; `None` if the file does not exist or cannot be checked.
    fn identity(&self, path: &str) -> Option<String>;
    /// The backing chain of an image and, if it could not be read completely, the reason.
    fn below(&self, path: &str) -> (Vec<String>, Option<String>);
}

/// Host CPUs that another domain is pinned to as well: both domains are slow while both run. Domains that pass
/// the same device never run at the same time, so they are skipped.
pub fn of_neighbours(spec: &Spec, own: &ExclusiveResources, others: &[OtherDomain]) -> Option<Finding> {
    let pinning = spec.placed.as_ref()?;
    let cores = &pinning.taken;
    let shared = |other: &OtherDomain| {
        let domain = other.documents.first()?.as_ref().ok()?;
        if !own.functions.is_disjoint(&functions(domain)) {
            return None;
        }
        let pins = match pins(domain.root()) {
            Ok((pins, _)) => pins,
            Err(because) => return Some(format!("'{}' may use any ({because})", other.name)),
        };
        let theirs: CpuSet = CpuSet(pins.iter().flat_map(|(_, cpus)| cpus.0.intersection(&cores.0)).copied().collect());
        (!theirs.0.is_empty()).then(|| format!("'{}' uses {theirs}", other.name))
    };
    let named: Vec<String> = others.iter().filter_map(shared).collect();
    (!named.is_empty()).then(|| {
        let message = format!("other domains are pinned to the same host CPUs: {}", named.join(", "));
        let fewer = match pinning.room_beside {
            Some(room @ 1..) => format!("use at most --cpus {room}, which fit on the cores that the others leave"),
            _ => "use fewer with --cpus".to_owned(),
        };
        let wide = others.iter().filter(|other| shared(other).is_some() && neighbour(other).is_none_or(|it| it.cpus.0.is_empty()));
        let wide: String = wide
            .map(|other| format!("; or give '{}' cores of its own: vgapt define {} --pin", other.name, shell_word(&other.name)))
            .collect();
        Finding::warning("shared-cores", message, format!("run only one of them at a time; or {fewer}{wide}"))
    })
}

/// What another domain takes from a guest that is placed beside it; `None` where that cannot be read.
fn neighbour(other: &OtherDomain) -> Option<Neighbour> {
    let domain = other.documents.first()?.as_ref().ok()?;
    let (pins, _) = pins(domain.root()).ok()?;
    let pinned = CpuSet(pins.iter().flat_map(|(_, cpus)| cpus.0.iter().copied()).collect());
    Some(Neighbour { functions: functions(domain), cpus: owned(pins.len(), pinned) })
}

/// The other domains whose cores are known.
pub fn neighbours(others: &[OtherDomain]) -> Vec<Neighbour> {
    others.iter().filter_map(neighbour).collect()
}

/// Resources of the host that other domains use as well. At a start, a running domain blocks and others only warn.
pub fn of_others(own: &ExclusiveResources, others: &[OtherDomain], host: &Host, at_start: bool, places: &dyn DiskPaths) -> Vec<Finding> {
    let own_disks = disks_of(own, places);
    let mut findings: Vec<Finding> = own.unknown.iter().filter(|_| !others.is_empty()).map(|what| own_unknown(what)).collect();
    for other in others {
        let theirs: Vec<ExclusiveResources> =
            other.documents.iter().filter_map(|read| read.as_ref().ok()).map(|read| taken(read, host)).collect();
        findings.extend(unknown(other, own, &theirs));
        let weigh: fn(&'static str, String, String) -> Finding =
            if at_start && other.is_running { Finding::blocked } else { Finding::warning };
        let runs = if other.is_running { ", which runs," } else { "" };
        let name = &other.name;
        let devices = devices(own, &theirs);
        if !devices.is_empty() {
            let message = format!("the domain '{name}'{runs} uses the same host devices: {}", devices.join(", "));
            let remedy = if other.is_running {
                format!("shut it down first: vgapt stop {}", shell_word(name))
            } else {
                "run only one of them at a time".to_owned()
            };
            findings.push(weigh("shared-device", message, remedy));
        }
        let their_disks: Vec<DiskChain> = theirs.iter().flat_map(|theirs| disks_of(theirs, places)).collect();
        findings.extend(chains(other, &own_disks, &their_disks, at_start));
        let disks: Vec<String> = own_disks
            .iter()
            .filter(|disk| their_disks.iter().any(|other| disk.file.is(&other.file)))
            .map(|disk| disk.path.clone())
            .collect();
        if !disks.is_empty() {
            let message = format!("the domain '{name}'{runs} writes to the same disk: {}", disks.join(", "));
            let remedy = "two guests that write to one disk destroy its data: give one of them its own disk (vgapt disk overlay), or never run both at the same time";
            findings.push(weigh("shared-disk", message, remedy.to_owned()));
        }
        let folders: Vec<String> =
            own.folders.iter().filter(|folder| theirs.iter().any(|theirs| theirs.folders.contains(*folder))).cloned().collect();
        if !folders.is_empty() && !at_start {
            let message = format!("the domain '{name}'{runs} shares the same folder: {}", folders.join(", "));
            findings.push(Finding::warning(
                "shared-folder",
                message,
                "two guests that write to the same files must lock them; or share a separate folder with each guest",
            ));
        }
    }
    findings
}

/// The resources of this domain itself are not fully known.
fn own_unknown(what: &str) -> Finding {
    let message = format!("unknown whether another domain uses the same device: {what}");
    Finding::warning("taken-unknown", message, "compare it with the other domains: virsh dumpxml NAME")
}

/// A domain that cannot be read completely may use anything.
fn unknown(other: &OtherDomain, own: &ExclusiveResources, theirs: &[ExclusiveResources]) -> Option<Finding> {
    if *own == ExclusiveResources::default() {
        return None;
    }
    let unread = other.documents.iter().find_map(|read| read.as_ref().err()).cloned();
    let unread = unread.or_else(|| other.documents.is_empty().then(|| "libvirt returned no XML for it".to_owned()));
    let because = unread.or_else(|| theirs.iter().flat_map(|theirs| &theirs.unknown).next().cloned())?;
    let message = format!("unknown whether the domain '{}' uses the same devices or disks: {because}", other.name);
    Some(Finding::warning("other-unknown", message, format!("check it: virsh dumpxml {}", shell_word(&other.name))))
}

fn devices(own: &ExclusiveResources, theirs: &[ExclusiveResources]) -> Vec<String> {
    let functions = own.functions.iter().filter(|one| theirs.iter().any(|theirs| theirs.functions.contains(*one))).map(|one| one.short());
    let usb = own.usb.iter().filter(|one| theirs.iter().any(|theirs| theirs.usb.contains(*one))).map(|one| format!("USB {one}"));
    let mediated = own.mediated.iter().filter(|one| theirs.iter().any(|theirs| theirs.mediated.contains(*one))).cloned();
    functions.chain(usb).chain(mediated).collect()
}

/// A file, comparable under all of its names.
struct File {
    real: String,
    identity: Option<String>,
}

impl File {
    fn at(path: &str, places: &dyn DiskPaths) -> Self {
        if !path.starts_with('/') {
            return Self { real: path.to_owned(), identity: None };
        }
        Self { real: places.real(path), identity: places.identity(path) }
    }

    fn is(&self, other: &Self) -> bool {
        overlap(&self.real, &other.real) || (self.identity.is_some() && self.identity == other.identity)
    }
}

/// A disk that a domain writes to, with its backing chain.
struct DiskChain {
    path: String,
    file: File,
    below: Vec<File>,
    unknown: Option<String>,
}

fn disks_of(taken: &ExclusiveResources, places: &dyn DiskPaths) -> Vec<DiskChain> {
    let seen = |path: &String| {
        let may_lie_on_another = path.starts_with('/') && taken.overlays.contains(path);
        let (below, unknown) = if may_lie_on_another { places.below(path) } else { (Vec::new(), None) };
        let below = below.iter().map(|path| File::at(path, places)).collect();
        DiskChain { path: path.clone(), file: File::at(path, places), below, unknown }
    };
    taken.disks.iter().map(seen).collect()
}

/// Pairs of disks in which one is the backing file of the other: writing to a backing file corrupts its overlays for good.
fn chains(other: &OtherDomain, own: &[DiskChain], theirs: &[DiskChain], at_start: bool) -> Vec<Finding> {
    let name = &other.name;
    let runs = if other.is_running { ", which runs," } else { "" };
    let pairs: Vec<(&DiskChain, &DiskChain)> = own.iter().flat_map(|own| theirs.iter().map(move |theirs| (own, theirs))).collect();
    let is_overlay_of = |above: &DiskChain, below: &DiskChain| above.below.iter().any(|file| file.is(&below.file));
    let mut findings = Vec::new();
    let remedy = "a disk with overlays must not be written to: let this domain use an overlay of it (vgapt disk overlay), or merge the existing overlay first (vgapt disk merge)";
    let mut report = |blocks: bool, mut overlays: Vec<String>, what: &str| {
        // A running domain has two documents with the same disks.
        overlays.sort();
        overlays.dedup();
        if !overlays.is_empty() {
            let message = format!("{what}: {}", overlays.join(", "));
            findings.push(if blocks { Finding::blocked } else { Finding::warning }("disk-below", message, remedy));
        }
    };
    let ours_above: Vec<_> = pairs.iter().filter(|(own, theirs)| is_overlay_of(own, theirs)).collect();
    let overlays = ours_above.iter().map(|(own, theirs)| format!("{} is an overlay of {}", own.path, theirs.path)).collect();
    report(
        at_start && other.is_running,
        overlays,
        &format!("the domain '{name}'{runs} writes to the backing file of a disk, which corrupts the disk"),
    );
    let ours_below: Vec<_> = pairs.iter().filter(|(own, theirs)| is_overlay_of(theirs, own)).collect();
    let overlays = ours_below.iter().map(|(own, theirs)| format!("{} is an overlay of {}", theirs.path, own.path)).collect();
    // What this domain writes corrupts the overlay, whether or not the other domain runs.
    report(at_start, overlays, &format!("the domain '{name}'{runs} uses an overlay of a disk; writing to the disk corrupts the overlay"));
    let unknown = own.iter().chain(theirs).find_map(|disk| disk.unknown.as_ref().map(|because| (disk, because)));
    if let Some((disk, because)) = unknown.filter(|_| !pairs.is_empty()) {
        let message =
            format!("unknown whether a disk of this domain is a backing file or an overlay of one of the domain '{name}': {because}");
        let remedy = format!("run vgapt as a user who can read the disks, or check: vgapt disk info {}", shell_word(&disk.path));
        findings.push(Finding::warning("disk-below-unknown", message, remedy));
    }
    findings
}

/// Whether two paths are the same, or a disk and one of its partitions: `/dev/sda` and `/dev/sda1`, `/dev/nvme0n1` and
/// `/dev/nvme0n1p1`.
fn overlap(one: &str, other: &str) -> bool {
    let is_part = |disk: &str, part: &str| {
        let rest = part.strip_prefix(disk).filter(|_| disk.starts_with("/dev/"));
        rest.is_some_and(|rest| {
            let number = rest.strip_prefix('p').filter(|_| disk.ends_with(|c: char| c.is_ascii_digit())).unwrap_or(rest);
            let has_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            has_number && (number.len() < rest.len() || !disk.ends_with(|c: char| c.is_ascii_digit()))
        })
    };
    one == other || is_part(one, other) || is_part(other, one)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nowhere;

    impl DiskPaths for Nowhere {
        fn real(&self, path: &str) -> String {
            path.to_owned()
        }

        fn identity(&self, _: &str) -> Option<String> {
            None
        }

        fn below(&self, path: &str) -> (Vec<String>, Option<String>) {
            (Vec::new(), path.ends_with("shut").then(|| "it is shut".to_owned()))
        }
    }

    #[test]
    fn what_cannot_be_read_is_no_reassurance() {
        let own = ExclusiveResources { disks: ["/a".to_owned()].into(), ..ExclusiveResources::default() };
        let other = |documents| OtherDomain { name: "other".to_owned(), is_running: false, documents };
        let codes = |own: &ExclusiveResources, other: OtherDomain| {
            let findings = of_others(own, &[other], &Host::default(), true, &Nowhere);
            findings.iter().map(|finding| finding.code).collect::<Vec<_>>()
        };
        let by_qemu = "<domain xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'><q:commandline><q:arg value='-device'/><q:arg value='{x'/></q:commandline></domain>";
        assert_eq!(codes(&own, other(vec![Err("no XML".to_owned())])), ["other-unknown"]);
        assert_eq!(codes(&own, other(Vec::new())), ["other-unknown"]);
        assert_eq!(codes(&own, other(vec![Document::parse(by_qemu)])), ["other-unknown"]);
        assert_eq!(codes(&own, other(vec![Document::parse("<domain/>")])), [""; 0]);
        assert_eq!(codes(&ExclusiveResources::default(), other(Vec::new())), [""; 0]);
        let overlay = "<domain><devices><disk type='file'><driver type='qcow2'/><source file='/shut'/></disk></devices></domain>";
        assert_eq!(codes(&own, other(vec![Document::parse(overlay)])), ["disk-below-unknown"]);
        assert_eq!(codes(&own, other(vec![Document::parse(&overlay.replace("qcow2", "raw"))])), [""; 0]);
        let unclear = ExclusiveResources { unknown: vec!["x".to_owned()], ..own };
        assert_eq!(codes(&unclear, other(vec![Document::parse("<domain/>")])), ["taken-unknown"]);
    }

    #[test]
    fn a_disk_and_its_partitions() {
        for (disk, part) in [("/dev/sda", "/dev/sda1"), ("/dev/nvme0n1", "/dev/nvme0n1p3"), ("/a", "/a")] {
            assert!(overlap(disk, part) && overlap(part, disk), "{disk} {part}");
        }
        for (one, other) in [("/dev/sda", "/dev/sdaa"), ("/dev/nvme0n1", "/dev/nvme0n12"), ("/dev/sda1", "/dev/sda10"), ("/a", "/a1")] {
            assert!(!overlap(one, other) && !overlap(other, one), "{one} {other}");
        }
    }
}
