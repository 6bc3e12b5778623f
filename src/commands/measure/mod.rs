//! `vgapt measure`.

mod subject;
mod tracing;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use schemars::JsonSchema;
use serde::Serialize;

use subject::{keep_owned_pins, subject};
use tracing::Tracing;

use super::Context;
use super::shared::existing::{Existing, running_xml};
use super::shared::refused::{self, Refused};
use super::shared::user_file;
use crate::discovery::{self, Scope};
use crate::domain;
use crate::domain_xml;
use crate::hypervisor::{Hypervisor, State};
use crate::interrupt::{Interrupt, Interrupted};
use crate::life;
use crate::measure::{self, Change, Measured, Turn};
use crate::model::{CpuSet, Finding, GuestClock, Next, PciAddress, Reading, Sample, Surroundings, shell_word};
use crate::output::{self, Answer, Form, Outcome};
use crate::problem::Problem;
use crate::root::Root;
use crate::xml::Element;

/// Measure how fast a running domain is: what costs it speed, and what to do about it
///
/// Watches QEMU's threads and this host for some seconds: who else runs on the guest's CPUs, how long these wait,
/// exits to the host and their reasons, interrupts, huge pages, and the links of the passed devices. Neither domain
/// nor host is changed; for root the kernel counts the exits meanwhile, in an instance of its tracing that is removed
/// afterwards. Some of it only root can read; what could not be read is reported as unknown.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vgapt measure win11                # as root: some of it only root can read
  vgapt measure win11 --seconds 30 --save before.json
  vgapt measure win11 --against before.json
  vgapt measure win11 --svg cores.svg")]
pub struct Arguments {
    /// The domain's name
    name: String,
    /// How long to measure
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Measure again and again until Ctrl-C
    #[arg(long, conflicts_with_all = ["save", "svg"])]
    watch: bool,
    /// Write the measurement to a file for --against
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Show what changed since the measurement in this file
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Write an SVG picture of the guest's host CPUs over time to this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// The most slices of the time, two a second: reading all threads of a host takes milliseconds.
const SLICES: u32 = 20;

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<Answer> {
        let connection = context.connect()?;
        let root = root(context)?;
        let before = self.against.as_deref().map(saved).transpose()?;
        // Before the time is spent.
        [&self.save, &self.svg].into_iter().flatten().try_for_each(|file| user_file::may_write(file))?;
        let interrupt = Interrupt::watch()?;
        let watched = Watched { context, connection, root: &root, interrupt: &interrupt };
        if self.watch {
            let ended = self.again(&watched, before.as_ref());
            let answer = ended.unwrap_or_else(|error| refused::answer(context, error));
            if context.global.json && answer.outcome != Outcome::Interrupted {
                output::print(&line(&answer))?;
            }
            return Ok(Answer { is_printed: true, ..answer });
        }
        let measurement = self.once(&watched, before.as_ref())?;
        context.print(&(measurement.text(context) + &output::next(&measurement.next())))?;
        if let Some(file) = &self.save {
            let text = serde_json::to_string_pretty(&measurement.measured).context("plain data serialises")?;
            user_file::write(file, (text + "\n").as_bytes())?;
            context.note(&format!("the measurement is in {}", file.display()));
        }
        if let Some(file) = &self.svg {
            user_file::write(file, output::measured_svg(&measurement.measured).as_bytes())?;
            context.note(&format!("the picture is in {}", file.display()));
        }
        Ok(measurement.answer())
    }

    /// The documents of --watch are one line each.
    fn again(&self, watched: &Watched<'_>, before: Option<&Measured>) -> Result<Answer> {
        let context = watched.context;
        while !watched.interrupt.came() {
            let measurement = match self.once(watched, before) {
                Err(error) if error.is::<Interrupted>() => break,
                measurement => measurement?,
            };
            output::print(&match () {
                () if context.global.json => line(&measurement.answer()),
                () if output::redraws() => output::redrawn(&measurement.text(context)),
                () => measurement.text(context),
            })?;
        }
        Ok(Answer::printed(Outcome::Interrupted))
    }

