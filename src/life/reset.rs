//! Resets a card, rung by rung, until it answers. What is set for that is recorded before, and returned after each rung; if
//! this program is killed, the next reset returns it. What became of a card when its guest ended is recorded too.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::taken::{self, Ledger, Taken};
use crate::model::{Finding, Ladder, PciAddress, Reading, ResetFunction, ResetWay, Rung, Tried};
use crate::root::Root;
use crate::target::Target;
use crate::target::files::{LostAttributes, State};

/// The record of what is set meanwhile: libvirt has no domain whose name has a slash.
const LEDGER: &str = "reset/";
const BUS: &str = "/sys/bus/pci";
const MEM_SLEEP: &str = "/sys/power/mem_sleep";
const ALARM: &str = "/sys/class/rtc/rtc0/wakealarm";
/// How long the host sleeps: long enough to be asleep by then. A clock that goes off before does not wake it.
const ASLEEP: Duration = Duration::from_secs(20);
/// The kernel has waited for the card when a reset returns; a card that is found again may need a moment more.
const PATIENCE: Duration = Duration::from_secs(2);
const INTERVAL: Duration = Duration::from_millis(100);
/// The methods by which the kernel resets a function: it takes the first that the function has.
const METHOD: &str = "/reset_method";
/// What the kernel shows for no override; written, it would be one (`driver_override` of drivers/pci/pci-sysfs.c).
const NO_OVERRIDE: &str = "(null)";

/// What a reset works with.
#[derive(Clone, Copy)]
pub struct Climb<'c> {
    pub root: &'c Root,
    pub target: &'c Target,
    /// Whether a function answers as the one that it was; else what is wrong.
    pub answers: &'c dyn Fn(&ResetFunction) -> Result<(), String>,
    pub tell: &'c dyn Fn(&str),
}

/// Tries these rungs of a ladder in turn, until all its functions answer.
///
/// # Errors
/// Where what is set meanwhile cannot be recorded or returned.
pub fn climb<'l>(ladder: &'l Ladder, rungs: impl Iterator<Item = &'l Rung>, climb: &Climb<'_>) -> Result<Vec<Tried>> {
    let Climb { target, tell, .. } = climb;
    let ledger = Ledger::of(target, LEDGER);
    give_all_back(&ledger, target)?;
    let mut tried = Vec::new();
    for rung in rungs {
        tell(&format!("trying {}", rung.way));
        let done = climb.take(rung, ladder, &ledger).and_then(|()| climb.prove(ladder));
        // What is removed from the bus has nothing to return.
        give_all_back(&ledger, target)?;
        let failed = done.err().map(|error| format!("{error:#}"));
        let has_helped = failed.is_none();
        tried.push(Tried { way: rung.way.clone(), failed });
        if has_helped {
            break;
        }
    }
    Ok(tried)
}

fn give_all_back(ledger: &Ledger, target: &Target) -> Result<()> {
    let mut rest = ledger.all()?;
    let mut failed = None;
    for index in (0..rest.len()).rev() {
        match give_back(&rest[index], target) {
            Ok(()) => drop(rest.remove(index)),
            Err(error) => drop(failed.get_or_insert(error)),
        }
    }
    ledger.keep(&rest)?;
    failed.map_or(Ok(()), Err)
}

/// Sets back what was set during a reset, unless its function is gone.
pub(super) fn give_back(taken: &Taken, target: &Target) -> Result<()> {
    let Taken::DuringReset { attribute, before } = taken else { return Ok(()) };
    if !target.exists(attribute)? {
        return Ok(());
    }
    let set = target.set_attribute(attribute, if before == NO_OVERRIDE { "\n" } else { before });
    if set.is_err() && attribute.ends_with(METHOD) {
        // It names `bus` also for a function that is not alone on its bus, and does not accept that (`reset_method_store`).
        return target.set_attribute(attribute, "default");
    }
    set
}

