//! Command lines by other hands: the `.args` of libvirt's own test data, as libvirt made them. Each is imported,
//! libvirt makes a command line of the domain, and the product's comparison tells of each option what became of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use vgapt::export::{functions_as_hostdevs, resolve_usb_addresses, set_vfio_driver, without_scripts};
use vgapt::import::{Comparison, ImportContext, Imported, compare, pasted, translate};
use vgapt::model::UsbDevice;
use vgapt::xml::Document;
use virt::connect::Connect;
use virt::sys::VIR_DOMAIN_DEFINE_VALIDATE;

use super::libvirt::Libvirt;
use super::{EVERY, PLACE, undefine};

/// Fewer files than this are not libvirt's test data.
const FEWEST: usize = 700;
/// What this machine does not have, and libvirt looks for before it makes a command line.
const NOT_HERE: &[&str] = &["NUMA node", "hugetlbfs", "TSC frequency", "does not support machine type", "KVM is not available", "/dev/dri"];
/// What libvirt does not take, as `vgapt import` tells: the characters of a serial number.
const TOLD: &[&str] = &["disk-serial."];

/// A command line, what vgapt made of it, and libvirt of that.
struct Case {
    file: String,
    argv: Vec<String>,
    imported: Imported,
    native: Vec<String>,
    found: Comparison,
    /// What libvirt's own XML says of network cards and the imported one does not: its command line has no such thing.
    cards: Vec<String>,
}

#[derive(Default)]
struct Tally {
    compared: usize,
    same: usize,
    meaning: usize,
    left_out: usize,
    silent: BTreeMap<String, Vec<String>>,
    refused: BTreeMap<String, Vec<String>>,
    not_here: BTreeMap<String, Vec<String>>,
    wrong: BTreeMap<String, Vec<String>>,
    cards: BTreeMap<String, Vec<String>>,
    crashed: Vec<String>,
    /// The options and properties of libvirt's command lines that were changed to see whether the comparison notices.
    changed: BTreeMap<(String, String), Noticed>,
}

/// Whether one of the faults was noticed, and in which files none was.
#[derive(Default)]
struct Noticed {
    once: bool,
    not: Vec<String>,
}

/// How often a property is tried until its fault is noticed: it may be without effect in one command line.
const TRIES: usize = 40;
/// What the comparison does not look at: names and places, which libvirt assigns, and what it gives to each QEMU.
const UNSEEN: &[(&str, &str)] = &[
    ("sandbox msg mon add-fd", "*"),
    ("name", "debug-threads"),
    (
        "device audiodev blockdev object",
        "id bus addr unit cad chassis port slot multifunction nr index channel scsi-id lun device_id node-name",
    ),
    // Whether the device opens its image for writing is the upper node's; it follows the device.
    ("blockdev", "auto-read-only"),
    ("device pcie-root-port", "(left out)"),
    // Only the name of the bus of that controller.
    ("device", "masterbus"),
    // These are the lower nodes of an image, or -m says the same.
    ("blockdev host_device", "discard"),
    ("blockdev vvfat", "discard"),
    ("blockdev gluster", "discard"),
    ("blockdev copy-on-read", "discard"),
    ("object memory-backend-ram", "size qom-type"),
    ("numa", "(first)"),
    // A feature that is passed with -global, as a note says.
    ("cpu", "intel-pt"),
    // An order of one.
    ("device isa-fdc", "bootindexA bootindexB"),
    ("device scsi-block", "bootindex"),
    ("device vhost-user-blk-pci", "bootindex"),
    ("device usb-host", "bootindex"),
    ("device usb-storage", "bootindex"),
];

