//! vgapt's record in a domain's metadata: the last request, the ids of the passed devices, and what was written into elements
//! without an alias.

use std::collections::BTreeSet;
use std::fmt;

use schemars::JsonSchema;
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::edit::Written;
use super::format1;
use super::request::Request;
use crate::model::{CpuSet, Finding, PciAddress, PciId, Reading, RecordedGroup, shell_word};
use crate::passthrough::Recorded;
use crate::xml::{Document, Element, Fragment};

/// The namespace of the metadata.
pub(crate) const NAMESPACE: &str = "urn:vgapt:domain:1";
/// The prefix of the namespaces of all record formats, by which a domain with a record is recognised; `host/decide/hook.sh`
/// contains it too.
pub const RECORD_MARK: &str = "urn:vgapt:domain:";
/// The name of the record's element.
const ELEMENT: &str = "domain";
/// The record format that is written. Raise it if an older vgapt would lose or break data of a newer
/// one; `host/decide/hook.sh` contains it too. Records without a format have format 1.
pub const RECORD_FORMAT: u32 = 2;
/// The key of the format in a record.
const FORMAT: &str = "version";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// vgapt's record of a domain.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Record {
    /// The last request, completed with the earlier ones.
    pub request: Request,
    /// The PCI functions that were passed.
    pub passed: Vec<Passed>,
    /// Their IOMMU groups, as they were when these functions were passed. Records before these were stored have none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<RecordedGroup>,
    /// Whether vgapt did not define the domain, so that `detach` restores what was replaced.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub attached: bool,
    /// The guest system of the template that the domain was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) template: Option<String>,
    /// The host CPUs that are kept free for the guest: whole cores.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "cpus")]
    pub(crate) guest_cpus: Option<CpuSet>,
    /// The functions that were passed through by hand before vgapt, which stay when it removes its own.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) by_hand: BTreeSet<PciAddress>,
    /// The guest slots (bus and slot) whose first function had no `multifunction` attribute before vgapt.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) single_functions: BTreeSet<(u32, u32)>,
    /// What was written into elements without an alias.
    #[serde(skip_serializing_if = "Written::is_empty")]
    pub(crate) written: Written,
}

fn cpus<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<CpuSet>, D::Error> {
    String::deserialize(deserializer)?.parse().map(Some).map_err(D::Error::custom)
}

/// A PCI function that was passed, with its ids, because addresses may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passed {
    /// Its address.
    pub address: PciAddress,
    /// Its vendor and device id; `None` if the host was not known.
    pub id: Option<PciId>,
    /// Its subsystem id.
    pub subsystem: Option<PciId>,
}

impl Passed {
    /// A function of which only the address is known.
    pub fn at(address: PciAddress) -> Self {
        Self { address, id: None, subsystem: None }
    }

    /// What was written down of it.
    pub(crate) fn recorded(&self) -> Recorded {
        Recorded { address: self.address, id: self.id, subsystem: self.subsystem }
    }
}

impl Record {
    /// The record in a domain's metadata: absent if there is none, unknown if it was written by a newer vgapt
    /// or is damaged.
    pub fn of(domain: &Document) -> Reading<Self> {
        let mut own = elements(domain);
        let Some(element) = own.next() else { return Reading::Absent };
        if own.next().is_some() {
            return Reading::Unknown("its metadata contains more than one record".to_owned());
        }
        read(element).map_or_else(Reading::Unknown, Reading::Known)
    }

    /// The metadata element for it.
    pub(crate) fn fragment(&self) -> Fragment {
        Fragment::new("vgapt:domain").with("xmlns:vgapt", NAMESPACE).text(self.text())
    }

    pub(crate) fn text(&self) -> String {
        #[derive(Serialize, JsonSchema)]
        struct Versioned<'r> {
            version: u32,
            #[serde(flatten)]
            record: &'r Record,
        }
        // Serialising plain data with string keys cannot fail.
        serde_json::to_string(&Versioned { version: RECORD_FORMAT, record: self }).unwrap_or_default()
    }
}

