//! The lab's harness reads the answer of a job whole, wherever it is cut on its way.

use std::process::Command;

#[test]
fn an_answer_cut_at_its_space_is_read_whole() {
    let script = r#"
        set -euo pipefail
        power=$(mktemp -d)
        trap 'rm -r "$power"' EXIT
        powered() { :; }
        alive() { :; }
        eval "$(sed -n '/^answer()/,/^}/p' tests/lab/lib/power.sh)"
        mkfifo "$power/lab.out"
        { exec 3<>"$power/lab.out"; printf '13 ' >&3; sleep 3; echo 0 >&3; sleep 1; } &
        answer 20
    "#;
    let output = Command::new("bash").args(["-c", script]).current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("bash runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "13 0\n");
}
