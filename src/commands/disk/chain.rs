//! A disk's format and its backing chain. Formats are never guessed, and no file is opened only because
//! a disk's header names it.

use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::super::shared::refused::Refused;
use super::disk_context::{DiskContext, shortened};
use super::options::DiskOptions;
use crate::disk::{self, Chain, Image, Location, directory, same_file};
use crate::model::{Finding, LONGEST_CHAIN, NamedFile, Reading, Role, format_by_name, is_known_format};
use crate::problem::Problem;

/// The file name extensions of vgapt's overlays.
const OWN_ENDINGS: [&str; 2] = ["diff", "copied-in"];

/// An existing disk.
pub(super) struct Disk {
    /// Its real path.
    pub(super) path: PathBuf,
    pub(super) chain: Chain,
}

impl Disk {
    /// The image itself, without its backing chain.
    pub(super) fn image(&self) -> &Image {
        self.chain.top()
    }

    pub(super) fn format(&self) -> &str {
        &self.chain.top().format
    }
}

/// The real path of an existing disk.
pub(super) fn existing(path: &Path) -> Result<PathBuf> {
    let place = path.canonicalize().map_err(|error| {
        Problem::new(format!("the disk {} does not exist: {error}", path.display()), "name an existing image or block device")
    })?;
    // On a pipe, qemu-img would wait until a process writes to it.
    let kind = place.metadata().map(|metadata| metadata.file_type()).ok();
    let what = kind.and_then(|kind| match kind {
        _ if kind.is_dir() => Some("a directory"),
        _ if kind.is_fifo() => Some("a pipe"),
        _ if kind.is_socket() => Some("a socket"),
        _ if kind.is_char_device() => Some("a character device"),
        _ => None,
    });
    match what {
        Some(what) => Err(Problem::new(format!("{} is {what}, not a disk", path.display()), "name an image or a block device").into()),
        None => Ok(place),
    }
}

