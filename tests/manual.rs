//! The help, the completions, the manual and what is said about a wrong command line come from the program itself.

use std::process::Command;

use clap::CommandFactory as _;
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
fn completions_know_every_subcommand_and_option() {
    let scripts: Vec<String> =
        ["bash", "zsh", "fish", "elvish", "powershell"].iter().map(|shell| printed(&["completions", shell])).collect();
    let names = subcommands();
    assert!(names.len() > 20, "{names:?}");
    for name in &names {
        let help = printed(&[name, "--help"]);
        let defined: Vec<&str> =
            help.lines().filter(|line| line.starts_with("  ")).filter_map(|line| options(line).first().copied()).collect();
        for script in &scripts {
            assert!(script.contains(name.as_str()), "{name}");
            for option in &defined {
                assert!(script.contains(option.trim_start_matches('-')), "{name} {option}");
            }
        }
    }
}

#[test]
fn every_subcommand_has_a_page_with_all_its_options() {
    let page = printed(&["man"]);
    assert!(page.contains(".TH vgapt"));
    for name in subcommands() {
        assert!(page.contains(&format!("vgapt\\-{name}")), "{name} is not in the page of vgapt");
        let page = printed(&["man", &name]);
        assert!(page.contains(&format!(".TH vgapt-{name} ")) && page.contains(".SH SYNOPSIS"), "{name}");
        let plain = page.replace("\\-", "-");
        for option in options(&printed(&[&name, "--help"])) {
            assert!(plain.contains(option), "{option} is not in the page of {name}");
        }
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
        assert!(help.contains("Usage: vgapt [OPTIONS] <COMMAND>\n\nFrom the bare host to the guest:\n  setup "), "{help}");
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
