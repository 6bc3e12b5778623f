//! The names of PCI functions: of the host's `pci.ids`, then of the pci-ids crate.

use std::ops::ControlFlow;

use super::scope::Scope;
use crate::model::{Card, Host, PciDevice, PciId};
use crate::root::{LineSearch, Root, line_length};

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
    let of_host = LISTS.iter().find_map(|path| root.sorted(path, Search::new(&ids))).unwrap_or_default();
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

/// A search for the names of devices in a list, which is sorted ("Please keep sorted", it says itself) and has more than a
/// megabyte. Only parts that can name one of them are read; in a part, lines are found by halving.
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

    fn pick_devices(&mut self, vendor: u16, lines: &[u8], found: &mut Vec<u8>) {
        self.unnamed.retain(|id| {
            if id.vendor != vendor {
                return true;
            }
            let at = first(lines, id.device, device_line, of_device);
            let line = at.map(|at| &lines[at..at + line_length(&lines[at..])]).filter(|line| of_device(line) == Some(id.device));
            found.extend_from_slice(line.unwrap_or_default());
            line.is_none()
        });
    }
}

impl LineSearch for Search {
    fn pick(&mut self, lines: &[u8], found: &mut Vec<u8>) -> ControlFlow<()> {
        let mut rest = lines;
        loop {
            if let Some(vendor) = self.vendor {
                let (of_vendor, others) = rest.split_at(vendor_line(rest, 0).unwrap_or(rest.len()));
                self.pick_devices(vendor, of_vendor, found);
                rest = others;
                if rest.is_empty() && self.unnamed.iter().any(|id| id.vendor == vendor) {
                    return ControlFlow::Continue(());
                }
                // What its vendor's lines do not name, no later line does.
                self.unnamed.retain(|id| id.vendor != vendor);
                self.vendor = None;
            }
            let Some(next) = self.unnamed.first().map(|id| id.vendor) else { return ControlFlow::Break(()) };
            let Some(at) = first(rest, next, vendor_line, number) else { return ControlFlow::Continue(()) };
            let (line, others) = rest[at..].split_at(line_length(&rest[at..]));
            if number(line) == Some(next) {
                found.extend_from_slice(line);
                self.vendor = Some(next);
                rest = others;
            } else {
                self.unnamed.retain(|id| id.vendor != next);
                rest = &rest[at..];
            }
        }
    }

    fn reads_on(&self) -> bool {
        self.vendor.is_some()
    }

    fn comes_later(&self, lines: &[u8]) -> bool {
        let vendor = vendor_line(lines, 0).and_then(|at| number(&lines[at..]));
        vendor.zip(self.unnamed.first()).is_some_and(|(vendor, next)| vendor < next.vendor)
    }
}

/// Where the first line of a kind is that has at least this number; the lines of that kind are sorted by it.
fn first(
    lines: &[u8],
    wanted: u16,
    next_line: impl Fn(&[u8], usize) -> Option<usize>,
    number: impl Fn(&[u8]) -> Option<u16>,
) -> Option<usize> {
    let (mut low, mut high, mut found) = (0, lines.len(), None);
    while low < high {
        let middle = low.midpoint(high);
        // Not beyond: among the lines of a large vendor, the next vendor is far. Two bytes tell a line's kind.
        let these = &lines[..lines.len().min(high + 1)];
        match next_line(these, middle).filter(|at| *at < high) {
            None => high = middle,
            Some(at) if number(&lines[at..]).is_some_and(|number| number < wanted) => low = at + 1,
            // Classes come last, and have letters.
            Some(at) => (high, found) = (middle, Some(at)),
        }
    }
    found
}

/// Where the next vendor's line begins, from a place on.
fn vendor_line(lines: &[u8], from: usize) -> Option<usize> {
    // Of so many bytes, the compiler compares several at once, where nothing depends on the comparison before (no `&&`).
    const CHUNK: usize = 64;
    let is_vendor = |at: u8| u8::from(at != b'\t') & u8::from(at != b'#') & u8::from(at != b'\n');
    let begins = |(before, at): (&u8, &u8)| u8::from(*before == b'\n') & is_vendor(*at);
    if from == 0 && lines.first().is_some_and(|at| is_vendor(*at) != 0) {
        return Some(0);
    }
    let mut start = from.saturating_sub(1);
    while let Some(chunk) = lines.get(start..=start + CHUNK) {
        if chunk[..CHUNK].iter().zip(&chunk[1..]).fold(0, |any, pair| any | begins(pair)) != 0 {
            break;
        }
        start += CHUNK;
    }
    let rest = lines.get(start..)?;
    rest.iter().zip(rest.get(1..)?).position(|pair| begins(pair) != 0).map(|before| start + before + 1)
}