impl Climb<'_> {
    fn take(&self, rung: &Rung, ladder: &Ladder, ledger: &Ledger) -> Result<()> {
        for function in &ladder.functions {
            // A function that vfio-pci lets sleep would show nothing of its state.
            self.set(&of(function.address, "power/control"), "on", ledger)?;
        }
        match &rung.way {
            ResetWay::Method(name) => {
                for hit in &rung.hits {
                    let methods = of(*hit, METHOD.trim_start_matches('/'));
                    let first = self.root.attribute(&methods).and_then(|names| Some(names.split_ascii_whitespace().next()?.to_owned()));
                    if first.as_deref() != Some(name) {
                        self.set(&methods, name, ledger)?;
                    }
                    self.target.set_attribute(&of(*hit, "reset"), "1")?;
                }
                Ok(())
            }
            ResetWay::Bridge(bridge) => self.target.set_attribute(&of(*bridge, "reset_subordinate"), "1"),
            ResetWay::Rescan(bridge) => self.find_again(*bridge, ladder, ledger),
            ResetWay::Suspend => self.suspend(ladder, ledger),
        }
    }

    /// Removes the functions from the bus, and has the kernel look for them again. Meanwhile no driver takes what it finds; before
    /// Linux 6.19 (commit ea34511aaf75) one that is loaded takes it all the same.
    fn find_again(&self, bridge: Option<PciAddress>, ladder: &Ladder, ledger: &Ledger) -> Result<()> {
        self.set(&format!("{BUS}/drivers_autoprobe"), "0", ledger)?;
        for function in ladder.functions.iter().rev() {
            let remove = of(function.address, "remove");
            if self.target.exists(&remove)? {
                self.target.set_attribute(&remove, "1")?;
            }
        }
        // The card is looked for again even where its bus cannot be reset.
        let reset = bridge.map(|bridge| self.target.set_attribute(&of(bridge, "reset_subordinate"), "1"));
        self.target.set_attribute(&format!("{BUS}/rescan"), "1")?;
        reset.unwrap_or(Ok(()))?;
        self.prove(ladder)?;
        for function in &ladder.functions {
            let Some(driver) = &function.driver else { continue };
            if self.root.link_name(&of(function.address, "driver")).is_none() {
                self.set(&of(function.address, "driver_override"), driver, ledger)?;
                self.target.set_attribute(&format!("{BUS}/drivers_probe"), &function.address.to_string())?;
            }
        }
        Ok(())
    }

    fn suspend(&self, ladder: &Ladder, ledger: &Ledger) -> Result<()> {
        if let Some(other) = self.root.attribute(ALARM) {
            bail!("an alarm of the clock is set already, which another program needs ({ALARM} is {other})");
        }
        self.set(MEM_SLEEP, "deep", ledger)?;
        self.target.set_attribute(ALARM, &format!("+{}", ASLEEP.as_secs()))?;
        if self.root.attribute(ALARM).is_none() {
            bail!("the clock does not take an alarm ({ALARM}), so nothing would wake the host");
        }
        let slept = self.target.set_attribute("/sys/power/state", "mem");
        // Where the host did not sleep, or was woken by something else, the alarm is still set.
        self.target.set_attribute(ALARM, "0")?;
        slept?;
        if ladder.functions.iter().any(|function| self.root.status(&of(function.address, "")).is_none()) {
            return self.find_again(None, ladder, ledger);
        }
        Ok(())
    }

    /// Sets an attribute, where there is one; what it was is recorded first.
    fn set(&self, attribute: &str, value: &str, ledger: &Ledger) -> Result<()> {
        let Some(before) = self.root.attribute(attribute) else { return Ok(()) };
        // Of several possible values, the one in brackets is set.
        let before = before.split_ascii_whitespace().find_map(|word| word.strip_prefix('[')?.strip_suffix(']')).unwrap_or(&before);
        if before == value {
            return Ok(());
        }
        ledger.note(Taken::DuringReset { attribute: attribute.to_owned(), before: before.to_owned() })?;
        self.target.set_attribute(attribute, value)
    }

    /// An error if one of the functions does not answer.
    fn prove(&self, ladder: &Ladder) -> Result<()> {
        let end = Instant::now() + if self.target.is_live() { PATIENCE } else { Duration::ZERO };
        loop {
            let Some(wrong) = ladder.functions.iter().find_map(|function| self.wrong(function)) else { return Ok(()) };
            if Instant::now() >= end {
                bail!("{wrong}");
            }
            sleep(INTERVAL);
        }
    }

    fn wrong(&self, function: &ResetFunction) -> Option<String> {
        if let Err(wrong) = (self.answers)(function) {
            return Some(wrong);
        }
        // A kernel before 5.12 does not say.
        let state = self.root.attribute(&of(function.address, "power_state"))?;
        let is_asleep = matches!(state.as_str(), "D1" | "D2" | "D3hot" | "D3cold");
        is_asleep.then(|| format!("{} stays in the power state {state}", function.address.short()))
    }
}

