//! The end of a runtime, with a deadline; and what tasks and workers are called.

use greenlight::{
    Runtime,
    channel::{bounded, never, oneshot},
    context::Context,
    go, go_async, go_near, run, sleep,
    task::{self, Builder, check_cancelled},
    time::{after_func, sleep_async},
    yield_now,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::*},
    },
    thread,
    time::{Duration, Instant},
};

const LONG: Duration = Duration::from_secs(600);

#[test]
fn all_that_waits_is_cancelled_counted_and_over() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    for workers in [1, 3] {
        let drops = Arc::new(AtomicUsize::new(0));
        let runtime = Runtime::builder().workers(workers).build().unwrap();
        let rx = never::<()>();
        for i in 0..100 {
            let (counted, rx) = (Counted(drops.clone()), rx.clone());
            drop(runtime.go(move || {
                let _counted = counted;
                match i % 4 {
                    0 => _ = rx.recv(),
                    1 => sleep(LONG),
                    2 => drop(go(move || rx.recv()).join()),
                    _ => loop {
                        yield_now();
                    },
                }
            }));
        }
        let elsewhere = go(|| sleep(Duration::from_millis(1)));
        let report = runtime.shutdown(LONG);
        assert_eq!(drops.load(SeqCst), 100);
        assert!(report.left().is_empty() && report.ended() >= 100, "{report:?}");
        elsewhere.join().expect("another runtime's tasks are left alone");
    }
}

#[test]
fn what_does_not_end_is_told_of() {
    let runtime = Runtime::builder().workers(2).build().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let (begun, has_begun) = oneshot::channel();
    let hog = {
        let stop = stop.clone();
        runtime.go(move || {
            begun.send(()).unwrap();
            while !stop.load(SeqCst) {
                std::hint::spin_loop();
            }
        })
    };
    has_begun.recv().unwrap();
    let waits = runtime.go(|| never::<()>().recv());
    let report = runtime.shutdown(Duration::ZERO);
    let left: Vec<_> = report.left().iter().map(|left| left.id()).collect();
    assert!(left.contains(&hog.id()), "{report:?}");
    assert!(report.left()[0].to_string().contains("shutdown.rs"));
    assert_eq!(report.ended() + left.len(), 2);
    assert!(waits.join().unwrap_err().is_cancelled());
    stop.store(true, SeqCst);
    hog.join().unwrap();
}

/// A call that was put off is known by the line that asked for it, not by one of the library's.
#[test]
fn delayed_calls_are_told_of_by_the_line_that_asked() {
    let runtime = Runtime::builder().workers(1).build().unwrap();
    let (begun, has_begun) = bounded(2);
    let lines = runtime.run(move || {
        let wait = move || {
            begun.send(()).unwrap();
            let _ = never::<()>().recv();
        };
        let (ctx, cancel) = Context::background().with_cancel();
        let here = line!();
        ctx.after_func(wait.clone()).detach();
        after_func(Duration::ZERO, wait).detach();
        cancel.cancel();
        [here + 1, here + 2]
    });
    (0..2).for_each(|_| has_begun.recv().unwrap());
    let report = runtime.shutdown(Duration::ZERO);
    for line in lines {
        let site = format!("shutdown.rs:{line}:");
        assert!(report.left().iter().any(|left| left.to_string().contains(&site)), "{site} {report:?}");
    }
}

#[test]
fn tasks_that_start_tasks_end_all_the_same() {
    let runtime = Runtime::builder().workers(2).build().unwrap();
    fn breed() {
        loop {
            go(breed);
            sleep(Duration::from_micros(100));
        }
    }
    runtime.go(breed);
    thread::sleep(Duration::from_millis(2));
    assert!(runtime.shutdown(LONG).left().is_empty());
}

/// As above: each future starts the next one before it waits.
#[test]
fn futures_that_start_futures_end_all_the_same() {
    let runtime = Runtime::builder().workers(2).build().unwrap();
    fn breed() -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async {
            loop {
                go_async(breed());
                sleep_async(Duration::from_micros(100)).await;
            }
        })
    }
    runtime.go_async(breed());
    thread::sleep(Duration::from_millis(2));
    assert!(runtime.shutdown(LONG).left().is_empty());
}

/// Not just mostly, by a look that comes in time: else a hundred in a row would never be cancelled.
#[test]
fn what_starts_once_all_were_asked_takes_no_step() {
    let runtime = Runtime::builder().workers(2).build().unwrap();
    let (begun, has_begun) = oneshot::channel();
    let task = runtime.go(move || {
        task::shield(|| {
            begun.send(()).unwrap();
            let mut in_a_row = 0;
            while in_a_row < 100 {
                in_a_row = if go(|| ()).join().is_err_and(|error| error.is_cancelled()) { in_a_row + 1 } else { 0 };
            }
            let future = go_async(async {});
            assert!(future.join().unwrap_err().is_cancelled());
        });
    });
    has_begun.recv().unwrap();
    assert!(runtime.shutdown(LONG).left().is_empty());
    task.join().unwrap();
}

#[test]
fn a_task_may_shut_its_own_runtime_down() {
    let runtime = Runtime::builder().workers(1).build().unwrap();
    let (tx, rx) = bounded::<Runtime>(1);
    let task = runtime.go(move || {
        let waits = go(|| never::<()>().recv());
        let report = rx.recv().unwrap().shutdown(LONG);
        assert!(waits.join().unwrap_err().is_cancelled());
        check_cancelled(); // it is not
        report.ended()
    });
    tx.send(runtime).unwrap();
    assert_eq!(task.join().unwrap(), 1);
}

#[test]
fn a_shutdown_without_tasks_is_quick_and_ends_the_threads() {
    let runtime = Runtime::builder().workers(2).name("quick").build().unwrap();
    runtime.run(|| ());
    assert_eq!(runtime.shutdown(LONG).left().len(), 0);
    let threads = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
        names.filter(|name| name.starts_with("quick-")).count()
    };
    let start = Instant::now();
    while threads() > 0 {
        assert!(start.elapsed() < LONG, "the threads end");
        thread::yield_now();
    }
}

#[test]
fn names_and_numbers() {
    let named = Builder::new().name(String::from("a name")).spawn(|| (task::current_name(), task::current_id()));
    let id = named.id();
    assert_eq!(named.name(), Some("a name"));
    assert!(format!("{named:?}").contains("a name"));
    let (name, own) = named.join().unwrap();
    assert_eq!((name.as_deref(), own), (Some("a name"), Some(id)));
    // Its successor on the stack has no name.
    let plain = go(|| (task::current_name(), task::current_id()));
    assert_eq!(plain.name(), None);
    let (name, other) = plain.join().unwrap();
    assert!(name.is_none() && other != Some(id));
    assert_eq!(id.to_string().parse::<u64>().unwrap().to_string(), id.to_string());
    assert!(task::current_id().is_none() && task::current_name().is_none());
}

#[test]
fn near_means_on_the_same_worker() {
    let runtime = Runtime::builder().workers(3).build().unwrap();
    runtime.run(|| {
        let here = thread::current().id();
        for _ in 0..100 {
            let near: Vec<_> = (0..5).map(|_| go_near(|| thread::current().id())).collect();
            go(yield_now);
            yield_now();
            assert!(near.into_iter().all(|near| near.join().unwrap() == here));
        }
    });
    assert_eq!(run(|| 1), go_near(|| 1).join().unwrap());
}

#[test]
fn a_name_with_a_zero_byte_is_an_error() {
    assert!(Runtime::builder().name("a\0b").build().is_err());
}
