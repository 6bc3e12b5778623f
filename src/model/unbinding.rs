//! Functions that host drivers have to release, and drivers that do not.

use serde::{Deserialize, Serialize};

use super::{Holders, PciAddress, Reading};

/// The folder with a record of each driver that hangs, by the address of its function. A reboot removes it.
pub const HANGS: &str = "/run/vgapt/hangs";

/// A function that a host driver has to release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    pub address: PciAddress,
    pub driver: String,
    /// Its device nodes; the driver removes them before it waits for those who have them open.
    pub nodes: Vec<String>,
}

/// A driver that does not release a function, or does not take it back. The process that asked it to is in the kernel and
/// cannot be ended. It has locked the function: who reads or writes some of its attributes would hang too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hang {
    pub function: Bound,
    /// Whether it was asked to release the function; else to take it back.
    pub releases: bool,
    /// The domain whose start or stop it was.
    pub domain: String,
    pub pid: u32,
    /// When that process was started, in kernel ticks since the boot, because PIDs are reused.
    pub started: u64,
    /// When it was asked, in microseconds since 1970.
    pub since: i64,
}

impl Hang {
    /// Whether a `/proc/PID/stat` is that of its process, which has not ended (proc(5): a dead one is Z or X).
    pub fn is_in(&self, stat: &str) -> bool {
        let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_ascii_whitespace().next());
        state.is_some_and(|state| !matches!(state, "Z" | "X")) && super::Daemon::ticks(stat) == Some(self.started)
    }
}

/// What shows why a driver does not release a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HangEvidence {
    /// The kernel functions that the process is in, the innermost first, each with its module.
    pub stack: Reading<Vec<String>>,
    /// The kernel function in which it sleeps.
    pub sleeps_in: Reading<String>,
    /// The driver's module, how often it is in use, and the modules that use it.
    pub module: Option<(String, Reading<String>, Vec<String>)>,
    /// Who has the function's nodes open or mapped.
    pub holders: Holders,
    /// The kernel's log since then.
    pub log: Reading<Vec<String>>,
}

impl HangEvidence {
    /// The evidence in one line.
    pub fn in_words(&self) -> String {
        let unknown = |what: &str, because: &str| format!("{what} is unknown: {because}");
        let stack = match &self.stack {
            Reading::Known(stack) if !stack.is_empty() => format!("it is in the kernel's {}", stack.join(" < ")),
            Reading::Known(_) | Reading::Absent => "the kernel shows no stack of it".to_owned(),
            Reading::Unknown(because) => unknown("its stack in the kernel", because),
        };
        let sleeps = self.sleeps_in.as_ref().known().filter(|name| *name != "0").map(|name| format!("it sleeps in {name}"));
        let module = self.module.as_ref().map(|(name, count, users)| {
            let users = if users.is_empty() { String::new() } else { format!(", by {}", users.join(", ")) };
            match count {
                Reading::Known(count) => format!("the use count of the module {name} is {count}{users}"),
                Reading::Absent => format!("the module {name} has no use count"),
                Reading::Unknown(because) => unknown(&format!("the use count of the module {name}"), because),
            }
        });
        let holders = self.holders.in_words();
        let held = match (&holders, &self.holders.unknown) {
            (Some(holders), _) => format!("in use by {holders}"),
            (None, Some(because)) => unknown("who has its nodes open", because),
            (None, None) => "no process has its nodes open or mapped".to_owned(),
        };
        let log = match &self.log {
            Reading::Known(lines) if lines.is_empty() => "the kernel has logged nothing since".to_owned(),
            Reading::Known(lines) => format!("the kernel's log since: {}", lines.join(" | ")),
            Reading::Absent => unknown("what the kernel has logged", "there is no log"),
            Reading::Unknown(because) => unknown("what the kernel has logged", because),
        };
        [Some(stack), sleeps, module, Some(held), Some(log)].into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Holder;

    #[test]
    fn the_process_is_known_by_its_start() {
        let function = Bound { address: "0000:01:00.1".parse().unwrap(), driver: "snd_hda_intel".into(), nodes: Vec::new() };
        let hang = Hang { function, releases: true, domain: "it".into(), pid: 31, started: 4321, since: 0 };
        let stat = "31 (a) b) D 1 31 31 0 -1 0 3 4 0 0 5 6 0 0 20 0 17 0 4321 1 2\n";
        assert!(hang.is_in(stat));
        assert!(!hang.is_in(&stat.replace("4321", "4322")) && !hang.is_in(&stat.replace(" D ", " Z ")) && !hang.is_in(""));
    }

    #[test]
    fn evidence_says_what_is_unknown() {
        let mut evidence = HangEvidence {
            stack: Reading::Known(vec!["snd_card_free [snd]".into(), "azx_remove [snd_hda_intel]".into()]),
            sleeps_in: Reading::Known("snd_card_free".into()),
            module: Some(("snd_hda_intel".into(), Reading::Known("1".into()), vec!["other".into()])),
            holders: Holders { known: vec![Holder { pid: 7, name: "a".into(), nodes: vec!["/dev/snd/controlC0".into()] }], unknown: None },
            log: Reading::Known(vec!["one".into(), "two".into()]),
        };
        assert_eq!(
            evidence.in_words(),
            "it is in the kernel's snd_card_free [snd] < azx_remove [snd_hda_intel]; it sleeps in snd_card_free; the use count of the \
             module snd_hda_intel is 1, by other; in use by a (pid 7: /dev/snd/controlC0); the kernel's log since: one | two"
        );
        evidence.holders = Holders::default();
        assert!(evidence.in_words().contains("no process has its nodes open or mapped"));
        evidence.holders.unknown = Some("no rights".into());
        evidence.stack = Reading::Unknown("no rights".into());
        evidence.log = Reading::Unknown("no rights".into());
        let words = evidence.in_words();
        for unknown in ["its stack in the kernel is unknown: no", "who has its nodes open is unknown: no", "has logged is unknown: no"] {
            assert!(words.contains(unknown), "{words}");
        }
    }
}
