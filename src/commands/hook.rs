//! `vgapt hook`.

use std::io::Read as _;
use std::os::unix::process::parent_id;

use anyhow::{Result, bail};

use super::Context;
use super::shared::hangs;
use super::shared::holders::users;
use super::shared::share::{before_start, ended, share};
use crate::discovery::{self, Scope};
use crate::domain::{self, HostResources, Passed, PassedTo};
use crate::life::{self, Caller, End};
use crate::model::{Daemon, Finding, Host, Ladder, PciAddress, Reading, ResetWay, Rung, Tried};
use crate::output::{self, Answer, Outcome};
use crate::passthrough::{self, DangerKind, ResetFacts};
use crate::root::Root;
use crate::target::Target;
use crate::xml::Document;

/// Run by libvirt at a domain's start and stop
///
/// libvirt runs this at the start and the stop of every domain, through /etc/libvirt/hooks/qemu.d/vgapt, with
/// the domain's XML on standard input. Domains without vgapt's metadata are ignored. It never connects to libvirt,
/// because libvirt waits for its hook: that would be a deadlock.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The domain's name; after -- if it begins with a dash
    #[arg(allow_hyphen_values = true)]
    name: String,
    /// What libvirt is about to do: prepare, start, started, stopped, release, ...
    #[arg(allow_hyphen_values = true)]
    operation: String,
    /// begin or end
    #[arg(allow_hyphen_values = true)]
    suboperation: String,
    /// Not used
    #[arg(allow_hyphen_values = true)]
    extra: Vec<String>,
}

/// The largest domain XML that is read: libvirt's limit for a message, 32 MiB.
const LONGEST: u64 = 32 << 20;

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Answer {
        // An error here must not prevent the start of a domain that vgapt does not manage.
        let needs = needs();
        if needs == Reading::Absent {
            return Answer::printed(Outcome::Done);
        }
        match self.around(context, &needs) {
            // libvirt prefixes a long line of its own, and shows only the end of the message.
            Err(error) => {
                output::tell(&format!("vgapt: {error:#}\n"));
                // Once the domain runs or has ended, an error changes nothing. What a hook says that ends with 0 is in libvirt's log
                // only at the level of debugging (`virCommandRun`, src/util/vircommand.c), so what matters later is recorded too.
                Answer::printed(if self.operation == "prepare" { Outcome::Refused } else { Outcome::Done })
            }
            Ok(()) => Answer::printed(Outcome::Done),
        }
    }

    fn around(&self, context: &Context, needs: &Reading<HostResources>) -> Result<()> {
        let root = context.own_root()?;
        let target = context.target(&root)?;
        leave_mark(&root, &target);
        match (self.operation.as_str(), self.suboperation.as_str()) {
            ("prepare", "begin") => self.before_start(self.known(needs)?, &root, &target),
            ("started", "begin") => {
                life::started(&share(&self.name, self.known(needs)?, &discovery::read(&root, Scope::Devices), &root)?, &root, &target)
            }
            // What was taken is stored in /run/vgapt: it is returned, whatever the record says now.
            ("stopped", "end") => {
                let ended = ended(&self.name, End::Stopped, &root, &target);
                // Before libvirt gives the card to its host driver, which may hang with one that does not answer.
                ended.and(self.bring_back(needs, &root, &target))
            }
            ("release", "end") => ended(&self.name, End::Released, &root, &target),
            _ => Ok(()),
        }
    }

    /// What the domain needs; an error where that is unknown, which refuses the start.
    fn known<'n>(&self, needs: &'n Reading<HostResources>) -> Result<&'n HostResources> {
        match needs {
            Reading::Known(needs) => Ok(needs),
            Reading::Unknown(because) => {
                let finding = domain::unreadable(&self.name, because);
                let program = std::env::current_exe().map_or_else(|_| "this program".to_owned(), |path| path.display().to_string());
                bail!("{}; libvirt's hook runs {program}, and vgapt prepare installs a newer one; or: {}", finding.message, finding.remedy);
            }
            Reading::Absent => bail!("'{}' is not managed by vgapt", self.name),
        }
    }

    /// A card that is known for it, and does not answer when its guest has ended: the resets that hit only the card are tried.
    fn bring_back(&self, needs: &Reading<HostResources>, root: &Root, target: &Target) -> Result<()> {
        let Reading::Known(needs) = needs else { return Ok(()) };
        let host = discovery::read(root, Scope::All);
        let is_same = |passed: &&Passed| host.device(passed.address).is_some_and(|device| passed.id.is_none_or(|id| id == device.id));
        let functions: Vec<PciAddress> = needs.passed.iter().filter(is_same).map(|passed| passed.address).collect();
        let mut finding = None;
        for device in host.devices(&functions).filter(|device| device.class.is_display()) {
            let card = passthrough::reset_together(&host, device.address);
            if passthrough::needs_resets(&host, &card) {
                finding = self.brought_back(&host, &card, root, target)?.or(finding);
            }
        }
        life::record_end(&self.name, finding.as_ref(), target)?;
        finding.map_or(Ok(()), |finding| bail!("{}; {}", finding.message, finding.remedy))
    }

    /// What became of a card; `None` if it answers.
    fn brought_back(&self, host: &Host, card: &[PciAddress], root: &Root, target: &Target) -> Result<Option<Finding>> {
        let (users, _) = users(root, &passthrough::within_reach(host, card));
        let (uses, bridges) = (discovery::uses(Some(root)), discovery::resetting_bridges(root, host));
        let facts = ResetFacts { host, uses: &uses, users: &users, bridges: &bridges, suspend: None };
        let ladder = passthrough::ladder(&facts, card);
        let Some(wrong) = ladder.functions.iter().find_map(|function| discovery::answers(root, function).err()) else { return Ok(None) };
        let against = card.iter().flat_map(|function| passthrough::against_reset(&facts, *function)).next();
        let tried = match &against {
            Some(_) => Vec::new(),
            None => {
                let _lock = target.lock()?;
                climb_alone(&ladder, root, target)?
            }
        };
        let after = format!("when the guest of '{}' ended, {wrong}", self.name);
        let at = card.first().map(|address| address.short()).unwrap_or_default();
        Ok(Some(match (tried.last(), against) {
            (Some(Tried { way, failed: None }), _) => Finding::warning(
                "card-reset",
                format!("{after}; it answers after {way}"),
                "shut the guest down from within, so that its driver stops the card",
            ),
            (_, Some(against)) => Finding::warning("card-lost", format!("{after}; it was not reset: {}", against.message), against.remedy),
            _ => Finding::warning("card-lost", format!("{after}; no reset helped that hits only the card"), format!("vgapt reset {at}")),
        }))
    }

    fn before_start(&self, needs: &HostResources, root: &Root, target: &Target) -> Result<()> {
        hangs::refuse(needs, root, target)?;
        let host = discovery::read(root, Scope::Devices);
        let domain = PassedTo { name: &self.name, passed: &needs.passed, groups: &needs.groups };
        let findings = domain::of_functions(&domain, &host, &discovery::uses(Some(root)));
        // Virtual functions may have been created after the domain was defined, and other guests may use them.
        let is_refused = |finding: &&Finding| finding.refuses(true) || finding.code == DangerKind::SharedOut.code();
        if let Some(finding) = findings.iter().find(is_refused) {
            bail!("{}; {}", finding.message, finding.remedy);
        }
        before_start(&self.name, needs, &host, Caller::Hook, (root, target))
    }
}

