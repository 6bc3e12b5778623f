//! The templates that come with vgapt: complete, valid libvirt domains.

/// The files in `templates` by name, sorted; `build.rs` lists them.
const FILES: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/templates.rs"));

/// The template with this name; empty if there is none.
pub fn template(name: &str) -> &'static str {
    FILES.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| text)
}
