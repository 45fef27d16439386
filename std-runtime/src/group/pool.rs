//! A fixed number of green threads that do many jobs.

use crate::{
    JoinHandle,
    delivery::{self, Call, Delivery},
    header::Spawn,
    runtime,
};
use greenlight_core::{
    channel::{SendFuture, Sender, TrySendError, bounded},
    park::TimedOut,
};
use std::{
    fmt,
    future::Future,
    panic::Location,
    pin::Pin,
    task::{Context, Poll},
    thread,
    time::Duration,
};

/// Green threads that do jobs from a queue: for what may happen only so many times at once.
///
/// When the queue is full, [`submit`](Self::submit) waits: who makes work is held back by those who do it. Dropping the
/// pool lets what is in the queue be done; [`shutdown`](Self::shutdown) also waits for that.
///
/// # Examples
///
/// ```
/// use greenlight::group::Pool;
///
/// let pool = Pool::new(2, 16);
/// let jobs: Vec<_> = (0..100).map(|i| pool.submit(move || i * i)).collect();
/// assert_eq!(jobs.into_iter().map(|job| job.join().unwrap()).sum::<i32>(), 328_350);
/// pool.shutdown();
/// ```
pub struct Pool {
    queue: Sender<Call>,
    workers: Vec<JoinHandle<()>>,
}

impl Pool {
    /// A pool of so many green threads, and a queue with so many places. With none, a job is handed over to a green thread
    /// that has nothing to do.
    ///
    /// # Panics
    ///
    /// If `workers` is zero, or there is no memory for their stacks.
    #[track_caller]
    pub fn new(workers: usize, queue: usize) -> Self {
        assert!(workers > 0, "a pool needs at least one worker");
        let (queue, jobs) = bounded::<Call>(queue);
        let site = Location::caller();
        let worker = |_| {
            let jobs = jobs.clone();
            // A job does not unwind: its panic goes to its handle.
            runtime::here().spawn(Spawn::at(site), move || jobs.iter().for_each(|job| job()))
        };
        Self { queue, workers: (0..workers).map(worker).collect() }
    }

    /// Has `f` done. Waits while the queue is full. Dropping the handle leaves the job to be done.
    ///
    /// # Panics
    ///
    /// A panic *of* `f` is reported by the hook, and [`PoolHandle::join`] brings it.
    ///
    /// # Cancellation
    ///
    /// While it waits, `f` is not in the queue.
    #[track_caller]
    pub fn submit<F, T>(&self, f: F) -> PoolHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (call, delivery) = delivery::pack(f);
        // The workers keep the channel open for as long as we do; what would not be taken is dropped, and the handle tells.
        let _ = self.queue.send(call);
        PoolHandle { delivery }
    }

    /// [`submit`](Self::submit), if the queue has a place, or a green thread nothing to do. Never waits.
    ///
    /// # Errors
    ///
    /// If it has not; `f` is dropped.
    pub fn try_submit<F, T>(&self, f: F) -> Result<PoolHandle<T>, PoolFull>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (call, delivery) = delivery::pack(f);
        match self.queue.try_send(call) {
            Ok(()) => Ok(PoolHandle { delivery }),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(PoolFull),
        }
    }

    /// [`submit`](Self::submit) as a future, which brings the handle.
    ///
    /// # Panics
    ///
    /// Its poll, if it was ready before.
    ///
    /// # Cancellation
    ///
    /// It can be dropped at any time: if it was not ready, `f` is not in the queue.
    pub fn submit_async<F, T>(&self, f: F) -> Submit<'_, T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (call, delivery) = delivery::pack(f);
        Submit { sending: self.queue.send_async(call), delivery: Some(delivery) }
    }

    /// How many green threads it has.
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// How many jobs are in the queue.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Waits until every job is done. A job must not do this to its own pool: it would wait for itself.
    ///
    /// # Cancellation
    ///
    /// If the wait is cut short, what is in the queue is done all the same.
    #[track_caller]
    pub fn shutdown(self) {
        drop(self.queue);
        for worker in self.workers {
            let _ = worker.join();
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("workers", &self.workers()).field("queued", &self.queued()).finish()
    }
}

/// The queue of a [`Pool`] has no place for another job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolFull;

impl fmt::Display for PoolFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue of the pool is full")
    }
}

impl std::error::Error for PoolFull {}

/// Future of [`Pool::submit_async`].
#[must_use = "a future does nothing until it is polled"]
pub struct Submit<'a, T> {
    sending: SendFuture<'a, Call>,
    delivery: Option<Delivery<T>>,
}

impl<T> Future for Submit<'_, T> {
    type Output = PoolHandle<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<PoolHandle<T>> {
        // SAFETY: `sending` is pinned whenever we are: it is not moved out, there is no `Drop` and no `Unpin` of our own. The
        // delivery is not pinned.
        let (sending, delivery) = unsafe {
            let this = self.get_unchecked_mut();
            (Pin::new_unchecked(&mut this.sending), &mut this.delivery)
        };
        // As in `submit`, it cannot fail.
        sending.poll(cx).map(|_| PoolHandle { delivery: delivery.take().expect("not ready before") })
    }
}

impl<T> fmt::Debug for Submit<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submit").finish_non_exhaustive()
    }
}

/// Waits for a job of a [`Pool`] and takes its result: by [`join`](Self::join), or as a future. Dropping it leaves the job to be
/// done.
pub struct PoolHandle<T> {
    delivery: Delivery<T>,
}

impl<T> PoolHandle<T> {
    /// Waits until the job is done.
    ///
    /// # Errors
    ///
    /// With the panic's payload, if it panicked.
    #[track_caller]
    pub fn join(self) -> thread::Result<T> {
        self.delivery.join()
    }

    /// [`join`](Self::join), for `limit` at most. The result comes once: after that, joining says
    /// [`Cancelled`](crate::blocking::Cancelled).
    ///
    /// # Errors
    ///
    /// If the time is up. The handle is as it was.
    #[track_caller]
    pub fn join_timeout(&mut self, limit: Duration) -> Result<thread::Result<T>, TimedOut> {
        self.delivery.join_timeout(limit)
    }

    /// The result, if it is there. Never waits. It comes once, as with [`join_timeout`](Self::join_timeout).
    pub fn try_join(&mut self) -> Option<thread::Result<T>> {
        self.delivery.try_join()
    }

    /// Whether the job is done, so that [`join`](Self::join) would not wait.
    pub fn is_finished(&self) -> bool {
        self.delivery.is_finished()
    }
}

impl<T> Future for PoolHandle<T> {
    type Output = thread::Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.delivery.poll(cx)
    }
}

impl<T> fmt::Debug for PoolHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolHandle").field("is_finished", &self.is_finished()).finish()
    }
}
