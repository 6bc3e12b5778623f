//! The machine as KubeVirt has it: memory, processors, firmware, features, clock.

use serde_json::{Map, Value, json};

use super::kubevirt::Beyond;
use crate::xml::Element;

fn is_on(parent: Option<Element<'_>>, path: &str) -> bool {
    parent.and_then(|parent| parent.at(path)).is_some_and(|element| element.attribute("state").is_none_or(|state| state == "on"))
}

pub(super) fn memory(domain: Element<'_>, beyond: &mut Beyond) -> Value {
    let memory = domain.child("memory");
    let unit = memory.and_then(|memory| memory.attribute("unit")).map_or_else(|| "KiB".to_owned(), std::borrow::Cow::into_owned);
    let amount = memory.map(Element::text).unwrap_or_default();
    // A cluster has libvirt's binary units, without the B.
    let unit = match unit.as_str() {
        "k" | "K" => "Ki",
        "M" => "Mi",
        "G" => "Gi",
        "T" => "Ti",
        "b" | "bytes" => "",
        other => other.trim_end_matches('B'),
    };
    let mut value = json!({"guest": format!("{amount}{unit}")});
    if let Some(pages) = domain.at("memoryBacking/hugepages") {
        let page = pages.child("page");
        let is_gib = page.is_some_and(|page| {
            page.attribute("unit").is_some_and(|unit| unit.starts_with('G')) || page.attribute("size").as_deref() == Some("1048576")
        });
        value["hugepages"] = json!({"pageSize": if is_gib { "1Gi" } else { "2Mi" }});
    }
    if domain.at("memoryBacking/locked").is_some() {
        beyond.name("memory locked by itself: dedicated processors and huge pages bring that");
    }
    value
}

pub(super) fn cpu(domain: Element<'_>, beyond: &mut Beyond) -> Value {
    let count: u32 = domain.child("vcpu").and_then(|count| count.text().parse().ok()).unwrap_or(1);
    let cpu = domain.child("cpu");
    let topology = cpu.and_then(|cpu| cpu.child("topology"));
    let number = |name: &str| topology.and_then(|topology| topology.attribute(name)?.parse::<u32>().ok());
    let dies = number("dies").unwrap_or(1) * number("clusters").unwrap_or(1);
    if dies > 1 {
        beyond.name("dies and clusters of processors: they are counted as cores");
    }
    let cores = number("cores").map_or(count, |cores| cores * dies);
    let mut value = json!({"sockets": number("sockets").unwrap_or(1), "cores": cores, "threads": number("threads").unwrap_or(1)});
    let is_pinned = domain.at("cputune/vcpupin").is_some();
    if is_pinned {
        value["dedicatedCpuPlacement"] = true.into();
    }
    let mode = cpu.and_then(|cpu| cpu.attribute("mode"));
    let named = cpu.and_then(|cpu| cpu.child("model")).map(|model| model.text().to_owned());
    value["model"] = match (mode.as_deref(), named) {
        (Some("custom"), Some(named)) => named,
        (Some("host-model"), _) => "host-model".into(),
        _ => "host-passthrough".into(),
    }
    .into();
    let features: Vec<Value> = cpu
        .into_iter()
        .flat_map(|cpu| cpu.children_named("feature"))
        .filter_map(|feature| Some(json!({"name": feature.attribute("name")?, "policy": feature.attribute("policy")?})))
        .collect();
    if !features.is_empty() {
        value["features"] = features.into();
    }
    if is_pinned {
        beyond.name("which processors it is pinned to: a node gives it whole ones (dedicatedCpuPlacement)");
    }
    if domain.at("cputune/emulatorpin").is_some() {
        if is_pinned {
            value["isolateEmulatorThread"] = true.into();
        } else {
            beyond.name("where QEMU itself runs (emulatorpin): a cluster sets that apart only beside dedicated processors");
        }
    }
    value
}

/// Whether it boots securely: said of the loader, or asked of libvirt's choice of one.
fn is_secure(domain: Element<'_>) -> bool {
    let Some(os) = domain.child("os") else { return false };
    let is_asked = |feature: Element<'_>| {
        feature.attribute("name").as_deref() == Some("secure-boot") && feature.attribute("enabled").as_deref() == Some("yes")
    };
    os.child("loader").is_some_and(|loader| loader.attribute("secure").as_deref() == Some("yes"))
        || os.child("firmware").is_some_and(|firmware| firmware.children_named("feature").any(is_asked))
}

