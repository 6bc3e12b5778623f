//! Commands: shell builtins, functions, and commands that run another one.

use super::super::budget::WORD;
use super::super::command::{Part, Statement, each};
use super::super::condition::Truth;
use super::super::expand::given_words;
use super::super::marks::{has_unknown, setting_of, shown, unknown, unknowns};
use super::super::parser::parse;
use super::super::path::joined;
use super::super::printf::formatted;
use super::super::programs::{
    DECLARERS, Inner, ONLY_READ, has_options_of_qemu, inner, is_given_qemu, is_known_program, is_qemu, starts_qemu,
};
use super::super::word::{Piece, Word, is_name};
use super::{Filled, Flow, Reader};
use crate::import::copied::Copied;
use crate::import::host_changes::{HostChange, What};
use crate::import::table::has;
use crate::model::shell_word;

/// Commands that only print, or succeed without an effect on what is read here.
const HARMLESS: [&str; 8] = ["echo", "printf", ":", "true", "set", "trap", "wait", "sleep"];
/// The deepest nesting of function calls; real scripts need less.
const DEEPEST: usize = 15;
/// The most words of commands that run another one.
const MOST_WORDS_BEFORE: usize = 60;

impl Reader<'_> {
    pub(super) fn plain(&mut self, step: &Statement, parts: &[Part]) -> Truth {
        let written: Vec<String> = step.written.iter().map(|word| self.variables.text(word)).collect();
        self.write_into(step.line, written.into_iter());
        let words: Vec<&Word> = parts.iter().filter_map(Part::word).collect();
        match words.first().and_then(|word| word.plain()) {
            Some("[[") => {
                let is_closed = words.last().and_then(|word| word.plain()) == Some("]]");
                return self.test(&words[1..words.len() - usize::from(is_closed)], true);
            }
            Some("[") => return self.test(&words[1..words.len().max(2) - 1], false),
            Some("test") => return self.test(&words[1..], false),
            Some("((") => return Truth::GUESS,
            Some(first) if DECLARERS.contains(&first) => return self.declare(step, first, &parts[1..]),
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
        self.variables.left_out.borrow_mut().clear();
        for word in rest.iter().filter_map(Part::word) {
            if is_qemu && word.finds_files() {
                let words = shown(&self.variables.text(word));
                self.note(format!("line {}: '{words}' is not expanded to file names: it is used as written", step.line));
            }
            argv.extend(self.variables.words(word));
        }
        if is_qemu {
            self.note_left_out();
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
        if let Some(body) = self.variables.functions.get(first).cloned() {
            return self.call(step, first, &body, &argv[1..]);
        }
        let by = || format!("line {}: `{}`", step.line, step.text);
        match first.as_str() {
            "false" => return Truth::of(false),
            "printf" if argv.get(1).is_some_and(|word| word == "-v") => match &argv[2..] {
                [name, format, values @ ..] if is_name(name) => match formatted(format, values) {
                    Some(text) => self.set(name, vec![text]),
                    None => self.ask(std::slice::from_ref(name)),
                },
                [name, ..] if has_unknown(name) => self.sets_unknown(step),
                names => self.ask(&names[..names.len().min(1)]),
            },
            "trap" => self.at_end(step, &argv[1..]),
            "set" => self.set_arguments(&argv[1..]),
            "shift" => {
                let by = argv.get(1).and_then(|by| by.parse().ok()).unwrap_or(1);
                let has = by <= self.variables.arguments.len();
                // Those that the user gives are all that there are, where the script takes them one by one.
                self.variables.arguments_known |= has && by > 0;
                self.variables.arguments.drain(..if has { by } else { 0 });
                return Truth::of(has);
            }
            "unset" => {
                if argv[1..].iter().any(|name| has_unknown(name)) {
                    self.sets_unknown(step);
                }
                for name in argv[1..].iter().filter(|name| is_name(name)) {
                    if !self.variables.budget.take(self.variables.set.len()) {
                        break;
                    }
                    let keys = format!("{name}[");
                    self.variables.set.retain(|key, _| !key.starts_with(&keys));
                    self.set(name, Vec::new());
                }
            }
            "read" | "mapfile" | "readarray" => return self.read(step, first, &argv[1..]),
            "getopts" => {
                if self.variables.arguments.is_empty() {
                    if !self.variables.arguments_known {
                        self.assumed.insert("1".into());
                    }
                    return Truth::of(false);
                }
                return self.next_option(&argv[1..]);
            }
            "source" | "." if argv.len() > 1 => {
                if let Some(steps) = self.beside(&argv[1]) {
                    return self.run(&steps);
                }
                let file = shown(&argv[1]);
                self.may_set_any(step.line, &format!("the file {file} is not read"));
                self.unread_file = Some(file);
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

    /// `getopts LETTERS NAME`: the next option of the arguments, and whether there is one.
    fn next_option(&mut self, words: &[String]) -> Truth {
        let [letters, name] = words else {
            self.ask(&["OPTARG".to_owned(), words.get(1).cloned().unwrap_or_default()]);
            return Truth::GUESS;
        };
        let number =
            self.variables.value("OPTIND").and_then(|number| number.parse::<usize>().ok()).filter(|number| *number > 0).unwrap_or(1);
        let argument = |number: usize| self.variables.arguments.get(number - 1).cloned();
        let word = argument(number).filter(|word| word.len() > 1 && word.starts_with('-'));
        let Some((word, letter)) =
            word.as_ref().and_then(|word| Some((word, word[self.option_at.max(1)..].chars().next()?))).filter(|(word, _)| *word != "--")
        else {
            let next = number + usize::from(word.as_deref() == Some("--"));
            self.option_at = 0;
            self.set("OPTIND", vec![next.to_string()]);
            self.set(name, vec!["?".to_owned()]);
            return Truth::of(false);
        };
        let rest = word[self.option_at.max(1) + letter.len_utf8()..].to_owned();
        let known = letters.trim_start_matches(':').find(letter).filter(|_| letter != ':');
        let takes_value = known.is_some_and(|at| letters.trim_start_matches(':')[at + letter.len_utf8()..].starts_with(':'));
        let (value, next) = match takes_value {
            true if rest.is_empty() => (argument(number + 1), number + 2),
            true => (Some(rest.clone()), number + 1),
            false => (None, number + usize::from(rest.is_empty())),
        };
        self.option_at = if takes_value || rest.is_empty() { 0 } else { word.len() - rest.len() };
        let is_wrong = known.is_none() || (takes_value && value.is_none());
        self.set("OPTIND", vec![next.to_string()]);
        self.set(name, vec![if is_wrong { "?".to_owned() } else { letter.to_string() }]);
        self.set("OPTARG", value.into_iter().collect());
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

    /// The commands of a file in the script's directory, or below it.
    fn beside(&mut self, name: &str) -> Option<Vec<Statement>> {
        if self.prefix.len() > MOST_WORDS_BEFORE {
            return None;
        }
        let text = self.variables.file(name)?.known()?;
        // Parsing a text takes many times its size.
        if !self.variables.budget.take(text.len() * WORD) {
            return None;
        }
        parse(&text, 1).ok()
    }

    /// A command that sets a variable of which the name is not known.
    pub(super) fn sets_unknown(&mut self, step: &Statement) {
        self.may_set_any(step.line, &format!("it is unknown which variables `{}` sets", step.text));
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

    /// The same of an array, which keeps its elements where more are added. A value that is given for it is its words.
    pub(super) fn ask_array(&mut self, name: &str, is_kept: bool, by: &Filled) {
        let given = (self.variables.given)(name);
        if given.is_none() {
            self.asked.insert(name.to_owned());
            self.script.filled.entry(name.to_owned()).or_insert_with(|| by.clone());
        }
        let mut values = if is_kept { self.copy(name).unwrap_or_default() } else { Vec::new() };
        values.extend(given.map_or_else(|| vec![unknown(name)], |said| given_words(&said)));
        self.set(name, values);
    }

    /// `trap COMMAND EXIT`: what the script does when it ends.
    fn at_end(&mut self, step: &Statement, words: &[String]) {
        let command = words.iter().find(|word| !word.starts_with('-') && !word.is_empty()).filter(|_| words.len() > 1);
        if let Some(command) = command.filter(|command| self.variables.budget.take_text(command)) {
            self.script.host_changes.push(HostChange { line: step.line, what: What::AtEnd(shown(command)) });
        }
    }

    /// Remembers the files of the kernel into which a command writes.
    fn write_into(&mut self, line: usize, paths: impl Iterator<Item = String>) {
        for path in paths.map(|path| shown(&path)) {
            if ["/sys/", "/proc/"].iter().any(|of| path.starts_with(of)) && self.variables.budget.take_text(&path) {
                self.script.host_changes.push(HostChange { line, what: What::Written(path) });
            }
        }
    }

    pub(super) fn set_arguments(&mut self, words: &[String]) {
        let dashes = words.iter().position(|word| word == "--");
        let start = match dashes {
            Some(dashes) => dashes + 1,
            None if words.first().is_some_and(|word| !word.starts_with(['-', '+'])) => 0,
            None => return,
        };
        let words = &words[start..];
        // How many words the output of a command is, nobody knows: alone, it is as a script without arguments. Beside options that
        // are known it is asked for, where QEMU gets it.
        let lacks = words.iter().any(|word| has_unknown(word));
        let are_options = words.iter().any(|word| word.starts_with('-') && word.len() > 1 && !has_unknown(word));
        self.variables.arguments_known = !lacks || are_options;
        self.variables.arguments = if self.variables.arguments_known { words.to_vec() } else { Vec::new() };
    }

    pub(super) fn call(&mut self, step: &Statement, name: &str, body: &[Statement], arguments: &[String]) -> Truth {
        if self.local.len() >= DEEPEST || !self.variables.budget.take_words(arguments) {
            return Truth::GUESS;
        }
        self.called.insert(name.to_owned());
        let before = std::mem::replace(&mut self.variables.arguments, arguments.to_vec());
        let said = std::mem::replace(&mut self.variables.arguments_known, true);
        let other_names = self.variables.other_names.clone();
        self.local.push(Vec::new());
        let truth = self.run(body);
        self.variables.other_names = other_names;
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
        let only_reads = has(ONLY_READ, name);
        let is_program = name.starts_with(|c: char| c.is_ascii_lowercase());
        // `exec 3<>FILE` runs nothing.
        if only_reads || !is_program || argv == ["exec"] || has_unknown(&argv[0]) || !self.variables.budget.take_words(argv) {
            return;
        }
        if name == "tee" {
            self.write_into(line, argv[1..].iter().cloned());
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
                    // Of what is printed elsewhere the first word is known only when the script runs.
                    let is_unknown = |step: &Statement| {
                        let first = step.parts().and_then(|(_, parts)| parts.first()?.word());
                        let text = first.and_then(|word| if let Some(Piece::Text(text)) = word.pieces.first() { Some(text) } else { None });
                        text.is_some_and(|text| !is_qemu(text) && has_unknown(text.split_once('=').map_or(text, |(name, _)| name)))
                    };
                    let mut says = false;
                    each(&steps, &mut |step| says |= is_unknown(step));
                    self.run(&steps);
                    if says {
                        self.may_set_any(step.line, &format!("what `{}` runs is not known", step.text));
                    }
                    return;
                }
                let outer = self.prefix.len();
                self.prefix.extend_from_slice(&argv[..at]);
                self.apart(&steps);
                self.prefix.truncate(outer);
            }
            _ if is_given_qemu(argv) => {
                let why = format!("{} is not known to start it", shown(first));
                self.unread.entry(step.line).or_insert((why, false));
            }
            _ => {
                if self.prefix.is_empty() && !first.contains('/') && !is_known_program(first) {
                    self.may_be_of_file(step.line, first);
                }
                self.beside_qemu(step.line, argv);
            }
        }
    }
}

/// What `cp FROM TO` copies.
pub(super) fn copied(argv: &[String], if_missing: bool) -> Option<Copied> {
    let (program, words) = argv.split_first()?;
    let files: Vec<&String> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let [from, to] = files[..] else { return None };
    let keeps = |word: &String| {
        ["--no-clobber", "--update=none"].contains(&word.as_str())
            || (word.starts_with('-') && !word.starts_with("--") && word.contains('n'))
    };
    let if_missing = if_missing || words.iter().any(keeps);
    (program.rsplit('/').next() == Some("cp")).then(|| Copied { from: shown(from), to: to.clone(), if_missing, is_temporary: false })
}
