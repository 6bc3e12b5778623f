//! `--iommufd`: when it is written, what is said where it is not, and what libvirt's schema says of it.

#[path = "support/command.rs"]
mod command;

use std::fs;
use std::path::Path;
use std::process::Command;

use command::{Z170, run, vgapt};
use rustix::fs::{FileType, Mode, makedev, mknodat};
use vgapt::discovery::{self, Scope};
use vgapt::domain::{self, Base, Extras, IommufdMode, NewDomain, Origin, Record, Request, Resolved, Without};
use vgapt::model::{Files, Host, Iommufd, Libvirt, PciAddress, Reading, Severity, Uri};
use vgapt::root::Root;
use vgapt::xml::Document;

const ELEMENT: &str = "<iommufd enabled='yes'/>";
const NEW: Libvirt = Libvirt { version: Some(12_002_000), enlightenments: None, tpms: None, graphics: None, iommufd: Some(true) };
const OLD: Libvirt = Libvirt { version: Some(11_003_000), iommufd: None, ..NEW };

fn address(text: &str) -> PciAddress {
    text.parse().unwrap()
}

fn read(root: impl AsRef<Path>) -> Host {
    discovery::read(&Root::open(root.as_ref()).unwrap(), Scope::All)
}

/// The machine of the guide's author, where all that iommufd needs is there.
fn host() -> Host {
    let node = |function: &str| (address(function), Reading::Known("/dev/vfio/devices/vfio0".to_owned()));
    let nodes = ["01:00.0", "01:00.1"].map(node).into();
    Host { iommufd: Iommufd { iommu: Reading::Known(()), nodes, makes_nodes: Reading::Known(true) }, ..read(Z170) }
}

fn wish(mode: IommufdMode) -> Request {
    let extras = Extras { iommufd: Some(mode), ..Extras::default() };
    Request { gpu: vec!["01:00.0".parse().unwrap()], extras, ..Request::default() }
}

fn resolved(base: &Base, host: &Host, libvirt: &Libvirt) -> (String, Resolved) {
    let resolved = domain::resolve(base, host, &Files::default(), libvirt);
    (domain::merge(&base.domain, &resolved.spec).to_string(), resolved)
}

fn origin(xml: &str) -> Origin<'_> {
    Origin { domain: Document::parse(xml).unwrap(), name: "x", uri: Uri::DEFAULT, new: None }
}

fn define(xml: &str, host: &Host, request: &Request, libvirt: &Libvirt) -> (String, Resolved) {
    resolved(&Base::define(origin(xml), request, &Request::default()), host, libvirt)
}

fn new(host: &Host, request: &Request, libvirt: &Libvirt) -> (String, Resolved) {
    let origin = Origin { new: Some(NewDomain::default()), ..origin(domain::template("windows")) };
    resolved(&Base::define(origin, request, &Request::default()), host, libvirt)
}

fn of_iommufd(resolved: &Resolved) -> Vec<(&'static str, Severity)> {
    let findings = resolved.findings.iter().filter(|finding| finding.code.starts_with("iommufd"));
    findings.map(|finding| (finding.code, finding.severity)).collect()
}

#[test]
fn on_is_written_auto_only_where_all_is_known_and_nothing_by_itself() {
    let (on, said) = new(&host(), &wish(IommufdMode::On), &NEW);
    assert!(on.contains(ELEMENT) && of_iommufd(&said).is_empty(), "{:?}", of_iommufd(&said));
    let (auto, said) = new(&host(), &wish(IommufdMode::Auto), &NEW);
    assert!(auto.contains(ELEMENT) && of_iommufd(&said).is_empty());
    for request in [wish(IommufdMode::Off), Request { extras: Extras::default(), ..wish(IommufdMode::Off) }] {
        assert!(!new(&host(), &request, &NEW).0.contains("<iommufd"));
    }
    // What is unknown: on warns, auto leaves it out, and is no problem.
    let mut unread = host();
    unread.iommufd.iommu = Reading::Unknown("it was not read".to_owned());
    let (on, said) = new(&unread, &wish(IommufdMode::On), &NEW);
    assert!(on.contains(ELEMENT));
    assert_eq!(of_iommufd(&said), [("iommufd-unknown", Severity::Warning)]);
    let (auto, said) = new(&unread, &wish(IommufdMode::Auto), &NEW);
    assert!(!auto.contains("<iommufd") && of_iommufd(&said).is_empty());
    // What fails: on is refused.
    let mut without = host();
    without.iommufd.makes_nodes = Reading::Known(false);
    assert_eq!(of_iommufd(&new(&without, &wish(IommufdMode::On), &NEW).1), [("iommufd-not-possible", Severity::Blocked)]);
    assert!(!new(&without, &wish(IommufdMode::Auto), &NEW).0.contains("<iommufd"));
    // An older libvirt would drop the element: --force does not help.
    let (_, said) = new(&host(), &wish(IommufdMode::On), &OLD);
    assert!(of_iommufd(&said).contains(&("iommufd-not-possible", Severity::Error)));
}