fn read(element: Element<'_>) -> Result<Record, String> {
    let namespace = element.namespace().unwrap_or_default();
    if namespace != NAMESPACE {
        return Err(format!(
            "the record in its metadata has the namespace '{namespace}', but vgapt {VERSION} supports only '{NAMESPACE}': it was written by a newer vgapt"
        ));
    }
    let because = |why: &dyn fmt::Display| format!("the record in its metadata is damaged, or was written by a newer vgapt: {why}");
    let damaged = |error: serde_json::Error| because(&error);
    let Once(said) = serde_json::from_str(element.text()).map_err(damaged)?;
    let mut said: Map<String, Value> = serde_json::from_value(said).map_err(damaged)?;
    let format = match said.remove(FORMAT).map(|format| format.as_u64().ok_or(format)) {
        None => 1,
        Some(Ok(format)) if format <= u64::from(RECORD_FORMAT) => format,
        Some(Ok(format)) => {
            return Err(format!(
                "the record in its metadata has the format {format}, but vgapt {VERSION} supports only formats up to {RECORD_FORMAT}: it was written by a newer vgapt"
            ));
        }
        Some(Err(format)) => return Err(format!("the record in its metadata is damaged: invalid format {format}")),
    };
    // The request has flattened parts, with which serde cannot reject unknown keys (deny_unknown_fields).
    let options = said.get("request").and_then(Value::as_object);
    if let Some(option) = options.and_then(|options| Request::unknown_key(options.keys())) {
        return Err(format!("the record in its metadata contains the option '{option}', which vgapt {VERSION} does not know"));
    }
    if format < 2 {
        format1::upgrade(&mut said).map_err(|why| because(&why))?;
    }
    serde_json::from_value(Value::Object(said)).map_err(damaged)
}

/// A JSON value without duplicate keys: programs differ in which of two values they use.
struct Once(Value);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OnceVisitor).map(Self)
    }
}

struct OnceVisitor;

impl<'de> Visitor<'de> for OnceVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Once(value)) = access.next_element()? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some((key, Once(value))) = access.next_entry::<String, Once>()? {
            if values.contains_key(&key) {
                return Err(A::Error::custom(format_args!("the key '{key}' is given twice")));
            }
            values.insert(key, value);
        }
        Ok(values.into())
    }
}

/// The record's element in a domain's metadata, of any format.
pub(crate) fn element(domain: &Document) -> Option<Element<'_>> {
    elements(domain).next()
}

fn elements(domain: &Document) -> impl Iterator<Item = Element<'_>> {
    let children = domain.root().children_named("metadata").flat_map(Element::children);
    // An element with another name is not a record, even in this namespace.
    children.filter(|child| child.local_name() == ELEMENT && child.namespace().is_some_and(|namespace| namespace.starts_with(RECORD_MARK)))
}

