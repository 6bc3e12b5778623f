//! The context of every command: the global options, the host, the connection to libvirt.

use std::cell::{OnceCell, RefCell};
use std::env::VarError;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Error, Result};

use super::options::Global;
use super::repeated::NamesCommands;
use crate::discovery::{self, Scope};
use crate::hypervisor::{self, Hypervisor};
use crate::model::{Finding, Host, Next, Reading, Severity, Uri, shell_word};
use crate::output::{self, Answer};
use crate::problem::{self, Problem};
use crate::root::Root;
use crate::target::Target;

/// libvirt's environment variable for the URI.
pub(in crate::commands) const URI_VARIABLE: &str = "LIBVIRT_DEFAULT_URI";

/// The context of every command.
pub struct Context {
    /// The global options.
    pub global: Global,
    uri: Uri,
    /// Why libvirt's own setting for the URI could not be read.
    uri_unknown: Option<String>,
    connection: OnceCell<Box<dyn Hypervisor>>,
    /// With --json, the findings that would have been printed so far: a command that then fails answers them too.
    told: RefCell<Vec<Finding>>,
    /// With --json, the warnings of the connection, which every answer has.
    of_connection: RefCell<Vec<Finding>>,
}

impl Context {
    pub(crate) fn new(global: Global) -> Self {
        let uri = connection_uri(global.connect.first().map(String::as_str));
        let uri_unknown = uri.unknown().map(str::to_owned);
        Self {
            global,
            uri: uri.known().unwrap_or_else(|| Uri::new(Uri::DEFAULT)),
            uri_unknown,
            connection: OnceCell::new(),
            told: RefCell::default(),
            of_connection: RefCell::default(),
        }
    }

    /// A context for each --connect.
    pub fn each(&self) -> Vec<Self> {
        let alone = |uri: &String| Self::new(Global { connect: vec![uri.clone()], ..self.global.clone() });
        self.global.connect.iter().map(alone).collect()
    }

    /// The URI of the libvirt connection.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The command that runs vgapt with the same --root and --connect, for remedies.
    pub fn again(&self) -> String {
        let root = self.global.root.iter().map(|root| format!(" --root {}", shell_word(&root.display().to_string())));
        let uri = self.global.connect.iter().take(1).map(|uri| format!(" -c {}", shell_word(uri)));
        format!("vgapt{}", root.chain(uri).collect::<String>())
    }

    /// The command that runs virsh with this libvirt: without a URI, an ordinary user's virsh asks another one.
    pub(in crate::commands) fn virsh(&self) -> String {
        format!("virsh -c {}", shell_word(self.uri.as_str()))
    }

    /// What names commands of vgapt, with the options of this one in each.
    pub(in crate::commands) fn repeated<T: NamesCommands>(&self, names: T) -> T {
        names.by(&self.again())
    }

    /// The answer of a command, with these options in each command that it names.
    pub(crate) fn completed(&self, answer: Answer) -> Answer {
        let Answer { findings, next, error, .. } = answer;
        let findings = self.of_connection.take().into_iter().chain(findings).collect::<Vec<_>>();
        let (next, error) = (next.map(|next| self.repeated(next)), error.map(|error| self.repeated(error)));
        Answer { findings: self.repeated(findings), next, error, ..answer }
    }

    /// An error as text.
    pub(in crate::commands) fn described(&self, error: &Error) -> String {
        self.repeated(problem::describe(error))
    }

    /// Whether only libvirt can describe the host: it is another machine, or the test driver's.
    pub fn host_is_behind_libvirt(&self) -> bool {
        self.global.root.is_none() && (self.uri.is_remote() || self.uri.is_test())
    }

    /// Whether libvirt knows the domains of this host: not of a tree or a capture, unless it is named with it.
    pub(in crate::commands) fn knows_domains(&self, root: Option<&Root>) -> bool {
        root.is_none_or(Root::is_live) || !self.global.connect.is_empty()
    }

    /// The root of the host's files; `None` where only libvirt can describe the host.
    pub fn root(&self) -> Result<Option<Root>> {
        if self.host_is_behind_libvirt() { Ok(None) } else { self.own_root().map(Some) }
    }

    /// The root of this host's files, independent of the libvirt connection: `--root`, else `/`.
    pub fn own_root(&self) -> Result<Root> {
        let path = self.global.root.as_deref().unwrap_or(Path::new("/"));
        Ok(Root::open(path).map_err(|error| {
            Problem::new(
                format!("cannot read a host from {}: {error}", path.display()),
                "--root takes a directory, or a file that the command capture wrote",
            )
        })?)
    }

    /// The host that is changed.
    pub fn target(&self, root: &Root) -> Result<Target> {
        Target::open(self.global.root.as_deref().unwrap_or(Path::new("/")), root.is_live())
    }

