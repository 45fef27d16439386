//! The end of a task against its handle.

use super::*;
use crate::{
    header::models::{free, task},
    sync::atomic::Ordering::Relaxed,
};
use loom::thread;
use std::{sync::atomic::AtomicUsize, task::Wake};

/// Counts wake-ups. Not the checker's: it orders nothing.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

impl Woken {
    fn new() -> (Arc<Self>, Waker) {
        let woken = Arc::new(Self::default());
        (woken.clone(), woken.into())
    }

    /// How often it was woken. Nobody may have its waker any more.
    fn times(self: Arc<Self>) -> usize {
        assert_eq!(Arc::strong_count(&self), 1, "a waker is left over");
        self.0.load(Relaxed)
    }
}

/// A task and its handle; the result is a share of `counter`.
fn outcome() -> (Outcome<Arc<()>>, NonNull<UnsafeCell<Option<Ending<Arc<()>>>>>) {
    let result = NonNull::from(Box::leak(Box::new(UnsafeCell::new(None))));
    (Outcome { task: task(), result, scope: None }, result)
}

/// What the task does last, as `run_job`.
fn end(task: TaskRef, result: NonNull<UnsafeCell<Option<Ending<Arc<()>>>>>, value: Arc<()>) {
    // SAFETY: the box of `outcome`, which lives until `check`.
    let result = unsafe { result.as_ref() };
    // SAFETY: nobody looks at the result before ENDED is set.
    result.with_mut(|place| unsafe { *place = Some(Ending::Value(value)) });
    // SAFETY: by the task, once.
    let (joiner, detached) = unsafe { task.get().fate().end() };
    joiner.into_iter().for_each(Waker::wake);
    if detached {
        // SAFETY: detached, so nobody else looks at it any more.
        let result = result.with_mut(|result| unsafe { (*result).take() });
        abandon(result, None);
    }
}

/// One that ends on another thread while `handle` uses the handle; then the value must be gone.
fn model(handle: impl Fn(Outcome<Arc<()>>) + Send + Sync + 'static) {
    loom::model(move || {
        let value = Arc::new(());
        let (outcome, result) = outcome();
        let (task, share, place) = (outcome.task, value.clone(), Place(result));
        let ends = thread::spawn(move || end(task, { place }.0, share));
        handle(outcome);
        ends.join().unwrap();
        assert_eq!(Arc::strong_count(&value), 1, "the result is dropped, and once");
        // SAFETY: the boxes of `outcome`; the other thread has ended.
        unsafe {
            drop(Box::from_raw(result.as_ptr()));
            free(task);
        }
    });
}

struct Place(NonNull<UnsafeCell<Option<Ending<Arc<()>>>>>);

// SAFETY: shared by the rules that the models check.
unsafe impl Send for Place {}

/// A handle that waits is woken once and takes the result. Fails if the end is Acquire, if the first look is Relaxed, and if
/// setting WAITED is less than AcqRel.
#[test]
fn fate_wakes_who_joins() {
    model(|mut outcome| {
        let (woken, waker) = Woken::new();
        thread::yield_now(); // the checker does not try by itself what a first look finds after the other's end
        if outcome.poll_end(&waker).is_pending() {
            drop(waker);
            // The wake-up may still be on its way when the task has ended.
            while !outcome.task.has_ended() || Arc::strong_count(&woken) > 1 {
                thread::yield_now();
            }
            assert_eq!(woken.times(), 1);
        } else {
            drop(waker);
            assert_eq!(woken.times(), 0);
        }
        assert!(matches!(outcome.take(), Some(Ending::Value(_))));
    });
}

/// A handle that is polled with one waker, then with another: the last one is woken, if one is, and none is left over. Fails
/// if clearing WAITED is Relaxed.
#[test]
fn fate_takes_the_last_waker() {
    model(|mut outcome| {
        let (first, waker) = Woken::new();
        let pending = outcome.poll_end(&waker).is_pending();
        drop(waker);
        let (last, waker) = Woken::new();
        if outcome.poll_end(&waker).is_pending() {
            assert!(pending);
            drop(waker);
            while !outcome.task.has_ended() || Arc::strong_count(&last) > 1 {
                thread::yield_now();
            }
            assert_eq!((first.times(), last.times()), (0, 1));
        }
        assert!(matches!(outcome.take(), Some(Ending::Value(_))));
    });
}

/// A handle that goes while the task ends: the result is dropped by one of the two, and so is the waker. Fails if the end is less
/// than AcqRel, or detaching is Relaxed.
#[test]
fn fate_drops_the_result_once() {
    for polled in [false, true] {
        model(move |mut outcome| {
            let (woken, waker) = Woken::new();
            if polled {
                let _ = outcome.poll_end(&waker);
            }
            drop(waker);
            drop(outcome);
            while Arc::strong_count(&woken) > 1 {
                thread::yield_now();
            }
            woken.times();
        });
    }
}
