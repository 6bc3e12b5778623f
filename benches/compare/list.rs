//! `vgapt list` beside `lspci -nnk` and the guide's loop.

use std::time::Duration;

use crate::Result;
use crate::calls;
use crate::goals::Goals;
use crate::programs::Program;
use crate::race::{race, ratio, turns};
use crate::trees::{Tree, Trees};

const TURNS: usize = 61;
/// The loop takes hundreds of times longer, so that its turns disturb the others less; of what is short beside it, three runs
/// would tell nothing.
const LOOP_ROUNDS: usize = 3;
const RUNS_BESIDE_LOOP: usize = 11;
/// How many times longer ten times as much may take: the caches of the processor are of one size.
const LINEAR: f64 = 12.0;
/// From so many functions on, a recorded machine is held against the loop: the loop's time grows with
/// their square, and on the smallest machines 150 times less is less than it takes to start a program.
const LOOP_FUNCTIONS: u32 = 60;
const MEGABYTE: u64 = 1 << 20;

/// Runs all of it and prints a line for each machine.
pub(crate) fn compare(trees: &Trees, goals: &mut Goals) -> Result<()> {
    println!("vgapt list: how many times faster than lspci -nnk, and than the guide's loop");
    let (mut worst_lspci, mut worst_loop) = (f64::MAX, f64::MAX);
    for tree in &trees.recorded {
        let (faster, _) = beside_lspci(tree)?;
        let by_loop = beside_loop(tree)?;
        line(&tree.name, tree.functions, faster, by_loop);
        worst_lspci = worst_lspci.min(faster);
        if tree.functions >= LOOP_FUNCTIONS {
            worst_loop = worst_loop.min(by_loop.unwrap_or(f64::MAX));
        }
    }
    let (at_middle, middle) = beside_lspci(&trees.middle)?;
    let loop_at_middle = beside_loop(&trees.middle)?;
    line(&trees.middle.name, trees.middle.functions, at_middle, loop_at_middle);
    let (at_large, large) = beside_lspci(&trees.large)?;
    line(&trees.large.name, trees.large.functions, at_large, None);

    goals.faster("list than lspci, on the worst of the recorded machines", 3.0, worst_lspci);
    goals.faster("list than lspci, at 500 functions", 3.0, at_middle);
    goals.faster("list than lspci, at 5,000 functions", 2.0, at_large);
    goals.faster(
        &format!("list than the guide's loop, on the worst of the recorded machines from {LOOP_FUNCTIONS} functions on"),
        150.0,
        worst_loop,
    );
    goals.faster("list than the guide's loop, at 500 functions", 150.0, loop_at_middle.unwrap_or_default());
    let growth = ratio(middle, large);
    goals
        .that(growth <= LINEAR, format!("list grows linearly: 10 times the functions, at most {LINEAR} times the time; {growth:.1} times"));
    system_calls(trees, goals)?;
    let peak = calls::peak_memory(&Program::list(&trees.large.path))?;
    let lspci = calls::peak_memory(&Program::lspci(&trees.large.path))?;
    println!("\nPeak memory at 5,000 functions: list {} KiB, lspci {} KiB", peak >> 10, lspci >> 10);
    goals.that(peak < 16 * MEGABYTE, format!("list below 16 MB at 5,000 functions; {} KiB", peak >> 10));
    Ok(())
}

fn line(name: &str, functions: u32, lspci: f64, by_loop: Option<f64>) {
    let by_loop = by_loop.map_or("-".to_owned(), |times| format!("{times:.0}"));
    println!("  {name:40}{functions:6} functions{lspci:8.1}{by_loop:>8}");
}

/// How many times faster than lspci, and our time.
fn beside_lspci(tree: &Tree) -> Result<(f64, Duration)> {
    race(&Program::list(&tree.path), &Program::lspci(&tree.path), TURNS)
}

/// How many times faster than the loop; `None` where there are no groups to go over.
fn beside_loop(tree: &Tree) -> Result<Option<f64>> {
    if !tree.has_groups {
        return Ok(None);
    }
    let [ours, theirs] = turns([(&Program::list(&tree.path), RUNS_BESIDE_LOOP), (&Program::guide(&tree.path), 1)], LOOP_ROUNDS)?;
    Ok(Some(ratio(ours, theirs)))
}

fn system_calls(trees: &Trees, goals: &mut Goals) -> Result<()> {
    println!("\nSystem calls, and how many for each function (the loop only where it ends in time)");
    let largest = trees.recorded.iter().filter(|tree| tree.has_groups).max_by_key(|tree| tree.functions);
    for tree in largest.into_iter().chain([&trees.middle, &trees.large]) {
        let ours = calls::count(&Program::list(&tree.path))?;
        let lspci = calls::count(&Program::lspci(&tree.path))?;
        let each = |calls: u32| f64::from(calls) / f64::from(tree.functions);
        print!("  {:40}list {ours} ({:.1}), lspci {lspci} ({:.1})", tree.name, each(ours), each(lspci));
        if tree.functions < 200 {
            print!(", loop {}", calls::count(&Program::guide(&tree.path))?);
        }
        println!();
    }
    let (mut twice, mut untouched, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for tree in &trees.recorded {
        let trace = calls::trace(&Program::list(&tree.path))?;
        let place = |path: &String| path.replace(&*tree.path.to_string_lossy(), "");
        twice.extend(trace.twice().iter().map(place));
        untouched.extend(trace.untouched().iter().map(place));
        missing.extend(trace.missing.iter().map(|path| kind(path)));
    }
    let unneeded = calls::unneeded(&trees.recorded)?;
    // Machines have most of them in common.
    for paths in [&mut twice, &mut untouched, &mut missing] {
        paths.sort_unstable();
        paths.dedup();
    }
    list("Read twice", &twice);
    list("Opened and not looked at", &untouched);
    list("Read, but on no recorded machine is the output another without (or something else stands in)", &unneeded);
    list("Looked for, and missing on some recorded machine", &missing);
    goals.that(twice.is_empty() && untouched.is_empty(), "list reads nothing twice, and opens nothing that it does not look at".into());
    Ok(())
}

/// The last component of a path, which says what sort of file it is.
fn kind(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

fn list(title: &str, items: &[String]) {
    println!("  {title}: {}", if items.is_empty() { "nothing".to_owned() } else { items.join(", ") });
}
