//! What qemu-img says of images.

use serde::{Deserialize, Serialize};

use crate::model::Size;

/// An image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Image {
    /// Where it lies.
    pub path: String,
    /// Its format.
    pub format: String,
    /// How large the guest sees it.
    pub virtual_size: Size,
    /// How much room it takes.
    pub actual_size: Size,
    /// What it lies on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backing: Option<String>,
    /// The format that it says of that; an image that says none is opened by guessing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backing_format: Option<String>,
    /// Whether qemu found it broken.
    pub corrupt: bool,
    /// The names of the snapshots in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<String>,
    /// Whether it is encrypted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub encrypted: bool,
}

/// An image and, behind it, each image that it lies on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Chain(pub Vec<Image>);

impl Chain {
    /// The image itself.
    pub fn top(&self) -> &Image {
        &self.0[0]
    }

    /// What it lies on.
    pub fn base(&self) -> Option<&Image> {
        self.0.get(1)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Said {
    filename: String,
    format: String,
    virtual_size: u64,
    #[serde(default)]
    actual_size: u64,
    backing_filename: Option<String>,
    full_backing_filename: Option<String>,
    backing_filename_format: Option<String>,
    #[serde(default)]
    snapshots: Vec<Snapshot>,
    #[serde(default)]
    encrypted: bool,
    #[serde(default)]
    format_specific: serde_json::Value,
}

#[derive(Deserialize)]
struct Snapshot {
    name: String,
}

/// What `qemu-img info --backing-chain --output=json` prints.
///
/// # Errors
/// Where that is not what it printed.
pub fn parse_chain(json: &str) -> Result<Chain, String> {
    let said: Vec<Said> = serde_json::from_str(json).map_err(|error| format!("qemu-img's answer cannot be read: {error}"))?;
    let image = |said: Said| Image {
        corrupt: said.format_specific["data"]["corrupt"].as_bool() == Some(true),
        snapshots: said.snapshots.into_iter().map(|snapshot| snapshot.name).collect(),
        encrypted: said.encrypted,
        path: said.filename,
        format: said.format,
        virtual_size: Size::from_bytes(said.virtual_size),
        actual_size: Size::from_bytes(said.actual_size),
        backing: said.full_backing_filename.or(said.backing_filename),
        backing_format: said.backing_filename_format,
    };
    let images: Vec<Image> = said.into_iter().map(image).collect();
    if images.is_empty() { Err("qemu-img says nothing of it".into()) } else { Ok(Chain(images)) }
}

/// How much room a copy takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Measure {
    /// As it is now.
    pub required: u64,
}

/// What `qemu-img measure --output=json` prints.
pub fn parse_measure(json: &str) -> Option<Measure> {
    serde_json::from_str(json).ok()
}

/// Whether qemu-img's complaint is that another process has the image.
pub fn says_locked(complaint: &str) -> bool {
    complaint.contains("Is another process using the image") || complaint.contains("\" lock")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_chain() {
        let text = r#"[{"filename": "o", "format": "qcow2", "virtual-size": 10, "actual-size": 4, "backing-filename": "b",
            "full-backing-filename": "/vm/b", "backing-filename-format": "raw", "encrypted": true, "snapshots": [{"name": "one", "id": "1"}], "format-specific": {"data": {"corrupt": true}}},
            {"filename": "/vm/b", "format": "raw", "virtual-size": 10}]"#;
        let chain = parse_chain(text).unwrap();
        assert_eq!((chain.top().backing.as_deref(), chain.top().corrupt), (Some("/vm/b"), true));
        assert_eq!((chain.top().snapshots.join(","), chain.top().encrypted), ("one".to_owned(), true));
        assert_eq!((chain.base().unwrap().format.as_str(), chain.base().unwrap().encrypted), ("raw", false));
        assert!(parse_chain("[]").is_err() && parse_chain("{").is_err());
        assert_eq!(parse_measure(r#"{"required": 5, "fully-allocated": 9, "bitmaps": 0}"#), Some(Measure { required: 5 }));
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "\\PC*") {
            let _ = (parse_chain(&text), parse_measure(&text));
        }
    }
}
