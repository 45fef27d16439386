//! The rounds that fill the cells.

use crate::{
    contender::Contender,
    options::{Options, usage},
    workload::{WORKLOADS, Workload},
};
use greenlight_benches::{
    Spread, figures,
    load::{self, Moment, Others},
};
use std::{
    io::{self, IsTerminal},
    process::Command,
    time::{Duration, Instant},
};

/// A line of the table: a workload, and with how many workers.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) workload: &'static Workload,
    workers: usize,
    scale: f64,
    /// In the order of the contenders.
    pub(crate) cells: Vec<Cell>,
}

/// What a contender does in a row, one sample for each round.
#[derive(Default)]
pub(crate) struct Cell {
    pub(crate) samples: Vec<Sample>,
    /// Why there are no more.
    pub(crate) failure: Option<String>,
}

/// A run of a program.
pub(crate) struct Sample {
    pub(crate) figures: Vec<(String, f64)>,
    /// How long the whole run took.
    pub(crate) seconds: f64,
    pub(crate) others: Others,
}

/// The rounds so far.
pub(crate) struct Run {
    pub(crate) contenders: Vec<Contender>,
    pub(crate) rows: Vec<Row>,
    pub(crate) rounds: usize,
    pub(crate) scale: f64,
    pub(crate) workers: usize,
    wanted: usize,
    retries: usize,
    /// What stands behind the name of a workload beside the size: how long a program is to repeat it.
    enough: Option<Duration>,
    limit: Duration,
    budget: Duration,
    start: Instant,
}

/// Rows beside the one that each workload has by itself.
const WITH_ONE_WORKER: &[&str] = &["pingpong"];

impl Run {
    pub(crate) fn new(options: &Options, contenders: Vec<Contender>) -> Self {
        let row = |workload: &'static Workload, name: String, workers| Row {
            name,
            workload,
            workers,
            // A crowd is measured by what its memory costs, which a small one does not show; a hog by how long it lasts.
            scale: match workload.name {
                "blocking" => 1.0,
                "hog" if options.quick => 0.25,
                "fib" | "mutex8" if options.quick => 0.5,
                "skynet" | "timers" if options.quick => options.scale,
                "million" if options.quick => options.scale / 2.0,
                _ => options.scale * workload.share,
            },
            cells: contenders.iter().map(|_| Cell::default()).collect(),
        };
        let mut rows = Vec::new();
        for workload in WORKLOADS {
            rows.push(row(workload, workload.name.to_owned(), options.workers));
            if WITH_ONE_WORKER.contains(&workload.name) {
                rows.push(row(workload, format!("{}@1", workload.name), 1));
            }
        }
        if let Some(unknown) = options.only.iter().find(|name| rows.iter().all(|row| row.name != **name)) {
            let names: Vec<_> = rows.iter().map(|row| row.name.as_str()).collect();
            usage(&format!("no workload {unknown}. There are {}", names.join(", ")));
        }
        rows.retain(|row| options.only.is_empty() || options.only.contains(&row.name));
        Self {
            contenders,
            rows,
            rounds: 0,
            scale: options.scale,
            workers: options.workers,
            wanted: options.rounds,
            retries: options.retries,
            enough: options.quick.then_some(Duration::from_millis(200)),
            limit: options.limit,
            budget: options.budget,
            start: Instant::now(),
        }
    }

    /// Runs every cell once more, as far as the time reaches; false if there were enough rounds, or there is no time for another.
    pub(crate) fn round(&mut self) -> bool {
        if self.rounds == self.wanted {
            return false;
        }
        if self.start.elapsed() >= self.budget {
            eprintln!("no time for all of the {} rounds", self.wanted);
            return false;
        }
        let begin = Instant::now();
        let (round, of) = (self.rounds + 1, self.wanted);
        for row in 0..self.rows.len() {
            if io::stderr().is_terminal() {
                eprint!("\rround {round} of {of}: {:<20}\r", self.rows[row].name);
            }
            for column in 0..self.contenders.len() {
                if self.start.elapsed() < self.budget {
                    self.cell(row, column);
                }
            }
        }
        eprintln!("round {round} of {of}: {:.0} s{:<20}", begin.elapsed().as_secs_f64(), "");
        self.rounds += 1;
        true
    }

    /// One more sample of a cell: of several tries the one that was disturbed least.
    fn cell(&mut self, row: usize, column: usize) {
        let contender = &self.contenders[column];
        let row = &mut self.rows[row];
        if row.cells[column].failure.is_some() || !contender.workloads.iter().any(|name| name == row.workload.name) {
            return;
        }
        let mut best: Option<Sample> = None;
        for again in 0..=self.retries {
            if again > 0 {
                load::wait_for_quiet(Duration::from_secs(1));
            }
            match sample(contender, row, self.enough, self.limit) {
                Ok(sample) => {
                    let done = !sample.others.disturb;
                    if best.as_ref().is_none_or(|best| sample.others.cpus < best.others.cpus) {
                        best = Some(sample);
                    }
                    if done {
                        break;
                    }
                }
                Err(message) => {
                    row.cells[column].failure = Some(message);
                    return;
                }
            }
        }
        row.cells[column].samples.extend(best);
    }

    /// The metrics of a row, in the order in which programs tell them.
    pub(crate) fn metrics<'a>(&self, row: &'a Row) -> Vec<&'a str> {
        let mut metrics = Vec::new();
        for (metric, _) in row.cells.iter().flat_map(|cell| &cell.samples).flat_map(|sample| &sample.figures) {
            if !metrics.contains(&metric.as_str()) {
                metrics.push(metric);
            }
        }
        metrics
    }

    /// The figures of one contender, by its name.
    pub(crate) fn spread(&self, row: &Row, metric: &str, contender: &str) -> Option<Spread> {
        let column = self.contenders.iter().position(|other| other.name == contender)?;
        row.cells[column].spread(metric)
    }

    /// What went wrong.
    pub(crate) fn failures(&self) -> impl Iterator<Item = String> {
        self.rows.iter().flat_map(|row| {
            row.cells.iter().zip(&self.contenders).filter_map(|(cell, contender)| {
                cell.failure.as_ref().map(|why| format!("{}, {}: {why}", row.name, contender.name))
            })
        })
    }
}

