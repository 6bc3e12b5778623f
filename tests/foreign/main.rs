//! Domains by other hands: libvirt's own test data, which `tests/foreign/run` fetches. What libvirt's QEMU
//! driver defines with validation, it defines after vgapt's work on it too.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use vgapt::discovery::{self, Scope};
use vgapt::domain::{self, Base, Cpus, Extras, NewDomain, Origin, Os, Request};
use vgapt::model::{Files, Host, Severity, Uri};
use vgapt::root::Root;
use vgapt::xml::Document;
use virt::connect::Connect;
use virt::domain::Domain;
use virt::sys::{VIR_DOMAIN_DEFINE_VALIDATE, VIR_DOMAIN_UNDEFINE_NVRAM, VIR_DOMAIN_XML_INACTIVE, VIR_DOMAIN_XML_SECURE};

mod args;
#[path = "../support/command.rs"]
#[allow(dead_code)] // The whole is for all tests.
mod command;
#[path = "../support/libvirt.rs"]
#[allow(dead_code)]
mod libvirt;

/// Where the test data lies.
const PLACE: &str = "VGAPT_FOREIGN";
/// Of how many domains one is tried.
const EVERY: &str = "VGAPT_FOREIGN_EVERY";
/// Fewer domains than this are not libvirt's test data: of 9.0 and of 11.3 far more are accepted.
const FEWEST: usize = 1000;

/// A domain of libvirt's test data, as this machine's libvirt can be asked about it.
struct Case {
    /// The file, below the test data.
    file: String,
    /// The name that it has here.
    name: String,
    text: String,
}

/// What came out.
#[derive(Default)]
struct Tally {
    accepted: usize,
    /// What vgapt refused, by the finding's id.
    refused: BTreeMap<&'static str, Vec<String>>,
    /// By kind: the law, and libvirt's words without names and numbers.
    failed: BTreeMap<String, Vec<String>>,
}

struct Machine {
    host: Host,
    files: Files,
}

/// The laws that hold for every domain.
struct Laws<'a> {
    connect: &'a Connect,
    machine: &'a Machine,
    case: &'a Case,
    tally: &'a mut Tally,
}

#[test]
#[ignore = "tests/foreign/run fetches libvirt's test data and runs it"]
fn what_libvirt_accepts_it_accepts_after_vgapt() {
    let place = std::env::var_os(PLACE).expect("tests/foreign/run names the test data");
    let every: usize = std::env::var(EVERY).ok().and_then(|every| every.parse().ok()).unwrap_or(1);
    let libvirt = libvirt::Libvirt::daemon();
    virt::error::clear_error_callback();
    let connect = Connect::open(Some(&libvirt.uri)).expect("the daemon answers");
    let root = Root::open(Path::new("fixtures/hosts/z170-gtx960.host")).unwrap();
    let machine = Machine { host: discovery::read(&root, Scope::All), files: discovery::files(&root, &[]) };
    let cases = cases(Path::new(&place), libvirt.kvm);
    assert!(cases.len() >= FEWEST, "{} domains are in {}: not libvirt's test data", cases.len(), place.display());
    let mut tally = Tally::default();
    let offset: usize = std::env::var("VGAPT_FOREIGN_FROM").ok().and_then(|from| from.parse().ok()).unwrap_or(0);
    for case in cases.iter().skip(offset).step_by(every) {
        Laws { connect: &connect, machine: &machine, case, tally: &mut tally }.hold();
    }
    report(&tally, cases.len().div_ceil(every));
}

