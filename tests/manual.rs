//! The help, the manual and what is said about a wrong command line come from the program itself.

#[allow(dead_code)] // The support of others; the check for programs is needed here.
#[path = "support/command.rs"]
mod command;
#[allow(dead_code)]
#[path = "support/libvirt.rs"]
mod libvirt;
#[path = "support/sources.rs"]
mod sources;

use std::fs;
use std::path::Path;
use std::process::Command;

use clap::CommandFactory as _;
use libvirt::have;
use sources::sources;
use vgapt::cli::Cli;

fn printed(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_vgapt")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The subcommands that the help lists.
fn subcommands() -> Vec<String> {
    let command = Cli::command();
    command.get_subcommands().filter(|command| !command.is_hide_set()).map(|command| command.get_name().to_owned()).collect()
}

/// The long options that a text names.
fn options(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    words.filter(|word| word.starts_with("--") && word.len() > 2).collect()
}

#[test]
fn each_shell_has_a_script_that_asks_vgapt() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = printed(&["completions", shell]);
        assert!(script.contains("VGAPT_COMPLETE") && script.contains(shell), "{script}");
        // It works wherever vgapt is installed.
        assert!(!script.contains("/vgapt"), "{script}");
    }
}

/// Every command, as its words behind `vgapt`; of hidden ones only on demand.
fn all(command: &clap::Command, above: &[String]) -> Vec<Vec<String>> {
    let shown = command.get_subcommands().filter(|one| !one.is_hide_set() && one.get_name() != "help");
    let below = shown.flat_map(|one| all(one, &[above, &[one.get_name().to_owned()]].concat()));
    std::iter::once(above.to_vec()).chain(below).collect()
}

#[test]
fn every_command_has_a_page_with_all_that_its_help_says() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("share/man/man1");
    assert_eq!(printed(&["-q", "man", "--dir", place.to_str().unwrap()]), "");
    let mut written: Vec<String> = fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let commands = all(&Cli::command(), &[]);
    assert!(commands.len() > 25, "{commands:?}");
    for words in &commands {
        let name = [&["vgapt".to_owned()], &words[..]].concat().join("-");
        let file = format!("{name}.1");
        let arguments: Vec<&str> = words.iter().map(String::as_str).collect();
        let page = printed(&[&["man"], &arguments[..]].concat());
        assert_eq!(fs::read_to_string(place.join(&file)).unwrap(), page);
        written.retain(|other| *other != file);
        assert!(page.contains(&format!(".TH {name} 1 ")), "{page}");
        let sections =
            ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "\"EXIT STATUS\"", "ENVIRONMENT", "FILES", "EXAMPLES", "\"SEE ALSO\""];
        for section in sections.iter().filter(|section| name != "vgapt" || **section != "EXAMPLES") {
            assert_eq!(page.matches(&format!("\n.SH {section}\n")).count(), 1, "{name}: {section}");
        }
        let help = printed(&[&arguments[..], &["--help"]].concat());
        let plain = page.replace("\\-", "-").replace("\\*(Aq", "'");
        for option in options(&help) {
            assert!(plain.contains(option), "{option} is not in the page of {name}");
        }
        for heading in help.lines().filter(|line| line.ends_with(':') && !line.starts_with(' ')).map(|line| line.trim_end_matches(':')) {
            let is_own = !["Options", "Arguments", "Commands", "Examples"].contains(&heading);
            assert!(
                !is_own || plain.contains(&format!(".SS \"{heading}\"\n")) || plain.contains(&format!(".SS {heading}\n")),
                "{name}: {heading}"
            );
        }
        if let Some((_, examples)) = help.split_once("\nExamples:\n") {
            let shown = plain.split_once(".EX\n").unwrap().1.split_once(".EE\n").unwrap().0;
            assert_eq!(shown.replace("\\&", "").replace("\\\\", "\\"), examples, "{name}");
        }
    }
    assert!(written.is_empty(), "{written:?}");
    assert!(printed(&["man", "hook"]).contains(".TH vgapt-hook "));
    assert!(refused(&["man", "disk", "crate"]).contains("there is no command 'vgapt disk crate'"));
}

/// The programs that show manual pages find nothing wrong with them.
#[test]
fn the_pages_are_well_formed() {
    let folder = tempfile::tempdir().unwrap();
    printed(&["man", "--dir", folder.path().to_str().unwrap()]);
    let pages: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let judges: [(&str, &[&str]); 2] =
        [("mandoc", &["-T", "lint", "-W", "warning"]), ("groff", &["-man", "-K", "utf8", "-T", "utf8", "-ww", "-z"])];
    for (judge, arguments) in judges {
        if !have("manual pages", &[judge]) {
            continue;
        }
        for page in &pages {
            let output = Command::new(judge).args(arguments).arg(page).env("LC_ALL", "C.UTF-8").output().unwrap();
            // The pages have no date: one source makes the same page on every day.
            let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            let faults: Vec<&str> = said.lines().filter(|line| !line.contains("missing date")).collect();
            assert!(faults.is_empty() && (output.status.success() || !said.is_empty()), "{}: {said}", page.display());
        }
    }
    if have("manual pages", &["man"]) {
        let mut man = Command::new("man");
        man.args(["-P", "cat", "-l"]).arg(folder.path().join("vgapt-define.1")).env("LC_ALL", "C.UTF-8").env("MANWIDTH", "80");
        let output = man.output().unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        for words in ["VGAPT_VGA_BUS", "EXIT STATUS", "vgapt define win11 -f win11.toml", "vgapt-start(1)", "Graphics card"] {
            assert!(shown.contains(words), "{words}: {shown}");
        }
    }
}

