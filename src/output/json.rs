//! JSON with everything that the tables show.

use serde::Serialize;

use super::findings::findings_json;
use crate::model::{Host, Iommu, IommuGroup};
use crate::passthrough::{self, Assessment};

/// A value as indented JSON with a line end.
pub fn json(value: &impl Serialize) -> String {
    // The values are plain data with string keys; serialising them cannot fail.
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

/// A host and the verdicts on its cards.
pub fn host_json(host: &Host, cards: &[Assessment]) -> String {
    #[derive(Serialize)]
    struct Listing<'a> {
        iommu: Iommu,
        gpus: &'a [Assessment],
        warnings: Vec<serde_json::Value>,
        groups: Vec<IommuGroup>,
        #[serde(flatten)]
        host: &'a Host,
    }
    json(&Listing {
        iommu: host.platform.iommu,
        gpus: cards,
        warnings: findings_json(&passthrough::of_host(host)),
        groups: host.groups(),
        host,
    })
}
