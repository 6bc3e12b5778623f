//! A directory that is opened once for several short reads in it: the path to a device of sysfs is long, and leads over a link.

use std::os::fd::OwnedFd;

use rustix::fs::{self, Mode, OFlags};

use super::directory::{ATTRIBUTE_BYTES, beginning, text_of};
use super::reader::Root;
use super::resolve::last_component;
use crate::model::Reading;

/// A directory of the host, which can be absent.
pub struct Folder<'a> {
    root: &'a Root,
    path: String,
    /// `None` where each read goes by its whole path.
    opened: Option<OwnedFd>,
}

impl<'a> Folder<'a> {
    pub fn open(root: &'a Root, path: String) -> Self {
        let opened = root.below(&path);
        Self { root, path, opened }
    }

    /// An attribute of sysfs, as [`Root::attribute_reading`].
    pub fn attribute_reading(&self, name: &str) -> Reading<String> {
        let read = |folder| {
            // A link could lead out of the tree.
            let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            beginning(&fs::openat(folder, name, flags, Mode::empty()).ok()?, ATTRIBUTE_BYTES).ok()
        };
        match self.opened.as_ref().and_then(read) {
            Some(bytes) => Reading::Known(text_of(bytes)),
            // Also for the reason why it cannot be read.
            None => self.root.attribute_reading(&self.within(name)),
        }
    }

    /// The last component of the target of a symbolic link, as [`Root::link_name`].
    pub fn link_name(&self, name: &str) -> Option<String> {
        let Some(folder) = &self.opened else { return self.root.link_name(&self.within(name)) };
        last_component(&text_of(fs::readlinkat(folder, name, Vec::new()).ok()?.into_bytes()))
    }

    fn within(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn reads_what_the_whole_paths_read() {
        let place = tempfile::tempdir().unwrap();
        let outside = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(outside.path(), "of another tree").unwrap();
        let device = place.path().join("devices/a");
        std::fs::create_dir_all(device.join("folder")).unwrap();
        std::fs::write(device.join("uevent"), "DRIVER=nouveau\n").unwrap();
        std::fs::write(place.path().join("inside"), "of this tree").unwrap();
        for (target, link) in [("/inside", "linked"), (outside.path().to_str().unwrap(), "leaves"), ("../../groups/7", "iommu_group")] {
            symlink(target, device.join(link)).unwrap();
        }
        symlink("devices/a", place.path().join("0")).unwrap();
        let root = || Root::open(place.path()).unwrap();
        let (now, moment, recording) = (root(), root().at_one_moment(), root().recording());
        for path in ["/0", "/devices/a", "/inside", "/missing"] {
            for root in [&now, &moment, &recording] {
                let folder = Folder::open(root, path.to_owned());
                for name in ["uevent", "linked", "leaves", "iommu_group", "folder", "missing"] {
                    let whole = format!("{path}/{name}");
                    assert_eq!(folder.attribute_reading(name), now.attribute_reading(&whole), "{whole}");
                    assert_eq!(folder.link_name(name), now.link_name(&whole), "{whole}");
                }
            }
        }
        let folder = Folder::open(&now, "/0".to_owned());
        assert_eq!(folder.attribute_reading("linked"), Reading::Known("of this tree".to_owned()));
        assert_eq!(folder.attribute_reading("leaves"), Reading::Absent);
        assert_eq!(folder.link_name("iommu_group").as_deref(), Some("7"));
        assert!(recording.into_capture().1.iter().any(|path| path.path == "/devices/a/uevent"));
    }
}
