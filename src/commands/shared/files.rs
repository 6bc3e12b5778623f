//! What the host's files show about a domain that will be defined.

use anyhow::Result;

use crate::hypervisor::Hypervisor;
use crate::model::{Files, Firmware};
use crate::root::Root;
use crate::{discovery, domain};

/// The folders of libvirt's storage pools. A disk's header may not name a file in a pool that is unknown here.
fn pool_folders(root: &Root, connection: &dyn Hypervisor) -> Vec<String> {
    let targets = connection.pools().map(|pools| pools.known).unwrap_or_default().into_iter().filter_map(|pool| pool.target);
    targets.map(|target| root.real_path(&target).unwrap_or(target)).collect()
}

/// What is read from the host's files; of a remote host only the firmware images that libvirt reports.
pub(in crate::commands) fn files(root: Option<&Root>, connection: &dyn Hypervisor, paths: &[String]) -> Result<Files> {
    if let Some(root) = root {
        let files = discovery::files(root, paths);
        let pools = if files.facts.iter().any(|facts| !facts.names.is_empty()) { pool_folders(root, connection) } else { Vec::new() };
        return Ok(Files { networks: connection.networks()?, pools, ..files });
    }
    let pairs = connection.loaders()?.into_iter().filter_map(|code| Some((domain::matching_vars(&code)?, code)));
    let secure = |code: &str| code.contains("secboot") || code.contains(".ms.") || code.contains("snakeoil");
    let format = |code: &str| if code.ends_with(".qcow2") { "qcow2" } else { "raw" };
    let firmwares = pairs.map(|(vars, code)| Firmware {
        format: format(&code).to_owned(),
        secure_boot: secure(&code),
        has_keys: code.contains(".ms."),
        vars,
        code,
    });
    Ok(Files { firmwares: firmwares.collect(), networks: connection.networks()?, uses: discovery::uses(None), ..Files::default() })
}
