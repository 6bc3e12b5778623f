//! The CPU topology of a host: which logical CPUs share a core, a cache, a NUMA node.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Serialize;

use super::text::serde_as_text;
use super::{Reading, Size};

/// More logical CPUs than any kernel supports (`CONFIG_NR_CPUS` is at most 8192); limits absurd ranges.
const MOST_CPUS: u32 = 65_536;

/// The CPU that boots, and keeps the time for those without a tick: a host cannot do without it.
pub const BOOT_CPU: u32 = 0;

/// A set of logical CPUs, written as the kernel and libvirt do: `0-3,8`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CpuSet(pub BTreeSet<u32>);

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cpus = self.0.iter().copied().peekable();
        let mut separator = "";
        while let Some(first) = cpus.next() {
            let mut last = first;
            while let Some(next) = cpus.next_if_eq(&(last + 1)) {
                last = next;
            }
            if first == last {
                write!(f, "{separator}{first}")?;
            } else {
                write!(f, "{separator}{first}-{last}")?;
            }
            separator = ",";
        }
        Ok(())
    }
}

impl FromStr for CpuSet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::of_all([text])
    }
}

impl CpuSet {
    /// The union of several lists. Ranges are merged first, so that each CPU is inserted only once.
    pub fn of_all<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut ranges = Vec::new();
        for text in texts {
            ranges.extend(ranges_of(text)?);
        }
        ranges.sort_unstable();
        let (mut set, mut next) = (BTreeSet::new(), 0);
        for (first, last) in ranges {
            set.extend(first.max(next)..=last);
            next = next.max(last + 1);
        }
        Ok(Self(set))
    }

    /// From the kernel's mask: words of 32 bits in hexadecimal, the highest first.
    pub fn of_mask(text: &str) -> Result<Self, String> {
        let refuse = || format!("'{text}' is not a valid mask of CPUs; example: 00000001,0000ff00");
        let words: Vec<&str> = text.trim().split(',').collect();
        let mut set = BTreeSet::new();
        for (first, word) in (0..MOST_CPUS).step_by(32).zip(words.iter().rev()) {
            let bits = u32::from_str_radix(word, 16).map_err(|_| refuse())?;
            set.extend((0..32).filter(|bit| bits & (1 << bit) != 0).map(|bit| first + bit));
        }
        if words.len() > MOST_CPUS as usize / 32 { Err(refuse()) } else { Ok(Self(set)) }
    }

    /// The kernel's mask.
    pub fn to_mask(&self) -> String {
        let words = self.0.last().map_or(0, |last| last / 32) + 1;
        let word = |index: u32| {
            let bits = self.0.range(index * 32..(index + 1) * 32).fold(0_u32, |bits, cpu| bits | 1 << (cpu % 32));
            format!("{bits:08x}")
        };
        (0..words).rev().map(word).collect::<Vec<_>>().join(",")
    }
}

fn ranges_of(text: &str) -> Result<Vec<(u32, u32)>, String> {
    let refuse = || format!("'{text}' is not a valid list of CPUs; example: 0-3,8");
    let mut ranges = Vec::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: u32 = first.trim().parse().map_err(|_| refuse())?;
        let last: u32 = last.trim().parse().map_err(|_| refuse())?;
        if first > last || last >= MOST_CPUS {
            return Err(refuse());
        }
        ranges.push((first, last));
    }
    Ok(ranges)
}

serde_as_text!(CpuSet);

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct Cpu {
    /// `AuthenticAMD`, `GenuineIntel`, …
    pub vendor: Option<String>,
    pub model: Option<String>,
    /// Family number (decimal in `/proc/cpuinfo`: 21 is "15h").
    pub family: Option<u32>,
    /// Bits of a physical address.
    pub physical_bits: Option<u32>,
    /// Feature flags of the first logical CPU.
    pub flags: BTreeSet<String>,
    /// Whether KVM lets the processor deliver the guest's interrupts (`APICv`, AVIC); `None` if unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivers_interrupts: Option<bool>,
    /// Whether the kernel tells the time by the processor's time stamp counter (TSC); it does not where it has found it
    /// unsteady. `None` if unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tsc_keeps_time: Option<bool>,
}

impl Cpu {
    pub fn is_intel(&self) -> bool {
        self.vendor.as_deref() == Some("GenuineIntel")
    }

    /// Whether this is a processor of AMD or its licensee Hygon.
    pub fn is_amd(&self) -> bool {
        matches!(self.vendor.as_deref(), Some("AuthenticAMD" | "HygonGenuine"))
    }

