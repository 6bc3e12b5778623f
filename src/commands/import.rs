//! `vgapt import`.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::fs::OFlags;
use schemars::JsonSchema;
use serde::Serialize;

use super::Context;
use super::shared::existing::{Existing, changed};
use super::shared::facts::files;
use super::shared::next;
use super::shared::verified::{REFUSED, UNKNOWN, Verified, verify};
use crate::discovery::{self, Scope};
use crate::domain::{self, Request};
use crate::hypervisor::{Defined, Secrets};
use crate::import::{self, Comparison, ImportContext, Imported, Script};
use crate::model::{Files, Finding, Next, QemuProcess, Reading, shell_word};
use crate::output::{self, Answer, Outcome};
use crate::problem::Problem;
use crate::readiness::Stage;
use crate::xml::Document;

/// Environment variables that are used where the script does not set them.
pub(in crate::commands) const FROM_ENVIRONMENT: [&str; 5] = ["CORES_NUMBER", "QEMU_BINARY", "VM_SHARED_FOLDERS", "HOME", "USER"];

/// The largest script that is read; the shell parser refuses a script of this size anyway.
const LONGEST: u64 = 1 << 20;

/// Convert a shell script that starts QEMU, or a QEMU that runs, to a domain
///
/// Reads the script and never runs it. Where a script cannot be followed, start it and use --running, or give its
/// command line with --argv: both take QEMU's options as they are. Without one of the last three options, only shows what each
/// QEMU option would be converted to.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vgapt import start-windows.sh    # what each option would be converted to
  vgapt import start-windows.sh --set nproc=8 --print-xml
  vgapt import start-windows.sh --define")]
pub struct Arguments {
    /// The script
    #[arg(required_unless_present_any = ["running", "argv"])]
    script: Option<PathBuf>,
    /// A QEMU that runs on this host, by its name or process number; without one the only one
    #[arg(long, value_name = "NAME|PID", num_args = 0..=1, default_missing_value = "", conflicts_with_all = ["script", "argv"])]
    running: Option<String>,
    /// A file with a QEMU command line that was copied out of ps, a log of libvirt, a page or a systemd unit; '-' is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "script")]
    argv: Option<PathBuf>,
    /// The domain's name [default: from -name, else the script's file name]
    #[arg(long)]
    name: Option<String>,
    /// A variable that the script does not set, or the output of a command in it: 'nproc=8' for $(nproc). VGAPT_* are also read from the environment
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<String>,
    /// Print the domain's XML
    #[arg(long, group = "what")]
    print_xml: bool,
    /// Print a request file for the option --file of 'vgapt define', as far as it can express the script
    #[arg(long, group = "what")]
    request: bool,
    /// Define the domain
    #[arg(long, group = "what")]
    define: bool,
}

fn setting(text: &str) -> Result<String, String> {
    text.contains('=').then(|| text.to_owned()).ok_or_else(|| "the form is NAME=VALUE".into())
}

