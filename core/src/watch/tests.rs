//! The watch by itself, as in a `static`: waits, panics, cancelled futures. Its halves are tested in `channel::watch`.

use super::*;
use crate::test_support::{Woken, assert_not, block_on};
use core::{
    cell::Cell,
    sync::atomic::{AtomicPtr, Ordering::*},
};
use std::{
    boxed::Box,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Arc, Barrier},
    thread,
    vec::Vec,
};

const SHORT: Duration = Duration::from_millis(20);

#[test]
fn a_change_is_seen_once_and_the_latest_value_by_all() {
    static WATCH: Watch<u32> = Watch::new(0);
    let mut watchers = [WATCH.subscribe(), WATCH.subscribe()];
    assert!(!watchers[0].try_changed());
    WATCH.send(1);
    WATCH.send(2);
    for watcher in &mut watchers {
        watcher.changed();
        assert!(!watcher.try_changed());
        assert_eq!((watcher.get(), watcher.watch().get()), (2, 2));
    }
    assert!(!WATCH.subscribe().try_changed(), "who comes now has seen it");
    WATCH.send(3);
    assert_eq!(watchers[0].get(), 3);
    assert!(!watchers[0].try_changed(), "who has read it has seen it");
    assert!(watchers[1].clone().try_changed());
}

#[test]
fn every_kind_of_wait_is_woken_by_a_change() {
    static WATCH: Watch<u32> = Watch::new(0);
    let waits: [fn(&mut Watcher<'_, u32>); 3] = [
        |watcher| watcher.changed(),
        |watcher| watcher.changed_timeout(Duration::from_secs(60)).unwrap(),
        |watcher| block_on(watcher.changed_async()),
    ];
    // More than one batch of wakers.
    let waiting: Vec<_> = waits
        .iter()
        .copied()
        .cycle()
        .take(48)
        .map(|wait| {
            let mut watcher = WATCH.subscribe();
            thread::spawn(move || {
                wait(&mut watcher);
                watcher.get()
            })
        })
        .collect();
    thread::sleep(SHORT);
    WATCH.send(7);
    waiting.into_iter().for_each(|waiting| assert_eq!(waiting.join().unwrap(), 7));
}

#[test]
fn a_wait_that_ran_out_of_time_leaves_no_trace() {
    let watch = Watch::new(0);
    let mut watcher = watch.subscribe();
    assert_eq!(watcher.changed_timeout(SHORT), Err(TimedOut));
    assert!(watch.state.lock().sleepers().is_empty());
    watch.send(1);
    assert_eq!(watcher.changed_timeout(SHORT), Ok(()));
}

#[test]
fn a_future_that_is_dropped_at_any_step_leaves_the_change_unseen() {
    let watch = Watch::new(0);
    let mut watcher = watch.subscribe();
    for sends in [false, true] {
        let (woken, waker) = Woken::new();
        let mut cx = Context::from_waker(&waker);
        drop(watcher.changed_async());
        let mut change = Box::pin(watcher.changed_async());
        assert!(change.as_mut().poll(&mut cx).is_pending());
        assert!(change.as_mut().poll(&mut cx).is_pending());
        if sends {
            watch.send(1);
        }
        assert_eq!(woken.times(), usize::from(sends));
        drop(change);
        assert!(watch.state.lock().sleepers().is_empty());
        drop(waker);
        assert_eq!(Arc::strong_count(&woken), 1, "no waker is left");
    }
    assert!(watcher.try_changed());
}

#[test]
fn a_future_that_is_leaked_harms_nobody() {
    let watch = Watch::new(0);
    let mut watcher = watch.subscribe();
    let (woken, waker) = Woken::new();
    let mut change = Box::pin(watcher.changed_async());
    assert!(change.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    // Forgotten, but for the leak check of the sanitizer lane.
    static LEAKED: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());
    // SAFETY: it stays where it is.
    LEAKED.store(Box::into_raw(unsafe { Pin::into_inner_unchecked(change) }).cast(), SeqCst);
    watch.send(1);
    assert_eq!(woken.times(), 1);
    assert!(watcher.try_changed());
}

#[test]
fn the_waker_of_the_last_poll_is_woken() {
    let watch = Watch::new(0);
    let mut watcher = watch.subscribe();
    let ((first, one), (second, two)) = (Woken::new(), Woken::new());
    let mut change = pin!(watcher.changed_async());
    assert!(change.as_mut().poll(&mut Context::from_waker(&one)).is_pending());
    assert!(change.as_mut().poll(&mut Context::from_waker(&two)).is_pending());
    drop(one);
    assert_eq!(Arc::strong_count(&first), 1);
    watch.send(1);
    assert_eq!((first.times(), second.times()), (0, 1));
    assert!(change.as_mut().poll(&mut Context::from_waker(&two)).is_ready());
    assert!(change.as_mut().poll(&mut Context::from_waker(&two)).is_pending(), "it waits for another");
    watch.send(2);
    assert!(change.as_mut().poll(&mut Context::from_waker(&two)).is_ready());
}

#[test]
fn half_a_change_is_announced_and_nothing_is_left_locked() {
    let watch = Watch::new([0, 0]);
    let mut watcher = watch.subscribe();
    let panic = catch_unwind(AssertUnwindSafe(|| {
        watch.send_modify(|value| {
            value[0] = 1;
            panic!("half-way");
        })
    }));
    assert!(panic.is_err());
    assert!(watcher.try_changed());
    assert_eq!(watcher.get(), [1, 0]);
}

#[test]
fn a_clone_that_panics_leaves_the_watch_whole() {
    struct Picky(bool);
    impl Clone for Picky {
        fn clone(&self) -> Self {
            assert!(self.0, "cannot clone");
            Self(self.0)
        }
    }
    let watch = Watch::new(Picky(false));
    assert!(catch_unwind(AssertUnwindSafe(|| watch.get())).is_err());
    watch.send(Picky(true));
    assert!(watch.get().0);
}

#[test]
fn readers_read_together_and_may_wait_meanwhile() {
    let (watch, both) = (Watch::new(1), Barrier::new(2));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| watch.with(|_| both.wait()));
        }
    });
}

#[test]
fn values_are_dropped_once() {
    let (value, drops) = crate::test_support::Counted::new();
    let watch = Watch::new(value.clone());
    watch.send(value);
    assert_eq!(drops.load(SeqCst), 1);
    drop(watch.into_inner());
    assert_eq!(drops.load(SeqCst), 2);
}

const _: fn() = || {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    sync::<Watch<u8>>();
    send::<Watch<Cell<u8>>>();
    send::<Watcher<'_, u8>>();
    send::<WatchChanged<'_>>();
};
// Readers share the value.
assert_not!(Watch<Cell<u8>>: Sync);
assert_not!(Watch<*const u8>: Send);
assert_not!(Watcher<'static, Cell<u8>>: Send);
assert_not!(WatchChanged<'static>: Unpin);
