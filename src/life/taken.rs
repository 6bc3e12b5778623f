//! A record of what a running domain has taken, in a file under /run: a reboot removes it, and returns
//! everything in it.

use std::os::fd::OwnedFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::fs::{FileType, FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};

use crate::locks;
use crate::model::{Bound, PciAddress, shell_word};
use crate::problem::Problem;
use crate::target::files::{self, LostAttributes, State};
use crate::target::{Target, own};

/// Where it is recorded.
pub const DIRECTORY: &str = "/run/vgapt";
const ENDING: &str = ".json";
/// How long one domain's hook waits for another's: as long as compacting memory may take.
const PATIENCE: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_millis(20);
/// A file name has 255 bytes at most, including the ending and the suffix of a temporary file.
const LONGEST_NAME: usize = 200;

/// One thing that was taken, with what it was before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Taken {
    /// Huge pages: the attribute that holds their number, the number before that of all guests, how many were added.
    Pages {
        attribute: String,
        before: u64,
        added: u64,
        /// How many of the free pages belong to this domain until it runs; then the kernel counts them.
        #[serde(default)]
        promised: u64,
    },
    /// CPUs that the host's own processes may not use: what each unit was allowed before.
    Slices {
        cpus: String,
        before: Vec<(String, String)>,
        /// What was left unchanged, in words: libvirt drops what a hook says that does not fail.
        #[serde(default)]
        said: Vec<String>,
    },
    /// Interrupts that went to these CPUs, the mask of those that are requested later, and those that the kernel does not move.
    Interrupts {
        cpus: String,
        interrupts: Vec<Interrupt>,
        default: Option<String>,
        #[serde(default)]
        fixed: Vec<String>,
        /// The numbers of all that were requested then.
        #[serde(default)]
        requested: String,
        /// What was left unchanged, in words.
        #[serde(default)]
        said: Vec<String>,
    },
    /// irqbalance leaves out these CPUs: which it left out before that of all guests.
    Balancer {
        cpus: String,
        before: String,
        /// Its process: another one knows nothing of it.
        #[serde(default)]
        pid: Option<u32>,
    },
    /// The governor of a CPU, or its preference between energy and speed, which the governor changes too.
    Governor { attribute: String, before: String },
    /// The display manager, which was running.
    DisplayManager { unit: String },
    /// A service that was running, and had devices of the driver open.
    Service { unit: String },
    /// A function that its host driver released.
    Function { function: Bound },
    /// A console that was unbound from the display.
    Console { attribute: String },
    /// A boot framebuffer that was unbound from its device.
    Framebuffer { driver: String, device: String },
    /// An attribute that is set while a card is reset.
    DuringReset { attribute: String, before: String },
}

/// One interrupt that was moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interrupt {
    pub(super) number: u32,
    /// Who requested it: the kernel gives a number that is free to another device.
    pub(super) of: String,
    /// The CPUs that it might go to, before that of all guests.
    pub(super) before: String,
}

pub(super) fn make_directory(target: &Target) -> Result<()> {
    target.make_directory("/run", 0o755)?;
    target.make_directory(DIRECTORY, 0o755)
}

/// While it exists, nobody else changes what it is for: what all domains share, or what one has taken.
pub(super) struct Turn(#[expect(dead_code, reason = "closing it is what unlocks")] OwnedFd);

/// Waits until no other hook is changing what all domains share.
///
/// # Errors
/// Where that takes too long: libvirt waits meanwhile.
pub(super) fn turn(target: &Target) -> Result<Turn> {
    let directory = folder_of_locks(target)?;
    wait(&directory, locks::FOLDER, "the hook of another domain")?;
    Ok(Turn(directory))
}

fn folder_of_locks(target: &Target) -> Result<OwnedFd> {
    target.make_directory("/run", 0o755)?;
    target.make_directory(locks::FOLDER, 0o700)?;
    let folder = target.folder(locks::FOLDER)?.with_context(|| format!("{} does not exist, although it was created", locks::FOLDER))?;
    let status = folder.status().map_err(|error| files::told("read", folder.shown(), &error))?;
    // A user who can open the folder can also lock it.
    if status.st_uid != geteuid().as_raw() || status.st_mode & 0o077 != 0 {
        let place = folder.shown().display();
        let word = shell_word(&place.to_string());
        bail!("{place} is open to other users, who could keep every domain from starting; chown root: {word} && chmod 700 {word}");
    }
    folder.opened().map_err(|error| files::told("read", folder.shown(), &error))
}

fn wait(directory: &OwnedFd, path: &str, who: &str) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        match flock(directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::WOULDBLOCK | Errno::INTR) if Instant::now() < end => sleep(INTERVAL),
            Err(Errno::WOULDBLOCK | Errno::INTR) => {
                bail!("{who} has been running for {} s; lslocks shows the process that holds the lock {path}", PATIENCE.as_secs())
            }
            Err(error) => return Err(anyhow::Error::new(error).context(format!("cannot lock {path}"))),
        }
    }
}

