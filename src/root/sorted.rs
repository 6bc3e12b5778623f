//! Reads of a long text file with sorted lines only the parts in which the lines of a search can be.

use std::fs::File;
use std::io::{self, BufRead as _};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;

/// A search for some lines of such a file.
pub trait LineSearch {
    /// Adds the lines of a part that it looks for; the part has whole lines. It breaks when it has all.
    fn pick(&mut self, lines: &[u8], found: &mut Vec<u8>) -> ControlFlow<()>;

    /// Whether it may look for the very next lines.
    fn reads_on(&self) -> bool;

    /// Whether all that it still looks for comes after the first of these lines; false where they do not show it.
    fn comes_later(&self, lines: &[u8]) -> bool;
}

/// The bytes of a part.
const PART: usize = 32 << 10;
/// The bytes that are read to find the next part.
const PROBE: usize = 4 << 10;

/// Gives a search the parts of a file, of which so many bytes count. The memory of a part serves for the next.
pub(super) fn read(file: &File, length: u64, search: &mut impl LineSearch, found: &mut Vec<u8>) -> io::Result<()> {
    let (mut part, mut at) = (vec![0; PART], 0);
    while at < length {
        if !search.reads_on() {
            at = skip(file, at, length, &mut part[..PROBE], search)?;
        }
        let rest = usize::try_from(length - at).unwrap_or(usize::MAX);
        let read = read_at(file, &mut part, at)?.min(rest);
        // The last line may have no line break.
        let lines = if read == rest { &part[..read] } else { whole_lines(&part[..read]) };
        at += lines.len() as u64;
        match lines {
            [] if read == 0 => break,
            [] => part.resize(2 * part.len(), 0),
            lines if search.pick(lines, found).is_break() => break,
            _ => {}
        }
    }
    Ok(())
}

/// The beginning of a line before which there is nothing that the search looks for, by halving.
fn skip(file: &File, from: u64, length: u64, probe: &mut [u8], search: &impl LineSearch) -> io::Result<u64> {
    let (mut low, mut high) = (from, length);
    while high - low > PART as u64 {
        let middle = low.midpoint(high);
        let read = read_at(file, probe, middle)?;
        let first = line_length(&probe[..read]);
        if search.comes_later(whole_lines(&probe[first..read])) {
            low = middle + first as u64;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

fn read_at(file: &File, into: &mut [u8], at: u64) -> io::Result<usize> {
    loop {
        match file.read_at(into, at) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// The length of the first line, with its line break.
pub fn line_length(mut lines: &[u8]) -> usize {
    let whole = lines.len();
    lines.skip_until(b'\n').unwrap_or(whole)
}

fn whole_lines(text: &[u8]) -> &[u8] {
    &text[..text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)]
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// Wants lines of these numbers, each of which stands at most once.
    struct Numbers(Vec<u32>);

    fn number(line: &str) -> Option<u32> {
        line.split(' ').next()?.parse().ok()
    }

    impl LineSearch for Numbers {
        fn pick(&mut self, lines: &[u8], found: &mut Vec<u8>) -> ControlFlow<()> {
            for line in std::str::from_utf8(lines).unwrap().split_inclusive('\n') {
                if let Some(place) = self.0.iter().position(|wanted| number(line) == Some(*wanted)) {
                    self.0.remove(place);
                    found.extend_from_slice(line.as_bytes());
                }
            }
            if self.0.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }

        fn reads_on(&self) -> bool {
            false
        }

        fn comes_later(&self, lines: &[u8]) -> bool {
            let first = std::str::from_utf8(lines).unwrap().lines().find_map(number);
            first.is_some_and(|first| self.0.iter().all(|wanted| first < *wanted))
        }
    }

    /// Counts the parts.
    struct Parts<'p>(Numbers, &'p mut usize);

    impl LineSearch for Parts<'_> {
        fn pick(&mut self, lines: &[u8], found: &mut Vec<u8>) -> ControlFlow<()> {
            *self.1 += 1;
            self.0.pick(lines, found)
        }

        fn reads_on(&self) -> bool {
            self.0.reads_on()
        }

        fn comes_later(&self, lines: &[u8]) -> bool {
            self.0.comes_later(lines)
        }
    }

    fn found(text: &str, length: usize, numbers: &[u32]) -> (String, usize) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let (mut parts, mut found) = (0, Vec::new());
        read(&file, length as u64, &mut Parts(Numbers(numbers.to_vec()), &mut parts), &mut found).unwrap();
        (String::from_utf8(found).unwrap(), parts)
    }

    #[test]
    fn each_line_that_is_wanted_is_found_and_few_parts_are_read() {
        // Lines of all lengths, some without a number, one longer than a part; the last has no line break.
        let line =
            |n: u32| if n.is_multiple_of(700) { "# none\n".repeat(n as usize) } else { format!("{n} {}\n", "x".repeat(n as usize % 900)) };
        let text = (0..3000).map(line).collect::<String>() + &format!("3000 {}\n3001 end", "long".repeat(30_000));
        for numbers in [vec![1], vec![2], vec![1501], vec![2998], vec![3000], vec![3001], vec![1, 800, 1501, 1502, 2998, 3000, 3001]] {
            let wanted: String = text.split_inclusive('\n').filter(|line| number(line).is_some_and(|n| numbers.contains(&n))).collect();
            let (found, parts) = found(&text, text.len(), &numbers);
            assert_eq!(found, wanted);
            assert!(parts <= 4 * numbers.len(), "{parts} parts for {numbers:?}");
        }
        assert_eq!(found(&text, text.len(), &[700]).0, "");
        assert_eq!(found("", 0, &[7]).0, "");
    }

    #[test]
    fn beyond_what_counts_nothing_is_read_and_a_file_can_become_shorter() {
        assert_eq!(found("1 a\n2 b\n3 c\n", 8, &[2, 3]).0, "2 b\n");
        assert_eq!(found("1 a\n2 b\n3 c\n", 6, &[2]).0, "2 ");
        assert_eq!(found("1 a\n2 b\n", 100_000, &[2, 3]).0, "2 b\n");
    }
}
