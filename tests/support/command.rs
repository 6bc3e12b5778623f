//! Programs as the tests run them: bounded in time, and without the settings of whoever runs them.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

/// The machine of the guide's author.
pub(crate) const Z170: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/hosts/z170-gtx960.host");

/// What a program did.
pub(crate) struct Ran {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    code: Option<i32>,
    what: String,
}

/// A program that is ended after two minutes. Where it is told of no other libvirt, it gets the test driver.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", "120"]).arg(program).stdin(Stdio::null());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("VGAPT_")) {
        command.env_remove(name);
    }
    for name in ["CORES_NUMBER", "QEMU_BINARY", "VM_SHARED_FOLDERS", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "LIBVIRT_DEBUG"] {
        command.env_remove(name);
    }
    command.env("LC_ALL", "C").env("HOME", env!("CARGO_TARGET_TMPDIR")).env("LIBVIRT_DEFAULT_URI", "test:///default");
    command
}

pub(crate) fn vgapt<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut vgapt = command(env!("CARGO_BIN_EXE_vgapt"));
    vgapt.args(arguments);
    vgapt
}

pub(crate) fn run(command: &mut Command) -> Ran {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is text");
    Ran { stdout: text(output.stdout), stderr: text(output.stderr), code: output.status.code(), what: format!("{command:?}") }
}

/// A text without the options in the commands that it names that say where a host is read from, and which libvirt: these are as
/// they were given, which tests/next.rs holds.
#[allow(dead_code)] // Not every test asks.
pub(crate) fn without_options(text: &str) -> String {
    let mut parts = text.split("vgapt -");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut rest = format!("-{part}");
        while let Some(value) = rest.strip_prefix("--root ").or_else(|| rest.strip_prefix("-c ")) {
            let end = match value.strip_prefix('\'') {
                Some(quoted) => quoted.find('\'').map(|end| end + 2),
                None => value.find(char::is_whitespace),
            };
            let Some(after) = end.and_then(|end| value[end..].strip_prefix(' ')) else { break };
            rest = after.to_owned();
        }
        plain.push_str("vgapt ");
        plain.push_str(&rest);
    }
    plain
}

impl Ran {
    /// How it ended; `None`: by a signal.
    #[allow(dead_code)] // Not every test asks.
    pub(crate) fn code(&self) -> Option<i32> {
        self.code
    }

    /// The same, if it ended with this code.
    #[track_caller]
    pub(crate) fn with(self, code: i32) -> Self {
        let Self { stdout, stderr, what, .. } = &self;
        assert!(self.code == Some(code), "{what}\nended with {:?}, not {code}\n{stdout}\n{stderr}", self.code);
        self
    }

    /// The same, if it said all this on standard error.
    #[track_caller]
    pub(crate) fn saying(self, words: &[&str]) -> Self {
        let plain = without_options(&self.stderr);
        for word in words {
            assert!(self.stderr.contains(word) || plain.contains(word), "{}\ndoes not say: {word}\nit says: {}", self.what, self.stderr);
        }
        self
    }
}
