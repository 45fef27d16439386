//! The buffer of a channel that the clock fills: `after`, `at`, `tick`.
//!
//! ```text
//!   due: Some(when, message) ── the clock has reached it, a pop ──▶  once: None, for ever
//!                 ▲                                                  every d: d after it, or after now if it was taken late
//!                 └───────────────────────────────────────────────────┘
//! ```
//!
//! Nothing is ever put into it: the message is made when it is due, so a tick that nobody took is not made up for.

use super::{
    buffer::Buffer,
    error::{TryRecvError, TrySendError},
};
use crate::{
    park::{self, Tick},
    spin::SpinMutex,
    sync::atomic::{AtomicBool, Ordering::*},
};

/// | word     | operation   | order  | pairs with | so that                                           |
/// |----------|-------------|--------|------------|---------------------------------------------------|
/// | `closed` | close, read | SeqCst | each other | B4, where it is read without the lock; who hears  |
/// |          |             |        |            | of it sees what was done before                   |
///
/// Weakened to AcqRel, Acquire or Release, each fails `closes_cross`; Relaxed, `closed_brings`.
pub struct Timer<T> {
    due: SpinMutex<Option<Due<T>>>,
    period: Option<Period<T>>,
    never: bool,
    closed: AtomicBool,
}

pub(crate) struct Due<T> {
    pub(crate) when: Tick,
    pub(crate) message: T,
}

pub(crate) struct Period<T> {
    pub(crate) nanos: u64,
    /// The message of so many nanoseconds later.
    pub(crate) later: fn(&T, u64) -> T,
}

impl<T> Timer<T> {
    /// `None` as the first: never.
    pub(crate) fn new(first: Option<Due<T>>, period: Option<Period<T>>) -> Self {
        Self { never: first.is_none(), due: SpinMutex::new(first), period, closed: AtomicBool::new(false) }
    }

    pub(crate) fn is_never(&self) -> bool {
        self.never
    }
}

impl<T> Buffer<T> for Timer<T> {
    type Place = usize;

    fn push(&self, value: T) -> Result<(), TrySendError<T>> {
        Err(TrySendError::Full(value)) // a timer's channel has no sender
    }

    fn pop(&self) -> Result<T, TryRecvError> {
        let mut due = self.due.lock();
        let now = match &*due {
            None if self.is_closed() => return Err(TryRecvError::Disconnected),
            None => return Err(TryRecvError::Empty),
            Some(next) => match park::now() {
                now if now < next.when => return Err(TryRecvError::Empty),
                now => now,
            },
        };
        let Some(Due { when, message }) = due.take() else { unreachable!("looked at above") };
        if let Some(Period { nanos, later }) = &self.period {
            // A receiver that waited for it takes it a little late, which is not to add up.
            let late = Some(now.saturating_sub(when)).filter(|late| *late >= nanos / 8);
            let step = late.unwrap_or(0).saturating_add(*nanos);
            *due = when.checked_add(step).map(|when| Due { when, message: later(&message, step) });
        }
        Ok(message)
    }

    fn reserve(&self) -> Result<usize, TrySendError<()>> {
        Err(TrySendError::Full(()))
    }

    unsafe fn fill(&self, _: usize, value: T) -> Result<(), T> {
        Err(value)
    }

    unsafe fn give_back(&self, _: usize) {}

    /// Whatever is due is gone: nobody has sent it, so nobody loses it.
    fn close(&self) -> bool {
        let mut due = self.due.lock();
        *due = None;
        !self.closed.swap(true, SeqCst)
    }

    fn is_closed(&self) -> bool {
        self.closed.load(SeqCst)
    }

    fn capacity(&self) -> usize {
        1
    }

    fn len(&self) -> usize {
        usize::from(self.may_pop() && !self.is_closed())
    }

    fn may_pop(&self) -> bool {
        self.due.lock().as_ref().map_or(self.is_closed(), |due| park::now() >= due.when)
    }

    fn may_push(&self) -> bool {
        false
    }

    fn pops(&self) -> usize {
        self.due.lock().as_ref().map_or(usize::MAX, |due| due.when as usize)
    }

    fn pushes(&self) -> usize {
        0
    }

    #[cfg(all(test, loom))]
    fn touch(&self) {
        self.closed.fetch_or(false, SeqCst);
    }

    fn ripe_at(&self) -> Option<Tick> {
        self.due.lock().as_ref().map(|due| due.when)
    }
}
