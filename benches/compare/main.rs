//! Compares vgapt with what it replaces, side by side in one run; see benches/README.md.

mod calls;
mod cpu;
mod define;
mod goals;
mod list;
mod programs;
mod race;
mod trees;

use std::process::ExitCode;

use goals::Goals;

/// What any step may fail with.
type Error = Box<dyn std::error::Error>;
type Result<T> = std::result::Result<T, Error>;

fn main() -> Result<ExitCode> {
    let trees = trees::all()?;
    let mut goals = Goals::default();
    list::compare(&trees, &mut goals)?;
    define::compare(&trees, &mut goals)?;
    cpu::measure(&trees, &mut goals)?;
    print!("\n{goals}");
    Ok(if goals.all_met() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
