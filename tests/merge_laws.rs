//! Law 1: what vgapt does not own comes out byte for byte as it went in, and a second merge changes nothing.

use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use vgapt::discovery::{self, Scope};
use vgapt::domain::{self, Base, Cpus, Display, Extras, NewDomain, Origin, Request, Tuning};
use vgapt::model::{Files, Host, Libvirt, Uri};
use vgapt::root::Root;
use vgapt::xml::Document;

const ELABORATE: &str = include_str!("../fixtures/templates/elaborate.xml");

struct Machine {
    host: Host,
    files: Files,
}

static MACHINE: LazyLock<Machine> = LazyLock::new(|| {
    let root = Root::open(Path::new("fixtures/hosts/z170-gtx960.host")).unwrap();
    Machine { host: discovery::read(&root, Scope::All), files: discovery::files(&root, &[]) }
});

fn merged(template: &str, request: &Request, name: &str) -> String {
    let origin = Origin { domain: Document::parse(template).unwrap(), name, uri: Uri::DEFAULT, new: Some(NewDomain::default()) };
    let base = Base::define(origin, request, &Request::default());
    let resolved = domain::resolve(&base, &MACHINE.host, &MACHINE.files, &Libvirt::default());
    domain::merge(&base.domain, &resolved.spec).to_string()
}

fn everything() -> Request {
    Request {
        gpu: vec!["01:00.0".parse().unwrap()],
        pci: vec!["03:00.0".parse().unwrap()],
        usb: vec!["046d:c52b".parse().unwrap()],
        keyboard: "046d:c31c".parse().ok(),
        hugepages: true,
        disk: vec!["/vm/a.qcow2".into(), "/dev/disk/by-id/x".into()],
        cdrom: Some("/vm/install.iso".into()),
        virtio_iso: Some("/vm/virtio-win.iso".into()),
        extras: Extras {
            rom: Some("/vm/card.rom".into()),
            mdev: vec!["c2177883-f1bb-47f0-914d-32a22e3a8804".into()],
            evdev: vec!["/dev/input/by-id/a-event-kbd".into(), "/dev/input/by-id/b-event-mouse".into()],
            looking_glass: "2560x1440".parse().ok(),
            network: "nat".parse().ok(),
            network_queues: Some(4),
            disk_discard: Some(domain::DiskDiscard::KeepReserved),
            detect_zeroes: Some(true),
            share: vec!["/srv/games".into(), "/srv/x=stuff".into()],
            sound: Some(domain::Sound::PipeWire),
            ..Extras::default()
        },
        tuning: Tuning { pin: true, ..Tuning::default() },
        ..Request::default()
    }
}

/// What was put in, line by line; that nothing was taken out is proved on the way.
fn insertions(before: &str, after: &str) -> Vec<String> {
    let diff = similar::TextDiff::from_lines(before, after);
    let mut inserted = Vec::new();
    for change in diff.iter_all_changes() {
        match change.tag() {
            similar::ChangeTag::Delete => panic!("taken out: {:?}", change.value()),
            similar::ChangeTag::Insert => inserted.push(change.value().to_owned()),
            similar::ChangeTag::Equal => {}
        }
    }
    inserted
}

#[test]
fn an_elaborate_template_keeps_every_byte() {
    let after = merged(ELABORATE, &everything(), "elaborate");
    let inserted = insertions(ELABORATE, &after);
    assert!(inserted.iter().all(|line| line.ends_with("\r\n")), "line ends are the template's: {inserted:?}");
    let text: String = inserted.concat().replace('\r', "");
    insta::assert_snapshot!(text);
    assert!(after.starts_with('\u{feff}'));
}

#[test]
fn what_is_asked_for_changes_in_place() {
    let request =
        Request { memory: "8G".parse().ok(), cpus: Some(Cpus::Count(4)), loader: Some("/other/CODE.fd".into()), ..Request::default() };
    let after = merged(ELABORATE, &request, "renamed");
    for expected in [
        "\t<name>renamed</name>\r\n",
        "\t<memory  unit = \"KiB\" >8388608</memory><!-- beside memory -->\r\n",
        "\t<vcpu>4</vcpu>\r\n",
        "\t\t<loader readonly=\"yes\" type=\"pflash\">/other/CODE.fd</loader>\r\n",
        "\t\t<nvram template='/other/VARS.fd'>/my/VARS.fd</nvram>\r\n",
    ] {
        assert!(after.contains(expected), "{expected:?} is not in\n{after}");
    }
}