pub(super) fn firmware(domain: Element<'_>, beyond: &mut Beyond) -> Option<Value> {
    let os = domain.child("os")?;
    let loader = os.child("loader");
    let is_efi = os.attribute("firmware").as_deref() == Some("efi")
        || loader.is_some_and(|loader| loader.attribute("type").as_deref() == Some("pflash"));
    let mut value = Map::new();
    if is_efi {
        let secure = is_secure(domain);
        value.insert("bootloader".into(), json!({"efi": {"secureBoot": secure, "persistent": true}}));
        beyond.name("the firmware's variables: the cluster's are new, and a boot entry may have to be made");
    }
    if let Some(uuid) = domain.child("uuid") {
        value.insert("uuid".into(), uuid.text().into());
    }
    if os.child("kernel").is_some() {
        beyond.name("a kernel booted directly: kernelBoot takes one from a container image");
    }
    (!value.is_empty()).then_some(Value::Object(value))
}

pub(super) fn features(domain: Element<'_>) -> Value {
    /// libvirt's names of enlightenments, KubeVirt's.
    const ENLIGHTENMENTS: [(&str, &str); 11] = [
        ("relaxed", "relaxed"),
        ("vapic", "vapic"),
        ("vpindex", "vpindex"),
        ("runtime", "runtime"),
        ("synic", "synic"),
        ("reset", "reset"),
        ("frequencies", "frequencies"),
        ("reenlightenment", "reenlightenment"),
        ("tlbflush", "tlbflush"),
        ("ipi", "ipi"),
        ("evmcs", "evmcs"),
    ];
    let features = domain.child("features");
    let hyperv = features.and_then(|features| features.child("hyperv"));
    let mut value = json!({"acpi": {"enabled": features.and_then(|features| features.child("acpi")).is_some()}});
    let mut own = Map::new();
    for (name, theirs) in ENLIGHTENMENTS {
        if is_on(hyperv, name) {
            own.insert(theirs.into(), json!({"enabled": true}));
        }
    }
    if let Some(spinlocks) = hyperv.and_then(|hyperv| hyperv.child("spinlocks")) {
        let retries = spinlocks.attribute("retries").and_then(|retries| retries.parse::<u32>().ok()).unwrap_or(8191);
        own.insert("spinlocks".into(), json!({"enabled": true, "spinlocks": retries}));
    }
    if let Some(id) = hyperv.and_then(|hyperv| hyperv.child("vendor_id")?.attribute("value")) {
        own.insert("vendorid".into(), json!({"enabled": true, "vendorid": id}));
    }
    if is_on(hyperv, "stimer") {
        let mut timer = json!({"enabled": true});
        if is_on(hyperv, "stimer/direct") {
            timer["direct"] = json!({"enabled": true});
        }
        own.insert("synictimer".into(), timer);
    }
    if hyperv.and_then(|hyperv| hyperv.attribute("mode")).as_deref() == Some("passthrough") {
        value["hypervPassthrough"] = json!({"enabled": true});
    } else if !own.is_empty() {
        value["hyperv"] = Value::Object(own);
    }
    if is_on(features, "kvm/hidden") {
        value["kvm"] = json!({"hidden": true});
    }
    // A cluster takes secure boot only together with it.
    if is_on(features, "smm") || is_secure(domain) {
        value["smm"] = json!({"enabled": true});
    }
    value
}

pub(super) fn clock(domain: Element<'_>, beyond: &mut Beyond) -> Value {
    let clock = domain.child("clock");
    if clock.and_then(|clock| clock.attribute("offset")).is_some_and(|offset| offset != "utc") {
        beyond.name("a clock in the host's local time: set clock.timezone to the guest's (Europe/Berlin)");
    }
    let mut timers = Map::new();
    for timer in clock.into_iter().flat_map(|clock| clock.children_named("timer")) {
        let present = timer.attribute("present").is_none_or(|present| present == "yes");
        let policy = timer.attribute("tickpolicy").map(std::borrow::Cow::into_owned);
        let name = match timer.attribute("name").as_deref() {
            Some("hypervclock") => "hyperv",
            Some("kvmclock") => "kvm",
            Some("hpet") => "hpet",
            Some("pit") => "pit",
            Some("rtc") => "rtc",
            _ => {
                beyond.name(&format!("<clock> {}", timer.source()));
                continue;
            }
        };
        let mut value = json!({"present": present});
        if let Some(policy) = policy.filter(|_| ["hpet", "pit", "rtc"].contains(&name)) {
            value["tickPolicy"] = policy.into();
        }
        timers.insert(name.into(), value);
    }
    let mut value = json!({"utc": {}});
    if !timers.is_empty() {
        value["timer"] = Value::Object(timers);
    }
    value
}
