//! `vgapt topology`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;

use super::Context;
use super::shared::existing::Existing;
use super::shared::refused::Refused;
use super::shared::{card, user_file};
use crate::discovery::Scope;
use crate::domain::{CoreKind, Cpus};
use crate::domain_xml;
use crate::model::{Card, CpuSet, Finding, Host, PciAddress, shell_word};
use crate::output::{self, Answer, CardPlacement, TopologyView};
use crate::problem::Problem;
use crate::root::Root;
use crate::topology::{self, Count, PinningError, PinningRequest};

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
        let seats = match &self.name {
            Some(name) => {
                let connection = context.connect()?;
                let host = context.host(root.as_ref(), Scope::All)?;
                of_domain(name, &Existing::open(connection, name)?, &host)?
            }
            None => self.proposed(root.as_ref(), &context.host(root.as_ref(), Scope::All)?)?,
        };
        if let Some(file) = &self.svg {
            user_file::write(file, output::svg(&seats).as_bytes())?;
            context.note(&format!("the picture is in {}", file.display()));
        }
        if self.svg.is_none() {
            context.print(&output::topology(&seats))?;
        }
        Ok(Answer::done(seats))
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
        let pinning = match topology::pin(&host.topology, &demand) {
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
            Err(PinningError::TooFew(most)) => {
                let others = demand.kinds.others().filter(|_| host.topology.cpus.iter().any(|cpu| cpu.kind.is_some()));
                let others = others.map_or_else(String::new, |others| format!("; --core-kind any uses the {others} cores too"));
                return Err(Refused::from(Finding::error(
                    "too-few-cores",
                    format!("these cores have room for only {most} virtual CPUs"),
                    format!("use at most --cpus {most}{others}"),
                ))
                .into());
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
        cards: cards.iter().map(seated).collect(),
        ..TopologyView::default()
    }
}
