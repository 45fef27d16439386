//! What we want to be, as ratios in the same run.

use crate::{contender::GO, rounds::Run, workload::more_is_better};
use greenlight_benches::Spread;

/// What is wanted of a figure.
pub(crate) enum Want {
    /// So many times as good as this peer.
    Times(f64, &'static str),
    AtMost(f64),
    AtLeast(f64),
}

use Want::*;

/// A goal.
pub(crate) struct Goal {
    pub(crate) row: &'static str,
    pub(crate) metric: &'static str,
    pub(crate) who: &'static str,
    pub(crate) want: Want,
}

const fn times_go(row: &'static str, times: f64) -> Goal {
    green(row, "ns/op", Times(times, GO))
}

const fn green(row: &'static str, metric: &'static str, want: Want) -> Goal {
    Goal { row, metric, who: "greenlight", want }
}

pub(crate) const GOALS: &[Goal] = &[
    times_go("yield", 6.0),
    times_go("pingpong", 1.0),
    times_go("pingpong@1", 4.0),
    times_go("unbuf", 3.0),
    times_go("spsc", 3.0),
    times_go("mpsc", 2.0),
    times_go("mpmc", 2.0),
    times_go("mpmc100", 2.0),
    times_go("unbuf100", 3.0),
    times_go("chan_uncontended", 2.0),
    times_go("try_empty", 4.0),
    times_go("select2", 3.0),
    times_go("select8", 3.0),
    times_go("spawn", 5.0),
    times_go("spawn_join", 5.0),
    green("skynet", "ms", Times(6.0, GO)),
    green("fib", "ms", Times(5.0, GO)),
    green("million", "bytes/task", AtMost(4_700.0)),
    green("million", "create ms", Times(1.0, GO)),
    green("million", "release ms", Times(1.0, GO)),
    Goal { row: "million", metric: "bytes/task", who: "greenlight-async", want: AtMost(200.0) },
    times_go("mutex1", 1.0),
    times_go("mutex8", 1.5),
    times_go("rwread", 1.5),
    times_go("wg", 1.2),
    green("sieve", "ms", Times(3.0, GO)),
    green("timers", "cpu ms", Times(2.0, GO)),
    green("pipeline", "x", AtLeast(1.8)),
    green("pool", "x", AtLeast(1.8)),
    green("echo", "req/s", Times(1.25, GO)),
    green("echo", "req/s", Times(1.05, "tokio")),
];

impl Goal {
    /// What was reached, in the terms of the goal: None if it was not measured.
    pub(crate) fn reached(&self, run: &Run) -> Option<f64> {
        self.reached_by(run, |spread| spread.median)
    }

    /// The same, of everybody's best round: what others do on the machine falsifies it less.
    pub(crate) fn reached_at_best(&self, run: &Run) -> Option<f64> {
        self.reached_by(run, if more_is_better(self.metric) { |spread| spread.most } else { |spread| spread.least })
    }

    fn reached_by(&self, run: &Run, pick: fn(Spread) -> f64) -> Option<f64> {
        let row = run.rows.iter().find(|row| row.name == self.row)?;
        let ours = pick(run.spread(row, self.metric, self.who)?);
        match self.want {
            Times(_, peer) => Some(times(self.metric, ours, pick(run.spread(row, self.metric, peer)?))),
            AtMost(_) | AtLeast(_) => Some(ours),
        }
    }

    pub(crate) fn is_met(&self, reached: f64) -> bool {
        match self.want {
            Times(least, _) | AtLeast(least) => reached >= least,
            AtMost(most) => reached <= most,
        }
    }
}

/// How many times as good one figure is as another.
pub(crate) fn times(metric: &str, ours: f64, theirs: f64) -> f64 {
    if more_is_better(metric) { ours / theirs } else { theirs / ours }
}