/// What `vgapt import` answers.
#[derive(Serialize, JsonSchema)]
pub(super) struct ImportedDomain {
    #[serde(flatten)]
    imported: Imported,
    /// Its command line as libvirt makes it, beside the one that was read; null if no libvirt makes it.
    comparison: Option<Comparison>,
}

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<Answer> {
        // Read.
        let (script, stem) = self.source(context)?;
        if let Some((why, remedy)) = &script.refusal {
            return Ok(refuse(context, vec![Finding::error("refused", why.as_str(), remedy.as_str())], script.notes));
        }
        if !script.unset.is_empty() {
            let mut findings: Vec<Finding> = script.unset.iter().map(|(name, line)| unset(name, *line)).collect();
            if let (true, Some(last)) = (self.script.is_some(), findings.last_mut()) {
                last.remedy.push_str("; or start the script, and import the QEMU that then runs: vgapt import --running");
            }
            return Ok(refuse(context, findings, script.notes));
        }
        // Decide.
        let imported = self.translate(context, &script, &stem)?;
        if !imported.refusals.is_empty() {
            let findings = imported.refusals.iter().map(|(why, remedy)| Finding::error("refused", why.as_str(), remedy.as_str()));
            return Ok(refuse(context, findings.collect(), imported.notes));
        }
        let domain = Document::parse(&imported.xml).map_err(anyhow::Error::msg)?;
        if self.request {
            return show_request(context, &domain);
        }
        let mut findings = self.against_disks(context, &domain)?;
        let comparison = match verify(context, &script, &imported, &|fewer| self.translate(context, fewer, &stem)) {
            Verified::Accepted { comparison, findings: unknown } => {
                findings.extend(unknown);
                comparison
            }
            Verified::Refused(finding) => {
                findings.push(finding);
                None
            }
            Verified::Unknown(because) => {
                context.progress(&format!("note: libvirt was not asked whether it accepts the domain: {because}"));
                None
            }
        };
        // Write.
        // The XML that is printed may be for another host.
        // Whether it is defined is for the definition to say.
        let stops =
            |finding: &Finding| if [REFUSED, UNKNOWN].contains(&finding.code) { !self.print_xml && !self.define } else { self.define };
        let mut is_refused = findings.iter().any(|finding| stops(finding) && finding.refuses(false));
        let mut lacks = None;
        if self.define {
            let (against, before_start) = before_start(context, &imported)?;
            // As for a domain that `define` makes: a device that does not exist is refused, what the host lacks comes next.
            is_refused |= against.iter().any(|finding| finding.refuses(true));
            findings.extend(against);
            lacks = before_start;
        }
        if self.define && !is_refused {
            let finding = define(context, &imported)?;
            is_refused = finding.is_some();
            findings.extend(finding);
        }
        self.show(context, &imported, comparison.as_ref(), &findings, is_refused)?;
        let outcome = match (is_refused, self.define) {
            (true, _) => Outcome::Refused,
            (false, true) => Outcome::Done,
            (false, false) => Outcome::Planned,
        };
        let next = self.next_step(context, outcome, &imported.name, &findings, lacks);
        if let Some(next) = &next {
            context.next(next);
        }
        Ok(Answer::new(outcome).with(ImportedDomain { imported, comparison }).finding(findings).next(next))
    }

    /// What comes next; nothing where the command line cannot be repeated, because it was read from standard input.
    fn next_step(&self, context: &Context, outcome: Outcome, name: &str, findings: &[Finding], lacks: Option<Next>) -> Option<Next> {
        match outcome {
            Outcome::Done => Some(next::of_domain(context, name, Stage::Off, None, lacks)),
            Outcome::Refused => findings.iter().find(|finding| finding.refuses(false)).map(Next::out_of),
            _ if self.print_xml || self.argv.as_deref().is_some_and(|path| path.as_os_str() == "-") => None,
            _ => Some(Next::command(next::again(&["--define"], &["--print-xml", "--json"]), "nothing was defined")),
        }
    }

    /// What QEMU is run with, and a name for a domain that has none.
    fn source(&self, context: &Context) -> Result<(Script, String)> {
        let given = |name: &str| self.given(name);
        let stem = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let (script, shown, stem) = if let Some(which) = &self.running {
            let process = running(context, which)?;
            (import::running(&process, &given), format!("process {}", process.pid), format!("qemu-{}", process.pid))
        } else if let Some(path) = &self.argv {
            let (text, stem) = if path.as_os_str() == "-" {
                (limited(std::io::stdin(), "standard input")?, "imported".to_owned())
            } else {
                (text(path, "command line")?, stem(path))
            };
            (import::pasted(&text, &given), path.display().to_string(), stem)
        } else {
            let path = self.script.as_deref().context("clap requires a script")?;
            let whole = std::path::absolute(path).context("cannot determine the current directory")?;
            let script = import::read(&text(path, "script")?, &whole.to_string_lossy(), &given, &sourced);
            (script, path.display().to_string(), stem(path))
        };
        let script = import::with_option_files(script, &sourced);
        let starts_none = || {
            let none =
                (format!("{shown} does not start QEMU"), "name the script that contains the command qemu-system-x86_64 …".to_owned());
            script.argv.is_empty().then_some(none)
        };
        let refusal = script.refusal.as_ref().map(|(why, remedy)| (format!("{shown}: {why}"), remedy.clone())).or_else(starts_none);
        Ok((Script { refusal, ..script }, stem))
    }

    fn given(&self, name: &str) -> Option<String> {
        // A command may contain a '=' itself.
        let set = self.set.iter().rev().find_map(|set| set.trim_start().strip_prefix(name)?.strip_prefix('=').map(str::to_owned));
        let may = name.starts_with("VGAPT_") || FROM_ENVIRONMENT.contains(&name);
        set.or_else(|| std::env::var(name).ok().filter(|_| may))
    }

    fn translate(&self, context: &Context, script: &Script, stem: &str) -> Result<Imported> {
        // The images are on this machine, unless the domain is for another one.
        let root = if context.uri().is_remote() { None } else { Some(context.own_root()?) };
        let format = |path: &str| discovery::image_format(root.as_ref()?, path);
        Ok(import::translate(script, stem, self.name.as_deref(), ImportContext { format: &format }))
    }

    fn show(
        &self,
        context: &Context,
        imported: &Imported,
        comparison: Option<&Comparison>,
        findings: &[Finding],
        is_refused: bool,
    ) -> Result<()> {
        if context.global.json {
            return Ok(());
        }
        let told = output::imported(imported, context.global.quiet) + &comparison.map(output::compared).unwrap_or_default();
        if !self.print_xml && !self.define {
            output::print(&told)?;
            context.tell(findings);
            return Ok(());
        }
        context.note(told.trim_end());
        context.tell(findings);
        let name = &imported.name;
        if self.print_xml {
            output::print_document(&imported.xml)?;
        } else if is_refused {
            output::tell(&format!("nothing was defined for '{name}': see above.\n"));
        } else {
            context.note(&format!("'{name}' is defined; compare: vgapt export {} --to qemu", shell_word(name)));
        }
        Ok(())
    }

    /// Findings about the disks: nothing but QEMU has checked them so far, and QEMU trusts headers that a guest wrote.
    fn against_disks(&self, context: &Context, domain: &Document) -> Result<Vec<Finding>> {
        let paths = domain::disk_paths(domain);
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        let files = if context.uri().is_remote() {
            Files::default()
        } else {
            let root = context.own_root()?;
            if self.define { files(Some(&root), context.connect()?, &paths)? } else { discovery::files(&root, &paths) }
        };
        let go_on = "write the XML to a file (--print-xml) and define it: virsh define FILE";
        let mut findings = domain::of_disks(domain, &files, "in the script: -drive file=FILE,format=raw, or the disk's real format", go_on);
        // Whether this host uses the disk matters only where the domain is defined here; the XML may be for another host.
        findings.retain(|finding| self.define || finding.code.starts_with("format-") || finding.code.starts_with("backing-"));
        Ok(findings)
    }
}

