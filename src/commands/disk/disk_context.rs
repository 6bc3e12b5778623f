//! The context of every disk command: the tools, and which domain uses which disk.

use std::cell::RefCell;
use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::super::Context;
use super::super::exit_code::BLOCKED;
use crate::discovery::{self, Scope};
use crate::disk::{self, DiskUse, argv};
use crate::domain_xml::{self, Drive, Source};
use crate::hypervisor::{Domains, Known, Pool, Pools, Snapshot};
use crate::interrupt::Interrupt;
use crate::model::{Distribution, Finding};
use crate::output;
use crate::problem::Problem;
use crate::root::Root;
use crate::run::{self, Missing, ProgramOutput};
use crate::xml::Document;

/// Time limit for a tool that only reads metadata.
const LOOK: Duration = Duration::from_secs(60);
/// Time limit for a tool that reads all tables of an image.
const LONG_LOOK: Duration = Duration::from_secs(1800);

/// The context of every disk command.
pub(super) struct DiskContext<'c> {
    pub(super) context: &'c Context,
    pub(super) interrupt: Interrupt,
    /// The domains with their disks.
    pub(super) domains: Vec<User>,
    /// The images that snapshots of domains name.
    pub(super) in_snapshots: Vec<PathBuf>,
    /// The storage pools.
    pub(super) pools: Vec<Pool>,
    /// Domains or disks that are unknown, with the reasons.
    pub(super) unknown_domains: Vec<String>,
    /// Storage pools that are unknown, with the reasons.
    pub(super) unknown_pools: Vec<String>,
    /// Findings that --force has overridden.
    overridden: RefCell<Vec<Finding>>,
}

/// A domain and the images it uses.
pub(super) struct User {
    pub(super) known: Known,
    pub(super) disks: Vec<(DiskUse, PathBuf)>,
}

/// Findings that block a disk command before anything is changed.
#[derive(Debug)]
pub(super) struct Conflicts(pub(super) Vec<Finding>);

impl fmt::Display for Conflicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages: Vec<&str> = self.0.iter().map(|finding| finding.message.as_str()).collect();
        f.write_str(&messages.join("; "))
    }
}

impl std::error::Error for Conflicts {}

impl<'c> DiskContext<'c> {
    /// With what libvirt knows about the disks; prints a note where libvirt cannot be asked.
    pub(super) fn open(context: &'c Context) -> Result<Self> {
        let mut disk_context = Self::alone(context)?;
        let asked = if context.uri().is_remote() {
            Err(anyhow::anyhow!("{} is another machine", context.uri()))
        } else {
            context.connect().and_then(|connection| Ok((connection.domains()?, connection)))
        };
        match asked {
            Ok((domains, connection)) => {
                for domain in &domains.known {
                    match connection.beside(&domain.name) {
                        Ok(beside) => disk_context.know_snapshots(&domain.name, &beside.snapshots),
                        Err(why) => disk_context.unknown_domains.push(format!("the snapshots of the domain '{}': {why:#}", domain.name)),
                    }
                }
                disk_context.know(domains, connection.pools());
            }
            Err(why) => {
                context.note(
                    "note: libvirt cannot be asked which domains use the disk; only QEMU's lock shows whether a running domain uses it",
                );
                context.detail(&format!("{why:#}"));
                disk_context.unknown_domains.push(format!("libvirt cannot be asked for domains and storage pools ({why:#})"));
            }
        }
        Ok(disk_context)
    }

    /// Without asking libvirt.
    pub(super) fn alone(context: &'c Context) -> Result<Self> {
        Ok(Self {
            context,
            interrupt: Interrupt::watch()?,
            domains: Vec::new(),
            in_snapshots: Vec::new(),
            pools: Vec::new(),
            unknown_domains: Vec::new(),
            unknown_pools: Vec::new(),
            overridden: RefCell::default(),
        })
    }

    fn know_snapshots(&mut self, domain: &str, snapshots: &[Snapshot]) {
        for snapshot in snapshots {
            match Document::parse(&snapshot.xml) {
                Ok(document) => self.in_snapshots.extend(disk::snapshot_paths(&document).into_iter().map(PathBuf::from)),
                Err(what) => self.unknown_domains.push(format!("the snapshot '{}' of the domain '{domain}': {what}", snapshot.name)),
            }
        }
    }

