//! What people see: text on a terminal is as wide as that, says what it says elsewhere, and the picture of the cores
//! says what their text says.

#[path = "support/tree.rs"]
mod tree;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use rexpect::session::{PtySession, spawn_command};
use tempfile::TempDir;
use tree::{assert_same, distribution, walk};

/// What starts a line that is only a command, which stays whole so that it can be copied.
const PROGRAMS: [&str; 5] = ["$ ", "vgapt ", "virt-xml ", "virsh ", "echo "];

fn machines(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path().display().to_string());
    let mut files: Vec<String> = entries.filter(|file| file.ends_with(".host")).collect();
    files.sort();
    files
}

fn vgapt(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vgapt"));
    command.args(arguments).env("TERM", "xterm").env("NO_COLOR", "1").env("LIBVIRT_DEFAULT_URI", "test:///default").env("LC_ALL", "C");
    command
}

fn on_a_terminal(columns: usize, arguments: &[&str]) -> PtySession {
    let mut command = vgapt(arguments);
    command.env("COLUMNS", columns.to_string());
    spawn_command(command, Some(60_000)).unwrap()
}

fn screen(columns: usize, arguments: &[&str]) -> String {
    // rexpect makes a character of each byte.
    let bytes = on_a_terminal(columns, arguments).exp_eof().unwrap().chars().map(|byte| u8::try_from(u32::from(byte)).unwrap()).collect();
    String::from_utf8(bytes).unwrap().replace("\r\n", "\n")
}

/// The same where the output is not a terminal.
fn piped(arguments: &[&str]) -> String {
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$@\" 2>&1", "sh", env!("CARGO_BIN_EXE_vgapt")]).args(arguments);
    shell.env("LIBVIRT_DEFAULT_URI", "test:///default").env("COLUMNS", "40").env("LC_ALL", "C");
    String::from_utf8(shell.output().unwrap().stdout).unwrap()
}

/// A line that may be wider: one word, one command, or a line of a file.
fn is_whole(line: &str) -> bool {
    let is_of_a_file = ["    +", "    -", "     ", "    @@"].iter().any(|start| line.starts_with(start));
    let bare = line.trim();
    !bare.contains(' ') || PROGRAMS.iter().any(|program| bare.starts_with(program)) || is_of_a_file
}

/// No line is wider than the terminal, no word is lost or broken, and no command either.
fn assert_fits(columns: usize, arguments: &[&str]) {
    let (seen, all) = (screen(columns, arguments), piped(arguments));
    let wide = seen.lines().find(|line| unicode_width::UnicodeWidthStr::width(*line) > columns && !is_whole(line));
    assert_eq!(wide, None, "{columns}: {arguments:?}");
    assert!(seen.split_whitespace().eq(all.split_whitespace()), "{columns}: {arguments:?}\n{seen}\n{all}");
    for command in ["prepare --gpu ", "define NAME --gpu ", "check --gpu ", "list --gpu ", "--allow only-display"] {
        assert_eq!(seen.matches(command).count(), all.matches(command).count(), "{columns}: {arguments:?}: {command}\n{seen}");
    }
}

#[test]
fn every_screen_is_as_wide_as_its_terminal() {
    let hosts = machines("fixtures/hosts");
    assert!(hosts.len() > 20, "the recorded machines are not there");
    for host in &hosts {
        let commands: [&[&str]; 8] = [
            &["list"],
            &["list", "--verbose"],
            &["list", "--all", "--groups"],
            &["check"],
            &["check", "--verbose"],
            &["prepare", "--dry-run"],
            &["prepare", "--dry-run", "--verbose"],
            &["topology"],
        ];
        for command in commands {
            assert_fits(80, &[&["--root", host], command].concat());
        }
        for columns in [40, 120] {
            assert_fits(columns, &["--root", host, "list"]);
            assert_fits(columns, &["--root", host, "check"]);
        }
        assert_fits(80, &["--root", host, "define", "new", "--gpu", "auto"]);
    }
    for host in machines("fixtures/processors") {
        assert_fits(80, &["--root", &host, "topology"]);
    }
}

/// vgapt's record is one line of JSON as long as twenty: a reader gets the domain without it, and a program all of it.
#[test]
fn the_record_is_folded_for_a_reader() {
    let define = ["--root", "fixtures/hosts/z170-gtx960.host", "define", "new", "--gpu", "01:00.0"];
    let dry = [&define[..], &["--dry-run"]].concat();
    let (mark, record) = ("(vgapt's record: --verbose shows it)", "\"version\":");
    let seen = screen(120, &dry);
    assert!(seen.contains(mark) && !seen.contains(record) && seen.contains("</hostdev>") && seen.contains("</domain>"), "{seen}");
    let whole = screen(120, &[&dry[..], &["--verbose"]].concat());
    // What libvirt gave back is shown as it is.
    let back = screen(120, &[&define[..], &["--print-xml"]].concat());
    for text in [whole, back, piped(&dry)] {
        assert!(text.contains(record) && !text.contains(mark), "{text}");
    }
}

