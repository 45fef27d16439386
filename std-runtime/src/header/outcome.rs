//! The other end of a green thread, which its join handle holds.

use super::{
    TaskId, TaskRef,
    fate::Detached,
    job::{Ending, abandon},
};
use crate::{scope::Members, sync::UnsafeCell};
use std::{
    ptr::NonNull,
    sync::Arc,
    task::{Poll, Waker},
};

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
        // SAFETY: `&mut` of the handle's part.
        unsafe { self.task.get().fate().poll_end(waker) }
    }
}

impl<T> Drop for Outcome<T> {
    fn drop(&mut self) {
        struct LetGo(TaskRef);
        impl Drop for LetGo {
            fn drop(&mut self) {
                self.0.let_go();
            }
        }
        let _let_go = LetGo(self.task);
        // SAFETY: the handle's part, which ends here.
        let Detached { waker, ended } = unsafe { self.task.get().fate().detach() };
        if ended {
            abandon(self.take(), self.scope.as_deref());
        }
        drop(waker); // foreign code, so at the end
    }
}

#[cfg(all(test, loom))]
mod models;
