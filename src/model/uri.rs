//! A libvirt connection URI.

use std::fmt;

/// The URI of a libvirt connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uri(String);

impl Uri {
    /// vgapt's default, also for ordinary users: libvirt's default for them is `qemu:///session`, which cannot
    /// pass PCI devices through.
    pub const DEFAULT: &'static str = "qemu:///system";

    /// From its text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it connects to another machine: it contains a host name.
    pub fn is_remote(&self) -> bool {
        let authority = self.0.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?']).next().unwrap_or_default());
        !authority.is_empty()
    }

    /// Whether it is libvirt's test driver, whose host is fictitious.
    pub fn is_test(&self) -> bool {
        matches!(self.0.split([':', '+']).next(), Some("test"))
    }

    /// Whether it is a user session, which cannot pass PCI devices through.
    pub fn is_session(&self) -> bool {
        let path = self.0.split_once("://").map_or("", |(_, rest)| rest.find('/').map_or("", |at| &rest[at..]));
        path.split('?').next() == Some("/session")
    }

    /// The `uri_default` of a `libvirt.conf`.
    pub fn default_in(conf: &str) -> Option<Self> {
        let value = conf.lines().find_map(|line| line.trim().strip_prefix("uri_default")?.trim_start().strip_prefix('='))?;
        let plain = value.split('#').next()?.trim().trim_matches(['"', '\'']);
        (!plain.is_empty()).then(|| Self::new(plain))
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        let uri = |text: &str| Uri::new(text);
        assert!(uri("qemu+ssh://root@box/system").is_remote() && uri("qemu+tcp://box:16509/session").is_session());
        assert!(!uri("qemu:///system").is_remote() && !uri("qemu+unix:///system?socket=/x").is_remote());
        assert!(uri("test:///default").is_test() && uri("test+unix:///default").is_test() && !uri("qemu:///system").is_test());
        assert!(uri("qemu:///session?x=1").is_session() && !uri("qemu:///system").is_session() && !uri("nonsense").is_session());
    }

    #[test]
    fn configuration() {
        assert_eq!(
            Uri::default_in("# uri_default = \"x\"\nuri_default = \"qemu+ssh://box/system\" # mine\n").unwrap().as_str(),
            "qemu+ssh://box/system"
        );
        assert_eq!(Uri::default_in(""), None);
    }
}
