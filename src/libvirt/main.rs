//! The part of vgapt that links libvirt: `vgapt` starts it for a connection and sends it questions, line by line, over
//! its standard input; it answers on standard output, and ends when its input ends.

mod capabilities;
mod connection;
mod dropped;
mod missing;
mod parent;
mod pool;
mod pool_folder;

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use vgapt::hypervisor;
use vgapt::model::Uri;
use virt::connect::Connect;

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vgapt-libvirt: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(uri), access, None) = (arguments.next(), arguments.next(), arguments.next()) else {
        bail!("this is a helper program of vgapt, which starts it when needed")
    };
    let open = match access.as_deref() {
        None => Connect::open,
        Some(hypervisor::READ_ONLY) => Connect::open_read_only,
        Some(other) => bail!("unknown argument '{other}'"),
    };
    if uri == "--version" {
        println!("vgapt-libvirt {}", env!("CARGO_PKG_VERSION"));
        return Ok(());
    }
    if io::stdin().is_terminal() {
        bail!("this is a helper program of vgapt, which starts it when needed");
    }
    // libvirt would print each error to standard error, before vgapt prints it with a remedy.
    virt::error::clear_error_callback();
    // Only answers may go to the pipe. Standard output becomes standard error, for what libvirt and its child processes print.
    let mut answers = File::from(io::stdout().as_fd().try_clone_to_owned().context("standard output is closed")?);
    rustix::stdio::dup2_stdout(io::stderr()).context("standard error is closed")?;
    let calls = parent::calls().context("signals cannot be handled")?;
    let served = hypervisor::serve(|| connection::open(&Uri::new(&uri), open), calls, &mut answers);
    parent::end_soon();
    served
}
