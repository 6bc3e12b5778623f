//! The command line. What needs libvirt is done by `vgapt-libvirt`, so that the rest neither pays
//! for libvirt nor needs it.

use std::process::ExitCode;

fn main() -> ExitCode {
    vgapt::cli::main(None)
}
