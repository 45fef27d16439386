//! Cancellation: a green thread unwinds where it would sleep, whatever it sleeps on, and takes nothing along.

use greenlight::{
    JoinHandle, Mutex, Runtime, RwLock, WaitGroup, Watch,
    channel::{self, Receiver, Sender, StaticChannel, bounded, bounded_strict, broadcast, never, oneshot, unbounded},
    go, run, select, sleep,
    task::{check_cancelled, current_id, is_cancelled, shield},
    yield_now,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex as StdMutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::*},
    },
    thread,
    time::Duration,
};

/// As a green thread on a runtime with one worker, where a `yield_now` lets all others run until they park.
fn on_one_worker(f: impl FnOnce() + Send + 'static) {
    Runtime::builder().workers(1).build().unwrap().run(f);
}

/// Starts `f`, which parks for good, and cancels it there.
#[track_caller]
fn cancel_parked<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) {
    let task = park(f);
    task.cancel();
    assert!(task.join().err().expect("it was parked").is_cancelled());
}

/// Starts `f` and comes back when it is parked.
#[track_caller]
fn park<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let (begun, has_begun) = oneshot::channel();
    let task = go(move || {
        begun.send(()).unwrap();
        f()
    });
    has_begun.recv().unwrap();
    (0..3).for_each(|_| yield_now());
    assert!(!task.is_finished(), "it is parked");
    task
}

/// Counts its drops.
#[derive(Clone)]
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn a_cancelled_send_keeps_its_value_to_itself() {
    on_one_worker(|| {
        for (tx, rx) in [bounded(0), bounded(1), bounded_strict(1), bounded_strict(2)] {
            let drops = Arc::new(AtomicUsize::new(0));
            let mut sent = 0;
            while tx.try_send(Counted(drops.clone())).is_ok() {
                sent += 1;
            }
            drops.store(0, SeqCst);
            for with_limit in [false, true] {
                let (sender, value) = (tx.clone(), Counted(drops.clone()));
                cancel_parked(move || match with_limit {
                    true => sender.send_timeout(value, Duration::from_secs(1000)).is_ok(),
                    false => sender.send(value).is_ok(),
                });
            }
            assert_eq!(drops.load(SeqCst), 2);
            // Whoever comes next finds what was there before, and no ghost in the line.
            assert_eq!(rx.try_iter().count(), sent);
            drop(tx);
            assert!(rx.recv().is_err());
        }
    });
}

#[test]
fn a_cancelled_receive_takes_nothing() {
    static FIXED: StaticChannel<u32, 2> = StaticChannel::new();
    on_one_worker(|| {
        for (tx, rx) in [bounded(0), bounded(1), bounded_strict(1), unbounded()] {
            for with_limit in [false, true] {
                let rx = rx.clone();
                cancel_parked(move || match with_limit {
                    true => rx.recv_timeout(Duration::from_secs(1000)).is_ok(),
                    false => rx.recv().is_ok(),
                });
            }
            let receiver = park(move || rx.recv().unwrap());
            assert!(tx.try_send(7).is_ok(), "the line is a living receiver's");
            assert_eq!(receiver.join().unwrap(), 7);
        }
        let (tx, rx) = (FIXED.sender(), FIXED.receiver());
        cancel_parked(|| FIXED.receiver().recv());
        tx.send(1).unwrap();
        assert_eq!(rx.recv(), Ok(1));
        for rx in [never::<std::time::Instant>(), channel::after(Duration::from_secs(1000))] {
            cancel_parked(move || rx.recv());
        }
    });
}

fn never_made() -> u32 {
    unreachable!("its arm is not chosen")
}

#[test]
fn a_cancelled_select_leaves_all_its_lines() {
    on_one_worker(|| {
        let ((a_tx, a_rx), (b_tx, b_rx)) = (bounded::<u32>(0), bounded::<u32>(1));
        b_tx.send(1).unwrap();
        let (rx, tx) = (a_rx.clone(), b_tx.clone());
        let waits = go(|| never::<()>().recv());
        let id = waits.id();
        cancel_parked(move || {
            select! {
                recv(rx) -> _ => unreachable!(),
                send(tx, never_made()) -> _ => unreachable!(),
                wait(waits) -> _ => unreachable!(),
                default(Duration::from_secs(1000)) => unreachable!(),
            }
        });
        assert!(a_tx.try_send(1).is_err(), "no receiver is left in the line");
        assert_eq!(b_rx.recv(), Ok(1));
        assert!(b_rx.try_recv().is_err());
        assert_ne!(Some(id), current_id());
        // And a select of nothing.
        cancel_parked(|| select! {});
    });
}

