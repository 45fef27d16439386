//! Futures as tasks, and futures waited for: what they bring, where they run, and that a blocking call in one stops nobody else.

use greenlight::{
    JoinHandle, Mutex, Runtime, WaitGroup, block_on,
    channel::{bounded, never, oneshot, unbounded},
    go, go_async, run, select, sleep,
    task::{self, Builder, check_cancelled, is_cancelled, shield},
    yield_now,
};
use std::{
    collections::HashSet,
    future::{Future, pending, poll_fn, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc, Barrier, Mutex as StdMutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::*},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

fn on_one_worker(f: impl FnOnce() + Send + 'static) {
    Runtime::builder().workers(1).build().unwrap().run(f);
}

/// Pending once, and woken at once.
async fn step() {
    let mut first = true;
    poll_fn(|cx| {
        if std::mem::take(&mut first) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn futures_bring_values_and_panics_and_are_dropped_once() {
    let drops = Arc::new(AtomicUsize::new(0));
    let mut made = 0;
    for i in 0..400 {
        made += 2;
        let (captured, result) = (Counted(drops.clone()), Counted(drops.clone()));
        let task = go_async(async move {
            let _captured = captured;
            for _ in 0..i % 3 {
                step().await;
            }
            if i % 5 == 4 {
                panic!("from a future");
            }
            result
        });
        match i % 4 {
            0 => drop(task),
            1 => {
                while !task.is_finished() {
                    thread::yield_now();
                }
                drop(task);
            }
            _ if i % 5 == 4 => assert_eq!(task.join().err().unwrap().message(), Some("from a future")),
            _ => drop(task.join().unwrap()),
        }
    }
    while drops.load(SeqCst) < made {
        thread::yield_now();
    }
    sleep(Duration::from_millis(2));
    assert_eq!(drops.load(SeqCst), made);
}

#[test]
fn handles_of_both_kinds_are_of_one_type() {
    greenlight_tests::on_workers(|| {
        let tasks: Vec<JoinHandle<usize>> =
            (0..200).map(|i| if i % 2 == 0 { go(move || i) } else { go_async(async move { i }) }).collect();
        let sum = go_async(async move {
            let mut sum = 0;
            for task in tasks {
                sum += task.await.unwrap();
            }
            sum
        });
        assert_eq!(sum.join().unwrap(), 199 * 200 / 2);
    });
}

#[test]
fn names_and_numbers_are_those_of_the_future() {
    let task = Builder::new().name("a future").spawn_async(async {
        step().await;
        (task::current_name(), task::current_id())
    });
    let id = task.id();
    assert_eq!(task.name(), Some("a future"));
    let (name, own) = task.join().unwrap();
    assert_eq!((name.as_deref(), own), (Some("a future"), Some(id)));
}

/// On one worker: futures that wait in blocking calls, while others go on.
#[test]
fn a_blocking_call_in_a_poll_stops_no_other_task() {
    greenlight_tests::on_workers(|| {
        let (tx, rx) = bounded::<u32>(0);
        let lock = Arc::new(Mutex::new(0));
        let guard = lock.lock();
        let blocked: Vec<_> = (0..100)
            .map(|i| {
                let (rx, lock) = (rx.clone(), lock.clone());
                go_async(async move {
                    match i % 3 {
                        0 => rx.recv().unwrap(),
                        1 => {
                            *lock.lock() += 1;
                            1
                        }
                        _ => {
                            sleep(Duration::from_millis(1));
                            step().await;
                            1
                        }
                    }
                })
            })
            .collect();
        let others: Vec<_> = (0..100)
            .map(|i| {
                go_async(async move {
                    (0..i % 7).for_each(|_| yield_now());
                    step().await;
                    i
                })
            })
            .collect();
        assert_eq!(others.into_iter().map(|other| other.join().unwrap()).sum::<u32>(), 99 * 100 / 2);
        go(|| ()).join().unwrap();
        drop(guard);
        let sender = go_async(async move {
            for _ in 0..34 {
                tx.send_async(1).await.unwrap();
            }
        });
        assert_eq!(blocked.into_iter().map(|task| task.join().unwrap()).sum::<u32>(), 100);
        sender.join().unwrap();
        assert_eq!(*lock.lock(), 33);
    });
}

/// Two futures that wait for each other without a wait that the runtime knows: they end only if two workers poll them.
#[test]
fn computing_futures_run_on_all_workers() {
    let runtime = Runtime::builder().workers(2).build().unwrap();
    for _ in 0..50 {
        runtime.run(|| {
            let meet = Arc::new(Barrier::new(2));
            let tasks: Vec<_> = (0..2)
                .map(|_| {
                    let meet = meet.clone();
                    go_async(async move {
                        step().await;
                        meet.wait();
                        thread::current().id()
                    })
                })
                .collect();
            let threads: Vec<_> = tasks.into_iter().map(|task| task.join().unwrap()).collect();
            assert_ne!(threads[0], threads[1]);
        });
    }
}

/// One future, woken by two green threads in turn, each on a worker of its own.
#[test]
fn a_future_goes_on_with_the_worker_that_wakes_it() {
    let runtime = Runtime::builder().workers(2).build().unwrap();
    runtime.run(|| {
        let ((tx, wakers), seen) = (unbounded::<Waker>(), Arc::new(StdMutex::new(HashSet::new())));
        let traveller = {
            let seen = seen.clone();
            go_async(poll_fn(move |cx| {
                let mut seen = seen.lock().unwrap();
                seen.insert(thread::current().id());
                if seen.len() == 2 {
                    return Poll::Ready(());
                }
                tx.send(cx.waker().clone()).unwrap();
                Poll::Pending
            }))
        };
        let meet = Arc::new(Barrier::new(2));
        let waking: Vec<_> = (0..2)
            .map(|_| {
                let (meet, wakers) = (meet.clone(), wakers.clone());
                go(move || {
                    meet.wait(); // blocks the OS thread: so they are on two
                    for waker in &wakers {
                        waker.wake();
                        yield_now();
                    }
                })
            })
            .collect();
        traveller.join().unwrap();
        waking.into_iter().for_each(|waking| waking.join().unwrap());
        assert_eq!(seen.lock().unwrap().len(), 2);
    });
}

#[test]
fn wakers_may_be_used_anywhere_and_any_number_of_times() {
    let (tx, wakers) = unbounded::<Waker>();
    let woken = Arc::new(AtomicUsize::new(0));
    let task = {
        let woken = woken.clone();
        go_async(poll_fn(move |cx| {
            for _ in 0..3 {
                tx.send(cx.waker().clone()).unwrap();
            }
            match woken.fetch_add(1, SeqCst) {
                500 => Poll::Ready(()),
                _ => Poll::Pending,
            }
        }))
    };
    let waking: Vec<_> = (0..3)
        .map(|i| {
            let wakers = wakers.clone();
            thread::spawn(move || {
                let mut last = None;
                for waker in &wakers {
                    match i {
                        0 => waker.wake_by_ref(),
                        1 => waker.wake(),
                        _ => last = Some(last.replace(waker.clone()).map_or(waker, |old| old)),
                    }
                    last.iter().for_each(Waker::wake_by_ref);
                }
                last.into_iter().for_each(Waker::wake); // after its end
            })
        })
        .collect();
    task.join().unwrap();
    waking.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(woken.load(SeqCst) > 500);
}

#[test]
fn one_that_nobody_can_wake_is_dropped_with_its_last_waker() {
    let drops = Arc::new(AtomicUsize::new(0));
    let (tx, rx) = bounded::<Waker>(1);
    let captured = Counted(drops.clone());
    drop(go_async(async move {
        let _captured = captured;
        poll_fn(|cx| {
            let _ = tx.try_send(cx.waker().clone());
            Poll::<()>::Pending
        })
        .await;
    }));
    let waker = rx.recv().unwrap();
    sleep(Duration::from_millis(2));
    assert_eq!(drops.load(SeqCst), 0);
    drop(waker);
    assert_eq!(drops.load(SeqCst), 1);
}

#[test]
fn a_cancelled_future_is_dropped() {
    greenlight_tests::on_workers(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        for turns in 0..20 {
            let captured = Counted(drops.clone());
            let task = go_async(async move {
                let _captured = captured;
                pending::<()>().await
            });
            (0..turns % 4).for_each(|_| yield_now());
            task.cancel();
            assert!(task.join().unwrap_err().is_cancelled());
            assert_eq!(drops.load(SeqCst), turns + 1);
        }
    });
    // One that is never pending, but asks.
    let asks = go_async(async {
        loop {
            check_cancelled();
        }
    });
    asks.cancel();
    assert!(asks.join().unwrap_err().is_cancelled());
}

#[test]
fn a_cancel_reaches_a_blocking_call_in_a_poll_and_not_the_next_future() {
    on_one_worker(|| {
        for shielded in [false, true] {
            let ((go_on, gate), (begun, has_begun)) = (bounded::<()>(0), oneshot::channel());
            let task = go_async(async move {
                begun.send(()).unwrap();
                if shielded {
                    shield(|| gate.recv().unwrap());
                    assert!(is_cancelled());
                }
                drop(catch_unwind(AssertUnwindSafe(|| gate.recv())));
                gate.recv().is_ok()
            });
            has_begun.recv().unwrap();
            (0..3).for_each(|_| yield_now());
            task.cancel();
            if shielded {
                (0..3).for_each(|_| yield_now());
                assert!(!task.is_finished());
                go_on.send(()).unwrap();
            }
            assert!(task.join().unwrap_err().is_cancelled());
            // The same carrier polls others, which wait as they like.
            let (tx, rx) = bounded(0);
            let next = go_async(async move {
                assert!(!is_cancelled());
                rx.recv().unwrap()
            });
            (0..3).for_each(|_| yield_now());
            tx.send(3).unwrap();
            assert_eq!(next.join().unwrap(), 3);
        }
    });
}

#[test]
fn a_drop_that_panics_harms_nobody() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            if !thread::panicking() {
                panic!("a bomb in a future");
            }
        }
    }
    on_one_worker(|| {
        for _ in 0..10 {
            let bomb = Bomb;
            drop(go_async(async move {
                let _bomb = &bomb;
                step().await;
                Bomb
            }));
            let bomb = Bomb;
            // Dropped at its end, after the value was made: the value is a panic's.
            assert!(go_async(async move { drop(bomb) }).join().unwrap_err().is_panic());
            let bomb = Bomb;
            let unreachable = go_async(async move {
                let _bomb = &bomb;
                pending::<()>().await
            });
            drop(unreachable);
            yield_now();
        }
        assert_eq!(go_async(ready(5)).join().unwrap(), 5);
    });
}