/// The error for a record that cannot be used. Every change depends on the record, so that the domain is not changed.
pub fn unreadable(name: &str, because: &str) -> Finding {
    Finding::error(
        "unreadable-record",
        format!("vgapt does not change '{name}': {because}"),
        format!(
            "use the newest vgapt version that changed the domain; to correct a damaged record: \
             virsh metadata --domain {0} --uri {NAMESPACE} --config --key vgapt --edit; to delete it, so that vgapt no longer \
             knows what it changed: virsh metadata --domain {0} --uri {NAMESPACE} --config --remove",
            shell_word(name)
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::edit::Part;

    const DEFINED: &str = include_str!("../../fixtures/records/defined-0.1.0.json");
    const ATTACHED: &str = include_str!("../../fixtures/records/attached-0.1.0.json");
    const DEFINED_1: &str = include_str!("../../fixtures/records/defined-format-1.xml");
    const ATTACHED_1: &str = include_str!("../../fixtures/records/attached-format-1.xml");

    fn domain(record: &str, namespace: &str) -> Document {
        let metadata = Fragment::new("metadata").child(Fragment::new("v:domain").with("xmlns:v", namespace).text(record));
        Document::parse(&Fragment::new("domain").child(metadata).render("", "")).unwrap()
    }

    fn unknown(record: &str) -> String {
        Record::of(&domain(record, NAMESPACE)).unknown().expect(record).to_owned()
    }

    /// The fixtures are what vgapt 0.1.0 wrote: records before they had a format, and domains with records of format 1.
    #[test]
    fn records_of_format_1_are_read_without_loss() {
        let in_domains = [DEFINED_1, ATTACHED_1].map(|text| element(&Document::parse(text).unwrap()).unwrap().text().to_owned());
        for text in [DEFINED, ATTACHED, &in_domains[0], &in_domains[1]] {
            let record = Record::of(&domain(text, NAMESPACE)).known().unwrap();
            let new: Value = serde_json::from_str(&record.text()).unwrap();
            let old: Value = serde_json::from_str(text).unwrap();
            assert_eq!((&new["version"], &new["request"], &new["passed"]), (&2.into(), &old["request"], &old["passed"]));
            let written = |part: &str, path: &str| new["written"][part][path].clone();
            let wrote = old["wrote"].as_object().unwrap();
            for (name, value) in wrote {
                let says = |part: &str, path: &str, name: &str| written(part, path)["says"][name].clone();
                let now = match name.as_str() {
                    "memory" => format!("{} GiB", says("memory", "memory", "").as_str().unwrap().parse::<u64>().unwrap() >> 20).into(),
                    "cpus" => says("cpus", "vcpu", ""),
                    "hugepages" => written("hugepages", "memoryBacking/hugepages").is_object().to_string().into(),
                    "loader" => says("firmware", "os/loader", ""),
                    "nvram-template" => says("firmware", "os/nvram", "template"),
                    "host-cpus" => says("pinning", "cputune/emulatorpin", "cpuset"),
                    // Nothing reads it, and `numatune/memory` says it where it matters.
                    "nodes" => continue,
                    "template" | "guest-cpus" => new[name].clone(),
                    name => panic!("{name}"),
                };
                assert_eq!(now, *value, "{name}");
            }
            for (group, settings) in old["settings"].as_object().unwrap() {
                for (path, says) in settings.as_object().unwrap() {
                    assert_eq!(written(group, path)["says"], *says, "{path}");
                }
            }
            let replaced = old.get("replaced").map(|replaced| &replaced["devices/memballoon"]);
            assert_eq!(written("balloon", "devices/memballoon").get("before"), replaced);
            assert_eq!(new.get("attached"), old.get("attached"));
            assert_eq!(Record::of(&domain(&record.text(), NAMESPACE)), Reading::Known(record));
        }
        let words = r#"{"wrote":{"by-hand":"0000:01:00.0 0000:01:00.1","single-functions":"0:2 3:0","emulator":"/q"}}"#;
        let record = Record::of(&domain(words, NAMESPACE)).known().unwrap();
        assert_eq!((record.by_hand.len(), record.single_functions), (2, [(0, 2), (3, 0)].into()));
        assert_eq!(record.written.of(Part::Emulator).next().unwrap().1.says[""], "/q");
        for damaged in [r#""memory":"much""#, r#""guest-cpus":"all""#, r#""by-hand":"x""#, r#""single-functions":"0""#, r#""orbit":"1""#] {
            assert!(unknown(&format!("{{\"wrote\":{{{damaged}}}}}")).contains("damaged"), "{damaged}");
        }
    }

    #[test]
    fn what_a_newer_vgapt_wrote_is_unknown() {
        assert!(unknown("{\"version\":3}").contains("has the format 3, but vgapt"));
        assert!(unknown("{\"request\":{\"teleport\":true}}").contains("the option 'teleport'"));
        let more = DEFINED.replacen("\"pinning\":{", "\"resonance\":{\"a\":{}},\"pinning\":{", 1);
        assert!(unknown(&more).contains("unknown variant `resonance`"), "{}", unknown(&more));
        assert!(unknown("{\"orbit\":1}").contains("unknown field `orbit`"));
        assert!(unknown("{\"passed\":[{\"address\":\"01:00.0\",\"id\":null,\"subsystem\":null,\"x\":1}]}").contains("unknown field `x`"));
        let newer = Record::of(&domain(DEFINED, "urn:vgapt:domain:2"));
        assert!(newer.unknown().is_some_and(|because| because.contains("'urn:vgapt:domain:2'")), "{newer:?}");
    }

    #[test]
    fn what_is_damaged_is_unknown_and_what_is_not_ours_is_absent() {
        for damaged in ["", "{", "[]", "7", "{\"version\":\"x\"}", "{\"version\":-1}", "{\"request\":7}", &DEFINED[..DEFINED.len() / 2]] {
            assert!(unknown(damaged).contains("damaged"), "{damaged}: {}", unknown(damaged));
        }
        for twice in
            ["{\"version\":2,\"version\":1}", "{\"request\":{\"memory\":\"1G\",\"memory\":\"2G\"}}", "{\"passed\":[],\"passed\":[]}"]
        {
            assert!(unknown(twice).contains("is given twice"), "{twice}: {}", unknown(twice));
        }
        let twice = domain(DEFINED, NAMESPACE).to_string().replace("</metadata>", "<w:domain xmlns:w='urn:vgapt:domain:1'/></metadata>");
        assert!(Record::of(&Document::parse(&twice).unwrap()).unknown().is_some());
        assert_eq!(Record::of(&domain(DEFINED, "urn:somebody")), Reading::Absent);
        assert_eq!(Record::of(&Document::parse("<domain/>").unwrap()), Reading::Absent);
        let other = domain(DEFINED, NAMESPACE).to_string().replace("v:domain", "v:other");
        assert!(other.contains("<v:other ") && Record::of(&Document::parse(&other).unwrap()) == Reading::Absent, "{other}");
    }
}
