//! The command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    vgapt::cli::main()
}
