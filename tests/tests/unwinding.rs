//! Panics in the wrong places, waits while unwinding, and a cancel in every wait: nobody else suffers.

use greenlight::{
    Barrier, Condvar, JoinHandle, Lazy, Mutex, Notify, Once, OnceCell, Runtime, RwLock, Semaphore, WaitGroup, Watch,
    block_on, blocking,
    channel::{Select, StaticChannel, after, bounded, bounded_strict, broadcast, never, oneshot, unbounded, watch},
    context::Context,
    go, go_async,
    group::{Group, Pool, SingleFlight, parallel_for},
    run, scope, select, sleep, task_local,
    time::{Ticker, Timer, after_func, sleep_async, timeout},
    yield_now,
};
use std::{
    future::{Future, pending},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::pin,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering::*},
    },
    task::{Context as Cx, Wake, Waker},
    thread,
    time::Duration,
};

const MOMENT: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(3600);

/// Panics when it is used; the other one counts.
struct Bomb;

impl Wake for Bomb {
    fn wake(self: Arc<Self>) {
        resume_unwind(Box::new("a waker"));
    }
}

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// Two wait, the first with a waker that panics. `wake` wakes both, one at each call, or all at once; the panic may come out of it.
/// Then the second has been woken, and is ready.
fn two_wait<T>(name: &str, make: impl Fn() -> T, wake: impl Fn())
where
    T: Future,
{
    let (bomb, count) = (Waker::from(Arc::new(Bomb)), Arc::new(Count(AtomicUsize::new(0))));
    let counting = Waker::from(count.clone());
    let (mut first, mut second) = (pin!(make()), pin!(make()));
    assert!(first.as_mut().poll(&mut Cx::from_waker(&bomb)).is_pending(), "{name}");
    assert!(second.as_mut().poll(&mut Cx::from_waker(&counting)).is_pending(), "{name}");
    for _ in 0..2 {
        let _ = catch_unwind(AssertUnwindSafe(&wake));
    }
    assert_eq!(count.0.load(SeqCst), 1, "{name}: the second was woken");
    assert!(
        first.as_mut().poll(&mut Cx::from_waker(&counting)).is_ready(),
        "{name}: the first is none the worse for it"
    );
    assert!(second.as_mut().poll(&mut Cx::from_waker(&counting)).is_ready(), "{name}");
}

#[test]
fn a_waker_that_panics_keeps_nobody_else_from_waking() {
    for (tx, rx) in [bounded(0), bounded(2), bounded_strict(2), unbounded()] {
        two_wait("receive", || rx.recv_async(), || _ = tx.try_send(1));
    }
    for (tx, rx) in [bounded(0), bounded(1), bounded_strict(1)] {
        let _ = tx.try_send(0);
        two_wait("send", || tx.send_async(1), || _ = rx.try_recv());
    }
    let (tx, rx) = bounded::<u32>(0);
    two_wait("receive, until it closes", || rx.recv_async(), || _ = tx.close());
    let fixed = StaticChannel::<u32, 2>::new();
    let receiver = fixed.receiver();
    two_wait("receive from a static", || receiver.recv_async(), || _ = fixed.sender().try_send(1));

    let lock = Mutex::new(());
    let held = std::cell::Cell::new(Some(lock.lock()));
    two_wait("a mutex", || async { drop(lock.lock_async().await) }, || drop(held.take()));
    let lock = RwLock::new(());
    let held = std::cell::Cell::new(Some(lock.write()));
    two_wait("an rwlock", || async { drop(lock.read_async().await) }, || drop(held.take()));
    let permits = Semaphore::new(0);
    two_wait("a semaphore", || permits.acquire_async(1), || permits.add_permits(1));
    two_wait("a semaphore that closes", || permits.acquire_async(9), || permits.close());
    let notify = Notify::new();
    two_wait("notify one", || notify.notified(), || notify.notify_one());
    two_wait("notify all", || notify.notified(), || notify.notify_waiters());
    let group = WaitGroup::new();
    let token = std::cell::Cell::new(Some(group.token()));
    two_wait("a wait group", || group.wait_async(), || drop(token.take()));
    let once = Once::new();
    two_wait("once", || once.wait_async(), || once.call_once(|| ()));
    let cell = OnceCell::new();
    two_wait("a once cell", || cell.wait_async(), || _ = cell.set(1));
    let (lock, told) = (Mutex::new(()), Condvar::new());
    two_wait("a condvar", || async { drop(told.wait_async(lock.lock_async().await).await) }, || told.notify_all());

    let (ctx, cancel) = Context::background().with_cancel();
    two_wait("a context", || ctx.done(), || cancel.cancel());
    let (tx, rx) = broadcast::channel(2);
    drop(rx);
    two_wait(
        "news",
        || {
            let mut rx = tx.subscribe();
            async move { rx.recv_async().await }
        },
        || _ = tx.send(1),
    );
    let (tx, rx) = watch::channel(0);
    two_wait(
        "a watched value",
        || {
            let mut rx = rx.clone();
            async move { rx.changed_async().await }
        },
        || _ = tx.send(1),
    );
}

