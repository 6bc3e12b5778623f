//! `vgapt check`.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::Context;
use super::shared::card;
use super::shared::next::{Seen, said};
use super::shared::refused::Refused;
use crate::discovery::{self, Scope};
use crate::domain::{self, Record, Screen};
use crate::domain_xml;
use crate::host::Bind;
use crate::hypervisor::Known;
use crate::model::{
    CardUser, Finding, HOOK, Host, HostSource, LibvirtAnswer, Observed, PciAddress, Reading, RecordedGroup, RecordedGroups, Rom, RomState,
    Setup, Size, shell_word, version_order,
};
use crate::output::{self, Answer, Detail, Outcome};
use crate::passthrough::Assessment;
use crate::problem::Problem;
use crate::readiness::{self, NextKernel, Report};
use crate::root::Root;
use crate::xml::Document;

/// Check whether the host is ready for a guest with a graphics card, and show what is missing
///
/// Checks the processor, the IOMMU, the cards, the boot loader, the initramfs, memory and installed
/// software; prints what is missing, the remedy for each, and what to do next.
/// Requires neither root nor libvirt; what only root can read is reported as unknown. Changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vgapt check                      # is this host ready, and what is next?
  vgapt check --gpu 01:00.0 -v     # all that is checked, and why
  vgapt check --next               # after an update: will the next boot do?")]
pub struct Arguments {
    /// The card for the guest, by the address of any of its functions [default: the bound card, else the one that can be passed through]
    #[arg(long, value_name = "ADDRESS", num_args = 1..)]
    gpu: Vec<PciAddress>,
    /// When the card is bound to vfio-pci, as with prepare [default: boot; start for the host's only display]
    #[arg(long, value_name = "WHEN")]
    bind: Option<Bind>,
    /// Check only the kernel that boots next: whether its modules, initramfs, command line and DKMS modules are as a guest with the
    /// card needs them; RELEASE as in /lib/modules [default: the newest kernel in the boot menu]
    #[arg(long, value_name = "RELEASE", num_args = 0..=1, default_missing_value = "", conflicts_with = "rom")]
    next: Option<String>,
    /// As the hook in updates of kernels runs it: print only what such an update may have made lacking
    #[arg(long, hide = true, requires = "next")]
    after_update: bool,
    /// A copy of the card's ROM; check whether a guest can use it
    #[arg(long, value_name = "FILE")]
    rom: Option<PathBuf>,
}

/// Programs whose version is read, if they are installed.
const VERSIONED: [&str; 5] = ["virsh", "libvirtd", "virtqemud", "qemu-system-x86_64", "qemu-kvm"];
/// Where libvirt stores its domains.
const DOMAINS: &str = "/etc/libvirt/qemu";
/// The largest ROM that PCI allows.
const LONGEST_ROM: u64 = 16 << 20;

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<Answer> {
        let root = context.root()?.ok_or_else(|| {
            let message = format!("the host of {} cannot be checked: its files cannot be read from here", context.uri());
            Refused::from(Finding::error("not-this-host", message, "run vgapt on that host itself, without --connect"))
        })?;
        let root = root.at_one_moment();
        let host = context.host(Some(&root), Scope::All)?;
        let report = match &self.next {
            Some(release) => self.of_next(context, &root, &host, Some(release.as_str()).filter(|release| !release.is_empty()))?,
            None => self.report(context, &root, &host)?,
        };
        let detail = match (context.global.verbose, context.global.quiet) {
            _ if self.after_update => Detail::AfterUpdate,
            (true, _) => Detail::More,
            (_, true) => Detail::Less,
            _ => Detail::Usual,
        };
        context.print(&output::checks(&report, detail))?;
        let next = report.next.clone();
        Ok(Answer::new(if report.ready { Outcome::Done } else { Outcome::NotReady }).with(report).next(next))
    }

    fn report(&self, context: &Context, root: &Root, host: &Host) -> Result<Report> {
        let mut seen = Seen::read(context, root, host)?;
        seen.read_log();
        let cards = self.cards(root, host, &seen.setup)?;
        let displays: Vec<PciAddress> = cards.iter().map(|card| card.address).collect();
        seen.observed.roms = discovery::roms(root, &displays);
        if let Some(file) = &self.rom {
            let [card] = displays[..] else {
                return Err(Problem::new("--rom applies to one card, and it is not clear which one", "name the card with --gpu").into());
            };
            seen.observed.roms.insert(card, RomState::Read(rom(file)?));
        }
        let defined = records(root);
        (seen.observed.smb_wanted, seen.observed.smb_unknown) = smb_wanted(root, &seen.setup, &defined);
        let screens = defined.0.iter().filter_map(|record| record.request.extras.looking_glass);
        seen.observed.looking_glass = screens.map(Screen::mib).max();
        let of_prepare = crate::host::recorded_groups(&context.target(root)?);
        (seen.observed.recorded_groups, seen.observed.recorded_groups_unknown) = recorded_groups(of_prepare, &defined);
        if root.is_live() {
            seen.observed.libvirt = ask_libvirt(context, &seen.setup);
            look_at_what_runs(&mut seen, &cards);
        }
        Ok(seen.report(&cards, self.bind))
    }

    /// Of the kernel that boots next.
    fn of_next(&self, context: &Context, root: &Root, host: &Host, release: Option<&str>) -> Result<Report> {
        let mut seen = Seen::read(context, root, host)?;
        let kernel = next_kernel(host, &seen.setup, release)?;
        let cards = self.cards(root, host, &seen.setup)?;
        if root.is_live() {
            seen.read_images(Some(&kernel.release));
            seen.read_parameters(&kernel);
        }
        // Whoever prepared the host and has nothing bound at boot leaves the card with the host until a domain starts.
        let at_start = self.after_update && crate::host::bound(&seen.setup).is_empty();
        Ok(seen.report_of(&kernel, &cards, self.bind.or(at_start.then_some(Bind::Start))))
    }

    fn cards(&self, root: &Root, host: &Host, setup: &Setup) -> Result<Vec<Assessment>> {
        let cards = readiness::meant(host, setup, &self.gpu);
        if let Some(address) = self.gpu.iter().find(|address| !cards.iter().any(|card| card.functions.contains(address))) {
            return Err(card::none_at(Some(root), host, *address).into());
        }
        Ok(cards)
    }
}

