//! `vgapt setup`: what it asks, its plan, and that nothing is changed before the plan is accepted.

#[path = "support/command.rs"]
#[allow(dead_code)] // Only the texts are compared.
mod command;
#[path = "support/tree.rs"]
mod tree;

use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use command::without_options;
use rexpect::process::WaitStatus;
use rexpect::session::{PtySession, spawn_command};
use tempfile::TempDir;
use tree::{assert_same, distribution, walk};

/// A host and a home folder.
struct Place {
    tree: TempDir,
    home: TempDir,
}

impl Place {
    fn new() -> Self {
        let tree = distribution("debian13-grub-initramfs-tools");
        std::fs::create_dir_all(tree.path().join("vm")).unwrap();
        std::fs::write(tree.path().join("vm/it.iso"), "an image").unwrap();
        Self { tree, home: TempDir::new().unwrap() }
    }

    fn setup(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vgapt"));
        command.args(["--root", self.tree.path().to_str().unwrap(), "--connect", "test:///default", "setup"]).args(arguments);
        command.env("HOME", self.home.path()).env_remove("XDG_CONFIG_HOME").env("TERM", "xterm").env("NO_COLOR", "1").env("COLUMNS", "120");
        command.current_dir(self.home.path());
        command
    }

    fn on_a_terminal(&self) -> PtySession {
        self.asking(&[])
    }

    fn asking(&self, arguments: &[&str]) -> PtySession {
        spawn_command(self.setup(arguments), Some(60_000)).unwrap()
    }

    fn answers(&self) -> PathBuf {
        self.home.path().join(".config/vgapt")
    }
}

/// The questions in their order; to each of them the proposal is a good answer.
const QUESTIONS: [&str; 10] = [
    "Graphics card for the guest",
    "Guest system",
    "Name of the domain",
    "Disk (an image",
    "Size of the new disk",
    "Installer",
    "CD with the virtio drivers",
    "Memory",
    "Processors (threads",
    "Keyboard and mouse",
];

/// Waits for a question. A list takes keys once it is drawn.
fn asked(session: &mut PtySession, question: &str) {
    session.exp_string(question).unwrap_or_else(|error| panic!("{question}: {error}"));
    sleep(Duration::from_millis(200));
}

/// Takes the proposal.
fn proposal(session: &mut PtySession, question: &str) {
    asked(session, question);
    session.send("\r").unwrap();
    session.flush().unwrap();
}

#[track_caller]
fn interrupted(mut session: PtySession, question: &str) {
    asked(&mut session, question);
    session.send_control('c').unwrap();
    session.exp_string("nothing was changed").unwrap_or_else(|error| panic!("{question}: {error}"));
    session.exp_eof().unwrap();
    assert!(matches!(session.process().wait().unwrap(), WaitStatus::Exited(_, 130)), "{question}");
}

#[test]
fn an_interrupt_at_any_question_changes_nothing() {
    let place = Place::new();
    let before = walk(place.tree.path());
    for last in 0..QUESTIONS.len() {
        let mut session = place.on_a_terminal();
        for question in &QUESTIONS[..last] {
            proposal(&mut session, question);
        }
        interrupted(session, QUESTIONS[last]);
        assert_same(&before, &walk(place.tree.path()), QUESTIONS[last]);
        assert!(!place.answers().exists(), "{}", QUESTIONS[last]);
    }
}

#[test]
fn the_proposals_make_one_plan_which_can_be_declined() {
    let place = Place::new();
    let before = walk(place.tree.path());
    let mut session = place.on_a_terminal();
    for question in QUESTIONS {
        proposal(&mut session, question);
    }
    let said = without_options(&session.exp_eof().unwrap());
    for line in [
        "then a reboot",
        "in a window on this host (VNC)",
        "win11.qcow2, 100 GiB",
        "$ vgapt disk create /var/lib/libvirt/images/win11.qcow2 100G",
        "$ vgapt prepare --install disk tpm --gpu 0000:01:00.0",
        "-- win11",
        "input     the window (VNC)",
        "$ vgapt start -- win11",
        "this is not the running host: nothing was changed",
    ] {
        assert!(said.contains(line), "no '{line}' in:\n{said}");
    }
    assert_same(&before, &walk(place.tree.path()), "a declined plan");
}

/// Options that answer every question.
const ALL: [&str; 16] = [
    "it",
    "--gpu",
    "01:00.0",
    "--os",
    "linux",
    "--disk",
    "/vm/it.qcow2",
    "--disk-size",
    "20G",
    "--cdrom",
    "/vm/it.iso",
    "--memory",
    "2G",
    "--cpus",
    "2",
    "--display=spice",
];

