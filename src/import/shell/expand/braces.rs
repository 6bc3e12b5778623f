//! Brace expansion: `{a,b}` in a word makes one word for each.

use super::super::budget::{Budget, WORD};
use super::super::word::{Piece, Word};

/// The most words that one word may expand to.
const MOST: usize = 200;

/// An unquoted character, or anything else.
#[derive(Clone, PartialEq)]
enum Unit {
    Letter(char),
    Other(Piece),
}

/// The words that a word expands to.
pub(super) fn alternatives(word: &Word, budget: &Budget) -> Vec<Word> {
    let has_brace = word.pieces.iter().any(|piece| matches!(piece, Piece::Text(text) if text.contains('{')));
    if !has_brace {
        return vec![word.clone()];
    }
    let units = word.pieces.iter().flat_map(|piece| match piece {
        Piece::Text(text) => text.chars().map(Unit::Letter).collect(),
        other => vec![Unit::Other(other.clone())],
    });
    let mut done: Vec<Vec<Unit>> = Vec::new();
    let mut open = vec![units.collect::<Vec<_>>()];
    while let Some(units) = open.pop() {
        match expanded(&units, budget) {
            Some(more) if open.len() + done.len() + more.len() <= MOST => open.extend(more.into_iter().rev()),
            _ => done.push(units),
        }
    }
    done.into_iter().map(|units| Word { pieces: pieces(units), quoted: word.quoted }).collect()
}

/// Expands the first braces.
fn expanded(units: &[Unit], budget: &Budget) -> Option<Vec<Vec<Unit>>> {
    let opens = (0..units.len()).filter(|&at| units[at] == Unit::Letter('{'));
    opens.take(MOST).find_map(|open| {
        let (mut depth, mut commas) = (0_usize, vec![open]);
        // Each character is examined, and copying one costs as much as a word.
        if !budget.take(units.len() - open) {
            return None;
        }
        let close = (open..units.len()).find(|&at| {
            match units[at] {
                Unit::Letter('{') => depth += 1,
                Unit::Letter('}') => depth -= 1,
                Unit::Letter(',') if depth == 1 => commas.push(at),
                _ => {}
            }
            depth == 0
        })?;
        let with = |inside: &[Unit]| [&units[..open], inside, &units[close + 1..]].concat();
        if commas.len() == 1 {
            let numbers = range(&units[open + 1..close]).filter(|numbers| budget.take(numbers.len() * units.len() * WORD));
            return numbers.map(|numbers| numbers.iter().map(|number| with(number)).collect());
        }
        commas.push(close);
        if commas.len() > MOST + 1 || !budget.take(commas.len() * (units.len() + open - close) * WORD) {
            return None;
        }
        Some(commas.windows(2).map(|pair| with(&units[pair[0] + 1..pair[1]])).collect())
    })
}

/// `1..4`.
fn range(inside: &[Unit]) -> Option<Vec<Vec<Unit>>> {
    let letters: Option<String> = inside.iter().map(|unit| if let Unit::Letter(c) = unit { Some(*c) } else { None }).collect();
    let letters = letters?;
    let (from, to) = letters.split_once("..")?;
    let (from, to): (usize, usize) = (from.parse().ok()?, to.parse().ok()?);
    (from <= to && to - from < MOST).then(|| (from..=to).map(|number| number.to_string().chars().map(Unit::Letter).collect()).collect())
}

fn pieces(units: Vec<Unit>) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for unit in units {
        match (unit, pieces.last_mut()) {
            (Unit::Letter(c), Some(Piece::Text(text))) => text.push(c),
            (Unit::Letter(c), _) => pieces.push(Piece::Text(c.to_string())),
            (Unit::Other(piece), _) => pieces.push(piece),
        }
    }
    pieces
}
