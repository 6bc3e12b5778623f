//! Commands: shell builtins, functions, and commands that run another one.

use super::super::budget::WORD;
use super::super::command::{Part, Statement};
use super::super::condition::Truth;
use super::super::marks::{has_unknown, setting_of, shown, unknown, unknowns};
use super::super::parser::parse;
use super::super::path::joined;
use super::super::programs::{Inner, has_options_of_qemu, inner, is_qemu, mentions_qemu, starts_qemu};
use super::super::word::{Word, is_name};
use super::{DECLARERS, Flow, Reader};
use crate::import::copied::Copied;
use crate::model::shell_word;

/// Commands that only print, or succeed without an effect on what is read here.
const HARMLESS: [&str; 8] = ["echo", "printf", ":", "true", "set", "trap", "wait", "sleep"];
/// Programs that change nothing that a guest needs.
const ONLY_READ: &str = "[ awk basename cat cd clear command cut date dirname disown find free grep groups hash head id kill killall ls lscpu \
                         lsmod lspci lsusb mkdir notify-send nproc pgrep pidof pkill ps pwd readlink realpath rm sed seq shopt sort stat tail \
                         tput tr trap type ulimit uname which wc xrandr zenity";
/// The deepest nesting of function calls; real scripts need less.
const DEEPEST: usize = 15;
/// The most words of commands that run another one.
const MOST_WORDS_BEFORE: usize = 60;

