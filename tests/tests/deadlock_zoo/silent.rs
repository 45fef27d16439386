//! Programs in which for a while nobody runs, and which are alive.

use crate::{LATE, Silent};
use greenlight::{
    Barrier, Condvar, Mutex, Notify, Once, OnceCell, Runtime, RwLock, Semaphore, WaitGroup, Watch, block_on, blocking,
    channel::{Receiver, Select, Sender, StaticChannel, after, at, bounded, broadcast, never, oneshot, tick, watch},
    context::Context,
    go, go_async, go_near,
    group::{Group, Pool, SingleFlight, parallel_for},
    process, run, scope, select,
    signal::{self, Signal},
    sleep, stdin,
    task::shield,
    time::{self, Ticker, Timer, after_func, sleep_async, sleep_until, timeout},
    yield_now,
};
use std::{
    future::{pending, poll_fn},
    panic::resume_unwind,
    process::{Child, Command},
    sync::{Arc, mpsc},
    task::{Poll, Waker},
    thread,
    time::Instant,
};

pub const SILENT: &[Silent] = &[
    // The clock.
    ("a_sleeper_who_sends", a_sleeper_who_sends),
    ("main_sleeps_and_others_wait", || {
        go(|| never::<u32>().recv());
        sleep(LATE)
    }),
    ("asleep_until", || sleep_until(time::Instant::now() + LATE)),
    ("a_timer", || _ = Timer::new(LATE).wait()),
    ("a_timer_set_anew", || {
        let timer = Timer::new(LATE * 9);
        timer.reset(LATE);
        timer.wait();
    }),
    ("a_ticker", || {
        let ticker = Ticker::new(LATE / 2);
        ticker.wait();
        ticker.wait();
    }),
    ("a_channel_of_the_clock", || _ = after(LATE).recv()),
    ("a_channel_of_an_instant", || _ = at(Instant::now() + LATE).recv()),
    ("a_channel_of_ticks", || {
        let ticks = tick(LATE / 2);
        let _ = (ticks.recv(), ticks.recv());
    }),
    ("a_call_to_come", a_call_to_come),
    ("calls_that_call_each_other", calls_that_call_each_other),
    ("a_future_that_sleeps", || go_async(sleep_async(LATE)).join().unwrap()),
    ("a_future_with_a_limit", || assert!(block_on(timeout(LATE, pending::<()>())).is_err())),
    ("a_future_of_the_clock", || _ = block_on(after(LATE).recv_async())),
    // Waits with a limit.
    ("recv_timeout", || assert!(never::<u32>().recv_timeout(LATE).is_err())),
    ("recv_deadline", || assert!(never::<u32>().recv_deadline(Instant::now() + LATE).is_err())),
    ("send_timeout", || {
        let (tx, _rx) = bounded(0);
        assert!(tx.send_timeout(1, LATE).is_err())
    }),
    ("static_recv_timeout", || assert!(StaticChannel::<u32, 1>::new().receiver().recv_timeout(LATE).is_err())),
    ("oneshot_timeout", || {
        let (_tx, mut rx) = oneshot::channel::<u32>();
        assert!(rx.recv_timeout(LATE).is_err())
    }),
    ("watch_timeout", || {
        let (_tx, mut rx) = watch::channel(1);
        assert!(rx.changed_timeout(LATE).is_err())
    }),
    ("broadcast_timeout", || {
        let (_tx, mut rx) = broadcast::channel::<u32>(1);
        assert!(rx.recv_timeout(LATE).is_err())
    }),
    ("select_timeout", || select! { recv(never::<u32>()) -> _ => unreachable!(), default(LATE) => {} }),
    ("select_of_the_clock", || select! { recv(never::<u32>()) -> _ => unreachable!(), recv(after(LATE)) -> _ => {} }),
    ("list_timeout", || {
        let rx = never::<u32>();
        let mut list = Select::new();
        list.recv(&rx);
        assert!(list.select_timeout(LATE).is_err())
    }),
    ("mutex_timeout", || {
        let lock = Mutex::new(());
        let _held = lock.lock();
        assert!(lock.lock_timeout(LATE).is_err())
    }),
    ("rw_lock_timeout", || {
        let lock = RwLock::new(());
        let _held = lock.read();
        assert!(lock.write_timeout(LATE).is_err())
    }),
    ("semaphore_timeout", || assert!(Semaphore::new(0).acquire_timeout(1, LATE).is_err())),
    ("condvar_timeout", || {
        let lock = Mutex::new(());
        drop(Condvar::new().wait_timeout(lock.lock(), LATE))
    }),
    ("barrier_timeout", || assert!(Barrier::new(2).wait_timeout(LATE).is_err())),
    ("wait_group_timeout", || {
        let group = WaitGroup::new();
        group.add(1);
        assert!(group.wait_timeout(LATE).is_err())
    }),
    ("notify_timeout", || assert!(Notify::new().wait_timeout(LATE).is_err())),
    ("once_timeout", || assert!(Once::new().wait_timeout(LATE).is_err())),
    ("once_cell_timeout", || assert!(OnceCell::<u32>::new().wait_timeout(LATE).is_err())),
    ("level_timeout", || assert!(Watch::new(1).subscribe().changed_timeout(LATE).is_err())),
    ("join_timeout", || assert!(go(|| never::<u32>().recv()).join_timeout(LATE).is_none())),
    ("context_wait_timeout", || {
        let (ctx, _cancel) = Context::background().with_cancel();
        assert!(ctx.wait_timeout(LATE).is_err())
    }),
    // Contexts.
    ("a_context_with_a_deadline", || {
        let (ctx, _cancel) = Context::background().with_timeout(LATE);
        ctx.wait();
    }),
    ("a_child_of_a_context_with_a_deadline", a_child_of_a_context_with_a_deadline),
    ("a_group_with_a_deadline", a_group_with_a_deadline),
    // Outside of our sight.
    ("a_blocking_call", || blocking(|| thread::sleep(LATE)).join().unwrap()),
    ("a_blocking_call_that_sends", || {
        let (tx, rx) = bounded(0);
        drop(blocking(move || {
            thread::sleep(LATE);
            tx.send(1)
        }));
        got(&rx)
    }),
    ("a_blocking_call_in_a_future", || {
        go_async(async { blocking(|| thread::sleep(LATE)).await.unwrap() }).join().unwrap()
    }),
    ("a_process", || {
        let mut nap = Command::new("sleep");
        nap.arg("1.4");
        assert!(process::status(nap).unwrap().success())
    }),
    ("a_signal", || {
        let (signals, mut child) = signals_from_a_child();
        assert_eq!(signals.recv(), Ok(Signal::USER_1));
        child.wait().unwrap();
    }),
    ("a_signal_for_a_context", || {
        let (ctx, _cancel) = Context::background().with_signals(&[Signal::USER_1]).unwrap();
        let (_signals, mut child) = signals_from_a_child();
        ctx.wait();
        child.wait().unwrap();
    }),
    ("standard_input", || assert_eq!(stdin::read_line().unwrap().as_deref().map(str::trim_end), Some("late"))),
    ("an_os_thread_that_sends", || {
        let (tx, rx) = bounded(0);
        later(move || tx.send(1).unwrap());
        got(&rx)
    }),
    ("an_os_thread_that_receives", || {
        let (tx, rx) = bounded(0);
        later(move || got(&rx));
        tx.send(1).unwrap()
    }),
    ("an_os_thread_that_has_the_lock", an_os_thread_that_has_the_lock),
    ("an_os_thread_that_drops_a_sender", || {
        let (tx, rx) = bounded::<u32>(0);
        later(move || drop(tx));
        assert!(rx.recv().is_err())
    }),
    ("an_os_thread_that_drops_a_token", || {
        let group = WaitGroup::new();
        let token = group.token();
        later(move || drop(token));
        group.wait()
    }),
    ("an_os_thread_that_cancels", || {
        let task = go(|| never::<u32>().recv());
        let handle = Arc::new(task);
        let other = handle.clone();
        later(move || other.cancel());
        while !handle.is_finished() {
            sleep(LATE / 9)
        }
    }),
    ("an_os_thread_that_wakes_a_future", an_os_thread_that_wakes_a_future),
    ("an_os_thread_with_a_limit", an_os_thread_with_a_limit),
    ("an_os_thread_that_computes", || {
        let (tx, rx) = bounded(0);
        thread::spawn(move || {
            spin();
            tx.send(1)
        });
        got(&rx)
    }),
    ("os_threads_in_a_row", os_threads_in_a_row),
    ("a_std_channel", a_std_channel),
    // Workers that are busy.
    ("a_task_that_computes", || {
        let (tx, rx) = bounded(0);
        go(move || {
            spin();
            tx.send(1)
        });
        got(&rx)
    }),
    ("a_task_that_blocks_its_worker", || {
        let (tx, rx) = bounded(0);
        go(move || {
            thread::sleep(LATE);
            tx.send(1)
        });
        got(&rx)
    }),
    ("a_task_that_yields", || {
        let (tx, rx) = bounded(0);
        go(move || {
            let start = Instant::now();
            while start.elapsed() < LATE {
                yield_now()
            }
            tx.send(1)
        });
        got(&rx)
    }),
    ("a_future_that_wakes_itself", a_future_that_wakes_itself),
    ("a_wait_while_unwinding", a_wait_while_unwinding),
    // Structure.
    ("a_child_that_sleeps", || {
        scope(|s| {
            s.spawn(|| sleep(LATE));
        })
    }),
    ("a_shield_around_a_sleep", || shield(|| sleep(LATE))),
    ("a_token_held_by_a_sleeper", || {
        let group = WaitGroup::new();
        group.go(|| sleep(LATE));
        group.wait()
    }),
    ("a_permit_that_goes_round", a_permit_that_goes_round),
    ("a_barrier_with_a_late_one", || {
        let barrier = Arc::new(Barrier::new(2));
        let late = barrier.clone();
        go(move || {
            sleep(LATE);
            late.wait()
        });
        barrier.wait();
    }),
    ("an_initialiser_that_sleeps", || {
        let cell = Arc::new(OnceCell::new());
        let first = cell.clone();
        go_near(move || {
            first.get_or_init(|| {
                sleep(LATE);
                1
            });
        });
        yield_now();
        assert_eq!(*cell.get_or_init(|| 1), 1)
    }),
    ("a_job_that_sleeps", || {
        let pool = Pool::new(1, 0);
        pool.submit(|| sleep(LATE)).join().unwrap();
        pool.shutdown()
    }),
    ("a_call_that_sleeps", || {
        assert_eq!(
            SingleFlight::new()
                .call(1, || {
                    sleep(LATE);
                    2
                })
                .0,
            2
        )
    }),
    ("a_parallel_loop_that_sleeps", || parallel_for(0..4, |_| sleep(LATE / 2))),
    // Runtimes.
    ("another_runtime_sleeps", || Runtime::builder().workers(1).build().unwrap().run(|| sleep(LATE))),
    ("the_global_runtime_sleeps", || thread::spawn(|| run(|| sleep(LATE))).join().unwrap()),
    ("a_dropped_runtime_sleeps", a_dropped_runtime_sleeps),
    ("a_shutdown_that_waits", a_shutdown_that_waits),
    // The end.
    ("main_returns_before_the_others", || {
        go(|| never::<u32>().recv());
        go_async(pending::<()>());
        yield_now()
    }),
    ("others_are_deadlocked_and_main_is_not", others_are_deadlocked_and_main_is_not),
];

