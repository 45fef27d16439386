//! That ThreadSanitizer sees what green threads do (`.ci/sanitizers green-thread`): a race between two workers is reported, and is
//! none if a channel, or one worker, orders it. Without the sanitizer there is nothing to see.
#![cfg(greenlight_tsan)]

use greenlight::{Runtime, channel::bounded, go, yield_now};
use greenlight_tests::program;
use std::{
    cell::UnsafeCell,
    process::{Output, Stdio},
    sync::atomic::{AtomicUsize, Ordering::*},
    thread,
};

const CHILD: &str = "GREENLIGHT_TEST_RACES";

/// Runs `body` in a process of its own: this test binary again, with the test `name` only. Returns in the parent only.
fn in_child(name: &str, body: impl FnOnce()) -> Output {
    if std::env::var_os(CHILD).is_some() {
        body();
        std::process::exit(0);
    }
    program(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(CHILD, "1")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// A word without any protection.
struct Bare(UnsafeCell<u64>);

// SAFETY: it is not sound, and must not be: that is what the sanitizer is to find, in processes of their own.
unsafe impl Sync for Bare {}

impl Bare {
    const fn new() -> Self {
        Self(UnsafeCell::new(0))
    }

    fn add(&self) {
        // SAFETY: a race, unless the test orders it.
        unsafe { *self.0.get() += 1 };
    }
}

/// Two green threads on two workers, ordered by nothing: they only wait, by relaxed loads, until both of them run.
#[test]
fn a_race_between_two_workers_is_reported() {
    static WORD: Bare = Bare::new();
    static RUNNING: AtomicUsize = AtomicUsize::new(0);
    let output = in_child("a_race_between_two_workers_is_reported", || {
        let runtime = Runtime::builder().workers(2).build().unwrap();
        let racer = || {
            RUNNING.fetch_add(1, Relaxed);
            while RUNNING.load(Relaxed) < 2 {
                std::hint::spin_loop();
            }
            let mine = thread::current().id();
            for _ in 0..100 {
                WORD.add();
            }
            mine
        };
        let racers = [runtime.go(racer), runtime.go(racer)];
        let threads = racers.map(|racer| racer.join().unwrap());
        assert_ne!(threads[0], threads[1]);
    });
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("WARNING: ThreadSanitizer: data race"), "{text}");
    assert!(text.contains("races.rs"), "{text}");
    assert_eq!(output.status.code(), Some(66), "{text}");
}

/// The same word, sent to and fro between workers; and used by the tasks of one worker, in turn.
#[test]
fn what_a_channel_or_one_worker_orders_is_no_race() {
    static SENT: Bare = Bare::new();
    static SHARED: Bare = Bare::new();
    let output = in_child("what_a_channel_or_one_worker_orders_is_no_race", || {
        let runtime = Runtime::builder().workers(2).build().unwrap();
        for capacity in [0, 1] {
            let (to, there) = bounded::<&'static Bare>(capacity);
            let (fro, back) = bounded::<&'static Bare>(capacity);
            let echo = runtime.go(move || {
                for word in there {
                    word.add();
                    fro.send(word).unwrap();
                }
            });
            runtime
                .go(move || {
                    for _ in 0..1_000 {
                        to.send(&SENT).unwrap();
                        back.recv().unwrap().add();
                    }
                })
                .join()
                .unwrap();
            echo.join().unwrap();
        }
        let one = Runtime::builder().workers(1).build().unwrap();
        one.run(|| {
            let tasks = [(); 10].map(|()| {
                go(|| {
                    for _ in 0..100 {
                        SHARED.add();
                        yield_now();
                    }
                })
            });
            tasks.into_iter().for_each(|task| task.join().unwrap());
        });
    });
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !text.contains("ThreadSanitizer"), "{text}");
}
