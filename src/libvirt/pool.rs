//! A storage pool: its folder and its volumes.

use vgapt::hypervisor::{Pool, Volume};
use vgapt::xml::{Document, Element};
use virt::enumutil::Enum;
use virt::error::{Error, ErrorNumber};
use virt::storage_pool::StoragePool;

/// The kinds of pools whose volumes are the files of a folder: whoever wants to know them looks into
/// the folder, also where the pool is not active.
const OF_FOLDERS: [&str; 5] = ["dir", "fs", "netfs", "gluster-fuse", "vstorage"];

/// What is known of a pool, and whether that is all.
///
/// # Errors
/// Where nothing is known of it.
pub(super) fn read(pool: &StoragePool) -> Result<(Pool, Result<(), Error>), Error> {
    let text = pool.xml_desc(0)?;
    let document = Document::parse(&text).ok();
    let root = document.as_ref().map(Document::root);
    let target = root.and_then(|root| root.at("target/path")).map(Element::text).map(str::to_owned);
    let is_folder = root.and_then(|root| root.attribute("type")).is_some_and(|kind| OF_FOLDERS.contains(&&*kind));
    let mut known = Pool { name: pool.name()?, target, volumes: Vec::new() };
    let complete = volumes(pool, is_folder && known.target.is_some()).map(|volumes| known.volumes = volumes);
    Ok((known, complete))
}

/// The volumes of a pool. libvirt remembers them; those that came by other hands show after a refresh. A
/// refresh that fails deactivates the pool, so a pool of a folder, into which anybody can look, gets none.
fn volumes(pool: &StoragePool, is_folder: bool) -> Result<Vec<Volume>, Error> {
    if is_folder && !pool.is_active()? {
        return Ok(Vec::new());
    }
    if !is_folder {
        pool.refresh(0)?;
    }
    let mut volumes = Vec::new();
    for volume in pool.list_all_volumes(0)? {
        match volume.name().and_then(|name| Ok(Volume { name, path: volume.path()? })) {
            Ok(volume) => volumes.push(volume),
            // It was deleted between the listing and the question.
            Err(error) if error.code() == Enum::Known(ErrorNumber::NoStorageVolume) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(volumes)
}
