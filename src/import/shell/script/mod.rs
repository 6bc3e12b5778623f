//! Follows a script as a shell would, without running anything, up to the command that starts QEMU.

mod assign;
mod branches;
mod commands;
mod input;
mod loops;
mod read;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use self::input::Input;
use super::budget::{Budget, COMMAND, WORD};
use super::command::{Command, Joined, Statement};
use super::condition::Truth;
use super::expand::{Files, Lookup, Variables};
use super::marks::{CLOSE, OPEN, has_unknown, setting_of, shown, unknowns};
use super::parser::parse;
use super::{kind, unit};
use crate::import::copied::Copied;
use crate::import::environment::{assignments, is_for_qemu, is_of_sound};
use crate::import::host_changes::{HostChange, What};
use crate::model::Descriptor;

/// What a script would run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Script {
    /// The words before QEMU: `sudo`, `taskset -c 2-5`, …
    pub before: Vec<String>,
    /// The environment variables that QEMU gets from it: name and value, and the line that exports it.
    pub environment: Vec<(String, String, Option<usize>)>,
    /// The other programs that it runs before QEMU, and the first line of each.
    pub beside: BTreeMap<String, usize>,
    /// The same of those that it runs after QEMU's command.
    pub after: BTreeMap<String, usize>,
    /// QEMU and its options.
    pub argv: Vec<String>,
    /// Unset variables, and commands that were not run, if QEMU's options need them, and the first line of each.
    pub unset: BTreeMap<String, Option<usize>>,
    /// Notes about how the script was read.
    pub notes: Vec<String>,
    /// The host CPUs of vCPUs, where their threads are pinned.
    pub pins: Vec<(u32, String)>,
    /// Files that the script copies.
    pub copies: Vec<Copied>,
    /// What it does to the host besides running programs.
    pub host_changes: Vec<HostChange>,
    /// Arrays that a loop or a command fills with what is not known, and which.
    pub filled: BTreeMap<String, Filled>,
    /// The line of the QEMU command.
    pub line: Option<usize>,
    /// The directory of its relative paths; `None` where that is not known.
    pub folder: Option<String>,
    /// The open files that QEMU has, by number.
    pub descriptors: BTreeMap<u32, Descriptor>,
    /// Why no QEMU command was read, and the remedy.
    pub refusal: Option<(String, String)>,
}

/// What fills an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled {
    pub line: usize,
    /// As it is written.
    pub by: String,
}

impl Script {
    pub(in crate::import) fn refused(why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { refusal: Some((why.into(), remedy.into())), ..Self::default() }
    }
}

/// The most iterations of a loop; real scripts need fewer.
const ROUNDS: usize = 200;
/// The deepest nesting of commands, including functions and texts given to a shell.
const DEEPEST: usize = 150;
/// The longest script: reading one takes a hundred times its size in memory.
const LONGEST_SCRIPT: usize = 256 << 10;
/// Limits of a QEMU command; real ones have fewer and shorter words.
const MOST_WORDS: usize = 2_000;
const LONGEST_WORD: usize = 16 << 10;
const LONGEST_COMMAND: usize = 128 << 10;
/// The file by which huge pages are reserved.
const PAGES: &str = "nr_hugepages";
/// The remedy: the ways that follow nothing.
const BY_HAND: &str = "start it, and import the QEMU that then runs: vgapt import --running; or its command line from elsewhere, in a file: \
                       vgapt import --argv FILE";

/// Makes a plain script of a text, and says so; `None` where it is one.
type Form = fn(&str) -> Option<(String, String)>;

/// What is no plain script, or has a slip that a shell would not take: the script that is meant, and the note.
const FORMS: [Form; 4] = [
    |text| {
        let is_page = kind::is_markdown(text, "") || (!text.starts_with("#!") && parse(text, 1).is_err());
        let note = "it is a page: only the code blocks (``` or indented) that contain QEMU, or only set variables, are read";
        Some((is_page.then(|| kind::from_markdown(text))??, note.into()))
    },
    |text| {
        let (line, joined) = kind::join_before_blanks(text)?;
        let note =
            format!("line {line}: a blank is after the \\ at its end; it is read as continued, but a shell would end the command there");
        Some((joined, note))
    },
    |text| {
        let note = "QEMU's options are on separate lines, and are read as if each line but the last ended in \\";
        Some((kind::join_option_lines(text)?, note.into()))
    },
    |text| {
        let note =
            "its lines end in CR LF, as on Windows, and are read as if they ended in LF; a shell would make the CR part of the last word";
        text.contains("\r\n").then(|| (text.replace("\r\n", "\n"), note.into()))
    },
];

