//! The side of `vgapt`: it starts the helper program for a connection, and asks it.

use std::cell::RefCell;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::questions::{Ask, Hypervisor, Question};
use super::wire::{Answer, Call, Greeting, VERSION};
use crate::model::Uri;
use crate::problem::Problem;
use crate::run::{Helper, Silence};

/// A connection on this host; a daemon may have to be started for it.
const LOCAL: Duration = Duration::from_secs(60);
/// A connection to another host, where a password may be typed.
const REMOTE: Duration = Duration::from_secs(300);
/// Seconds for each question, in place of these limits and its own.
const VARIABLE: &str = "VGAPT_LIBVIRT_TIMEOUT";
/// The program that links libvirt.
const PROGRAM: &str = "vgapt-libvirt";

/// A connection through the helper program, which ends with it.
struct Client(RefCell<Helper>);

/// Starts the helper program, which connects.
///
/// # Errors
/// Where the helper program, libvirt itself or a connection is not to be had.
pub fn connect(uri: &Uri) -> Result<Box<dyn Hypervisor>> {
    // libvirt's own log would go to standard error, but for whoever asks for it. The setting is read
    // once, before any code of the helper runs that could set it safely.
    let wants_log = std::env::var_os("LIBVIRT_DEBUG").is_some();
    let environment: &[(&str, &str)] = if wants_log { &[] } else { &[("LIBVIRT_DEBUG", "4")] };
    let mut helper = Helper::start(PROGRAM, &[uri.as_str()], environment, wants_log)?;
    let limit = limit(if uri.is_remote() { REMOTE } else { LOCAL });
    let line = helper.hear(limit).map_err(|silence| failed(silence, "connecting", limit))?;
    let greeting = serde_json::from_str::<Greeting>(&line).ok().filter(|greeting| greeting.version == VERSION);
    let greeting = greeting.ok_or_else(|| {
        Problem::new(
            format!("{} is not of the version {VERSION}, which this vgapt is of", helper.program()),
            "install both programs together",
        )
    })?;
    match greeting.connected {
        Answer::Ok(_) => Ok(Box::new(Client(RefCell::new(helper)))),
        Answer::Failed(failure) => Err(failure.into_error()),
    }
}

impl Ask for Client {
    fn ask<T: DeserializeOwned>(&self, question: &Question, arguments: Value) -> Result<T> {
        let mut helper = self.0.borrow_mut();
        let limit = limit(question.limit);
        let call = serde_json::to_string(&Call { ask: question.name.into(), arguments }).context("plain data serialises")?;
        let line = helper.say(&call).and_then(|()| helper.hear(limit)).map_err(|silence| failed(silence, question.doing, limit))?;
        match serde_json::from_str(&line).with_context(|| format!("{PROGRAM} does not speak the language of this vgapt"))? {
            Answer::Ok(value) => serde_json::from_value(value).with_context(|| format!("the answer of {PROGRAM} is of another kind")),
            Answer::Failed(failure) => Err(failure.into_error()),
        }
    }
}

fn limit(limit: Duration) -> Duration {
    let said = std::env::var(VARIABLE).ok().and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
    said.unwrap_or(limit)
}

/// Why there is no answer.
fn failed(silence: Silence, doing: &str, limit: Duration) -> anyhow::Error {
    match silence {
        Silence::TooLong => Problem::new(
            format!("libvirt does not answer: {doing} took longer than {} seconds", limit.as_secs()),
            format!(
                "see whether its daemon hangs (systemctl status libvirtd virtqemud) and restart it; {VARIABLE}=SECONDS waits longer. \
                 What was asked of libvirt may still be done"
            ),
        )
        .into(),
        Silence::NotLoaded => Problem::new(
            format!("{PROGRAM} cannot be loaded: libvirt's client library is not installed"),
            "install libvirt: apt install libvirt-daemon-system, dnf install libvirt, pacman -S libvirt, zypper install libvirt",
        )
        .into(),
        Silence::Ended(how) => anyhow::anyhow!("{PROGRAM} ended while {doing}: {how}"),
    }
}