#[test]
fn twice_merged_is_once_merged() {
    for template in [ELABORATE, domain::template("windows"), domain::template("linux"), "<domain/>", "<domain><devices/></domain>"] {
        let once = merged(template, &everything(), "twice");
        assert_eq!(merged(&once, &everything(), "twice"), once);
        assert_eq!(merged(&once, &Request::default(), "twice"), once, "options that are not given keep what the last request said");
    }
}

#[test]
fn what_was_put_in_can_be_taken_out() {
    let once = merged(ELABORATE, &everything(), "elaborate");
    let nothing = Request {
        without: domain::Without {
            no_gpu: true,
            no_pci: true,
            no_usb: true,
            no_hugepages: true,
            no_disk: true,
            no_cdrom: true,
            no_virtio_iso: true,
            no_rom: true,
            no_mdev: true,
            no_evdev: true,
            no_looking_glass: true,
            no_share: true,
            no_sound: true,
            no_title: true,
            no_description: true,
            no_autostart: true,
            no_handover: true,
        },
        tuning: Tuning { no_pin: true, ..Tuning::default() },
        extras: Extras { network: Some(domain::Network::None), ..Extras::default() },
        ..Request::default()
    };
    let out = merged(&once, &nothing, "elaborate");
    let left: Vec<String> =
        insertions(ELABORATE, &out).into_iter().filter(|line| !line.contains("vgapt:domain")).map(|line| line.trim().to_owned()).collect();
    // The controller serves whatever else sits on it by now; processors are seen in some way.
    let topology = ["<cpu>", "<topology sockets='1' cores='2' threads='1'/>", "</cpu>"];
    assert_eq!(left[..3], topology);
    assert_eq!(left[3..], ["<controller type='scsi' index='0' model='virtio-scsi'>", "<alias name='ua-vgapt-scsi'/>", "</controller>"]);
}