#[test]
fn futures_outlive_their_runtime_and_workers_end() {
    for _ in 0..20 {
        let runtime = Runtime::builder().workers(2).name("leaves").build().unwrap();
        let (tx, rx) = bounded(0);
        let task = runtime.go_async(async move {
            step().await;
            rx.recv_async().await.unwrap()
        });
        runtime.run(|| {
            let wg = WaitGroup::new();
            wg.add(20);
            for _ in 0..20 {
                let wg = wg.clone();
                go_async(async move {
                    yield_now();
                    wg.done();
                });
            }
            wg.wait();
        });
        drop(runtime);
        tx.send(4).unwrap();
        assert_eq!(task.join().unwrap(), 4);
    }
    let left = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
        names.filter(|name| name.starts_with("leaves")).count()
    };
    while left() > 0 {
        thread::yield_now();
    }
}

#[test]
fn a_shutdown_ends_futures_too() {
    let runtime = Runtime::builder().workers(2).build().unwrap();
    let tasks: Vec<_> = (0..50)
        .map(|i| {
            runtime.go_async(async move {
                match i % 3 {
                    0 => pending::<()>().await,
                    1 => _ = never::<()>().recv(),
                    _ => loop {
                        step().await;
                    },
                }
            })
        })
        .collect();
    let report = runtime.shutdown(Duration::from_secs(600));
    assert!(report.left().is_empty(), "{report:?}");
    assert!(tasks.into_iter().all(|task| task.join().unwrap_err().is_cancelled()));
}

