//! Files that a domain will use: whether they exist, their format, and whether QEMU's user can access them.

use super::firmware::firmwares;
use super::uses;
use crate::model::{BEGINNING, FileFacts, Files, LONGEST_CHAIN, Reading, SYSTEMD, format_by_content, leads, named_by};
use crate::root::{Root, Status};

const QEMU_USERS: [&str; 2] = ["libvirt-qemu", "qemu"];

/// The file that may set QEMU's user; on many distributions only root can read it.
pub(super) const QEMU_CONF: &str = "/etc/libvirt/qemu.conf";

/// Facts about these paths and about the installed firmwares.
pub fn files(root: &Root, paths: &[String]) -> Files {
    let account = qemu_account(root);
    let facts = paths.iter().map(|path| facts(root, path, account.as_ref())).collect();
    Files {
        firmwares: firmwares(root),
        facts,
        complete: !root.is_capture(),
        uses: uses::read(root),
        networks: None,
        systemd: runs_systemd(root),
        assumed_user: account.as_ref().and_then(|_| root.reading(QEMU_CONF).unknown().map(str::to_owned)),
        qemu_user: account.map(|account| account.name),
        pools: Vec::new(),
    }
}

/// Whether the host runs systemd (`sd_booted(3)`); unknown for a capture.
pub fn runs_systemd(root: &Root) -> Option<bool> {
    (!root.is_capture()).then(|| root.exists(SYSTEMD))
}

/// The owner of a folder, by name.
pub fn owner(root: &Root, folder: &str) -> Option<String> {
    let status = root.status(folder).filter(|status| status.is_dir)?;
    let its = |account: &Vec<String>| account.get(2).is_some_and(|uid| uid.parse() == Ok(status.uid));
    records(root, "/etc/passwd")?.into_iter().find(its).and_then(|account| account.into_iter().next())
}

/// The home folder of an account.
pub fn home(root: &Root, user: &str) -> Option<String> {
    let account = records(root, "/etc/passwd")?.into_iter().find(|account| account.first().is_some_and(|name| name == user))?;
    account.into_iter().nth(5).filter(|home| home.starts_with('/'))
}

/// The parent folders of a path that QEMU's user cannot access. Before libvirt is installed, there is no such user yet:
/// then those that are closed to others.
pub fn closed_to_qemu(root: &Root, path: &str) -> Vec<String> {
    let later = || Account { name: String::new(), uid: u32::MAX, gids: Vec::new() };
    match qemu_user(root) {
        Some(user) if user.uid == 0 => Vec::new(),
        user => closed_folders(root, path, &user.unwrap_or_else(later)),
    }
}

/// The fields of each line of a file such as /etc/passwd.
fn records(root: &Root, path: &str) -> Option<Vec<Vec<String>>> {
    let text = root.text(path).ok()?;
    Some(text.lines().map(|line| line.split(':').map(str::to_owned).collect()).collect())
}

fn facts(root: &Root, path: &str, account: Option<&Account>) -> FileFacts {
    let status = root.status(path);
    let beginning = status.filter(|status| !status.is_dir && !status.is_stream).map(|_| root.first_bytes(path, BEGINNING));
    let (beginning, unread) = match beginning {
        Some(Ok(bytes)) => (Some(bytes), None),
        // A capture contains only the size of most files.
        Some(Err(_)) if root.is_capture() => (None, None),
        Some(Err(error)) => (None, Some(error.to_string())),
        None => (None, None),
    };
    let format = beginning.map(|bytes| format_by_content(&bytes));
    let below = format.filter(|format| *format != "raw").map(|_| below(root, path)).unwrap_or_default();
    FileFacts {
        path: path.to_owned(),
        exists: root.presence(path),
        is_dir: status.is_some_and(|status| status.is_dir),
        is_stream: status.is_some_and(|status| status.is_stream),
        is_block_device: status.and_then(|status| status.is_block_device),
        sector: status.filter(|status| status.is_block_device != Some(false)).and_then(|_| uses::sector_of(root, path)),
        is_up: is_up(root, path),
        size: status.map(|status| status.size),
        format: format.map(str::to_owned),
        names: outside(root, path, &below),
        names_unknown: below.unknown.filter(|_| !root.is_capture()),
        unread,
        in_use: uses::use_of(root, path),
        closed_folders: account.map(|account| closed_folders(root, path, account)).unwrap_or_default(),
    }
}

/// Whether a network interface is up: `IFF_UP`, bit 0 of its flags (linux/if.h). Unknown where the flags are not recorded.
fn is_up(root: &Root, path: &str) -> Option<bool> {
    let name = path.strip_prefix("/sys/class/net/").filter(|name| !name.contains('/'))?;
    let flags = root.text(&format!("/sys/class/net/{name}/flags")).ok()?;
    Some(u32::from_str_radix(flags.trim().strip_prefix("0x")?, 16).ok()? & 1 == 1)
}

