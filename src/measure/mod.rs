//! How fast a running domain is: samples of it and its host, and what is known of the domain → numbers and judgements.
//! Pure.

mod against;
mod differences;
mod judge;
mod judgements;
mod measured;
mod numbers;

pub use against::{Change, Turn, changes, turns};
pub use judge::{host_cpus, measure};
pub use measured::{CoreTimes, InterruptRate, Judgement, Load, Measured, Moment, Subject, VcpuTimes, Verdict};
