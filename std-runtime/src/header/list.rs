//! Queues of tasks, linked through their headers: nothing is allocated.
//!
//! Of thousands of tasks, header and stack of each are in memory rather than in a cache when its turn comes. So whoever takes the first
//! has those of the next two fetched while the first one runs: see [`TaskList::pop`].

use super::{Task, TaskRef};
use crate::{
    arch::prefetch,
    sync::{
        atomic::{AtomicPtr, Ordering::*},
        const_unless_loom,
    },
};
use std::{cell::Cell, ptr::NonNull};

/// The bytes of a line of the cache.
const LINE: usize = 64;

/// A list of tasks, linked through their headers: nothing is allocated.
///
/// Each knows the next one; and the one before it, but for the first, whose link is stale.
pub(crate) struct TaskList {
    first: Cell<Option<TaskRef>>,
    last: Cell<Option<TaskRef>>,
    len: Cell<usize>,
}

// SAFETY: a task in a list belongs to whoever has the list (K2).
unsafe impl Send for TaskList {}

impl TaskList {
    pub(crate) const fn new() -> Self {
        Self { first: Cell::new(None), last: Cell::new(None), len: Cell::new(0) }
    }

    pub(crate) fn len(&self) -> usize {
        self.len.get()
    }

    /// Puts a task at the end.
    pub(crate) fn push(&self, task: TaskRef) {
        task.get().next.set(None);
        let last = self.last.replace(Some(task));
        task.get().previous.set(last);
        match last {
            None => self.first.set(Some(task)),
            Some(last) => last.get().next.set(Some(task)),
        }
        self.len.set(self.len.get() + 1);
    }

    /// Puts a task before all others.
    pub(crate) fn push_first(&self, task: TaskRef) {
        let first = self.first.replace(Some(task));
        task.get().next.set(first);
        match first {
            None => self.last.set(Some(task)),
            Some(first) => first.get().previous.set(Some(task)),
        }
        self.len.set(self.len.get() + 1);
    }

    /// Takes the first task.
    pub(crate) fn pop(&self) -> Option<TaskRef> {
        let task = self.first.get()?;
        let next = task.get().next.take();
        self.first.set(next);
        match next {
            None => self.last.set(None),
            Some(next) => next.fetch(),
        }
        self.len.set(self.len.get() - 1);
        Some(task)
    }

    /// Takes the last task.
    pub(crate) fn pop_last(&self) -> Option<TaskRef> {
        if self.len() < 2 {
            return self.pop();
        }
        let task = self.last.get()?;
        let previous = task.get().previous.take();
        self.last.set(previous);
        previous?.get().next.set(None);
        self.len.set(self.len.get() - 1);
        Some(task)
    }

    /// Puts the other's tasks at the end.
    pub(crate) fn append(&self, other: TaskList) {
        let Some(first) = other.first.get() else { return };
        match self.last.replace(other.last.get()) {
            None => self.first.set(Some(first)),
            Some(last) => {
                last.get().next.set(Some(first));
                first.get().previous.set(Some(last));
            }
        }
        self.len.set(self.len.get() + other.len.get());
    }
}

impl TaskRef {
    /// It is the first of a list now. Its header was fetched when it was the second: now the frames that it returns to, or else its
    /// closure; and the header of the one behind it.
    #[inline]
    fn fetch(self) {
        let task = self.get();
        if let Some(next) = task.next.get() {
            prefetch(next.0.as_ptr().cast());
        }
        let frames = task.stack_pointer.get();
        if frames.is_null() {
            let closure = self.0.as_ptr().cast::<u8>().wrapping_add(LINE);
            [0, 2 * LINE].into_iter().for_each(|line| prefetch(closure.wrapping_add(line)));
        } else {
            [0, LINE, 2 * LINE, 3 * LINE].into_iter().for_each(|line| prefetch(frames.wrapping_add(line)));
        }
    }
}

/// Where other threads leave tasks that they woke: a stack that its worker empties at once.
pub(crate) struct Inbox {
    /// | operation | order   | pairs with | so that                                                            |
    /// |-----------|---------|------------|--------------------------------------------------------------------|
    /// | push      | Release | take       | the worker sees the task's link                                    |
    /// | take      | Acquire | push       | the same                                                           |
    /// | look      | Relaxed | nothing    | the fences of W3 see to it that a last look is not in vain         |
    ///
    /// Each weakened by one step fails `inbox_brings_each_task_once`.
    top: AtomicPtr<Task>,
}

impl Inbox {
    const_unless_loom! {
        pub(crate) fn new() -> Self {
            Self { top: AtomicPtr::new(std::ptr::null_mut()) }
        }
    }

    pub(crate) fn push(&self, task: TaskRef) {
        let mut top = self.top.load(Relaxed);
        loop {
            task.get().next.set(NonNull::new(top).map(TaskRef));
            match self.top.compare_exchange_weak(top, task.0.as_ptr(), Release, Relaxed) {
                Ok(_) => return,
                Err(now) => top = now,
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.top.load(Relaxed).is_null()
    }

    /// All of them, the oldest first.
    pub(crate) fn take(&self) -> TaskList {
        let mut newest = NonNull::new(self.top.swap(std::ptr::null_mut(), Acquire)).map(TaskRef);
        let mut oldest_first = None;
        while let Some(task) = newest {
            newest = task.get().next.replace(oldest_first);
            oldest_first = Some(task);
        }
        let list = TaskList::new();
        while let Some(task) = oldest_first {
            oldest_first = task.get().next.get();
            list.push(task);
        }
        list
    }
}

#[cfg(all(test, loom))]
mod models;