/// Reads a script at a path; `given` supplies variables that it does not set, `files` the files in its directory.
pub fn read(text: &str, path: &str, given: Lookup<'_>, files: Files<'_>) -> Script {
    if let Some(language) = kind::other_language(text, path) {
        return Script::refused(format!("it is {language}, and vgapt follows those of sh and bash only"), BY_HAND);
    }
    if kind::is_makefile(path) {
        let remedy = "make prints the commands of a target: make -n TARGET >FILE, and vgapt import --argv FILE";
        return Script::refused("it is a makefile, not a script", remedy);
    }
    if kind::is_markdown(text, path) && kind::from_markdown(text).is_none() {
        return Script::refused("it is Markdown, and none of its code blocks (``` or indented) starts QEMU", BY_HAND);
    }
    if text.len() > LONGEST_SCRIPT {
        return Script::refused(format!("it is longer than {} KiB", LONGEST_SCRIPT >> 10), BY_HAND);
    }
    let arguments = (1..10).map_while(|number| given(&number.to_string())).collect();
    let mut reader = Reader {
        variables: Variables {
            set: BTreeMap::new(),
            arguments,
            arguments_known: false,
            given,
            files,
            script: path,
            budget: Budget::default(),
            depth: 0,
            assumes_pwd: Cell::default(),
            defaulted: RefCell::default(),
            left_out: RefCell::default(),
            by_default: BTreeMap::new(),
            other_names: BTreeMap::new(),
            functions: BTreeMap::new(),
        },
        script: Script::default(),
        called: BTreeSet::new(),
        local: Vec::new(),
        flow: None,
        depth: 0,
        assumed: BTreeSet::new(),
        asked: BTreeSet::new(),
        keyed: BTreeSet::new(),
        numbers: BTreeSet::new(),
        option_at: 0,
        wants: BTreeSet::new(),
        folder: None,
        left_folders: Vec::new(),
        inputs: Vec::new(),
        prefix: Vec::new(),
        exported: BTreeMap::new(),
        line: 1,
        qemu_commands: 0,
        unread: BTreeMap::new(),
        unread_file: None,
        may_have_set_any: false,
    };
    let is_unit = unit::is_unit(text) && !kind::is_markdown(text, path);
    let folder = if is_unit { unit::folder(text) } else { Some(reader.variables.folder()) };
    reader.folder = given("PWD").or(folder.map(str::to_owned));
    let mut text = if is_unit { unit::from_unit(text) } else { text.to_owned() };
    for form in FORMS {
        if let Some((script, note)) = form(&text) {
            text = script;
            reader.note(note);
        }
    }
    match parse(&text, 1) {
        Ok(steps) => {
            reader.qemu_commands = reader.qemu_commands(&steps, 0);
            reader.run(&steps);
            reader.finish(&text)
        }
        Err(line) => Script::refused(
            format!("line {line}: a quote or bracket that opens there is never closed, or is not quoted"),
            format!("close or quote it; or {BY_HAND}"),
        ),
    }
}

/// What ends the commands that are being followed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Flow {
    Break,
    Continue,
    Return,
    /// With the command that ended the script.
    Exit(String),
}

struct Reader<'g> {
    variables: Variables<'g>,
    /// The text of a file.
    script: Script,
    called: BTreeSet<String>,
    /// For each function being followed: the values that its local variables hide.
    local: Vec<Vec<(String, Option<Vec<String>>)>>,
    flow: Option<Flow>,
    depth: usize,
    /// What the last condition assumed: variables that are empty; `1` stands for the script's arguments.
    assumed: BTreeSet<String>,
    /// Variables whose values are known only when the script runs.
    asked: BTreeSet<String>,
    /// Associative arrays.
    keyed: BTreeSet<String>,
    /// Variables that are numbers (`declare -i`).
    numbers: BTreeSet<String>,
    /// Where `getopts` is in an argument with several letters.
    option_at: usize,
    /// Variables without which the script ends, and `1` if a condition that was followed asks for the script's arguments.
    wants: BTreeSet<String>,
    /// The working directory, if it is known.
    folder: Option<String>,
    /// The directories to which `popd` returns.
    left_folders: Vec<String>,
    /// What the commands read, the innermost last.
    inputs: Vec<Input>,
    /// The words of the commands that run the current one, such as `sudo`.
    prefix: Vec<String>,
    /// The variables that the script exports, and the line of each.
    exported: BTreeMap<String, usize>,
    /// The current line.
    line: usize,
    /// How many commands of the script start QEMU.
    qemu_commands: usize,
    /// Lines with a QEMU command that were left out, the reason, and whether a note reports it.
    unread: BTreeMap<usize, (String, bool)>,
    /// The last file with commands of the script that is not read.
    unread_file: Option<String>,
    /// Whether a command may have set any variable.
    may_have_set_any: bool,
}