/// The QEMU process that is meant: by its name or number, or the only one.
fn running(context: &Context, which: &str) -> Result<QemuProcess> {
    let processes = match discovery::qemu_processes(&context.own_root()?) {
        Reading::Known(processes) => processes,
        Reading::Absent => return Err(Problem::new("/proc is not here: no process can be read", "run vgapt where QEMU runs").into()),
        Reading::Unknown(because) => return Err(Problem::new(because, "run vgapt where QEMU runs, without --root").into()),
    };
    let name = |process: &QemuProcess| import::name_of(&process.argv);
    let shown = |process: &QemuProcess| name(process).map_or(process.pid.to_string(), |name| format!("{} ({name})", process.pid));
    let all: Vec<String> = processes.iter().map(shown).collect();
    let is_it = |process: &QemuProcess| which.is_empty() || which == process.pid.to_string() || name(process).as_deref() == Some(which);
    let mut found: Vec<QemuProcess> = processes.into_iter().filter(is_it).collect();
    let remedy =
        format!("name one: {} import --running {}", context.again(), found.first().map_or("PID".into(), |first| first.pid.to_string()));
    match (found.len(), all.is_empty()) {
        (1, _) => Ok(found.remove(0)),
        (_, true) => {
            let remedy = "start it, as root if its processes are hidden from other users (hidepid)";
            Err(Problem::new("no QEMU is seen among the processes of this host", remedy).into())
        }
        (0, _) => Err(Problem::new(format!("no QEMU '{which}' runs here; these do: {}", all.join(", ")), remedy).into()),
        (..) => Err(Problem::new(format!("several QEMU run here: {}", all.join(", ")), remedy).into()),
    }
}

/// A file that the user named, up to the limit for a script.
fn text(path: &Path, what: &str) -> Result<String> {
    let shown = format!("the {what} {}", path.display());
    limited(File::open(path).with_context(|| format!("cannot read {shown}"))?, &shown)
}

