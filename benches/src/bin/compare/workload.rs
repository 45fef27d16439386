//! The workloads: what all peers do. How each is done stands in `peer/` and in `go/`.

/// A workload, by what its program and the table must know of it.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// In a few words.
    pub(crate) what: &'static str,
    pub(crate) group: Group,
    /// How many workers it has whatever is asked for.
    pub(crate) workers: Option<usize>,
    /// How often a process repeats it.
    pub(crate) repeats: usize,
    pub(crate) warm_up: bool,
    /// Whether the speed-up over one worker is told too.
    pub(crate) speed_up: bool,
    /// What part of the full scale makes a run of some tenths of a second.
    pub(crate) share: f64,
}

/// Which chart it stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    Channels,
    Tasks,
    Locks,
    Programs,
}

impl Group {
    pub(crate) const ALL: [Self; 4] = [Self::Channels, Self::Tasks, Self::Locks, Self::Programs];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Channels => "channels",
            Self::Tasks => "tasks",
            Self::Locks => "locks",
            Self::Programs => "programs",
        }
    }
}

use Group::*;

const fn row(name: &'static str, group: Group, share: f64, what: &'static str) -> Workload {
    Workload { name, what, group, workers: None, repeats: 5, warm_up: true, speed_up: false, share }
}

const fn speed_up(name: &'static str, share: f64, what: &'static str) -> Workload {
    Workload { speed_up: true, repeats: 3, ..row(name, Programs, share, what) }
}

pub(crate) const WORKLOADS: &[Workload] = &[
    Workload { workers: Some(1), ..row("yield", Tasks, 0.5, "2 tasks on 1 worker yield in turn") },
    row("pingpong", Channels, 0.4, "2 tasks, 2 unbuffered channels: a round trip"),
    row("unbuf", Channels, 0.4, "1 producer, 1 consumer, unbuffered"),
    row("spsc", Channels, 0.4, "1 producer, 1 consumer, capacity 128"),
    row("mpsc", Channels, 0.5, "4 producers, 1 consumer, capacity 128"),
    row("mpmc", Channels, 0.4, "4 producers, 4 consumers, capacity 128"),
    row("mpmc100", Channels, 0.4, "100 producers, 100 consumers, capacity 10"),
    row("unbuf100", Channels, 0.2, "100 producers, 100 consumers, unbuffered"),
    row("chan_uncontended", Channels, 0.3, "one task, capacity 128: 128 sends, 128 receives"),
    row("try_empty", Channels, 0.5, "try_recv on an empty channel"),
    row("select2", Channels, 0.2, "2 producers, 2 unbuffered channels, one select"),
    row("select8", Channels, 0.2, "8 producers, 8 channels of capacity 1, one select"),
    row("spawn", Tasks, 0.2, "1,000 empty tasks, wait for all"),
    row("spawn_join", Tasks, 0.3, "one task that returns a value, joined"),
    row("skynet", Tasks, 1.0, "a tree of tasks down to 1,000,000 leaves, sums over channels"),
    row("fib", Tasks, 1.0, "fib(23), a task for each left call"),
    // The memory of a process grows once.
    Workload { repeats: 1, warm_up: false, ..row("million", Tasks, 1.0, "1,000,000 tasks parked on one receive") },
    row("mutex1", Locks, 0.3, "lock and unlock, nobody else"),
    row("mutex8", Locks, 1.0, "8 tasks add to one number"),
    row("rwread", Locks, 0.5, "4 tasks take a read lock, no writer"),
    row("wg", Locks, 0.3, "add to a wait group and take it back"),
    row("sieve", Programs, 1.0, "concurrent prime sieve, 2,000 primes, unbuffered"),
    Workload { warm_up: false, repeats: 3, ..row("timers", Programs, 1.0, "100,000 tasks sleep 0..100 ms") },
    speed_up("pipeline", 0.05, "8 stages of 1 us each, capacity 16"),
    speed_up("pool", 0.1, "1 producer, 8 workers of 2 us, 1 collector"),
    Workload {
        warm_up: false,
        repeats: 1,
        ..row("hog", Programs, 1.0, "2 tasks spin for 2 s, a third sleeps 1 ms at a time")
    },
    Workload {
        warm_up: false,
        repeats: 1,
        ..row("blocking", Programs, 1.0, "64 tasks make 5 system calls of 20 ms, as their library would have it")
    },
    row("echo", Programs, 0.02, "TCP echo on loopback: 64 clients, 64 bytes"),
];

/// The workload of this name.
pub(crate) fn find(name: &str) -> Option<&'static Workload> {
    WORKLOADS.iter().find(|workload| workload.name == name)
}

/// Whether more of this metric is better.
pub(crate) fn more_is_better(metric: &str) -> bool {
    matches!(metric, "x" | "req/s" | "ticks")
}
