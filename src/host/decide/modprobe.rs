//! How kmod reads its configuration: which files it uses, in which order, and which of several lines takes effect.
//!
//! `tests/kmod.rs` compares it with kmod itself.

use std::collections::BTreeMap;

use crate::host::plan::Write;
use crate::model::{MODPROBE_FOLDERS, NoText, Setup};

/// A link to this masks a file of the same name.
const NOTHING: &str = "/dev/null";

/// A line of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its file.
    pub path: String,
    /// Its line number, from 1; for a continued line, that of the first line.
    pub number: usize,
    /// `install`, `options`, `softdep`, …
    pub command: String,
    /// The module, with underscores; for `install` and `softdep` a shell pattern.
    pub name: String,
    /// What follows.
    pub rest: String,
    /// The line as it reads.
    pub text: String,
}

impl Line {
    /// Where it stands, for people.
    pub fn place(&self) -> String {
        format!("{}, line {}", self.path, self.number)
    }

    /// Its place and text in one phrase.
    pub fn says(&self) -> String {
        format!("{} says `{}`", self.place(), self.words())
    }

    /// Whether an install line runs nothing that could load the module: the usual way to keep one out.
    pub fn loads_nothing(&self) -> bool {
        let program = self.rest.split([' ', '\t', ';', '&', '|']).next().unwrap_or_default();
        let name = program.rsplit('/').next().unwrap_or_default();
        self.command == "install" && ["false", "true", ":", "exit"].contains(&name) && !self.rest.contains("modprobe")
    }

    /// Its text, with single spaces.
    pub fn words(&self) -> String {
        self.text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// The configuration as kmod reads it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Configuration {
    /// Its lines, in the order in which kmod reads them.
    pub lines: Vec<Line>,
    /// The files that could not be read, and why.
    pub unread: Vec<(String, String)>,
}

/// The configuration as it will be after these writes.
pub fn read(setup: &Setup, writes: &[Write]) -> Configuration {
    let mut files: BTreeMap<&str, (&str, Result<&str, &NoText>)> = BTreeMap::new();
    for directory in MODPROBE_FOLDERS {
        let known = setup.files.below(directory, ".conf").filter(|(path, _)| !writes.iter().any(|write| write.path == *path));
        let texts = known.map(|(path, file)| (path, if file.place == NOTHING { Ok("") } else { file.text.as_deref() }));
        let written = writes.iter().filter_map(|write| Some((write.path.as_str(), Ok(write.after.as_deref()?))));
        let written =
            written.filter(|(path, _)| path.rsplit_once('/').is_some_and(|(folder, name)| folder == directory && name.ends_with(".conf")));
        for (path, text) in texts.chain(written) {
            files.entry(path.rsplit('/').next().unwrap_or_default()).or_insert((path, text));
        }
    }
    let mut configuration = Configuration::default();
    for (path, text) in files.into_values() {
        match text {
            Ok(text) => configuration.lines.extend(lines(path, text)),
            Err(what @ NoText::NotUtf8 { lossy, .. }) => {
                configuration.lines.extend(lines(path, lossy));
                configuration.unread.push((path.to_owned(), what.to_string()));
            }
            // kmod skips what is not a file, and broken links.
            Err(what) if what.is_no_file() => {}
            Err(what) => configuration.unread.push((path.to_owned(), what.to_string())),
        }
    }
    configuration
}

impl Configuration {
    /// The line of this command that kmod uses for a module: the first.
    pub fn first(&self, command: &str, module: &str) -> Option<&Line> {
        self.lines.iter().find(|line| line.command == command && fits(&line.name, module))
    }

    /// All lines of a command.
    pub fn of<'a>(&'a self, command: &'a str) -> impl Iterator<Item = &'a Line> {
        self.lines.iter().filter(move |line| line.command == command)
    }
}

/// The lines of one file: a backslash at the end continues a line, a comment too.
fn lines(path: &str, text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let (mut joined, mut first) = (String::new(), None);
    for (index, line) in text.split('\n').enumerate() {
        let first_number = *first.get_or_insert(index + 1);
        let goes_on = push_plain(&mut joined, line);
        if goes_on {
            continue;
        }
        lines.extend(line_of(path, first_number, &joined));
        joined.clear();
        first = None;
    }
    lines.extend(first.and_then(|number| line_of(path, number, &joined)));
    lines
}

/// Appends a line without its backslashes; returns whether the next line continues it.
fn push_plain(joined: &mut String, line: &str) -> bool {
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some(next) => joined.push(next),
                None => return true,
            },
            _ => joined.push(character),
        }
    }
    false
}

