//! One wait for permits, by a thread or by a future.
//!
//! ```text
//!   Fresh ─── not now ──▶ InLine ─── let go ──▶ GRANTED, SHUT ─────────────▶ Over
//!     │                     ▲  ▲                FREED ─────────────────────▶ │
//!     │                     │  │                CALLED ── takes them ───────▶ │
//!     │                     │  └──────────────────┘ in vain: at the head      │
//!     └── somebody is called: lets him run once, then takes them ────────────▶┘
//! ```

use super::{
    CALLED, CLOSED, FREED, GRANTED, Line, ONE, QUEUED, SHUT, Semaphore, error::AcquireError, permit::SemaphorePermit,
};
use crate::{queue::Waiter, spin::SpinMutexGuard, sync::atomic::Ordering::*, turn::Turn};
use core::{
    cell::{Cell, OnceCell},
    fmt,
    future::Future,
    pin::Pin,
    ptr,
    task::{Context, Poll, Waker},
};

/// What a waiter in line wants, and whether it is a thread: then it runs for certain once it is woken.
#[derive(Clone, Copy)]
pub(super) struct Want {
    pub(super) permits: usize,
    pub(super) thread: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Fresh,
    /// In line, or let go and not looked yet: the turn knows.
    InLine,
    Over,
}

pub(super) struct Wait<'a> {
    semaphore: &'a Semaphore,
    want: Want,
    /// For a [`Notify`](super::Notify): how often all had been freed when this wait began.
    freed: Option<usize>,
    turn: Turn,
    /// Made by the first poll, because it points to `turn`, which moves until then. It makes the wait `!Unpin`.
    waiter: OnceCell<Waiter<Want>>,
    stage: Cell<Stage>,
    /// It has let those run who were called before it (P4).
    yielded: Cell<bool>,
}

// SAFETY: the waiter points to the turn beside it, and the cells are the owner's, whichever thread he polls on.
unsafe impl Send for Wait<'_> {}

/// What a look under the lock comes to.
enum Look {
    /// So many permits: none for one who was freed.
    Taken(usize),
    Closed,
    /// Those who were called go first.
    Yield,
    Sleep,
}

impl<'a> Wait<'a> {
    #[inline]
    pub(super) fn new(semaphore: &'a Semaphore, want: Want) -> Self {
        Self {
            semaphore,
            want,
            freed: None,
            turn: Turn::new(),
            waiter: OnceCell::new(),
            stage: Cell::new(Stage::Fresh),
            yielded: Cell::new(false),
        }
    }

    /// One permit, or to be freed from now on.
    pub(super) fn notification(semaphore: &'a Semaphore, thread: bool) -> Self {
        let freed = Some(semaphore.line.lock().freed);
        let mut wait = Self::new(semaphore, Want { permits: 1, thread });
        wait.freed = freed;
        wait
    }

    pub(super) fn is_over(&self) -> bool {
        self.stage.get() == Stage::Over
    }

