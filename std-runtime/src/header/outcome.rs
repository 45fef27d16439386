//! The other end of a task, which its join handle holds: K5.

use super::{
    Task, TaskId, TaskRef,
    job::{Ending, abandon},
};
use crate::{
    scope::Members,
    sync::{UnsafeCell, atomic::Ordering::*},
};
use std::{
    ptr::NonNull,
    sync::Arc,
    task::{Poll, Waker},
};

pub(super) const ENDED: u8 = 1;
const DETACHED: u8 = 2;
const WAITED: u8 = 4;

/// What [`spawn`](TaskRef::prepare) leaves for the join handle.
pub(crate) struct Outcome<T> {
    pub(super) task: TaskRef,
    pub(super) result: NonNull<UnsafeCell<Option<Ending<T>>>>,
    /// That of the task, which wants to know of panics that nobody joins.
    pub(super) scope: Option<Arc<Members>>,
}

// SAFETY: the result goes to one taker, on whichever thread (T: Send by `prepare`); the rest of a task is shared by K1.
unsafe impl<T: Send> Send for Outcome<T> {}
// SAFETY: a shared outcome only asks whether the task has ended.
unsafe impl<T: Send> Sync for Outcome<T> {}

impl Task {
    /// The task's end, behind its result: whom it has to wake, and whether nobody else wants the result.
    pub(super) fn end(&self) -> (Option<Waker>, bool) {
        let before = self.fate.fetch_or(ENDED, AcqRel);
        // SAFETY: K5: there, and ours.
        let take = || self.joiner.with_mut(|joiner| unsafe { (*joiner).assume_init_read() });
        ((before & WAITED != 0).then(take), before & DETACHED != 0)
    }
}

impl<T> Outcome<T> {
    pub(crate) fn task(&self) -> TaskRef {
        self.task
    }

    /// Before the task is placed.
    pub(crate) fn enter_scope(&self) {
        if let Some(scope) = &self.scope {
            scope.enter(self.task);
        }
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.task.get().name()
    }

    pub(crate) fn id(&self) -> TaskId {
        self.task.get().id().expect("a task has an id")
    }

    /// Takes the result of a task that has ended. None if that was done before.
    pub(crate) fn take(&mut self) -> Option<Ending<T>> {
        debug_assert!(self.task.has_ended());
        // SAFETY: ended, not detached: the result is ours.
        unsafe { self.result.as_ref().with_mut(|result| (*result).take()) }
    }

    /// [`take`](Self::take), for somebody who hears of a panic.
    pub(crate) fn deliver(&mut self) -> Option<Ending<T>> {
        let ending = self.take()?;
        if let (Ending::Panic(_), Some(scope)) = (&ending, &self.scope) {
            scope.joined();
        }
        Some(ending)
    }

    /// Whether the task has ended; if not, its end will wake `waker`, the last one that came here.
    pub(crate) fn poll_end(&mut self, waker: &Waker) -> Poll<()> {
        let Task { fate, joiner, .. } = self.task.get();
        let before = fate.load(Acquire);
        if before & ENDED != 0 {
            return Poll::Ready(());
        }
        let old = match self.take_waker(before) {
            Err(Ended) => return Poll::Ready(()),
            Ok(old) => old,
        };
        let new = old.filter(|old| old.will_wake(waker)).unwrap_or_else(|| waker.clone());
        // SAFETY: K5: WAITED is clear.
        joiner.with_mut(|joiner| unsafe { (*joiner).write(new) });
        if fate.fetch_or(WAITED, AcqRel) & ENDED == 0 {
            return Poll::Pending;
        }
        // It has ended meanwhile, and saw no waker.
        fate.fetch_and(!WAITED, Relaxed);
        // SAFETY: written above, and nobody took it.
        drop(joiner.with_mut(|joiner| unsafe { (*joiner).assume_init_read() }));
        Poll::Ready(())
    }

    /// Takes back the waker that a poll has left. `before` is what the fate was.
    fn take_waker(&self, before: u8) -> Result<Option<Waker>, Ended> {
        let Task { fate, joiner, .. } = self.task.get();
        if before & WAITED == 0 {
            return Ok(None); // only the handle sets it
        }
        if fate.fetch_and(!WAITED, Acquire) & ENDED != 0 {
            return Err(Ended); // the task has taken it
        }
        // SAFETY: K5: it was set, and we have cleared it first.
        Ok(Some(joiner.with_mut(|joiner| unsafe { (*joiner).assume_init_read() })))
    }
}

/// The task was quicker.
struct Ended;

impl<T> Drop for Outcome<T> {
    fn drop(&mut self) {
        struct LetGo(TaskRef);
        impl Drop for LetGo {
            fn drop(&mut self) {
                self.0.let_go();
            }
        }
        let _let_go = LetGo(self.task);
        let fate = &self.task.get().fate;
        let waker = self.take_waker(fate.load(Relaxed)).ok().flatten();
        if fate.fetch_or(DETACHED, Acquire) & ENDED != 0 {
            abandon(self.take(), self.scope.as_deref());
        }
        drop(waker); // foreign code, so at the end
    }
}

#[cfg(all(test, loom))]
mod models;
