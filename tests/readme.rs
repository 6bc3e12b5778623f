//! What README.md says is what the sources and the other pages say: the messages of its troubleshooting, the supported
//! systems, the links.

use std::fs;
use std::path::Path;

const HERE: &str = env!("CARGO_MANIFEST_DIR");

fn page(name: &str) -> String {
    fs::read_to_string(format!("{HERE}/{name}")).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The part of a page below a heading, up to the next heading.
fn section(page: &str, heading: &str) -> String {
    let start = page.find(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("there is no section {heading}"));
    let rest = &page[start + 4..];
    rest[..rest.find("\n## ").unwrap_or(rest.len())].to_owned()
}

/// The cells of each row of the table in a text, without its heading.
fn rows(text: &str) -> Vec<Vec<String>> {
    let rows: Vec<Vec<String>> = text
        .lines()
        .filter(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect())
        .collect();
    assert!(rows.len() > 3, "no table in:\n{text}");
    rows
}

/// All sources; a text that is broken over several lines is one line.
fn sources() -> String {
    let mut all = String::new();
    let mut folders = vec![Path::new(HERE).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                all.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    let mut joined = String::with_capacity(all.len());
    let mut pieces = all.split("\\\n");
    joined.push_str(pieces.next().unwrap_or_default());
    pieces.for_each(|piece| joined.push_str(piece.trim_start()));
    joined
}

#[test]
fn each_message_of_the_troubleshooting_exists() {
    let sources = sources();
    for row in rows(&section(&page("README.md"), "Troubleshooting")) {
        let message = row[0].trim_matches('`');
        for part in message.split('…').map(str::trim).filter(|part| part.len() > 3) {
            assert!(sources.contains(part), "no source says '{part}', of the message '{message}'");
        }
    }
}

/// docs/prepare.md is compared with fixtures/distributions by another test.
#[test]
fn the_supported_systems_are_those_that_are_tested() {
    let claimed = rows(&section(&page("README.md"), "Supported systems"));
    let tested = rows(&section(&page("docs/prepare.md"), "Tested distributions"));
    let tested: Vec<(&str, &str)> =
        tested.iter().filter(|row| row[3] == "yes" && !row[0].contains(", ")).map(|row| (row[0].as_str(), row[1].as_str())).collect();
    // "Debian 12, 13" and "Fedora 41, RHEL 8 and 9".
    let names = |cell: &str| -> Vec<String> {
        let mut named = String::new();
        let mut names = Vec::new();
        for part in cell.split([',']).flat_map(|part| part.split(" and ")).map(str::trim) {
            if part.starts_with(|letter: char| letter.is_ascii_digit()) {
                names.push(format!("{named} {part}"));
            } else {
                named = part.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '.').trim().to_owned();
                names.push(part.to_owned());
            }
        }
        names
    };
    let plain = |name: &str| name.trim_end_matches(" on ZFS").to_owned();
    for (name, loader) in &tested {
        let loader = loader.split(", ").next().unwrap();
        let row = claimed.iter().find(|row| names(&row[0]).contains(&plain(name)));
        let row = row.unwrap_or_else(|| panic!("README.md does not name {name}"));
        assert!(row[1].contains(loader), "README.md does not name {loader} for {name}");
    }
    for row in &claimed {
        for name in names(&row[0]) {
            let loaders: Vec<&str> = tested.iter().filter(|(tested, _)| plain(tested) == name).map(|(_, loader)| *loader).collect();
            assert!(!loaders.is_empty(), "{name} is not tested");
        }
        for loader in row[1].split(", ") {
            let of_row = names(&row[0]);
            let is_tested = tested.iter().any(|(name, own)| of_row.contains(&plain(name)) && own.starts_with(loader));
            assert!(is_tested, "{loader} is not tested on {}", row[0]);
        }
    }
}

#[test]
fn its_links_lead_somewhere() {
    for name in ["README.md", "docs/commands.md", "docs/life.md", "docs/prepare.md"] {
        let text = page(name);
        let folder = Path::new(HERE).join(name);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).filter(|link| !link.contains("://")) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = folder.parent().unwrap().join(file);
            assert!(target.exists(), "{name} links to {link}");
            let anchor = |line: &str| line.trim_start_matches(['#', ' ']).to_lowercase().replace(' ', "-");
            let is_there = heading.is_empty()
                || fs::read_to_string(&target).unwrap().lines().any(|line| line.starts_with('#') && anchor(line) == heading);
            assert!(is_there, "{name} links to {link}, which has no such heading");
        }
    }
}