/// The receiver is promised a value by a select, which parks while it makes it. The receiver is cancelled: it waits for what was
/// promised. The select is cancelled: the receiver looks again.
#[test]
fn a_cancel_meets_a_promise() {
    on_one_worker(|| {
        for cancel_the_sender in [false, true] {
            let ((tx, rx), (go_on, gate)) = (bounded(0), bounded::<()>(0));
            let receiver = park(move || rx.recv());
            let sender = park(move || {
                select! {
                    send(tx, { gate.recv().unwrap(); 5 }) -> sent => sent.unwrap(),
                }
            });
            if cancel_the_sender {
                sender.cancel();
                assert!(sender.join().unwrap_err().is_cancelled());
                assert!(receiver.join().unwrap().is_err(), "its sender is gone");
                continue;
            }
            receiver.cancel();
            (0..3).for_each(|_| yield_now());
            assert!(!receiver.is_finished(), "promised");
            go_on.send(()).unwrap();
            sender.join().unwrap();
            assert_eq!(receiver.join().unwrap(), Ok(5), "what came is not lost: there was no later wait");
        }
    });
}

/// The other way round: a receiver takes up the offer of a select that waits in the line, and is cancelled meanwhile.
#[test]
fn a_cancel_meets_an_offer() {
    on_one_worker(|| {
        for cancel_the_sender in [false, true] {
            let ((tx, rx), (go_on, gate)) = (bounded(0), bounded::<()>(0));
            let sender = park(move || {
                select! {
                    send(tx, { gate.recv().unwrap(); 5 }) -> sent => sent.is_ok(),
                }
            });
            let receiver = park(move || rx.recv());
            if cancel_the_sender {
                sender.cancel();
                assert!(sender.join().unwrap_err().is_cancelled());
                assert!(receiver.join().unwrap().is_err());
                continue;
            }
            receiver.cancel();
            (0..3).for_each(|_| yield_now());
            assert!(!receiver.is_finished(), "promised");
            go_on.send(()).unwrap();
            assert!(sender.join().unwrap());
            assert_eq!(receiver.join().unwrap(), Ok(5));
        }
    });
}

#[test]
fn a_cancelled_waiter_for_a_lock_lets_the_next_one_pass() {
    on_one_worker(|| {
        let lock = Arc::new(Mutex::new(0));
        let guard = lock.lock();
        let (a, b) = (lock.clone(), lock.clone());
        let first = park(move || *a.lock() += 1);
        let second = park(move || *b.lock() += 10);
        first.cancel();
        assert!(first.join().unwrap_err().is_cancelled());
        drop(guard);
        second.join().unwrap();
        assert_eq!(*lock.try_lock().expect("free"), 10);

        // Woken and cancelled at once: the wake-up goes on to the next.
        let guard = lock.lock();
        let (a, b) = (lock.clone(), lock.clone());
        let first = park(move || drop(a.lock()));
        let second = park(move || *b.lock() += 10);
        drop(guard);
        first.cancel();
        drop(first.join());
        second.join().unwrap();
        assert_eq!(*lock.try_lock().expect("free"), 20);
    });
}

#[test]
fn a_cancelled_writer_lets_readers_pass_and_a_cancelled_reader_writers() {
    on_one_worker(|| {
        let lock = Arc::new(RwLock::new(0));
        let reading = lock.read();
        let (a, b) = (lock.clone(), lock.clone());
        let writer = park(move || *a.write() = 1);
        let reader = park(move || *b.read());
        writer.cancel();
        assert!(writer.join().unwrap_err().is_cancelled());
        assert_eq!(reader.join().unwrap(), 0);
        drop(reading);

        let writing = lock.write();
        let (a, b) = (lock.clone(), lock.clone());
        let reader = park(move || *a.read());
        let writer = park(move || *b.write() = 2);
        reader.cancel();
        assert!(reader.join().unwrap_err().is_cancelled());
        drop(writing);
        writer.join().unwrap();
        assert_eq!(*lock.try_write().expect("free"), 2);
    });
}

