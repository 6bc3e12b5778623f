//! The rooms of `src/` and who may know whom: no arrow runs upward.

#[path = "support/sources.rs"]
mod sources;

use std::fs;
use std::path::Path;

use sources::sources;

/// Each room and the rooms that it may import: the table in CONTRIBUTING.md.
fn rooms() -> Vec<(String, Vec<String>)> {
    let text = fs::read_to_string("CONTRIBUTING.md").unwrap();
    let rows = text.lines().skip_while(|line| !line.starts_with("| room of")).skip(2).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let rows: Vec<Vec<String>> = rows.map(cells).collect();
    let name = |row: &Vec<String>| row[0].trim_matches('`').trim_end_matches('/').trim_end_matches(".rs").to_owned();
    let all: Vec<String> = rows.iter().map(name).collect();
    let imports = |row: &Vec<String>| match row[2].as_str() {
        "nothing" => Vec::new(),
        "everything but libvirt" => all.iter().filter(|name| !["libvirt", "main"].contains(&name.as_str())).cloned().collect(),
        list => list.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>(),
    };
    let rooms: Vec<(String, Vec<String>)> = rows.iter().map(|row| (name(row), imports(row))).collect();
    assert!(rooms.len() > 15, "the table of rooms in CONTRIBUTING.md cannot be read");
    for name in rooms.iter().flat_map(|(_, imports)| imports) {
        assert!(all.contains(name), "{name} is no room of the table");
    }
    rooms
}

#[test]
fn no_arrow_runs_upward() {
    let mut wrong = Vec::new();
    let rooms = rooms();
    for file in sources(Path::new("src")) {
        let room = room_of(&file);
        let Some((_, allowed)) = rooms.iter().find(|(name, _)| *name == room) else {
            assert!(room == "lib", "{} is in no room", file.display());
            continue;
        };
        let text = fs::read_to_string(&file).unwrap();
        for prefix in ["crate::", "vgapt::"] {
            for (index, _) in text.match_indices(prefix) {
                let rest = &text[index + prefix.len()..];
                for name in imported(rest) {
                    if name != room && !allowed.iter().any(|allowed| allowed == name) && rooms.iter().any(|(known, _)| known == name) {
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
