//! A runtime that a host's loop drives.

use greenlight::{
    Drive, LocalRuntime, Runtime, block_on,
    channel::{bounded, never, unbounded},
    go, go_async, scope, sleep,
    task::shield,
    yield_now,
};
use greenlight_tests::program;
use std::{
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, catch_unwind},
    process::{Output, Stdio},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::*},
    },
    thread,
    time::{Duration, Instant},
};

const CHILD: &str = "GREENLIGHT_TEST_LOCAL";
const ALONE: &str = "GREENLIGHT_TEST_LOCAL_ALONE";

/// Runs `body` in a process of its own: this test binary again, with the test `name` only. Returns in the parent only.
fn in_child(name: &str, body: impl FnOnce()) -> Output {
    if std::env::var_os(CHILD).is_some() {
        body();
        std::process::exit(77);
    }
    let mut command = program(std::env::current_exe().unwrap());
    command.args([name, "--exact", "--nocapture"]).env(CHILD, "1").stdin(Stdio::null());
    command.output().unwrap()
}

fn threads() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status.lines().find_map(|line| line.strip_prefix("Threads:")).unwrap().trim().parse().unwrap()
}

/// Drives until nothing is live, asleep while nothing is ready.
fn finish(runtime: &LocalRuntime) {
    loop {
        let Drive { next, live } = runtime.drive();
        match next {
            _ if live == 0 => return,
            Some(next) => thread::sleep(next.saturating_duration_since(Instant::now())),
            None => thread::yield_now(),
        }
    }
}

