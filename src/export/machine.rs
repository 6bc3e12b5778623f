//! The machine in KubeVirt's terms: memory, CPUs, firmware.

use serde_json::{Map, Value, json};

use super::account::Account;
use crate::domain_xml::{page_size, size_of, vcpus};
use crate::model::Size;
use crate::xml::Element;

const NO_MODEL: &str = "it sets no CPU model, and gets QEMU's default; a cluster uses its own default (cpu.model)";

pub(super) fn memory(domain: Element<'_>, account: &mut Account) -> Option<Value> {
    let memory = domain.child("memory");
    let size = memory.and_then(size_of);
    if let Some(memory) = memory.filter(|_| size.is_some()) {
        account.covered(memory);
        account.text(memory);
        account.attribute(memory, "unit");
    }
    if let Some(current) = domain.child("currentMemory") {
        if size.is_some() && size_of(current) == size {
            account.all_covered(current);
        } else {
            account.unsupported(current, "less memory at the start than its maximum: a cluster starts it with the maximum");
        }
    }
    let mut value = Map::new();
    if let Some(size) = size {
        value.insert(
            "guest".into(),
            {
                let bytes = size.bytes();
                if bytes % 1024 == 0 { format!("{}Ki", bytes / 1024) } else { bytes.to_string() }
            }
            .into(),
        );
    }
    if let Some(pages) = domain.at("memoryBacking/hugepages") {
        huge_pages(pages, &mut value, account);
    }
    let named = [
        ("locked", "memory locking on its own: dedicated CPUs and huge pages include it"),
        ("allocation", "when memory is allocated: a pod with a passed device has all of it from its start"),
        ("nosharepages", "memory excluded from merging: the nodes' administrator decides (KSM)"),
    ];
    for (name, because) in named {
        if let Some(element) = domain.at(&format!("memoryBacking/{name}")) {
            account.unsupported(element, because);
        }
    }
    (!value.is_empty()).then_some(Value::Object(value))
}

fn huge_pages(pages: Element<'_>, value: &mut Map<String, Value>, account: &mut Account) {
    let mut sizes = pages.children_named("page");
    match (sizes.next(), sizes.next()) {
        (None, _) => {
            account.name("huge pages of this host's default size: the manifest has 2Mi");
            value.insert("hugepages".into(), json!({"pageSize": "2Mi"}));
            account.covered(pages);
        }
        (Some(page), None) => {
            let theirs = match page_size(page).map(Size::bytes) {
                Some(0x20_0000) => "2Mi",
                Some(0x4000_0000) => "1Gi",
                _ => return account.unsupported(pages, "huge pages of a size that KubeVirt does not have"),
            };
            account.covered(pages);
            account.covered_with(page, &["size", "unit"]);
            value.insert("hugepages".into(), json!({"pageSize": theirs}));
        }
        (Some(_), Some(_)) => account.unsupported(pages, "huge pages of several sizes"),
    }
}

pub(super) fn cpu(domain: Element<'_>, account: &mut Account) -> Value {
    let cpu = domain.child("cpu");
    let mut value = counts(domain, cpu, account);
    match cpu {
        Some(cpu) => {
            account.covered(cpu);
            model(cpu, &mut value, account);
        }
        None => account.name(NO_MODEL),
    }
    pinning(domain, &mut value, account);
    value
}

fn counts(domain: Element<'_>, cpu: Option<Element<'_>>, account: &mut Account) -> Value {
    let vcpu = domain.child("vcpu");
    let count = vcpus(domain);
    if let Some(vcpu) = vcpu.filter(|_| count.is_some()) {
        account.covered(vcpu);
        account.text(vcpu);
    }
    let Some(topology) = cpu.and_then(|cpu| cpu.child("topology")) else {
        // Without a topology each is a socket of its own.
        return json!({"sockets": count.unwrap_or(1), "cores": 1, "threads": 1});
    };
    account.covered(topology);
    let mut number = |name: &str| account.number::<u32>(topology, name).unwrap_or(1);
    let (sockets, cores, threads) = (number("sockets"), number("cores"), number("threads"));
    let mut groups: u32 = 1;
    for name in ["dies", "clusters"] {
        let several = topology.attribute(name).and_then(|value| value.parse::<u32>().ok()).unwrap_or(1);
        groups = groups.saturating_mul(several);
        if account.one_of(topology, name, &["1"]).is_none() {
            account.unsupported_attribute(topology, name, "they are counted as cores");
        }
    }
    let cores = cores.saturating_mul(groups);
    let all = sockets.checked_mul(cores).and_then(|cores| cores.checked_mul(threads));
    if let Some(vcpu) = vcpu.filter(|_| all != count) {
        account.name(format!("{} vCPUs: the topology, which the manifest has, makes a different number", vcpu.text()));
    }
    json!({"sockets": sockets, "cores": cores, "threads": threads})
}