    /// Whether hardware virtualization is enabled; `None` if the flags are unknown.
    pub fn virtualization(&self) -> Option<bool> {
        (!self.flags.is_empty()).then(|| self.flags.contains("svm") || self.flags.contains("vmx"))
    }

    /// Whether the time stamp counter runs at one speed at all times, also while the processor sleeps, and the kernel does
    /// not say otherwise.
    pub fn has_steady_tsc(&self) -> bool {
        ["constant_tsc", "nonstop_tsc"].iter().all(|flag| self.flags.contains(*flag)) && self.tsc_keeps_time != Some(false)
    }

    /// Whether this "host" is itself a virtual machine.
    pub fn is_guest(&self) -> bool {
        self.flags.contains("hypervisor")
    }
}

/// The logical CPUs and what they share.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct Topology {
    /// The numbers of the logical CPUs that are online.
    pub online: CpuSet,
    /// The logical CPUs that are online, in order.
    pub cpus: Vec<LogicalCpu>,
    /// The caches of level 2 and 3, each once.
    pub caches: Vec<Cache>,
    /// The CPUs that the scheduler does not use by itself (`isolcpus` on the kernel command line).
    pub isolated: CpuSet,
    /// Those that a guest may use, where control groups set some apart (`cpuset.cpus.partition`).
    #[serde(skip)]
    pub of_guests: Option<CpuSet>,
    /// Those that other guests have for themselves; known only where a guest is placed beside them.
    #[serde(skip)]
    pub used: CpuSet,
    /// The CPUs without a tick (`nohz_full`); absent where the kernel is built without `CONFIG_NO_HZ_FULL`.
    #[serde(skip)]
    pub nohz_full: Reading<CpuSet>,
}

impl Topology {
    /// That control groups keep CPUs from guests, and what gives them more; `None` where they keep none.
    pub fn kept_from_guests(&self) -> Option<(String, String)> {
        let allowed = self.of_guests.as_ref().filter(|allowed| !self.online.0.is_subset(&allowed.0))?;
        Some((
            format!("guests may use only the CPUs {allowed} (cpuset.cpus of machine.slice)"),
            "allow more: systemctl set-property machine.slice AllowedCPUs=CPUS; what it is now: systemctl show -p AllowedCPUs machine.slice"
                .to_owned(),
        ))
    }
}

/// One logical CPU (hardware thread).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LogicalCpu {
    pub cpu: u32,
    /// Socket.
    pub package: Option<u32>,
    pub die: Option<u32>,
    /// The threads of its core, including itself.
    pub siblings: CpuSet,
    pub node: Option<u32>,
    /// The kind of core of a hybrid processor, as named in sysfs: `core`, `atom`, `lowpower`.
    pub kind: Option<String>,
    pub max_khz: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Cache {
    /// 2 or 3.
    pub level: u32,
    pub cpus: CpuSet,
    pub size: Option<Size>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_sets() {
        // Each CPU is inserted only once, even if it occurs often and in many lists.
        let often = vec!["0-65535"; 3000];
        assert_eq!(CpuSet::of_all(often.iter().copied()).unwrap().0.len(), 65_536);
        assert_eq!(often.join(",").parse::<CpuSet>().unwrap().to_string(), "0-65535");
        assert_eq!(CpuSet::of_all(["4-6,1", "5-8", "0-1"]).unwrap().to_string(), "0-1,4-8");
        assert!(CpuSet::of_all(["1", "x"]).is_err());
        for text in ["", "0", "0-3,8", "0,2,4", "1-2,4-5"] {
            assert_eq!(text.parse::<CpuSet>().unwrap().to_string(), text);
        }
        for (mask, cpus) in [("f", "0-3"), ("00000001,0000ff00", "8-15,32"), ("80000000", "31"), ("0", "")] {
            let read = CpuSet::of_mask(mask).unwrap();
            assert_eq!((read.to_string().as_str(), CpuSet::of_mask(&read.to_mask()).unwrap() == read), (cpus, true), "{mask}");
        }
        assert_eq!("8-15,32".parse::<CpuSet>().unwrap().to_mask(), "00000001,0000ff00");
        for mask in ["", "x", "1,", "+1 2", "100000000", &"0,".repeat(5000)] {
            assert!(CpuSet::of_mask(mask).is_err(), "{mask:?}");
        }
        for text in ["x", "3-1", "0-4294967295", "-1", "1-"] {
            assert!(text.parse::<CpuSet>().is_err(), "{text:?}");
        }
    }
}
