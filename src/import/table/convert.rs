//! How a value of QEMU becomes one of libvirt, and where it is written.

use crate::import::size::read_bytes;
use crate::model::Size;
use crate::xml::Fragment;

/// How a value of QEMU becomes one of libvirt.
pub(in crate::import) enum Convert {
    /// As it is.
    Same,
    /// These words by others, and any other as it is.
    Words(&'static [(&'static str, &'static str)]),
    /// These words by others; any other is reported.
    Only(&'static [(&'static str, &'static str)]),
    OnOff,
    YesNo,
    /// The contrary: what disables one thing.
    NoYes,
    /// A number, in decimal.
    Number,
    /// A number, as libvirt writes ports and interrupts of the ISA bus: `0x3f8`.
    Hex,
    /// A World Wide Name: 16 hexadecimal digits.
    Wwn,
    /// An amount in libvirt's KiB, of one in bytes or in MiB.
    Bytes,
    Mib,
    /// The place is written only if the property is on, or off.
    On,
    Off,
    /// Nothing is written: libvirt has its own way, the place column says which.
    Drop,
}

/// What becomes of a value.
pub(in crate::import) enum Converted {
    /// It is no value that libvirt has, and is reported.
    Left,
    /// Nothing is written.
    Nothing,
    Written(String),
}

impl Convert {
    pub(in crate::import) fn convert(&self, value: &str) -> Converted {
        use Converted::{Left, Nothing, Written};
        let number = || number(value);
        let kib = |kib: Option<u64>| kib.map_or(Left, |kib| Written(kib.to_string()));
        let words = |on: &str, off: &str| Written(if is_on(value) { on } else { off }.to_owned());
        match self {
            Convert::Same => Written(value.to_owned()),
            Convert::Words(known) | Convert::Only(known) => {
                // QEMU's other words for `on` and `off` (`qapi_bool_parse`).
                let switch = match value {
                    "yes" | "true" | "y" => "on",
                    "no" | "false" | "n" => "off",
                    other => other,
                };
                match known.iter().find(|(word, _)| *word == value || *word == switch) {
                    Some((_, "")) => Nothing,
                    Some((_, word)) => Written((*word).to_owned()),
                    None if matches!(self, Convert::Only(_)) => Left,
                    None => Written(value.to_owned()),
                }
            }
            Convert::OnOff => words("on", "off"),
            Convert::YesNo => words("yes", "no"),
            Convert::NoYes => words("no", "yes"),
            Convert::Number => kib(number()),
            Convert::Hex => number().map_or(Left, |number| Written(format!("{number:#x}"))),
            Convert::Wwn => number().map_or(Left, |number| Written(format!("{number:016x}"))),
            Convert::Bytes => kib(read_bytes(value).map(Size::kib)),
            Convert::Mib => kib(number().and_then(|mib| mib.checked_mul(1 << 10))),
            Convert::On if is_on(value) => Written(String::new()),
            Convert::Off if !is_on(value) => Written(String::new()),
            Convert::On | Convert::Off | Convert::Drop => Nothing,
        }
    }
}

/// Whether a property's value means on.
pub(in crate::import) fn is_on(value: &str) -> bool {
    matches!(value, "on" | "yes" | "true" | "y" | "1")
}

/// A number as QEMU parses properties (`qemu_strtou64` with base 0): `0x` is hexadecimal, a leading zero octal, anything else decimal.
pub(in crate::import) fn number(text: &str) -> Option<u64> {
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u64::from_str_radix(digits, 16).ok();
    }
    let is_octal = text.len() > 1 && text.starts_with('0');
    u64::from_str_radix(text, if is_octal { 8 } else { 10 }).ok()
}

/// Whether a text of names separated by spaces contains one.
pub(in crate::import) fn has(names: &str, name: &str) -> bool {
    names.split(' ').any(|known| known == name)
}

/// The row of a name in a table of names and one thing.
pub(in crate::import) fn of(table: &'static [(&str, &'static str)], name: &str) -> Option<&'static str> {
    table.iter().find(|(names, _)| has(names, name)).map(|(_, of)| *of)
}

/// The places of a property, with its name.
pub(in crate::import) fn named(places: &str, name: &str) -> String {
    let rest = name.split_once(['-', '_']).map_or("", |(_, rest)| rest);
    let mut is_begin = false;
    let mut joined = String::new();
    for letter in name.chars() {
        if !"-_".contains(letter) {
            joined.push(if is_begin { letter.to_ascii_uppercase() } else { letter });
        }
        is_begin = "-_".contains(letter);
    }
    places.replace('*', name).replace('+', rest).replace('~', &joined)
}

/// Writes a value to places.
pub(in crate::import) fn write(element: &mut Fragment, places: &str, value: &str) {
    for place in places.split(' ').filter(|place| !place.is_empty()) {
        // `timer[name=rtc]` is a part of the path.
        let fixed = place.rfind('=').filter(|at| !place[*at..].contains(']'));
        let (place, value) = fixed.map_or((place, value), |at| (&place[..at], &place[at + 1..]));
        element.set(place, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let mut element = Fragment::new("x");
        write(&mut element, "@a a/timer[name=rtc]@b=c serial", "1");
        let rendered = element.render("", "").replace("  ", "");
        assert_eq!(rendered, "<x a='1'><a><timer name='rtc' b='c'/></a><serial>1</serial></x>");
    }

    #[test]
    fn places_with_the_name() {
        assert_eq!(named("a/*@+ @~", "host_tso_ecn"), "a/host_tso_ecn@tso_ecn @hostTsoEcn");
    }

    #[test]
    fn ids_are_decimal_unless_they_say_otherwise() {
        assert_eq!((number("1133"), number("0x046d"), number("010"), number("046d")), (Some(0x046d), Some(0x046d), Some(8), None));
    }
}
