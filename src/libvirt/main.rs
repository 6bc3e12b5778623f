//! The part of vgapt that links libvirt. `vgapt` runs it for the commands that need a connection;
//! it takes the same command line.

mod capabilities;
mod connection;
mod dropped;
mod errors;
mod pool;
mod watch;

use std::process::ExitCode;

fn main() -> ExitCode {
    // libvirt would print each error to standard error before we can say what to do about it.
    virt::error::clear_error_callback();
    watch::parent();
    vgapt::cli::main(Some(connection::open))
}
