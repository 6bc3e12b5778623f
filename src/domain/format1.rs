//! Records of format 1, which vgapt 0.1.0 wrote: what was written is in three tables.

use serde_json::{Map, Value, json};

use crate::model::Size;

/// Puts a record of format 1 into the words of format 2.
///
/// # Errors
/// What cannot be read in it.
pub(super) fn upgrade(record: &mut Map<String, Value>) -> Result<(), String> {
    let wrote = table(record.remove("wrote"))?;
    let mut written = json!({});
    for (name, value) in wrote {
        let text = value.as_str().ok_or_else(|| format!("'{name}' is no text"))?;
        match name.as_str() {
            "memory" => {
                let kib = text.parse::<Size>()?.kib().to_string();
                written["memory"]["memory"] = json!({"says": {"": kib, "unit": "KiB"}});
            }
            "cpus" => written["cpus"]["vcpu"] = json!({"says": {"": text}}),
            "hugepages" if text == "true" => written["hugepages"]["memoryBacking/hugepages"] = json!({}),
            "emulator" => written["emulator"]["devices/emulator"] = json!({"says": {"": text}}),
            "loader" => written["firmware"]["os/loader"] = json!({"says": {"": text}}),
            "nvram-template" => written["firmware"]["os/nvram"] = json!({"says": {"template": text}}),
            "template" | "guest-cpus" => {
                record.insert(name, value);
            }
            "by-hand" => {
                record.insert(name, text.split_whitespace().collect());
            }
            "single-functions" => {
                let slot = |slot: &str| slot.split(':').map(|number| number.parse::<u32>().ok()).collect::<Value>();
                record.insert(name, text.split_whitespace().map(slot).collect());
            }
            // Nothing reads these two: the elements of the pinning say the same.
            "hugepages" | "host-cpus" | "nodes" => {}
            _ => return Err(format!("unknown value '{name}'")),
        }
    }
    for (group, settings) in table(record.remove("settings"))? {
        let part = if group == "memory" { "pages" } else { &group };
        written[part] = table(Some(settings))?.into_iter().map(|(path, says)| (path, json!({"says": says}))).collect();
    }
    for (path, source) in table(record.remove("replaced"))? {
        written["balloon"][path] = json!({"before": source});
    }
    record.insert("written".to_owned(), written);
    Ok(())
}

fn table(value: Option<Value>) -> Result<Map<String, Value>, String> {
    match value {
        None => Ok(Map::new()),
        Some(Value::Object(table)) => Ok(table),
        Some(other) => Err(format!("{other} is no table")),
    }
}
