//! A closure whose result is delivered to a handle: what is run by threads and pools, which know nothing of results.

use crate::sync::atomic::{AtomicBool, Ordering::*};
use greenlight_core::{
    channel::oneshot::{self, RecvError, RecvTimeoutError, TryRecvError},
    park::TimedOut,
};
use std::{
    any::Any,
    error::Error,
    fmt, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    thread,
    time::Duration,
};

/// Runs the closure and delivers its result; does not unwind.
pub(crate) type Call = Box<dyn FnOnce() + Send>;

/// Packs `f` up. If the call is dropped before it runs, the handle says [`Cancelled`].
pub(crate) fn pack<F, T>(f: F) -> (Call, Delivery<T>)
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let (tx, result) = oneshot::channel();
    let finished = Arc::new(AtomicBool::new(false));
    let ended = finished.clone();
    let call = Box::new(move || {
        // The drop of a result that nobody wants may panic as well; the hook has reported it, and its payload is leaked.
        let delivered = catch_unwind(AssertUnwindSafe(|| {
            let _ = tx.send(catch_unwind(AssertUnwindSafe(f)));
        }));
        delivered.unwrap_or_else(mem::forget);
        ended.store(true, Release);
    });
    (call, Delivery { result, finished })
}

/// Where the result arrives.
pub(crate) struct Delivery<T> {
    result: oneshot::Receiver<thread::Result<T>>,
    /// | operation | order   | pairs with | so that                                  |
    /// |-----------|---------|------------|------------------------------------------|
    /// | end       | Release | look       | who sees it sees what the closure did    |
    /// | look      | Acquire | end        | the same                                 |
    ///
    /// Each weakened by one step fails `delivery_finished_means_delivered`. The result is there either way: it lies behind the lock of its
    /// channel.
    finished: Arc<AtomicBool>,
}

impl<T> Delivery<T> {
    #[track_caller]
    pub(crate) fn join(self) -> thread::Result<T> {
        self.result.recv().unwrap_or_else(|RecvError| Err(never_started()))
    }

    #[track_caller]
    pub(crate) fn join_timeout(&mut self, limit: Duration) -> Result<thread::Result<T>, TimedOut> {
        match self.result.recv_timeout(limit) {
            Ok(result) => Ok(result),
            Err(RecvTimeoutError::Timeout) => Err(TimedOut),
            Err(_) => Ok(Err(never_started())),
        }
    }

    pub(crate) fn try_join(&mut self) -> Option<thread::Result<T>> {
        match self.result.try_recv() {
            Ok(result) => Some(result),
            Err(TryRecvError::Empty) => None,
            Err(_) => Some(Err(never_started())),
        }
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.finished.load(Acquire)
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<thread::Result<T>> {
        let result = Pin::new(&mut self.result).poll(cx);
        result.map(|result| result.unwrap_or_else(|RecvError| Err(never_started())))
    }
}

/// The payload that joining a call brings which never started, since its pool was shut down, or whose result was taken
/// before.
///
/// # Examples
///
/// ```
/// use greenlight::blocking::{Cancelled, Pool};
/// use std::time::Duration;
///
/// let pool = Pool::new(1);
/// pool.shutdown(Duration::ZERO);
/// let payload = pool.spawn(|| ()).join().unwrap_err();
/// assert!(payload.is::<Cancelled>());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled;

fn never_started() -> Box<dyn Any + Send> {
    Box::new(Cancelled)
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a call that never started")
    }
}

impl Error for Cancelled {}

#[cfg(all(test, loom))]
mod models;