/// A window comes and goes without a trace; what the domain has of it already is used as it is.
#[test]
fn a_window_comes_and_goes() {
    let wish = |display| Request { extras: Extras { display: Some(display), ..Extras::default() }, ..Request::default() };
    let count = |text: &str| text.matches("ua-vgapt-video").count() + text.matches("ua-vgapt-window-").count();
    let own = "<domain>\n  <name>x</name>\n  <devices>\n    <input type='tablet' bus='usb'/>\n    <graphics type='spice' passwd='geheim'/>\n    \
               <video>\n      <model type='qxl'/>\n    </video>\n    <channel type='spicevmc'/>\n  </devices>\n</domain>\n";
    let plain = |template: &str| merged(template, &wish(Display::None), "x");
    for template in [ELABORATE, domain::template("windows"), domain::template("win7"), own, "<domain/>", "<domain><devices/></domain>"] {
        let before = plain(template);
        let spice = merged(&before, &wish(Display::Spice), "x");
        assert_eq!(merged(&spice, &wish(Display::Spice), "x"), spice);
        assert_eq!(merged(&spice, &Request::default(), "x"), spice, "an option that is not given keeps its value");
        let vnc = merged(&spice, &wish(Display::Vnc), "x");
        assert!(vnc.contains("<graphics type='vnc' autoport='yes' listen='127.0.0.1'/>") && !vnc.contains("spicevmc'>"), "{vnc}");
        assert_eq!(vnc.contains("type='spice'"), template == own, "{vnc}");
        assert!(!vnc.contains("<model type='none'/>"), "{vnc}");
        for with in [&spice, &vnc] {
            let out = merged(with, &wish(Display::None), "x");
            if template.contains('\n') {
                assert_eq!(out, before);
            } else {
                assert!(!out.contains("graphics") && count(&out) == 0, "an empty element was opened up: {out}");
            }
        }
        let glass = Request { extras: Extras { looking_glass: "1920x1080".parse().ok(), ..Extras::default() }, ..Request::default() };
        let with = merged(template, &glass, "x");
        assert!(with.contains("<graphics type='spice'") && with.contains("<input type='mouse' bus='virtio'>"), "{with}");
        assert_eq!(with.contains("type='tablet'"), template == own, "{with}");
        let without = Request { without: domain::Without { no_looking_glass: true, ..domain::Without::default() }, ..Request::default() };
        assert_eq!(count(&merged(&with, &without, "x")), 0);
    }
    let rest = |text: &str| text.lines().filter(|line| !line.contains("vgapt:domain")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(rest(&plain(own)), rest(&merged(&plain(own), &wish(Display::Spice), "x")), "all of it was there");
    // What somebody changed by hand is no longer vgapt's to take out.
    let changed = merged(domain::template("linux"), &wish(Display::Spice), "x").replace("autoport='yes'", "port='5901'");
    let out = merged(&changed, &wish(Display::None), "x");
    assert!(out.contains("<graphics type='spice' port='5901' listen='127.0.0.1'/>") && out.contains("<model type='none'/>"), "{out}");
}

/// In place of the title that is there, or where libvirt writes it.
#[test]
fn a_title_is_set_changed_kept_and_removed() {
    let titled = |title: &str| Request { title: Some(title.to_owned()), ..Request::default() };
    let without = Request { without: domain::Without { no_title: true, ..domain::Without::default() }, ..Request::default() };
    let of = |text: &str| Document::parse(text).unwrap().root().child("title").map(|title| title.text().to_owned());
    for template in [ELABORATE, domain::template("windows"), "<domain/>", "<domain>\n  <name>x</name>\n  <devices/>\n</domain>"] {
        let once = merged(template, &titled("Games & <work>"), "x");
        assert_eq!(of(&once).as_deref(), Some("Games & <work>"), "{once}");
        assert_eq!(merged(&once, &titled("Games & <work>"), "x"), once);
        assert_eq!(merged(&once, &Request::default(), "x"), once, "an option that is not given keeps its value");
        let changed = merged(&once, &titled("Work"), "x");
        assert_eq!((of(&changed).as_deref(), changed.matches("<title>").count()), (Some("Work"), 1), "{changed}");
        let removed = merged(&changed, &without, "x");
        assert!(!removed.contains("title"), "neither in the domain nor in the record: {removed}");
        assert_eq!(merged(&removed, &without, "x"), removed);
    }
    let by_hand = merged(ELABORATE, &without, "elaborate");
    assert_eq!(of(&by_hand), of(ELABORATE), "a title of others stays");
    let both = Request { description: Some("one\ntwo".to_owned()), ..titled("T") };
    let placed = merged("<domain>\n  <name>x</name>\n  <memory>1</memory>\n</domain>", &both, "x");
    assert!(placed.contains("<name>x</name>\n  <title>T</title>\n  <description>one\ntwo</description>\n"), "{placed}");
    let gone = Request { without: domain::Without { no_description: true, ..domain::Without::default() }, ..Request::default() };
    let gone = merged(&placed, &gone, "x");
    assert!(!gone.contains("description") && gone.contains("<title>T</title>"), "{gone}");
}

fn attached(text: &str) -> (String, Vec<&'static str>) {
    let domain = Document::parse(text).unwrap();
    purposed(&Base::attach(Origin { domain, name: "by-hand", uri: Uri::DEFAULT, new: None }, &card()))
}

fn detached(text: &str) -> String {
    let mut domain = Document::parse(text).unwrap();
    let record = domain::Record::of(&domain).known().unwrap();
    domain::recognise(&mut domain, &record);
    purposed(&Base::detach(Origin { domain, name: "by-hand", uri: Uri::DEFAULT, new: None })).0
}

fn purposed(base: &Base) -> (String, Vec<&'static str>) {
    let resolved = domain::resolve(base, &MACHINE.host, &MACHINE.files, &Libvirt::default());
    let codes = resolved.findings.iter().map(|finding| finding.code).collect();
    (domain::merge(&base.domain, &resolved.spec).to_string(), codes)
}

fn card() -> Request {
    Request { gpu: vec!["01:00.0".parse().unwrap()], ..Request::default() }
}

/// A q35 domain with a device at this guest's place, as somebody put it in by hand.
fn by_hand(function: u8, place: &str) -> String {
    format!(
        "<domain type='kvm'>\n  <name>by-hand</name>\n  <os>\n    <type arch='x86_64' machine='q35'>hvm</type>\n  </os>\n  <devices>\n    \
         <controller type='pci' index='0' model='pcie-root'/>\n    <controller type='pci' index='3' model='pcie-root-port'/>\n    \
         <hostdev mode='subsystem' type='pci' managed='yes'>\n      <source>\n        \
         <address domain='0x0000' bus='0x01' slot='0x00' function='0x{function}'/>\n      </source>\n{place}    </hostdev>\n    \
         <memballoon model='none'/>\n  </devices>\n</domain>\n"
    )
}

#[test]
fn functions_join_the_one_that_is_there_by_hand_which_stays_when_they_go() {
    let at = |function: u8| format!("      <address type='pci' domain='0x0000' bus='0x03' slot='0x00' function='0x{function}'/>\n");
    let addresses = |text: &str| -> Vec<String> {
        let document = Document::parse(text).unwrap();
        let hostdevs = document.root().child("devices").unwrap();
        let part = |hostdev: vgapt::xml::Element<'_>, path: &str, name: &str| {
            hostdev.at(path).and_then(|address| address.attribute(name).map(std::borrow::Cow::into_owned)).unwrap_or_default()
        };
        let shown = |hostdev| {
            let guest = |name| part(hostdev, "address", name);
            let host = part(hostdev, "source/address", "function");
            format!("{host} at {} {} {} {}", guest("bus"), guest("slot"), guest("function"), guest("multifunction"))
        };
        hostdevs.children_named("hostdev").map(shown).collect()
    };
    let cases = [
        (by_hand(0, &at(0)), ["0x0 at 0x03 0x00 0x0 on", "0x1 at 0x03 0x00 0x1 "]),
        // The audio function alone, on the second place of a slot without a first.
        (by_hand(1, &at(1)), ["0x1 at 0x03 0x00 0x1 ", "0x0 at 0x03 0x00 0x0 on"]),
        // Where libvirt has yet to find it a place, the other gets one of its own.
        (by_hand(0, ""), ["0x0 at    ", "0x1 at 0x04 0x00 0x0 "]),
    ];
    for (before, wanted) in cases {
        let (with, _) = attached(&before);
        assert_eq!(addresses(&with), wanted);
        assert_eq!(attached(&with).0, with, "a second time changes nothing");
        assert_eq!(detached(&with), before, "what was there by hand stays");
    }
}

