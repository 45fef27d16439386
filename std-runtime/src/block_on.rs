//! Waiting for a future, as a blocking call.
//!
//! The future's waker sets a flag beside waking the caller: a blocking call inside the poll sleeps on the caller's own waker, and
//! may use up a wake-up that was meant for the future. The flag it leaves alone.

use crate::sync::atomic::{AtomicBool, Ordering::*};
use greenlight_core::park::{self, Stopped, Why};
use std::{
    future::{Future, IntoFuture},
    panic::Location,
    pin::pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, Wake, Waker},
};

struct Flag {
    /// | operation | order   | pairs with | so that                                        |
    /// |-----------|---------|------------|------------------------------------------------|
    /// | wake      | Release | look       | the next poll sees what all wakers did         |
    /// | look      | Acquire | wake       | the same                                       |
    ///
    /// Each weakened by one step fails `flag_brings_what_all_wakers_did`.
    woken: AtomicBool,
    /// The caller's: set before the first poll.
    caller: OnceLock<Waker>,
}

impl Flag {
    /// Whether the future was woken since the last look.
    fn take(&self) -> bool {
        self.woken.swap(false, Acquire)
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.swap(true, Release); // not a store: it would hide what another waker did
        if let Some(caller) = self.caller.get() {
            caller.wake_by_ref();
        }
    }
}

/// Runs a future to its end and returns what it brings. A green thread parks meanwhile, and its worker goes on with others; an OS
/// thread sleeps.
///
/// It may be used anywhere: also inside a future that runs as a task, and inside another `block_on`.
///
/// # Panics
///
/// With the panic of the future.
///
/// # Cancellation
///
/// If the green thread is cancelled, the future is dropped, and then the green thread unwinds.
///
/// # Cost
///
/// One allocation.
///
/// # Examples
///
/// ```
/// use greenlight::{block_on, channel::bounded, go};
///
/// let (tx, rx) = bounded(0);
/// go(move || block_on(tx.send_async(7)).unwrap());
/// assert_eq!(block_on(async { rx.recv_async().await.unwrap() + 1 }), 8);
/// ```
#[track_caller]
pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    let why = Why { what: "await a future", object: 0, site: Location::caller() };
    let mut future = pin!(Some(future.into_future()));
    let flag = Arc::new(Flag { woken: AtomicBool::new(true), caller: OnceLock::new() });
    let waker = Waker::from(flag.clone());
    let mut output = None;
    let ended = park::wait_or_stop(&why, None, &mut |caller| {
        flag.caller.get_or_init(|| caller.clone()); // the same one at each poll of a wait
        if flag.take()
            && let Some(future) = future.as_mut().as_pin_mut()
        {
            if let Poll::Ready(value) = future.poll(&mut Context::from_waker(&waker)) {
                output = Some(value);
                return Poll::Ready(());
            }
            // Woken meanwhile: again, but after those who are ready, whom it may wait for.
            if flag.woken.load(Relaxed) {
                caller.wake_by_ref();
            }
        }
        Poll::Pending
    });
    if ended == Err(Stopped::Cancelled) {
        future.set(None); // while it may still wait
        park::unwind();
    }
    output.expect("a wait without a limit ends with the output")
}

#[cfg(all(test, loom))]
mod models;