impl DiskContext<'_> {
    /// A disk with its backing chain, also while a domain uses the disk.
    ///
    /// # Errors
    /// [`Refused`] where its format is unclear, or it names a file that is opened only with `--trust-backing`.
    pub(super) fn disk(&self, path: &Path, options: DiskOptions<'_>) -> Result<Disk> {
        match self.disk_so_far(path, options)? {
            (disk, None) => Ok(disk),
            (_, Some(refused)) => Err(refused.into()),
        }
    }

    /// The disk with its backing chain as far as that may be followed, and what ended it.
    pub(super) fn disk_so_far(&self, path: &Path, options: DiskOptions<'_>) -> Result<(Disk, Option<Refused>)> {
        let named = std::path::absolute(path).context("cannot determine the current directory")?;
        let path = existing(path)?;
        let format = self.format_of(&path, options)?;
        let mut images = Vec::new();
        let end = match self.follow(&path, named, format, options, &mut images) {
            Ok(()) => None,
            // The first image cannot be used if a file that it names is refused.
            Err(error) if images.is_empty() => return Err(error),
            Err(error) => Some(error.downcast::<Refused>()?),
        };
        Ok((Disk { path, chain: Chain(images) }, end))
    }

    /// Follows a backing chain to its end, or to a file that is refused.
    fn follow(&self, disk: &Path, mut named: PathBuf, mut format: String, options: DiskOptions<'_>, images: &mut Vec<Image>) -> Result<()> {
        let mut path = disk.to_owned();
        loop {
            let names = self.names(&path, &format, disk, options)?;
            let image = Image { path: path.display().to_string(), ..self.image(&path, &format)? };
            images.push(image.clone());
            self.check_names(&path, &names, &named)?;
            for name in &image.data_files {
                self.may_open(&path, name, disk, options)?;
            }
            let Some(backing) = image.backing else { return Ok(()) };
            let Some(next) = image.backing_format else {
                let (path, message) = (&image.path, "does not state the format of its backing file");
                let remedy = format!("set it: qemu-img rebase -u -F FORMAT -b {backing} {path}");
                return Err(refused(Finding::error("no-backing-format", format!("{path} {message} {backing}"), remedy)));
            };
            if let Location::File(path) = disk::locate(&backing, directory(&path)) {
                named = path;
            }
            let below = self.may_open(&path, &backing, disk, options)?;
            if images.len() > LONGEST_CHAIN || images.iter().any(|image| same_file(Path::new(&image.path), &below)) {
                return Err(Problem::new(
                    format!("the backing chain of {} contains a loop at {}", disk.display(), below.display()),
                    "set the correct backing file: qemu-img rebase -u -F FORMAT -b BACKING IMAGE",
                )
                .into());
            }
            (path, format) = (below, next);
        }
    }

    /// The files that an image names. An error if one of its data files may not be opened: QEMU opens them together with
    /// the image.
    fn names(&self, image: &Path, format: &str, disk: &Path, options: DiskOptions<'_>) -> Result<Vec<NamedFile>> {
        let shown = image.display();
        let unknown = |because: String| {
            let remedy = "use a copy in a format that names no other files: qemu-img convert -f FORMAT -O qcow2";
            refused(Finding::error("names-unknown", format!("the files that {shown} makes QEMU open are unknown: {because}"), remedy))
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
            let extent = self.may_open(image, &named.name, disk, options)?;
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
    fn check_names(&self, real: &Path, needs: &[NamedFile], named: &Path) -> Result<()> {
        let of_libvirt = self.libvirt.named().filter(|path| same_file(path, real));
        let mut names: Vec<PathBuf> = std::iter::once(named.to_owned()).chain(of_libvirt).collect();
        names.sort();
        names.dedup();
        for name in names.iter().filter(|name| directory(name).canonicalize().ok().as_deref() != Some(directory(real))) {
            for need in needs {
                let (one, other) = (disk::locate(&need.name, directory(real)), disk::locate(&need.name, directory(name)));
                let (Location::File(one), Location::File(other)) = (one, other) else { continue };
                // Nobody uses a name of the image with which QEMU does not find the named file.
                let is_there = !matches!(Reading::of(other.metadata(), name.to_string_lossy().as_ref()), Reading::Absent);
                if is_there && !same_file(&one, &other) {
                    let (real, name, one, other) = (real.display(), name.display(), one.display(), other.display());
                    let message = format!(
                        "{name} is a link to {real}, whose backing file name is relative: through the link the backing file is {other}, by its own path it is {one}"
                    );
                    let remedy = format!("set the correct one by its absolute path: qemu-img rebase -u -F FORMAT -b BACKING {real}");
                    return Err(refused(Finding::error("backing-by-name", message, remedy)));
                }
            }
        }
        Ok(())
    }

    /// The format of a disk, from the first of these: the user's option, the domain that uses it, an overlay that declares
    /// it raw, its file name, and its content, unless a domain that cannot be read may use another format.
    fn format_of(&self, path: &Path, options: DiskOptions<'_>) -> Result<String> {
        if let Some(stated) = options.format {
            return Ok(stated.to_owned());
        }
        let content = disk::beginning(path).with_context(|| format!("cannot read {}", path.display()))?;
        let shown = path.display();
        let doubt = |message: String| {
            let (option, other) = (options.option, if content == "raw" { "qcow2" } else { content });
            let remedy = format!(
                "state the format: {option} raw, or {option} {other}; the guest of a raw disk can make it look like another format"
            );
            refused(Finding::error("format-unclear", message, remedy))
        };
        let mut by_domains: Vec<&str> = self.libvirt.uses_of(path).filter_map(|(_, used)| used.format.as_deref()).collect();
        by_domains.sort_unstable();
        by_domains.dedup();
        if by_domains.len() > 1 {
            return Err(doubt(format!("domains state different formats for {shown}: {}", by_domains.join(", "))));
        }
        match by_domains.first() {
            Some(stated) if *stated != "raw" || content == "raw" => return Ok((*stated).to_owned()),
            None if content == "raw" => return Ok("raw".to_owned()),
            _ => {}
        }
        let (expected, unread) = if by_domains.is_empty() {
            // A commit may have written data of an overlay's guest into its backing file, including a faked header.
            let (by_overlays, unread) = self.taken_for_raw_by(path)?;
            let by_overlay = by_overlays.first().map(|overlay| ("raw", format!("the header of {}", overlay.display())));
            (by_overlay.or_else(|| by_kind(path)), unread)
        } else {
            (Some(("raw", "its domain".to_owned())), Vec::new())
        };
        let unknown = [&self.libvirt.unknown_domains[..], &unread].concat();
        match expected {
            Some((format, by)) if content != format => {
                Err(doubt(format!("{shown} is {format} according to {by}, but its content looks like {content}")))
            }
            None if !unknown.is_empty() => {
                Err(doubt(format!("{shown} looks like {content}, but a domain may use it as raw: {}", shortened(&unknown))))
            }
            _ => Ok(content.to_owned()),
        }
    }

    /// The path of a file that an image's header names, if it may be opened.
    fn may_open(&self, image: &Path, name: &str, disk: &Path, options: DiskOptions<'_>) -> Result<PathBuf> {
        let shown = &image.display().to_string();
        let outside = |what: &str| {
            Finding::error(
                "backing-outside",
                format!("{shown} names {what}, which is outside the disk's own folder and libvirt's storage pools"),
                "check that file: with such a header, whoever made the disk can read any file of the host; if you trust the disk: --trust-backing",
            )
        };
        let path = match disk::locate(name, directory(image)) {
            Location::File(path) => path,
            Location::Other(other) if options.trust => {
                let message = format!("{shown} refers to {other}, which vgapt does not support");
                let remedy = "copy the disk with qemu-img convert, and state the formats";
                return Err(refused(Finding::error("backing-elsewhere", message, remedy)));
            }
            Location::Other(other) => return Err(refused(outside(&other))),
        };
        // The name is shown as written where it cannot be resolved.
        let real = path.canonicalize();
        let place = real.as_deref().unwrap_or(&path);
        let is_known = directory(place) == directory(disk) || self.libvirt.is_in_pool(place);
        if !is_known && !options.trust {
            return Err(refused(outside(&place.display().to_string())));
        }
        Err(refused(match real.map(|place| existing(&place).map_err(|error| (place, error))) {
            Ok(Ok(place)) => return Ok(place),
            Ok(Err((place, error))) => {
                Finding::error("no-disk", format!("{shown} names {}: {error}", place.display()), "name a file or a block device instead")
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Finding::error(
                "backing-missing",
                format!("the backing file of {shown} is missing: {}", path.display()),
                format!("restore that file; if it was moved, set the new path: qemu-img rebase -u -F FORMAT -b NEW_PLACE {shown}"),
            ),
            Err(error) => Finding::error(
                "backing-unread",
                format!("the backing file {} of {shown} cannot be read: {error}", path.display()),
                "run it as a user who may read it",
            ),
        }))
    }
}

fn refused(finding: Finding) -> anyhow::Error {
    Refused { findings: vec![finding], end: "nothing was done: see above. Nothing was changed.".to_owned(), next: None }.into()
}

/// The format that a disk's type or the extension of its name suggests, and by what.
fn by_kind(path: &Path) -> Option<(&'static str, String)> {
    if path.metadata().is_ok_and(|metadata| metadata.file_type().is_block_device()) {
        return Some(("raw", "its type: a block device".to_owned()));
    }
    let is_own = path.extension().is_some_and(|ending| OWN_ENDINGS.iter().any(|own| ending == *own));
    let format = if is_own { Some("qcow2") } else { format_by_name(path) };
    format.map(|format| (format, "its name".to_owned()))
}
