//! What is measured: groups, each of which grows by one thing, and their lines.

use crate::{point::Point, select, tasks, timers, workers};

/// One chart.
pub(crate) struct Group {
    pub(crate) name: &'static str,
    /// What grows.
    pub(crate) of: &'static str,
    /// How it was measured, in a sentence or two.
    pub(crate) how: &'static str,
    pub(crate) sizes: &'static [usize],
    /// What each of them takes of memory, in bytes.
    pub(crate) memory: usize,
    pub(crate) lines: &'static [Line],
    /// Measures all lines at one size.
    pub(crate) run: fn(&Point),
}

/// One line of a chart, in nanoseconds for an operation.
pub(crate) struct Line {
    pub(crate) name: &'static str,
    /// What an operation is.
    pub(crate) what: &'static str,
    /// It must not grow; or it must, by what the operation is.
    pub(crate) must_grow: bool,
}

/// A line that must not grow.
pub(crate) const fn flat(name: &'static str, what: &'static str) -> Line {
    Line { name, what, must_grow: false }
}

pub(crate) const GROUPS: &[Group] = &[tasks::GROUP, select::GROUP, timers::GROUP, workers::GROUP];

/// From one to a million.
pub(crate) const DECADES: &[usize] = &[1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];