/// The files that an image refers to, directly or through other images.
#[derive(Default)]
struct ReferencedFiles {
    /// Files and devices, under the names with which QEMU opens them.
    files: Vec<String>,
    /// What only QEMU's block drivers can open, as written.
    others: Vec<String>,
    /// Why some of them are unknown.
    unknown: Option<String>,
}

/// The backing files and data files that the headers of an image and of its backing chain name. A relative name is looked
/// up in the folder of the name with which the image is opened, and in the folder of the file behind a symbolic link.
fn below(root: &Root, path: &str) -> ReferencedFiles {
    let mut below = ReferencedFiles::default();
    let mut open: Vec<(String, Option<String>)> = vec![(path.to_owned(), None)];
    while let Some((image, stated)) = open.pop() {
        // A raw disk has no backing file, even if its guest wrote a header.
        let names = match root.status(&image) {
            _ if stated.as_deref() == Some("raw") => continue,
            Some(status) if status.is_dir || status.is_stream => Reading::Unknown(format!("{image} is not an image")),
            _ => Reading::of(root.first_bytes(&image, BEGINNING), &image).and_then(|beginning| {
                let format = stated.unwrap_or_else(|| format_by_content(&beginning).to_owned());
                named_by(&format, &|limit| root.first_bytes(&image, limit))
                    .map_err(|because| format!("the files that {image} names are unknown: {because}"))
            }),
        };
        let names = match names {
            Reading::Known(names) => names,
            Reading::Absent => continue,
            Reading::Unknown(because) => {
                below.unknown = Some(because);
                continue;
            }
        };
        for named in names {
            let led = leads(&named.name);
            below.others.extend(led.others.iter().map(|_| named.name.clone()));
            for lead in led.files {
                for place in places(root, &image, &lead.path) {
                    if !below.files.contains(&place) && below.files.len() < LONGEST_CHAIN {
                        open.push((place.clone(), named.format.clone().or_else(|| lead.format.clone())));
                        below.files.push(place);
                    }
                }
            }
        }
    }
    below
}

/// The possible paths of a file that an image names.
fn places(root: &Root, image: &str, name: &str) -> Vec<String> {
    if name.starts_with('/') {
        return vec![name.to_owned()];
    }
    let beside = |path: &str| path.rsplit_once('/').map(|(folder, _)| format!("{folder}/{name}"));
    let by_name = beside(image).filter(|place| root.presence(place) != Some(false));
    let mut places: Vec<String> = by_name.into_iter().chain(root.real_path(image).and_then(|real| beside(&real))).collect();
    places.dedup();
    places
}

/// The referenced files outside the image's own folder; a name that is not a plain path is returned as written.
fn outside(root: &Root, path: &str, below: &ReferencedFiles) -> Vec<String> {
    let folder = |path: &str| path.rsplit_once('/').map_or_else(String::new, |(folder, _)| folder.to_owned());
    // A path with a symlink loop is returned unchanged.
    let real = |path: &str| root.real_path(path).unwrap_or_else(|| path.to_owned());
    let own = folder(&real(path));
    let mut names: Vec<String> = below.files.iter().map(|file| real(file)).filter(|file| folder(file) != own).collect();
    names.extend(below.others.iter().cloned());
    names.sort();
    names.dedup();
    names
}

/// The backing files and data files of an image, and the reason if some of them are unknown.
pub fn backing_chain(root: &Root, path: &str) -> (Vec<String>, Option<String>) {
    let ReferencedFiles { files, others, unknown } = below(root, path);
    let unknown = unknown.or_else(|| others.first().map(|name| format!("{path} refers to {name}")));
    (files, unknown)
}

/// The format of an image; `None` if it cannot be read.
pub fn image_format(root: &Root, path: &str) -> Option<&'static str> {
    root.status(path).filter(|status| !status.is_dir)?;
    root.first_bytes(path, BEGINNING).ok().map(|bytes| format_by_content(&bytes))
}

/// The user and the groups of QEMU processes.
pub(super) struct Account {
    name: String,
    pub(super) uid: u32,
    pub(super) gids: Vec<u32>,
}

/// The user in `qemu.conf`, else the distribution's default, also if that file cannot be read
/// ([`Files::assumed_user`]); `None` if it has no account or is root.
pub(super) fn qemu_account(root: &Root) -> Option<Account> {
    qemu_user(root).filter(|user| user.uid != 0)
}

/// The same, if it is root too.
fn qemu_user(root: &Root) -> Option<Account> {
    let conf = root.reading(QEMU_CONF).known().unwrap_or_default();
    let configured = conf.lines().find_map(|line| line.trim().strip_prefix("user")?.trim_start().strip_prefix('='));
    let configured = configured.map(|value| value.trim().trim_matches(['"', '\'', '+']).to_owned());
    let accounts = records(root, "/etc/passwd")?;
    let names: Vec<String> = configured.map_or_else(|| QEMU_USERS.map(str::to_owned).to_vec(), |name| vec![name]);
    let entry = names.iter().find_map(|name| accounts.iter().find(|entry| entry.first() == Some(name) || entry.get(2) == Some(name)))?;
    let (name, uid, gid) = (entry.first()?.clone(), entry.get(2)?.parse().ok()?, entry.get(3)?.parse().ok()?);
    let groups = records(root, "/etc/group").unwrap_or_default();
    let member = |entry: &&Vec<String>| entry.get(3).is_some_and(|members| members.split(',').any(|member| member == name));
    let mut gids: Vec<u32> = groups.iter().filter(member).filter_map(|entry| entry.get(2)?.parse().ok()).collect();
    gids.push(gid);
    Some(Account { name, uid, gids })
}

