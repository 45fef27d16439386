//! A task that never has to wait does not keep the others from going on. No test here has a time limit: what must happen is
//! waited for, and hangs if it does not.

use greenlight::{
    Barrier, Mutex, Notify, Runtime, RwLock, Semaphore, WaitGroup, block_on,
    channel::{Receiver, Sender, bounded, unbounded},
    go, go_async, select, sleep,
    time::sleep_async,
};
use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::*},
    },
    thread,
    time::Duration,
};

const TICKS: usize = 20;

/// On one worker: two tasks that call `call` until the end, and a ticker that must get on meanwhile.
fn two_hogs_and_a_ticker(call: impl Fn() + Clone + Send + 'static) {
    Runtime::builder().workers(1).build().unwrap().run(move || {
        let over = Arc::new(AtomicBool::new(false));
        let hogs = [(); 2].map(|()| {
            let (over, call) = (over.clone(), call.clone());
            go(move || {
                while !over.load(Relaxed) {
                    call();
                }
            })
        });
        for _ in 0..TICKS {
            sleep(Duration::from_millis(1));
        }
        over.store(true, Relaxed);
        hogs.into_iter().for_each(|hog| hog.join().unwrap());
    });
}

#[test]
fn hogs_of_ready_channels_give_way() {
    let (tx, rx) = bounded(1);
    // Each pair is a hog's own step: it never waits.
    two_hogs_and_a_ticker(move || {
        tx.send(1).unwrap();
        rx.recv().unwrap();
    });
    let (tx, rx) = unbounded();
    two_hogs_and_a_ticker(move || {
        tx.send(1).unwrap();
        rx.recv().unwrap();
    });
    let (tx, rx) = bounded(1);
    two_hogs_and_a_ticker(move || {
        select! { send(tx, 1) -> _ => {} }
        select! { recv(rx) -> _ => {} }
    });
}

#[test]
fn hogs_of_free_locks_give_way() {
    let lock = Arc::new(Mutex::new(0));
    two_hogs_and_a_ticker(move || *lock.lock() += 1);
    let lock = Arc::new(RwLock::new(0));
    two_hogs_and_a_ticker(move || _ = *lock.read());
    let lock = Arc::new(RwLock::new(0));
    two_hogs_and_a_ticker(move || *lock.write() += 1);
    let semaphore = Arc::new(Semaphore::new(2));
    two_hogs_and_a_ticker(move || drop(semaphore.acquire(1).unwrap()));
    two_hogs_and_a_ticker(|| {
        let notify = Notify::new(); // one for each: two would take each other's wake-ups
        notify.notify_one();
        notify.wait();
    });
}

#[test]
fn hogs_of_what_is_over_give_way() {
    let group = WaitGroup::new();
    two_hogs_and_a_ticker(move || group.wait());
    two_hogs_and_a_ticker(|| _ = Barrier::new(1).wait());
    two_hogs_and_a_ticker(|| block_on(async {}));
    two_hogs_and_a_ticker(|| sleep(Duration::ZERO));
}

/// Those too that have not started, and that have no stack.
#[test]
fn a_hog_gives_way_to_what_has_not_started() {
    Runtime::builder().workers(1).build().unwrap().run(|| {
        let (over, started) = (Arc::new(AtomicBool::new(false)), WaitGroup::new());
        started.add(2);
        let hogs = [(); 2].map(|()| {
            let over = over.clone();
            go(move || {
                let (tx, rx) = bounded(1);
                while !over.load(Relaxed) {
                    tx.send(1).unwrap();
                    rx.recv().unwrap();
                }
            })
        });
        sleep(Duration::from_millis(1)); // the hogs are at it
        let green = started.clone();
        go(move || green.done());
        let stackless = started.clone();
        go_async(async move { stackless.done() });
        started.wait();
        over.store(true, Relaxed);
        hogs.into_iter().for_each(|hog| hog.join().unwrap());
    });
}