#[test]
fn nothing_is_asked_that_an_option_answers() {
    let place = Place::new();
    let said = place.asking(&ALL).exp_eof().unwrap();
    assert!(said.contains("The plan:") && said.contains("this is not the running host"), "{said}");
    let asked: Vec<&&str> = QUESTIONS.iter().filter(|question| said.contains(**question)).collect();
    assert!(asked.is_empty(), "{asked:?} in:\n{said}");
    for left_out in [3, 5, 7, 9, 11, 13, 15] {
        let options = if left_out == 15 { [&ALL[..15], &[]].concat() } else { [&ALL[..left_out], &ALL[left_out + 2..]].concat() };
        let question =
            ["Guest system", "Disk (an image", "Size of the new disk", "Installer", "Memory", "Processors (threads", "Keyboard and mouse"]
                [(left_out - 3) / 2];
        interrupted(place.asking(&options), question);
    }
}

#[test]
fn keyboard_and_mouse_can_be_switched() {
    let place = Place::new();
    let devices = place.tree.path().join("dev/input/by-id");
    std::fs::create_dir_all(&devices).unwrap();
    for name in ["usb-A-event-kbd", "usb-B-event-mouse", "usb-B-mouse"] {
        std::fs::write(devices.join(name), "").unwrap();
    }
    let options = &ALL[..15];
    let mut session = place.asking(options);
    proposal(&mut session, "Keyboard and mouse");
    interrupted(session, "Devices to switch");
    let mut session = place.asking(options);
    proposal(&mut session, "Keyboard and mouse");
    proposal(&mut session, "Devices to switch");
    let said = session.exp_eof().unwrap();
    assert!(said.contains("input     the host's devices, which both control keys switch between host and guest"), "{said}");
}

/// On a host with one card: hand the display over, or use the host over ssh.
#[test]
fn how_the_host_does_without_its_display_is_asked() {
    let home = TempDir::new().unwrap();
    let asking_with = |options: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vgapt"));
        command.args(["--root", "fixtures/hosts/b450m-gtx1660-svm-off.host", "--connect", "test:///default", "setup"]).args(&ALL[..1]);
        command.args(options).env("HOME", home.path()).env_remove("XDG_CONFIG_HOME").env("TERM", "xterm").env("NO_COLOR", "1");
        let mut session = spawn_command(command, Some(60_000)).unwrap();
        asked(&mut session, "Graphics card for the guest");
        let line = "10:00.0 NVIDIA TU116 [GeForce GTX 1660]: the host's only display (proposed)";
        session.exp_string(line).unwrap();
        session.send("\r").unwrap();
        session.flush().unwrap();
        session
    };
    let asking = || asking_with(&ALL[3..]);
    let question = "The host has no other display";
    interrupted(asking(), question);
    for (answer, option) in [("\r", "--gpu 0000:10:00.0 --bind start"), ("n", "--gpu 0000:10:00.0 --allow only-display")] {
        let mut session = asking();
        asked(&mut session, question);
        session.send(answer).unwrap();
        session.flush().unwrap();
        let said = session.exp_eof().unwrap();
        assert!(said.contains(option), "{answer}: no {option} in:\n{said}");
    }
    // Such a host shows no window while the guest runs.
    let mut session = asking_with(&ALL[3..15]);
    proposal(&mut session, question);
    asked(&mut session, "Keyboard and mouse");
    session.exp_string("a window on another machine, by ssh, which also shows the guest").unwrap();
}

/// A card without outputs: the window is proposed, and an answer of the file counts.
#[test]
fn a_card_without_outputs_gets_a_window_unless_the_answers_say_otherwise() {
    let home = TempDir::new().unwrap();
    let setup = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vgapt"));
        command.args(["--root", "fixtures/hosts/epyc-two-h100.host", "--connect", "test:///default", "setup", "it", "--dry-run"]);
        let output = command.args(arguments).env("HOME", home.path()).env_remove("XDG_CONFIG_HOME").output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    let said = setup(&["--gpu", "c1:00.0"]);
    assert!(said.contains("picture   in a window on this host") && said.contains("input     the window (VNC)"), "{said}");
    let answers = home.path().join("answers.toml");
    std::fs::write(&answers, "display = \"none\"\n").unwrap();
    let said = setup(&["--gpu", "c1:00.0", "--answers", answers.to_str().unwrap()]);
    assert!(said.contains("picture   nowhere: the card has no outputs") && said.contains("input     none"), "{said}");
}

/// Nobody allowed it, so setup does not, however it is run; and a name cannot lead out of the folder of the answers.
#[test]
fn the_only_display_is_taken_only_where_that_is_allowed() {
    let home = TempDir::new().unwrap();
    let setup = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vgapt"));
        command.args(["--root", "fixtures/hosts/b450m-gtx1660-svm-off.host", "--connect", "test:///default", "setup"]);
        let output = command.args(arguments).env("HOME", home.path()).env_remove("XDG_CONFIG_HOME").output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let card = ["it", "--gpu", "10:00.0", "--yes"];
    let (code, said) = setup(&card);
    assert!(code == Some(1) && said.contains("--allow only-display") && said.contains("cannot be set up"), "{said}");
    let (code, said) = setup(&[&card[..], &["--allow", "only-display"]].concat());
    assert!(code == Some(0) && said.contains("--gpu 0000:10:00.0 --allow only-display") && !said.contains("--force"), "{said}");
    assert_eq!(setup(&["../it", "--yes"]).0, Some(2));
}
