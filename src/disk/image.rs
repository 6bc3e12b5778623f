//! What qemu-img says of images.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::{Size, leads};

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
    /// The other files in which its own content is: an external data file, extents.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub data_files: Vec<String>,
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
    children: Vec<Child>,
    #[serde(default)]
    snapshots: Vec<Snapshot>,
    #[serde(default)]
    encrypted: bool,
    #[serde(default)]
    format_specific: serde_json::Value,
}

/// A node below an image's own: `file`, of a VMDK also `extents.0` and further ones.
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

/// What `qemu-img info --output=json` prints of one image.
///
/// # Errors
/// Where that is not what it printed.
pub fn parse_image(json: &str) -> Result<Image, String> {
    let said: Said = serde_json::from_str(json).map_err(|error| format!("qemu-img's answer cannot be read: {error}"))?;
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

/// Where an image says that another one is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file or a device of this machine.
    File(PathBuf),
    /// Something that only QEMU's drivers reach, as it is written: `nbd://…`, `json:{…}`.
    Other(String),
}

/// Where a name in an image's header leads, seen from the folder in which the image lies.
pub fn place_of(name: &str, folder: &Path) -> Place {
    let mut leads = leads(name);
    match (leads.files.pop(), leads.files.is_empty() && leads.others.is_empty()) {
        (Some(file), true) => Place::File(folder.join(file.path)),
        // What is not understood, or names several files, stays what only QEMU understands.
        _ => Place::Other(name.to_owned()),
    }
}

/// Drivers of QEMU's that reach another machine (docs/system/device-url-syntax and qapi/block-core.json).
const REMOTE: [&str; 12] = ["nbd", "http", "https", "ftp", "ftps", "ssh", "rbd", "iscsi", "nfs", "gluster", "sheepdog", "vxhs"];

/// Whether a name that is no file of this machine leads to another one; false for what is not understood,
/// and for what this machine serves itself: that may be any file of it.
pub fn is_remote(name: &str) -> bool {
    let is_known = |driver: &str| REMOTE.contains(&driver.split('+').next().unwrap_or(driver));
    let Some(options) = name.strip_prefix("json:") else {
        return name.split(':').next().is_some_and(is_known) && !is_served_here(name);
    };
    let Ok(options) = serde_json::from_str::<serde_json::Value>(options) else { return false };
    innermost(&options).is_some_and(|driver| is_known(&driver)) && !says_here(&options)
}

/// Whether a driver's options name a socket, or a server on this machine.
fn says_here(options: &serde_json::Value) -> bool {
    let serde_json::Value::Object(options) = options else {
        return options.as_array().is_some_and(|all| all.iter().any(says_here));
    };
    options.iter().any(|(key, value)| match (key.rsplit('.').next().unwrap_or(key), value.as_str()) {
        ("socket", _) | ("type", Some("unix")) => true,
        // Of nbd alone it is a socket's; elsewhere it is the file on the other machine.
        ("path", Some(path)) => path.starts_with('/') && innermost(&serde_json::Value::Object(options.clone())).as_deref() == Some("nbd"),
        ("host", Some(host)) => is_own_host(host),
        ("url" | "uri" | "filename", Some(url)) => url.contains(':') && is_served_here(url),
        _ => says_here(value),
    })
}

/// The same of a name: `nbd+unix:…`, `nbd:unix:…`, `nbd://localhost/x`, `nbd:localhost:10809`.
fn is_served_here(name: &str) -> bool {
    let (scheme, rest) = name.split_once(':').unwrap_or((name, ""));
    if scheme.ends_with("+unix") || rest.contains("socket=") || (scheme == "nbd" && rest.starts_with("unix:")) {
        return true;
    }
    // Not every one of these names a host: rbd:pool/image.
    let Some(rest) = rest.strip_prefix("//") else { return scheme == "nbd" && is_own_host(rest.split(':').next().unwrap_or(rest)) };
    let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let host = match host.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or(address),
        None => host.split(':').next().unwrap_or(host),
    };
    is_own_host(host)
}

/// Whether a host's name or address is this machine's, as far as that is seen from it; none is this machine.
fn is_own_host(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let is_local = |address: IpAddr| {
        let address = address.to_canonical();
        address.is_loopback() || address.is_unspecified()
    };
    // Where its own name cannot be read, any name may be its own.
    let short = |name: &str| name.trim().split('.').next().unwrap_or_default().to_ascii_lowercase();
    let is_own = || std::fs::read_to_string("/proc/sys/kernel/hostname").map_or(true, |own| short(&own) == short(&host));
    let is_named = ["", "localhost", "ip6-localhost", "ip6-loopback", "localhost.localdomain"].contains(&host.as_str());
    // Short forms of IPv4 addresses too: 127.1.
    let is_short = host.starts_with("127.") && host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match host.parse() {
        Ok(address) => is_local(address),
        Err(_) => is_named || is_short || host.ends_with(".localhost") || is_own(),
    }
}