#[test]
fn a_card_in_the_command_line_is_told_and_never_added_again() {
    for device in ["vfio-pci,host=01:00.0", "{&quot;driver&quot;:&quot;vfio-pci&quot;,&quot;host&quot;:&quot;0000:01:00.0&quot;}"] {
        let line = format!("<q:commandline><q:arg value='-device'/><q:arg value='{device}'/></q:commandline></domain>");
        let text =
            "<domain type='kvm' xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'><name>by-hand</name><devices/>".to_owned() + &line;
        let (with, codes) = attached(&text);
        assert!(codes.contains(&"in-command-line"), "{codes:?}");
        assert!(!with.contains("ua-vgapt-gpu-0000-01-00-0"), "{with}");
    }
}

#[test]
fn domains_of_other_worlds_are_refused() {
    let os = |kind: &str| format!("<os>{kind}</os>");
    for (kind, os, code) in [
        ("xen", String::new(), "not-qemu"),
        ("lxc", os("<type>exe</type>"), "not-qemu"),
        ("kvm", os("<type arch='aarch64' machine='virt'>hvm</type>"), "not-x86"),
        ("kvm", os("<type arch='x86_64' machine='microvm'>hvm</type>"), "no-pci"),
        ("kvm", os("<type>xen</type>"), "not-hvm"),
    ] {
        let text = format!("<domain type='{kind}'><name>by-hand</name>{os}<devices/></domain>");
        let (_, codes) = attached(&text);
        assert!(codes.contains(&code), "{kind} {os}: {codes:?}");
    }
}