fn report(tally: &Tally, tried: usize) {
    println!("{tried} x86 domains of libvirt's test data were tried, and libvirt accepts {}", tally.accepted);
    for (what, cases) in tally
        .refused
        .iter()
        .map(|(id, cases)| (format!("vgapt refuses: {id}"), cases))
        .chain(tally.failed.iter().map(|(kind, cases)| (format!("FAILED: {kind}"), cases)))
    {
        println!("{:5} {what}\n      {}", cases.len(), cases.iter().take(4).cloned().collect::<Vec<_>>().join(" "));
    }
    let mut failed: Vec<&String> = tally.failed.values().flatten().collect();
    failed.sort_unstable();
    failed.dedup();
    println!("{} passed, {} failed", tally.accepted - failed.len(), failed.len());
    assert!(failed.is_empty(), "libvirt or a law refuses vgapt's work on {} domains", failed.len());
}

impl Laws<'_> {
    fn hold(&mut self) {
        let Case { text, .. } = self.case;
        // What is no domain for this libvirt or QEMU says nothing of vgapt.
        let Ok(domain) = self.define(text) else { return };
        let before = xml(&domain);
        // Some it does not take back as it gave them: nobody can change these.
        if self.define(&before).is_err() {
            undefine(&domain);
            return;
        }
        self.tally.accepted += 1;
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let requests = [small(), self.possible(large())];
            for request in &requests {
                self.template(request, None);
                self.existing(&before, request);
            }
            self.template(&Request { os: Some(Os::from("win10")), ..small() }, Some(&Os::from("win10")));
            self.attached_text(text);
            self.attached(&before);
        }));
        if outcome.is_err() {
            self.fails("panic", "");
        }
        undefine(&domain);
    }

    /// A domain made anew from this one as a template.
    fn template(&mut self, request: &Request, os: Option<&Os>) {
        let mut template = Document::parse(&self.case.text).unwrap();
        if let Some(uuid) = template.root().child("uuid").map(vgapt::xml::Element::id) {
            template.remove(uuid);
        }
        let name = format!("{}-new", self.case.name);
        let base = |domain| {
            let new = Some(NewDomain { uuid: None, profile: os.and_then(Os::profile) });
            Base::define(Origin { domain, name: &name, uri: Uri::DEFAULT, new }, request, &Request::default())
        };
        let Some(merged) = self.merged(&base(template)) else { return };
        self.is_accepted("template", &merged);
        let again = base(Document::parse(&merged).unwrap());
        self.merges_to("template, a second time", &again, &merged);
    }

    /// The domain as it is, changed.
    fn existing(&mut self, before: &str, request: &Request) {
        let case = self.case;
        let base = |text: &str| {
            let origin = Origin { domain: Document::parse(text).unwrap(), name: &case.name, uri: Uri::DEFAULT, new: None };
            Base::define(origin, request, &Request::default())
        };
        let base_of = base(before);
        let Some(merged) = self.merged(&base_of) else { return };
        if let Some(after) = self.is_accepted("define", &merged) {
            let base_of = base(&after);
            self.merges_to("define, a second time", &base_of, &after);
        }
        self.define(before).expect("libvirt takes what it gave");
    }

    /// Devices in, and out again, of a text that libvirt has not put in order.
    fn attached_text(&mut self, text: &str) {
        let Some(with) = self.merged(&self.attach(text)) else { return };
        self.merges_to("attach to a text, a second time", &self.attach(&with), &with);
        // What is left of a domain without devices is an empty <devices>, which libvirt gives to each domain.
        if Document::parse(text).unwrap().root().child("devices").is_some() {
            self.merges_to("attach to a text, detach", &self.detach(&with), text);
        }
    }

    /// Devices in, and out again, through libvirt.
    fn attached(&mut self, before: &str) {
        let Some(with) = self.merged(&self.attach(before)) else { return };
        let Some(with) = self.is_accepted("attach", &with) else { return };
        self.merges_to("attach, a second time", &self.attach(&with), &with);
        let Some(without) = self.merged(&self.detach(&with)) else { return };
        let Some(after) = self.is_accepted("detach", &without) else { return };
        self.is_same("attach, detach", Some(&after), before);
    }

    /// Without USB devices where the domain has no USB: that is refused, and the rest is to be seen too.
    fn possible(&self, request: Request) -> Request {
        let domain = Document::parse(&self.case.text).unwrap();
        let controllers = domain.root().child("devices").into_iter().flat_map(|devices| devices.children_named("controller"));
        let mut kinds =
            controllers.map(|controller| ["type", "model"].map(|name| controller.attribute(name).map(std::borrow::Cow::into_owned)));
        let is_off = kinds.any(|[kind, model]| kind.as_deref() == Some("usb") && model.as_deref() == Some("none"));
        if is_off { Request { usb: Vec::new(), keyboard: None, ..request } } else { request }
    }

    fn origin(&self, domain: Document) -> Origin<'_> {
        Origin { domain, name: &self.case.name, uri: Uri::DEFAULT, new: None }
    }

    fn attach(&self, text: &str) -> Base {
        Base::attach(self.origin(Document::parse(text).unwrap()), &self.possible(devices()))
    }

    fn detach(&self, text: &str) -> Base {
        let mut domain = Document::parse(text).unwrap();
        if let Some(record) = domain::Record::of(&domain).known() {
            domain::recognise(&mut domain, &record);
        }
        Base::detach(self.origin(domain))
    }

    /// What vgapt makes of it; `None` where it refuses, with its reason.
    fn merged(&mut self, base: &Base) -> Option<String> {
        let libvirt = vgapt::model::Libvirt { version: self.connect.lib_version().ok().map(u64::from), ..Default::default() };
        let resolved = domain::resolve(base, &self.machine.host, &self.machine.files, &libvirt);
        // What is wrong with the host is not the domain's.
        let is_fatal = |finding: &&vgapt::model::Finding| finding.severity == Severity::Error;
        if let Some(against) = resolved.findings.iter().find(is_fatal) {
            self.tally.refused.entry(against.code).or_default().push(self.case.file.clone());
            return None;
        }
        Some(domain::merge(&base.domain, &resolved.spec).to_string())
    }

    fn define(&self, text: &str) -> Result<Domain, String> {
        self.connect.define_domain_xml_flags(text, VIR_DOMAIN_DEFINE_VALIDATE).map_err(|error| error.message().to_owned())
    }

    /// What libvirt makes of it.
    fn is_accepted(&mut self, law: &str, text: &str) -> Option<String> {
        self.keep(law, text);
        match self.define(text) {
            Ok(domain) => {
                let after = xml(&domain);
                if law == "template" {
                    undefine(&domain);
                }
                Some(after)
            }
            // libvirt gives no hub to a domain whose USB ports are all in use, whoever adds a device.
            Err(words) if words.contains("No free USB ports") => {
                self.tally.refused.entry("(libvirt has no free USB port)").or_default().push(self.case.file.clone());
                None
            }
            Err(words) => {
                self.fails(law, &words);
                None
            }
        }
    }

    fn merges_to(&mut self, law: &str, base: &Base, wanted: &str) {
        let now = self.merged(base);
        self.is_same(law, now.as_deref(), wanted);
    }

    fn is_same(&mut self, law: &str, now: Option<&str>, wanted: &str) {
        if now != Some(wanted) {
            self.keep(&format!("{law}.wanted"), wanted);
            self.keep(&format!("{law}.is"), now.unwrap_or("refused\n"));
            self.fails(law, if now.is_some() { "another text" } else { "refused" });
        }
    }

    fn fails(&mut self, law: &str, words: &str) {
        let last = words.lines().last().unwrap_or_default();
        let plain: String =
            last.replace(&self.case.name, "NAME").chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect();
        self.tally.failed.entry(format!("{law}: {plain}")).or_default().push(self.case.file.clone());
    }

    /// For whoever looks for the reason.
    fn keep(&self, law: &str, text: &str) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("foreign");
        fs::create_dir_all(&folder).expect("target can be written");
        let name = format!("{} {law}.xml", self.case.file.replace('/', "-"));
        fs::write(folder.join(name), text).expect("target can be written");
    }
}