#[test]
fn a_mediated_device_keeps_it_out_whoever_added_it() {
    let uuid = "c2177883-f1bb-47f0-914d-32a22e3a8804";
    let mut request = wish(IommufdMode::Auto);
    request.extras.mdev = vec![uuid.into()];
    assert!(!new(&host(), &request, &NEW).0.contains("<iommufd"));
    let by_hand = format!(
        "<domain><devices><hostdev mode='subsystem' type='mdev' model='vfio-pci'><source><address uuid='{uuid}'/></source></hostdev></devices></domain>"
    );
    let (xml, said) = define(&by_hand, &host(), &wish(IommufdMode::On), &NEW);
    assert!(xml.contains(ELEMENT) && of_iommufd(&said) == [("iommufd-not-possible", Severity::Blocked)]);
    // A request that takes the last one away.
    let (without, _) = new(&host(), &request, &NEW);
    let taken = Request { without: Without { no_mdev: true, ..Without::default() }, ..Request::default() };
    assert!(define(&without, &host(), &taken, &NEW).0.contains(ELEMENT));
}

#[test]
fn it_comes_and_goes_without_a_trace_and_what_others_wrote_stays() {
    let bytes = |xml: &str| xml.lines().filter(|line| !line.contains("vgapt:domain")).map(str::to_owned).collect::<Vec<_>>();
    let (off, _) = new(&host(), &wish(IommufdMode::Off), &NEW);
    let (on, _) = define(&off, &host(), &wish(IommufdMode::On), &NEW);
    assert!(on.contains(ELEMENT));
    for again in [wish(IommufdMode::On), Request::default()] {
        assert_eq!(define(&on, &host(), &again, &NEW).0, on, "a second merge changes nothing");
    }
    let mut off_again = Request::default();
    off_again.extras.iommufd = Some(IommufdMode::Off);
    assert_eq!(bytes(&define(&on, &host(), &off_again, &NEW).0), bytes(&off));
    // What a user wrote is said and left alone.
    for own in ["<iommufd enabled='no'/>", "<iommufd enabled='yes' fdgroup='iommu'/>"] {
        let xml = format!("<domain>\n  <name>x</name>\n  {own}\n  <devices/>\n</domain>\n");
        for mode in [IommufdMode::On, IommufdMode::Auto, IommufdMode::Off] {
            let (after, said) = define(&xml, &host(), &wish(mode), &NEW);
            assert_eq!(after.matches("<iommufd").count(), 1, "{after}");
            assert!(after.contains(own), "{after}");
            let is_said = of_iommufd(&said).contains(&("iommufd-not-ours", Severity::Warning));
            assert_eq!(is_said, mode != IommufdMode::Off);
        }
    }
    // An element that was changed by hand is no longer vgapt's.
    let changed = on.replace(ELEMENT, "<iommufd enabled='no'/>");
    assert!(define(&changed, &host(), &off_again, &NEW).0.contains("<iommufd enabled='no'/>"));
}

#[test]
fn attached_and_detached() {
    let before = "<domain>\n  <name>x</name>\n  <features>\n    <acpi/>\n  </features>\n  <devices>\n    <memballoon model='none'/>\n  </devices>\n</domain>\n";
    let (with, _) = resolved(&Base::attach(origin(before), &wish(IommufdMode::Auto)), &host(), &NEW);
    assert!(with.contains(ELEMENT), "{with}");
    let (after, _) = resolved(&Base::detach(origin(&with)), &host(), &NEW);
    assert!(!after.contains("iommufd") && !after.contains("hostdev"), "{after}");
}

#[test]
fn explained_with_each_condition() {
    let (xml, _) = new(&host(), &wish(IommufdMode::Auto), &NEW);
    let domain = Document::parse(&xml).unwrap();
    let record = Record::of(&domain).known().unwrap();
    let decision = domain::explain_iommufd(&domain, &record, &host(), &NEW).unwrap();
    assert!(decision.used && decision.conditions.iter().all(|condition| condition.holds == Some(true)), "{decision:#?}");
    let needs: Vec<&str> = decision.conditions.iter().map(|condition| condition.needs.as_str()).collect();
    assert!(needs.iter().any(|need| need.contains("01:00.1")), "{needs:?}");
    let later = domain::explain_iommufd(&domain, &record, &read(Z170), &OLD).unwrap();
    assert!(later.used && later.conditions[0].holds == Some(false), "{later:#?}");
    assert!(domain::explain(&domain, &record).iter().any(|reason| reason.element == "iommufd"));
}