    fn once(&self, watched: &Watched<'_>, before: Option<&Measured>) -> Result<Measurement> {
        let Watched { context, connection, root, .. } = watched;
        let name = &self.name;
        // Refuses a name that no domain has.
        Existing::open(*connection, name)?;
        match connection.state(name)? {
            State::Paused => return Err(Refused::from(paused(context, name)).into()),
            state if !state.is_active() => return Err(Refused::from(not_running(name)).into()),
            _ => {}
        }
        let running = running_xml(*connection, name)?.ok_or_else(|| ended(name))?;
        let pid = qemu(root, name, running.root())?;
        let host = context.host(Some(root), Scope::All)?;
        let functions: Vec<PciAddress> = domain_xml::pci_hostdevs(running.root()).map(|(_, address)| address).collect();
        let mut subject = subject(name, running.root(), &host, &functions);
        subject.virsh = context.virsh();
        subject.own = root.is_live().then(std::process::id);
        subject.moves_interrupts = domain::needs(&running).known().map(|needs| needs.moves_interrupts);
        match context.target(root).and_then(|target| life::left_alone(name, root, &target)) {
            Ok(left) => {
                (subject.fixed, subject.left_interrupts, subject.left_processes) = (left.fixed, left.interrupts, left.processes);
            }
            Err(error) => subject.left_interrupts = vec![format!("what the hook could not move is unknown: {error:#}")],
        }
        let clock = Clock::begin(*connection, name, running.root())?;
        let tracing = Tracing::begin(root, &context.target(root)?);
        let samples = self.samples(watched, pid, &functions, &measure::host_cpus(&subject, &[]))?;
        let exit_reasons = tracing.map_or_else(Reading::Unknown, |tracing| tracing.end(root));
        let agent = clock.end(*connection, name)?;
        keep_owned_pins(&mut subject, &samples);
        subject.fixed.extend(discovery::fixed_interrupts(root));
        let cpus = measure::host_cpus(&subject, &samples);
        let mut surroundings = Surroundings { agent, exit_reasons, ..discovery::surroundings(root, pid, &cpus) };
        if root.is_live() {
            let versions = [("libvirt", connection.abilities()?.version), ("QEMU", connection.qemu_version()?)];
            let known = versions.into_iter().filter_map(|(program, version)| Some((program.to_owned(), dotted(version?))));
            surroundings.versions = known.collect();
            surroundings.versions.extend(host.platform.kernel.clone().map(|release| ("Linux".to_owned(), release)));
            if discovery::is_replaced(root, pid) {
                surroundings.versions.retain(|(program, _)| program != "QEMU");
                context
                    .note("QEMU's version is unknown: its program was replaced since the domain started, which counts from the next start");
            }
        }
        let mut measured = measure::measure(&subject, &samples, surroundings).map_err(|because| {
            Problem::new(format!("'{name}' cannot be measured: {because}"), "measure on the host itself, while the domain runs there")
        })?;
        for judgement in &mut measured.judgements {
            judgement.remedy = context.repeated(std::mem::take(&mut judgement.remedy));
            judgement.command = judgement.command.take().map(|command| context.repeated(command));
        }
        if let Some(before) = before.filter(|before| before.name != measured.name) {
            context.note(&format!("the measurement before is of another domain: '{}'", before.name));
        }
        if let Some(before) = before.filter(|before| before.vcpus.len() != measured.vcpus.len()) {
            context.note(&format!(
                "the measurement before was with {} virtual CPUs, this one is with {}",
                before.vcpus.len(),
                measured.vcpus.len()
            ));
        }
        for (program, was) in before.iter().flat_map(|before| &before.versions) {
            if let Some(is) = measured.versions.get(program).filter(|is| *is != was) {
                context.note(&format!("the measurement before was with {program} {was}, this one is with {is}"));
            }
        }
        let against = before.map(|before| measure::changes(before, &measured));
        let turned = before.map(|before| measure::turns(before, &measured));
        Ok(Measurement { measured, against, turned })
    }

    fn samples(&self, watched: &Watched<'_>, pid: u32, functions: &[PciAddress], pinned: &CpuSet) -> Result<Vec<Sample>> {
        let whole = Duration::from_secs(self.seconds.into());
        let slices = (2 * self.seconds).min(SLICES);
        let take = || {
            let sample = discovery::sample(watched.root, pid, functions, pinned)
                .map_err(|because| Problem::new(because, "measure on the host itself, where /proc is mounted"))?;
            sample.ok_or_else(|| anyhow::Error::from(ended(&self.name)))
        };
        let mut samples = vec![take()?];
        let begun = Instant::now();
        for slice in 1..=slices {
            watched.interrupt.pause((whole * slice / slices).saturating_sub(begun.elapsed()));
            if watched.interrupt.came() {
                return Err(Interrupted("nothing was changed".to_owned()).into());
            }
            samples.push(take()?);
        }
        let started = |sample: &Sample| sample.threads.iter().find(|thread| thread.tid == pid).map(|thread| thread.started);
        // Another process may have got its number.
        let is_same = samples.first().map(started) == samples.last().map(started);
        is_same.then_some(samples).ok_or_else(|| ended(&self.name).into())
    }
}

/// The guest's clock and the host's at the beginning; it is absent where the domain has no channel for an agent.
struct Clock(Reading<(Duration, Instant)>);

const NO_ANSWER: &str = "no agent answers in the guest: install qemu-guest-agent there";

impl Clock {
    fn begin(connection: &dyn Hypervisor, name: &str, domain: Element<'_>) -> Result<Self> {
        if domain_xml::agent_channel(domain).is_none() {
            return Ok(Self(Reading::Absent));
        }
        let time = connection.guest_time(name)?;
        Ok(Self(time.map_or_else(|| Reading::Unknown(NO_ANSWER.to_owned()), |time| Reading::Known((time, Instant::now())))))
    }