impl Reader<'_> {
    fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        let compared = self.script.notes.len() * WORD;
        if self.variables.budget.take(note.len() + compared) && !self.script.notes.contains(&note) {
            self.script.notes.push(note);
        }
    }

    /// Follows commands; whether the last one succeeded.
    fn run(&mut self, steps: &[Statement]) -> Truth {
        let mut truth = Truth::of(true);
        for (index, step) in steps.iter().enumerate() {
            if let Some(flow) = &self.flow {
                let why = if let Flow::Exit(by) = flow { format!("{by} ends the script before it") } else { "it is not reached".into() };
                self.leave(&steps[index..], &why, false);
                for step in &steps[index..] {
                    self.cut_off(&step.text);
                }
                return truth;
            }
            if step.joined != Joined::Always && index > 0 {
                let rest = &steps[index..];
                let chain = &rest[..rest.iter().position(|step| step.joined == Joined::Always).unwrap_or(rest.len())];
                let other = chain.iter().position(|other| other.joined != step.joined).unwrap_or(chain.len());
                let (then, otherwise) = match step.joined {
                    Joined::Or => (&chain[other..], &chain[..other]),
                    _ => (&chain[..other], &chain[other..]),
                };
                let before = &steps[index - 1];
                truth = Truth::of(self.decide(before.line, &before.text, truth, &[then], &[otherwise]));
                if truth.holds != (step.joined == Joined::And) && !self.variables.budget.is_spent() {
                    continue;
                }
            }
            self.line = step.line;
            let text = if matches!(step.command, Command::Plain(_)) { step.text.len() * 4 } else { 0 };
            if !self.variables.budget.take(COMMAND + text) {
                self.limit_exceeded(step.line, "following the script up to there exceeds the limit of work");
                return truth;
            }
            if self.depth >= DEEPEST {
                self.limit_exceeded(step.line, "the command is nested too deeply in other commands");
                return truth;
            }
            self.depth += 1;
            let inputs = self.inputs.len();
            self.inputs.extend(step.input.clone().map(Input::Written));
            truth = self.step(step);
            self.inputs.truncate(inputs);
            self.depth -= 1;
            if self.variables.budget.is_spent() {
                self.limit_exceeded(step.line, "following the script there exceeds the limit of work");
            }
            if step.negated {
                truth = truth.not();
            }
        }
        truth
    }

    fn step(&mut self, step: &Statement) -> Truth {
        match &step.command {
            Command::Plain(parts) => return self.plain(step, parts),
            Command::Group(body) => return self.run(body),
            Command::Subshell(body) => return self.apart(body),
            Command::Pipeline(members) => {
                let inputs = self.inputs.len();
                for member in members {
                    self.apart(std::slice::from_ref(member));
                    // What a command prints is known only when the script runs.
                    self.inputs.push(Input::Unknown);
                }
                self.inputs.truncate(inputs);
                return Truth::GUESS;
            }
            Command::Arithmetic(text) => return self.sum(text),
            Command::If(branches) => self.branches(branches),
            Command::While { until, condition, body } => self.repeat(step, *until, condition, body),
            Command::For { name, words, body } => self.each_word(step, name, words.as_deref(), body),
            Command::Count { head, body } => self.count(step, head, body),
            Command::Case { word, arms } => self.case(step, word, arms),
            Command::Function { name, body } => {
                self.variables.functions.insert(name.clone(), Rc::clone(body));
            }
        }
        Truth::of(true)
    }

    /// Refuses the script: half of it would make a different machine.
    fn limit_exceeded(&mut self, line: usize, why: &str) {
        self.script.refusal.get_or_insert_with(|| (format!("line {line}: {why}"), BY_HAND.into()));
        self.flow = Some(Flow::Exit("the limit of work".into()));
    }

    /// Follows commands in a subshell: variables set there are reset afterwards.
    fn apart(&mut self, body: &[Statement]) -> Truth {
        if !self.variables.take_copy() || !self.variables.budget.take_words(&self.variables.arguments) {
            return Truth::GUESS;
        }
        let before = (self.variables.set.clone(), self.variables.arguments.clone(), self.variables.arguments_known);
        let folder = self.folder.clone();
        let truth = self.run(body);
        (self.variables.set, self.variables.arguments, self.variables.arguments_known) = before;
        self.folder = folder;
        if self.script.refusal.is_none() {
            self.flow = None;
        }
        truth
    }

    fn qemu(&mut self, step: &Statement, argv: &[String]) {
        if argv.len() < 3 && !argv.iter().skip(1).any(|word| has_unknown(word)) {
            self.unread.entry(step.line).or_insert(("it has no options there".into(), true));
            return;
        }
        let length: usize = argv.iter().map(String::len).sum();
        if argv.len() > MOST_WORDS || length > LONGEST_COMMAND || argv.iter().any(|word| word.len() > LONGEST_WORD) {
            return self.limit_exceeded(step.line, "the QEMU command there is too long");
        }
        if !self.variables.budget.take(argv.len() * WORD + 2 * length) {
            return;
        }
        let is_longer = argv.len() > self.script.argv.len();
        let out = if is_longer { self.script.argv.clone() } else { argv.to_vec() };
        if is_longer {
            self.script.argv = argv.to_vec();
            self.script.line = Some(step.line);
            self.script.folder.clone_from(&self.folder);
            self.script.before.clone_from(&self.prefix);
            // A script that is sourced may set QEMU's variables of sound without an export.
            let exported = self.variables.set.keys().filter(|name| is_of_sound(name) && !self.exported.contains_key(*name));
            let exported = self.exported.iter().map(|(name, line)| (name, Some(*line))).chain(exported.map(|name| (name, None)));
            let value = |(name, line): (&String, Option<usize>)| Some((name.clone(), self.variables.value(name)?, line));
            self.script.environment = exported.filter(|(name, _)| is_for_qemu(name)).filter_map(value).collect();
            self.script.environment.extend(assignments(&mut self.script.before));
            let is_before = |name: &str| self.prefix.iter().any(|word| word.split_once('=').is_some_and(|(before, _)| before == name));
            let assumed =
                self.variables.set.keys().filter(|name| is_of_sound(name) && !self.exported.contains_key(*name) && !is_before(name));
            for name in assumed.cloned().collect::<Vec<_>>() {
                self.note(format!("{name} is set and not exported, so bash does not give it to QEMU: it is taken for exported"));
            }
        }
        if !out.is_empty() && (is_longer || out != self.script.argv) {
            self.note(format!("another QEMU command is left out: {}", shown(&out.join(" "))));
        }
        self.unread.remove(&step.line);
    }

    fn finish(mut self, text: &str) -> Script {
        for (name, body) in std::mem::take(&mut self.variables.functions) {
            if !self.called.contains(&name) {
                self.leave(&body, &format!("no command that is read calls the function {name}"), false);
            }
        }
        if self.variables.budget.is_spent() {
            self.limit_exceeded(self.line, "following the script there exceeds the limit of work");
        }
        if let Some((why, remedy)) = self.script.refusal.take() {
            return Script::refused(why, remedy);
        }
        if self.script.argv.is_empty() {
            self.refuse(text);
            return self.script;
        }
        for (line, (why, told)) in std::mem::take(&mut self.unread) {
            if !told {
                self.note(format!("line {line}: another QEMU command is not read: {why}"));
            }
        }
        // Also where it is not known whether it does.
        let reserves = |line: &str| !line.trim_start().starts_with('#') && line.contains(PAGES);
        let known = |change: &HostChange| matches!(&change.what, What::Written(path) if path.contains(PAGES));
        if let Some(at) = text.lines().position(reserves).filter(|_| !self.script.host_changes.iter().any(known)) {
            self.script.host_changes.push(HostChange { line: at + 1, what: What::Written(PAGES.into()) });
        }
        if self.variables.assumes_pwd.get() {
            let folder = self.variables.folder();
            self.note(format!("$PWD is assumed to be the script's directory {folder}; if not, give it with --set PWD=DIRECTORY"));
        }
        self.temporary_copies();
        self.random_addresses();
        self.unknown_environment();
        let environment = self.script.environment.iter().map(|(_, value, _)| value);
        let unset = self.script.argv.iter().skip(1).chain(environment).flat_map(|word| unknowns(word));
        let unset: BTreeSet<String> = unset.collect();
        self.script.unset = unset.into_iter().map(|name| (name.clone(), line_of(text, &name))).collect();
        for word in self.script.argv.iter_mut().chain(&mut self.script.before) {
            *word = shown(word);
        }
        self.script
    }

    /// The variables of the firmware that the script copies to a new file at each start: the name of that file does not matter.
    fn temporary_copies(&mut self) {
        let is_new = |name: &String| name == "$" || name.starts_with("$(mktemp") || is_random(name);
        for copy in self.script.copies.iter_mut().filter(|copy| has_unknown(&copy.to) && unknowns(&copy.to).all(|name| is_new(&name))) {
            let name = shown(&copy.to);
            for word in self.script.argv.iter_mut().filter(|word| word.contains("if=pflash") && word.contains(&copy.to)) {
                *word = word.replace(&copy.to, &name);
                copy.is_temporary = true;
            }
        }
        for copy in &mut self.script.copies {
            copy.to = shown(&copy.to);
        }
    }

    /// Leaves out variables of QEMU's environment that rest on what a command prints: they are of the session that starts the script.
    fn unknown_environment(&mut self) {
        let is_printed = |value: &str| unknowns(value).any(|name| name.starts_with("$("));
        let (left, kept) = std::mem::take(&mut self.script.environment).into_iter().partition(|(_, value, _)| is_printed(value));
        self.script.environment = kept;
        let left: Vec<(String, String, Option<usize>)> = left;
        for (name, value, _) in left {
            self.note(format!("{name}={} is left out of QEMU's environment, since what a command prints is not known", shown(&value)));
        }
    }

    /// Leaves out MAC addresses that are others at each start.
    fn random_addresses(&mut self) {
        let is_address = |part: &str| part.starts_with("mac=") || part.starts_with("macaddr=");
        let is_new = |part: &str| is_address(part) && has_unknown(part) && unknowns(part).all(|name| is_random(&name));
        let mut is_left = false;
        for word in self.script.argv.iter_mut().filter(|word| word.contains("mac") && has_unknown(word)) {
            let (new, kept): (Vec<&str>, Vec<&str>) = properties(word).into_iter().partition(|part| is_new(part));
            if !new.is_empty() {
                is_left = true;
                *word = kept.join(",");
            }
        }
        if is_left {
            self.note("the script makes a MAC address at each start: it is left out, and libvirt makes one that stays".to_owned());
        }
    }

    /// Reports where a script mentions QEMU if no command was read.
    fn refuse(&mut self, text: &str) {
        let given = |name: &String| match name.as_str() {
            "1" => "give its arguments: --set '1=VALUE' sets the first; or ".to_owned(),
            _ => format!("give what it needs: --set '{name}=VALUE'; or "),
        };
        let remedy: String = self.wants.iter().map(given).chain([BY_HAND.to_owned()]).collect();
        // A command without options only checks whether QEMU exists.
        let by_line = self.unread.iter().min_by_key(|(_, (_, told))| *told).map(|(line, (why, _))| (*line, why.clone()));
        let names = |line: &str| !line.trim_start().starts_with('#') && (line.contains("qemu-system-") || line.contains("qemu-kvm"));
        let by_word = || {
            let line = text.lines().position(names)? + 1;
            Some((
                line,
                match &self.flow {
                    Some(Flow::Exit(by)) => format!("{by} ends the script before it"),
                    _ => "it is not a command there, but part of a text or an argument of another command".into(),
                },
            ))
        };
        let by_document = || {
            let (line, by) = kind::in_here_document(text)?;
            Some((line, format!("`{by}` writes it into a file, and what a here-document writes is not followed; import that file")))
        };
        if let Some((line, why)) = by_line.or_else(by_document).or_else(by_word) {
            self.script.refusal = Some((format!("the QEMU command of line {line} is not read: {why}"), remedy));
        }
    }
}

/// Whether a value is another one each time.
fn is_random(name: &str) -> bool {
    ["RANDOM", "/dev/urandom", "/dev/random", "openssl rand", "uuidgen", "shuf "].iter().any(|by| name.contains(by))
}

/// The parts of an option, between commas that are in no mark.
fn properties(word: &str) -> Vec<&str> {
    let (mut parts, mut from, mut is_in_mark) = (Vec::new(), 0, false);
    for (at, letter) in word.char_indices() {
        match letter {
            OPEN => is_in_mark = true,
            CLOSE => is_in_mark = false,
            ',' if !is_in_mark => {
                parts.push(&word[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&word[from..]);
    parts
}

/// The first line of a script that expands a name.
fn line_of(text: &str, name: &str) -> Option<usize> {
    let begins = |line: &str, sign: &str| line.split(sign).skip(1).any(|after| after.starts_with(setting_of(name)));
    let is_in = |line: &str| {
        (name.contains(['{', '<', '*']) && line.contains(name)) || ["$", "${", "$(", "`"].iter().any(|sign| begins(line, sign))
    };
    let is_it = |line: &str| !line.trim_start().starts_with('#') && is_in(line);
    text.lines().position(is_it).map(|line| line + 1)
}
