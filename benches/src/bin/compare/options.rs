//! The command line.

use std::{path::PathBuf, process::exit, time::Duration};

const USAGE: &str = "\
compare [OPTIONS]
  --quick            short runs, fewer peers, and of the rounds as many as fit: done within 3 minutes
  --only A,B,…       these workloads; `pingpong@1` is pingpong with one worker
  --peers A,B,…      these peers; names that end in a star mean all that begin so
  --rounds N         how often each cell is run: 5
  --scale F          how much of the work: 1
  --workers W        how many workers each runtime has: 2
  --retries N        how often a cell is run again that others have disturbed: 2
  --limit SECONDS    how long a program may take before it counts as hung: 120
  --out DIR          where compare.md, compare.json and the charts go: target/compare
  --go PATH          the go command: else the one on the PATH, and without that no Go
compare peer NAME WORKLOAD|list|all [--workers W] [--scale F]
  runs a Rust peer's program; the names are listed if NAME is none";

/// What was asked for.
pub(crate) struct Options {
    pub(crate) quick: bool,
    /// Empty: all.
    pub(crate) only: Vec<String>,
    pub(crate) peers: Vec<String>,
    pub(crate) rounds: usize,
    pub(crate) scale: f64,
    pub(crate) workers: usize,
    pub(crate) retries: usize,
    pub(crate) limit: Duration,
    /// When no further cell is to begin.
    pub(crate) budget: Duration,
    pub(crate) out: PathBuf,
    pub(crate) go: Option<PathBuf>,
}

impl Options {
    /// Reads them, or ends the process.
    pub(crate) fn read(arguments: &[String]) -> Self {
        if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
            println!("{USAGE}");
            exit(0);
        }
        let quick = arguments.iter().any(|argument| argument == "--quick");
        let mut options = Self {
            quick,
            only: Vec::new(),
            peers: Vec::new(),
            rounds: 5,
            scale: if quick { 0.1 } else { 1.0 },
            workers: 2,
            retries: if quick { 0 } else { 2 },
            limit: Duration::from_secs(if quick { 10 } else { 120 }),
            budget: if quick { Duration::from_secs(165) } else { Duration::MAX },
            out: PathBuf::from("target/compare"),
            go: None,
        };
        let mut arguments = arguments.iter();
        while let Some(flag) = arguments.next() {
            if flag == "--quick" {
                continue;
            }
            let mut value = || arguments.next().unwrap_or_else(|| usage(&format!("{flag} wants a value")));
            match flag.as_str() {
                "--only" => options.only = list(value()),
                "--peers" => options.peers = list(value()),
                "--rounds" => options.rounds = number(flag, value(), 1.0) as usize,
                "--scale" => options.scale = number(flag, value(), 1e-6),
                "--workers" => options.workers = number(flag, value(), 1.0) as usize,
                "--retries" => options.retries = number(flag, value(), 0.0) as usize,
                "--limit" => options.limit = Duration::from_secs_f64(number(flag, value(), 1.0)),
                "--out" => options.out = value().into(),
                "--go" => options.go = Some(value().into()),
                _ => usage(&format!("unknown option {flag}")),
            }
        }
        if quick && options.peers.is_empty() {
            let chosen = ["greenlight*", "go", "tokio", "may", "smol", "threads+crossbeam"];
            options.peers = chosen.map(str::to_owned).to_vec();
        }
        options
    }
}

fn list(value: &str) -> Vec<String> {
    value.split(',').map(str::to_owned).collect()
}

fn number(flag: &str, value: &str, least: f64) -> f64 {
    match value.parse() {
        Ok(number) if number >= least && f64::is_finite(number) => number,
        _ => usage(&format!("{flag} wants a number, {least} or more, not {value}")),
    }
}

pub(crate) fn usage(message: &str) -> ! {
    eprintln!("{message}\n\n{USAGE}");
    exit(2)
}
