//! Ourselves beside Go and the Rust peers: the same workloads, in turn, in one run, as tables and charts.
//!
//! ```text
//!   compare ─▶ round: row: A B C …  row: A B C …  ─▶ round: … ─▶ compare.md, compare.json, *.svg
//!                          │ │ │
//!                          each a process: its program, one workload, a few repeats, their median
//! ```
//!
//! ```text
//! cargo run --release -p greenlight-benches --bin compare [-- OPTIONS]
//! cargo run --release -p greenlight-benches --bin compare -- peer NAME WORKLOAD|list|all [--workers W] [--scale F]
//! ```
//!
//! `--help` tells the options. What each workload does stands in the README of this package.
//!
//! A round runs each cell once, so that what disturbs this machine for a while hits all peers alike and the medians drop it. What
//! others have done on the machine meanwhile is measured, and a cell that was disturbed is run again, a few times at most.
//!
//! The Rust peers are all in this executable: building it builds them. It runs itself, with the peer's name.

mod chart;
mod contender;
mod goals;
mod json;
mod machine;
mod markdown;
mod options;
mod peer;
mod rounds;
mod work;
mod workload;

use greenlight_benches::process;
use options::Options;
use std::{env, fs, io, path::Path, process::exit};

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "peer") {
        let Some((name, arguments)) = arguments[1..].split_first() else { fail("peer: which? One of", &names()) };
        let Some(peer) = peer::find(name) else { fail(&format!("no peer {name} in here. There are"), &names()) };
        return peer::run(peer, arguments);
    }
    let options = Options::read(&arguments);
    let contenders = contender::all(&options).unwrap_or_else(|message| fail(&message, &[]));
    let mut run = rounds::Run::new(&options, contenders);
    let about = machine::about(&run);
    // After each round, so that one who stops it has what there is.
    while run.round() {
        if let Err(error) = write(&options.out, &run, &about) {
            fail(&format!("cannot write to {}: {error}", options.out.display()), &[]);
        }
    }
    println!("{}", markdown::goals(&run));
    println!("{}", options.out.join("compare.md").display());
    if run.failures().count() > 0 {
        run.failures().for_each(|failure| eprintln!("{failure}"));
        exit(1);
    }
}

fn write(out: &Path, run: &rounds::Run, about: &machine::About) -> io::Result<()> {
    fs::create_dir_all(out)?;
    fs::write(out.join("compare.md"), markdown::report(run, about))?;
    fs::write(out.join("compare.json"), json::report(run, about))?;
    chart::write(out, run, about)
}

fn names() -> Vec<&'static str> {
    peer::PEERS.iter().map(|peer| peer.name).collect()
}

fn fail(message: &str, names: &[&str]) -> ! {
    eprintln!("{message} {}", names.join(", "));
    exit(2)
}
