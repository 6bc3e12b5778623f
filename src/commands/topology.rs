//! `vgapt topology`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;

use super::Context;
use super::shared::existing::Existing;
use super::shared::facts::other_domains;
use super::shared::refused::Refused;
use super::shared::{card, user_file};
use crate::discovery::Scope;
use crate::domain::{self, CoreKind, Cpus};
use crate::domain_xml;
use crate::model::{Card, CpuSet, Finding, Host, Neighbour, PciAddress, shell_word};
use crate::output::{self, Answer, CardPlacement, TopologyView};
use crate::problem::Problem;
use crate::root::Root;
use crate::topology::{self, Count, NO_SUCH_CORES, PinningError, PinningRequest};

/// Show which cores of the host are used by a guest
///
/// Shows packages, NUMA nodes, L3 caches, cores and cards, and which of them a domain uses; without a name, what a
/// new domain would use.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vgapt topology win11             # the cores of this domain
  vgapt topology --cpus 8          # those that a new one would get
  vgapt topology --svg cores.svg")]
pub struct Arguments {
    /// The domain's name
    name: Option<String>,
    /// Without a name: number of virtual CPUs
    #[arg(long, value_name = "N|auto", default_value = "auto", conflicts_with = "name")]
    cpus: Cpus,
    /// Without a name: the cores of a hybrid processor to use
    #[arg(long, value_name = "KIND", conflicts_with = "name")]
    core_kind: Option<CoreKind>,
    /// Without a name: for a guest with the card of this function
    #[arg(long, value_name = "ADDRESS", conflicts_with = "name")]
    gpu: Option<PciAddress>,
    /// Write an SVG picture to this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<Answer> {
        let root = context.root()?;
        let existing = self.name.as_deref().map(|name| Existing::open(context.connect()?, name)).transpose()?;
        let asks = existing.is_some() || context.knows_domains(root.as_ref());
        let (neighbours, findings) = match asks.then(|| self.neighbours(context)) {
            Some(Ok(known)) => (known, Vec::new()),
            Some(Err(unknown)) => (Vec::new(), vec![unknown]),
            None => (Vec::new(), Vec::new()),
        };
        let host = Host { neighbours, ..context.host(root.as_ref(), Scope::All)? };
        let seats = match (&self.name, &existing) {
            (Some(name), Some(existing)) => of_domain(name, existing, &host)?,
            _ => self.proposed(root.as_ref(), &host)?,
        };
        context.tell(&findings);
        if let Some(file) = &self.svg {
            user_file::write(file, output::svg(&seats).as_bytes())?;
            context.note(&format!("the picture is in {}", file.display()));
        }
        if self.svg.is_none() {
            context.print(&output::topology(&seats))?;
        }
        Ok(Answer { findings, ..Answer::done(seats) })
    }

    /// The other guests.
    fn neighbours(&self, context: &Context) -> Result<Vec<Neighbour>, Finding> {
        let others = context.connect().and_then(|connection| other_domains(connection, self.name.as_deref().unwrap_or("")));
        others.map(|others| domain::neighbours(&others)).map_err(|error| {
            let message = format!("the cores of other guests are unknown, and may be among these: {error:#}");
            Finding::warning("neighbours-unknown", message, "see vgapt check, which says what libvirt lacks")
        })
    }

    fn proposed(&self, root: Option<&Root>, host: &Host) -> Result<TopologyView> {
        let card = self.gpu.map(|address| card::named(root, host, address));
        let functions = card.transpose()?.map(|card| card.functions).unwrap_or_default();
        let count = match self.cpus {
            Cpus::Auto => Count::Auto,
            Cpus::Count(count) => Count::Exactly(count),
        };
        let node = host.best_node(&functions);
        let demand = PinningRequest { count, kinds: self.core_kind.map(Into::into).unwrap_or_default(), node };
        let pinning = match topology::pin(&host.topology_beside(&functions), &demand) {
            Ok(pinning) => pinning,
            Err(PinningError::Unknown) => return Ok(seats(host, &functions)),
            Err(PinningError::OneCore) => {
                return Err(Refused::from(Finding::error(
                    "too-few-cores",
                    "the host has only one core, which the host needs",
                    "do not pin: the host's scheduler shares the core",
                ))
                .into());
            }
            Err(PinningError::NoSuchCores) => {
                return Err(Refused::from(Finding::error("no-such-cores", NO_SUCH_CORES, "leave --core-kind out")).into());
            }
            Err(PinningError::TooFew(most)) => {
                let others = demand.kinds.others(&host.topology);
                let others = others.map_or_else(String::new, |others| format!("; --core-kind any uses the {others} cores too"));
                let mut message = format!("these cores have room for only {most} virtual CPUs");
                let mut remedies = if most == 0 { Vec::new() } else { vec![format!("use at most --cpus {most}{others}")] };
                if let Some((limit, more)) = host.topology.kept_from_guests() {
                    message = format!("{message}: {limit}");
                    remedies.insert(0, more);
                }
                if remedies.is_empty() {
                    remedies.push("do not pin: the host's scheduler shares the cores".to_owned());
                }
                return Err(Refused::from(Finding::error("too-few-cores", message, remedies.join("; or "))).into());
            }
        };
        let vcpus = (0..).zip(&pinning.vcpus).map(|(vcpu, cpu)| (*cpu, vec![vcpu])).collect();
        Ok(TopologyView { vcpus, guest: pinning.taken, emulator: pinning.emulator, ..seats(host, &functions) })
    }
}

fn of_domain(name: &str, existing: &Existing, host: &Host) -> Result<TopologyView> {
    let (pins, emulator) = domain_xml::pins(existing.document.root())
        .map_err(|why| Problem::new(format!("'{name}': {why}"), format!("correct its pins: virsh edit {}", shell_word(name))))?;
    let mut vcpus: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (vcpu, cpus) in pins {
        for cpu in cpus.0 {
            vcpus.entry(cpu).or_default().push(vcpu);
        }
    }
    let cores = topology::cores(&host.topology);
    let is_guests = |core: &&topology::Core| core.cpus.iter().any(|cpu| vcpus.contains_key(cpu));
    let guest = CpuSet(cores.iter().filter(is_guests).flat_map(|core| core.cpus.iter().copied()).collect());
    let functions: Vec<PciAddress> = existing.passed().iter().map(|passed| passed.address).collect();
    Ok(TopologyView { name: Some(name.to_owned()), vcpus, guest, emulator: emulator.unwrap_or_default(), ..seats(host, &functions) })
}

/// The host, and the cards with one of these functions; all cards where there are no functions.
fn seats(host: &Host, functions: &[PciAddress]) -> TopologyView {
    let mut cards = Card::all(host);
    if !functions.is_empty() {
        cards.retain(|card| card.functions.iter().any(|function| functions.contains(function)));
    }
    let seated = |card: &Card| CardPlacement {
        label: format!("{} {}", card.address.short(), host.device(card.address).map(crate::model::PciDevice::label).unwrap_or_default()),
        node: host.device(card.address).and_then(|device| device.numa_node),
        groups: host.groups_of(&card.functions),
    };
    TopologyView {
        model: host.cpu.model.clone(),
        cores: topology::cores(&host.topology),
        others: host.topology_beside(functions).used,
        cards: cards.iter().map(seated).collect(),
        ..TopologyView::default()
    }
}
