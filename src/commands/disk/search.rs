//! The search for the overlays of an image: what was searched, what was found, and what could not be read.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};

use super::disk_context::{DiskContext, reason};
use super::paths::directory;
use super::shown::shortened;
use crate::disk::{self, argv, same_file};
use crate::model::{Finding, LONGEST_CHAIN, Reading, Role, leads};

/// How many levels of subfolders are searched below a named folder.
const DEPTH: usize = 3;
/// The search in subfolders stops after this many entries in total.
const ENTRIES: usize = 20_000;
/// Where to search for overlays, besides the places that libvirt names.
#[derive(Debug, Default, clap::Args)]
pub(super) struct SearchOptions {
    /// Also search for overlays in this folder and all subfolders
    #[arg(long = "search", value_name = "FOLDER")]
    folders: Vec<PathBuf>,
}

/// What was searched, and the overlays that were found.
#[derive(Debug, Default)]
pub(super) struct Search {
    /// The direct overlays of the image.
    pub(super) overlays: Vec<PathBuf>,
    /// The named folders that were searched.
    folders: Vec<PathBuf>,
    /// How many of their subfolders were searched.
    below: usize,
    /// How many subfolders were skipped because there are too many.
    skipped: usize,
    domains: usize,
    pools: usize,
    /// What could not be read, with the reasons.
    pub(super) unknown: Vec<String>,
}

impl Search {
    /// What was searched, in one line.
    pub(super) fn told(&self, base: &Path) -> String {
        let count = |number: usize, one: &str, many: &str| format!("{number} {}", if number == 1 { one } else { many });
        let below = if self.below > 0 { format!(" and {} subfolders", self.below) } else { String::new() };
        let skipped =
            if self.skipped > 0 { format!(" ({} subfolders or files in them were skipped)", self.skipped) } else { String::new() };
        format!(
            "searched for overlays of {}: {}{below}{skipped}, the disks of {}, {}; an overlay in any other folder would be corrupted",
            base.display(),
            count(self.folders.len(), "folder", "folders"),
            count(self.domains, "domain", "domains"),
            count(self.pools, "storage pool", "storage pools")
        )
    }

    pub(super) fn json(&self) -> Value {
        json!({"folders": self.folders, "folders-below": self.below, "not-searched-below": self.skipped, "domains": self.domains,
            "pools": self.pools, "unknown": self.unknown})
    }

    /// Findings that block writing to the image.
    pub(super) fn findings(&self, base: &Path) -> Vec<Finding> {
        let base = base.display();
        let mut findings = Vec::new();
        if !self.overlays.is_empty() {
            let others: Vec<String> = self.overlays.iter().map(|path| path.display().to_string()).collect();
            findings.push(Finding::error(
                "other-overlays",
                format!("{base} has other overlays, which a change would corrupt: {}", others.join(", ")),
                "merge the overlays that you want to keep into new disks (vgapt disk merge), or remove those that are not needed",
            ));
        }
        if !self.unknown.is_empty() {
            findings.push(Finding::blocked(
                "overlays-unknown",
                format!("it is unknown whether {base} has other overlays: {}", shortened(&self.unknown)),
                format!("make that readable (start libvirt, run it as root); or use --force: an overlay of {base} that was not found is then permanently corrupted"),
            ));
        }
        findings
    }
}

/// A folder to search.
struct Open {
    folder: PathBuf,
    depth: usize,
    /// Whether its entries count towards the limit [`ENTRIES`]: only in subfolders of folders that the user did not name.
    counts: bool,
    /// How many levels of subfolders to search.
    limit: usize,
}

/// The backing file and the data files of an image.
#[derive(Default)]
pub(super) struct ReferencedFiles {
    files: Vec<ReferencedFile>,
    /// Why some of them are unknown.
    unknown: Option<String>,
}

/// A file that an image refers to, and the format that the image states for it.
struct ReferencedFile {
    path: PathBuf,
    format: Option<String>,
    role: Role,
}

/// Whether a folder contains device nodes. /dev is not searched, because domains and pools name the devices that they
/// use; /dev/shm holds ordinary files.
fn is_of_devices(folder: &Path) -> bool {
    folder.starts_with("/dev") && !folder.starts_with("/dev/shm")
}

