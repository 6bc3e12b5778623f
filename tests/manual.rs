//! The completions and the manual come from the program itself.

use std::process::Command;

fn printed(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_vgapt")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The subcommands that the help of a command lists.
fn subcommands(of: &[&str]) -> Vec<String> {
    let help = printed(&[of, &["--help"]].concat());
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = lines.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
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
    let names = subcommands(&[]);
    assert!(names.len() > 20, "{names:?}");
    for name in &names {
        let help = printed(&[name, "-h"]);
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
    for name in subcommands(&[]) {
        assert!(page.contains(&format!("vgapt\\-{name}")), "{name} is not in the page of vgapt");
        let page = printed(&["man", &name]);
        assert!(page.contains(&format!(".TH vgapt-{name} ")) && page.contains(".SH SYNOPSIS"), "{name}");
        let plain = page.replace("\\-", "-");
        for option in options(&printed(&[&name, "--help"])) {
            assert!(plain.contains(option), "{option} is not in the page of {name}");
        }
    }
}

/// Nothing of this needs libvirt: it is asked of the program that does not link it.
#[test]
fn the_command_line_does_not_link_libvirt() {
    let libraries = Command::new("ldd").arg(env!("CARGO_BIN_EXE_vgapt")).output().unwrap();
    let libraries = String::from_utf8_lossy(&libraries.stdout).into_owned();
    assert!(libraries.contains("libc.so") && !libraries.contains("libvirt"), "{libraries}");
}