/// A future that hogs inside its poll holds up no other future of its worker.
#[test]
fn a_poll_that_hogs_gives_way() {
    Runtime::builder().workers(1).build().unwrap().run(|| {
        let over = Arc::new(AtomicBool::new(false));
        let hog = {
            let over = over.clone();
            go_async(async move {
                let (tx, rx) = bounded(1);
                while !over.load(Relaxed) {
                    tx.send(1).unwrap();
                    rx.recv().unwrap();
                }
            })
        };
        let ticker = go_async(async {
            for _ in 0..TICKS {
                sleep_async(Duration::from_millis(1)).await;
            }
        });
        ticker.join().unwrap();
        over.store(true, Relaxed);
        hog.join().unwrap();
    });
}

/// A spin lock of the program's around `try_` calls and a send without a bound: whoever was switched away from while it holds
/// the lock would leave the others of its worker spinning for ever.
#[test]
fn no_switch_where_nobody_expects_to_wait() {
    struct SpinLock(AtomicBool);
    impl SpinLock {
        fn with(&self, f: impl FnOnce()) {
            // No yield, no sleep: as in a program that does not know of green threads.
            while self.0.swap(true, Acquire) {
                std::hint::spin_loop();
            }
            f();
            self.0.store(false, Release);
        }
    }
    let lock = Arc::new(SpinLock(AtomicBool::new(false)));
    let (tx, rx): (Sender<u8>, Receiver<u8>) = unbounded();
    let (narrow_tx, narrow_rx) = bounded(1);
    let (mutex, free) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
    two_hogs_and_a_ticker(move || {
        lock.with(|| {
            for _ in 0..100 {
                tx.send(1).unwrap();
                rx.try_recv().unwrap();
                narrow_tx.try_send(1).unwrap();
                narrow_rx.try_recv().unwrap();
                *mutex.try_lock().unwrap() += 1;
            }
        });
        *free.lock() += 1; // here it may
    });
}

/// While a thread unwinds it does not switch, though it was asked to.
#[test]
fn no_switch_in_a_drop_of_a_panic() {
    struct Hogs(Arc<AtomicUsize>);
    impl Drop for Hogs {
        fn drop(&mut self) {
            let lock = Mutex::new(0);
            let start = std::time::Instant::now();
            // Long enough to be asked a few times.
            while start.elapsed() < Duration::from_millis(40) {
                let others = self.0.load(SeqCst);
                *lock.lock() += 1;
                assert_eq!(self.0.load(SeqCst), others, "nobody else ran");
            }
        }
    }
    Runtime::builder().workers(1).build().unwrap().run(|| {
        let ticks = Arc::new(AtomicUsize::new(0));
        let hogs = Hogs(ticks.clone());
        let ticker = {
            let ticks = ticks.clone();
            go(move || {
                for _ in 0..TICKS {
                    ticks.fetch_add(1, SeqCst);
                    sleep(Duration::from_millis(1));
                }
            })
        };
        sleep(Duration::from_millis(1));
        let panics = go(move || {
            let _hogs = hogs;
            std::panic::resume_unwind(Box::new("as it should"));
        });
        assert!(panics.join().unwrap_err().is_panic());
        ticker.join().unwrap();
    });
}

/// How often the monitor's thread has been woken; none if it does not run.
fn wakes_of_monitor() -> Option<u64> {
    let tasks = fs::read_dir("/proc/self/task").ok()?;
    tasks.filter_map(Result::ok).find_map(|task| {
        let name = fs::read_to_string(task.path().join("comm")).ok()?;
        let status = fs::read_to_string(task.path().join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        (name.trim() == "greenlight-mon").then(|| line.trim().parse().ok())?
    })
}

/// It sleeps when there is nothing to watch, and wakes when there is: several times.
#[test]
fn the_monitor_rests_while_nobody_works() {
    if std::env::var_os("GREENLIGHT_TEST_RUNNER").is_some() {
        return; // an emulator's threads are not ours to count
    }
    for _ in 0..3 {
        let (tx, rx) = bounded(1);
        two_hogs_and_a_ticker(move || {
            tx.send(1).unwrap();
            rx.recv().unwrap();
        });
        // Other tests may be at work: until they are not.
        loop {
            let before = wakes_of_monitor().expect("it runs");
            thread::sleep(Duration::from_millis(200)); // 80 looks, if it looked
            if wakes_of_monitor().expect("it runs") <= before + 3 {
                break; // its last looks for a deadlock, ever more rarely
            }
        }
    }
}

/// The threads of a runtime of that name.
fn threads_of(runtime: &str) -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(Result::ok).filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.trim().strip_prefix(runtime).is_some_and(|rest| rest.starts_with('-'))).count()
}

