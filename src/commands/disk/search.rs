//! The search for the overlays of an image: what was searched, what was found, and what could not be read.

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::disk_context::{DiskContext, shortened};
use super::options::SearchOptions;
use super::tools::reason;
use crate::disk::{self, argv, directory, same_file};
use crate::model::{Finding, Reading, Role, leads};

/// How many levels of subfolders are searched below a named folder.
const DEPTH: usize = 3;
/// The search in subfolders stops after this many entries in total.
const ENTRIES: usize = 20_000;

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

    pub(super) fn facts(&self) -> Searched {
        Searched {
            folders: self.folders.clone(),
            folders_below: self.below,
            not_searched_below: self.skipped,
            domains: self.domains,
            pools: self.pools,
            unknown: self.unknown.clone(),
        }
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
                format!("make that readable (start libvirt, run vgapt as root); or use --force: an overlay of {base} that was not found is then permanently corrupted"),
            ));
        }
        findings
    }
}

/// Where overlays were searched.
#[derive(Serialize, JsonSchema)]
pub(in crate::commands) struct Searched {
    folders: Vec<PathBuf>,
    /// How many of their subfolders were searched.
    folders_below: usize,
    /// How many subfolders were skipped because there are too many.
    not_searched_below: usize,
    /// Of how many domains the disks were searched.
    domains: usize,
    /// How many storage pools were searched.
    pools: usize,
    /// What could not be read, with the reasons.
    unknown: Vec<String>,
}

/// A folder to search.
struct Open {
    folder: PathBuf,
    depth: usize,
    /// Whether the user named it, or a folder above it: then all its subfolders are searched.
    is_asked: bool,
}

/// The backing file and the data files of an image.
#[derive(Default)]
struct ReferencedFiles {
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

impl ReferencedFile {
    fn is_raw(&self) -> bool {
        self.format.as_deref() == Some("raw")
    }
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
        let libvirt = &self.libvirt;
        let mut search = Search { domains: libvirt.domains.len(), pools: libvirt.pools.len(), ..Search::default() };
        search.unknown = [&libvirt.unknown_domains[..], &libvirt.unknown_pools[..]].concat();
        let mut places = self.look_around([Some(base), but], further, &mut search);
        for named in self.libvirt.named() {
            match disk::overlay_format(&named) {
                Reading::Known(Some(_)) => drop(places.insert(named)),
                Reading::Known(None) | Reading::Absent => {}
                Reading::Unknown(because) => search.unknown.push(because),
            }
        }
        // QEMU resolves a relative backing file name against the folder of the name by which the image is opened: a
        // link and its target may have different backing files. A link that cannot be resolved keeps its name: its
        // backing file is then reported as unknown.
        let real: BTreeSet<PathBuf> = places.iter().map(|path| path.canonicalize().unwrap_or_else(|_| path.clone())).collect();
        let mut written = vec![base.to_owned()];
        // Writing to an image also changes its data files, which corrupts the overlays of those. The header of a raw disk is
        // ignored: its guest may have written it.
        if format != "raw" {
            let below = self.below(base)?;
            search.unknown.extend(below.unknown().map(str::to_owned));
            let files = below.known().into_iter().flat_map(|below| below.files);
            written.extend(files.filter(|below| below.role == Role::Data).map(|below| below.path));
        }
        // The change does not affect overlays that depend on the base only through the excepted image.
        let skip = |path: &Path| same_file(path, base) || but.is_some_and(|but| same_file(path, but));
        let (mut overlays, mut unread): (Vec<PathBuf>, Vec<String>) = (Vec::new(), Vec::new());
        search.unknown.extend(self.walk(real.into_iter().chain(places), &skip, |image, files| {
            if files.iter().any(|file| written.iter().any(|written| same_file(&file.path, written))) {
                if !overlays.iter().any(|known| same_file(known, image)) {
                    overlays.push(image.to_owned());
                }
                return false;
            }
            // Whether two paths are the same file is known only if both can be read.
            let looked = |file: &ReferencedFile| Reading::of(file.path.metadata(), &file.path.display().to_string());
            unread.extend(files.iter().filter(|file| file.is_raw()).filter_map(|file| looked(file).unknown().map(str::to_owned)));
            true
        })?);
        search.overlays = overlays;
        search.unknown.extend(unread);
        search.unknown.sort();
        search.unknown.dedup();
        Ok(search)
    }

