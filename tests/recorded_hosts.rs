//! Every recorded machine in fixtures/hosts, as a table and as JSON; what is right lies beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use vgapt::discovery::{self, Scope};
use vgapt::model::{Host, PciAddress, PciId};
use vgapt::readiness::{self, CheckState, Input, Report};
use vgapt::root::{Capture, Root};
use vgapt::{output, passthrough};

const HOSTS: &str = "fixtures/hosts";

fn recordings() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(HOSTS).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "host"));
    files.sort();
    assert!(files.len() > 20, "the recorded machines are not there");
    files
}

fn read(file: &Path, scope: Scope) -> Host {
    discovery::read(&Root::open(file).unwrap(), scope)
}

/// The document of `vgapt list --json`.
fn listing(host: &Host) -> serde_json::Value {
    let shared_out = passthrough::shared_out(host, &vgapt::model::DomainFunctions::default());
    let answer = output::Listing::answer(host.clone(), passthrough::assess(host), shared_out);
    serde_json::from_str(&answer.document(Some("list"), output::Form::Indented)).unwrap()
}

fn indented(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap() + "\n"
}

#[test]
fn listings_are_right() {
    for file in recordings() {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let host = read(&file, Scope::Cards);
        let cards = passthrough::assess(&host);
        let table = format!("{}\n----\n{}", output::cards(&host, &cards), output::card_details(&host, &cards));
        let all = read(&file, Scope::All);
        let json: serde_json::Value = listing(&all);
        let verdicts = serde_json::json!({"iommu": json["iommu"], "gpus": json["gpus"], "findings": json["findings"]});
        insta::with_settings!({snapshot_path => "../fixtures/hosts", prepend_module_to_snapshot => false, omit_expression => true}, {
            insta::assert_snapshot!(format!("{name}.table"), output::plain(&table));
            insta::assert_snapshot!(format!("{name}.json"), indented(&verdicts));
        });
    }
}

fn check(file: &Path) -> Report {
    let root = Root::open(file).unwrap();
    let host = discovery::read(&root, Scope::All);
    let setup = discovery::setup(&root, &host);
    let observed = discovery::observe(&root, &host, &setup, false);
    let cards = readiness::meant(&host, &setup, &[]);
    readiness::check(&Input { host: &host, setup: &setup, observed: &observed, cards: &cards, bind: None, noted: &[], session: false })
}

/// What `vgapt check` says of each, and below it all checks as JSON, one a line.
#[test]
fn checks_are_right() {
    for file in recordings() {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let report = check(&file);
        let text = output::plain(&output::checks(&report, output::Detail::Usual));
        let mut json = serde_json::to_value(&report).unwrap();
        let checks = json.as_object_mut().unwrap().remove("checks").unwrap();
        let lines: Vec<String> = checks.as_array().unwrap().iter().map(ToString::to_string).collect();
        insta::with_settings!({snapshot_path => "../fixtures/hosts", prepend_module_to_snapshot => false, omit_expression => true}, {
            insta::assert_snapshot!(format!("{name}.check"), format!("{text}\n{json}\n{}", lines.join("\n")));
        });
    }
}

/// Whatever is not as it should be says why that matters and what to do; what is unknown says why it is.
#[test]
fn every_check_has_its_reason_and_remedy() {
    for file in recordings() {
        for check in check(&file).checks {
            match check.state {
                CheckState::Ok => assert!(!check.seen.is_empty(), "{check:?}"),
                CheckState::Unknown => assert!(check.seen.starts_with("because "), "{check:?}"),
                CheckState::Warning | CheckState::Missing => assert!(!check.why.is_empty() && !check.remedy.is_empty(), "{check:?}"),
            }
            assert_eq!(check.step.is_some(), check.state == CheckState::Missing, "{check:?}");
        }
    }
}

/// Law 6: `--json` says all that the table says: each remedy, warning and next step, and each address, id, driver and group.
#[test]
fn json_says_what_the_table_says() {
    for file in recordings() {
        let host = read(&file, Scope::All);
        let cards = passthrough::assess(&host);
        let json: serde_json::Value = listing(&host);
        let strings = strings(&json).join("\n");
        let text = output::plain(&(output::cards(&host, &cards) + &output::card_details(&host, &cards)));
        for line in text.lines().filter(|line| line.contains("remedy: ") || line.contains("next ") || line.contains("warning ")) {
            let said =
                line.split_once("remedy: ").or_else(|| line.split_once("next ")).or_else(|| line.split_once("warning ")).unwrap().1.trim();
            assert!(strings.contains(said), "{}: the table says '{said}', JSON does not", file.display());
        }
        let is_fact = |word: &str| word.parse::<PciAddress>().is_ok() || word.parse::<PciId>().is_ok();
        for word in text.split(|c: char| c.is_whitespace() || "[],()".contains(c)).filter(|word| is_fact(word)) {
            assert!(strings.contains(word), "{}: the table says '{word}', JSON does not", file.display());
        }
        for label in ["  driver ", "  groups "] {
            for value in text
                .lines()
                .filter_map(|line| line.strip_prefix(label))
                .flat_map(|value| value.trim().split(", ").filter(|value| *value != "none"))
            {
                assert!(strings.contains(value), "{}: the table says '{label}{value}', JSON does not", file.display());
            }
        }
        for card in &cards {
            for address in card.functions.iter().chain(&card.blockers).chain(&card.twins) {
                assert!(strings.contains(&address.to_string()));
            }
        }
    }
}

