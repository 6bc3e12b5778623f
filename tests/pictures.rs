//! The pictures of the README: terminal sessions, drawn from what the program prints on a recorded machine, with the
//! test driver. `VGAPT_WRITE_PICTURES=1 cargo test --test pictures` draws them anew.

#[path = "support/command.rs"]
#[expect(dead_code, reason = "what it says is drawn")]
mod command;

use std::fmt::Write as _;
use std::fs;

use command::{Z170, run, vgapt, without_options};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/pictures");
/// Columns of the terminal; longer lines are broken, as a terminal breaks them.
const COLUMNS: usize = 100;
/// Pixels.
const CHARACTER: f32 = 7.8;
const LINE: usize = 18;
const MARGIN: usize = 16;

const INK: &str = "#d4d4d4";
const PAPER: &str = "#1c1c1c";

/// What escape sequences ask for (`output/style.rs`): bold, faint, or a colour.
fn style(code: &str) -> Option<&'static str> {
    match code {
        "0" => None,
        "1" => Some("font-weight=\"bold\""),
        "2" => Some("fill=\"#9a9a9a\""),
        "31" => Some("fill=\"#ff7b72\""),
        "32" => Some("fill=\"#7ee787\""),
        "33" => Some("fill=\"#e3b341\""),
        other => panic!("no picture for the escape sequence {other}"),
    }
}

/// One line of the terminal: pieces of one style each.
type Line = Vec<(Option<&'static str>, String)>;

/// What is on the terminal, line by line.
fn lines(text: &str) -> Vec<Line> {
    let mut lines = vec![Line::new()];
    let (mut now, mut column) = (None, 0);
    let mut rest = text.chars();
    while let Some(letter) = rest.next() {
        if letter == '\u{1b}' {
            let code: String = rest.by_ref().skip(1).take_while(|letter| *letter != 'm').collect();
            now = style(&code);
            continue;
        }
        if letter == '\n' || column == COLUMNS {
            lines.push(Line::new());
            column = 0;
        }
        if letter == '\n' {
            continue;
        }
        column += 1;
        let line = lines.last_mut().unwrap();
        match line.last_mut() {
            Some((style, piece)) if *style == now => piece.push(letter),
            _ => line.push((now, letter.to_string())),
        }
    }
    lines
}

fn svg(text: &str) -> String {
    let lines = lines(text.trim_end());
    let mut body = String::new();
    for (number, line) in lines.iter().enumerate() {
        let y = MARGIN + (number + 1) * LINE - 4;
        let pieces: String = line
            .iter()
            .map(|(style, piece)| {
                let piece = piece.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
                style.map_or_else(|| piece.clone(), |style| format!("<tspan {style}>{piece}</tspan>"))
            })
            .collect();
        writeln!(body, "<text x=\"{MARGIN}\" y=\"{y}\" xml:space=\"preserve\">{pieces}</text>").unwrap();
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a few hundred pixels")]
    let width = (COLUMNS as f32 * CHARACTER) as usize + 2 * MARGIN;
    let height = lines.len() * LINE + 2 * MARGIN;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" font-size=\"13\" fill=\"{INK}\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"{PAPER}\"/>\n{body}</svg>\n"
    )
}

/// A session on the recorded machine. What names the machine and the libvirt is not shown, nor that it is not the
/// running host.
fn session(commands: &[&[&str]]) -> String {
    let mut text = String::new();
    for arguments in commands {
        let mut command = vgapt(["--root", Z170, "--connect", "test:///default", "--color", "always", "--quiet"]);
        command.args(*arguments).env("HOME", "/home/you").env_remove("SUDO_USER").env("COLUMNS", COLUMNS.to_string());
        let ran = run(&mut command).with(0);
        writeln!(
            text,
            "\u{1b}[1m$ vgapt {}\u{1b}[0m\n{}{}",
            arguments.join(" "),
            without_options(&ran.stdout),
            without_options(&ran.stderr)
        )
        .unwrap();
    }
    text
}

#[test]
fn the_pictures_are_what_the_program_prints() {
    let drawn =
        svg(&session(&[&["list"], &["setup", "win11", "--cdrom", "/iso/win11.iso", "--virtio-iso", "/iso/virtio-win.iso", "--yes"]]));
    let file = format!("{FOLDER}/setup.svg");
    if std::env::var_os("VGAPT_WRITE_PICTURES").is_some() {
        fs::create_dir_all(FOLDER).unwrap();
        fs::write(&file, &drawn).unwrap();
    }
    let kept = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    assert_eq!(kept, drawn, "draw it anew: VGAPT_WRITE_PICTURES=1 cargo test --test pictures");
}

#[test]
fn every_picture_is_shown_and_every_shown_one_is_there() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    for entry in fs::read_dir(FOLDER).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(readme.contains(&format!("docs/pictures/{name}")), "README.md does not show {name}");
    }
    let shown: Vec<&str> = readme.split("](docs/pictures/").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert!(!shown.is_empty());
    for name in shown {
        assert!(fs::metadata(format!("{FOLDER}/{name}")).is_ok(), "README.md shows {name}, which does not exist");
    }
}