#[test]
fn every_other_wait_can_be_cancelled() {
    on_one_worker(|| {
        let wg = WaitGroup::new();
        wg.add(1);
        let group = wg.clone();
        cancel_parked(move || group.wait());
        wg.done();
        wg.wait();

        let watch = Arc::new(Watch::new(0));
        let watched = watch.clone();
        cancel_parked(move || watched.subscribe().changed());
        watch.send(1);

        let (tx, rx) = oneshot::channel::<u8>();
        let mut kept = Some(tx);
        cancel_parked(move || rx.recv());
        assert!(kept.take().unwrap().send(1).is_err(), "its receiver is gone");

        let (tx, mut rx) = broadcast::channel::<u8>(2);
        cancel_parked(move || rx.recv());
        drop(tx);

        cancel_parked(|| sleep(Duration::from_secs(1000)));
        cancel_parked(|| go(|| never::<()>().recv()).join());
        cancel_parked(|| Runtime::builder().workers(1).build().unwrap().run(|| never::<()>().recv()));
    });
}

#[test]
fn a_loop_that_yields_or_asks_can_be_cancelled() {
    greenlight_tests::on_workers(|| {
        let yields = go(|| {
            loop {
                yield_now();
            }
        });
        yields.cancel();
        assert!(yields.join().unwrap_err().is_cancelled());
    });
    let asks = Runtime::builder().workers(1).build().unwrap().go(|| {
        loop {
            check_cancelled();
        }
    });
    asks.cancel();
    assert!(asks.join().unwrap_err().is_cancelled());
}

#[test]
fn who_has_not_started_never_runs_and_is_dropped() {
    on_one_worker(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let captured = Counted(drops.clone());
        let task = go(move || {
            let _captured = captured;
            unreachable!("it was cancelled before it started");
        });
        task.cancel();
        let task: JoinHandle<()> = task;
        assert!(task.join().unwrap_err().is_cancelled());
        assert_eq!(drops.load(SeqCst), 1);
    });
}

#[test]
fn a_caught_cancellation_comes_again_and_a_value_counts() {
    on_one_worker(|| {
        let task = park(|| {
            let caught = (0..3).filter(|_| catch_unwind(|| never::<()>().recv()).is_err()).count();
            assert!(is_cancelled());
            caught
        });
        task.cancel();
        assert_eq!(task.join().unwrap(), 3);
    });
}

#[test]
fn destructors_run_and_may_wait_while_it_unwinds() {
    struct Waits(Receiver<u32>, Arc<AtomicUsize>);
    impl Drop for Waits {
        fn drop(&mut self) {
            assert!(thread::panicking() && is_cancelled());
            check_cancelled(); // not while it unwinds
            yield_now();
            self.1.store(self.0.recv().unwrap() as usize, SeqCst);
        }
    }
    let ((tx, rx), got) = (bounded(0), Arc::new(AtomicUsize::new(0)));
    let (begun, has_begun) = oneshot::channel();
    let task = {
        let got = got.clone();
        Runtime::builder().workers(1).build().unwrap().go(move || {
            let _waits = Waits(rx, got);
            begun.send(()).unwrap();
            never::<()>().recv()
        })
    };
    has_begun.recv().unwrap();
    task.cancel();
    tx.send(9).unwrap(); // from an OS thread: that worker waits
    assert!(task.join().unwrap_err().is_cancelled());
    assert_eq!(got.load(SeqCst), 9);
}

#[test]
fn a_shield_holds_and_ends_also_by_a_panic() {
    on_one_worker(|| {
        let (tx, rx) = bounded(0);
        let steps = Arc::new(AtomicUsize::new(0));
        let task = {
            let steps = steps.clone();
            park(move || {
                shield(|| {
                    shield(|| rx.recv().unwrap());
                    yield_now();
                    sleep(Duration::from_micros(10));
                    check_cancelled();
                    steps.store(1, SeqCst);
                });
                drop(catch_unwind(|| shield(|| panic!("in a shield"))));
                assert!(is_cancelled());
                sleep(Duration::ZERO.max(Duration::from_secs(1000)));
                steps.store(2, SeqCst);
            })
        };
        task.cancel();
        (0..3).for_each(|_| yield_now());
        assert!(!task.is_finished());
        tx.send(()).unwrap();
        assert!(task.join().unwrap_err().is_cancelled());
        assert_eq!(steps.load(SeqCst), 1);
    });
    assert_eq!(shield(|| 3), 3); // on an OS thread
    check_cancelled();
    assert!(!is_cancelled());
}

