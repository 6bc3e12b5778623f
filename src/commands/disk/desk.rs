//! What every recipe starts from: the tools, and who uses which disk.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value, json};

use super::super::Context;
use crate::cli::FOUND_AGAINST;
use crate::discovery::{self, Scope};
use crate::disk::{self, Chain, DiskUse, Source, argv};
use crate::hypervisor::{Known, Volume};
use crate::interrupt::Interrupt;
use crate::model::{Distribution, Finding};
use crate::output;
use crate::problem::Problem;
use crate::root::Root;
use crate::run::{self, Missing, Ran};
use crate::xml::Document;

/// What every recipe starts from.
pub(super) struct Desk<'c> {
    pub(super) context: &'c Context,
    pub(super) interrupt: Interrupt,
    /// The domains with their disks; none where libvirt could not be asked.
    pub(super) domains: Vec<User>,
    pub(super) volumes: Vec<Volume>,
}

/// A domain and the images it uses.
pub(super) struct User {
    pub(super) known: Known,
    pub(super) disks: Vec<(DiskUse, PathBuf)>,
}

impl<'c> Desk<'c> {
    /// Asks libvirt, and says so where it cannot be asked.
    pub(super) fn open(context: &'c Context) -> Result<Self> {
        let mut desk = Self { context, interrupt: Interrupt::watch()?, domains: Vec::new(), volumes: Vec::new() };
        let asked = if context.uri().is_remote() {
            Err(anyhow::anyhow!("{} is another machine", context.uri()))
        } else {
            context.connect().and_then(|connection| Ok((connection.domains()?, connection.volumes())))
        };
        match asked {
            Ok((domains, volumes)) => {
                desk.domains = domains.into_iter().map(|known| User { disks: disks(&known, &volumes), known }).collect();
                desk.volumes = volumes;
            }
            Err(why) => {
                context.note("note: libvirt is not asked who uses the disk; only QEMU's own lock tells of machines that run");
                context.detail(&format!("{why:#}"));
            }
        }
        Ok(desk)
    }

    /// A recipe that asks nobody.
    pub(super) fn alone(context: &'c Context) -> Result<Self> {
        Ok(Self { context, interrupt: Interrupt::watch()?, domains: Vec::new(), volumes: Vec::new() })
    }

    /// Runs a tool that only looks.
    pub(super) fn ask(&self, argv: &[String]) -> Result<Ran> {
        self.context.detail(&argv.join(" "));
        run::output(argv).map_err(|error| self.explain(error))
    }

    /// An image and what it lies on, also where a running machine has it.
    pub(super) fn chain(&self, path: &Path) -> Result<Chain> {
        let said = self.ask(&argv::info(path, true))?;
        if !said.success() {
            return Err(refused(&format!("qemu-img cannot read {}", path.display()), &said.stderr));
        }
        disk::parse_chain(&said.stdout).map_err(anyhow::Error::msg)
    }

    /// A tool that is missing, with the package that brings it.
    pub(super) fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let Some(Missing { program }) = error.downcast_ref() else { return error };
        let (debian, others) = argv::package_of(program);
        let distribution = self.distribution();
        let package = if distribution.is_like(&["debian", "ubuntu"]) { debian } else { others };
        let install = distribution.install_command(package);
        let remedy = install.unwrap_or_else(|| format!("the package is {debian} (Debian, Ubuntu) or {others} (elsewhere)"));
        Problem::new(error.to_string(), format!("install it: {remedy}")).into()
    }

    fn distribution(&self) -> Distribution {
        // The tools run here, whatever libvirt is spoken to.
        let root = Root::open(self.context.global.root.as_deref().unwrap_or(Path::new("/")));
        root.map(|root| discovery::read(&root, Scope::All).platform.distribution).unwrap_or_default()
    }

    /// Tells what speaks against it; the exit code where anything does.
    pub(super) fn refusal(&self, findings: &[Finding], what: &str) -> Result<Option<ExitCode>> {
        if findings.is_empty() {
            return Ok(None);
        }
        if self.context.global.json {
            output::print(&output::json(&json!({"outcome": "refused", "findings": output::findings_json(findings)})))?;
        } else {
            self.context.tell(findings);
            output::tell(&format!("{what}: see above. Nothing was touched.\n"));
        }
        Ok(Some(ExitCode::from(FOUND_AGAINST)))
    }

    /// Tells what was done.
    pub(super) fn done(&self, words: &str, mut facts: Value) -> Result<ExitCode> {
        if self.context.global.json {
            facts["outcome"] = "done".into();
            output::print(&output::json(&facts))?;
        } else {
            self.context.note(words);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What a tool refused, in its own words without its name.
pub(super) fn refused(what: &str, complaint: &str) -> anyhow::Error {
    let words = complaint.trim().trim_start_matches("qemu-img: ").replace('\n', " ");
    if words.contains("No space left on device") {
        return Problem::new(format!("{what}: the file system is full"), "make room, and run it again").into();
    }
    if words.contains("key-secret") {
        return Problem::new(
            format!("{what}: the image is encrypted, and vgapt has no key"),
            "give qemu-img its key: --object secret,id=key,file=FILE --image-opts driver=qcow2,encrypt.key-secret=key,file.filename=IMAGE",
        )
        .into();
    }
    // The image itself is there (`existing`): what is missing is below it.
    if words.contains("No such file or directory") && words.contains("Could not open") {
        return Problem::new(
            format!("{what}: what it lies on is missing ({words})"),
            "put that file back; where it has moved, name the new place: qemu-img rebase -u -F FORMAT -b NEW_PLACE IMAGE",
        )
        .into();
    }
    if disk::says_locked(complaint) {
        return Problem::new(format!("{what}: another process has the disk ({words})"), "shut the machine that uses it down first").into();
    }
    if words.contains("no operating system was found") {
        return Problem::new(
            format!("{what}: libguestfs finds no system on the disk"),
            "name the disk that a guest's system is installed on",
        )
        .into();
    }
    anyhow::anyhow!("{what}: {words}")
}

fn disks(known: &Known, volumes: &[Volume]) -> Vec<(DiskUse, PathBuf)> {
    let documents = known.xml.iter().filter_map(|xml| Document::parse(xml).ok());
    let uses = documents.flat_map(|document| disk::disk_uses(&document));
    let placed = |used: DiskUse| {
        let path = match &used.source {
            Source::Path(path) => path.into(),
            Source::Volume { pool, volume } => {
                volumes.iter().find(|known| known.pool == *pool && known.name == *volume)?.path.clone().into()
            }
        };
        Some((used, path))
    };
    uses.filter_map(placed).collect()
}
