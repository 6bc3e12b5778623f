//! Messages in another language, said again in English by the catalogs of the programs that wrote them (gettext): the causes
//! know the English ones. A message that no catalog has stays as it is.

use super::causes;
use super::log::Log;
use super::pattern;

/// What libvirt puts behind its own messages comes from the C library (`strerror`).
const OF_SYSTEM: [&str; 10] = [
    "No such file or directory",
    "Permission denied",
    "Operation not permitted",
    "Device or resource busy",
    "Cannot allocate memory",
    "Invalid argument",
    "No space left on device",
    "No such device",
    "Address already in use",
    "Bad address",
];
/// How much of a cause's line a message has to have to be kept.
const BEGINNING: usize = 12;
/// A translation that is shorter stands in too many lines.
const SHORTEST: usize = 8;

/// The messages of one language that may name a cause: in English, and translated.
#[derive(Debug, Default)]
pub struct Catalog {
    messages: Vec<(String, String)>,
    of_system: Vec<(&'static str, String)>,
}

impl Catalog {
    /// Of libvirt's messages and those of the C library.
    pub fn new(libvirt: Vec<(String, String)>, system: &[(String, String)]) -> Self {
        let beginnings: Vec<&str> = causes::all()
            .filter(|cause| cause.logs.contains(&Log::Answer))
            .flat_map(|cause| cause.lines)
            .filter_map(|line| line.split('{').next())
            .map(|text| text.char_indices().nth(BEGINNING).map_or(text, |(end, _)| &text[..end]))
            .collect();
        let matters = |(english, translated): &(String, String)| {
            english != translated && beginnings.iter().any(|beginning| english.contains(beginning))
        };
        let of_system = OF_SYSTEM.into_iter().filter_map(|english| {
            let (_, translated) = system.iter().find(|(known, _)| known == english)?;
            (translated.len() >= SHORTEST).then(|| (english, translated.clone()))
        });
        Self { messages: libvirt.into_iter().filter(matters).collect(), of_system: of_system.collect() }
    }

    /// The English of a message in a line that names a cause in English only.
    pub fn in_english(&self, line: &str) -> Option<String> {
        let plain = self.of_system.iter().fold(line.to_owned(), |text, (english, translated)| text.replace(translated, english));
        let is_known = |text: &str| {
            let of_start = causes::all().filter(|cause| cause.logs.contains(&Log::Answer));
            of_start.flat_map(|cause| cause.lines).any(|known| pattern::matched(known, text).is_some())
        };
        if is_known(line) {
            return None;
        }
        let said = self.messages.iter().filter_map(|(english, translated)| {
            let (values, rest) = values(&pieces(translated), &plain)?;
            Some(filled(&pieces(english), &values)? + rest)
        });
        said.chain((plain != line).then(|| plain.clone())).find(|english| is_known(english))
    }
}

/// A part of a format of printf(3).
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece<'t> {
    Text(&'t str),
    /// A value, by its number from 0.
    Value(usize),
}

fn pieces(format: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut rest, mut next) = (Vec::new(), format, 0);
    while let Some((text, behind)) = rest.split_once('%') {
        pieces.push(Piece::Text(text));
        if let Some(behind) = behind.strip_prefix('%') {
            pieces.push(Piece::Text("%"));
            rest = behind;
            continue;
        }
        let digits = behind.len() - behind.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, behind) = match behind[digits..].strip_prefix('$') {
            Some(behind_number) => (format[format.len() - behind.len()..][..digits].parse::<usize>().ok(), behind_number),
            None => (None, behind),
        };
        let Some(end) = behind.find(|c: char| "diouxXeEfFgGcspm".contains(c)) else { return Vec::new() };
        pieces.push(Piece::Value(number.and_then(|number| number.checked_sub(1)).unwrap_or(next)));
        next += 1;
        rest = &behind[end + 1..];
    }
    pieces.push(Piece::Text(rest));
    pieces.retain(|piece| *piece != Piece::Text(""));
    pieces
}

