//! Files that shells read for the tools that a plan runs, such as /etc/default/grub: one that the shell cannot read ends the
//! tool, or gives it something else than was meant.

use crate::host::plan::Plan;
use crate::host::text::shell::{self, Mistake};
use crate::model::{Distribution, Finding, Host, Setup};

/// Files that tools read with `.`, as in `. /etc/default/grub`.
struct Sourced {
    files: &'static [&'static str],
    /// Folders of more of them, with the ending of their names.
    folders: &'static [(&'static str, &'static str)],
    /// The tools that read them.
    programs: &'static [&'static str],
    shell: Shell,
    /// Whether a command that fails in them ends the tool (`set -e`).
    stops: bool,
}

/// Which shell runs the tools.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shell {
    /// Whatever /bin/sh is.
    Sh,
    Bash,
}

/// According to the tools themselves: grub-mkconfig, update-initramfs and mkinitramfs, mkinitcpio, dracut, sdboot-manage.
static SOURCED: [Sourced; 6] = [
    Sourced {
        files: &["/etc/default/grub"],
        folders: &[("/etc/default/grub.d", ".cfg")],
        programs: &["update-grub", "grub-mkconfig", "grub2-mkconfig"],
        shell: Shell::Sh,
        stops: true,
    },
    Sourced {
        files: &["/etc/initramfs-tools/update-initramfs.conf"],
        folders: &[],
        programs: &["update-initramfs"],
        shell: Shell::Sh,
        stops: true,
    },
    Sourced {
        files: &["/etc/initramfs-tools/initramfs.conf"],
        folders: &[("/etc/initramfs-tools/conf.d", "")],
        programs: &["update-initramfs"],
        shell: Shell::Sh,
        stops: false,
    },
    Sourced {
        files: &["/etc/mkinitcpio.conf"],
        folders: &[("/etc/mkinitcpio.conf.d", ".conf"), ("/etc/mkinitcpio.d", ".preset")],
        programs: &["mkinitcpio", "limine-mkinitcpio"],
        shell: Shell::Bash,
        stops: false,
    },
    Sourced {
        files: &["/etc/dracut.conf"],
        folders: &[("/etc/dracut.conf.d", ".conf"), ("/usr/lib/dracut/dracut.conf.d", ".conf")],
        programs: &["dracut", "sdbootutil", "rpm-ostree"],
        shell: Shell::Bash,
        stops: false,
    },
    Sourced { files: &["/etc/sdboot-manage.conf"], folders: &[], programs: &["sdboot-manage"], shell: Shell::Bash, stops: false },
];

/// The mistakes in files that this plan changes, or that the tools read which it runs.
pub(super) fn findings(host: &Host, setup: &Setup, plan: &Plan) -> Vec<Finding> {
    SOURCED.iter().flat_map(|sourced| of(host, setup, plan, sourced)).collect()
}

fn of(host: &Host, setup: &Setup, plan: &Plan, sourced: &Sourced) -> Vec<Finding> {
    let files = sourced.files.iter().filter_map(|path| Some((*path, setup.files.text_lossy(path)?)));
    let more = sourced.folders.iter().flat_map(|(folder, ending)| setup.files.texts_lossy(folder, ending));
    let texts: Vec<(&str, &str)> = files.chain(more).collect();
    let is_one = |path: &str| texts.iter().any(|(known, _)| *known == path);
    let run = plan.commands.iter().filter_map(|command| command.argv.first());
    let tool = run.map(String::as_str).find(|program| sourced.programs.contains(program));
    if tool.is_none() && !plan.writes.iter().any(|write| is_one(&write.path)) {
        return Vec::new();
    }
    let tool = tool.unwrap_or(sourced.programs[0]);
    let appends = sourced.shell == Shell::Bash || sh_appends(setup, &host.platform.distribution);
    let found = texts.iter().filter_map(|(path, text)| Some((*path, shell::mistake(text, appends)?)));
    found.map(|(path, (line, mistake))| finding(path, line, &mistake, tool, sourced)).collect()
}

/// Whether /bin/sh knows `NAME+=`: dash and busybox do not. Debian and its derivatives have dash there (policy 10.4).
fn sh_appends(setup: &Setup, distribution: &Distribution) -> bool {
    let program = setup.sh.as_deref().map(|path| path.rsplit('/').next().unwrap_or_default());
    match program {
        Some("sh") | None => !distribution.is_like(&["debian", "ubuntu", "alpine"]),
        Some(name) => !["dash", "ash", "busybox"].contains(&name),
    }
}

fn finding(path: &str, line: usize, mistake: &Mistake, tool: &str, sourced: &Sourced) -> Finding {
    let shell = if sourced.shell == Shell::Bash { "bash" } else { "sh" };
    let place = format!("{path}, line {line}");
    let (message, remedy) = match mistake {
        Mistake::ByteOrderMark => (
            format!(
                "{place} begins with a byte order mark, and {shell}, which reads it for {tool}, takes that for a part of the first word"
            ),
            format!("sed -i '1s/^\\xef\\xbb\\xbf//' {path}"),
        ),
        Mistake::CarriageReturn => (
            format!("{place} ends as lines of Windows do (CR LF), and {shell}, which reads it for {tool}, takes the CR as a letter"),
            format!("sed -i 's/\\r$//' {path}"),
        ),
        Mistake::Open(quote) => (
            format!("{place} opens a quote ({quote}) and does not close it, so {shell} cannot read the file, and {tool} fails"),
            format!("close the quote at the end of {place}"),
        ),
        Mistake::Swallows(quote) => (
            format!(
                "{place} opens a quote ({quote}) that closes only in a later line, so {shell} takes the lines between for a part of the value"
            ),
            format!("close the quote at the end of {place}"),
        ),
        Mistake::Command(word) => {
            let outcome = if sourced.stops { format!(", and {tool} stops there") } else { ", so what the line sets is lost".to_owned() };
            let remedy = match word.split_once("+=") {
                Some((name, value)) if sourced.shell == Shell::Sh && !name.contains(['=', '.']) => {
                    let value = value.trim_matches(['"', '\'']).trim();
                    format!("in {place}, write: {name}=\"${name} {value}\"")
                }
                _ => format!("in {place}, write everything within the quotes, and no blanks beside ="),
            };
            (format!("{place}: {shell} runs `{word}` as a command{outcome}"), remedy)
        }
    };
    let remedy = format!("{remedy}; then run vgapt prepare again");
    let fails = sourced.stops || !matches!(mistake, Mistake::Command(_));
    if fails { Finding::error("shell-file", message, remedy) } else { Finding::warning("shell-file", message, remedy) }
}
