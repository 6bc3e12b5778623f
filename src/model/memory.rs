//! Amounts of memory, and the memory of a host.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An amount of memory in bytes, written with binary units as QEMU does; serialised as a number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, JsonSchema, Deserialize)]
pub struct Size(u64);

/// Units from the largest to the smallest: name, and exponent of 2.
const UNITS: [(&str, u32); 5] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10), ("B", 0)];

impl Size {
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// From KiB, the unit of `/proc/meminfo` and of libvirt; saturates on overflow.
    pub const fn from_kib(kib: u64) -> Self {
        Self(kib.saturating_mul(1 << 10))
    }

    /// From MiB; saturates on overflow.
    pub const fn from_mib(mib: u64) -> Self {
        Self(mib.saturating_mul(1 << 20))
    }

    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// In whole KiB, rounded down.
    pub const fn kib(self) -> u64 {
        self.0 >> 10
    }

    /// As it is typed on a command line: `16G`.
    pub fn short(self) -> String {
        self.to_string().replace(' ', "").replace("iB", "")
    }
}

impl fmt::Display for Size {
    /// In the largest unit that gives a whole number: `8 GiB`, `1536 MiB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, shift) = UNITS.iter().find(|(_, shift)| self.0 >> shift << shift == self.0 && self.0 >> shift > 0).unwrap_or(&UNITS[4]);
        write!(f, "{} {unit}", self.0 >> shift)
    }
}

impl Size {
    /// A size that somebody asks for, which is more than nothing.
    ///
    /// # Errors
    /// Where the text is no size, or zero.
    pub fn asked(text: &str) -> Result<Self, String> {
        let size: Self = text.parse()?;
        if size.bytes() > 0 { Ok(size) } else { Err(format!("'{text}' is nothing; examples: 8G, 8192M, or 8192 (MiB)")) }
    }
}

impl FromStr for Size {
    type Err = String;

    /// `8G`, `8GiB`, `8192M`; a bare number is MiB, as for QEMU's `-m`.
    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("'{text}' is not a valid size; examples: 8G, 8192M, or 8192 (MiB)");
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let number: u64 = text[..digits].parse().map_err(|_| refuse())?;
        let shift = match text[digits..].trim().to_ascii_lowercase().as_str() {
            "b" => 0,
            "k" | "kib" => 10,
            "" | "m" | "mib" => 20,
            "g" | "gib" => 30,
            "t" | "tib" => 40,
            _ => return Err(refuse()),
        };
        number.checked_mul(1 << shift).map(Self).ok_or_else(refuse)
    }
}

/// A host keeps one part in so many of its memory, and of each node's, from the guests.
pub const HOST_KEEPS_ONE_IN: u64 = 8;
/// The memory that a desktop needs; a small host runs none.
const OF_DESKTOP: Size = Size::from_mib(2048);

/// How much memory a host itself needs: as much as a desktop does, of a small host a quarter.
pub fn needed_by_host(total: Size) -> Size {
    Size::from_bytes(OF_DESKTOP.bytes().min(total.bytes() / 4))
}

/// How much of its memory a host keeps for itself, where pages are reserved.
pub fn kept_by_host(total: Size) -> Size {
    Size::from_bytes(needed_by_host(total).bytes().max(total.bytes() / HOST_KEEPS_ONE_IN))
}

/// How much of it a host can spare for guests that keep all of theirs.
pub fn most_for_guests(total: Size) -> Size {
    Size::from_bytes(total.bytes().saturating_sub(kept_by_host(total).bytes()))
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct Memory {
    /// All that the kernel manages.
    pub total: Option<Size>,
    /// Memory that can be allocated without swapping.
    pub available: Option<Size>,
    /// The default huge page size, used by `<hugepages/>` without a size.
    pub default_hugepage: Option<Size>,
    /// Whether the kernel forms huge pages by itself: `always`, `madvise` or `never`; `None` where it is unknown.
    pub transparent: Option<String>,
    /// The pools of huge pages, smallest page size first.
    pub hugepages: Vec<HugepagePool>,
    pub nodes: Vec<(u32, Size)>,
    /// The pools of each NUMA node, where there are several and they could be read.
    pub node_hugepages: Vec<NodePool>,
    /// Where hugetlbfs is mounted, with the page size if it is a mount option.
    pub hugetlbfs: Vec<(String, Option<Size>)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HugepagePool {
    pub page: Size,
    /// Reserved pages.
    pub total: u64,
    pub free: u64,
}

impl HugepagePool {
    /// The pages that programs use now.
    pub fn used(&self) -> u64 {
        self.total.saturating_sub(self.free)
    }
}

/// The part of a pool that is on one NUMA node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct NodePool {
    pub node: u32,
    #[serde(flatten)]
    pub pool: HugepagePool,
}

impl Memory {
    /// What is reserved as huge pages, which nothing else can use.
    pub fn in_hugepages(&self) -> Size {
        Size::from_bytes(self.hugepages.iter().map(|pool| pool.page.bytes().saturating_mul(pool.total)).sum())
    }

    /// The pool of pages of this size, on all nodes.
    pub fn pool(&self, page: Size) -> Option<&HugepagePool> {
        self.hugepages.iter().find(|pool| pool.page == page)
    }

    /// Its part on one node; `None` where it is unknown.
    pub fn pool_of_node(&self, page: Size, node: u32) -> Option<&HugepagePool> {
        let known = self.node_hugepages.iter().find(|known| known.node == node && known.pool.page == page);
        let is_only = self.nodes.len() == 1 && self.nodes[0].0 == node;
        known.map(|known| &known.pool).or_else(|| self.pool(page).filter(|_| is_only))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints() {
        assert_eq!("8G".parse::<Size>().unwrap().kib(), 8 << 20);
        assert_eq!("8192".parse::<Size>().unwrap(), "8 GiB".parse().unwrap());
        assert_eq!(Size::from_mib(1536).to_string(), "1536 MiB");
        assert_eq!(Size::from_mib(2048).to_string(), "2 GiB");
        assert_eq!(Size::default().to_string(), "0 B");
        for text in ["8G", "1536M", "3K", "2T", "5B"] {
            assert_eq!(text.parse::<Size>().unwrap().short(), text);
        }
        for text in ["", "G", "-1", "8X", "8.5G", "99999999999999999999", "99999999999T"] {
            assert!(text.parse::<Size>().is_err(), "{text:?}");
        }
    }
}
