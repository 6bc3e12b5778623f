//! The parsers that fuzz/ knows, with files as they are and as nobody writes them: none panics, and none takes long. The
//! mutations are the same in every run.

#[path = "../fuzz/fuzz_targets/parsers.rs"]
#[allow(dead_code)] // They are called by their table.
mod parsers;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Mutations of each parser's corpus; `VGAPT_TEST_ALL` makes ten times as many.
const MUTATIONS: usize = 1_000;
/// Parsers of whole machines, whose mutations are a tenth as many.
const SLOW: [&str; 3] = ["host", "running", "logs"];
/// Longer files only cost time.
const LONGEST: usize = 12_000;
/// On a processor; generous: a build without optimisation.
const TIME: Duration = Duration::from_secs(10);

/// xorshift64 (Marsaglia, 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit.max(1) as u64).unwrap()
    }

    fn range(&mut self, bytes: &[u8]) -> std::ops::Range<usize> {
        let start = self.below(bytes.len());
        start..(start + 1 + self.below(40)).min(bytes.len())
    }
}

/// What breaks parsers: limits of numbers, signs of every grammar, characters that are no text.
const PIECES: [&[u8]; 20] = [
    b"18446744073709551616",
    b"-1",
    b"4294967295",
    b"0x",
    b"<",
    b"</",
    b"&#0;",
    b"]]>",
    b"<!DOCTYPE a [",
    b"\"",
    b"'",
    b"$(",
    b"${x",
    b"`",
    b"{",
    b"\\",
    b"\0",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\n",
];

fn mutated(file: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = file.to_vec();
    for _ in 0..=random.below(4) {
        let range = random.range(&bytes);
        match random.below(6) {
            0 => drop(bytes.drain(range)),
            1 => {
                let piece = bytes[range.clone()].to_vec();
                bytes.splice(range.start..range.start, piece);
            }
            2 => bytes.truncate(range.end),
            3 => {
                let from = random.range(other);
                bytes.splice(range, other[from].iter().copied());
            }
            4 => bytes[range].iter_mut().take(1).for_each(|byte| *byte ^= 1 << random.below(8)),
            _ => {
                let piece = PIECES[random.below(PIECES.len())];
                bytes.splice(range, piece.iter().copied());
            }
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes
}

/// The files of a corpus, in their order.
fn corpus(places: &[&str]) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found: Vec<PathBuf> = Vec::new();
    for place in places.iter().map(|place| Path::new(env!("CARGO_MANIFEST_DIR")).join(place)) {
        if place.is_dir() {
            let inside = fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path());
            // What is expected of a fixture is none.
            found.extend(inside.filter(|path| path.is_file() && path.extension().is_none_or(|ending| ending != "snap")));
        } else {
            found.push(place);
        }
    }
    found.sort();
    let read = |path: PathBuf| fs::read(&path).map(|bytes| (path, bytes)).unwrap();
    found.into_iter().map(read).collect()
}

fn called(name: &str, what: &str, parser: fn(&[u8]), bytes: &[u8]) {
    let since = on_processor();
    let ended = catch_unwind(AssertUnwindSafe(|| parser(bytes)));
    let time = on_processor().saturating_sub(since);
    assert!(ended.is_ok(), "{name} panics: {what}: {}", String::from_utf8_lossy(bytes));
    assert!(time < TIME, "{name} takes {time:?}: {what}: {}", String::from_utf8_lossy(bytes));
}

#[test]
fn no_parser_panics() {
    let factor = if std::env::var_os("VGAPT_TEST_ALL").is_some() { 10 } else { 1 };
    for (name, parser, places) in parsers::PARSERS {
        let files = corpus(places);
        assert!(!files.is_empty(), "{name} has no corpus");
        for (path, bytes) in &files {
            called(name, &path.display().to_string(), *parser, bytes);
        }
        let short: Vec<&(PathBuf, Vec<u8>)> = files.iter().filter(|(_, bytes)| (1..LONGEST).contains(&bytes.len())).collect();
        let mutations = MUTATIONS * factor / if SLOW.contains(name) { 10 } else { 1 };
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for number in 0..mutations {
            let (path, file) = short[number % short.len()];
            let (_, other) = short[random.below(short.len())];
            let bytes = mutated(file, other, &mut random);
            called(name, &format!("mutation {number} of {}", path.display()), *parser, &bytes);
        }
        println!("{name}: {} files, {mutations} mutations", files.len());
    }
}

/// How long the text is in which a line comes again and again, and how many times longer the other one is.
const REPEATED: usize = 12 << 10;
const TIMES: usize = 4;
/// That one may take so many times longer, or no longer than this: a square would be 16 times.
const GROWTH: u32 = 9;
const NOTHING: Duration = Duration::from_millis(400);
/// Lines of each parser's corpus that are repeated; `VGAPT_TEST_ALL` takes all.
const LINES: usize = 8;

/// The time that this thread was on a processor (Documentation/scheduler/sched-stats.rst): others run beside it.
fn on_processor() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

/// Text from outside is read in a time that grows as its length does.
#[test]
fn no_parser_takes_the_square_of_its_text() {
    let mut wrong = Vec::new();
    for (name, parser, places) in parsers::PARSERS {
        let files = corpus(places);
        let short = files.iter().filter(|(_, bytes)| (1..LONGEST).contains(&bytes.len()));
        let texts: Vec<(&PathBuf, String)> =
            short.filter_map(|(path, bytes)| Some((path, String::from_utf8(bytes.clone()).ok()?))).collect();
        let (mut all, mut known) = (Vec::new(), std::collections::BTreeSet::new());
        for (path, text) in &texts {
            all.extend(text.lines().enumerate().filter(|(_, line)| line.len() > 2 && known.insert(*line)).map(|(at, _)| (*path, text, at)));
        }
        let step = if std::env::var_os("VGAPT_TEST_ALL").is_some() { 1 } else { all.len().div_ceil(LINES).max(1) };
        for (path, text, at) in all.into_iter().step_by(step) {
            let lines: Vec<&str> = text.split_inclusive('\n').collect();
            let taken = [1, TIMES].map(|times| {
                let line = lines[at].repeat(times * REPEATED / lines[at].len());
                let text = lines[..at].concat() + &line + &lines[at + 1..].concat();
                let since = on_processor();
                parser(text.as_bytes());
                on_processor().saturating_sub(since)
            });
            if taken[1] > taken[0] * GROWTH && taken[1] > NOTHING {
                wrong.push(format!("{name}: line {} of {}: {taken:?}: {}", at + 1, path.display(), lines[at]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.concat());
}

/// Each of the parsers is a target of cargo-fuzz.
#[test]
fn each_parser_is_fuzzed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    let page = fs::read_to_string(folder.join("README.md")).unwrap();
    let numbers = fs::read_to_string(folder.join("../docs/robustness.md")).unwrap();
    for (name, _, _) in parsers::PARSERS {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "fuzz/Cargo.toml has no {name}");
        let target = fs::read_to_string(folder.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(target.contains(&format!("parsers::{name}(bytes)")), "{name}.rs calls another parser");
        let mut rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
        assert!(rows.any(|targets| targets.split(", ").any(|target| target == format!("`{name}`"))), "fuzz/README.md: {name}");
        assert!(numbers.contains(&format!("`{name}`")), "docs/robustness.md says nothing of {name}");
    }
}
