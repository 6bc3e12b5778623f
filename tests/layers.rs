//! The rooms of `src/` and who may know whom: no arrow runs upward.

use std::fs;
use std::path::{Path, PathBuf};

/// Each room and the rooms that it may import; see design in CONTRIBUTING.md.
const ROOMS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("root", &["model"]),
    ("xml", &[]),
    ("problem", &[]),
    ("interrupt", &[]),
    ("run", &["interrupt", "problem"]),
    ("hypervisor", &["model"]),
    ("discovery", &["root", "model", "xml"]),
    ("passthrough", &["model"]),
    ("topology", &["model"]),
    ("domain", &["model", "xml", "passthrough", "topology"]),
    ("host", &["model", "passthrough", "problem", "root", "run"]),
    ("disk", &["model", "problem", "xml"]),
    ("import", &["domain", "model", "xml"]),
    ("export", &["model", "xml"]),
    ("readiness", &["model", "passthrough", "host"]),
    ("output", &["model", "passthrough", "host", "import", "readiness", "topology"]),
    (
        "commands",
        &[
            "cli",
            "discovery",
            "disk",
            "domain",
            "export",
            "host",
            "hypervisor",
            "import",
            "interrupt",
            "model",
            "output",
            "passthrough",
            "problem",
            "readiness",
            "root",
            "run",
            "topology",
            "xml",
        ],
    ),
    ("cli", &["commands", "hypervisor", "interrupt", "output", "problem", "run"]),
    ("libvirt", &["cli", "hypervisor", "model", "output", "problem", "xml"]),
    ("main", &["cli"]),
];

#[test]
fn no_arrow_runs_upward() {
    let mut wrong = Vec::new();
    for file in sources(Path::new("src")) {
        let room = room_of(&file);
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            assert!(room == "lib", "{} is in no room", file.display());
            continue;
        };
        let text = fs::read_to_string(&file).unwrap();
        for prefix in ["crate::", "vgapt::"] {
            for (index, _) in text.match_indices(prefix) {
                let rest = &text[index + prefix.len()..];
                for name in imported(rest) {
                    if name != room && !allowed.contains(&name) && ROOMS.iter().any(|(known, _)| *known == name) {
                        wrong.push(format!("{}: {room} imports {name}", file.display()));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `crate::{a, b::c}` names a and b, `crate::a::b` names a.
fn imported(rest: &str) -> Vec<&str> {
    let name = |text: &str| text.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default().len();
    match rest.strip_prefix('{') {
        Some(list) => list.split('}').next().unwrap_or_default().split(',').map(str::trim).map(|part| &part[..name(part)]).collect(),
        None => vec![&rest[..name(rest)]],
    }
}

#[test]
fn one_place_for_what_is_dangerous() {
    for (what, place) in [("Command::new", "src/run"), ("use virt::", "src/libvirt"), ("virt::sys", "src/libvirt")] {
        for file in sources(Path::new("src")) {
            let text = fs::read_to_string(&file).unwrap();
            assert!(
                !text.contains(what) || file.to_string_lossy().starts_with(place),
                "{what} stands in {}, and belongs in {place}",
                file.display()
            );
        }
    }
}

#[test]
fn files_stay_small() {
    for file in sources(Path::new("src")) {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 400, "{} has {lines} lines", file.display());
    }
}

fn room_of(file: &Path) -> String {
    let below = file.strip_prefix("src").unwrap();
    below.components().next().unwrap().as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
    files
}
