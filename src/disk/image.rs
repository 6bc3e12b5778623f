//! Parses what qemu-img prints about images.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::{Size, leads};

/// An image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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

/// Where a file named in an image's header is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file or a device on this host.
    File(PathBuf),
    /// Something that only QEMU's block drivers can open, as written: `nbd://…`, `json:{…}`.
    Other(String),
}

/// Resolves a name in an image's header, relative to the image's folder.
pub fn place_of(name: &str, folder: &Path) -> Place {
    let mut leads = leads(name);
    match (leads.files.pop(), leads.files.is_empty() && leads.others.is_empty()) {
        (Some(file), true) => Place::File(folder.join(file.path)),
        // A name that vgapt does not understand, or that refers to several files, is left to QEMU.
        _ => Place::Other(name.to_owned()),
    }
}

/// QEMU's block drivers that connect to another host (docs/system/device-url-syntax and qapi/block-core.json).
const REMOTE: [&str; 12] = ["nbd", "http", "https", "ftp", "ftps", "ssh", "rbd", "iscsi", "nfs", "gluster", "sheepdog", "vxhs"];

/// Whether a name that is not a file of this host refers to another host; false for names that are not understood,
/// and for servers on this host: these may serve any of its files.
pub fn is_remote(name: &str) -> bool {
    let is_known = |driver: &str| REMOTE.contains(&driver.split('+').next().unwrap_or(driver));
    let Some(options) = name.strip_prefix("json:") else {
        return name.split(':').next().is_some_and(is_known) && !is_served_here(name);
    };
    let Ok(options) = serde_json::from_str::<serde_json::Value>(options) else { return false };
    innermost(&options).is_some_and(|driver| is_known(&driver)) && !says_here(&options)
}

/// Whether a driver's options name a socket, or a server on this host.
fn says_here(options: &serde_json::Value) -> bool {
    let serde_json::Value::Object(options) = options else {
        return options.as_array().is_some_and(|all| all.iter().any(says_here));
    };
    options.iter().any(|(key, value)| match (key.rsplit('.').next().unwrap_or(key), value.as_str()) {
        ("socket", _) | ("type", Some("unix")) => true,
        // Only for nbd it is a socket; for other drivers it is the file on the other host.
        ("path", Some(path)) => path.starts_with('/') && innermost(&serde_json::Value::Object(options.clone())).as_deref() == Some("nbd"),
        ("host", Some(host)) => is_own_host(host),
        ("url" | "uri" | "filename", Some(url)) => url.contains(':') && is_served_here(url),
        _ => says_here(value),
    })
}

/// The same for a name: `nbd+unix:…`, `nbd:unix:…`, `nbd://localhost/x`, `nbd:localhost:10809`.
fn is_served_here(name: &str) -> bool {
    let (scheme, rest) = name.split_once(':').unwrap_or((name, ""));
    if scheme.ends_with("+unix") || rest.contains("socket=") || (scheme == "nbd" && rest.starts_with("unix:")) {
        return true;
    }
    // Not all of these names contain a host: rbd:pool/image.
    let Some(rest) = rest.strip_prefix("//") else { return scheme == "nbd" && is_own_host(rest.split(':').next().unwrap_or(rest)) };
    let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let host = match host.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or(address),
        None => host.split(':').next().unwrap_or(host),
    };
    is_own_host(host)
}

/// Whether a host name or address is this host's, as far as that can be seen from the name; an empty one is.
fn is_own_host(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let is_local = |address: IpAddr| {
        let address = address.to_canonical();
        address.is_loopback() || address.is_unspecified()
    };
    // If this host's name cannot be read, any name may be its own.
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

/// The innermost driver in a chain of QEMU's block drivers, in both forms of their options.
fn innermost(options: &serde_json::Value) -> Option<String> {
    let below = options.get("file").filter(|file| file.is_object()).and_then(innermost);
    below.or_else(|| options["file.driver"].as_str().or_else(|| options["driver"].as_str()).map(str::to_owned))
}

/// How much space a copy needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Measure {
    /// With the current content.
    pub required: u64,
}

/// Parses what `qemu-img measure --output=json` prints.
pub fn parse_measure(json: &str) -> Option<Measure> {
    serde_json::from_str(json).ok()
}

/// A tool's error messages, on one line. QEMU repairs an image that was not closed when it opens it for writing
/// (`qcow2_check_refcounts`); these messages are not errors. Clusters without a refcount are printed as errors, and then
/// repaired by a rebuild of all refcounts (`compare_refcounts`).
pub fn complaints(stderr: &str) -> String {
    const REBUILD: &str = "Rebuilding refcount structure";
    let is_rebuilt = stderr.lines().any(|line| line.trim() == REBUILD);
    let is_repair = |line: &&str| {
        ["Leaked cluster ", "Repairing ", REBUILD].iter().any(|beginning| line.starts_with(beginning))
            || is_rebuilt && line.starts_with("ERROR cluster ") && line.contains(" refcount=0 ")
    };
    stderr.lines().map(str::trim).filter(|line| !line.is_empty() && !is_repair(line)).collect::<Vec<_>>().join(" ")
}

/// Whether qemu-img's error is that another process uses the image.
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
        let without_refcount = "ERROR cluster 0 refcount=0 reference=1";
        assert_eq!(complaints(&format!("{without_refcount}\nRebuilding refcount structure\n")), "");
        assert_eq!(complaints(without_refcount), without_refcount);
        let broken = "ERROR rebuilt refcount structure is still broken";
        assert_eq!(complaints(&format!("{without_refcount}\nRebuilding refcount structure\n{broken}\n")), broken);
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
        // A server on this host may serve any of its files.
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
        // QEMU accepts single quotes, and filter drivers before a file: neither is another host.
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
