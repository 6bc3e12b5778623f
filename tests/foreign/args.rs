//! Command lines by other hands: the `.args` of libvirt's own test data, as libvirt made them. Each is imported,
//! libvirt makes a command line of the domain, and the product's comparison tells of each option what became of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use vgapt::export::{functions_as_hostdevs, resolve_usb_addresses, set_vfio_driver};
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
const NOT_HERE: &[&str] = &[];

/// A command line, what vgapt made of it, and libvirt of that.
struct Case {
    file: String,
    argv: Vec<String>,
    imported: Imported,
    native: Vec<String>,
    found: Comparison,
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
    crashed: Vec<String>,
}

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
        match catch_unwind(AssertUnwindSafe(|| tried(&connect, &name, &text, &mut tally))) {
            Ok(Some(case)) => tally.count(&case),
            Ok(None) => {}
            Err(_) => tally.crashed.push(name),
        }
    }
    tally.report(files.len().div_ceil(every));
}

/// Imports a command line and compares; `None` where that is refused.
fn tried(connect: &Connect, name: &str, text: &str, tally: &mut Tally) -> Option<Case> {
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
            Some(Case { file: name.to_owned(), argv: script.argv, imported, native, found })
        }
        Err(words) => {
            let kind = if NOT_HERE.iter().any(|what| words.contains(what)) { &mut tally.not_here } else { &mut tally.wrong };
            kind.entry(plain(words.lines().last().unwrap_or_default())).or_default().push(name.to_owned());
            None
        }
    }
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
        for (option, how) in &found.silent {
            let (name, value) = option.split_once(' ').unwrap_or((option, ""));
            let driver = value.split_once("\"driver\":\"").and_then(|(_, rest)| rest.split('"').next());
            let kind = driver.or_else(|| value.split(',').next().filter(|first| !first.starts_with('{'))).unwrap_or_default();
            self.silent.entry(plain(&format!("{name} {kind}: {how}"))).or_default().push(file.clone());
        }
    }

    fn report(&self, tried: usize) {
        println!("{tried} command lines of libvirt's test data were tried: {} compared", self.compared);
        let silent: usize = self.silent.values().map(Vec::len).sum();
        println!("options: {} same, {} same meaning, {} left out, {silent} silent", self.same, self.meaning, self.left_out);
        for (what, kinds) in
            [("REFUSED", &self.refused), ("NOT HERE", &self.not_here), ("LIBVIRT REFUSES", &self.wrong), ("SILENT", &self.silent)]
        {
            println!("{what}: {} in {} files", kinds.values().map(Vec::len).sum::<usize>(), files_of(kinds));
            let mut kinds: Vec<_> = kinds.iter().collect();
            kinds.sort_by_key(|(_, files)| std::cmp::Reverse(files.len()));
            for (kind, files) in kinds {
                println!("{:5} {kind}\n      {}", files.len(), files.iter().take(3).cloned().collect::<Vec<_>>().join(" "));
            }
        }
        println!("CRASHED: {:?}", self.crashed);
        assert!(self.crashed.is_empty() && self.wrong.is_empty() && silent == 0, "see above");
    }
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
