//! Huge pages that the kernel reserves when it boots: `hugepages=` on its command line.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::Size;

/// How many pages of one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BootPages {
    /// A number, which the kernel divides equally among the NUMA nodes with memory.
    Split(u64),
    /// So many on each of these nodes, `0:8,1:40`: since Linux 5.16 (commit b5389086ad7b, kernel-parameters.txt).
    ByNode(BTreeMap<u32, u64>),
}

impl BootPages {
    /// On all nodes.
    pub fn total(&self) -> u64 {
        match self {
            Self::Split(number) => *number,
            Self::ByNode(nodes) => nodes.values().fold(0, |sum, number| sum.saturating_add(*number)),
        }
    }

    /// The number for each node; none where the kernel divides them.
    pub fn of_nodes(&self) -> impl Iterator<Item = (u32, u64)> {
        let nodes = match self {
            Self::Split(_) => None,
            Self::ByNode(nodes) => Some(nodes),
        };
        nodes.into_iter().flatten().map(|(node, number)| (*node, *number))
    }

    /// Of the parameters of a command line, the place of the `hugepages=` that counts for pages of this size. It is for the size
    /// that is named before it, else for the default size; of several for one size the first counts (`hugepages_setup` and
    /// `hugepagesz_setup` of mm/hugetlb.c).
    pub fn place<'a>(parameters: &[(&'a str, Option<&'a str>)], page: Size) -> Option<usize> {
        let default = parameters.iter().rev().find(|(name, _)| *name == "default_hugepagesz");
        let mut size = default.and_then(|(_, value)| kernel_size((*value)?));
        parameters.iter().position(|(name, value)| {
            if ["hugepagesz", "default_hugepagesz"].contains(name) {
                size = value.and_then(kernel_size);
            }
            *name == "hugepages" && size == Some(page)
        })
    }
}

impl fmt::Display for BootPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Split(number) => write!(f, "{number}"),
            Self::ByNode(nodes) => {
                let nodes: Vec<String> = nodes.iter().map(|(node, number)| format!("{node}:{number}")).collect();
                f.write_str(&nodes.join(","))
            }
        }
    }
}

impl FromStr for BootPages {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |digits: &str| digits.parse::<u64>().map_err(|_| format!("'{text}' is no number of huge pages"));
        if !text.contains(':') {
            return Ok(Self::Split(number(text)?));
        }
        let mut nodes = BTreeMap::new();
        for part in text.split(',') {
            let (node, pages) = part.split_once(':').ok_or_else(|| format!("'{part}' names no node"))?;
            let node = node.parse::<u32>().map_err(|_| format!("'{node}' is no node"))?;
            nodes.insert(node, number(pages)?);
        }
        Ok(Self::ByNode(nodes))
    }
}

/// A size as the kernel reads it (`memparse` of lib/cmdline.c): without a unit, bytes.
pub fn kernel_size(text: &str) -> Option<Size> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift).map(Size::from_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Cmdline;

    #[test]
    fn numbers_and_nodes() {
        let by_node: BootPages = "0:8,1:40".parse().unwrap();
        assert_eq!(by_node, BootPages::ByNode([(0, 8), (1, 40)].into()));
        assert_eq!((by_node.total(), by_node.to_string().as_str()), (48, "0:8,1:40"));
        assert_eq!("96".parse(), Ok(BootPages::Split(96)));
        for text in ["", "x", "0:", ":8", "0:8,", "0:8,9", "1:-1", "99999999999999999999"] {
            assert!(text.parse::<BootPages>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn which_number_counts_for_a_size() {
        let of = |line: &str, page| Cmdline(line.to_owned()).boot_pages(Size::from_mib(page)).map(|pages| pages.to_string());
        for (line, small, large) in [
            ("hugepages=8", None, None),
            ("hugepagesz=1G hugepages=0:8,1:40", None, Some("0:8,1:40")),
            ("hugepagesz=2M hugepages=512 quiet hugepagesz=1G hugepages=8", Some("512"), Some("8")),
            ("default_hugepagesz=1G hugepages=8", None, Some("8")),
            ("hugepages=9 default_hugepagesz=1G", None, Some("9")),
            ("default_hugepagesz=1G hugepagesz=1024M hugepages=8", None, Some("8")),
            ("hugepagesz=1G hugepages=4 hugepagesz=1G hugepages=8", None, Some("4")),
            ("hugepagesz=1G hugepages=many", None, None),
        ] {
            assert_eq!(of(line, 2).as_deref(), small, "{line}");
            assert_eq!(of(line, 1024).as_deref(), large, "{line}");
        }
        assert_eq!(kernel_size("1073741824"), Some(Size::from_mib(1024)));
        assert_eq!([kernel_size("1x"), kernel_size("G"), kernel_size("99999999999G")], [None; 3]);
    }
}
