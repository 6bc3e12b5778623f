//! Where a host is read from, and what of it was read.

use std::cell::RefCell;
use std::io;
use std::path::Path;

use super::capture::{Capture, Kept, Node};
use super::directory::{ATTRIBUTE_BYTES, Directory};
use super::resolve;
use super::status::Status;
use crate::model::Reading;

/// The longest file that is read: ten times the largest real one (`pci.ids`, `/proc/cpuinfo` of 2,000 CPUs).
const FILE_BYTES: usize = 16 << 20;

/// Where a host is read from.
pub struct Root {
    source: Source,
    /// What was read so far, while a capture is being made.
    recording: Option<RefCell<Capture>>,
}

enum Source {
    Directory(Directory),
    Capture(Capture),
}

impl Root {
    /// Opens a directory, or a file that [`Capture`] wrote.
    ///
    /// # Errors
    /// Where it is neither, or cannot be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let source = if std::fs::metadata(path)?.is_dir() {
            Source::Directory(Directory::open(path)?)
        } else {
            Source::Capture(Capture::load(path)?)
        };
        Ok(Self { source, recording: None })
    }

    /// The same root, noting down what is read from now on.
    #[must_use]
    pub fn recording(self) -> Self {
        Self { recording: Some(RefCell::default()), ..self }
    }

    /// What was read since [`Root::recording`], as far as it may be passed on, and what that is.
    pub fn into_capture(self) -> (Capture, Vec<Kept>) {
        self.recording.map(RefCell::into_inner).unwrap_or_default().redacted()
    }

    /// Whether this is the running system itself.
    pub fn is_live(&self) -> bool {
        matches!(&self.source, Source::Directory(directory) if directory.is_slash())
    }

    /// Whether this is a recorded machine, which has only what was read when it was recorded.
    pub fn is_capture(&self) -> bool {
        matches!(self.source, Source::Capture(_))
    }

    /// A short one-line file, trimmed; `None` where it is missing, empty or unreadable.
    pub fn attribute(&self, path: &str) -> Option<String> {
        let bytes = self.first_bytes(path, ATTRIBUTE_BYTES).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// A text file; bytes that are not UTF-8 become replacement characters.
    ///
    /// # Errors
    /// Where it is missing, unreadable, no file, or longer than 16 MiB.
    pub fn text(&self, path: &str) -> io::Result<String> {
        let bytes = self.first_bytes(path, FILE_BYTES + 1)?;
        if bytes.len() > FILE_BYTES {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("{path} is longer than {} MiB", FILE_BYTES >> 20)));
        }
        Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// A text file, with the difference between one that is absent and one that cannot be read.
    pub fn reading(&self, path: &str) -> Reading<String> {
        Reading::of(self.text(path), path)
    }

    /// The names in a directory, sorted, with the difference between one that is absent and one that cannot be read.
    pub fn entries(&self, path: &str) -> Reading<Vec<String>> {
        let names = match &self.source {
            Source::Directory(directory) => directory.names(path),
            Source::Capture(capture) => capture.status(path).map(|_| capture.names(path)).ok_or_else(|| io::ErrorKind::NotFound.into()),
        };
        // A capture in which a closed folder stood would have it as an empty one.
        if names.is_ok() && self.recording.is_some() && self.status(path).is_some_and(|status| status.is_dir) {
            self.record(path, |status| (Node::Directory, status));
        }
        Reading::of(names, path).map(|mut names| {
            names.sort_unstable();
            names
        })
    }

    /// The beginning of a file, at most `limit` bytes.
    ///
    /// # Errors
    /// Where it is missing, unreadable, or no file.
    pub fn first_bytes(&self, path: &str, limit: usize) -> io::Result<Vec<u8>> {
        let bytes = self.read_unrecorded(path, limit)?;
        self.record(path, |status| (Node::File(bytes.clone()), status));
        Ok(bytes)
    }

    /// The part of a long text file that matters; a recording keeps only that.
    /// `None` where the file is missing or unreadable.
    pub fn excerpt(&self, path: &str, pick: impl FnOnce(&str) -> String) -> Option<String> {
        let bytes = self.read_unrecorded(path, FILE_BYTES).ok()?;
        let part = pick(&String::from_utf8_lossy(&bytes));
        self.record(path, |status| (Node::File(part.clone().into_bytes()), status));
        Some(part)
    }

    /// The part of a log that matters; a recording keeps only that. Of `/dev/kmsg` what the kernel
    /// holds now is read, and no new record is waited for.
    ///
    /// # Errors
    /// Where it is missing or unreadable.
    pub fn log(&self, path: &str, pick: impl FnOnce(&str) -> String) -> io::Result<String> {
        let bytes = match &self.source {
            Source::Directory(directory) => directory.read_log(path, FILE_BYTES)?,
            Source::Capture(capture) => capture.read(path)?.to_vec(),
        };
        let part = pick(&String::from_utf8_lossy(&bytes));
        self.record_known(path, Node::File(part.clone().into_bytes()), None);
        Ok(part)
    }

    /// Where a symbolic link leads, as it is written; `None` where there is no link.
    pub fn link(&self, path: &str) -> Option<String> {
        let target = self.link_unrecorded(path)?;
        self.record(path, |status| (Node::Link(target.clone()), status));
        Some(target)
    }

    /// The last component of where a symbolic link leads.
    pub fn link_name(&self, path: &str) -> Option<String> {
        let target = self.link(path)?;
        target.rsplit('/').next().filter(|name| !name.is_empty()).map(str::to_owned)
    }

    /// The names in a directory, sorted; none where it is missing or unreadable.
    pub fn names(&self, path: &str) -> Vec<String> {
        self.entries(path).known().unwrap_or_default()
    }

    /// What is known of a path, links followed; `None` where it is missing or out of reach.
    pub fn status(&self, path: &str) -> Option<Status> {
        let status = match &self.source {
            Source::Directory(directory) => directory.status(path).ok()?,
            Source::Capture(capture) => capture.status(path)?,
        };
        let node = if status.is_dir { Node::Directory } else { Node::Unread(status.size) };
        self.record_known(path, node, Some(status));
        Some(status)
    }

    /// Whether there is something at a path.
    pub fn exists(&self, path: &str) -> bool {
        self.status(path).is_some()
    }

    /// Where a path really lies, the links on the way followed; `None` where they go round in circles.
    pub fn real_path(&self, path: &str) -> Option<String> {
        resolve::resolve(path, true, |link| self.link(link))
    }

    /// What is the same for all names of one file, hard links and a loop device too, and of one block device; absent in a recorded
    /// machine, where no two names are one file.
    pub fn identity(&self, path: &str) -> Reading<String> {
        match &self.source {
            Source::Directory(directory) => Reading::of(directory.identity(path), path).map(|identity| identity.to_string()),
            Source::Capture(_) => Reading::Absent,
        }
    }

    /// When what is at a path came there, or was last changed (its inode's change time), in seconds since
    /// 1970; `None` where it is missing, and in a recorded machine.
    pub fn changed(&self, path: &str) -> Option<u64> {
        match &self.source {
            Source::Directory(directory) => directory.changed(path).ok().and_then(|seconds| seconds.try_into().ok()),
            Source::Capture(_) => None,
        }
    }

    /// What is free in the file system that a path lies in; `None` in a recorded machine.
    pub fn free_bytes(&self, path: &str) -> Option<u64> {
        match &self.source {
            Source::Directory(directory) => directory.free_bytes(path).ok(),
            Source::Capture(_) => None,
        }
    }

    /// Whether there is something at a path; `None` where that cannot be told: a folder on the way
    /// is closed to us, or the machine is a recorded one and it was not recorded.
    pub fn presence(&self, path: &str) -> Option<bool> {
        match &self.source {
            Source::Directory(directory) => match directory.status(path) {
                Ok(_) => Some(true),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => None,
                Err(_) => Some(false),
            },
            Source::Capture(capture) => capture.status(path).map(|_| true),
        }
    }

    /// The POSIX access control list of a path, as the kernel encodes it; `None` where it has none.
    pub fn access_list(&self, path: &str) -> Option<Vec<u8>> {
        match &self.source {
            Source::Directory(directory) => directory.access_list(path),
            Source::Capture(_) => None,
        }
    }

    fn read_unrecorded(&self, path: &str, limit: usize) -> io::Result<Vec<u8>> {
        match &self.source {
            Source::Directory(directory) => directory.read(path, limit),
            Source::Capture(capture) => capture.read(path).map(|bytes| bytes[..bytes.len().min(limit)].to_vec()),
        }
    }

    fn link_unrecorded(&self, path: &str) -> Option<String> {
        match &self.source {
            Source::Directory(directory) => directory.link(path).ok(),
            Source::Capture(capture) => capture.link(path),
        }
    }

    fn record(&self, path: &str, entry: impl FnOnce(Option<Status>) -> (Node, Option<Status>)) {
        if self.recording.is_none() {
            return;
        }
        let status = match &self.source {
            Source::Directory(directory) => directory.status(path).ok(),
            Source::Capture(capture) => capture.status(path),
        };
        let (node, status) = entry(status);
        self.record_known(path, node, status);
    }

    /// Notes an entry down at its real place, and every link that leads there.
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
