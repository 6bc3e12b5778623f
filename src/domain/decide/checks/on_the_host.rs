//! Checks for requests that also need a change on the host.

use crate::domain::request::extras::Extras;
use crate::domain::request::files::folder;
use crate::domain::request::network::Network;
use crate::model::Finding;

/// The changes that the host needs for these devices.
pub(super) fn on_the_host(extras: &Extras) -> Vec<Finding> {
    let mut findings = Vec::new();
    for share in &extras.share_smb {
        let (folder, name) = folder(share);
        let at = match &extras.network {
            None | Some(Network::User) => "10.0.2.2".to_owned(),
            Some(Network::Nat(_)) => "the address of the network's bridge (192.168.122.1 for libvirt's default network)".to_owned(),
            Some(Network::Passt | Network::Bridge(_)) => "the host's address".to_owned(),
            Some(Network::Macvtap(_) | Network::None) => {
                "no address: with this network the guest cannot reach the host; use --network nat".to_owned()
            }
        };
        findings.push(Finding::warning(
            "samba",
            format!("{folder} is available in the guest only after the host's Samba shares it; libvirt cannot do that"),
            format!("run vgapt prepare --share-smb {share}; in the guest, open \\\\HOST\\{name}, where HOST is {at}"),
        ));
    }
    if extras.looking_glass.is_some() {
        findings.push(Finding::warning(
            "looking-glass",
            "/dev/shm/looking-glass belongs to QEMU's user, but the user who runs the Looking Glass client must be able to access it",
            "add `f /dev/shm/looking-glass 0660 YOU kvm -` to /etc/tmpfiles.d/10-looking-glass.conf, then run systemd-tmpfiles --create",
        ));
    }
    if let Some(sound) = extras.sound {
        findings.push(Finding::warning(
            "sound",
            format!("{} runs in the session of the logged-in user, but QEMU runs as another user", sound.word()),
            "set user = \"YOU\" in /etc/libvirt/qemu.conf, and set runtimeDir of the domain's <audio> to yours (/run/user/1000)",
        ));
    }
    findings
}
