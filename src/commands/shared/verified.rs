//! An imported domain, held against libvirt: whether libvirt accepts it, and which command line libvirt makes of it.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::super::Context;
use crate::discovery::Scope;
use crate::export;
use crate::hypervisor::{Defined, Hypervisor, LibvirtError};
use crate::import::{self, Comparison, Imported, Script};
use crate::model::{Finding, Severity, UsbDevice};
use crate::run::{self, ProgramOutput};
use crate::xml::{Document, Element};

/// The code of the finding that libvirt refuses the domain.
pub(crate) const REFUSED: &str = "libvirt-refuses";
/// The code of the finding that QEMU does not have an option.
pub(crate) const UNKNOWN: &str = "qemu-refuses";
/// QEMU's program, and its name on Fedora and RHEL.
const PROGRAMS: [&str; 2] = ["qemu-system-x86_64", "/usr/libexec/qemu-kvm"];
/// How many options are left out in turn to find the one that libvirt refuses, and how long; each takes a question, for which a
/// libvirt may start QEMU.
const MOST_TRIED: usize = 60;
const LONGEST_SEARCH: Duration = Duration::from_secs(10);
/// The name of the domain that is defined for the question only.
const SCRATCH: &str = "vgapt-import-verified";
/// The first of the numbers of USB devices that are not plugged in: libvirt needs a place for its command line.
const NOWHERE: u8 = 100;
/// Errors of the host rather than of the domain: `VIR_ERR_INTERNAL_ERROR`, `VIR_ERR_SYSTEM_ERROR` of virterror.h.
const OF_HOST: [u32; 2] = [1, 38];

/// What libvirt said.
pub(crate) enum Verified {
    /// It could not be asked, and why.
    Unknown(String),
    /// It refuses the domain.
    Refused(Finding),
    /// It accepts the domain.
    Accepted {
        /// Its command line beside the script's, where its driver makes one.
        comparison: Option<Comparison>,
        /// What QEMU refuses of it.
        findings: Vec<Finding>,
    },
}

/// Asks libvirt; `translate` makes a domain of fewer options.
pub(crate) fn verify(context: &Context, script: &Script, imported: &Imported, translate: &dyn Fn(&Script) -> Result<Imported>) -> Verified {
    let asked = context.connect().and_then(|connection| Ok((connection, connection.driver()?)));
    let (connection, driver) = match asked {
        Ok(asked) => asked,
        Err(error) => return Verified::Unknown(format!("{error:#}")),
    };
    let answer = match driver.as_str() {
        "QEMU" => |context: &Context, connection: &dyn Hypervisor, xml: &str| command_line(context, connection, xml).map(Some),
        "TEST" | "Test" => |_: &Context, connection: &dyn Hypervisor, xml: &str| define(connection, xml).map(|()| None),
        other => return Verified::Unknown(format!("its driver is {other}, which runs no QEMU")),
    };
    match answer(context, connection, &imported.xml) {
        Ok(argv) => {
            let findings = if argv.is_some() && !context.uri().is_remote() { unknown_to_qemu(imported) } else { Vec::new() };
            Verified::Accepted { comparison: argv.map(|argv| import::compare(&script.argv, imported, &argv)), findings }
        }
        Err(error) => {
            let is_accepted = |script: &Script| translate(script).is_ok_and(|imported| answer(context, connection, &imported.xml).is_ok());
            let finding = refused(script, imported, &format!("{error:#}"), &is_accepted);
            let is_of_host =
                error.chain().filter_map(|cause| cause.downcast_ref::<LibvirtError>()).any(|error| OF_HOST.contains(&error.code));
            Verified::Refused(if is_of_host { Finding { severity: Severity::Warning, ..finding } } else { finding })
        }
    }
}