    fn know(&mut self, domains: Domains, pools: Result<Pools>) {
        match pools {
            Ok(pools) => {
                self.pools = pools.known;
                self.unknown_pools
                    .extend(pools.unread.into_iter().map(|pool| format!("the storage pool '{}': {}", pool.name, pool.because)));
            }
            Err(why) => self.unknown_pools.push(format!("{why:#}")),
        }
        self.unknown_domains.extend(domains.unread.into_iter().map(|domain| format!("the domain '{}': {}", domain.name, domain.because)));
        for known in domains.known {
            let (disks, unknown) = disks(&known, &self.pools);
            self.unknown_domains.extend(unknown);
            self.domains.push(User { known, disks });
        }
    }

    /// Runs a tool that only reads metadata.
    pub(super) fn ask(&self, argv: &[String]) -> Result<ProgramOutput> {
        self.ask_within(argv, LOOK)
    }

    /// Runs a tool that reads all tables of an image.
    pub(super) fn ask_long(&self, argv: &[String]) -> Result<ProgramOutput> {
        self.ask_within(argv, LONG_LOOK)
    }

    fn ask_within(&self, argv: &[String], limit: Duration) -> Result<ProgramOutput> {
        self.context.detail(&argv.join(" "));
        run::within(argv, limit, &self.interrupt).map_err(|error| self.explain(error))
    }

    /// Runs a tool that creates something small; it must succeed without messages.
    pub(super) fn make(&self, argv: &[String], failed: &str) -> Result<()> {
        let said = self.ask_long(argv)?;
        if said.success() && said.stderr.trim().is_empty() { Ok(()) } else { Err(refused(failed, &said)) }
    }