/// Green threads, futures, scopes, timers and what a blocked future needs: all on the calling thread, and no other comes to be.
#[test]
fn everything_runs_on_the_thread_that_drives() {
    let output = in_child("everything_runs_on_the_thread_that_drives", || {
        const SOON: Duration = Duration::from_millis(20);
        let before = threads();
        let me = thread::current().id();
        let runtime = LocalRuntime::new().unwrap();
        let start = Instant::now();
        let seen = Rc::new(RefCell::new(Vec::new()));
        let (tx, rx) = bounded(0);
        let mine = seen.clone();
        let reads = runtime.go_local(move || {
            rx.iter().for_each(|n: u32| mine.borrow_mut().push(n));
            assert_eq!(thread::current().id(), me);
            mine
        });
        let blocks = tx.clone();
        runtime.go_async(async move {
            assert_eq!(thread::current().id(), me);
            tx.send_async(1).await.unwrap();
            sleep(SOON); // in a poll: its carrier parks
            tx.send(2).unwrap();
        });
        runtime.go(move || {
            let mut local = 0;
            scope(|s| {
                s.spawn(|| {
                    sleep(2 * SOON);
                    local = 3;
                    assert_eq!(thread::current().id(), me);
                });
            });
            go(move || blocks.send(local).unwrap()); // the same runtime's
        });
        let first = runtime.drive();
        // The reader, the future, the scope and its child, unless the first alarm has gone off meanwhile.
        assert!(start.elapsed() >= SOON || first.next.is_some() && first.live == 4, "{first:?}");
        finish(&runtime);
        let mut all = seen.borrow().clone();
        all.sort_unstable(); // where the machine is slow, both alarms go off at once
        assert_eq!(all, [1, 2, 3]);
        assert!(Rc::ptr_eq(&reads.join().unwrap(), &seen));
        assert_eq!(runtime.drive(), Drive { next: None, live: 0 });
        assert_eq!(threads(), before, "no hidden threads");
    });
    assert_eq!(output.status.code(), Some(77), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The hook is called once for all that comes between two drives, by whoever brings it, and never while it is driven.
#[test]
fn the_hook_is_called_once_for_what_comes_between_drives() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let runtime = LocalRuntime::with_wake(move || _ = counted.fetch_add(1, SeqCst)).unwrap();
    let (tx, rx) = unbounded();
    runtime.go(move || rx.iter().sum::<u32>());
    runtime.go(yield_now);
    assert_eq!(calls.swap(0, SeqCst), 1, "two new tasks");
    assert_eq!(runtime.drive().live, 1);
    assert_eq!(calls.load(SeqCst), 0, "what they do to each other is no news");
    let sends = tx.clone();
    thread::spawn(move || (0..10).for_each(|n| sends.send(n).unwrap())).join().unwrap();
    assert_eq!(calls.swap(0, SeqCst), 1);
    runtime.drive();
    runtime.drive();
    assert_eq!(calls.load(SeqCst), 0);
    runtime.go_async(async {});
    assert_eq!(calls.swap(0, SeqCst), 1);
    drop(tx);
    assert_eq!(runtime.drive().live, 0);
    drop(runtime);
    assert_eq!(calls.load(SeqCst), 0);
}

/// A hook that panics spoils neither the wake-up nor who has woken.
#[test]
fn a_panic_of_the_hook_goes_no_further() {
    let runtime = LocalRuntime::with_wake(|| panic!("a hook")).unwrap();
    let (tx, rx) = bounded(1);
    let task = runtime.go(move || rx.recv());
    runtime.drive();
    tx.send(5).unwrap();
    runtime.drive();
    assert_eq!(task.join().unwrap(), Ok(5));
}

#[test]
fn a_drive_inside_a_green_thread_panics() {
    fn panics(runtime: &LocalRuntime) -> bool {
        let panic = catch_unwind(AssertUnwindSafe(|| runtime.drive())).unwrap_err();
        let nested = catch_unwind(AssertUnwindSafe(|| runtime.run_until(|| ()))).unwrap_err();
        panic.downcast_ref::<&str>().unwrap().starts_with("LocalRuntime::drive inside a green thread")
            && nested.downcast_ref::<&str>().unwrap().starts_with("LocalRuntime::run_until inside a green thread")
    }
    let runtime = Rc::new(LocalRuntime::new().unwrap());
    let other = LocalRuntime::new().unwrap();
    let same = runtime.clone();
    let nested = runtime.go_local(move || panics(&same) && panics(&other));
    assert_eq!(runtime.drive().live, 0, "and stays usable");
    assert!(nested.join().unwrap());
    let inside = Runtime::builder().workers(1).build().unwrap().run(|| panics(&LocalRuntime::new().unwrap()));
    assert!(inside);
}

struct OnDrop(Rc<Cell<u32>>, thread::ThreadId);

impl Drop for OnDrop {
    fn drop(&mut self) {
        assert_eq!(thread::current().id(), self.1);
        self.0.set(self.0.get() + 1);
    }
}

/// What is parked unwinds, what has not begun does not begin, futures are dropped, what is in a shield stays: all on this thread.
#[test]
fn dropping_it_ends_its_tasks() {
    let dropped = Rc::new(Cell::new(0));
    let guard = || OnDrop(dropped.clone(), thread::current().id());
    let runtime = LocalRuntime::new().unwrap();
    let parked = {
        let guard = guard();
        runtime.go_local(move || {
            let _guard = guard;
            scope(|s| {
                s.spawn(|| sleep(Duration::MAX));
                never::<()>().recv()
            })
        })
    };
    let (held, waits) = (Arc::new(()), Arc::new(()));
    let future = {
        let held = held.clone();
        runtime.go_async(async move {
            let _held = held;
            never::<()>().recv_async().await
        })
    };
    let shielded = {
        let waits = waits.clone();
        runtime.go(move || {
            let _waits = waits;
            shield(|| never::<()>().recv())
        })
    };
    assert_eq!(runtime.drive().live, 4);
    let unstarted = {
        let guard = guard();
        runtime.go_local(move || drop(guard))
    };
    drop(runtime);
    assert_eq!(dropped.get(), 2);
    assert_eq!((Arc::strong_count(&held), Arc::strong_count(&waits)), (1, 2));
    assert!(parked.join().unwrap_err().is_cancelled());
    assert!(future.join().unwrap_err().is_cancelled());
    assert!(unstarted.join().unwrap_err().is_cancelled());
    assert!(!shielded.is_finished());
    // A wake-up that comes too late is none.
    shielded.cancel();
}

/// While the thread unwinds, no task runs: it would see a panic that is not its own. They are leaked.
#[test]
fn dropping_it_in_a_panic_leaks_its_tasks() {
    let dropped = Rc::new(Cell::new(0));
    let guard = OnDrop(dropped.clone(), thread::current().id());
    let panic = catch_unwind(AssertUnwindSafe(move || {
        let runtime = LocalRuntime::new().unwrap();
        runtime.go_local(move || {
            let _guard = guard;
            never::<()>().recv()
        });
        assert_eq!(runtime.drive().live, 1);
        panic!("the host's");
    }));
    assert_eq!(*panic.unwrap_err().downcast_ref::<&str>().unwrap(), "the host's");
    assert_eq!(dropped.get(), 0);
}

#[test]
fn run_until_drives_the_rest_meanwhile() {
    let runtime = LocalRuntime::new().unwrap();
    let ticks = Rc::new(Cell::new(0));
    let counts = ticks.clone();
    runtime.go_local(move || {
        loop {
            counts.set(counts.get() + 1);
            sleep(Duration::from_millis(1));
        }
    });
    // Woken by timers, by another thread, by another runtime, by a future.
    let (tx, rx) = bounded(0);
    let sender = thread::spawn(move || {
        thread::sleep(Duration::from_millis(3));
        tx.send(1).unwrap();
    });
    let sum = runtime.run_until(move || {
        let own = Rc::new(rx.recv().unwrap());
        sleep(Duration::from_millis(3));
        let other = greenlight::blocking(|| 2).join().unwrap();
        *own + other + block_on(async { go_async(async { 3 }).await.unwrap() })
    });
    sender.join().unwrap();
    assert_eq!(sum, 6);
    assert!(ticks.get() >= 2);
    let panic = catch_unwind(AssertUnwindSafe(|| runtime.run_until(|| panic!("its own")))).unwrap_err();
    assert_eq!(*panic.downcast_ref::<&str>().unwrap(), "its own");
    assert_eq!(runtime.run_until(|| 7), 7);
}

/// Values go to and fro between its tasks and those of a runtime with threads; the host sleeps in its own way.
#[test]
fn it_trades_with_other_runtimes() {
    const ROUNDS: u32 = 2000;
    let host = thread::current();
    let runtime = LocalRuntime::with_wake(move || host.unpark()).unwrap();
    let workers = Runtime::builder().workers(2).build().unwrap();
    let totals: Vec<_> = (0..4)
        .map(|_| {
            let (to, from_here) = bounded(0);
            let (back, answers) = bounded(0);
            workers.go(move || from_here.iter().for_each(|n: u32| back.send(n + 1).unwrap()));
            runtime.go_local(move || {
                let total = Rc::new(Cell::new(0));
                for n in 0..ROUNDS {
                    to.send(n).unwrap();
                    total.set(total.get() + answers.recv().unwrap());
                }
                total
            })
        })
        .collect();
    while runtime.drive().live > 0 {
        thread::park(); // the hook's token is kept, if it came before
    }
    for total in totals {
        assert_eq!(total.join().unwrap().get(), (1..=ROUNDS).sum::<u32>());
    }
}

/// Everybody waits for everybody: found while it sleeps for its tasks, and only then.
#[test]
fn a_deadlock_is_found_in_run_until() {
    let output = in_child("a_deadlock_is_found_in_run_until", || {
        // The harness's main thread is one too many for the detector: this process is to have this thread only.
        if std::env::var_os(ALONE).is_none() {
            let mut again = program(std::env::current_exe().unwrap());
            let test = ["a_deadlock_is_found_in_run_until", "--exact", "--nocapture"];
            let extra = threads() - 1;
            let status = again
                .args(test)
                .env(ALONE, "1")
                .env("GREENLIGHT_EMULATOR_THREADS", extra.to_string())
                .status()
                .unwrap();
            std::process::exit(status.code().unwrap_or(1));
        }
        let runtime = LocalRuntime::new().unwrap();
        runtime.go(|| never::<()>().recv());
        runtime.drive();
        // The host is awake: it may do anything.
        thread::sleep(Duration::from_millis(300));
        println!("no false alarm");
        runtime
            .run_until(|| {
                sleep(Duration::from_millis(30)); // nor here
                println!("nor with a timer");
                never::<()>().recv()
            })
            .unwrap();
    });
    let (text, said) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(said.contains("no false alarm") && said.contains("nor with a timer"), "{said}");
    assert!(
        text.contains("all green threads are asleep - deadlock!") && text.matches("tests/local.rs:").count() >= 2,
        "{text}"
    );
}
