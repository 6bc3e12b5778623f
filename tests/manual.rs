//! The completions and the manual come from the program itself.

use std::process::Command;

fn printed(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_vgapt")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

const SUBCOMMANDS: &[&str] = &[
    "list",
    "check",
    "prepare",
    "undo",
    "define",
    "start",
    "stop",
    "status",
    "undefine",
    "import",
    "export",
    "disk",
    "capture",
    "completions",
    "man",
];

#[test]
fn completions_know_every_subcommand() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = printed(&["completions", shell]);
        assert!(SUBCOMMANDS.iter().all(|name| script.contains(name)), "{shell}");
    }
}

#[test]
fn every_subcommand_has_a_page() {
    assert!(printed(&["man"]).contains(".TH vgapt"));
    for name in SUBCOMMANDS {
        assert!(printed(&["man", name]).contains(".SH SYNOPSIS"), "{name}");
    }
}

/// Nothing of this needs libvirt: it is asked of the program that does not link it.
#[test]
fn the_command_line_does_not_link_libvirt() {
    let libraries = Command::new("ldd").arg(env!("CARGO_BIN_EXE_vgapt")).output().unwrap();
    let libraries = String::from_utf8_lossy(&libraries.stdout).into_owned();
    assert!(libraries.contains("libc.so") && !libraries.contains("libvirt"), "{libraries}");
}
