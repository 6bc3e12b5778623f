//! Settings for the guest system: those of its profile that host and libvirt support.

use super::question::TuningInput;
use crate::domain::edit::{Edit, Part};
use crate::domain::profile::enlightenments::{self, SPINLOCKS};
use crate::domain::profile::name::Os;
use crate::model::Finding;

/// The namespace of libosinfo's metadata.
const LIBOSINFO: &str = "http://libosinfo.org/xmlns/libvirt/domain/1.0";

/// The model for which Windows 11 has a built-in driver.
const TPM: &str = "tpm-crb";

/// The guest system needs a TPM, but libvirt reports that it cannot emulate one.
pub(super) fn missing(question: &TuningInput<'_>) -> Option<Finding> {
    let profile = question.base.profile.filter(|profile| profile.tpm())?;
    let models = question.libvirt.tpms.as_ref()?;
    let install = question.host.platform.distribution.install_command("swtpm swtpm-tools").unwrap_or_else(|| "install swtpm".into());
    (!models.contains(TPM)).then(|| {
        Finding::blocked(
            "no-tpm",
            format!(
                "this guest system ({}) requires a TPM 2.0, but libvirt found no program that emulates one (swtpm)",
                profile.osinfo().unwrap_or_default()
            ),
            format!("{install}, and restart libvirtd; or use --os win10, which defines the domain without a TPM"),
        )
    })
}

/// The settings, written once for a new domain, and what depends on the pinning again where that is decided.
pub(super) fn settings(question: &TuningInput<'_>, is_decided: bool, is_pinned: bool) -> Option<Vec<Edit>> {
    let Some(profile) = question.base.profile else { return is_decided.then(|| by_pinning(question, is_pinned))? };
    let put = |path| Edit::put(Part::Guest, path);
    let mut settings = Vec::new();
    if let Some(osinfo) = profile.osinfo() {
        settings.push(put("metadata/libosinfo:libosinfo").with("xmlns:libosinfo", LIBOSINFO));
        settings.push(put("metadata/libosinfo:libosinfo/libosinfo:os").with("id", osinfo));
    }
    let hyperv = question.base.domain.root().at("features/hyperv").and_then(|hyperv| hyperv.attribute("mode"));
    // passthrough enables all enlightenments of the host, and libvirt accepts no single ones in addition.
    let has_all = hyperv.as_deref() == Some("passthrough");
    let enlightenments = enlightenments::settings(profile, &question.host.cpu, question.libvirt, is_pinned).into_iter();
    settings.extend(enlightenments.filter(|edit| !has_all || !enlightenments::is_hyperv(edit)));
    if profile.tpm() {
        settings.push(put("devices/tpm").with("model", TPM));
        settings.push(put("devices/tpm/backend").with("type", "emulator").with("version", "2.0"));
    }
    Some(settings)
}

/// What was written for the guest system of an existing domain, but with the spinlocks as its pinning is now; `None` if that
/// has none of Hyper-V's enlightenments.
fn by_pinning(question: &TuningInput<'_>, is_pinned: bool) -> Option<Vec<Edit>> {
    let last = question.base.last.as_ref()?;
    let profile = Os::from(last.template.clone()?).profile()?;
    let others = last.written.of(Part::Guest).filter(|(path, _)| *path != SPINLOCKS);
    let mut settings: Vec<Edit> = others.map(|(path, entry)| Edit::again(Part::Guest, path, entry)).collect();
    if !settings.iter().any(enlightenments::is_hyperv) {
        return None;
    }
    let wanted = enlightenments::settings(profile, &question.host.cpu, question.libvirt, is_pinned);
    settings.extend(wanted.into_iter().filter(|edit| edit.path() == Some(SPINLOCKS)));
    Some(settings)
}
