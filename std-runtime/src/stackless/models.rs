//! A future that is polled against those who wake it, cancel it and wait for it.

use super::*;
use crate::{
    header::models,
    runtime::models as runtimes,
    worker::{self, Worker},
};
use loom::{sync::atomic::AtomicBool, thread};
use std::{future::poll_fn, sync::Arc};

/// What carriers do, one after the other, until `done` says so: F1 is in the checker's cell around the future.
fn carry(worker: &Worker, carrier: TaskRef, done: impl Fn() -> bool) {
    while !done() {
        match worker.pop_future() {
            Some(future) => future.run(carrier),
            None => thread::yield_now(),
        }
    }
}

/// A runtime of one worker, whose carriers the model's threads are, and a future that waits for `count` wake-ups.
fn model(count: usize, wakers: usize, cancel: bool) {
    let helps = count == 1; // with more threads there are too many ways
    loom::model(move || {
        let shared = runtimes::shared(1);
        let worker = &shared.workers()[0];
        let carriers = [models::carrier(), models::carrier(), models::carrier()];
        // Relaxed: the poll sees it by F2, or not at all.
        let came: Arc<[AtomicBool; 2]> = Arc::default();
        let waker: Arc<std::sync::Mutex<Option<Waker>>> = Arc::default();
        let future = {
            let (came, waker) = (came.clone(), waker.clone());
            poll_fn(move |cx| {
                // Shares are counted by the checker's atomics: not under a lock that it does not know.
                let new = cx.waker().clone();
                let old = waker.lock().unwrap().replace(new);
                drop(old);
                match came.iter().filter(|came| came.load(Relaxed)).count() >= count {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }
            })
        };
        let mut handle = spawn(shared, Spawn::here(), future);
        // The first poll is before the others begin: there is a waker then.
        worker.pop_future().expect("a new future is queued").run(carriers[0]);
        let waker = waker.lock().unwrap().take().expect("a poll that waits");
        let threads: Vec<_> = (0..wakers)
            .map(|i| {
                let (came, waker) = (came.clone(), waker.clone());
                thread::spawn(move || {
                    came[i].store(true, Relaxed);
                    waker.wake();
                    // Another carrier: it may be this one that polls, after the first has.
                    if helps && let Some(future) = worker.pop_future() {
                        future.run(carriers[1 + i]);
                    }
                })
            })
            .collect();
        if helps {
            waker.wake_by_ref(); // in vain, perhaps: a poll more, after which another carrier goes on
        }
        drop(waker);
        let cancels = cancel.then(|| {
            let handle = Share::clone(&handle);
            thread::spawn(move || handle.cancel())
        });
        carry(worker, carriers[0], || handle.has_ended());
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        if let Some(cancels) = cancels {
            cancels.join().unwrap();
        }
        match handle.take() {
            Some(Ending::Value(())) => assert!(came[..count.min(wakers)].iter().all(|came| came.load(Relaxed))),
            Some(Ending::Cancelled) => assert!(cancel),
            _ => panic!("a future ends with its value, or cancelled"),
        }
        // Whatever woke it last has queued an ended one at most, which is as if it were not there.
        while let Some(future) = worker.pop_future() {
            future.run(carriers[0]);
        }
        drop(handle);
        // SAFETY: the other threads have ended.
        unsafe {
            carriers.into_iter().for_each(|carrier| models::free(carrier));
            runtimes::free(shared);
        }
    });
}

/// A future is woken while it is polled, or before, or after: it is polled again, perhaps by another carrier. Fails if
/// `run` is Relaxed, or the end of a poll is.
#[test]
fn future_loses_no_wake_up() {
    model(1, 1, false);
}

/// Two wake it: it is in one queue once, and a poll sees what both did. Fails if `wake` is Relaxed, or `run`.
#[test]
fn future_is_queued_once() {
    model(2, 2, false);
}

/// One wakes it, one cancels it: it ends by one of the two.
#[test]
fn future_ends_when_cancelled() {
    model(2, 1, true);
}

/// A poll waits in a blocking call while the future is cancelled: the call ends. Fails if the swap of `run` is Relaxed, or the
/// exchange of `cancel`, or if either is a store or a load.
#[test]
fn future_is_cancelled_inside_a_poll() {
    loom::model(|| {
        let shared = runtimes::shared(1);
        let worker = &shared.workers()[0];
        let carrier = models::carrier();
        carrier.resume(worker);
        let call = poll_fn(move |_| {
            // As `hooks::wait`.
            while !carrier.get().must_unwind() {
                if carrier.take_notification() {
                    continue;
                }
                if carrier.park() {
                    while worker::models::woken(worker).is_none() {
                        thread::yield_now();
                    }
                }
                carrier.resume(worker);
            }
            Poll::Ready(())
        });
        let mut handle = spawn(shared, Spawn::here(), call);
        let cancels = {
            let handle = Share::clone(&handle);
            thread::spawn(move || handle.cancel())
        };
        worker.pop_future().expect("a new future is queued").run(carrier);
        assert!(matches!(handle.take(), Some(Ending::Value(()) | Ending::Cancelled)));
        cancels.join().unwrap();
        while let Some(future) = worker.pop_future() {
            future.run(carrier);
        }
        while worker::models::woken(worker).is_some() {}
        drop(handle);
        // SAFETY: the other thread has ended.
        unsafe {
            models::free(carrier);
            runtimes::free(shared);
        }
    });
}

/// Who cancels a future while it is polled is seen by its destructor, with all that he did before. Fails if
/// `cancel` is Acquire, or the look at it Relaxed.
#[test]
fn future_is_dropped_after_what_came_before_its_cancel() {
    /// Notes what it sees: a panic of a destructor would go no further than the runtime.
    struct Looks(Arc<AtomicBool>, Arc<AtomicBool>);
    impl Drop for Looks {
        fn drop(&mut self) {
            self.1.store(self.0.load(Relaxed), Relaxed);
        }
    }
    loom::model(|| {
        let shared = runtimes::shared(1);
        let worker = &shared.workers()[0];
        let carrier = models::carrier();
        let (came, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let looks = Looks(came.clone(), seen.clone());
        let never = poll_fn(move |_| {
            let _mine = &looks;
            Poll::<()>::Pending
        });
        let mut handle = spawn(shared, Spawn::here(), never);
        let share = Share::clone(&handle);
        let cancels = thread::spawn(move || {
            came.store(true, Relaxed);
            share.cancel();
        });
        carry(worker, carrier, || handle.has_ended());
        assert!(matches!(handle.take(), Some(Ending::Cancelled)));
        assert!(seen.load(Relaxed));
        cancels.join().unwrap();
        drop(handle);
        // SAFETY: the other thread has ended.
        unsafe {
            models::free(carrier);
            runtimes::free(shared);
        }
    });
}

/// The handle is dropped while the future ends: whoever drops the last share frees what the other has left. Fails if the drop of a
/// share is less than AcqRel, either way.
#[test]
fn future_is_freed_by_the_last_share() {
    loom::model(|| {
        let shared = runtimes::shared(1);
        let worker = &shared.workers()[0];
        let carrier = models::carrier();
        let handle = spawn(shared, Spawn::here(), std::future::ready(()));
        let polls = thread::spawn(move || worker.pop_future().expect("a new future is queued").run(carrier));
        drop(handle);
        polls.join().unwrap();
        // SAFETY: the other thread has ended.
        unsafe {
            models::free(carrier);
            runtimes::free(shared);
        }
    });
}