/// The clock's thread, the pool's, and workers live on when a waker of theirs panics.
#[test]
fn a_waker_that_panics_stops_no_thread_of_ours() {
    let bomb = Waker::from(Arc::new(Bomb));
    let mut cx = Cx::from_waker(&bomb);
    for _ in 0..3 {
        let mut sleeping = pin!(sleep_async(MOMENT));
        assert!(sleeping.as_mut().poll(&mut cx).is_pending());
        let (tx, rx) = bounded::<()>(0);
        let mut call = pin!(blocking(move || rx.recv()));
        assert!(call.as_mut().poll(&mut cx).is_pending());
        let (other_tx, other) = bounded::<()>(0);
        let mut task = pin!(go(move || other.recv()));
        assert!(task.as_mut().poll(&mut cx).is_pending());
        let (last_tx, last) = bounded::<()>(0);
        let mut future = pin!(go_async(async move { last.recv_async().await }));
        assert!(future.as_mut().poll(&mut cx).is_pending());
        drop((tx, other_tx, last_tx));
        sleep(MOMENT * 3);
        assert!(block_on(call).unwrap().is_err());
        assert!(block_on(task).unwrap().is_err());
        assert!(block_on(future).unwrap().is_err());
        block_on(sleeping);
    }
    assert_eq!(run(|| blocking(|| 1).join().unwrap()), 1);
}

/// What a closure owns panics when it is dropped.
struct Charge(Arc<AtomicUsize>);

impl Drop for Charge {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
        if !thread::panicking() {
            resume_unwind(Box::new("a drop"));
        }
    }
}

#[test]
fn what_a_closure_owns_may_panic_when_dropped() {
    greenlight_tests::on_workers(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let charge = || Charge(drops.clone());
        // At its end; and by a cancel before it began.
        let owned = charge();
        let error = go(move || drop(owned)).join().unwrap_err();
        assert_eq!(error.message(), Some("a drop"));
        let owned = charge();
        let error = go(move || {
            let _owned = &owned;
        })
        .join()
        .unwrap_err();
        assert!(error.is_panic());
        let owned = charge();
        let task = Runtime::builder().workers(1).build().unwrap().go(move || {
            let _owned = owned;
            never::<u32>().recv()
        });
        task.cancel();
        assert!(task.join().is_err());
        // A payload.
        let owned = charge();
        let error = go(move || resume_unwind(Box::new(owned))).join().unwrap_err();
        assert!(catch_unwind(AssertUnwindSafe(|| drop(error))).is_err());
        let owned = charge();
        drop(go(move || resume_unwind(Box::new(owned))));
        while drops.load(SeqCst) < 5 {
            yield_now();
        }
        // Elsewhere.
        let owned = charge();
        assert!(blocking(move || drop(owned)).join().is_err());
        let owned = charge();
        after_func(Duration::ZERO, move || _ = &owned).detach();
        let owned = charge();
        let pool = Pool::new(1, 1);
        assert!(pool.submit(move || drop(owned)).join().is_err());
        pool.shutdown();
        let owned = charge();
        assert!(catch_unwind(AssertUnwindSafe(|| scope(|s| drop(s.spawn(move || drop(owned)))))).is_err());
        while drops.load(SeqCst) < 9 {
            yield_now();
        }
        assert_eq!(go(|| 5).join().unwrap(), 5);
    });
}