fn xml(domain: &Domain) -> String {
    domain.xml_desc(VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE).expect("a domain that was just defined")
}

fn undefine(domain: &Domain) {
    domain.undefine_flags(VIR_DOMAIN_UNDEFINE_NVRAM).expect("a domain that was just defined");
}

/// What most ask for.
fn small() -> Request {
    Request { memory: "4G".parse().ok(), cpus: Some(Cpus::Count(4)), gpu: vec!["01:00.0".parse().unwrap()], ..Request::default() }
}

/// Something of everything.
fn large() -> Request {
    Request {
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
            network: "user".parse().ok(),
            share: vec!["/srv/games".into(), "/srv/x=stuff".into()],
            sound: Some(domain::Sound::PulseAudio),
            ..Extras::default()
        },
        ..small()
    }
}

fn devices() -> Request {
    Request {
        gpu: vec!["01:00.0".parse().unwrap()],
        pci: vec!["03:00.0".parse().unwrap()],
        usb: vec!["046d:c52b".parse().unwrap()],
        ..Request::default()
    }
}

/// The x86 domains of QEMU's, in the order of their names.
fn cases(place: &Path, kvm: bool) -> Vec<Case> {
    let mut files = Vec::new();
    collect(place, &mut files);
    files.sort();
    let mut seen = std::collections::BTreeSet::new();
    let mut cases = Vec::new();
    for file in files {
        let shown = file.strip_prefix(place).expect("below it").display().to_string();
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let Ok(mut domain) = Document::parse(&text) else { continue };
        if !is_x86(&domain) || !seen.insert(text) {
            continue;
        }
        let name = format!("f{:04}", cases.len());
        localise(&mut domain, &name, cases.len(), kvm);
        cases.push(Case { file: shown, name, text: domain.to_string() });
    }
    cases
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the test data can be read") {
        let entry = entry.expect("the test data can be read");
        let kind = entry.file_type().expect("the test data can be read");
        if kind.is_dir() {
            collect(&entry.path(), files);
        } else if kind.is_file() && entry.path().extension().is_some_and(|extension| extension == "xml") {
            files.push(entry.path());
        }
    }
}

