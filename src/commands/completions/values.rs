//! Where values come from: the host's files, and libvirt only where a domain, a network or a domain's disk is asked for.

use std::ffi::OsStr;

use anyhow::Result;
use clap_complete::CompletionCandidate;
use clap_complete::engine::{PathCompleter, ValueCompleter as _};

use crate::commands::setup::inputs;
use crate::commands::{Context, Global};
use crate::discovery::Scope;
use crate::disk::disk_uses;
use crate::hypervisor::{self, Hypervisor, Secrets};
use crate::model::{Host, PciAddress, PciDevice};
use crate::output;
use crate::passthrough;
use crate::root::Root;
use crate::xml::Document;

const INTERFACES: &str = "/sys/class/net";
const MEDIATED: &str = "/sys/bus/mdev/devices";
/// The kinds of `--network`.
const KINDS: [(&str, &str); 7] = [
    ("user", "outgoing connections only"),
    ("passt", "faster, with the host's addresses"),
    ("nat", "libvirt's network 'default'"),
    ("nat=", "a network of libvirt"),
    ("bridge=", "a bridge of the host"),
    ("macvtap=", "an interface of the host"),
    ("none", "no network"),
];

/// Where the values of an argument come from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    Cards {
        auto: bool,
    },
    /// Functions of sound cards.
    Audio,
    Functions,
    Usb,
    Mediated,
    Inputs,
    /// First those that run or do not run, if that matters.
    Domains {
        running: Option<bool>,
    },
    /// The disks of the domain that stands before, and files.
    DisksOf,
    /// Their names in the guest.
    Targets,
    /// The disks of all domains, and files.
    Disks,
    Networks,
    Network,
    Subcommands,
    Files(Paths),
    Fixed(&'static [&'static str]),
    /// Anything: a size, a new name.
    Free,
}

/// Which files.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Paths {
    Any,
    Folders,
    /// Images of CDs and DVDs.
    Discs,
}

/// A value and what it is.
type Value = (String, String);

impl Source {
    /// The values that begin with what was typed. What cannot be read offers nothing.
    pub(super) fn candidates(self, current: &OsStr, words: &[String], subcommands: &[String]) -> Vec<CompletionCandidate> {
        let Some(typed) = current.to_str() else { return Vec::new() };
        let asked = Asked { words, typed };
        let values = match self {
            Self::Files(paths) => return paths.candidates(current),
            Self::Fixed(values) => Ok(values.iter().map(|value| ((*value).to_owned(), String::new())).collect()),
            Self::Subcommands => Ok(subcommands.iter().map(|name| (name.clone(), String::new())).collect()),
            Self::Free => return Vec::new(),
            Self::Cards { auto } => asked.cards(auto),
            Self::Audio => asked.functions(|device| device.class.code() == 0x0403),
            Self::Functions => asked.functions(|device| !device.is_bridge()),
            Self::Usb => asked.usb(),
            Self::Mediated => asked.root().map(|root| root.names(MEDIATED).into_iter().map(|uuid| (uuid, String::new())).collect()),
            Self::Inputs => asked.root().map(|root| inputs(&root).into_iter().map(|path| (path, String::new())).collect()),
            Self::Domains { running } => return asked.domains(running).unwrap_or_default(),
            Self::DisksOf => asked.disks_of_the_domain(),
            Self::Targets => asked.targets(),
            Self::Disks => asked.disks(),
            Self::Networks => asked.networks(),
            Self::Network => asked.network(),
        };
        let mut found: Vec<CompletionCandidate> =
            values.unwrap_or_default().into_iter().filter(|(value, _)| value.starts_with(typed)).map(candidate).collect();
        if matches!(self, Self::Disks | Self::DisksOf) {
            found.extend(Paths::Any.candidates(current));
        }
        found
    }
}

fn candidate((value, what): Value) -> CompletionCandidate {
    CompletionCandidate::new(value).help((!what.is_empty()).then(|| output::shown(&what).into_owned().into()))
}

impl Paths {
    fn candidates(self, current: &OsStr) -> Vec<CompletionCandidate> {
        match self {
            Self::Any => PathCompleter::any().filter(|path| !path.is_dir()),
            Self::Folders => PathCompleter::dir(),
            Self::Discs => PathCompleter::any().filter(|path| path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("iso"))),
        }
        .complete(current)
    }
}

/// What somebody has typed.
struct Asked<'a> {
    words: &'a [String],
    /// Of the word that is to be completed.
    typed: &'a str,
}

