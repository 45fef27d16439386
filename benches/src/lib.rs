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
//!
//! For the programs that run others and write reports: how to [run one](figures), what [others do meanwhile](load), where the figures
//! [are from](facts), and what [stands for many of them](Spread).

pub mod chart;
mod clock;
pub mod load;
mod machine;
mod measure;
mod options;
pub mod process;
mod program;
mod report;
mod spread;
mod tasks;

pub use clock::now;
pub use machine::facts;
pub use measure::{Column, Whose, Workload, table};
pub use options::Options;
pub use program::figures;
pub use report::foot;
pub use spread::{Spread, short};
pub use tasks::{GreenThreads, OsThreads, Tasks, Team, tokio_team};
