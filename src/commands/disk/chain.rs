//! A disk's format and its backing chain. Formats are never guessed, and no file is opened only because
//! a disk's header names it.

use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::disk_context::{Conflicts, DiskContext, refused};
use super::paths::{directory, existing};
use super::shown::shortened;
use super::stated::DiskOptions;
use crate::disk::{self, Chain, Image, Place, argv, same_file};
use crate::model::{Finding, LONGEST_CHAIN, NamedFile, Reading, Role, format_by_name, is_known_format};
use crate::problem::Problem;

/// The file name extensions of vgapt's overlays.
const OWN_ENDINGS: [&str; 2] = ["diff", "copied-in"];

impl DiskContext<'_> {
    /// A disk's backing chain, also while a domain uses the disk.
    ///
    /// # Errors
    /// [`Conflicts`] where its format is unclear, or it names a file that is opened only with `--trust-backing`.
    pub(super) fn chain(&self, path: &Path, words: DiskOptions<'_>) -> Result<Chain> {
        let (chain, end) = self.chain_so_far(path, words)?;
        match end {
            None => Ok(chain),
            Some(finding) => Err(Conflicts(vec![finding]).into()),
        }
    }

    /// The backing chain as far as it may be followed, and the finding that ended it.
    pub(super) fn chain_so_far(&self, path: &Path, words: DiskOptions<'_>) -> Result<(Chain, Option<Finding>)> {
        let mut named = std::path::absolute(path).context("cannot determine the current directory")?;
        let path = &existing(path)?;
        let mut format = self.format_of(path, words)?;
        let mut place = path.to_owned();
        let mut images: Vec<Image> = Vec::new();
        loop {
            let names = match self.names(&place, &format, path, words) {
                Ok(names) => names,
                // The first image cannot be used if a file that it names is refused.
                Err(finding) if images.is_empty() => return Err(Conflicts(vec![finding]).into()),
                Err(finding) => return Ok((Chain(images), Some(finding))),
            };
            let mut image = self.image(&place, &format)?;
            image.path = place.display().to_string();
            if let Some(finding) = self.against_names(&place, &names, &named) {
                images.push(image);
                return Ok((Chain(images), Some(finding)));
            }
            let data = image.data_files.iter().find_map(|name| self.against_opening(&place, name, path, words).err());
            let backing = image.backing.clone();
            let next = image.backing_format.clone();
            images.push(image);
            let Some(backing) = backing.filter(|_| data.is_none()) else { return Ok((Chain(images), data)) };
            let image = &images[images.len() - 1];
            let Some(next) = next else { return Ok((Chain(images.clone()), Some(no_format(image, &backing)))) };
            if let Place::File(path) = disk::place_of(&backing, directory(&place)) {
                named = path;
            }
            let below = match self.against_opening(&place, &backing, path, words) {
                Ok(below) => below,
                Err(finding) => return Ok((Chain(images), Some(finding))),
            };
            if images.len() > LONGEST_CHAIN || images.iter().any(|image| same_file(Path::new(&image.path), &below)) {
                return Err(Problem::new(
                    format!("the backing chain of {} contains a loop at {}", path.display(), below.display()),
                    "set the correct backing file: qemu-img rebase -u -F FORMAT -b BACKING IMAGE",
                )
                .into());
            }
            (place, format) = (below, next);
        }
    }

    /// The files that an image names. An error if one of its data files may not be opened: QEMU opens them together with
    /// the image.
    fn names(&self, image: &Path, format: &str, disk: &Path, words: DiskOptions<'_>) -> Result<Vec<NamedFile>, Finding> {
        let shown = image.display();
        let unknown = |because: String| {
            let remedy = "use a copy in a format that names no other files: qemu-img convert -f FORMAT -O qcow2";
            Finding::error("names-unknown", format!("the files that {shown} makes QEMU open are unknown: {because}"), remedy)
        };
        if !is_known_format(format) {
            return Err(unknown(format!("its format is {format}")));
        }
        let read = |path: &Path, format: &str| {
            let names = disk::names_in(path, format).into_result().and_then(|names| names.ok_or(format!("{} is gone", path.display())));
            names.map_err(unknown)
        };
        let names = read(image, format)?;
        for named in names.iter().filter(|named| named.role == Role::Data) {
            let extent = self.against_opening(image, &named.name, disk, words)?;
            // An extent of a VMDK may itself be a descriptor that names further files.
            let of_extent = read(&extent, named.format.as_deref().unwrap_or("raw"))?;
            if let Some(further) = of_extent.iter().find(|named| named.role == Role::Data) {
                return Err(unknown(format!("its extent {} itself refers to {}", extent.display(), further.name)));
            }
        }
        Ok(names)
    }

    /// Refuses an image that has different backing files by different names of it: QEMU resolves a relative backing
    /// file name against the folder of the name by which the image is opened.
    fn against_names(&self, real: &Path, needs: &[NamedFile], named: &Path) -> Option<Finding> {
        let of_libvirt = self.named_by_libvirt().filter(|path| same_file(path, real));
        let mut names: Vec<PathBuf> = std::iter::once(named.to_owned()).chain(of_libvirt).collect();
        names.sort();
        names.dedup();
        for name in names.iter().filter(|name| directory(name).canonicalize().ok().as_deref() != Some(directory(real))) {
            for need in needs {
                let (one, other) = (disk::place_of(&need.name, directory(real)), disk::place_of(&need.name, directory(name)));
                let (Place::File(one), Place::File(other)) = (one, other) else { continue };
                // Nobody uses a name of the image with which QEMU does not find the named file.
                let is_there = !matches!(Reading::of(other.metadata(), name.to_string_lossy().as_ref()), Reading::Absent);
                if is_there && !same_file(&one, &other) {
                    return Some(two_below(real, name, &one, &other));
                }
            }
        }
        None
    }

    /// One image of a known format.
    pub(super) fn image(&self, path: &Path, format: &str) -> Result<Image> {
        let said = self.ask(&argv::info(path, format, true))?;
        if !said.success() {
            return Err(refused(&format!("qemu-img cannot read {} as {format}", path.display()), &said));
        }
        disk::parse_image(&said.stdout).map_err(anyhow::Error::msg)
    }

    /// The format of a disk, from the first of these: the user's option, the domain that uses it, an overlay that declares
    /// it raw, its file name, and its content, unless a domain that cannot be read may use another format.
    fn format_of(&self, path: &Path, words: DiskOptions<'_>) -> Result<String> {
        if let Some(stated) = words.format {
            return Ok(stated.to_owned());
        }
        let content = disk::beginning(path).with_context(|| format!("cannot read {}", path.display()))?;
        let doubt = |message: String| -> anyhow::Error {
            let (option, other) = (words.option, if content == "raw" { "qcow2" } else { content });
            let remedy = format!(
                "state the format: {option} raw, or {option} {other}; the guest of a raw disk can make it look like another format"
            );
            Conflicts(vec![Finding::error("format-unclear", message, remedy)]).into()
        };
        let shown = path.display();
        let by_domains = self.formats_by_domains(path);
        if by_domains.len() > 1 {
            return Err(doubt(format!("domains state different formats for {shown}: {}", by_domains.join(", "))));
        }
        let is_device = path.metadata().is_ok_and(|metadata| metadata.file_type().is_block_device());
        // A commit may have written data of an overlay's guest into its backing file, including a faked header.
        let (by_overlays, unread) =
            if content == "raw" || !by_domains.is_empty() { Default::default() } else { self.taken_for_raw_by(path)? };
        let by_overlay = by_overlays.first().map(|overlay| format!("the header of {}", overlay.display()));
        let unknown = [&self.unknown_domains[..], &unread].concat();
        let expected = match by_domains.first() {
            Some(format) => Some((format.as_str(), "its domain")),
            None if by_overlay.is_some() => by_overlay.as_deref().map(|overlay| ("raw", overlay)),
            None if is_device => Some(("raw", "its type: a block device")),
            None => format_of_name(path).map(|format| (format, "its name")),
        };
        match expected {
            Some(("raw", by)) if content != "raw" => {
                Err(doubt(format!("{shown} is raw according to {by}, but its content looks like {content}")))
            }
            Some((format, "its domain")) => Ok(format.to_owned()),
            Some((format, _)) if content == format || content == "raw" => Ok(content.to_owned()),
            Some((format, by)) => Err(doubt(format!("{shown} is {format} according to {by}, but its content looks like {content}"))),
            None if content == "raw" || unknown.is_empty() => Ok(content.to_owned()),
            None => Err(doubt(format!("{shown} looks like {content}, but a domain may use it as raw: {}", shortened(&unknown)))),
        }
    }

    /// The formats that domains state for an image, without duplicates.
    pub(super) fn formats_by_domains(&self, path: &Path) -> Vec<String> {
        let uses = self.domains.iter().flat_map(|user| &user.disks).filter(|(_, used)| same_file(used, path));
        let mut formats: Vec<String> = uses.filter_map(|(used, _)| used.format.clone()).collect();
        formats.sort();
        formats.dedup();
        formats
    }

    /// The path of a file that an image's header names, if it may be opened.
    fn against_opening(&self, image: &Path, name: &str, disk: &Path, words: DiskOptions<'_>) -> Result<PathBuf, Finding> {
        let shown = &image.display().to_string();
        let outside = |what: &str| {
            Finding::error(
                "backing-outside",
                format!("{shown} names {what}, which is outside the disk's own folder and libvirt's storage pools"),
                "a disk from somebody else can read any file of the host in this way; if the file is correct: --trust-backing",
            )
        };
        let path = match disk::place_of(name, directory(image)) {
            Place::File(path) => path,
            Place::Other(other) if words.trust => {
                let message = format!("{shown} refers to {other}, which vgapt does not support");
                return Err(Finding::error("backing-elsewhere", message, "copy the disk with qemu-img convert, and state the formats"));
            }
            Place::Other(other) => return Err(outside(&other)),
        };
        // The name is shown as written where it cannot be resolved.
        let real = path.canonicalize();
        let place = real.as_deref().unwrap_or(&path);
        let home = directory(place);
        let is_known = home == directory(disk) || self.pools.iter().any(|pool| in_pool(pool, place));
        if !is_known && !words.trust {
            return Err(outside(&place.display().to_string()));
        }
        match real {
            Ok(place) => existing(&place).map_err(|error| {
                Finding::error("no-disk", format!("{shown} names {}: {error}", place.display()), "name a file or a block device instead")
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(missing(shown, &path)),
            Err(error) => Err(Finding::error(
                "backing-unread",
                format!("the backing file {} of {shown} cannot be read: {error}", path.display()),
                "run it as a user who may read it",
            )),
        }
    }
}

/// Whether a path belongs to a storage pool: a file in its folder, or one of its volumes.
fn in_pool(pool: &crate::hypervisor::Pool, place: &Path) -> bool {
    let folder = pool.target.as_ref().and_then(|target| Path::new(target).canonicalize().ok());
    folder.is_some_and(|folder| folder == directory(place)) || pool.volumes.iter().any(|volume| same_file(Path::new(&volume.path), place))
}

/// The format that the extension of a name suggests.
fn format_of_name(path: &Path) -> Option<&'static str> {
    let is_own = path.extension().is_some_and(|ending| OWN_ENDINGS.iter().any(|own| ending == *own));
    if is_own { Some("qcow2") } else { format_by_name(path) }
}

fn two_below(real: &Path, name: &Path, one: &Path, other: &Path) -> Finding {
    let (real, name) = (real.display(), name.display());
    Finding::error(
        "backing-by-name",
        format!(
            "{name} is a link to {real}, whose backing file name is relative: through the link the backing file is {}, by its own path it is {}",
            other.display(),
            one.display()
        ),
        format!("set the correct one by its absolute path: qemu-img rebase -u -F FORMAT -b BACKING {real}"),
    )
}

fn no_format(image: &Image, backing: &str) -> Finding {
    let path = &image.path;
    Finding::error(
        "no-backing-format",
        format!("{path} does not state the format of its backing file {backing}"),
        format!("set it: qemu-img rebase -u -F FORMAT -b {backing} {path}"),
    )
}

fn missing(image: &str, path: &Path) -> Finding {
    Finding::error(
        "backing-missing",
        format!("the backing file of {image} is missing: {}", path.display()),
        format!("restore that file; if it was moved, set the new path: qemu-img rebase -u -F FORMAT -b NEW_PLACE {image}"),
    )
}
