//! A command line that was copied out of `ps`, a log, a page or a unit.

use super::expand::Lookup;
use super::programs::{is_qemu, is_wrapper, mentions_qemu};
use super::script::{Script, read};
use super::{kind, unit};
use crate::import::environment::assignments;
use crate::import::table::{WITHOUT_VALUE, has};
use crate::model::{Reading, STARTING};

/// Options whose value is often words with spaces, which `ps` prints without quotes.
const FREE_TEXT: &str = "append";

/// Reads a command line; its relative paths are those of `PWD`, if that is given.
pub fn pasted(text: &str, given: Lookup<'_>) -> Script {
    let no_files = |_: &str| Reading::default();
    // A mail with letters beyond ASCII has `=3D` for `=`, and breaks lines with `=`.
    let decoded = text.contains("=3D").then(|| text.replace("=\n", "").replace("=3D", "=").replace("=20", " "));
    // The answer to a mail has `>` before each line, the answer to that `> >`.
    let mut text = decoded.as_deref().unwrap_or(text).to_owned();
    let quoted = |text: &str| {
        let lines = text.lines().filter(|line| !line.trim().is_empty()).map(|line| line.trim_start().strip_prefix('>'));
        lines.collect::<Option<Vec<&str>>>().filter(|lines| !lines.is_empty()).map(|lines| lines.join("\n"))
    };
    while let Some(unquoted) = quoted(&text) {
        text = unquoted;
    }
    // What Proxmox says of a machine that does not start.
    let failed = || text.split_once("start failed: command '")?.1.split_once("' failed:");
    let text = failed().map_or(text.as_str(), |(command, _)| command);
    let mut script = if unit::is_unit(text) {
        return read(text, "/argv", given, &no_files);
    } else if kind::is_markdown(text, "") {
        read(text, "/argv", given, &no_files)
    } else {
        command(text, given)
    };
    script.folder = given("PWD");
    script
}

/// A line that starts QEMU: its words, and where they begin in the text.
struct Found {
    line: usize,
    text: String,
    /// A line after it that is an option.
    orphan: Option<usize>,
}

fn command(text: &str, given: Lookup<'_>) -> Script {
    let mut notes = Vec::new();
    let starts: Vec<usize> = text.lines().enumerate().filter(|(_, line)| line.contains(STARTING)).map(|(at, _)| at).collect();
    if let [_, .., last] = starts[..] {
        notes.push(format!("the log has {} starts: the last one is read, of line {}", starts.len(), last + 1));
    }
    let all = found(text, starts.last().copied().unwrap_or(0));
    let Some(first) = all.first() else {
        return Script::refused("no command that starts QEMU was found", "print it: ps -ww -o args= -C qemu-system-x86_64");
    };
    if let Some(line) = first.orphan {
        let why = format!("line {line} is an option that belongs to no command: a line before it is broken in two, or is missing");
        return Script::refused(why, "join the lines of the command, or write \\ at the end of each but the last");
    }
    if let Some(other) = all.iter().find(|other| other.text != first.text && starts.is_empty()) {
        let why = format!("lines {} and {} start QEMU", first.line, other.line);
        return Script::refused(why, "keep the line of one virtual machine, and import it again");
    }
    let mut script = if is_for_shell(&first.text) {
        let script = read(&first.text, "/argv", given, &|_| Reading::default());
        // An apostrophe in what `ps` prints is no quote.
        if script.refusal.is_some() && !first.text.contains('\\') { raw(&first.text) } else { script }
    } else {
        raw(&first.text)
    };
    notes.append(&mut script.notes);
    script.notes = notes;
    script
}

/// The commands that start QEMU, from a line on; what `ps`, a prompt or a log has before them is left out.
fn found(text: &str, from: usize) -> Vec<Found> {
    let mut all = Vec::new();
    let mut lines = text.lines().enumerate().skip(from).peekable();
    while let Some((at, line)) = lines.next() {
        let mut whole = line.trim_end().to_owned();
        let (mut is_command, mut has_backslash) = (false, false);
        let mut quote = quote_after(None, &whole);
        // A command goes on after a backslash, where the next line is options, and where a mailer broke a line.
        while let Some((_, next)) = lines.next_if(|(_, next)| {
            has_backslash |= whole.ends_with('\\');
            whole.ends_with('\\') || {
                is_command = is_command || starts(&whole).is_some();
                // Only what is written for a shell has quotes.
                let is_open = (has_backslash && quote.is_some()) || lacks_value(&whole);
                let goes_on = || next.trim_start().starts_with(['-', '\\', '\'', '{']) || is_open;
                is_command && !next.trim().is_empty() && goes_on()
            }
        }) {
            whole.truncate(whole.trim_end_matches('\\').len());
            whole.push(' ');
            whole.push_str(next.trim());
            quote = quote_after(quote, next);
        }
        if let Some(start) = starts(&whole) {
            let is_option =
                |line: &str| line.trim_start().strip_prefix('-').is_some_and(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()));
            let orphan = lines.clone().take_while(|(_, line)| starts(line).is_none()).find(|(_, line)| is_option(line));
            all.push(Found { line: at + 1, text: whole[start..].to_owned(), orphan: orphan.map(|(at, _)| at + 1) });
        }
    }
    all
}