/// Blocks its OS thread until it is over, and calls nothing of ours.
fn block(over: &AtomicBool) {
    while !over.load(Relaxed) {
        thread::sleep(Duration::from_millis(20));
    }
}

/// Computes until it is over, and calls nothing of ours.
fn compute(over: &AtomicBool) {
    while !over.load(Relaxed) {
        std::hint::spin_loop();
    }
}

/// All workers are stuck, in calls that block or in loops: a future ticks on, green threads that have not started start.
#[test]
fn spare_workers_go_on_with_what_is_free() {
    for stick in [block, compute] {
        let runtime = Runtime::builder().workers(2).build().unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let stuck = [(); 2].map(|()| {
            let over = over.clone();
            runtime.go(move || stick(&over))
        });
        let ticker = runtime.go_async(async {
            for _ in 0..TICKS {
                sleep_async(Duration::from_millis(1)).await;
            }
        });
        let late = runtime.go(|| sleep(Duration::from_millis(1)));
        ticker.join().unwrap();
        late.join().unwrap();
        over.store(true, Relaxed);
        stuck.into_iter().for_each(|task| task.join().unwrap());
    }
}

/// As many spare workers as are needed, if there may be so many; what they have started stays with them; and they go.
#[test]
fn spare_workers_come_stay_and_go() {
    const SPARE: usize = 3;
    let runtime = Runtime::builder().workers(1).spare_workers(SPARE).name("spared").build().unwrap();
    for _ in 0..2 {
        // All block at once, so each on a thread of its own.
        let met = Arc::new(std::sync::Barrier::new(1 + SPARE + 1));
        let over = Arc::new(AtomicBool::new(false));
        let blocked: Vec<_> = (0..1 + SPARE)
            .map(|_| {
                let (met, over) = (met.clone(), over.clone());
                runtime.go(move || {
                    let thread = thread::current().id();
                    met.wait();
                    block(&over);
                    for _ in 0..TICKS {
                        sleep(Duration::from_millis(1));
                        assert_eq!(thread::current().id(), thread);
                    }
                    thread
                })
            })
            .collect();
        met.wait();
        over.store(true, Relaxed);
        let threads: std::collections::HashSet<_> = blocked.into_iter().map(|task| task.join().unwrap()).collect();
        assert_eq!(threads.len(), 1 + SPARE);
        while threads_of("spared") > 1 {
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// There are never more threads than were asked for, however many tasks block.
#[test]
fn spare_workers_are_bounded() {
    let runtime = Runtime::builder().workers(1).spare_workers(2).name("bound").build().unwrap();
    let tasks: Vec<_> = (0..40).map(|_| runtime.go(|| thread::sleep(Duration::from_millis(12)))).collect();
    while !tasks.iter().all(|task| task.is_finished()) {
        assert!(threads_of("bound") <= 3);
        thread::sleep(Duration::from_millis(1));
    }
    let alone = Runtime::builder().workers(1).spare_workers(0).name("alone").build().unwrap();
    let tasks: Vec<_> = (0..5).map(|_| alone.go(|| thread::sleep(Duration::from_millis(12)))).collect();
    while !tasks.iter().all(|task| task.is_finished()) {
        assert!(threads_of("alone") <= 1);
        thread::sleep(Duration::from_millis(1));
    }
}

/// The end of a runtime is that of its spare workers, too.
#[test]
fn spare_workers_end_with_their_runtime() {
    let runtime = Runtime::builder().workers(1).name("ends").build().unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let blocked = [(); 3].map(|()| {
        let over = over.clone();
        runtime.go(move || block(&over))
    });
    while threads_of("ends") < 4 {
        thread::sleep(Duration::from_millis(1));
    }
    over.store(true, Relaxed);
    let report = runtime.shutdown(Duration::MAX);
    assert!(report.left().is_empty());
    blocked.into_iter().for_each(|task| _ = task.join());
    while threads_of("ends") > 0 {
        thread::sleep(Duration::from_millis(1));
    }
}
