//! The source that a host is read from, and the record of what was read.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;

use rustix::io::Errno;

use super::capture::{Capture, CapturedPath, Node};
use super::capture_text;
use super::directory::{ATTRIBUTE_BYTES, Directory, text_of};
use super::resolve;
use super::sorted::LineSearch;
use super::status::Status;
use crate::model::Reading;

/// The longest file that is read: ten times the largest real one (`pci.ids`, `/proc/cpuinfo` of 2,000 CPUs).
const FILE_BYTES: usize = 16 << 20;

/// Where a host is read from.
pub struct Root {
    source: Source,
    /// What was read so far, while a capture is recorded.
    recording: Option<RefCell<Capture>>,
}

enum Source {
    Directory(Directory),
    Capture(Capture),
}

impl From<Capture> for Root {
    fn from(capture: Capture) -> Self {
        Self { source: Source::Capture(capture), recording: None }
    }
}

impl Root {
    /// Opens a directory, or a file that [`Capture`] wrote.
    pub fn open(path: &Path) -> io::Result<Self> {
        let source = if std::fs::metadata(path)?.is_dir() {
            Source::Directory(Directory::open(path)?)
        } else {
            Source::Capture(Capture::load(path)?)
        };
        Ok(Self { source, recording: None })
    }

    /// The same root, which records from now on what is read.
    #[must_use]
    pub fn recording(self) -> Self {
        Self { recording: Some(RefCell::default()), ..self }
    }

    /// The same root at one moment, for a command that changes nothing: each path is read once, however often it is asked for.
    #[must_use]
    pub fn at_one_moment(self) -> Self {
        match self.source {
            Source::Directory(directory) => Self { source: Source::Directory(directory.at_one_moment()), ..self },
            Source::Capture(_) => self,
        }
    }

    /// What was read since [`Root::recording`], without personal data, and a list of it.
    pub fn into_capture(self) -> (Capture, Vec<CapturedPath>) {
        self.recording.map(RefCell::into_inner).unwrap_or_default().redacted()
    }

    /// Whether this is the running system itself.
    pub fn is_live(&self) -> bool {
        self.directory().is_some_and(Directory::is_slash)
    }

    /// Whether this is a capture, which contains only what was read when it was recorded.
    pub fn is_capture(&self) -> bool {
        matches!(self.source, Source::Capture(_))
    }