/// The kernel that is named, else the one that boots next.
fn next_kernel(host: &Host, setup: &Setup, release: Option<&str>) -> Result<NextKernel> {
    let mut known: Vec<&str> = setup.kernels.iter().map(|kernel| kernel.release.as_str()).collect();
    known.sort_by(|one, other| version_order(one, other));
    let kernel = match release {
        Some(release) => {
            let is_known = known.contains(&release);
            is_known.then(|| NextKernel { release: release.to_owned(), evidence: "named by --next".to_owned(), doubt: None })
        }
        None => readiness::next_kernel(host, setup),
    };
    kernel.ok_or_else(|| {
        let (what, remedy) = match release {
            Some(release) if known.is_empty() => {
                let remedy = "look at /lib/modules; without --next, vgapt check looks at what is there".to_owned();
                (format!("/lib/modules has no kernel {release}, nor another one"), remedy)
            }
            Some(release) => {
                let remedy = known.iter().map(|known| format!("vgapt check --next {}", shell_word(known))).collect::<Vec<_>>();
                (format!("/lib/modules has no kernel {release}"), format!("name one that is there: {}", remedy.join(", or ")))
            }
            None => ("no installed kernel is known".to_owned(), "look at /lib/modules, or name the kernel with --next RELEASE".to_owned()),
        };
        Refused::from(Finding::error("no-kernel", what, remedy)).into()
    })
}

/// The folders that defined domains share by Samba, and why some are unknown; only root can read the domains.
fn smb_wanted(root: &Root, setup: &Setup, (records, unknown): &(Vec<Record>, Vec<String>)) -> (Vec<String>, Vec<String>) {
    // A capture contains only the PCI functions of a domain.
    if root.is_capture() {
        let has_libvirt = ["virsh", "libvirtd", "virtqemud"].iter().any(|program| setup.has(program));
        let unknown = has_libvirt.then(|| HostSource::Recorded.because().to_owned());
        return (Vec::new(), unknown.into_iter().collect());
    }
    let shares = records.iter().flat_map(|record| &record.request.extras.share_smb);
    let folders: BTreeSet<String> = shares.map(|share| domain::shared_folder(share).0.to_owned()).collect();
    (folders.into_iter().collect(), unknown.clone())
}

/// The IOMMU groups that prepare and the domains recorded, and why some are unknown.
fn recorded_groups(
    of_prepare: Result<Vec<RecordedGroup>>,
    (records, unknown): &(Vec<Record>, Vec<String>),
) -> (Vec<RecordedGroups>, Vec<String>) {
    let mut unknown = unknown.clone();
    let of_record = |record: &Record| RecordedGroups {
        functions: record.passed.iter().map(|passed| passed.address).collect(),
        groups: record.groups.clone(),
    };
    let mut groups: Vec<RecordedGroups> = records.iter().map(of_record).collect();
    match of_prepare {
        Ok(of_prepare) => groups.push(RecordedGroups { functions: Vec::new(), groups: of_prepare }),
        Err(error) => unknown.push(format!("{error:#}")),
    }
    (groups, unknown)
}