/// JSON has no room for line ends.
#[test]
fn json_is_never_broken() {
    for command in [&["list"][..], &["check"], &["prepare", "--dry-run"], &["topology"]] {
        let arguments = [&["--root", "fixtures/hosts/epyc-two-h100.host", "--json"], command].concat();
        let text = screen(80, &arguments);
        let start = text.find('{').unwrap();
        let value = serde_json::Deserializer::from_str(&text[start..]).into_iter::<serde_json::Value>().next().unwrap();
        assert!(value.unwrap().is_object(), "{command:?}: {text}");
    }
}

/// Without colour, everything is there.
#[test]
fn colour_only_adds() {
    for host in machines("fixtures/hosts") {
        for command in [&["list"][..], &["list", "--verbose"], &["check"], &["topology"]] {
            let coloured = piped(&[&["--root", &host, "--color", "always"], command].concat());
            let bare: String = coloured
                .split('\x1b')
                .enumerate()
                .map(|(place, text)| if place == 0 { text } else { text.split_once('m').unwrap().1 })
                .collect();
            assert_eq!(bare, piped(&[&["--root", &host], command].concat()), "{host} {command:?}");
            assert_ne!(bare, coloured, "{host} {command:?}");
        }
    }
}

#[test]
fn screens_of_80_columns() {
    for name in ["z170-gtx960", "epyc-two-h100", "laptop-5625u-rtx3050m-muxless", "ryzen1-two-rx580", "3700x-acs-off"] {
        let host = format!("fixtures/hosts/{name}.host");
        let mut text = String::new();
        for command in [&["list"][..], &["list", "--verbose"], &["check"], &["prepare", "--dry-run"], &["topology"]] {
            let seen = screen(80, &[&["--root", &host], command].concat());
            text.push_str(&format!("$ vgapt {}\n{seen}\n", command.join(" ")));
        }
        insta::with_settings!({omit_expression => true}, { insta::assert_snapshot!(name, text) });
    }
}

/// The numbers of `1-3`, `5`, `0,2` or `0,2..8`.
fn numbers(text: &str) -> Vec<u32> {
    let number = |text: &str| text.parse::<u32>().unwrap_or_else(|_| panic!("{text} is no number"));
    if let Some((start, last)) = text.split_once("..") {
        let (first, second) = start.split_once(',').unwrap();
        return (number(first)..=number(last)).step_by((number(second) - number(first)) as usize).collect();
    }
    if let Some((first, last)) = text.split_once('-') {
        return (number(first)..=number(last)).collect();
    }
    text.split(',').map(number).collect()
}

/// For each CPU: whether its core is an efficiency core, and what it is used for.
type Uses = BTreeMap<u32, (bool, String)>;

/// As the text says.
fn uses_in_text(text: &str) -> Uses {
    let mut uses = Uses::new();
    for line in text.lines().filter(|line| line.starts_with("    ") && line.contains("  CPU ")) {
        let mut cells = line.trim().split("  ").map(str::trim).filter(|cell| !cell.is_empty());
        let kind = cells.next().unwrap();
        let is_efficient = kind.contains("efficiency");
        let count = kind.split(' ').next().unwrap().parse().unwrap_or(1);
        let cells: Vec<&str> = cells.collect();
        for thread in cells.chunks(2) {
            let cpus = numbers(thread[0].strip_prefix("CPU ").unwrap());
            assert_eq!(cpus.len(), count, "{line}");
            let one = |word: &str| format!("vCPU {word}");
            let words: Vec<String> = match thread[1].strip_prefix("vCPU ") {
                Some(vcpus) if vcpus.contains('+') => vec![one(vcpus); count],
                Some(vcpus) if numbers(vcpus).len() == 1 => vec![one(vcpus); count],
                Some(vcpus) => numbers(vcpus).iter().map(|number| one(&number.to_string())).collect(),
                None => vec![thread[1].to_owned(); count],
            };
            assert_eq!(words.len(), count, "{line}");
            uses.extend(cpus.into_iter().zip(words).map(|(cpu, word)| (cpu, (is_efficient, word))));
        }
    }
    uses
}

/// As the picture says.
fn uses_in_picture(svg: &str) -> Uses {
    let texts = svg.split("font-size=\"11\">").skip(1).map(|rest| rest.split_once('<').unwrap().0);
    let one = |text: &str| {
        let (cpu, word) = text.split_once(": ").unwrap();
        let (cpu, is_efficient) = cpu.strip_suffix(" E").map_or((cpu, false), |cpu| (cpu, true));
        (cpu.parse().unwrap(), (is_efficient, word.to_owned()))
    };
    texts.map(one).collect()
}