fn got(rx: &Receiver<u32>) {
    assert_eq!(rx.recv(), Ok(1));
}

/// On an OS thread of its own, when all have stopped looking.
fn later(act: impl FnOnce() + Send + 'static) {
    thread::spawn(move || {
        thread::sleep(LATE);
        act();
    });
}

fn spin() {
    let start = Instant::now();
    while start.elapsed() < LATE {
        std::hint::spin_loop();
    }
}

fn a_sleeper_who_sends() {
    let (tx, rx) = bounded(0);
    go(move || {
        sleep(LATE);
        tx.send(1).unwrap();
    });
    got(&rx);
}

fn a_call_to_come() {
    let (tx, rx) = bounded(0);
    after_func(LATE, move || tx.send(1).unwrap()).detach();
    got(&rx);
}

fn calls_that_call_each_other() {
    fn again(left: u32, tx: Sender<u32>) {
        if left == 0 {
            return tx.send(1).unwrap();
        }
        after_func(LATE / 4, move || again(left - 1, tx.clone())).detach();
    }
    let (tx, rx) = bounded(0);
    again(4, tx);
    got(&rx);
}

fn a_child_of_a_context_with_a_deadline() {
    let (root, _cancel) = Context::background().with_timeout(LATE);
    let (child, _cancel) = root.with_value(1).with_cancel();
    go(move || child.wait()).join().unwrap();
}

