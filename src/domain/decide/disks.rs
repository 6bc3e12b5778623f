//! The disks to add to a domain, and their formats.

use std::path::Path;

use super::present::present;
use crate::domain::base::Base;
use crate::domain::request::Request;
use crate::domain::request::extras::DiskCache;
use crate::domain::spec::Disk;
use crate::domain_xml;
use crate::model::{Files, format_by_name};
use crate::xml::Document;

/// The disks to write: those of the request if it changes the disks; if it changes only their format, those that
/// the domain has now.
pub(crate) fn disks(base: &Base, wanted: &Request, files: &Files) -> Option<Vec<Disk>> {
    if base.differs(|request| request.disk.clone()) {
        return Some(wanted.disk.iter().map(|path| disk(path, base, wanted, files)).collect());
    }
    let format_differs = wanted.extras.disk_format.is_some() && base.differs(|request| request.extras.disk_format);
    let now = format_differs.then(|| present(&base.domain, wanted).0.disk)?;
    // A disk that was removed manually, or has another kind of source now, is not added again as a side effect.
    (now.len() == wanted.disk.len()).then(|| now.iter().map(|path| disk(path, base, wanted, files)).collect())
}

/// A disk with its format: the requested format, else the one stated in the domain, else raw for a device
/// or a file named so, else the format of its content. `checks::files::disk` reports if
/// name and content disagree.
fn disk(path: &str, base: &Base, wanted: &Request, files: &Files) -> Disk {
    let stated = wanted.extras.disk_format.map(|format| format.word().to_owned());
    let stated = stated.or_else(|| stated_format(&base.domain, path));
    let is_device = path.starts_with("/dev/");
    let by_name = if is_device { Some("raw") } else { format_by_name(Path::new(path)) };
    // For libvirt, a LUKS disk has the format raw.
    let by_content = files.of(path).and_then(|facts| facts.format.as_deref()).map(|format| if format == "luks" { "raw" } else { format });
    let concluded = match (by_name, by_content) {
        (Some("raw"), _) => "raw",
        (_, Some(content)) => content,
        // The name does not tell: use the guide's format.
        (by_name, None) => by_name.unwrap_or("qcow2"),
    };
    // The default for a device is none; the default for a file is the guide's.
    let usual = if is_device { DiskCache::None } else { DiskCache::Writeback };
    let cache = wanted.extras.disk_cache.unwrap_or(usual);
    Disk { path: path.to_owned(), cache, is_stated: stated.is_some(), format: stated.unwrap_or_else(|| concluded.to_owned()) }
}

/// The format that a domain states of the disk at a path; `None` where it has no such disk.
fn stated_format(domain: &Document, path: &str) -> Option<String> {
    let mut disks = domain_xml::disks(domain.root()).filter(|disk| matches!(disk.kind.as_str(), "disk" | "lun"));
    disks.find(|disk| disk.path() == Some(path))?.format
}