/// As the program's data say.
fn uses_in_json(text: &str) -> Uses {
    let json: serde_json::Value = serde_json::from_str(&text[text.find('{').unwrap()..]).unwrap();
    let [guest, emulator] = ["guest", "emulator"].map(|set| {
        let set = json[set].as_str().unwrap();
        set.split(',').filter(|part| !part.is_empty()).flat_map(numbers).collect::<Vec<u32>>()
    });
    let mut uses = Uses::new();
    for core in json["cores"].as_array().unwrap() {
        for cpu in core["cpus"].as_array().unwrap().iter().map(|cpu| u32::try_from(cpu.as_u64().unwrap()).unwrap()) {
            let vcpus = json["vcpus"][cpu.to_string()].as_array();
            let word = match vcpus {
                Some(vcpus) => format!("vCPU {}", vcpus.iter().map(ToString::to_string).collect::<Vec<_>>().join("+")),
                None if guest.contains(&cpu) => "unused".to_owned(),
                None if emulator.contains(&cpu) => "host+emu".to_owned(),
                None => "host".to_owned(),
            };
            uses.insert(cpu, (core["is_efficient"].as_bool().unwrap(), word));
        }
    }
    uses
}

#[test]
fn the_picture_the_text_and_the_data_agree() {
    let place = TempDir::new().unwrap();
    let file = place.path().join("cores.svg");
    let check = |arguments: &[&str]| {
        let (text, json) = (piped(arguments), piped(&[arguments, &["--json", "--quiet"]].concat()));
        if !json.contains("\"cores\"") {
            return 0;
        }
        assert!(vgapt(&[arguments, &["--svg", file.to_str().unwrap()]].concat()).output().unwrap().status.success());
        let svg = fs::read_to_string(&file).unwrap();
        let uses = uses_in_json(&json);
        assert_eq!(uses_in_text(&text), uses, "{arguments:?}\n{text}");
        assert_eq!(uses_in_picture(&svg), uses, "{arguments:?}\n{svg}");
        // Titles, nodes, caches, cards and what the words mean.
        let said = |line: &str| line.trim_start_matches(' ').replace('&', "&amp;").replace('<', "&lt;");
        for line in text.lines().filter(|line| !line.starts_with("    ")).take_while(|line| !line.is_empty()) {
            assert!(svg.contains(&format!(">{}<", said(line))), "the picture does not say: {line}\n{svg}");
        }
        for meaning in text.split("\n\n").nth(1).unwrap_or_default().lines().filter(|line| !line.contains("..")) {
            let (word, meaning) = meaning.trim().split_once("  ").unwrap();
            assert!(svg.contains(&format!(">{word}: {}<", meaning.trim())), "the picture does not say: {word}, {meaning}");
        }
        assert!(svg.contains(" viewBox=\"0 0 ") && vgapt::xml::Document::parse(&svg).is_ok(), "{svg}");
        assert_eq!(svg.contains(">E: efficiency core<"), text.contains("efficiency core"), "{arguments:?}");
        text.lines().count()
    };
    let processors = machines("fixtures/processors");
    for host in machines("fixtures/hosts").iter().chain(&processors) {
        check(&["--root", host, "topology", "--cpus", "3"]);
    }
    let lengths = processors.iter().map(|host| check(&["--root", host, "topology"])).collect::<Vec<_>>();
    assert!(lengths.iter().all(|lines| (6..48).contains(lines)), "equal cores are one line: {lengths:?}");
}

/// The question can be answered with `d`, which shows every line and asks again.
#[test]
fn the_details_of_a_plan_are_shown_on_demand() {
    let tree = distribution("debian13-grub-initramfs-tools");
    let before = walk(tree.path());
    let mut session = on_a_terminal(80, &["--root", path(tree.path()), "prepare", "--gpu", "01:00.0"]);
    let brief = session.exp_string("Make these changes?").unwrap();
    assert!(brief.contains("The plan") && brief.contains("In all: ") && !brief.contains("force_load vfio_pci"), "{brief}");
    assert!(brief.contains("+GRUB_CMDLINE_LINUX="), "a short change of an existing file is shown: {brief}");
    session.send_line("d").unwrap();
    let full = session.exp_string("Make these changes?").unwrap();
    assert!(full.contains("force_load vfio_pci") && full.contains("In all: "), "{full}");
    session.send_line("").unwrap();
    let end = session.exp_eof().unwrap();
    assert!(end.contains("nothing was changed"), "{end}");
    assert_same(&before, &walk(tree.path()), "a plan that was declined");
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// An expectation that was written with a temporary directory in it can hold only once.
#[test]
fn no_expectation_names_a_temporary_directory() {
    let temporary = format!("{}/.tmp", std::env::temp_dir().display());
    let mut seen = 0;
    for folder in ["fixtures", "tests/snapshots", "tests/transcripts", "docs"] {
        for (path, item) in walk(Path::new(folder)) {
            let tree::Content::File(bytes) = item.content else { continue };
            seen += 1;
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains(&temporary) && !text.contains("/tmp/.tmp"), "{folder}{path}");
        }
    }
    assert!(seen > 200, "the expectations are not there: {seen}");
}
