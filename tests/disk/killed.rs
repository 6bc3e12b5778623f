//! Killed at any moment: sources are as they were, and a target is whole or not there.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::command::run;
use super::images::Images;
use super::libvirt::have;
use super::recipes::TOOLS;

pub(super) const TIMES: u32 = 20;

/// MiB of content; `VGAPT_TEST_MIB` makes it more.
fn mib() -> u32 {
    std::env::var("VGAPT_TEST_MIB").ok().and_then(|mib| mib.parse().ok()).unwrap_or(64)
}

/// Starts it as the leader of a group of processes.
pub(super) fn start(images: &Images, arguments: &[&str]) -> Child {
    let own = images.command(arguments);
    // Without `timeout`, which makes a group of its own.
    let words: Vec<_> = own.get_args().skip_while(|word| !word.to_string_lossy().ends_with("/vgapt")).collect();
    let mut command = Command::new(words[0]);
    for (name, value) in own.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.args(&words[1..]).current_dir(images.directory.path()).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn kill(signal: &str, whom: &str) {
    // It may be through by now.
    let _ = Command::new("kill").args([signal, "--", whom]).stderr(Stdio::null()).status().unwrap();
}

/// Moments spread over somewhat more than the whole, not alike from run to run.
pub(super) fn moment(round: u32, whole: Duration) -> Duration {
    let odd = std::process::id().wrapping_mul(2_654_435_761).wrapping_add(round.wrapping_mul(40503)) % 1000;
    whole.mul_f64((f64::from(round) + f64::from(odd) / 1000.0) / f64::from(TIMES) * 1.1)
}

/// How it was killed: every process at once, or only vgapt, whose tool then goes on.
pub(super) fn kill_one_way_or_the_other(round: u32, mut child: Child) {
    let group = child.id().to_string();
    kill("-9", &if round % 3 == 2 { group.clone() } else { format!("-{group}") });
    child.wait().unwrap();
    // What is left of the group comes to its end.
    let deadline = Instant::now() + Duration::from_secs(60);
    while Command::new("kill").args(["-0", "--", &format!("-{group}")]).stderr(Stdio::null()).status().unwrap().success() {
        assert!(Instant::now() < deadline, "a tool does not end");
        sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_merged_copy_is_whole_or_not_there() {
    if !have("killed recipes", &TOOLS) {
        return;
    }
    let images = Images::new(mib());
    let before = (images.hash("base.qcow2"), images.hash("base.qcow2.diff"));
    let since = Instant::now();
    images.vgapt(&["merge", "base.qcow2.diff", "whole.qcow2"]).with(0);
    let whole = since.elapsed();
    let mut there = 0;
    for round in 0..TIMES {
        // A VMDK goes the other way, through a directory beside the target.
        let arguments = ["merge", "base.qcow2.diff", "m", "--format", if round % 4 == 3 { "vmdk" } else { "qcow2" }];
        let child = start(&images, &arguments);
        sleep(moment(round, whole));
        kill_one_way_or_the_other(round, child);
        if images.path("m").exists() {
            images.same("m", "whole.qcow2");
            fs::remove_file(images.path("m")).unwrap();
            there += 1;
        }
        assert_eq!((images.hash("base.qcow2"), images.hash("base.qcow2.diff")), before);
    }
    assert!(there < TIMES, "no kill came in time");
    // The next run takes away what was left, and names it.
    let left: Vec<String> = images.names().into_iter().filter(|name| name.starts_with(".m.vgapt-")).collect();
    let ran = images.vgapt(&["merge", "base.qcow2.diff", "m"]).with(0);
    ran.saying(&left.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(images.names(), ["base.qcow2", "base.qcow2.diff", "m", "whole.qcow2"]);
}

#[test]
fn a_commit_that_is_cut_off_is_whole_through_the_overlay_and_is_finished_by_the_next() {
    if !have("killed recipes", &TOOLS) {
        return;
    }
    let images = Images::new(mib());
    images.vgapt(&["merge", "base.qcow2.diff", "whole"]).with(0);
    let names = ["base.qcow2", "base.qcow2.diff"];
    for name in names {
        fs::copy(images.path(name), images.path(&format!("{name}.kept"))).unwrap();
    }
    let anew = || names.map(|name| fs::copy(images.path(&format!("{name}.kept")), images.path(name)).unwrap());
    // The kept overlay lies on the same base, and would rightly be counted.
    let aside = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let hide = |hidden: bool| {
        let (kept, away) = (images.path("base.qcow2.diff.kept"), aside.path().join("kept"));
        if hidden { fs::rename(kept, away) } else { fs::rename(away, kept) }.unwrap();
    };
    hide(true);
    let since = Instant::now();
    images.vgapt(&["commit", "base.qcow2.diff"]).with(0);
    let all = since.elapsed();
    let mut cut = 0;
    for round in 0..TIMES {
        hide(false);
        anew();
        hide(true);
        let child = start(&images, &["commit", "base.qcow2.diff"]);
        sleep(moment(round, all));
        kill_one_way_or_the_other(round, child);
        images.sound("base.qcow2");
        images.sound("base.qcow2.diff");
        images.same("whole", "base.qcow2.diff");
        let through = super::command::command("qemu-img");
        cut += u32::from(!is_same(through, &images));
        images.vgapt(&["commit", "base.qcow2.diff"]).with(0);
        images.same("whole", "base.qcow2");
        images.same("whole", "base.qcow2.diff");
    }
    assert!(cut > 0, "no kill came in time");
}

/// Killed while the overlay was emptied, which leaves its refcounts unwritten: QEMU rebuilds them on the next commit.
#[test]
fn a_commit_after_one_that_was_killed_while_it_emptied_the_overlay() {
    if !have("killed recipes", &TOOLS) {
        return;
    }
    let images = Images::new(1);
    images.vgapt(&["merge", "base.qcow2.diff", "whole"]).with(0);
    // docs/interop/qcow2: the refcount table's offset is at byte 48, the dirty bit is bit 0 of the 8 bytes at 72.
    let overlay = images.path("base.qcow2.diff");
    let mut bytes = fs::read(&overlay).unwrap();
    let number = |bytes: &[u8], at: usize| usize::try_from(u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap())).unwrap();
    let block = number(&bytes, number(&bytes, 48));
    bytes[block..block + (64 << 10)].fill(0);
    bytes[79] |= 1;
    fs::write(&overlay, bytes).unwrap();
    images.vgapt(&["commit", "base.qcow2.diff"]).with(0).saying(&["is empty, and can still be used"]);
    for name in ["base.qcow2", "base.qcow2.diff"] {
        images.same("whole", name);
        images.tool(&["qemu-img", "check", "-q", name]);
    }
}

fn is_same(mut compare: Command, images: &Images) -> bool {
    let compare = compare.args(["compare", "-q", "whole", "base.qcow2"]).current_dir(images.directory.path());
    run(compare).code() == Some(0)
}

#[test]
fn ctrl_c_ends_it_cleanly() {
    if !have("killed recipes", &TOOLS) {
        return;
    }
    let mut images = Images::new(1);
    // Writes half of it and then takes its time.
    images.stand_in(
        "qemu-img",
        "[ \"$1\" != convert ] || { echo half > \"${@: -1}\"; echo '    (50.00/100%)'; touch begun; sleep 60; }\nexec /usr/bin/qemu-img \"$@\"",
    );
    for (signal, format) in [("-INT", "qcow2"), ("-TERM", "vmdk"), ("-HUP", "qcow2")] {
        let child = start(&images, &["merge", "base.qcow2.diff", "m", "--format", format]);
        let deadline = Instant::now() + Duration::from_secs(60);
        while !images.path("begun").exists() {
            assert!(Instant::now() < deadline, "it does not begin");
            sleep(Duration::from_millis(10));
        }
        kill(signal, &child.id().to_string());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(130), "{said}");
        assert!(said.contains("interrupted: the sources are unchanged, and no new disk was created"), "{said}");
        fs::remove_file(images.path("begun")).unwrap();
        assert_eq!(images.names(), ["base.qcow2", "base.qcow2.diff"]);
    }
}