fn model(cpu: Element<'_>, value: &mut Value, account: &mut Account) {
    let named = cpu.child("model");
    let mode = cpu.attribute("mode").map(std::borrow::Cow::into_owned);
    let is_custom = mode.as_deref() == Some("custom") || (mode.is_none() && named.is_some());
    if let Some(named) = named.filter(|_| is_custom) {
        account.covered(named);
        value["model"] = account.text(named).into();
        account.attribute(cpu, "mode");
        account.one_of(cpu, "match", &["exact"]);
        account.one_of(cpu, "check", &["partial"]);
        account.one_of(named, "fallback", &["allow"]);
    } else if account.one_of(cpu, "mode", &["host-passthrough", "host-model"]).is_some() {
        value["model"] = mode.unwrap_or_default().into();
        account.one_of(cpu, "check", &["none", "partial"]);
        account.one_of(cpu, "migratable", &["on"]);
    } else if mode.as_deref() == Some("maximum") {
        value["model"] = "host-passthrough".into();
        account.unsupported_attribute(cpu, "mode", "all features that QEMU supports; the manifest has host-passthrough");
    } else {
        account.name(NO_MODEL);
    }
    let mut features = Vec::new();
    for feature in cpu.children_named("feature") {
        let policy = feature.attribute("policy").map_or_else(|| "require".to_owned(), std::borrow::Cow::into_owned);
        let is_known = ["force", "require", "optional", "disable", "forbid"].contains(&policy.as_str());
        let Some(name) = feature.attribute("name").filter(|_| is_known) else { continue };
        features.push(json!({"name": name, "policy": policy}));
        account.covered_with(feature, &["name", "policy"]);
    }
    if !features.is_empty() {
        value["features"] = features.into();
    }
}

fn pinning(domain: Element<'_>, value: &mut Value, account: &mut Account) {
    let Some(tuning) = domain.child("cputune") else { return };
    let pins: Vec<Element<'_>> = tuning.children_named("vcpupin").collect();
    for pin in &pins {
        account.covered(*pin);
    }
    if !pins.is_empty() {
        value["dedicatedCpuPlacement"] = true.into();
        let mut number = |pin: &Element<'_>, name: &str| account.attribute(*pin, name).unwrap_or_default();
        let told: Vec<String> = pins.iter().map(|pin| format!("{} on {}", number(pin, "vcpu"), number(pin, "cpuset"))).collect();
        account.name(format!("the CPUs that it is pinned to ({}): a node assigns whole CPUs (dedicatedCpuPlacement)", told.join(", ")));
    }
    if let Some(emulator) = tuning.child("emulatorpin") {
        if pins.is_empty() {
            account.unsupported(emulator, "the CPUs of QEMU itself: a cluster separates them only with dedicated CPUs");
        } else {
            value["isolateEmulatorThread"] = true.into();
            account.unsupported(emulator, "the CPUs of QEMU itself: a node assigns a separate CPU (isolateEmulatorThread)");
        }
    }
}

/// Whether it has Secure Boot: set at the loader, or requested from libvirt's firmware selection.
pub(super) fn is_secure(domain: Element<'_>) -> bool {
    let Some(os) = domain.child("os") else { return false };
    let is_asked = |feature: Element<'_>| {
        feature.attribute("name").as_deref() == Some("secure-boot") && feature.attribute("enabled").as_deref() == Some("yes")
    };
    os.child("loader").is_some_and(|loader| loader.attribute("secure").as_deref() == Some("yes"))
        || os.child("firmware").is_some_and(|firmware| firmware.children_named("feature").any(is_asked))
}

pub(super) fn firmware(domain: Element<'_>, account: &mut Account) -> Option<Value> {
    let os = domain.child("os")?;
    let loader = os.child("loader");
    let is_efi = account.one_of(os, "firmware", &["efi", "bios"]).as_deref() == Some("efi")
        || loader.is_some_and(|loader| loader.attribute("type").as_deref() == Some("pflash"));
    let mut value = Map::new();
    if is_efi {
        let secure = is_secure(domain);
        let persistent = loader.is_none_or(|loader| loader.attribute("stateless").as_deref() != Some("yes"));
        value.insert("bootloader".into(), json!({"efi": {"secureBoot": secure, "persistent": persistent}}));
        for feature in os.child("firmware").into_iter().flat_map(|firmware| firmware.children_named("feature")) {
            // A cluster's firmware has enrolled keys if Secure Boot is on.
            let is_same = feature.attribute("enabled").is_some_and(|enabled| enabled == if secure { "yes" } else { "no" });
            if is_same && account.one_of(feature, "name", &["secure-boot", "enrolled-keys"]).is_some() {
                account.covered_with(feature, &["enabled"]);
            }
        }
        let why = "the firmware's variables: a cluster starts with new ones, and a boot entry may have to be added";
        match os.child("nvram") {
            Some(variables) => account.unsupported(variables, why),
            None => account.name(why),
        }
    }
    if let Some(loader) = loader {
        account.unsupported(loader, "the firmware file: a cluster has its own");
    }
    if let Some(uuid) = domain.child("uuid") {
        account.covered(uuid);
        value.insert("uuid".into(), account.text(uuid).into());
    }
    for part in ["kernel", "initrd", "cmdline"] {
        if let Some(part) = os.child(part) {
            account.unsupported(part, "direct kernel boot: kernelBoot takes a kernel from a container image");
        }
    }
    let mut boots = os.children_named("boot");
    // A guest boots from the first disk by default.
    if let (Some(boot), None) = (boots.next(), boots.next())
        && account.one_of(boot, "dev", &["hd"]).is_some()
    {
        account.covered(boot);
    }
    (!value.is_empty()).then_some(Value::Object(value))
}