/// The parent folders of a path that an account cannot access.
fn closed_folders(root: &Root, path: &str, account: &Account) -> Vec<String> {
    let folders = path.match_indices('/').skip(1).map(|(at, _)| &path[..at]);
    let closed = |folder: &&str| root.status(folder).is_some_and(|status| !may_pass(status, root.access_list(folder).as_deref(), account));
    folders.filter(closed).map(str::to_owned).collect()
}

/// Whether an account has execute permission on a folder, according to its mode and its access control list.
fn may_pass(status: Status, access_list: Option<&[u8]>, account: &Account) -> bool {
    const EXECUTE: u32 = 1;
    if status.uid == account.uid {
        return status.mode >> 6 & EXECUTE != 0;
    }
    if let Some(entries) = access_list.and_then(acl_entries) {
        return acl_allows(&entries, status, account);
    }
    let bits = if account.gids.contains(&status.gid) { status.mode >> 3 } else { status.mode };
    bits & EXECUTE != 0
}

/// An entry of a POSIX access control list: tag, permission bits, user or group id.
type AclEntry = (u16, u16, u32);

/// Parses the kernel's encoding (`include/uapi/linux/posix_acl_xattr.h`): a version, then entries of 8 bytes.
fn acl_entries(list: &[u8]) -> Option<Vec<AclEntry>> {
    let entries = list.strip_prefix(&2_u32.to_le_bytes())?;
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0_u32, |value, byte| value << 8 | u32::from(*byte));
    let entry =
        |bytes: &[u8]| Some((u16::try_from(number(&bytes[..2])).ok()?, u16::try_from(number(&bytes[2..4])).ok()?, number(&bytes[4..8])));
    entries.chunks_exact(8).map(entry).collect()
}

fn acl_allows(entries: &[AclEntry], status: Status, account: &Account) -> bool {
    // ACL_USER, ACL_GROUP_OBJ, ACL_GROUP, ACL_MASK, ACL_OTHER of posix_acl.h.
    const USER: u16 = 0x02;
    const GROUP_OBJ: u16 = 0x04;
    const GROUP: u16 = 0x08;
    const MASK: u16 = 0x10;
    const OTHER: u16 = 0x20;
    let execute = |permissions: u16| permissions & 1 != 0;
    let mask = entries.iter().find(|(tag, ..)| *tag == MASK).is_none_or(|(_, permissions, _)| execute(*permissions));
    if let Some((_, permissions, _)) = entries.iter().find(|(tag, _, id)| *tag == USER && *id == account.uid) {
        return execute(*permissions) && mask;
    }
    let of_group =
        |tag: u16, id: u32| (tag == GROUP_OBJ && account.gids.contains(&status.gid)) || (tag == GROUP && account.gids.contains(&id));
    let mut groups = entries.iter().filter(|(tag, _, id)| of_group(*tag, *id)).peekable();
    if groups.peek().is_some() {
        return groups.any(|(_, permissions, _)| execute(*permissions)) && mask;
    }
    entries.iter().any(|(tag, permissions, _)| *tag == OTHER && execute(*permissions))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(mode: u32) -> Status {
        Status {
            is_dir: true,
            is_stream: false,
            is_character_device: false,
            is_block_device: Some(false),
            mode,
            uid: 1000,
            gid: 1000,
            size: 0,
        }
    }

    #[test]
    fn who_may_pass() {
        let account = Account { name: "qemu".into(), uid: 107, gids: vec![107, 36] };
        assert!(may_pass(folder(0o755), None, &account));
        assert!(!may_pass(folder(0o750), None, &account));
        assert!(may_pass(Status { gid: 36, ..folder(0o750) }, None, &account));
        assert!(!may_pass(Status { uid: 107, ..folder(0o077) }, None, &account));
        let acl = |user: u16, mask: u16| {
            let entry = |tag: u16, permissions: u16, id: u32| {
                [tag.to_le_bytes().to_vec(), permissions.to_le_bytes().to_vec(), id.to_le_bytes().to_vec()].concat()
            };
            [
                2_u32.to_le_bytes().to_vec(),
                entry(1, 7, u32::MAX),
                entry(2, user, 107),
                entry(4, 0, u32::MAX),
                entry(0x10, mask, u32::MAX),
                entry(0x20, 0, u32::MAX),
            ]
            .concat()
        };
        assert!(may_pass(folder(0o750), Some(&acl(1, 1)), &account));
        assert!(!may_pass(folder(0o750), Some(&acl(1, 0)), &account));
        assert!(!may_pass(folder(0o750), Some(&acl(4, 7)), &account));
    }
}