/// The records of the defined domains, and why some are unknown. A capture has none.
fn records(root: &Root) -> (Vec<Record>, Vec<String>) {
    let names = match root.entries(DOMAINS) {
        _ if root.is_capture() => Vec::new(),
        Reading::Known(names) => names,
        Reading::Absent => Vec::new(),
        Reading::Unknown(because) => return (Vec::new(), vec![because]),
    };
    let (mut records, mut unknown) = (Vec::new(), Vec::new());
    for path in names.iter().filter(|name| name.ends_with(".xml")).map(|name| format!("{DOMAINS}/{name}")) {
        match root.reading(&path).then(|text| record(&text, &path)) {
            Reading::Known(record) => records.push(record),
            Reading::Absent => {}
            Reading::Unknown(because) => unknown.push(because),
        }
    }
    (records, unknown)
}

/// vgapt's record in a domain.
fn record(text: &str, path: &str) -> Reading<Record> {
    match Document::parse(text).map_or_else(Reading::Unknown, |domain| Record::of(&domain)) {
        Reading::Unknown(because) => Reading::Unknown(format!("{path}: {because}")),
        known => known,
    }
}

fn rom(file: &std::path::Path) -> Result<Result<Rom, String>> {
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|file| file.take(LONGEST_ROM).read_to_end(&mut bytes));
    read.with_context(|| format!("cannot read the ROM {}", file.display()))?;
    Ok(Rom::parse(&bytes))
}

/// What this host's libvirt answers, if one is installed.
fn ask_libvirt(context: &Context, setup: &Setup) -> Option<LibvirtAnswer> {
    let is_installed = ["virsh", "libvirtd", "virtqemud"].iter().any(|program| setup.has(program));
    (is_installed && !context.uri().is_remote()).then(|| {
        let answer = context.connect().and_then(|connection| Ok((connection.domains()?, connection.abilities()?)));
        answer.map_or_else(
            |error| LibvirtAnswer::Failed {
                because: error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": "),
                remedy: error.chain().find_map(|cause| cause.downcast_ref::<Problem>()).map_or_else(
                    || "run virsh list --all, and correct the error that it prints".to_owned(),
                    |problem| problem.remedy.clone(),
                ),
            },
            |(domains, abilities)| {
                let mut unread: Vec<String> = domains.unread.into_iter().map(|unread| unread.name).collect();
                let mut users = Vec::new();
                for domain in &domains.known {
                    match card_user(domain) {
                        Ok(user) => users.extend(user),
                        Err(_) => unread.push(domain.name.clone()),
                    }
                }
                LibvirtAnswer::Connected { uri: context.uri().to_string(), domains: users, unread, abilities }
            },
        )
    })
}

/// `None` for a domain without PCI devices of the host; an error for one whose XML is not understood.
fn card_user(domain: &Known) -> Result<Option<CardUser>, String> {
    let mut functions = BTreeSet::new();
    for xml in &domain.xml {
        functions.extend(domain_xml::all_functions(&Document::parse(xml)?)?);
    }
    Ok((!functions.is_empty()).then(|| CardUser { name: domain.name.clone(), state: domain.state.to_string(), functions }))
}

/// What can be read only on a live host: processes, limits, and the output of programs.
fn look_at_what_runs(seen: &mut Seen, cards: &[Assessment]) {
    seen.read_holders(cards);
    seen.read_images(None);
    let (setup, observed) = (&seen.setup, &mut seen.observed);
    let limit = rustix::process::getrlimit(rustix::process::Resource::Memlock).current;
    observed.memory_lock = Some(Size::from_bytes(limit.unwrap_or(u64::MAX)));
    for program in VERSIONED.into_iter().filter(|program| setup.has(program)) {
        if let Some(said) = said(&[program, "--version"]) {
            observed.versions.insert(program.to_owned(), said.lines().next().unwrap_or_default().to_owned());
        }
    }
    look_at_hook(observed, setup);
}

fn look_at_hook(observed: &mut Observed, setup: &Setup) {
    let hook = &mut observed.hook;
    if let Some(daemon) = &hook.daemon {
        let asked = ["systemctl", "show", "--timestamp=unix", "--property=StateChangeTimestamp", "--value", &daemon.name];
        hook.reloaded = said(&asked).and_then(|text| text.trim().strip_prefix('@')?.parse().ok());
    }
    let own = std::env::current_exe().ok().and_then(|path| std::fs::read(path).ok());
    let its = setup.hook_program.as_ref().and_then(|path| std::fs::read(path).ok());
    hook.is_own_program = own.zip(its).map(|(own, its)| own == its);
    if setup.enforces_labels() {
        let files = std::iter::once(HOOK).chain(setup.hook_program.as_deref());
        // -n changes nothing, it only prints what would be relabelled.
        let labelled = files.map(|file| Some((file, said(&["restorecon", "-n", "-v", file])?)));
        let labelled: Option<Vec<(&str, String)>> = labelled.collect();
        hook.mislabelled =
            labelled.map(|all| all.into_iter().filter(|(_, said)| !said.is_empty()).map(|(file, _)| file.to_owned()).collect());
    }
}
