//! The measurements so far, and how the next group comes to them.

use crate::{
    group::{Group, Line},
    options::Options,
};
use greenlight_benches::{
    Spread, figures,
    load::{Moment, Others},
};
use std::{
    env, fs,
    process::Command,
    time::{Duration, Instant},
};

pub(crate) struct Run {
    pub(crate) about: Vec<(&'static str, String)>,
    pub(crate) charts: Vec<Chart>,
    pub(crate) failures: Vec<String>,
    /// The last first.
    left: Vec<&'static Group>,
    most: usize,
    enough: Duration,
    limit: Duration,
}

/// A group that was measured.
pub(crate) struct Chart {
    pub(crate) group: &'static Group,
    /// In rising order. Empty, if all failed.
    pub(crate) sizes: Vec<Size>,
}

/// What was measured at one size.
pub(crate) struct Size {
    pub(crate) size: usize,
    pub(crate) others: Others,
    /// Line and nanoseconds for each operation.
    figures: Vec<(String, f64)>,
}

impl Run {
    pub(crate) fn new(options: &Options, about: Vec<(&'static str, String)>) -> Self {
        Self {
            about,
            charts: Vec::new(),
            failures: Vec::new(),
            left: options.groups.iter().rev().copied().collect(),
            most: options.most,
            enough: options.enough,
            limit: options.limit,
        }
    }

    /// Measures one more group; false if there is none.
    pub(crate) fn group(&mut self) -> bool {
        let Some(group) = self.left.pop() else { return false };
        let start = Instant::now();
        let mut sizes = Vec::new();
        for size in group.sizes.iter().copied().filter(|size| *size <= self.most) {
            match self.point(group, size) {
                Ok(point) => sizes.push(point),
                Err(why) => self.failures.push(format!("{}, {size} {}: {why}", group.name, group.of)),
            }
        }
        eprintln!("{}: {:.0} s", group.name, start.elapsed().as_secs_f64());
        self.charts.push(Chart { group, sizes });
        true
    }

    fn point(&self, group: &Group, size: usize) -> Result<Size, String> {
        // Half as much again: the system needs some of it, too.
        let (needed, available) = (size * group.memory / 2 * 3, available_memory());
        if needed > available {
            let mib = |bytes| bytes >> 20;
            return Err(format!("left out: it needs {} MiB, and there are {}", mib(needed), mib(available)));
        }
        let program = env::current_exe().map_err(|error| error.to_string())?;
        let words = [group.name.to_owned(), size.to_string(), self.enough.as_secs_f64().to_string()];
        let moment = Moment::now();
        let figures = figures(Command::new(program).arg("point").args(words), self.limit)?;
        let unknown = |(name, _): &&(String, f64)| group.lines.iter().all(|line| line.name != name);
        match figures.iter().find(unknown) {
            Some((name, _)) => Err(format!("there is no line {name}")),
            None => Ok(Size { size, others: moment.others(), figures }),
        }
    }
}

impl Size {
    /// All repeats of a line: none if it is not measured at this size.
    pub(crate) fn samples(&self, line: &Line) -> impl Iterator<Item = f64> {
        self.figures.iter().filter(|(name, _)| name == line.name).map(|(_, value)| *value)
    }

    pub(crate) fn spread(&self, line: &Line) -> Option<Spread> {
        Spread::of(self.samples(line))
    }
}

impl Chart {
    /// The least of each size at which the line was measured: what others do on the machine falsifies it least.
    pub(crate) fn best(&self, line: &Line) -> Vec<(usize, f64)> {
        self.sizes.iter().filter_map(|size| Some((size.size, size.spread(line)?.least))).collect()
    }
}

/// In bytes.
fn available_memory() -> usize {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<usize>().ok()).map_or(usize::MAX, |kb| kb << 10)
}
