//! The templates that come with vgapt: complete, valid libvirt domains.

/// Names and texts of the files in `templates`, in order of name; `build.rs` lists them.
const FILES: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/templates.rs"));

/// The template of this name; empty where there is none.
pub fn template(name: &str) -> &'static str {
    FILES.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| text)
}
