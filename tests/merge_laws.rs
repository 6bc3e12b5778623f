//! Law 1: what vgapt does not own comes out byte for byte as it went in, and a second merge changes nothing.

use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use vgapt::discovery::{self, Scope};
use vgapt::domain::{self, Base, Cpus, Extras, Request, Tuning};
use vgapt::model::{Files, Host, Libvirt};
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
    let base = Base::new(Document::parse(template).unwrap(), true, name, request, &Request::default());
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