/// What stands in a line for the values of a message, and what follows the message.
fn values<'l>(message: &[Piece<'_>], line: &'l str) -> Option<(Vec<(usize, &'l str)>, &'l str)> {
    let [Piece::Text(first), rest @ ..] = message else { return None };
    let length: usize = message.iter().map(|piece| if let Piece::Text(text) = piece { text.len() } else { 0 }).sum();
    if length < SHORTEST {
        return None;
    }
    line.match_indices(first).find_map(|(at, _)| {
        let (mut values, mut text) = (Vec::new(), &line[at + first.len()..]);
        let mut pieces = rest.iter().peekable();
        while let Some(piece) = pieces.next() {
            match (piece, pieces.peek()) {
                (Piece::Text(own), _) => text = text.strip_prefix(own)?,
                (Piece::Value(number), Some(Piece::Text(next))) => {
                    let end = text.find(next)?;
                    values.push((*number, &text[..end]));
                    text = &text[end..];
                }
                (Piece::Value(_), Some(Piece::Value(_))) => return None,
                (Piece::Value(number), None) => {
                    values.push((*number, text));
                    text = "";
                }
            }
        }
        Some((values, text))
    })
}

/// The English message with these values; `None` where one is missing.
fn filled(message: &[Piece<'_>], values: &[(usize, &str)]) -> Option<String> {
    let piece = |piece: &Piece<'_>| match piece {
        Piece::Text(text) => Some((*text).to_owned()),
        Piece::Value(number) => values.iter().find(|(known, _)| known == number).map(|(_, value)| (*value).to_owned()),
    };
    message.iter().map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        let of = |pairs: &[(&str, &str)]| pairs.iter().map(|(one, other)| ((*one).to_owned(), (*other).to_owned())).collect::<Vec<_>>();
        let libvirt = [
            ("network '%1$s' is not active", "Netzwerk »%1$s« ist nicht aktiv"),
            ("network '%s' is not active", "Netzwerk »%s« läuft nicht"),
            ("Cannot access storage file '%1$s'", "Auf »%1$s« kann nicht zugegriffen werden"),
            ("PCI device %1$s is in use by driver %2$s, domain %3$s", "In %3$s hat %2$s das Gerät %1$s"),
            ("unrelated %1$s", "Nichts mit %1$s"),
        ];
        Catalog::new(of(&libvirt), &of(&[("No such file or directory", "Datei oder Verzeichnis nicht gefunden")]))
    }

    #[test]
    fn a_message_is_said_again_in_english() {
        let catalog = catalog();
        assert_eq!(catalog.messages.len(), 4);
        for (line, english) in [
            ("Interner Fehler: Netzwerk »default« ist nicht aktiv", Some("network 'default' is not active")),
            ("Netzwerk »lan« läuft nicht", Some("network 'lan' is not active")),
            (
                "Auf »/x« kann nicht zugegriffen werden: Datei oder Verzeichnis nicht gefunden",
                Some("Cannot access storage file '/x': No such file or directory"),
            ),
            ("In win hat QEMU das Gerät 0000:01:00.0", Some("PCI device 0000:01:00.0 is in use by driver QEMU, domain win")),
            ("network 'default' is not active", None),
            ("Netzwerk »default« ist", None),
            ("", None),
        ] {
            assert_eq!(catalog.in_english(line).as_deref(), english, "{line}");
        }
        assert_eq!(Catalog::default().in_english("Netzwerk »default« ist nicht aktiv"), None);
    }

    #[test]
    fn formats() {
        let value = Piece::Value;
        assert_eq!(
            pieces("a %2$-5s %% %1$llu"),
            [Piece::Text("a "), value(1), Piece::Text(" "), Piece::Text("%"), Piece::Text(" "), value(0)]
        );
        assert_eq!(pieces("%s and %d"), [value(0), Piece::Text(" and "), value(1)]);
        for odd in ["%", "%5", "%0$s", "é%"] {
            let _ = pieces(odd);
        }
    }
}