/// Each variable that the program reads is in the manual, and the help of an option names its variable.
#[test]
fn the_manual_names_each_environment_variable() {
    let page = printed(&["man"]).replace("\\-", "-");
    let mut named = Vec::new();
    for file in sources(Path::new("src")) {
        let text = fs::read_to_string(&file).unwrap();
        for call in ["env::var(\"", "env::var_os(\"", "variable(\""] {
            named.extend(text.split(call).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
        }
        let constants = text.lines().filter(|line| line.contains("VARIABLE: &str = \""));
        named.extend(constants.map(|line| line.split('"').nth(1).unwrap().to_owned()));
    }
    assert!(named.len() > 10, "{named:?}");
    for name in named {
        assert!(page.contains(&format!("\\fB{name}\\fR")) || page.contains(&name), "{name} is not in the manual");
    }
    let define = printed(&["define", "--help"]).split_whitespace().collect::<Vec<_>>().join(" ");
    for (name, option) in vgapt::domain::VARIABLES {
        let own = define.split(&format!("--{option} ")).nth(1).unwrap_or_else(|| panic!("--{option}"));
        let own = own.split(" --").next().unwrap();
        assert!(own.contains(&format!("[env: {name}]")), "--{option}: {own}");
    }
}

/// Without a terminal, as a user of a pipe sees it.
fn refused(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_vgapt")).args(arguments).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn the_help_lists_each_subcommand_in_a_group() {
    for argument in ["-h", "--help", "help"] {
        let help = printed(&[argument]);
        assert!(help.contains("Usage: vgapt [OPTIONS] [COMMAND]\n\nFrom the bare host to the guest:\n  setup "), "{help}");
        for name in subcommands() {
            assert_eq!(help.matches(&format!("\n  {name} ")).count(), 1, "{name}: {help}");
        }
        assert!(!help.contains("\n  hook ") && help.contains("Global options:\n  -c, --connect <URI>"), "{help}");
    }
    // What libvirt calls is not listed, and still has its help.
    assert!(printed(&["hook", "--help"]).contains("Run by libvirt"));
    // The help of a subcommand of a subcommand is its own.
    assert!(printed(&["help", "disk", "create"]).contains("Usage: vgapt disk create"));
}

#[test]
fn every_command_has_examples_and_its_options_stand_under_fitting_headings() {
    for name in subcommands() {
        let help = printed(&[&name, "--help"]);
        let examples = help.split_once("\nExamples:\n").unwrap_or_else(|| panic!("{name} has no examples")).1;
        assert!(
            examples.lines().all(|line| line.starts_with(&format!("  vgapt {name}")) || name == "capture" || name == "man"),
            "{examples}"
        );
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{name}: a line is too long");
    }
    let define = printed(&["define", "--help"]);
    let headings: Vec<&str> = define.lines().filter(|line| line.ends_with(':') && !line.starts_with(' ')).collect();
    let of_need = ["Arguments:", "Guest:", "Graphics card:", "Disks and CDs:"];
    assert_eq!(headings[..4], of_need, "{headings:?}");
    // The short help leaves out what few need.
    let short = printed(&["define", "-h"]);
    assert!(short.contains("--gpu") && !short.contains("--no-rom") && !short.contains("Firmware and QEMU:"), "{short}");
    assert!(define.contains("--no-rom") && define.contains("Firmware and QEMU:"));
}

#[test]
fn words_from_elsewhere_are_understood_or_explained() {
    for (word, said) in [("create", "vgapt define NAME"), ("delete", "vgapt undefine NAME"), ("run", "vgapt start NAME")] {
        let refusal = refused(&[word, "x"]);
        assert!(refusal.contains(&format!("unrecognized subcommand '{word}'")) && refusal.contains(said), "{refusal}");
        assert!(!refusal.contains("similar"), "{word} is no misspelling: {refusal}");
    }
    assert!(refused(&["prepair"]).contains("a similar subcommand exists: 'prepare'"));
    for (line, said) in [
        (&["define", "x", "--vga", "01:00.0"][..], "the option for this is '--gpu'"),
        (&["define", "x", "--iommu"], "'vgapt prepare' enables the IOMMU"),
        (&["define", "--name", "x"], "stands without an option"),
        (&["list", "--card=01:00.0"], "the option for this is '--gpu'"),
        (&["define", "x", "--memroy", "8G"], "a similar argument exists: '--memory'"),
    ] {
        assert!(refused(line).contains(said), "{}", refused(line));
    }
    // `stop` has no option for a card.
    assert!(!refused(&["stop", "x", "--vga"]).contains("the option for this"));
    let host = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/hosts/z170-gtx960.host");
    let define = |options: &[&str]| printed(&[&["--root", host, "-c", "test:///default", "define", "x", "--dry-run"], options].concat());
    assert_eq!(define(&["--ram", "5G", "--vcpus", "4", "--os", "Windows 11"]), define(&["--memory", "5G", "--cpus", "4", "--os", "win11"]));
    assert_ne!(define(&["--ram", "5G"]), define(&[]));
}

/// Nothing of this needs libvirt: it is asked of the program that does not link it.
#[test]
fn the_command_line_does_not_link_libvirt() {
    let libraries = Command::new("ldd").arg(env!("CARGO_BIN_EXE_vgapt")).output().unwrap();
    let libraries = String::from_utf8_lossy(&libraries.stdout).into_owned();
    assert!(libraries.contains("libc.so") && !libraries.contains("libvirt"), "{libraries}");
}
