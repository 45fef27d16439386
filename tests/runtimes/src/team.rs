//! The tasks of one workload on one host: started together, and every one of them heard of again.

use crate::Host;
use std::{
    future::Future,
    ops::{Add, AddAssign},
    sync::mpsc::{self, RecvTimeoutError},
    time::Duration,
};

/// After this long without a sign from any task, they hang. No test is about speed.
pub const HANG: Duration = Duration::from_secs(120);

/// How many numbers came, and what they add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
}

impl Tally {
    /// Of the numbers below `end`.
    pub fn below(end: u64) -> Self {
        Self { count: end, sum: (0..end).sum() }
    }
}

impl Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { count: self.count + other.count, sum: self.sum + other.sum }
    }
}

impl AddAssign<u64> for Tally {
    fn add_assign(&mut self, number: u64) {
        *self = *self + Self { count: 1, sum: number };
    }
}

impl FromIterator<u64> for Tally {
    fn from_iter<I: IntoIterator<Item = u64>>(numbers: I) -> Self {
        numbers.into_iter().fold(Self::default(), |mut tally, number| {
            tally += number;
            tally
        })
    }
}

/// Who produces, brings an empty tally.
impl From<()> for Tally {
    fn from((): ()) -> Self {
        Self::default()
    }
}

/// The tasks of one workload.
pub struct Team<'a> {
    host: &'a dyn Host,
    started: usize,
    report: mpsc::Sender<Tally>,
    reports: mpsc::Receiver<Tally>,
}

impl<'a> Team<'a> {
    /// Nobody yet.
    pub fn on(host: &'a dyn Host) -> Self {
        let (report, reports) = mpsc::channel();
        Self { host, started: 0, report, reports }
    }

    /// Starts a task.
    pub fn task<R: Into<Tally>>(&mut self, task: impl Future<Output = R> + Send + 'static) {
        self.started += 1;
        let report = self.report.clone();
        self.host.spawn(Box::pin(async move {
            let _ = report.send(task.await.into());
        }));
    }

    /// Starts a call that may block.
    pub fn call<R: Into<Tally>>(&mut self, call: impl FnOnce() -> R + Send + 'static) {
        self.started += 1;
        let report = self.report.clone();
        self.host.block(Box::new(move || {
            let _ = report.send(call().into());
        }));
    }

    /// Waits until all have ended: what they received together.
    ///
    /// # Panics
    ///
    /// If one of them panicked, or they hang.
    pub fn finish(self) -> Tally {
        let Self { host, started, report, reports } = self;
        drop(report);
        let mut total = Tally::default();
        for ended in 0..started {
            match reports.recv_timeout(HANG) {
                Ok(tally) => total = total + tally,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("{}: {} of {started} tasks hang", host.name(), started - ended)
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("{}: a task panicked, or was dropped before its end", host.name())
                }
            }
        }
        total
    }
}
