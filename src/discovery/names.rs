//! The names of PCI functions: of the host's `pci.ids`, then of the pci-ids crate.

use std::io::BufRead as _;
use std::ops::ControlFlow;

use super::scope::Scope;
use crate::model::{Card, Host, PciDevice, PciId};
use crate::root::Root;

/// The paths of the list on different distributions.
const LISTS: [&str; 4] = ["/usr/share/hwdata/pci.ids", "/usr/share/misc/pci.ids", "/usr/share/pci.ids", "/var/lib/pciutils/pci.ids"];

/// The pci-ids crate's table in the same format; see build.rs.
const BUILT_IN: &str = include_str!(concat!(env!("OUT_DIR"), "/pci.ids"));

pub(super) fn name(root: &Root, host: &mut Host, scope: Scope) {
    let of_cards = if scope == Scope::NextStep { Card::functions_of_all(host) } else { Vec::new() };
    let wanted = |device: &&mut PciDevice| match scope {
        Scope::Cards => device.class.is_display(),
        Scope::NextStep => of_cards.contains(&device.address),
        Scope::Devices | Scope::All => true,
    };
    let mut ids: Vec<PciId> = host.pci.iter_mut().filter(wanted).map(|device| device.id).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return;
    }
    let of_host = LISTS.iter().find_map(|path| {
        let mut search = Search::new(&ids);
        root.lines(path, |piece, found| search.pick(piece, found))
    });
    let of_host = of_host.unwrap_or_default();
    let missing: Vec<PciId> = ids.into_iter().filter(|id| device_name(&of_host, *id).is_none()).collect();
    let built_in = names_in(BUILT_IN, &missing);
    for device in host.pci.iter_mut().filter(wanted) {
        device.name = name_of([&of_host, &built_in], device.id);
    }
}

/// `Vendor Device`, or only the vendor; both from the first list that has them.
fn name_of(lists: [&str; 2], id: PciId) -> Option<String> {
    let vendor = lists.iter().find_map(|list| vendor_name(list, id.vendor))?;
    let device = lists.iter().find_map(|list| device_name(list, id));
    Some(device.map_or_else(|| vendor.to_owned(), |device| format!("{vendor} {device}")))
}

/// The name of a vendor in an excerpt of a list.
fn vendor_name(excerpt: &str, vendor: u16) -> Option<&str> {
    excerpt.lines().find_map(|line| Some(line.strip_prefix(&format!("{vendor:04x}  "))?.trim()))
}

/// The name of a device in an excerpt of a list, in which a device stands after its vendor.
fn device_name(excerpt: &str, id: PciId) -> Option<&str> {
    let mut of_vendor = excerpt.lines().skip_while(|line| !line.starts_with(&format!("{:04x}  ", id.vendor))).skip(1);
    let name = |line: &&str| line.starts_with('\t');
    of_vendor.by_ref().take_while(name).find_map(|line| Some(line.strip_prefix(&format!("\t{:04x}  ", id.device))?.trim()))
}

/// The lines of a list that name these devices.
fn names_in(list: &str, ids: &[PciId]) -> String {
    let mut found = Vec::new();
    let _ = Search::new(ids).pick(list.as_bytes(), &mut found);
    String::from_utf8_lossy(&found).into_owned()
}

/// A search for the names of devices: a list has more than a megabyte, and is gone over once, up to the last name.
struct Search {
    /// Sorted.
    unnamed: Vec<PciId>,
    /// The vendor of the lines that follow, if one of its devices is unnamed.
    vendor: Option<u16>,
}

impl Search {
    fn new(ids: &[PciId]) -> Self {
        Self { unnamed: ids.to_vec(), vendor: None }
    }