/// The quote that is open after a text, if one was open before it.
fn quote_after(before: Option<char>, text: &str) -> Option<char> {
    text.chars().filter(|sign| ['\'', '"'].contains(sign)).fold(before, |open, sign| match open {
        None => Some(sign),
        Some(quote) if quote == sign => None,
        Some(_) => open,
    })
}

/// Whether a command ends with an option that has no value there.
fn lacks_value(text: &str) -> bool {
    let last = text.split_whitespace().next_back().unwrap_or_default();
    last.strip_prefix('-').is_some_and(|name| !has(WITHOUT_VALUE, name.trim_start_matches('-')))
}

/// Where the command in a line begins that starts QEMU.
fn starts(line: &str) -> Option<usize> {
    let words = || line.split_whitespace().map(|word| (word.as_ptr() as usize - line.as_ptr() as usize, word));
    let bare = |word: &str| word.trim_matches(['\'', '"']).to_owned();
    let (at, _) = words().find(|(_, word)| is_qemu(&bare(word)))?;
    if words().take_while(|(start, _)| *start < at).any(|(_, word)| mentions_qemu(word)) {
        return None;
    }
    let is_setting = |word: &str| word.split_once('=').is_some_and(|(name, _)| name.bytes().all(|c| c.is_ascii_uppercase() || c == b'_'));
    words().find(|(start, word)| *start == at || is_wrapper(word) || is_setting(word)).map(|(start, _)| start)
}

/// Whether a command is written for a shell, with quotes or signs that are not part of a word.
fn is_for_shell(text: &str) -> bool {
    // The quotes of JSON are part of the word in what `ps` prints.
    let is_json = text.split_whitespace().any(|word| word.starts_with("{\""));
    let signs = |word: &str| matches!(word, "&" | ";" | "|" | ">" | "<") || word.starts_with(['>', '&', '|']) || word.starts_with("2>");
    !is_json && (text.contains(['\'', '"', '\\', '$', '`']) || text.split_whitespace().any(signs))
}

