//! A million tasks, all parked on one channel, then released: what each costs in memory and in time.
//!
//! ```text
//! cargo run --release -p greenlight-benches --bin million -- green        or: stackless, and a number of tasks
//! ```
//!
//! Memory is what is resident, page tables included, when all are parked, less what there was before, shared among the
//! tasks. It ends with exit code 1 if that misses the goal: one page and its share of a page table for a green thread,
//! 200 bytes for a future.

use greenlight::{
    Runtime, WaitGroup,
    channel::{Receiver, bounded},
    go, go_async, sleep,
};
use greenlight_benches::process::cpu_time;
use std::{
    fs, process,
    time::{Duration, Instant},
};

const GREEN: usize = 4700;
const STACKLESS: usize = 200;

fn main() {
    let mut words = std::env::args().skip(1);
    let kind = words.next().unwrap_or_default();
    let count = words.next().map_or(1_000_000, |count| count.parse().expect("a number of tasks"));
    let (start, limit): (fn(_, _), _) = match kind.as_str() {
        "green" => (green, GREEN),
        "stackless" => (stackless, STACKLESS),
        _ => {
            eprintln!("million green|stackless [COUNT]");
            process::exit(2);
        }
    };
    let runtime = Runtime::builder().build().expect("the workers start");
    let workers = runtime.workers();
    let bytes = runtime.run(move || measure(count, start));
    println!("{count} {kind} tasks on {workers} workers: {bytes} bytes each, the goal is {limit}");
    process::exit(i32::from(bytes > limit));
}

/// Returns the bytes of each task.
fn measure(count: usize, start: fn(&'static Ground, usize)) -> usize {
    let (tx, rx) = bounded(0);
    // For the whole program, so that a task needs nothing but an address.
    let ground: &'static Ground = Box::leak(Box::new(Ground { rx, parked: WaitGroup::new(), done: WaitGroup::new() }));
    ground.parked.add(count);
    ground.done.add(count);
    let (before, begin, cpu) = (resident(), Instant::now(), cpu_time());
    start(ground, count);
    let created = begin.elapsed();
    ground.parked.wait();
    let (parked, creating) = (begin.elapsed(), cpu_time() - cpu);
    sleep(Duration::from_millis(100)); // who has said so is parked a moment later
    let bytes = (resident() - before) / count;
    println!("the future itself: {} bytes", size_of_val(&future(ground)));
    let (begin, cpu) = (Instant::now(), cpu_time());
    tx.close();
    let closed = begin.elapsed();
    ground.done.wait();
    let (released, releasing) = (begin.elapsed(), cpu_time() - cpu);
    let each = |time: Duration| time.as_nanos() / count as u128;
    println!(
        "created  in {created:8.2?}, {:5} ns each, {:5} ns of CPU time; all parked after {parked:.2?}",
        each(created),
        each(creating)
    );
    println!(
        "released in {released:8.2?}, {:5} ns each, {:5} ns of CPU time; the close alone took {closed:.2?}",
        each(released),
        each(releasing)
    );
    println!("areas of memory: {}, vm.max_map_count: {}", areas(), read("/proc/sys/vm/max_map_count").trim());
    bytes
}

struct Ground {
    rx: Receiver<()>,
    parked: WaitGroup,
    done: WaitGroup,
}

fn green(ground: &'static Ground, count: usize) {
    for _ in 0..count {
        go(move || {
            ground.parked.done();
            let _ = ground.rx.recv();
            ground.done.done();
        });
    }
}

fn stackless(ground: &'static Ground, count: usize) {
    for _ in 0..count {
        go_async(future(ground));
    }
}

async fn future(ground: &'static Ground) {
    ground.parked.done();
    let _ = ground.rx.recv_async().await;
    ground.done.done();
}

fn read(path: &str) -> String {
    fs::read_to_string(path).expect("Linux")
}

/// With page tables, in bytes.
fn resident() -> usize {
    let status = read("/proc/self/status");
    let of = |name| -> usize {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("every process has it");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    };
    (of("VmRSS:") + of("VmPTE:")) * 1024
}

fn areas() -> usize {
    read("/proc/self/maps").lines().count()
}
