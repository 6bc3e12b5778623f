//! `vgapt setup`: what it asks, its plan, and that nothing is changed before the plan is accepted.

#[path = "support/tree.rs"]
mod tree;

use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

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
        Self { tree: distribution("debian13-grub-initramfs-tools"), home: TempDir::new().unwrap() }
    }

    fn setup(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vgapt"));
        command.args(["--root", self.tree.path().to_str().unwrap(), "--connect", "test:///default", "setup"]).args(arguments);
        command.env("HOME", self.home.path()).env_remove("XDG_CONFIG_HOME").env("TERM", "xterm").env("NO_COLOR", "1").env("COLUMNS", "120");
        command.current_dir(self.home.path());
        command
    }

    fn on_a_terminal(&self) -> PtySession {
        spawn_command(self.setup(&[]), Some(60_000)).unwrap()
    }

    fn answers(&self) -> PathBuf {
        self.home.path().join(".config/vgapt")
    }
}

/// The questions in their order; to each of them the proposal is a good answer.
const QUESTIONS: [&str; 9] = [
    "Graphics card for the guest",
    "Guest system",
    "Name of the domain",
    "Disk (an image",
    "Size of the new disk",
    "Installer",
    "CD with the virtio drivers",
    "Memory",
    "Processors (threads",
];

/// Waits for a question. A list takes keys once it is drawn.
fn asked(session: &mut PtySession, question: &str) {
    session.exp_string(question).unwrap_or_else(|error| panic!("{question}: {error}"));
    sleep(Duration::from_millis(200));
}

#[test]
fn an_interrupt_at_any_question_changes_nothing() {
    let place = Place::new();
    let before = walk(place.tree.path());
    for last in 0..QUESTIONS.len() {
        let mut session = place.on_a_terminal();
        for question in &QUESTIONS[..last] {
            asked(&mut session, question);
            session.send("\r").unwrap();
            session.flush().unwrap();
        }
        asked(&mut session, QUESTIONS[last]);
        session.send_control('c').unwrap();
        session.exp_string("nothing was changed").unwrap_or_else(|error| panic!("{}: {error}", QUESTIONS[last]));
        session.exp_eof().unwrap();
        assert!(matches!(session.process().wait().unwrap(), WaitStatus::Exited(_, 130)), "{}", QUESTIONS[last]);
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
        asked(&mut session, question);
        session.send("\r").unwrap();
        session.flush().unwrap();
    }
    let said = session.exp_eof().unwrap();
    for line in [
        "then a reboot",
        "win11.qcow2, new, 100G",
        "$ vgapt disk create /var/lib/libvirt/images/win11.qcow2 100G",
        "$ vgapt prepare --install --gpu 0000:01:00.0",
        "-- win11",
        "$ vgapt start -- win11",
        "this is not the running host: nothing was changed",
    ] {
        assert!(said.contains(line), "no '{line}' in:\n{said}");
    }
    assert_same(&before, &walk(place.tree.path()), "a declined plan");
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
