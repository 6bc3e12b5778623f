//! The files that an image's header names, and where they are: on this host, or on another one.

use std::fs::{self, File};
use std::io::Read as _;
use std::net::IpAddr;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use crate::model::{NamedFile, Reading, leads, named_by};

/// The other files that the header of an image of this format names.
pub fn names_in(path: &Path, format: &str) -> Reading<Vec<NamedFile>> {
    let first_bytes = |limit: usize| {
        let mut bytes = Vec::new();
        File::open(path)?.take(limit as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match fs::metadata(path).map(|metadata| metadata.file_type()) {
        Ok(kind) if !kind.is_file() && !kind.is_block_device() => Reading::Unknown(format!("{} is not an image", path.display())),
        Ok(_) => named_by(format, &first_bytes).map_or_else(
            |because| Reading::Unknown(format!("the files that {} names are unknown: {because}", path.display())),
            Reading::Known,
        ),
        Err(error) => Reading::of(Err(error), &path.display().to_string()),
    }
}

/// Where a file named in an image's header is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A file or a device on this host.
    File(PathBuf),
    /// Something that only QEMU's block drivers can open, as written: `nbd://…`, `json:{…}`.
    Other(String),
}

/// Resolves a name in an image's header, relative to the image's folder.
pub fn locate(name: &str, folder: &Path) -> Location {
    let mut leads = leads(name);
    match (leads.files.pop(), leads.files.is_empty() && leads.others.is_empty()) {
        (Some(file), true) => Location::File(folder.join(file.path)),
        // A name that vgapt does not understand, or that refers to several files, is left to QEMU.
        _ => Location::Other(name.to_owned()),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn where_a_name_leads() {
        let of = |name: &str| locate(name, Path::new("/vm"));
        let file = |path: &str| Location::File(path.into());
        assert_eq!([of("b"), of("../b"), of("/x:y"), of("./a:b")], [file("/vm/b"), file("/vm/../b"), file("/x:y"), file("/vm/./a:b")]);
        assert_eq!(of("file:/etc/x"), file("/etc/x"));
        assert_eq!(of("nbd://h/x"), Location::Other("nbd://h/x".into()));
        assert_eq!(of(r#"json:{"driver":"qcow2","file":{"driver":"file","filename":"/x"}}"#), file("/x"));
        assert_eq!(of(r#"json:{"driver":"raw","file.filename":"/y"}"#), file("/y"));
        let remote = r#"json:{"driver":"raw","file":{"driver":"https","filename":"/y"}}"#;
        assert_eq!([of(remote), of("json:{")], [Location::Other(remote.into()), Location::Other("json:{".into())]);
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
        fn resolving_never_panics(text in "\\PC*") {
            let _ = (locate(&text, Path::new("/")), locate(&format!("json:{text}"), Path::new("/")));
        }
    }
}
