//! The properties in an option's value: `a,b=c,d=e`, or JSON. Taken properties are marked, so that
//! the others can be reported.

use serde_json::Value;

use super::table::{has, number};

/// The properties of an option.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Props {
    /// Name, value, and whether it was taken.
    all: Vec<(String, String, bool)>,
}

impl Props {
    /// Parses a value; a first part without a name is the property `first`.
    pub(super) fn read(value: &str, first: &str) -> Self {
        let mut props = Self::default();
        match members(value) {
            Some(members) => props.of_json("", &Value::Object(members)),
            None => props.of_words(value, first),
        }
        props
    }

    fn of_words(&mut self, value: &str, first: &str) {
        // In a value two commas stand for one.
        for (index, part) in value.replace(",,", "\0").split(',').enumerate().filter(|(_, part)| !part.is_empty()) {
            let part = part.replace('\0', ",");
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name.to_owned(), value.to_owned()),
                None if index == 0 && !first.is_empty() => (first.to_owned(), part),
                None => (part, "on".to_owned()),
            };
            self.all.push((name.trim().to_owned(), value, false));
        }
    }

    /// An object in an object is `outer.inner`, as QEMU's own short form has it.
    fn of_json(&mut self, prefix: &str, value: &Value) {
        let text = match value {
            Value::Object(members) => {
                for (name, value) in members {
                    self.of_json(&if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") }, value);
                }
                return;
            }
            Value::Array(items) => {
                for (index, value) in items.iter().enumerate() {
                    self.of_json(&format!("{prefix}.{index}"), value);
                }
                return;
            }
            Value::Bool(is_on) => if *is_on { "on" } else { "off" }.to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        self.all.push((prefix.to_owned(), text, false));
    }

    fn named(&self, name: &str) -> impl DoubleEndedIterator<Item = &str> {
        self.all.iter().filter(move |(known, ..)| same_name(known, name)).map(|(_, value, _)| value.as_str())
    }

    /// The names of a character device in JSON (`ChardevBackend` of `qapi/char.json`) are those of its short form.
    pub(super) fn shorten(&mut self) {
        for (name, ..) in &mut self.all {
            let short =
                ["backend.data.addr.data.", "backend.data.remote.data.", "backend.data."].iter().find_map(|long| name.strip_prefix(long));
            let short = short.map(str::to_owned);
            *name = match name.as_str() {
                "backend.type" => "backend".into(),
                "backend.data.out" | "backend.data.device" => "path".into(),
                _ => short.unwrap_or(std::mem::take(name)),
            };
        }
    }

    /// The value of a property, without taking it.
    pub(super) fn peek(&self, name: &str) -> Option<&str> {
        // Of a property given twice the last value counts, of `id` the first (qemu_opts_parse).
        if name == "id" { self.named(name).next() } else { self.named(name).next_back() }
    }

    /// The value of a property.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let value = self.peek(name).map(str::to_owned);
        self.ignore(&[name]);
        value
    }

    /// All values of a property that may be given more than once.
    pub(super) fn take_all(&mut self, name: &str) -> Vec<String> {
        let values = self.named(name).map(str::to_owned).collect();
        self.ignore(&[name]);
        values
    }

    /// Sets a property, or removes it.
    pub(super) fn set(&mut self, name: &str, to: Option<&str>) {
        self.all.retain(|(known, ..)| !same_name(known, name));
        self.all.extend(to.map(|to| (name.to_owned(), to.to_owned(), false)));
    }

    /// Ignores properties that make no difference.
    pub(super) fn ignore(&mut self, names: &[&str]) {
        for (.., taken) in self.all.iter_mut().filter(|(known, ..)| names.iter().any(|name| same_name(known, name))) {
            *taken = true;
        }
    }

    pub(super) fn clear(&mut self) {
        self.all.clear();
    }

    /// The properties that were not taken: name and value.
    pub(super) fn left(&self) -> Vec<(String, String)> {
        self.all.iter().filter(|(.., taken)| !taken).map(|(name, value, _)| (name.clone(), value.clone())).collect()
    }
}

/// The members of a value in JSON.
pub(super) fn members(value: &str) -> Option<serde_json::Map<String, Value>> {
    if value.trim_start().starts_with('{') { serde_json::from_str(value).ok() } else { None }
}

/// Properties that are strings to QEMU whatever their value is: names, and what takes `on`, `off` or `auto` (`DEFINE_PROP_ON_OFF_AUTO`).
const STRINGS: &str = "display enable-migration x-migration-load-config-after-iter x-migration-multifd-transfer write-cache driver id bus \
                       addr port drive chardev audiodev netdev mac name serial vendor product ver device-id hostdevice hostport";

/// A value with QEMU's type.
pub(super) fn typed(name: &str, value: &str) -> Value {
    match value {
        _ if has(STRINGS, &name.replace('_', "-")) => value.into(),
        "on" | "yes" | "true" => true.into(),
        "off" | "no" | "false" => false.into(),
        _ => number(value).map_or_else(|| value.into(), Value::from),
    }
}

/// A value in JSON; a first part without a name is the property `first`.
pub(super) fn in_json(value: &str, first: &str) -> String {
    let typed = |(name, value): (String, String)| (name.clone(), typed(&name, &value));
    let members = members(value).unwrap_or_else(|| Props::read(value, first).left().into_iter().map(typed).collect());
    Value::Object(members).to_string()
}

/// Older QEMU versions have `_` in names instead of `-`.
pub(super) fn same_name(one: &str, other: &str) -> bool {
    one.len() == other.len()
        && one.bytes().zip(other.bytes()).all(|(one, other)| one == other || (b"-_".contains(&one) && b"-_".contains(&other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_json() {
        let mut props = Props::read("host,kvm=off,hv_relaxed,file=/a,,b", "model");
        let taken = ["model", "kvm", "hv-relaxed"].map(|name| props.take(name).unwrap());
        assert_eq!(taken, ["host", "off", "on"]);
        assert_eq!(props.left(), [("file".to_owned(), "/a,b".to_owned())]);
        let mut props = Props::read(r#"{"driver":"qcow2","file":{"driver":"file","filename":"/a"},"read-only":true}"#, "driver");
        assert_eq!(["file.filename", "read-only"].map(|name| props.take(name).unwrap()), ["/a", "on"]);
    }
}
