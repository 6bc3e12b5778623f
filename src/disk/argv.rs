//! The command lines of qemu-img and of the libguestfs tools. Formats are always stated: a guest can write content
//! that misleads a tool's format detection.

use std::path::Path;

use crate::model::Size;

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// A path that qemu-img takes neither as an option nor, because of a colon in it, as a protocol.
fn file(path: &Path) -> String {
    let text = path.display().to_string();
    if text.starts_with('/') { text } else { format!("./{text}") }
}

/// An empty image.
pub fn create(path: &Path, format: &str, size: Size) -> Vec<String> {
    [words(&["qemu-img", "create", "-q", "-f", format]), vec![file(path), size.bytes().to_string()]].concat()
}

/// An overlay: an image that stores only the changes to another one.
pub fn overlay(path: &Path, base: &Path, base_format: &str) -> Vec<String> {
    [words(&["qemu-img", "create", "-q", "-f", "qcow2", "-F", base_format, "-b"]), vec![file(base), file(path)]].concat()
}

/// One image without its backing chain; `shared`: also while a running domain writes to it.
pub fn info(path: &Path, format: &str, shared: bool) -> Vec<String> {
    let mut argv = words(&["qemu-img", "info", "--output=json", "-f", format]);
    argv.extend(shared.then(|| "-U".to_owned()));
    argv.push(file(path));
    argv
}

/// Whether an image has errors.
pub fn check(path: &Path, format: &str) -> Vec<String> {
    [words(&["qemu-img", "check", "-q", "-f", format]), vec![file(path)]].concat()
}

/// Whether two images have the same content.
pub fn compare(one: &Path, of_one: &str, other: &Path, of_other: &str) -> Vec<String> {
    [words(&["qemu-img", "compare", "-p", "-U", "-f", of_one, "-F", of_other]), vec![file(one), file(other)]].concat()
}

/// How much space a copy in a format needs.
pub fn measure(path: &Path, from: &str, to: &str) -> Vec<String> {
    [words(&["qemu-img", "measure", "-U", "--output=json", "-f", from, "-O", to]), vec![file(path)]].concat()
}

/// A copy of the complete content of an image.
pub fn convert(path: &Path, from: &str, to: &str, target: &Path) -> Vec<String> {
    [words(&["qemu-img", "convert", "-p", "-f", from, "-O", to]), vec![file(path), file(target)]].concat()
}

/// Writes the content of an overlay into its backing file.
pub fn commit(overlay: &Path, format: &str) -> Vec<String> {
    [words(&["qemu-img", "commit", "-p", "-f", format]), vec![file(overlay)]].concat()
}

/// A compressed copy without the blocks that the guest's file systems do not use.
pub fn sparsify(path: &Path, from: &str, to: &str, temporary: &Path, target: &Path) -> Vec<String> {
    let tools = words(&["virt-sparsify", "--machine-readable", "--compress", "--check-tmpdir=continue", "--format", from, "--convert", to]);
    [tools, vec!["--tmp".into(), file(temporary), file(path), file(target)]].concat()
}

/// Copies a file or directory into a guest's file system.
pub fn copy_in(what: &Path, path: &Path, format: &str, directory: &str) -> Vec<String> {
    [words(&["virt-copy-in", &format!("--format={format}"), "-a"]), vec![file(path), file(what), directory.to_owned()]].concat()
}

/// The package that contains a tool: on Debian and Ubuntu, on other distributions.
pub fn package_of(tool: &str) -> (&'static str, &'static str) {
    match tool {
        "qemu-img" => ("qemu-utils", "qemu-img"),
        _ => ("libguestfs-tools", "guestfs-tools"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_stated_and_paths_are_no_options() {
        let (base, new) = (Path::new("/vm/a:b.qcow2"), Path::new("-x"));
        assert_eq!(overlay(new, base, "raw").join(" "), "qemu-img create -q -f qcow2 -F raw -b /vm/a:b.qcow2 ./-x");
        assert_eq!(convert(base, "qcow2", "raw", new).join(" "), "qemu-img convert -p -f qcow2 -O raw /vm/a:b.qcow2 ./-x");
        assert_eq!(
            sparsify(base, "raw", "qcow2", Path::new("/vm/t"), new).join(" "),
            "virt-sparsify --machine-readable --compress --check-tmpdir=continue --format raw --convert qcow2 --tmp /vm/t /vm/a:b.qcow2 ./-x"
        );
    }
}
