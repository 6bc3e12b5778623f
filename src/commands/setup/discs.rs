//! Images of CDs that QEMU's user cannot read are moved to a folder in which it can.

use anyhow::Result;

use super::facts::Move;
use super::found::{Found, IMAGES};
use crate::domain::Request;
use crate::problem::Problem;

impl Move {
    /// The command; it overwrites nothing.
    pub(super) fn command(&self) -> Vec<String> {
        ["mv", "-n", "--", &self.from, &self.to].map(str::to_owned).to_vec()
    }
}

/// The moves that a request needs; it names the images by their new paths afterwards.
pub(super) fn place(request: &mut Request, found: &Found) -> Result<Vec<Move>> {
    let mut moves: Vec<Move> = Vec::new();
    for path in [&mut request.cdrom, &mut request.virtio_iso].into_iter().flatten() {
        let to = format!("{IMAGES}/{}", path.rsplit('/').next().unwrap_or(path));
        let is_free = !found.has(&to) && moves.iter().all(|other| other.to != to);
        if !found.has(path) && !is_free {
            // An interrupted run has moved it.
            *path = to;
        } else if !found.closed(path).is_empty() {
            if !is_free {
                return Err(
                    Problem::usage(format!("QEMU's user cannot read {path}, and there is another {to}"), "rename one of the two").into()
                );
            }
            moves.push(Move { from: std::mem::replace(path, to.clone()), to });
        }
    }
    Ok(moves)
}
