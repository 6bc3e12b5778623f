//! A question to a program of the host over its Unix socket.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::tree::Target;

/// libvirt waits for a hook, so nothing in it may take long.
const PATIENCE: Duration = Duration::from_secs(2);
/// More than any answer has.
const LONGEST: u64 = 1 << 20;

impl Target {
    /// Says these words to the socket at a path, and returns what comes back until it is closed. Only on the running system:
    /// elsewhere it would be this machine's program.
    pub(crate) fn ask(&self, path: &str, words: &str) -> Result<String> {
        if !self.is_live() {
            bail!("{path} is not of a running system");
        }
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        for way in [Timeout::Send, Timeout::Recv] {
            set_socket_timeout(&socket, way, Some(PATIENCE))?;
        }
        connect(&socket, &SocketAddrUnix::new(path)?).with_context(|| format!("cannot reach {path}"))?;
        let mut stream = UnixStream::from(socket);
        let mut answer = String::new();
        let said = stream.write_all(words.as_bytes()).and_then(|()| stream.take(LONGEST).read_to_string(&mut answer));
        said.with_context(|| format!("no answer from {path}"))?;
        Ok(answer)
    }
}
