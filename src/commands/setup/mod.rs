//! `vgapt setup`.

mod answers;
mod discs;
mod domain;
mod facts;
mod found;
mod own;
mod plan;
mod proposals;
mod questions;

use std::path::PathBuf;

use anyhow::Result;

use super::Context;
use super::shared::consent::{Consent, DRY_RUN_COUNTS};
use super::shared::options::with_unit;
use super::shared::request_file::{self, domain_name, working_directory};
use crate::domain::{GpuChoice, Request};
use crate::host::Allow;
use crate::interrupt::Interrupt;
use crate::model::Size;
use crate::output::Answer;
use crate::problem::Problem;
use answers::Answers;
use found::Found;
pub(in crate::commands) use found::inputs;
use plan::Plan;

pub(super) use facts::SetUp;

/// Set up a domain with a graphics card, step by step: ask, show one plan, carry it out
///
/// Asks what no option and no file answers, shows one plan for the host and the domain, and carries it out with the
/// commands that it prints. Until the plan is accepted, nothing is changed. If the host has to be rebooted,
/// run the same command again afterwards: it continues where the host and the domain are.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vgapt setup                      # asks for everything
  vgapt setup win11 --os win11 --cdrom win11.iso --virtio-iso virtio-win.iso
  vgapt setup win11 --answers win11.toml --yes")]
#[command(mut_args = proposed)]
pub struct Arguments {
    /// The domain's name [default: the name of the guest system]
    #[arg(value_parser = domain_name)]
    name: Option<String>,
    /// Answer the questions from this TOML file: the options of `vgapt define` by their names
    #[arg(long, value_name = "FILE", help_heading = "Setup")]
    answers: Option<PathBuf>,
    /// Size of the disk with a unit, if the disk does not exist yet [default: 100G]
    #[arg(long, value_name = "SIZE", value_parser = with_unit, help_heading = "Setup")]
    disk_size: Option<Size>,
    /// Continue although the host loses this, as for `vgapt prepare`
    #[arg(long, value_name = "WHAT", value_delimiter = ',', help_heading = "Setup")]
    allow: Vec<Allow>,
    /// Ask nothing: a question without an answer takes the proposal; the host is not rebooted
    #[arg(long, short, help_heading = "Setup")]
    yes: bool,
    /// Show the plan and change nothing, also with --yes
    #[arg(long, help_heading = "Setup")]
    dry_run: bool,
    /// Define the domain, and do not start it
    #[arg(long, help_heading = "Setup")]
    no_start: bool,
    #[command(flatten)]
    request: Request,
}

/// The options of `define` whose help says what setup proposes where they are not given.
const PROPOSED: [(&str, &str); 9] = [
    ("os", "Guest system [default: the newest Windows, or what you choose]"),
    ("memory", "Memory: 16G, 8192M, or a number in MiB [default: half of the host's, from 4G to 16G]"),
    ("cpus", "Number of virtual CPUs (threads, not cores) [default: auto, as many as one L3 cache of the host can provide]"),
    ("gpu", "Graphics card, by the PCI address of any of its functions [default: auto, the best one if the choice is unambiguous]"),
    ("disk", "Disk image, created if it does not exist, or block device [default: /var/lib/libvirt/images/NAME.qcow2]"),
    ("cdrom", "Image of the installer [default: the only one in the home folder, Downloads or libvirt's images, for a new disk]"),
    ("virtio_iso", "Image of the CD with the virtio drivers for Windows [default: found in the same way, by its name]"),
    ("evdev", "Keyboards and mice to switch between host and guest [default: all in /dev/input/by-id, unless another input is given]"),
    (
        "display",
        "Window on this host that shows the guest and takes keyboard and mouse [default: vnc if the guest has no other picture or input]",
    ),
];

/// The help of an option, in setup's words.
fn proposed(option: clap::Arg) -> clap::Arg {
    match PROPOSED.iter().find(|(name, _)| *name == option.get_id().as_str()) {
        Some((_, help)) => option.help(*help),
        None => option,
    }
}

/// No system fits on a smaller disk.
const SMALLEST_DISK: Size = Size::from_mib(1024);

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<Answer> {
        let can_ask = Consent::can_ask(context) && !self.yes;
        if !can_ask && !self.yes && !self.dry_run {
            return Err(
                Problem::usage("setup asks questions, and this is not a terminal", "use --yes, with --answers FILE or options").into()
            );
        }
        if self.dry_run && self.yes {
            context.note(DRY_RUN_COUNTS);
        }
        if let Some(size) = self.disk_size.filter(|size| *size < SMALLEST_DISK) {
            return Err(
                Problem::usage(format!("a disk of {size} is too small for a system"), "name a larger size: --disk-size 100G").into()
            );
        }
        let root = context.root()?;
        if let Some(root) = root.as_ref().filter(|_| !self.dry_run) {
            Consent::as_root(context, root)?;
        }
        // At a question Ctrl-C is an answer: nothing is changed, the terminal is restored, and the exit code says so.
        let _interrupt = Interrupt::watch()?;
        let found = Found::read(context, root, self.name.as_deref())?;
        let answers = self.answers(context, &found, can_ask && !self.dry_run)?;
        let plan = Plan::make(context, &found, &answers, !self.no_start)?;
        if let Some(refusal) = plan.refusal() {
            return Err(refusal.into());
        }
        context.say(&context.repeated(plan.summary()));
        if !context.global.json {
            context.tell(plan.findings());
        }
        if !found.is_this_host() {
            context.note("this is not the running host: nothing was changed");
            return Ok(plan.planned(context, false));
        }
        if self.dry_run || !(self.yes || plan.is_accepted(context)?) {
            context.note("nothing was changed");
            return Ok(plan.planned(context, true));
        }
        plan.carry_out(context, &found, can_ask)
    }

    /// The options, over the file of --answers, over an earlier run of setup, over the answers on the terminal.
    fn answers(&self, context: &Context, found: &Found, can_ask: bool) -> Result<Answers> {
        let directory = working_directory()?;
        let options = self.request.clone().with_absolute_paths(&directory.to_string_lossy());
        let mut given = match &self.answers {
            Some(file) => request_file::read(file)?.overlaid_by(&options),
            None => options,
        };
        for choice in given.gpu.iter_mut().filter(|choice| **choice == GpuChoice::Auto) {
            *choice = GpuChoice::At(proposals::card(found)?);
        }
        let mut answers = Answers { name: self.name.clone(), request: given, disk_size: self.disk_size, allow: self.allow.clone() };
        if let Some(earlier) = &found.earlier {
            let file = earlier.file.display();
            answers.name = Some(earlier.name.clone());
            if Found::domain(context, &earlier.name)?.is_none() {
                context.note(&format!("continuing with the answers in {file}; remove that file to be asked again"));
                answers.request = earlier.request.overlaid_by(&answers.request);
                return Ok(answers);
            }
            // They were proposals for a new domain, or were made when the domain was another one.
            context.note(&format!("'{}' exists, and keeps what it has: the answers in {file} are not used", earlier.name));
        }
        if can_ask { questions::ask(context, answers, found) } else { proposals::complete(context, answers, found) }
    }
}