impl Reader<'_> {
    pub(super) fn plain(&mut self, step: &Statement, parts: &[Part]) -> Truth {
        let words: Vec<&Word> = parts.iter().filter_map(Part::word).collect();
        match words.first().and_then(|word| word.plain()) {
            Some("[[") => {
                let is_closed = words.last().and_then(|word| word.plain()) == Some("]]");
                return self.test(&words[1..words.len() - usize::from(is_closed)], true);
            }
            Some("[") => return self.test(&words[1..words.len().max(2) - 1], false),
            Some("test") => return self.test(&words[1..], false),
            Some("((") => return Truth::GUESS,
            Some(first) if DECLARERS.contains(&first) => return self.declare(first, &parts[1..]),
            _ => {}
        }
        self.assumed.clear();
        let assigns = parts.iter().take_while(|part| part.assigned().is_some()).count();
        let (assigns, rest) = parts.split_at(assigns);
        let names: Vec<String> = assigns.iter().filter_map(Part::assigned).collect();
        if rest.is_empty() {
            self.assign_all(assigns);
            return Truth::of(true);
        }
        let mut argv = Vec::new();
        // Computed once, since it examines all words.
        let is_qemu = starts_qemu(step);
        if is_qemu {
            self.note_arguments(rest.iter().filter_map(Part::word));
        }
        for word in rest.iter().filter_map(Part::word) {
            if is_qemu && word.finds_files() {
                let words = shown(&self.variables.text(word));
                self.note(format!("line {}: '{words}' is not expanded to file names: it is used as written", step.line));
            }
            argv.extend(self.variables.words(word));
        }
        if assigns.is_empty() {
            return self.command(step, &argv);
        }
        let before: Vec<_> = names.iter().map(|name| self.copy(name)).collect();
        self.assign_all(assigns);
        let within: Vec<_> = names.iter().map(|name| self.copy(name)).collect();
        let outer = self.prefix.len();
        self.prefix.extend(names.iter().filter_map(|name| Some(format!("{name}={}", self.variables.value(name)?))));
        let truth = self.command(step, &argv);
        self.prefix.truncate(outer);
        // Assignments before a command apply to that command only.
        for ((name, before), within) in names.iter().zip(before).zip(within) {
            if self.variables.set.get(name) == within.as_ref() {
                self.restore(name, before);
            }
        }
        truth
    }

    /// A command with its words.
    pub(super) fn command(&mut self, step: &Statement, argv: &[String]) -> Truth {
        let Some(first) = argv.first() else { return Truth::of(true) };
        if let Some(body) = self.functions.get(first).cloned() {
            return self.call(step, first, &body, &argv[1..]);
        }
        let by = || format!("line {}: `{}`", step.line, step.text);
        match first.as_str() {
            "false" => return Truth::of(false),
            "printf" if argv.get(1).is_some_and(|word| word == "-v") => self.ask(&argv[2..argv.len().min(3)]),
            "set" => self.set_arguments(&argv[1..]),
            "shift" => {
                let by = argv.get(1).and_then(|by| by.parse().ok()).unwrap_or(1);
                let has = by <= self.variables.arguments.len();
                self.variables.arguments.drain(..if has { by } else { 0 });
                return Truth::of(has);
            }
            "unset" => {
                for name in argv[1..].iter().filter(|name| !name.starts_with('-')) {
                    if !self.variables.budget.take(self.variables.set.len()) {
                        break;
                    }
                    let keys = format!("{name}[");
                    self.variables.set.retain(|key, _| !key.starts_with(&keys));
                    self.set(name, Vec::new());
                }
            }
            "read" | "mapfile" | "readarray" => {
                self.ask(&names_read(first, &argv[1..]));
                return Truth::GUESS;
            }
            "getopts" => {
                if self.variables.arguments.is_empty() {
                    if !self.variables.arguments_known {
                        self.assumed.insert("1".into());
                    }
                    return Truth::of(false);
                }
                self.ask(&["OPTARG".to_owned(), argv.last().cloned().unwrap_or_default()]);
                return Truth::GUESS;
            }
            "source" | "." if argv.len() > 1 => {
                if let Some(steps) = self.beside(&argv[1]) {
                    return self.run(&steps);
                }
                self.note(format!("line {}: the file {} is not read; it may set or change any variable", step.line, shown(&argv[1])));
                return Truth::GUESS;
            }
            "let" => {
                for sum in &argv[1..] {
                    self.sum(sum);
                }
                return Truth::GUESS;
            }
            "cd" => self.change_folder(argv.get(1).map_or("", String::as_str)),
            "pushd" => {
                self.left_folders.push(self.folder.clone().unwrap_or_default());
                self.change_folder(argv.get(1).map_or("", String::as_str));
            }
            "popd" => {
                let back = self.left_folders.pop().unwrap_or_default();
                self.change_folder(&back);
            }
            "exit" => self.flow = Some(Flow::Exit(by())),
            "return" => {
                self.flow = Some(Flow::Return);
                let code = argv.get(1).map_or("0", String::as_str);
                return code.parse::<i64>().map_or(Truth::GUESS, |code| Truth::of(code == 0));
            }
            "break" => self.flow = Some(Flow::Break),
            "continue" => self.flow = Some(Flow::Continue),
            _ if HARMLESS.contains(&first.as_str()) => {}
            _ => {
                self.outside(step, argv);
                if first == "exec" && argv.len() > 1 {
                    self.flow = Some(Flow::Exit(by()));
                }
                return Truth::GUESS;
            }
        }
        Truth::of(true)
    }

    /// `cd`: relative paths are resolved there, unless the user says where.
    fn change_folder(&mut self, to: &str) {
        if (self.variables.given)("PWD").is_some() {
            return;
        }
        let now = self.folder.clone();
        let folder = match to {
            _ if to.is_empty() || to.starts_with('-') || has_unknown(to) => None,
            _ if to.starts_with('/') => Some(to.to_owned()),
            _ => now.map(|now| joined(&now, to)),
        };
        self.folder.clone_from(&folder);
        self.set("PWD", vec![folder.unwrap_or_else(|| unknown("PWD"))]);
    }

    /// Says that words are the script's arguments, of which there are none.
    pub(super) fn note_arguments<'w>(&mut self, mut words: impl Iterator<Item = &'w Word>) {
        if words.any(|word| self.asks_for_arguments(word)) {
            self.note(format!(
                "line {}: the script takes arguments; without any, none are added here; --set '1=VALUE' sets the first",
                self.line
            ));
        }
    }

    /// The commands of a file in the script's directory.
    fn beside(&mut self, name: &str) -> Option<Vec<Statement>> {
        let name = name.strip_prefix("./").unwrap_or(name);
        let folder = self.variables.folder();
        let name = name.strip_prefix(folder).map_or(name, |name| name.trim_start_matches('/'));
        if name.contains('/') || name.is_empty() || has_unknown(name) || self.prefix.len() > MOST_WORDS_BEFORE {
            return None;
        }
        let text = (self.files)(&format!("{folder}/{name}"))?;
        // Parsing a text takes many times its size.
        if !self.variables.budget.take(text.len() * WORD) {
            return None;
        }
        parse(&text, 1).ok()
    }

    /// Marks variables whose values are known only when the script runs.
    pub(super) fn ask(&mut self, names: &[String]) {
        for name in names {
            let value = (self.variables.given)(name);
            if value.is_none() {
                self.asked.insert(name.clone());
            }
            self.set(name, vec![value.unwrap_or_else(|| unknown(name))]);
        }
    }

    pub(super) fn set_arguments(&mut self, words: &[String]) {
        let dashes = words.iter().position(|word| word == "--");
        let start = match dashes {
            Some(dashes) => dashes + 1,
            None if words.first().is_some_and(|word| !word.starts_with(['-', '+'])) => 0,
            None => return,
        };
        // How many words the output of a command is, nobody knows: as a script without arguments.
        self.variables.arguments_known = !words[start..].iter().any(|word| has_unknown(word));
        self.variables.arguments = if self.variables.arguments_known { words[start..].to_vec() } else { Vec::new() };
    }

    pub(super) fn call(&mut self, step: &Statement, name: &str, body: &[Statement], arguments: &[String]) -> Truth {
        if self.local.len() >= DEEPEST || !self.variables.budget.take_words(arguments) {
            return Truth::GUESS;
        }
        self.called.insert(name.to_owned());
        let before = std::mem::replace(&mut self.variables.arguments, arguments.to_vec());
        let said = std::mem::replace(&mut self.variables.arguments_known, true);
        self.local.push(Vec::new());
        let truth = self.run(body);
        for (name, hidden) in self.local.pop().unwrap_or_default().into_iter().rev() {
            self.restore(&name, hidden);
        }
        (self.variables.arguments, self.variables.arguments_known) = (before, said);
        if self.flow == Some(Flow::Return) {
            self.flow = None;
        }
        self.line = step.line;
        truth
    }

    /// A program that runs beside QEMU; libvirt does not run it.
    fn beside_qemu(&mut self, line: usize, argv: &[String]) {
        let name = argv[0].rsplit('/').next().unwrap_or_default();
        let only_reads = ONLY_READ.split(' ').any(|known| known == name);
        let is_program = name.starts_with(|c: char| c.is_ascii_lowercase());
        // `exec 3<>FILE` runs nothing.
        if only_reads || !is_program || argv == ["exec"] || has_unknown(&argv[0]) || !self.variables.budget.take_words(argv) {
            return;
        }
        self.script.copies.extend(copied(argv, false));
        let programs = if self.script.argv.is_empty() { &mut self.script.beside } else { &mut self.script.after };
        programs.entry(name.to_owned()).or_insert(line);
    }

    /// Whether a line behind QEMU's command was meant for it.
    pub(super) fn cut_off(&mut self, text: &str) -> bool {
        let is_cut_off = text.starts_with('-') && !self.script.argv.is_empty();
        if is_cut_off {
            let words = shown(text);
            self.note(format!("a comment or an empty line ends the QEMU command before '{words}', which a shell does not pass to QEMU"));
        }
        is_cut_off
    }

    /// A program: QEMU, or one that runs another.
    pub(super) fn outside(&mut self, step: &Statement, argv: &[String]) {
        let Some(first) = argv.first() else { return };
        if self.cut_off(&argv.join(" ")) {
            return;
        }
        if is_qemu(first) {
            return self.qemu(step, argv);
        }
        if let Some(name) = unknowns(first).next().filter(|_| has_options_of_qemu(argv)) {
            // What comes before QEMU may be nothing.
            let program = match first {
                _ if argv[1..].iter().any(|word| is_qemu(word)) => "",
                _ if first.contains("qemu-system-") => "x86_64",
                _ if *first == unknown(&name) => "/usr/bin/qemu-system-x86_64",
                _ => "VALUE",
            };
            let setting = format!("{}={program}", setting_of(&name));
            let why = format!("its program is {}, whose value is not known here; --set {} gives it", shown(first), shell_word(&setting));
            self.unread.entry(step.line).or_insert((why, false));
            return;
        }
        if self.prefix.len() > MOST_WORDS_BEFORE {
            return;
        }
        match inner(argv) {
            Some(Inner::From(at)) if at < argv.len() => {
                let outer = self.prefix.len();
                self.prefix.extend_from_slice(&argv[..at]);
                self.outside(step, &argv[at..]);
                self.prefix.truncate(outer);
            }
            Some(Inner::Text(at, text)) => {
                // Parsing a text takes many times its size.
                if !self.variables.budget.take(text.len() * WORD) {
                    return;
                }
                let Ok(steps) = parse(&text, step.line) else {
                    self.note(format!("line {}: what {} runs is not read: it has an unclosed quote", step.line, shown(first)));
                    return;
                };
                if first == "eval" {
                    self.run(&steps);
                    return;
                }
                let outer = self.prefix.len();
                self.prefix.extend_from_slice(&argv[..at]);
                self.apart(&steps);
                self.prefix.truncate(outer);
            }
            _ if argv.iter().any(|word| is_qemu(word)) && !mentions_qemu(first) => {
                let why = format!("{} is not known to start it", shown(first));
                self.unread.entry(step.line).or_insert((why, false));
            }
            _ => self.beside_qemu(step.line, argv),
        }
    }
}

/// What `cp FROM TO` copies.
pub(super) fn copied(argv: &[String], if_missing: bool) -> Option<Copied> {
    let (program, words) = argv.split_first()?;
    let files: Vec<&String> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let [from, to] = files[..] else { return None };
    (program.rsplit('/').next() == Some("cp")).then(|| Copied { from: shown(from), to: shown(to), if_missing })
}

/// The variables that `read` or `mapfile` sets.
fn names_read(command: &str, words: &[String]) -> Vec<String> {
    let with_value = if command == "read" { "ptnNdui" } else { "dnOsucC" };
    let mut names = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if let Some(letters) = word.strip_prefix('-') {
            if letters.ends_with(|letter| with_value.contains(letter)) {
                words.next();
            }
        } else if is_name(word) {
            names.push(word.clone());
        }
    }
    if names.is_empty() {
        names.push(if command == "read" { "REPLY" } else { "MAPFILE" }.into());
    }
    names
}
