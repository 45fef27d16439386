//! What a process has: counted before and after.

use crate::PROGRESS;
use greenlight::{Runtime, WaitGroup, channel::bounded};
use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::*},
    },
    thread,
    time::{Duration, Instant},
};

/// More green threads than are ever there at once.
const STACKS: usize = 8_000;

/// Green threads without work that a worker keeps for futures to come.
const KEPT_BY_A_WORKER: usize = 2;
/// What a worker of a runtime that has ended costs for ever: its own structure (3.4 KiB measured, most of it the wheel of its timers), its
/// share of the runtime's (1.2), and as much for each spare one, of which a busy machine starts more.
const BYTES_A_WORKER: usize = 8 * 1024;
/// What the memory of a process goes up and down by.
const SLACK: usize = 24 << 20;

#[derive(Debug)]
pub struct Counts {
    /// How far up the stacks reach when `STACKS` green threads are parked: a stack that was lost pushes it up by its size.
    highest_stack: usize,
    threads: usize,
    descriptors: usize,
    /// Lines of /proc/self/maps.
    areas: usize,
    /// Resident.
    bytes: usize,
}

/// Counts when all that ends by itself has ended.
pub fn settled() -> Counts {
    // Idle threads of blocking calls.
    wait_for_threads("greenlight-bl");
    let highest_stack = highest_stack();
    wait_for_threads("census");
    Counts {
        highest_stack,
        threads: thread_names().len(),
        descriptors: fs::read_dir("/proc/self/fd").expect("Linux").count(),
        areas: fs::read_to_string("/proc/self/maps").expect("Linux").lines().count(),
        bytes: resident(),
    }
}

impl Counts {
    pub fn compare(&self, after: &Self) {
        let lost = after.highest_stack.saturating_sub(self.highest_stack);
        let kept = KEPT_BY_A_WORKER * thread::available_parallelism().map_or(1, usize::from);
        assert!(lost <= kept, "{lost} stacks are missing, and the global runtime keeps {kept} at most");
        // A busy machine may have started a spare worker just now; it ends when nobody has needed it for a while.
        let begin = Instant::now();
        while thread_names().len() > self.threads && begin.elapsed() < Duration::from_secs(30) {
            PROGRESS.fetch_add(1, Relaxed);
            thread::sleep(Duration::from_millis(20));
        }
        let names = thread_names();
        assert!(
            names.len() <= self.threads,
            "threads: {}, at last {}, and then {names:?}",
            self.threads,
            after.threads
        );
        assert!(
            after.descriptors <= self.descriptors,
            "descriptors: {} and then {}",
            self.descriptors,
            after.descriptors
        );
        // The allocator's arenas come and go: two areas each, one arena for each thread that is there at once.
        assert!(after.areas <= self.areas + 64, "areas: {} and then {}", self.areas, after.areas);
    }

    pub fn compare_bytes(&self, after: &Self, workers: usize) {
        let allowed = self.bytes + SLACK + workers * BYTES_A_WORKER;
        if !cfg!(greenlight_asan) {
            assert!(after.bytes <= allowed, "{} bytes, and then {}, with {workers} workers", self.bytes, after.bytes);
        }
    }
}

/// Parks `STACKS` green threads: as many stacks are then in use, of those with the lowest addresses, if none was lost.
fn highest_stack() -> usize {
    let runtime = Runtime::builder().workers(1).name("census").build().expect("a worker starts");
    let ((tx, rx), parked, highest) = (bounded::<()>(0), WaitGroup::new(), Arc::new(AtomicUsize::new(0)));
    let tasks: Vec<_> = (0..STACKS)
        .map(|_| {
            let (rx, token, highest) = (rx.clone(), parked.token(), highest.clone());
            runtime.go(move || {
                let here = 0_u8;
                highest.fetch_max(std::ptr::from_ref(&here).addr() / STACK, Relaxed);
                drop(token);
                assert!(rx.recv().is_err());
            })
        })
        .collect();
    parked.wait();
    drop(tx);
    tasks.into_iter().for_each(|task| task.join().expect("it only waits"));
    PROGRESS.fetch_add(1, Relaxed);
    highest.load(Relaxed)
}

/// The size, and the alignment, of a stack.
const STACK: usize = 256 * 1024;

fn thread_names() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux");
    // One may end while we look.
    tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok()).collect()
}

/// Waits until no thread has a name that begins so.
pub fn wait_for_threads(prefix: &str) {
    while thread_names().iter().any(|name| name.starts_with(prefix)) {
        thread::sleep(Duration::from_millis(1));
    }
    PROGRESS.fetch_add(1, Relaxed);
}

/// Each thread's name, what it does in the kernel, and its state.
pub fn print_threads() {
    for task in fs::read_dir("/proc/self/task").expect("Linux").flatten() {
        let read = |file| fs::read_to_string(task.path().join(file)).unwrap_or_default().trim().to_string();
        eprintln!("thread {:16} {} in {}", read("comm"), task.file_name().display(), read("syscall"));
    }
}

fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("every process has it");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
}
