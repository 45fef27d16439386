//! One wait for a notification, and the future that takes the mutex again after it.

use super::Condvar;
use crate::{
    mutex::{Mutex, MutexGuard, MutexLockFuture},
    queue::Waiter,
    turn::Turn,
};
use core::{
    cell::{Cell, OnceCell},
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Fresh,
    /// In line, or notified: the turn knows.
    InLine,
    /// Gone without a notification, or with one that is used.
    Over,
}

pub(super) struct Notified<'a> {
    condvar: &'a Condvar,
    turn: Turn,
    /// Made by the first poll, because it points to `turn`, which moves until then. It makes the wait `!Unpin`.
    waiter: OnceCell<Waiter<()>>,
    stage: Cell<Stage>,
}

// SAFETY: the waiter points to the turn beside it, and the cells are the owner's, whichever thread he polls on.
unsafe impl Send for Notified<'_> {}

impl<'a> Notified<'a> {
    pub(super) fn new(condvar: &'a Condvar) -> Self {
        Self { condvar, turn: Turn::new(), waiter: OnceCell::new(), stage: Cell::new(Stage::Fresh) }
    }

    /// Joins the line the first time, and calls `unlock` then (N1). Once it is ready it stays so.
    pub(super) fn poll(self: Pin<&Self>, waker: &Waker, unlock: impl FnOnce()) -> Poll<()> {
        // In place until it is dropped, which takes it out of the line: what `pin` promises.
        let this = self.get_ref();
        if this.turn.outcome().is_some() {
            return Poll::Ready(());
        }
        let node = this.waiter.get_or_init(|| Waiter::new(&this.turn, 0, ()));
        let fresh = waker.clone();
        let mut line = this.condvar.line.lock();
        if this.turn.outcome().is_some() {
            drop(line);
            return Poll::Ready(());
        }
        // SAFETY: under the lock, and in no queue yet, or still linked (U4).
        let old = unsafe { this.turn.rearm(fresh) };
        if this.stage.replace(Stage::InLine) == Stage::Fresh {
            // SAFETY: in no queue. It is pinned, and so is the turn, until `drop` has removed it.
            unsafe { line.0.push_back(node) };
            drop(line);
            unlock();
        } else {
            drop(line);
        }
        drop(old);
        Poll::Pending
    }

    /// Goes out of the line. True if there was a notification.
    pub(super) fn withdraw(&self) -> bool {
        let Some(node) = self.waiter.get().filter(|_| self.stage.get() == Stage::InLine) else { return false };
        // SAFETY: this queue is the only one it was ever in.
        let was_in_line = unsafe { self.condvar.line.lock().0.remove(node) };
        if was_in_line {
            self.stage.set(Stage::Over);
        }
        !was_in_line
    }

    /// The notification, if there was one, has had its effect (N2).
    pub(super) fn use_up(&self) {
        self.stage.set(Stage::Over);
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        // Out of the line, nobody looks at the node or the turn (U3, U4).
        if self.withdraw() {
            self.condvar.notify_one();
        }
    }
}

/// The future of [`Condvar::wait_async`].
#[must_use = "a future does nothing unless it is polled"]
pub struct CondvarWait<'a, T: ?Sized> {
    /// Until the first poll.
    guard: Option<MutexGuard<'a, T>>,
    mutex: &'a Mutex<T>,
    notified: Notified<'a>,
    /// Once it was notified.
    lock: Option<MutexLockFuture<'a, T>>,
    over: bool,
}

impl<'a, T: ?Sized> CondvarWait<'a, T> {
    pub(super) fn new(condvar: &'a Condvar, guard: MutexGuard<'a, T>) -> Self {
        let mutex = MutexGuard::mutex(&guard);
        Self { guard: Some(guard), mutex, notified: Notified::new(condvar), lock: None, over: false }
    }

    /// Whether it has returned: then it must not be polled again.
    pub fn is_terminated(&self) -> bool {
        self.over
    }
}

impl<'a, T: ?Sized> Future for CondvarWait<'a, T> {
    type Output = MutexGuard<'a, T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: `notified` and `lock` are pinned whenever we are; what is moved out is the guard.
        let this = unsafe { self.get_unchecked_mut() };
        assert!(!this.over, "a `CondvarWait` was polled after it was ready");
        // SAFETY: as above.
        let notified = unsafe { Pin::new_unchecked(&this.notified) };
        let guard = &mut this.guard;
        ready!(notified.poll(context.waker(), || drop(guard.take())));
        let lock = this.lock.get_or_insert_with(|| this.mutex.lock_async());
        // SAFETY: as above.
        let guard = ready!(unsafe { Pin::new_unchecked(lock) }.poll(context));
        notified.use_up();
        this.over = true;
        Poll::Ready(guard)
    }
}

impl<T: ?Sized> fmt::Debug for CondvarWait<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("CondvarWait { .. }")
    }
}

#[cfg(feature = "futures")]
impl<T: ?Sized> futures_core::FusedFuture for CondvarWait<'_, T> {
    fn is_terminated(&self) -> bool {
        self.is_terminated()
    }
}
