//! Features of the machine and its clock in KubeVirt's terms.

use serde_json::{Map, Value, json};

use super::account::Account;
use super::machine::is_secure;
use crate::xml::Element;

/// Enlightenments that are on or off, with the same names in libvirt and KubeVirt.
const ENLIGHTENMENTS: [&str; 10] =
    ["relaxed", "vapic", "vpindex", "runtime", "synic", "reset", "frequencies", "reenlightenment", "ipi", "evmcs"];

pub(super) fn features(domain: Element<'_>, account: &mut Account) -> Value {
    let features = domain.child("features");
    let child = |name: &str| features.and_then(|features| features.child(name));
    let acpi = child("acpi");
    if let Some(acpi) = acpi {
        account.covered(acpi);
    }
    let mut value = json!({"acpi": {"enabled": acpi.is_some()}});
    if let Some(eoi) = child("apic").and_then(|apic| account.one_of(apic, "eoi", &["on", "off"])) {
        value["apic"] = json!({"enabled": true, "endOfInterrupt": eoi == "on"});
    }
    if let Some(hyperv) = child("hyperv") {
        if account.one_of(hyperv, "mode", &["passthrough"]).is_some() {
            value["hypervPassthrough"] = json!({"enabled": true});
        } else {
            let own = enlightenments(hyperv, account);
            if !own.is_empty() {
                value["hyperv"] = Value::Object(own);
            }
        }
    }
    if let Some(hidden) = account.state(child("kvm").and_then(|kvm| kvm.child("hidden"))) {
        value["kvm"] = json!({"hidden": hidden});
    }
    if let Some(enabled) = account.state(child("pvspinlock")) {
        value["pvspinlock"] = json!({"enabled": enabled});
    }
    let smm = account.state(child("smm"));
    if is_secure(domain) {
        // A cluster accepts Secure Boot only together with SMM.
        value["smm"] = json!({"enabled": true});
        if smm == Some(false) {
            account.name("System Management Mode is off with Secure Boot on: the manifest has it on");
        }
    } else if let Some(enabled) = smm {
        value["smm"] = json!({"enabled": enabled});
    }
    value
}

fn enlightenments(hyperv: Element<'_>, account: &mut Account) -> Map<String, Value> {
    let mut own = Map::new();
    for name in ENLIGHTENMENTS {
        if let Some(enabled) = account.state(hyperv.child(name)) {
            own.insert(name.into(), json!({"enabled": enabled}));
        }
    }
    let spinlocks = hyperv.child("spinlocks");
    if let (Some(spinlocks), Some(enabled)) = (spinlocks, account.state(spinlocks)) {
        let mut value = json!({"enabled": enabled});
        if let Some(retries) = account.number::<u32>(spinlocks, "retries") {
            value["spinlocks"] = retries.into();
        }
        own.insert("spinlocks".into(), value);
    }
    let vendor = hyperv.child("vendor_id");
    if let (Some(vendor), Some(enabled)) = (vendor, account.state(vendor)) {
        let mut value = json!({"enabled": enabled});
        if let Some(id) = account.attribute(vendor, "value") {
            value["vendorid"] = id.into();
        }
        own.insert("vendorid".into(), value);
    }
    for (name, theirs, parts) in [("stimer", "synictimer", &["direct"][..]), ("tlbflush", "tlbflush", &["direct", "extended"])] {
        let feature = hyperv.child(name);
        let (Some(feature), Some(enabled)) = (feature, account.state(feature)) else { continue };
        let mut value = json!({"enabled": enabled});
        for part in parts {
            if let Some(enabled) = account.state(feature.child(part)) {
                value[*part] = json!({"enabled": enabled});
            }
        }
        own.insert(theirs.into(), value);
    }
    own
}

/// libvirt's name of a timer, KubeVirt's, and the tick policies that both support.
const TIMERS: [(&str, &str, &[&str]); 5] = [
    ("hypervclock", "hyperv", &[]),
    ("kvmclock", "kvm", &[]),
    ("hpet", "hpet", &["delay", "catchup", "merge", "discard"]),
    ("pit", "pit", &["delay", "catchup", "discard"]),
    ("rtc", "rtc", &["delay", "catchup"]),
];

pub(super) fn clock(domain: Element<'_>, account: &mut Account) -> Value {
    let Some(clock) = domain.child("clock") else { return json!({"utc": {}}) };
    let mut value = base(clock, account);
    let mut timers = Map::new();
    for timer in clock.children_named("timer") {
        let known = TIMERS.iter().find(|(name, _, _)| timer.attribute("name").as_deref() == Some(name));
        let Some((_, theirs, policies)) = known.filter(|(_, theirs, _)| !timers.contains_key(*theirs)) else { continue };
        let present = match account.one_of(timer, "present", &["yes", "no"]) {
            Some(present) => present == "yes",
            // libvirt adds Hyper-V's clock only if present='yes' is set.
            None if timer.attribute("present").is_none() && *theirs != "hyperv" => true,
            None => continue,
        };
        account.covered_with(timer, &["name"]);
        let mut own = json!({"present": present});
        if let Some(policy) = account.one_of(timer, "tickpolicy", policies) {
            own["tickPolicy"] = policy.into();
        }
        if *theirs == "rtc"
            && let Some(track) = account.one_of(timer, "track", &["guest", "wall"])
        {
            own["track"] = track.into();
        }
        timers.insert((*theirs).into(), own);
    }
    if !timers.is_empty() {
        value["timer"] = Value::Object(timers);
    }
    value
}

/// What the clock is set to at the start.
fn base(clock: Element<'_>, account: &mut Account) -> Value {
    let offset = clock.attribute("offset").unwrap_or_else(|| "utc".into()).into_owned();
    let is_utc = offset == "utc" || (offset == "variable" && clock.attribute("basis").is_none_or(|basis| basis == "utc"));
    if is_utc {
        let seconds = account.number::<i32>(clock, "adjustment");
        if seconds.is_none() && offset == "utc" {
            account.one_of(clock, "adjustment", &["reset"]);
        }
        if offset == "utc" || seconds.is_some() {
            account.attribute(clock, "offset");
            account.attribute(clock, "basis");
        }
        return match seconds {
            Some(seconds) => json!({"utc": {"offsetSeconds": seconds}}),
            None => json!({"utc": {}}),
        };
    }
    if offset == "timezone"
        && let Some(zone) = account.attribute(clock, "timezone")
    {
        account.attribute(clock, "offset");
        return json!({"timezone": zone});
    }
    if offset == "localtime" {
        account.unsupported_attribute(
            clock,
            "offset",
            "a clock in the host's local time; the manifest has UTC: set clock.timezone to the guest's (Europe/Berlin) in its place",
        );
    } else {
        account.unsupported_attribute(clock, "offset", "the manifest has a clock in UTC");
    }
    json!({"utc": {}})
}
