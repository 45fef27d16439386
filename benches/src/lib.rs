//! What the side-by-side benches share: columns measured in turn, in one run, and printed as one table.
//!
//! ```text
//!   row ─▶ warm up each column, and find out how many operations fill a run ─▶ round: A B C … ─▶ round: A B C … ─▶ print
//! ```
//!
//! In turn, so that a neighbour's burst of work on this machine hits a round of every column, and the median drops it.
//!
//! A bench brings its [`Column`]s and [`Workload`]s; a column runs each shape of workload with as many operations as it is told,
//! and checks that all of them took effect.

mod clock;
mod measure;
mod options;
mod report;
mod tasks;

pub use clock::now;
pub use measure::{Column, Whose, Workload, table};
pub use options::Options;
pub use report::foot;
pub use tasks::{GreenThreads, OsThreads, Tasks, Team, tokio_team};