/// The driver at the end of a chain of QEMU's drivers, in both forms of their options.
fn innermost(options: &serde_json::Value) -> Option<String> {
    let below = options.get("file").filter(|file| file.is_object()).and_then(innermost);
    below.or_else(|| options["file.driver"].as_str().or_else(|| options["driver"].as_str()).map(str::to_owned))
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

/// What a tool complains of, on one line. An image that was not closed is repaired when it is opened for writing
/// (QEMU's `qcow2_check_refcounts`), which is no complaint.
pub fn complaints(stderr: &str) -> String {
    const OF_REPAIR: [&str; 3] = ["Leaked cluster ", "Repairing ", "Rebuilding refcount structure"];
    let is_repair = |line: &&str| OF_REPAIR.iter().any(|beginning| line.starts_with(beginning));
    stderr.lines().map(str::trim).filter(|line| !line.is_empty() && !is_repair(line)).collect::<Vec<_>>().join(" ")
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
    fn a_repair_is_no_complaint() {
        assert_eq!(
            complaints(
                "Leaked cluster 4 refcount=1 reference=0\nRebuilding refcount structure\nRepairing cluster 5 refcount=1 reference=0\n"
            ),
            ""
        );
        assert_eq!(complaints("Repairing cluster 5 refcount=1 reference=0\nqemu-img: it is full\n"), "qemu-img: it is full");
    }

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
        assert_eq!(parse_measure(r#"{"required": 5, "fully-allocated": 9, "bitmaps": 0}"#), Some(Measure { required: 5 }));
    }

    #[test]
    fn where_a_name_leads() {
        let of = |name: &str| place_of(name, Path::new("/vm"));
        let file = |path: &str| Place::File(path.into());
        assert_eq!([of("b"), of("../b"), of("/x:y"), of("./a:b")], [file("/vm/b"), file("/vm/../b"), file("/x:y"), file("/vm/./a:b")]);
        assert_eq!(of("file:/etc/x"), file("/etc/x"));
        assert_eq!(of("nbd://h/x"), Place::Other("nbd://h/x".into()));
        assert_eq!(of(r#"json:{"driver":"qcow2","file":{"driver":"file","filename":"/x"}}"#), file("/x"));
        assert_eq!(of(r#"json:{"driver":"raw","file.filename":"/y"}"#), file("/y"));
        let remote = r#"json:{"driver":"raw","file":{"driver":"https","filename":"/y"}}"#;
        assert_eq!([of(remote), of("json:{")], [Place::Other(remote.into()), Place::Other("json:{".into())]);
        assert!(
            is_remote(remote) && is_remote("nbd://h/x") && is_remote("gluster+tcp://h/v/x") && is_remote(r#"json:{"file.driver":"ssh"}"#)
        );
        // What this machine serves itself may be any of its files.
        let own_name = format!("nbd://{}/x", std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim());
        let here = [
            "nbd+unix:///x?socket=/run/x",
            "nbd:unix:/run/x",
            "nbd:localhost:10809:exportname=x",
            "nbd://localhost/x",
            "nbd://LOCALHOST.:1/x",
            "https://user:word@127.0.0.1:8080/x",
            "ssh://u@127.1/x",
            "nbd://[::1]:10809/x",
            "nbd://[::ffff:127.0.0.1]/x",
            "nbd:///x",
            "gluster+unix:///v/x?socket=/run/g",
            &own_name,
            r#"json:{"driver":"nbd","server":{"type":"unix","path":"/run/x"}}"#,
            r#"json:{"driver":"nbd","path":"/run/x"}"#,
            r#"json:{"driver":"raw","file":{"driver":"nbd","server":{"type":"inet","host":"127.0.0.1","port":"1"}}}"#,
            r#"json:{"file.driver":"nbd","file.server.host":"localhost"}"#,
            r#"json:{"driver":"raw","file":{"driver":"https","url":"https://localhost/x"}}"#,
        ];
        assert_eq!(here.iter().filter(|name| is_remote(name)).collect::<Vec<_>>(), [""; 0].iter().collect::<Vec<_>>());
        let others = ["nbd:other:10809", "rbd:pool/image", "ssh://u@h:22/a@b", r#"json:{"driver":"ssh","server.host":"h","path":"/x"}"#];
        assert!(others.iter().all(|name| is_remote(name)));
        // QEMU takes single quotes, and drivers that stand before a file: neither is another machine.
        let local =
            ["json:{'driver':'file','filename':'/x'}", "blkdebug:cfg:/x", "host_device:/dev/x", r#"json:{"driver":"blkdebug","image":{}}"#];
        assert!(!local.iter().any(|name| is_remote(name)));
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "\\PC*") {
            let _ = (parse_image(&text), parse_measure(&text), place_of(&text, Path::new("/")), place_of(&format!("json:{text}"), Path::new("/")));
        }
    }
}