fn limited(file: impl Read, shown: &str) -> Result<String> {
    let mut text = Vec::new();
    file.take(LONGEST).read_to_end(&mut text).with_context(|| format!("cannot read {shown}"))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The text of a file that the script sources, up to the limit for a script.
fn sourced(path: &str) -> Option<String> {
    let mut text = String::new();
    // Without this flag, opening a named pipe blocks until another program opens it for writing.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).ok()?;
    let file = File::options().read(true).custom_flags(flags).open(path).ok();
    let file = file.filter(|file| file.metadata().is_ok_and(|data| data.is_file()))?;
    file.take(LONGEST).read_to_string(&mut text).ok()?;
    Some(text)
}

/// Prints what a request can express of the domain.
fn show_request(context: &Context, domain: &Document) -> Result<Answer> {
    let (request, beyond) = import::request_of(domain);
    if !beyond.is_empty() {
        context.note(&format!("note: a request cannot express {}; use --print-xml", beyond.join(", ")));
    }
    context.print_document(&request.to_toml())?;
    Ok(Answer::done(AsRequest { request, beyond }))
}

/// What `vgapt import --request` answers.
#[derive(Serialize, JsonSchema)]
pub(super) struct AsRequest {
    /// The options of `vgapt define` by their names.
    request: Request,
    /// What a request cannot express.
    beyond: Vec<String>,
}

/// What `vgapt import` answers where it refuses the script.
#[derive(Serialize, JsonSchema)]
pub(super) struct Notes {
    notes: Vec<String>,
}

/// Reports why nothing is imported.
fn refuse(context: &Context, findings: Vec<Finding>, notes: Vec<String>) -> Answer {
    context.tell(&findings);
    for note in notes.iter().filter(|note| findings.iter().any(|finding| explains(note, &finding.message))) {
        context.note(&format!("note: {note}"));
    }
    context.say("nothing was imported: see above.\n");
    let next = findings.iter().find(|finding| finding.refuses(false)).map(Next::out_of);
    if let Some(next) = &next {
        context.next(next);
    }
    Answer::new(Outcome::Refused).with(Notes { notes }).finding(findings).next(next)
}

/// Whether a note has to do with a refusal: of a file that is not read, or of a line or a variable that the refusal names.
fn explains(note: &str, why: &str) -> bool {
    let of_variable = |word: &str| word.strip_prefix('$').is_some_and(|name| note.contains(word) || note.contains(&format!("{name}=")));
    let of_line = why.split("line ").skip(1).filter_map(|rest| Some(format!("line {}:", rest.split_once(':')?.0)));
    note.contains("is not read") || why.split_whitespace().any(of_variable) || of_line.into_iter().any(|line| note.starts_with(&line))
}

/// What its devices on this host have against its start, and what has to be done before it.
fn before_start(context: &Context, imported: &Imported) -> Result<(Vec<Finding>, Option<Next>)> {
    let existing = Existing::of(&imported.name, imported.xml.clone())?;
    if existing.passed().is_empty() {
        return Ok((Vec::new(), None));
    }
    let root = context.root()?;
    context.connect()?;
    let host = context.host(root.as_ref(), Scope::All)?;
    let mut findings = existing.against_start(&imported.name, &host, &discovery::uses(root.as_ref()));
    let next = next::before_start(context, root.as_ref(), &host, &existing, &mut findings)?;
    Ok((findings, next))
}

/// Defines the domain; returns a finding where that is refused.
fn define(context: &Context, imported: &Imported) -> Result<Option<Finding>> {
    let connection = context.connect()?;
    let name = &imported.name;
    if connection.domain_xml(name, Secrets::LeftOut)?.is_some() {
        let remedy = format!("choose another name with --name, or remove that domain: vgapt undefine {}", shell_word(name));
        return Ok(Some(Finding::error("exists", format!("the domain '{name}' already exists"), remedy)));
    }
    Ok(match connection.define(name, None, &imported.xml)? {
        Defined::Yes => None,
        Defined::Changed => return Err(changed(name)),
        Defined::SchemaRefuses(words) => {
            let dropped = connection.dropped(&imported.xml)?.unwrap_or_default();
            let what = if dropped.is_empty() { words } else { format!("this libvirt does not support: {}", dropped.join(", ")) };
            let message = format!("libvirt's schema refuses the domain; {}", what.trim_end());
            let remedy = format!("write the XML to a file (--print-xml), correct it, then: {} define FILE", context.virsh());
            Some(Finding::blocked("schema", message, remedy))
        }
    })
}

fn unset(name: &str, line: Option<usize>) -> Finding {
    let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
    if name.starts_with("$((") {
        let message = format!("{place}vgapt does not compute {name}, and QEMU's options need its value");
        return Finding::error("unset", message, "write the number in its place");
    }
    if let Some(letter) = name.strip_prefix("SPECIFIER_") {
        let message = format!("{place}what %{letter} stands for is not known, and QEMU's options need it");
        return Finding::error("unset", message, format!("set it, as in systemd.unit(5): --set {name}=VALUE"));
    }
    if name.contains('{') && !name.starts_with("$(") {
        let message = format!("{place}vgapt does not expand the braces of {name}, and QEMU's options need it");
        return Finding::error("unset", message, format!("set it to its words: --set {}", shell_word(&format!("{name}=WORDS"))));
    }
    let command = name.strip_prefix("$(").and_then(|command| command.strip_suffix(')'));
    let message = match command {
        Some(_) => format!("{place}vgapt does not run {name}, and QEMU's options need its output"),
        None if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => {
            format!("{place}${name} is not set, and QEMU's options need it")
        }
        None if name.starts_with('<') => format!("{place}{name} stands for a value, which QEMU's options need"),
        None if name.contains('*') && !name.contains('[') => {
            format!("{place}vgapt does not look for the files of {name}, and QEMU's options need them")
        }
        None => format!("{place}${{{name}}} is not known, and QEMU's options need it"),
    };
    let setting = shell_word(&format!("{}=VALUE", command.unwrap_or(name)));
    let what = if command.is_some() { "give what it prints in a terminal" } else { "set it" };
    Finding::error("unset", message, format!("{what}: --set {setting}"))
}
