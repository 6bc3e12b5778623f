//! A script's assignments followed, and the command that starts QEMU found.

use std::collections::{BTreeMap, BTreeSet};

use super::expand::{Given, Variables, shown, unknowns};
use super::lexer::{Piece, Token, Word, tokens};

/// What a script would run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Script {
    /// What stands before QEMU: `sudo`, `taskset -c 2-5`, …
    pub before: Vec<String>,
    /// QEMU and its options.
    pub argv: Vec<String>,
    /// Variables that nobody set, and commands that were not run, where QEMU's options need them.
    pub unset: Vec<String>,
    /// What is good to know of how it was read.
    pub notes: Vec<String>,
}

/// Words before a command that change how it is run.
const PREFIXES: [&str; 15] =
    ["sudo", "doas", "pkexec", "exec", "nohup", "nice", "ionice", "taskset", "chrt", "numactl", "env", "time", "setsid", "command", "eval"];
/// Words after which a command begins.
const OPENERS: [&str; 9] = ["if", "then", "elif", "while", "until", "do", "!", "{", "else"];
/// Words before assignments.
const DECLARERS: [&str; 5] = ["export", "local", "declare", "readonly", "typeset"];

/// Reads a script that lies at a path; `given` fills what it does not set.
pub fn read(text: &str, path: &str, given: Given<'_>) -> Script {
    let mut reader = Reader {
        variables: Variables { set: BTreeMap::new(), given, script: path },
        script: Script::default(),
        branches: Vec::new(),
        in_branch: false,
    };
    let mut command: Vec<Word> = Vec::new();
    let mut array: Option<(String, bool, Vec<String>)> = None;
    for token in tokens(text) {
        match (token, &mut array) {
            (Token::Word(word), Some((_, _, values))) => values.extend(reader.variables.words(&word)),
            (Token::End, Some(_)) => {}
            (Token::Close, Some((name, append, values))) => {
                let (name, append, values) = (name.clone(), *append, std::mem::take(values));
                array = None;
                reader.set(&name, append, values);
            }
            (Token::ArrayStart { name, append }, _) => array = Some((name, append, Vec::new())),
            (Token::Word(word), None) => command.push(word),
            (Token::End | Token::Close, None) => reader.command(&std::mem::take(&mut command)),
        }
    }
    reader.command(&command);
    reader.finish()
}

struct Reader<'g> {
    variables: Variables<'g>,
    script: Script,
    /// Each `if` that is open: whether its first branch is over.
    branches: Vec<bool>,
    in_branch: bool,
}

impl Reader<'_> {
    fn set(&mut self, name: &str, append: bool, values: Vec<String>) {
        if self.is_skipped() {
            return;
        }
        self.in_branch |= !self.branches.is_empty();
        let now = self.variables.set.entry(name.to_owned()).or_default();
        if append {
            now.extend(values);
        } else {
            *now = values;
        }
    }

    /// Only the first branch of each `if` is read.
    fn is_skipped(&self) -> bool {
        self.branches.contains(&true)
    }

    fn command(&mut self, mut words: &[Word]) {
        while let Some(first) = words.first().and_then(plain) {
            match first {
                "if" => self.branches.push(false),
                "fi" => drop(self.branches.pop()),
                "else" | "elif" => {
                    if let Some(last) = self.branches.last_mut() {
                        *last = true;
                    }
                }
                _ => {}
            }
            if !OPENERS.contains(&first) && !DECLARERS.contains(&first) {
                break;
            }
            words = &words[1..];
        }
        if self.is_skipped() {
            return;
        }
        while let Some((name, append, value)) = words.first().and_then(assignment) {
            let text = self.variables.text(&value);
            let before =
                if append { self.variables.set.get(&name).and_then(|now| now.first().cloned()).unwrap_or_default() } else { String::new() };
            self.set(&name, false, vec![before + &text]);
            words = &words[1..];
        }
        let argv: Vec<String> = words.iter().flat_map(|word| self.variables.words(word)).collect();
        self.look_at(argv);
    }

    fn look_at(&mut self, argv: Vec<String>) {
        let Some(first) = argv.first() else { return };
        if first.starts_with('-') && !self.script.argv.is_empty() {
            self.script.notes.push(format!(
                "a comment or an empty line ends QEMU's command before '{}'; a shell does not give it to QEMU",
                shown(&argv.join(" "))
            ));
            return;
        }
        let Some(at) = argv.iter().position(|word| is_qemu(word)) else { return };
        let is_command = at == 0 || PREFIXES.contains(&first.as_str());
        if !is_command || argv.len() < at + 3 {
            return;
        }
        if argv.len() - at <= self.script.argv.len() {
            self.script.notes.push(format!("another QEMU command is left out: {}", shown(&argv.join(" "))));
            return;
        }
        self.in_branch |= !self.branches.is_empty();
        let mut before = argv;
        self.script.argv = before.split_off(at);
        self.script.before = before;
    }

    fn finish(mut self) -> Script {
        if self.in_branch {
            self.script.notes.push("conditions are not evaluated: the first branch of each 'if' is read, as if it ran".into());
        }
        let options = self.script.argv.iter().skip(1);
        let unset: BTreeSet<String> = options.flat_map(|word| unknowns(word)).collect();
        self.script.unset = unset.into_iter().collect();
        for word in self.script.argv.iter_mut().chain(&mut self.script.before) {
            *word = shown(word);
        }
        self.script
    }
}