fn a_group_with_a_deadline() {
    let (ctx, _cancel) = Context::background().with_timeout(LATE);
    let group = Group::collect_all(&ctx);
    for _ in 0..3 {
        let ctx = group.context().clone();
        group.go(move || ctx.wait());
    }
    assert_eq!(group.wait().len(), 3);
}

fn an_os_thread_that_has_the_lock() {
    let ((tx, rx), lock) = (bounded(0), Arc::new(Mutex::new(())));
    let other = lock.clone();
    thread::spawn(move || {
        let _held = other.lock();
        tx.send(1).unwrap();
        thread::sleep(LATE);
    });
    got(&rx);
    drop(lock.lock());
}

fn an_os_thread_that_wakes_a_future() {
    let (tx, rx) = mpsc::channel::<Waker>();
    later(move || rx.recv().unwrap().wake());
    let mut asked = false;
    go_async(poll_fn(move |cx| {
        if std::mem::replace(&mut asked, true) {
            return Poll::Ready(());
        }
        tx.send(cx.waker().clone()).unwrap();
        Poll::Pending
    }))
    .join()
    .unwrap();
}

/// It waits in a call of ours, and gives up.
fn an_os_thread_with_a_limit() {
    let (tx, rx) = bounded(0);
    thread::spawn(move || {
        assert!(never::<u32>().recv_timeout(LATE).is_err());
        tx.send(1).unwrap();
    });
    got(&rx);
}