/// Tries the resets that hit nothing but the card, and leave its functions on the bus, where libvirt expects them.
fn climb_alone(ladder: &Ladder, root: &Root, target: &Target) -> Result<Vec<Tried>> {
    let is_harmless = |rung: &&Rung| ladder.hits_only_own(rung) && !matches!(rung.way, ResetWay::Rescan(_));
    let climb = life::Climb { root, target, answers: &|function| discovery::answers(root, function), tell: &|_| () };
    life::climb(ladder, ladder.usable().filter(is_harmless), &climb)
}

/// Lets `vgapt check` see that libvirt calls the hook; nothing else depends on it.
fn leave_mark(root: &Root, target: &Target) {
    let called_by = |daemon: &Daemon| !root.is_live() || discovery::descends_from(root, parent_id(), daemon.pid);
    if let Some(daemon) = discovery::daemon(root).filter(called_by) {
        let _ = life::called(&daemon, target);
    }
}

/// What the domain on standard input needs. An XML that is wrong is unknown only if it contains vgapt's mark: a domain that vgapt
/// does not manage starts, whatever its XML is. One that does not arrive is unknown: the script asks only for those with the mark.
fn needs() -> Reading<HostResources> {
    let mut bytes = Vec::new();
    if let Err(error) = std::io::stdin().take(LONGEST).read_to_end(&mut bytes) {
        return Reading::Unknown(format!("its XML cannot be read: {error}"));
    }
    match std::str::from_utf8(&bytes).map_err(|error| error.to_string()).and_then(Document::parse) {
        Ok(domain) => domain::needs(&domain),
        Err(why) if memchr::memmem::find(&bytes, domain::RECORD_MARK.as_bytes()).is_some() => {
            Reading::Unknown(format!("its XML cannot be read: {why}"))
        }
        Err(_) => Reading::Absent,
    }
}
