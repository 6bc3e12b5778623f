//! The rooms of `src/` and who may know whom: no arrow runs upward, and none leads back.

#[path = "support/imports.rs"]
mod imports;
#[path = "support/sources.rs"]
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use imports::{Uses, circles, uses};
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
        "everything but libvirt" => {
            all.iter().filter(|name| !["libvirt", "main", "cli", "commands"].contains(&name.as_str())).cloned().collect()
        }
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

/// Each room stands above all that it imports: the drawing in CONTRIBUTING.md, made from the table there.
#[test]
fn the_drawing_is_that_of_the_table() {
    let mut left: BTreeMap<String, Vec<String>> = rooms().into_iter().collect();
    let mut floors: Vec<String> = Vec::new();
    while !left.is_empty() {
        let is_lowest = |imports: &Vec<String>| imports.iter().all(|room| !left.contains_key(room));
        let floor: Vec<String> = left.iter().filter(|(_, imports)| is_lowest(imports)).map(|(room, _)| room.clone()).collect();
        assert!(!floor.is_empty(), "the rooms of the table import each other in a circle: {left:?}");
        left.retain(|room, _| !floor.contains(room));
        floors.push(floor.join("  "));
    }
    floors.reverse();
    let drawing = format!("```\n{}\n```", floors.join("\n"));
    let text = fs::read_to_string("CONTRIBUTING.md").unwrap();
    assert!(text.contains(&drawing), "the drawing of the rooms in CONTRIBUTING.md should be:\n{drawing}");
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
fn no_file_uses_another_that_uses_it() {
    let uses = uses(Path::new("src"), "vgapt", &["lib.rs", "main.rs", "libvirt/main.rs"]);
    assert!(uses.len() > 300 && uses.values().all(|used| used.len() < 100), "the uses cannot be read");
    let wrong = [circles_of_rooms(&uses), circles_of_files(&uses)].concat();
    assert!(wrong.is_empty(), "files use each other in a circle; move what they share into a file below them:\n{}", wrong.join("\n"));
}

/// Each circle of files as lines.
fn circles_of_files(uses: &Uses) -> Vec<String> {
    let graph: BTreeMap<PathBuf, BTreeSet<PathBuf>> =
        uses.iter().map(|(file, used)| (file.clone(), used.keys().cloned().collect())).collect();
    let show = |(circle, files): (Vec<PathBuf>, BTreeSet<PathBuf>)| {
        let mut shown = format!("a circle among {} files:\n", files.len());
        for pair in circle.windows(2) {
            writeln!(shown, "  {} → {} ({})", pair[0].display(), pair[1].display(), uses[&pair[0]][&pair[1]]).unwrap();
        }
        shown
    };
    circles(&graph).into_iter().map(show).collect()
}

/// Each circle of rooms as lines, with a file for each step.
fn circles_of_rooms(uses: &Uses) -> Vec<String> {
    let mut steps: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for (file, used) in uses {
        for (other, path) in used.iter().filter(|(other, _)| room_of(other) != room_of(file)) {
            let step = || format!("{} → {} ({path})", file.display(), other.display());
            steps.entry(room_of(file)).or_default().entry(room_of(other)).or_insert_with(step);
        }
    }
    let graph = steps.iter().map(|(room, used)| (room.clone(), used.keys().cloned().collect())).collect();
    let show = |(circle, _): (Vec<String>, BTreeSet<String>)| {
        let lines: Vec<&str> = circle.windows(2).map(|pair| steps[&pair[0]][&pair[1]].as_str()).collect();
        format!("the rooms {}:\n  {}\n", circle.join(" → "), lines.join("\n  "))
    };
    circles(&graph).into_iter().map(show).collect()
}

#[test]
fn circles_are_seen_through_reexports_and_nested_modules() {
    let tree = [
        ("lib.rs", "pub mod parts;\nmod deep;\nmod alone;\n"),
        // Through a re-export, renamed, of a file that is imported by its room.
        ("parts/mod.rs", "mod one;\nmod three;\nmod two;\npub use one::One as First;\npub use two::two;\n"),
        ("parts/one.rs", "use super::two;\npub struct One;\nimpl One { fn go() { two() } }\n"),
        ("parts/two.rs", "/// [`super::One`]\npub fn two() -> Option<crate::parts::First> { None }\n"),
        // The rooms use each other, and these two files do not.
        ("parts/three.rs", "fn go() { crate::deep::over::name(); }\n"),
        ("deep/up.rs", "use crate::{parts::{First, two as _}};\n"),
        // Through nested modules: a macro's tokens there, a nested group and `super` here.
        ("deep/mod.rs", "pub mod below;\npub(in crate::deep) mod over;\nmod up;\n"),
        ("deep/over.rs", "use super::{below::{self, lowest}};\npub fn name() -> String { format!(\"{}\", lowest::word()) }\n"),
        ("deep/below/mod.rs", "pub mod lowest;\n"),
        ("deep/below/lowest.rs", "mod within { pub fn word() { super::super::super::over::name(); } }\npub use within::word;\n"),
        // In none: a test's imports, a word in a text, a parent that is imported by its name alone, a path from outside.
        (
            "alone.rs",
            "mod child;\npub use child::Child;\npub fn alone() {}\nfn go() { \"crate::deep::over::name\"; crate::deep::over::name() }\n",
        ),
        ("alone/child.rs", "use super::super::alone;\npub struct Child;\n#[cfg(test)]\nmod tests { use crate::alone::alone; }\n"),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (file, text) in tree {
        let file = folder.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let relative = |file: PathBuf| file.strip_prefix(folder.path()).unwrap().to_owned();
    let uses: Uses = uses(folder.path(), "made_up", &["lib.rs"])
        .into_iter()
        .map(|(file, used)| (relative(file), used.into_iter().map(|(file, path)| (relative(file), path)).collect()))
        .collect();
    assert_eq!(
        circles_of_rooms(&uses),
        [
            "the rooms deep → parts → deep:\n  deep/up.rs → parts/one.rs (crate::parts::First)\n  parts/three.rs → deep/over.rs (crate::deep::over::name)\n"
        ]
    );
    assert_eq!(
        circles_of_files(&uses),
        [
            "a circle among 2 files:\n  deep/below/lowest.rs → deep/over.rs (super::super::super::over::name)\n  deep/over.rs → deep/below/lowest.rs (lowest::word)\n",
            "a circle among 2 files:\n  parts/one.rs → parts/two.rs (super::two)\n  parts/two.rs → parts/one.rs (crate::parts::First)\n",
        ]
    );
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

fn room_of(file: &Path) -> String {
    let below = file.strip_prefix("src").unwrap_or(file);
    below.components().next().unwrap().as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}