fn line_of(path: &str, number: usize, line: &str) -> Option<Line> {
    if line.starts_with('#') {
        return None;
    }
    let blank = [' ', '\t'];
    let (command, rest) = split(line.trim_start_matches(blank))?;
    let (name, rest) = split(rest.trim_start_matches(blank))?;
    if name.is_empty() {
        return None;
    }
    let plain = if command == "alias" { name.to_owned() } else { underscores(name) };
    Some(Line {
        path: path.to_owned(),
        number,
        command: command.to_owned(),
        name: plain,
        rest: rest.trim_matches(blank).to_owned(),
        text: line.to_owned(),
    })
}

fn split(text: &str) -> Option<(&str, &str)> {
    (!text.is_empty()).then(|| text.split_once([' ', '\t']).unwrap_or((text, "")))
}

/// A module's name as kmod compares it; text in brackets is unchanged (`underscores` of libkmod-util.c).
fn underscores(name: &str) -> String {
    let mut inside = false;
    name.chars()
        .map(|character| {
            inside = (inside || character == '[') && character != ']';
            if character == '-' && !inside { '_' } else { character }
        })
        .collect()
}

/// Whether a line of a list of modules, such as /etc/modules, begins with this one.
pub fn names(list: &str, module: &str) -> bool {
    list.lines().filter_map(|line| line.split_whitespace().next()).any(|word| underscores(word) == module)
}

/// Whether a shell pattern fits a name (fnmatch(3) without flags).
pub fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut here) = (0, 0);
    // The position of the last `*`, and how far it matches: only that one has to be retried.
    let mut star: Option<(usize, usize)> = None;
    while here < name.len() {
        if pattern.get(at) == Some(&'*') {
            star = Some((at, here));
            at += 1;
        } else if let Some(next) = one(&pattern, at, name[here]) {
            at = next;
            here += 1;
        } else if let Some((back, reach)) = star {
            star = Some((back, reach + 1));
            at = back + 1;
            here = reach + 1;
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|character| *character == '*')
}

/// Where a pattern continues after the part that matches this character.
fn one(pattern: &[char], at: usize, character: char) -> Option<usize> {
    match pattern.get(at)? {
        '?' => Some(at + 1),
        '[' => {
            let inside = at + 1;
            // A closing bracket right after the opening one is a character of the set.
            let negated = matches!(pattern.get(inside), Some('!' | '^'));
            let start = inside + usize::from(negated);
            let Some(end) = (start + 1..pattern.len()).find(|index| pattern[*index] == ']') else {
                return (character == '[').then_some(at + 1);
            };
            let set = &pattern[start..end];
            let is_in = (0..set.len()).any(|index| {
                let range = index + 2 < set.len() && set[index + 1] == '-';
                if range { (set[index]..=set[index + 2]).contains(&character) } else { set[index] == character }
            });
            (is_in != negated).then_some(end + 1)
        }
        plain => (*plain == character).then_some(at + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name) in
            [("vfio*", "vfio_pci"), ("*pci", "vfio_pci"), ("v?io_p[a-d]i", "vfio_pci"), ("*", ""), ("[!x]fio_pci", "vfio_pci")]
        {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("vfio", "vfio_pci"), ("*x", "vfio_pci"), ("[!v]*", "vfio_pci"), ("", "a"), ("[", "a")] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn lines_that_go_on() {
        let found = lines("/x", "# a \\\ninstall hidden x\ninstall  a-b \\\n c\n  options x\n\\\n");
        let told: Vec<(usize, String)> = found.iter().map(|line| (line.number, line.words())).collect();
        assert_eq!(told, [(3, "install a-b c".to_owned()), (5, "options x".to_owned())]);
    }
}