task_local!(
    static LOCAL: Local = Local;
);

struct Local;

impl Drop for Local {
    fn drop(&mut self) {
        sleep(MOMENT / 8);
        resume_unwind(Box::new("a local"));
    }
}

#[test]
fn a_local_that_panics_after_its_task_has_panicked() {
    for how in 0..3 {
        let task: JoinHandle<u32> = go(move || {
            LOCAL.with(|_| ());
            match how {
                0 => 7,
                1 => resume_unwind(Box::new("the task")),
                _ => never::<u32>().recv().unwrap(),
            }
        });
        if how == 2 {
            sleep(MOMENT);
            task.cancel();
        }
        match task.join() {
            Ok(value) => assert_eq!((how, value), (0, 7)),
            Err(error) => assert_eq!((how == 1, error.message()), (error.is_panic(), error.message())),
        }
    }
}

/// All kinds of waits that end by themselves, or by an OS thread.
const WAITS: &[(&str, fn())] = &[
    ("sleep", || sleep(MOMENT)),
    ("yield", yield_now),
    ("receive", || {
        let (tx, rx) = bounded(0);
        outside(move || tx.send(1).unwrap());
        rx.recv().unwrap();
    }),
    ("send", || {
        let (tx, rx) = bounded(0);
        outside(move || _ = rx.recv());
        tx.send(1).unwrap()
    }),
    ("receive in vain", || assert!(never::<u32>().recv_timeout(MOMENT).is_err())),
    ("oneshot", || {
        let (tx, rx) = oneshot::channel();
        outside(move || tx.send(1).unwrap());
        rx.recv().unwrap();
    }),
    ("watch", || {
        let (tx, mut rx) = watch::channel(0);
        outside(move || drop(tx));
        assert!(rx.changed().is_err())
    }),
    ("broadcast", || {
        let (tx, mut rx) = broadcast::channel::<u32>(1);
        outside(move || drop(tx));
        assert!(rx.recv().is_err())
    }),
    ("select", || {
        let (tx, rx) = bounded(0);
        outside(move || tx.send(1).unwrap());
        select! { recv(rx) -> value => assert!(value.is_ok()), recv(never::<u32>()) -> _ => unreachable!() }
    }),
    ("select in vain", || select! { recv(never::<u32>()) -> _ => unreachable!(), default(MOMENT) => {} }),
    ("select of the clock", || select! { recv(never::<u32>()) -> _ => unreachable!(), recv(after(MOMENT)) -> _ => {} }),
    (
        "select of a future",
        || select! { recv(never::<u32>()) -> _ => unreachable!(), wait(sleep_async(MOMENT)) -> () => {} },
    ),
    ("mutex", || {
        let lock = locked();
        drop(lock.0.lock())
    }),
    ("rwlock", || {
        let lock = locked();
        drop(lock.1.write());
        drop(lock.1.read())
    }),
    ("semaphore", || {
        let permits = share(Semaphore::new(0), |permits| permits.add_permits(1));
        drop(permits.acquire(1))
    }),
    ("condvar", || drop(Condvar::new().wait_timeout(Mutex::new(()).lock(), MOMENT))),
    ("barrier", || _ = share(Barrier::new(2), |barrier| _ = barrier.wait()).wait()),
    ("wait group", || {
        let group = WaitGroup::new();
        let token = group.token();
        outside(move || drop(token));
        group.wait()
    }),
    ("notify", || share(Notify::new(), Notify::notify_one).wait()),
    ("once", || share(Once::new(), |once| once.call_once(|| thread::sleep(MOMENT))).wait()),
    ("cell", || _ = share(OnceCell::new(), |cell| cell.set(1).unwrap()).wait()),
    ("level", || {
        let level = Watch::new(1);
        let mut seen = level.subscribe();
        assert!(seen.changed_timeout(MOMENT).is_err())
    }),
    ("context", || {
        let (ctx, cancel) = Context::background().with_cancel();
        outside(move || cancel.cancel());
        _ = ctx.wait()
    }),
    ("deadline", || {
        let (ctx, _cancel) = Context::background().with_timeout(MOMENT);
        _ = ctx.wait()
    }),
    ("timer", || _ = Timer::new(MOMENT).wait()),
    ("ticker", || _ = Ticker::new(MOMENT).wait()),
    ("block_on", || block_on(sleep_async(MOMENT))),
    ("block_on with a limit", || assert!(block_on(timeout(MOMENT, pending::<()>())).is_err())),
    ("blocking", || blocking(|| thread::sleep(MOMENT)).join().unwrap()),
    ("a task of another runtime", || {
        assert_eq!(
            ELSEWHERE
                .go(|| {
                    sleep(MOMENT);
                    1
                })
                .join()
                .unwrap(),
            1
        )
    }),
    ("a scope of another runtime's", || {
        ELSEWHERE.run(|| {
            scope(|s| {
                s.spawn(|| sleep(MOMENT));
            })
        })
    }),
    ("a parallel loop", || parallel_for(0..3, |_| ())),
];