#[test]
fn a_full_bus_is_said_and_a_free_slot_is_found() {
    let device = |slot: u32| {
        format!("<controller type='scsi' index='{slot}'><address type='pci' domain='0' bus='0' slot='{slot}' function='0'/></controller>")
    };
    let of = |slots: &mut dyn Iterator<Item = u32>, more: &str| {
        let devices: String = slots.map(device).collect();
        format!("<domain type='kvm'><name>by-hand</name><os><type machine='pc'>hvm</type></os><devices>{devices}{more}</devices></domain>")
    };
    let (with, codes) = attached(&of(&mut (0..32).filter(|slot| *slot != 7), ""));
    assert!(with.contains("bus='0x00' slot='0x07' function='0x1'") && !codes.contains(&"no-free-slot"), "{with}");
    let (with, codes) = attached(&of(&mut (0..32), ""));
    assert!(!with.contains("<hostdev") && codes.contains(&"no-free-slot"), "{with}");
    let bridge = "<controller type='pci' index='2' model='pci-bridge'/>";
    let (with, codes) = attached(&of(&mut (0..32), bridge));
    assert!(with.contains("bus='0x02' slot='0x01' function='0x0' multifunction='on'") && !codes.contains(&"no-free-slot"), "{with}");
}

#[test]
fn a_template_with_a_bios_keeps_it() {
    let text = "<domain type='kvm'><name>x</name><os><type machine='pc'>hvm</type></os><devices/></domain>";
    assert!(!merged(text, &card(), "x").contains("<loader"));
    let loader = Request { loader: Some("/usr/share/OVMF/OVMF_CODE.fd".into()), ..card() };
    let with = merged(text, &loader, "x");
    assert!(with.contains("<loader") && with.contains("<acpi/>"), "libvirt refuses UEFI without ACPI: {with}");
}

/// Pieces of which a domain of anybody's may be made.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("<!-- <devices><hostdev/></devices> -->".to_owned()),
        Just("<memoryBacking><locked/></memoryBacking>".to_owned()),
        Just("<memory unit='MiB'>2048</memory>".to_owned()),
        Just("<currentMemory>1048576</currentMemory>".to_owned()),
        Just("<vcpu current=\"1\">3</vcpu>".to_owned()),
        Just("<cpu mode='host-model'/>".to_owned()),
        Just("<os><type machine='pc-i440fx-9.0'>hvm</type></os>".to_owned()),
        Just("<os firmware='efi'><type machine='q35'>hvm</type></os>".to_owned()),
        Just("<metadata><x:a xmlns:x='urn:x'>&lt;<![CDATA[<devices>]]></x:a></metadata>".to_owned()),
        Just(
            "<devices><controller type='pci' index='7' model='pcie-root-port'/><disk><target dev='sda' bus='sata'/></disk></devices>"
                .to_owned()
        ),
        Just("<devices></devices>".to_owned()),
        Just("<y:devices xmlns:y='urn:y'/>".to_owned()),
        "<u[a-z]{1,4} a='[a-z]{0,3}'>[a-z]{0,5}</u>".prop_map(|text| text
            .split_once(' ')
            .map(|(name, rest)| format!("{name} {}", rest.replace("</u>", &format!("</{}>", &name[1..]))))
            .unwrap()),
    ]
}

proptest! {
    #[test]
    fn the_laws_hold_for_any_domain(
        pieces in proptest::collection::vec(piece(), 0..8),
        line_end in prop_oneof![Just("\n"), Just("\r\n"), Just("")],
        bom in any::<bool>(),
        gpu in any::<bool>(), pci in any::<bool>(), usb in any::<bool>(), disks in 0_usize..3, hugepages in any::<bool>(), cdrom in any::<bool>(),
    ) {
            let body = pieces.iter().fold(String::new(), |body, piece| body + line_end + "  " + piece);
        let template = format!("{}<domain type='kvm'>{line_end}  <name>x</name>{body}{line_end}</domain>", if bom { "\u{feff}" } else { "" });
        let all = everything();
        let request = Request {
            gpu: if gpu { all.gpu } else { Vec::new() },
            pci: if pci { all.pci } else { Vec::new() },
            usb: if usb { all.usb } else { Vec::new() },
            disk: (0..disks).map(|index| format!("/vm/{index}.qcow2")).collect(),
            cdrom: all.cdrom.filter(|_| cdrom),
            hugepages,
            ..Request::default()
        };
        let once = merged(&template, &request, "x");
        prop_assert_eq!(&merged(&once, &request, "x"), &once);
        // Nothing of the template is lost: its characters are a subsequence of the result's, but for
        // an empty element that was opened up.
        let opened = template.replace("<devices></devices>", "<devices>").replace(['\n', '\r', ' '], "");
        let mut rest = once.chars();
        for character in opened.chars() {
            prop_assert!(rest.any(|other| other == character), "{character} is lost in {once}");
        }
    }
}
