//! Channels beside their peers: the same workloads through eight columns, in turn, in one run.
//!
//! ```text
//! cargo run --release -p greenlight-benches --bin channels [-- [--quick] [--wide] [--rounds N] [filter]]
//!
//!   --quick    short runs and three rounds: for a first look
//!   --wide     values of 64 bytes instead of 8
//!   --rounds   how often each cell is measured, 5 if not said
//!   filter     only the rows whose name contains it
//! ```
//!
//! A cell shows the median of its rounds, and the shortest behind it, in ns for each message. Empty: the peer has no
//! such thing. The last column is our best column's median divided by the best peer's: below 1, ours is quicker. In
//! parentheses the same for our channels on OS threads, which is where the peers run. The strict channels stand beside:
//! they promise more than any peer.
//!
//! ```text
//!   row ─▶ warm up each column, and find out how many messages fill a run ─▶ round: A B C … ─▶ round: A B C … ─▶ print
//! ```
//!
//! In turn, so that a neighbour's burst of work on this machine hits a round of every column, and the median drops it.
//!
//! Rows in which OS threads sleep have two modes, far apart: where the kernel puts both sides on one CPU, a wake-up is
//! a switch (about 1 µs); where it puts them on two, the sleeper's CPU must be roused (tens of µs). The kernel chooses
//! anew in each round, so a median can stand in either mode: compare such cells by several runs, or by `taskset -c 0`,
//! which leaves one mode only.

mod peers;
mod report;
mod workloads;

use report::Row;
use std::{env, process::exit, time::Duration};
use workloads::{Column, WORKLOADS, Workload};

struct Options {
    rounds: usize,
    /// What one run of a cell is to take.
    run: Duration,
    wide: bool,
    filter: String,
}

fn main() {
    let options = options();
    let columns = if options.wide { workloads::columns::<[u64; 8]>() } else { workloads::columns::<u64>() };
    report::head(&columns, options.rounds, if options.wide { 64 } else { 8 });
    for workload in WORKLOADS.iter().filter(|workload| workload.name.contains(&options.filter)) {
        report::row(workload.name, &columns, &measure(workload, &columns, &options));
    }
    report::foot();
}

fn measure(workload: &Workload, columns: &[Column], options: &Options) -> Row {
    let messages: Vec<_> = columns.iter().map(|column| warm_up(workload, column, options.run)).collect();
    let mut row = vec![Vec::new(); columns.len()];
    for _ in 0..options.rounds {
        for ((column, messages), times) in columns.iter().zip(&messages).zip(&mut row) {
            if let Some(messages) = *messages
                && let Some(elapsed) = (column.run)(&workload.shape, messages)
            {
                times.push(elapsed.as_nanos() as f64 / messages as f64);
            }
        }
    }
    row
}

/// Runs the cell, untimed, with ever more messages; from the last of these, how many fill a run of `length`.
fn warm_up(workload: &Workload, column: &Column, length: Duration) -> Option<usize> {
    let mut messages = Workload::LEAST;
    loop {
        let elapsed = (column.run)(&workload.shape, messages)?;
        if elapsed >= length / 8 || messages >= workload.most() {
            let wanted = messages as f64 * length.as_secs_f64() / elapsed.as_secs_f64();
            return Some((wanted as usize).clamp(Workload::LEAST, workload.most()));
        }
        messages *= 4;
    }
}

fn options() -> Options {
    let (mut options, mut rounds) =
        (Options { rounds: 5, run: Duration::from_millis(100), wide: false, filter: String::new() }, None);
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => (options.rounds, options.run) = (3, Duration::from_millis(15)),
            "--wide" => options.wide = true,
            "--rounds" => match arguments.next().and_then(|number| number.parse().ok()).filter(|rounds| *rounds > 0) {
                Some(number) => rounds = Some(number),
                None => usage(),
            },
            "--bench" => {} // what `cargo bench` adds
            flag if flag.starts_with('-') => usage(),
            filter => options.filter = filter.into(),
        }
    }
    options.rounds = rounds.unwrap_or(options.rounds);
    options
}

fn usage() -> ! {
    eprintln!("channels [--quick] [--wide] [--rounds N] [filter]");
    exit(2);
}
