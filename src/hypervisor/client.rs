//! The client in `vgapt`: starts the helper program for a connection, and sends questions to it.

use std::cell::RefCell;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::questions::{Ask, Hypervisor, Question};
use super::wire::{Answer, Call, Greeting, VERSION};
use crate::model::Uri;
use crate::problem::Problem;
use crate::run::{Helper, HelperError};

/// Time limit for a connection on this host; a daemon may have to be started for it.
const LOCAL: Duration = Duration::from_secs(60);
/// Time limit for a connection to another host; a password may have to be typed.
const REMOTE: Duration = Duration::from_secs(300);
/// Environment variable: seconds for each question, in place of all these limits.
pub const TIMEOUT_VARIABLE: &str = "VGAPT_LIBVIRT_TIMEOUT";
/// The argument of the helper after which libvirt lets it change nothing, and asks nobody for a password.
pub const READ_ONLY: &str = "--read-only";
/// The program that links libvirt.
const PROGRAM: &str = "vgapt-libvirt";

/// A connection through the helper program; both end together.
struct Client(RefCell<Helper>);

/// Starts the helper program, which connects to libvirt.
///
/// # Errors
/// Where the helper program, libvirt's library or the connection is not available.
pub fn connect(uri: &Uri) -> Result<Box<dyn Hypervisor>> {
    start(uri, &[uri.as_str()])
}

/// The same for reading only, which an ordinary user may do without a password.
///
/// # Errors
/// As above.
pub fn connect_read_only(uri: &Uri) -> Result<Box<dyn Hypervisor>> {
    start(uri, &[uri.as_str(), READ_ONLY])
}

fn start(uri: &Uri, arguments: &[&str]) -> Result<Box<dyn Hypervisor>> {
    // libvirt's log goes to standard error; it is disabled unless the user has set the variable. libvirt reads it when
    // it is loaded, so the helper itself would set it too late.
    let wants_log = std::env::var_os("LIBVIRT_DEBUG").is_some();
    let environment: &[(&str, &str)] = if wants_log { &[] } else { &[("LIBVIRT_DEBUG", "4")] };
    let mut helper = Helper::start(PROGRAM, arguments, environment, wants_log)?;
    let limit = limit(if uri.is_remote() { REMOTE } else { LOCAL });
    let line = helper.hear(limit).map_err(|silence| failed(silence, "connecting", limit))?;
    let connected = parse_greeting(&line).ok_or_else(|| {
        Problem::new(
            format!("{} does not have the version of this vgapt, {VERSION}", helper.program()),
            "install both programs from the same build",
        )
    })?;
    match connected {
        Ok(()) => Ok(Box::new(Client(RefCell::new(helper)))),
        Err(error) => Err(no_driver(uri).map_or(error, Into::into)),
    }
}

/// The helper's first line: whether it is connected; `None` where it is not the helper of this vgapt.
pub fn parse_greeting(line: &str) -> Option<Result<()>> {
    let greeting = serde_json::from_str::<Greeting>(line).ok().filter(|greeting| greeting.version == VERSION)?;
    Some(match greeting.connected {
        Answer::Ok(_) => Ok(()),
        Answer::Failed(failure) => Err(failure.into_error()),
    })
}

/// The helper's answer to a question.
///
/// # Errors
/// Where libvirt refuses, or the line is no answer.
pub fn parse_answer<T: DeserializeOwned>(line: &str) -> Result<T> {
    match serde_json::from_str(line).with_context(|| format!("{PROGRAM} sent an answer that this vgapt cannot read"))? {
        Answer::Ok(value) => serde_json::from_value(value).with_context(|| format!("the answer of {PROGRAM} has an unexpected type")),
        Answer::Failed(failure) => Err(failure.into_error()),
    }
}

/// libvirt's drivers for guests, as its URIs name them (<https://libvirt.org/drivers.html>).
const DRIVERS: [&str; 17] = [
    "bhyve",
    "ch",
    "esx",
    "gsx",
    "hyperv",
    "lxc",
    "openvz",
    "parallels",
    "qemu",
    "test",
    "vbox",
    "vmwarefusion",
    "vmwareplayer",
    "vmwarews",
    "vpx",
    "vz",
    "xen",
];

/// The URI names no driver of libvirt, which then looks for a daemon that would know it, and reports that there is none.
fn no_driver(uri: &Uri) -> Option<Problem> {
    let (scheme, _) = uri.as_str().split_once(':')?;
    let driver = scheme.split_once('+').map_or(scheme, |(driver, _)| driver);
    let message = format!("cannot connect to {uri}: libvirt has no driver '{driver}'");
    let remedy = "use qemu:///system for this host, qemu+ssh://HOST/system for another";
    (!DRIVERS.contains(&driver)).then(|| Problem::usage(message, remedy))
}

impl Ask for Client {
    fn ask<T: DeserializeOwned>(&self, question: &Question, arguments: Value) -> Result<T> {
        let mut helper = self.0.borrow_mut();
        let limit = limit(question.limit);
        let call = serde_json::to_string(&Call { ask: question.name.into(), arguments }).context("plain data serialises")?;
        let line = helper.say(&call).and_then(|()| helper.hear(limit)).map_err(|silence| failed(silence, question.doing, limit))?;
        parse_answer(&line)
    }
}

fn limit(limit: Duration) -> Duration {
    let said = std::env::var(TIMEOUT_VARIABLE).ok().and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
    said.unwrap_or(limit)
}

/// Why there is no answer.
fn failed(silence: HelperError, doing: &str, limit: Duration) -> anyhow::Error {
    match silence {
        HelperError::TimedOut => Problem::new(
            format!("libvirt does not answer: {doing} took longer than {} seconds", limit.as_secs()),
            format!(
                "check whether its daemon hangs (systemctl status libvirtd virtqemud) and restart it; {TIMEOUT_VARIABLE}=SECONDS waits longer. \
                 libvirt may still complete the request"
            ),
        )
        .into(),
        HelperError::NotLoaded => Problem::new(
            format!("{PROGRAM} cannot be loaded: libvirt's client library is not installed"),
            "install libvirt: apt install libvirt-daemon-system, dnf install libvirt, pacman -S libvirt, zypper install libvirt",
        )
        .into(),
        HelperError::Ended(how) => anyhow::anyhow!("{PROGRAM} ended while {doing}: {how}"),
    }
}
