//! Rows of workloads, columns of libraries, and the rounds that fill the cells.

use crate::{Options, report};
use std::time::Duration;

/// A row: something to do, in the terms of a bench.
pub struct Workload<S> {
    /// Its name in the table.
    pub name: &'static str,
    /// What the columns are told.
    pub shape: S,
    /// The fewest operations that a run may have, and the most. Many tasks need many, or their start is what is measured.
    pub least: usize,
    /// See `least`.
    pub most: usize,
}

/// Who does it.
pub struct Column<S> {
    /// Its name in the table.
    pub name: &'static str,
    /// On which side of the comparison it stands.
    pub whose: Whose,
    /// Runs a shape with so many operations. None if this column has no such thing.
    pub run: fn(&S, usize) -> Option<Duration>,
}

/// On which side of the comparison a column stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Ours, on OS threads.
    Ours,
    /// Ours, on green threads.
    OursGreen,
    /// Ours, beside the competition.
    OursBeside,
    /// The peers'.
    Peers,
}

/// For each column the ns per operation of its rounds; none where it has no such thing.
pub(crate) type Row = Vec<Vec<f64>>;

/// Measures the workloads whose name the options do not filter out, and prints the table. `what` is an operation's name.
pub fn table<S>(options: &Options, what: &str, workloads: &[Workload<S>], columns: &[Column<S>]) {
    let chosen: Vec<_> = workloads.iter().filter(|workload| workload.name.contains(&options.filter)).collect();
    if chosen.is_empty() {
        return;
    }
    report::head(columns, options.rounds, what);
    for workload in chosen {
        report::row(workload.name, columns, &measure(workload, columns, options));
    }
}

fn measure<S>(workload: &Workload<S>, columns: &[Column<S>], options: &Options) -> Row {
    let operations: Vec<_> = columns.iter().map(|column| warm_up(workload, column, options.run)).collect();
    let mut row = vec![Vec::new(); columns.len()];
    for _ in 0..options.rounds {
        for ((column, operations), times) in columns.iter().zip(&operations).zip(&mut row) {
            if let Some(operations) = *operations
                && let Some(elapsed) = (column.run)(&workload.shape, operations)
            {
                times.push(elapsed.as_nanos() as f64 / operations as f64);
            }
        }
    }
    row
}

/// Runs the cell, untimed, with ever more operations; from the last of these, how many fill a run of `length`.
fn warm_up<S>(workload: &Workload<S>, column: &Column<S>, length: Duration) -> Option<usize> {
    let mut operations = workload.least;
    loop {
        let elapsed = (column.run)(&workload.shape, operations)?;
        if elapsed >= length / 8 || operations >= workload.most {
            let wanted = operations as f64 * length.as_secs_f64() / elapsed.as_secs_f64();
            return Some((wanted as usize).clamp(workload.least, workload.most));
        }
        operations *= 4;
    }
}
