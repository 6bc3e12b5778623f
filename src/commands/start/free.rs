//! Takes a domain's functions from their drivers before libvirt is asked to start it. libvirt's hook would do the same, but
//! libvirt holds the domain's lock meanwhile: `virsh list` and virt-manager would wait for a driver that hangs.

use anyhow::Result;

use super::super::Context;
use super::super::shared::hangs;
use super::super::shared::share::{before_start, ended};
use crate::domain::HostResources;
use crate::hypervisor::Hypervisor;
use crate::interrupt::{Interrupt, Interrupted};
use crate::life::{Caller, End};
use crate::model::{HOOK, Host};
use crate::root::Root;
use crate::target::Target;

/// Functions that no driver has any more.
pub(super) struct Freed<'a> {
    root: &'a Root,
    target: Target,
    name: &'a str,
}

impl<'a> Freed<'a> {
    /// Frees the functions, if the caller may do that and libvirt's hook will return them.
    ///
    /// # Errors
    /// Where one is not released, in one line; or where the user interrupts it. The others are returned then.
    pub(super) fn take(context: &Context, name: &'a str, needs: &HostResources, host: &Host, root: &'a Root) -> Result<Option<Self>> {
        let is_own = root.is_live() && !context.host_is_behind_libvirt() && !context.uri().is_session();
        // With the display, the session ends in which this program may run.
        if !is_own || needs.handover || !rustix::process::geteuid().is_root() || root.presence(HOOK) != Some(true) {
            return Ok(None);
        }
        let freed = Self { root, target: context.target(root)?, name };
        hangs::refuse(needs, root, &freed.target)?;
        let interrupt = Interrupt::watch()?;
        before_start(name, needs, host, Caller::Starter, (root, &freed.target))?;
        if interrupt.came() {
            freed.give_back()?;
            return Err(Interrupted(format!("'{name}' was not started, and its devices are back")).into());
        }
        interrupt.no_longer();
        Ok(Some(freed))
    }

    /// Returns what is left when libvirt has refused the start; its hook may have returned it.
    ///
    /// # Errors
    /// Where it cannot be returned; the next start tries again.
    pub(super) fn after_refusal(&self, connection: &dyn Hypervisor) -> Result<()> {
        // Somebody else may have started the domain in this moment: then it has its devices.
        if connection.state(self.name)?.is_active() { Ok(()) } else { self.give_back() }
    }

    fn give_back(&self) -> Result<()> {
        ended(self.name, End::Released, self.root, &self.target)
    }
}