/// Each sleeps a little, starts its successor, and ends.
fn os_threads_in_a_row() {
    fn run(left: u32, tx: Sender<u32>) {
        thread::spawn(move || {
            thread::sleep(LATE / 40);
            if left == 0 { tx.send(1).unwrap() } else { run(left - 1, tx) }
        });
    }
    let (tx, rx) = bounded(0);
    run(40, tx);
    got(&rx);
}

/// A worker waits where we cannot see it.
fn a_std_channel() {
    let (tx, rx) = mpsc::channel();
    later(move || tx.send(1).unwrap());
    assert_eq!(rx.recv(), Ok(1));
}

/// From a process: no thread of ours is awake meanwhile.
fn signals_from_a_child() -> (signal::Signals, Child) {
    let signals = signal::notify(&[Signal::USER_1], 1).unwrap();
    let script = format!("sleep 1.4; kill -USR1 {}", std::process::id());
    (signals, Command::new("sh").args(["-c", &script]).spawn().unwrap())
}

fn a_future_that_wakes_itself() {
    let start = Instant::now();
    go_async(poll_fn(move |cx| {
        if start.elapsed() > LATE {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }))
    .join()
    .unwrap();
}

/// It holds up its worker, and nobody else of this runtime could run.
fn a_wait_while_unwinding() {
    struct Sleeps;
    impl Drop for Sleeps {
        fn drop(&mut self) {
            sleep(LATE);
        }
    }
    let task = go(|| {
        let _sleeps = Sleeps;
        resume_unwind(Box::new(()))
    });
    let ended: Result<(), _> = task.join();
    assert!(ended.is_err());
}

fn a_permit_that_goes_round() {
    let permits = Arc::new(Semaphore::new(1));
    let tasks: Vec<_> = (0..14)
        .map(|_| {
            let permits = permits.clone();
            go(move || {
                let _permit = permits.acquire(1).unwrap();
                sleep(LATE / 14);
            })
        })
        .collect();
    tasks.into_iter().for_each(|task| task.join().unwrap());
}

fn a_dropped_runtime_sleeps() {
    let (tx, rx) = bounded(0);
    Runtime::builder().workers(1).build().unwrap().go(move || {
        sleep(LATE);
        tx.send(1).unwrap();
    });
    got(&rx);
}

/// For a task that does not end in time.
fn a_shutdown_that_waits() {
    let runtime = Runtime::builder().workers(1).build().unwrap();
    let (tx, rx) = bounded(0);
    runtime.go(move || {
        shield(|| {
            tx.send(1).unwrap();
            let _ = never::<u32>().recv();
        })
    });
    got(&rx);
    assert_eq!(runtime.shutdown(LATE).left().len(), 1);
}

fn others_are_deadlocked_and_main_is_not() {
    let lock = Arc::new(Mutex::new(()));
    let own = lock.clone();
    go(move || {
        let _first = own.lock();
        drop(own.lock());
    });
    sleep(LATE);
}
