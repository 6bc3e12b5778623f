//! The properties in an option's value: `a,b=c,d=e`, or JSON. Taken properties are marked, so that
//! the others can be reported.

/// The properties of an option.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Props {
    /// Name, value, and whether it was taken.
    all: Vec<(String, String, bool)>,
}

impl Props {
    /// Parses a value; a first part without a name is the property `first`.
    pub(super) fn read(value: &str, first: &str) -> Self {
        let json = value.trim_start().starts_with('{').then(|| serde_json::from_str(value).ok()).flatten();
        let mut props = Self::default();
        match json {
            Some(json) => props.of_json("", &json),
            None => props.of_words(value, first),
        }
        props
    }

    fn of_words(&mut self, value: &str, first: &str) {
        // In a value two commas stand for one.
        for (index, part) in value.replace(",,", "\0").split(',').enumerate().filter(|(_, part)| !part.is_empty()) {
            let part = part.replace('\0', ",");
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name.to_owned(), value.trim_matches('"').to_owned()),
                None if index == 0 && !first.is_empty() => (first.to_owned(), part),
                None => (part, "on".to_owned()),
            };
            self.all.push((name.trim().to_owned(), value, false));
        }
    }

    /// An object in an object is `outer.inner`, as QEMU's own short form has it.
    fn of_json(&mut self, prefix: &str, value: &serde_json::Value) {
        match value {
            serde_json::Value::Object(members) => {
                for (name, value) in members {
                    self.of_json(&if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") }, value);
                }
            }
            serde_json::Value::Array(items) => {
                for (index, value) in items.iter().enumerate() {
                    self.of_json(&format!("{prefix}.{index}"), value);
                }
            }
            serde_json::Value::Bool(is_on) => self.all.push((prefix.to_owned(), if *is_on { "on" } else { "off" }.to_owned(), false)),
            serde_json::Value::String(text) => self.all.push((prefix.to_owned(), text.clone(), false)),
            other => self.all.push((prefix.to_owned(), other.to_string(), false)),
        }
    }

    /// The value of a property, without taking it.
    pub(super) fn peek(&self, name: &str) -> Option<&str> {
        let mut same = self.all.iter().filter(|(known, _, _)| same_name(known, name)).map(|(_, value, _)| value.as_str());
        // Of a property given twice the last value counts, of `id` the first (qemu_opts_parse).
        if name == "id" { same.next() } else { same.next_back() }
    }

    /// The value of a property.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let value = self.peek(name).map(str::to_owned);
        for (_, _, taken) in self.all.iter_mut().filter(|(known, _, _)| same_name(known, name)) {
            *taken = true;
        }
        value
    }

    /// Changes the value of an existing property.
    pub(super) fn change(&mut self, name: &str, to: &str) {
        for (_, value, _) in self.all.iter_mut().filter(|(known, ..)| same_name(known, name)) {
            to.clone_into(value);
        }
    }

    /// Sets a property, whether it exists or not.
    pub(super) fn set(&mut self, name: &str, to: &str) {
        self.all.retain(|(known, ..)| !same_name(known, name));
        self.all.push((name.to_owned(), to.to_owned(), false));
    }

    /// Adds a value of a property that may be given more than once.
    pub(super) fn add(&mut self, name: &str, value: &str) {
        self.all.push((name.to_owned(), value.to_owned(), false));
    }

    /// Whether a property is on; `None` if it is missing.
    pub(super) fn flag(&mut self, name: &str) -> Option<bool> {
        self.take(name).map(|value| matches!(value.as_str(), "on" | "yes" | "true" | "1"))
    }

    /// Ignores properties that make no difference.
    pub(super) fn ignore(&mut self, names: &[&str]) {
        for name in names {
            self.take(name);
        }
    }

    /// The properties that were not taken: `name=value`.
    pub(super) fn left(&self) -> Vec<(String, String)> {
        self.all.iter().filter(|(_, _, taken)| !taken).map(|(name, value, _)| (name.clone(), value.clone())).collect()
    }

    /// All values of a property that may be given more than once.
    pub(super) fn take_all(&mut self, name: &str) -> Vec<String> {
        let values = self.all.iter().filter(|(known, _, _)| same_name(known, name)).map(|(_, value, _)| value.clone()).collect();
        self.take(name);
        values
    }
}

/// Older QEMU versions have `_` in names instead of `-`.
fn same_name(one: &str, other: &str) -> bool {
    one.len() == other.len()
        && one.bytes().zip(other.bytes()).all(|(one, other)| one == other || (b"-_".contains(&one) && b"-_".contains(&other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_json() {
        let mut props = Props::read("host,kvm=off,hv_relaxed,file=/a,,b", "model");
        assert_eq!((props.take("model").as_deref(), props.flag("kvm"), props.flag("hv-relaxed")), (Some("host"), Some(false), Some(true)));
        assert_eq!(props.left(), [("file".to_owned(), "/a,b".to_owned())]);
        let mut props = Props::read(r#"{"driver":"qcow2","file":{"driver":"file","filename":"/a"},"read-only":true}"#, "driver");
        assert_eq!((props.take("file.filename").as_deref(), props.flag("read-only")), (Some("/a"), Some(true)));
    }
}