// block_on -------------------------------------------------------------------------------------------------------------

#[test]
fn block_on_waits_on_green_threads_on_os_threads_and_in_futures() {
    fn ping(n: u32) -> u32 {
        let ((tx, rx), (back_tx, back)) = (bounded(0), bounded(0));
        let echo = go_async(async move {
            while let Ok(number) = rx.recv_async().await {
                back_tx.send_async(number + 1).await.unwrap();
            }
        });
        let mut number = 0;
        block_on(async {
            while number < n {
                tx.send_async(number).await.unwrap();
                number = back.recv_async().await.unwrap();
            }
        });
        drop(tx);
        block_on(echo).unwrap();
        number
    }
    assert_eq!(ping(200), 200);
    assert_eq!(run(|| ping(200)), 200);
    assert_eq!(block_on(async { block_on(async { ping(20) }) }), 20);
    on_one_worker(|| {
        let inside = go_async(async { ping(50) });
        assert_eq!(inside.join().unwrap(), 50);
        assert_eq!(ping(50), 50);
    });
}

/// While the future's poll blocks, its waker is woken: the wake-up is the future's, though the blocking call sleeps on the same
/// thread.
#[test]
fn a_blocking_call_inside_takes_no_wake_up() {
    fn program() {
        for _ in 0..100 {
            let ((tx, wakers), (go_on, gate)) = (bounded::<Waker>(0), bounded::<()>(0));
            let woken = Arc::new(AtomicBool::new(false));
            let waking = {
                let woken = woken.clone();
                go(move || {
                    let waker = wakers.recv().unwrap();
                    woken.store(true, SeqCst);
                    waker.wake(); // while the poll waits at the gate
                    go_on.send(()).unwrap();
                })
            };
            let mut first = true;
            block_on(poll_fn(|cx| {
                if std::mem::take(&mut first) {
                    assert!(!woken.load(SeqCst));
                    tx.send(cx.waker().clone()).unwrap();
                    gate.recv().unwrap();
                    return Poll::Pending;
                }
                if woken.load(SeqCst) { Poll::Ready(()) } else { Poll::Pending }
            }));
            waking.join().unwrap();
        }
    }
    program();
    greenlight_tests::on_workers(program);
}

