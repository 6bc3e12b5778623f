//! Completions, as the shells ask for them: bash, zsh and fish themselves, with the scripts that vgapt prints.

#[allow(dead_code)] // The support of others; the check for programs is needed here.
#[path = "support/command.rs"]
mod command;
#[allow(dead_code)]
#[path = "support/libvirt.rs"]
mod libvirt;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use clap::CommandFactory as _;
use libvirt::have;
use rexpect::session::{PtySession, spawn_command};
use tempfile::TempDir;
use vgapt::cli::Cli;

/// Two cards, named by their addresses in what follows.
const HOST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/hosts/b550m-rtx2070s-gt710.host");

/// A home folder with `vgapt` on its PATH, and a folder with a file, a folder and an image of a CD.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        let home = TempDir::new().unwrap();
        std::fs::create_dir_all(home.path().join("bin")).unwrap();
        std::fs::create_dir_all(home.path().join("here/isos")).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_vgapt"), home.path().join("bin/vgapt")).unwrap();
        for file in ["here/win11.ISO", "here/notes.txt", "here/isos/x.iso"] {
            std::fs::write(home.path().join(file), "").unwrap();
        }
        for shell in ["bash", "zsh", "fish"] {
            let script = Command::new(env!("CARGO_BIN_EXE_vgapt")).args(["completions", shell]).output().unwrap();
            assert!(script.status.success() && script.stderr.is_empty(), "{shell}");
            std::fs::write(home.path().join(shell), script.stdout).unwrap();
        }
        Self(home)
    }

    fn file(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn command(&self, program: &str) -> Command {
        let path = format!("{}:{}", self.file("bin"), std::env::var("PATH").unwrap());
        let mut command = Command::new(program);
        command.env("PATH", path).env("HOME", self.0.path()).env("TERM", "dumb").env("LC_ALL", "C.UTF-8");
        command.env("LIBVIRT_DEFAULT_URI", "test:///default").env_remove("XDG_CONFIG_HOME").current_dir(self.file("here"));
        command
    }

    /// What the function of the script offers for this line; `replaced` is what bash would replace.
    fn bash(&self, line: &str, replaced: &str) -> Vec<String> {
        let script = format!(
            r#"source {}; compopt() {{ :; }}; COMP_LINE=$1 COMP_POINT=${{#1}} COMP_TYPE=37; _vgapt vgapt "$2"; printf '%s\n' "${{COMPREPLY[@]}}""#,
            self.file("bash")
        );
        let output = self.command("bash").args(["-c", &script, "bash", line, replaced]).output().unwrap();
        assert!(output.stderr.is_empty(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    fn fish(&self, line: &str) -> String {
        let script = format!("source {}; complete -C '{line}'", self.file("fish"));
        let output = self.command("fish").args(["--no-config", "-c", &script]).output().unwrap();
        assert!(output.stderr.is_empty(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn on_a_terminal(&self, program: &str, arguments: &[&str], first: &str) -> PtySession {
        let mut command = self.command(program);
        command.args(arguments).env("PS1", "READY>");
        let mut session = spawn_command(command, Some(30_000)).unwrap();
        session.exp_string("READY>").unwrap();
        session.send_line(&format!("{first}; PS1=PROM'PT>'")).unwrap();
        session.exp_string("PROMPT>").unwrap();
        session
    }
}

#[test]
fn bash_completes_values() {
    let home = Home::new();
    let on_host = |line: &str, replaced| home.bash(&format!("vgapt --root {HOST} {line}"), replaced);
    assert_eq!(home.bash("vgapt def", "def"), ["define"]);
    assert_eq!(home.bash("vgapt disk c", "c"), ["create", "commit", "compact", "copy-in"]);
    assert_eq!(home.bash("vgapt define x --mem", "--mem"), ["--memory"]);
    // Cards, also behind a colon, where bash replaces only the rest, and behind an equals sign.
    assert_eq!(on_host("list --gpu ", ""), ["04:00.0", "2b:00.0"]);
    assert_eq!(on_host("define x --gpu ", ""), ["04:00.0", "2b:00.0", "auto"]);
    assert_eq!(on_host("list --gpu 2b:", ""), ["00.0"]);
    assert_eq!(on_host("list --gpu=2b:0", "0"), ["00.0"]);
    assert_eq!(on_host("list --gpu 0000:2b:", ""), ["00.0"]);
    assert_eq!(on_host("define x --gpu-audio 2b:", ""), ["00.1"]);
    assert!(on_host("define x --pci 2b:00", "00").len() > 1);
    // The systems, without files.
    assert_eq!(home.bash("vgapt define x --os win1", "win1"), ["win10", "win11"]);
    assert_eq!(home.bash("vgapt prepare --allow disk-in-use,only", "disk-in-use,only"), ["disk-in-use,only-display"]);
    assert!(home.bash("vgapt define x --memory ", "").is_empty(), "a size is no file");
    // Files where they belong.
    assert_eq!(home.bash("vgapt define x --cdrom ", ""), ["win11.ISO", "isos/"]);
    assert_eq!(home.bash("vgapt define x --iso isos/", "isos/"), ["isos/x.iso"]);
    assert_eq!(home.bash("vgapt define x --share ", ""), [".", "isos/"]);
    assert!(home.bash("vgapt import ", "").contains(&"notes.txt".to_owned()));
    // libvirt: domains, networks, the disks of a domain.
    for command in ["start", "stop", "detach", "define", "disk swap", "show"] {
        assert!(home.bash(&format!("vgapt {command} te"), "te").contains(&"test".to_owned()), "{command}");
    }
    assert_eq!(home.bash("vgapt define x --network nat=", ""), ["default"]);
    assert_eq!(home.bash("vgapt define x --network=m", "m"), ["macvtap="]);
    assert!(home.bash("vgapt disk swap test /", "/").contains(&"/guest/diskimage1".to_owned()));
    assert_eq!(home.bash("vgapt disk swap test x --disk ", ""), ["vda"]);
    assert!(home.bash("vgapt disk info /gu", "/gu").contains(&"/guest/diskimage1".to_owned()));
}

#[test]
fn every_subcommand_and_option_is_completed() {
    fn all(home: &Home, command: &clap::Command, line: &str) {
        let names: BTreeSet<String> = home.bash(&format!("{line} "), "").into_iter().collect();
        for subcommand in command.get_subcommands() {
            assert_eq!(names.contains(subcommand.get_name()), !subcommand.is_hide_set(), "{line} {}", subcommand.get_name());
        }
        let options: BTreeSet<String> = home.bash(&format!("{line} --"), "--").into_iter().collect();
        for (argument, long) in command.get_arguments().filter_map(|argument| Some((argument, argument.get_long()?))) {
            assert_eq!(options.contains(&format!("--{long}")), !argument.is_hide_set(), "{line} --{long}: {options:?}");
        }
        for subcommand in command.get_subcommands().filter(|one| one.get_name() != "help") {
            all(home, subcommand, &format!("{line} {}", subcommand.get_name()));
        }
    }
    let mut command = Cli::command();
    command.build();
    all(&Home::new(), &command, "vgapt");
}

/// What is in the way (libvirt that does not answer, a capture that is none) offers nothing, and says nothing.
#[test]
fn faults_are_silent_and_end_in_time() {
    let home = Home::new();
    for line in [
        "vgapt -c qemu+unix:///system?socket=/nowhere start ",
        "vgapt --root /nowhere list --gpu ",
        "vgapt -c xyz: define x --network nat=",
    ] {
        let started = std::time::Instant::now();
        let offered = home.bash(line, "");
        assert!(offered.iter().all(|word| word.starts_with("--")), "{line}: {offered:?}");
        assert!(started.elapsed().as_secs() < 5, "{line}");
    }
    let ask = |shell: &str, words: &[&str]| {
        let mut vgapt = home.command(env!("CARGO_BIN_EXE_vgapt"));
        vgapt.env("VGAPT_COMPLETE", shell).arg("--").args(words).stdin(Stdio::null()).output().unwrap()
    };
    for (shell, words) in [("bash", &[][..]), ("no-shell", &["vgapt", ""]), ("fish", &[]), ("zsh", &["vgapt"])] {
        let output = ask(shell, words);
        assert!(output.status.success() && output.stderr.is_empty(), "{shell}: {output:?}");
    }
}

#[test]
fn a_terminal_with_bash() {
    let home = Home::new();
    let mut bash = home.on_a_terminal("bash", &["--norc", "--noprofile", "-i"], &format!("source {}", home.file("bash")));
    // The word is completed although bash splits it at the colon, and a blank follows.
    bash.send(&format!("vgapt --root {HOST} list --gpu 2b:\t| head -n 1 >card; echo DO''NE\n")).unwrap();
    bash.exp_string("DONE").unwrap();
    let listed = std::fs::read_to_string(home.file("here/card")).unwrap();
    assert!(listed.starts_with("IOMMU"), "{listed}");
    // Two keys list the candidates with their names.
    bash.send(&format!("vgapt --root {HOST} define x --gpu \t\t")).unwrap();
    bash.flush().unwrap();
    bash.exp_string("GeForce RTX 2070 SUPER").unwrap();
    bash.send("\u{3}").unwrap();
}

#[test]
fn a_terminal_with_zsh() {
    if !have("completions in zsh", &["zsh"]) {
        return;
    }
    let home = Home::new();
    // As a package installs it: zsh reads the file at the first key.
    let functions = home.file("functions");
    std::fs::create_dir(&functions).unwrap();
    std::fs::rename(home.file("zsh"), format!("{functions}/_vgapt")).unwrap();
    let start = format!("fpath=({functions} $fpath); autoload -U compinit; compinit -u -D");
    let mut zsh = home.on_a_terminal("zsh", &["-f", "-i", "-o", "nopromptsp"], &start);
    zsh.send(&format!("vgapt --root {HOST} list --gpu 2b:\t | head -n 1 >card; echo DO''NE\n")).unwrap();
    zsh.exp_string("DONE").unwrap();
    let listed = std::fs::read_to_string(home.file("here/card")).unwrap();
    assert!(listed.starts_with("IOMMU"), "{listed}");
    zsh.send(&format!("vgapt --root {HOST} define x --gpu \t\t")).unwrap();
    zsh.flush().unwrap();
    zsh.exp_string("GeForce RTX 2070 SUPER").unwrap();
    zsh.send("\u{3}").unwrap();
}

#[test]
fn fish_completes_values_with_what_they_are() {
    if !have("completions in fish", &["fish"]) {
        return;
    }
    let home = Home::new();
    let cards = home.fish(&format!("vgapt --root {HOST} define x --gpu "));
    assert!(cards.contains("2b:00.0\tNVIDIA Corporation TU104 [GeForce RTX 2070 SUPER], available\n"), "{cards}");
    assert_eq!(home.fish("vgapt define x --os win8").trim_end(), "win8.1\tWindows 8.1, Windows Server 2012 R2");
    assert!(home.fish("vgapt start te").starts_with("test\trunning"), "{}", home.fish("vgapt start te"));
    assert_eq!(home.fish("vgapt define x --memory ").trim(), "");
}

/// Who asks for no completion does not pay for it: vgapt reads one variable.
#[test]
fn other_commands_do_nothing_for_completions() {
    assert!(Path::new(HOST).is_file());
    let without = Command::new(env!("CARGO_BIN_EXE_vgapt")).args(["--root", HOST, "list"]).output().unwrap();
    let with = Command::new(env!("CARGO_BIN_EXE_vgapt")).args(["--root", HOST, "list"]).env("VGAPT_COMPLETE", "").output().unwrap();
    assert_eq!((with.stdout, with.status.success()), (without.stdout, true));
}