    /// A short one-line file, trimmed; `None` if it is missing, empty or unreadable.
    pub fn attribute(&self, path: &str) -> Option<String> {
        let bytes = self.first_bytes(path, ATTRIBUTE_BYTES).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// A text file; bytes that are not UTF-8 become replacement characters.
    pub fn text(&self, path: &str) -> io::Result<String> {
        let bytes = self.first_bytes(path, FILE_BYTES + 1)?;
        if bytes.len() > FILE_BYTES {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("{path} is longer than {} MiB", FILE_BYTES >> 20)));
        }
        Ok(text_of(bytes))
    }

    /// The end of a log that grows, and whether that is not all of it. It begins with a whole line. One whose name ends in
    /// `.gz` is unpacked.
    pub fn end_of(&self, path: &str) -> Reading<(String, bool)> {
        let read = match &self.source {
            Source::Directory(directory) => directory.read_end(path, FILE_BYTES),
            Source::Capture(capture) => capture.read(path).map(|bytes| (bytes.to_vec(), false)),
        };
        let read = match read {
            Ok((bytes, _)) if path.ends_with(".gz") => capture_text::unpacked(bytes.as_slice()).map(|bytes| (bytes, false)),
            read => read,
        };
        Reading::of(read, path).map(|(bytes, is_part)| {
            let from = if is_part { bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1) } else { 0 };
            self.record(path, || Node::File(bytes[from..].to_vec()));
            (String::from_utf8_lossy(&bytes[from..]).into_owned(), is_part)
        })
    }

    /// A text file; distinguishes an absent file from one that cannot be read.
    pub fn reading(&self, path: &str) -> Reading<String> {
        Reading::of(self.text(path), path)
    }

    /// The same of an attribute of sysfs, which fits into one page: nothing is read to see its end.
    pub fn attribute_reading(&self, path: &str) -> Reading<String> {
        Reading::of(self.first_bytes(path, ATTRIBUTE_BYTES), path).map(text_of)
    }

    /// A directory, opened for [`super::folder::Folder`]; `None` where whatever is read is read by its whole path, as for a record.
    pub(super) fn below(&self, path: &str) -> Option<OwnedFd> {
        self.directory().filter(|_| self.recording.is_none())?.below(path).ok()
    }

    /// The names in a directory, sorted; distinguishes an absent directory from one that cannot be read.
    pub fn entries(&self, path: &str) -> Reading<Vec<String>> {
        let names = match &self.source {
            Source::Directory(directory) => directory.names(path),
            Source::Capture(capture) => capture.status(path).map(|_| capture.names(path)).ok_or_else(|| io::ErrorKind::NotFound.into()),
        };
        // Do not record a folder that cannot be read: in the capture it would look empty.
        if names.is_ok() && self.recording.is_some() && self.status(path).is_some_and(|status| status.is_dir) {
            self.record(path, || Node::Directory);
        }
        Reading::of(names, path).map(|mut names| {
            names.sort_unstable();
            names
        })
    }

    /// The targets of the symbolic links in a directory which are wanted; only these are recorded.
    pub fn link_targets(&self, path: &str, is_wanted: impl Fn(&str) -> bool) -> Reading<Vec<String>> {
        let links = match &self.source {
            Source::Directory(directory) => directory.links(path, is_wanted),
            Source::Capture(capture) => capture.status(path).ok_or_else(|| io::ErrorKind::NotFound.into()).map(|_| {
                let link = |name: String| capture.link(&format!("{path}/{name}")).map(|target| (name, target));
                capture.names(path).into_iter().filter_map(link).filter(|(_, target)| is_wanted(target)).collect()
            }),
        };
        for (name, target) in links.iter().flatten() {
            self.record(&format!("{path}/{name}"), || Node::Link(target.clone()));
        }
        // It would look absent, and the process as if it had ended.
        if links.as_ref().is_ok_and(Vec::is_empty) {
            self.record(path, || Node::Directory);
        }
        Reading::of(links, path).map(|links| links.into_iter().map(|(_, target)| target).collect())
    }

    /// The first bytes of a file, at most `limit`.
    pub fn first_bytes(&self, path: &str, limit: usize) -> io::Result<Vec<u8>> {
        let bytes = self.read_unrecorded(path, limit)?;
        self.record(path, || Node::File(bytes.to_vec()));
        Ok(Rc::unwrap_or_clone(bytes))
    }

    /// The relevant part of a long text file; only this part is recorded.
    /// `None` if the file is missing or unreadable.
    pub fn excerpt(&self, path: &str, pick: impl FnOnce(&str) -> String) -> Option<String> {
        let part = pick(&String::from_utf8_lossy(&self.read_unrecorded(path, FILE_BYTES).ok()?));
        self.record(path, || Node::File(part.clone().into_bytes()));
        Some(part)
    }

    /// What a search finds in a very long text file with sorted lines; only this is recorded. `None` if the file is missing
    /// or unreadable.
    pub fn sorted(&self, path: &str, mut search: impl LineSearch) -> Option<String> {
        let mut found = Vec::new();
        match &self.source {
            Source::Directory(directory) => directory.sorted(path, FILE_BYTES, &mut search, &mut found).ok()?,
            Source::Capture(capture) => {
                let _ = search.pick(capture.read(path).ok()?, &mut found);
            }
        }
        self.record(path, || Node::File(found.clone()));
        Some(text_of(found))
    }

    /// The relevant part of a log; only this part is recorded. `/dev/kmsg` is read up to its present end, without
    /// waiting for new records.
    pub fn log(&self, path: &str, pick: impl FnOnce(&str) -> String) -> io::Result<String> {
        let bytes = match &self.source {
            Source::Directory(directory) => directory.read_log(path, FILE_BYTES)?,
            Source::Capture(capture) => capture.read(path)?.to_vec(),
        };
        let part = pick(&String::from_utf8_lossy(&bytes));
        self.record_known(path, Node::File(part.clone().into_bytes()), None);
        Ok(part)
    }

    /// The target of a symbolic link, unresolved; `None` if it is not a link.
    pub fn link(&self, path: &str) -> Option<String> {
        let target = self.link_unrecorded(path)?;
        self.record(path, || Node::Link(target.clone()));
        Some(target)
    }

    /// The last component of the target of a symbolic link.
    pub fn link_name(&self, path: &str) -> Option<String> {
        resolve::last_component(&self.link(path)?)
    }

    /// The names in a directory, sorted; empty if it is missing or unreadable.
    pub fn names(&self, path: &str) -> Vec<String> {
        self.entries(path).known().unwrap_or_default()
    }

    /// The metadata of a path, following links; `None` if it is missing or not accessible.
    pub fn status(&self, path: &str) -> Option<Status> {
        let status = self.status_unrecorded(path)?;
        let node = if status.is_dir { Node::Directory } else { Node::Unread(status.size) };
        self.record_known(path, node, Some(status));
        Some(status)
    }

    pub fn exists(&self, path: &str) -> bool {
        self.status(path).is_some()
    }

    /// The path with all symbolic links resolved; `None` if there is a loop.
    pub fn real_path(&self, path: &str) -> Option<String> {
        resolve::resolve(path, true, |link| self.link(link))
    }

    /// Identifies a file or block device; equal for all its names, including hard links and loop devices. Absent on a
    /// recorded host, where no two names are the same file.
    pub fn identity(&self, path: &str) -> Reading<String> {
        match &self.source {
            Source::Directory(directory) => Reading::of(directory.identity(path), path).map(|identity| identity.to_string()),
            Source::Capture(_) => Reading::Absent,
        }
    }

    /// When a path was created or last changed (the change time of its inode), in seconds since 1970; `None` if it is
    /// missing, and in a capture.
    pub fn changed(&self, path: &str) -> Option<u64> {
        self.directory()?.changed(path).ok()?.try_into().ok()
    }

    /// The free space in the file system of a path; `None` in a capture.
    pub fn free_bytes(&self, path: &str) -> Option<u64> {
        self.directory()?.free_bytes(path).ok()
    }

    /// Whether a path exists; `None` if unknown, as where a parent folder is not accessible, or because the capture does not
    /// contain it.
    pub fn presence(&self, path: &str) -> Option<bool> {
        match &self.source {
            Source::Directory(directory) => match directory.status(path) {
                // Whatever links in a circle lead to does not exist.
                Err(error) if Errno::from_io_error(&error) == Some(Errno::LOOP) => Some(false),
                status => match Reading::of(status, path) {
                    Reading::Known(_) => Some(true),
                    Reading::Absent => Some(false),
                    Reading::Unknown(_) => None,
                },
            },
            Source::Capture(capture) => capture.status(path).map(|_| true),
        }
    }

    /// Whether there is a path of this name, whatever it leads to; `None` if unknown.
    pub fn is_named(&self, path: &str) -> Option<bool> {
        match &self.source {
            Source::Directory(directory) => match Reading::of(directory.is_named(path), path) {
                Reading::Known(()) => Some(true),
                Reading::Absent => Some(false),
                Reading::Unknown(_) => None,
            },
            Source::Capture(capture) => Some(capture.status(path).is_some() || capture.link(path).is_some()),
        }
    }

    /// Announces that a path's status, link and text up to `limit` will be asked for: [at one moment](Root::at_one_moment), one
    /// open serves for all.
    pub fn look(&self, path: &str, limit: usize) {
        if let Some(directory) = self.directory() {
            directory.look(path, limit);
        }
    }

    /// The POSIX access control list of a path, in the kernel's encoding; `None` if it has none.
    pub fn access_list(&self, path: &str) -> Option<Vec<u8>> {
        self.directory()?.access_list(path)
    }

    /// The directory; `None` for a capture.
    fn directory(&self) -> Option<&Directory> {
        match &self.source {
            Source::Directory(directory) => Some(directory),
            Source::Capture(_) => None,
        }
    }

    fn read_unrecorded(&self, path: &str, limit: usize) -> io::Result<Rc<Vec<u8>>> {
        match &self.source {
            Source::Directory(directory) => directory.read(path, limit),
            Source::Capture(capture) => capture.read(path).map(|bytes| Rc::new(bytes[..bytes.len().min(limit)].to_vec())),
        }
    }

    fn status_unrecorded(&self, path: &str) -> Option<Status> {
        match &self.source {
            Source::Directory(directory) => directory.status(path).ok(),
            Source::Capture(capture) => capture.status(path),
        }
    }

    fn link_unrecorded(&self, path: &str) -> Option<String> {
        match &self.source {
            Source::Directory(directory) => directory.link(path).ok(),
            Source::Capture(capture) => capture.link(path),
        }
    }

    fn record(&self, path: &str, node: impl FnOnce() -> Node) {
        if self.recording.is_some() {
            self.record_known(path, node(), self.status_unrecorded(path));
        }
    }

    /// Records an entry at its real path, and every link that leads there.
    fn record_known(&self, path: &str, node: Node, status: Option<Status>) {
        let Some(recording) = &self.recording else { return };
        let follow_last = !matches!(node, Node::Link(_));
        let resolved = resolve::resolve(path, follow_last, |link| {
            let target = self.link_unrecorded(link)?;
            recording.borrow_mut().add(link, Node::Link(target.clone()), None);
            Some(target)
        });
        if let Some(place) = resolved {
            recording.borrow_mut().add(&place, node, status.map(|status| status.mode));
        }
    }
}
