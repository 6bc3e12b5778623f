//! What is to be done on the host for what is asked for, which no domain can do.

use crate::domain::request::extras::Extras;
use crate::domain::request::files::folder;
use crate::domain::request::network::Network;
use crate::model::Finding;

/// What is to be done there for these.
pub(super) fn on_the_host(extras: &Extras) -> Vec<Finding> {
    let mut findings = Vec::new();
    for share in &extras.share_smb {
        let (folder, name) = folder(share);
        let at = match &extras.network {
            None | Some(Network::User) => "10.0.2.2".to_owned(),
            Some(Network::Nat(_)) => "the address of the network's bridge, 192.168.122.1 on libvirt's default".to_owned(),
            Some(Network::Passt | Network::Bridge(_)) => "the host's address".to_owned(),
            Some(Network::Macvtap(_) | Network::None) => "no address: such a guest does not reach the host; take --network nat".to_owned(),
        };
        findings.push(Finding::warning(
            "samba",
            format!("{folder} is shared once the host's Samba serves it: libvirt has no element for it"),
            format!("vgapt prepare --share-smb {share} does that; the guest finds \\\\HOST\\{name}, HOST being {at}"),
        ));
    }
    if extras.looking_glass.is_some() {
        findings.push(Finding::warning(
            "looking-glass",
            "/dev/shm/looking-glass belongs to QEMU's user, and the one who watches has to read it",
            "put `f /dev/shm/looking-glass 0660 YOU kvm -` into /etc/tmpfiles.d/10-looking-glass.conf, then systemd-tmpfiles --create",
        ));
    }
    if let Some(sound) = extras.sound {
        findings.push(Finding::warning(
            "sound",
            format!("{} belongs to the one who is logged in, and the system's QEMU runs as another user", sound.word()),
            "set user = \"YOU\" in /etc/libvirt/qemu.conf and give the domain's <audio> your runtimeDir (/run/user/1000)",
        ));
    }
    findings
}
