//! systemd units: what they start, as a shell script with the same line numbers (systemd.service(5), "Command lines").

use crate::model::shell_word;

/// Whether it is a systemd unit.
pub(super) fn is_unit(text: &str) -> bool {
    !text.starts_with("#!") && text.lines().any(|line| line.trim() == "[Service]")
}

/// The last value of a setting.
fn said<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines().rev().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('=')).map(str::trim)
}

/// The directory in which a unit's command runs; `None` where it depends on the user.
pub(super) fn folder(text: &str) -> Option<&str> {
    Some(said(text, "WorkingDirectory").map_or("/", |folder| folder.trim_start_matches('-'))).filter(|folder| folder.starts_with('/'))
}

/// A unit as a shell script: its command, and with which variables.
pub(super) fn from_unit(text: &str) -> String {
    // A unit's CPU settings, as the equivalent command.
    let mut before = String::new();
    if let Some(set) = said(text, "AllowedCPUs").or_else(|| said(text, "CPUAffinity")).filter(|set| !set.is_empty()) {
        before += &format!("taskset -c {} ", set.split_whitespace().collect::<Vec<_>>().join(","));
    }
    if let Some(policy) = said(text, "CPUSchedulingPolicy").filter(|policy| ["rr", "fifo", "batch", "idle"].contains(policy)) {
        before += &format!("chrt --{policy} {} ", said(text, "CPUSchedulingPriority").unwrap_or("0"));
    }
    let mut script = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let mut setting = line.trim().to_owned();
        let mut count = 1;
        while let Some(begun) = setting.strip_suffix('\\') {
            setting = format!("{begun} ");
            let Some(next) = lines.next() else { break };
            count += 1;
            // Comments may stand between the lines of a setting.
            let is_comment = next.trim_start().starts_with(['#', ';']);
            setting += if is_comment { "\\" } else { next.trim() };
        }
        let kept = match setting.split_once('=') {
            Some(("ExecStart", command)) if !command.trim().is_empty() => before.clone() + &command_line(command.trim()),
            Some(("Environment", variables)) => words(variables).iter().map(|word| assignment(word)).collect::<Vec<_>>().join(" "),
            Some(("EnvironmentFile", file)) => format!(". {}", shell_word(file.trim_start_matches('-'))),
            _ => String::new(),
        };
        script.push_str(&kept);
        script.push_str(&"\n".repeat(count));
    }
    script
}

/// A command of a unit as one of a shell.
fn command_line(command: &str) -> String {
    let bare = command.trim_start_matches(['-', '@', ':', '+', '!', '|']);
    let prefix = &command[..command.len() - bare.len()];
    let mut all = words(bare);
    if prefix.contains('@') && all.len() > 1 {
        // The second word is the name that the program gets.
        all.remove(1);
    }
    all.iter().map(|word| if prefix.contains(':') { shell_word(word) } else { in_shell(word) }).collect::<Vec<_>>().join(" ")
}

/// `$NAME` as a whole word is split at spaces, `${NAME}` is not; `$NAME` within a word is text, and `$$` is `$`.
fn in_shell(word: &str) -> String {
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if word == ";" || word.strip_prefix('$').is_some_and(is_name) {
        return word.to_owned();
    }
    let (mut text, mut rest) = (String::new(), word);
    let mut literal = String::new();
    while let Some(c) = rest.chars().next() {
        let variable = rest.strip_prefix("${").and_then(|inside| inside.split_once('}')).filter(|(name, _)| is_name(name));
        if let Some((name, after)) = variable {
            text += &quoted(&std::mem::take(&mut literal));
            text += &format!("\"${{{name}}}\"");
            rest = after;
        } else {
            literal.push(c);
            rest = rest.strip_prefix("$$").unwrap_or(&rest[c.len_utf8()..]);
        }
    }
    if text.is_empty() { shell_word(&literal) } else { text + &quoted(&literal) }
}

fn quoted(literal: &str) -> String {
    if literal.is_empty() { String::new() } else { shell_word(literal) }
}

/// An assignment of `Environment=`, in which nothing is expanded.
fn assignment(word: &str) -> String {
    word.split_once('=').map_or_else(String::new, |(name, value)| format!("{name}={}", quoted(value)))
}

/// The words of a setting: quotes around a word or a part of it, and C's escapes, also outside of quotes. Specifiers: `%%` is `%`,
/// and a template's instance is the variable `INSTANCE`.
fn words(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            _ if quote == Some(letter) => quote = None,
            '"' | '\'' if quote.is_none() => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            _ if letter.is_whitespace() && quote.is_none() => all.extend(word.take()),
            '\\' => {
                let escaped = letters.next().unwrap_or('\\');
                let known = [('n', '\n'), ('t', '\t'), ('r', '\r'), ('s', ' ')].into_iter().find(|(known, _)| *known == escaped);
                let by_number = |digits: String| u8::from_str_radix(&digits, 16).ok().map(char::from);
                let escaped = match known {
                    Some((_, control)) => control,
                    None if escaped == 'x' => by_number(letters.by_ref().take(2).collect()).unwrap_or('x'),
                    None => escaped,
                };
                word.get_or_insert_default().push(escaped);
            }
            '%' => {
                let word = word.get_or_insert_default();
                match letters.next_if(|next| next.is_ascii_alphabetic() || *next == '%') {
                    Some('i' | 'I' | 'j' | 'J') => word.push_str("${INSTANCE}"),
                    Some('%') | None => word.push('%'),
                    Some(other) => word.push_str(&format!("${{SPECIFIER_{other}}}")),
                }
            }
            _ => word.get_or_insert_default().push(letter),
        }
    }
    all.extend(word);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_unit_starts() {
        let unit = "[Unit]\n[Service]\nEnvironment=\"A=b c\" B=1\nExecStart=-/usr/bin/kvm \\\n  -m 1\nRestart=always\n";
        assert!(is_unit(unit) && !is_unit("#!/bin/sh\ncat <<E\n[Service]\nE"));
        assert_eq!(from_unit(unit), "\n\nA='b c' B=1\n/usr/bin/kvm -m 1\n\n\n");
        let pinned = "[Service]\nAllowedCPUs=4-7 9\nCPUSchedulingPolicy=rr\nCPUSchedulingPriority=1\nExecStart=kvm -m 1\n";
        assert_eq!(from_unit(pinned), "\n\n\n\ntaskset -c 4-7,9 chrt --rr 1 kvm -m 1\n");
    }

    #[test]
    fn words_and_variables() {
        let line = |command: &str| command_line(command);
        assert_eq!(
            line(r#"@/bin/kvm vm -name "a b" -m ${MEM}M $MORE -x a$b$$c \x2d\s"#),
            r#"/bin/kvm -name 'a b' -m "${MEM}"M $MORE -x 'a$b$c' '- '"#
        );
        assert_eq!(line(":kvm -a ${MEM} 50%%"), "kvm -a '${MEM}' 50%");
        assert_eq!(line("kvm -hda /vm/%i.img"), "kvm -hda /vm/\"${INSTANCE}\".img");
        assert_eq!(folder("[Service]\nWorkingDirectory=-/vm\n"), Some("/vm"));
        assert_eq!((folder("[Service]\n"), folder("[Service]\nWorkingDirectory=~\n")), (Some("/"), None));
    }
}
