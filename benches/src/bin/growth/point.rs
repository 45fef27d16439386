//! What a process does at one size of a group: repeats each line, and prints what an operation took.

use greenlight::Runtime;
use greenlight_benches::process;
use std::time::{Duration, Instant};

/// A size, and for how long each line is to be measured there.
#[derive(Clone, Copy)]
pub(crate) struct Point {
    pub(crate) size: usize,
    pub(crate) enough: Duration,
}

/// No line needs more repeats than this for its median.
const MOST: usize = 101;
/// What a repeat has to do so that reading the clock does not count.
const FEWEST: usize = 1_000;

impl Point {
    /// Runs the measurements as a green thread, alone on one worker, where nothing depends on who steals what.
    pub(crate) fn on_one_worker(&self, measure: impl FnOnce(Point) + Send + 'static) {
        let (runtime, point) = (Runtime::builder().workers(1).build().expect("a runtime"), *self);
        runtime.run(move || measure(point));
    }

    /// How often `size` operations are to be done in one repeat.
    pub(crate) fn rounds(&self) -> usize {
        FEWEST.div_ceil(self.size)
    }

    /// Measures a line: `once` does so many operations and returns what they took. The first time is to warm up. Then again until
    /// it was enough: three times if that does not take much longer, and once in any case.
    pub(crate) fn repeat(&self, line: &str, operations: usize, mut once: impl FnMut() -> Duration) {
        once();
        let start = Instant::now();
        for repeat in 1..=MOST {
            tell(line, once(), operations);
            if start.elapsed() >= if repeat < 3 { self.enough * 5 } else { self.enough } {
                break;
            }
        }
    }
}

/// Prints one measurement of a line.
pub(crate) fn tell(line: &str, time: Duration, operations: usize) {
    println!("growth\t{line}\t{}", time.as_nanos() as f64 / operations as f64);
}

/// How much CPU time of this process it takes. On one worker that is the time that passes, but for what others do on the machine.
pub(crate) fn timed(work: impl FnOnce()) -> Duration {
    let start = process::cpu_time();
    work();
    process::cpu_time() - start
}