/// The finding, with the option without which libvirt accepts the domain.
fn refused(script: &Script, imported: &Imported, because: &str, is_accepted: &dyn Fn(&Script) -> bool) -> Finding {
    let because = because.trim_end();
    let options = imported.parts.iter().enumerate().filter(|(_, part)| part.fate != import::Conversion::Meaningless);
    let since = Instant::now();
    let guilty = options.take(MOST_TRIED).take_while(|_| since.elapsed() < LONGEST_SEARCH).find(|(index, _)| {
        let argv = import::without(&script.argv, *index);
        is_accepted(&Script { argv, ..script.clone() })
    });
    match guilty {
        Some((_, part)) => {
            let place = script.line.map(|line| format!("line {line}: ")).unwrap_or_default();
            let message = format!("{place}{}: libvirt refuses what it becomes: {because}", part.option);
            Finding::blocked(REFUSED, message, "correct the option, or remove it: without it libvirt accepts the domain")
        }
        None => Finding::blocked(
            REFUSED,
            format!("libvirt refuses the domain: {because}"),
            "write the XML to a file (--print-xml), correct it, and define it: virsh define FILE",
        ),
    }
}

/// What is passed to QEMU unchanged, and is no option or device of this host's QEMU. The program that a script names is not run.
fn unknown_to_qemu(imported: &Imported) -> Vec<Finding> {
    let said = |words: &[&str]| {
        let ask = |program: &&str| run::output(&[&[*program], words].concat().into_iter().map(str::to_owned).collect::<Vec<_>>()).ok();
        PROGRAMS.iter().find_map(ask).filter(ProgramOutput::success).map(|ran| ran.stdout)
    };
    // Without an answer it is for QEMU to say at the start.
    let (Some(help), Some(devices)) = (said(&["-help"]), said(&["-device", "help"])) else { return Vec::new() };
    let finding = |option: &str| {
        let message = format!("{option}: this host's QEMU does not have it, and refuses to start");
        Finding::blocked(UNKNOWN, message, "remove it from the script, or name what this QEMU has: qemu-system-x86_64 -device help")
    };
    import::unknown_to_qemu(imported, &help, &devices).into_iter().map(finding).collect()
}

/// The command line that libvirt makes of a domain. What only a start finds (places of USB devices) is made up.
fn command_line(context: &Context, connection: &dyn Hypervisor, xml: &str) -> Result<Vec<String>> {
    if let Some(words) = connection.schema(xml)? {
        anyhow::bail!("its schema: {}", words.trim_end());
    }
    let mut domain = Document::parse(xml).map_err(anyhow::Error::msg)?;
    let root = context.root()?;
    let mut plugged = context.host(root.as_ref(), Scope::Devices)?.usb;
    let mut looked_at = Document::parse(xml).map_err(anyhow::Error::msg)?;
    for (device, id) in (NOWHERE..).zip(export::resolve_usb_addresses(&mut looked_at, &plugged)) {
        let bus = 1;
        plugged.push(UsbDevice { bus, device, port: String::new(), id, controller: None, name: None, drivers: Vec::new() });
    }
    export::resolve_usb_addresses(&mut domain, &plugged);
    export::functions_as_hostdevs(&mut domain);
    export::without_scripts(&mut domain);
    export::set_vfio_driver(&mut domain);
    let native = connection.native(&domain.to_string())?;
    Ok(import::pasted(&native, &|_| None).argv)
}

/// Defines a domain under another name, and removes it: for a driver that makes no command line.
fn define(connection: &dyn Hypervisor, xml: &str) -> Result<()> {
    let mut domain = Document::parse(xml).map_err(anyhow::Error::msg)?;
    for (name, instead) in [("uuid", String::new()), ("name", format!("<name>{SCRATCH}</name>"))] {
        if let Some(element) = domain.root().child(name).map(Element::id) {
            domain.replace(element, &instead);
        }
    }
    match connection.define(SCRATCH, None, &domain.to_string())? {
        Defined::Yes => connection.undefine(SCRATCH),
        Defined::Changed => Ok(()),
        Defined::SchemaRefuses(words) => anyhow::bail!("its schema: {}", words.trim_end()),
    }
}