/// The real commands; the test driver's libvirt is that of this machine.
#[test]
fn said_by_the_commands() {
    let on = |arguments: &str| run(&mut vgapt(["--root", Z170, "-c", "test:///default"].into_iter().chain(arguments.split(' '))));
    let auto = on("define new --gpu 01:00.0 --iommufd auto --dry-run").with(0);
    assert!(!auto.stdout.contains("<iommufd") && !auto.stderr.contains("--iommufd"), "nothing is known to hold: {}", auto.stderr);
    on("define new --gpu 01:00.0 --iommufd on --dry-run").saying(&["/dev/iommu", "--iommufd auto"]);
    let checked = on("-v check").stdout;
    assert!(checked.lines().any(|line| line.contains("iommufd") && line.contains("unknown")), "{checked}");
}

/// What a newer libvirt than this machine's accepts: its published schema (fixtures/schemas).
#[test]
fn the_schema_of_a_newer_libvirt_has_the_element() {
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/schemas/libvirt/domain.rng");
    let directory = tempfile::tempdir().unwrap();
    let validates = |xml: &str| {
        let file = directory.path().join("domain.xml");
        fs::write(&file, xml).unwrap();
        let output = Command::new("xmllint").args(["--noout", "--relaxng", schema]).arg(&file).output();
        let output = output.expect("xmllint is installed (tests/setup)");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (xml, _) = new(&host(), &wish(IommufdMode::On), &NEW);
    let (is_valid, said) = validates(&xml);
    assert!(xml.contains(ELEMENT) && is_valid, "{said}\n{xml}");
    let (is_valid, _) = validates(&xml.replace(ELEMENT, "<iommufd/>"));
    assert!(!is_valid, "the schema wants the attribute, so that it has looked at the element");
    let (elaborate, _) = define(include_str!("../fixtures/templates/elaborate.xml"), &host(), &wish(IommufdMode::On), &NEW);
    assert!(elaborate.contains(ELEMENT));
}

/// Nodes of a tree count only where they are character devices, and a capture keeps what they are.
#[test]
fn only_character_devices_count() {
    let tree = tempfile::tempdir().unwrap();
    let at = |path: &str| tree.path().join(path.trim_start_matches('/'));
    let sys = "/sys/bus/pci/devices/0000:01:00.0";
    for directory in ["/dev/vfio/devices", "/proc/sys/kernel", &format!("{sys}/vfio-dev/vfio7"), "/boot"] {
        fs::create_dir_all(at(directory)).unwrap();
    }
    fs::write(at(&format!("{sys}/class")), "0x030000\n").unwrap();
    fs::write(at("/proc/sys/kernel/osrelease"), "6.12.1\n").unwrap();
    let config = |option: &str| fs::write(at("/boot/config-6.12.1"), format!("CONFIG_VFIO=m\n{option}\n")).unwrap();
    let iommufd = || read(tree.path()).iommufd;
    let own = |iommufd: &Iommufd| iommufd.nodes[&address("01:00.0")].clone();
    config("# CONFIG_VFIO_DEVICE_CDEV is not set");
    assert_eq!(iommufd().makes_nodes, Reading::Known(false));
    config("CONFIG_VFIO_DEVICE_CDEV=y");
    assert_eq!(iommufd().makes_nodes, Reading::Known(true));
    fs::remove_file(at("/boot/config-6.12.1")).unwrap();
    // A tree has no device nodes of a running system: nothing follows from that.
    let seen = iommufd();
    assert!([seen.iommu.unknown(), seen.makes_nodes.unknown(), own(&seen).unknown()].iter().all(Option::is_some), "{seen:?}");
    for file in ["/dev/iommu", "/dev/vfio/devices/vfio7"] {
        fs::write(at(file), "").unwrap();
    }
    let seen = iommufd();
    assert_eq!((&seen.iommu, own(&seen)), (&Reading::Absent, Reading::Absent), "files are no device nodes");
    for (minor, file) in [(3, "/dev/iommu"), (5, "/dev/vfio/devices/vfio7")] {
        fs::remove_file(at(file)).unwrap();
        // Those of /dev/null and /dev/zero: only their kind counts.
        let made = mknodat(rustix::fs::CWD, at(file), FileType::CharacterDevice, Mode::RUSR, makedev(1, minor));
        if made.is_err() {
            assert!(!rustix::process::geteuid().is_root() || std::env::var_os("VGAPT_TEST_ALL").is_none(), "{made:?}");
            return;
        }
    }
    let seen = iommufd();
    assert_eq!((&seen.iommu, own(&seen)), (&Reading::Known(()), Reading::Known("/dev/vfio/devices/vfio7".to_owned())));
    assert_eq!(seen.makes_nodes, Reading::Known(true), "a kernel that made one makes them");
    let (capture, _) = discovery::capture(Root::open(tree.path()).unwrap());
    let file = tree.path().join("machine.host");
    fs::write(&file, capture.to_string()).unwrap();
    assert_eq!(read(&file).iommufd, seen);
}
