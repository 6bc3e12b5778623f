//! Runs qemu-img and the libguestfs tools, and says why one failed.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::disk_context::DiskContext;
use crate::discovery::{self, Scope};
use crate::disk::{self, Image, Progress, ProgressReader, argv, complaints};
use crate::host::packages::SOFTWARE;
use crate::interrupt::Interrupted;
use crate::model::{Distribution, Size};
use crate::output::ProgressBar;
use crate::problem::Problem;
use crate::root::Root;
use crate::run::{self, Missing, ProgramOutput};

/// Time limit for a tool that only reads metadata.
const LOOK: Duration = Duration::from_secs(60);
/// Time limit for a tool that reads all tables of an image.
const LONG_LOOK: Duration = Duration::from_secs(1800);

/// A run of a tool that takes long.
pub(super) struct ToolRun<'w> {
    /// What it does, for the progress bar and messages.
    pub(super) label: &'w str,
    /// The state that is left if it is interrupted.
    pub(super) if_interrupted: &'w str,
    /// The directory for its temporary files.
    pub(super) temporary: Option<&'w Path>,
}

impl DiskContext<'_> {
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
        run::supervise(argv, &[], Some(limit), &self.interrupt, |_| ()).map_err(|error| self.explain(error))
    }

    /// Runs a tool that creates something small; it must succeed without messages.
    pub(super) fn make(&self, argv: &[String], failed: &str) -> Result<()> {
        let said = self.ask_long(argv)?;
        if said.success() && said.stderr.trim().is_empty() { Ok(()) } else { Err(failure(failed, &said)) }
    }

    /// One image of a known format.
    pub(super) fn image(&self, path: &Path, format: &str) -> Result<Image> {
        let said = self.ask(&argv::info(path, format, true))?;
        if !said.success() {
            return Err(failure(&format!("qemu-img cannot read {} as {format}", path.display()), &said));
        }
        disk::parse_image(&said.stdout).map_err(anyhow::Error::msg)
    }

    /// The space that a copy of an image needs.
    pub(super) fn space_of_copy(&self, image: &Image, to: &str) -> Result<Size> {
        let said = self.ask_long(&argv::measure(Path::new(&image.path), &image.format, to))?;
        if !said.success() && !said.stderr.contains("does not support") {
            return Err(failure("the copy's size cannot be determined", &said));
        }
        // Not every format can be measured; a copy has at most the virtual size, plus some tables.
        let measured = if said.success() { disk::parse_measure(&said.stdout) } else { None };
        Ok(measured.unwrap_or(image.virtual_size))
    }

    /// Keeps a qcow2 image that a tool made only if qemu-img finds no errors in it and it has the disk's size, whatever
    /// the tool's exit code is; `words` is what the tool printed.
    pub(super) fn check_new_image(&self, made: &Path, size: Size, words: &str) -> Result<()> {
        let complaint = if words.is_empty() { String::new() } else { format!(" (the tool printed: {words})") };
        let image = self.image(made, "qcow2").with_context(|| format!("the new image cannot be read and was discarded{complaint}"))?;
        let checked = self.ask_long(&argv::check(made, "qcow2"))?;
        let what = if image.virtual_size != size {
            format!("its size is {} instead of {size}", image.virtual_size)
        } else if !checked.success() || image.corrupt {
            reason(&checked)
        } else {
            return Ok(());
        };
        let message = format!("the new image is corrupt and was discarded: {what}{complaint}");
        Err(Problem::new(message, "check the disk for errors: qemu-img check").into())
    }

    /// Runs a tool to its end with a progress bar, and returns its standard error if it succeeded.
    pub(super) fn run(&self, argv: &[String], work: &ToolRun<'_>) -> Result<String> {
        self.context.detail(&argv.join(" "));
        let global = &self.context.global;
        let mut bar = ProgressBar::new(work.label, !global.quiet && !global.json);
        let mut reader = ProgressReader::default();
        // Not TMPDIR: with it, libguestfs would also rebuild its appliance each time.
        let environment: Vec<_> = work.temporary.iter().map(|path| ("LIBGUESTFS_TMPDIR", path.display().to_string())).collect();
        let ran = run::supervise(argv, &environment, None, &self.interrupt, |piece| {
            for progress in reader.hear(piece) {
                match progress {
                    Progress::Part(part) => bar.set_part(part),
                    Progress::Step(step) => bar.begin_step(&step),
                }
            }
            bar.draw();
        });
        drop(bar);
        match ran {
            Ok(output) if output.success() => Ok(complaints(&output.stderr)),
            Ok(output) => Err(failure(&format!("{} failed", work.label), &output)),
            Err(error) if error.is::<Interrupted>() => Err(Interrupted(work.if_interrupted.to_owned()).into()),
            Err(error) => Err(self.explain(error)),
        }
    }

    /// Adds the package to install to the error of a missing tool.
    fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let Some(Missing { program }) = error.downcast_ref() else { return error };
        let (debian, others) = argv::package_of(program);
        let distribution = self.distribution();
        let of_family = if distribution.is_like(&["debian", "ubuntu"]) { debian } else { others };
        let known = SOFTWARE.iter().find(|software| software.program == program);
        let package = known.and_then(|software| software.package(&distribution)).unwrap_or(of_family);
        let install = distribution.install_command(package);
        let remedy = install.unwrap_or_else(|| format!("the package is {debian} (Debian, Ubuntu) or {others} (other distributions)"));
        Problem::new(error.to_string(), format!("install it: {remedy}")).into()
    }

    fn distribution(&self) -> Distribution {
        // The tools run on this machine, whatever the libvirt connection is.
        let root = Root::open(self.context.global.root.as_deref().unwrap_or(Path::new("/")));
        root.map(|root| discovery::read(&root, Scope::All).platform.distribution).unwrap_or_default()
    }
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
pub(super) fn failure(what: &str, said: &ProgramOutput) -> anyhow::Error {
    let words = reason(said);
    let (because, remedy) = if words.contains("No space left on device") {
        ("the file system is full".to_owned(), "free some space, and run it again")
    } else if words.contains("key-secret") {
        (
            "the image is encrypted, and vgapt has no key".to_owned(),
            "give qemu-img its key: --object secret,id=key,file=FILE --image-opts driver=qcow2,encrypt.key-secret=key,file.filename=IMAGE",
        )
    } else if words.contains("No such file or directory") && words.contains("Could not open") {
        // The image itself exists (see `existing`), so a backing file is missing.
        (
            format!("the backing file is missing ({words})"),
            "restore that file; if it was moved, set the new path: qemu-img rebase -u -F FORMAT -b NEW_PLACE IMAGE",
        )
    } else if disk::says_locked(&said.stderr) {
        (format!("another process uses the disk ({words})"), "shut down the domain that uses it first")
    } else if words.contains("no operating system was found") {
        ("libguestfs finds no operating system on the disk".to_owned(), "name the disk on which the guest's operating system is installed")
    } else {
        return anyhow::anyhow!("{what}: {words}");
    };
    Problem::new(format!("{what}: {because}"), remedy).into()
}