/// Where the next device's line begins, from a place on: subsystems have one more tab.
fn device_line(lines: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    if from > 0 {
        at += line_length(&lines[from - 1..]) - 1;
    }
    while let [first, second, ..] = lines.get(at..)? {
        if *first == b'\t' && *second != b'\t' {
            return Some(at);
        }
        at += line_length(&lines[at..]);
    }
    None
}

fn of_device(line: &[u8]) -> Option<u16> {
    number(line.strip_prefix(b"\t")?)
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
    fn an_excerpt_is_what_is_asked_for_in_any_pieces() {
        let ids = ["10de:1401", "10de:1402", "8086:1401"].map(|id| id.parse().unwrap());
        let [nvidia, intel] = ["10de  NVIDIA Corporation\n\t1401  GM206 [GeForce GTX 960]\n", "8086  Intel Corporation\n\t1401  decoy\n"];
        assert_eq!(names_in(LIST, &ids), format!("{nvidia}{intel}"));
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
    fn each_device_of_a_long_list_is_found_and_no_other() {
        let mut of_vendor = 0;
        let vendor = |line: &str| line.get(..4).and_then(|id| u16::from_str_radix(id, 16).ok());
        let all: Vec<(PciId, &str)> = BUILT_IN
            .lines()
            .filter_map(|line| match line.strip_prefix('\t') {
                None => {
                    of_vendor = vendor(line).unwrap();
                    None
                }
                Some(device) => Some((PciId { vendor: of_vendor, device: vendor(device).unwrap() }, &device[6..])),
            })
            .collect();
        // With subsystems, comments and classes, as the list of a host has them, in pieces of whole lines.
        let subsystem =
            |line: &str| if line.starts_with('\t') { format!("{line}\n\t\t1043 0001  {line}\n") } else { format!("{line}\n# {line}\n") };
        let list: String = "# Please keep sorted.\n\n".to_owned()
            + &BUILT_IN.lines().map(subsystem).collect::<String>()
            + "\nC 00  Unclassified\n\t00  old\n";
        let some: Vec<&(PciId, &str)> = all.iter().step_by(37).collect();
        let ids: Vec<PciId> = some.iter().map(|(id, _)| *id).collect();
        for length in [4_000, 64 << 10, list.len()] {
            let (mut search, mut found, mut rest) = (Search::new(&ids), Vec::new(), list.as_bytes());
            while !rest.is_empty() {
                let end = rest[..length.min(rest.len())].iter().rposition(|byte| *byte == b'\n').map_or(rest.len(), |end| end + 1);
                let (piece, others) = rest.split_at(end);
                let _ = search.pick(piece, &mut found);
                rest = others;
            }
            assert_eq!(search.unnamed, []);
            let found = String::from_utf8(found).unwrap();
            let names: Vec<&str> = found.lines().filter_map(|line| line.strip_prefix('\t')).map(|line| &line[6..]).collect();
            assert_eq!(names, some.iter().map(|(_, name)| *name).collect::<Vec<_>>(), "{length}");
        }
        // Each by itself, too, as a host has the list: what is left out holds none.
        let host = tempfile::tempdir().unwrap();
        std::fs::write(host.path().join("list"), &list).unwrap();
        let root = Root::open(host.path()).unwrap();
        for (id, name) in some.iter().step_by(10) {
            let excerpt = root.sorted("/list", Search::new(&[*id])).unwrap();
            assert_eq!(device_name(&excerpt, *id), Some(name.trim()), "{id}");
        }
        let excerpt = root.sorted("/list", Search::new(&ids)).unwrap();
        assert_eq!(excerpt, names_in(&list, &ids));
        let others: Vec<PciId> = ids
            .iter()
            .map(|id| PciId { device: id.device ^ 1, ..*id })
            .filter(|id| all.binary_search_by_key(id, |(id, _)| *id).is_err())
            .collect();
        assert!(names_in(&list, &others).lines().all(|line| !line.starts_with('\t')));
    }

    #[test]
    fn the_built_in_table_is_whole() {
        assert!(BUILT_IN.lines().count() > 15_000, "{}", BUILT_IN.lines().count());
        assert!(vendor_name(BUILT_IN, 0x10de).is_some());
    }
}