#[test]
#[ignore = "tests/foreign/run fetches libvirt's test data and runs it"]
fn no_option_of_a_command_line_is_lost_silently() {
    let place = std::env::var_os(PLACE).expect("tests/foreign/run names the test data");
    let every: usize = std::env::var(EVERY).ok().and_then(|every| every.parse().ok()).unwrap_or(1);
    let libvirt = Libvirt::daemon();
    virt::error::clear_error_callback();
    let connect = Connect::open(Some(&libvirt.uri)).expect("the daemon answers");
    let files = files(Path::new(&place));
    assert!(files.len() >= FEWEST, "{} command lines are in {}: not libvirt's test data", files.len(), place.display());
    let mut tally = Tally::default();
    for file in files.iter().step_by(every) {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(file).expect("the test data can be read");
        let text = if libvirt.kvm { text } else { text.replace("-accel kvm", "-accel tcg") };
        let original = fs::read_to_string(file.with_extension("xml")).unwrap_or_default();
        match catch_unwind(AssertUnwindSafe(|| tried(&connect, &name, &text, &original, &mut tally))) {
            Ok(Some(case)) => {
                tally.count(&case);
                tally.change(&case);
            }
            Ok(None) => {}
            Err(_) => tally.crashed.push(name),
        }
    }
    tally.report(files.len().div_ceil(every));
}

/// Imports a command line and compares; `None` where that is refused.
fn tried(connect: &Connect, name: &str, text: &str, original: &str, tally: &mut Tally) -> Option<Case> {
    let script = pasted(text, &|_| None);
    let imported = translate(&script, name, None, ImportContext { format: &|_| None });
    let refusals: Vec<&str> = script.refusal.iter().chain(&imported.refusals).map(|(why, _)| why.as_str()).collect();
    if !refusals.is_empty() {
        tally.refused.entry(plain(&refusals.join("; "))).or_default().push(name.to_owned());
        return None;
    }
    keep(name, "xml", &imported.xml);
    let native = connect
        .define_domain_xml_flags(&imported.xml, VIR_DOMAIN_DEFINE_VALIDATE)
        .and_then(|domain| {
            undefine(&domain);
            connect.domain_xml_to_native("qemu-argv", &startable(&imported.xml), 0)
        })
        .map_err(|error| error.message().to_owned());
    match native {
        Ok(native) => {
            keep(name, "native", &native);
            let native = pasted(&native, &|_| None).argv;
            let found = compare(&script.argv, &imported, &native);
            let cards = cards(original, &imported);
            Some(Case { cards, file: name.to_owned(), argv: script.argv, imported, native, found })
        }
        Err(words) => {
            let is_told = TOLD.iter().any(|file| name.starts_with(file));
            let kind = if is_told || NOT_HERE.iter().any(|what| words.contains(what)) { &mut tally.not_here } else { &mut tally.wrong };
            kind.entry(plain(words.lines().last().unwrap_or_default())).or_default().push(name.to_owned());
            None
        }
    }
}

/// What the imported network cards lack of those of libvirt's own XML, and is not said.
fn cards(original: &str, imported: &Imported) -> Vec<String> {
    let (Ok(original), Ok(domain)) = (Document::parse(original), Document::parse(&imported.xml)) else { return Vec::new() };
    let cards = |domain: &Document| -> Vec<(String, BTreeSet<String>)> {
        let all = domain.root().child("devices").into_iter().flat_map(|devices| devices.children_named("interface"));
        let mac = |card: vgapt::xml::Element<'_>| card.at("mac")?.attribute("address").map(std::borrow::Cow::into_owned);
        all.filter_map(|card| Some((mac(card)?, facts(card)))).collect()
    };
    let ours = cards(&domain);
    let said =
        imported.parts.iter().flat_map(|part| &part.left).chain(&imported.notes).cloned().collect::<Vec<_>>().join(" ").replace('_', "");
    let mut lost = Vec::new();
    for (mac, facts) in cards(&original) {
        let own: BTreeSet<String> = ours.iter().filter(|(other, _)| *other == mac).flat_map(|(_, facts)| facts).cloned().collect();
        if own.is_empty() {
            continue;
        }
        let is_said =
            |fact: &&String| fact.rsplit('@').next().and_then(|fact| fact.split('=').next()).is_some_and(|name| said.contains(name));
        lost.extend(facts.difference(&own).filter(|fact| !is_said(fact)).cloned());
    }
    lost
}

/// The attributes of a network card that make a difference to its guest.
const OF_CARDS: &str = "type size bar file enabled index order queues rx_queue_size tx_queue_size txmode ioeventfd event_idx iommu ats packed \
                        rss rss_hash_report csum gso tso4 tso6 ecn ufo mrg_rxbuf";

