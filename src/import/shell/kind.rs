//! What a file is, where it is no shell script.

/// The name of another language, if a script is written in one.
pub(super) fn other_language(text: &str, path: &str) -> Option<&'static str> {
    let first = text.lines().next().filter(|line| line.starts_with("#!")).unwrap_or_default();
    let extension = path.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map_or("", |(_, extension)| extension);
    let languages = [
        ("python", &["py"][..], "a Python script"),
        ("perl", &["pl"], "a Perl script"),
        ("ruby", &["rb"], "a Ruby script"),
        ("node", &["js"], "a JavaScript program"),
        ("fish", &["fish"], "a script for fish"),
        ("pwsh", &["ps1"], "a PowerShell script"),
        ("cmd.exe", &["bat", "cmd"], "a batch file of Windows'"),
    ];
    let by_name = |extensions: &[&str]| first.is_empty() && extensions.contains(&extension.to_lowercase().as_str());
    languages.into_iter().find(|(name, extensions, _)| first.contains(name) || by_name(extensions)).map(|(.., words)| words)
}

/// Whether it is a unit of systemd's.
pub(super) fn is_unit(text: &str) -> bool {
    !text.starts_with("#!") && text.lines().any(|line| line.trim() == "[Service]")
}

/// A unit as a shell script of as many lines: what it starts, and with which variables.
pub(super) fn of_unit(text: &str) -> String {
    let mut script = String::new();
    let mut goes_on = false;
    for line in text.lines() {
        let line = line.trim_end();
        let kept = if goes_on {
            line.trim_start().to_owned()
        } else if let Some(command) = line.strip_prefix("ExecStart=") {
            command.trim_start_matches(['-', '@', ':', '+', '!']).to_owned()
        } else if let Some(variables) = line.strip_prefix("Environment=") {
            variables.split_once('=').map_or_else(String::new, |_| unquoted(variables))
        } else if let Some(file) = line.strip_prefix("EnvironmentFile=") {
            format!(". {}", file.trim_start_matches('-'))
        } else {
            String::new()
        };
        goes_on = line.ends_with('\\') && !kept.is_empty();
        script.push_str(&kept);
        script.push('\n');
    }
    script
}

/// `"NAME=value with spaces"`: the quotes around the value alone.
fn unquoted(variables: &str) -> String {
    match variables.strip_prefix('"').and_then(|inside| inside.strip_suffix('"')).and_then(|inside| inside.split_once('=')) {
        Some((name, value)) if !value.contains('"') => format!("{name}=\"{value}\""),
        _ => variables.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        assert_eq!(other_language("#!/usr/bin/env python3\n", "start"), Some("a Python script"));
        assert_eq!(
            [other_language("@echo off", "C/vm.BAT"), other_language("#!/bin/sh", "a.py")],
            [Some("a batch file of Windows'"), None]
        );
        let unit = "[Unit]\n[Service]\nEnvironment=\"A=b c\" \nExecStart=-/usr/bin/kvm \\\n  -m 1\nRestart=always\n";
        assert!(is_unit(unit) && !is_unit("#!/bin/sh\ncat <<E\n[Service]\nE"));
        assert_eq!(of_unit(unit), "\n\nA=\"b c\"\n/usr/bin/kvm \\\n-m 1\n\n");
    }
}