/// A request for a task that has ended must not reach the one that has its stack now.
#[test]
fn a_late_cancel_reaches_nobody_else() {
    on_one_worker(|| {
        for _ in 0..200 {
            let ended = go(|| ());
            let id = ended.id();
            while !ended.is_finished() {
                yield_now();
            }
            ended.cancel();
            ended.join().unwrap();
            let next = go(move || {
                assert_ne!(current_id(), Some(id));
                yield_now();
            });
            next.join().unwrap();
        }
    });
}

#[test]
fn a_cancel_from_any_thread_meets_the_end() {
    for i in 0..2000_u32 {
        let task = go(move || {
            (0..i % 5).for_each(|_| yield_now());
            i
        });
        match task.join_after_cancel() {
            Ok(value) => assert_eq!(value, i),
            Err(error) => assert!(error.is_cancelled()),
        }
    }
}

trait JoinAfterCancel<T> {
    fn join_after_cancel(self) -> Result<T, greenlight::JoinError>;
}

impl<T> JoinAfterCancel<T> for JoinHandle<T> {
    fn join_after_cancel(self) -> Result<T, greenlight::JoinError> {
        self.cancel();
        self.join()
    }
}

// Random schedules -----------------------------------------------------------------------------------------------------

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}

/// What happened, written down without a wait in between.
#[derive(Clone, Default)]
struct Log {
    sent: Arc<StdMutex<Vec<u64>>>,
    received: Arc<StdMutex<Vec<u64>>>,
    made: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
}

/// A value that is counted.
struct Value(u64, Arc<AtomicUsize>);

impl Drop for Value {
    fn drop(&mut self) {
        self.1.fetch_add(1, SeqCst);
    }
}

impl Log {
    fn make(&self, number: u64) -> Value {
        self.made.fetch_add(1, SeqCst);
        Value(number, self.dropped.clone())
    }

    fn sent(&self, number: u64) {
        self.sent.lock().unwrap().push(number);
    }

    fn received(&self, value: &Value) {
        self.received.lock().unwrap().push(value.0);
    }
}

fn send_some(mut dice: Dice, first: u64, tx: &Sender<Value>, other: &Sender<Value>, log: &Log) {
    for number in first..first + 4 {
        let sent_to = |result: Result<(), channel::SendError<Value>>| {
            if result.is_ok() {
                log.sent(number);
            }
        };
        match dice.roll(4) {
            0 => sent_to(tx.send(log.make(number))),
            1 => {
                let limit = Duration::from_micros(dice.roll(30));
                let result = tx.send_timeout(log.make(number), limit);
                sent_to(result.map_err(|error| channel::SendError(error.into_inner())));
            }
            2 => select! {
                send(tx, log.make(number)) -> result => sent_to(result),
                send(other, log.make(number)) -> result => sent_to(result),
            },
            _ => select! {
                send(tx, { yield_now(); log.make(number) }) -> result => sent_to(result),
                send(other, { sleep(Duration::from_micros(5)); log.make(number) }) -> result => sent_to(result),
            },
        }
    }
}

fn receive_some(mut dice: Dice, rx: &Receiver<Value>, other: &Receiver<Value>, log: &Log) {
    loop {
        let got = match dice.roll(3) {
            0 => rx.recv().ok(),
            1 => match rx.recv_timeout(Duration::from_micros(dice.roll(30))) {
                Err(channel::RecvTimeoutError::Timeout) => continue,
                result => result.ok(),
            },
            _ => select! {
                recv(rx) -> result => result.ok(),
                recv(other) -> result => result.ok(),
            },
        };
        let Some(value) = got else { return };
        log.received(&value);
    }
}