fn strings(value: &serde_json::Value) -> Vec<String> {
    match value {
        serde_json::Value::String(text) => vec![text.clone()],
        serde_json::Value::Array(list) => list.iter().flat_map(strings).collect(),
        serde_json::Value::Object(map) => map.values().flat_map(strings).collect(),
        other => vec![other.to_string()],
    }
}

/// A capture of a recorded machine is that machine, but for what may not be told: a word or a number of
/// its own stands in the place of each.
#[test]
fn a_capture_is_the_machine() {
    for file in recordings() {
        let text = discovery::capture(Root::open(&file).unwrap()).0.to_string();
        let place = tempfile::NamedTempFile::new().unwrap();
        fs::write(place.path(), &text).unwrap();
        assert_eq!(Capture::parse(&text).unwrap().to_string(), text);
        let [again, before] = [place.path(), &file].map(|root| format!("{:?}", read(root, Scope::All)));
        let [again, before] = [&again, &before].map(|text| text.split(|c: char| !c.is_alphanumeric() && c != '_').collect::<Vec<_>>());
        let is_replacement = |word: &str| word.strip_prefix('x').unwrap_or(word).bytes().all(|byte| byte.is_ascii_hexdigit());
        let other = again.iter().zip(&before).find(|(again, before)| again != before && !is_replacement(again));
        assert_eq!((other, again.len()), (None, before.len()), "{}", file.display());
        let verdicts = |root: &Path| indented(&passthrough::assess(&read(root, Scope::All)));
        assert_eq!(verdicts(place.path()), verdicts(&file), "{}", file.display());
    }
}

/// The same from real directories and links as from the recording.
#[test]
fn a_directory_reads_like_its_capture() {
    let file = Path::new(HOSTS).join("b450m-gtx1660-svm-off.host");
    let place = tempfile::tempdir().unwrap();
    Capture::load(&file).unwrap().unpack(place.path()).unwrap();
    assert_eq!(read(place.path(), Scope::All), read(&file, Scope::All));
}

/// Less is read for the cards alone, and the verdict is the same.
#[test]
fn verdicts_do_not_depend_on_how_much_is_read() {
    for file in recordings() {
        let verdicts = |scope| indented(&passthrough::assess(&read(&file, scope)));
        assert_eq!(verdicts(Scope::Cards), verdicts(Scope::All), "{}", file.display());
    }
}

/// `check`, `prepare`, `define --gpu auto` and `list --env` mean the same card, on every recorded machine.
#[test]
fn all_commands_mean_the_same_card() {
    let run = |file: &str, arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_vgapt")).args(["--root", file]).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
    };
    let mut several = 0;
    for path in recordings() {
        let file = path.to_str().unwrap();
        let host = read(&path, Scope::All);
        let cards = passthrough::assess(&host);
        let choice = passthrough::choose(&cards);
        let (listed, text) = run(file, &["list", "--env"]);
        let (defined, xml) = run(file, &["-c", "test:///default", "define", "x", "--gpu", "auto", "--dry-run"]);
        let (prepared, plan) = run(file, &["prepare", "--gpu", "auto", "--dry-run"]);
        if let Some(card) = choice.card() {
            let address = card.address.short();
            assert!(text.contains(&format!("VGAPT_VGA_BUS={address}\n")), "{file}: {text}");
            let alias = format!("ua-vgapt-gpu-{}", card.address.to_string().replace([':', '.'], "-"));
            assert!(xml.contains(&alias), "{file}: {alias}: {xml}");
            assert!(prepared.is_some_and(|code| code < 3), "{file}: {plan}");
            assert!(cards.len() < 2 || plan.contains(&format!("using {address}: {}", choice.because())), "{file}: {plan}");
        } else {
            several += 1;
            for (code, said) in [(listed, &text), (prepared, &plan)] {
                assert_eq!(code, Some(1), "{file}: {said}");
                assert!(said.contains(choice.because()), "{file}: {said}");
            }
            assert_eq!(defined, Some(1), "{file}: {xml}");
            assert!(xml.contains(&format!("--gpu auto: {}", choice.because())), "{file}: {xml}");
        }
        assert!(!choice.because().contains("(ASPEED"), "a management controller is no candidate: {file}");
    }
    assert!(several > 4, "{several}");
}
