//! Folders that the host's Samba shares with guests: a separate file, and one line in Samba's configuration
//! that includes it. Everything else there is unchanged.
//!
//! Each share is accessible only from the guest network. If Samba has no configuration yet, so that no other
//! share can be affected, Samba itself also listens only there.

mod conf;

use super::packages;
use crate::host::plan::{Command, Edits, text_of};
use crate::host::request::{Shares, Wanted};
use crate::host::text::shell;
use crate::model::{Finding, Host, Setup, SmbShare, VirtualNetwork};

/// Samba's configuration.
const SAMBA: &str = "/etc/samba/smb.conf";
/// vgapt's part of it.
const OWN: &str = "/etc/samba/vgapt.conf";
const INCLUDE: &str = "include = /etc/samba/vgapt.conf";
const HEAD: &str = "# Written by `vgapt prepare`, taken away by `vgapt undo`.\n";
const LOOPBACK: &str = "127.0.0.1";
/// Sections with a special meaning for Samba.
const RESERVED: [&str; 5] = ["global", "homes", "printers", "print$", "ipc$"];

/// The files and commands.
pub(super) fn edits(host: &Host, setup: &Setup, wanted: &Wanted) -> Result<Edits, Finding> {
    let mut edits = Edits::default();
    let Shares { shares, network } = &wanted.shares;
    if shares.is_empty() {
        return Ok(edits);
    }
    if !setup.has("smbd") && wanted.install.is_none() {
        let message = "Samba, which is needed to share the folders, is not installed";
        return Err(Finding::error("samba", message, "vgapt prepare --share-smb … --install"));
    }
    let network = setup.networks.iter().find(|known| known.name == *network).ok_or_else(|| unknown_network(network))?;
    let VirtualNetwork { name, bridge, .. } = network;
    if !is_interface(bridge) {
        let message =
            format!("the bridge of the network '{name}' has a name that vgapt does not write into Samba's configuration: '{bridge}'");
        let remedy = format!("give its bridge a plain name: virsh -c qemu:///system net-edit {name}");
        return Err(Finding::error("samba-network", message, remedy));
    }
    let theirs = setup.files.0.get(SAMBA).map(|file| text_of(SAMBA, file)).transpose()?;
    let parameters = theirs.map(conf::parse).transpose().map_err(|what| unsupported(&what))?.unwrap_or_default();
    if parameters.iter().any(|one| one.is("configbackend") && one.value.eq_ignore_ascii_case("registry")) {
        return Err(unsupported("its shares are in Samba's registry (config backend = registry), so shares in the file are ignored"));
    }
    let mut own = setup.files.text(OWN).unwrap_or(HEAD).to_owned();
    for share in shares.iter().filter(|share| !serves(&parameters, share)) {
        check_share(share)?;
        if parameters.iter().any(|one| one.is_in(&share.name)) || RESERVED.iter().any(|name| name.eq_ignore_ascii_case(&share.name)) {
            return Err(section_taken(share, SAMBA));
        }
        let ours =
            conf::parse(&own).map_err(|what| Finding::error("samba", format!("{OWN}: {what}"), format!("correct or remove {OWN}")))?;
        if !serves(&ours, share) {
            if ours.iter().any(|one| one.is_in(&share.name)) {
                return Err(section_taken(share, OWN));
            }
            own.push_str(&section(share, network));
        }
    }
    if own == HEAD {
        return Ok(edits);
    }
    edits.write(setup, OWN, own, 0o644, "folders that the host shares with guests, only on their network")?;
    if !parameters.iter().any(|one| one.is("include") && one.value == OWN) {
        edits.write(setup, SAMBA, with_include(theirs, network), 0o644, "includes that file")?;
    }
    if !edits.writes.is_empty() {
        edits.commands = commands(host, setup);
    }
    Ok(edits)
}

/// Warnings about the shares.
pub(super) fn warnings(setup: &Setup, shares: &[SmbShare]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for share in shares {
        let (name, owner) = (&share.name, share.owner.as_deref().unwrap_or("USER"));
        findings.push(Finding::warning(
            "samba-password",
            format!("opening the share '{name}' requires {owner}'s Samba password, which is separate from the login password"),
            format!("sudo smbpasswd -a {owner}, if it is not set yet"),
        ));
        if setup.enforces_labels() {
            let folder = &share.folder;
            findings.push(Finding::warning(
                "samba-labels",
                format!("SELinux allows Samba to read only files labelled for it, and {folder} may not be"),
                format!("semanage fcontext -a -t samba_share_t '{folder}(/.*)?' && restorecon -R {folder}"),
            ));
        }
    }
    findings
}

