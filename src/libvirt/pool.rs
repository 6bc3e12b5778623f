//! A storage pool: its folder and its volumes.

use vgapt::hypervisor::{Pool, Volume};
use vgapt::xml::Document;
use virt::enumutil::Enum;
use virt::error::{Error, ErrorNumber};
use virt::storage_pool::StoragePool;

use super::pool_folder::folder;

/// A pool, and the reason if not everything about it is known.
///
/// # Errors
/// Where nothing is known about it.
pub(super) fn read(pool: &StoragePool) -> Result<(Pool, Option<String>), Error> {
    let text = pool.xml_desc(0)?;
    let mut known = Pool { name: pool.name()?, target: None, volumes: Vec::new() };
    let document = match Document::parse(&text) {
        Ok(document) => document,
        Err(what) => return Ok((known, Some(format!("its XML cannot be read: {what}")))),
    };
    let (target, is_folder) = folder(document.root());
    known.target = target;
    match volumes(pool, is_folder) {
        Ok(volumes) => Ok((Pool { volumes, ..known }, None)),
        Err(error) if error.code() == Enum::Known(ErrorNumber::NoStoragePool) => Err(error),
        Err(error) => Ok((known, Some(error.message().to_owned()))),
    }
}

/// The volumes of a pool. libvirt caches them; volumes that other programs created appear only after a refresh. A
/// failed refresh deactivates the pool, so a pool of a folder is not refreshed: its folder can be read directly.
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