impl Cell {
    /// Of one metric, over the rounds.
    pub(crate) fn spread(&self, metric: &str) -> Option<Spread> {
        Spread::of(self.samples.iter().filter_map(|sample| sample.figure(metric)))
    }

    /// How many CPUs others kept busy in the median round, and whether more than half of the rounds were disturbed.
    pub(crate) fn others(&self) -> Option<(f64, bool)> {
        let mut cpus: Vec<f64> = self.samples.iter().map(|sample| sample.others.cpus).collect();
        cpus.sort_unstable_by(f64::total_cmp);
        let disturbed = self.samples.iter().filter(|sample| sample.others.disturb).count();
        Some((*cpus.get(cpus.len() / 2)?, 2 * disturbed > self.samples.len()))
    }
}

impl Sample {
    pub(crate) fn figure(&self, metric: &str) -> Option<f64> {
        self.figures.iter().find(|(name, _)| name == metric).map(|(_, value)| *value)
    }
}

/// Runs the program once.
fn sample(contender: &Contender, row: &Row, enough: Option<Duration>, limit: Duration) -> Result<Sample, String> {
    let (workers, scale) = (row.workers.to_string(), row.scale.to_string());
    let moment = Moment::now();
    let start = Instant::now();
    let figures = figures(
        Command::new(&contender.program)
            .args(&contender.arguments)
            .args([row.workload.name, "--workers", &workers, "--scale", &scale])
            .args(enough.into_iter().flat_map(|enough| ["--enough".to_owned(), enough.as_secs_f64().to_string()])),
        limit,
    )?;
    Ok(Sample { figures, seconds: start.elapsed().as_secs_f64(), others: moment.others() })
}