impl DiskContext<'_> {
    /// Searches for the overlays of an image, except for one of them: in the folders of the disks of all domains, of the
    /// storage pools, of the two images themselves, and in the folders that the user names.
    pub(super) fn search(&self, (base, format): (&Path, &str), but: Option<&Path>, further: &SearchOptions) -> Result<Search> {
        let mut search = Search { domains: self.domains.len(), pools: self.pools.len(), ..Search::default() };
        search.unknown = [&self.unknown_domains[..], &self.unknown_pools[..]].concat();
        let mut places = self.look_around([Some(base), but], further, &mut search);
        for named in self.named_by_libvirt() {
            match disk::overlay_format(&named) {
                Reading::Known(Some(_)) => places.extend([named]),
                Reading::Known(None) | Reading::Absent => {}
                Reading::Unknown(because) => search.unknown.push(because),
            }
        }
        // QEMU resolves a relative backing file name against the folder of the name by which the image is opened: a
        // link and its target may have different backing files. A link that cannot be resolved keeps its name: its
        // backing file is then reported as unknown.
        let real: BTreeSet<PathBuf> = places.iter().map(|path| path.canonicalize().unwrap_or_else(|_| path.clone())).collect();
        let links: Vec<PathBuf> = places.difference(&real).cloned().collect();
        let mut known = BTreeMap::new();
        let mut written = vec![base.to_owned()];
        // Writing to an image also changes its data files, which corrupts the overlays of those. The header of a raw disk is
        // ignored: its guest may have written it.
        if format != "raw" {
            let below = self.below(base, &mut known)?;
            search.unknown.extend(below.unknown().map(str::to_owned));
            let files = below.known().into_iter().flat_map(|below| &below.files);
            written.extend(files.filter(|below| below.role == Role::Data).map(|below| below.path.clone()));
        }
        let mut overlays: Vec<PathBuf> = Vec::new();
        let is_but = |path: &Path| but.is_some_and(|but| same_file(path, but));
        for place in real.iter().chain(&links).filter(|place| !same_file(place, base) && !is_but(place)) {
            match self.first_on(place, &written, &is_but, &mut known)? {
                Reading::Known(overlay) if overlays.iter().any(|known| same_file(known, &overlay)) => {}
                Reading::Known(overlay) => overlays.push(overlay),
                Reading::Absent => {}
                Reading::Unknown(because) => search.unknown.push(because),
            }
        }
        search.overlays = overlays;
        search.unknown.sort();
        search.unknown.dedup();
        Ok(search)
    }

    /// The files and devices that domains, their snapshots and storage pools name.
    pub(super) fn named_by_libvirt(&self) -> impl Iterator<Item = PathBuf> {
        let of_domains = self.domains.iter().flat_map(|user| user.disks.iter().map(|(_, path)| path.clone()));
        of_domains
            .chain(self.in_snapshots.iter().cloned())
            .chain(self.pools.iter().flat_map(|pool| pool.volumes.iter().map(|volume| PathBuf::from(&volume.path))))
    }

    /// The files in the folders that may be overlays.
    fn look_around(&self, own: [Option<&Path>; 2], further: &SearchOptions, search: &mut Search) -> BTreeSet<PathBuf> {
        let pools = self.pools.iter().filter_map(|pool| pool.target.clone()).map(PathBuf::from);
        // Overlays are usually in a folder with other overlays; their backing file may be elsewhere, or a device.
        let disks = self.named_by_libvirt().chain(own.into_iter().flatten().map(Path::to_owned)).flat_map(|path| {
            // A link's own folder, and that of the file it leads to.
            let real = path.canonicalize().ok().map(|real| directory(&real).to_owned());
            std::iter::once(directory(&path).to_owned()).chain(real)
        });
        let named: BTreeSet<PathBuf> = pools.chain(disks).collect();
        let named = named.into_iter().map(|folder| Open { folder, depth: 0, counts: false, limit: DEPTH });
        let asked = further.folders.iter().map(|folder| Open { folder: folder.clone(), depth: 0, counts: false, limit: usize::MAX });
        // The user's folders come first: their subfolders count as named, too.
        let mut open: VecDeque<Open> = asked.chain(named).collect();
        let (mut seen, mut found, mut entries) = (BTreeSet::new(), BTreeSet::new(), 0);
        while let Some(Open { folder, depth, counts, limit }) = open.pop_front() {
            let real = Reading::of(folder.canonicalize(), &folder.display().to_string());
            let listing = match real {
                Reading::Known(real) if is_of_devices(&real) || !seen.insert(real.clone()) => continue,
                Reading::Known(real) => disk::look_into(&real),
                Reading::Absent if limit == usize::MAX => Reading::Unknown(format!("the folder {} does not exist", folder.display())),
                Reading::Absent => Reading::Absent,
                Reading::Unknown(because) => Reading::Unknown(because),
            };
            match listing {
                Reading::Absent => {}
                Reading::Unknown(because) => search.unknown.push(because),
                Reading::Known(listing) => {
                    if depth == 0 {
                        search.folders.push(folder);
                    } else {
                        search.below += 1;
                        entries += if counts { listing.entries } else { 0 };
                    }
                    found.extend(listing.images);
                    search.unknown.extend(listing.unread);
                    if depth >= limit || entries > ENTRIES {
                        search.skipped += listing.folders.len();
                    } else {
                        let counts = limit != usize::MAX;
                        open.extend(listing.folders.into_iter().map(|folder| Open { folder, depth: depth + 1, counts, limit }));
                    }
                }
            }
        }
        found
    }

    /// The first image of a backing chain that has a written file as its backing file or data file; absent if none does.
    fn first_on(
        &self,
        image: &Path,
        written: &[PathBuf],
        is_but: &dyn Fn(&Path) -> bool,
        known: &mut BTreeMap<PathBuf, Reading<ReferencedFiles>>,
    ) -> Result<Reading<PathBuf>> {
        let (mut open, mut seen, mut unknown) = (vec![image.to_owned()], BTreeSet::new(), None);
        while let Some(place) = open.pop() {
            // The change does not affect overlays that depend on the base only through the excepted image.
            if is_but(&place) || !seen.insert(place.clone()) {
                continue;
            }
            if seen.len() > LONGEST_CHAIN {
                unknown = Some(format!("the backing chain of {} does not end", image.display()));
                break;
            }
            let below = match self.below(&place, known)? {
                Reading::Known(below) => below,
                Reading::Absent => continue,
                Reading::Unknown(because) => {
                    unknown = Some(because);
                    continue;
                }
            };
            if below.files.iter().any(|below| written.iter().any(|written| same_file(&below.path, written))) {
                return Ok(Reading::Known(place));
            }
            unknown = unknown.or_else(|| below.unknown.clone());
            for below in &below.files {
                if below.format.as_deref() == Some("raw") {
                    // Whether two paths are the same file is known only if both can be read.
                    let looked = Reading::of(below.path.metadata(), &below.path.display().to_string());
                    unknown = unknown.or_else(|| looked.unknown().map(str::to_owned));
                } else {
                    open.push(below.path.clone());
                }
            }
        }
        Ok(unknown.map_or(Reading::Absent, Reading::Unknown))
    }

    /// The backing file and the data files of an image; absent if it has none. Each image is read only once.
    fn below<'k>(&self, image: &Path, known: &'k mut BTreeMap<PathBuf, Reading<ReferencedFiles>>) -> Result<Reading<&'k ReferencedFiles>> {
        if !known.contains_key(image) {
            known.insert(image.to_owned(), self.read_below(image)?);
        }
        Ok(known[image].as_ref())
    }

    fn read_below(&self, image: &Path) -> Result<Reading<ReferencedFiles>> {
        // The header is skipped only where raw is stated, not where libvirt assumes raw.
        let mut uses = self.domains.iter().flat_map(|user| &user.disks).filter(|(_, used)| same_file(used, image)).peekable();
        if uses.peek().is_some() && uses.all(|(used, _)| used.is_stated && used.format.as_deref() == Some("raw")) {
            return Ok(Reading::Absent);
        }
        let format = match disk::overlay_format(image) {
            Reading::Known(Some(format)) => format,
            Reading::Known(None) | Reading::Absent => return Ok(Reading::Absent),
            Reading::Unknown(because) => return Ok(Reading::Unknown(because)),
        };
        if format == "vhdx" {
            // QEMU opens no other file for a VHDX image, and refuses to open one that has a parent.
            let said = self.ask(&argv::info(image, format, true))?;
            let because = || format!("qemu-img cannot determine the backing file of {}: {}", image.display(), reason(&said));
            return Ok(if said.success() { Reading::Absent } else { Reading::Unknown(because()) });
        }
        Ok(disk::names_in(image, format).map(|names| {
            let mut below = ReferencedFiles::default();
            for named in names {
                let led = leads(&named.name);
                // A backing file that QEMU reaches over a network is not a file of this machine.
                let other = led.others.iter().find(|name| !disk::is_remote(name));
                below.unknown = below
                    .unknown
                    .take()
                    .or_else(|| other.map(|name| format!("{} refers to {name}, which vgapt does not support", image.display())));
                below.files.extend(led.files.into_iter().map(|lead| ReferencedFile {
                    path: directory(image).join(lead.path),
                    format: named.format.clone().or(lead.format),
                    role: named.role,
                }));
            }
            below
        }))
    }

    /// The images that declare this one raw, and why some are unknown. Searched are the images that libvirt names, those in
    /// the image's own folder, and their backing chains.
    pub(super) fn taken_for_raw_by(&self, disk: &Path) -> Result<(Vec<PathBuf>, Vec<String>)> {
        let (mut open, mut unknown): (Vec<PathBuf>, _) = (self.named_by_libvirt().collect(), Vec::new());
        match disk::look_into(directory(disk)) {
            Reading::Known(listing) => {
                open.extend(listing.images);
                unknown.extend(listing.unread);
            }
            Reading::Absent => {}
            Reading::Unknown(because) => unknown.push(because),
        }
        let (mut seen, mut known, mut found) = (BTreeSet::new(), BTreeMap::new(), Vec::new());
        while let Some(image) = open.pop() {
            if same_file(&image, disk) || !seen.insert(image.clone()) {
                continue;
            }
            match self.below(&image, &mut known)? {
                Reading::Known(below) => {
                    let of_disk = |below: &&ReferencedFile| same_file(&below.path, disk);
                    found.extend(
                        below.files.iter().filter(of_disk).filter(|below| below.format.as_deref() == Some("raw")).map(|_| image.clone()),
                    );
                    let further = below.files.iter().filter(|below| below.format.as_deref() != Some("raw"));
                    open.extend(further.map(|below| below.path.clone()));
                    unknown.extend(below.unknown.clone());
                }
                Reading::Absent => {}
                Reading::Unknown(because) => unknown.push(because),
            }
        }
        found.sort();
        found.dedup();
        Ok((found, unknown))
    }
}