fn is_x86(domain: &Document) -> bool {
    let root = domain.root();
    let is_qemu = root.name() == "domain" && root.attribute("type").is_some_and(|kind| matches!(&*kind, "qemu" | "kvm"));
    let arch = root.at("os/type").and_then(|kind| kind.attribute("arch"));
    is_qemu && arch.is_none_or(|arch| matches!(&*arch, "x86_64" | "i686"))
}

/// The emulators and machine types of the test data are not on this machine; names and UUIDs repeat.
fn localise(domain: &mut Document, name: &str, number: usize, kvm: bool) {
    let of = |domain: &Document, path: &str| domain.root().at(path).map(vgapt::xml::Element::id);
    if let Some(id) = of(domain, "name") {
        domain.set_text(id, name);
    }
    if let Some(id) = of(domain, "uuid") {
        domain.set_text(id, &format!("00000000-0000-4000-8000-{number:012}"));
    }
    if !kvm {
        let root = domain.root().id();
        domain.set_attribute(root, "type", "qemu");
    }
    let arch = domain.root().at("os/type").and_then(|kind| kind.attribute("arch")).unwrap_or_else(|| "x86_64".into());
    let emulator = if arch == "i686" { "/usr/bin/qemu-system-i386" } else { "/usr/bin/qemu-system-x86_64" };
    if let Some(id) = of(domain, "devices/emulator") {
        domain.set_text(id, emulator);
    }
    if let Some(kind) = of(domain, "os/type") {
        let machine = domain.element(kind).attribute("machine").map(std::borrow::Cow::into_owned);
        if let Some(machine) = machine {
            let plain = if machine.contains("q35") {
                "q35"
            } else if machine.starts_with("pc") {
                "pc"
            } else {
                &machine
            };
            domain.set_attribute(kind, "machine", plain);
        }
    }
}