    fn end(self, connection: &dyn Hypervisor, name: &str) -> Result<Reading<GuestClock>> {
        let (before, since) = match self.0 {
            Reading::Known(begun) => begun,
            Reading::Absent => return Ok(Reading::Absent),
            Reading::Unknown(because) => return Ok(Reading::Unknown(because)),
        };
        let time = connection.guest_time(name)?;
        let clock = |after: Duration| Reading::Known(GuestClock { guest: after.saturating_sub(before), host: since.elapsed() });
        Ok(time.map_or_else(|| Reading::Unknown(NO_ANSWER.to_owned()), clock))
    }
}

/// Where is measured.
struct Watched<'a> {
    context: &'a Context,
    connection: &'a dyn Hypervisor,
    root: &'a Root,
    interrupt: &'a Interrupt,
}

/// What `vgapt measure` answers.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct Measurement {
    #[serde(flatten)]
    measured: Measured,
    /// What changed since the measurement of --against.
    against: Option<Vec<Change>>,
    /// The judgements that are others than in that one.
    turned: Option<Vec<Turn>>,
}

impl Measurement {
    fn text(&self, context: &Context) -> String {
        output::measured(&self.measured, self.against.as_deref().zip(self.turned.as_deref()), context.global.verbose)
    }

    fn next(&self) -> Next {
        let Some(worst) = self.measured.judgements.iter().find(|worst| worst.has_remedy()) else {
            return Next::sentence("nothing that was measured has a remedy");
        };
        let words = Some(&worst.remedy).filter(|words| !words.is_empty());
        Next { reason: format!("{}: {}", worst.subject, worst.seen), command: worst.command.clone(), remedy: words.cloned() }
    }

    fn answer(&self) -> Answer {
        Answer::done(self.clone()).next(self.next())
    }
}

fn line(answer: &Answer) -> String {
    answer.document(Some("measure"), Form::OneLine)
}

fn root(context: &Context) -> Result<Root> {
    let refuse = |what: &str| Problem::new(format!("{what}, where nothing can be measured"), "run it on the host where the domain runs");
    let elsewhere = || {
        refuse(if context.uri().is_test() {
            "the domains of libvirt's test driver run nowhere"
        } else {
            "the domain is on another host than this one"
        })
    };
    let root = context.root()?.ok_or_else(elsewhere)?;
    if root.is_capture() {
        return Err(refuse("a capture holds one moment of a host").into());
    }
    Ok(root)
}

fn saved(file: &Path) -> Result<Measured> {
    let remedy = "name a file that vgapt measure --save wrote";
    let text = user_file::read(file).map_err(|error| Problem::new(format!("cannot read {}: {error}", file.display()), remedy))?;
    let parsed = serde_json::from_str(&text);
    Ok(parsed.map_err(|error| Problem::new(format!("{} is no measurement: {error}", file.display()), remedy))?)
}

fn not_running(name: &str) -> Finding {
    let remedy = format!("start it first: vgapt start {}", shell_word(name));
    Finding::error("not-running", format!("'{name}' is not running: there is nothing to measure"), remedy)
}

fn paused(context: &Context, name: &str) -> Finding {
    let remedy = format!("{} resume {}", context.virsh(), shell_word(name));
    Finding::error("paused", format!("'{name}' is paused: its virtual CPUs do nothing that could be measured"), remedy)
}

fn ended(name: &str) -> Problem {
    let remedy = format!("find out why it ended: vgapt why {}", shell_word(name));
    Problem::new(format!("'{name}' ended while it was measured"), remedy)
}

/// The process that runs this domain: libvirt gives QEMU the domain's UUID, and another QEMU may have its name.
fn qemu(root: &Root, name: &str, domain: Element<'_>) -> Result<u32> {
    let uuid = domain.child("uuid").map(Element::text).unwrap_or_default().to_lowercase();
    let processes = discovery::qemu_processes(root).into_result().map_err(anyhow::Error::msg)?.unwrap_or_default();
    let is_it = |argv: &[String]| argv.windows(2).any(|pair| pair[0] == "-uuid" && pair[1].to_lowercase() == uuid);
    let pids: Vec<u32> = processes.iter().filter(|process| !uuid.is_empty() && is_it(&process.argv)).map(|process| process.pid).collect();
    match pids[..] {
        [pid] => Ok(pid),
        [] => Err(Problem::new(
            format!("no process that can be seen here runs QEMU for '{name}' (UUID {uuid})"),
            "run it as root, on the host itself and outside of containers",
        )
        .into()),
        _ => Err(Problem::new(
            format!("several processes run QEMU for the UUID {uuid} of '{name}': {pids:?}"),
            "end the one that is not libvirt's: two guests with one UUID and its disks damage these",
        )
        .into()),
    }
}

/// libvirt's form of a version: 1000000 × major + 1000 × minor + release.
fn dotted(version: u64) -> String {
    format!("{}.{}.{}", version / 1_000_000, version / 1000 % 1000, version % 1000)
}