/// The words of a line without quotes. A value that had spaces is put together again where that can be told.
fn raw(text: &str) -> Script {
    let mut words: Vec<String> = Vec::new();
    let mut joined = Vec::new();
    let start = text.split_whitespace().position(is_qemu).unwrap_or(0);
    for word in text.split_whitespace().skip(start) {
        let is_value = |words: &[String]| match words {
            [.., option, value] => {
                option.starts_with('-') && !value.starts_with('-') && !has(WITHOUT_VALUE, option.trim_start_matches('-'))
            }
            _ => false,
        };
        let is_text = words.len() > 1 && words[words.len() - 2].trim_start_matches('-') == FREE_TEXT;
        let is_json = |text: &str| text.ends_with('}') && serde_json::from_str::<serde_json::Value>(text).is_ok();
        let is_open = words.last().is_some_and(|last| last.starts_with('{') && !is_json(last));
        let goes_on = is_open || (is_value(&words) && !word.starts_with('-') && (is_text || !word.starts_with(['/', '.'])));
        match words.last_mut().filter(|_| goes_on) {
            Some(last) => {
                last.push(' ');
                last.push_str(word);
                joined.push(words.len() - 1);
            }
            None => words.push(word.to_owned()),
        }
    }
    joined.dedup();
    let notes = joined.iter().filter_map(|at| Some(format!("'{}' is read as one word: the text has no quotes", words.get(*at)?)));
    let mut before = text.split_whitespace().take(start).map(str::to_owned).collect();
    Script { environment: assignments(&mut before), before, notes: notes.collect(), argv: words, ..Script::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(text: &str) -> Vec<String> {
        let script = pasted(text, &|name| (name == "MEM").then(|| "512".into()));
        assert_eq!(script.refusal, None, "{text}");
        script.argv
    }

    #[test]
    fn what_ps_prints() {
        let line = "root  4711  1.0 ?  Sl 10:00 /usr/bin/qemu-system-x86_64 -name my vm -m 512 -append console=ttyS0 root=/dev/vda rw -usb -hda /a b.img";
        let words = [
            "/usr/bin/qemu-system-x86_64",
            "-name",
            "my vm",
            "-m",
            "512",
            "-append",
            "console=ttyS0 root=/dev/vda rw",
            "-usb",
            "-hda",
            "/a b.img",
        ];
        assert_eq!(argv(&format!("USER PID\n{line}\nme 12 grep qemu-system-x86_64\n")), words);
        let json = r#"qemu-kvm -blockdev {"driver":"file","filename":"/a b","node-name":"n"} -m 1"#;
        assert_eq!(argv(json)[2], r#"{"driver":"file","filename":"/a b","node-name":"n"}"#);
        assert_eq!(argv("qemu-kvm -name Tom's -m 1 /a.img"), ["qemu-kvm", "-name", "Tom's", "-m", "1", "/a.img"]);
    }

    #[test]
    fn what_is_written_for_a_shell() {
        let log = "2024-01-01 00:00:00.000+0000: starting up libvirt version: 9.0.0\nLC_ALL=C \\\nQEMU_AUDIO_DRV=none \\\n/usr/bin/qemu-system-x86_64 \\\n-name guest=old\n\
                   2024-01-02 00:00:00.000+0000: starting up libvirt version: 9.0.0\nLC_ALL=C \\\n/usr/bin/qemu-system-x86_64 \\\n-name guest=a,debug-threads=on \\\n-object '{\"id\":\"x y\"}' \\\n-S\n2024-01-02: shutting down\n";
        assert_eq!(argv(log), ["/usr/bin/qemu-system-x86_64", "-name", "guest=a,debug-threads=on", "-object", "{\"id\":\"x y\"}", "-S"]);
        assert_eq!(argv("$ sudo qemu-kvm -m $MEM -name 'a b' > log 2>&1 &\n"), ["qemu-kvm", "-m", "512", "-name", "a b"]);
        assert_eq!(argv("> $ qemu-kvm \\\n>   -m 1 \\\n>\n> \n"), ["qemu-kvm", "-m", "1"]);
        assert_eq!(pasted("$ sudo taskset -c 1 qemu-kvm -m 1 -usb\n", &|_| None).before, ["sudo", "taskset", "-c", "1"]);
    }

    #[test]
    fn lines_that_a_mailer_broke() {
        let log = "> > LC_ALL=C \\\n> > /usr/bin/qemu-system-x86_64 \\\n> > -object \n> > '{\"id\":\"m\"}'\n> > \\\n> > -smbios 'type=1,product=OpenStack\n\
                   > > Nova' \\\n> > -m 1 \\\n> > -usb\n> >\n> > no\n";
        let words =
            ["/usr/bin/qemu-system-x86_64", "-object", "{\"id\":\"m\"}", "-smbios", "type=1,product=OpenStack Nova", "-m", "1", "-usb"];
        assert_eq!(argv(log), words);
        assert_eq!(
            argv("qemu-kvm -m 1 -chardev\n  pty,id=3Da -na=\nme=20x"),
            ["qemu-kvm", "-m", "1", "-chardev", "pty,id=a", "-name", "x"]
        );
        let refusal = pasted("qemu-kvm -name a -chardev socket,id=a-\nb -m 1\n-usb\n", &|_| None).refusal;
        assert_eq!(refusal.map(|(why, _)| why.contains("line 3 ")), Some(true));
        let failed = "TASK ERROR: start failed: command '/usr/bin/kvm -id 1 -m 1 -boot 'menu=on' -machine 'type=pc'' failed: exit code 1";
        assert_eq!(argv(failed)[3..], ["-m", "1", "-boot", "menu=on", "-machine", "type=pc"]);
    }

    #[test]
    fn one_virtual_machine() {
        let script = pasted("qemu-kvm -m 1 -usb\nqemu-kvm -m 2 -usb\n", &|_| None);
        assert_eq!(script.refusal.map(|(why, _)| why).as_deref(), Some("lines 1 and 2 start QEMU"));
        assert!(pasted("no command\n", &|_| None).refusal.is_some());
    }
}
