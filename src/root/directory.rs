//! A host's file tree in a directory of this machine.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

use rustix::buffer::spare_capacity;
use rustix::fs::{self, AtFlags, Dir, Mode, OFlags, RawDir, ResolveFlags};
use rustix::io::Errno;

use super::once::Once;
use super::resolve::LONGEST;
use super::sorted::{self, LineSearch};
use super::status::Status;
use crate::model::{Identity, file_of_loop};

/// The maximum length of a sysfs attribute: one page.
pub(super) const ATTRIBUTE_BYTES: usize = 4096;

/// A directory taken as the root of all paths.
pub(super) struct Directory {
    fd: OwnedFd,
    is_slash: bool,
    /// `None` where each read is a new one.
    once: Option<Box<Once>>,
}

impl Directory {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let fd = fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let is_slash = std::fs::canonicalize(path)? == Path::new("/");
        Ok(Self { fd, is_slash, once: None })
    }

    /// The same directory, of which each path is read once.
    pub(super) fn at_one_moment(self) -> Self {
        Self { once: Some(Box::default()), ..self }
    }

    pub(super) fn is_slash(&self) -> bool {
        self.is_slash
    }

    pub(super) fn read(&self, path: &str, limit: usize) -> io::Result<Rc<Vec<u8>>> {
        let read = || self.read_now(path, limit).map(|bytes| known(bytes, limit));
        let serves = |(_, read): &(_, usize)| limit <= *read;
        let (bytes, _) = match &self.once {
            Some(once) => once.files.or_ask(path, serves, read),
            None => read(),
        }?;
        if bytes.len() <= limit { Ok(bytes) } else { Ok(Rc::new(bytes[..limit].to_vec())) }
    }

    /// Opens a path once for what would be three opens: whether it is a link, its status, its text up to `limit`. Where each
    /// read is a new one, and where it is a link or closed, nothing is kept, and each is asked for by itself.
    pub(super) fn look(&self, path: &str, limit: usize) {
        let Some(once) = self.once.as_ref().filter(|once| !once.statuses.has(path)) else { return };
        let file = match self.at(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW) {
            Ok(file) => file,
            Err(error) => {
                if let Some(missing) = error.raw_os_error().filter(|number| *number == Errno::NOENT.raw_os_error()) {
                    once.links.keep(path, Err(missing));
                    once.statuses.keep(path, Err(missing));
                    once.files.keep(path, Err(missing));
                }
                return;
            }
        };
        let Ok(status) = status_of(&file) else { return };
        once.links.keep(path, Err(Errno::INVAL.raw_os_error()));
        once.statuses.keep(path, Ok(status));
        if status.is_dir || status.is_stream || status.size > limit as u64 || once.files.has(path) {
            return;
        }
        // Files of /proc have no length.
        let length = usize::try_from(status.size).ok().filter(|length| *length > 0).unwrap_or(limit);
        if let Ok(bytes) = beginning(&file, length) {
            once.files.keep(path, Ok(known(bytes, limit)));
        }
    }

    fn read_now(&self, path: &str, limit: usize) -> io::Result<Vec<u8>> {
        // O_NONBLOCK: do not block on a named pipe in a tree.
        beginning(&self.at(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?, limit)
    }

    /// A directory below, for [`super::folder::Folder`].
    pub(super) fn below(&self, path: &str) -> io::Result<OwnedFd> {
        self.at(path, OFlags::PATH | OFlags::DIRECTORY)
    }

    /// Adds what a search finds in a file with sorted lines.
    pub(super) fn sorted(&self, path: &str, limit: usize, search: &mut impl LineSearch, found: &mut Vec<u8>) -> io::Result<()> {
        let file = File::from(self.at(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?);
        let length = file.metadata()?.len().min(limit as u64);
        sorted::read(&file, length, search, found)
    }

    /// The last bytes of a file, and whether there are more before them.
    pub(super) fn read_end(&self, path: &str, limit: usize) -> io::Result<(Vec<u8>, bool)> {
        let mut file = File::from(self.at(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?);
        let from = file.metadata()?.len().saturating_sub(limit as u64);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(limit as u64).read_to_end(&mut bytes)?;
        Ok((bytes, from > 0))
    }

    /// Reads a log record by record, as the kernel requires; records that are overwritten meanwhile are skipped.
    pub(super) fn read_log(&self, path: &str, limit: usize) -> io::Result<Vec<u8>> {
        /// The longest record of `/dev/kmsg` (`PRINTK_MESSAGE_MAX` of kernel/printk/internal.h), generously.
        const RECORD: usize = 16 << 10;
        let log = self.at(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
        let (mut bytes, mut record) = (Vec::new(), vec![0; RECORD]);
        while bytes.len() < limit {
            match rustix::io::read(&log, record.as_mut_slice()) {
                Ok(0) | Err(Errno::AGAIN) => break,
                Ok(length) => bytes.extend_from_slice(&record[..length]),
                Err(Errno::PIPE | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(bytes)
    }

    pub(super) fn link(&self, path: &str) -> io::Result<String> {
        match &self.once {
            Some(once) => once.links.or_ask(path, |_| true, || self.link_now(path)),
            None => self.link_now(path),
        }
    }

    fn link_now(&self, path: &str) -> io::Result<String> {
        let link = self.at(path, OFlags::PATH | OFlags::NOFOLLOW)?;
        // ENOENT: it is there, and no link.
        let target = fs::readlinkat(&link, "", Vec::new()).map_err(|error| if error == Errno::NOENT { Errno::INVAL } else { error })?;
        Ok(text_of(target.into_bytes()))
    }

    pub(super) fn names(&self, path: &str) -> io::Result<Vec<String>> {
        match &self.once {
            Some(once) => once.names.or_ask(path, |_| true, || self.names_now(path)),
            None => self.names_now(path),
        }
    }

    fn names_now(&self, path: &str) -> io::Result<Vec<String>> {
        let directory = self.at(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut names = Vec::new();
        for entry in Dir::new(directory)? {
            let name = text_of(entry?.file_name().to_bytes().to_vec());
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// The symbolic links in a directory with a target that is wanted, as names and targets. One call for each link: a process
    /// may have many thousand open files. A link that is gone by now is none; one that cannot be read is an error, unless
    /// others are wanted.
    pub(super) fn links(&self, path: &str, is_wanted: impl Fn(&str) -> bool) -> io::Result<Vec<(String, String)>> {
        let directory = self.at(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let (mut links, mut unread) = (Vec::new(), None);
        let (mut entries, mut target) = (Vec::with_capacity(32 << 10), [MaybeUninit::uninit(); LONGEST]);
        let mut entries = RawDir::new(&directory, entries.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            match fs::readlinkat_raw(&directory, entry.file_name(), target.as_mut_slice()) {
                Ok((target, _)) => {
                    let target = String::from_utf8_lossy(target);
                    if is_wanted(&target) {
                        links.push((entry.file_name().to_string_lossy().into_owned(), target.into_owned()));
                    }
                }
                // EINVAL: it is not a link.
                Err(Errno::NOENT | Errno::INVAL) => {}
                Err(error) => unread = Some(error),
            }
        }
        unread.filter(|_| links.is_empty()).map_or(Ok(links), |error| Err(error.into()))
    }

    pub(super) fn is_named(&self, path: &str) -> io::Result<()> {
        match self.link(path) {
            Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) => Ok(()),
            link => link.map(drop),
        }
    }

    pub(super) fn status(&self, path: &str) -> io::Result<Status> {
        match &self.once {
            Some(once) => once.statuses.or_ask(path, |_| true, || self.status_now(path)),
            None => self.status_now(path),
        }
    }

    fn status_now(&self, path: &str) -> io::Result<Status> {
        status_of(&self.at(path, OFlags::PATH)?)
    }

    pub(super) fn identity(&self, path: &str) -> io::Result<Identity> {
        let of = |path: &str| -> io::Result<(Identity, Option<String>)> {
            let stat = fs::statat(self.at(path, OFlags::PATH)?, "", AtFlags::EMPTY_PATH)?;
            let is_block_device = fs::FileType::from_raw_mode(stat.st_mode) == fs::FileType::BlockDevice;
            let behind = is_block_device.then(|| file_of_loop(fs::major(stat.st_rdev), fs::minor(stat.st_rdev)));
            Ok((Identity::of(is_block_device, stat.st_rdev, stat.st_dev, stat.st_ino), behind))
        };
        let read = |attribute: &str| self.read(attribute, ATTRIBUTE_BYTES).map(|text| String::from_utf8_lossy(&text).into_owned());
        Identity::behind_loops(of(path)?, read, |file| of(file))
    }

    pub(super) fn changed(&self, path: &str) -> io::Result<i64> {
        Ok(fs::statat(self.at(path, OFlags::PATH)?, "", AtFlags::EMPTY_PATH)?.st_ctime)
    }

    pub(super) fn free_bytes(&self, path: &str) -> io::Result<u64> {
        let place = self.at(path, OFlags::RDONLY | OFlags::NONBLOCK)?;
        let system = fs::fstatvfs(&place)?;
        Ok(system.f_bavail.saturating_mul(system.f_frsize))
    }

    pub(super) fn access_list(&self, path: &str) -> Option<Vec<u8>> {
        let file = self.at(path, OFlags::RDONLY | OFlags::NONBLOCK).ok()?;
        let mut list = vec![0_u8; 4096];
        let length = fs::fgetxattr(&file, "system.posix_acl_access", list.as_mut_slice()).ok()?;
        list.truncate(length);
        Some(list)
    }

    /// Opens a path with this directory as its `/`: no `..` and no link leads out of it.
    fn at(&self, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        match open_beneath(&self.fd, path, flags) {
            // Linux before 5.6 has no openat2: links of a hostile tree can lead out of it there.
            Err(Errno::NOSYS) => {
                let relative = path.trim_start_matches('/');
                let relative = if relative.is_empty() { "." } else { relative };
                Ok(fs::openat(&self.fd, relative, flags | OFlags::CLOEXEC, Mode::empty())?)
            }
            result => Ok(result?),
        }
    }
}

fn status_of(file: &OwnedFd) -> io::Result<Status> {
    let stat = fs::statat(file, "", AtFlags::EMPTY_PATH)?;
    let kind = fs::FileType::from_raw_mode(stat.st_mode);
    Ok(Status {
        is_dir: kind.is_dir(),
        is_character_device: kind.is_char_device(),
        is_block_device: Some(kind.is_block_device()),
        is_stream: kind.is_fifo() || kind.is_socket() || kind.is_char_device(),
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        size: u64::try_from(stat.st_size).unwrap_or(0),
    })
}

/// What was read of a file, and for which limits it is the answer: where fewer bytes came, they are all that there are.
fn known(mut bytes: Vec<u8>, limit: usize) -> (Rc<Vec<u8>>, usize) {
    let serves = if bytes.len() < limit { usize::MAX } else { limit };
    // What is kept would else take a page for each small file.
    bytes.shrink_to_fit();
    (Rc::new(bytes), serves)
}

/// A text of the host's; bytes that are not UTF-8 become replacement characters.
pub(super) fn text_of(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// The bytes of a file, at most `limit`.
pub(super) fn beginning(file: &OwnedFd, limit: usize) -> io::Result<Vec<u8>> {
    // Most files are short.
    let mut bytes = Vec::with_capacity(limit.min(ATTRIBUTE_BYTES));
    loop {
        let read = match rustix::io::read(file, spare_capacity(&mut bytes)) {
            Err(Errno::INTR) => continue,
            result => result?,
        };
        // An attribute fits into one page, so a short read means its end.
        if read == 0 || bytes.len() >= limit || (limit <= ATTRIBUTE_BYTES && bytes.len() < bytes.capacity()) {
            break;
        }
        if bytes.len() == bytes.capacity() {
            bytes.reserve(bytes.len().max(64 << 10));
        }
    }
    bytes.truncate(limit);
    Ok(bytes)
}

/// Opens a path with a directory as its `/`: no `..` and no link leads out of it.
///
/// # Errors
/// Those of openat2(2); `NOSYS` before Linux 5.6.
pub fn open_beneath(root: impl AsFd, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    // EAGAIN: something was renamed meanwhile, so that the kernel cannot exclude that `..` led out of the tree.
    let open = || fs::openat2(&root, path, flags | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::IN_ROOT);
    let opened = (0..128).map(|_| open()).find(|opened| !matches!(opened, Err(Errno::AGAIN)));
    opened.unwrap_or(Err(Errno::AGAIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_one_moment_each_path_is_read_once() {
        let place = tempfile::tempdir().unwrap();
        let write = |text: &str| std::fs::write(place.path().join("file"), text).unwrap();
        let open = || Directory::open(place.path()).unwrap();
        let (now, moment) = (open(), open().at_one_moment());
        write("first, and more");
        // An attribute is the beginning of a file.
        assert_eq!(*moment.read("/file", 5).unwrap(), b"first");
        assert_eq!(*moment.read("/file", 100).unwrap(), b"first, and more");
        assert!(moment.names("/folder").is_err());
        write("second");
        std::fs::create_dir(place.path().join("folder")).unwrap();
        assert_eq!(*moment.read("/file", 100).unwrap(), b"first, and more");
        assert_eq!(*moment.read("/file", 5).unwrap(), b"first");
        assert_eq!(moment.names("/folder").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(*now.read("/file", 100).unwrap(), b"second");
        assert!(now.names("/folder").is_ok());
    }

    #[test]
    fn a_look_tells_what_each_question_would_have_been_told() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        std::fs::create_dir(at("folder")).unwrap();
        for (name, length) in [("file", 5), ("empty", 0), ("long", 9000), ("longer", 10_001)] {
            std::fs::write(at(name), "x".repeat(length)).unwrap();
        }
        for (name, target) in [("link", "file"), ("dangling", "nowhere"), ("circle", "circle"), ("way", "folder")] {
            std::os::unix::fs::symlink(target, at(name)).unwrap();
        }
        fs::mknodat(fs::CWD, at("pipe"), fs::FileType::Fifo, Mode::from(0o600), 0).unwrap();
        let text = |error: io::Error| error.to_string();
        let names =
            ["file", "empty", "long", "longer", "link", "dangling", "circle", "way", "way/file", "pipe", "folder", "missing", "file/below"];
        for name in names {
            let path = format!("/{name}");
            let (now, looked) = (Directory::open(place.path()).unwrap(), Directory::open(place.path()).unwrap().at_one_moment());
            looked.look(&path, 10_000);
            looked.look(&path, 10_000);
            assert_eq!(looked.is_named(&path).map_err(text), now.is_named(&path).map_err(text), "{name}");
            assert_eq!(looked.status(&path).map_err(text), now.status(&path).map_err(text), "{name}");
            assert_eq!(looked.link(&path).map_err(text), now.link(&path).map_err(text), "{name}");
            for limit in [3, 10_000, 20_000] {
                assert_eq!(looked.read(&path, limit).map_err(text), now.read(&path, limit).map_err(text), "{name} {limit}");
            }
        }
    }
}
