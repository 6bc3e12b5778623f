//! `vgapt import`.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::fs::OFlags;
use schemars::JsonSchema;
use serde::Serialize;

use super::Context;
use super::shared::base::{self, Start};
use super::shared::decision::decide;
use super::shared::existing::{Existing, changed};
use super::shared::facts::{Facts, HostPaths, files, other_domains};
use super::shared::next;
use super::shared::verified::{REFUSED, UNKNOWN, Verified, verify};
use crate::discovery::{self, Scope};
use crate::domain::{self, Request};
use crate::domain_xml;
use crate::hypervisor::{Defined, Secrets};
use crate::import::{self, Comparison, Filled, ImportContext, Imported, Script};
use crate::model::{Files, Finding, Next, QemuProcess, Reading, shell_word};
use crate::output::{self, Answer, Outcome};
use crate::problem::Problem;
use crate::readiness::Stage;
use crate::xml::Document;

/// Environment variables that are used where the script does not set them.
pub(in crate::commands) const FROM_ENVIRONMENT: [&str; 5] = ["CORES_NUMBER", "QEMU_BINARY", "VM_SHARED_FOLDERS", "HOME", "USER"];

/// How a note begins that is about this option.
const SET: &str = "--set";

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
    /// Print a request file for the option --file of 'vgapt define', and what differs where it makes a domain of it
    #[arg(long, group = "what")]
    request: bool,
    /// Define the domain
    #[arg(long, group = "what")]
    define: bool,
    /// Define the domain even if it is blocked
    #[arg(long, requires = "define")]
    force: bool,
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
            let mut findings: Vec<Finding> = script.unset.iter().map(|(name, line)| unset(name, *line, script.filled.get(name))).collect();
            let of_processors = script.unset.keys().position(|name| name == "$(nproc)");
            if let (Some(at), Some(number)) = (of_processors, processors(context)?) {
                findings[at].remedy = format!("this host has {number} CPUs: --set nproc={number}");
            }
            if let (true, Some(last)) = (self.script.is_some(), findings.last_mut()) {
                last.remedy.push_str("; or start the script, and import the QEMU that then runs: vgapt import --running");
            }
            return Ok(refuse(context, findings, script.notes));
        }
        // Decide.
        let imported = self.translate(context, &script, &stem)?;
        if !imported.refusals.is_empty() {
            let place = script.line.map(|line| format!("line {line}: ")).unwrap_or_default();
            let findings =
                imported.refusals.iter().map(|(why, remedy)| Finding::error("refused", format!("{place}{why}"), remedy.as_str()));
            return Ok(refuse(context, findings.collect(), imported.notes));
        }
        let domain = Document::parse(&imported.xml).map_err(anyhow::Error::msg)?;
        if self.request {
            return show_request(context, &imported.name, &domain);
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
        // What the host lacks comes next, as for a domain that `define` makes.
        let mut of_host = None;
        if self.define {
            let (against, lacks) = of_devices(context, &imported)?;
            findings.extend(against);
            of_host = lacks;
        }
        let mut is_refused = findings.iter().any(|finding| self.is_stopped_by(finding));
        let out_of = next::out_of(&mut findings, self.force && is_refused, of_host.as_ref());
        // Write.
        if self.define && !is_refused {
            let finding = self.written(context, &imported)?;
            is_refused = finding.is_some();
            findings.extend(finding);
        }
        self.show(context, &imported, comparison.as_ref(), &findings, is_refused)?;
        let outcome = match (is_refused, self.define) {
            (true, _) => Outcome::Refused,
            (false, true) => Outcome::Done,
            (false, false) => Outcome::Planned,
        };
        let next = match outcome {
            // A start that is refused is no next step.
            Outcome::Done => Some(next::of_domain(context, &imported.name, Stage::Off, None, out_of.or(of_host))),
            Outcome::Refused => out_of.or_else(|| findings.iter().find(|finding| finding.refuses(self.force)).map(Next::out_of)),
            _ => self.again(),
        };
        if let Some(next) = &next {
            context.next(next);
        }
        Ok(Answer::new(outcome).with(ImportedDomain { imported, comparison }).finding(findings).next(next))
    }

    /// Whether this finding stops what is asked for. What is only shown may be for another host, unless libvirt itself refuses it.
    fn is_stopped_by(&self, finding: &Finding) -> bool {
        let is_of_libvirt = [REFUSED, UNKNOWN].contains(&finding.code);
        (self.define || (is_of_libvirt && !self.print_xml)) && finding.refuses(self.force)
    }

    /// This command line once more, to define the domain; nothing where it cannot be repeated, because it was read from standard input.
    fn again(&self) -> Option<Next> {
        let is_read = self.argv.as_deref().is_some_and(|path| path.as_os_str() == "-");
        let again = || Next::command(next::again(&["--define"], &["--print-xml", "--json"]), "nothing was defined");
        (!self.print_xml && !is_read).then(again)
    }

    /// What QEMU is run with, and a name for a domain that has none.
    fn source(&self, context: &Context) -> Result<(Script, String)> {
        let used = RefCell::default();
        let given = |name: &str| self.given(name, &used);
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
        let mut script = import::with_option_files(script, &sourced);
        script.notes.extend(self.unused(&used.borrow()));
        let starts_none = || {
            let none =
                (format!("{shown} does not start QEMU"), "name the script that contains the command qemu-system-x86_64 …".to_owned());
            script.argv.is_empty().then_some(none)
        };
        let refusal = script.refusal.as_ref().map(|(why, remedy)| (format!("{shown}: {why}"), remedy.clone())).or_else(starts_none);
        Ok((Script { refusal, ..script }, stem))
    }

    /// The value of `--set` or of the environment; remembers which of `--set` were asked for.
    fn given(&self, name: &str, used: &RefCell<BTreeSet<usize>>) -> Option<String> {
        // A command may contain a '=' itself.
        let values = self.set.iter().map(|set| set.trim_start().strip_prefix(name)?.strip_prefix('='));
        let values: Vec<(usize, &str)> = values.enumerate().filter_map(|(at, value)| Some((at, value?))).collect();
        used.borrow_mut().extend(values.iter().map(|(at, _)| at));
        let set = values.last().map(|(_, value)| (*value).to_owned());
        let may = name.starts_with("VGAPT_") || FROM_ENVIRONMENT.contains(&name);
        set.or_else(|| std::env::var(name).ok().filter(|_| may))
    }

    /// Says which of `--set` nothing has asked for.
    fn unused(&self, used: &BTreeSet<usize>) -> Vec<String> {
        let unused = self.set.iter().enumerate().filter(|(at, _)| !used.contains(at)).map(|(_, set)| set.trim_start());
        let has = if self.script.is_some() { "the script" } else { "the command line" };
        let note = |set: &str| format!("{SET} {} is not used: {has} does not need it, or gives it another value itself", shell_word(set));
        unused.map(note).collect()
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
            let is_fatal = findings.iter().any(|finding| finding.refuses(true));
            let force = if is_fatal || self.force { "." } else { "; use --force to override." };
            output::tell(&format!("nothing was defined for '{name}': see above{force}\n"));
        } else {
            context.note(&format!("'{name}' is defined; compare: vgapt export {} --to qemu", shell_word(name)));
        }
        Ok(())
    }

    /// Defines the domain; returns a finding where that is refused.
    fn written(&self, context: &Context, imported: &Imported) -> Result<Option<Finding>> {
        let connection = context.connect()?;
        let name = &imported.name;
        if connection.domain_xml(name, Secrets::LeftOut)?.is_some() {
            let remedy = format!("choose another name with --name, or remove that domain: vgapt undefine {}", shell_word(name));
            return Ok(Some(Finding::error("exists", format!("the domain '{name}' already exists"), remedy)));
        }
        let defined = match connection.define(name, None, &imported.xml)? {
            Defined::SchemaRefuses(_) if self.force => connection.define_unchecked(name, None, &imported.xml)?,
            defined => defined,
        };
        Ok(match defined {
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
        let go_on = if self.define { "use --force" } else { "use --define --force" };
        let mut findings = domain::of_disks(domain, &files, "in the script: -drive file=FILE,format=raw, or the disk's real format", go_on);
        // Whether this host uses the disk matters only where the domain is defined here; the XML may be for another host.
        findings.retain(|finding| self.define || finding.code.starts_with("format-") || finding.code.starts_with("backing-"));
        Ok(findings)
    }
}

/// How many CPUs this host has, if that is known.
fn processors(context: &Context) -> Result<Option<usize>> {
    if context.uri().is_remote() {
        return Ok(None);
    }
    let root = context.own_root()?;
    let number = context.host(Some(&root), Scope::All)?.topology.cpus.len();
    Ok((number > 0).then_some(number))
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
fn sourced(path: &str) -> Reading<String> {
    let read = || {
        let mut text = String::new();
        // Without this flag, opening a named pipe blocks until another program opens it for writing.
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
        let file = File::options().read(true).custom_flags(flags).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        file.take(LONGEST).read_to_string(&mut text)?;
        Ok(text)
    };
    Reading::of(read(), path)
}

/// Prints what a request can express of the domain, and what becomes different where `define` makes a domain of it.
fn show_request(context: &Context, name: &str, domain: &Document) -> Result<Answer> {
    let request = import::request_of(domain);
    let base = base::of(context, name, Start::Template { file: None, uuid: None }, &request)?;
    let facts = match context.connect() {
        Ok(connection) => Facts::read(context, connection, &base, Vec::new())?,
        // A request can be made without libvirt.
        Err(error) => {
            context.progress(&format!("note: libvirt was not asked what it has for this request: {error:#}"));
            Facts::without_libvirt(context, &base)?
        }
    };
    let decision = decide(&base, &facts, None, Vec::new());
    let made = Document::parse(&decision.xml).map_err(anyhow::Error::msg)?;
    let beyond = import::beyond(domain, &made, &facts.host);
    if !beyond.is_empty() {
        let list: String = beyond.iter().map(|change| format!("\n  {change}")).collect();
        context.note(&format!(
            "note: vgapt define makes another machine of this request than the script's; --print-xml has the script's:{list}"
        ));
    }
    let refuses = decision.findings.iter().filter(|finding| finding.refuses(true)).map(|finding| finding.message.clone());
    let refused: Vec<String> = refuses.collect();
    if !refused.is_empty() {
        let why = refused.join("; ");
        context.note(&format!("note: vgapt define refuses this request on this host, so more may differ: {why}"));
    }
    context.print_document(&request.to_toml())?;
    Ok(Answer::done(AsRequest { request, beyond, refused }))
}

/// What `vgapt import --request` answers.
#[derive(Serialize, JsonSchema)]
pub(super) struct AsRequest {
    /// The options of `vgapt define` by their names.
    request: Request,
    /// What differs between the script's machine and the one that `vgapt define` makes of the request, in words.
    beyond: Vec<String>,
    /// Why `vgapt define` refuses the request on this host, so that more may differ.
    refused: Vec<String>,
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
    note.contains("is not read")
        || note.starts_with(SET)
        || why.split_whitespace().any(of_variable)
        || of_line.into_iter().any(|line| note.starts_with(&line))
}

/// What is against a domain with these devices, as for one that `define` makes, and what the host lacks for them.
fn of_devices(context: &Context, imported: &Imported) -> Result<(Vec<Finding>, Option<Next>)> {
    let existing = Existing::of(&imported.name, imported.xml.clone())?;
    let root = context.root()?;
    let connection = context.connect()?;
    let host = context.host(root.as_ref(), Scope::All)?;
    let mut findings = existing.against_start(&imported.name, &host, &discovery::uses(root.as_ref()));
    let taken = domain_xml::taken(&existing.document, &host);
    let others = other_domains(connection, &imported.name)?;
    findings.extend(domain::of_others(&taken, &others, &host, false, &HostPaths(root.as_ref())));
    let Some(root) = root.filter(|_| !existing.passed().is_empty()) else { return Ok((findings, None)) };
    findings.extend(discovery::other_hooks(&root, Some(&imported.name)));
    let of_host = next::of_host(context, Some(&root), &host, &existing.functions(), existing.is_handed_over())?;
    Ok((findings, of_host))
}

fn unset(name: &str, line: Option<usize>, filled: Option<&Filled>) -> Finding {
    let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
    if let Some(Filled { line, by }) = filled {
        let message =
            format!("{place}{name} is an array that `{by}` of line {line} fills, which vgapt does not follow, and QEMU's options need it");
        let setting = shell_word(&format!("{name}=WORDS"));
        return Finding::error("unset", message, format!("give the words that it is filled with there: --set {setting}"));
    }
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
        None if import::is_always_set(name) => format!("{place}${name} is known only where the script runs, and QEMU's options need it"),
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
