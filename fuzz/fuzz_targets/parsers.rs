//! The parsers of text from outside, each as a function of bytes: what fuzzing and tests/mutated.rs call.

use vgapt::domain::{self, Record};
use vgapt::failure::Catalog;
use vgapt::import::{self, ImportContext};
use vgapt::model::{Reading, Rom, format_by_content, named_by};
use vgapt::root::Capture;
use vgapt::xml::Document;
use vgapt::{discovery, disk, domain_xml, export};

/// A parser's name, the parser, and its corpus.
pub(crate) type Parser = (&'static str, fn(&[u8]), &'static [&'static str]);

/// Each by its name, with the folders and files of its corpus.
pub(crate) const PARSERS: &[Parser] = &[
    ("domain", domain, &["templates", "fixtures/templates", "fixtures/records", "fixtures/kubevirt/domains"]),
    ("script", script, &["fixtures/scripts"]),
    ("pasted", pasted, &["fixtures/scripts"]),
    ("capture", capture, &["fixtures/failures", "fixtures/hosts/z170-gtx960.host"]),
    ("node_device", node_device, &["fixtures/node"]),
    ("image", image, &["fuzz/corpus/image"]),
    ("rom", rom, &["fuzz/corpus/rom"]),
    ("catalog", catalog, &["fuzz/corpus/catalog"]),
];

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A domain's XML and all that is read of it.
pub(crate) fn domain(bytes: &[u8]) {
    let Ok(mut domain) = Document::parse(&text(bytes)) else { return };
    // Each is called for what it may do wrong.
    let record = Record::of(&domain);
    domain::needs(&domain);
    if let Reading::Known(record) = &record {
        domain::explain(&domain, record);
    }
    let root = domain.root();
    domain_xml::disks(root).for_each(|disk| drop(disk.path().map(str::to_owned)));
    domain_xml::interfaces(root).for_each(drop);
    drop((domain_xml::memory(root), domain_xml::vcpus(root), domain_xml::iothreads(root), domain_xml::taken_slots(root)));
    let read = [domain_xml::pages(root).map(drop), domain_xml::pins(root).map(drop), domain_xml::plugged(root).map(drop)];
    drop((read, domain_xml::all_functions(&domain), domain_xml::drives(&domain), disk::snapshot_paths(&domain)));
    domain_xml::functions_of_commandline(&domain);
    import::request_of(&domain);
    drop(export::kubevirt(&domain, "it", &[], false));
    export::resolve_usb_addresses(&mut domain, &[]);
    export::functions_as_hostdevs(&mut domain);
    // What was changed in it is still XML.
    Document::parse(&domain.to_string()).expect("an edited domain can be parsed");
}

fn imported(script: &import::Script) {
    import::translate(script, "it", None, ImportContext { format: &|_| None });
}

/// A script that starts QEMU.
pub(crate) fn script(bytes: &[u8]) {
    imported(&import::read(&text(bytes), "/start.sh", &|_| None, &|_| None));
}

/// A command line that was copied.
pub(crate) fn pasted(bytes: &[u8]) {
    imported(&import::pasted(&text(bytes), &|_| None));
}

/// A capture; what was read is written as something that reads the same.
pub(crate) fn capture(bytes: &[u8]) {
    let Ok(capture) = Capture::parse(&text(bytes)) else { return };
    let written = capture.to_string();
    assert_eq!(Capture::parse(&written).expect("a written capture can be parsed").to_string(), written);
}

/// A node device of libvirt.
pub(crate) fn node_device(bytes: &[u8]) {
    discovery::from_node_devices(&[text(bytes)]);
}

/// The beginning of a disk's image, and what qemu-img prints of one.
pub(crate) fn image(bytes: &[u8]) {
    let beginning = |limit: usize| Ok(bytes[..limit.min(bytes.len())].to_vec());
    format_by_content(bytes);
    for format in ["qcow2", "qcow", "qed", "vmdk"] {
        drop(named_by(format, &beginning));
    }
    let said = text(bytes);
    drop((disk::parse_image(&said), disk::parse_measure(&said), disk::complaints(&said)));
}

/// A card's ROM.
pub(crate) fn rom(bytes: &[u8]) {
    drop(Rom::parse(bytes));
}

/// A catalog of gettext, and a line in its language.
pub(crate) fn catalog(bytes: &[u8]) {
    let Some(messages) = discovery::messages(bytes) else { return };
    let line: String = messages.iter().map(|(_, translated)| translated.as_str()).collect();
    drop(Catalog::new(messages.clone(), &messages).in_english(&line));
}