/// Whether one of these sections shares the folder.
fn serves(parameters: &[conf::Parameter<'_>], share: &SmbShare) -> bool {
    parameters.iter().any(|one| one.folder() == Some(share.folder.trim_end_matches('/')))
}

/// Whether Samba's files share a folder, as far as they can be parsed.
pub fn is_shared(setup: &Setup, folder: &str) -> bool {
    let share = SmbShare { folder: folder.to_owned(), name: String::new(), owner: None };
    let is_read = |path: &&str| *path != OWN || setup.files.text_lossy(SAMBA).is_some_and(|text| text.contains(INCLUDE));
    [SAMBA, OWN].iter().filter(|path| is_read(path)).any(|path| {
        let parsed = setup.files.text_lossy(path).and_then(|text| conf::parse(text).ok());
        parsed.is_some_and(|parameters| serves(&parameters, &share))
    })
}

fn section(share: &SmbShare, network: &VirtualNetwork) -> String {
    let SmbShare { folder, name, owner } = share;
    let owner = owner.as_deref().unwrap_or_default();
    let allowed = network.subnet();
    format!("[{name}]\n  path = {folder}\n  read only = no\n  valid users = {owner}\n  hosts allow = {LOOPBACK} {allowed}\n")
}

/// Adds the line at the end of the file, where it does not affect a section.
fn with_include(theirs: Option<&str>, network: &VirtualNetwork) -> String {
    match theirs {
        Some(text) => shell::with_line(text, INCLUDE),
        None => format!("{HEAD}[global]\n  interfaces = lo {}\n  bind interfaces only = yes\n{INCLUDE}\n", network.bridge),
    }
}

fn commands(host: &Host, setup: &Setup) -> Vec<Command> {
    let unit = if packages::is_debian(host) { "smbd.service" } else { "smb.service" };
    let mut commands = Vec::new();
    if !setup.files.exists(&format!("/etc/systemd/system/multi-user.target.wants/{unit}")) {
        let mut enable = Command::of(&["systemctl", "enable", unit], "Samba starts with the host");
        enable.undo = Some(["systemctl", "disable", unit].map(str::to_owned).to_vec());
        commands.push(enable);
    }
    let mut reload = Command::of(&["systemctl", "reload-or-restart", unit], "Samba reads its configuration");
    reload.undo = Some(["systemctl", "try-reload-or-restart", unit].map(str::to_owned).to_vec());
    commands.push(reload);
    commands
}

/// Samba expands % and handles quotes in a special way, so such names are refused.
fn check_share(share: &SmbShare) -> Result<(), Finding> {
    let SmbShare { folder, name, owner } = share;
    let is_odd = |text: &str| text.chars().any(|letter| letter.is_control() || "%\"\\[]".contains(letter)) || text.trim() != text;
    if is_odd(folder) || is_odd(name) || name.is_empty() || name.contains('/') || !folder.starts_with('/') {
        let remedy = "give it a plain name: --share-smb DIR=NAME, DIR without %, quotes, brackets and backslashes";
        return Err(Finding::error("samba-name", format!("Samba cannot share '{folder}' as '{name}'"), remedy));
    }
    match owner.as_deref() {
        None => Err(Finding::error(
            "samba-folder",
            format!("the folder {folder} does not exist, or its owner is unknown"),
            format!("mkdir {folder}"),
        )),
        Some("root") => {
            let remedy = format!("chown USER {folder}: the guest reads and writes as that user");
            Err(Finding::error("samba-folder", format!("{folder} belongs to root, and no guest may write as root"), remedy))
        }
        // Samba reads a leading `@` as a group, a space as the end of a name, and `%` as a variable.
        Some(owner) if !owner.starts_with(['@', '-']) && owner.chars().all(|c| c.is_alphanumeric() || "._-@$".contains(c)) => Ok(()),
        Some(owner) => Err(Finding::error(
            "samba-folder",
            format!("{folder} belongs to a user whose name Samba would misread: '{owner}'"),
            format!("chown USER {folder}, with a user whose name has only letters, digits and ._-@$"),
        )),
    }
}

/// Whether it can only be the name of an interface: Samba reads `*` and `?` as patterns, and a space as the end.
fn is_interface(name: &str) -> bool {
    /// `IFNAMSIZ`, without the terminating null.
    const LONGEST: usize = 15;
    (1..=LONGEST).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-:".contains(c)) && !name.starts_with('-')
}

fn unknown_network(name: &str) -> Finding {
    let message =
        format!("libvirt has no network '{name}' on which the host has an address, as far as /etc/libvirt/qemu/networks can be read");
    Finding::error("samba-network", message, "name the guest's network: --share-network NAME (virsh -c qemu:///system net-list --all)")
}

fn unsupported(what: &str) -> Finding {
    Finding::error(
        "samba-odd",
        format!("{SAMBA}: {what}"),
        format!("correct {SAMBA} (testparm), or share the folder by hand; nothing was changed"),
    )
}

fn section_taken(share: &SmbShare, file: &str) -> Finding {
    let message = format!("{file} already has a section [{}], which does not share {}", share.name, share.folder);
    Finding::error("samba-name", message, format!("give it another name: --share-smb {}=NAME", share.folder))
}
