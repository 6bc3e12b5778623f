//! The last request, updated with the domain's present disks: a clone has its own disks, and `vgapt disk swap` or a
//! manual edit changes them.

use crate::domain::alias;
use crate::domain::request::Request;
use crate::domain_xml::{Source, device_with_alias};
use crate::xml::{Document, Element};

/// The last request with the disks and CDs that the domain has now, and messages about the differences.
pub fn present(domain: &Document, asked: &Request) -> (Request, Vec<String>) {
    let mut request = asked.clone();
    let mut changed = Vec::new();
    request.disk.clear();
    for (index, path) in asked.disk.iter().enumerate() {
        let name = format!("{}{index}", alias::DISK);
        request.disk.extend(now(domain, &name, "disk", path, &mut changed));
    }
    let cdroms = [("install", &mut request.cdrom), ("virtio", &mut request.virtio_iso)];
    for (name, image) in cdroms {
        if let Some(path) = image.take() {
            *image = now(domain, &format!("{}{name}", alias::CDROM), "CD", &path, &mut changed);
        }
    }
    (request, changed)
}

/// The present path of one of vgapt's disks; `None` if it has no path.
fn now(domain: &Document, name: &str, what: &str, asked: &str, changed: &mut Vec<String>) -> Option<String> {
    let Some(device) = device_with_alias(domain.root(), name) else {
        changed.push(format!("the {what} {asked} was requested, but was removed manually"));
        return None;
    };
    match Source::of(device).as_ref().and_then(Source::path).map(str::to_owned) {
        Some(path) if path == asked => Some(path),
        Some(path) => {
            changed.push(format!("the {what} {asked} was requested, but the domain has {path}"));
            Some(path)
        }
        None => {
            let source = device.child("source").map(Element::attribute_names).into_iter().flatten().collect::<Vec<_>>().join(", ");
            let has = if source.is_empty() { "no medium".to_owned() } else { format!("a source without a path ({source})") };
            changed.push(format!("the {what} {asked} was requested, but the domain has {has}"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_has_its_own() {
        let text = "<domain><devices><disk><source file='/b'/><alias name='ua-vgapt-disk-0'/></disk>
            <disk type='volume'><source pool='p' volume='v'/><alias name='ua-vgapt-disk-1'/></disk>
            <disk device='cdrom'><alias name='ua-vgapt-cdrom-install'/></disk></devices></domain>";
        let asked = Request { disk: vec!["/a".into(), "/c".into(), "/d".into()], cdrom: Some("/i".into()), ..Request::default() };
        let (request, changed) = present(&Document::parse(text).unwrap(), &asked);
        assert_eq!((request.disk, request.cdrom), (vec!["/b".to_owned()], None));
        assert_eq!(
            changed,
            [
                "the disk /a was requested, but the domain has /b",
                "the disk /c was requested, but the domain has a source without a path (pool, volume)",
                "the disk /d was requested, but was removed manually",
                "the CD /i was requested, but the domain has no medium"
            ]
        );
    }
}