/// Where it is recorded what became of a domain's card when its guest ended.
fn record(name: &str) -> String {
    format!("{}/{}.reset", taken::DIRECTORY, taken::file_name(name))
}

/// Records what became of the card of a domain when its guest ended; nothing if it answered.
///
/// # Errors
/// Where it cannot be written.
pub fn record_end(name: &str, finding: Option<&Finding>, target: &Target) -> Result<()> {
    let Some(finding) = finding else { return target.remove(&record(name)) };
    taken::make_directory(target)?;
    let text = serde_json::to_string_pretty(finding).context("the finding cannot be serialized")?;
    let _: LostAttributes = target.put(&record(name), &State::new(&text, 0o644))?;
    Ok(())
}

/// What became of the card of a domain when its guest ended the last time; `None` if it answered.
pub fn last_end(name: &str, root: &Root) -> Option<Finding> {
    let path = record(name);
    let because = match root.reading(&path).and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string())) {
        Reading::Known(finding) => return Some(finding),
        Reading::Absent => return None,
        Reading::Unknown(because) => because,
    };
    let message = format!("whether the card answered when the guest of '{name}' ended is unknown: {because}");
    Some(Finding::warning("card-reset-unknown", message, format!("look at {path}")))
}

fn of(function: PciAddress, attribute: &str) -> String {
    format!("{BUS}/devices/{function}/{attribute}")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;
    use std::path::Path;

    use tempfile::TempDir;

    use super::*;

    const CARD: &str = "sys/bus/pci/devices/0000:01:00.0";
    const BRIDGE: &str = "sys/bus/pci/devices/0000:00:01.0";

    fn write(root: &Path, path: &str, text: &str) {
        let place = root.join(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, text).unwrap();
    }

    fn read(root: &Path, path: &str) -> String {
        fs::read_to_string(root.join(path)).unwrap_or_default().trim().to_owned()
    }

    fn machine() -> TempDir {
        let place = TempDir::new().unwrap();
        for (path, text) in [
            (format!("{CARD}/reset_method"), "pm flr bus\n"),
            (format!("{CARD}/reset"), ""),
            (format!("{CARD}/remove"), ""),
            (format!("{CARD}/power/control"), "auto\n"),
            (format!("{CARD}/power_state"), "D0\n"),
            (format!("{CARD}/driver_override"), "(null)\n"),
            (format!("{BRIDGE}/reset_subordinate"), ""),
            ("sys/bus/pci/drivers_autoprobe".to_owned(), "1\n"),
            ("sys/bus/pci/drivers_probe".to_owned(), ""),
            ("sys/bus/pci/rescan".to_owned(), ""),
            ("sys/power/mem_sleep".to_owned(), "[s2idle] deep\n"),
            ("sys/power/state".to_owned(), "freeze mem\n"),
            ("sys/class/rtc/rtc0/wakealarm".to_owned(), ""),
        ] {
            write(place.path(), &path, text);
        }
        place
    }

    fn ladder() -> Ladder {
        let at = |address: &str| address.parse::<PciAddress>().unwrap();
        let function = ResetFunction { address: at("01:00.0"), id: "1002:67df".parse().unwrap(), driver: Some("vfio-pci".to_owned()) };
        let bridge = at("00:01.0");
        let ways = [ResetWay::Method("flr".to_owned()), ResetWay::Bridge(bridge), ResetWay::Rescan(Some(bridge)), ResetWay::Suspend];
        let rungs = ways.map(|way| Rung { way, hits: vec![function.address], left_out: None }).to_vec();
        Ladder { functions: vec![function], rungs }
    }

    /// Tries all rungs on a card that answers as soon as this is so.
    fn climbed(place: &Path, is_back: &dyn Fn(&Path) -> bool) -> Vec<Tried> {
        let (root, target) = (Root::open(place).unwrap(), Target::open(place, false).unwrap());
        let answers = |_: &ResetFunction| if is_back(place) { Ok(()) } else { Err("dead".to_owned()) };
        let ladder = ladder();
        climb(&ladder, ladder.usable(), &Climb { root: &root, target: &target, answers: &answers, tell: &|_| () }).unwrap()
    }

    fn is_as_before(place: &Path) {
        for (path, text) in [("power/control", "auto"), ("reset_method", "pm flr bus"), ("driver_override", "")] {
            assert_eq!(read(place, &format!("{CARD}/{path}")).trim_start_matches(NO_OVERRIDE), text, "{path}");
        }
        assert_eq!(read(place, "sys/bus/pci/drivers_autoprobe"), "1");
        assert!(fs::read_dir(place.join("run/vgapt")).is_ok_and(|mut names| names.next().is_none()), "nothing stays recorded");
    }

    #[test]
    fn the_first_rung_that_helps_is_the_last() {
        let place = machine();
        let seen = Cell::new(false);
        let tried = climbed(place.path(), &|place| {
            let method = read(place, &format!("{CARD}/reset_method"));
            seen.set(seen.get() || (method == "flr" && read(place, &format!("{CARD}/power/control")) == "on"));
            read(place, &format!("{CARD}/reset")) == "1"
        });
        assert!(seen.get(), "while it is reset, its method and its power are set");
        assert_eq!(tried, [Tried { way: ResetWay::Method("flr".to_owned()), failed: None }]);
        assert_eq!(read(place.path(), &format!("{BRIDGE}/reset_subordinate")), "");
        is_as_before(place.path());
    }

    #[test]
    fn the_rungs_are_tried_in_turn() {
        let place = machine();
        let tried = climbed(place.path(), &|place| read(place, "sys/bus/pci/rescan") == "1");
        let failed: Vec<Option<&str>> = tried.iter().map(|tried| tried.failed.as_deref()).collect();
        assert_eq!(failed, [Some("dead"), Some("dead"), None]);
        assert_eq!(read(place.path(), &format!("{BRIDGE}/reset_subordinate")), "1");
        assert_eq!(read(place.path(), &format!("{CARD}/remove")), "1");
        // It has its driver again.
        assert_eq!(read(place.path(), "sys/bus/pci/drivers_probe"), "0000:01:00.0");
        assert_eq!(read(place.path(), "sys/power/state"), "freeze mem");
        is_as_before(place.path());
    }

    #[test]
    fn a_suspend_has_an_alarm_and_what_does_not_answer_is_said() {
        let place = machine();
        let alarm = Cell::new(false);
        let tried = climbed(place.path(), &|place| {
            alarm.set(alarm.get() || read(place, "sys/power/state") == "mem");
            false
        });
        assert_eq!(tried.len(), 4);
        assert!(alarm.get() && tried.iter().all(|tried| tried.failed.as_deref() == Some("dead")), "{tried:?}");
        assert_eq!(read(place.path(), "sys/class/rtc/rtc0/wakealarm"), "0");
        assert_eq!(read(place.path(), "sys/power/mem_sleep"), "s2idle");
        is_as_before(place.path());
        // The alarm of another program stays.
        write(place.path(), "sys/class/rtc/rtc0/wakealarm", "1790000000\n");
        let tried = climbed(place.path(), &|_| false);
        assert!(tried[3].failed.as_deref().unwrap().contains("alarm of the clock is set already"), "{tried:?}");
        assert_eq!(read(place.path(), "sys/class/rtc/rtc0/wakealarm"), "1790000000");
    }

    #[test]
    fn a_card_that_does_not_wake_up_is_not_back() {
        let place = machine();
        write(place.path(), &format!("{CARD}/power_state"), "D3cold\n");
        let tried = climbed(place.path(), &|_| true);
        assert_eq!(tried[0].failed.as_deref(), Some("01:00.0 stays in the power state D3cold"));
    }

    #[test]
    fn what_became_of_a_card_is_recorded() {
        let place = machine();
        let (root, target) = (Root::open(place.path()).unwrap(), Target::open(place.path(), false).unwrap());
        assert_eq!(last_end("a/b", &root), None);
        let finding = Finding::warning("card-reset", "it did not answer", "look");
        record_end("a/b", Some(&finding), &target).unwrap();
        assert_eq!((last_end("a/b", &root), last_end("b", &root)), (Some(finding), None));
        record_end("a/b", None, &target).unwrap();
        assert_eq!(last_end("a/b", &root), None);
        write(place.path(), "run/vgapt/b.reset", "nonsense");
        assert_eq!(last_end("b", &root).unwrap().code, "card-reset-unknown");
    }

    #[test]
    fn what_a_killed_reset_left_is_returned_by_the_next() {
        let place = machine();
        let target = Target::open(place.path(), false).unwrap();
        let attribute = "/sys/bus/pci/drivers_autoprobe".to_owned();
        Ledger::of(&target, LEDGER).note(Taken::DuringReset { attribute, before: "1".to_owned() }).unwrap();
        write(place.path(), "sys/bus/pci/drivers_autoprobe", "0\n");
        climbed(place.path(), &|_| true);
        is_as_before(place.path());
    }
}