/// What a network card is to its guest: `driver/host@csum=off`.
fn facts(card: vgapt::xml::Element<'_>) -> BTreeSet<String> {
    let mut facts = BTreeSet::new();
    let of_guest = ["model", "mtu", "rom", "acpi", "boot", "driver"];
    for part in card.children().filter(|part| of_guest.contains(&part.name())) {
        for (inner, path) in
            std::iter::once((part, String::new())).chain(part.children().map(|inner| (inner, format!("/{}", inner.name()))))
        {
            for name in OF_CARDS.split(' ') {
                // An empty name is no ROM.
                facts.extend(
                    inner.attribute(name).filter(|value| !value.is_empty()).map(|value| format!("{}{path}@{name}={value}", part.name())),
                );
            }
        }
    }
    facts
}

/// What `vgapt import` asks libvirt about: USB devices get a place, as at a start.
fn startable(xml: &str) -> String {
    let mut domain = Document::parse(xml).unwrap();
    let missing = resolve_usb_addresses(&mut Document::parse(xml).unwrap(), &[]);
    let plugged: Vec<UsbDevice> = (100..)
        .zip(missing)
        .map(|(device, id)| UsbDevice { bus: 1, device, port: String::new(), id, controller: None, name: None, drivers: Vec::new() })
        .collect();
    resolve_usb_addresses(&mut domain, &plugged);
    functions_as_hostdevs(&mut domain);
    without_scripts(&mut domain);
    set_vfio_driver(&mut domain);
    domain.to_string()
}

impl Tally {
    fn count(&mut self, case: &Case) {
        let Case { file, found, .. } = case;
        self.compared += 1;
        self.same += found.same.len();
        self.meaning += found.meaning.len();
        self.left_out += found.left_out.len();
        for lost in &case.cards {
            self.cards.entry(plain(lost)).or_default().push(file.clone());
        }
        for (option, how) in &found.silent {
            let (name, value) = option.split_once(' ').unwrap_or((option, ""));
            let driver = value.split_once("\"driver\":\"").and_then(|(_, rest)| rest.split('"').next());
            let kind = driver.or_else(|| value.split(',').next().filter(|first| !first.starts_with('{'))).unwrap_or_default();
            self.silent.entry(plain(&format!("{name} {kind}: {how}"))).or_default().push(file.clone());
        }
    }

    /// A fault in each property of libvirt's command line that was not tried yet, and each device left out, must be seen.
    fn change(&mut self, case: &Case) {
        let is_monitor = |word: &str| word.contains("id=charmonitor");
        for (at, word) in case.native.iter().enumerate().skip(1).filter(|(at, _)| case.native[at - 1].starts_with('-')) {
            let option = case.native[at - 1].trim_start_matches('-');
            if is_monitor(word) {
                continue;
            }
            for (name, changed) in changes(option, word) {
                let what = (kind(option, word), name);
                let of_option = |of: &str| is_like(of, option) || of == what.0.trim();
                if UNSEEN.iter().any(|(of, name)| of_option(of) && is_like(name, &what.1)) {
                    continue;
                }
                let known = self.changed.entry(what).or_default();
                if known.once || known.not.len() >= TRIES {
                    continue;
                }
                let mut native = case.native.clone();
                match changed {
                    Some(changed) => native[at] = changed,
                    None => drop(native.drain(at - 1..=at)),
                }
                if compare(&case.argv, &case.imported, &native) == case.found {
                    known.not.push(case.file.clone());
                } else {
                    known.once = true;
                }
            }
        }
    }