static ELSEWHERE: LazyLock<Runtime> = LazyLock::new(|| Runtime::builder().workers(1).build().unwrap());

fn outside(act: impl FnOnce() + Send + 'static) {
    thread::spawn(move || {
        thread::sleep(MOMENT / 4);
        act();
    });
}

fn share<T: Send + Sync + 'static>(object: T, act: impl FnOnce(&T) + Send + 'static) -> Arc<T> {
    let object = Arc::new(object);
    let other = object.clone();
    outside(move || act(&other));
    object
}

/// Both held by an OS thread, for a moment.
fn locked() -> Arc<(Mutex<()>, RwLock<()>)> {
    let (tx, rx) = std::sync::mpsc::channel();
    let locks = Arc::new((Mutex::new(()), RwLock::new(())));
    let others = locks.clone();
    thread::spawn(move || {
        let _held = (others.0.lock(), others.1.write());
        tx.send(()).unwrap();
        thread::sleep(MOMENT);
    });
    rx.recv().unwrap();
    locks
}

/// It holds up the worker, comes to its end, and leaves the thread's count of panics as it should be.
#[test]
fn every_wait_is_possible_while_unwinding() {
    struct Waits(fn(), Arc<AtomicUsize>);
    impl Drop for Waits {
        fn drop(&mut self) {
            assert!(thread::panicking());
            (self.0)();
            assert!(thread::panicking());
            self.1.fetch_add(1, SeqCst);
        }
    }
    for workers in [1, 2] {
        let runtime = Runtime::builder().workers(workers).build().unwrap();
        for (name, wait) in WAITS {
            let done = Arc::new(AtomicUsize::new(0));
            for cancelled in [false, true] {
                let (waits, begun) = (Waits(*wait, done.clone()), WaitGroup::new());
                let token = begun.token();
                let task: JoinHandle<()> = runtime.go(move || {
                    let _waits = waits;
                    drop(token);
                    if !cancelled {
                        resume_unwind(Box::new("unwinding"));
                    }
                    _ = never::<u32>().recv();
                });
                begun.wait();
                // Neighbours of the same workers, which are not unwinding.
                let others: Vec<_> = (0..3).map(|_| runtime.go(|| (yield_now(), thread::panicking()).1)).collect();
                if cancelled {
                    task.cancel();
                }
                let error = task.join().unwrap_err();
                assert_eq!(error.is_cancelled(), cancelled, "{name}");
                others.into_iter().for_each(|other| assert!(!other.join().unwrap(), "{name}"));
            }
            assert_eq!(done.load(SeqCst), 2, "{name}");
        }
    }
}

