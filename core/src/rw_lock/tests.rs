//! The lock from OS threads, and by futures polled by hand.

use super::{raw::Wait, state::MAX_READERS, *};
use crate::{
    seat::{Kind, PATIENCE},
    test_support::{Woken, assert_not, block_on, poll_once},
};
use core::{
    pin::Pin,
    task::{Poll, Waker},
};
use std::{
    boxed::Box,
    cell::Cell,
    format, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    string::String,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::*},
    },
    task::Wake,
    thread,
    time::Instant,
    vec::Vec,
};

mod sequential;
mod table;

const SHORT: Duration = Duration::from_millis(5);

#[test]
fn readers_overlap_and_writers_do_not() {
    let lock = Arc::new(RwLock::new(0_u64));
    let inside = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..6)
        .map(|i| {
            let (lock, inside) = (lock.clone(), inside.clone());
            thread::spawn(move || {
                for round in 0..3_000 {
                    if i % 3 == 0 {
                        let mut value = if round % 2 == 0 { lock.write() } else { block_on(lock.write_async()) };
                        assert_eq!(inside.fetch_add(1, SeqCst), 0);
                        *value += 1;
                        inside.fetch_sub(1, SeqCst);
                    } else {
                        let value = match round % 4 {
                            0 => lock.read(),
                            1 => lock.read_recursive(),
                            2 => block_on(lock.read_async()),
                            _ => {
                                lock.raw.begin_bias();
                                lock.read()
                            }
                        };
                        let seen = *value;
                        assert_eq!(inside.load(SeqCst), 0);
                        thread::yield_now();
                        assert_eq!((inside.load(SeqCst), *value), (0, seen));
                    }
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(*lock.read(), 6_000);
}

/// Every pair of a holder and a newcomer, with and without a writer in line, biased and not: who comes in, and who waits.
#[test]
fn all_pairs() {
    type Attempt = fn(&RwLock<u32>) -> bool;
    let attempts: [(&str, Attempt); 6] = [
        ("read", |lock| lock.try_read().is_some()),
        ("timed read", |lock| lock.read_timeout(Duration::ZERO).is_ok()),
        ("future", |lock| poll_once(&mut Box::pin(lock.read_async()), Waker::noop()).is_ready()),
        ("nested", |lock| lock.try_read_recursive().is_some()),
        ("write", |lock| lock.try_write().is_some()),
        ("timed write", |lock| lock.write_timeout(Duration::ZERO).is_ok()),
    ];
    let cases = [
        (None, false, [true; 6]),
        (Some(Access::Read), false, [true, true, true, true, false, false]),
        (Some(Access::Read), true, [false, false, false, true, false, false]),
        (Some(Access::Write), false, [false; 6]),
        (Some(Access::Write), true, [false; 6]),
    ];
    for (biased, (held, writer_waits, come_in)) in
        [false, true].into_iter().flat_map(|biased| cases.map(|case| (biased, case)))
    {
        let lock = RwLock::new(0);
        if biased {
            lock.raw.begin_bias();
        }
        let reading = (held == Some(Access::Read)).then(|| lock.read());
        let writing = (held == Some(Access::Write)).then(|| lock.write());
        let mut waiting = Box::pin(lock.write_async());
        if writer_waits {
            assert!(poll_once(&mut waiting, Waker::noop()).is_pending());
        }
        for ((attempt, comes_in), expected) in attempts.into_iter().zip(come_in) {
            let held = format!("held: {held:?}, and a writer waits: {writer_waits}, biased: {biased}");
            assert_eq!(comes_in(&lock), expected, "{attempt} while {held}");
        }
        drop((reading, writing));
        assert!(poll_once(&mut waiting, Waker::noop()).is_ready(), "nothing is left behind");
    }
}

#[test]
fn a_reader_behind_a_waiting_writer_waits() {
    let lock = Arc::new(RwLock::new(0));
    let first = lock.read();
    let writer = {
        let lock = lock.clone();
        thread::spawn(move || *lock.write() = 1)
    };
    while lock.try_read().is_some() {
        thread::yield_now(); // until the writer stands in line
    }
    assert!(lock.try_write().is_none());
    drop(first);
    writer.join().unwrap();
    assert_eq!(*lock.read(), 1);
}

#[test]
fn more_readers_than_one_batch_of_wakers() {
    let lock = Arc::new(RwLock::new(7));
    let guard = lock.write();
    let readers: Vec<_> = (0..40)
        .map(|_| {
            let lock = lock.clone();
            thread::spawn(move || *lock.read())
        })
        .collect();
    thread::sleep(Duration::from_millis(20));
    drop(guard);
    for reader in readers {
        assert_eq!(reader.join().unwrap(), 7);
    }
}

/// Where nobody is quicker than who was woken, a writer waits for the readers that came before it and for no other; readers for
/// the writers that came before them and for no other, however many there are.
#[test]
fn neither_readers_nor_writers_starve() {
    let lock = RwLock::new(());
    let calls = |access| Box::pin(Wait::new(&lock.raw, access, Kind::Patient));
    let (woken, waker) = Woken::new();
    let line = [Access::Read, Access::Write, Access::Read, Access::Read, Access::Write].map(calls);
    let held = lock.write();
    line.iter().for_each(|call| assert!(call.as_ref().poll(&waker).is_pending()));
    drop(held);
    let mut served = 0;
    for (group, access) in [(1, Access::Read), (1, Access::Write), (2, Access::Read), (1, Access::Write)] {
        assert_eq!(woken.times(), served + group, "the next in line, and those that fit beside it");
        let group = &line[served..served + group];
        assert!(lock.try_read().is_none() || served + group.len() == line.len(), "a newcomer waits");
        group.iter().for_each(|call| assert!(call.as_ref().poll(&waker).is_ready()));
        // SAFETY: held by each of the group, as they said.
        group.iter().for_each(|_| unsafe { lock.raw.leave(access) });
        served += group.len();
    }
    assert!(lock.try_write().is_some());
}

/// The bound of calls: calls that run come in before the first in line four times, and then not any more, whether they and
/// those in line read or write. Nor do they join readers past it.
#[test]
fn the_fifth_time_a_call_comes_in_before_those_that_run() {
    for first in [Access::Read, Access::Write] {
        for quicker in [Access::Read, Access::Write] {
            let lock = RawRwLock::unlocked();
            let (woken, waker) = Woken::new();
            let call = Box::pin(Wait::new(&lock, first, Kind::Patient));
            let next = Box::pin(Wait::new(&lock, Access::Write, Kind::Patient));
            lock.enter(Access::Write);
            assert!(call.as_ref().poll(&waker).is_pending());
            assert!(next.as_ref().poll(Waker::noop()).is_pending());
            // SAFETY: written, by us.
            unsafe { lock.leave(Access::Write) };
            for round in 1..=PATIENCE as usize {
                assert_eq!(woken.times(), round);
                if first == Access::Read && quicker == Access::Read {
                    // It would come in beside it: who keeps it out is a writer who was quicker than both.
                    assert!(lock.barge(Access::Write), "only woken, so whoever runs may come in");
                } else {
                    assert!(lock.barge(quicker), "only woken, so whoever runs may come in");
                }
                assert!(!lock.barge(quicker), "not beside a holder while somebody waits");
                assert!(call.as_ref().poll(&waker).is_pending());
                // SAFETY: held by the one who was quicker.
                unsafe { lock.leave(if lock.is_read() { Access::Read } else { Access::Write }) };
            }
            assert_eq!(woken.times(), PATIENCE as usize + 1);
            assert_eq!((lock.is_read(), lock.is_written()), (first == Access::Read, first == Access::Write), "let in");
            assert!(!lock.barge(quicker));
            assert!(call.as_ref().poll(&waker).is_ready());
            // SAFETY: held, as it said.
            unsafe { lock.leave(first) };
            assert!(next.as_ref().poll(Waker::noop()).is_ready(), "woken, and it was the next");
            drop(next);
            // SAFETY: held, as it said.
            unsafe { lock.leave(Access::Write) };
            assert!(lock.try_enter(Access::Write, Manners::InLine));
        }
    }
}

/// Somebody who has lost patience is not the first in line: all the same nobody goes past him, though the lock is free.
#[test]
fn nobody_goes_past_one_who_has_lost_patience() {
    let lock = RawRwLock::unlocked();
    let [other, call] = [(); 2].map(|()| Box::pin(Wait::new(&lock, Access::Write, Kind::Patient)));
    let polled = |wait: &Pin<Box<Wait<'_>>>| wait.as_ref().poll(Waker::noop()).is_ready();
    // SAFETY: written, by whoever was quicker.
    let leave = || unsafe { lock.leave(Access::Write) };
    lock.enter(Access::Write);
    assert!(!polled(&other) && !polled(&call));
    leave(); // wakes the other
    assert!(lock.barge(Access::Write));
    for _ in 0..PATIENCE {
        leave(); // wakes the call
        assert!(lock.barge(Access::Write));
        assert!(!polled(&call));
    }
    assert!(!polled(&other), "it was woken all the time, and sits down before the call");
    leave(); // wakes the other
    assert!(!lock.is_written() && !lock.barge(Access::Write) && !lock.barge(Access::Read));
    assert!(polled(&other));
    leave();
    assert!(lock.is_written() && polled(&call));
    leave();
    assert!(lock.barge(Access::Write), "nobody is left who has lost patience");
}

/// One who has lost patience gives up: then there is nobody whom others must not pass.
#[test]
fn who_gives_up_keeps_nobody_behind_the_line() {
    let lock = RawRwLock::unlocked();
    let [first, second] = [(); 2].map(|()| Box::pin(Wait::new(&lock, Access::Write, Kind::Patient)));
    lock.enter(Access::Write);
    for wait in [&first, &second] {
        assert!(wait.as_ref().poll(Waker::noop()).is_pending());
    }
    for _ in 0..PATIENCE {
        // SAFETY: written, by whoever was quicker.
        unsafe { lock.leave(Access::Write) };
        assert!(lock.barge(Access::Write));
        assert!(first.as_ref().poll(Waker::noop()).is_pending());
    }
    drop(first);
    // SAFETY: written, by the last who was quicker.
    unsafe { lock.leave(Access::Write) };
    drop(second);
    let [third, fourth] = [(); 2].map(|()| Box::pin(Wait::new(&lock, Access::Write, Kind::Patient)));
    lock.enter(Access::Write);
    for wait in [&third, &fourth] {
        assert!(wait.as_ref().poll(Waker::noop()).is_pending());
    }
    // SAFETY: written, by us.
    unsafe { lock.leave(Access::Write) };
    assert!(lock.barge(Access::Write), "past the fourth");
    // SAFETY: written, by us.
    unsafe { lock.leave(Access::Write) };
}

/// The same where a future stands before a call: the call is passed by four times at most.
#[test]
fn the_fifth_time_a_call_comes_in_before_the_futures() {
    let lock = RwLock::new(());
    let mut held = lock.write();
    let ((woken, waker), (asked, task)) = (Woken::new(), Woken::new());
    let mut future = Box::pin(lock.write_async());
    let call = Box::pin(Wait::new(&lock.raw, Access::Write, Kind::Patient));
    assert!(poll_once(&mut future, &task).is_pending());
    assert!(call.as_ref().poll(&waker).is_pending());
    for round in 1..=PATIENCE as usize {
        drop(held);
        assert_eq!((asked.times(), woken.times()), (round, round));
        held = lock.try_write().expect("only woken, so whoever runs may come in");
        assert!(call.as_ref().poll(&waker).is_pending());
        assert!(poll_once(&mut future, &task).is_pending(), "it stands before the call again");
    }
    drop(held);
    assert!(lock.raw.is_written(), "let in");
    assert!(call.as_ref().poll(&waker).is_ready());
    // SAFETY: held, as it said.
    unsafe { lock.raw.leave(Access::Write) };
    assert!(poll_once(&mut future, &task).is_ready());
}

#[test]
fn downgraded_it_lets_readers_in_and_no_writer() {
    let lock = RwLock::new(1);
    let mut writing = lock.write();
    let (mut reader, mut writer) = (Box::pin(lock.read_async()), Box::pin(lock.write_async()));
    assert!(poll_once(&mut reader, Waker::noop()).is_pending());
    assert!(poll_once(&mut writer, Waker::noop()).is_pending());
    *writing += 1;
    let reading = RwLockWriteGuard::downgrade(writing);
    let Poll::Ready(other) = poll_once(&mut reader, Waker::noop()) else { panic!("a reader fits") };
    assert_eq!((*reading, *other), (2, 2));
    assert!(poll_once(&mut writer, Waker::noop()).is_pending());
    drop((reading, other));
    assert!(poll_once(&mut writer, Waker::noop()).is_ready());
}

/// Nested in each other, with a writer in between: the recursive one goes on, the plain one says what is wrong, and both leave
/// the lock as it was.
#[test]
fn a_nested_read() {
    let lock = Arc::new(RwLock::new(0));
    let outer = lock.read();
    let writer = {
        let lock = lock.clone();
        thread::spawn(move || *lock.write() += 1)
    };
    while lock.try_read().is_some() {
        thread::yield_now();
    }
    assert_eq!(*lock.read_recursive() + *lock.try_read_recursive().unwrap(), 0);
    #[cfg(debug_assertions)]
    {
        let panic = catch_unwind(AssertUnwindSafe(|| _ = lock.read())).unwrap_err();
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .unwrap_or_else(|| String::from(*panic.downcast_ref::<&str>().unwrap()));
        assert!(text.contains("read_recursive"), "{text}");
        // Another thread, which has no guard, only waits.
        thread::scope(|scope| {
            let other = scope.spawn(|| lock.read_timeout(SHORT).is_err());
            assert!(other.join().unwrap());
        });
    }
    drop(outer);
    writer.join().unwrap();
    assert_eq!(*lock.read(), 1);
}

/// More readers than are written down, and guards that end elsewhere: no false alarm after they are gone.
#[test]
fn guards_that_end_on_another_thread_are_forgotten() {
    let lock = RwLock::new(0);
    let guards: Vec<_> = (0..20).map(|_| lock.read()).collect();
    thread::scope(|scope| _ = scope.spawn(move || drop(guards)));
    assert!(!lock.readers.has_caller());
    let again = lock.read();
    assert_eq!(lock.readers.has_caller(), cfg!(debug_assertions));
    drop(again);
    assert!(!lock.readers.has_caller());
}

/// `mem::forget` of guards in a loop, near its end: named, and the lock stays what it was.
#[test]
fn too_many_readers_are_named() {
    let lock =
        RwLock { raw: RawRwLock::with_readers(MAX_READERS - 2), readers: Readers::new(), value: UnsafeCell::new(0) };
    mem::forget(lock.read());
    let last = lock.read();
    let overflows: [fn(&RwLock<u32>); 5] = [
        |lock| drop(lock.read()),
        |lock| drop(lock.try_read()),
        |lock| drop(lock.read_recursive()),
        |lock| drop(lock.read_timeout(SHORT)),
        |lock| _ = poll_once(&mut Box::pin(lock.read_async()), Waker::noop()),
    ];
    for read in overflows {
        let panic = catch_unwind(AssertUnwindSafe(|| read(&lock))).unwrap_err();
        assert!(panic.downcast_ref::<&str>().unwrap().contains("too many readers"));
    }
    // A waiting reader, for whom there was room when it came, waits until there is again.
    let call = Box::pin(Wait::new(&lock.raw, Access::Read, Kind::Patient));
    assert!(call.as_ref().poll(Waker::noop()).is_pending());
    drop(last);
    assert!(call.as_ref().poll(Waker::noop()).is_ready());
    assert!(lock.try_write().is_none());
}

#[test]
fn the_time_runs_out_and_leaves_nothing_behind() {
    let lock = RwLock::new(0);
    let reading = lock.read();
    let before = Instant::now();
    assert_eq!(lock.write_timeout(SHORT).map(drop), Err(TimedOut));
    assert!(before.elapsed() >= SHORT);
    assert_eq!(lock.write_deadline(Instant::now()).map(drop), Err(TimedOut));
    assert!(lock.read_timeout(Duration::ZERO).is_ok(), "no writer is left in line");
    drop(reading);
    let writing = lock.write_timeout(Duration::MAX).unwrap();
    assert_eq!(lock.read_timeout(SHORT).map(drop), Err(TimedOut));
    assert_eq!(lock.read_deadline(Instant::now()).map(drop), Err(TimedOut));
    drop(writing);
    assert!(lock.write_deadline(Instant::now() + SHORT).is_ok());
    assert!(lock.read_deadline(Instant::now() + SHORT).is_ok());
}

/// A writer who gives up lets in the readers who came after it.
#[test]
fn readers_behind_a_writer_who_gave_up_come_in() {
    let lock = RwLock::new(0);
    let reading = lock.read();
    let mut writer = Box::pin(lock.write_async());
    let (woken, waker) = Woken::new();
    let reader = Box::pin(Wait::new(&lock.raw, Access::Read, Kind::Patient));
    assert!(poll_once(&mut writer, Waker::noop()).is_pending());
    assert!(reader.as_ref().poll(&waker).is_pending());
    drop(writer);
    assert_eq!(woken.times(), 1);
    drop(reader); // which was let in: it leaves
    drop(reading);
    assert!(lock.try_write().is_some());
}

/// Futures in the place of a select's other arm: polled once, and then kept, while others read and write.
#[test]
fn a_future_that_nobody_polls_keeps_nobody_from_the_lock() {
    const ROUNDS: usize = 3_000;
    let lock = Arc::new(RwLock::new(0));
    let workers: Vec<_> = (0..4)
        .map(|worker| {
            let lock = lock.clone();
            thread::spawn(move || {
                for _ in 0..ROUNDS {
                    if worker % 2 == 0 {
                        *lock.write() += 1;
                        assert!(*lock.read() > 0);
                    } else {
                        *block_on(lock.write_async()) += 1;
                        assert!(*block_on(lock.read_async()) > 0);
                    }
                }
            })
        })
        .collect();
    type Both<'a> = (Pin<Box<RwLockReadFuture<'a, usize>>>, Pin<Box<RwLockWriteFuture<'a, usize>>>);
    let mut forgotten: Vec<Both<'_>> = Vec::new();
    while !workers.iter().all(|worker| worker.is_finished()) {
        let mut futures = (Box::pin(lock.read_async()), Box::pin(lock.write_async()));
        let pending = (
            poll_once(&mut futures.0, Waker::noop()).is_pending(),
            poll_once(&mut futures.1, Waker::noop()).is_pending(),
        );
        if pending.0 && pending.1 && forgotten.len() < 100 {
            forgotten.push(futures);
        }
        thread::yield_now();
    }
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    assert_eq!(*lock.read(), 4 * ROUNDS);
    drop(forgotten);
    assert_eq!(*lock.write(), 4 * ROUNDS);
}

#[test]
fn a_future_can_be_dropped_at_every_poll_and_knows_when_it_is_over() {
    for polls in 0..5 {
        let lock = RwLock::new(0);
        let mut held = Some(lock.write());
        let mut future = Box::pin(lock.read_async());
        for poll in 0..polls {
            if poll == 3 {
                drop(held.take());
            }
            assert_eq!(poll_once(&mut future, Waker::noop()).is_pending(), held.is_some());
            if future.is_terminated() {
                let panic = catch_unwind(AssertUnwindSafe(|| _ = poll_once(&mut future, Waker::noop()))).unwrap_err();
                assert!(panic.downcast_ref::<&str>().unwrap().contains("RwLockReadFuture"));
                break;
            }
        }
        drop((future, held));
        assert!(lock.try_write().is_some());
    }
}

/// A waker that panics costs nobody else the wake-up, also beyond the batch it is in.
#[test]
fn a_waker_that_panics() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker's panic");
        }
    }
    let lock = RwLock::new(0);
    let held = lock.write();
    let (woken, waker) = Woken::new();
    let mut futures: Vec<_> = (0..40).map(|_| Box::pin(lock.read_async())).collect();
    for (i, future) in futures.iter_mut().enumerate() {
        let waker = if i == 3 { &Waker::from(Arc::new(Panics)) } else { &waker };
        assert!(poll_once(future, waker).is_pending());
    }
    assert!(catch_unwind(AssertUnwindSafe(|| drop(held))).is_err());
    assert_eq!(woken.times(), 39);
    assert!(lock.try_write().is_some());
}

#[test]
fn a_panic_unlocks_and_the_value_comes_out() {
    let mut lock = RwLock::new(1);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _guard = lock.write();
        panic!("writing");
    }));
    assert!(panicked.is_err());
    *lock.get_mut() += 1;
    assert_eq!(std::format!("{lock:?} {}", lock.read()), "RwLock(2) 2");
    let guard = lock.write();
    assert_eq!(std::format!("{lock:?} {guard:?}"), "RwLock(<locked>) 2");
    drop(guard);
    assert_eq!((lock.into_inner(), RwLock::<u8>::default().into_inner(), RwLock::from(3).into_inner()), (2, 0, 3));
}

#[test]
fn threads_are_promised_what_is_kept() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    sync::<RwLock<u8>>();
    send::<RwLock<Cell<u8>>>();
    send::<RwLockReadGuard<'_, u8>>();
    send::<RwLockWriteGuard<'_, u8>>();
    send::<RwLockReadFuture<'_, u8>>();
    send::<RwLockWriteFuture<'_, u8>>();
    assert_not!(RwLock<Cell<u8>>: Sync);
    assert_not!(RwLock<Rc<u8>>: Send);
    assert_not!(RwLockReadGuard<'static, Cell<u8>>: Send);
    assert_not!(RwLockWriteGuard<'static, Rc<u8>>: Send);
    assert_not!(RwLockReadFuture<'static, Cell<u8>>: Send);
    assert_not!(RwLockWriteFuture<'static, u8>: Unpin);
}
