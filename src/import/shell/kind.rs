//! Recognises files that are not shell scripts.

use std::ops::Range;

use super::command::each;
use super::parser::parse;
use super::word::is_name;

/// The name of another language, if a script is written in one.
pub(super) fn other_language(text: &str, path: &str) -> Option<&'static str> {
    let first = text.lines().next().filter(|line| line.starts_with("#!")).unwrap_or_default();
    let extension = path.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map_or("", |(_, extension)| extension);
    let languages = [
        ("python", &["py"][..], "a Python script"),
        ("perl", &["pl"], "a Perl script"),
        ("ruby", &["rb"], "a Ruby script"),
        ("node", &["js"], "a JavaScript program"),
        ("fish", &["fish"], "a fish script"),
        ("zsh", &["zsh"], "a zsh script"),
        ("pwsh", &["ps1"], "a PowerShell script"),
        ("nix-instantiate", &["nix"], "a Nix expression"),
        ("cmd.exe", &["bat", "cmd"], "a Windows batch file"),
    ];
    let by_name = |extensions: &[&str]| first.is_empty() && extensions.contains(&extension.to_lowercase().as_str());
    languages.into_iter().find(|(name, extensions, _)| first.contains(name) || by_name(extensions)).map(|(.., words)| words)
}

/// Whether it is a file of `make`, by its name.
pub(super) fn is_makefile(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    ["Makefile", "makefile", "GNUmakefile"].contains(&name) || name.ends_with(".mk")
}

/// Whether it is Markdown, by its name or its code blocks.
pub(super) fn is_markdown(text: &str, path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_named = name.ends_with(".md") || name.ends_with(".markdown") || name == "README";
    !text.starts_with("#!") && (is_named || text.lines().filter(|line| is_fence(line)).count() > 1)
}

fn is_fence(line: &str) -> bool {
    line.trim_start().starts_with("```") || line.trim_start().starts_with("~~~")
}

/// The code blocks that start QEMU, and those that only set variables, as a script with the same line numbers; none where no block does. In a page without
/// such blocks these are the paragraphs whose lines are all indented.
pub(super) fn from_markdown(text: &str) -> Option<String> {
    let lines = &text.lines().collect::<Vec<_>>()[..];
    let numbers = |is_it: fn(&str) -> bool| (0..lines.len()).filter(move |at| is_it(lines[*at])).chain([lines.len()]);
    let fences: Vec<usize> = numbers(is_fence).collect();
    let fenced = fences.chunks_exact(2).map(|pair| pair[0] + 1..pair[1]);
    let empty = numbers(|line| line.trim().is_empty()).scan(0, |from, to| Some(std::mem::replace(from, to + 1)..to));
    let indented = empty.filter(|block| lines[block.clone()].iter().all(|line| line.starts_with([' ', '\t'])));
    from_blocks(lines, fenced).or_else(|| from_blocks(lines, indented))
}

fn from_blocks(lines: &[&str], blocks: impl Iterator<Item = Range<usize>>) -> Option<String> {
    let mut kept = vec![""; lines.len()];
    let mut has_qemu = false;
    for block in blocks {
        let commands: Vec<&str> = lines[block.clone()].iter().map(|line| without_prompt(line)).collect();
        let names_it = commands.iter().any(|line| names_qemu(line));
        has_qemu |= names_it;
        if names_it || commands.iter().all(|line| only_sets(line)) {
            kept[block].copy_from_slice(&commands);
        }
    }
    has_qemu.then(|| kept.join("\n") + "\n")
}

/// A page shows the shell's prompt: `$ `, `host:~# `.
fn without_prompt(line: &str) -> &str {
    let bare = line.trim_start();
    let prompt = bare.split_once(['$', '#']).filter(|(before, after)| {
        after.starts_with(' ') && !before.contains(char::is_whitespace) && (!before.is_empty() || bare.starts_with('$'))
    });
    prompt.map_or(line, |(_, command)| command)
}

/// Whether a line only sets a variable, or is a comment.
fn only_sets(line: &str) -> bool {
    let line = line.trim();
    let assigned = line.strip_prefix("export ").unwrap_or(line).split_once('=');
    line.is_empty() || line.starts_with('#') || assigned.is_some_and(|(name, _)| is_name(name))
}

/// Whether QEMU is in a line, and not as what is installed or looked for.
fn names_qemu(line: &str) -> bool {
    let is_it = |word: &str| {
        let of_variable = word.trim_matches(['"', '{', '}']).replacen("${", "$", 1);
        let is_variable = of_variable.starts_with('$') && super::programs::is_qemu(&of_variable);
        is_variable || word.contains("qemu-system-") || word.contains("qemu-kvm") || word.ends_with("bin/kvm")
    };
    let before = line.split_whitespace().position(is_it);
    before.is_some_and(|before| !line.split_whitespace().take(before).any(super::programs::mentions_qemu))
}

