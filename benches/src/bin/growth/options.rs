//! The command line.

use crate::{
    group::{GROUPS, Group},
    point::Point,
};
use std::{env, path::PathBuf, process::exit, time::Duration};

const USAGE: &str = "\
growth [OPTIONS]
  --quick            at most 100,000 of anything, and a short time for each: done within a minute
  --only A,B,…       these groups: tasks, select, timers, workers
  --most N           no size beyond this
  --enough SECONDS   for how long each line is measured at each size: 0.5
  --limit SECONDS    how long one size of a group may take before it counts as hung: 300
  --out DIR          where growth.md, growth.json and the charts go: target/growth
growth point GROUP SIZE SECONDS
  measures one size of a group, in this process";

pub(crate) enum Command {
    Point { group: &'static Group, point: Point },
    Report(Options),
}

/// What was asked for.
pub(crate) struct Options {
    pub(crate) groups: Vec<&'static Group>,
    pub(crate) most: usize,
    pub(crate) enough: Duration,
    pub(crate) limit: Duration,
    pub(crate) out: PathBuf,
}

/// Reads the command line, or ends the process.
pub(crate) fn read() -> Command {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["point", name, size, enough] => {
            let (size, enough) = (number("SIZE", size, 1.0) as usize, seconds("SECONDS", enough));
            Command::Point { group: group(name), point: Point { size, enough } }
        }
        _ => Command::Report(options(&words)),
    }
}

fn options(words: &[&str]) -> Options {
    if words.iter().any(|word| ["--help", "-h"].contains(word)) {
        println!("{USAGE}");
        exit(0);
    }
    let quick = words.contains(&"--quick");
    let mut options = Options {
        groups: GROUPS.iter().collect(),
        most: if quick { 100_000 } else { usize::MAX },
        enough: Duration::from_millis(if quick { 50 } else { 500 }),
        limit: Duration::from_secs(300),
        out: PathBuf::from("target/growth"),
    };
    let mut words = words.iter().filter(|word| **word != "--quick");
    while let Some(flag) = words.next() {
        let mut value = || *words.next().unwrap_or_else(|| usage(&format!("{flag} wants a value")));
        match *flag {
            "--only" => options.groups = value().split(',').map(group).collect(),
            "--most" => options.most = number(flag, value(), 1.0) as usize,
            "--enough" => options.enough = seconds(flag, value()),
            "--limit" => options.limit = seconds(flag, value()),
            "--out" => options.out = value().into(),
            _ => usage(&format!("unknown option {flag}")),
        }
    }
    options
}

fn group(name: &str) -> &'static Group {
    GROUPS.iter().find(|group| group.name == name).unwrap_or_else(|| usage(&format!("no group {name}")))
}

fn seconds(flag: &str, value: &str) -> Duration {
    Duration::from_secs_f64(number(flag, value, 0.0).min(1e6))
}

fn number(flag: &str, value: &str, least: f64) -> f64 {
    match value.parse() {
        Ok(number) if number >= least && f64::is_finite(number) => number,
        _ => usage(&format!("{flag} wants a number, {least} or more, not {value}")),
    }
}

fn usage(message: &str) -> ! {
    eprintln!("{message}\n\n{USAGE}");
    exit(2)
}
