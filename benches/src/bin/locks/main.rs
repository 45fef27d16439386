//! Locks, once cells, wait groups and semaphores beside their peers: the same workloads through each column, in turn, in
//! one run; a table for each kind of thing.
//!
//! ```text
//! cargo run --release -p greenlight-benches --bin locks [-- [--quick] [--cpu] [--rounds N] [filter]]
//!
//!   --quick    short runs and three rounds: for a first look
//!   --cpu      CPU time instead of time: on a machine that is busy with other things
//!   --rounds   how often each cell is measured, 5 if not said
//!   filter     only the rows whose name contains it; each begins with its table's name
//! ```
//!
//! A cell shows the median of its rounds, and the shortest behind it, in ns for each operation, over all tasks together. The
//! last column is our best column's median divided by the best peer's: below 1, ours is quicker; in parentheses the same
//! for ours on OS threads.
//!
//! All tasks do nothing but the operation, in a tight loop. So a row with many tasks says what a lock makes of a
//! crowd, not what a program feels: the quickest way through it is to let one task run on until its time slice ends.
//! On OS threads std does just that; whoever hands the lock on is slower here and fairer.
//!
//! A thing is added by a line in its table's `columns`, and one small `impl`.

mod mutex;
mod once;
mod rw_lock;
mod semaphore;
mod wait_group;

use greenlight_benches::{Options, foot};

fn main() {
    let options = Options::read("locks", &[]);
    mutex::table(&options);
    rw_lock::table(&options);
    once::table(&options);
    wait_group::table(&options);
    semaphore::table(&options);
    foot();
}

/// The fewest operations for so many tasks: each is to do more than start.
const fn least(tasks: usize) -> usize {
    tasks * 1_024
}

/// The share of task `index` of `tasks` in `operations`.
fn share(index: usize, tasks: usize, operations: usize) -> usize {
    (operations + index) / tasks
}
