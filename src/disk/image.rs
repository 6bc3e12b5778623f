//! Parses what qemu-img prints about images.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Size;

/// An image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Image {
    /// Its path.
    pub path: String,
    /// Its format.
    pub format: String,
    /// The size that the guest sees.
    pub virtual_size: Size,
    /// The space that it uses.
    pub actual_size: Size,
    /// Its backing file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backing: Option<String>,
    /// The format that it states for the backing file; without one, QEMU would guess the format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backing_format: Option<String>,
    /// Other files that store its own content: an external data file, extents.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub data_files: Vec<String>,
    /// Whether QEMU has marked it as corrupt.
    pub corrupt: bool,
    /// The names of the snapshots in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<String>,
    /// Whether it is encrypted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub encrypted: bool,
}

/// An image and its backing files, from top to bottom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Chain(pub Vec<Image>);

impl Chain {
    /// The image itself.
    pub fn top(&self) -> &Image {
        &self.0[0]
    }

    /// Its backing file.
    pub fn base(&self) -> Option<&Image> {
        self.0.get(1)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ImageInfo {
    filename: String,
    format: String,
    virtual_size: u64,
    #[serde(default)]
    actual_size: u64,
    backing_filename: Option<String>,
    full_backing_filename: Option<String>,
    backing_filename_format: Option<String>,
    #[serde(default)]
    children: Vec<Child>,
    #[serde(default)]
    snapshots: Vec<Snapshot>,
    #[serde(default)]
    encrypted: bool,
    #[serde(default)]
    format_specific: serde_json::Value,
}

/// A child node of an image: `file`; for a VMDK also `extents.0` and so on.
#[derive(Deserialize)]
struct Child {
    name: String,
    info: ChildInfo,
}

#[derive(Deserialize)]
struct ChildInfo {
    filename: String,
}

#[derive(Deserialize)]
struct Snapshot {
    name: String,
}

/// Parses what `qemu-img info --output=json` prints about one image.
///
/// # Errors
/// Where the text is not such output.
pub fn parse_image(json: &str) -> Result<Image, String> {
    let said: ImageInfo = serde_json::from_str(json).map_err(|error| format!("the output of qemu-img cannot be parsed: {error}"))?;
    let of_format = &said.format_specific["data"];
    let data_file = of_format["data-file"].as_str().map(str::to_owned);
    let others = said.children.into_iter().filter(|child| child.name != "file").map(|child| child.info.filename);
    let mut data_files: Vec<String> = data_file.into_iter().chain(others).collect();
    data_files.sort();
    data_files.dedup();
    Ok(Image {
        data_files,
        corrupt: of_format["corrupt"].as_bool() == Some(true),
        snapshots: said.snapshots.into_iter().map(|snapshot| snapshot.name).collect(),
        encrypted: said.encrypted,
        path: said.filename,
        format: said.format,
        virtual_size: Size::from_bytes(said.virtual_size),
        actual_size: Size::from_bytes(said.actual_size),
        backing: said.full_backing_filename.or(said.backing_filename),
        backing_format: said.backing_filename_format,
    })
}

/// How much space a copy of the present content needs, from what `qemu-img measure --output=json` prints.
pub fn parse_measure(json: &str) -> Option<Size> {
    #[derive(Deserialize)]
    struct Measure {
        required: u64,
    }
    serde_json::from_str(json).ok().map(|Measure { required }| Size::from_bytes(required))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_image() {
        let text = r#"{"filename": "o", "format": "qcow2", "virtual-size": 10, "actual-size": 4, "backing-filename": "b",
            "full-backing-filename": "/vm/b", "backing-filename-format": "raw", "encrypted": true, "snapshots": [{"name": "one", "id": "1"}],
            "children": [{"name": "file", "info": {"filename": "o", "format": "file"}}],
            "format-specific": {"data": {"corrupt": true, "data-file": "/vm/d"}}}"#;
        let image = parse_image(text).unwrap();
        assert_eq!((image.backing.as_deref(), image.backing_format.as_deref(), image.corrupt), (Some("/vm/b"), Some("raw"), true));
        assert_eq!((image.snapshots.join(","), image.encrypted, image.data_files.join(",")), ("one".to_owned(), true, "/vm/d".to_owned()));
        assert!(parse_image("[]").is_err() && parse_image("{").is_err());
        assert_eq!(parse_measure(r#"{"required": 5, "fully-allocated": 9, "bitmaps": 0}"#), Some(Size::from_bytes(5)));
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "\\PC*") {
            let _ = (parse_image(&text), parse_measure(&text));
        }
    }
}