/// Waits that never end: each begins, is cancelled, and its task unwinds.
const ENDLESS: &[(&str, fn())] = &[
    ("semaphore", || drop(Semaphore::new(0).acquire(1))),
    ("condvar", || drop(Condvar::new().wait(Mutex::new(()).lock()))),
    ("condvar with a limit", || drop(Condvar::new().wait_timeout(Mutex::new(()).lock(), LONG))),
    ("barrier", || _ = Barrier::new(2).wait()),
    ("notify", || Notify::new().wait()),
    ("once", || Once::new().wait()),
    ("once inside itself", || {
        let once = Once::new();
        once.call_once(|| once.call_once(|| ()))
    }),
    ("cell", || _ = OnceCell::<u32>::new().wait()),
    ("cell inside itself", || {
        let cell = OnceCell::new();
        cell.get_or_init(|| *cell.get_or_init(|| 1));
    }),
    ("lazy", || {
        Lazy::force(&Lazy::new(|| _ = never::<u32>().recv()));
    }),
    ("mutex", || {
        let lock = Mutex::new(());
        let _held = lock.lock();
        drop(lock.lock())
    }),
    ("mutex with a limit", || {
        let lock = Mutex::new(());
        let _held = lock.lock();
        drop(lock.lock_timeout(LONG))
    }),
    ("rwlock", || {
        let lock = RwLock::new(());
        let _held = lock.read();
        drop(lock.write())
    }),
    ("static channel", || _ = StaticChannel::<u32, 1>::new().receiver().recv().map(drop)),
    ("receive with a limit", || _ = never::<u32>().recv_timeout(LONG).map(drop)),
    ("iteration", || {
        let (_tx, rx) = unbounded::<u32>();
        assert_eq!(rx.iter().count(), 0)
    }),
    ("list", || {
        let rx = never::<u32>();
        let mut list = Select::new();
        list.recv(&rx);
        list.ready();
    }),
    ("select of a future", || select! { wait(pending::<()>()) -> () => {}, recv(never::<u32>()) -> _ => {} }),
    ("channel of the clock", || _ = after(LONG).recv()),
    ("watch", || {
        let (_tx, mut rx) = watch::channel(0);
        _ = rx.changed()
    }),
    ("wait group with a limit", || {
        let group = WaitGroup::new();
        group.add(1);
        _ = group.wait_timeout(LONG)
    }),
    ("context", || {
        let (ctx, _cancel) = Context::background().with_cancel();
        _ = ctx.wait()
    }),
    ("deadline", || {
        let (ctx, _cancel) = Context::background().with_timeout(LONG);
        _ = ctx.wait()
    }),
    ("timer", || _ = Timer::new(LONG).wait()),
    ("ticker", || _ = Ticker::new(LONG).wait()),
    ("block_on", || block_on(pending())),
    ("block_on the clock", || block_on(sleep_async(LONG))),
    ("join of a future", || drop(go_async(pending::<()>()).join())),
    ("join with a limit", || drop(go_async(pending::<()>()).join_timeout(LONG))),
    ("scope", || {
        scope(|s| {
            s.spawn(|| _ = never::<u32>().recv());
        })
    }),
    ("group", || {
        let group = Group::collect_all(&Context::background());
        let ctx = group.context().clone();
        group.go(move || ctx.wait());
        group.wait();
    }),
    ("place in a group", || {
        let group = Group::collect_all(&Context::background());
        group.set_limit(1);
        let ctx = group.context().clone();
        group.go(move || _ = ctx.wait());
        group.go(|| ());
    }),
    ("pool", || {
        let pool = Pool::new(1, 0);
        let (_tx, rx) = bounded::<()>(0);
        drop(pool.submit(move || rx.recv()).join())
    }),
    ("single flight", || _ = SingleFlight::new().call(1, || never::<u32>().recv().unwrap())),
    ("blocking", || {
        let (_tx, rx) = bounded::<()>(0);
        drop(blocking(move || rx.recv()).join())
    }),
    ("parallel loop", || parallel_for(0..1, |_| _ = never::<u32>().recv())),
];

#[test]
fn every_wait_that_does_not_end_can_be_cancelled() {
    greenlight_tests::on_workers(|| {
        for (name, wait) in ENDLESS {
            let begun = WaitGroup::new();
            let token = begun.token();
            let task = go(move || {
                drop(token);
                wait();
            });
            begun.wait();
            (0..3).for_each(|_| yield_now());
            sleep(MOMENT / 8);
            assert!(!task.is_finished(), "{name}");
            task.cancel();
            let ended = task.join();
            assert!(ended.is_err_and(|error| error.is_cancelled()), "{name}");
        }
    });
}