impl Taken {
    /// The list of one domain; the path is for the errors.
    ///
    /// # Errors
    /// Where it is none, or one that would write elsewhere than in /sys.
    pub fn parse_list(bytes: &[u8], path: &str) -> Result<Vec<Self>> {
        let remedy = "correct it, or remove it while the domain of this name is not running";
        let all: Vec<Self> = serde_json::from_slice(bytes).map_err(|error| {
            Problem::new(format!("{path}, the record of what a domain has taken from the host, cannot be parsed: {error}"), remedy)
        })?;
        if let Some(odd) = all.iter().filter_map(Self::attribute).find(|path| !path.starts_with("/sys/")) {
            return Err(Problem::new(format!("{path} names {odd}, which is not in /sys"), remedy).into());
        }
        Ok(all)
    }

    /// Whether it needs the card, which libvirt returns to the host driver between `stopped` and `release`.
    pub(super) fn needs_the_card(&self) -> bool {
        !matches!(self, Self::Pages { .. } | Self::Governor { .. } | Self::Slices { .. } | Self::Interrupts { .. } | Self::Balancer { .. })
    }

    /// Whether it is counted together with what other domains have taken.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self, Self::Pages { .. } | Self::Slices { .. } | Self::Interrupts { .. } | Self::Balancer { .. })
    }

    /// The function that a host driver released.
    pub(super) fn function(&self) -> Option<&Bound> {
        if let Self::Function { function } = self { Some(function) } else { None }
    }

    /// The sysfs attribute that is written when it is returned.
    fn attribute(&self) -> Option<&str> {
        match self {
            Self::Pages { attribute, .. }
            | Self::Governor { attribute, .. }
            | Self::Console { attribute }
            | Self::DuringReset { attribute, .. } => Some(attribute),
            Self::Slices { .. }
            | Self::Interrupts { .. }
            | Self::Balancer { .. }
            | Self::DisplayManager { .. }
            | Self::Service { .. }
            | Self::Function { .. }
            | Self::Framebuffer { .. } => None,
        }
    }
}

/// What the files of a domain begin with.
pub(super) fn file_name(name: &str) -> String {
    // libvirt allows everything but a slash in a name, and names that are longer than a file name.
    let is_plain = name.len() <= LONGEST_NAME && !name.contains(['/', '\0']);
    if is_plain { name.to_owned() } else { format!("sha256-{}", files::digest(name.as_bytes())) }
}

/// The list of one domain.
pub(super) struct Ledger {
    target: Target,
    file: String,
    domain: String,
}

impl Ledger {
    pub(super) fn of(target: &Target, name: &str) -> Self {
        Self { target: target.clone(), file: format!("{}{ENDING}", file_name(name)), domain: name.to_owned() }
    }

    /// The domain's name.
    pub(super) fn domain(&self) -> &str {
        &self.domain
    }

    fn path(&self) -> String {
        format!("{DIRECTORY}/{}", self.file)
    }