impl Asked<'_> {
    /// With the host and the libvirt that the options before name.
    fn context(&self) -> Context {
        let given = |long: &str, short: Option<&str>| {
            let (before, _) = self.words.split_at(self.words.len().saturating_sub(1));
            let beside = before.windows(2).find(|pair| pair[0] == long || Some(pair[0].as_str()) == short).map(|pair| pair[1].clone());
            beside.or_else(|| before.iter().find_map(|word| Some(word.strip_prefix(long)?.strip_prefix('=')?.to_owned())))
        };
        let connect = given("--connect", Some("-c")).into_iter().collect();
        Context::new(Global { connect, root: given("--root", None).map(Into::into), quiet: true, ..Global::default() })
    }

    /// This host's files; an error where only libvirt knows the host.
    fn root(&self) -> Result<Root> {
        self.context().root()?.ok_or_else(|| anyhow::anyhow!("the host is behind libvirt"))
    }

    fn host(&self) -> Result<Host> {
        let context = self.context();
        let root = context.root()?.ok_or_else(|| anyhow::anyhow!("the host is behind libvirt"))?;
        context.host(Some(&root), Scope::Devices)
    }

    fn connect(&self) -> Result<Box<dyn Hypervisor>> {
        hypervisor::connect_read_only(self.context().uri())
    }

    /// An address as it was begun: with or without the PCI domain.
    fn address(&self, address: PciAddress) -> String {
        let short = address.short();
        if short.starts_with(self.typed) { short } else { address.to_string() }
    }

    fn cards(&self, auto: bool) -> Result<Vec<Value>> {
        let cards = passthrough::assess(&self.host()?)
            .into_iter()
            .map(|card| (self.address(card.address), format!("{}, {}", card.name.as_deref().unwrap_or("unknown graphics"), card.verdict)));
        Ok(cards
            .chain(auto.then(|| ("auto".to_owned(), "the card that can be passed through, if it is the only one".to_owned())))
            .collect())
    }

    fn functions(&self, is_wanted: impl Fn(&PciDevice) -> bool) -> Result<Vec<Value>> {
        let host = self.host()?;
        let value = |device: &PciDevice| (self.address(device.address), device.name.clone().unwrap_or_default());
        Ok(host.pci.iter().filter(|device| is_wanted(device)).map(value).collect())
    }

    fn usb(&self) -> Result<Vec<Value>> {
        let mut values: Vec<Value> =
            self.host()?.usb.into_iter().map(|device| (device.id.to_string(), device.name.unwrap_or_default())).collect();
        values.sort();
        values.dedup();
        Ok(values)
    }

    fn domains(&self, running: Option<bool>) -> Result<Vec<CompletionCandidate>> {
        let domains = self.connect()?.domains()?.known;
        let fitting = domains.into_iter().filter(|domain| domain.name.starts_with(self.typed)).map(|domain| {
            let is_other = running.is_some_and(|running| running != domain.state.is_active());
            candidate((domain.name, domain.state.to_string())).hide(is_other)
        });
        Ok(fitting.collect())
    }

    /// The XML of the domain that stands before, after `swap`.
    fn domain(&self) -> Result<Document> {
        let mut words = self.words.iter().skip_while(|word| *word != "swap").skip(1).filter(|word| !word.starts_with('-'));
        let name = words.next().map(String::as_str).unwrap_or_default();
        let xml = self.connect()?.domain_xml(name, Secrets::LeftOut)?.unwrap_or_default();
        Document::parse(&xml).map_err(|what| anyhow::anyhow!("{what}"))
    }

    fn disks_of_the_domain(&self) -> Result<Vec<Value>> {
        Ok(paths(&self.domain()?))
    }

    fn targets(&self) -> Result<Vec<Value>> {
        let uses = disk_uses(&self.domain()?).into_iter();
        Ok(uses.map(|used| (used.target, used.source.path().unwrap_or_default().to_owned())).collect())
    }

    /// Nothing begins with another letter than a slash that libvirt knows.
    fn disks(&self) -> Result<Vec<Value>> {
        if !(self.typed.is_empty() || self.typed.starts_with('/')) {
            return Ok(Vec::new());
        }
        let xml = self.connect()?.domains()?.known.into_iter().flat_map(|domain| domain.xml);
        let mut found: Vec<Value> = xml.filter_map(|xml| Document::parse(&xml).ok()).flat_map(|domain| paths(&domain)).collect();
        found.sort();
        found.dedup();
        Ok(found)
    }

    fn networks(&self) -> Result<Vec<Value>> {
        let networks = self.connect()?.networks()?.unwrap_or_default();
        Ok(networks.into_iter().map(|(name, is_active)| (name, if is_active { "active" } else { "not active" }.to_owned())).collect())
    }

    fn network(&self) -> Result<Vec<Value>> {
        let with = |kind: &str, values: Vec<Value>| values.into_iter().map(|(value, what)| (format!("{kind}{value}"), what)).collect();
        let interfaces = |below: &str| -> Result<Vec<Value>> {
            let root = self.root()?;
            let names = root.names(INTERFACES).into_iter().filter(|name| root.exists(&format!("{INTERFACES}/{name}/{below}")));
            Ok(names.map(|name| (name, String::new())).collect())
        };
        Ok(match self.typed.split_once('=') {
            Some(("nat", _)) => with("nat=", self.networks()?),
            Some(("bridge", _)) => with("bridge=", interfaces("bridge")?),
            Some(("macvtap", _)) => with("macvtap=", interfaces("device")?),
            _ => KINDS.map(|(kind, what)| (kind.to_owned(), what.to_owned())).to_vec(),
        })
    }
}

/// The files of a domain's disks, each with its name in the guest.
fn paths(domain: &Document) -> Vec<Value> {
    let uses = disk_uses(domain).into_iter();
    uses.filter_map(|used| Some((used.source.path()?.to_owned(), format!("{} of {}", used.target, name(domain))))).collect()
}

fn name(domain: &Document) -> String {
    domain.root().child("name").map(|name| name.text().to_owned()).unwrap_or_default()
}
