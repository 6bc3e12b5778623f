//! What a running domain has taken, in a file of its own under /run: gone with a reboot, as are the
//! things themselves.

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::host::files::{self, State};
use crate::host::target::Target;

const DIRECTORY: &str = "/run/vgapt";
/// A longer name of a domain would be too long for a file's (255 bytes) with what comes beside it while it is written.
const LONGEST_NAME: usize = 200;

/// One thing that was taken, with what it was before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Taken {
    /// Huge pages: the attribute that holds their number, the number before, how many were added.
    Pages { attribute: String, before: u64, added: u64 },
    /// CPUs that the host's own processes keep off: what each unit was allowed before.
    Slices { cpus: String, before: Vec<(String, String)> },
    /// The governor of a CPU.
    Governor { attribute: String, before: String },
    /// The display manager, which was running.
    DisplayManager { unit: String },
    /// A console that let go of the display.
    Console { attribute: String },
    /// A boot framebuffer that let go of its device.
    Framebuffer { driver: String, device: String },
}

pub(super) fn make_directory(target: &Target) -> Result<()> {
    files::make_directory(&target.at("/run"), 0o755)?;
    files::make_directory(&target.at(DIRECTORY), 0o755)
}

impl Taken {
    /// Whether it needs the card: libvirt gives that back to the host's driver between `stopped` and `release`.
    pub(super) fn needs_the_card(&self) -> bool {
        matches!(self, Self::DisplayManager { .. } | Self::Console { .. } | Self::Framebuffer { .. })
    }
}

/// The list of one domain.
pub(super) struct Ledger {
    target: Target,
    path: String,
}

impl Ledger {
    pub(super) fn of(target: &Target, name: &str) -> Self {
        // libvirt allows all but a slash in a name; a name of dots alone would be a directory.
        let file = if name.len() <= LONGEST_NAME { name.to_owned() } else { files::digest(name.as_bytes()) };
        Self { target: target.clone(), path: format!("{DIRECTORY}/{file}.json") }
    }

    pub(super) fn all(&self) -> Result<Vec<Taken>> {
        let Some(state) = State::read(&self.target.at(&self.path))? else { return Ok(Vec::new()) };
        serde_json::from_slice(&state.bytes).with_context(|| format!("{} cannot be understood", self.path))
    }

    /// Writes down what is about to be taken.
    pub(super) fn note(&self, taken: Taken) -> Result<()> {
        make_directory(&self.target)?;
        let mut all = self.all()?;
        all.push(taken);
        self.write(&all)
    }

    /// All but this is returned.
    pub(super) fn keep(&self, rest: &[Taken]) -> Result<()> {
        match rest {
            [] if self.target.at(&self.path).exists() => files::remove(&self.target.at(&self.path)),
            [] => Ok(()),
            rest => self.write(rest),
        }
    }

    fn write(&self, all: &[Taken]) -> Result<()> {
        let text = serde_json::to_string_pretty(all).context("the list does not serialise")?;
        State::new(&text, 0o600).put(&self.target.at(&self.path))
    }

    /// What other domains have taken.
    pub(super) fn of_others(&self) -> Vec<Taken> {
        let own = self.target.at(&self.path);
        let Ok(entries) = std::fs::read_dir(self.target.at(DIRECTORY)) else { return Vec::new() };
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| *path != own);
        let json = paths.filter(|path| path.extension().is_some_and(|ending| ending == "json"));
        json.filter_map(|path| serde_json::from_slice::<Vec<Taken>>(&std::fs::read(path).ok()?).ok()).flatten().collect()
    }
}
