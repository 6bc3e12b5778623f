//! iommufd: a libvirt that knows the element takes it and tells QEMU, an older one is not given it. No system of these
//! tests has such a libvirt yet; its schema, in `fixtures/schemas`, judges the element in `tests/iommufd.rs`.

use super::DAEMON;
use super::guide_flags::native;
use super::libvirt::{Libvirt, have};

const DOMAIN: [&str; 8] = ["win10", "--gpu", "01:00.0", "--memory", "2G", "--cpus", "4", "--iommufd"];
const ELEMENT: &str = "<iommufd enabled='yes'/>";

#[test]
fn iommufd_as_this_libvirt_has_it() {
    if !have("iommufd on the QEMU driver", &DAEMON) {
        return;
    }
    let libvirt = Libvirt::daemon();
    let (version, _) = libvirt.versions();
    let asked = |mode| DOMAIN.into_iter().chain([mode]).collect::<Vec<_>>();
    if version < (12, 2) {
        libvirt.define_new(&asked("on")).with(1).saying(&["--iommufd on needs libvirt 12.2 or later"]);
        libvirt.define_new(&[&asked("on")[..], &["--force"]].concat()).with(1).saying(&["--iommufd on needs libvirt 12.2 or later"]);
        return;
    }
    // The recorded machine is older than iommufd's nodes: whether they are there is unknown, which keeps auto from it.
    libvirt.define_new(&asked("auto")).with(0);
    let without = libvirt.xml("win10");
    assert!(!without.contains("<iommufd"));
    // libvirt reports that it can be used only where /dev/iommu is there, which this system may lack.
    libvirt.vgapt(&["define", "win10", "--iommufd", "on", "--force"]).with(0).saying(&["/dev/iommu", "unknown"]);
    let with = libvirt.xml("win10");
    assert!(with.contains(ELEMENT), "{with}");
    libvirt.vgapt(&["define", "win10", "--iommufd", "on"]).with(0).saying(&["already up to date"]);
    let argv = native(&libvirt, &with).0;
    let has = |words: &str| argv.iter().any(|option| option.contains(words));
    assert!(has("\"qom-type\":\"iommufd\"") && has("\"iommufd\":\"iommufd0\""), "{argv:#?}");
    libvirt.vgapt(&["define", "win10", "--iommufd", "off"]).with(0);
    assert_eq!(libvirt.xml("win10"), without);
}