    /// Adds the lines that name devices, which are among these.
    fn pick(&mut self, lines: &[u8], found: &mut Vec<u8>) -> ControlFlow<()> {
        let mut start = 0;
        while start < lines.len() && !self.unnamed.is_empty() {
            if self.vendor.is_none() && matches!(lines[start], b'\t' | b'#') {
                start += to_vendor(&lines[start..]);
                continue;
            }
            let end = start + line_length(&lines[start..]);
            match (&lines[start..end], self.vendor) {
                // Subsystems and comments.
                ([b'\t', b'\t', ..] | [b'#', ..], _) => {}
                ([b'\t', line @ ..], Some(vendor)) => {
                    let at = number(line).and_then(|device| self.unnamed.binary_search(&PciId { vendor, device }).ok());
                    if let Some(at) = at {
                        self.unnamed.remove(at);
                        found.extend_from_slice(&lines[start..end]);
                    }
                }
                (line, last) => {
                    // What its vendor's lines do not name, no later line does.
                    self.unnamed.retain(|id| Some(id.vendor) != last);
                    self.vendor = number(line).filter(|vendor| self.unnamed.iter().any(|id| id.vendor == *vendor));
                    if self.vendor.is_some() {
                        found.extend_from_slice(line);
                    }
                }
            }
            start = end;
        }
        if self.unnamed.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// The length of the first line, with its line break. The standard library asks the C library, which has looked for the
/// processor's vector instructions already; the memchr crate would look again.
fn line_length(mut lines: &[u8]) -> usize {
    let whole = lines.len();
    lines.skip_until(b'\n').unwrap_or(whole)
}

/// Where the line of the next vendor begins, from the beginning of another line on.
fn to_vendor(lines: &[u8]) -> usize {
    // Of so many bytes, the compiler compares several at once, where nothing depends on the comparison before (no `&&`).
    const CHUNK: usize = 64;
    let begins = |(before, at): (&u8, &u8)| u8::from(*before == b'\n') & u8::from(*at != b'\t') & u8::from(*at != b'#');
    let mut start = 0;
    while let Some(chunk) = lines.get(start..=start + CHUNK) {
        if chunk[..CHUNK].iter().zip(&chunk[1..]).fold(0, |any, pair| any | begins(pair)) != 0 {
            break;
        }
        start += CHUNK;
    }
    let rest = &lines[start..];
    rest.iter().zip(&rest[1..]).position(|pair| begins(pair) != 0).map_or(lines.len(), |before| start + before + 1)
}

/// The id with which a line begins.
fn number(line: &[u8]) -> Option<u16> {
    let [a, b, c, d, b' ', b' ', ..] = *line else { return None };
    [a, b, c, d].iter().try_fold(0, |number, digit| Some(number << 4 | u16::try_from(char::from(*digit).to_digit(16)?).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "# comment\n10de  NVIDIA Corporation\n\t1401  GM206 [GeForce GTX 960]\n\t\t1043 8520  a subsystem\n8086  Intel Corporation\n\t1401  decoy\nC 03  Display controller\n";

    #[test]
    fn own_list_then_crate_then_hex() {
        let named = |list: &str, id: PciId| name_of([&names_in(list, &[id]), &names_in(BUILT_IN, &[id])], id);
        let name = |id: &str| named(LIST, id.parse().unwrap());
        assert_eq!(name("10de:1401").unwrap(), "NVIDIA Corporation GM206 [GeForce GTX 960]");
        assert_eq!(
            name("1002:67df").unwrap(),
            "Advanced Micro Devices, Inc. [AMD/ATI] Ellesmere [Radeon RX 470/480/570/570X/580/580X/590]"
        );
        assert_eq!(name("10de:fffe").unwrap(), "NVIDIA Corporation");
        assert_eq!(name("0bad:0001"), None);
    }

    #[test]
    fn an_excerpt_is_what_is_asked_for_in_any_order_and_in_any_pieces() {
        let ids = ["10de:1401", "10de:1402", "8086:1401"].map(|id| id.parse().unwrap());
        let [nvidia, intel] = ["10de  NVIDIA Corporation\n\t1401  GM206 [GeForce GTX 960]\n", "8086  Intel Corporation\n\t1401  decoy\n"];
        assert_eq!(names_in(LIST, &ids), format!("{nvidia}{intel}"));
        let (first, second) = LIST.split_at(LIST.find("8086").unwrap());
        assert_eq!(names_in(&format!("{second}{first}"), &ids), format!("{intel}{nvidia}"));
        for (at, _) in LIST.match_indices('\n') {
            let (mut search, mut found) = (Search::new(&ids), Vec::new());
            let (first, second) = LIST.split_at(at + 1);
            let _ = search.pick(first.as_bytes(), &mut found);
            let _ = search.pick(second.as_bytes(), &mut found);
            assert_eq!(String::from_utf8(found).unwrap(), format!("{nvidia}{intel}"));
        }
    }

    #[test]
    fn no_more_is_read_than_names_what_is_asked_for() {
        let ids = ["10de:1401".parse().unwrap()];
        let (mut search, mut found) = (Search::new(&ids), Vec::new());
        assert!(search.pick(&LIST.as_bytes()[..10], &mut found).is_continue());
        assert!(search.pick(&LIST.as_bytes()[10..], &mut found).is_break());
    }

    #[test]
    fn the_built_in_table_is_whole() {
        assert!(BUILT_IN.lines().count() > 15_000, "{}", BUILT_IN.lines().count());
        assert!(vendor_name(BUILT_IN, 0x10de).is_some());
    }
}