    /// Reads images and all that they are based on, each once, and returns what is unknown. `visit` gets the files that an
    /// image refers to, and returns whether to follow them; a raw file refers to no other.
    fn walk(
        &self,
        images: impl IntoIterator<Item = PathBuf>,
        skip: &dyn Fn(&Path) -> bool,
        mut visit: impl FnMut(&Path, &[ReferencedFile]) -> bool,
    ) -> Result<Vec<String>> {
        let (mut open, mut seen, mut unknown) = (VecDeque::from_iter(images), BTreeSet::new(), Vec::new());
        while let Some(image) = open.pop_front() {
            if !seen.insert(image.clone()) || skip(&image) {
                continue;
            }
            match self.below(&image)? {
                Reading::Absent => {}
                Reading::Unknown(because) => unknown.push(because),
                Reading::Known(below) => {
                    if visit(&image, &below.files) {
                        unknown.extend(below.unknown);
                        open.extend(below.files.into_iter().filter(|file| !file.is_raw()).map(|file| file.path));
                    }
                }
            }
        }
        Ok(unknown)
    }

    /// The files in the folders that may be overlays.
    fn look_around(&self, own: [Option<&Path>; 2], further: &SearchOptions, search: &mut Search) -> BTreeSet<PathBuf> {
        let pools = self.libvirt.pools.iter().filter_map(|pool| pool.target.clone()).map(PathBuf::from);
        // Overlays are usually in a folder with other overlays; their backing file may be elsewhere, or a device.
        let disks = self.libvirt.named().chain(own.into_iter().flatten().map(Path::to_owned)).flat_map(|path| {
            // A link's own folder, and that of the file it leads to.
            let real = path.canonicalize().ok().map(|real| directory(&real).to_owned());
            std::iter::once(directory(&path).to_owned()).chain(real)
        });
        let named: BTreeSet<PathBuf> = pools.chain(disks).collect();
        let named = named.into_iter().map(|folder| Open { folder, depth: 0, is_asked: false });
        let asked = further.folders.iter().map(|folder| Open { folder: folder.clone(), depth: 0, is_asked: true });
        // The user's folders come first: their subfolders count as named, too.
        let mut open: VecDeque<Open> = asked.chain(named).collect();
        let (mut seen, mut found, mut entries) = (BTreeSet::new(), BTreeSet::new(), 0);
        while let Some(Open { folder, depth, is_asked }) = open.pop_front() {
            let real = Reading::of(folder.canonicalize(), &folder.display().to_string());
            let listing = match real {
                Reading::Known(real) if is_of_devices(&real) || !seen.insert(real.clone()) => continue,
                Reading::Known(real) => disk::look_into(&real),
                Reading::Absent if is_asked => Reading::Unknown(format!("the folder {} does not exist", folder.display())),
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
                        entries += if is_asked { 0 } else { listing.entries };
                    }
                    found.extend(listing.images);
                    search.unknown.extend(listing.unread);
                    if entries > ENTRIES || (depth >= DEPTH && !is_asked) {
                        search.skipped += listing.folders.len();
                    } else {
                        open.extend(listing.folders.into_iter().map(|folder| Open { folder, depth: depth + 1, is_asked }));
                    }
                }
            }
        }
        found
    }

    /// The backing file and the data files of an image; absent if it has none.
    fn below(&self, image: &Path) -> Result<Reading<ReferencedFiles>> {
        // The header is skipped only where raw is stated, not where libvirt assumes raw.
        let mut uses = self.libvirt.uses_of(image).peekable();
        if uses.peek().is_some() && uses.all(|(_, used)| used.is_stated && used.format.as_deref() == Some("raw")) {
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
        let (mut images, mut unknown): (Vec<PathBuf>, _) = (self.libvirt.named().collect(), Vec::new());
        match disk::look_into(directory(disk)) {
            Reading::Known(listing) => {
                images.extend(listing.images);
                unknown.extend(listing.unread);
            }
            Reading::Absent => {}
            Reading::Unknown(because) => unknown.push(because),
        }
        let mut found = BTreeSet::new();
        unknown.extend(self.walk(images, &|image| same_file(image, disk), |image, files| {
            if files.iter().any(|file| file.is_raw() && same_file(&file.path, disk)) {
                found.insert(image.to_owned());
            }
            true
        })?);
        Ok((found.into_iter().collect(), unknown))
    }
}
