//! Settings for the guest system: those of its profile that host and libvirt support.

use super::question::TuningInput;
use crate::domain::profile::enlightenments;
use crate::domain::setting::Setting;
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
pub(super) fn settings(question: &TuningInput<'_>) -> Option<Vec<Setting>> {
    let profile = question.base.profile?;
    let mut settings = Vec::new();
    if let Some(osinfo) = profile.osinfo() {
        settings.push(Setting::new("metadata/libosinfo:libosinfo").with("xmlns:libosinfo", LIBOSINFO));
        settings.push(Setting::new("metadata/libosinfo:libosinfo/libosinfo:os").with("id", osinfo));
    }
    let hyperv = question.base.domain.root().at("features/hyperv").and_then(|hyperv| hyperv.attribute("mode"));
    // passthrough enables all enlightenments of the host, and libvirt accepts no single ones in addition.
    let has_all = hyperv.as_deref() == Some("passthrough");
    let enlightenments = enlightenments::settings(profile, &question.host.cpu, question.libvirt).into_iter();
    settings.extend(enlightenments.filter(|setting| !has_all || !setting.path.starts_with("features/hyperv")));
    if profile.tpm() {
        settings.push(Setting::new("devices/tpm").with("model", TPM));
        settings.push(Setting::new("devices/tpm/backend").with("type", "emulator").with("version", "2.0"));
    }
    Some(settings)
}
