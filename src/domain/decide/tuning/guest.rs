//! Settings for the guest system: those of its profile that host and libvirt support.

use super::question::TuningInput;
use crate::domain::edit::{Edit, Part};
use crate::domain::profile::enlightenments;
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

/// The settings, written once for a new domain.
pub(super) fn settings(question: &TuningInput<'_>, is_pinned: bool) -> Option<Vec<Edit>> {
    let profile = question.base.profile?;
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
