//! The end of a task against its handle: who drops the result, and whom the end wakes.
//!
//! The same for green threads and for futures. Where the word and the waker lie is theirs: each has a place to spare.
//!
//! * K5  `joiner` is the handle's while `WAITED` is clear. While it is set, it is a waker, and goes to whoever changes the word
//!   first: the task, by setting `ENDED`, or the handle, by clearing `WAITED`.

use super::packed::PackedWaker;
use crate::sync::{
    UnsafeCell,
    atomic::{AtomicU8, Ordering::*},
};
use std::{
    mem::MaybeUninit,
    task::{Poll, Waker},
};

const ENDED: u8 = 1;
const DETACHED: u8 = 2;
const WAITED: u8 = 4;

/// A look at both.
#[derive(Clone, Copy)]
pub(crate) struct Fate<'a> {
    /// | operation    | order   | pairs with | so that                                              | model |
    /// |--------------|---------|------------|------------------------------------------------------|-------|
    /// | end          | AcqRel  | the others | the handle sees the result, the task the waker       | 1 2 3 |
    /// | set WAITED   | AcqRel  | end        | K5: the waker is seen by whoever gets it; the result | 1 2   |
    /// | clear WAITED | Acquire | end        | the handle sees the result                           | 2     |
    /// | detach       | Acquire | end        | the same                                             | 3     |
    /// | look         | Acquire | end        | the same                                             | 1     |
    ///
    /// Each weakened by one step fails a model: 1 `fate_wakes_who_joins`, 2 `fate_takes_the_last_waker`,
    /// 3 `fate_drops_the_result_once`.
    word: &'a AtomicU8,
    joiner: &'a Joiner,
}

/// K5.
pub(crate) type Joiner = UnsafeCell<MaybeUninit<PackedWaker>>;

/// What the handle finds when it is dropped.
pub(crate) struct Detached {
    /// What it had left. Its drop is foreign code.
    pub(crate) waker: Option<Waker>,
    /// Then the result is the handle's, who drops it; else the task's.
    pub(crate) ended: bool,
}

/// The task was quicker.
struct Ended;

impl<'a> Fate<'a> {
    /// # Safety
    ///
    /// `joiner` is touched by nobody but the fate of this `word`, which is changed by nobody else but before the task begins.
    pub(crate) unsafe fn of(word: &'a AtomicU8, joiner: &'a Joiner) -> Self {
        Self { word, joiner }
    }

    pub(crate) fn has_ended(self) -> bool {
        self.word.load(Acquire) & ENDED != 0
    }

    /// The task's end, behind its result: whom it has to wake, and whether nobody else wants the result.
    ///
    /// # Safety
    ///
    /// By the task, once.
    pub(crate) unsafe fn end(self) -> (Option<Waker>, bool) {
        let before = self.word.fetch_or(ENDED, AcqRel);
        // SAFETY: K5: there, and ours.
        let take = || unsafe { self.take() };
        ((before & WAITED != 0).then(take), before & DETACHED != 0)
    }

    /// Whether the task has ended; if not, its end will wake `waker`, the last one that came here.
    ///
    /// # Safety
    ///
    /// By the handle, by one at a time.
    pub(crate) unsafe fn poll_end(self, waker: &Waker) -> Poll<()> {
        let before = self.word.load(Acquire);
        if before & ENDED != 0 {
            return Poll::Ready(());
        }
        // SAFETY: the caller's promise.
        let old = match unsafe { self.take_waker(before) } {
            Err(Ended) => return Poll::Ready(()),
            Ok(old) => old,
        };
        let new = old.filter(|old| old.will_wake(waker)).unwrap_or_else(|| waker.clone());
        let new = PackedWaker::new(new);
        // SAFETY: K5: WAITED is clear.
        self.joiner.with_mut(|joiner| unsafe { (*joiner).write(new) });
        if self.word.fetch_or(WAITED, AcqRel) & ENDED == 0 {
            return Poll::Pending;
        }
        // It has ended meanwhile, and saw no waker.
        self.word.fetch_and(!WAITED, Relaxed);
        // SAFETY: written above, and nobody took it.
        drop(unsafe { self.take() });
        Poll::Ready(())
    }

    /// Nobody will ask any more.
    ///
    /// # Safety
    ///
    /// By the handle, which is not used afterwards.
    pub(crate) unsafe fn detach(self) -> Detached {
        let before = self.word.load(Acquire);
        if before & ENDED != 0 {
            return Detached { waker: None, ended: true }; // the task looks at nothing any more
        }
        // SAFETY: the caller's promise.
        let waker = unsafe { self.take_waker(before) }.ok().flatten();
        Detached { waker, ended: self.word.fetch_or(DETACHED, Acquire) & ENDED != 0 }
    }

    /// Takes back the waker that a poll has left. `before` is what the word was.
    ///
    /// # Safety
    ///
    /// As for [`poll_end`](Self::poll_end).
    unsafe fn take_waker(self, before: u8) -> Result<Option<Waker>, Ended> {
        if before & WAITED == 0 {
            return Ok(None); // only the handle sets it
        }
        if self.word.fetch_and(!WAITED, Acquire) & ENDED != 0 {
            return Err(Ended); // the task has taken it
        }
        // SAFETY: K5: it was set, and we have cleared it first.
        Ok(Some(unsafe { self.take() }))
    }

    /// # Safety
    ///
    /// There is a waker, and it is the caller's (K5).
    unsafe fn take(self) -> Waker {
        // SAFETY: the caller's promise.
        self.joiner.with_mut(|joiner| unsafe { (*joiner).assume_init_read() }).into_waker()
    }
}
