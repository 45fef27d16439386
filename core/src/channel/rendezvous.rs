//! The buffer of `bounded(0)`: none. Senders and receivers meet under the lock of their lines.
//!
//! * Z1  What is here was handed to a future that was dropped before it looked: it goes to the next receiver.
//!
//! The lines' lock is not needed for it: whoever adds to it looks for receivers afterwards (B4). It has a lock of its own, and
//! who has stopped in there hides what is here: to the others, it is empty.

use super::{
    buffer::Buffer,
    error::{TryRecvError, TrySendError},
    lines::PATIENCE,
};
use crate::{
    spin::{SpinMutex, SpinMutexGuard},
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering::*},
        model_fence, spin,
    },
};
use alloc::collections::VecDeque;

/// | word       | operation    | order   | pairs with | so that                                                     | model |
/// |------------|--------------|---------|------------|-------------------------------------------------------------|-------|
/// | `closed`   | close, read  | SeqCst  | each other | B3, B4; who hears of it sees what was done before           | 1 2   |
/// | `meetings` | one more     | Release | read       | a select that finds nobody twice knows that nobody was      | 3     |
/// |            |              |         |            | there; the lines' lock keeps the count                      |       |
/// | `meetings` | read         | Acquire | one more   | the same, and what is looked at after it is no older        | 3     |
/// | `returned` | more, read   | SeqCst  | each other | B4; the values themselves are behind their own lock         | 4 5   |
/// | `returned` | fewer        | Release | read       | who finds nothing sees what the last taker did before       | 6     |
///
/// Each weakened by one step fails a model: 1 `close_meets_…` and `closes_cross…`, 2 `end_brings`, `refusal_brings`,
/// 3 `number_of_meetings_brings`, 4 `value_taken_back_meets_waiter`, 5 `values_taken_back_cross`,
/// 6 `nothing_left_brings_who_took_it`.
pub struct Rendezvous<T> {
    closed: AtomicBool,
    returned: AtomicUsize,
    values: SpinMutex<VecDeque<T>>,
    meetings: AtomicUsize,
}

impl<T> Rendezvous<T> {
    pub(crate) fn new() -> Self {
        Self {
            closed: AtomicBool::new(false),
            meetings: AtomicUsize::new(0),
            returned: AtomicUsize::new(0),
            values: SpinMutex::new(VecDeque::new()),
        }
    }

    /// What was taken back, if it is there still. `Empty` if its holder hides it.
    #[cold]
    #[inline(never)]
    fn pop_returned(&self) -> Result<Option<T>, TryRecvError> {
        let Some(mut values) = self.lock_patiently() else { return Err(TryRecvError::Empty) };
        let value = values.pop_front();
        if value.is_some() {
            self.returned.store(values.len(), Release);
        }
        Ok(value)
    }

    /// The values, unless their holder keeps them for longer than any running holder does (B2).
    fn lock_patiently(&self) -> Option<SpinMutexGuard<'_, VecDeque<T>>> {
        let mut turn = 0;
        (0..=PATIENCE).find_map(|_| {
            let values = self.values.try_lock();
            if values.is_none() {
                spin(&mut turn);
            }
            values
        })
    }
}

impl<T> Buffer<T> for Rendezvous<T> {
    type Place = usize;

    fn push(&self, value: T) -> Result<(), TrySendError<T>> {
        Err(if self.is_closed() { TrySendError::Disconnected(value) } else { TrySendError::Full(value) })
    }

    #[inline]
    fn pop(&self) -> Result<T, TryRecvError> {
        let closed = self.is_closed();
        if self.returned.load(SeqCst) > 0
            && let Some(value) = self.pop_returned()?
        {
            return Ok(value);
        }
        Err(if closed { TryRecvError::Disconnected } else { TryRecvError::Empty })
    }

    fn reserve(&self) -> Result<usize, TrySendError<()>> {
        Err(if self.is_closed() { TrySendError::Disconnected(()) } else { TrySendError::Full(()) })
    }

    unsafe fn fill(&self, _: usize, value: T) -> Result<(), T> {
        Err(value)
    }

    unsafe fn give_back(&self, _: usize) {}

    fn close(&self) -> bool {
        !self.closed.swap(true, SeqCst)
    }

    fn is_closed(&self) -> bool {
        self.closed.load(SeqCst)
    }

    fn capacity(&self) -> usize {
        0
    }

    fn len(&self) -> usize {
        self.returned.load(SeqCst)
    }

    fn may_pop(&self) -> bool {
        model_fence();
        self.len() > 0 || self.is_closed()
    }

    fn may_push(&self) -> bool {
        model_fence();
        self.is_closed()
    }

    fn pops(&self) -> usize {
        self.meetings.load(Acquire)
    }

    fn pushes(&self) -> usize {
        self.meetings.load(Acquire)
    }

    fn is_rendezvous(&self) -> bool {
        true
    }

    fn met(&self) {
        self.meetings.store(self.meetings.load(Relaxed).wrapping_add(1), Release);
    }

    fn take_back(&self, value: T) {
        let mut values = self.values.lock();
        values.push_back(value);
        self.returned.store(values.len(), SeqCst);
    }

    #[cfg(all(test, loom))]
    fn touch(&self) {
        self.closed.fetch_or(false, SeqCst);
        [&self.returned, &self.meetings].into_iter().for_each(|word| _ = word.fetch_add(0, SeqCst));
    }
}