/// Joins a QEMU program on a line of its own and the options on the following lines into one command.
pub(super) fn join_option_lines(text: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    // Words of an array also stand on lines of their own.
    let mut commands = Vec::new();
    if let Ok(steps) = parse(text, 1) {
        each(&steps, &mut |step| {
            commands.extend(step.parts().filter(|(_, parts)| parts.len() == 1).and_then(|_| step.line.checked_sub(1)));
        });
    }
    let begins = |at: usize| {
        let is_option = lines.get(at + 1).is_some_and(|next| next.trim_start().starts_with('-'));
        is_option && commands.contains(&at) && !lines[at].trim().contains(char::is_whitespace) && super::programs::is_qemu(lines[at].trim())
    };
    let start = (0..lines.len()).find(|at| begins(*at))?;
    let count = lines[start + 1..].iter().take_while(|line| line.trim_start().starts_with('-')).count();
    let ends = |at: usize| at >= start && at < start + count && !lines[at].ends_with('\\');
    let joined = lines.iter().enumerate().map(|(at, line)| if ends(at) { format!("{line} \\\n") } else { format!("{line}\n") });
    Some(joined.collect())
}

/// The line of a here-document that starts QEMU, and the command that has the document.
pub(super) fn in_here_document(text: &str) -> Option<(usize, &str)> {
    let mut lines = text.lines().enumerate();
    while let Some((_, head)) = lines.next() {
        let end = head.split_once("<<").map(|(_, end)| end.trim_start_matches('-').trim_start());
        let end = end.and_then(|end| end.split([' ', '>', '|', ';']).next()).map(|end| end.trim_matches(['"', '\'', '\\']));
        let Some(end) = end.filter(|end| end.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')) else { continue };
        let starts = |line: &str| line.split_whitespace().take_while(|word| !word.starts_with('#')).any(super::programs::is_qemu);
        let mut document = lines.by_ref().take_while(|(_, line)| line.trim() != end);
        if let Some((at, _)) = document.find(|(_, line)| starts(line)) {
            return Some((at + 1, head.trim()));
        }
    }
    None
}

/// The text without the blanks after a `\` at the end of a line, where a shell would end the command, and the first such line.
pub(super) fn join_before_blanks(text: &str) -> Option<(usize, String)> {
    let joined = |line: &str| {
        let kept = line.trim_end_matches([' ', '\t']).len();
        (kept < line.len() && line[..kept].ends_with('\\') && !line.trim_start().starts_with('#')).then_some(kept)
    };
    let first = text.lines().position(|line| joined(line).is_some())? + 1;
    let lines = text.split('\n').map(|line| &line[..joined(line).unwrap_or(line.len())]);
    Some((first, lines.collect::<Vec<_>>().join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        assert_eq!(other_language("#!/usr/bin/env python3\n", "start"), Some("a Python script"));
        assert_eq!([other_language("@echo off", "C/vm.BAT"), other_language("#!/bin/sh", "a.py")], [Some("a Windows batch file"), None]);
        let page = "The dog's\n```\nsudo apt install qemu-kvm\n```\n~~~sh\n$ kvm\nhost:~# qemu-kvm -m 1\n# no\n~~~\n";
        assert!(is_markdown(page, "a") && !is_markdown("#!/bin/sh\n```\n```", "a.md") && is_markdown("kvm", "b/README.md"));
        assert_eq!(from_markdown(page).as_deref(), Some("\n\n\n\n\n kvm\n qemu-kvm -m 1\n# no\n\n"));
        assert_eq!(from_markdown("qemu-kvm -m 1\n```\nls\n```\n"), None);
        let page = "Start it::\n\n   $ qemu-kvm -m 1 \\\n     -usb\n\nor\n ls\n\n~~~~\n";
        assert_eq!(from_markdown(page).as_deref(), Some("\n\n qemu-kvm -m 1 \\\n     -usb\n\n\n\n\n\n"));
        assert_eq!(from_markdown("```\nX=1 /usr/bin/kvm -m 1\n```\n").as_deref(), Some("\nX=1 /usr/bin/kvm -m 1\n\n"));
        assert_eq!(join_option_lines("kvm\n-m 1\n-usb\nls\n").as_deref(), Some("kvm \\\n-m 1 \\\n-usb\nls\n"));
        assert_eq!(join_before_blanks("kvm \\ \t\n -m 1 \\\n# \\ \n"), Some((1, "kvm \\\n -m 1 \\\n# \\ \n".into())));
        assert_eq!(join_before_blanks("kvm \\\n -m 1\n# \\ \n"), None);
        let written = "X=1\nls <<<a\ncat <<'E' >b\nls\nE\ncat <<-EOF > run\n$QEMU -m 1\nEOF\n";
        assert_eq!((in_here_document(written), in_here_document("qemu-kvm\n")), (Some((7, "cat <<-EOF > run")), None));
        let page = "```\n$ export QEMU_BINARY=/usr/bin/qemu-system-x86_64\n```\n```\nls\n```\n```\n# So much.\nM=1\n```\n```\n\"${QEMU_BINARY}\" -m $M\n```\n";
        let read = "\n export QEMU_BINARY=/usr/bin/qemu-system-x86_64\n\n\n\n\n\n# So much.\nM=1\n\n\n\"${QEMU_BINARY}\" -m $M\n\n";
        assert_eq!(from_markdown(page).as_deref(), Some(read));
        assert_eq!(join_option_lines("A=(\n taskset\nqemu-kvm\n-m 1\n)\n\"${A[@]}\"\n"), None);
        assert_eq!([join_option_lines("kvm -m 1\n-usb"), join_option_lines("kvm")], [None, None]);
    }
}
