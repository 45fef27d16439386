//! How the cost of an operation grows with how many there are: tasks, channels of a select, timers, workers. Ours alone.
//!
//! ```text
//!   growth ─▶ group: tasks, select, timers, workers ─▶ size: 1, 10, 100 … ─▶ growth.md, growth.json, a chart for each group
//!                                                       │
//!                                                       a process: each line of the group at this size, a few repeats
//! ```
//!
//! ```text
//! cargo run --release -p greenlight-benches --bin growth [-- OPTIONS]
//! ```
//!
//! `--help` tells the options. A process for each size, so that none runs among what another has left behind, and one at a time: a
//! million green threads take 5 GB. A size for which there is not enough memory is left out, and the report says so.
//!
//! What is measured of one operation *must not grow*, unless its line says that it must. So on a chart whose scales are both
//! logarithmic, a flat line is good, and a slope is a question. Caches and page tables give an answer that no program can change: a
//! million stacks lie on a million pages.

mod chart;
mod group;
mod json;
mod markdown;
mod options;
mod point;
mod run;
mod select;
mod tasks;
mod timers;
mod workers;

use greenlight_benches::facts;
use options::{Command, Options};
use run::Run;
use std::{fs, io, path::Path, process::exit};

fn main() {
    match options::read() {
        Command::Point { group, point } => (group.run)(&point),
        Command::Report(options) => report(&options),
    }
}

fn report(options: &Options) {
    let mut about = facts();
    about.push(("time for each line at each size", format!("{:?}", options.enough)));
    let mut run = Run::new(options, about);
    // After each group, so that one who stops it has what there is.
    while run.group() {
        if let Err(error) = write(&options.out, &run) {
            eprintln!("cannot write to {}: {error}", options.out.display());
            exit(2);
        }
    }
    println!("{}", options.out.join("growth.md").display());
    if !run.failures.is_empty() {
        run.failures.iter().for_each(|failure| eprintln!("{failure}"));
        exit(1);
    }
}

fn write(out: &Path, run: &Run) -> io::Result<()> {
    fs::create_dir_all(out)?;
    fs::write(out.join("growth.md"), markdown::report(run))?;
    fs::write(out.join("growth.json"), json::report(run))?;
    chart::write(out, run)
}
