//! virt-manager opens every page of a domain's details without a complaint, and changes nothing by looking.
//! The packages that it takes are for a desktop, so tests/setup installs them only for `.ci/run`.

use std::fs;

use super::command::{command, run};
use super::libvirt::{Libvirt, have};
use super::{DAEMON, words};

/// Opens the details, clicks on each line of the list of hardware, and takes a picture of the last page.
/// The list begins at 92 pixels and has a line each 26, with the theme that comes with GTK.
const LOOK: &str = r#"
virt-manager -c "$1" --show-domain-editor win10 --no-fork --debug >"$2/log" 2>&1 &
until xdotool search --onlyvisible --name '^win10 on ' >/dev/null 2>&1; do
    kill -0 $! || exit
    sleep 0.5
done
sleep 3
for line in $(seq 0 "$3"); do
    xdotool mousemove 100 $((92 + 26 * line)) click 1
    sleep 0.5
done
import -window root "$2/page.png"
kill $!
"#;

#[test]
fn the_details_open_without_a_complaint() {
    let programs = ["virt-manager", "dbus-run-session", "xvfb-run", "xdotool", "import"];
    if !have("virt-manager's view of a domain", &[&DAEMON[..], &programs].concat()) {
        return;
    }
    let libvirt = Libvirt::daemon();
    let options = "win10 --gpu 01:00.0 --memory 2G --cpus 4 --evdev /dev/input/by-id/a-event-kbd --looking-glass 1920x1080 --share /srv";
    libvirt.define_new(&words(options, &["--disk", "/vm/win10.qcow2", "--force"])).with(0);
    let before = libvirt.xml("win10");
    let place = libvirt.path("manager");
    fs::create_dir(&place).unwrap();
    // Overview to the shared folder, which is the last.
    let look = ["--", "xvfb-run", "-a", "-s", "-screen 0 1280x1024x24", "sh", "-c", LOOK, "look", &libvirt.uri, &place, "26"];
    run(command("dbus-run-session").env("HOME", &place).args(look)).with(0);
    let log = fs::read_to_string(format!("{place}/log")).unwrap();
    let complaints: Vec<&str> =
        log.lines().filter(|line| ["ERROR", "WARNING", "Traceback", "CRITICAL"].iter().any(|word| line.contains(word))).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
    assert_eq!(libvirt.xml("win10"), before);
    fs::copy(format!("{place}/page.png"), concat!(env!("CARGO_TARGET_TMPDIR"), "/virt-manager.png")).unwrap();
}