/// A word without quotes and parameters.
fn plain(word: &Word) -> Option<&str> {
    match &word.pieces[..] {
        [Piece::Text(text)] if !word.quoted => Some(text),
        _ => None,
    }
}

/// `NAME=value` or `NAME+=value`.
fn assignment(word: &Word) -> Option<(String, bool, Word)> {
    let Some(Piece::Text(first)) = word.pieces.first() else { return None };
    let (name, value) = first.split_once('=')?;
    let (name, append) = name.strip_suffix('+').map_or((name, false), |name| (name, true));
    let is_name =
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then(|| {
        let mut value = Word { pieces: vec![Piece::Text(value.to_owned())], quoted: word.quoted };
        value.pieces.extend(word.pieces[1..].iter().cloned());
        (name.to_owned(), append, value)
    })
}

/// A QEMU program, or a variable that must be one.
fn is_qemu(word: &str) -> bool {
    let name = word.rsplit('/').next().unwrap_or_default();
    let is_variable = || {
        shown(word)
            .strip_prefix('$')
            .is_some_and(|name| name.to_uppercase().contains("QEMU") && name.chars().all(|c| c.is_alphanumeric() || c == '_'))
    };
    name.starts_with("qemu-system-") || name == "qemu-kvm" || name == "kvm" || is_variable()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn argv(script: &str) -> String {
        read(script, "/vm/start.sh", &|name| (name == "GIVEN").then(|| "given".into())).argv.join("|")
    }

    #[test]
    fn as_a_shell_reads_it() {
        assert_eq!(argv("qemu-kvm -m 1 \\\n  -smp 2 # more\n-x"), "qemu-kvm|-m|1|-smp|2");
        assert_eq!(
            argv("A=1 B=\"$A 2\"\nsudo -E /usr/bin/qemu-system-x86_64 -m $B -n \"$B\" 'a $B'"),
            "/usr/bin/qemu-system-x86_64|-m|1|2|-n|1 2|a $B"
        );
        assert_eq!(
            argv("O=\"-m 1\"\nO=\"$O -smp 2\"\nO+=' -usb'\nkvm $O ${X:-a b} ${GIVEN:-c} \"${Y-}\""),
            "kvm|-m|1|-smp|2|-usb|a|b|given|"
        );
        assert_eq!(argv("A=(-m 1)\nA+=(\n -smp 'a b' # c\n)\nqemu-kvm \"${A[@]}\" \"$@\" $1 2>&1 >log &"), "qemu-kvm|-m|1|-smp|a b");
        assert_eq!(
            argv("if [ -n \"$X\" ]; then A=1; else A=2; fi\nqemu-kvm -m $A -d $(dirname \"$0\")/x ${0%/*}"),
            "qemu-kvm|-m|1|-d|/vm/x|/vm"
        );
        assert_eq!(argv("cat <<END\nqemu-kvm -m 1 -m 2 -m 3\nEND\nqemu-kvm -m 7 -m 8"), "qemu-kvm|-m|7|-m|8");
    }

    #[test]
    fn what_is_not_known_is_named() {
        let script = read("taskset -c 1 $QEMU -smp $(nproc) -m $MEM -x `a b`", "x", &|_| None);
        assert_eq!(
            (script.unset, script.before.join(" ")),
            (vec!["$(a b)".to_owned(), "$(nproc)".into(), "MEM".into()], "taskset -c 1".into())
        );
        assert_eq!(script.argv.join(" "), "$QEMU -smp $(nproc) -m $MEM -x $(a b)");
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "\\PC*", shell in "[a-z \"'$(){}<>&|;\\\\\n#=+@\\[\\]:-]*") {
            read(&text, "x", &|_| None);
            read(&shell, "x", &|_| None);
            read(&format!("qemu-kvm -m 1 {shell}"), "x", &|_| None);
        }
    }
}