    /// The host, from its tree or from libvirt.
    pub fn host(&self, root: Option<&Root>, scope: Scope) -> Result<Host> {
        if let Some(root) = root {
            let host = discovery::read(root, scope);
            // With --root, that host is used even if no devices are found in it.
            if !host.pci.is_empty() || self.connection.get().is_none() || self.global.root.is_some() {
                let place = self.global.root.as_deref().unwrap_or(Path::new("/"));
                self.detail(&format!("host read from {}: {} PCI functions", place.display(), host.pci.len()));
                return Ok(host);
            }
        }
        self.detail("host read from libvirt's node devices");
        Ok(discovery::from_node_devices(&self.connect()?.node_devices()?))
    }

    /// The connection; opened at the first call.
    pub fn connect(&self) -> Result<&dyn Hypervisor> {
        if let Some(connection) = self.connection.get() {
            return Ok(connection.as_ref());
        }
        if let Some(because) = &self.uri_unknown {
            let remedy = format!("name the libvirt with --connect; vgapt now uses {}", self.uri);
            self.warn(Finding::warning("connection-unknown", because.as_str(), remedy));
        }
        let connection = hypervisor::connect(&self.uri)?;
        if self.global.verbose {
            self.detail(&format!("connected to {} (driver {})", self.uri, connection.driver()?));
        }
        Ok(self.connection.get_or_init(|| connection).as_ref())
    }

    /// Prints a note on the answer to standard error, unless --quiet is given; with --json the document says it.
    pub fn note(&self, text: &str) {
        if !self.global.json {
            self.progress(text);
        }
    }

    /// Prints what happens meanwhile, which no document says, to standard error, unless --quiet is given.
    pub fn progress(&self, text: &str) {
        if !self.global.quiet && !text.is_empty() {
            output::tell(&format!("{text}\n"));
        }
    }

    /// Prints the next step to standard error; with --json it is in the document.
    pub(crate) fn next(&self, next: &Next) {
        self.note(output::next(&self.repeated(next.clone())).trim_end());
    }

    /// Prints a detail to standard error if --verbose is given.
    pub fn detail(&self, text: &str) {
        if self.global.verbose {
            output::tell(&format!("{text}\n"));
        }
    }

    /// Prints what the command answers to standard output. With --json nothing is: the document is all of it.
    pub fn print(&self, text: &str) -> io::Result<()> {
        if self.global.json { Ok(()) } else { output::print(text) }
    }

    /// The same for a text that is a document itself, byte for byte.
    pub fn print_document(&self, text: &str) -> io::Result<()> {
        if self.global.json { Ok(()) } else { output::print_document(text) }
    }

    /// Prints a part of the answer to standard error; not with --json.
    pub fn say(&self, text: &str) {
        if !self.global.json {
            output::tell(text);
        }
    }

    /// The findings that were told before an error.
    pub(crate) fn told(&self) -> Vec<Finding> {
        self.told.take()
    }

    /// Prints findings to standard error, not with --json; without warnings if --quiet is given.
    pub fn tell(&self, findings: &[Finding]) {
        if self.global.json {
            return self.told.borrow_mut().extend_from_slice(findings);
        }
        for finding in findings.iter().filter(|finding| !self.global.quiet || finding.severity > Severity::Warning) {
            output::tell(&output::finding(&self.repeated(finding.clone())));
        }
    }

    /// Warns of the connection, whatever the command is.
    fn warn(&self, finding: Finding) {
        if self.global.json {
            self.of_connection.borrow_mut().push(finding);
        } else {
            self.tell(&[finding]);
        }
    }

    /// Warns that PCI devices cannot be passed through on a session connection.
    pub fn warn_of_session(&self) {
        if self.uri.is_session() {
            let message = format!("{} is a session connection: it has no permission to assign PCI devices or huge pages", self.uri);
            self.warn(Finding::warning("session", message, "use --connect qemu:///system"));
        }
    }
}

/// The URI of the option, else of libvirt's environment variable, else of its configuration; absent where none is set.
fn connection_uri(option: Option<&str>) -> Reading<Uri> {
    match (option, std::env::var(URI_VARIABLE)) {
        (Some(uri), _) => Reading::Known(Uri::new(uri)),
        (None, Ok(uri)) if !uri.is_empty() => Reading::Known(Uri::new(uri)),
        (None, Err(VarError::NotUnicode(_))) => Reading::Unknown(format!("{URI_VARIABLE} is not valid UTF-8")),
        (None, _) => configured_uri(),
    }
}

/// libvirt reads the system's file for root, and the user's file for other users.
fn configured_uri() -> Reading<Uri> {
    let file = if rustix::process::geteuid().is_root() {
        PathBuf::from("/etc/libvirt/libvirt.conf")
    } else {
        let home = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let Some(home) = home("XDG_CONFIG_HOME").or_else(|| Some(home("HOME")?.join(".config"))) else { return Reading::Absent };
        home.join("libvirt/libvirt.conf")
    };
    let text = Reading::of(std::fs::read_to_string(&file), &file.display().to_string());
    text.then(|text| Uri::default_in(&text).map_or(Reading::Absent, Reading::Known))
}
