//! Where receipts are kept: a directory each, which appears whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::{Kept, Receipt};
use crate::host::files::{self, State};
use crate::host::target::Target;

const RECEIPT: &str = "receipt.json";
/// The name of a receipt that is not whole yet.
const UNFINISHED: &str = "unfinished";

/// Contents of the host's files are kept here, so nobody else may read it.
const PRIVATE: u32 = 0o700;
const PUBLIC: u32 = 0o755;

/// The receipts of one host.
pub(in crate::host) struct Store {
    target: Target,
    place: PathBuf,
}

impl Store {
    /// Where receipts lie on the host.
    pub(in crate::host) const PATH: &str = "/var/lib/vgapt";

    pub(in crate::host) fn of(target: &Target) -> Self {
        Self { target: target.clone(), place: target.at(Self::PATH) }
    }

    /// All receipts, the oldest first.
    pub(in crate::host) fn all(&self) -> Result<Vec<(u32, Receipt)>> {
        let Ok(entries) = fs::read_dir(&self.place) else { return Ok(Vec::new()) };
        let mut numbers: Vec<u32> = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
        numbers.sort_unstable();
        let receipt = |number: u32| {
            let path = self.place.join(number.to_string()).join(RECEIPT);
            let text = fs::read(&path).with_context(|| format!("cannot read the receipt {}", path.display()))?;
            Ok((
                number,
                serde_json::from_slice(&text).with_context(|| format!("{} is no receipt that this vgapt understands", path.display()))?,
            ))
        };
        numbers.into_iter().map(receipt).collect()
    }

    /// Begins a receipt; `write` keeps what belongs to it. It is there when this returns, and not before.
    pub(in crate::host) fn begin(&self, write: impl FnOnce(&Keeper) -> Result<Receipt>) -> Result<(u32, Receipt)> {
        self.make_place()?;
        let unfinished = self.place.join(UNFINISHED);
        Self::discard(&unfinished)?;
        files::make_directory(&unfinished, PRIVATE)?;
        let receipt = write(&Keeper(unfinished.clone()))?;
        save(&unfinished, &receipt)?;
        let number = 1 + self.all()?.last().map_or(0, |(number, _)| *number);
        let place = self.place.join(number.to_string());
        fs::rename(&unfinished, &place).and_then(|()| files::sync(&place)).map_err(|error| files::told("write", &place, &error))?;
        Ok((number, receipt))
    }

    /// Writes a receipt anew.
    pub(in crate::host) fn save(&self, number: u32, receipt: &Receipt) -> Result<()> {
        save(&self.place.join(number.to_string()), receipt)
    }

    /// Where a receipt keeps contents.
    pub(in crate::host) fn keeper(&self, number: u32) -> Keeper {
        Keeper(self.place.join(number.to_string()))
    }

    /// Forgets a receipt, in one step, and the store with the last one.
    pub(in crate::host) fn forget(&self, number: u32) -> Result<()> {
        let place = self.place.join(number.to_string());
        let unfinished = self.place.join(UNFINISHED);
        Self::discard(&unfinished)?;
        if place.exists() {
            fs::rename(&place, &unfinished).map_err(|error| files::told("remove", &place, &error))?;
        }
        Self::discard(&unfinished)
    }

    /// Takes away what an interrupted run left, and the directory itself where nothing is in it.
    pub(in crate::host) fn tidy(&self) -> Result<()> {
        Self::discard(&self.place.join(UNFINISHED))?;
        files::remove_directory(&self.place);
        Ok(())
    }

    fn discard(unfinished: &Path) -> Result<()> {
        match fs::remove_dir_all(unfinished) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(files::told("remove", unfinished, &error)),
            _ => Ok(()),
        }
    }

    fn make_place(&self) -> Result<()> {
        let above = Path::new(Self::PATH).ancestors().skip(1).filter_map(Path::to_str).collect::<Vec<_>>();
        for directory in above.into_iter().rev() {
            files::make_directory(&self.target.at(directory), PUBLIC)?;
        }
        files::make_directory(&self.place, PRIVATE)
    }
}

fn save(directory: &Path, receipt: &Receipt) -> Result<()> {
    let text = serde_json::to_string_pretty(receipt).context("a receipt does not serialise")?;
    State::new(&text, 0o600).put(&directory.join(RECEIPT))
}

/// Keeps contents beside a receipt.
pub(in crate::host) struct Keeper(PathBuf);

impl Keeper {
    pub(in crate::host) fn keep(&self, name: &str, state: &State) -> Result<Kept> {
        State { mode: 0o600, ..State::new("", 0o600) }.with(&state.bytes).put(&self.0.join(name))?;
        let sha256 = files::digest(&state.bytes);
        Ok(Kept { name: name.to_owned(), sha256, mode: state.mode, uid: state.uid, gid: state.gid })
    }

    /// A content that was kept, proved by its digest.
    pub(in crate::host) fn get(&self, kept: &Kept) -> Result<State> {
        let path = self.0.join(&kept.name);
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        if files::digest(&bytes) != kept.sha256 {
            bail!("{} is not what was kept there: its SHA-256 is another one", path.display());
        }
        Ok(State { bytes, mode: kept.mode, uid: kept.uid, gid: kept.gid })
    }
}

impl State {
    fn with(self, bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), ..self }
    }
}
