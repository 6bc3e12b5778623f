//! The parsers of text from outside, each as a function of bytes: what fuzzing and tests/mutated.rs call.

#[path = "../../src/libvirt/capabilities.rs"]
mod capabilities;
#[path = "machine.rs"]
mod machine;
#[path = "../../src/libvirt/missing.rs"]
mod missing;
#[path = "../../src/libvirt/pool_folder.rs"]
mod pool_folder;

pub(crate) use machine::{host, logs, running};

use vgapt::domain::{self, Record, Request};
use vgapt::failure::Catalog;
use vgapt::host::Receipt;
use vgapt::hypervisor::{self, Domains, GuestAddress, Pools, SavedData, State};
use vgapt::import::{self, ImportContext};
use vgapt::life::{BalancerSetup, Taken};
use vgapt::measure::{self, Measured};
use vgapt::model::{CpuSet, Hang, Libvirt, QemuProcess, Reading, Rom, allows_device, format_by_content, named_by, with_device};
use vgapt::root::Capture;
use vgapt::xml::Document;
use vgapt::{discovery, disk, domain_xml, export, output};

/// A parser's name, the parser, and its corpus.
pub(crate) type Parser = (&'static str, fn(&[u8]), &'static [&'static str]);

/// Each by its name, with the folders and files of its corpus.
pub(crate) const PARSERS: &[Parser] = &[
    ("domain", domain, &["templates", "fixtures/templates", "fixtures/records", "fixtures/kubevirt/domains"]),
    ("script", script, &["fixtures/scripts"]),
    ("pasted", pasted, &["fixtures/scripts"]),
    ("option_file", option_file, &["fuzz/corpus/option_file"]),
    ("capture", capture, &["fixtures/failures", "fixtures/hosts/z170-gtx960.host"]),
    ("node_device", node_device, &["fixtures/node"]),
    ("image", image, &["fuzz/corpus/image"]),
    ("rom", rom, &["fuzz/corpus/rom"]),
    ("catalog", catalog, &["fuzz/corpus/catalog"]),
    ("host", host, &["fixtures/distributions", "fixtures/hosts"]),
    ("running", running, &["fuzz/corpus/running"]),
    ("logs", logs, &["fixtures/failures", "fuzz/corpus/logs"]),
    ("process", process, &["fuzz/corpus/process"]),
    ("settings", settings, &["fuzz/corpus/settings"]),
    ("receipt", receipt, RECEIPTS),
    ("taken", taken, &["fuzz/corpus/taken"]),
    ("irqbalance", irqbalance, &["fuzz/corpus/irqbalance"]),
    ("libvirt", libvirt, &["fuzz/corpus/libvirt", "templates"]),
    ("answer", answer, &["fuzz/corpus/answer"]),
];

const RECEIPTS: &[&str] = &[
    "fixtures/receipts/format-1/var/lib/vgapt/1/receipt.json",
    "fixtures/receipts/format-2/var/lib/vgapt/1/receipt.json",
    "fixtures/receipts/format-2/var/lib/vgapt/2/receipt.json",
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
    imported(&import::read(&text(bytes), "/start.sh", &|_| None, &|_| Reading::Absent));
}

/// A command line that was copied.
pub(crate) fn pasted(bytes: &[u8]) {
    imported(&import::pasted(&text(bytes), &|_| None));
}

/// A file of QEMU's options.
pub(crate) fn option_file(bytes: &[u8]) {
    let script = import::pasted("qemu-system-x86_64 -readconfig /more.cfg", &|_| None);
    imported(&import::with_option_files(script, &|_| Reading::Known(text(bytes))));
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

/// What `/proc` has of a QEMU that runs: its words, and behind an empty one its environment.
pub(crate) fn process(bytes: &[u8]) {
    let text = text(bytes);
    let mut words = text.split('\0').map(str::to_owned);
    let argv: Vec<String> = words.by_ref().take_while(|word| !word.is_empty()).collect();
    let environment = words.filter_map(|word| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())));
    import::name_of(&argv);
    let process = QemuProcess {
        pid: 7,
        argv,
        program: None,
        folder: Reading::Known("/vm".to_owned()),
        environment: Reading::Known(environment.collect()),
        descriptors: Reading::Absent,
        processors: None,
        pins: Vec::new(),
    };
    imported(&import::running(&process, &|_| None));
}

/// Files of settings, and documents of vgapt's own that others may have changed.
pub(crate) fn settings(bytes: &[u8]) {
    let text = text(bytes);
    if let Ok(changed) = with_device(&text, "/dev/kvmfr0") {
        assert_eq!(allows_device(&changed, "/dev/kvmfr0"), Ok(true), "libvirt's qemu.conf has the device that was added");
    }
    if let Ok(request) = Request::from_toml(&text) {
        assert_eq!(Request::from_toml(&request.to_toml()).as_ref(), Ok(&request), "a request reads as it was written");
    }
    if let Ok(measured) = serde_json::from_str::<Measured>(&text) {
        output::measured(&measured, Some((&measure::changes(&measured, &measured), &measure::turns(&measured, &measured))), true);
        output::measured_svg(&measured);
    }
    drop(serde_json::from_str::<Hang>(&text));
}

/// A receipt of `prepare`.
pub(crate) fn receipt(bytes: &[u8]) {
    let Ok(receipt) = Receipt::parse(bytes, "/receipt.json") else { return };
    let written = serde_json::to_vec(&receipt).expect("a receipt can be written");
    assert_eq!(Receipt::parse(&written, "/receipt.json").expect("a written receipt can be read"), receipt);
}

/// What the hook recorded that a domain has taken.
pub(crate) fn taken(bytes: &[u8]) {
    let Ok(taken) = Taken::parse_list(bytes, "/it.json") else { return };
    let written = serde_json::to_vec(&taken).expect("a list can be written");
    assert_eq!(Taken::parse_list(&written, "/it.json").expect("a written list can be read"), taken);
}

/// What irqbalance answers, and masks and lists of CPUs, one a line.
pub(crate) fn irqbalance(bytes: &[u8]) {
    let text = text(bytes);
    drop(BalancerSetup::parse(&text));
    for line in text.lines() {
        if let Ok(cpus) = CpuSet::of_mask(line) {
            assert_eq!(CpuSet::of_mask(&cpus.to_mask()).as_ref(), Ok(&cpus), "a mask reads as it was written");
        }
        if let Ok(cpus) = line.parse::<CpuSet>() {
            assert_eq!(cpus.to_string().parse().as_ref(), Ok(&cpus), "a list reads as it was written");
        }
    }
}

/// What libvirt describes: what QEMU can do, a storage pool; and what it lost of a domain.
pub(crate) fn libvirt(bytes: &[u8]) {
    let Ok(document) = Document::parse(&text(bytes)) else { return };
    let root = document.root();
    drop((capabilities::abilities(None, Some(root)), capabilities::loaders(root), pool_folder::folder(root)));
    assert!(missing::missing(root, root).is_empty(), "nothing is lost of what came back");
    let other = Document::parse("<domain type='kvm'><name>it</name><devices><disk type='file'/></devices></domain>");
    missing::missing(root, other.expect("XML").root());
}

/// The lines of the program that asks libvirt: its greeting, and its answers.
pub(crate) fn answer(bytes: &[u8]) {
    for line in text(bytes).lines() {
        drop(hypervisor::parse_greeting(line));
        drop(hypervisor::parse_answer::<Domains>(line));
        drop(hypervisor::parse_answer::<Pools>(line));
        drop(hypervisor::parse_answer::<SavedData>(line));
        drop(hypervisor::parse_answer::<Libvirt>(line));
        drop(hypervisor::parse_answer::<State>(line));
        drop(hypervisor::parse_answer::<Option<Vec<GuestAddress>>>(line));
        if let Ok(devices) = hypervisor::parse_answer::<Vec<String>>(line) {
            discovery::from_node_devices(&devices);
        }
    }
}