/// Senders and receivers, some of which are cancelled at any time: what was sent was received, once, and nothing is left over.
fn schedule(seed: u64) {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let channels = [0, 1].map(|_| match dice.roll(4) {
        0 | 1 => bounded(0),
        2 => bounded(1),
        _ => bounded_strict(1),
    });
    let log = Log::default();
    let mut tasks = Vec::new();
    for i in 0..6 {
        let (at, dice) = (dice.roll(2) as usize, Dice(dice.roll(u64::MAX >> 11) | 1));
        let (log, [(tx, rx), (other_tx, other_rx)]) = (log.clone(), [channels[at].clone(), channels[1 - at].clone()]);
        tasks.push(match i % 2 {
            0 => go(move || {
                drop((rx, other_rx));
                send_some(dice, i * 10, &tx, &other_tx, &log);
            }),
            _ => go(move || {
                drop((tx, other_tx));
                receive_some(dice, &rx, &other_rx, &log);
            }),
        });
    }
    for _ in 0..dice.roll(6) {
        (0..dice.roll(4)).for_each(|_| yield_now());
        tasks[dice.roll(6) as usize].cancel();
    }
    // Whoever still sends finds a receiver; then all senders are gone, and the receivers end.
    let (senders, receivers): (Vec<_>, Vec<_>) = channels.into_iter().unzip();
    let drains = receivers.into_iter().map(|rx| {
        let log = log.clone();
        go(move || rx.iter().for_each(|value| log.received(&value)))
    });
    let drains: Vec<_> = drains.collect();
    drop(senders);
    for task in tasks {
        if let Err(error) = task.join() {
            assert!(error.is_cancelled(), "seed {seed}: {error}");
        }
    }
    drains.into_iter().for_each(|drain| drain.join().unwrap());
    let [sent, received] = [log.sent, log.received].map(|list| {
        let mut list = std::mem::take(&mut *list.lock().unwrap());
        list.sort_unstable();
        list
    });
    assert_eq!(sent, received, "seed {seed}");
    assert_eq!(log.made.load(SeqCst), log.dropped.load(SeqCst), "seed {seed}");
}

#[test]
fn nothing_is_lost_in_random_schedules_on_one_worker() {
    on_one_worker(|| (1..2000).for_each(schedule));
}

#[test]
fn nothing_is_lost_in_random_schedules_on_two_workers() {
    Runtime::builder().workers(2).build().unwrap().run(|| (10_000..12_000).for_each(schedule));
}

/// Tasks that take two locks in turn, some of which are cancelled: whoever is left gets through, and the locks are free at the
/// end.
#[test]
fn locks_are_passed_on_in_random_schedules() {
    fn schedule(seed: u64) {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let (mutex, lock) = (Arc::new(Mutex::new(0)), Arc::new(RwLock::new(0)));
        let inside = Arc::new(AtomicBool::new(false));
        let tasks: Vec<_> = (0..6)
            .map(|i| {
                let (mutex, lock, inside) = (mutex.clone(), lock.clone(), inside.clone());
                go(move || {
                    for turn in 0..4 {
                        let mut guard = mutex.lock();
                        {
                            assert!(!inside.swap(true, SeqCst), "two inside");
                            greenlight::defer!(inside.store(false, SeqCst));
                            yield_now();
                            *guard += 1;
                        }
                        drop(guard);
                        if (i + turn) % 2 == 0 { *lock.write() += 1 } else { drop(lock.read()) }
                    }
                })
            })
            .collect();
        for _ in 0..dice.roll(5) {
            (0..dice.roll(6)).for_each(|_| yield_now());
            tasks[dice.roll(6) as usize].cancel();
        }
        for task in tasks {
            if let Err(error) = task.join() {
                assert!(error.is_cancelled(), "seed {seed}: {error}");
            }
        }
        assert!(mutex.try_lock().is_some() && lock.try_write().is_some(), "seed {seed}");
    }
    on_one_worker(|| (1..1000).for_each(schedule));
    Runtime::builder().workers(2).build().unwrap().run(|| (1..1000).for_each(schedule));
}

#[test]
fn a_cancelled_joiner_detaches() {
    run(|| {
        let (tx, rx) = bounded(0);
        let inner = Arc::new(StdMutex::new(None));
        let outer = {
            let inner = inner.clone();
            go(move || {
                let child = go(move || rx.recv().unwrap());
                *inner.lock().unwrap() = Some(child.id());
                child.join()
            })
        };
        while inner.lock().unwrap().is_none() {
            yield_now();
        }
        outer.cancel();
        assert!(outer.join().unwrap_err().is_cancelled());
        tx.send(1).unwrap(); // the child still receives
    });
}

#[test]
fn cancelled_with_catch_unwind_around_a_held_lock() {
    on_one_worker(|| {
        let lock = Arc::new(Mutex::new(()));
        let held = lock.clone();
        let task = park(move || {
            let _ = catch_unwind(AssertUnwindSafe(|| {
                let _guard = held.lock();
                never::<()>().recv()
            }));
            assert!(held.try_lock().is_some(), "the unwinding has unlocked it");
        });
        task.cancel();
        task.join().unwrap();
        assert!(lock.try_lock().is_some());
    });
}
