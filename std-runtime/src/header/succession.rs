//! Which stack a task runs on: that of its slot, or the one of a task that has just ended.
//!
//! ```text
//!   card a   card b   card c                  a ends, and b has not begun:   card a   card b   card c
//!     │        │        │                                                      └───╳───┘        │
//!   stack 0  stack 1  stack 2                 b begins where a was           stack 0  stack 1  stack 2
//! ```
//!
//! * K8  To each card belongs one stack of its class, at first the one of its own number, and no two have the same. Where a task begins on the
//!   stack of one that has ended, the two cards exchange theirs; both are in the hands of the worker that runs them (K2).
//!   So a task can always begin, though a stack was only promised when it was spawned; and a free slot has a stack that nobody is on.
//!
//! A stack that is needed only where a task begins is most often a warm one: a thousand tasks that are spawned in one go, and wait for nothing,
//! run on one stack, one after the other, without a switch.

use super::TaskRef;
use crate::{
    arch,
    stack::{self, Slot, Stack},
    sync::atomic::Ordering::*,
    worker,
};
use std::ptr::{self, NonNull};

impl TaskRef {
    /// It has not begun, and has no frames yet.
    pub(super) fn wait_to_begin(self, slot: Slot) {
        self.get().stack_pointer.set(ptr::null_mut());
        if self.top().is_none() {
            self.get().stack.store(slot.first_stack().top(), Relaxed);
        }
    }

    /// None before its slot was first used.
    fn top(self) -> Option<NonNull<u8>> {
        NonNull::new(self.get().stack.load(Relaxed))
    }

    /// The stack that it has run on, or will, if it does not begin on another one's.
    pub(crate) fn stack(self) -> Stack {
        Stack::below(self.top().expect("a task has a stack"), self.get().class.get())
    }

    /// The stack that belongs to a slot, which is free, or the caller's.
    pub(crate) fn stack_of(slot: Slot) -> Stack {
        Self::of(slot).top().map_or(slot.first_stack(), |top| Stack::below(top, slot.class()))
    }

    /// The live task on this stack. Safe to call in a signal handler on that stack.
    pub(crate) fn on(stack: Stack) -> Option<Self> {
        let mut found = None;
        stack::for_each_slot(|slot| {
            let task = Self::of(slot);
            if task.get().stack.load(Relaxed) == stack.top() && task.is_alive() {
                found = Some(task);
            }
        });
        found
    }

    /// Where it goes on, or begins, on a stack of its own: by its worker, which is about to switch there.
    pub(crate) fn resumes_at(self) -> *mut u8 {
        let pointer = self.get().stack_pointer.get();
        if pointer.is_null() { self.first_frame() } else { pointer }
    }

    fn first_frame(self) -> *mut u8 {
        // SAFETY: K8: nobody is on it, so all of it is ours, down from its top. What `first_steps` returns is parked.
        unsafe { arch::prepare(self.get().stack.load(Relaxed), worker::first_steps, self.as_raw()) }
    }

    /// Whether it could begin on the stack of `ended`, which has. Not where ThreadSanitizer looks on, to which the two would be one.
    pub(crate) fn can_succeed(self, ended: TaskRef) -> bool {
        let has_begun = !self.get().stack_pointer.get().is_null();
        !has_begun && self.get().class.get() == ended.get().class.get() && !cfg!(greenlight_tsan)
    }

    /// K8.
    pub(crate) fn take_stack_of(self, ended: TaskRef) {
        let (mine, its) = (&self.get().stack, &ended.get().stack);
        let stack = its.load(Relaxed);
        its.store(mine.load(Relaxed), Relaxed);
        mine.store(stack, Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
