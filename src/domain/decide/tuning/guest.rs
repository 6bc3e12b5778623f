//! What the guest's system is to have: its profile's word, where host and libvirt have it.

use super::question::Question;
use crate::domain::profile::enlightenments;
use crate::domain::setting::Setting;
use crate::model::Finding;

/// The namespace of libosinfo's metadata.
const LIBOSINFO: &str = "http://libosinfo.org/xmlns/libvirt/domain/1.0";

/// The model that Windows 11 has drivers for on board.
const TPM: &str = "tpm-crb";

/// A TPM is wanted, and libvirt says that it has none to give.
pub(super) fn missing(question: &Question<'_>) -> Option<Finding> {
    let profile = question.base.profile.filter(|profile| profile.tpm())?;
    let models = question.libvirt.tpms.as_ref()?;
    let install = question.host.platform.distribution.install_command("swtpm swtpm-tools").unwrap_or_else(|| "install swtpm".into());
    (!models.contains(TPM)).then(|| {
        Finding::blocker(
            "no-tpm",
            format!(
                "this system ({}) wants a TPM 2.0, and libvirt finds no program that emulates one",
                profile.osinfo().unwrap_or_default()
            ),
            format!("{install}, and restart libvirtd; --os win10 defines the domain without"),
        )
    })
}

/// Written once, for a domain made anew.
pub(super) fn settings(question: &Question<'_>) -> Option<Vec<Setting>> {
    let profile = question.base.profile?;
    let mut settings = Vec::new();
    if let Some(osinfo) = profile.osinfo() {
        settings.push(Setting::new("metadata/libosinfo:libosinfo").with("xmlns:libosinfo", LIBOSINFO));
        settings.push(Setting::new("metadata/libosinfo:libosinfo/libosinfo:os").with("id", osinfo));
    }
    let hyperv = question.base.domain.root().at("features/hyperv").and_then(|hyperv| hyperv.attribute("mode"));
    // All that the host has are there already, and libvirt takes no single one beside that.
    let has_all = hyperv.as_deref() == Some("passthrough");
    let enlightenments = enlightenments::settings(profile, &question.host.cpu, question.libvirt).into_iter();
    settings.extend(enlightenments.filter(|setting| !has_all || !setting.path.starts_with("features/hyperv")));
    if profile.tpm() {
        settings.push(Setting::new("devices/tpm").with("model", TPM));
        settings.push(Setting::new("devices/tpm/backend").with("type", "emulator").with("version", "2.0"));
    }
    Some(settings)
}
