//! Waiting for a guest and watching a domain, on libvirt's test driver, where every agent answers. One
//! that does not is in `tests/qemu_driver/life_cycle.rs`.

#[path = "support/command.rs"]
#[expect(dead_code, reason = "the host is known to libvirt alone")]
mod command;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use command::{Ran, run, vgapt};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

const NODE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/node/gtx960.xml");
const AGENT: &str = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>";
const NETWORK: &str = "<interface type='network'><mac address='52:54:00:00:00:01'/><source network='lan'/></interface>";

/// A host whose domain `guest` is off and has these devices.
struct Host {
    _folder: TempDir,
    uri: String,
}

impl Host {
    fn with(devices: &str) -> Self {
        // Off, as `virDomainState` counts.
        Self::in_state(devices, 5)
    }

    fn in_state(devices: &str, state: u32) -> Self {
        let folder = TempDir::new().unwrap();
        let node = folder.path().join("node.xml");
        let guest = format!(
            "<domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'><name>guest</name><memory>65536</memory>\
             <os><type>hvm</type></os><devices>{devices}</devices><test:runstate>{state}</test:runstate></domain>"
        );
        let network = "<network><name>lan</name><bridge name='virbr7'/><ip address='192.168.7.1' netmask='255.255.255.0'>\
             <dhcp><range start='192.168.7.2' end='192.168.7.9'/></dhcp></ip></network>";
        let text = fs::read_to_string(NODE).unwrap();
        fs::write(&node, text.replace("</node>", &format!("{network}{guest}</node>"))).unwrap();
        Self { uri: format!("test://{}", node.display()), _folder: folder }
    }

    fn vgapt(&self, arguments: &[&str]) -> Ran {
        run(&mut vgapt(["-c", &self.uri].iter().chain(arguments)))
    }
}

#[test]
fn what_shows_nothing_is_not_waited_for() {
    let host = Host::with("<interface type='user'/>");
    let ran = host.vgapt(&["start", "guest", "--wait"]).with(0);
    ran.saying(&["'guest' is started", "waiting for the guest", "whether its guest is up is unknown"]);
    host.vgapt(&["start", "guest", "--timeout", "1"]).with(2);
    host.vgapt(&["start", "guest", "--wait", "--paused"]).with(2);
}

#[test]
fn an_agent_that_answers_is_enough() {
    Host::with(AGENT).vgapt(&["start", "guest", "--wait", "--timeout", "9"]).with(0).saying(&["'guest' is up: its agent answers"]);
}

/// libvirt knows the address of the last run before the guest has one.
#[test]
fn an_old_address_tells_nothing() {
    let host = Host::with(NETWORK);
    let addresses = run(command::command("sh").args(["-c", "virsh -q -c $0 'start guest; domifaddr guest'", &host.uri])).with(0);
    assert!(addresses.stdout.contains("192.168.7."), "{}", addresses.stdout);
    host.vgapt(&["start", "guest", "--wait"]).with(0).saying(&["whether its guest is up is unknown"]);
}

#[test]
fn progress_is_for_people() {
    let host = Host::with("<interface type='user'/>");
    assert_eq!(host.vgapt(&["-q", "start", "guest", "--wait"]).with(0).stderr, "");
    assert!(!host.vgapt(&["--json", "start", "guest", "--wait"]).with(0).stderr.contains("waiting"));
}

const DISKS: &str = "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/images/a.qcow2'/><target dev='vda' bus='virtio'/></disk>\
     <disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk>";

#[test]
fn status_tells_what_is_known() {
    let running = Host::in_state(&[NETWORK, DISKS].concat(), 1);
    let said = running.vgapt(&["status", "guest"]).with(0).stdout;
    for line in [
        "guest: running, since when is unknown",
        "  memory      64 MiB",
        "  processors  1, not pinned",
        "  disk        vda /images/a.qcow2 (disk, qcow2)",
        "  disk        sda empty (cdrom)",
        "  agent       none: the domain has no channel for it",
    ] {
        assert!(said.lines().any(|one| one == line), "{line}:\n{said}");
    }
    // The test driver gives the addresses of the network in turn, and has another answer from an agent.
    assert!(said.contains("  address     192.168.7.") && said.contains(" (lease)"), "{said}");
    assert!(said.ends_with(&format!("next: vgapt -c {} stop guest   (when the guest is no longer needed)\n", running.uri)), "{said}");
    let value: Value = serde_json::from_str(&running.vgapt(&["--json", "status", "guest"]).with(0).stdout).unwrap();
    assert_eq!((value["memory"].as_u64(), value["since"].as_u64(), value["agent"].as_str()), (Some(64 << 20), None, Some("no-channel")));
    assert_eq!((value["addresses"][0]["source"].as_str(), value["disks"][0]["format"].as_str()), (Some("lease"), Some("qcow2")), "{value}");

    let off = Host::with(AGENT);
    let said = off.vgapt(&["status", "guest"]).with(0).stdout;
    assert!(said.contains("guest: shut off\n") && said.contains("  agent       not connected\n") && !said.contains("address"), "{said}");
    assert!(said.ends_with(&format!("next: vgapt -c {} start guest   (it is defined, and shut off)\n", off.uri)), "{said}");
    // All domains: guest, and the two of the fixture.
    let all = off.vgapt(&["status"]).with(0).stdout;
    assert!(
        all.lines().any(|line| line == "guest  shut off  64 MiB  1     none")
            && all.lines().all(|line| line.starts_with("next: ") || line.chars().count() <= 80),
        "{all}"
    );
    off.vgapt(&["status", "--watch"]).with(2);
}

/// The lines until Ctrl-C, of which the first is waited for; and the exit code.
fn watched(arguments: &[&str]) -> (Vec<String>, Option<i32>) {
    let mut child = vgapt(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let first = lines.next().unwrap();
    // Long enough to look again.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let all = std::iter::once(first).chain(lines).collect();
    (all, child.wait().unwrap().code())
}

#[test]
fn watching_says_each_change_once_and_ends_clean() {
    let host = Host::with("<interface type='user'/>");
    let (lines, code) = watched(&["-c", &host.uri, "status", "guest", "--watch"]);
    assert_eq!((lines, code), (vec!["guest: shut off".to_owned()], Some(130)));
    let (lines, code) = watched(&["-c", &host.uri, "--json", "status", "off", "--watch"]);
    let [line] = &lines[..] else { panic!("{lines:?}") };
    let seen: Value = serde_json::from_str(line).unwrap();
    assert_eq!((seen["state"].as_str(), seen["autostart"].as_bool(), code), (Some("shut-off"), Some(false), Some(130)));
    assert_eq!(seen["devices"].as_array().unwrap().len(), 2, "{line}");
}

#[test]
fn watching_a_domain_that_is_not_there_fails() {
    Host::with("").vgapt(&["status", "nosuch", "--watch"]).with(3).saying(&["no domain 'nosuch'"]);
}
