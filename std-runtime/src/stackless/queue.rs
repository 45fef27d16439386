//! Futures in line for a poll, linked through themselves: nothing is allocated.

use super::{Share, Stackless};
use crate::sync::atomic::Ordering::*;
use std::ptr::NonNull;

/// First come, first served. It has a share of each future in it, and by F1 the only right to its link.
pub(crate) struct Queue {
    first: Option<NonNull<Stackless>>,
    last: Option<NonNull<Stackless>>,
    len: usize,
}

// SAFETY: it owns shares, which may go anywhere.
unsafe impl Send for Queue {}

impl Queue {
    pub(crate) const fn new() -> Self {
        Self { first: None, last: None, len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn push(&mut self, future: Share) {
        future.link.store(std::ptr::null_mut(), Relaxed);
        let new = future.into_raw();
        match self.last.replace(new) {
            None => self.first = Some(new),
            Some(last) => link(last, new),
        }
        self.len += 1;
    }

    pub(crate) fn pop(&mut self) -> Option<Share> {
        // SAFETY: the share that `push` has put here.
        let future = unsafe { Share::from_raw(self.first?) };
        self.first = NonNull::new(future.link.load(Relaxed).cast());
        if self.first.is_none() {
            self.last = None;
        }
        self.len -= 1;
        Some(future)
    }

    /// The first of them, so many at most.
    pub(crate) fn take(&mut self, most: usize) -> Queue {
        let mut taken = Queue::new();
        (0..most).map_while(|_| self.pop()).for_each(|future| taken.push(future));
        taken
    }

    pub(crate) fn append(&mut self, mut other: Queue) {
        let Some(first) = other.first.take() else { return };
        match self.last {
            None => self.first = Some(first),
            Some(last) => link(last, first),
        }
        self.last = other.last.take();
        self.len += std::mem::take(&mut other.len);
    }
}

fn link(last: NonNull<Stackless>, new: NonNull<Stackless>) {
    // SAFETY: in the queue, which has a share of it.
    unsafe { last.as_ref() }.link.store(new.as_ptr().cast(), Relaxed);
}

impl Drop for Queue {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}
