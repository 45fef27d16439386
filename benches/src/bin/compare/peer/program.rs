//! What a peer's program does with its workload: a warm-up, five repeats, the median of each figure.

use super::Peer;
use crate::workload::{self, WORKLOADS, Workload};
use std::{
    fmt,
    process::{Command, exit},
    time::{Duration, Instant},
};

/// The figures of one run, by metric.
pub(crate) type Figures = Vec<(&'static str, f64)>;

/// How large a run is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) workers: usize,
    pub(crate) scale: f64,
    /// After this time no further repeat begins.
    pub(crate) enough: Duration,
}

impl Size {
    /// So many of what the workload has `full` of at scale 1.
    pub(crate) fn of(&self, full: usize) -> usize {
        ((full as f64 * self.scale) as usize).max(1)
    }
}

/// Ends the process if a workload's result is not what it must be.
pub(crate) fn check<T: PartialEq + fmt::Debug>(what: &str, result: T, expected: T) {
    if result != expected {
        eprintln!("wrong result: {what} is {result:?}, not {expected:?}");
        exit(1);
    }
}

/// The program of a peer: `arguments` are what stands behind its name. Prints `NAME<TAB>METRIC<TAB>VALUE`.
pub(crate) fn run(peer: &'static Peer, arguments: &[String]) {
    let (name, size) = parse(peer, arguments);
    let has = |workload: &&Workload| peer.workload(workload.name).is_some();
    match name.as_str() {
        "list" => WORKLOADS.iter().filter(has).for_each(|workload| println!("{}", workload.name)),
        // A process each: else one would run among what the last has left behind.
        "all" => WORKLOADS.iter().filter(has).for_each(|workload| print!("{}", itself(peer, workload.name, &size))),
        name => match workload::find(name).filter(has) {
            Some(workload) => one(peer, workload, size),
            None => {
                let why = peer.absent.iter().find(|(absent, _)| *absent == name).map_or("", |(_, why)| why);
                usage(peer, &format!("no workload {name}{}{why}", if why.is_empty() { "" } else { ": " }));
            }
        },
    }
}

fn parse(peer: &Peer, arguments: &[String]) -> (String, Size) {
    let mut size = Size { workers: 2, scale: 1.0, enough: Duration::MAX };
    let mut name = None;
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--workers" => match arguments.next().and_then(|value| value.parse().ok()) {
                Some(workers) if workers > 0 => size.workers = workers,
                _ => usage(peer, "--workers wants a number, 1 or more"),
            },
            "--scale" => match arguments.next().and_then(|value| value.parse().ok()) {
                Some(scale) if scale > 0.0 => size.scale = scale,
                _ => usage(peer, "--scale wants a number over 0"),
            },
            "--enough" => match arguments.next().and_then(|value| value.parse().ok()) {
                Some(seconds) if (0.0..1e9).contains(&seconds) => size.enough = Duration::from_secs_f64(seconds),
                _ => usage(peer, "--enough wants seconds"),
            },
            flag if flag.starts_with('-') => usage(peer, &format!("unknown option {flag}")),
            other if name.is_none() => name = Some(other.to_owned()),
            other => usage(peer, &format!("{other}: one workload at a time")),
        }
    }
    let Some(name) = name else { usage(peer, "which workload?") };
    (name, size)
}

fn usage(peer: &Peer, message: &str) -> ! {
    eprintln!("{message}\ncompare peer {} WORKLOAD|list|all [--workers W] [--scale F] [--enough SECONDS]", peer.name);
    exit(2)
}

fn one(peer: &'static Peer, workload: &Workload, mut size: Size) {
    let run = peer.workload(workload.name).expect("has it");
    size.workers = workload.workers.unwrap_or(size.workers);
    if workload.warm_up {
        run(&Size { scale: size.scale / 10.0, ..size });
    }
    let start = Instant::now();
    let mut repeats = vec![run(&size)];
    while repeats.len() < workload.repeats && start.elapsed() < size.enough {
        repeats.push(run(&size));
    }
    let mut figures = medians(&repeats);
    if workload.speed_up && size.workers > 1 {
        let own = figures.first().expect("a figure").1;
        figures.push(("x", on_one_worker(peer, workload, &size) / own));
    }
    for (metric, value) in figures {
        println!("{}\t{metric}\t{value}", workload.name);
    }
}

/// Of each metric the median, but of those that only the first run can tell, that one.
fn medians(repeats: &[Figures]) -> Figures {
    let median = |(metric, _): &(&'static str, f64)| {
        let mut values: Vec<f64> =
            repeats.iter().flatten().filter(|(other, _)| other == metric).map(|(_, value)| *value).collect();
        values.sort_unstable_by(f64::total_cmp);
        (*metric, values[values.len() / 2])
    };
    let mut metrics: Figures = Vec::new();
    for figure in repeats.iter().flatten() {
        if !metrics.iter().any(|(metric, _)| *metric == figure.0) {
            metrics.push(*figure);
        }
    }
    metrics.iter().map(median).collect()
}

/// The workload's first figure with one worker. Not every peer can have two sizes of itself in one process.
fn on_one_worker(peer: &Peer, workload: &Workload, size: &Size) -> f64 {
    let output = itself(peer, workload.name, &Size { workers: 1, ..*size });
    let value = output.lines().next().and_then(|line| line.split('\t').nth(2)).and_then(|value| value.parse().ok());
    value.unwrap_or_else(|| panic!("{} with one worker printed {output:?}", workload.name))
}

fn itself(peer: &Peer, name: &str, size: &Size) -> String {
    let output = std::env::current_exe()
        .and_then(|program| {
            let (workers, scale) = (size.workers.to_string(), size.scale.to_string());
            let arguments = ["peer", peer.name, name, "--workers", &workers, "--scale", &scale];
            let enough =
                (size.enough < Duration::MAX).then(|| ["--enough".to_owned(), size.enough.as_secs_f64().to_string()]);
            Command::new(program)
                .args(arguments)
                .args(enough.into_iter().flatten())
                .stderr(std::process::Stdio::inherit())
                .output()
        })
        .unwrap_or_else(|error| panic!("cannot start this program anew: {error}"));
    if !output.status.success() {
        eprintln!("{} {name}: {}", peer.name, output.status);
        exit(1);
    }
    String::from_utf8(output.stdout).expect("text")
}
