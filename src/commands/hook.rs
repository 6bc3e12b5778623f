//! `vgapt hook`.

use std::io::Read as _;
use std::os::unix::process::parent_id;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use super::change;
use super::{Context, start};
use crate::cli::FOUND_AGAINST;
use crate::discovery::{self, Scope};
use crate::domain::{self, Needs};
use crate::host::Target;
use crate::host::life::{self, End, PagesWanted, Share};
use crate::model::{Daemon, Host, PciAddress, Severity};
use crate::output;
use crate::root::Root;
use crate::xml::Document;

/// libvirt runs this around the start and the stop of every domain, through
/// /etc/libvirt/hooks/qemu.d/vgapt, with the domain's XML on standard input. A domain that vgapt did
/// not make is left alone. It never speaks to libvirt, which would wait for itself.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The domain's name
    name: String,
    /// What libvirt is about to do: prepare, start, started, stopped, release, ...
    operation: String,
    /// begin or end
    suboperation: String,
    /// Not used
    extra: Vec<String>,
}

/// The longest XML of a domain that is read; libvirt's own limit for a message is 32 MiB.
const LONGEST: u64 = 32 << 20;

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<ExitCode> {
        // Whatever goes wrong here must not stop a domain that is not vgapt's.
        let Some(needs) = needs() else { return Ok(ExitCode::SUCCESS) };
        // The libvirt that calls it is this machine's, whatever a configuration names for commands.
        let root = context.own_root()?;
        let target = change::target(context, &root)?;
        leave_mark(&root, &target);
        let result = match (self.operation.as_str(), self.suboperation.as_str()) {
            ("prepare", "begin") => before_start(&needs, &root, &target),
            ("started", "begin") => {
                share(&needs, &discovery::read(&root, Scope::Devices)).and_then(|share| life::started(&share, &root, &target))
            }
            ("stopped", "end") => life::ended(&needs.name, End::Stopped, &root, &target),
            ("release", "end") => life::ended(&needs.name, End::Released, &root, &target),
            _ => Ok(()),
        };
        match result {
            // libvirt puts a long line before it, and shows the last of it.
            Err(error) if self.operation == "prepare" => {
                output::tell(&format!("vgapt: {error:#}\n"));
                Ok(ExitCode::from(FOUND_AGAINST))
            }
            // It runs, or has ended: nothing is gained by an error, and the log has it.
            Err(error) => {
                output::tell(&format!("vgapt: {error:#}\n"));
                Ok(ExitCode::SUCCESS)
            }
            Ok(()) => Ok(ExitCode::SUCCESS),
        }
    }
}

/// `vgapt check` tells by it that libvirt calls the hook; nothing depends on it.
fn leave_mark(root: &Root, target: &Target) {
    let called_by = |daemon: &Daemon| !root.is_live() || discovery::descends_from(root, parent_id(), daemon.pid);
    if let Some(daemon) = discovery::daemon(root).filter(called_by) {
        let _ = life::called(&daemon, target);
    }
}

fn needs() -> Option<Needs> {
    let mut text = String::new();
    std::io::stdin().take(LONGEST).read_to_string(&mut text).ok()?;
    domain::needs(&Document::parse(&text).ok()?)
}

fn before_start(needs: &Needs, root: &Root, target: &Target) -> Result<()> {
    let host = discovery::read(root, Scope::Devices);
    let functions: Vec<PciAddress> = needs.passed.iter().map(|passed| passed.address).collect();
    let mut findings = domain::of_functions(&needs.passed, &host);
    let share = share(needs, &host)?;
    if !share.handover {
        findings.extend(start::held(root, &host, &functions));
    }
    if let Some(finding) = findings.iter().find(|finding| finding.severity == Severity::Fatal) {
        bail!("{}; {}", finding.message, finding.remedy);
    }
    life::before_start(&share, root, target, &|| Some(start::held(root, &host, &functions)?.message))
}

fn share(needs: &Needs, host: &Host) -> Result<Share> {
    let wanted = |pages: domain::Pages| {
        let page =
            pages.page.or(host.memory.default_hugepage).context("the size of the host's huge pages cannot be read in /proc/meminfo")?;
        anyhow::Ok(PagesWanted { memory: pages.memory, page, node: pages.node, total: host.memory.total })
    };
    let pages = needs.pages.map(wanted).transpose()?;
    let functions: Vec<PciAddress> = needs.passed.iter().map(|passed| passed.address).collect();
    let boot_display = host.devices(&functions).any(|device| device.boot_vga == Some(true) && !device.on_vfio());
    let handover = needs.handover && host.devices(&functions).any(|device| device.class.is_display() && !device.on_vfio());
    Ok(Share { name: needs.name.clone(), pages, cpus: needs.cpus.clone(), boot_display, handover })
}
