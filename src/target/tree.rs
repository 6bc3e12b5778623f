//! The host that is changed: the running system, or a directory tree in its place.
//!
//! Only here a path of the host becomes a file of this machine, and only here it is decided whether a command
//! is run. The kernel resolves each path beneath the root, once; further operations use names in the directory
//! that was opened.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, open, openat, readlinkat};
use rustix::io::Errno;

use super::files::{self, LostAttributes, State};
use super::folder::{Folder, Place};
use super::owner::own_folder;
use crate::locks;
use crate::problem::Problem;
use crate::root::open_beneath;
use crate::run::{self, ProgramOutput};

/// How many links the kernel follows before it returns `ELOOP`.
const MOST_LINKS: usize = 40;
/// The longest path that the kernel accepts (`PATH_MAX`).
const LONGEST_PATH: usize = 4096;

/// The host that is changed.
#[derive(Debug, Clone)]
pub struct Target {
    root: PathBuf,
    /// `None` for a capture, which cannot be changed.
    fd: Option<Arc<OwnedFd>>,
    live: bool,
    /// Whether the kernel can confine path resolution to a directory (`openat2`).
    beneath: bool,
}

/// While it exists, no other vgapt changes this host.
pub struct Lock(#[expect(dead_code, reason = "closing it is what unlocks")] OwnedFd);

impl Target {
    /// Opens the directory that is the host's root. On the running system commands are run; elsewhere they are only
    /// recorded.
    pub fn open(root: &Path, live: bool) -> Result<Self> {
        let fd = match open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(fd) => Some(fd),
            Err(Errno::NOTDIR) => None,
            Err(error) => return Err(error).with_context(|| format!("cannot open {}", root.display())),
        };
        let beneath = fd.as_ref().is_some_and(|fd| !matches!(open_beneath(fd, ".", OFlags::PATH), Err(Errno::NOSYS)));
        Ok(Self { root: root.to_owned(), fd: fd.map(Arc::new), live, beneath })
    }

    /// Whether it is the running system.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Whether it is a capture, which cannot be changed.
    pub fn is_capture(&self) -> bool {
        self.fd.is_none()
    }

    /// Locks this host, so that no other vgapt of this user changes it; no file is left in its tree.
    pub fn lock(&self) -> Result<Lock> {
        let cannot = || format!("cannot open {}", self.root.display());
        let directory = openat(self.fd()?, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let directory = directory.with_context(cannot)?;
        let status = fstat(&directory).with_context(cannot)?;
        // Any user could lock the directory itself. It is used only if this user has no folder for locks.
        let file = locks::open(&format!("host\0{}:{}", status.st_dev, status.st_ino)).map_or(directory, OwnedFd::from);
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Lock(file)),
            Err(Errno::WOULDBLOCK) => Err(Problem::new(
                format!("another vgapt is changing {} at the moment", self.root.display()),
                "wait until it has finished, and run this again",
            )
            .into()),
            Err(error) => Err(error).with_context(|| format!("cannot lock {}", self.root.display())),
        }
    }

    /// Runs a command of the host; `None` in a tree, where running it would change this machine instead.
    pub(crate) fn run(&self, argv: &[String]) -> Result<Option<ProgramOutput>> {
        if self.live { run::output(argv).map(Some) } else { Ok(None) }
    }

    /// Reads the file at a path; `None` if there is none.
    pub(crate) fn read(&self, path: &str) -> Result<Option<State>> {
        let place = self.done("read", path, self.place(path))?;
        place.map_or(Ok(None), |place| State::read(&place))
    }

    /// Writes a file atomically; returns what of the previous one was lost.
    pub(crate) fn put(&self, path: &str, state: &State) -> Result<LostAttributes> {
        let place = self.place(path).map_err(|error| files::told("write", &self.shown(path), &error))?;
        state.put(&place)
    }

    /// Removes a file, with what an interrupted write left next to it; no error if there is none.
    pub(crate) fn remove(&self, path: &str) -> Result<()> {
        self.at(path, "remove", |place| {
            place.beside()?.remove()?;
            place.remove()?;
            place.folder().sync()
        })
    }

    /// Removes what an interrupted write left next to a file.
    pub(crate) fn clean_up(&self, path: &str) -> Result<()> {
        self.at(path, "clean up beside", |place| place.beside()?.remove())
    }

    /// Creates a directory, with this mode from the beginning. No error if it exists.
    pub(crate) fn make_directory(&self, path: &str, mode: u32) -> Result<()> {
        let made = self.place(path).and_then(|place| match place.make_directory(mode) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && self.open_folder(path).is_ok() => Ok(()),
            Err(error) => Err(error),
            Ok(()) => place.folder().sync(),
        });
        made.map_err(|error| files::told("create the directory", &self.shown(path), &error))
    }

    /// Removes a directory if it is empty.
    pub(crate) fn remove_directory(&self, path: &str) -> Result<()> {
        self.at(path, "remove", |place| if place.remove_directory()? { place.folder().sync() } else { Ok(()) })
    }

    /// Writes a sysfs or procfs attribute, in one write. In a tree it is an ordinary file, which may be linked or
    /// mounted from elsewhere, so it is replaced by a new one.
    pub(crate) fn set_attribute(&self, path: &str, value: &str) -> Result<()> {
        if self.live {
            let set = self.place(path).and_then(|place| place.set_attribute(value));
            return set.map_err(|error| files::told(&format!("write {value} into"), &self.shown(path), &error));
        }
        let before = self.read(path)?.with_context(|| format!("{} does not exist", self.shown(path).display()))?;
        // Attributes that are lost matter only for the kernel's own files.
        let _: LostAttributes = self.put(path, &State { bytes: value.as_bytes().to_vec(), ..before })?;
        Ok(())
    }

    /// Flushes a file that another program wrote to the disk.
    pub(crate) fn sync(&self, path: &str) -> Result<()> {
        self.at(path, "write", |place| {
            if let Some(file) = place.open()? {
                file.sync_all()?;
            }
            place.folder().sync()
        })
    }

    /// Whether something exists at a path.
    pub(crate) fn exists(&self, path: &str) -> Result<bool> {
        let status = self.done("read", path, self.place(path).and_then(|place| place.status()))?;
        Ok(status.flatten().is_some())
    }

    /// A directory; `None` where there is none.
    pub(crate) fn folder(&self, path: &str) -> Result<Option<Folder>> {
        self.done("read", path, self.open_folder(path))
    }

    /// A directory of vgapt's own records; `None` where there is none. An error if it does not belong to the caller: its
    /// contents decide what is written.
    pub(crate) fn own_folder(&self, path: &str) -> Result<Option<Folder>> {
        let folder = self.folder(path)?;
        folder.iter().try_for_each(own_folder)?;
        Ok(folder)
    }

    /// A path of this host with symbolic links resolved; unchanged if that fails.
    pub(crate) fn real(&self, path: &str) -> String {
        let of = |fd: BorrowedFd<'_>| std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).ok();
        let real = || {
            let place = self.place(path).ok()?;
            let below = of(place.folder().as_fd())?.strip_prefix(of(self.fd().ok()?)?).ok()?.join(place.name());
            Some(format!("/{}", below.display()))
        };
        real().unwrap_or_else(|| path.to_owned())
    }

    /// The path on this machine, for messages.
    pub(crate) fn shown(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Does something at a path; nothing if its directory does not exist.
    fn at(&self, path: &str, what: &str, act: impl FnOnce(&Place) -> io::Result<()>) -> Result<()> {
        self.done(what, path, self.place(path).and_then(|place| act(&place))).map(|_| ())
    }

    /// What was done at a path, with a readable error; `None` if there is no such directory.
    fn done<T>(&self, what: &str, path: &str, done: io::Result<T>) -> Result<Option<T>> {
        match done {
            Ok(done) => Ok(Some(done)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(files::told(what, &self.shown(path), &error)),
        }
    }

    /// The opened directory of a path, and the last name. If that name is a link, its target is resolved the same way,
    /// beneath the root.
    pub(crate) fn place(&self, path: &str) -> io::Result<Place> {
        if !path.starts_with('/') || path.split('/').any(|name| name == "..") {
            return Err(invalid(path, "is not an absolute path without '..'"));
        }
        let mut path = path.to_owned();
        for _ in 0..=MOST_LINKS {
            let (above, name) = path.trim_end_matches('/').rsplit_once('/').ok_or_else(|| invalid(&path, "names no file"))?;
            let folder = self.open_folder(if above.is_empty() { "/" } else { above })?;
            let place = folder.place(name)?;
            match readlinkat(folder.as_fd(), name, Vec::new()) {
                Err(Errno::INVAL | Errno::NOENT) => return Ok(place),
                Err(error) => return Err(error.into()),
                Ok(target) => {
                    let target = target.into_string().map_err(|_| invalid(&path, "is a link to a name that is not UTF-8"))?;
                    path = if target.starts_with('/') { target } else { format!("{above}/{target}") };
                    if path.len() > LONGEST_PATH {
                        return Err(Errno::NAMETOOLONG.into());
                    }
                }
            }
        }
        Err(Errno::LOOP.into())
    }

    fn fd(&self) -> io::Result<BorrowedFd<'_>> {
        let recorded = || io::Error::new(io::ErrorKind::Unsupported, "a capture cannot be changed");
        self.fd.as_ref().map(|fd| fd.as_fd()).ok_or_else(recorded)
    }

    fn open_folder(&self, path: &str) -> io::Result<Folder> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = if self.beneath {
            open_beneath(self.fd()?, path, flags)?
        } else if self.live {
            openat(self.fd()?, path, flags, Mode::empty())?
        } else {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this kernel cannot keep symbolic links inside the tree: that needs openat2, which Linux has since 5.6",
            ));
        };
        Ok(Folder::new(fd, self.shown(path)))
    }
}

fn invalid(path: &str, what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("'{path}' {what}"))
}
