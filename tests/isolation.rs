//! CPUs that are isolated from the boot on: what `vgapt prepare --isolate` plans, refuses and undoes, and what `check` says of it.

#[path = "support/command.rs"]
mod command;
#[path = "support/libvirt.rs"]
#[expect(dead_code, reason = "the tree's helpers need it")]
mod libvirt;
#[path = "support/on.rs"]
mod on;
#[path = "support/tree.rs"]
mod tree;

use std::fs;
use std::path::Path;

use on::{on, put};
use serde_json::Value;
use tempfile::TempDir;
use tree::{assert_same, distribution, walk};

const CPUS: &str = "sys/devices/system/cpu";
const TOKENS: &str = "isolcpus=managed_irq,domain,2-3,6-7 irqaffinity=0-1,4-5 nohz_full=2-3,6-7";

/// Four cores of two threads: CPU 4 is the second thread of the first one.
fn host() -> TempDir {
    let tree = distribution("debian13-grub-initramfs-tools");
    let root = tree.path();
    for (name, text) in [("online", "0-7"), ("present", "0-7"), ("isolated", ""), ("nohz_full", "(null)")] {
        put(root, &format!("{CPUS}/{name}"), &format!("{text}\n"));
    }
    for cpu in 0..8 {
        put(root, &format!("{CPUS}/cpu{cpu}/topology/core_cpus_list"), &format!("{},{}\n", cpu % 4, cpu % 4 + 4));
    }
    tree
}

fn grub(root: &Path) -> String {
    fs::read_to_string(root.join("etc/default/grub")).unwrap()
}

/// The check about isolation: its state and what was seen.
fn check(root: &Path) -> Option<(String, String)> {
    let document: Value = serde_json::from_str(&on(root, &["--json", "check"]).stdout).unwrap();
    let check = document["checks"].as_array().unwrap().iter().find(|check| check["code"] == "isolation")?.clone();
    Some((check["state"].as_str().unwrap().to_owned(), check["seen"].as_str().unwrap().to_owned()))
}

#[test]
fn they_are_planned_and_undone() {
    let tree = host();
    let root = tree.path();
    let before = walk(root);
    let asked = ["prepare", "--isolate", "2-3,6-7", "--yes"];
    let costs = "it has 4 of 8 CPUs left, also while no guest runs";
    let said = on(root, &asked).with(0).stdout;
    assert!(said.contains(costs) && said.contains("no tick, timers and kernel threads of the host there"), "{said}");
    assert!(grub(root).contains(TOKENS), "{}", grub(root));
    on(root, &asked).with(0).saying(&["already up to date"]);
    // Kept where nothing is said of them; other CPUs replace them.
    on(root, &["prepare", "--yes"]).with(0);
    assert!(grub(root).contains(TOKENS), "{}", grub(root));
    on(root, &["prepare", "--isolate", "3,7", "--yes"]).with(0);
    let text = grub(root);
    assert!(text.contains("isolcpus=managed_irq,domain,3,7 irqaffinity=0-2,4-6 nohz_full=3,7") && !text.contains("2-3,6-7"), "{text}");
    on(root, &["undo", "--yes"]).with(0);
    assert_same(&before, &walk(root), "undone");
}

#[test]
fn what_the_host_needs_is_refused() {
    let tree = host();
    let root = tree.path();
    let before = walk(root);
    for (cpus, message, remedy) in [
        ("0-7", "the host needs the core of CPU 0 (0,4)", "use --isolate 1-3,5-7"),
        ("0,4", "the host needs the core of CPU 0 (0,4)", "name other CPUs"),
        ("4", "the host needs the core of CPU 0 (0,4)", "name other CPUs"),
        ("2-3,8-9", "the host has no CPU 8-9", "name some of 1-3,5-7"),
        ("", "--isolate names no CPU", "name some of 1-3,5-7"),
        ("2-3,6", "the host would keep CPU 7", "isolate whole cores: --isolate 2-3,6-7"),
    ] {
        on(root, &["prepare", "--isolate", cpus, "--yes"]).with(1).saying(&[message, remedy]);
    }
    fs::remove_file(root.join(CPUS).join("online")).unwrap();
    on(root, &["prepare", "--isolate", "2-3,6-7", "--yes"]).with(1).saying(&["the host's CPUs cannot be read"]);
    put(root, &format!("{CPUS}/online"), "0-7\n");
    assert_same(&before, &walk(root), "nothing was changed");
}

#[test]
fn a_kernel_without_nohz_full_is_told_apart_from_one_that_is_not_known() {
    let tree = host();
    let root = tree.path();
    fs::remove_file(root.join(CPUS).join("nohz_full")).unwrap();
    let asked = ["prepare", "--isolate", "2-3,6-7", "--dry-run"];
    let said = on(root, &asked).with(0).saying(&["this kernel is built without CONFIG_NO_HZ_FULL"]);
    assert!(!said.stdout.contains("nohz_full="), "{}", said.stdout);
    fs::remove_file(root.join(CPUS).join("isolated")).unwrap();
    let said = on(root, &asked).with(0).saying(&["it is unknown whether this kernel has CONFIG_NO_HZ_FULL"]);
    assert!(said.stdout.contains("nohz_full=2-3,6-7"), "{}", said.stdout);
}

#[test]
fn check_compares_the_kernel_with_its_command_line() {
    let tree = host();
    let root = tree.path();
    assert_eq!(check(root), None);
    on(root, &["prepare", "--isolate", "2-3,6-7", "--yes"]).with(0);
    let generated = root.join("boot/grub/grub.cfg");
    if generated.exists() {
        let menu = fs::read_to_string(&generated).unwrap();
        let menu: String = menu
            .lines()
            .map(|line| if line.trim_start().starts_with("linux") { format!("{line} {TOKENS}\n") } else { format!("{line}\n") })
            .collect();
        fs::write(&generated, menu).unwrap();
        let next = ("warning".to_owned(), "this boot isolates none, and the next one managed_irq,domain,2-3,6-7".to_owned());
        assert_eq!(check(root), Some(next));
    }
    let line = fs::read_to_string(root.join("proc/cmdline")).unwrap();
    put(root, "proc/cmdline", &format!("{} {TOKENS}\n", line.trim()));
    let wrong = "isolcpus names 2-3,6-7, and the kernel isolates none; nohz_full names 2-3,6-7, and the kernel stops the tick on none";
    assert_eq!(check(root), Some(("warning".to_owned(), wrong.to_owned())));
    put(root, &format!("{CPUS}/isolated"), "2-3,6-7\n");
    put(root, &format!("{CPUS}/nohz_full"), "2-3,6-7\n");
    assert_eq!(check(root), Some(("ok".to_owned(), "2-3,6-7; without a tick: 2-3,6-7".to_owned())));
    fs::remove_file(root.join(CPUS).join("nohz_full")).unwrap();
    let without = "nohz_full has no effect: this kernel is built without CONFIG_NO_HZ_FULL";
    assert_eq!(check(root), Some(("warning".to_owned(), without.to_owned())));
}
