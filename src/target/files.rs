//! Atomic writes of the host's files: each is the old one or the new one at any moment, and a replaced file
//! keeps its owner, its mode, its access control list and its labels.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use anyhow::{Error, Result};
use rustix::fs::{Gid, Mode, Uid, XattrFlags, fchmod, fchown, fgetxattr, flistxattr, fremovexattr, fsetxattr, fstat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::folder::Place;
use crate::problem::Problem;

/// The largest file that is read whole: several times the largest boot image.
const LARGEST: u64 = 2 << 30;
/// The kernel's maximum for all attribute names, and for one value (`XATTR_LIST_MAX`, `XATTR_SIZE_MAX`).
const LARGEST_ATTRIBUTE: usize = 64 << 10;
/// With these bits a program runs as another user or group.
const SET_ID: u32 = 0o6000;
const ACCESS_LIST: &str = "system.posix_acl_access";
/// The kernel regenerates these itself.
const OF_THE_KERNEL: [&str; 2] = ["security.ima", "security.evm"];

/// Extended attributes, by name.
pub(crate) type Attributes = Vec<(String, Vec<u8>)>;

/// A file as it is, or as it was.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) bytes: Vec<u8>,
    pub(crate) meta: Meta,
}

/// What a file has besides its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Meta {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Its access control list, labels and user attributes; `None` if they were not read, or for a new file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) attributes: Option<Attributes>,
}

/// The parts of a file's mode and attributes that were lost when it was rewritten.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use]
pub(crate) struct LostAttributes(Vec<String>);

impl LostAttributes {
    /// Reports them, if there are any.
    pub(crate) fn tell(&self, path: &str, tell: &dyn Fn(&str)) {
        if !self.0.is_empty() {
            tell(&format!("warning: not preserved in {path}: {}", self.0.join(", ")));
        }
    }
}

impl State {
    /// Reads a file; `None` if it does not exist.
    pub(crate) fn read(place: &Place) -> Result<Option<Self>> {
        let read = || {
            let Some(file) = place.open()? else { return Ok(None) };
            let status = fstat(&file)?;
            let mut bytes = Vec::new();
            (&file).take(LARGEST + 1).read_to_end(&mut bytes)?;
            if bytes.len() as u64 > LARGEST {
                return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it is longer than {} MiB", LARGEST >> 20)));
            }
            let (mode, uid, gid) = (status.st_mode & 0o7777, status.st_uid, status.st_gid);
            Ok(Some(Self { bytes, meta: Meta { mode, uid, gid, attributes: Some(attributes(&file)?) } }))
        };
        read().map_err(|error| told("read", &place.shown(), &error))
    }

    /// A new file, owned by the caller.
    pub(crate) fn new(text: &str, mode: u32) -> Self {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Self { bytes: text.as_bytes().to_vec(), meta: Meta { mode, uid, gid, attributes: None } }
    }

    pub(crate) fn digest(&self) -> String {
        digest(&self.bytes)
    }

    /// Its text, for people.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// Writes the file atomically; returns what was lost.
    pub(crate) fn put(&self, place: &Place) -> Result<LostAttributes> {
        let put = || {
            let new = place.beside()?;
            new.remove()?;
            let mut lost = LostAttributes(unkept(place)?);
            let written = self.write_to(&new, &mut lost).and_then(|()| new.rename(place.name()));
            if written.is_err() {
                // The error of the write is reported; the next write removes the temporary file.
                let _ = new.remove();
            }
            written.and_then(|()| place.folder().sync()).map(|()| lost)
        };
        put().map_err(|error| told("write", &place.shown(), &error))
    }

    fn write_to(&self, new: &Place, lost: &mut LostAttributes) -> io::Result<()> {
        let mut file = new.create(0o600)?;
        file.write_all(&self.bytes)?;
        let status = fstat(&file)?;
        let Meta { mode, uid, gid, attributes } = &self.meta;
        let mut mode = *mode;
        if (status.st_uid, status.st_gid) != (*uid, *gid) {
            fchown(&file, Some(Uid::from_raw(*uid)), Some(Gid::from_raw(*gid)))?;
        }
        if mode & SET_ID != 0 {
            mode &= !SET_ID;
            lost.0.push(format!("the set-id bits of its mode ({:o})", self.meta.mode));
        }
        for (name, value) in attributes.iter().flatten() {
            if !set(&file, name, value)? {
                lost.0.push(name.clone());
                if name == ACCESS_LIST {
                    // Without the list, the group bits of the mode apply to the group itself and are no longer the mask.
                    mode = mode & !0o070 | group_of(value) << 3;
                }
            }
        }
        if attributes.as_ref().is_some_and(|attributes| attributes.iter().all(|(name, _)| name != ACCESS_LIST)) {
            // It may have inherited one from the directory.
            match fremovexattr(&file, ACCESS_LIST) {
                Ok(()) | Err(Errno::NODATA | Errno::NOTSUP | Errno::PERM | Errno::ACCESS) => {}
                Err(error) => return Err(error.into()),
            }
        }
        fchmod(&file, Mode::from_raw_mode(mode))?;
        file.sync_all()
    }
}

