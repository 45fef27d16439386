//! A few workloads on green threads, beside crossbeam-channel on OS threads: rounds in turn, the median of five.
//!
//! ```text
//! cargo run --release -p greenlight-benches
//! ```

use greenlight::{Runtime, WaitGroup, channel, go, yield_now};
use std::{
    hint::black_box,
    thread,
    time::{Duration, Instant},
};

const ROUNDS: usize = 5;

struct Workload {
    name: &'static str,
    operations: u32,
    ours: fn(u32),
    /// The same work by the peer, if it has the like.
    peer: Option<fn(u32)>,
}

const WORKLOADS: &[Workload] = &[
    Workload { name: "pair, capacity 128, one task", operations: 4_000_000, ours: ours_pair, peer: Some(peer_pair) },
    Workload {
        name: "1 to 1, unbuffered",
        operations: 300_000,
        ours: |n| ours_pipe(0, n),
        peer: Some(|n| peer_pipe(0, n)),
    },
    Workload {
        name: "1 to 1, capacity 128",
        operations: 2_000_000,
        ours: |n| ours_pipe(128, n),
        peer: Some(|n| peer_pipe(128, n)),
    },
    Workload { name: "try_recv, empty", operations: 5_000_000, ours: ours_try, peer: Some(peer_try) },
    Workload { name: "spawn, wait for all", operations: 200_000, ours: ours_spawn, peer: None },
    Workload { name: "spawn and join", operations: 100_000, ours: ours_spawn_join, peer: None },
    Workload { name: "yield, two tasks", operations: 1_000_000, ours: ours_yield, peer: None },
];

fn main() {
    let all = thread::available_parallelism().map_or(1, usize::from);
    println!("ns per operation, median of {ROUNDS}; greenlight with 1 and with {all} workers\n");
    println!("| workload | greenlight, 1 | greenlight, {all} | crossbeam, OS threads |");
    println!("|---|---|---|---|");
    let runtimes = [1, all].map(|workers| Runtime::builder().workers(workers).build().expect("a runtime"));
    for workload in WORKLOADS {
        let mut times = [const { Vec::new() }; 3];
        for _ in 0..ROUNDS {
            for (runtime, times) in runtimes.iter().zip(&mut times) {
                let (ours, n) = (workload.ours, workload.operations);
                times.push(runtime.run(move || timed(|| ours(n))));
            }
            if let Some(peer) = workload.peer {
                times[2].push(timed(|| peer(workload.operations)));
            }
        }
        let [one, many, peer] = times.map(|times| median(times, workload.operations));
        println!("| {} | {one} | {many} | {peer} |", workload.name);
    }
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn median(mut times: Vec<Duration>, operations: u32) -> String {
    times.sort_unstable();
    let middle = times.get(times.len() / 2);
    middle.map_or_else(String::new, |time| format!("{:.1}", time.as_nanos() as f64 / f64::from(operations)))
}

fn ours_pair(n: u32) {
    let (tx, rx) = channel::bounded(128);
    for _ in 0..n / 128 {
        (0..128_u64).for_each(|i| tx.send(i).unwrap());
        (0..128).for_each(|_| _ = black_box(rx.recv()));
    }
}

fn peer_pair(n: u32) {
    let (tx, rx) = crossbeam_channel::bounded(128);
    for _ in 0..n / 128 {
        (0..128_u64).for_each(|i| tx.send(i).unwrap());
        (0..128).for_each(|_| _ = black_box(rx.recv()));
    }
}

fn check_sum(sum: u64, n: u32) {
    assert_eq!(sum, u64::from(n) * u64::from(n - 1) / 2, "every message arrived once");
}

fn ours_pipe(capacity: usize, n: u32) {
    let (tx, rx) = channel::bounded(capacity);
    go(move || (0..u64::from(n)).for_each(|i| tx.send(i).unwrap()));
    check_sum(rx.iter().sum(), n);
}

fn peer_pipe(capacity: usize, n: u32) {
    let (tx, rx) = crossbeam_channel::bounded(capacity);
    let sender = thread::spawn(move || (0..u64::from(n)).for_each(|i| tx.send(i).unwrap()));
    check_sum(rx.iter().sum(), n);
    sender.join().unwrap();
}

fn ours_try(n: u32) {
    let (_tx, rx) = channel::bounded::<u64>(1);
    (0..n).for_each(|_| assert!(black_box(rx.try_recv()).is_err()));
}

fn peer_try(n: u32) {
    let (_tx, rx) = crossbeam_channel::bounded::<u64>(1);
    (0..n).for_each(|_| assert!(black_box(rx.try_recv()).is_err()));
}

fn ours_spawn(n: u32) {
    let wg = WaitGroup::new();
    for _ in 0..n / 1_000 {
        for _ in 0..1_000 {
            wg.go(|| ());
        }
        wg.wait();
    }
}

fn ours_spawn_join(n: u32) {
    (0..n).for_each(|i| assert_eq!(go(move || i).join().unwrap(), i));
}

fn ours_yield(n: u32) {
    let tasks = [(); 2].map(|()| go(move || (0..n / 2).for_each(|_| yield_now())));
    tasks.into_iter().for_each(|task| task.join().unwrap());
}