    fn report(&self, tried: usize) {
        println!("{tried} command lines of libvirt's test data were tried: {} compared", self.compared);
        let silent: usize = self.silent.values().map(Vec::len).sum();
        println!("options: {} same, {} same meaning, {} left out, {silent} silent", self.same, self.meaning, self.left_out);
        let unnoticed = self.changed.iter().filter(|(_, known)| !known.once);
        let unnoticed: BTreeMap<String, Vec<String>> =
            unnoticed.map(|((kind, name), known)| (format!("{kind} {name}"), known.not.clone())).collect();
        println!("faults: {} kinds were put into libvirt's command lines, {} were not noticed", self.changed.len(), unnoticed.len());
        for (what, kinds) in [
            ("UNNOTICED", &unnoticed),
            ("LOST OF NETWORK CARDS", &self.cards),
            ("REFUSED", &self.refused),
            ("NOT HERE", &self.not_here),
            ("LIBVIRT REFUSES", &self.wrong),
            ("SILENT", &self.silent),
        ] {
            println!("{what}: {} in {} files", kinds.values().map(Vec::len).sum::<usize>(), files_of(kinds));
            let mut kinds: Vec<_> = kinds.iter().collect();
            kinds.sort_by_key(|(_, files)| std::cmp::Reverse(files.len()));
            for (kind, files) in kinds {
                println!("{:5} {kind}\n      {}", files.len(), files.iter().take(3).cloned().collect::<Vec<_>>().join(" "));
            }
        }
        println!("CRASHED: {:?}", self.crashed);
        let wrong = files_of(&self.wrong) + files_of(&self.silent) + files_of(&self.cards);
        println!("{wrong} wrong, {} refused, {} need what is not here", files_of(&self.refused), files_of(&self.not_here));
        assert!(self.crashed.is_empty() && wrong == 0 && unnoticed.is_empty(), "see above");
        // Few are refused, and most options come out as they went in.
        assert!(self.compared * 10 > tried * 8 && self.same > self.meaning * 8, "see above");
    }
}

/// The option with its driver or type.
fn kind(option: &str, word: &str) -> String {
    let json: Option<serde_json::Value> = serde_json::from_str(word).ok();
    let named = ["driver", "qom-type"].iter().find_map(|name| json.as_ref()?[name].as_str().map(str::to_owned));
    format!("{option} {}", named.unwrap_or_default())
}

/// Each property with the word that has another value for it; a word without properties is changed, and a device is left out.
fn changes(option: &str, word: &str) -> Vec<(String, Option<String>)> {
    let mut all = Vec::new();
    if let Ok(serde_json::Value::Object(members)) = serde_json::from_str(word) {
        for (name, value) in &members {
            let other = match value {
                serde_json::Value::Bool(is_on) => (!is_on).into(),
                serde_json::Value::Number(number) => (number.as_u64().unwrap_or(0) + 7).into(),
                serde_json::Value::String(text) => format!("{text}7").into(),
                _ => continue,
            };
            let mut changed = members.clone();
            changed.insert(name.clone(), other);
            all.push((name.clone(), Some(serde_json::Value::Object(changed).to_string())));
        }
    } else {
        let parts: Vec<&str> = word.split(',').collect();
        for (at, part) in parts.iter().enumerate() {
            let name = part.split_once('=').map_or("(first)", |(name, _)| name);
            let other = match part {
                _ if part.ends_with("=on") => part.replace("=on", "=off"),
                _ if part.ends_with("=off") => part.replace("=off", "=on"),
                _ => format!("{part}7"),
            };
            let mut changed: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
            changed[at] = other;
            all.push((name.to_owned(), Some(changed.join(","))));
        }
    }
    if option == "device" {
        all.push(("(left out)".into(), None));
    }
    all
}

/// Whether a word is one of these; a star stands for the rest.
fn is_like(words: &str, word: &str) -> bool {
    words.split(' ').any(|one| one.strip_suffix('*').map_or(one == word, |start| word.starts_with(start)))
}

fn files_of(kinds: &BTreeMap<String, Vec<String>>) -> usize {
    kinds.values().flatten().collect::<BTreeSet<_>>().len()
}

/// Without numbers.
fn plain(words: &str) -> String {
    words.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect()
}

/// For whoever looks for the reason.
fn keep(name: &str, what: &str, text: &str) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("foreign-args");
    fs::create_dir_all(&folder).expect("target can be written");
    fs::write(folder.join(format!("{name}.{what}")), text).expect("target can be written");
}

/// The command lines of x86 guests, in the order of their names.
fn files(place: &Path) -> Vec<PathBuf> {
    let folder = ["qemuxmlconfdata", "qemuxml2argvdata"].map(|name| place.join(name)).into_iter().find(|folder| folder.is_dir());
    let entries = fs::read_dir(folder.expect("libvirt's test data has its command lines")).expect("the test data can be read");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("the test data can be read").path()).collect();
    let is_x86 = |path: &PathBuf| fs::read_to_string(path).is_ok_and(|text| text.contains("/qemu-system-x86_64 "));
    files.retain(|path| path.extension().is_some_and(|ending| ending == "args") && is_x86(path));
    files.sort();
    files
}