    #[inline]
    pub(super) fn poll(self: Pin<&Self>, waker: &Waker) -> Poll<Result<SemaphorePermit<'a>, AcquireError>> {
        let this = self.get_ref();
        let may_be_freed = this.freed.is_some();
        if this.stage.get() != Stage::InLine && !may_be_freed && this.semaphore.take_unqueued(this.want.permits) {
            return this.over(Ok(this.want.permits));
        }
        self.poll_in_line(waker)
    }

    #[cold]
    fn poll_in_line(self: Pin<&Self>, waker: &Waker) -> Poll<Result<SemaphorePermit<'a>, AcquireError>> {
        // In place until it is dropped, which takes it out of the line: what `pin` promises.
        let this = self.get_ref();
        let node = this.waiter.get_or_init(|| Waiter::new(&this.turn, GRANTED, this.want));
        let semaphore = this.semaphore;
        // Dropped after the lock is given back: wakers are foreign code.
        let fresh = waker.clone();
        let mut line = semaphore.line.lock();
        match this.look(node, &mut line) {
            Look::Taken(permits) => {
                // A called one leaves; and by an earlier call there may be enough for the next, too.
                semaphore.let_go(line);
                this.over(Ok(permits))
            }
            Look::Closed => {
                semaphore.tidy(&line);
                drop(line);
                this.over(Err(AcquireError))
            }
            look => {
                // SAFETY: in no queue, or linked under the lock (U4).
                let old = unsafe { this.turn.rearm(fresh) };
                if let Look::Yield = look {
                    this.yielded.set(true);
                    drop(line);
                    waker.wake_by_ref();
                } else if line.called > 0 {
                    semaphore.let_go(line);
                } else {
                    drop(line);
                }
                drop(old);
                Poll::Pending
            }
        }
    }

    #[inline]
    fn over(&self, permits: Result<usize, AcquireError>) -> Poll<Result<SemaphorePermit<'a>, AcquireError>> {
        self.stage.set(Stage::Over);
        Poll::Ready(permits.map(|permits| SemaphorePermit::new(self.semaphore, permits)))
    }

    /// Takes the permits, or stands in line after it.
    fn look(&self, node: &Waiter<Want>, line: &mut Line) -> Look {
        let (semaphore, Want { permits, thread }) = (self.semaphore, self.want);
        let yields = permits > 0 && line.called > 0 && !self.yielded.get();
        let first_in_line = match self.stage.get() {
            Stage::InLine => match self.turn.outcome() {
                Some(GRANTED) => return Look::Taken(permits),
                Some(SHUT) => return Look::Closed,
                Some(FREED) => return Look::Taken(0),
                Some(_) => {
                    line.called -= 1;
                    true
                }
                // It is asked again before it was called. If all before it were, it may take what they left so far (P4).
                None if line.queue.peek().is_some_and(|first| ptr::eq(first, &node.payload)) => {
                    if semaphore.available_permits() < permits {
                        return Look::Sleep;
                    }
                    if yields {
                        return Look::Yield;
                    }
                    let taken = semaphore.take(permits);
                    debug_assert!(taken); // by P2, nobody else takes
                    self.leave(node, line);
                    return Look::Taken(permits);
                }
                None => return Look::Sleep,
            },
            _ => line.queue.is_empty(),
        };
        // Called, it takes the permit that it was called for, if that is there; before, it leaves it to others.
        let freed = self.freed.is_some_and(|freed| freed != line.freed);
        if freed && !(self.stage.get() == Stage::InLine && semaphore.take(permits)) {
            return Look::Taken(0);
        }
        if freed {
            return Look::Taken(permits);
        }
        let yields = yields && self.stage.get() == Stage::Fresh;
        let mut state = semaphore.state.load(Relaxed);
        loop {
            if state & CLOSED != 0 {
                return Look::Closed;
            }
            let enough = permits == 0 || first_in_line && state / ONE >= permits;
            if enough && yields {
                return Look::Yield;
            }
            let (next, order) = if enough { (state - permits * ONE, Acquire) } else { (state | QUEUED, Relaxed) };
            match semaphore.state.compare_exchange_weak(state, next, order, Relaxed) {
                Ok(_) if enough => return Look::Taken(permits),
                Ok(_) => break,
                Err(now) => state = now,
            }
        }
        // SAFETY: the turn's only node is in no queue: fresh, or popped by whoever called it.
        unsafe { self.turn.reset() };
        // SAFETY: in no queue. It is pinned, and so is the turn, until `drop` has removed it.
        unsafe {
            if self.stage.get() == Stage::InLine {
                line.queue.push_front(node);
            } else {
                line.queue.push_back(node);
            }
        }
        line.threads += usize::from(thread);
        self.stage.set(Stage::InLine);
        Look::Sleep
    }

    /// Goes out of the line, if it is in it.
    fn leave(&self, node: &Waiter<Want>, line: &mut Line) -> bool {
        // SAFETY: this queue is the only one it was ever in.
        let was_in_line = unsafe { line.queue.remove(node) };
        line.threads -= usize::from(was_in_line && self.want.thread);
        was_in_line
    }
}

impl Drop for Wait<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.stage.get() == Stage::InLine {
            self.withdraw();
        }
    }
}

impl Wait<'_> {
    #[cold]
    fn withdraw(&self) {
        let Some(node) = self.waiter.get() else { return };
        let mut line: SpinMutexGuard<'_, Line> = self.semaphore.line.lock();
        // P5. Out of the line, nobody looks at the node or the turn (U3, U4).
        if !self.leave(node, &mut line) {
            match self.turn.outcome() {
                // Relaxed: it adds nothing to what those did who put them back before.
                Some(GRANTED) => _ = self.semaphore.state.fetch_add(self.want.permits * ONE, Relaxed),
                Some(CALLED) => line.called -= 1,
                _ => {}
            }
        }
        if self.freed.is_some() {
            self.semaphore.keep_one(&line);
        }
        self.semaphore.let_go(line);
    }
}

/// The future of [`Semaphore::acquire_async`].
#[must_use = "a future does nothing unless it is polled"]
pub struct SemaphoreAcquire<'a>(Wait<'a>);

impl<'a> SemaphoreAcquire<'a> {
    pub(super) fn new(wait: Wait<'a>) -> Self {
        Self(wait)
    }

    /// Whether it has returned its result: then it must not be polled again.
    pub fn is_terminated(&self) -> bool {
        self.0.is_over()
    }
}

impl<'a> Future for SemaphoreAcquire<'a> {
    type Output = Result<SemaphorePermit<'a>, AcquireError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        assert!(!self.is_terminated(), "a `SemaphoreAcquire` was polled after it was ready");
        // SAFETY: the field is pinned whenever we are.
        unsafe { self.as_ref().map_unchecked(|this| &this.0) }.poll(context.waker())
    }
}

impl fmt::Debug for SemaphoreAcquire<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SemaphoreAcquire").field("permits", &self.0.want.permits).finish_non_exhaustive()
    }
}

#[cfg(feature = "futures")]
impl futures_core::FusedFuture for SemaphoreAcquire<'_> {
    fn is_terminated(&self) -> bool {
        self.is_terminated()
    }
}
