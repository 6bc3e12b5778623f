//! The templates that come with vgapt: complete, valid libvirt domains.

/// The template of this name; empty where there is none.
pub const fn template(name: &str) -> &'static str {
    match name.as_bytes() {
        b"windows" => include_str!("../../templates/windows.xml"),
        b"win7" => include_str!("../../templates/win7.xml"),
        b"linux" => include_str!("../../templates/linux.xml"),
        _ => "",
    }
}