/// On one worker: the future waits, by waking itself, for a green thread that gets its turn only if the wait lets it.
#[test]
fn a_future_that_wakes_itself_lets_others_run() {
    for wait in [|future| block_on(future), |future| select! { wait(future) -> () => () }] as [fn(Waiting); 2] {
        on_one_worker(move || {
            let done = Arc::new(AtomicBool::new(false));
            let seen = done.clone();
            go(move || done.store(true, SeqCst));
            wait(Box::pin(async move {
                while !seen.load(SeqCst) {
                    step().await;
                }
            }));
        });
    }
}

type Waiting = std::pin::Pin<Box<dyn Future<Output = ()>>>;

#[test]
fn a_cancelled_block_on_drops_its_future() {
    on_one_worker(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let captured = Counted(drops.clone());
        let task = go(move || {
            block_on(async move {
                let _captured = captured;
                pending::<()>().await
            })
        });
        yield_now();
        task.cancel();
        assert!(task.join().unwrap_err().is_cancelled());
        assert_eq!(drops.load(SeqCst), 1);
    });
}

/// Not only our own executors: any that polls from elsewhere.
#[test]
fn a_handle_of_a_future_wakes_foreign_tasks() {
    struct Unpark(thread::Thread, StdMutex<bool>);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            *self.1.lock().unwrap() = true;
            self.0.unpark();
        }
    }
    for i in 0..100_u32 {
        let unpark = Arc::new(Unpark(thread::current(), StdMutex::new(false)));
        let waker = Waker::from(unpark.clone());
        let mut task = pin!(go_async(async move {
            (0..i % 3).for_each(|_| yield_now());
            i
        }));
        loop {
            if let Poll::Ready(result) = task.as_mut().poll(&mut Context::from_waker(&waker)) {
                assert_eq!(result.unwrap(), i);
                break;
            }
            while !std::mem::take(&mut *unpark.1.lock().unwrap()) {
                thread::park();
            }
        }
    }
}
