//! Resolves the names in headers of disk images: to files, to things that only QEMU's block drivers open, or to several of
//! them.

use serde_json::{Map, Value};

use super::files::has_protocol;
use super::names::is_known_format;

/// QEMU's drivers for files and devices.
const FILES: [&str; 3] = ["file", "host_device", "host_cdrom"];
/// Filter drivers, which pass on the data of another node.
const FILTERS: [&str; 4] = ["throttle", "copy-on-read", "preallocate", "compress"];
/// Options of a node that are not nodes themselves.
const SETTINGS: [&str; 3] = ["cache", "encrypt", "key-secret"];

/// A file that a name refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedFile {
    /// Its path, absolute or relative to the image's folder.
    pub path: String,
    /// Its format, if the name states one.
    pub format: Option<String>,
}

/// What a name in an image's header refers to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResolvedName {
    /// Files and devices of this host.
    pub files: Vec<ResolvedFile>,
    /// What only QEMU's block drivers can open: `nbd://…`, `json:{…}`.
    pub others: Vec<String>,
}

/// Resolves a name in an image's header. For `json:{…}`, all files in it, including backing files.
pub fn leads(name: &str) -> ResolvedName {
    let mut leads = ResolvedName::default();
    leads.follow(name, None);
    leads
}

impl ResolvedName {
    fn follow(&mut self, name: &str, format: Option<&str>) {
        let other = || name.to_owned();
        if let Some(options) = name.strip_prefix("json:") {
            match serde_json::from_str::<Value>(options).ok().and_then(nested) {
                Some(options) => self.node(&options, format),
                None => self.others.push(other()),
            }
            return;
        }
        // QEMU resolves a relative path after `file:` against its working directory.
        let path = match name.strip_prefix("file:") {
            Some(path) if path.starts_with('/') => Some(path),
            Some(_) => None,
            None => (!has_protocol(name)).then_some(name),
        };
        match path {
            Some(path) => self.files.push(ResolvedFile { path: path.to_owned(), format: format.map(str::to_owned) }),
            None => self.others.push(other()),
        }
    }

    /// A QEMU block node with its children; `format` is the format in which the parent node reads its data.
    fn node(&mut self, options: &Map<String, Value>, format: Option<&str>) {
        let driver = options.get("driver").and_then(Value::as_str);
        let is_file = driver.is_none_or(|driver| FILES.contains(&driver));
        let is_image = driver.is_some_and(is_known_format) && !is_file;
        let is_filter = driver.is_some_and(|driver| FILTERS.contains(&driver));
        if !is_file && !is_image && !is_filter {
            // For other drivers, it is unknown which options are files.
            self.others.push(format!("json:{}", Value::Object(options.clone())));
            return;
        }
        let own = if is_image { driver } else { format };
        let before = (self.files.len(), self.others.len());
        for (key, value) in options.iter().filter(|(key, _)| !SETTINGS.contains(&key.as_str())) {
            let below = match key.as_str() {
                "filename" | "file" => own,
                "backing" => None,
                // An external data file or an extent.
                _ => Some("raw"),
            };
            match value {
                // For a file driver, this is always a path, even if it contains a colon.
                Value::String(name) if key == "filename" && driver.is_some() && is_file => {
                    self.files.push(ResolvedFile { path: name.clone(), format: own.map(str::to_owned) });
                }
                Value::String(name) if key == "filename" => self.follow(name, below),
                // A reference to a node that is defined elsewhere.
                Value::String(name) if ["file", "backing", "data-file"].contains(&key.as_str()) => self.others.push(name.clone()),
                Value::Object(options) => self.node(options, below),
                Value::Array(nodes) => {
                    for node in nodes.iter().filter_map(Value::as_object) {
                        self.node(node, below);
                    }
                }
                _ => {}
            }
        }
        if before == (self.files.len(), self.others.len()) {
            self.others.push(format!("json:{}", Value::Object(options.clone())));
        }
    }
}

/// The options with dotted keys such as `file.filename` nested under `file`; `None` if two keys conflict.
fn nested(options: Value) -> Option<Map<String, Value>> {
    let Value::Object(options) = options else { return None };
    let mut made = Map::new();
    for (key, value) in options {
        let value = if value.is_object() { Value::Object(nested(value)?) } else { value };
        put(&mut made, &key, value)?;
    }
    Some(made)
}

fn put(options: &mut Map<String, Value>, key: &str, value: Value) -> Option<()> {
    if let Some((first, rest)) = key.split_once('.') {
        return put(options.entry(first).or_insert_with(|| Value::Object(Map::new())).as_object_mut()?, rest, value);
    }
    match (options.get_mut(key), value) {
        (None, value) => {
            options.insert(key.to_owned(), value);
        }
        (Some(Value::Object(there)), Value::Object(more)) => {
            for (key, value) in more {
                put(there, &key, value)?;
            }
        }
        (Some(_), _) => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_names_lead() {
        let told = |name: &str| {
            let leads = leads(name);
            let file = |lead: ResolvedFile| format!("{}={}", lead.path, lead.format.unwrap_or_default());
            leads.files.into_iter().map(file).chain(leads.others).collect::<Vec<_>>().join(" ")
        };
        assert_eq!([told("a"), told("file:/b"), told("nbd://x"), told("file:c")], ["a=", "/b=", "nbd://x", "file:c"]);
        let nested = r#"json:{"driver":"qcow2","cache":{"direct":true},"file":{"driver":"file","filename":"/m"},"data-file":{"driver":"file","filename":"/d"},
            "backing":{"driver":"raw","file":{"driver":"file","filename":"a:b"}}}"#;
        assert_eq!(told(nested), "a:b=raw /d=raw /m=qcow2");
        let flat = r#"json:{"driver":"qcow2","file.filename":"/m","backing.driver":"qcow2","backing.file.filename":"/b","backing.backing.file.filename":"/c"}"#;
        assert_eq!(told(flat), "/c= /b=qcow2 /m=qcow2");
        for unknown in [
            "json:{",
            "json:{'filename':'/x'}",
            r#"json:{"driver":"raw"}"#,
            r#"json:{"driver":"quorum","children":[{"filename":"/x"}]}"#,
            r#"json:{"driver":"qcow2","file":"node"}"#,
            r#"json:{"file.filename":"/x","file":{"filename":"/y"}}"#,
        ] {
            assert!(!leads(unknown).others.is_empty() && leads(unknown).files.is_empty(), "{unknown}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_name_never_panics(text in "\\PC*") {
            let _ = (leads(&text), leads(&format!("json:{text}")));
        }
    }
}