/// Whether both have the same bytes, mode and owner, or both do not exist.
pub(crate) fn same(one: Option<&State>, other: Option<&State>) -> bool {
    let of = |state: &State| (state.meta.mode & !SET_ID, state.meta.uid, state.meta.gid);
    one.map(|state| &state.bytes) == other.map(|state| &state.bytes) && one.map(of) == other.map(of)
}

/// The same with the known attributes, so that nothing has to be written.
pub(crate) fn same_whole(one: Option<&State>, other: Option<&State>) -> bool {
    let attributes = |state: Option<&'_ State>| state.and_then(|state| state.meta.attributes.clone());
    same(one, other) && attributes(one).zip(attributes(other)).is_none_or(|(one, other)| one == other)
}

/// Whether an attribute is preserved when a file is rewritten. Capabilities are not: they raise a program's privileges.
fn is_kept(name: &str) -> bool {
    name == ACCESS_LIST || name == "security.selinux" || name == "security.SMACK64" || name.starts_with("user.")
}

/// What the kernel says of attributes; `None` if there are none, or the file system has none.
fn asked(ask: impl FnOnce(&mut [u8]) -> rustix::io::Result<usize>) -> io::Result<Option<Vec<u8>>> {
    let mut answer = vec![0_u8; LARGEST_ATTRIBUTE];
    match ask(&mut answer) {
        Ok(length) => answer.truncate(length),
        Err(Errno::NODATA | Errno::NOTSUP) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    Ok(Some(answer))
}

fn names_of(file: &File) -> io::Result<Vec<String>> {
    let names = asked(|names| flistxattr(file, names))?.unwrap_or_default();
    let names = names.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let mut names: Vec<String> = names.map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    names.sort_unstable();
    Ok(names)
}

fn value_of(file: &File, name: &str) -> io::Result<Option<Vec<u8>>> {
    asked(|value| fgetxattr(file, name, value))
}

fn attributes(file: &File) -> io::Result<Attributes> {
    let mut all = Attributes::new();
    for name in names_of(file)?.into_iter().filter(|name| is_kept(name)) {
        if let Some(value) = value_of(file, &name)? {
            all.push((name, value));
        }
    }
    Ok(all)
}

/// The attributes of a file that are lost when it is rewritten.
fn unkept(place: &Place) -> io::Result<Vec<String>> {
    let Some(file) = place.open()? else { return Ok(Vec::new()) };
    let mut names = names_of(&file)?;
    names.retain(|name| !is_kept(name) && !OF_THE_KERNEL.contains(&name.as_str()));
    Ok(names)
}

/// Sets an attribute; returns whether it is set.
fn set(file: &File, name: &str, value: &[u8]) -> io::Result<bool> {
    if !is_kept(name) {
        return Ok(false);
    }
    // If the file already has the label, no permission to set it is needed.
    if value_of(file, name).is_ok_and(|now| now.as_deref() == Some(value)) {
        return Ok(true);
    }
    match fsetxattr(file, name, value, XattrFlags::empty()) {
        Ok(()) => Ok(true),
        Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::IO | Errno::ROFS)) => Err(error.into()),
        Err(_) => Ok(false),
    }
}

/// What an access control list lets the file's group do (`include/uapi/linux/posix_acl_xattr.h`: a version, then
/// tag, permissions and identity of each entry).
fn group_of(list: &[u8]) -> u32 {
    const GROUP_OBJ: [u8; 2] = [4, 0];
    let entries = list.get(4..).unwrap_or_default().chunks_exact(8);
    entries.filter(|entry| entry[..2] == GROUP_OBJ).map(|entry| u32::from(entry[2] & 7)).next().unwrap_or(0)
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A readable error: what failed, where, and the remedy.
pub(crate) fn told(what: &str, place: &Path, error: &io::Error) -> Error {
    let remedy = match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => {
            "mount its file system writable, or change the configuration from which this host generates it"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "free space on its file system, and run this again"
        }
        io::ErrorKind::PermissionDenied => "run this as root; if root may not either, check what protects the file (lsattr, SELinux)",
        _ => "check what is at that path, correct it, and run this again",
    };
    Problem::new(format!("cannot {what} {}: {error}", place.display()), remedy).into()
}