    /// Adds the package to install to the error of a missing tool.
    pub(super) fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let Some(Missing { program }) = error.downcast_ref() else { return error };
        let (debian, others) = argv::package_of(program);
        let distribution = self.distribution();
        let package = if distribution.is_like(&["debian", "ubuntu"]) { debian } else { others };
        let install = distribution.install_command(package);
        let remedy = install.unwrap_or_else(|| format!("the package is {debian} (Debian, Ubuntu) or {others} (other distributions)"));
        Problem::new(error.to_string(), format!("install it: {remedy}")).into()
    }

    fn distribution(&self) -> Distribution {
        // The tools run on this machine, whatever the libvirt connection is.
        let root = Root::open(self.context.global.root.as_deref().unwrap_or(Path::new("/")));
        root.map(|root| discovery::read(&root, Scope::All).platform.distribution).unwrap_or_default()
    }

    /// Reports findings; returns the exit code where they block the command and `force` does not override them.
    pub(super) fn refusal(&self, findings: &[Finding], what: &str, force: bool) -> Result<Option<ExitCode>> {
        if findings.is_empty() {
            return Ok(None);
        }
        if !findings.iter().any(|finding| finding.refuses(force)) {
            if !self.context.global.json {
                self.context.tell(findings);
                if findings.iter().any(|finding| finding.refuses(false)) {
                    output::tell("continuing because of --force\n");
                }
            }
            self.overridden.borrow_mut().extend_from_slice(findings);
            return Ok(None);
        }
        refuse(self.context, findings, what).map(Some)
    }

    /// Reports the result.
    pub(super) fn done(&self, words: &str, mut facts: Value) -> Result<ExitCode> {
        if self.context.global.json {
            facts["outcome"] = "done".into();
            let overridden = self.overridden.borrow();
            if !overridden.is_empty() {
                facts["findings"] = output::findings_json(&overridden).into();
            }
            output::print(&output::json(&facts))?;
        } else {
            self.context.note(words);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Reports the findings that block the command, and returns the exit code.
pub(super) fn refuse(context: &Context, findings: &[Finding], what: &str) -> Result<ExitCode> {
    if context.global.json {
        output::print(&output::json(&json!({"outcome": "refused", "findings": output::findings_json(findings)})))?;
    } else {
        context.tell(findings);
        output::tell(&format!("{what}: see above. Nothing was changed.\n"));
    }
    Ok(ExitCode::from(BLOCKED))
}

/// The signals that may end a tool, with their names in signal(7).
const SIGNALS: [(i32, &str); 10] = [
    (1, "SIGHUP"),
    (2, "SIGINT"),
    (4, "SIGILL"),
    (6, "SIGABRT"),
    (7, "SIGBUS"),
    (9, "SIGKILL: by a user, or by the kernel when memory ran out"),
    (11, "SIGSEGV"),
    (15, "SIGTERM"),
    (24, "SIGXCPU"),
    (25, "SIGXFSZ"),
];

/// Why a tool failed: its message without its name, or the signal that killed it.
pub(super) fn reason(said: &ProgramOutput) -> String {
    let words = said.stderr.trim().trim_start_matches("qemu-img: ").replace('\n', " ");
    let end = match (said.status.signal(), said.status.code()) {
        (Some(signal), _) => {
            let name = SIGNALS.iter().find(|(number, _)| *number == signal).map(|(_, name)| format!(" ({name})")).unwrap_or_default();
            format!("it was killed by signal {signal}{name}")
        }
        (None, Some(0)) => "it exited with code 0, but printed an error".to_owned(),
        (None, Some(code)) if words.is_empty() => format!("it exited with code {code} without a message"),
        _ => return words,
    };
    if words.is_empty() { end } else { format!("{end}: {words}") }
}

/// The error of a failed tool, with a remedy.
pub(super) fn refused(what: &str, said: &ProgramOutput) -> anyhow::Error {
    let words = reason(said);
    if words.contains("No space left on device") {
        return Problem::new(format!("{what}: the file system is full"), "free some space, and run it again").into();
    }
    if words.contains("key-secret") {
        return Problem::new(
            format!("{what}: the image is encrypted, and vgapt has no key"),
            "give qemu-img its key: --object secret,id=key,file=FILE --image-opts driver=qcow2,encrypt.key-secret=key,file.filename=IMAGE",
        )
        .into();
    }
    // The image itself exists (see `existing`), so a backing file is missing.
    if words.contains("No such file or directory") && words.contains("Could not open") {
        return Problem::new(
            format!("{what}: the backing file is missing ({words})"),
            "restore that file; if it was moved, set the new path: qemu-img rebase -u -F FORMAT -b NEW_PLACE IMAGE",
        )
        .into();
    }
    if disk::says_locked(&said.stderr) {
        return Problem::new(format!("{what}: another process has the disk ({words})"), "shut down the domain that uses it first").into();
    }
    if words.contains("no operating system was found") {
        return Problem::new(
            format!("{what}: libguestfs finds no operating system on the disk"),
            "name the disk on which the guest's operating system is installed",
        )
        .into();
    }
    anyhow::anyhow!("{what}: {words}")
}

/// The images that a domain uses, and which of them are unknown.
fn disks(known: &Known, pools: &[Pool]) -> (Vec<(DiskUse, PathBuf)>, Vec<String>) {
    let (mut placed, mut unknown) = (Vec::new(), Vec::new());
    for xml in &known.xml {
        let document = match Document::parse(xml) {
            Ok(document) => document,
            Err(what) => {
                unknown.push(format!("the XML of the domain '{}': {what}", known.name));
                continue;
            }
        };
        for used in disk::disk_uses(&document) {
            let path = match &used.source {
                Source::Path(path) => Some(path.clone()),
                Source::Volume { pool, volume } => pools
                    .iter()
                    .filter(|known| known.name == *pool)
                    .flat_map(|known| &known.volumes)
                    .find(|known| known.name == *volume)
                    .map(|known| known.path.clone()),
                // What only QEMU's drivers reach is not an image file on this host.
                Source::Remote { .. } | Source::Nvme(_) => continue,
            };
            match path {
                Some(path) => placed.push((used, path.into())),
                None => unknown.push(format!("the disk {} of the domain '{}': libvirt does not list its volume", used.target, known.name)),
            }
        }
        // Drives in qemu:commandline, of which libvirt knows nothing.
        let drives = domain_xml::drives(&document);
        let in_options = |what: &str| format!("qemu:commandline of the domain '{}': {what}", known.name);
        unknown.extend(drives.unknown.iter().map(|what| in_options(what)));
        for Drive { file, format, read_only } in drives.images {
            if file.starts_with('/') {
                let used = DiskUse {
                    target: "a drive of qemu:commandline".to_owned(),
                    source: Source::Path(file.clone()),
                    is_stated: format.is_some(),
                    format,
                    read_only,
                };
                placed.push((used, file.into()));
            } else if !disk::is_remote(&file) {
                unknown.push(in_options(&format!("{file} is not understood")));
            }
        }
    }
    (placed, unknown)
}
