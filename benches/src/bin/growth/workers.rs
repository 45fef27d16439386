//! How many workers there are, more than CPUs at last.

use crate::{
    group::{Group, flat},
    point::{Point, tell},
    tasks::{Pair, TURNS},
};
use greenlight::{Runtime, WaitGroup, go, yield_now};
use greenlight_benches::process;
use std::{sync::Arc, time::Instant};

const YIELD: &str = "yield";
const YIELD_CPU: &str = "yield, CPU time";
const PAIR: &str = "message to and fro";
const PAIR_CPU: &str = "message to and fro, CPU time";
const SPAWN: &str = "start and end";
const SPAWN_CPU: &str = "start and end, CPU time";

pub(crate) const GROUP: Group = Group {
    name: "workers",
    of: "workers",
    how: "A runtime of so many workers, on the CPUs that there are: the time that passes, and the CPU time of all threads of the \
          process, those too that look for work.",
    sizes: &[1, 2, 4, 8, 16],
    memory: 1 << 20,
    lines: &[
        flat(YIELD, "a yield, by 32 green threads, all of whose yields are counted"),
        flat(YIELD_CPU, "the same"),
        flat(PAIR, "a message between two green threads, which wait for each other"),
        flat(PAIR_CPU, "the same"),
        flat(SPAWN, "to start a green thread that does nothing, of a thousand for whose end one waits"),
        flat(SPAWN_CPU, "the same"),
    ],
    run: measure,
};

const YIELDERS: usize = 32;
const YIELDS: usize = 1_000;
const STARTED: usize = 1_000;

fn measure(point: &Point) {
    let runtime = Runtime::builder().workers(point.size).build().expect("a runtime");
    let point = *point;
    runtime.run(move || {
        both(&point, [YIELD, YIELD_CPU], YIELDERS * YIELDS, || {
            let tasks = [(); YIELDERS].map(|()| go(|| (0..YIELDS).for_each(|_| yield_now())));
            tasks.into_iter().for_each(|task| task.join().expect("no panic"));
        });
        let pair = Pair::with(|answer| _ = go(answer));
        both(&point, [PAIR, PAIR_CPU], 2 * TURNS, || pair.play());
        let group = Arc::new(WaitGroup::new());
        both(&point, [SPAWN, SPAWN_CPU], STARTED, || {
            (0..STARTED).for_each(|_| _ = group.go(|| ()));
            group.wait();
        });
    });
}

/// Measures what passes and what is used, each as a line.
fn both(point: &Point, [wall, cpu]: [&str; 2], operations: usize, mut work: impl FnMut()) {
    point.repeat(wall, operations, || {
        let (used, start) = (process::cpu_time(), Instant::now());
        work();
        let passed = start.elapsed();
        tell(cpu, process::cpu_time() - used, operations);
        passed
    });
}
