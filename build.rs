//! Writes the table of the pci-ids crate as text in the format and order of `pci.ids`, so that one parser
//! serves for both and a start pays nothing for the table; and the lists of the templates and of the
//! guest profiles, so that a new one is a new file and nothing else. And the version with its commit.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use pci_ids::Vendors;

const TEMPLATES: &str = "templates";
const PROFILES: &str = "templates/profiles";
/// Files as distributions ship them.
const DISTRIBUTIONS: &str = "fixtures/distributions";
/// Of sources with this name the sentences count too: they are compared with what the kernel says.
const SENTENCES: &str = "kernel_log.rs";
/// Set where programs are built for systems with an older C library than this one's: since GCC 12, the archive of the unwinder
/// needs glibc 2.35 (`_dl_find_object`).
const SHARED_UNWINDER: &str = "VGAPT_SHARED_UNWINDER";

fn main() {
    let directory = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(directory.join("pci.ids"), pci_ids()).expect("OUT_DIR can be written");
    fs::write(directory.join("templates.rs"), texts(TEMPLATES, "xml")).expect("OUT_DIR can be written");
    fs::write(directory.join("profiles.rs"), texts(PROFILES, "toml")).expect("OUT_DIR can be written");
    fs::write(directory.join("words"), words()).expect("OUT_DIR can be written");
    link_unwinder(&directory);
    println!("cargo:rustc-env=VGAPT_VERSION={}", version());
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src");
    println!("cargo:rerun-if-changed={DISTRIBUTIONS}");
    println!("cargo:rerun-if-changed={TEMPLATES}");
}

/// Links libgcc's unwinder into `vgapt`. As a library it is mapped at every start, and asks the processor what it is, which in a
/// virtual machine takes 10 µs each time. Where the archive is missing, the library serves. Not into `vgapt-libvirt`: libvirt
/// itself needs the library, and two unwinders in one process cannot continue each other's work.
fn link_unwinder(directory: &Path) {
    println!("cargo:rerun-if-env-changed={SHARED_UNWINDER}");
    let variable = |name| env::var(name).unwrap_or_default();
    let is_cross = variable("HOST") != variable("TARGET");
    if variable("CARGO_CFG_TARGET_ENV") != "gnu" || is_cross || !variable(SHARED_UNWINDER).is_empty() {
        return;
    }
    // Whoever links is asked: cargo names it where one is configured.
    let linker = env::var_os("RUSTC_LINKER").unwrap_or_else(|| "cc".into());
    let Ok(said) = Command::new(linker).arg("-print-file-name=libgcc_eh.a").output() else { return };
    let archive = PathBuf::from(String::from_utf8_lossy(&said.stdout).trim());
    // A compiler that has no such file prints its name.
    if archive.is_absolute() && archive.is_file() {
        // rustc asks for `-lgcc_s`, and this script is found first. It names no path, as an update of the compiler moves the
        // archive; libgcc.a is in the compiler's own script, too.
        fs::write(directory.join("libgcc_s.so"), "GROUP ( -lgcc_eh -lgcc )\n").expect("OUT_DIR can be written");
        // Not rustc-link-search: fuzz targets would get it, and cargo would add the folder to LD_LIBRARY_PATH.
        println!("cargo:rustc-link-arg-bin=vgapt=-L{}", directory.display());
    }
}

/// `0.1.0 (16f37c3a2b1c of 2026-11-26)`; the version alone where this is not a checkout of git.
fn version() -> String {
    let version = env::var("CARGO_PKG_VERSION").expect("cargo sets CARGO_PKG_VERSION");
    let Some(commit) = git(&["log", "-1", "--abbrev=12", "--format=%h of %cs"]) else { return version };
    // While somebody works, a commit does not compile every test again: programs for debugging may be of a later one.
    if env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        // git appends to this file whenever HEAD moves. It may be turned off; cargo would always build if it waited for
        // a file that does not exist.
        if let Some(moves) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|moves| Path::new(moves).exists()) {
            println!("cargo:rerun-if-changed={moves}");
        }
        if git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| changes.is_empty()) {
            return format!("{version} ({commit})");
        }
    }
    format!("{version} ({commit}, or later)")
}

/// What git says of this checkout; nothing of another one that this folder is unpacked in.
fn git(arguments: &[&str]) -> Option<String> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    let output = Command::new("git").arg("--git-dir").arg(root.join(".git")).arg("--work-tree").arg(root).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn pci_ids() -> String {
    let mut table = String::new();
    let mut vendors: Vec<_> = Vendors::iter().collect();
    vendors.sort_by_key(|vendor| vendor.id());
    for vendor in vendors {
        let _ = writeln!(table, "{:04x}  {}", vendor.id(), vendor.name());
        let mut devices: Vec<_> = vendor.devices().collect();
        devices.sort_by_key(|device| device.id());
        for device in devices {
            let _ = writeln!(table, "\t{:04x}  {}", device.id(), device.name());
        }
    }
    assert!(!table.is_empty(), "the pci-ids crate came without its table");
    table
}

/// A Rust array of the names and texts of a folder's files with this ending.
fn texts(folder: &str, wanted: &str) -> String {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    let entries = fs::read_dir(root.join(folder)).expect("the folder is there");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a folder can be read").path()).collect();
    files.sort();
    files.retain(|file| file.extension().is_some_and(|ending| ending == wanted));
    let text = |text: &OsStr| format!("{:?}", text.to_str().expect("names of text"));
    let mut array = String::from("[");
    for file in &files {
        let name = file.file_stem().expect("a file has a name");
        let _ = write!(array, "({}, include_str!({})),", text(name), text(file.as_os_str()));
    }
    array + "]"
}

/// The words that a capture may hold, one a line: those of the program's own literals, which are all that
/// it looks for in a file, and those of the files that distributions ship.
fn words() -> String {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    let mut words = BTreeSet::new();
    let mut add = |text: &str| {
        let is_word = |word: &&str| word.contains(|c: char| c.is_ascii_alphabetic());
        words.extend(text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(is_word).map(str::to_owned));
    };
    for file in files(&root.join("src"), "rs") {
        let text = fs::read_to_string(&file).expect("a source can be read");
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let name = file.file_name().and_then(OsStr::to_str).unwrap_or_default();
        if name != "tests.rs" {
            literals(text).filter(|literal| name == SENTENCES || !literal.contains(' ')).for_each(&mut add);
        }
    }
    for file in files(&root.join(DISTRIBUTIONS), "host") {
        let text = fs::read_to_string(&file).expect("a capture can be read");
        let is_comment = |line: &&str| line.trim_start_matches(['|', ' ', '\t']).starts_with(['#', ';']);
        text.lines().filter(|line| !is_comment(line)).for_each(&mut add);
    }
    words.into_iter().map(|word| word + "\n").collect()
}

/// The files below a folder with this ending; none where there is no such folder.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.expect("a folder can be read").path()) {
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|its| its == ending) {
            found.push(path);
        }
    }
    found
}

/// The string literals of a source, as far as they stand on one line; comments are left out.
fn literals(text: &str) -> impl Iterator<Item = &str> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| {
        let mut found = Vec::new();
        let mut rest = line;
        while let Some((_, after)) = rest.split_once('"') {
            let bytes = after.as_bytes();
            let mut end = 0;
            while end < bytes.len() && bytes[end] != b'"' {
                end += if bytes[end] == b'\\' { 2 } else { 1 };
            }
            let end = end.min(bytes.len());
            found.push(after.get(..end).unwrap_or_default());
            rest = after.get(end + 1..).unwrap_or_default();
        }
        found
    })
}