    /// Waits until no other process takes or returns anything of this domain: `vgapt start` does, and libvirt's hook, which runs
    /// for whoever else starts the domain at the same moment.
    pub(super) fn turn(&self) -> Result<Turn> {
        drop(folder_of_locks(&self.target)?);
        let path = format!("{}/{}", locks::FOLDER, self.file);
        self.target.make_directory(&path, 0o700)?;
        let directory = opened(&self.target, &path)?.with_context(|| format!("{path} does not exist, although it was created"))?;
        wait(&directory, &path, &format!("another start or stop of '{}'", self.domain))?;
        Ok(Turn(directory))
    }

    /// Another domain that takes this function from its driver, or returns it, at this moment.
    ///
    /// # Errors
    /// If what another domain has taken cannot be read.
    pub(super) fn rival(&self, function: PciAddress) -> Result<Option<String>> {
        for (file, taken) in self.lists_of_others()? {
            if !taken.iter().filter_map(Taken::function).any(|bound| bound.address == function) {
                continue;
            }
            if let Some(directory) = opened(&self.target, &format!("{}/{file}", locks::FOLDER))?
                && flock(&directory, FlockOperation::NonBlockingLockExclusive).is_err_and(|error| error == Errno::WOULDBLOCK)
            {
                return Ok(Some(file.trim_end_matches(ENDING).to_owned()));
            }
        }
        Ok(None)
    }

    pub(super) fn all(&self) -> Result<Vec<Taken>> {
        read(&self.target, &self.path())
    }

    /// Records what is about to be taken.
    pub(super) fn note(&self, taken: Taken) -> Result<()> {
        make_directory(&self.target)?;
        let mut all = self.all()?;
        all.push(taken);
        self.write(&all)
    }

    /// Replaces the last record.
    pub(super) fn correct(&self, taken: Taken) -> Result<()> {
        let mut all = self.all()?;
        all.pop();
        all.push(taken);
        self.write(&all)
    }

    /// All but this is returned.
    pub(super) fn keep(&self, rest: &[Taken]) -> Result<()> {
        if rest.is_empty() { self.target.remove(&self.path()) } else { self.write(rest) }
    }

    /// It runs: the kernel counts its pages from now on.
    pub(super) fn settle(&self) -> Result<()> {
        let mut all = self.all()?;
        let mut changed = false;
        for taken in &mut all {
            if let Taken::Pages { promised, .. } = taken {
                changed |= std::mem::take(promised) > 0;
            }
        }
        if changed { self.write(&all) } else { Ok(()) }
    }

    fn write(&self, all: &[Taken]) -> Result<()> {
        let text = serde_json::to_string_pretty(all).context("the list cannot be serialized")?;
        let _: LostAttributes = self.target.put(&self.path(), &State::new(&text, 0o600))?;
        Ok(())
    }

    /// What other domains have taken.
    ///
    /// # Errors
    /// If one of their lists cannot be read: then what all share cannot be counted.
    pub(super) fn of_others(&self) -> Result<Vec<Taken>> {
        Ok(self.lists_of_others()?.into_iter().flat_map(|(_, taken)| taken).collect())
    }

    fn lists_of_others(&self) -> Result<Vec<(String, Vec<Taken>)>> {
        let Some(folder) = self.target.own_folder(DIRECTORY)? else { return Ok(Vec::new()) };
        let entries = folder.entries().map_err(|error| files::told("read", folder.shown(), &error))?;
        let mut all = Vec::new();
        for (name, kind) in entries {
            if kind == FileType::RegularFile && name.ends_with(ENDING) && name != self.file {
                let taken = read(&self.target, &format!("{DIRECTORY}/{name}"))?;
                all.push((name, taken));
            }
        }
        Ok(all)
    }
}

/// A directory, to be locked; `None` if it does not exist.
fn opened(target: &Target, path: &str) -> Result<Option<OwnedFd>> {
    let Some(folder) = target.folder(path)? else { return Ok(None) };
    folder.opened().map(Some).map_err(|error| files::told("read", folder.shown(), &error))
}

fn read(target: &Target, path: &str) -> Result<Vec<Taken>> {
    if target.own_folder(DIRECTORY)?.is_none() {
        return Ok(Vec::new());
    }
    let Some(state) = target.read(path)? else { return Ok(Vec::new()) };
    own(&target.shown(path), state.meta.uid, state.meta.mode)?;
    Taken::parse_list(&state.bytes, path)
}
