//! What `vgapt why` says of logs: those of public reports, rebuilt in fixtures/failures, and of what cannot be read.

#[path = "support/command.rs"]
#[expect(dead_code, reason = "not all of it is used here")]
mod command;
#[path = "support/libvirt.rs"]
#[expect(dead_code, reason = "only what tells of missing programs is used here")]
mod libvirt;

use std::fs;
use std::io::Write as _;

use command::{Ran, run, vgapt};
use serde_json::Value;

const FAILURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/failures");

/// `# cause: CODE` of a fixture.
fn said<'t>(text: &'t str, key: &str) -> &'t str {
    text.lines().find_map(|line| line.strip_prefix(&format!("# {key}: "))).unwrap_or_else(|| panic!("no {key}: {text}"))
}

fn why(root: &str, more: &[&str]) -> Ran {
    run(&mut vgapt(["--root", root, "why", "guest"].iter().chain(more)))
}

fn json(root: &str) -> Value {
    let ran = why(root, &["--json"]);
    serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{root}: {}{}", ran.stdout, ran.stderr))
}

#[test]
fn each_report_has_its_cause_and_no_other() {
    let (mut reports, mut wrong) = (0, Vec::new());
    for entry in fs::read_dir(FAILURES).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let answer = json(path.to_str().unwrap());
        let code = answer["causes"][0]["code"].as_str().unwrap_or("none");
        let happened = answer["happened"].as_str().unwrap_or_default();
        if (code, happened) != (said(&text, "cause"), said(&text, "happened")) {
            wrong.push(format!("{}: {code}, {happened}", path.display()));
        }
        reports += usize::from(!said(&text, "report").starts_with("none"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(reports >= 85, "{reports} reports");
}

/// A log of the line that names the cause, where it stands before and after the last start, names nothing.
#[test]
fn a_line_of_another_start_is_no_cause() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_str().unwrap();
    let log = folder.path().join("var/log/libvirt/qemu/guest.log");
    fs::create_dir_all(log.parent().unwrap()).unwrap();
    let start = |time: &str| format!("2026-05-04 {time}.000+0000: starting up libvirt version: 11\nA=1 \\\n/usr/bin/qemu-system-x86_64\n");
    let failure = "2026-05-04T10:00:01.000000Z qemu-system-x86_64: unable to map backing store for guest RAM: Cannot allocate memory\n";
    let end = |time: &str, why: &str| format!("2026-05-04 {time}.000+0000: shutting down, reason={why}\n");
    let failed = format!("{}{failure}{}", start("10:00:00"), end("10:00:02", "failed"));
    let kernel = |time: &str| {
        format!("2026-05-04T{time}.000000+00:00 host kernel: [ 1.0] vfio-pci 0000:0b:00.0: not ready 65535ms after FLR; giving up\n")
    };
    let causes = |text: &str, kernel: &str| {
        fs::write(&log, text).unwrap();
        fs::write(folder.path().join("var/log/kern.log"), kernel).unwrap();
        let answer = json(root);
        answer["causes"].as_array().unwrap().iter().map(|cause| cause["code"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(causes(&failed, ""), ["hugepages-short"]);
    assert_eq!(causes(&failed, &kernel("10:00:01")), ["hugepages-short", "log-not-ready"]);
    // The zone of a line counts: this is 10:00:01 in the log of a host that is two hours ahead.
    assert_eq!(causes(&failed, &kernel("12:00:01").replace("+00:00", "+02:00")), ["hugepages-short", "log-not-ready"]);
    for other in ["09:59:00", "10:05:00", "12:00:01"] {
        assert_eq!(causes(&failed, &kernel(other)), ["hugepages-short"], "{other}");
    }
    // What has been rotated since, packed or not, numbered or with a date.
    let logs = folder.path().join("var/log");
    let packed = |text: &str| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(text.as_bytes()).unwrap();
        packed.finish().unwrap()
    };
    for (name, bytes) in [
        ("kern.log.1", kernel("10:00:01").into_bytes()),
        ("kern.log.1.gz", packed(&kernel("10:00:01"))),
        ("kern.log-20260503", kernel("10:00:01").into_bytes()),
        ("kern.log-20260503.gz", packed(&kernel("10:00:01"))),
    ] {
        fs::write(logs.join(name), bytes).unwrap();
        assert_eq!(causes(&failed, &kernel("12:00:01")), ["hugepages-short", "log-not-ready"], "{name}");
        fs::remove_file(logs.join(name)).unwrap();
    }
    // One that cannot be unpacked is unknown, not absent.
    for (name, because) in
        [("kern.log.1.xz", "packed in a way that vgapt does not read"), ("kern.log.1.gz", "cannot read /var/log/kern.log.1.gz")]
    {
        fs::write(logs.join(name), b"\x1f\x8bx").unwrap();
        fs::write(&log, format!("{}x\n{}", start("10:00:00"), end("10:00:02", "failed"))).unwrap();
        let answer = json(root);
        assert!(answer["findings"].to_string().contains(because), "{answer:#}");
        fs::remove_file(logs.join(name)).unwrap();
    }
    let unknown = format!("{failed}{}x\n{}", start("11:00:00"), end("11:00:02", "failed"));
    assert_eq!(causes(&unknown, &kernel("10:00:01")), [""; 0]);
    let ran = why(root, &[]).with(0);
    assert!(
        ran.stdout.contains("cause: unknown") && ran.stdout.contains("    x\n") && ran.stdout.contains("vgapt capture"),
        "{}",
        ran.stdout
    );
    let well = format!("{failed}{}{}", start("11:00:00"), end("12:00:02", "shutdown"));
    assert_eq!(causes(&well, &kernel("11:30:00")), [""; 0]);
    let ran = why(root, &[]).with(0);
    assert!(ran.stdout.starts_with("guest: no failure: the guest shut itself down at 2026-05-04 12:00:02 UTC\n"), "{}", ran.stdout);
}

#[test]
fn a_log_that_is_not_there_is_said_and_not_to_be_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_str().unwrap();
    let ran = why(root, &[]).with(1);
    let text = format!("{}{}", ran.stdout, ran.stderr);
    for part in [
        "no log names a start",
        "/var/log/libvirt/qemu/guest.log, was not read",
        "sudo less /var/log/",
        "on the host itself",
        "journalctl",
        "dmesg",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains(" why guest"), "the command that just ran: {text}");
    // A folder in its place cannot be read: that is no absence.
    fs::create_dir_all(folder.path().join("var/log/libvirt/qemu/guest.log")).unwrap();
    let answer = json(root);
    assert!(answer["findings"][0]["message"].as_str().unwrap().contains("cannot read"), "{answer}");
    assert_eq!(answer["happened"], "unknown");
    assert!(why(root, &[]).with(1).stdout.starts_with("guest: whether it was started is unknown\n"));
    assert_eq!(answer["outcome"], "incomplete");
}

#[test]
fn what_is_printed_is_short_and_has_the_remedy() {
    let ran = why(&format!("{FAILURES}/group-not-viable.host"), &[]).with(0);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines[0], "guest: the start of 2026-05-04 10:15:30 UTC failed");
    assert_eq!(lines[1], "cause: another device of the card's IOMMU group 21 is used by a driver of the host");
    assert!(
        lines[3].starts_with("  remedy: see what is in the group, and which driver has it: vgapt --root ")
            && lines[3].contains(".host list --groups; pass all of it")
            && lines.len() == 4,
        "{}",
        ran.stdout
    );
    // A command is one, and stands apart from the words.
    let answer = json(&format!("{FAILURES}/network-off.host"));
    let cause = &answer["causes"][0];
    assert_eq!(cause["command"], "virsh net-start default", "{cause:#}");
    assert_eq!(cause["remedy"], "at each boot: virsh net-autostart default", "{cause:#}");
}

/// A tree with the logs of the domain and of the daemon.
fn tree(domain: &str, syslog: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("var/log/libvirt/qemu");
    fs::create_dir_all(&logs).unwrap();
    fs::write(logs.join("guest.log"), domain).unwrap();
    fs::write(folder.path().join("var/log/syslog"), syslog).unwrap();
    folder
}

const START: &str = "2026-05-04 10:00:00.000+0000: starting up libvirt version: 11\nA=1 \\\n/usr/bin/qemu-system-x86_64\n";
const FAILURE: &str = "2026-05-04T10:00:01.000000Z qemu-system-x86_64: unable to map backing store for guest RAM: Cannot allocate memory\n";
const FAILED: &str = "2026-05-04 10:00:02.000+0000: shutting down, reason=failed\n";
const SHUT_DOWN: &str = "2026-05-04 10:00:02.000+0000: shutting down, reason=shutdown\n";

/// Not all reasons are known: that the last run ended well says nothing of a start that libvirt has refused since.
#[test]
fn a_start_that_was_refused_for_an_unknown_reason_is_not_no_failure() {
    let said = |time: &str, message: &str| format!("2026-05-04T{time}.000000+00:00 host libvirtd[9]: {message}\n");
    let of = |syslog: &str| {
        let folder = tree(&format!("{START}{SHUT_DOWN}"), syslog);
        let root = folder.path().to_str().unwrap();
        (why(root, &[]).with(0).stdout, json(root))
    };
    let by_the_way = said("11:00:00", "libvirt version: 11") + &said("11:00:01", "End of file while reading data: Input/output error");
    for quiet in [String::new(), by_the_way.clone(), said("09:00:00", "operation failed: before the last run")] {
        let (text, answer) = of(&quiet);
        assert!(text.contains("no failure") && answer["excerpt"] == serde_json::json!([]), "{quiet}: {text}{answer}");
    }
    let (text, answer) = of(&(by_the_way + &said("11:00:02", "operation failed: something new")));
    assert!(!text.contains("no failure") && text.contains("    operation failed: something new\n"), "{text}");
    assert_eq!(answer["excerpt"][0]["lines"], serde_json::json!(["operation failed: something new"]));
    // Nor is the reason of an earlier failure that of the last start.
    let folder = tree(&format!("{START}{FAILURE}{FAILED}"), &said("11:00:00", "operation failed: something new"));
    let answer = json(folder.path().to_str().unwrap());
    let since = &answer["excerpt"][0]["lines"][0];
    assert!(answer["causes"][0]["code"] == "hugepages-short" && since == "operation failed: something new", "{answer}");
    let autostart = |name: &str| said("11:00:02", &format!("internal error: Failed to autostart VM '{name}': something new"));
    assert_eq!(of(&autostart("guest")).1["happened"], "start-failed");
    assert_eq!(of(&autostart("guest2")).1["happened"], "shut-down");
}

#[test]
fn the_end_of_a_long_log_is_read() {
    let noise = format!("2026-05-04T10:00:00.500000Z qemu-system-x86_64: {}\n", "x".repeat(4000)).repeat(4400);
    let codes = |answer: &Value| answer["causes"].as_array().unwrap().iter().map(|cause| cause["code"].clone()).collect::<Vec<_>>();
    let of = |domain: &str| {
        let folder = tree(domain, "");
        let answer = json(folder.path().to_str().unwrap());
        (answer["happened"].clone(), answer["started"].is_null(), codes(&answer), answer["findings"][0]["message"].to_string())
    };
    let (happened, _, causes, finding) = of(&format!("{noise}{START}{FAILURE}{FAILED}"));
    assert!(happened == "start-failed" && causes == ["hugepages-short"] && !finding.contains("only its end"), "{finding}");
    // Its beginning is missing: that is said, and no time is made up.
    let (happened, no_start, causes, finding) = of(&format!("{START}{noise}{FAILURE}{FAILED}"));
    assert!(happened == "start-failed" && no_start && causes == ["hugepages-short"], "{happened} {causes:?}");
    assert!(finding.contains("was not read whole") && finding.contains("only its end"), "{finding}");
    assert_eq!(of(FAILED).0, "start-failed");
}

/// Times without a year and a zone: which of the lines are of this start is unknown, so the log was not read.
#[test]
fn a_log_without_the_year_is_not_taken_for_one_without_causes() {
    let folder = tree(&format!("{START}x\n{FAILED}"), "May  4 10:00:01 host libvirtd[9]: network 'default' is not active\n");
    let answer = json(folder.path().to_str().unwrap());
    assert_eq!(answer["causes"], serde_json::json!([]));
    let messages = answer["findings"].to_string();
    assert!(messages.contains("the log of libvirt's daemon was not read whole") && messages.contains("the year"), "{messages}");
}

/// A libvirt that writes German, whose catalogs msgfmt makes here: the line is found, and shown as it is with its English.
#[test]
fn messages_of_a_libvirt_in_another_language() {
    if !libvirt::have("messages in another language", &["msgfmt"]) {
        return;
    }
    let syslog = |text: &str| format!("2026-05-04T11:00:00.250000+00:00 host libvirtd[1207]: {text}\n");
    for (message, code, remedy) in [
        ("Anforderung fehlgeschlagen: Netzwerk »default« ist nicht aktiv", "network-off", "virsh net-start default"),
        (
            "Auf Speicherdatei »/vm/win.qcow2« (als uid:64055, gid:108) kann nicht zugegriffen werden: Datei oder Verzeichnis nicht gefunden",
            "disk-missing",
            "",
        ),
    ] {
        let folder = tree(&format!("{START}{SHUT_DOWN}"), &syslog(message));
        let root = folder.path();
        // Without the catalogs it is unknown, and shown.
        let answer = json(root.to_str().unwrap());
        assert_eq!(answer["causes"].as_array().map(Vec::len), Some(0), "{answer:#}");
        assert!(answer["excerpt"].to_string().contains(message), "{answer:#}");
        fs::create_dir_all(root.join("etc/default")).unwrap();
        fs::write(root.join("etc/default/locale"), "LANG=\"de_DE.UTF-8\"\n").unwrap();
        let catalogs = root.join("usr/share/locale/de/LC_MESSAGES");
        fs::create_dir_all(&catalogs).unwrap();
        let head = "msgid \"\"\nmsgstr \"Content-Type: text/plain; charset=UTF-8\\n\"\n";
        let of_libvirt = "#, c-format\nmsgid \"network '%1$s' is not active\"\nmsgstr \"Netzwerk »%1$s« ist nicht aktiv\"\n\
            #, c-format\nmsgid \"Cannot access storage file '%1$s' (as uid:%2$u, gid:%3$u)\"\n\
            msgstr \"Auf Speicherdatei »%1$s« (als uid:%2$u, gid:%3$u) kann nicht zugegriffen werden\"\n";
        let of_system = "msgid \"No such file or directory\"\nmsgstr \"Datei oder Verzeichnis nicht gefunden\"\n";
        for (program, text) in [("libvirt", of_libvirt), ("libc", of_system)] {
            let source = root.join(format!("{program}.po"));
            fs::write(&source, format!("{head}\n{text}")).unwrap();
            let made = catalogs.join(format!("{program}.mo"));
            run(command::command("msgfmt").args(["--check", "-o", made.to_str().unwrap(), source.to_str().unwrap()])).with(0);
        }
        let answer = json(root.to_str().unwrap());
        let cause = &answer["causes"][0];
        assert_eq!(cause["code"], code, "{answer:#}");
        assert!(cause["line"].as_str().unwrap().starts_with(message), "{cause:#}");
        assert!(remedy.is_empty() || cause["command"] == remedy, "{cause:#}");
    }
}
